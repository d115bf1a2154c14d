"""The transactions of a session, as segments.

A session says what became of them in events. They are put together here::

    after_transaction_create   a transaction, a savepoint, or the inside of a flush
    after_commit               a commit, or a savepoint that was released
    after_rollback             a rollback, of the transaction or a savepoint
    after_transaction_end      it is over; after neither of both where the session was closed

Segments are told at the end only: before that the session cannot be used, and handlers may want to.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary, finalize, ref

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import (
    ORMExecuteState,
    Session,
    SessionTransaction,
    SessionTransactionOrigin,
)

from airlock.integrations.sqlalchemy.commits import ABORTED, FAILED, watch
from airlock.release import Fate, Segment

__all__ = ["Transactions", "transactions_of"]

KEY = "airlock.transactions"  # in session.info


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
