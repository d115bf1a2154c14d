"""What became of a COMMIT: it may be none."""

from __future__ import annotations

from weakref import WeakSet

from sqlalchemy import event, select
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["ABORTED", "FAILED", "watch"]

FAILED: WeakSet[Connection] = WeakSet()
"""Connections on which a statement failed, in any transaction."""

ABORTED: WeakSet[Connection] = WeakSet()
"""Those whose last COMMIT rolled back."""


def watch(connection: Connection) -> None:
    """A transaction begins: note whether statements fail, and what that makes of its COMMIT."""
    ABORTED.discard(connection)
    if not event.contains(connection.engine, "commit", check):
        event.listen(connection.engine, "commit", check)
    if not event.contains(connection.dialect, "handle_error", note):
        event.listen(connection.dialect, "handle_error", note)


def note(context: ExceptionContext) -> None:
    """A statement has failed."""
    if context.connection is not None:
        FAILED.add(context.connection)


def check(connection: Connection) -> None:
    """Find out whether the COMMIT that follows will roll back, and not say so.

    PostgreSQL does that where a statement failed in the transaction, outside of a savepoint, and
    the error was caught. No other statement succeeds there, so one is tried.
    """
    if connection in FAILED:
        try:
            connection.execute(select(1))
        except SQLAlchemyError:
            ABORTED.add(connection)
        else:
            FAILED.discard(connection)
