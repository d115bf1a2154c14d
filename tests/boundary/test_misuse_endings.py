"""Scopes that end with something open, or that are ended too early, or twice."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import airlock
from airlock import (
    Boundary,
    FlushError,
    Scope,
)
from airlock.errors import (
    AirlockError,
    OpenRegionsError,
    ScopeStateError,
)
from tests.boundary.vocabulary import (
    NotifyWarehouse,
    SendEmail,
    assert_usable,
    next_line,
)


def entered(boundary: Boundary) -> Scope:
    """A scope that is open."""
    return boundary.scope().enter()


# -- open regions ---------------------------------------------------------------------------------


def test_open_regions_at_the_end(boundary: Boundary, handled: list[Any]) -> None:
    """A nested scope that another context holds open: nothing is delivered, nothing is lost."""
    inner = boundary.scope()
    place = next_line()
    outer = boundary.scope().enter()
    outer.emit(NotifyWarehouse(1))
    inner_place = next_line()
    contextvars.copy_context().run(inner.enter)
    inner.region.append(NotifyWarehouse(2))
    outer.exit()
    with pytest.raises(OpenRegionsError) as raised:
        outer.settle()
    text = str(raised.value)
    assert place in text
    assert "ended while 1 region(s) below it are still open: the scope opened at" in text
    assert inner_place in text
    assert "have neither succeeded nor failed, so nothing was delivered" in text
    assert "Await the tasks" in text
    assert "scope.flush() delivers it, scope.discard() drops it" in text
    assert handled == []
    assert_usable()
    outer.flush()
    assert handled == [NotifyWarehouse(1)]
    assert outer.report.discarded == [NotifyWarehouse(2)]
    assert_usable()


@pytest.mark.anyio
async def test_a_task_that_outlives_the_block(boundary: Boundary, handled: list[Any]) -> None:
    """Its nested scope is open when the outer one ends; the end of that is refused as well."""
    errors: list[BaseException] = []
    opened, ended = anyio.Event(), anyio.Event()
    outer = boundary.scope()

    async def background() -> None:
        try:
            async with boundary.scope() as inner:
                inner.emit(NotifyWarehouse(2))
                opened.set()
                await ended.wait()
        except AirlockError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        with pytest.raises(OpenRegionsError):
            async with outer:
                outer.emit(NotifyWarehouse(1))
                tasks.start_soon(background)
                await opened.wait()
        ended.set()
    assert handled == []
    (error,) = errors
    assert isinstance(error, ScopeStateError)
    assert "was closed with the scope around it" in str(error)
    await outer.aflush()
    assert handled == [NotifyWarehouse(1)]
    assert_usable()


def test_a_handler_that_leaves_a_region_open(handled: list[Any]) -> None:
    """It fails, and what it emitted is discarded; the others are delivered."""
    made: list[Boundary] = []
    for interceptors in ([], [lambda subject, call_next: call_next(subject)]):
        handled.clear()

        def notify(subject: NotifyWarehouse) -> None:
            handled.append(subject)
            if subject.order_id == 1:
                airlock.emit(SendEmail("discarded"))
                made[-1].scope().enter()
                airlock.emit(SendEmail("discarded too"))

        boundary = Boundary(
            {NotifyWarehouse: notify, SendEmail: handled.append}, interceptors=interceptors
        )
        made.append(boundary)
        with pytest.raises(FlushError) as raised, boundary.scope() as effects:
            effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
        (error,) = raised.value.exceptions
        assert isinstance(error, OpenRegionsError)
        assert "handler of NotifyWarehouse(order_id=1)" in str(error)
        assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]
        assert effects.report.failed == [NotifyWarehouse(1)]
        assert effects.report.delivered == [NotifyWarehouse(2)]
        assert_usable()


# -- flushing -------------------------------------------------------------------------------------


def test_flushing_or_discarding_while_open(boundary: Boundary, handled: list[Any]) -> None:
    """Leave it first; it is still open and works."""
    place = next_line()
    with boundary.scope() as scope:
        scope.emit(NotifyWarehouse())
        for end, hint in ((scope.flush, "flushed once, after exit()"), (scope.discard, "exit()")):
            with pytest.raises(ScopeStateError) as raised:
                end()
            assert place in str(raised.value)
            assert "is open" in str(raised.value)
            assert hint in str(raised.value)
        assert handled == []
    assert handled == [NotifyWarehouse()]
    assert_usable()


@pytest.mark.anyio
async def test_flushing_asynchronously_while_open(boundary: Boundary, handled: list[Any]) -> None:
    """The same."""
    async with boundary.scope() as scope:
        scope.emit(NotifyWarehouse())
        with pytest.raises(ScopeStateError, match="is open"):
            await scope.aflush()
    assert handled == [NotifyWarehouse()]
    assert_usable()


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ("flush", "flush", "was flushed. A scope is flushed once"),
        ("flush", "discard", "was flushed. Discard it after exit(), once"),
        ("discard", "flush", "was discarded. A scope is flushed once"),
        ("discard", "discard", "was discarded. Discard it after exit(), once"),
    ],
)
def test_ending_twice(
    boundary: Boundary, handled: list[Any], first: str, second: str, problem: str
) -> None:
    """What was decided stays decided: nothing runs twice."""
    place = next_line()
    scope = boundary.scope().enter()
    scope.emit(NotifyWarehouse())
    scope.exit()
    getattr(scope, first)()
    with pytest.raises(ScopeStateError) as raised:
        getattr(scope, second)()
    assert place in str(raised.value)
    assert problem in str(raised.value)
    assert handled == ([NotifyWarehouse()] if first == "flush" else [])
    assert_usable()


def test_discarding_a_nested_scope_after_the_outermost_was_flushed(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Its effects have happened: that cannot be unsaid silently."""
    with boundary.scope():
        inner = entered(boundary)
        inner.emit(NotifyWarehouse())
        inner.exit()
    assert handled == [NotifyWarehouse()]
    with pytest.raises(ScopeStateError):
        inner.discard()
    assert_usable()


def test_discarding_a_nested_scope_twice(boundary: Boundary) -> None:
    """As for any scope."""
    with boundary.scope():
        inner = entered(boundary)
        inner.exit()
        inner.discard()
        with pytest.raises(ScopeStateError):
            inner.discard()
    assert_usable()


ENDS: list[Callable[[Scope], object]] = [
    lambda scope: scope.exit(),
    lambda scope: scope.flush(),
    lambda scope: scope.discard(),
    lambda scope: scope.__exit__(None, None, None),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("intercepted", [False, True])
def test_a_handler_that_ends_the_scope_it_runs_in(
    handled: list[Any], end: Callable[[Scope], object], intercepted: bool
) -> None:
    """It fails, the others are delivered, and the scope ends as it should."""

    def notify(subject: NotifyWarehouse) -> None:
        if subject.order_id == 1:
            end(effects)
        handled.append(subject)

    boundary = Boundary(
        {NotifyWarehouse: notify},
        interceptors=[lambda subject, call_next: call_next(subject)] if intercepted else [],
    )
    place = next_line()
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
    (error,) = raised.value.exceptions
    assert isinstance(error, ScopeStateError)
    assert place in str(error)
    assert "is being flushed" in str(error)
    assert handled == [NotifyWarehouse(2)]
    assert effects.report.failed == [NotifyWarehouse(1)]
    assert effects.report.delivered == [NotifyWarehouse(2)]
    assert_usable()


@pytest.mark.anyio
async def test_an_async_handler_that_ends_the_scope_it_runs_in(handled: list[Any]) -> None:
    """The same."""

    async def notify(subject: NotifyWarehouse) -> None:
        await effects.aflush()

    with pytest.raises(FlushError) as raised:
        async with Boundary({NotifyWarehouse: notify}).scope() as effects:
            effects.emit(NotifyWarehouse())
    assert "is being flushed" in str(raised.value.exceptions[0])
    assert_usable()
