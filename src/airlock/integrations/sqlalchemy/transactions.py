"""The transactions of a session, as segments.

A session reports what became of them in events. They are put together here::

    after_transaction_create   a transaction, a savepoint, or the inside of a flush
    after_commit               a commit, or a savepoint that was released
    after_rollback             a rollback, of the transaction or a savepoint
    after_transaction_end      it is over; after neither of both where the session was closed

Of one that was merely closed, the block decides if it wrote nothing: no statement but reads, and no
object that was added, changed or deleted, and is lost with the session.

Segments end at the end only: before that the session cannot be used, and handlers may want to.
Where the session cannot finish closing, there is no end; then it is over once the session is in
another transaction, or in none.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from weakref import finalize, ref

import attrs
from sqlalchemy import event, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction

from airlock.integrations.sqlalchemy.commits import Commit, distrust, watch
from airlock.integrations.sqlalchemy.identities import identity_of
from airlock.release import Fate, Segment

__all__ = ["Transactions", "transactions_of"]

log = logging.getLogger("airlock")

KEY = "airlock.transactions"  # in session.info


class Transaction(Segment):
    """A session's transaction.

    Args:
        session: its transactions, to be asked whether it is over.
    """

    def __init__(self, session: Transactions) -> None:
        super().__init__()
        self._session = ref(session)
        self.used = False  # something was emitted in it

    @property
    def fate(self) -> Fate:
        """The fate of this transaction; found now, if the session could not finish closing it."""
        session = self._session() if self._fate is Fate.OPEN else None
        if session is not None:
            session.follow()
        return self._fate

    def join(self) -> None:
        """End it: its commit was left to whoever began the transaction of its connection."""
        self._end(Fate.JOINED)

    def in_doubt(self) -> None:
        """Mark the transaction as in doubt: its interrupted COMMIT may have been carried out."""
        if self.used:
            log.error(
                "the COMMIT of a SQLAlchemy session was interrupted, and nobody knows whether the "
                "database has carried it out. What was emitted in the transaction is not "
                "delivered: the error of the scope names it. Look whether its rows are there."
            )
        super().in_doubt()


@attrs.define(eq=False)
class Level:
    """A transaction or savepoint that is open."""

    transaction: ref[SessionTransaction]  # not kept alive: it knows the session
    segment: Segment
    outcome: Fate | None = None  # as the session has reported it; it is still closing


def transactions_of(session: Session) -> Transactions:
    """Return the transactions of a session, listening to the session from the first call on."""
    found = known(session)
    if found is not None:
        return found
    made = session.info[KEY] = Transactions(session)
    for name in EVENTS:
        event.listen(session, name, getattr(made, name))
    finalize(session, made.follow).atexit = False
    return made


def known(session: Session) -> Transactions | None:
    """Return the transactions of a session that is listened to."""
    found = session.info.get(KEY)
    return found if isinstance(found, Transactions) and found.session() is session else None


@event.listens_for(Session, "after_commit", insert=True)
def after_commit(session: Session) -> None:
    """Note the commit of any session: an event of the class runs before hooks that may raise."""
    found = known(session)
    if found is not None:
        found.after_commit(session)


class Transactions:
    """The open transaction of a session and its savepoints, as segments. Its methods are events.

    Args:
        session: whose they are; it is not kept alive.
    """

    def __init__(self, session: Session) -> None:
        self.session = ref(session)
        self._root = Transaction(self)
        self._open: list[Level] = []  # the transaction, then its savepoints
        self._commits: list[Commit] = []  # of the transaction, on each connection
        self.follow()
        root = session.get_transaction()
        for connection in connections(root) if root else ():
            self._commits.append(watch(connection, self._recording(connection)))
            distrust(self._commits[-1], connection)
        if self._commits and all(commit.over for commit in self._commits):
            self.after_commit(session)  # a hook of that is where it is first listened to

    def current(self) -> Segment:
        """Return the segment of the innermost savepoint or transaction, or a waiting one."""
        session = self.session()
        if session is not None:
            if session.in_transaction() is not bool(self._open):
                self.follow()
            self._look(session)
        self._root.used = True
        return self._open[-1].segment if self._open else self._root

    def identity(self) -> Hashable | None:
        """Return the database that the session is bound to; None if it has none, or autocommits."""
        session = self.session()
        bind = None if session is None else session.bind
        return None if bind is None else identity_of(bind)

    def _recording(self, connection: Connection) -> Segment | None:
        """Return the segment of the transaction, if a connection is that of the session's own bind."""
        session = self.session()
        bind = None if session is None else session.bind
        return self._root if bind is not None and bind.engine is connection.engine else None

    def follow(self) -> None:
        """Catch up with events that were missed, as a hook failed or the session was dropped."""
        session = self.session()
        innermost = None if session is None else innermost_of(session)
        self._follow(innermost)
        if session is not None:
            self._look(session)

    def _look(self, session: Session) -> None:
        """Note whether the open transaction wrote, or is going to."""
        if self._open and not self._wrote():
            self._root.wrote = bool(session.new or session.dirty or session.deleted)

    def _wrote(self) -> bool:
        if not self._root.wrote:
            self._root.wrote = any(commit.wrote for commit in self._commits)
        return self._root.wrote

    def after_transaction_create(self, _: Session, transaction: SessionTransaction) -> None:
        if transaction.nested or transaction.parent is None:
            self._follow(transaction)

    def after_begin(
        self, _: Session, transaction: SessionTransaction, connection: Connection
    ) -> None:
        if transaction.parent is None:
            self._commits.append(watch(connection, self._recording(connection)))

    def before_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            self._root.wrote = True  # if the commit fails, there was something to commit
            if self._root.has_steps and not self._commits:
                session.connection()  # without a statement there is no transaction to write in

    def pending_to_transient(self, *_: object) -> None:
        self._root.wrote = True

    def persistent_to_detached(self, _: Session, instance: object) -> None:
        if inspect(instance, raiseerr=True).modified:
            self._root.wrote = True

    def after_commit(self, session: Session) -> None:
        released = session.get_nested_transaction() is not None
        self._tell(session, Fate.COMMITTED if released else self._fate())

    def after_rollback(self, session: Session) -> None:
        self._tell(session, Fate.ROLLED_BACK)

    def after_transaction_end(self, _: Session, transaction: SessionTransaction) -> None:
        for at, level in enumerate(self._open):
            if level.transaction() is transaction:
                self._end(at)
                return

    def _follow(self, innermost: SessionTransaction | None) -> None:
        around = [*boundaries(innermost)]
        alive = set(around)
        for at, level in enumerate(self._open):
            if level.transaction() not in alive:
                self._lose(at)
                break
        for transaction in reversed(around[: len(around) - len(self._open)]):
            self._begin(transaction)

    def _begin(self, transaction: SessionTransaction) -> None:
        if self._open:
            self._open.append(Level(ref(transaction), self._open[-1].segment.nested()))
            return
        self._open.append(Level(ref(transaction), self._root))
        self._root.begin()
        self._root.wrote = False

    def _tell(self, session: Session, outcome: Fate) -> None:
        innermost = innermost_of(session)
        for level in reversed(self._open):
            if level.transaction() is innermost:
                level.outcome = outcome
                return

    def _fate(self) -> Fate:
        """Return what a commit of the session did, as it may not have committed anything."""
        if any(commit.refused for commit in self._commits):
            return Fate.ROLLED_BACK
        joined = any(commit.joined for commit in self._commits)
        return Fate.JOINED if joined else Fate.COMMITTED

    def _lose(self, at: int) -> None:
        """End what was not ended. Whoever notices it has nothing to do with what fails now."""
        try:
            self._end(at)
        except Exception:
            log.exception("effects of a transaction that was not closed failed")

    def _end(self, at: int) -> None:
        """End a savepoint, with those in it, or the transaction."""
        level = self._open[at]
        del self._open[at:]
        if not at:
            self._end_transaction(level.outcome)
        elif level.outcome is Fate.ROLLED_BACK or (level.outcome is None and self._wrote()):
            level.segment.roll_back()

    def _end_transaction(self, outcome: Fate | None) -> None:
        self._wrote()
        # The next one is in place before the end of this one is reported: handlers may begin it.
        ended, self._root = self._root, Transaction(self)
        # A rollback that is reported after a commit only means that the session has given up.
        committed = outcome in (Fate.COMMITTED, Fate.JOINED)
        refused = any(commit.refused for commit in self._commits)
        in_doubt = not committed and not refused and any(c.interrupted for c in self._commits)
        self._commits.clear()
        if outcome is Fate.COMMITTED:
            ended.commit()
        elif in_doubt:
            ended.in_doubt()
        elif outcome is Fate.JOINED:
            ended.join()
        elif outcome is None:
            ended.close()
        else:
            ended.roll_back()


EVENTS = (
    "after_transaction_create",
    "after_begin",
    "before_commit",
    "pending_to_transient",
    "persistent_to_detached",
    "after_rollback",
    "after_transaction_end",
)


def innermost_of(session: Session) -> SessionTransaction | None:
    """Return the savepoint or transaction that a session is in."""
    return session.get_nested_transaction() or session.get_transaction()


def boundaries(transaction: SessionTransaction | None) -> Iterator[SessionTransaction]:
    """Yield a transaction and those around it, outwards, without the insides of flushes."""
    while transaction is not None:
        if transaction.nested or transaction.parent is None:
            yield transaction
        transaction = transaction.parent


def connections(transaction: SessionTransaction) -> set[Connection]:
    """Return the connections that a transaction has used so far."""
    if hasattr(transaction, "connections"):
        return {*transaction.connections}
    used = transaction._connections  # noqa: SLF001 - all there is before SQLAlchemy 2.1.7
    return {connection for connection, *_ in used.values()}
