"""``@boundary.scoped()``: each call of a function is a scope."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import airlock
from airlock import Boundary, Drop
from airlock.errors import NoScopeError
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import Broken, NotifyWarehouse, SendEmail

# -- functions and coroutines ---------------------------------------------------------------------


def test_each_call_of_a_function_is_a_scope(boundary: Boundary, handled: list[Any]) -> None:
    """It delivers when the function returns, and discards when it raises."""

    @boundary.scoped()
    def checkout(order_id: int, *, fails: bool = False) -> str:
        """Check out."""
        airlock.emit(NotifyWarehouse(order_id))
        assert NotifyWarehouse(order_id) not in handled
        if fails:
            raise Broken
        return "done"

    assert checkout(1) == "done"
    with pytest.raises(Broken):
        checkout(2, fails=True)
    assert checkout(3) == "done"
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(3)]
    assert checkout.__name__ == "checkout"
    assert checkout.__doc__ == "Check out."


def test_a_scoped_function_in_a_scope_is_nested(boundary: Boundary, handled: list[Any]) -> None:
    """Recursion, too: the outermost call delivers."""

    @boundary.scoped()
    def countdown(n: int) -> None:
        airlock.emit(NotifyWarehouse(n))
        if n:
            countdown(n - 1)
        assert handled == []

    countdown(2)
    assert handled == [NotifyWarehouse(2), NotifyWarehouse(1), NotifyWarehouse(0)]


def test_a_scoped_function_takes_the_options_of_a_scope() -> None:
    """Policy, headers, keep, independence, fail_fast."""
    notify = FakeHandler()
    boundary = Boundary({NotifyWarehouse: notify})

    @boundary.scoped(policy=Drop(SendEmail), headers={"tenant": "acme"}, keep=lambda _: True)
    def checkout() -> None:
        airlock.emit(NotifyWarehouse())
        airlock.emit(SendEmail())
        raise Broken

    @boundary.scoped(independent=True)
    def remind() -> None:
        airlock.emit(NotifyWarehouse())

    with pytest.raises(Broken):
        checkout()
    assert [one.headers for one in notify.deliveries] == [{"tenant": "acme"}]
    with boundary.scope():
        remind()
        assert [one.headers for one in notify.deliveries] == [{"tenant": "acme"}, {}]


def test_a_scoped_function_makes_a_release_for_each_call(
    boundary: Boundary, handled: list[Any]
) -> None:
    """``release=`` is called for each scope: a release belongs to one."""
    connection = connect(":memory:")

    @boundary.scoped(release=lambda: on_commit(connection))
    def checkout(order_id: int, *, commits: bool) -> None:
        connection.execute("BEGIN")
        airlock.emit(NotifyWarehouse(order_id))
        if commits:
            connection.commit()
        else:
            connection.rollback()

    checkout(1, commits=True)
    checkout(2, commits=False)
    checkout(3, commits=True)
    connection.close()
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(3)]


@pytest.mark.anyio
async def test_each_call_of_a_coroutine_function_is_a_scope() -> None:
    """It awaits async handlers."""
    handled: list[Any] = []

    async def notify(subject: NotifyWarehouse) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(subject)

    boundary = Boundary({NotifyWarehouse: notify})

    @boundary.scoped()
    async def checkout(order_id: int, *, fails: bool = False) -> str:
        airlock.emit(NotifyWarehouse(order_id))
        await anyio.lowlevel.checkpoint()
        if fails:
            raise Broken
        return "done"

    assert inspect.iscoroutinefunction(checkout)
    assert await checkout(1) == "done"
    with pytest.raises(Broken):
        await checkout(2, fails=True)
    assert handled == [NotifyWarehouse(1)]


# -- generators -----------------------------------------------------------------------------------


def test_a_generators_scope_is_current_while_its_own_code_runs(
    boundary: Boundary, handled: list[Any]
) -> None:
    """The consumer, between two steps, is not in it."""

    @boundary.scoped()
    def orders() -> Iterator[int]:
        for n in (1, 2):
            airlock.emit(NotifyWarehouse(n))
            yield n
            assert airlock.current() == [NotifyWarehouse(i + 1) for i in range(n)]

    got = []
    for n in orders():
        got.append(n)
        with pytest.raises(NoScopeError):
            airlock.emit(SendEmail("consumer"))
        assert handled == []
    assert got == [1, 2]
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]


def test_a_consumer_keeps_its_own_scope(boundary: Boundary, handled: list[Any]) -> None:
    """What it emits between the steps is its own, and so are two generators side by side."""
    delivered: list[Any] = []
    other = Boundary({SendEmail: delivered.append})

    @boundary.scoped()
    def orders(start: int) -> Iterator[int]:
        for n in range(start, start + 2):
            airlock.emit(NotifyWarehouse(n))
            yield n

    with other.scope() as effects:
        for one, two in zip(orders(1), orders(11), strict=True):
            airlock.emit(SendEmail(f"{one} {two}"))
        assert effects == [SendEmail("1 11"), SendEmail("2 12")]
    assert delivered == [SendEmail("1 11"), SendEmail("2 12")]
    assert sorted(subject.order_id for subject in handled) == [1, 2, 11, 12]


def test_regions_of_a_generator_stay_its_own(boundary: Boundary, handled: list[Any]) -> None:
    """A region that is open over a yield holds in the generator, not in its consumer."""

    @boundary.scoped()
    def orders() -> Iterator[int]:
        with airlock.region(Drop(SendEmail)):
            airlock.emit(SendEmail("dropped"))
            yield 1
            airlock.emit(SendEmail("dropped too"))
        airlock.emit(SendEmail("kept"))

    with Boundary({SendEmail: handled.append}).scope():
        for _ in orders():
            airlock.emit(SendEmail("consumer"))
    assert handled == [SendEmail("kept"), SendEmail("consumer")]


def test_a_generator_is_sent_values_and_returns_one(boundary: Boundary, handled: list[Any]) -> None:
    """``send``, ``throw`` and ``return`` work as without the decorator."""

    @boundary.scoped()
    def conversation() -> Generator[str, int, str]:
        got = yield "ready"
        airlock.emit(NotifyWarehouse(got))
        try:
            yield "again"
        except Broken:
            airlock.emit(SendEmail("sorry"))
            yield "caught"
        return "end"

    talk = conversation()
    assert next(talk) == "ready"
    assert talk.send(7) == "again"
    assert talk.throw(Broken()) == "caught"
    with pytest.raises(StopIteration) as stopped:
        next(talk)
    assert stopped.value.value == "end"
    assert handled == [NotifyWarehouse(7), SendEmail("sorry")]


def test_a_generator_that_raises_discards(boundary: Boundary, handled: list[Any]) -> None:
    """Its own error, or one that was thrown into it."""

    @boundary.scoped()
    def orders() -> Iterator[int]:
        airlock.emit(NotifyWarehouse())
        yield 1
        raise Broken

    with pytest.raises(Broken):
        list(orders())
    thrown = orders()
    next(thrown)
    with pytest.raises(KeyError):
        thrown.throw(KeyError())  # type: ignore[attr-defined]
    assert handled == []


def test_a_generator_that_is_closed_early_discards(boundary: Boundary, handled: list[Any]) -> None:
    """It did not get to its end; its own clean-up still runs inside the scope."""
    left: list[Any] = []

    @boundary.scoped()
    def orders() -> Generator[int]:
        try:
            airlock.emit(NotifyWarehouse())
            yield 1
        finally:
            left.extend(airlock.current())

    generator = orders()
    next(generator)
    generator.close()
    assert left == [NotifyWarehouse()]
    assert handled == []


@pytest.mark.anyio
async def test_async_generators_are_scopes_too() -> None:
    """As for generators: current inside only, delivered at the end, async handlers awaited."""
    handled: list[Any] = []

    async def notify(subject: NotifyWarehouse) -> None:
        handled.append(subject)

    boundary = Boundary({NotifyWarehouse: notify})

    @boundary.scoped()
    async def orders() -> AsyncIterator[int]:
        for n in (1, 2):
            airlock.emit(NotifyWarehouse(n))
            await anyio.lowlevel.checkpoint()
            yield n

    async for _ in orders():
        with pytest.raises(NoScopeError):
            airlock.current()
        assert handled == []
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]


@pytest.mark.anyio
async def test_an_async_generator_that_fails_or_is_closed_early_discards(
    boundary: Boundary, handled: list[Any]
) -> None:
    """As for generators."""

    @boundary.scoped()
    async def orders(*, fails: bool) -> AsyncGenerator[int]:
        airlock.emit(NotifyWarehouse())
        yield 1
        if fails:
            raise Broken
        yield 2

    with pytest.raises(Broken):
        async for _ in orders(fails=True):
            pass
    generator = orders(fails=False)
    assert await generator.__anext__() == 1
    await generator.aclose()
    thrown = orders(fails=False)
    assert await thrown.__anext__() == 1
    with pytest.raises(KeyError):
        await thrown.athrow(KeyError())
    assert handled == []


@pytest.mark.anyio
async def test_an_async_generator_may_be_stepped_by_several_tasks(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Frameworks finish streams in another task than they began them in."""

    @boundary.scoped()
    async def orders() -> AsyncIterator[int]:
        for n in (1, 2, 3):
            airlock.emit(NotifyWarehouse(n))
            yield n

    stream = orders()
    got: list[int] = []

    async def step() -> None:
        got.extend([n async for n in stream] if got else [await anext(stream)])

    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(step)
    assert got == [1, 2, 3]
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)]
