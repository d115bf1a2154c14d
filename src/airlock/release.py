"""Release: WHEN a scope's intents may escape; here, with a transaction.

A scope without a release flushes when its block ends. With one, **the transaction decides**: what
was emitted in it is kept if it commits and discarded if it is rolled back, whatever exceptions
were raised or caught meanwhile. Where no transaction decides, as none begins, or it wrote nothing
and is merely closed, the block does. An integration implements ``Release`` for its transactions and
reports to ``Segment`` objects what became of them.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, get_args
from weakref import WeakSet

from airlock.errors import DeclarationError

__all__ = ["Fate", "OnFlushError", "Release", "Segment", "ambient"]

OnFlushError = Literal["report", "raise"]


def check_on_flush_error(where: str, value: object) -> None:
    """Refuse what is not an ``OnFlushError``.

    Raises:
        DeclarationError: naming ``where`` it was given.
    """
    if value not in get_args(OnFlushError):
        raise DeclarationError(f"{where}(on_flush_error={value!r}): 'report' or 'raise'.")


class Fate(enum.Enum):
    """The outcome of a segment."""

    WAITING = "no transaction has begun"
    OPEN = "its transaction is open"
    COMMITTED = "its transaction was committed"
    ROLLED_BACK = "its transaction or savepoint was rolled back"
    CLOSED = "its transaction wrote nothing, and was closed"
    IN_DOUBT = "its commit was interrupted, and nobody knows whether it was carried out"
    JOINED = "its commit was left to a transaction around it that was still open"


Step = Callable[["Segment", object], None]
"""What is done inside a transaction before its COMMIT: called with its segment and connection."""

UNDECIDED = (Fate.IN_DOUBT, Fate.JOINED)
"""Fates after which nobody knows whether what was emitted may escape."""


class Segment:
    """A stretch of work that is kept or discarded as a whole: a transaction, or a savepoint in one.

    ::

        WAITING ──begin()──► OPEN ──commit()──► COMMITTED
                              ├──roll_back()──► ROLLED_BACK
                              ├──close()──► ROLLED_BACK, or CLOSED if it wrote nothing
                              └──in_doubt()──► IN_DOUBT

    A savepoint is a ``nested()`` segment: rolled back by itself, or sharing the fate of the
    segment around it. (Releasing a savepoint decides nothing; only its transaction does.)

    Attributes:
        wrote: something may have been written in the transaction. A release that knows better sets
            it to False when the transaction begins, and to True with the first write.
    """

    def __init__(self, *, begun: bool = False, parent: Segment | None = None) -> None:
        self.parent = parent
        self.wrote = True
        self._root: Segment | None = None if parent is None else parent.transaction
        # Savepoints in it that may be rolled back with it: those that hold something are alive.
        self._inside: WeakSet[Segment] | None = None
        self._fate = Fate.OPEN if begun or parent is not None else Fate.WAITING
        self._when_ended: list[Callable[[], None]] = []
        self._steps: dict[Step, None] | None = None
        self._lock = threading.Lock()
        if parent is not None:
            parent._adopt(self)  # noqa: SLF001 - one of its own kind

    def _adopt(self, inner: Segment) -> None:
        if self._inside is None:
            self._inside = WeakSet()
        self._inside.add(inner)
        if self._fate is Fate.ROLLED_BACK:
            inner.roll_back()

    @property
    def fate(self) -> Fate:
        """The fate of this segment, or that of the segment around it."""
        # In one step: savepoints may be thousands deep, and this is asked for each of them.
        if self._root is None or self._fate is Fate.ROLLED_BACK:
            return self._fate
        return self._root.fate

    @property
    def transaction(self) -> Segment:
        """The outermost segment around it."""
        return self if self._root is None else self._root

    def nested(self) -> Segment:
        """Return a savepoint in this segment."""
        return Segment(parent=self)

    def around(self) -> Iterator[Segment]:
        """Yield this segment and those around it, outwards."""
        segment: Segment | None = self
        while segment is not None:
            yield segment
            segment = segment.parent

    def begin(self) -> None:
        """Note that the transaction that this segment waited for has begun."""
        if self._fate is Fate.WAITING:
            self._fate = Fate.OPEN

    def commit(self) -> None:
        """Note that the transaction was committed: what was emitted in it may escape."""
        self._end(Fate.COMMITTED)

    def roll_back(self) -> None:
        """Note that the transaction or savepoint was rolled back: its intents are discarded."""
        inside = [*(self._inside or ())]
        while inside:
            segment = inside.pop()
            inside += segment._inside or ()  # noqa: SLF001 - as above
            segment._fate = Fate.ROLLED_BACK  # noqa: SLF001 - as above
        self._end(Fate.ROLLED_BACK)

    def close(self) -> None:
        """End the transaction without a commit or a rollback: the block decides if nothing was written."""
        if self.wrote:
            self.roll_back()
        else:
            self._end(Fate.CLOSED)

    def in_doubt(self) -> None:
        """Note that the commit was interrupted: intents stay pending, for somebody to decide."""
        self._end(Fate.IN_DOUBT)

    def enlist(self, step: Step) -> None:
        """Have a step run inside the transaction, right before its COMMIT; once, if it is given again."""
        root = self.transaction
        if root._steps is None:  # noqa: SLF001 - one of its own kind
            root._steps = {}  # noqa: SLF001 - as above
        root._steps[step] = None  # noqa: SLF001 - as above

    @property
    def has_steps(self) -> bool:
        """True if something is to be done inside the transaction, right before its COMMIT."""
        return bool(self.transaction._steps)  # noqa: SLF001 - one of its own kind

    def before_commit(self, connection: object) -> None:
        """Run the steps of the transaction: called by a release right before each COMMIT, inside of it.

        Args:
            connection: the native connection, on which the steps may write.

        Raises:
            Exception: what a step raised. The COMMIT must not happen: the release rolls back.
        """
        root = self.transaction
        for step in [*(root._steps or ())]:  # noqa: SLF001 - one of its own kind
            root.wrote = True
            step(root, connection)

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call back once, after the commit or the rollback; at once if that has happened."""
        with self._lock:
            waits = self._fate in (Fate.WAITING, Fate.OPEN)
            if waits:
                self._when_ended.append(callback)
        if not waits:
            callback()

    def _end(self, fate: Fate) -> None:
        with self._lock:
            self._fate = fate
            callbacks, self._when_ended = self._when_ended, []
        errors = list[BaseException]()
        for callback in callbacks:
            try:
                callback()
            except BaseException as raised:  # noqa: BLE001 - raised below: the next scope is not to blame
                errors.append(raised)
        for error in errors:
            if len(errors) == 1 or not isinstance(error, Exception):
                raise error
        if errors:
            raise BaseExceptionGroup("flushes after a commit failed", errors)


class Release(Protocol):
    """The rule for when the intents of a scope may escape: ``boundary.scope(release=...)``."""

    @property
    def on_flush_error(self) -> OnFlushError:
        """The action on an error of a flush that a commit triggered.

        The commit cannot be undone by then. ``"report"`` stores it in the scope's report and logs
        it; ``"raise"`` raises it from the commit.
        """
        ...

    def segment(self) -> Segment | None:
        """Return the innermost transaction or savepoint that is open now.

        Where none is open, a segment that waits for the next one to begin; or None, where each
        statement commits by itself: then the block decides, as it does if none begins. Called at
        each emission; the same object as long as nothing begins or ends.

        One that has a method ``identity()`` can record in an outbox: it returns the database whose
        transactions decide, as ``Recorder.identity`` does, and calls ``Segment.before_commit``
        right before each COMMIT.
        """
        ...


ambient: list[Callable[[], Release | None]] = []
"""Make the release of a recording, for what is emitted in no scope of the code under test: that of the
scopes which the code has in production. Integrations that know it append theirs; the last one decides."""
