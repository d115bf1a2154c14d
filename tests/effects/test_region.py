"""Regions: stretches of a buffer, kept as a tree and read as one sequence."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airlock
from airlock import Allow, Boundary, Drop, Options, Outcome, Refuse, region
from airlock.emissions.flat import Flat
from airlock.emissions.region import ClosedRegion, GuardedRegion, Region, is_over, marked
from airlock.errors import ClosedRegionError, RefusedError
from tests.effects.vocabulary import Mail, Notify

boundary = Boundary({Notify: lambda _: None, Mail: lambda _: None})

DEEP = 5_000


# -- through the public door ----------------------------------------------------------------------


def test_an_ended_region_is_over_once_all_in_it_are() -> None:
    outer, inner = Region("region"), Region("region")
    outer.adopt(inner)
    outer.close("its block has ended")
    assert not is_over(outer)
    inner.close("its block has ended")
    assert is_over(outer)


def test_a_nested_region_stands_where_it_opened() -> None:
    """Also if the scope around it, held by name, is emitted into meanwhile."""
    with boundary.scope() as outer:
        outer.emit(Notify(1))
        with region(Allow()):
            airlock.emit(Notify(2))
            with boundary.scope() as inner:
                inner.emit(Notify(3))
            airlock.emit(Notify(4))
        outer.emit(Notify(5))
        assert outer == [Notify(i) for i in range(1, 6)]
    assert outer.report.delivered == [Notify(i) for i in range(1, 6)]


def test_own_and_captured_tell_a_scope_from_those_nested_in_it() -> None:
    with boundary.scope() as outer:
        outer.emit(Notify(1))
        with region(Allow()):
            outer.emit(Notify(2))
        with boundary.scope() as inner:
            inner.emit(Notify(3))
        assert (outer.own, outer.captured) == ([Notify(1), Notify(2)], [Notify(3)])
        assert (inner.own, inner.captured) == ([Notify(3)], [])


def test_a_nested_scope_that_fails_is_thrown_away_with_the_regions_in_it() -> None:
    with boundary.scope() as effects:
        with contextlib.suppress(ValueError), boundary.scope():
            airlock.emit(Notify(1))
            with region(Allow()):
                airlock.emit(Notify(2))
            raise ValueError
        airlock.emit(Notify(3))
        assert effects == [Notify(3)]
    assert effects.report.delivered == [Notify(3)]
    assert sorted(i.order_id for i in effects.report.discarded) == [1, 2]


def test_the_innermost_reason_decides_what_is_told_of_the_discarded() -> None:
    with boundary.scope() as effects, contextlib.suppress(KeyError), boundary.scope():
        with contextlib.suppress(ValueError), boundary.scope():
            airlock.emit(Notify(1))
            raise ValueError("inner")
        airlock.emit(Notify(2))
        raise KeyError("outer")
    reasons = {e.intent.order_id: repr(e.by) for e in effects.report}
    assert reasons == {1: "ValueError('inner')", 2: "KeyError('outer')"}


def test_scopes_may_be_nested_thousands_deep() -> None:
    """The depth of nesting is the user's, not the interpreter's."""
    with boundary.scope() as outermost:
        with contextlib.ExitStack() as stack:
            for i in range(DEEP):
                scope = stack.enter_context(boundary.scope())
                scope.emit(Notify(i))
        assert len(outermost) == DEEP
    assert outermost.report.delivered == [Notify(i) for i in range(DEEP)]


def test_regions_may_be_nested_thousands_deep() -> None:
    with boundary.scope() as effects, contextlib.ExitStack() as stack:
        for _ in range(DEEP):
            stack.enter_context(region(Drop(Mail)))
        airlock.emit(Notify(1))
        airlock.emit(Mail("a"))
    assert effects.report.counts == {Outcome.DELIVERED: 1, Outcome.DROPPED: 1}


def test_a_block_thousands_deep_may_be_thrown_away() -> None:
    with boundary.scope() as effects:
        with contextlib.suppress(ValueError), contextlib.ExitStack() as stack:
            for i in range(DEEP):
                stack.enter_context(boundary.scope()).emit(Notify(i))
            raise ValueError
        assert effects == []
    assert effects.report.counts == {Outcome.DISCARDED: DEEP}


def test_a_region_that_refuses_speaks_at_the_emit_site() -> None:
    with boundary.scope() as effects, region(Refuse(Mail)):
        with pytest.raises(RefusedError):
            effects.emit(Mail("a"))
        effects.emit(Notify(1))
        with pytest.raises(RefusedError):
            effects.emit_all([Notify(2), Mail("b")])
    assert effects.report.delivered[:1] == [Notify(1)]


# -- the tree itself ------------------------------------------------------------------------------


def tree(kind: str = "buffer", *, up: Region | None = None, **options: Any) -> Region:
    made = Region(kind, up=up, **options)
    if up is not None:
        up.adopt(made)
    return made


Shape = Sequence[Any]
"""A region: numbers, and the regions in it."""

shapes: st.SearchStrategy[list[Any]] = st.recursive(
    st.lists(st.integers(), max_size=3),
    lambda inner: st.lists(st.integers() | inner, max_size=4),
    max_leaves=15,
)


def planted(shape: Shape, parent: Region) -> None:
    for part in shape:
        if isinstance(part, list):
            child = tree("region", up=parent)
            planted(part, child)
            child.close("its block has ended")
        else:
            parent.append(part)


def leaves(shape: Shape) -> list[int]:
    found: list[int] = []
    for part in shape:
        found += leaves(part) if isinstance(part, list) else [part]
    return found


@given(shapes)
def test_the_flat_sequence_is_the_tree_in_order(shape: list[Any]) -> None:
    root = tree()
    planted(shape, root)
    assert Flat(root).intents == leaves(shape)


@given(shapes, shapes)
def test_since_a_mark_only_what_came_later_is_read(before: list[Any], after: list[Any]) -> None:
    root = tree()
    planted(before, root)
    mark = marked(root)
    planted(after, root)
    assert Flat(root, since=mark).intents == leaves(after)


@given(st.permutations(range(4)))
def test_children_adopted_out_of_order_stand_where_they_opened(order: list[int]) -> None:
    """Threads that share a region may enter its children in another order than they opened them."""
    root = tree()
    root.extend(range(4))
    children = {}
    for at in order:
        child = Region("region", up=root)
        child.append(f"at {at}")
        children[at] = (at, child)
    root.children = [children[at] for at in order]
    expected = [part for at in range(4) for part in (f"at {at}", at)]
    assert Flat(root).intents == expected


def test_options_move_with_their_intents() -> None:
    root, late = tree(), Options(ordering_key="late")
    root.append("a")
    child = tree("region", up=root)
    child.append("b")
    child.put("c", late)
    root.put("d", late)
    assert Flat(root).intents == ["a", "b", "c", "d"]
    assert Flat(root).options == {2: late, 3: late}


def test_spans_name_the_regions_that_say_anything_innermost_first() -> None:
    root = tree()
    root.append("a")
    outer = tree("outer", up=root, policies=(Drop(),))
    outer.append("b")
    tree("silent", up=outer).append("c")
    inner = tree("inner", up=outer, policies=(Allow(),))
    inner.append("d")
    root.append("e")
    assert Flat(root).spans == [(3, 4, inner), (1, 4, outer)]


def test_open_regions_are_told() -> None:
    root = tree()
    child, other = tree("one", up=root), tree("other", up=root)
    other.close("its block has ended")
    assert Flat(root).open == [child]


def test_a_thrown_away_region_is_read_as_discarded_with_its_reason() -> None:
    root = tree()
    root.append("a")
    child = tree("region", up=root)
    child.append("b")
    child.close("it failed", "because")
    flat = Flat(root)
    assert (flat.intents, flat.discarded) == (["a"], [(["b"], "because")])


def test_a_closed_region_refuses_and_says_why() -> None:
    closed = tree("scope")
    closed.close("it was discarded")
    assert isinstance(closed, ClosedRegion)
    for emit in (closed.append, lambda one: closed.extend([one])):
        with pytest.raises(ClosedRegionError, match="it was discarded"):
            emit(Notify(1))
    with pytest.raises(ClosedRegionError):
        closed.adopt(Region("child"))
    assert closed == []


def test_a_guarded_region_asks_before_it_takes() -> None:
    asked: list[Any] = []
    guarded = Region("scope", guards=(asked.append,))
    assert isinstance(guarded, GuardedRegion)
    guarded.append("a")
    tree("region", up=guarded).extend(["b"])
    assert asked == ["a", "b"]


def test_a_region_is_one_place_whatever_it_holds() -> None:
    """Equal as lists, they are different keys."""
    one, other = tree(), tree()
    assert len({one: 1, other: 2}) == 2
