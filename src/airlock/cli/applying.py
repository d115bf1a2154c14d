"""``airlock plan apply`` and ``airlock plan resume``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from airlock.cli.failing import DECLINED, IN_DOUBT, REFUSED, Failure, answered
from airlock.cli.output import json_option, print_json
from airlock.cli.reading import FILE, loaded_from, reading
from airlock.cli.refusing import allow_effects
from airlock.cli.targets import boundary_of
from airlock.errors import ApplyError, InDoubtError

if TYPE_CHECKING:
    from airlock import Boundary
    from airlock.plan import Applied, Plan, PlanEntry

__all__ = ["apply", "resume"]


def _applying(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that applying and resuming share."""
    options = (
        click.argument("file", type=FILE),
        click.option(
            "--boundary", required=True, metavar="MODULE:NAME", help="Its handlers apply the plan."
        ),
        click.option(
            "--kind", "kinds", multiple=True, help="Only effects of this kind; may be repeated."
        ),
        click.option(
            "--index",
            "indices",
            multiple=True,
            type=int,
            help="Only the effect with this number; may be repeated.",
        ),
        click.option(
            "--journal",
            type=click.Path(path_type=Path),
            help="Where what is done is kept; by default FILE.journal.",
        ),
        click.option(
            "--held",
            type=click.Path(path_type=Path),
            help="Where to write a plan of follow-ups that a policy holds.",
        ),
        click.option("--expired", is_flag=True, help="Apply it even if it has expired."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        reading,
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.option("--digest", help="Refuse every plan but the one with this digest.")
@_applying
def apply(file: Path, digest: str | None, **how: Any) -> None:
    """Apply a plan. What was done before is not done again."""
    _apply(file, digest, None, **how)


@click.command()
@click.option(
    "--in-doubt",
    type=click.Choice(["ask", "done", "retry"]),
    default="ask",
    show_default=True,
    help="What becomes of effects that were in flight when the program died.",
)
@_applying
def resume(file: Path, in_doubt: str, **how: Any) -> None:
    """Go on with a plan whose application was interrupted, and settle what may have been done."""
    journal = how["journal"] or file.with_name(f"{file.name}.journal")
    if not journal.exists():
        raise Failure(f"there is no journal {journal}: use `airlock plan apply` to begin.", REFUSED)
    _apply(file, None, _ask if in_doubt == "ask" else in_doubt, **how)


def _apply(
    file: Path,
    digest: str | None,
    in_doubt: Any,
    *,
    boundary: str,
    wire: str | None,
    modules: tuple[str, ...],
    held: Path | None,
    yes: bool,
    as_json: bool,
    **how: Any,
) -> None:
    from airlock.plan.opening import preview  # noqa: PLC0415 - loads cattrs and sqlite3

    found = boundary_of(boundary)
    loaded = loaded_from(file, wire, modules)
    if digest is not None and digest != loaded.digest:
        raise Failure(f"{file} is not the plan that was asked for: it is {loaded.digest}.", REFUSED)
    request: dict[str, Any] = {
        name: value or None for name, value in how.items() if name != "expired"
    }
    request |= {"expired": how["expired"], "in_doubt": in_doubt}
    failed = None
    try:
        if not yes:
            _confirm(loaded, preview(found._engine, loaded, **request))  # noqa: SLF001 - what apply itself begins with
        allow_effects()
        applied = _run(found, loaded, request)
    except KeyboardInterrupt as interrupt:
        if not isinstance(interrupt.__context__, click.Abort):  # some of it may have been done
            click.echo(f"\n`airlock plan show {file}` lists how far it came.", err=True)
        raise
    except InDoubtError as error:
        listed = "".join(f"\n  {effect}" for effect in error.effects)
        hint = f"Nothing ran now. Look whether they did, then: airlock plan resume {file} --boundary {boundary}"
        raise Failure(f"{error.what} {error.problem}:{listed}\n{hint}", IN_DOUBT) from None
    except ApplyError as error:
        if error.applied is None:
            raise
        applied, failed = error.applied, error
    if held is not None and applied.held is not None:
        applied.held.save(held)
    _tell(applied, held, as_json=as_json)
    if failed is not None:
        raise failed


def _run(found: Boundary, loaded: Plan, request: dict[str, Any]) -> Applied:
    """Apply a plan, while the resources of the container are open."""
    if not any(binding.awaited() for binding in found.handlers.values()):
        with found:
            return found.apply(loaded, **request)
    import asyncio  # noqa: PLC0415 - slow to import

    async def run() -> Applied:
        async with found:
            return await found.aapply(loaded, **request)

    return asyncio.run(run())


def _confirm(loaded: Plan, chosen: Counter[str]) -> None:
    """Ask whether to do what is chosen, and not done yet."""
    if not sys.stdin.isatty():
        raise Failure("nobody is here to be asked: pass --yes to apply the plan.")
    click.echo(loaded.summary(), err=True)
    number = chosen.total()
    question = "Apply it?"
    if number != len(loaded):
        listed = ", ".join(f"{many:,} {kind}" for kind, many in chosen.items())
        question = f"Apply {number:,} of {len(loaded):,}" + (f" ({listed})?" if listed else "?")
    if not answered(click.confirm, question, err=True):
        raise click.exceptions.Exit(DECLINED)


def _ask(entry: PlanEntry) -> Literal["done", "retry"]:
    """Ask about an effect that may have been done."""
    if not sys.stdin.isatty():
        raise Failure(
            f"{entry.index}  {entry} may have been done, and nobody is here to be asked: pass "
            "--in-doubt done or --in-doubt retry.",
            IN_DOUBT,
        )
    answer = answered(
        click.prompt,
        f"{entry.index}  {entry}\nIt was in flight when the program died. Is it done, or is it to be "
        "done (again)?",
        type=click.Choice(["done", "retry"]),
        err=True,
    )
    return "done" if answer == "done" else "retry"


def _tell(applied: Applied, held: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "counts": dict(applied.counts),
                "before": applied.before,
                "remaining": applied.remaining,
                "held": None if applied.held is None else len(applied.held),
            }
        )
        return
    click.echo(str(applied))
    if applied.held is not None:
        where = f"a plan of them is in {held}" if held else "pass --held FILE for a plan of them"
        click.echo(f"A policy holds {len(applied.held)} follow-ups: {where}.")
