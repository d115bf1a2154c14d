"""Scopes in scopes: of the same boundary, independent ones, and several boundaries at once."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

from typing import Any

import pytest

import airlock
from airlock import Allow, Boundary, Drop, Hold, Limit, Outcome
from airlock.errors import FlushError
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    Broken,
    Emission,
    NotifyWarehouse,
    SendEmail,
    explode,
)

# -- captured -------------------------------------------------------------------------------------


def test_a_nested_scope_never_flushes_by_itself(
    boundary: Boundary, handled: list[Any], emission: Emission
) -> None:
    """Its intents are delivered with the outermost scope, where the nested one opened."""
    with boundary.scope() as outer:
        emission(outer, NotifyWarehouse(1))
        with boundary.scope() as inner:
            emission(inner, NotifyWarehouse(2))
        assert handled == []
        emission(outer, NotifyWarehouse(3))
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)]
    assert inner.report is outer.report


def test_a_nested_scope_stands_where_it_opened(boundary: Boundary, handled: list[Any]) -> None:
    """Also if the outer scope is emitted into while the nested one is open."""
    with boundary.scope() as outer:
        with boundary.scope(policy=Allow()) as inner:
            inner.emit(NotifyWarehouse(1))
        outer.emit(NotifyWarehouse(2))
        scope = boundary.scope()
        scope.enter()
        scope.emit(NotifyWarehouse(3))
        scope.exit()
        outer.emit(NotifyWarehouse(4))
        assert outer == [NotifyWarehouse(n) for n in (1, 2, 3, 4)]
    assert handled == [NotifyWarehouse(n) for n in (1, 2, 3, 4)]


def test_an_outer_scope_that_is_held_gets_to_the_innermost_region(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Code deep inside that emits through the outer scope is under the policies around it."""
    with boundary.scope() as outer, boundary.scope(policy=Drop(SendEmail)) as inner:
        outer.emit(SendEmail())
        outer.emit(NotifyWarehouse())
        assert inner == [SendEmail(), NotifyWarehouse()]
    assert handled == [NotifyWarehouse()]


def test_own_and_captured_tell_whose_intents_they_are(boundary: Boundary) -> None:
    """``own`` was emitted in the scope itself, ``captured`` came from nested ones."""
    with boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        with boundary.scope() as inner:
            inner.emit(NotifyWarehouse(2))
            with airlock.region(Allow()):
                inner.emit(NotifyWarehouse(3))
        with airlock.region(Allow()):
            outer.emit(NotifyWarehouse(4))
        assert outer.own == [NotifyWarehouse(1), NotifyWarehouse(4)]
        assert outer.captured == [NotifyWarehouse(2), NotifyWarehouse(3)]
        assert inner.own == [NotifyWarehouse(2), NotifyWarehouse(3)]
        assert inner.captured == []


def test_a_nested_block_that_fails_is_thrown_away_alone(
    boundary: Boundary, handled: list[Any]
) -> None:
    """The outer block caught the error and goes on."""
    error = Broken()
    with boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        with pytest.raises(Broken), boundary.scope() as inner:
            inner.emit(NotifyWarehouse(2))
            with boundary.scope() as innermost:
                innermost.emit(NotifyWarehouse(3))
            raise error
        outer.emit(NotifyWarehouse(4))
        assert outer == [NotifyWarehouse(1), NotifyWarehouse(4)]
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(4)]
    thrown_away = [e for e in outer.report if e.outcome is Outcome.DISCARDED]
    assert [(e.intent, e.by) for e in thrown_away] == [
        (NotifyWarehouse(2), error),
        (NotifyWarehouse(3), error),
    ]


def test_frameworks_end_nested_scopes_like_any_other(
    boundary: Boundary, handled: list[Any]
) -> None:
    """``settle`` and ``flush`` of a nested scope leave the work to the outermost."""
    with boundary.scope() as outer:
        for end in ("settle", "flush"):
            scope = boundary.scope()
            scope.enter()
            scope.emit(SendEmail(end))
            scope.exit()
            getattr(scope, end)()
        assert handled == []
        assert outer.captured == [SendEmail("settle"), SendEmail("flush")]
    assert handled == [SendEmail("settle"), SendEmail("flush")]


def test_a_nested_scope_may_be_discarded_after_its_end(
    boundary: Boundary, handled: list[Any]
) -> None:
    """``discard`` throws a captured scope away, as long as the outermost was not flushed."""
    with boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        inner = boundary.scope()
        inner.enter()
        inner.emit(NotifyWarehouse(2))
        inner.exit()
        inner.discard("status 500")
        assert outer == [NotifyWarehouse(1)]
    assert handled == [NotifyWarehouse(1)]
    assert [(e.intent, e.by) for e in outer.report if e.outcome is Outcome.DISCARDED] == [
        (NotifyWarehouse(2), "status 500")
    ]


@pytest.mark.anyio
async def test_async_scopes_nest_too(boundary: Boundary, handled: list[Any]) -> None:
    """Sync and async blocks nest in any combination; the outermost decides how to flush."""
    async with boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        with boundary.scope() as inner:
            inner.emit(NotifyWarehouse(2))
        async with boundary.scope() as inner:
            inner.emit(NotifyWarehouse(3))
        assert handled == []
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)]


def test_scopes_nest_as_deep_as_they_like(boundary: Boundary, handled: list[Any]) -> None:
    """The depth of nesting is not the interpreter's recursion limit."""
    scopes = [boundary.scope() for _ in range(3000)]
    for n, scope in enumerate(scopes):
        scope.enter()
        scope.emit(NotifyWarehouse(n))
    for scope in reversed(scopes):
        scope.exit()
    scopes[0].settle()
    assert handled == [NotifyWarehouse(n) for n in range(3000)]


# -- independent ----------------------------------------------------------------------------------


def test_an_independent_scope_delivers_at_its_own_end(
    boundary: Boundary, handled: list[Any]
) -> None:
    """It detaches WHEN: it does not wait for the scope around it, nor fail with it."""
    inner = boundary.scope(independent=True)
    with pytest.raises(Broken), boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        with inner:
            inner.emit(NotifyWarehouse(2))
        assert handled == [NotifyWarehouse(2)]
        assert outer == [NotifyWarehouse(1)]
        raise Broken
    assert handled == [NotifyWarehouse(2)]
    assert inner.report.delivered == [NotifyWarehouse(2)]
    assert outer.report.discarded == [NotifyWarehouse(1)]


def test_an_independent_scope_is_under_the_policies_around_it(
    boundary: Boundary, handled: list[Any]
) -> None:
    """It never detaches WHAT: the enclosing scopes' policies and headers still hold."""
    with boundary.scope(policy=Drop(SendEmail)), airlock.region(Hold(NotifyWarehouse)):
        with boundary.scope(independent=True) as inner:
            inner.emit(SendEmail())
            inner.emit(NotifyWarehouse())
        assert inner.report.dropped == [SendEmail()]
        assert inner.report.held == [NotifyWarehouse()]
    assert handled == []


def test_an_independent_scope_has_the_headers_around_it() -> None:
    """Whose request it is does not change."""
    send = FakeHandler()
    boundary = Boundary({SendEmail: send})
    with (
        boundary.scope(headers={"tenant": "acme"}),
        boundary.scope(independent=True, headers={"user": "ann"}) as inner,
    ):
        inner.emit(SendEmail())
    assert [one.headers for one in send.deliveries] == [{"tenant": "acme", "user": "ann"}]


def test_scopes_in_an_independent_one_are_captured_by_that(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Not by the scope that the independent one was opened in."""
    with boundary.scope():
        with boundary.scope(independent=True) as middle:
            with boundary.scope() as inner:
                inner.emit(NotifyWarehouse())
            assert handled == []
            assert middle.captured == [NotifyWarehouse()]
        assert handled == [NotifyWarehouse()]


def test_a_failing_flush_of_an_independent_scope_fails_the_block_around_it() -> None:
    """Its error is raised where it ends, like that of any block; caught, it harms nobody."""
    delivered: list[Any] = []
    boundary = Boundary({NotifyWarehouse: explode, SendEmail: delivered.append})
    with boundary.scope() as outer:
        outer.emit(SendEmail())
        with pytest.raises(FlushError), boundary.scope(independent=True) as inner:
            inner.emit(NotifyWarehouse())
    assert delivered == [SendEmail()]


# -- several boundaries ---------------------------------------------------------------------------


@pytest.fixture
def others() -> list[Any]:
    """What the handlers of the other boundary were called with."""
    return []


@pytest.fixture
def other(others: list[Any]) -> Boundary:
    """Another boundary."""
    return Boundary({NotifyWarehouse: others.append, SendEmail: others.append})


def test_a_scope_of_another_boundary_delivers_at_its_own_end(
    boundary: Boundary, handled: list[Any], other: Boundary, others: list[Any]
) -> None:
    """Two boundaries do not know each other."""
    with boundary.scope(policy=Drop()) as outer:
        outer.emit(NotifyWarehouse(1))
        with other.scope() as inner:
            inner.emit(NotifyWarehouse(2))
        assert others == [NotifyWarehouse(2)]
    assert handled == []
    assert outer.report.dropped == [NotifyWarehouse(1)]


def test_ambient_emission_goes_to_the_innermost_scope_of_any_boundary(
    boundary: Boundary, other: Boundary
) -> None:
    """A scope that is held gets what is emitted through it, whatever is current."""
    with boundary.scope() as outer, other.scope() as inner:
        airlock.emit(NotifyWarehouse(1))
        outer.emit(NotifyWarehouse(2))
        inner.emit(NotifyWarehouse(3))
        assert airlock.current() is inner
        assert outer == [NotifyWarehouse(2)]
        assert inner == [NotifyWarehouse(1), NotifyWarehouse(3)]


def test_a_scope_finds_its_boundary_through_those_of_others(
    boundary: Boundary, handled: list[Any], other: Boundary, others: list[Any]
) -> None:
    """In B2 > B1 > B2 the inner scope of B2 is captured by the outer one, policies and all."""
    with other.scope(policy=Drop(SendEmail), headers={"tenant": "acme"}) as outer:
        outer.emit(NotifyWarehouse(1))
        with boundary.scope() as between:
            between.emit(SendEmail("between"))
            with other.scope() as inner:
                inner.emit(NotifyWarehouse(2))
                inner.emit(SendEmail("inner"))
            assert others == []
            assert between == [SendEmail("between")]
        assert handled == [SendEmail("between")]
        outer.emit(NotifyWarehouse(3))
        assert outer.captured == [NotifyWarehouse(2), SendEmail("inner")]
    assert others == [NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)]
    assert outer.report.dropped == [SendEmail("inner")]
    assert inner.report is outer.report


def test_a_region_of_one_boundary_says_nothing_to_another(
    boundary: Boundary, handled: list[Any], other: Boundary, others: list[Any]
) -> None:
    """``region`` is about the current scope's boundary; ``enclose`` is about all of them."""
    with boundary.scope() as outer, airlock.region(Drop()):
        with other.scope() as inner:
            inner.emit(NotifyWarehouse())
        outer.emit(NotifyWarehouse())
    assert others == [NotifyWarehouse()]
    assert handled == []


def test_a_failed_block_throws_away_what_is_its_own(
    boundary: Boundary, handled: list[Any], other: Boundary, others: list[Any]
) -> None:
    """In B2 > B1 > B2 a failure of B1's block does not undo what B2 captured before."""
    with other.scope():
        with pytest.raises(Broken), boundary.scope() as between:
            between.emit(NotifyWarehouse(1))
            with other.scope() as inner:
                inner.emit(NotifyWarehouse(2))
            raise Broken
        assert between.report.discarded == [NotifyWarehouse(1)]
    assert handled == []
    assert others == [NotifyWarehouse(2)]


def test_an_independent_scope_in_the_middle_of_others_keeps_all_policies(
    boundary: Boundary, other: Boundary, others: list[Any]
) -> None:
    """Independence, another boundary between, an enclosure: the policies still add up."""
    with (
        other.scope(policy=Drop(SendEmail)),
        boundary.scope(),
        airlock.enclose(Limit(1)),
        other.scope(independent=True) as inner,
    ):
        inner.emit(SendEmail())
        inner.emit(NotifyWarehouse(1))
        inner.emit(NotifyWarehouse(2))
    assert others == [NotifyWarehouse(1)]
    assert inner.report.dropped == [SendEmail(), NotifyWarehouse(2)]


def test_a_handler_opens_scopes_of_other_boundaries(handled: list[Any], other: Boundary) -> None:
    """They flush while the first boundary is flushing."""
    delivered: list[Any] = []

    def notify(subject: NotifyWarehouse) -> None:
        with inner_boundary.scope() as inner:
            inner.emit(SendEmail(str(subject.order_id)))
        handled.append(subject)

    inner_boundary = Boundary({SendEmail: delivered.append})
    with Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit(NotifyWarehouse(1))
        effects.emit(NotifyWarehouse(2))
    assert delivered == [SendEmail("1"), SendEmail("2")]
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]


def test_a_handlers_nested_scope_joins_its_follow_ups(handled: list[Any]) -> None:
    """A scope of the same boundary, opened by a handler, is captured by the flush."""

    def notify(subject: NotifyWarehouse) -> None:
        with boundary.scope(policy=Drop(AnotherEmail)) as inner:
            inner.emit(SendEmail("kept"))
            inner.emit(AnotherEmail("dropped"))
        assert handled == []

    boundary = Boundary({NotifyWarehouse: notify, SendEmail: handled.append})
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == [SendEmail("kept")]
    assert effects.report.dropped == [AnotherEmail("dropped")]
    assert [entry.wave for entry in effects.report] == [0, 1, 1]


@airlock.intent
class AnotherEmail(SendEmail):
    pass
