"""A wave: the intents that are decided and run together, and what becomes of each.

Wave 0 is what the block emitted; each further one holds the follow-ups of the one before. Nothing
is allocated per delivered intent: outcomes are one byte each, and everything else is kept by
position, only where there is something to say.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from airlock.effects.causation import NO_CAUSE, Ancestor, Causation
from airlock.effects.describe import short
from airlock.effects.options import NO_HEADERS
from airlock.emissions.flat import Flat, Span
from airlock.emissions.region import Region
from airlock.emissions.segments import SEALED, unrecorded
from airlock.errors import EmittedInPolicyError, PolicyError
from airlock.policies.judge import BadVerdictsError, ask
from airlock.policies.policy import Policy, PolicyLike, View, shown_policy
from airlock.policies.verdict import ALLOW, DROP, HOLD, Verdict
from airlock.release import Fate, Segment

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Ledger", "Outcome", "Recording", "Wave", "chain", "holding"]


class Outcome(enum.IntEnum):
    """The outcomes of an intent."""

    PENDING = 0
    """Not run yet: a resume runs it."""
    DELIVERED = 1
    """Its handler ran and returned."""
    HANDED_OVER = 2
    """An engine took it over."""
    RECORDED = 3
    """It was written to an outbox, in the transaction that decides about it."""
    DROPPED = 4
    """A policy dropped it."""
    HELD = 5
    """A policy holds it."""
    MERGED = 6
    """Another intent stands for it."""
    FAILED = 7
    """Its handler raised, or it was too deep."""
    DISCARDED = 8
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
        decided: whether the policies have judged.
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
        recordings: what its handlers emitted and recorded in transactions of their own.
        scheduled: whoever delivers it tries again later, so that no retry waits here.
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
        self.batches: dict[int, Sequence[int]] = {}
        self.attempts: list[Region] = []
        self.discarded: list[tuple[list[Any], object, int]] = []
        self.seen: set[type[Any]] = set()
        self.origin: Causation = NO_CAUSE if parent is None else parent.origin
        self.origins: dict[int, Causation] = {}
        self.within: tuple[Wave, tuple[int, ...]] | None = None if parent is None else parent.within
        self.arrived = False
        self.scheduled = False
        self.recordings: list[Recording] = []
        if classes is not None:
            self.classes = classes
        self._ids: dict[int, UUID] = {}
        self._before: tuple[Wave, list[int]] | None = None
        self._homes: list[Region] | None = None
        self._own: set[Region] = set()  # regions that the handlers of the causes opened
        self._region_headers: dict[Region, Mapping[str, str]] = {}
        self._shared_headers: dict[int, Mapping[str, str]] = {}
        self._overrides_around: dict[Region | None, int] = {None: 0}
        self._override_chains: dict[tuple[int, int], int] = {}
        self._deciding_regions: dict[Region, Region | None] = {}
        for index, emission in flat.emissions.items():
            emission.decided_in(self, index)

    # -- deciding ---------------------------------------------------------------------------------

    def _apart(self, start: int, end: int) -> Iterable[tuple[int, int]]:
        """Return the stretches that a policy is asked about: the whole, or one intent each.

        What arrived from elsewhere was emitted apart, and judged there: one of them neither counts
        for another nor stands for it.
        """
        return ((at, at + 1) for at in range(start, end)) if self.arrived else ((start, end),)

    def decide(self, ledger: Ledger) -> None:
        """Ask every policy around the intents, innermost first.

        A policy is not asked where it has nothing to say: about no intents, about classes that it
        spares, or where an equal one inside it has judged each class already.

        Raises:
            PolicyError: one raised or answered nonsense; nothing is decided then.
        """
        outcomes = bytearray(self.outcomes)  # what was refused on arrival has failed already
        deciders: dict[int, object] = {}
        merged: dict[int, int] = {}
        memory: list[tuple[list[Any], list[Any]]] = []
        judged = _Judged()
        context = self.context if self._told_apart else None
        remote = self.origin.ancestors or self.origins or self.within
        for start, end, region, seat, policy in self._seats():
            by_class = isinstance(policy, Policy) and policy.by_class
            if isinstance(policy, Policy) and by_class and policy.spares(self.classes):
                continue
            for low, high in (
                judged.gaps(policy, start, end) if by_class else self._apart(start, end)
            ):
                live = _live(outcomes, low, high)
                if not live:
                    continue
                whole = len(live) == high - low
                seen = self.intents[low:high] if whole else [self.intents[i] for i in live]
                counts = not by_class and not self.arrived
                earlier = ledger.setdefault((region, seat), []) if counts else []
                view = View(
                    seen,
                    self.number,
                    tuple(earlier),
                    _at(self.ancestors, live),
                    None if context is None else _at(context, live),
                    _holding(outcomes, live, low, high),
                    _at(self._remote_ancestors, live) if remote else None,
                )
                answer = self._ask(policy, region, view)
                if counts:
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
        """Yield every policy with what it judges: region by region outwards, then the enclosures."""
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
        except BadVerdictsError as bad:
            raise PolicyError(shown_policy(policy), region.described(), str(bad)) from None
        except Exception as error:
            raise PolicyError(
                shown_policy(policy), region.described(), f"raised {short(error)}"
            ) from error

    def _remote_ancestors(self, position: int) -> Sequence[Ancestor]:
        return self.origin_of(position).ancestors

    @property
    def _told_apart(self) -> bool:
        """True if intents may differ in more than their values."""
        return bool(self.options) or self.overridden or self.has_headers

    # -- reading ----------------------------------------------------------------------------------

    @property
    def judged(self) -> bool:
        """True if any policy is around its intents."""
        return any(region.policies or region.enclosures for _, _, region in self.spans)

    @cached_property
    def overridden(self) -> bool:
        """True if any override is around its intents."""
        return any(region.overrides for _, _, region in self.spans)

    def allowed(self) -> list[int] | None:
        """Return the positions of what may run; None if that is everything."""
        if self.outcomes.count(0) == len(self.outcomes):
            return None
        return [i for i, code in enumerate(self.outcomes) if code == Outcome.PENDING]

    @cached_property
    def classes(self) -> set[type[Any]]:
        """The classes of its intents."""
        return set(map(type, self.intents))

    def ancestors(self, position: int) -> Iterator[Any]:
        """Yield all that caused the intent at ``position``, the nearest first; of a batch, every member."""
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
        """Return what led in other processes to the intent at ``position``, or its first cause here."""
        wave: Wave = self
        while wave.parent is not None:
            position, wave = wave.causes[position], wave.parent
        return wave.origins.get(position, wave.origin)

    @property
    def depth(self) -> int:
        """The number of handlers before these intents, those in other processes included."""
        return self.depth_after(self.origin)

    def depth_after(self, origin: Causation) -> int:
        """Return how many handlers stand before intents of this wave that have such an origin."""
        opened = 0 if self.within is None else self.within[0].depth + 1
        return self.number + max(origin.depth, opened)

    def lineage(self, position: int) -> Iterator[Any]:
        """Yield its direct cause, the direct cause of that, and so on."""
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
        """Return the innermost region that has anything for the intent at ``position``."""
        if not self.spans:
            return self.root
        if self._homes is None:
            self._homes = self._found_homes()
        return self._homes[position]

    def _found_homes(self) -> list[Region]:
        """Return the home of each intent: one sweep over the spans, which are nested."""
        above = set(chain(self.root.up))
        spans = [span for span in reversed(self.spans) if span[2] not in above]
        homes = list[Region]()
        around: list[tuple[int, Region]] = [(len(self.intents), self.root)]
        for start, end, region in sorted(spans, key=itemgetter(0)):  # the outer ones first
            _fill(homes, around, start)
            around.append((end, region))
        _fill(homes, around, len(self.intents))
        return homes

    @cached_property
    def has_headers(self) -> bool:
        """True if any intent may have headers, of its own, its scopes' or its causes'."""
        return (
            any(region.headers for _, _, region in self.spans)
            or any(options.headers for options in self.options.values())
            or (self.parent is not None and self.parent.has_headers)
        )

    def headers(self, position: int) -> Mapping[str, str]:
        """Return the headers of the regions around it, of its causes, and its own, the nearest winning.

        Of a batch that mixes headers, its follow-ups have what all members share.
        """
        if not self.has_headers:
            return NO_HEADERS
        inherited: Mapping[str, str] = NO_HEADERS
        if self.parent is not None:
            inherited = self.parent.headers_of_call(self.causes[position])
        own = self._headers_around(self.home(position))
        options = self.options.get(position)
        if options is None or not options.headers:
            return {**inherited, **own} if own else inherited
        return {**inherited, **own, **options.headers}

    def headers_of_call(self, position: int) -> Mapping[str, str]:
        """Return the headers of an intent; of a batch, what its members share."""
        members = self.batches.get(position)
        if members is None or len(members) == 1:
            return self.headers(position)
        if position not in self._shared_headers:
            items = set(self.headers(members[0]).items())
            for member in members[1:]:
                items &= self.headers(member).items()
            self._shared_headers[position] = dict(items)
        return self._shared_headers[position]

    def _headers_around(self, home: Region) -> Mapping[str, str]:
        """Return the headers of a region and those around it, as far as the causes do not have them."""
        known, below = self._region_headers, list[Region]()
        region: Region | None = home
        while region is not None and region not in known:
            if self.parent is not None and region not in self._own:
                break
            below.append(region)
            region = region.up
        around = NO_HEADERS if region is None else known.get(region, NO_HEADERS)
        for inner in reversed(below):
            around = known[inner] = {**around, **inner.headers} if inner.headers else around
        return around

    def context(self, position: int) -> Hashable:
        """Return what intents must share to be merged, but for their policies."""
        overrides = self._override_chain(self.home(position))
        return self.options.get(position), overrides, frozenset(self.headers(position).items())

    def _override_chain(self, home: Region) -> int:
        """Return a number for the overrides around a region: the same ones have the same number."""
        known, below = self._overrides_around, list[Region]()
        region: Region | None = home
        while region not in known and region is not None:
            below.append(region)
            region = region.up
        number = known[region]
        for inner in reversed(below):
            if inner.overrides:
                chain_ = (id(inner.overrides), number)
                number = self._override_chains.setdefault(chain_, len(self._override_chains) + 1)
            known[inner] = number
        return number

    @property
    def uniform(self) -> bool:
        """True if the same policies, overrides and headers are around all intents."""
        size = len(self.intents)
        return not self.has_headers and all(
            start == 0 and end == size for start, end, region in self.spans if _decides(region)
        )

    def batch_key(self, position: int, *, headers: bool) -> Hashable:
        """Return what the members of a batch share: the region that decides about them.

        Args:
            position: of a member.
            headers: whether the headers must be the same, too.
        """
        around = self._nearest_deciding(self.home(position))
        return around, frozenset(self.headers(position).items()) if headers else None

    def _nearest_deciding(self, home: Region) -> Region | None:
        """Return the nearest of a region and those around it that has policies or overrides."""
        known, below = self._deciding_regions, list[Region]()
        region: Region | None = home
        while region is not None and region not in known and not _decides(region):
            below.append(region)
            region = region.up
        found = known.get(region, region) if region is not None else None
        for inner in below:
            known[inner] = found
        return found

    def id_of(self, position: int) -> UUID:
        """Return the id it was emitted with, or one made now and kept."""
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

    def opened(self, regions: Iterable[Region]) -> None:
        """Note which regions around its intents the handlers of their causes have opened."""
        self._own = {*regions}

    def delivered_up_to(self, position: int) -> None:
        """Note that every allowed intent before ``position`` was run."""
        self.outcomes[:position] = self.outcomes[:position].translate(_DONE)

    def fail(self, position: int, error: BaseException) -> None:
        """Note an error."""
        self.errors[position] = error
        self.outcomes[position] = Outcome.FAILED

    def discard(self, attempt: Region, reason: object) -> None:
        """Discard what an attempt emitted."""
        attempt.discarded = reason
        self.discarded += [(i, r, attempt.cause) for i, r in Flat(attempt).discarded]

    def cut_back(self, region: Region, start: int, cause: int, reason: object) -> None:
        """Discard what the last attempt emitted into a region that attempts share."""
        if len(region) > start:
            self.discarded.append((region[start:], reason, cause))
            del region[start:]
        for at in [at for at in region.options or () if at >= start]:
            del region.options[at]  # type: ignore[union-attr]  # it has some

    def follow_ups(self, attempts: Sequence[Region] | None = None) -> Wave | None:
        """Return the next wave: what the attempts emitted, in the order of their causes.

        Args:
            attempts: some of them; None for all.
        """
        attempts = self.attempts if attempts is None else attempts
        if not attempts:
            return None
        chooses = unrecorded if self.recordings else None
        flat = Flat(Region("wave"))
        flat.intents, causes = [], list[int]()
        inside = {self.root, *(region for _, _, region in self.spans)}
        around: dict[Region, tuple[int, int, int]] = {}

        def outwards(region: Region) -> int:
            return around[region][2]

        for attempt in sorted(attempts, key=lambda region: region.cause):
            below, shift = Flat(attempt, keeps=_decided, chooses=chooses), len(flat.intents)
            self.discarded += [(i, r, attempt.cause) for i, r in below.discarded]
            if not below.intents:
                continue
            flat.intents += below.intents
            causes += _causes(attempt, len(below.intents))
            flat.options.update({at + shift: o for at, o in below.options.items()})
            flat.emissions.update({at + shift: e for at, e in below.emissions.items()})
            flat.spans += [(a + shift, b + shift, region) for a, b, region in below.spans]
            # Enclosures that were in force around the flush, and not around the emission.
            opened = list(takewhile(lambda region: region not in inside, chain(attempt.up)))
            for steps, region in enumerate(reversed(opened)):
                start = around.get(region, (shift, 0, 0))[0]
                around[region] = (start, len(flat.intents), -steps)
        if not flat.intents:
            return None
        own = {region for _, _, region in flat.spans}
        flat.spans += [(*around[region][:2], region) for region in sorted(around, key=outwards)]
        for start, end, region in self.spans:
            low, high = bisect_left(causes, start), bisect_left(causes, end)
            if low < high:
                flat.spans.append((low, high, region))
        classes = None if self.discarded else self.seen
        wave = Wave(self.number + 1, self.root, flat, parent=self, causes=causes, classes=classes)
        wave._own = own
        return wave

    def unfinished(self, *, interrupted: bool) -> Wave | None:
        """Return a wave of what failed or is pending, with the verdicts already given.

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
        wave.scheduled = self.scheduled
        wave.decided = self.decided
        wave.tries = {place[i]: n for i, n in self.tries.items() if i in place}
        wave._before = (self, again)
        wave._own = self._own
        return wave

    def restore(self) -> tuple[Wave, Sequence[int]] | None:
        """Note in the wave that this one is the rest of what became of it.

        Returns:
            That wave, and where the intents stand in it; None if this is the rest of none.
        """
        if self._before is None:
            return None
        wave, again = self._before
        for i, position in enumerate(again):
            wave.outcomes[position] = self.outcomes[i]
            wave.errors.pop(position, None)
        wave.errors.update({again[i]: error for i, error in self.errors.items()})
        wave.tries.update({again[i]: n for i, n in self.tries.items()})
        wave.interrupted.difference_update(again)
        wave.interrupted.update(again[i] for i in self.interrupted)
        wave.batches.update({again[i]: tuple(again[m] for m in b) for i, b in self.batches.items()})
        wave.discarded += [(intents, reason, again[at]) for intents, reason, at in self.discarded]
        return self._before

    def follow(self, parent: Wave, positions: Sequence[int]) -> None:
        """Have its causes in another wave.

        Args:
            parent: that wave.
            positions: where the causes stand in it, by where they stood before.
        """
        self.parent = parent
        self.causes = [positions[cause] for cause in self.causes]


def _decided(reason: object) -> object:
    """Return why a stretch of an attempt was discarded: its end has put reasons in place of stamps."""
    return None if reason is SEALED else reason


def chain(region: Region | None) -> Iterator[Region]:
    """Yield a region and those around it, outwards."""
    while region is not None:
        yield region
        region = region.up


def _causes(attempt: Region, size: int) -> list[int]:
    """Return the cause of each intent that was emitted into a region of attempts."""
    starts = attempt.starts
    if len(starts) == 1:
        return [attempt.cause] * size
    ends = [*(start for start, _ in starts[1:]), size]
    return [
        cause for (start, cause), end in zip(starts, ends, strict=True) for _ in range(start, end)
    ]


def _fill(homes: list[Region], around: list[tuple[int, Region]], until: int) -> None:
    """Note the homes up to a position, by what is around it, and leave the regions that end."""
    while around:
        end, region = around[-1]
        homes += [region] * (min(end, until) - len(homes))
        if end > until:
            return
        around.pop()


def _decides(region: Region) -> bool:
    return bool(region.policies or region.enclosures or region.overrides)


class _Judged:
    """The stretches where policies that judge by class were asked: an equal one around them need not be."""

    def __init__(self) -> None:
        self._done: dict[Any, list[tuple[int, int]]] = {}

    def gaps(self, policy: Any, start: int, end: int) -> list[tuple[int, int]]:
        """Return the stretches that no equal policy has judged, and note that one does now."""
        done = self._done.setdefault(policy, [])
        inside = list[tuple[int, int]]()
        while done and done[-1][0] >= start and done[-1][1] <= end:
            inside.append(done.pop())
        done.append((start, end))
        gaps, low = list[tuple[int, int]](), start
        for inner_start, inner_end in reversed(inside):
            if inner_start > low:
                gaps.append((low, inner_start))
            low = inner_end
        return [*gaps, (low, end)] if low < end else gaps


def _at(look: Callable[[int], Any], live: Any) -> Callable[[int], Any]:
    return lambda index: look(live[index])


def _live(outcomes: bytearray, start: int, end: int) -> Any:
    """Return the positions not dropped or merged, nor refused on arrival."""
    gone = outcomes.count(Outcome.DROPPED, start, end) + outcomes.count(Outcome.MERGED, start, end)
    gone += outcomes.count(Outcome.FAILED, start, end)
    if not gone:
        return range(start, end)
    if gone == end - start:
        return ()
    return [i for i in range(start, end) if outcomes[i] in (Outcome.PENDING, Outcome.HELD)]


def _holding(outcomes: bytearray, live: Any, start: int, end: int) -> Callable[[int], bool] | None:
    if not outcomes.count(Outcome.HELD, start, end):
        return None
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


# -- recorded before a COMMIT ---------------------------------------------------------------------


class Recording:
    """A wave that was decided, and recorded in a transaction, right before its COMMIT.

    Args:
        wave: which.
        segment: of the transaction.
        ledger: what policies have allowed, before the wave is decided.
    """

    def __init__(self, wave: Wave, segment: Segment, ledger: Ledger) -> None:
        self.wave = wave
        self.segment = segment
        self._ledger = ledger
        self._before = {seat: len(allowed) for seat, allowed in ledger.items()}

    @property
    def holds(self) -> bool:
        """False if the transaction was rolled back after all."""
        return self.segment.fate is not Fate.ROLLED_BACK

    def undo(self) -> None:
        """Take back what policies have allowed since: none of it has happened."""
        for seat, allowed in self._ledger.items():
            del allowed[self._before.get(seat, 0) :]


def holding(recordings: list[Recording]) -> list[Wave]:
    """Return the waves that were recorded, and undo those whose transactions were rolled back."""
    while recordings and not recordings[-1].holds:
        recordings.pop().undo()
    return [recording.wave for recording in recordings if recording.holds]
