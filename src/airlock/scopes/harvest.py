"""``Harvest``: what a scope has to deliver when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from weakref import ref

from airlock.effects.causation import NO_CAUSE
from airlock.emissions.flat import Flat
from airlock.emissions.region import Region
from airlock.emissions.segments import below, described, has_fate, stranded_only, stranding, unended
from airlock.emissions.wave import Wave, chain
from airlock.errors import NoTransactionError, OpenRegionsError
from airlock.release import Fate
from airlock.scopes.block import Block
from airlock.scopes.current import guards_of
from airlock.scopes.enclose import abandon, process_policies
from airlock.scopes.stages import CAPTURED, CLOSED, FLUSHING, WAITING, How

__all__ = ["Harvest"]

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


class Harvest(Block):
    """A block, and the waves that its flush begins with."""

    __slots__ = ()

    def _planned(self) -> tuple[list[Wave], How]:
        """What to flush, and how; everything about the scope is checked."""
        how = How(problems=self._problems, fail_fast=self._fail_fast, observers=self._observers)
        if self.state is CAPTURED:
            return [], how
        if self.state not in (CLOSED, WAITING):
            self._wrong(self.state.value, "A scope is flushed once, after exit().")
        if self.release is not None and unended(self.region):
            self._wrong(WAITING.value, "It is flushed by the commit.")
        self._enclose()
        flat = Flat(self.region, keeps=stranding)
        if flat.open:
            how["problems"] += (self._abandon(flat.open),)
            flat = Flat(self.region, keeps=stranding)
        above = [region for region in chain(self.region.up) if region.contextual]
        flat.spans += [(0, len(flat.intents), region) for region in above]
        self.state = FLUSHING
        report = self._report = self.engine.new_report()
        report.scope = ref(self)
        report.thrown_away = [(i, why) for i, why in flat.discarded if not isinstance(why, Fate)]
        if len(report.thrown_away) < len(flat.discarded):
            rest = Flat(self.region, keeps=stranded_only)
            rest.spans += [(0, len(rest.intents), region) for region in above]
            stranded = self._wave(rest)
            report.waves.append(stranded)
            how["problems"] += tuple(self._stranded(flat))
        classes = None if flat.discarded else self.region.seen
        return [self._wave(flat, classes)], how

    def _enclose(self) -> None:
        """Put enclosures of the process around the scope that have begun since it was opened."""
        known = [policy for around in chain(self.region) for policy in around.enclosures]
        found = process_policies(known)
        if not found:
            return
        self.region.enclosures += found
        guards = guards_of(found, "enclosure", "the whole process")
        for region in below(self.region) if guards else ():  # for what their handlers emit
            region.guards += guards

    def _abandon(self, regions: list[Region]) -> OpenRegionsError:
        """Close regions that somebody left open below it.

        Returns:
            The error that tells of it, where nobody can flush the rest.
        """
        alone = self.work is not None or self.state is WAITING
        names = tuple(region.described() for region in regions)
        error = OpenRegionsError(self.region.described(), names, alone)
        for region in regions:
            abandon(region)
        if not alone:
            raise error
        return error

    def _wave(self, flat: Flat, classes: set[type[Any]] | None = None) -> Wave:
        wave = Wave(0, self.region, flat, classes=classes)
        wave.origin = self._cause
        if self._within is not None:
            wave.within = self._within
            if self._cause is NO_CAUSE:
                before, positions = self._within
                wave.origin = before.origin_of(positions[-1])
        if self._arrival is not None:
            wave.arrived = True
            wave.tries = dict.fromkeys(range(len(wave.intents)), self._arrival - 1)
        return wave

    def _stranded(self, flat: Flat) -> Iterator[NoTransactionError]:
        # Nobody has the report of a unit of work that a framework ran.
        remedy = _RESUME if self.work is None else _EMIT_AGAIN
        for fate, (problem, hint) in _UNDECIDED.items():
            count = sum(len(intents) for intents, why in flat.discarded if why is fate)
            if count:
                found = described(self.region, partial(has_fate, fate))
                what = f"releases with a transaction, and emitted {found} {problem}"
                advice = f"They were not delivered, and are pending in scope.report. {hint}{remedy}"
                yield NoTransactionError(self.region.described(), what, advice, count)
