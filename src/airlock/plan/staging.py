"""The run of a plan's effects, as if a scope of the boundary had emitted them now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airlock.effects.place import caller
from airlock.emissions.flat import Flat, Span
from airlock.emissions.region import Region
from airlock.emissions.wave import Ledger, Wave
from airlock.errors import EmittedInPolicyError
from airlock.plan.entry import PlanEntry
from airlock.policies.policy import PolicyLike
from airlock.scopes.current import JUDGING, guards_of, here, judge, outwards
from airlock.scopes.enclose import process_policies
from airlock.scopes.opening import ScopeOptions
from airlock.scopes.scope import Scope

if TYPE_CHECKING:
    from airlock.flushing.engine import Engine

__all__ = ["Stage"]


class Stage:
    """The region in which handlers run, and the policies around it.

    Args:
        engine: of the boundary.

    Attributes:
        root: where handlers emit; what policies forbid is refused there.
        resolved: handlers by intent class, for the whole plan.

    Raises:
        EmittedInPolicyError: a policy is being asked here.
    """

    def __init__(self, engine: Engine) -> None:
        now = here.get()
        if now is JUDGING:
            raise EmittedInPolicyError("apply a plan")
        around = [
            policy for region in outwards(now) if region.encloses for policy in region.enclosures
        ]
        self.engine = engine
        self._around = (*around, *process_policies(around))
        place = caller()
        policies: tuple[PolicyLike, ...] = (*engine.policy, *self._around)
        self._guards = guards_of(self._around, "enclosure", place)
        self._inside = Region("plan", policies=engine.policy)
        self._outside = Region("plan", enclosures=self._around)
        self._ledger: Ledger = {}
        scope = Scope(engine, ScopeOptions())
        self.root = Region(
            "plan",
            scope=scope,
            policies=engine.policy,
            enclosures=self._around,
            guards=guards_of(policies, "plan", place),
            capture=engine.capture,
            place=place,
        )
        scope.resuming(self.root)
        self.resolved: dict[type[Any], Any] = {}

    def wave(self, entries: Sequence[PlanEntry]) -> Wave:
        """Return some entries as a wave that no policy decides about."""
        flat = Flat(Region("wave"))
        flat.intents = [entry.intent for entry in entries]
        return self._wave(entries, flat)

    def enclosed(self, entries: Sequence[PlanEntry]) -> Wave:
        """Entries of the plan as a wave. Only enclosures of now are asked about them.

        Raises:
            RefusedError: one of those refuses an intent.
            PolicyError: one of those raised, or answered nonsense.
        """
        if not self._around:
            return self.wave(entries)
        taken = Region("plan", enclosures=self._around, guards=self._guards)
        taken.extend([entry.intent for entry in entries])
        return self._decided(self._wave(entries, Flat(taken)), self._outside)

    def judged(self, entries: Sequence[PlanEntry]) -> Wave:
        """Return a generation of follow-ups as a wave that every policy of now decides about.

        Raises:
            PolicyError: a policy raised, or answered nonsense.
        """
        wave = self.wave(entries)
        wave.number = min(entry.causation.depth for entry in entries)
        self._decided(wave, self._inside, self._outside)
        wave.number = 0  # the depth is that of its origins
        return wave

    def _decided(self, wave: Wave, *around: Region) -> Wave:
        headers = wave.spans
        wave.spans = [*headers, *((0, len(wave.intents), region) for region in around)]
        judge(lambda: wave.decide(self._ledger))
        wave.spans = headers  # they are not asked again, and a follow-up is judged for itself
        return wave

    def _wave(self, entries: Sequence[PlanEntry], flat: Flat) -> Wave:
        flat.options = {i: entry.options for i, entry in enumerate(entries) if entry.given}
        flat.spans = list(self._headers(entries))
        wave = Wave(0, self.root, flat)
        wave.decided = True
        for i, entry in enumerate(entries):
            wave.keep_id(i, entry.id)
            if entry.causation.depth:
                wave.origins[i] = entry.causation
        return wave

    def _headers(self, entries: Sequence[PlanEntry]) -> Iterator[Span]:
        """Regions that hold the headers, one for each run of equal ones."""
        start = 0
        for headers, run in groupby(entries, lambda entry: entry.headers):
            end = start + sum(1 for _ in run)
            if headers:
                yield (
                    start,
                    end,
                    Region("plan", up=self.root, scope=self.root.scope, headers=headers),
                )
            start = end
