"""Segments of regions: which of the intents in a region a transaction keeps, and which it discards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import attrs

from airlock.effects.place import shown
from airlock.emissions.region import Region
from airlock.errors import ReleaseError
from airlock.release import UNDECIDED, Fate, Segment

SEALED = "sealed by a commit of its handler"
"""Stands for a stretch of an attempt that is kept although the handler fails."""


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


def unrecorded(region: Region, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a region's own intents that were not decided before a COMMIT.

    What was, in a transaction that was rolled back after all, is among them.
    """
    recorded = region.recorded
    if recorded is None:
        yield start, end
        return
    low = start
    for at in range(start, end):
        if at in recorded and recorded[at].fate is not Fate.ROLLED_BACK:
            if low < at:
                yield low, at
            low = at + 1
    if low < end:
        yield low, end


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
    """Close a region whose block has ended; with a reason, discard what is in it.

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
    """Return the segments for what handlers emit: an open transaction decides, not one to come.

    That may be another handler's. Where none is open, the attempt decides.
    """
    if segment is None:
        return None

    def now() -> object:
        found = segment()
        return None if waits(found) else found

    return now


def end_attempt(root: Region, failure: object = None) -> None:
    """Decide about what a handler emitted: discard what its transactions have rolled back.

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
    """Discard what no transaction has decided about, below a region whose block has failed.

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
    """Yield a region and all in it."""
    stack = [root]
    while stack:
        region = stack.pop()
        yield region
        stack += [child for _, child in region.children or ()]
