"""Ways to meet an expectation, and how longer ones are found from shorter ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import or_

import attrs

from airlock.testing.expectations import Never, Times

__all__ = ["Follow", "Way", "chained", "fresh_ones", "runs", "way_of"]


@attrs.frozen
class Way:
    """One way to meet an expectation.

    Attributes:
        first: index of the first emission it takes; None if it takes none.
        end: index after the last one.
        taken: all that are taken, by it and by what was met before, as a set of bits.
        bans: in an ``in_order``, what must not stand between ``end`` and what comes next.
    """

    first: int | None
    end: int
    taken: int
    bans: tuple[Never, ...] = attrs.field(default=(), eq=False)

    @property
    def indices(self) -> list[int]:
        """All that are taken."""
        return [i for i, bit in enumerate(reversed(f"{self.taken:b}")) if bit == "1"]

    def after(self, before: Way) -> Way:
        """Both, as one."""
        firsts = [first for first in (before.first, self.first) if first is not None]
        return Way(min(firsts, default=None), max(before.end, self.end), self.taken)


Follow = Callable[[int, Way], Iterator[Way]]
"""How to go on: given how many steps were done, and the way so far."""


def way_of(chosen: Sequence[int], start: int, taken: int) -> Way:
    """The way that takes some emissions, given by their indices in order."""
    if not chosen:
        return Way(None, start, taken)
    return Way(chosen[0], chosen[-1] + 1, taken | sum(1 << i for i in chosen))


def runs(free: Sequence[int], times: Times, start: int, taken: int) -> Iterator[Way]:
    """The earliest ones, the most first; then those that end later."""
    bits = list(accumulate((1 << i for i in free), or_, initial=taken))
    most = len(free) if times.at_most is None else min(len(free), times.at_most)
    for count in range(most, times.at_least - 1, -1):
        yield Way(free[0], free[count - 1] + 1, bits[count]) if count else Way(None, start, taken)
    if most >= times.at_least:
        for last in free[most:]:
            yield Way(free[0] if most > 1 else last, last + 1, bits[most - 1] | 1 << last)


def chained(least: int, most: int, before: Way, follow: Follow) -> Iterator[Way]:
    """All ways of so many steps, longer ones first; with a stack of our own: there may be hundreds."""
    stack = [(before, follow(0, before) if most else iter(()))]
    while stack:
        way, further = stack[-1]
        longer = next(further, None)
        if longer is not None:
            done = len(stack)
            stack.append((longer, follow(done, longer) if done < most else iter(())))
            continue
        stack.pop()
        if len(stack) >= least:
            yield way


def fresh_ones(follow: Follow, wanted: Callable[[int], int]) -> Follow:
    """Without ways that are no better than one that was tried.

    Args:
        follow: gives the ways to go on.
        wanted: after so many steps, what others might take as well, as bits: it has to be the same.
    """
    tried: dict[object, int] = {}

    def fresh(done: int, before: Way) -> Iterator[Way]:
        for way in follow(done, before):
            key = (done, way.first, way.end, way.bans, way.taken & wanted(done))
            if tried.get(key, -1) < way.taken.bit_count():
                tried[key] = way.taken.bit_count()
                yield way

    return fresh
