"""Which outbox, and which of its entries, a command is about."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import click

from airlock.cli.durations import duration
from airlock.cli.failing import Failure
from airlock.cli.targets import boundary_of

if TYPE_CHECKING:
    from airlock import Boundary
    from airlock.outbox import Outbox, Selection

__all__ = ["VARIABLE", "Chosen", "about", "chosen", "outbox_options", "selecting"]

VARIABLE = "AIRLOCK_BOUNDARY"


@attrs.frozen
class Chosen:
    """An outbox on the command line, the boundary that has it, and ids of entries."""

    target: str
    boundary: Boundary
    outbox: Outbox
    ids: tuple[UUID, ...] = ()


def outbox_options(
    metavar: str = "[BOUNDARY]",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the argument that names the boundary, and the option that names one of its outboxes."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--outbox", "queue", metavar="QUEUE", help="Which one, if the boundary has several."
        )(function)
        return click.argument("arguments", nargs=-1, metavar=metavar)(function)

    return add


def chosen(
    arguments: tuple[str, ...], queue: str | None, *, ids: bool = False, made: bool = True
) -> Chosen:
    """Return the outbox that arguments name.

    Args:
        arguments: the target, unless the environment variable has it; then ids.
        queue: of the outbox, if the boundary has several.
        ids: whether ids may follow.
        made: whether its tables must be there.

    Raises:
        Failure: there is no such outbox, its database cannot be reached, or an argument is no id.
        OutboxSchemaError: its tables are missing, or of another version.
    """
    named = bool(arguments) and ":" in arguments[0]
    target = arguments[0] if named else os.environ.get(VARIABLE)
    rest = arguments[1:] if named else arguments
    if target is None:
        raise Failure(
            f"no boundary is named: write it first, such as shop.effects:boundary, or set {VARIABLE}."
        )
    if rest and not ids:
        raise Failure(f"{rest[0]!r} is one argument too many: a boundary is named module:name.")
    chosen_ids = tuple(map(_id, rest))
    boundary = boundary_of(target)
    found = Chosen(target, boundary, _one(target, boundary, queue), chosen_ids)
    _reach(found, made=made)
    return found


def _reach(found: Chosen, *, made: bool) -> None:
    """Refuse an outbox whose database cannot be reached, or lacks the tables where it must not."""
    from airlock.outbox import schema  # noqa: PLC0415 - an extra

    try:
        if made:
            found.outbox.database.run(schema.require)
        else:
            found.outbox.database.run(lambda c: c.execute("SELECT 1"))
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"sqlalchemy", "django"}:
            raise
        where: Any = found.outbox.identity
        raise Failure(
            f"the database of the outbox, {' '.join(map(str, where))}, cannot be used: "
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        ) from error


def _one(target: str, boundary: Boundary, queue: str | None) -> Outbox:
    found: list[Any] = [one for one in boundary.outboxes if hasattr(one, "store")]
    if not found:
        raise Failure(
            f"{target} has no outbox. Give it one: Boundary(..., dispatch=Route({{SendEmail: "
            "Outbox(engine)}, default=INLINE)), or Boundary(..., park=Outbox(engine))."
        )
    queues = [one.store.queue for one in found]
    if queue is None and len(found) > 1:
        raise Failure(
            f"{target} has {len(found)} outboxes: pass --outbox with one of {', '.join(queues)}."
        )
    if queue is not None and queue not in queues:
        raise Failure(f"{target} has no outbox {queue!r}, only {', '.join(queues)}.")
    return found[0 if queue is None else queues.index(queue)]  # type: ignore[no-any-return]


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Failure(
            f"{text!r} is no id of an effect: those look like {UUID(int=42)}, and `airlock outbox "
            "list` shows them."
        ) from None


def selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose entries."""
    options = (
        click.option("--kind", "kinds", multiple=True, help="Only this kind; may be repeated."),
        click.option("--failed", is_flag=True, help="Only dead ones, and those that are retried."),
        click.option("--dead", is_flag=True, help="Only dead ones."),
        click.option(
            "--older-than", callback=duration, metavar="DURATION", help="90s, 15m, 2h, 7d."
        ),
        click.option("--error", metavar="TEXT", help="Only where the last error contains this."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def about(
    found: Chosen,
    *,
    kinds: tuple[str, ...],
    failed: bool,
    dead: bool,
    older_than: timedelta | None,
    error: str | None,
) -> Selection:
    """Return the selection that options and ids make."""
    from airlock.outbox import Selection  # noqa: PLC0415 - an extra
    from airlock.outbox.entry import State  # noqa: PLC0415

    return Selection(
        kinds=kinds or None,
        states=(State.DEAD,) if dead else None,
        failed=failed,
        older_than=older_than,
        error=error,
        ids=found.ids or None,
    )
