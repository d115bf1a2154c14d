"""Outcomes of the transactions of a Django connection.

Django calls back after a commit. It says nothing of a rollback, which drops the callbacks; one that
raises costs those after it their turn; and there are callbacks in ``atomic()`` only. So the methods
by which Django itself ends transactions are watched, on each connection that is used::

    savepoint, savepoint_commit, savepoint_rollback     an inner atomic(), transaction.savepoint()
    commit, rollback, close                             the end
    set_autocommit                                      the connection can be used again

A database may also end a transaction by itself, of which Django knows nothing: SQLite after some errors,
MySQL in a deadlock, any by a COMMIT or ROLLBACK that is sent as a statement. So as long as something
was emitted, it is asked after each statement whether the transaction is still there.

An ``on_commit`` callback releases the effects in turn with the callbacks of others. There is at most
one for each savepoint, and as a released one shares the fate of the transaction, mostly one at all.

In a ``TestCase``, whose own transaction never commits, the outermost ``atomic()`` of the code under
test is the transaction, and its end the commit; ``captureOnCommitCallbacks`` calls what runs because
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import finalize, ref

import attrs

from airlock.integrations.django.callbacks import COMMITTED, captured
from airlock.integrations.django.database import (
    aborted,
    autocommits,
    committed_by,
    in_transaction,
    rolled_back_by,
)
from airlock.release import Fate, Segment

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["transactions_of"]

KEY = "_airlock_transactions"  # in the attributes of a connection
WATCHED = (
    "savepoint",
    "savepoint_commit",
    "savepoint_rollback",
    "commit",
    "rollback",
    "close",
    "set_autocommit",
)


def transactions_of(connection: BaseDatabaseWrapper) -> Transactions:
    """Return the transactions of a connection, which is watched from the first time on."""
    found: Transactions | None = vars(connection).get(KEY)
    if found is not None:
        return found
    made = Transactions(connection.savepoint_ids)
    for name in WATCHED:
        watch = partial(getattr(made, name), connection, getattr(connection, name))
        setattr(connection, name, watch)
    # The first is around all others, and a block of execute_wrapper() takes away the last.
    connection.execute_wrappers.insert(0, partial(made.executed, connection))
    setattr(connection, KEY, made)
    finalize(connection, made.lost).atexit = False
    return made


@attrs.define(eq=False)
class Level:
    """The transaction, or a savepoint in it that is open.

    Attributes:
        sid: Django's id of the savepoint; None for the transaction.
        segment: what stands for it, once something was emitted in it.
        calls_back: Django will call back after the commit, unless this is rolled back.
    """

    sid: str | None = None
    segment: Segment | None = None
    calls_back: bool = False


class Transactions:
    """The open transaction of a connection, and its savepoints.

    The methods named in ``WATCHED`` stand for those of the connection.

    Args:
        sids: of the savepoints that are open already.
    """

    def __init__(self, sids: list[str]) -> None:
        self._levels = [Level(), *(Level(sid) for sid in sids if sid is not None)]
        self._base = 0  # the level of the transaction; below it are those of a TestCase
        self._case: Any = None  # the outermost atomic() of the code under test
        self._manual = False  # Django leaves commits to the code
        self._begun = False  # something was emitted, and the database had begun it
        self._ended: list[Callable[[], None]] = []  # to be called
        self._committing = False  # steps run right before a commit

    def current(self, connection: BaseDatabaseWrapper) -> Segment | None:
        """Return the segment of the innermost savepoint or transaction; None in autocommit mode."""
        if connection.in_atomic_block:
            if connection.closed_in_transaction:
                return LOST
            blocks = connection.atomic_blocks
            if blocks and of_test_case(blocks[0]) and not self._under_test(connection):
                return COMMITTED if captured() else None
        elif autocommits(connection):
            return None
        level = self._levels[-1]
        if level.segment is not None and level.calls_back:
            return level.segment
        segment = self._segment(connection, len(self._levels) - 1)
        if not self._manual and not any(one.calls_back for one in self._levels[self._base :]):
            connection.on_commit(partial(self.called_back, connection))
        level.calls_back = True
        return segment

    def _segment(self, connection: BaseDatabaseWrapper, at: int) -> Segment:
        level = self._levels[at]
        if level.segment is None and at > self._base:
            level.segment = self._segment(connection, at - 1).nested()
        elif level.segment is None:
            self._manual = not (connection.in_atomic_block and connection.commit_on_exit)
            self._begun = in_transaction(connection)
            level.segment = Segment(begun=True) if self._case is None else UnderTest(connection)
        return level.segment

    # -- what Django does -------------------------------------------------------------------------

    def savepoint(self, _: object, create: Callable[[], str | None]) -> str | None:
        sid = create()
        if sid is not None:  # as it is in autocommit mode
            self._levels.append(Level(sid))
        return sid

    def savepoint_commit(
        self, connection: BaseDatabaseWrapper, commit: Callable[[str], None], sid: str
    ) -> None:
        at = self._position(sid)
        if at and at <= self._base:
            self._before_commit(connection, partial(self._undo, connection, commit, sid))
        commit(sid)
        if not in_transaction(connection):  # SQLite commits, where the savepoint was the outermost
            self._over(committed=True)
            at = self._position(sid)
        if not at:
            return
        if at <= self._base:
            self._end(committed=True)
        self._levels[at - 1].calls_back |= any(one.calls_back for one in self._levels[at:])
        del self._levels[at:]
        self._tell()

    def savepoint_rollback(self, _: object, roll_back: Callable[[str], None], sid: str) -> None:
        roll_back(sid)
        at = self._position(sid)  # 0 if it was opened unseen, and so before anything was emitted
        if at <= self._base:
            self._end(committed=False)
        elif (segment := self._levels[at].segment) is not None:
            segment.roll_back()
        if at:
            self._levels[at:] = [Level(sid)]  # it stays open
        self._tell()

    def commit(self, connection: BaseDatabaseWrapper, commit: Callable[[], None]) -> None:
        # One that is gone ended unseen, by the driver: how, nobody can tell.
        rolls_back = aborted(connection) or (self._begun and not in_transaction(connection))
        if not rolls_back:
            self._before_commit(connection, connection.rollback)
        try:
            commit()
        except Exception:
            if not in_transaction(connection):
                self._over(committed=False)
            raise
        self._over(committed=not rolls_back)

    def rollback(self, _: object, roll_back: Callable[[], None]) -> None:
        roll_back()
        self._over(committed=False)

    def close(self, connection: BaseDatabaseWrapper, close: Callable[[], None]) -> None:
        try:
            close()
        finally:
            # Django leaves a SQLite database in memory open.
            if connection.connection is None or connection.closed_in_transaction:
                self.lost()

    def set_autocommit(
        self, connection: BaseDatabaseWrapper, call: Callable[..., None], *args: Any, **options: Any
    ) -> None:
        """Note the end of an outermost ``atomic()``: in it, Django calls back."""
        if self._manual and (args or (options.get("autocommit"),))[0]:
            self._before_commit(connection, connection.rollback)
        try:
            call(*args, **options)
        except BaseException as error:  # of the callback of another
            self._autocommits(connection)
            self._tell(beside=error)
            raise
        self._autocommits(connection)
        self._tell()

    def _autocommits(self, connection: BaseDatabaseWrapper) -> None:
        if connection.autocommit:  # SQLite and MySQL commit then what is open
            self._over(committed=True)

    def executed(
        self, connection: BaseDatabaseWrapper, execute: Callable[..., Any], sql: Any, *rest: Any
    ) -> Any:
        """Note a statement, which may end the transaction although Django did not."""
        if self._levels[self._base].segment is not None:
            if in_transaction(connection):
                self._begun = True
            elif self._begun:
                self._end(committed=False)  # unseen, as in commit()
        if not self._begun:
            return execute(sql, *rest)
        try:
            result = execute(sql, *rest)
        except BaseException as error:
            if rolled_back_by(connection, error):
                self._end(committed=False)
            raise
        if not in_transaction(connection):
            self._end(committed=committed_by(rest[-1]["cursor"], sql))
        return result

    def called_back(self, connection: BaseDatabaseWrapper) -> None:
        """Django's callback. ``captureOnCommitCallbacks`` calls it at any time, in a ``TestCase``."""
        self.look(connection)
        if self._case is not None:
            self._end(committed=True)
        self._tell()

    def lost(self) -> None:
        """Note that the connection was closed, or dropped."""
        self._over(committed=False)
        self._tell()

    # -- before a commit --------------------------------------------------------------------------

    def _before_commit(
        self, connection: BaseDatabaseWrapper, roll_back: Callable[[], object]
    ) -> None:
        """Run the steps of the transaction that is about to be committed; roll back if one raises.

        Django rolls back after errors of the database only, and would commit after others.
        """
        segment = self._levels[self._base].segment
        if segment is None:
            return
        self._committing = True
        try:
            segment.before_commit(connection)
        except BaseException:
            roll_back()
            raise
        finally:
            self._committing = False

    def _undo(
        self, connection: BaseDatabaseWrapper, release: Callable[[str], None], sid: str
    ) -> None:
        """Roll back and release the savepoint that stands for the ``atomic()`` under test."""
        connection.savepoint_rollback(sid)
        release(sid)
        del self._levels[self._position(sid) :]

    # -- what comes of it -------------------------------------------------------------------------

    def _over(self, *, committed: bool) -> None:
        """Note that the transaction of the database is over, and no savepoint is left."""
        self._end(committed=committed)
        self._levels = [Level()]
        if self._manual:  # else Django is in the midst of it
            self._tell()

    def _end(self, *, committed: bool) -> None:
        """Decide about what was emitted so far."""
        base = self._levels[self._base]
        if base.segment is not None:
            self._ended.append(base.segment.commit if committed else base.segment.roll_back)
        if base.sid is None and self._base:  # no savepoint stood for the atomic() under test
            del self._levels[self._base]
        for level in self._levels:
            level.segment, level.calls_back = None, False
        self._base, self._case, self._begun = 0, None, False

    def _tell(self, *, beside: BaseException | None = None) -> None:
        """Tell segments of their end, which sets flushes off, whose handlers use the connection."""
        failures = list[Exception]()
        while self._ended:
            try:
                self._ended.pop(0)()
            except Exception as failure:  # noqa: BLE001 - the others are not to blame
                failures.append(failure)
        if beside is not None:
            for one in failures:
                beside.add_note(f"effects released by the commit failed as well: {one!r}")
        elif len(failures) == 1:
            raise failures[0]
        elif failures:
            raise ExceptionGroup("flushes after several commits failed", failures)

    def _position(self, sid: str) -> int:
        """Of a savepoint in the levels; 0 for an unknown one."""
        for at in range(len(self._levels) - 1, 0, -1):
            if self._levels[at].sid == sid:
                return at
        return 0

    # -- in a TestCase ----------------------------------------------------------------------------

    def _under_test(self, connection: BaseDatabaseWrapper) -> bool:
        """Return True if the code under test is in an ``atomic()`` of its own."""
        self.look(connection)
        blocks = connection.atomic_blocks
        own = [block for block in blocks if not of_test_case(block)]
        if own and self._case is None:
            self._case = own[0]
            sids: list[str | None] = [*connection.savepoint_ids[len(blocks) - len(own) - 1 :]]
            found = [at for at, level in enumerate(self._levels) if at and level.sid in sids]
            self._base = found[0] if found else len(self._levels)
            if not found:  # atomic(savepoint=False), or a savepoint that the database has lost
                self._levels.insert(self._base, Level(sids[0]))
        return bool(own)

    def look(self, connection: BaseDatabaseWrapper) -> None:
        """See whether the ``atomic()`` under test is over: without a savepoint, nothing tells."""
        if self._committing:
            return
        if self._case is not None and self._case not in connection.atomic_blocks:
            if not connection.needs_rollback:
                self._before_commit(connection, partial(self._end, committed=False))
            self._end(committed=not connection.needs_rollback)
            self._tell()


def of_test_case(block: Any) -> bool:
    """Return True if a ``TestCase`` put this ``atomic()`` around its tests."""
    return bool(block._from_testcase)  # noqa: SLF001 - what durable=True looks at in Django, too


class UnderTest(Segment):
    """The transaction of code under test, in that of a ``TestCase``."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(begun=True)
        self._connection = ref(connection)

    @property
    def fate(self) -> Fate:
        connection = self._connection()
        if connection is not None:
            transactions_of(connection).look(connection)
        return super().fate


LOST = Segment(begun=True)
"""Segment of an ``atomic()`` in which the connection was closed: nothing will be committed."""
LOST.roll_back()
