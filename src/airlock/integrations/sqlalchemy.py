"""A release for SQLAlchemy 2: ``Session`` and ``AsyncSession``.

A session says what became of its transactions in events. They are put together here::

    after_transaction_create   a transaction, a savepoint, or the inside of a flush
    after_commit               a commit, or a savepoint that was released
    after_rollback             a rollback, of the transaction or a savepoint
    after_transaction_end      it is over; after neither of both where the session was closed

Segments are told at the end only: before that the session cannot be used, and handlers may want to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet, finalize, ref

import attrs

from airlock.errors import MissingExtraError, ReleaseError
from airlock.release import Fate, OnFlushError, Release, Segment, check_on_flush_error

try:
    from sqlalchemy import event, select
    from sqlalchemy.engine import Connection, ExceptionContext
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.orm import (
        ORMExecuteState,
        Session,
        SessionTransaction,
        SessionTransactionOrigin,
        scoped_session,
    )
    from sqlalchemy.util import ScopedRegistry
except ImportError:
    raise MissingExtraError(__name__, "SQLAlchemy 2", "sqlalchemy") from None

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

__all__ = ["on_commit"]

KEY = "airlock.transactions"  # in session.info


def on_commit(
    session: Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any],
    *,
    on_flush_error: OnFlushError = "report",
) -> Release:
    """Deliver what a scope emits when the session's transaction commits.

    What was emitted in a transaction or savepoint that is rolled back is thrown away; closing the
    session, or dropping it, rolls back too. What was emitted before a transaction begins belongs to
    the next one.

    Args:
        session: the one whose transactions decide; of a ``scoped_session``, the current one.
        on_flush_error: what to do with an error of a flush that a commit set off, which cannot be
            undone by then: ``"report"`` logs it, ``"raise"`` raises it from the commit. It is in
            the scope's report either way.

    Returns:
        A release for ``boundary.scope(release=...)``.

    Raises:
        ReleaseError: it is no session, or one whose commits commit nothing.
        DeclarationError: ``on_flush_error`` is something else.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import Session
        >>> from airlock.integrations.sqlalchemy import on_commit
        >>> with Session(create_engine("sqlite://")) as session:
        ...     with boundary.scope(release=on_commit(session)) as effects:
        ...         effects.emit(NotifyWarehouse(42))
        ...         savepoint = session.begin_nested()
        ...         effects.emit(NotifyWarehouse(43))
        ...         savepoint.rollback()
        ...         session.commit()
        >>> effects.report
        <Report: 1 delivered, 1 discarded>
    """
    check_on_flush_error("on_commit", on_flush_error)
    return OnCommit(transactions_of(sync_session_of(session)), on_flush_error)


def sync_session_of(given: object) -> Session:
    """The ``Session`` that a session of any kind stands for."""
    registry = getattr(given, "registry", None)
    current = registry() if isinstance(registry, ScopedRegistry) else given
    session = getattr(current, "sync_session", current)  # asyncio is imported by who uses it
    if not isinstance(session, Session):
        kind = f"{type(given).__module__}.{type(given).__qualname__}"
        raise ReleaseError(
            "on_commit()",
            f"was given a {kind}, and only sessions tell when a commit has succeeded",
            "Give it a Session, an AsyncSession or a scoped one. For a Core connection make a "
            "session of it: Session(connection), and commit that.",
        )
    if not session.in_transaction() and joins(session):
        raise ReleaseError(
            "on_commit()",
            "was given a session that joins the open transaction of its connection, and commits "
            f"nothing (join_transaction_mode={session.join_transaction_mode!r})",
            'In a test, use Session(..., join_transaction_mode="create_savepoint"). Elsewhere, let '
            "the session begin the transaction.",
        )
    return session


def joins(session: Session) -> bool:
    """Whether ``session.commit()`` will leave the commit to whoever began the transaction."""
    bind, mode = session.bind, session.join_transaction_mode
    if not isinstance(bind, Connection) or not bind.in_transaction():
        return False
    if mode == "conditional_savepoint":
        return not bind.in_nested_transaction()
    return mode == "rollback_only"


@attrs.frozen(eq=False)
class OnCommit:
    """The ``Release`` of a session. It does not keep the session alive."""

    transactions: Transactions
    on_flush_error: OnFlushError

    def segment(self) -> Segment:
        return self.transactions.current()


class Transaction(Segment):
    """A session's transaction, which may also end without being told to commit or roll back."""

    def strand(self) -> None:
        """It is over, and nothing will ever commit or roll back what was emitted in it."""
        self._end(Fate.WAITING)


def transactions_of(session: Session) -> Transactions:
    """The transactions of a session, which is listened to from the first time on."""
    found = session.info.get(KEY)
    if isinstance(found, Transactions) and found.session() is session:
        return found
    made = session.info[KEY] = Transactions(session)
    for name in EVENTS:
        event.listen(session, name, getattr(made, name))
    finalize(session, made.lose).atexit = False
    return made


class Transactions:
    """The open transaction of a session and its savepoints, as segments. Its methods are events.

    Args:
        session: whose they are; it is not kept alive.
    """

    def __init__(self, session: Session) -> None:
        self.session = ref(session)
        self._root = Transaction()
        # The transaction, then its savepoints. They are not kept alive: they know the session.
        self._open: list[tuple[ref[SessionTransaction], Segment]] = []
        self._outcome: Fate | None = None  # of the innermost
        # Of the transaction, and whether it is no more than a savepoint there.
        self._connections: WeakKeyDictionary[Connection, bool] = WeakKeyDictionary()
        self._committed = False  # the last one was
        self._idle = False
        begun = [*boundaries(session.get_nested_transaction() or session.get_transaction())]
        for transaction in reversed(begun):
            self.after_transaction_create(session, transaction)
        for connection in connections(begun[-1]) if begun else ():
            self.after_begin(session, begun[-1], connection)
            FAILED.add(connection)  # for all that is known

    def current(self) -> Segment:
        """The segment of the innermost savepoint or transaction, or one that waits for the next."""
        session = self.session() if self._idle else None
        if session is not None and (session.new or session.dirty or session.deleted):
            self._idle = False
        return self._open[-1][1] if self._open else self._root

    def after_transaction_create(self, _: Session, transaction: SessionTransaction) -> None:
        if transaction.nested or transaction.parent is None:
            self.lose(*boundaries(transaction.parent))
        if transaction.nested:
            self._open.append((ref(transaction), self._open[-1][1].nested()))
        elif transaction.parent is None:
            self._open.append((ref(transaction), self._root))
            self._root.begin()
            # A read after the commit is enough to begin one, and nobody will end that.
            by_itself = transaction.origin is SessionTransactionOrigin.AUTOBEGIN
            self._idle = self._committed and by_itself

    def after_begin(
        self, _: Session, transaction: SessionTransaction, connection: Connection
    ) -> None:
        if transaction.parent is None:
            watch(connection)
            self._connections[connection] = connection.in_nested_transaction()

    def after_flush(self, *_: object) -> None:
        self._idle = False

    def do_orm_execute(self, state: ORMExecuteState) -> None:
        if not state.is_select:
            self._idle = self._committed = False  # the transaction may only begin now

    def before_commit(self, _: Session) -> None:
        self._idle = False

    def after_commit(self, session: Session) -> None:
        released = session.get_nested_transaction() is not None
        self._outcome = Fate.COMMITTED if released else self._fate()

    def after_rollback(self, _: Session) -> None:
        self._outcome = Fate.ROLLED_BACK

    def after_transaction_end(self, _: Session, transaction: SessionTransaction) -> None:
        for at, (known, _segment) in enumerate(self._open):
            if known() is transaction:
                outcome, self._outcome = self._outcome, None
                self._end(at, outcome)
                return

    def lose(self, *alive: SessionTransaction) -> None:
        """End what is over and was not told of: the session was dropped, or failed to close it."""
        for at, (known, _segment) in enumerate(self._open):
            if known() not in alive:
                self._end(at, None)
                return

    def _fate(self) -> Fate:
        """What a commit of the session did, as it may not have committed anything."""
        if not ABORTED.isdisjoint(self._connections):
            return Fate.ROLLED_BACK
        joined = any(c.in_transaction() for c, nested in self._connections.items() if not nested)
        return Fate.WAITING if joined else Fate.COMMITTED

    def _end(self, at: int, outcome: Fate | None) -> None:
        """Tell of the end of a savepoint, with those in it, or of the transaction."""
        _, segment = self._open[at]
        del self._open[at:]
        if not at:
            self._end_transaction(outcome)
        elif outcome is not Fate.COMMITTED:
            segment.roll_back()

    def _end_transaction(self, outcome: Fate | None) -> None:
        # The next one is in place before the end of this one is told: handlers may begin it.
        ended, self._root = self._root, Transaction()
        self._committed = outcome is Fate.COMMITTED
        self._connections.clear()
        if outcome is Fate.COMMITTED:
            ended.commit()
        elif outcome is Fate.WAITING or (outcome is None and self._idle):
            ended.strand()
        else:
            ended.roll_back()


EVENTS = (
    "after_transaction_create",
    "after_begin",
    "after_flush",
    "do_orm_execute",
    "before_commit",
    "after_commit",
    "after_rollback",
    "after_transaction_end",
)


def boundaries(transaction: SessionTransaction | None) -> Iterator[SessionTransaction]:
    """A transaction and those around it, outwards, without the insides of flushes."""
    while transaction is not None:
        if transaction.nested or transaction.parent is None:
            yield transaction
        transaction = transaction.parent


def connections(transaction: SessionTransaction) -> set[Connection]:
    """The connections that a transaction has used so far."""
    if hasattr(transaction, "connections"):
        return {*transaction.connections}
    used = transaction._connections  # noqa: SLF001 - all there is before SQLAlchemy 2.1.7
    return {connection for connection, *_ in used.values()}


# -- a COMMIT that is none ------------------------------------------------------------------------

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
