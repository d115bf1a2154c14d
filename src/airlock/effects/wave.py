"""A wave: the intents that are decided and run together, and what becomes of each.

Wave 0 is what the block emitted; each further one holds the follow-ups of the one before. Nothing
is allocated per delivered intent: outcomes are one byte each, and everything else is kept by
position, only where there is something to say.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.flat import Flat, Span
from airlock.effects.judge import BadVerdicts, ask
from airlock.effects.policy import PolicyLike, View, shown_policy
from airlock.effects.region import Region
from airlock.effects.verdict import ALLOW, DROP, HOLD, Verdict
from airlock.errors import EmittedInPolicyError, PolicyError

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Ledger", "Outcome", "Wave", "chain"]


class Outcome(enum.IntEnum):
    """What became of an intent."""

    PENDING = 0
    """Not run yet: a resume runs it."""
    DELIVERED = 1
    """Its handler ran and returned."""
    HANDED_OVER = 2
    """An engine took it over."""
    DROPPED = 3
    """A policy dropped it."""
    HELD = 4
    """A policy holds it."""
    MERGED = 5
    """Another intent stands for it."""
    FAILED = 6
    """Its handler raised, or it was too deep."""
    DISCARDED = 7
    """Thrown away with its block, its transaction or the failed attempt that emitted it."""

    @property
    def word(self) -> str:
        """For people: ``"handed over"``."""
        return self.name.lower().replace("_", " ")


Ledger = dict[tuple[Region, int], list[Any]]
"""What each policy, by region and seat, allowed so far in this flush."""

_DONE = bytes.maketrans(bytes([Outcome.PENDING]), bytes([Outcome.DELIVERED]))


class Wave:
    """Some intents, with their causes, regions and options, and then their outcomes.

    Attributes:
        number: how many handlers stand between the block and these intents.
        root: the region of the scope that is flushed.
        intents: in emission order.
        parent: the wave of their causes.
        causes: for each intent, the position of its cause in ``parent``.
        decided: whether the policies have spoken.
        outcomes: one ``Outcome`` for each intent, as a byte.
        deciders: what dropped, held or merged an intent, by position.
        merged: the position of the survivor, by position.
        errors: by position.
        emissions: by position, only where recorded.
        interrupted: positions of those that were in flight when the flush was interrupted.
        tries: how often a handler was called for an intent before, by position.
        batches: all positions of a batch, by the position of its last member.
        attempts: regions of what handlers emitted, each with its ``cause``.
        discarded: what failed attempts emitted: ``(intents, reason, cause)``.
        seen: the classes of what was emitted by its handlers.
        origin: what led to the block in other processes.
        within: the wave and the positions of what a handler ran for when it opened the scope, as one
            of its own; None for other scopes.
        origins: what led to single intents there, by position, where that differs.
        arrived: it was handed over to this process, so that its handlers run here.
    """

    def __init__(
        self,
        number: int,
        root: Region,
        flat: Flat,
        *,
        parent: Wave | None = None,
        causes: list[int] | None = None,
        classes: set[type[Any]] | None = None,
    ) -> None:
        self.number = number
        self.root = root
        self.intents: list[Any] = flat.intents
        self.options = flat.options
        self.emissions = flat.emissions
        self.spans: list[Span] = flat.spans
        self.parent = parent
        self.causes: list[int] = causes or []
        self.decided = False
        self.outcomes = bytearray(len(self.intents))
        self.deciders: dict[int, object] = {}
        self.merged: dict[int, int] = {}
        self.errors: dict[int, BaseException] = {}
        self.interrupted: set[int] = set()
        self.tries: dict[int, int] = {}
        self.batches: dict[int, tuple[int, ...]] = {}
        self.attempts: list[Region] = []
        self.discarded: list[tuple[list[Any], object, int]] = []
        self.seen: set[type[Any]] = set()
        self.origin: Causation = NO_CAUSE if parent is None else parent.origin
        self.origins: dict[int, Causation] = {}
        self.within: tuple[Wave, tuple[int, ...]] | None = None if parent is None else parent.within
        self.arrived = False
        self._classes = classes
        self._ids: dict[int, UUID] = {}
        self._before: tuple[Wave, list[int]] | None = None
        self._homes: list[Region] | None = None
        for index, emission in flat.emissions.items():
            emission.decided_in(self, index)

    # -- deciding ---------------------------------------------------------------------------------

    def decide(self, ledger: Ledger) -> None:
        """Ask every policy around the intents, innermost first.

        Raises:
            PolicyError: one raised or answered nonsense; nothing is decided then.
        """
        outcomes = bytearray(len(self.intents))
        deciders: dict[int, object] = {}
        merged: dict[int, int] = {}
        memory: list[tuple[list[Any], list[Any]]] = []
        for start, end, region, seat, policy in self._seats():
            live = _live(outcomes, start, end)
            seen = (
                self.intents[start:end]
                if len(live) == end - start
                else [self.intents[i] for i in live]
            )
            earlier = ledger.setdefault((region, seat), [])
            answer = self._ask(
                policy,
                region,
                View(
                    seen,
                    self.number,
                    tuple(earlier),
                    self._ancestry(live),
                    self._apartness(live),
                    _holding(outcomes, live),
                    self._remoteness(live),
                ),
            )
            memory.append((earlier, _allowed(seen, answer)))
            for i, verdict in zip(live, answer or (), strict=False):
                if verdict is not ALLOW:
                    _note(verdict, i, live, outcomes, merged)
                    deciders[i] = policy
        for before, allowed in memory:
            before.extend(allowed)
        self.outcomes, self.deciders, self.merged = outcomes, deciders, merged
        self.decided = True

    def _seats(self) -> Iterator[tuple[int, int, Region, int, PolicyLike]]:
        """Every policy with what it judges: region by region outwards, then the enclosures."""
        for start, end, region in self.spans:
            for seat, policy in enumerate(region.policies):
                yield start, end, region, seat, policy
        for start, end, region in self.spans:
            for seat, policy in enumerate(region.enclosures):
                yield start, end, region, len(region.policies) + seat, policy

    def _ask(self, policy: PolicyLike, region: Region, view: View) -> Any:
        try:
            return ask(policy, view)
        except EmittedInPolicyError as error:
            raise EmittedInPolicyError(error.what, shown_policy(policy)) from error
        except BadVerdicts as bad:
            raise PolicyError(shown_policy(policy), region.described(), str(bad)) from None
        except Exception as error:
            raise PolicyError(
                shown_policy(policy), region.described(), f"raised {error!r}"
            ) from error

    def _ancestry(self, live: Any) -> Any:
        return lambda index: self.ancestors(live[index])

    def _apartness(self, live: Any) -> Any:
        if not self.options and not any(r.overrides or r.headers for _, _, r in self.spans):
            return None
        return lambda index: self.context(live[index])

    def _remoteness(self, live: Any) -> Any:
        if not self.origin.ancestors and not self.origins and self.within is None:
            return None
        return lambda index: self.origin_of(live[index]).ancestors

    # -- reading ----------------------------------------------------------------------------------

    @property
    def judged(self) -> bool:
        """Whether any policy is around its intents."""
        return any(region.policies or region.enclosures for _, _, region in self.spans)

    @property
    def overridden(self) -> bool:
        """Whether any override is around its intents."""
        return any(region.overrides for _, _, region in self.spans)

    def allowed(self) -> list[int] | None:
        """Positions of what may run; None if that is everything."""
        if self.outcomes.count(0) == len(self.outcomes):
            return None
        return [i for i, code in enumerate(self.outcomes) if code == Outcome.PENDING]

    @property
    def classes(self) -> set[type[Any]]:
        """The classes of its intents."""
        if self._classes is None:
            self._classes = set(map(type, self.intents))
        return self._classes

    def ancestors(self, position: int) -> Iterator[Any]:
        """All that caused the intent at ``position``, the nearest first; of a batch, every member."""
        wave: Wave = self
        level = [position]
        while True:
            if wave.parent is not None:
                causes = dict.fromkeys(wave.causes[at] for at in level)
                wave = wave.parent
                level = [m for cause in causes for m in reversed(wave.batches.get(cause, (cause,)))]
            elif wave.within is not None:
                wave, positions = wave.within
                level = [*reversed(positions)]
            else:
                return
            for member in level:
                yield wave.intents[member]

    def origin_of(self, position: int) -> Causation:
        """What led in other processes to the intent at ``position``, or to its first cause here."""
        wave: Wave = self
        while wave.parent is not None:
            position, wave = wave.causes[position], wave.parent
        return wave.origins.get(position, wave.origin)

    @property
    def depth(self) -> int:
        """How many handlers stand before these intents, those in other processes included."""
        return self.depth_after(self.origin)

    def depth_after(self, origin: Causation) -> int:
        """Return how many handlers stand before intents of this wave that have such an origin."""
        opened = 0 if self.within is None else self.within[0].depth + 1
        return self.number + max(origin.depth, opened)

    def lineage(self, position: int) -> Iterator[Any]:
        """Its direct cause, the direct cause of that, and so on."""
        wave: Wave = self
        while True:
            if wave.parent is not None:
                position, wave = wave.causes[position], wave.parent
            elif wave.within is not None:
                wave, positions = wave.within
                position = positions[-1]
            else:
                return
            yield wave.intents[position]

    def home(self, position: int) -> Region:
        """The innermost region that says anything about the intent at ``position``."""
        if not self.spans:
            return self.root
        if self._homes is None:
            above = set(chain(self.root.up))
            homes = [self.root] * len(self.intents)
            for start, end, region in reversed(self.spans):
                if region not in above:
                    homes[start:end] = [region] * (end - start)
            self._homes = homes
        return self._homes[position]

    def headers(self, position: int) -> dict[str, str]:
        """Those of the regions around it, of its causes, and its own, the nearest winning."""
        merged: dict[str, str] = {}
        regions = tuple(chain(self.home(position)))
        if self.parent is not None:  # its cause has those of the regions that they share
            cause = self.causes[position]
            merged = self.parent.headers(cause)
            shared = set(chain(self.parent.home(cause)))
            regions = tuple(region for region in regions if region not in shared)
        for region in reversed(regions):
            merged.update(region.headers)
        options = self.options.get(position)
        return merged if options is None else {**merged, **options.headers}

    def context(self, position: int) -> object:
        """What intents must share to be merged or batched, but for their policies."""
        regions = chain(self.home(position))
        overrides = tuple(id(region.overrides) for region in regions if region.overrides)
        headers = frozenset(self.headers(position).items())
        return self.options.get(position), overrides, headers

    def id_of(self, position: int) -> UUID:
        """The id it was emitted with, or one made now and kept."""
        options = self.options.get(position)
        if options is not None and options.id is not None:
            return options.id
        if self._before is not None:
            wave, positions = self._before
            return wave.id_of(positions[position])
        if position not in self._ids:
            from uuid import uuid4  # noqa: PLC0415 - slow to import, and seldom needed

            self._ids[position] = uuid4()
        return self._ids[position]

    def keep_id(self, position: int, id_: UUID) -> None:
        """Give an intent an id that it had before."""
        self._ids[position] = id_

    # -- running ----------------------------------------------------------------------------------

    def delivered_up_to(self, position: int) -> None:
        """Note that every allowed intent before ``position`` was run."""
        self.outcomes[:position] = self.outcomes[:position].translate(_DONE)

    def fail(self, position: int, error: BaseException) -> None:
        """Note an error."""
        self.errors[position] = error
        self.outcomes[position] = Outcome.FAILED

    def discard(self, attempt: Region, reason: object) -> None:
        """Throw away what an attempt emitted."""
        attempt.discarded = reason
        self.discarded += [(i, r, attempt.cause) for i, r in Flat(attempt).discarded]

    def follow_ups(self, attempts: Sequence[Region] | None = None) -> Wave | None:
        """The next wave: what the attempts emitted, in the order of their causes.

        Args:
            attempts: some of them; None for all.
        """
        attempts = self.attempts if attempts is None else attempts
        if not attempts:
            return None
        flat = Flat(Region("wave"))
        flat.intents, causes = [], list[int]()
        around: dict[Region, tuple[int, int]] = {}
        for attempt in sorted(attempts, key=lambda region: region.cause):
            below, shift = Flat(attempt, keeps=_decided), len(flat.intents)
            self.discarded += [(i, r, attempt.cause) for i, r in below.discarded]
            if not below.intents:
                continue
            flat.intents += below.intents
            causes += [attempt.cause] * len(below.intents)
            flat.options.update({at + shift: o for at, o in below.options.items()})
            flat.emissions.update({at + shift: e for at, e in below.emissions.items()})
            flat.spans += [(a + shift, b + shift, region) for a, b, region in below.spans]
            for region in chain(attempt.up):
                if region.contextual:
                    around[region] = (around.get(region, (shift, 0))[0], len(flat.intents))
        if not flat.intents:
            return None
        deepest_first = sorted(around, key=lambda region: -sum(1 for _ in chain(region)))
        flat.spans += [(*around[region], region) for region in deepest_first]
        classes = None if self.discarded else self.seen
        return Wave(self.number + 1, self.root, flat, parent=self, causes=causes, classes=classes)

    def unfinished(self, *, interrupted: bool) -> Wave | None:
        """A wave of what failed or is pending, with the verdicts already given.

        Args:
            interrupted: also what was in flight when the flush was interrupted.
        """
        skip: set[int] = set() if interrupted else self.interrupted
        again = [
            i
            for i, code in enumerate(self.outcomes)
            if code in (Outcome.PENDING, Outcome.FAILED) and i not in skip
        ]
        if not again:
            return None
        place = {i: new for new, i in enumerate(again)}
        flat = Flat(Region("wave"))
        flat.intents = [self.intents[i] for i in again]
        flat.options = {place[i]: o for i, o in self.options.items() if i in place}
        flat.emissions = {place[i]: e for i, e in self.emissions.items() if i in place}
        flat.spans = _narrowed(self.spans, again)
        causes = [self.causes[i] for i in again] if self.parent is not None else None
        wave = Wave(self.number, self.root, flat, parent=self.parent, causes=causes)
        wave.origin = self.origin
        wave.origins = {place[i]: o for i, o in self.origins.items() if i in place}
        wave.within = self.within
        wave.arrived = self.arrived
        wave.decided = self.decided
        wave.tries = {place[i]: n for i, n in self.tries.items() if i in place}
        wave._before = (self, again)
        return wave


def _decided(reason: object) -> object:
    """What became of a stretch of an attempt: its end has put the reasons in the place of stamps."""
    return reason


def chain(region: Region | None) -> Iterator[Region]:
    """A region and those around it, outwards."""
    while region is not None:
        yield region
        region = region.up


def _live(outcomes: bytearray, start: int, end: int) -> Any:
    """Positions not dropped or merged."""
    part = outcomes[start:end]
    if not part.count(Outcome.DROPPED) and not part.count(Outcome.MERGED):
        return range(start, end)
    return [i for i in range(start, end) if outcomes[i] in (Outcome.PENDING, Outcome.HELD)]


def _holding(outcomes: bytearray, live: Any) -> Callable[[int], bool]:
    return lambda index: outcomes[live[index]] == Outcome.HELD


def _allowed(seen: list[Any], answer: Any) -> list[Any]:
    if answer is None:
        return seen
    return [intent for intent, verdict in zip(seen, answer, strict=True) if verdict is ALLOW]


def _note(verdict: Verdict, i: int, live: Any, outcomes: bytearray, merged: dict[int, int]) -> None:
    if verdict is DROP:
        outcomes[i] = Outcome.DROPPED
    elif verdict is HOLD:
        outcomes[i] = Outcome.HELD
    elif verdict.into is not None:
        outcomes[i] = Outcome.MERGED
        merged[i] = live[verdict.into]


def _narrowed(spans: list[Span], kept: list[int]) -> list[Span]:
    return [(bisect_left(kept, start), bisect_left(kept, end), r) for start, end, r in spans]
