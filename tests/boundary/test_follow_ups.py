"""Follow-ups: what handlers emit runs in waves, with a recorded cause, and not for ever."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

import airlock
from airlock import Boundary, FlushError, Outcome, Scope, intent
from airlock.errors import CascadeError, ClosedRegionError
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    Broken,
    CountDown,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    count_down,
)


@intent
class Node:
    """A tree of emissions: its handler emits its children."""

    name: str
    children: tuple[Node, ...] = ()


TREE = Node(
    "a",
    (
        Node("a1", (Node("a11"), Node("a12"))),
        Node("a2", (Node("a21"),)),
    ),
)


@pytest.fixture(params=["ambient", "held"])
def growing(request: pytest.FixtureRequest, handled: list[Any]) -> Boundary:
    """A boundary whose handler emits the children of a node, one way or the other."""

    def grow(node: Node) -> None:
        handled.append(node.name)
        scope: Scope = airlock.current()
        for child in node.children:
            if request.param == "held":
                scope.emit(child)
            else:
                airlock.emit(child)

    return Boundary({Node: grow})


def test_follow_ups_run_in_waves(growing: Boundary, handled: list[Any]) -> None:
    """First what the block emitted, then what that caused, then what that caused."""
    with growing.scope() as effects:
        effects.emit_all([TREE, Node("b", (Node("b1"),))])
    assert handled == ["a", "b", "a1", "a2", "b1", "a11", "a12", "a21"]
    assert [entry.wave for entry in effects.report] == [0, 0, 1, 1, 1, 2, 2, 2]


def test_the_report_draws_causes_as_a_tree(growing: Boundary) -> None:
    """Each follow-up below the intent whose handler emitted it."""
    with growing.scope() as effects:
        effects.emit_all([TREE, Node("b", (Node("b1"),))])
    names = [
        line.partition("Node(")[0] + line.partition("name='")[2].partition("'")[0]
        for line in effects.report.tree().splitlines()
    ]
    assert names == [
        "a",
        "├── a1",
        "│   ├── a11",
        "│   └── a12",
        "└── a2",
        "    └── a21",
        "b",
        "└── b1",
    ]
    assert effects.report.tree().count("delivered") == 8


def test_what_a_failing_handler_emitted_is_discarded(handled: list[Any]) -> None:
    """Its follow-ups might speak of what did not happen; those of others run."""

    def place(order: OrderPlaced) -> None:
        airlock.emit(SendEmail(str(order.order_id)))
        if order.order_id == 1:
            raise Broken

    boundary = Boundary({OrderPlaced: place, SendEmail: handled.append})
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert handled == [SendEmail("2")]
    (thrown_away,) = [e for e in effects.report if e.outcome is Outcome.DISCARDED]
    assert thrown_away.intent == SendEmail("1")
    assert isinstance(thrown_away.by, Broken)
    assert thrown_away.wave == 1
    assert thrown_away.cause is not None
    assert thrown_away.cause.intent == OrderPlaced(1)


def test_a_failing_scope_in_a_handler_discards_its_own(handled: list[Any]) -> None:
    """The handler caught the error: it has not failed. A region discards nothing."""

    def place(order: OrderPlaced) -> None:
        airlock.emit(SendEmail("1"))
        with pytest.raises(Broken), airlock.region(airlock.Allow()):
            airlock.emit(SendEmail("2"))
            raise Broken
        with pytest.raises(Broken), boundary.scope():
            airlock.emit(SendEmail("3"))
            raise Broken
        airlock.emit(SendEmail("4"))

    boundary = Boundary({OrderPlaced: place, SendEmail: handled.append})
    with boundary.scope() as effects:
        effects.emit(OrderPlaced())
    assert handled == [SendEmail("1"), SendEmail("2"), SendEmail("4")]
    assert effects.report.discarded == [SendEmail("3")]


@pytest.mark.parametrize("policy", [None, airlock.Allow()], ids=repr)
@pytest.mark.parametrize("headers", [{}, {"tenant": "a"}], ids=repr)
@pytest.mark.parametrize("interceptors", [(), (lambda intent, call_next: call_next(intent),)])
def test_a_handler_emits_through_the_outermost_scope_and_not_through_an_ended_nested_one(
    policy: airlock.Policy | None, headers: dict[str, str], interceptors: Any, handled: list[Any]
) -> None:
    """Whatever the nested scope, in which its cause was emitted, says about that."""
    refused: list[Exception] = []

    def place(order: OrderPlaced) -> None:
        with pytest.raises(ClosedRegionError) as raised:
            inner.emit(SendEmail("inner"))
        refused.append(raised.value)
        outer.emit(SendEmail("outer"))

    boundary = Boundary({OrderPlaced: place, SendEmail: handled.append}, interceptors=interceptors)
    with boundary.scope() as outer, boundary.scope(policy=policy, headers=headers) as inner:
        inner.emit(OrderPlaced())
    assert handled == [SendEmail("outer")]
    assert len(refused) == 1


@pytest.mark.anyio
async def test_async_handlers_have_follow_ups(handled: list[Any]) -> None:
    """After an await, too."""

    async def place(order: OrderPlaced) -> None:
        await anyio.lowlevel.checkpoint()
        airlock.emit(SendEmail(str(order.order_id)))
        handled.append(order)

    async with Boundary({OrderPlaced: place, SendEmail: handled.append}).scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert handled == [OrderPlaced(1), OrderPlaced(2), SendEmail("1"), SendEmail("2")]
    assert [entry.cause and entry.cause.intent for entry in effects.report] == [
        None,
        None,
        OrderPlaced(1),
        OrderPlaced(2),
    ]


def test_failures_do_not_stop_later_waves(handled: list[Any]) -> None:
    """One failure loses nothing."""
    place = FakeHandler(Broken, lambda _: airlock.emit(SendEmail()))
    with (
        pytest.raises(FlushError) as raised,
        Boundary({OrderPlaced: place, SendEmail: handled.append}).scope() as effects,
    ):
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert handled == [SendEmail()]
    assert len(raised.value.exceptions) == 1


def test_a_chain_of_follow_ups_may_be_as_long_as_max_depth() -> None:
    """As many handlers may stand between the block and an intent."""
    with Boundary({CountDown: count_down}, max_depth=3).scope() as effects:
        effects.emit(CountDown(3))
    assert effects.report.ok
    assert [entry.wave for entry in effects.report] == [0, 1, 2, 3]


def test_a_longer_chain_fails_and_is_drawn() -> None:
    """What was too deep has failed; the error shows how it came to that, and what to do."""
    boundary = Boundary({CountDown: count_down}, max_depth=3)
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit(CountDown(9))
    assert effects.report.delivered == [CountDown(9), CountDown(8), CountDown(7), CountDown(6)]
    assert effects.report.failed == [CountDown(5)]
    (error,) = raised.value.exceptions
    assert isinstance(error, CascadeError)
    assert str(error).splitlines() == [
        "follow-ups are 4 deep, past max_depth=3:",
        "  └ CountDown(n=9)",
        "    └ CountDown(n=8)",
        "      └ CountDown(n=7)",
        "        └ CountDown(n=6)",
        "          └ CountDown(n=5)",
        (
            "Handlers emit in a circle. Break it with OncePerChain(...), or raise "
            "Boundary(max_depth=...) if the chain is meant."
        ),
    ]


def test_a_very_long_chain_is_drawn_in_part() -> None:
    """Its beginning and its end."""
    boundary = Boundary({CountDown: count_down}, max_depth=200)
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit(CountDown(300))
    text = str(raised.value.exceptions[0])
    assert "CountDown(n=300)" in text
    assert "CountDown(n=99)" in text
    assert "more ..." in text
    assert len(text.splitlines()) < 20


def test_what_a_policy_took_out_is_not_too_deep() -> None:
    """Only what may escape can go too far."""
    boundary = Boundary({CountDown: count_down}, max_depth=3)
    with boundary.scope(policy=airlock.Drop().where(lambda i: i.n == 5)) as effects:
        effects.emit(CountDown(9))
    assert effects.report.dropped == [CountDown(5)]
    assert effects.report.ok


def test_long_chains_are_no_recursion() -> None:
    """Thousands of waves are a loop."""
    boundary = Boundary({CountDown: count_down}, max_depth=5000)
    with boundary.scope() as effects:
        effects.emit(CountDown(3000))
    assert len(effects.report.delivered) == 3001
    assert len(effects.report.tree().splitlines()) == 3001
    assert len(effects.report.entries) == 3001


def test_a_handler_may_flush_another_scope_meanwhile(handled: list[Any]) -> None:
    """An independent scope of its own boundary runs to its end inside the handler."""

    def place(order: OrderPlaced) -> None:
        airlock.emit(SendEmail("follow-up"))
        with boundary.scope(independent=True) as inner:
            inner.emit(NotifyWarehouse(order.order_id))
        assert handled[-1] == NotifyWarehouse(order.order_id)

    boundary = Boundary(
        {
            OrderPlaced: place,
            NotifyWarehouse: handled.append,
            SendEmail: handled.append,
        }
    )
    with boundary.scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert handled == [
        *[NotifyWarehouse(1), NotifyWarehouse(2)],
        *[SendEmail("follow-up"), SendEmail("follow-up")],
    ]
