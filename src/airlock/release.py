"""Release: WHEN a scope's intents may escape; here, with a transaction.

A scope without a release flushes when its block ends. With one, **the transaction decides**: what
was emitted in it is kept if it commits and thrown away if it is rolled back, whatever exceptions
were raised or caught meanwhile. Where no transaction decides, as none begins, or it wrote nothing
and is merely closed, the block does. An integration implements ``Release`` for its transactions and
reports to ``Segment`` objects what became of them.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, Protocol, get_args
from weakref import WeakSet

import attrs

from airlock.effects.place import shown
from airlock.effects.region import Region
from airlock.effects.wave import SEALED
from airlock.errors import DeclarationError, ReleaseError

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
    """What became of a segment."""

    WAITING = "no transaction has begun"
    OPEN = "its transaction is open"
    COMMITTED = "its transaction was committed"
    ROLLED_BACK = "its transaction or savepoint was rolled back"
    CLOSED = "its transaction wrote nothing, and was closed"
    UNKNOWN = "its commit was interrupted, and nobody knows whether it was carried out"
    JOINED = "its commit was left to a transaction around it that was still open"


UNDECIDED = (Fate.UNKNOWN, Fate.JOINED)
"""Nobody knows whether what was emitted may escape."""


class Segment:
    """A stretch of work that is kept or unsaid as a whole: a transaction, or a savepoint in one.

    ::

        WAITING ──begin()──► OPEN ──commit()──► COMMITTED
                              ├──roll_back()──► ROLLED_BACK
                              ├──close()──► ROLLED_BACK, or CLOSED if it wrote nothing
                              └──doubt()──► UNKNOWN

    A savepoint is a ``nested()`` segment: rolled back by itself, or sharing the fate of the
    segment around it. (Releasing a savepoint says nothing; only its transaction does.)

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
        """Its own, or that of the segment around it."""
        # In one step: savepoints may be thousands deep, and this is asked for each of them.
        if self._root is None or self._fate is Fate.ROLLED_BACK:
            return self._fate
        return self._root.fate

    @property
    def transaction(self) -> Segment:
        """The outermost segment around it."""
        return self if self._root is None else self._root

    def nested(self) -> Segment:
        """A savepoint in it."""
        return Segment(parent=self)

    def around(self) -> Iterator[Segment]:
        """It, and the segments around it, outwards."""
        segment: Segment | None = self
        while segment is not None:
            yield segment
            segment = segment.parent

    def begin(self) -> None:
        """The transaction that it waited for has begun."""
        if self._fate is Fate.WAITING:
            self._fate = Fate.OPEN

    def commit(self) -> None:
        """The transaction was committed: what was emitted in it may escape."""
        self._end(Fate.COMMITTED)

    def roll_back(self) -> None:
        """The transaction or savepoint was rolled back: what was emitted in it is thrown away."""
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

    def doubt(self) -> None:
        """Its commit was interrupted: what was emitted in it is pending, for somebody to decide."""
        self._end(Fate.UNKNOWN)

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
    """When the intents of a scope may escape. Passed as ``boundary.scope(release=...)``."""

    @property
    def on_flush_error(self) -> OnFlushError:
        """What to do with an error of a flush that a commit set off.

        The commit cannot be undone by then. ``"report"`` stores it in the scope's report and logs
        it; ``"raise"`` raises it from the commit.
        """
        ...

    def segment(self) -> Segment | None:
        """The innermost transaction or savepoint that is open now.

        Where none is open, a segment that waits for the next one to begin; or None, where each
        statement commits by itself: then the block decides, as it does if none begins. Called at
        each emission; the same object as long as nothing begins or ends.
        """
        ...


ambient: list[Callable[[], Release | None]] = []
"""Make the release of a recording, for what is emitted in no scope of the code under test: that of the
scopes which the code has in production. Integrations that know it append theirs; the last one decides."""


# -- what a scope reads off the segments of its intents -------------------------------------------


@attrs.frozen(eq=False, repr=False)
class Thrown:
    """Stands for a segment in a block that failed: only a commit keeps what was emitted in it.

    Args:
        reason: what decided against the block.
        segment: of the transaction that was open; None if none was.
    """

    reason: object
    segment: Segment | None = None


def against(stamp: object) -> object:
    """Return what decided against a segment; None if its intents are kept so far."""
    fate = fate_of(stamp)
    if isinstance(stamp, Thrown) and fate in (None, Fate.CLOSED):
        return stamp.reason
    if fate is not None:
        return "rollback" if fate is Fate.ROLLED_BACK else None
    return None if stamp is SEALED else stamp  # the reason, once the attempt of a handler has ended


def stranding(stamp: object) -> object:
    """Return what ``against`` does, or the fate of a segment that nobody has decided about."""
    fate = fate_of(stamp)
    return fate if fate in UNDECIDED else against(stamp)


def stranded_only(stamp: object) -> object:
    """Return a reason against all segments but those that nobody has decided about."""
    return None if fate_of(stamp) in UNDECIDED else "other"


def fate_of(stamp: object) -> Fate | None:
    """Return the fate of the segment that a region has noted; None if it has noted none."""
    segment = segment_of(stamp)
    return None if segment is None else segment.fate


def has_fate(fate: Fate, stamp: object) -> bool:
    """Return True if that is the fate of the segment that a region has noted."""
    return fate_of(stamp) is fate


def segment_of(stamp: object) -> Segment | None:
    """Return the segment that a region has noted; None if it has noted none."""
    segment = stamp.segment if isinstance(stamp, Thrown) else stamp
    return segment if isinstance(segment, Segment) else None


def unended(root: Region) -> list[Segment]:
    """Return the segments that are open and in which something was emitted, below a region."""
    found: dict[Segment, None] = {}
    for region in below(root):
        for _, stamp in region.stamps or ():
            segment = segment_of(stamp)
            if segment is not None:
                found[segment] = None
    return [segment for segment in found if segment.fate is Fate.OPEN]


def described(root: Region, wanted: Callable[[object], bool]) -> str:
    """Return the intents below a region whose stamps are wanted, for messages, with their lines.

    Of several that were emitted in one transaction, the first has its line.
    """
    found: list[str] = []
    count = 0
    for region in below(root):
        stamps = [*(region.stamps or ()), (len(region), None)]
        for (start, stamp), (end, _) in pairwise(stamps):
            if start < end and wanted(stamp):
                count += end - start
                site = (region.sites or {}).get(start)
                found += [f"{region[start]!r}" + (f" at {shown(site)}" if site else "")]
                found += map(repr, region[start + 1 : min(end, start + NAMED)])
    more = f" and {count - NAMED} more" if count > NAMED else ""
    return ", ".join(found[:NAMED]) + more


NAMED = 5


def end_block(region: Region, reason: object, why: str = "its block has ended") -> None:
    """Close a region whose block has ended; with a reason, throw away what is in it.

    Where a transaction may decide, what was emitted in it stays for that.

    Args:
        region: to close.
        reason: what decided against it, for the report; None to keep what is in it.
        why: why it is closed, for those who emit into it later.
    """
    if reason is not None and region.segment is not None:
        throw_undecided(region, reason)
        reason = None
    region.close(why, reason)


def begun(segment: Callable[[], object] | None) -> Callable[[], object] | None:
    """For what handlers emit: a transaction that is open decides, and not one that is to come.

    That may be another handler's. Where none is open, the attempt decides.
    """
    if segment is None:
        return None

    def now() -> object:
        found = segment()
        return None if waits(found) else found

    return now


def end_attempt(root: Region, failure: object = None) -> None:
    """Decide about what a handler emitted: throw away what its transactions have rolled back.

    Args:
        root: of the attempt.
        failure: why it failed; then nothing is kept but what was committed in a transaction of
            the handler's own.
    """
    for region in below(root):
        own = region.segment is not root.segment
        if region.stamps:
            region.stamps = [(at, ended(stamp, failure, own=own)) for at, stamp in region.stamps]
        elif failure is not None:
            region.stamps = [(0, failure)]


def ended(stamp: object, failure: object, *, own: bool) -> object:
    """Return what stands for a stamp when the attempt has ended: SEALED, a reason against it, None."""
    if own and fate_of(stamp) is Fate.COMMITTED:
        return SEALED
    return against(stamp) or failure if stamp is not SEALED else stamp


def seals(root: Region) -> bool:
    """Return True if a handler has committed what it emitted, in a transaction of its own."""
    for region in below(root):
        own = region.segment is not root.segment
        for _, stamp in region.stamps or ():
            if stamp is SEALED or (own and fate_of(stamp) is Fate.COMMITTED):
                return True
    return False


def left_open(root: Region) -> ReleaseError | None:
    """Return the error of a handler that leaves a transaction of its own open, and emitted in it."""
    own = [
        (region, stamp)
        for region in below(root)
        if region.segment is not root.segment
        for _, stamp in region.stamps or ()
        if fate_of(stamp) in (Fate.OPEN, *UNDECIDED)
    ]
    if not own:
        return None
    stamps = {id(stamp) for _, stamp in own}
    return ReleaseError(
        root.described(),
        f"emitted {described(root, lambda stamp: id(stamp) in stamps)} in a transaction of its own "
        "that it has not ended",
        "Commit it or roll it back, and close its session, before the handler returns.",
    )


def throw_undecided(root: Region, reason: object) -> None:
    """Throw away what no transaction has decided about, below a region whose block has failed.

    A transaction that is open may still commit, and what was emitted in it is kept then.
    """
    for region in below(root):
        region.stamps = [(at, thrown(stamp, reason)) for at, stamp in region.stamps or ()] or None


def thrown(stamp: object, reason: object) -> object:
    """Return what stands for a stamp once its block has failed."""
    fate = fate_of(stamp)
    if isinstance(stamp, Thrown) or fate in DECIDED:
        return stamp
    return Thrown(reason, stamp if isinstance(stamp, Segment) and fate is Fate.OPEN else None)


DECIDED = (Fate.COMMITTED, Fate.ROLLED_BACK, *UNDECIDED)


def waits(stamp: object) -> bool:
    """Return True if no transaction has begun for a segment."""
    return fate_of(stamp) is Fate.WAITING


def decide_from_here(root: Region, segment: Callable[[], object]) -> None:
    """Let transactions decide about what is emitted below a region from now on."""
    for region in below(root):
        if len(region):
            region.stamps = [(0, None)]
        region.watch(segment)


def below(root: Region) -> Iterator[Region]:
    """A region and all in it."""
    stack = [root]
    while stack:
        region = stack.pop()
        yield region
        stack += [child for _, child in region.children or ()]
