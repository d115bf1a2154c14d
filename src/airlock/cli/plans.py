"""``airlock plan``: show and compare plans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airlock.cli.applying import apply, resume
from airlock.cli.failing import FOUND
from airlock.cli.output import Listing, folded, json_option, print_json
from airlock.cli.reading import FILE, loaded_from, reading
from airlock.errors import JournalError

if TYPE_CHECKING:
    from airlock.plan import Plan

__all__ = ["plan"]


@click.group(cls=Listing)
def plan() -> None:
    """Review effects that were held, and apply them."""


# -- show -----------------------------------------------------------------------------------------


@plan.command()
@click.argument("file", type=FILE)
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="0 for all.")
@reading
@json_option
def show(
    file: Path,
    limit: int,
    modules: tuple[str, ...],
    wire: str | None,
    as_json: bool,  # noqa: FBT001 - an option
) -> None:
    """List the effects of a plan, and how far it was applied.

    Without --import the intents are shown as they are written; nothing of the program is needed.
    """
    loaded = loaded_from(file, wire, modules)
    if as_json:
        print_json({**_about(loaded), "effects": list(_rows(loaded, limit))})
        return
    digits = len(str(len(loaded)))
    for row in _rows(loaded, limit):
        cause = f"  after {row['cause']}" if row["cause"] else ""
        place = f"  {row['place']}" if row["place"] else ""
        line = f"{row['index']:>{digits}}  {row['intent']}{place}{cause}"
        click.echo(folded(line, hanging=digits + 2))
    if limit and limit < len(loaded):
        click.echo(f"... and {len(loaded) - limit:,} more: --limit 0")
    click.echo(loaded.summary())
    try:
        states = _states(loaded)
    except JournalError as error:  # in use, most of all
        click.echo(f"it {error.problem}", err=True)
        return
    if states:
        click.echo(f"applied: {_counted(states['effects'])}")
    if states and states["follow_ups"]:
        click.echo(f"follow-ups: {_counted(states['follow_ups'])}")


def _counted(states: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in states.items())


def _about(loaded: Plan) -> dict[str, Any]:
    return {
        "created": loaded.created.isoformat(),
        "expires": None if loaded.expires is None else loaded.expires.isoformat(),
        "digest": loaded.digest,
        "counts": loaded.counts,
        "states": _states(loaded),
    }


def _rows(loaded: Plan, limit: int) -> Iterator[dict[str, Any]]:
    for index, line in enumerate(loaded.entry_lines()):
        if limit and index >= limit:
            return
        entry = json.loads(line)
        effect = entry["effect"]
        causes = effect.get("causation", {}).get("ancestors", ())
        yield {
            "index": entry["index"],
            "kind": effect["kind"],
            "intent": _intent(loaded, line, effect),
            "id": effect["id"],
            "headers": effect.get("headers", {}),
            "place": entry["place"],
            "cause": causes[0]["kind"] if causes else None,
        }


def _intent(loaded: Plan, line: bytes, effect: Any) -> str:
    """Format an effect as its class does; as it is written, where the class is not known here."""
    from airlock.errors import AirlockError  # noqa: PLC0415

    try:
        return str(loaded.entry(line))
    except AirlockError:
        sealed = ", ..." if "sealed" in effect else ""
        fields = ", ".join(f"{key}={json.dumps(value)}" for key, value in effect["data"].items())
        return f"{effect['kind']}({fields}{sealed})"


def _states(loaded: Plan) -> dict[str, dict[str, int]]:
    """Count the effects in each state, by the journal; return nothing if there is no journal.

    Raises:
        JournalError: it cannot be read, or not now.
    """
    if loaded.journal is None or not loaded.journal.exists():
        return {}
    from airlock.plan.journal import JournalFile  # noqa: PLC0415

    with closing(JournalFile(loaded.journal, loaded.digest, loaded.name, len(loaded))) as journal:
        effects = _in_words(journal.states(follow_ups=False))
        follow_ups = _in_words(journal.states(follow_ups=True))
    left = len(loaded) - sum(effects.values())
    return {"effects": effects | ({"not begun": left} if left else {}), "follow_ups": follow_ups}


def _in_words(states: dict[str, int]) -> dict[str, int]:
    return {_WORDS.get(state, state): number for state, number in sorted(states.items())}


_WORDS = {"running": "maybe done", "allowed": "not begun", "emitted": "not begun"}


# -- diff -----------------------------------------------------------------------------------------


@plan.command()
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@reading
@json_option
def diff(
    before: Path,
    after: Path,
    modules: tuple[str, ...],
    wire: str | None,
    as_json: bool,  # noqa: FBT001 - an option
) -> None:
    """Compare two plans by what they do. Exits with 1 if they differ."""
    found = loaded_from(before, wire, modules).diff(loaded_from(after, wire, ()))
    if as_json:
        print_json(
            {
                "added": list(map(str, found.added)),
                "removed": list(map(str, found.removed)),
                "unchanged": found.unchanged,
                "reordered": found.reordered,
            }
        )
    else:
        click.echo(folded(str(found), hanging=2))
    if found:
        raise click.exceptions.Exit(FOUND)


plan.add_command(apply)
plan.add_command(resume)
