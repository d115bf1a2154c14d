"""Transactions as a connection sees them: whether they wrote, and what became of their COMMIT.

A connection reports a COMMIT before it is sent, and of the error that it ends in. Whether it was
carried out, only the session reports::

    open ──sent──► sent ──refused──► refused
                    │
                    ├──(the session's after_commit)──► it was carried out, or PostgreSQL refused it
                    └──(cancelled, or the connection is lost)──► nobody knows

A transaction wrote nothing if all its statements are known to be reads: what is not counts as a write.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakSet, ref

import attrs
from sqlalchemy import event, select
from sqlalchemy.engine import (
    Connection,
    Engine,
    ExceptionContext,
    ExecutionContext,
    NestedTransaction,
)

from airlock.integrations.sqlalchemy.statements import only_reads
from airlock.release import Segment

__all__ = ["Commit", "distrust", "watch"]


@attrs.define(eq=False)
class Commit:
    """State of the COMMIT of one transaction on a connection.

    Args:
        connection: which one; it is not kept alive.
        nested: whether the session has no more than a savepoint there, and sends none.
        segment: of the transaction, in which outboxes record; None if they record elsewhere.
        savepoint: that of the session, if it has no more.

    Attributes:
        wrote: a statement was executed that is not known to be a read.
    """

    connection: ref[Connection]
    nested: bool
    segment: Segment | None = None
    savepoint: ref[NestedTransaction] | None = None
    wrote: bool = False
    sent: bool = False
    refused: bool = False

    @property
    def joined(self) -> bool:
        """True if the COMMIT is left to somebody else, who has not sent it yet."""
        connection = None if self.nested else self.connection()
        return connection is not None and connection.in_transaction()

    @property
    def interrupted(self) -> bool:
        """True if the COMMIT was sent and has no answer, unless the session has reported one."""
        return self.sent and not self.refused and not self.nested

    @property
    def over(self) -> bool:
        """True if the transaction has ended there, and not by an error."""
        connection = self.connection()
        return connection is not None and connection.get_transaction() is None


COMMITS: WeakKeyDictionary[Connection, Commit] = WeakKeyDictionary()
"""The COMMIT of the last transaction of a session on each connection."""

FAILED: WeakSet[Connection] = WeakSet()
"""Connections on which a statement failed, in any transaction."""


def watch(connection: Connection, segment: Segment | None = None) -> Commit:
    """Watch a new transaction: note failing statements, and what they make of its COMMIT.

    Args:
        connection: which begins it.
        segment: of the transaction; its steps are run in it before it is committed.
    """
    if not event.contains(connection.engine, "commit", check):
        event.listen(connection.engine, "commit", check)
        event.listen(connection.engine, "prepare_twophase", prepare)
        event.listen(connection.engine, "release_savepoint", release)
        event.listen(connection.engine, "commit_twophase", send)
        event.listen(connection.engine, "before_cursor_execute", executes)
    savepoint = connection.get_nested_transaction()
    commit = COMMITS[connection] = Commit(
        ref(connection),
        savepoint is not None,
        segment,
        None if savepoint is None else ref(savepoint),
    )
    return commit


def distrust(commit: Commit, connection: Connection) -> None:
    """Statements may have written or failed before they were watched."""
    commit.wrote = True
    FAILED.add(connection)


def executes(
    connection: Connection,
    _: object,
    sql: str,
    __: object,
    context: ExecutionContext | None,
    ___: bool,  # noqa: FBT001 - an event
) -> None:
    """Note whether a statement may write."""
    commit = COMMITS.get(connection)
    if commit is not None and not commit.wrote and not only_reads(sql, context):
        commit.wrote = True


@event.listens_for(Engine, "handle_error", insert=True)
def note(context: ExceptionContext) -> None:
    """Note that a statement or a COMMIT has failed.

    On any engine: an event of the class, as after a hook that raises no other is called.
    """
    if context.connection is None:
        return
    FAILED.add(context.connection)
    commit = COMMITS.get(context.connection)
    answered = context.sqlalchemy_exception is not None and not context.is_disconnect
    if commit is not None and commit.sent and answered:
        commit.refused = True


def check(connection: Connection) -> None:
    """Make ready for the COMMIT that follows.

    If an outbox cannot record, the transaction is rolled back here: SQLAlchemy takes one whose COMMIT
    has failed for ended, and would go on in it.
    """
    try:
        prepare(connection)
    except BaseException:
        connection.dialect.do_rollback(connection.connection)
        raise
    send(connection)


def release(connection: Connection, name: str, *_: object) -> None:
    """Have outboxes record before a savepoint is released that is all that a session has."""
    commit = COMMITS.get(connection)
    if commit is None or commit.savepoint is None or commit.segment is None:
        return
    if connection.get_nested_transaction() is not commit.savepoint():
        return
    try:
        commit.segment.before_commit(connection)
    except BaseException:
        connection.dialect.do_rollback_to_savepoint(connection, name)  # as above
        raise


def prepare(connection: Connection, *_: object) -> None:
    """Find out whether the COMMIT that follows will roll back without an error; else record.

    PostgreSQL does that where a statement failed in the transaction, outside of a savepoint, and
    the error was caught. No other statement succeeds there, so one is tried.

    Raises:
        Exception: an outbox could not record; the COMMIT is not sent then.
    """
    commit = COMMITS.get(connection)
    if commit is not None and connection in FAILED:
        try:
            connection.execute(select(1))
        except Exception:  # noqa: BLE001 - SQLAlchemy's, or what a hook has made of it
            commit.refused = True
        else:
            FAILED.discard(connection)
    if commit is not None and commit.segment is not None and not commit.refused:
        commit.segment.before_commit(connection)


def send(connection: Connection, *_: object) -> None:
    """Note that a COMMIT follows."""
    commit = COMMITS.get(connection)
    if commit is not None:
        commit.sent = True
