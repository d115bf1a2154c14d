"""The matching of emissions to an expectation: greedy, in emission order, never reconsidered.

1. What is required comes first; what may be there besides (``optional()``, the upper limit of
   ``times``) takes from what is left.
2. In ``any_order``, and so in ``saw`` and ``expect_effects``, the most specific part chooses first:
   the one that the fewest emissions fit; of two alike, the one that is written first.
3. Each single expectation takes the earliest emission that fits it and that no other has;
   ``one_of`` is its first part that can be met.

What is found always meets the expectation. Where parts of several effects overlap, a cleverer
choice might meet what this one does not; more specific parts help.

The range of a ``never``: in ``in_order`` the emissions between what its neighbours take (from
where the ``in_order`` may begin, if it comes first; to the very end, if it comes last); elsewhere
all emissions from there on, whoever takes them.
"""

from __future__ import annotations

import datetime as dt
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import attrs

from airlock.testing.expectations import (
    AnyOrder,
    Exact,
    Expectation,
    InOrder,
    Leaf,
    Like,
    Never,
    OneOf,
    Times,
)

__all__ = ["Demand", "Matching"]

PLAIN = frozenset(
    (bool, bytes, Decimal, dt.date, dt.datetime, dt.timedelta, float, int, str, type(None), uuid.UUID)
)  # fmt: skip
"""Types whose values are only equal to values of the same hash, so that they can be looked up."""


# -- which emissions fit a single expectation -----------------------------------------------------


class Lookup:
    """Indices by value.

    Args:
        pairs: index and value; a value without a hash may be equal to anything.
    """

    def __init__(self, pairs: Iterable[tuple[int, Any]]) -> None:
        self._found: dict[Any, list[int]] = {}
        self._unhashable: list[int] = []
        for index, value in pairs:
            try:
                self._found.setdefault(value, []).append(index)
            except TypeError:
                self._unhashable.append(index)

    def of(self, value: Any) -> list[int]:
        """Return the indices of what may be equal to a value, ascending."""
        found = self._found.get(value, [])
        return sorted(found + self._unhashable) if self._unhashable else found


class Fitting:
    """The emissions that fit single expectations.

    Args:
        intents: what was emitted, in order.
    """

    def __init__(self, intents: Sequence[Any]) -> None:
        self._intents = intents
        self._values: Lookup | None = None
        self._fields: dict[tuple[type[Any], str], Lookup] = {}
        self._classes: dict[type[Any], list[int]] = {}
        self._known: dict[Any, tuple[Leaf, list[int]]] = {}

    def of(self, leaf: Leaf) -> list[int]:
        """Return the indices of the emissions that fit, ascending; of equal leaves the same list."""
        key = _key(leaf)
        if key not in self._known:
            among = self._candidates(leaf, by_value=not isinstance(key, int))
            bare = isinstance(leaf, Like) and not leaf.expected
            fit = among if bare else [i for i in among if leaf.accepts(self._intents[i])]
            self._known[key] = leaf, fit
        return self._known[key][1]

    def _candidates(self, leaf: Leaf, *, by_value: bool) -> list[int]:
        if isinstance(leaf, Like):
            plain = {n: v for n, v in leaf.expected.items() if type(v) in PLAIN}
            found = [self._field(leaf, name).of(value) for name, value in plain.items()]
            return min([self._class(leaf.cls), *found], key=len)
        if not isinstance(leaf, Exact):
            return list(range(len(self._intents)))
        if not by_value:
            return self._class(type(leaf.intent))
        if self._values is None:
            self._values = Lookup(enumerate(self._intents))
        return self._values.of(leaf.intent)

    def _class(self, cls: type[Any]) -> list[int]:
        if cls not in self._classes:
            intents = enumerate(self._intents)
            self._classes[cls] = [i for i, intent in intents if isinstance(intent, cls)]
        return self._classes[cls]

    def _field(self, leaf: Like, name: str) -> Lookup:
        key = leaf.cls, name
        if key not in self._fields:
            got = ((i, leaf.got(self._intents[i], name)) for i in self._class(leaf.cls))
            self._fields[key] = Lookup(got)
        return self._fields[key]


def _key(leaf: Leaf) -> Any:
    """Return what is the same of leaves that fit the same emissions."""
    if isinstance(leaf, Exact):
        try:
            hash(leaf.intent)
        except TypeError:  # a matcher is in it
            return id(leaf)
        return leaf.intent
    if isinstance(leaf, Like) and all(type(value) in PLAIN for value in leaf.expected.values()):
        return (leaf.cls, *leaf.expected.items())
    return id(leaf)


# -- which part takes which emission --------------------------------------------------------------


@attrs.define(eq=False)
class Taken:
    """The emissions that a part has taken.

    Attributes:
        part: of the expectation.
        first: index of the first emission that it or a part of it has; None if they have none.
        end: index after the last one, or where it began.
        parts: what its own parts have taken.
    """

    part: Expectation
    first: int | None
    end: int
    parts: list[Taken] = attrs.Factory(list)

    def add(self, other: Taken) -> None:
        """Let a part have taken this too."""
        self.parts.append(other)
        self.widen(other)

    def widen(self, other: Taken) -> None:
        """Count what a part has as its own."""
        if other.first is not None:
            self.first = other.first if self.first is None else min(self.first, other.first)
            self.end = max(self.end, other.end)


@attrs.frozen(eq=False)
class Demand:
    """The number of times that a single expectation is wanted.

    Attributes:
        leaf: what.
        at_least: how often, wherever it stands.
        at_most: None for no limit.
    """

    leaf: Leaf
    at_least: int
    at_most: int | None


class Matching:
    """Emissions, and what expectations take of them.

    Args:
        intents: what was emitted, in order.
    """

    def __init__(self, intents: Sequence[Any]) -> None:
        self._intents = intents
        self._fitting = Fitting(intents)
        self._bans = True
        self._begin()

    def _begin(self) -> None:
        self._taken: list[int] = []
        self._free = bytearray(b"\1") * len(self._intents)
        self._passed: dict[tuple[int, int], int] = {}

    def fitting(self, leaf: Leaf) -> list[int]:
        """Return the indices of all emissions that fit a single expectation."""
        return self._fitting.of(leaf)

    def meet(self, expected: Expectation, *, bans: bool = True) -> list[int] | None:
        """Return the indices of the emissions that an expectation takes, None if it is not met.

        Args:
            expected: the whole of it.
            bans: whether a ``never`` counts.
        """
        self._begin()
        self._bans = bans
        met = self._place(expected, 0)
        if met is None:
            return None
        self._extend(met, 0, len(self._intents))
        return sorted(self._taken)

    def share(self, expected: Expectation) -> list[tuple[Demand, list[int]]]:
        """Return what each single expectation gets, whatever the order, also if that is too little."""
        self._begin()
        wanted = _demands(expected)
        shares: list[tuple[Demand, list[int]]] = [(demand, []) for demand in wanted]
        chosen = sorted(shares, key=lambda share: len(self.fitting(share[0].leaf)))
        for demand, got in chosen:
            self._fill(got, demand.leaf, demand.at_least)
        for demand, got in chosen:
            self._fill(got, demand.leaf, demand.at_most)
        return shares

    def _fill(self, got: list[int], leaf: Leaf, limit: int | None) -> None:
        while limit is None or len(got) < limit:
            index = self._take(leaf, 0)
            if index is None:
                return
            got.append(index)

    # -- single emissions -------------------------------------------------------------------------

    def _take(self, leaf: Leaf, start: int, end: int | None = None) -> int | None:
        """Take the earliest emission that fits and is free."""
        fitting = self.fitting(leaf)
        key = id(fitting), start  # leaves that fit the same pass over what the others took
        at = self._passed.get(key)
        if at is None:
            at = bisect_left(fitting, start)
        while at < len(fitting) and not self._free[fitting[at]]:
            at += 1
        self._passed[key] = at
        if at == len(fitting) or (end is not None and fitting[at] >= end):
            return None
        self._free[fitting[at]] = False
        self._taken.append(fitting[at])
        return fitting[at]

    def _put_back(self, count: int) -> None:
        """Free what was taken after the first ``count``."""
        if len(self._taken) > count:
            for index in self._taken[count:]:
                self._free[index] = True
            del self._taken[count:]
            self._passed.clear()

    def _banned(self, bans: Sequence[Never], start: int, end: int) -> bool:
        found = (self.fitting(ban.part) for ban in bans if self._bans)
        return any(bisect_left(each, start) < bisect_left(each, end) for each in found)

    # -- what is required -------------------------------------------------------------------------

    def _place(self, part: Expectation, start: int, end: int | None = None) -> Taken | None:
        """Take what a part needs from the emissions from ``start`` on; nothing if it is not met."""
        if isinstance(part, Leaf):
            index = self._take(part, start, end)
            return None if index is None else Taken(part, index, index + 1)
        if isinstance(part, Never):
            banned = self._banned([part], start, len(self._intents))
            return None if banned else Taken(part, None, start)
        before, met = len(self._taken), Taken(part, None, start)
        if isinstance(part, Times):
            enough = all(self._placed(met, part.part, met.end) for _ in range(part.at_least))
        elif isinstance(part, InOrder):
            enough = self._in_order(met, part)
        elif isinstance(part, AnyOrder):
            parts = sorted(part.parts, key=self._choices)
            enough = all(self._placed(met, each, start) for each in parts)
        else:  # one of them
            enough = any(self._placed(met, each, start) for each in part.parts)
        if not enough:
            self._put_back(before)
        return met if enough else None

    def _in_order(self, met: Taken, expected: InOrder) -> bool:
        bans: list[Never] = []
        for part in expected.parts:
            if isinstance(part, Never):
                bans.append(part)
                continue
            end = met.end
            if not self._placed(met, part, end):
                return False
            first = met.parts[-1].first
            if first is not None:
                if self._banned(bans, end, first):
                    return False
                bans = []
        return not self._banned(bans, met.end, len(self._intents))

    def _placed(self, met: Taken, part: Expectation, start: int) -> bool:
        placed = self._place(part, start)
        if placed is None:
            return False
        met.add(placed)
        return True

    def _choices(self, part: Expectation) -> tuple[int, int]:
        """Return how many emissions fit the most specific leaf of a part, and how many fit all."""
        counts = [len(self.fitting(demand.leaf)) for demand in _demands(part)]
        return min(counts, default=0), sum(counts)

    # -- what may be there besides ----------------------------------------------------------------

    def _extend(self, met: Taken, start: int, limit: int) -> None:
        """Take what a part may have besides, from the emissions between."""
        if isinstance(met.part, Times):
            self._repeat(met, met.part, max(start, met.end), limit)
        ordered = isinstance(met.part, InOrder | Times)
        limits = [limit]
        for inner in reversed(met.parts[1:]):
            limits.append(inner.first if ordered and inner.first is not None else limits[-1])
        for inner, end in zip(met.parts, reversed(limits), strict=False):
            self._extend(inner, start, end)
            met.widen(inner)
            if ordered and inner.first is not None:
                start = inner.end

    def _repeat(self, met: Taken, times: Times, start: int, limit: int) -> None:
        while times.at_most is None or len(met.parts) < times.at_most:
            before = len(self._taken)
            again = self._place(times.part, start, limit)
            if again is None or again.first is None or again.end > limit:
                self._put_back(before)
                return
            met.add(again)
            start = again.end


def _demands(expected: Expectation, least: int = 1, most: int | None = 1) -> list[Demand]:
    """Return what an expectation asks for, order aside, as its leaves stand in it.

    A part of ``one_of`` is not necessary by itself.
    """
    if isinstance(expected, Leaf):
        return [Demand(expected, least, most)]
    if isinstance(expected, Never):
        return []
    if isinstance(expected, Times):
        limit = None if most is None or expected.at_most is None else most * expected.at_most
        return _demands(expected.part, least * expected.at_least, limit)
    if isinstance(expected, OneOf):
        least = 0
    return [demand for part in expected.parts for demand in _demands(part, least, most)]
