"""The search finds a way to meet an expectation if there is one, and the one that takes the most.

What a way is, is said again here, by trying everything: see ``taken_by``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from airlock.testing.search import BUDGET, Search
from tests.testing.vocabulary import ChargeCard, NotifyWarehouse, SendEmail

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


def taken(expected: Expectation, intents: Sequence[Any], *, all_of_it: bool) -> Taken | None:
    search = Search(intents)
    way = search.best(expected, all_of_it=all_of_it)
    assert not search.exhausted
    return None if way is None else frozenset(way.indices)


@settings(max_examples=400, deadline=None)
@given(expectations(), emissions)
@example(in_order(A, never(B), like(C).optional(), A), [A, B, A])
@example(in_order(like(C).times(1), never(B)), [C, B, C])
@example(in_order(A, B).times(2), [A, A, B, B, A, B])
@example(any_order(like(NotifyWarehouse).times(2), in_order(A, B)), [A, A, B, B])
@example(like(A).optional().times(2), [A])
@example(in_order(one_of(A, in_order(A, B)), C), [A, B, C])
@example(any_order(in_order(A, B), in_order(A, C)), [A, A, B, C])
@example(one_of(in_order(A, B, C), A).times(1, 3), [A, B, A])
@example(in_order(like(A).optional(), never(B), like(A).optional(), C), [A, B, C])
def test_a_way_is_found_if_there_is_one(expected: Expectation, intents: list[Any]) -> None:
    """And what it takes meets the expectation."""
    ways = Oracle(intents).taken_by(expected)
    found = taken(expected, intents, all_of_it=False)
    assert (found is None) == (not ways)
    assert found is None or found in ways


@settings(max_examples=400, deadline=None)
@given(expectations(), emissions)
@example(in_order(one_of(A, in_order(A, B)), C), [A, B, C])
@example(one_of(A, in_order(A, B), in_order(A, B, C)), [A, B, C])
@example(like(NotifyWarehouse).times(1, None), [A, B, C])
def test_all_of_it_takes_as_much_as_can_be_taken(expected: Expectation, intents: list[Any]) -> None:
    most = max(map(len, Oracle(intents).taken_by(expected)), default=None)
    found = taken(expected, intents, all_of_it=True)
    assert most == (None if found is None else len(found))


@settings(max_examples=300, deadline=None)
@given(st.lists(leaves, min_size=1, max_size=4), emissions, st.randoms(use_true_random=False))
def test_the_order_in_which_any_order_is_written_does_not_matter(
    parts: list[Expectation], intents: list[Any], random: Any
) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)
    met = [taken(AnyOrder(*each), intents, all_of_it=False) for each in (parts, shuffled)]
    assert (met[0] is None) == (met[1] is None)


# -- which way, where there are several -----------------------------------------------------------


def way(expected: Expectation, *order_ids: int) -> list[int]:
    found = Search([NotifyWarehouse(i) for i in order_ids]).best(expected, all_of_it=False)
    assert found is not None
    return found.indices


def test_the_earliest_emissions_are_taken_first() -> None:
    assert way(in_order(NotifyWarehouse, NotifyWarehouse), 1, 2, 3) == [0, 1]


def test_the_most_repetitions_are_taken_first() -> None:
    assert way(like(NotifyWarehouse).times(1, 3), 1, 2, 3, 4) == [0, 1, 2]
    assert way(in_order(A, B).times(0, None), 1, 2, 1, 2, 1) == [0, 1, 2, 3]


def test_what_others_need_is_left_to_them() -> None:
    assert way(any_order(NotifyWarehouse, A), 1, 2) == [0, 1]
    assert way(any_order(like(NotifyWarehouse).times(1), in_order(A, B)), 1, 2, 3) == [0, 1, 2]


def test_repetitions_leave_to_others_what_these_need() -> None:
    """Though they choose first, having fewer to choose from."""
    emails = [SendEmail("ada@example.org")] * 4
    expected = any_order(like(NotifyWarehouse).times(2), in_order(A, SendEmail))
    assert taken(expected, [A, B, C, *emails], all_of_it=False) == frozenset(range(4))


# -- large ones -----------------------------------------------------------------------------------


def steps(expected: Expectation, intents: Sequence[Any], *, found: bool = True) -> int:
    """How many steps the search takes."""
    search = Search(intents)
    assert (search.best(expected, all_of_it=True) is not None) == found
    assert not search.exhausted
    return search.steps


def many(count: int) -> list[NotifyWarehouse]:
    return [NotifyWarehouse(i) for i in range(count)]


def test_many_values_in_any_order_take_one_step() -> None:
    assert steps(any_order(*many(200)), many(200)[::-1]) == 1


def test_many_likes_that_overlap_take_one_step() -> None:
    """The first fits everything, the last one only."""
    parts = [like(NotifyWarehouse, order_id=gt(i - 1)) for i in range(200)]
    assert steps(any_order(*parts), many(200)) == 1


def test_leftovers_do_not_make_it_search_for_more() -> None:
    """No way can take more than the expectation has room for."""
    assert steps(any_order(*[NotifyWarehouse] * 10), many(12)) == 1


def test_parts_with_few_choices_choose_first() -> None:
    """So that what cannot be met is found to be so before the others are tried."""
    pairs = [in_order(NotifyWarehouse, NotifyWarehouse) for _ in range(7)]
    impossible = in_order(SendEmail("b"), SendEmail("a"))
    intents = [*many(14), SendEmail("a"), SendEmail("b")]
    assert steps(any_order(*pairs, impossible), intents, found=False) <= 1


def test_hundreds_in_order_take_a_step_each() -> None:
    assert steps(in_order(*many(300)), many(300)) <= 301


def test_thousands_of_times_take_one_step() -> None:
    assert steps(like(NotifyWarehouse).times(10_000), many(10_000)) == 1


def test_several_in_order_a_thousand_times_take_a_step_each() -> None:
    assert steps(in_order(A, B).times(1_000), [A, B] * 1_000) <= 3_001


def test_parts_that_overlap_in_the_wrong_order_are_given_up_soon() -> None:
    """Ten of twenty can be chosen in 184,756 ways, and none of them helps."""
    expected = in_order(*[NotifyWarehouse] * 10, SendEmail)
    intents = [SendEmail("ada@example.org"), *many(20)]
    assert steps(expected, intents, found=False) < 10_000


def test_repetitions_in_the_wrong_order_are_given_up_soon() -> None:
    expected = in_order(like(NotifyWarehouse).times(1, None), SendEmail)
    intents = [SendEmail("ada@example.org"), *many(1_000)]
    assert steps(expected, intents, found=False) <= 1_000


def test_permutations_are_tried_once() -> None:
    expected = in_order(any_order(*[NotifyWarehouse] * 12), SendEmail)
    intents = [SendEmail("ada@example.org"), *many(12)]
    assert steps(expected, intents, found=False) < 2**12 * 12


def test_a_search_that_would_take_for_ever_is_given_up() -> None:
    pairs = [in_order(NotifyWarehouse, NotifyWarehouse) for _ in range(7)]
    impossible = in_order(SendEmail, ChargeCard("4111"))
    search = Search([ChargeCard("4111"), *many(14), *[SendEmail("ada@example.org")] * 14])
    assert search.best(any_order(*pairs, impossible), all_of_it=False) is None
    assert search.exhausted
    assert search.steps > BUDGET


def nested(depth: int) -> Iterator[Expectation]:
    part: Expectation = expectation_of(A, "")
    for _ in range(depth):
        part = in_order(part)
        yield part


@pytest.mark.parametrize("depth", [1, 30])
def test_parts_may_be_nested(depth: int) -> None:
    [*_, deepest] = nested(depth)
    assert steps(deepest, [B, A]) <= 2 * depth + 2
