"""``airlock outbox``: tables, and effects that wait, were given up on, or failed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from airlock.cli.durations import duration, format_duration
from airlock.cli.failing import DECLINED, FOUND, Failure, answered
from airlock.cli.output import Listing, json_option, print_json, table
from airlock.cli.selecting import Chosen, about, chosen, outbox_options, selecting

if TYPE_CHECKING:
    from airlock.outbox import Entry, Selection, Store

__all__ = ["outbox"]

CHUNK = 500


@click.group(cls=Listing)
def outbox() -> None:
    """Look at the effects of an outbox, and act on those that failed.

    The boundary comes first, as module:name; without one, AIRLOCK_BOUNDARY of the environment has it.
    """


# -- tables ---------------------------------------------------------------------------------------


@outbox.command()
@outbox_options()
@json_option
def init(arguments: tuple[str, ...], queue: str | None, as_json: bool) -> None:  # noqa: FBT001 - an option
    """Create the tables of the outbox, where they are missing."""
    found = chosen(arguments, queue, made=False)
    found.outbox.create()
    _tables(found, "the tables are there", as_json=as_json)


@outbox.command()
@outbox_options()
@json_option
def migrate(arguments: tuple[str, ...], queue: str | None, as_json: bool) -> None:  # noqa: FBT001 - an option
    """Bring the tables of the outbox to the version of this release."""
    from airlock.outbox import schema  # noqa: PLC0415 - an extra

    found = chosen(arguments, queue, made=False)
    found.outbox.database.run(schema.migrate)
    _tables(found, "the tables are up to date", as_json=as_json)


def _tables(found: Chosen, what: str, *, as_json: bool) -> None:
    from airlock.outbox.schema import VERSION  # noqa: PLC0415 - an extra

    if as_json:
        print_json({"version": VERSION})
    else:
        where: Any = found.outbox.identity
        click.echo(f"{what}, of version {VERSION}, in {' '.join(map(str, where))}")


@outbox.command()
@outbox_options()
@json_option
def check(arguments: tuple[str, ...], queue: str | None, as_json: bool) -> None:  # noqa: FBT001 - an option
    """Compare the tables with those that this release needs. Exits with 1 if they differ."""
    from airlock.outbox import schema  # noqa: PLC0415 - an extra

    found = chosen(arguments, queue, made=False)
    problems = found.outbox.database.run(schema.check)
    if as_json:
        print_json({"ok": not problems, "problems": list(problems)})
    elif problems:
        click.echo(f"{len(problems)} problem(s) with the tables:")
        for problem in problems:
            click.echo(f"  - {problem}")
    else:
        click.echo("the tables are complete")
    if problems:
        raise click.exceptions.Exit(FOUND)


# -- looking --------------------------------------------------------------------------------------


@outbox.command()
@outbox_options()
@json_option
def status(arguments: tuple[str, ...], queue: str | None, as_json: bool) -> None:  # noqa: FBT001 - an option
    """Count the effects in each state, and show how long the oldest that is due has waited."""
    found = chosen(arguments, queue)
    store = found.outbox.store
    counted = found.outbox.database.run(store.status)
    names = ("due", "scheduled", "leased", "dead", "retrying")
    if as_json:
        print_json(
            {
                "queue": store.queue,
                **{name: getattr(counted, name) for name in names},
                "oldest_due": counted.oldest_due.total_seconds(),
                "paused": [kind or None for kind in sorted(counted.paused)],
                "kinds": {
                    kind: {name: getattr(counts, name) for name in names}
                    for kind, counts in sorted(counted.kinds.items())
                },
            }
        )
        return
    rows = [*sorted(counted.kinds.items()), ("all", counted)]
    table(
        ("kind", *names),
        [(kind, *(f"{getattr(counts, name):,}" for name in names)) for kind, counts in rows],
    )
    if counted.due:
        click.echo(f"the oldest that is due has waited for {format_duration(counted.oldest_due)}")
    if counted.paused:
        click.echo(_listed(counted.paused))


@outbox.command(name="list")
@outbox_options("[BOUNDARY] [ID]...")
@selecting
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
def list_(
    arguments: tuple[str, ...],
    queue: str | None,
    limit: int,
    as_json: bool,  # noqa: FBT001 - an option
    **options: Any,
) -> None:
    """List effects that are not delivered yet, the oldest first."""
    found = chosen(arguments, queue, ids=True)
    selection = about(found, **options)
    store, database = found.outbox.store, found.outbox.database
    entries = database.run(lambda c: store.select(c, selection, limit=limit))
    if as_json:
        print_json([_facts(found, entry) for entry in entries])
        return
    rows = [_row(found, entry) for entry in entries]
    table(("id", "state", "tries", "age", "effect"), rows)
    number = database.run(lambda c: store.count(c, selection))
    if not number:
        click.echo("no effects")
    elif number > len(entries):
        click.echo(f"... and {number - len(entries):,} more: --limit {number}")


@outbox.command()
@outbox_options("[BOUNDARY] ID...")
@json_option
def show(arguments: tuple[str, ...], queue: str | None, as_json: bool) -> None:  # noqa: FBT001 - an option
    """Show all about effects: their payload, where they come from, and the last error."""
    found = chosen(arguments, queue, ids=True)
    entries = _named(found)
    if as_json:
        print_json([_facts(found, entry) for entry in entries])
        return
    for number, entry in enumerate(entries):
        if number:
            click.echo()
        _show(_facts(found, entry))


def _named(found: Chosen) -> Sequence[Entry]:
    """Return the entries with the ids that are given.

    Raises:
        Failure: there is none with one of them.
    """
    from airlock.outbox import Selection  # noqa: PLC0415 - an extra

    if not found.ids:
        raise Failure("no id is given: `airlock outbox list` shows them.")
    store = found.outbox.store
    selection = Selection(ids=found.ids)
    entries = found.outbox.database.run(lambda c: store.select(c, selection, limit=len(found.ids)))
    missing = sorted(map(str, set(found.ids).difference(entry.id for entry in entries)))
    if missing:
        raise Failure(
            f"there is no effect {', '.join(missing)} in the queue {store.queue!r}: it was delivered, "
            "or discarded, or is in another outbox.",
            FOUND,
        )
    return entries


def _row(found: Chosen, entry: Entry) -> tuple[str, ...]:
    from airlock.outbox.display import payload_of, state_of  # noqa: PLC0415 - an extra

    now = _now(found)
    payload = payload_of(entry, found.outbox.wire)
    text = payload.text if payload.unreadable is None else f"{payload.text} (cannot be read)"
    if entry.error is not None:
        text += (
            f"  {entry.error.type.removeprefix('builtins.')}: {_first_line(entry.error.message)}"
        )
    age = format_duration(max(now - entry.created_at, timedelta()))
    return str(entry.id), state_of(entry, now), str(entry.attempts), age, text


def _now(found: Chosen) -> datetime:
    """Return the time of the outbox's clock, if that was set, else of this machine's."""
    clock = found.outbox.store.clock
    return datetime.now(UTC) if clock is None else clock()


def _first_line(text: str) -> str:
    line, _, rest = text.partition("\n")
    return f"{line} ..." if rest else line


def _facts(found: Chosen, entry: Entry) -> dict[str, Any]:
    """Return all about an entry, for JSON; nothing that is sensitive."""
    from airlock.outbox.display import payload_of, state_of  # noqa: PLC0415 - an extra

    payload = payload_of(entry, found.outbox.wire)
    error = entry.error
    return {
        "id": str(entry.id),
        "kind": entry.kind,
        "version": entry.version,
        "effect": payload.text,
        "unreadable": payload.unreadable,
        "state": state_of(entry, _now(found)),
        "queue": entry.queue,
        "ordering_key": entry.ordering_key,
        "dedupe_key": entry.dedupe_key,
        "attempts": entry.attempts,
        "claims": entry.claims,
        "created_at": entry.created_at.isoformat(),
        "available_at": entry.available_at.isoformat(),
        "leased_by": entry.leased_by,
        "headers": dict(payload.headers),
        "causes": list(payload.causes),
        "error": None
        if error is None
        else {
            "type": error.type,
            "message": error.message,
            "place": error.place,
            "traceback": error.traceback,
        },
    }


def _show(facts: dict[str, Any]) -> None:
    error = facts.pop("error")
    for name, value in facts.items():
        if value in (None, {}, []):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key}={each}" for key, each in value.items())  # noqa: PLW2901
        elif isinstance(value, list):
            value = " after ".join(value)  # noqa: PLW2901
        click.echo(f"{name.replace('_', ' '):<13} {value}")
    if error is not None:
        if error["place"]:
            click.echo(f"{'emitted at':<13} {error['place']}")
        click.echo(f"{'error':<13} {error['type'].removeprefix('builtins.')}: {error['message']}")
        if error["traceback"]:
            click.echo(error["traceback"].rstrip())


# -- acting ---------------------------------------------------------------------------------------


def _acting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options of commands that act on chosen entries."""
    function = click.option("--yes", is_flag=True, help="Do not ask.")(json_option(function))
    return outbox_options("[BOUNDARY] [ID]...")(selecting(function))


@outbox.command()
@_acting
def retry(**how: Any) -> None:
    """Make effects due now: dead ones begin anew, with all their attempts.

    The relays deliver them. Give ids, or options that choose: --dead, --kind, ...
    """
    _act("retry", "retried", lambda store: store.revive, **how)


@outbox.command()
@_acting
def discard(**how: Any) -> None:
    """Delete effects, which are then never delivered. What a relay has in hand is left alone."""
    _act("discard", "discarded", lambda store: store.discard, **how)


@outbox.command()
@outbox_options()
@click.option(
    "--older-than", required=True, callback=duration, metavar="DURATION", help="90s, 15m, 2h, 7d."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def prune(
    arguments: tuple[str, ...],
    queue: str | None,
    older_than: timedelta,
    yes: bool,  # noqa: FBT001 - an option
    as_json: bool,  # noqa: FBT001
) -> None:
    """Delete dead effects that are older than that."""
    found = chosen(arguments, queue)
    store, database = found.outbox.store, found.outbox.database
    selection = about(found, kinds=(), failed=False, dead=True, older_than=older_than, error=None)
    number = database.run(lambda c: store.count(c, selection))
    if number and not yes:
        _confirm(f"Prune {number:,} dead effects?")
    done = database.run(lambda c: store.prune(c, older_than)) if number else 0
    _tell("pruned", done, as_json=as_json)


def _act(
    verb: str,
    done_word: str,
    action_of: Callable[[Store], Callable[..., int]],
    *,
    arguments: tuple[str, ...],
    queue: str | None,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    from airlock.plan.progress import reporting  # noqa: PLC0415 - only here

    found = chosen(arguments, queue, ids=True)
    if not found.ids and not any(options.values()):
        raise Failure(
            f"say which effects to {verb}: their ids, or an option that chooses, such as --dead or "
            "--kind KIND."
        )
    store, database = found.outbox.store, found.outbox.database
    if found.ids:
        _named(found)
    selection = about(found, **options)
    number = database.run(lambda c: store.count(c, selection))
    if number and not yes and len(found.ids) != number:
        _confirm(f"{verb.capitalize()} {number:,} effects?")
    action, done = action_of(store), 0
    with reporting(None, f"{done_word[:-2]}ing") as report:
        for ids in _chunks(found, selection, number):
            done += database.run(partial(action, selection=ids))
            report(done, number)
    _tell(done_word, done, as_json=as_json)


def _chunks(found: Chosen, selection: Selection, number: int) -> Sequence[Selection]:
    """Return selections that name the chosen entries, some hundred at a time.

    Each chunk is a transaction of its own, so that relays never wait long; and an entry that is
    chosen only later was in no question.
    """
    from airlock.outbox import Selection  # noqa: PLC0415 - an extra

    store = found.outbox.store
    entries = found.outbox.database.run(lambda c: store.select(c, selection, limit=number))
    ids = [entry.id for entry in entries]
    return [Selection(ids=tuple(ids[at : at + CHUNK])) for at in range(0, len(ids), CHUNK)]


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(f"nobody is here to be asked: {question} Pass --yes to do it.")
    if not answered(click.confirm, question, err=True):
        raise click.exceptions.Exit(DECLINED)


def _tell(what: str, number: int, *, as_json: bool) -> None:
    if as_json:
        print_json({what: number})
    else:
        click.echo(f"{number:,} {what}")


# -- pauses ---------------------------------------------------------------------------------------


def _pausing(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--kind", "kinds", multiple=True, help="Only this kind.")(function)
    return outbox_options()(json_option(function))


@outbox.command()
@_pausing
def pause(
    arguments: tuple[str, ...],
    queue: str | None,
    kinds: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - an option
) -> None:
    """Have no relay deliver effects of the queue, or of some kinds, until they are resumed.

    Effects are recorded as before. What a relay has in hand is finished.
    """
    found = chosen(arguments, queue)
    store = found.outbox.store
    for kind in kinds or ("",):
        found.outbox.database.run(partial(store.pause, kind=kind))
    _paused(found, as_json=as_json)


@outbox.command()
@_pausing
def resume(
    arguments: tuple[str, ...],
    queue: str | None,
    kinds: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - an option
) -> None:
    """Let relays deliver again: everything, or some kinds."""
    found = chosen(arguments, queue)
    store, database = found.outbox.store, found.outbox.database
    for kind in kinds or ("",):
        database.run(partial(store.resume, kind=kind))
    _paused(found, as_json=as_json)


def _paused(found: Chosen, *, as_json: bool) -> None:
    paused = found.outbox.database.run(found.outbox.store.paused)
    if as_json:
        print_json({"paused": [kind or None for kind in sorted(paused)]})
    else:
        click.echo(_listed(paused) if paused else "nothing is paused")


def _listed(paused: Collection[str]) -> str:
    return "paused: " + ", ".join(kind or "everything" for kind in sorted(paused))
