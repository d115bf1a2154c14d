"""What a scope has to deliver when it ends, as the wave that its flush begins with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from weakref import ref

from airlock.effects.causation import NO_CAUSE
from airlock.emissions.flat import Flat, Span
from airlock.emissions.region import Region
from airlock.emissions.report import Report
from airlock.emissions.segments import (
    below,
    described,
    has_fate,
    stranded_only,
    stranding,
    unrecorded,
)
from airlock.emissions.wave import Wave, chain
from airlock.errors import NoTransactionError, OpenRegionsError
from airlock.release import Fate
from airlock.scopes.blocks import abandon
from airlock.scopes.current import guards_of, shared
from airlock.scopes.enclose import process_policies
from airlock.scopes.scope import WAITING, Scope

__all__ = ["above", "enclose", "gather", "wave_of"]

_UNDECIDED = {
    Fate.IN_DOUBT: (
        "in a transaction whose commit was interrupted: nobody knows whether it was carried out",
        "Look whether what was written with them is there; if so, ",
    ),
    Fate.JOINED: (
        "in a transaction that was committed inside of another one, whose end nobody reports here",
        "Begin the outer transaction with the session itself. If it commits, ",
    ),
}
_RESUME = "scope.report.resume() delivers them."
_EMIT_AGAIN = "emit them again, in a scope of their own: this one is over."


def gather(scope: Scope, report: Report) -> Wave:
    """Return what a scope has to deliver, and note in a report what was thrown away.

    Everything about the scope is checked first. What is wrong with it, and does not keep it from
    being flushed, is added to ``scope.problems``.

    Raises:
        ScopeStateError: it is open, or was flushed or discarded before.
        OpenRegionsError: a region below is open. Nothing has changed but that.
    """
    scope.check_flushable()
    root = scope.region
    if shared:
        enclose(root)
    chooses = None if scope.recordings is None else unrecorded
    flat = Flat(root, keeps=stranding, chooses=chooses)
    if flat.open:
        scope.problems += (_abandon(scope, flat.open),)
        flat = Flat(root, keeps=stranding, chooses=chooses)
    flat.spans += above(root, flat)
    scope.flushing(report)
    report.scope = ref(scope)
    if scope.recordings is not None:
        report.waves += scope.recordings.waves()
    if not flat.discarded:
        return wave_of(scope, flat, root.seen if chooses is None else None)
    report.thrown_away = [(i, why) for i, why in flat.discarded if not isinstance(why, Fate)]
    if len(report.thrown_away) < len(flat.discarded):
        # What nobody has decided about is a wave of its own that is not run: pending, for a resume.
        rest = Flat(root, keeps=stranded_only, chooses=chooses)
        rest.spans += above(root, rest)
        report.waves.append(wave_of(scope, rest))
        scope.problems += tuple(_stranded(scope, flat))
    return wave_of(scope, flat)


def above(root: Region, flat: Flat) -> Sequence[Span]:
    """Return the spans of the regions around one, which hold for all of its intents.

    Those of a scope of the same boundary around an independent one do, too.
    """
    size = len(flat.intents)
    return () if root.up is None else [(0, size, one) for one in chain(root.up) if one.contextual]


def enclose(root: Region) -> None:
    """Put enclosures of the process around a scope that have begun since it was opened."""
    known = [policy for around in chain(root) for policy in around.enclosures]
    found = process_policies(known)
    if not found:
        return
    root.enclosures += found
    guards = guards_of(found, "enclosure", "the whole process")
    for region in below(root) if guards else ():  # for what their handlers emit
        region.guards += guards


def _abandon(scope: Scope, regions: list[Region]) -> OpenRegionsError:
    """Close regions that somebody left open in a scope, and return the error about them.

    Raises:
        OpenRegionsError: somebody can flush the scope again, and the rest with it.
    """
    alone = scope.work is not None or scope.state is WAITING
    names = tuple(region.described() for region in regions)
    error = OpenRegionsError(scope.region.described(), names, alone)
    for region in regions:
        abandon(region)
    if not alone:
        raise error
    return error


def wave_of(scope: Scope, flat: Flat, classes: set[type[Any]] | None = None) -> Wave:
    """Return the first wave of a scope."""
    wave = Wave(0, scope.region, flat, classes=classes)
    cause, arrival = scope.options.cause, scope.options.arrival
    wave.origin = cause
    if scope.within is not None:
        wave.within = scope.within
        if cause is NO_CAUSE:
            before, positions = scope.within
            wave.origin = before.origin_of(positions[-1])
    if arrival is not None:
        arrival(wave)
    return wave


def _stranded(scope: Scope, flat: Flat) -> Iterator[NoTransactionError]:
    """Yield an error for each way in which transactions ended that nobody reports."""
    # Nobody has the report of a unit of work that a framework ran.
    remedy = _RESUME if scope.work is None else _EMIT_AGAIN
    for fate, (problem, hint) in _UNDECIDED.items():
        count = sum(len(intents) for intents, why in flat.discarded if why is fate)
        if count:
            found = described(scope.region, partial(has_fate, fate))
            what = f"releases with a transaction, and emitted {found} {problem}"
            advice = f"They were not delivered, and are pending in scope.report. {hint}{remedy}"
            yield NoTransactionError(scope.region.described(), what, advice, count)
