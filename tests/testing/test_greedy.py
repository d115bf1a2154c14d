"""Emissions are taken greedily: what is found meets the expectation, and it is found soon.

What may meet an expectation is found here again, by trying everything: see ``taken_by``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airlock.testing import any_order, gt, in_order, like, lt, never, one_of
from airlock.testing.algebra import expectation_of
from airlock.testing.expectations import (
    AnyOrder,
    Expectation,
    InOrder,
    Leaf,
    Never,
    OneOf,
    Times,
)
from airlock.testing.greedy import Matching
from tests.testing.vocabulary import NotifyWarehouse, SendEmail

# -- every way there is ---------------------------------------------------------------------------

Taken = frozenset[int]
A, B, C = map(NotifyWarehouse, (1, 2, 3))


class Oracle:
    """Every set of emissions that meets an expectation, found by trying them all."""

    def __init__(self, intents: Sequence[Any]) -> None:
        self._intents = intents
        self._known: dict[object, set[Taken]] = {}

    def taken_by(self, expected: Expectation, start: int = 0) -> set[Taken]:
        """The sets it may take of the emissions from ``start`` on."""
        key = (id(expected), start)
        if key not in self._known:
            self._known[key] = self._tried(expected, start)
        return self._known[key]

    def _tried(self, expected: Expectation, start: int) -> set[Taken]:
        if isinstance(expected, Leaf):
            return {frozenset([i]) for i in self._fitting(expected, start)}
        if isinstance(expected, Never):
            return set() if self._fitting(expected.part, start) else {frozenset()}
        if isinstance(expected, OneOf):
            return set().union(*(self.taken_by(part, start) for part in expected.parts))
        if isinstance(expected, Times):
            counts = self._counts(expected)
            return set().union(*(self._in_a_row([expected.part] * n, start) for n in counts))
        if isinstance(expected, InOrder):
            return self._in_a_row(expected.parts, start)
        return self._beside(expected.parts, start)

    def _fitting(self, leaf: Leaf, start: int, end: int | None = None) -> list[int]:
        indices = range(start, len(self._intents) if end is None else end)
        return [i for i in indices if leaf.accepts(self._intents[i])]

    def _counts(self, times: Times) -> range:
        most = len(self._intents) if times.at_most is None else times.at_most
        return range(times.at_least, max(most, times.at_least) + 1)

    def _in_a_row(
        self, parts: Sequence[Expectation], start: int, bans: tuple[Never, ...] = ()
    ) -> set[Taken]:
        """One part wholly after the other; nothing that is banned between two that take any."""
        key = (*map(id, parts), start, bans)
        if key not in self._known:
            self._known[key] = self._one_by_one(parts, start, bans)
        return self._known[key]

    def _one_by_one(
        self, parts: Sequence[Expectation], start: int, bans: tuple[Never, ...]
    ) -> set[Taken]:
        if not parts:
            clean = not any(self._fitting(ban.part, start) for ban in bans)
            return {frozenset()} if clean else set()
        part, rest = parts[0], parts[1:]
        if isinstance(part, Never):
            return self._in_a_row(rest, start, (*bans, part))
        found: set[Taken] = set()
        for taken in self.taken_by(part, start):
            if not taken:
                found |= self._in_a_row(rest, start, bans)
            elif not any(self._fitting(ban.part, start, min(taken)) for ban in bans):
                found |= {taken | more for more in self._in_a_row(rest, max(taken) + 1)}
        return found

    def _beside(self, parts: Sequence[Expectation], start: int) -> set[Taken]:
        """No two of them take the same one."""
        sets = product(*(self.taken_by(part, start) for part in parts))
        return {
            frozenset().union(*chosen)
            for chosen in sets
            if len(frozenset().union(*chosen)) == sum(map(len, chosen))
        }


# -- small expectations of every shape ------------------------------------------------------------

leaves = st.sampled_from([A, B, C, NotifyWarehouse]).map(
    lambda given: expectation_of(given, "")
) | (st.sampled_from([gt, lt]).map(lambda matcher: like(NotifyWarehouse, order_id=matcher(2))))


@st.composite
def expectations(draw: st.DrawFn, size: int = 4) -> Expectation:
    """Of at most ``size`` leaves."""
    shape = draw(st.sampled_from(["leaf", "times", "never"] + ["several"] * 4 * (size > 1)))
    if shape == "leaf":
        return draw(leaves)
    if shape == "never":
        return Never(draw(leaves))  # type: ignore[arg-type]
    if shape == "times":
        return draw(repeated(expectations(size=size)))
    kind = draw(st.sampled_from([InOrder, InOrder, AnyOrder, AnyOrder, OneOf]))
    return kind(*draw(divided(size)))


@st.composite
def repeated(draw: st.DrawFn, parts: st.SearchStrategy[Expectation]) -> Expectation:
    part = draw(parts.filter(lambda part: not isinstance(part, Never)))
    at_least = draw(st.integers(0, 2))
    return part.times(at_least, draw(st.none() | st.integers(max(at_least, 1), 3)))


@st.composite
def divided(draw: st.DrawFn, size: int) -> list[Expectation]:
    """Several, of ``size`` leaves together."""
    first = draw(st.integers(1, size - 1))
    sizes = [first, size - first]
    if sizes[1] > 1 and draw(st.booleans()):
        sizes[1:] = [1, size - first - 1]
    return [draw(expectations(size=each)) for each in sizes]


emissions = st.lists(st.sampled_from([A, B, C]), max_size=5)


def taken(expected: Expectation, intents: Sequence[Any]) -> Taken | None:
    found = Matching(intents).meet(expected)
    return None if found is None else frozenset(found)


@settings(max_examples=400, deadline=None)
@given(expectations(), emissions)
@example(in_order(A, never(B), like(C).optional(), A), [A, B, A])
@example(in_order(like(C).times(1), never(B)), [C, B, C])
@example(in_order(like(A).times(1, None), in_order(like(B).optional(), C)), [A, B, A, C])
@example(any_order(like(NotifyWarehouse).times(2), in_order(A, B)), [A, A, B, B])
@example(in_order(one_of(A, in_order(A, B)), C), [A, B, C])
@example(in_order(like(A).optional(), never(B), like(A).optional(), C), [A, B, C])
def test_what_is_taken_meets_the_expectation(expected: Expectation, intents: list[Any]) -> None:
    """No test passes that should fail."""
    found = taken(expected, intents)
    assert found is None or found in Oracle(intents).taken_by(expected)


whole_values = st.sampled_from([A, B, C, NotifyWarehouse]).map(lambda v: expectation_of(v, ""))


@settings(max_examples=200, deadline=None)
@given(st.lists(whole_values, min_size=1, max_size=4), emissions, st.data())
def test_values_and_classes_are_found_if_they_are_there(
    parts: list[Expectation], intents: list[Any], data: st.DataObject
) -> None:
    """In any order or in order, however often and however they are written."""
    kind = data.draw(st.sampled_from([AnyOrder, InOrder]))
    repeated_parts = [part.times(data.draw(st.integers(1, 2))) for part in parts]
    expected = kind(*repeated_parts)
    assert (taken(expected, intents) is None) == (not Oracle(intents).taken_by(expected))


# -- which ones, where there are several ----------------------------------------------------------


def way(expected: Expectation, *order_ids: int) -> list[int] | None:
    return Matching([NotifyWarehouse(i) for i in order_ids]).meet(expected)


def test_the_earliest_emissions_are_taken_first() -> None:
    assert way(in_order(NotifyWarehouse, NotifyWarehouse), 1, 2, 3) == [0, 1]


def test_what_may_be_there_besides_is_taken_too() -> None:
    assert way(like(NotifyWarehouse).times(1, 3), 1, 2, 3, 4) == [0, 1, 2]
    assert way(in_order(A, B).times(0, None), 1, 2, 1, 2, 1) == [0, 1, 2, 3]
    assert way(in_order(A, like(B).optional()).times(0, None), 1, 2, 1, 2) == [0, 1, 2, 3]


def test_what_is_required_comes_before_what_is_not() -> None:
    assert way(any_order(like(A).optional(), A), 1) == [0]
    assert way(in_order(like(NotifyWarehouse).times(1, None), C), 1, 2, 3) == [0, 1, 2]
    assert way(in_order(like(NotifyWarehouse).optional(), C), 3) == [0]


def test_the_most_specific_part_chooses_first() -> None:
    """However they are written; a value before its class, one matcher before a wider one."""
    assert way(any_order(NotifyWarehouse, A), 1, 2) == [0, 1]
    assert way(any_order(like(NotifyWarehouse).times(1), in_order(A, B)), 1, 2, 3) == [0, 1, 2]
    wide, narrow = (like(NotifyWarehouse, order_id=gt(bound)) for bound in (0, 1))
    assert way(any_order(wide, narrow), 2, 1) == [0, 1]


def test_repetitions_leave_to_others_what_these_need() -> None:
    emails = [SendEmail("ada@example.org")] * 4
    expected = any_order(like(NotifyWarehouse).times(2), in_order(A, SendEmail))
    assert taken(expected, [A, B, C, *emails]) == frozenset(range(4))


def test_one_of_is_its_first_part_that_can_be_met() -> None:
    assert way(one_of(in_order(A, C), A), 1, 2) == [0]
    assert way(one_of(A, in_order(A, B)), 1, 2) == [0]


def test_a_choice_is_never_reconsidered() -> None:
    """Though another one would do; the page says so."""
    assert way(in_order(A, never(B), C), 1, 2, 1, 3) is None
    assert way(in_order(one_of(A, in_order(A, B)), never(B), C), 1, 2, 3) is None


def test_values_that_cannot_be_looked_up_are_found_too() -> None:
    """Neither a matcher nor what holds one has a hash."""
    order_id: Any = gt(1)
    assert way(any_order(NotifyWarehouse(order_id), A), 1, 2) == [0, 1]
    assert way(like(NotifyWarehouse, order_id=True).times(1), 2, 1) == [1]


# -- large ones -----------------------------------------------------------------------------------


def many(count: int) -> list[NotifyWarehouse]:
    return [NotifyWarehouse(i) for i in range(count)]


def calls(expected: Expectation, intents: Sequence[Any], *, met: bool) -> int:
    """How many functions the matching calls, those in C too."""
    count = 0

    def counting(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        found = Matching(intents).meet(expected)
    finally:
        sys.setprofile(before)
    assert (found is not None) == met
    return count


LARGE: dict[str, Any] = {
    "values": lambda n: (any_order(*many(n)), many(n)[::-1], True),
    "values, one missing": lambda n: (any_order(*many(n)), many(n - 1), False),
    "equal values": lambda n: (any_order(*[A] * n), [A] * n, True),
    "classes": lambda n: (any_order(*[NotifyWarehouse] * n), many(n), True),
    "fields": lambda n: (
        any_order(*[like(NotifyWarehouse, urgent=False, order_id=i) for i in range(n)]),
        many(n),
        True,
    ),
    "values in order": lambda n: (in_order(*many(n)), many(n), True),
    "values in the wrong order": lambda n: (in_order(*many(n)), many(n)[::-1], False),
    "a class many times": lambda n: (like(NotifyWarehouse).times(n), many(n), True),
    "without a limit": lambda n: (like(NotifyWarehouse).times(0, None), many(n), True),
    "several, many times": lambda n: (in_order(A, B).times(n // 2), [A, B] * (n // 2), True),
    "overlaps in the wrong order": lambda n: (
        in_order(*[NotifyWarehouse] * (n // 2), SendEmail),
        [SendEmail("ada@example.org"), *many(n)],
        False,
    ),
    "pairs": lambda n: (
        any_order(*[in_order(NotifyWarehouse, NotifyWarehouse) for _ in range(n // 2)]),
        many(n),
        True,
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_cost_grows_with_the_number_of_emissions(name: str) -> None:
    few, lots = (calls(*LARGE[name](n)[:2], met=LARGE[name](n)[2]) for n in (250, 1_000))
    assert lots < 5 * few


def test_parts_may_be_nested() -> None:
    part: Expectation = expectation_of(A, "")
    for _ in range(100):
        part = in_order(part)
    assert taken(part, [B, A]) == frozenset({1})
