"""Which emissions meet an expectation: a search with backtracking, and a matching of single ones.

A *way* to meet an expectation is a set of emissions. Ways are tried with the earliest emissions and
the most repetitions first, so that the first way is nearly always the one that is meant. Where only
single effects are expected, in any order, no search is needed: see ``Assignment``.

The search is complete: it finds a way if there is one, unless it takes more than ``BUDGET`` steps.
It passes over ways that are no better for the rest of the expectation than one it has tried: they
leave off at the same emission, and take as much of what other parts might want.

What a ``never`` speaks of: in ``in_order`` the emissions between what its neighbours take (from
where the ``in_order`` may begin, if it comes first; to the very end, if it comes last); elsewhere
all emissions from there on, whoever takes them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations
from operator import or_
from typing import Any

import attrs

from airlock.testing.assignment import Assignment, demands
from airlock.testing.expectations import (
    AnyOrder,
    Expectation,
    InOrder,
    Leaf,
    Never,
    Times,
)
from airlock.testing.ways import Way, chained, fresh_ones, runs, way_of

__all__ = ["Search"]

BUDGET = 100_000
"""How many steps a search may take; expectations that overlap without end would take for ever."""


@attrs.frozen
class Step:
    """A part of an ``any_order``, and the emissions that others of its parts fit, as bits.

    Attributes:
        part: what is expected.
        beside: what all the others fit.
        later: what those fit whose turn comes later.
    """

    part: Expectation
    beside: int
    later: int


class Search:
    """The ways to meet an expectation with some emissions.

    Args:
        intents: what was emitted, in order.

    Attributes:
        exhausted: whether it was given up after ``BUDGET`` steps.
        steps: how many it took.
    """

    def __init__(self, intents: Sequence[Any]) -> None:
        self.intents = intents
        self.exhausted = False
        self.steps = 0
        self._fitting: dict[int, tuple[Leaf, list[int]]] = {}
        self._plans: dict[int, tuple[AnyOrder, list[Step]]] = {}

    def fitting(self, leaf: Leaf) -> list[int]:
        """The indices of all emissions that fit a leaf."""
        if id(leaf) not in self._fitting:
            found = [i for i, intent in enumerate(self.intents) if leaf.accepts(intent)]
            self._fitting[id(leaf)] = (leaf, found)
        return self._fitting[id(leaf)][1]

    def assigned(self, expected: Expectation, start: int = 0, taken: int = 0) -> Assignment:
        """How far an expectation can be met, order aside."""
        wanted = demands(expected)
        return Assignment(wanted, [self._free(demand.leaf, start, taken) for demand in wanted])

    def best(self, expectation: Expectation, *, all_of_it: bool) -> Way | None:
        """A way to meet it; None if there is none.

        Args:
            expectation: what is expected.
            all_of_it: the way that takes the most.
        """
        found: Way | None = None
        most = len(self.assigned(expectation).all_taken()) if all_of_it else 0
        for way in self.ways(expectation, 0, 0, 0):
            if found is None or way.taken.bit_count() > found.taken.bit_count():
                found = way
            if found.taken.bit_count() >= most:
                break
        return found

    def ways(self, expected: Expectation, start: int, taken: int, wanted: int) -> Iterator[Way]:
        """The ways to meet it with emissions from ``start`` on that are not taken.

        Args:
            expected: what is expected.
            start: index of the first emission that it may take.
            taken: those that it may not, as a set of bits.
            wanted: those that parts beside it might take as well, which may make them differ.
        """
        for way in self._ways(expected, start, taken, wanted):
            self.steps += 1
            if self.steps > BUDGET:
                self.exhausted = True
                return
            yield way

    def _ways(self, expected: Expectation, start: int, taken: int, wanted: int) -> Iterator[Way]:
        if isinstance(expected, Leaf):
            for i in self._free(expected, start, taken):
                yield Way(i, i + 1, taken | 1 << i)
        elif isinstance(expected, Times):
            yield from self._times(expected, start, taken, wanted)
        elif isinstance(expected, InOrder):
            yield from self._in_order(expected.parts, start, taken, wanted)
        elif isinstance(expected, AnyOrder):
            yield from self._any_order(expected, start, taken, wanted)
        elif isinstance(expected, Never):
            if not self._banned([expected], start, len(self.intents)):
                yield Way(None, start, taken)
        else:  # one of its parts
            for part in expected.parts:
                yield from self.ways(part, start, taken, wanted)

    def _free(self, leaf: Leaf, start: int, taken: int) -> list[int]:
        fitting = self.fitting(leaf)
        return [i for i in fitting[bisect_left(fitting, start) :] if not taken >> i & 1]

    def _banned(self, bans: Sequence[Never], start: int, end: int) -> bool:
        found = (self.fitting(ban.part) for ban in bans)
        return any(bisect_left(each, start) < bisect_left(each, end) for each in found)

    # -- several times ----------------------------------------------------------------------------

    def _times(self, times: Times, start: int, taken: int, wanted: int) -> Iterator[Way]:
        if isinstance(times.part, Leaf):
            return self._counts(times.part, times, start, taken, wanted)
        return self._repeated(times, start, taken, wanted)

    def _counts(
        self, leaf: Leaf, times: Times, start: int, taken: int, wanted: int
    ) -> Iterator[Way]:
        """The earliest; then without some of those that are wanted elsewhere."""
        free = self._free(leaf, start, taken)
        elsewhere = [i for i in free if wanted >> i & 1]
        for count in range(len(elsewhere) + 1):
            for left in map(set, combinations(elsewhere, count)):
                rest = [i for i in free if i not in left]
                yield from runs(rest, times, start, taken)

    def _repeated(self, times: Times, start: int, taken: int, wanted: int) -> Iterator[Way]:
        """The part again and again; the most repetitions first."""

        def follow(done: int, before: Way) -> Iterator[Way]:
            for way in self.ways(times.part, before.end, before.taken, wanted):
                if way.first is not None or done < times.at_least:
                    yield way.after(before)

        limit = len(self.intents) if times.at_most is None else times.at_most
        most = max(limit, times.at_least)
        nothing = Way(None, start, taken)
        yield from chained(times.at_least, most, nothing, fresh_ones(follow, lambda _: wanted))

    # -- several parts ----------------------------------------------------------------------------

    def _in_order(
        self, parts: Sequence[Expectation], start: int, taken: int, wanted: int
    ) -> Iterator[Way]:
        """Each part after the one before; a ``never`` waits for what comes next."""

        def follow(index: int, before: Way) -> Iterator[Way]:
            part = parts[index]
            if isinstance(part, Never):
                yield attrs.evolve(before, bans=(*before.bans, part))
                return
            for way in self.ways(part, before.end, before.taken, wanted):
                if way.first is None:
                    yield before
                elif not self._banned(before.bans, before.end, way.first):
                    yield way.after(before)

        count, nothing = len(parts), Way(None, start, taken)
        for way in chained(count, count, nothing, fresh_ones(follow, lambda _: wanted)):
            if not self._banned(way.bans, way.end, len(self.intents)):
                yield attrs.evolve(way, bans=())

    def _any_order(self, expected: AnyOrder, start: int, taken: int, wanted: int) -> Iterator[Way]:
        nevers = [part for part in expected.parts if isinstance(part, Never)]
        if self._banned(nevers, start, len(self.intents)):
            return
        assignment = self.assigned(expected, start, taken)
        if not assignment.enough:  # no search can help
            return
        steps = self._planned(expected)
        if all(isinstance(step.part, Leaf) or _counted(step.part) for step in steps):
            yield way_of(sorted(assignment.all_taken()), start, taken)

        def follow(index: int, before: Way) -> Iterator[Way]:
            step = steps[index]
            for way in self.ways(step.part, start, before.taken, wanted | step.beside):
                yield way.after(before)

        count, nothing = len(steps), Way(None, start, taken)
        fresh = fresh_ones(follow, lambda index: wanted | steps[index].later)
        yield from chained(count, count, nothing, fresh)

    def _planned(self, expected: AnyOrder) -> list[Step]:
        """Its parts, but for nevers; those with few choices choose first."""
        if id(expected) not in self._plans:
            parts = [part for part in expected.parts if not isinstance(part, Never)]
            parts.sort(key=lambda part: self._fits(part).bit_count())
            fits = [self._fits(part) for part in parts]
            before = list(accumulate(fits, or_, initial=0))
            after = list(accumulate(reversed(fits), or_, initial=0))[-2::-1]
            steps = [Step(p, b | a, a) for p, b, a in zip(parts, before, after, strict=False)]
            self._plans[id(expected)] = (expected, steps)
        return self._plans[id(expected)][1]

    def _fits(self, part: Expectation) -> int:
        """What the leaves of a part fit, as a set of bits."""
        fitting = (self.fitting(demand.leaf) for demand in demands(part))
        return sum(1 << i for i in set().union(*fitting))


def _counted(part: Expectation) -> bool:
    return isinstance(part, Times) and isinstance(part.part, Leaf)
