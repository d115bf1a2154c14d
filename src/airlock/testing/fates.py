"""The outcome of single emissions, at any time: before, while and after their scopes end."""

from __future__ import annotations

import attrs

from airlock.effects.describe import stable_repr
from airlock.effects.place import shown as place_shown
from airlock.emissions.emission import Emission
from airlock.emissions.region import Region
from airlock.emissions.report import shown
from airlock.emissions.segments import against, segment_of
from airlock.emissions.wave import Outcome, Wave
from airlock.release import UNDECIDED
from airlock.release import Fate as Segments
from airlock.scopes.scope import WAITING

__all__ = ["Fate", "fate_of"]


@attrs.frozen
class Fate:
    """The outcome of an emission.

    Attributes:
        escapes: whether it would be delivered, were it not for the recording; true while
            nothing has decided against it. False if its block has ended, and its transaction is
            still open, and has written: nothing has been committed so far.
        note: a remark on that: ``"dropped by Drop()"``; empty for nothing.
    """

    escapes: bool
    note: str = ""


ESCAPES = Fate(escapes=True)


def fate_of(emission: Emission, recorder: type[object]) -> Fate:
    """Return the outcome of an emission.

    Args:
        emission: a recorded one.
        recorder: the class of the policies that only record: what they drop would escape.
    """
    reason = _withheld(emission)
    if reason:
        return Fate(escapes=False, note=reason)
    wave = emission.wave
    if wave is None:
        return ESCAPES
    code, decider = wave.outcomes[emission.index], wave.deciders.get(emission.index)
    if code == Outcome.MERGED:
        return Fate(escapes=False, note=f"merged into {_survivor(emission, wave)}")
    if code == Outcome.HELD:
        return Fate(escapes=False, note=f"held by {_words(decider)}")
    if code == Outcome.DROPPED and not isinstance(decider, recorder):
        faked = decider == "override"  # a test that leaves an effect out still wants to see it
        return Fate(escapes=faked, note=f"dropped by {_words(decider)}")
    failed = code == Outcome.FAILED
    note = f"failed: {stable_repr(wave.errors[emission.index])}" if failed else ""
    return Fate(escapes=True, note=note)


def _withheld(emission: Emission) -> str:
    """Return what keeps an emission from being decided: its block, or its transaction."""
    segment = segment_of(_stamp(emission))
    fate = None if segment is None else segment.fate
    if fate in UNDECIDED:
        return f"not delivered: {fate.value}"
    if fate is Segments.ROLLED_BACK:  # it may have been recorded before the COMMIT failed
        return "discarded by rollback"
    if emission.wave is not None:
        return ""
    reason = _against(emission)
    if reason is not None:
        return f"discarded by {_words(reason)}"
    waits = segment is not None and fate is Segments.OPEN and segment.transaction.wrote
    if waits and emission.region.scope.outermost.state is WAITING:
        return "not delivered: its transaction is still open"
    return ""


def _survivor(emission: Emission, wave: Wave) -> str:
    """Format the survivor of a merged emission; its place sets it apart from equal ones."""
    position = wave.merged[emission.index]
    other = wave.emissions.get(position)
    text = stable_repr(wave.intents[position])
    return text if other is None else f"the {text} of {place_shown(other.place)}"


def _words(reason: object) -> str:
    return reason if isinstance(reason, str) else shown(reason)


def _against(emission: Emission) -> object:
    """Return what discarded an emission: its block, one around it, its transaction, or None."""
    region: Region | None = emission.region
    while region is not None:
        if region.discarded is not None:
            return region.discarded
        # Regions that share a flat sequence share `seen`; its root is delivered by itself.
        region = region.up if region.up is not None and region.up.seen is region.seen else None
    return against(_stamp(emission))


def _stamp(emission: Emission) -> object:
    """Return what its region has noted of its transaction; None outside of a release."""
    stamps = [stamp for at, stamp in emission.region.stamps or () if at <= emission.position]
    return stamps[-1] if stamps else None
