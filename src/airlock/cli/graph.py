"""``airlock graph``: intents, handlers and follow-ups, as a Mermaid flowchart."""

from __future__ import annotations

import inspect
import json
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airlock.cli.failing import Failure
from airlock.cli.output import json_option, print_json
from airlock.cli.targets import boundary_of
from airlock.effects.registry import KNOWN, declared, describe, spec_of
from airlock.emissions.buffer import Emits
from airlock.errors import PlanFormatError
from airlock.handlers.providers import Expands

if TYPE_CHECKING:
    from airlock.handlers.table import Binding

__all__ = ["graph"]

Edges = Counter[tuple[str, str]]


@click.command()
@click.argument("boundary")
@click.option(
    "--observed",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A plan, or a report's to_json(), from which follow-ups are taken; may be repeated.",
)
@json_option
def graph(boundary: str, observed: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001 - an option
    """Draw which intent is handled by what, and what follows from it.

    Solid arrows are declared: by the return annotation of an Expands, or an Emits[...] among the
    parameters of a handler. Dotted ones were observed, so many times.
    """
    bindings = boundary_of(boundary).handlers
    handlers = {spec_of(cls).kind: _name(one.target) for cls, one in bindings.items()}
    declared_edges = sorted(_declared(bindings))
    seen = Edges()
    for path in observed:
        seen += _observed(path)
    kinds = {spec_of(cls).kind for cls in declared()}
    kinds |= {kind for edge in (*declared_edges, *seen) for kind in edge}
    if as_json:
        print_json(
            {
                "intents": sorted(kinds),
                "handlers": dict(sorted(handlers.items())),
                "declared": [list(edge) for edge in declared_edges],
                "observed": [[*edge, number] for edge, number in sorted(seen.items())],
            }
        )
    else:
        click.echo("\n".join(_drawn(sorted(kinds), handlers, declared_edges, seen)))


def _name(target: Any) -> str:
    return str(getattr(target, "__qualname__", None) or describe(target))


def _declared(handlers: Mapping[type[Any], Binding]) -> set[tuple[str, str]]:
    return {
        (spec_of(cls).kind, spec_of(follow_up).kind)
        for cls, binding in handlers.items()
        for follow_up in _follow_ups(binding)
    }


def _follow_ups(binding: Binding) -> Iterator[type[Any]]:
    """Yield the intent classes that a handler's annotations declare as its follow-ups."""
    target = binding.target
    parts = (target.__init__, target.__call__) if inspect.isclass(target) else (target,)
    for part in parts:
        try:
            hints = typing.get_type_hints(part)
        except (NameError, TypeError, AttributeError) as error:
            click.echo(f"{binding.name}: its annotations cannot be read ({error})", err=True)
            continue
        for name, hint in hints.items():
            expands = name == "return" and isinstance(binding.provide, Expands)
            if expands or typing.get_origin(hint) is Emits:
                yield from _intents_in(hint)


def _intents_in(hint: Any) -> Iterator[type[Any]]:
    if isinstance(hint, type) and hint in KNOWN:
        yield hint
    for inner in typing.get_args(hint):
        yield from _intents_in(inner)


def _observed(path: Path) -> Edges:
    """Cause and effect, as a plan or a report has them."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        caused = (row for row in rows if row["cause"] is not None)
        return Edges((rows[row["cause"]]["kind"], row["kind"]) for row in caused)
    except (ValueError, KeyError, TypeError, IndexError):  # more than one line of JSON, if a plan
        return Edges(_observed_in_plan(path))


def _observed_in_plan(path: Path) -> Iterator[tuple[str, str]]:
    from airlock.plan import Plan  # noqa: PLC0415

    try:
        lines = list(Plan.load(path).entry_lines())
    except PlanFormatError as error:
        raise Failure(
            f"{path} is neither a plan nor what report.to_json() returns: it {error.problem}."
        ) from None
    for line in lines:
        yield from _cause_in_plan(json.loads(line)["effect"])


def _cause_in_plan(effect: Any) -> Iterator[tuple[str, str]]:
    for cause in effect.get("causation", {}).get("ancestors", ())[:1]:
        yield cause["kind"], effect["kind"]


def _drawn(
    kinds: list[str], handlers: dict[str, str], declared_edges: list[tuple[str, str]], seen: Edges
) -> Iterator[str]:
    node = {kind: f"i{number}" for number, kind in enumerate(kinds)}
    yield "flowchart LR"
    for kind in kinds:
        yield f"    {node[kind]}[{_quoted(kind)}]"
    for kind, handler in sorted(handlers.items()):
        if kind in node:
            yield f"    {node[kind]} --> h{node[kind][1:]}([{_quoted(handler)}])"
    for cause, effect in declared_edges:
        yield f"    h{node[cause][1:]} --> {node[effect]}"
    for (cause, effect), number in sorted(seen.items()):
        start = f"h{node[cause][1:]}" if cause in handlers else node[cause]
        yield f"    {start} -. {number} .-> {node[effect]}"


def _quoted(text: str) -> str:
    return '"' + text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;") + '"'
