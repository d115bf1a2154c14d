"""Tasks and threads that record at the same time never see each other's effects or fakes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import anyio.lowlevel
import pytest
import trio

import airlock
from airlock import Boundary, EffectBuffer
from airlock.errors import NoScopeError
from airlock.testing import FakeHandler, expect_effects
from tests.testing.vocabulary import Done, NotifyWarehouse, SendEmail

ROUNDS = 20


def order_ids(effects: EffectBuffer) -> list[int]:
    return [intent.order_id for intent in effects]


turn = anyio.lowlevel.checkpoint
"""Let the other task go on: each step of the one is between two steps of the other."""

Work = Callable[[int], Awaitable[None]]


def on_asyncio(work: Work) -> None:
    async def main() -> None:
        await asyncio.gather(work(0), work(1))

    asyncio.run(main())


def on_trio(work: Work) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, 0)
            nursery.start_soon(work, 1)

    trio.run(main)


both = pytest.mark.parametrize("run", [on_asyncio, on_trio])


# -- tasks ----------------------------------------------------------------------------------------


@both
def test_tasks_that_record_side_by_side_see_their_own_effects(run: Callable[[Work], None]) -> None:
    """Ambient ones, and those of scopes; though the recordings overlap, and end one in the other."""
    done = Done()
    boundary = done.boundary()
    started: list[int] = []

    async def work(name: int) -> None:
        with expect_effects() as fx:
            started.append(name)
            for i in range(ROUNDS):
                await turn()
                airlock.emit(NotifyWarehouse(100 * name + i))
                with boundary.scope():
                    await turn()
                    airlock.emit(NotifyWarehouse(100 * name + i))
                assert sorted(started) == [0, 1]
            assert order_ids(fx) == [100 * name + i for i in range(ROUNDS) for _ in "ab"]

    run(work)
    assert done.intents == []


@both
def test_a_task_beside_a_recording_is_not_in_it(run: Callable[[Work], None]) -> None:
    """It has no scope to emit into, as before."""

    async def work(name: int) -> None:
        if name == 0:
            with expect_effects(NotifyWarehouse(0)):
                await turn()
                airlock.emit(NotifyWarehouse(0))
                await turn()
        for _ in range(ROUNDS):
            with pytest.raises(NoScopeError):
                airlock.emit(NotifyWarehouse(1))
            await turn()

    run(work)


@both
def test_tasks_see_their_own_fakes(run: Callable[[Work], None]) -> None:
    """Of one boundary, in scopes that are open at the same time."""
    done = Done()
    boundary = done.boundary()
    fakes = [FakeHandler(), FakeHandler()]

    async def work(name: int) -> None:
        async with boundary.scope() as scope:
            with scope.override({NotifyWarehouse: fakes[name]}):
                for i in range(ROUNDS):
                    await turn()
                    airlock.emit(NotifyWarehouse(100 * name + i))
            airlock.emit(SendEmail(str(name)))

    run(work)
    for name, fake in enumerate(fakes):
        assert fake.intents == [NotifyWarehouse(100 * name + i) for i in range(ROUNDS)]
    assert sorted(map(repr, done.intents)) == [repr(SendEmail("0")), repr(SendEmail("1"))]


def test_child_tasks_are_recorded_with_their_parent() -> None:
    async def child(order_id: int) -> None:
        await asyncio.sleep(0)
        airlock.emit(NotifyWarehouse(order_id))

    async def main() -> None:
        async with expect_effects(NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)):
            await asyncio.gather(child(1), child(2))
            await asyncio.to_thread(airlock.emit, NotifyWarehouse(3))

    asyncio.run(main())


@pytest.mark.anyio
async def test_async_blocks_check_what_they_expect() -> None:
    """As sync ones do, under either event loop."""
    done = Done()
    async with expect_effects(NotifyWarehouse(1)), done.boundary().scope():
        airlock.emit(NotifyWarehouse(1))
    with pytest.raises(AssertionError, match="not as expected"):
        async with expect_effects(NotifyWarehouse(2)):
            pass
    with pytest.raises(NoScopeError):
        airlock.current()
    assert done.intents == []


@pytest.mark.anyio
async def test_async_handlers_of_allowed_effects_are_recorded() -> None:
    async def send(_: SendEmail) -> None:
        airlock.emit(NotifyWarehouse(1))

    boundary = Boundary({SendEmail: send, NotifyWarehouse: FakeHandler()})
    async with expect_effects(SendEmail, NotifyWarehouse(1), allow=True), boundary.scope():
        airlock.emit(SendEmail("ada@example.org"))


# -- threads --------------------------------------------------------------------------------------


def in_threads(*works: Callable[[], None]) -> None:
    """Run them at the same time; what one of them raises is raised."""
    errors: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def test_threads_that_record_side_by_side_see_their_own_effects() -> None:
    done, together = Done(), threading.Barrier(2, timeout=600)
    boundary = done.boundary()

    def working(name: int) -> Callable[[], None]:
        def work() -> None:
            with expect_effects() as fx:
                for i in range(ROUNDS):
                    together.wait()
                    airlock.emit(NotifyWarehouse(100 * name + i))
                    with boundary.scope():
                        airlock.emit(NotifyWarehouse(100 * name + i))
                together.wait()
                assert order_ids(fx) == [100 * name + i for i in range(ROUNDS) for _ in "ab"]
                together.wait()

        return work

    in_threads(working(0), working(1))
    assert done.intents == []


def test_scopes_of_threads_without_a_recording_of_their_own_are_recorded() -> None:
    """A plain thread starts without a context; what its scopes emit would be delivered for real."""
    done = Done()

    def work() -> None:
        with done.boundary().scope():
            airlock.emit(NotifyWarehouse(1))

    with expect_effects(NotifyWarehouse(1)):
        in_threads(work)
    assert done.intents == []


def test_the_ambient_recording_is_not_in_force_in_a_plain_thread() -> None:
    """Where code emits without a scope there, it fails as in production."""

    def work() -> None:
        with pytest.raises(NoScopeError):
            airlock.emit(NotifyWarehouse(1))

    with expect_effects():
        in_threads(work)


def test_many_threads_may_be_recorded_at_once() -> None:
    done = Done()

    def working(name: int) -> Callable[[], None]:
        def work() -> None:
            for i in range(ROUNDS):
                with done.boundary().scope():
                    airlock.emit(NotifyWarehouse(100 * name + i))

        return work

    with expect_effects(exhaustive=False) as fx:
        in_threads(*map(working, range(8)))
    assert sorted(order_ids(fx)) == [100 * name + i for name in range(8) for i in range(ROUNDS)]
    assert done.intents == []
