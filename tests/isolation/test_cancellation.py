"""A cancellation ends a flush only if it is the flush that was cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Expands,
    FlushError,
    Handles,
    HandlesBatch,
    Outcome,
    RetryPolicy,
    Scope,
    intent,
)
from airlock.errors import HandlerCancelledError


@intent
class Fetch:
    """Its handler awaits what somebody else cancels."""

    n: int = 0


@intent
class Note:
    n: int = 0


@intent
class Start:
    """Its handler emits a ``Fetch`` and a ``Note``."""


async def awaits_the_cancelled(_: object) -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def awaits_a_cancelled_gather(_: object) -> None:
    tasks = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(2)]
    tasks[1].cancel()
    try:
        await asyncio.gather(*tasks)
    finally:
        tasks[0].cancel()


async def raises_it(_: object) -> None:
    raise asyncio.CancelledError


def plain(notes: list[int], fetch: Any) -> Boundary:
    return Boundary({Fetch: fetch, Note: lambda i: notes.append(i.n)})


def at_once(notes: list[int], fetch: Any) -> Boundary:
    return Boundary({Fetch: fetch, Note: lambda i: notes.append(i.n)}, concurrency=3)


def batched(notes: list[int], fetch: Any) -> Boundary:
    wiring = containers.DynamicContainer()
    wiring.fetch = HandlesBatch(Fetch, fetch)
    wiring.note = Handles(Note, lambda i: notes.append(i.n))
    return Boundary(wiring)


def retried(notes: list[int], fetch: Any) -> Boundary:
    wiring = containers.DynamicContainer()
    wiring.fetch = Handles(Fetch, fetch, retry=RetryPolicy(on=Exception, max_attempts=2))
    wiring.note = Handles(Note, lambda i: notes.append(i.n))
    return Boundary(wiring)


def expanded(notes: list[int], fetch: Any) -> Boundary:
    async def expand(event: Fetch) -> tuple[Note, ...]:
        await fetch(event)
        return (Note(event.n),)

    wiring = containers.DynamicContainer()
    wiring.fetch = Expands(Fetch, expand)
    wiring.note = Handles(Note, lambda i: notes.append(i.n))
    return Boundary(wiring)


def intercepted(notes: list[int], fetch: Any) -> Boundary:
    async def around(subject: Any, call_next: Callable[[Any], Any]) -> None:
        if isinstance(subject, Fetch):
            await fetch(subject)
        call_next(subject)

    wiring = {Fetch: lambda _: None, Note: lambda i: notes.append(i.n)}
    return Boundary(wiring, interceptors=[around])


WIRINGS = [plain, at_once, batched, retried, expanded, intercepted]
FETCHING = [awaits_the_cancelled, awaits_a_cancelled_gather, raises_it]


def is_of_fetch(error: FlushError, *numbers: int) -> None:
    """Every ``Fetch`` failed for its cancellation, and everything else was delivered."""
    assert [i.n for i in error.report.failed] == list(numbers)
    assert all(isinstance(one, HandlerCancelledError) for one in error.exceptions)
    assert all(isinstance(one.__cause__, asyncio.CancelledError) for one in error.exceptions)
    assert error.report.pending == []


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("fetch", FETCHING)
def test_what_others_cancel_fails_its_handler_and_nothing_else(wiring: Any, fetch: Any) -> None:
    async def main() -> None:
        notes: list[int] = []
        with pytest.raises(FlushError) as raised:
            async with wiring(notes, fetch).scope() as effects:
                effects.emit_all([Fetch(1), Note(1), Fetch(2), Note(2)])
        assert sorted(notes) == [1, 2]
        is_of_fetch(raised.value, 1, 2)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    asyncio.run(main())


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_group_of_what_others_cancel_fails_its_handler_and_nothing_else(wiring: Any) -> None:
    async def raises_a_group(_: object) -> None:
        inner = BaseExceptionGroup("inner", [asyncio.CancelledError(), ValueError("as well")])
        raise BaseExceptionGroup("outer", [inner, asyncio.CancelledError()])

    async def main() -> None:
        notes: list[int] = []
        with pytest.raises(FlushError) as raised:
            async with wiring(notes, raises_a_group).scope() as effects:
                effects.emit_all([Fetch(1), Note(1)])
        assert notes == [1]
        (error,) = raised.value.exceptions
        assert isinstance(error, HandlerCancelledError)
        assert isinstance(error.__cause__, BaseExceptionGroup)

    asyncio.run(main())


def test_a_group_with_an_interrupt_ends_the_flush() -> None:
    def raises_a_group(_: object) -> None:
        raise BaseExceptionGroup("both", [asyncio.CancelledError(), KeyboardInterrupt()])

    effects = plain([], raises_a_group).scope()
    with pytest.raises(BaseExceptionGroup), effects:
        effects.emit_all([Fetch(1), Note(1)])
    assert effects.report.pending == [Note(1)]


def test_the_same_in_a_follow_up_and_in_a_resume() -> None:
    async def main() -> None:
        notes: list[int] = []

        def start(_: Start) -> None:
            airlock.emit_all([Fetch(1), Note(1)])

        handlers: dict[Any, Any] = {
            Start: start,
            Fetch: awaits_the_cancelled,
            Note: lambda i: notes.append(i.n),
        }
        with pytest.raises(FlushError) as raised:
            async with Boundary(handlers).scope() as effects:
                effects.emit(Start())
        assert notes == [1]
        is_of_fetch(raised.value, 1)
        with pytest.raises(FlushError) as again:
            await raised.value.report.aresume()
        is_of_fetch(again.value, 1)

    asyncio.run(main())


def test_a_sync_flush_is_never_cancelled() -> None:
    """What a handler runs to its end in a loop of its own is the handler's."""
    notes: list[int] = []

    def fetch(subject: Fetch) -> None:
        asyncio.run(awaits_the_cancelled(subject))

    with pytest.raises(FlushError) as raised, plain(notes, fetch).scope() as effects:
        effects.emit_all([Fetch(1), Note(1)])
    assert notes == [1]
    is_of_fetch(raised.value, 1)


def test_a_resource_that_others_cancel_refuses_the_wave() -> None:
    class Connecting(Handles[Any]):
        def __call__(self, *_: Any, **__: Any) -> Any:
            return awaits_the_cancelled(None)

    async def main() -> None:
        wiring = containers.DynamicContainer()
        wiring.fetch = Connecting(Fetch, lambda _: None)
        scope = Boundary(wiring).scope()
        with pytest.raises(HandlerCancelledError, match="a provider"):
            async with scope:
                scope.emit(Fetch(1))
        assert scope.report.pending == [Fetch(1)]

    asyncio.run(main())


# -- a flush that is cancelled --------------------------------------------------------------------


async def forever(_: object) -> None:
    await asyncio.sleep(60)


async def cancelled_by_timeout(work: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await work()


async def cancelled_by_cancel(work: Callable[[], Awaitable[Any]]) -> None:
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def cancelled_with_all_tasks(work: Callable[[], Awaitable[Any]]) -> None:
    """As ``asyncio.run`` does at the end, and servers do when they stop."""
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.05)
    for other in asyncio.all_tasks() - {asyncio.current_task()}:
        other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


CANCELLING = [cancelled_by_timeout, cancelled_by_cancel, cancelled_with_all_tasks]


@pytest.mark.parametrize("wiring", [plain, at_once, batched, retried, expanded, intercepted])
@pytest.mark.parametrize("cancelling", CANCELLING)
def test_a_flush_that_is_cancelled_logs_what_is_left(
    wiring: Any, cancelling: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scopes: list[Scope] = []

    async def work() -> None:
        async with wiring([], forever).scope() as effects:
            scopes.append(effects)
            effects.emit_all([Fetch(1), Note(1)])

    async def main() -> None:
        with caplog.at_level(logging.ERROR, "airlock"):
            await cancelling(work)

    asyncio.run(main())
    (report,) = (scope.report for scope in scopes)
    assert [(e.intent, e.interrupted) for e in report if e.outcome is Outcome.FAILED] == [
        (Fetch(1), True)
    ]
    (record,) = caplog.records
    assert "a flush was interrupted by CancelledError" in record.getMessage()
    assert "In flight, perhaps done: Fetch(n=1)." in record.getMessage()
    pending = "Note(n=1)" if report.pending else "nothing"
    assert f"Pending: {pending}." in record.getMessage()


def test_a_cancelled_flush_is_interrupted_by_what_others_cancel_as_well() -> None:
    """A handler that is cancelled together with what it awaits: nobody can tell, so it ends."""

    async def main() -> None:
        async def fetch(_: Fetch) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(60)

        task = asyncio.ensure_future(deliver(plain([], fetch)))
        with pytest.raises(asyncio.CancelledError):
            await task

    async def deliver(boundary: Boundary) -> None:
        async with boundary.scope() as effects:
            effects.emit_all([Fetch(1), Note(1)])

    asyncio.run(main())


# -- a resume that is interrupted -----------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 2])
def test_what_an_interrupted_resume_left_stays_within_reach(concurrency: int) -> None:
    """The report that was resumed says what came of it, and can be resumed again."""

    async def main() -> None:
        up = list[bool]()
        done = list[int]()

        async def fetch(subject: Fetch) -> None:
            if not up:
                raise ConnectionError
            if subject.n == 2 and len(up) == 1:
                await asyncio.sleep(60)
            done.append(subject.n)
            airlock.emit(Note(subject.n))

        notes: list[int] = []
        boundary = plain(notes, fetch) if concurrency == 1 else at_once(notes, fetch)
        effects = boundary.scope()
        with pytest.raises(FlushError) as raised:
            async with effects:
                effects.emit_all(map(Fetch, range(1, 5)))
        report = raised.value.report
        up.append(True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await report.aresume()
        assert effects.report is report
        assert [e.intent for e in report if e.interrupted] == [Fetch(2)]
        assert sorted([*done, *(i.n for i in report.pending if isinstance(i, Fetch))]) == [1, 3, 4]
        assert [n.n for n in report.pending if isinstance(n, Note)] == done
        assert {e.cause.intent for e in report.of(Note) if e.cause} == {Fetch(n) for n in done}
        up.append(True)
        resumed = await report.aresume(interrupted=True)
        assert sorted(done) == [1, 2, 3, 4]
        assert sorted(notes) == [1, 2, 3, 4]
        assert resumed.ok

    asyncio.run(main())


@pytest.mark.parametrize("of_scope", [True, False])
def test_a_resume_fails_as_fast_as_its_scope(of_scope: bool) -> None:
    tried = list[int]()

    def fetch(subject: Fetch) -> None:
        tried.append(subject.n)
        raise ConnectionError

    boundary = Boundary({Fetch: fetch}, fail_fast=not of_scope)
    with pytest.raises(FlushError) as raised, boundary.scope(fail_fast=of_scope) as effects:
        effects.emit_all(map(Fetch, range(3)))
    first = len(tried)
    with pytest.raises(FlushError):
        raised.value.report.resume()
    assert first == (1 if of_scope else 3)
    assert len(tried) == 2 * first
