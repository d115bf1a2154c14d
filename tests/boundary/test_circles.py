"""Circles through scopes that handlers open are bounded like any other, whatever scopes these are."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import Boundary, FlushError, HandlesBatch, OncePerChain, Outcome, Scope
from airlock.effects.causation import Ancestor, Causation
from airlock.effects.registry import spec_of
from airlock.errors import CascadeError
from tests.boundary.vocabulary import Broken, NotifyWarehouse, OrderPlaced, SendEmail

MANY = 20
"""So often a circle may go round before a test gives up."""

Opens = Callable[[Boundary], AbstractContextManager[object]]
SCOPES: dict[str, Opens] = {
    "nested": lambda boundary: boundary.scope(),
    "independent": lambda boundary: boundary.scope(independent=True),
    "independent, with the cause of the delivery": lambda boundary: boundary.scope(
        independent=True, cause=airlock.delivery().causation
    ),
    "independent in an independent one": lambda boundary: _both(
        boundary.scope(independent=True), boundary.scope(independent=True)
    ),
    "independent in a region": lambda boundary: _both(
        airlock.region(airlock.Allow()), boundary.scope(independent=True)
    ),
    "in a scope of another boundary": lambda boundary: _both(
        Boundary({}).scope(), boundary.scope(independent=True)
    ),
}


def _both(*blocks: AbstractContextManager[object]) -> ExitStack:
    stack = ExitStack()
    for block in blocks:
        stack.enter_context(block)
    return stack


INTERCEPTORS: list[tuple[Any, ...]] = [(), (lambda intent, call_next: call_next(intent),)]


class Circle:
    """A handler that emits what it handles, in a scope of its own."""

    def __init__(self, opens: Opens) -> None:
        self.opens = opens
        self.ran = 0
        self.boundary = Boundary({})

    def __call__(self, placed: OrderPlaced) -> None:
        self.ran += 1
        if self.ran < MANY:
            with self.opens(self.boundary):
                airlock.emit(placed)

    def run(self, **settings: Any) -> Scope:
        self.boundary = Boundary({OrderPlaced: self}, **settings)
        scope = self.boundary.scope()
        with suppress(FlushError), scope:
            airlock.emit(OrderPlaced())
        return scope


@pytest.mark.parametrize("opens", SCOPES.values(), ids=SCOPES)
@pytest.mark.parametrize("interceptors", INTERCEPTORS, ids=["plain", "intercepted"])
def test_max_depth_bounds_a_circle(opens: Opens, interceptors: tuple[Any, ...]) -> None:
    circle = Circle(opens)
    circle.run(max_depth=3, interceptors=interceptors)
    assert circle.ran == 4


@pytest.mark.parametrize("opens", SCOPES.values(), ids=SCOPES)
@pytest.mark.parametrize("interceptors", INTERCEPTORS, ids=["plain", "intercepted"])
@pytest.mark.parametrize("key", [None, type, lambda placed: placed.order_id])
def test_once_per_chain_ends_a_circle(
    opens: Opens, interceptors: tuple[Any, ...], key: Any
) -> None:
    circle = Circle(opens)
    scope = circle.run(policy=OncePerChain(OrderPlaced, key=key), interceptors=interceptors)
    assert circle.ran == 1
    assert scope.report.ok


def test_the_error_draws_the_whole_chain() -> None:
    """From the outermost block on, through the scopes."""
    circle = Circle(SCOPES["independent"])
    found: list[BaseException] = [*circle.run(max_depth=2).report.errors]
    while not isinstance(found[-1], CascadeError):
        assert isinstance(found[-1], FlushError)
        found += found[-1].exceptions
    assert found[-1].chain == (repr(OrderPlaced()),) * 4


def test_a_circle_through_two_boundaries_is_bounded_by_each() -> None:
    ran: list[str] = []

    def notify(_: NotifyWarehouse) -> None:
        ran.append("notify")
        with two.scope():
            airlock.emit(SendEmail())

    def send(_: SendEmail) -> None:
        ran.append("send")
        if len(ran) < MANY:
            with one.scope(independent=True):
                airlock.emit(NotifyWarehouse())

    one = Boundary({NotifyWarehouse: notify}, max_depth=5)
    two = Boundary({SendEmail: send}, policy=OncePerChain(SendEmail))
    with one.scope():
        airlock.emit(NotifyWarehouse())
    assert ran == ["notify", "send", "notify"]


def test_members_of_a_batch_are_all_causes() -> None:
    ran: list[int] = []

    def place(placed: list[OrderPlaced]) -> None:
        ran.append(len(placed))
        if len(ran) < MANY:
            with boundary.scope(independent=True):
                airlock.emit_all(placed[:1])

    class Handlers(containers.DeclarativeContainer):
        orders = HandlesBatch(OrderPlaced, place)

    boundary = Boundary(Handlers(), policy=OncePerChain())
    with boundary.scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert ran == [2]


def test_a_circle_is_bounded_where_handlers_are_async() -> None:
    """Through a task and a thread that have the context, too."""
    ran: list[OrderPlaced] = []

    async def place(placed: OrderPlaced) -> None:
        ran.append(placed)

        async def again() -> None:
            async with boundary.scope(independent=True):
                await asyncio.to_thread(airlock.emit, placed)

        if len(ran) < MANY:
            await asyncio.create_task(again())

    boundary = Boundary({OrderPlaced: place}, max_depth=3)

    async def main() -> None:
        with suppress(FlushError):
            async with boundary.scope():
                airlock.emit(OrderPlaced())

    asyncio.run(main())
    assert len(ran) == 4


def test_a_thread_begins_a_chain_of_its_own() -> None:
    circle = Circle(SCOPES["independent"])

    def place(placed: OrderPlaced) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(circle, placed).result()

    circle.boundary = Boundary({OrderPlaced: place}, max_depth=3)
    with circle.boundary.scope():
        airlock.emit(OrderPlaced())
    assert circle.ran == MANY


def test_work_that_has_outlived_its_handler_begins_a_chain_of_its_own() -> None:
    contexts: list[contextvars.Context] = []
    boundary = Boundary({OrderPlaced: lambda _: contexts.append(contextvars.copy_context())})
    with boundary.scope():
        airlock.emit(OrderPlaced())

    def later() -> None:
        with boundary.scope() as scope:
            airlock.emit(OrderPlaced())
        assert scope.report.ok

    contexts[0].run(later)


def test_a_resumed_report_remembers_what_opened_its_scope() -> None:
    reports: list[airlock.Report] = []

    def place(placed: OrderPlaced) -> None:
        if len(reports) == 1:
            return
        scope = boundary.scope(independent=True)
        with suppress(FlushError), scope:
            airlock.emit(SendEmail())
        reports.append(scope.report)
        airlock.emit(NotifyWarehouse(placed.order_id))

    def send(_: SendEmail) -> None:
        if not reports:
            raise Broken
        with boundary.scope(independent=True) as scope:
            airlock.emit(OrderPlaced())
        assert scope.report.dropped == [OrderPlaced()]

    boundary = Boundary(
        {OrderPlaced: place, SendEmail: send, NotifyWarehouse: lambda _: None},
        policy=OncePerChain(OrderPlaced),
    )
    with boundary.scope():
        airlock.emit(OrderPlaced())
    assert reports[0].resume().counts == {Outcome.DELIVERED: 1}


def test_what_leaves_the_process_has_the_causes_around_its_scope() -> None:
    """Those in other processes as well."""
    told: list[Causation] = []

    def place(placed: OrderPlaced) -> None:
        with boundary.scope(independent=True):
            airlock.emit(SendEmail(str(placed.order_id)))

    boundary = Boundary(
        {OrderPlaced: place, SendEmail: lambda _: told.append(airlock.delivery().causation)}
    )
    far = Causation(2, (Ancestor("far.away"),))
    with boundary.scope(cause=far):
        airlock.emit(OrderPlaced())
    assert told[0].depth == 3
    kinds = [ancestor.kind for ancestor in told[0].ancestors]
    assert kinds == [spec_of(OrderPlaced).kind, "far.away"]
