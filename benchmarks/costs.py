"""What each feature costs beside the plain path, and whether many cost more each than few."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from time import process_time
from typing import Any

from dependency_injector import containers

import airlock
from airlock import Boundary, Drop, Handles, HandlesBatch, Observer, RetryPolicy, emit, region
from benchmarks.clock import BrokenError, Handler, Work, nothing, per_item, proven
from benchmarks.contenders import NotifyWarehouse, Other, ambient, flushing, reported
from benchmarks.measure import Bar, Contender, Row, Sample

N = 10_000


def rows() -> Iterator[Row]:
    yield Row(
        "count",
        "one scope, one emit, one plain handler: what of airlock is called",
        "functions, files",
        [
            Contender("calls of functions", lambda: lambda: counting("calls"), Bar.VALUE, 45),
            Contender("files they are in", lambda: lambda: counting("files"), Bar.VALUE, 10),
        ],
        rounds=1,
        digits=0,
    )
    yield Row(
        "around",
        f"{N:,} intents with something around each call",
        "ns per intent",
        [
            Contender("a plain handler", flushing(ambient(), N)),
            Contender("a pass-through interceptor", flushing(intercepted, N), Bar.OVER_FIRST, 300),
            Contender("an observer with started", flushing(observed, N), Bar.OVER_FIRST, 600),
            Contender("a retry that is not needed", flushing(retried, N), Bar.OVER_FIRST, 1_000),
        ],
    )
    yield Row(
        "kinds",
        f"{N:,} intents by kind of delivery",
        "ns per intent",
        [
            Contender("a handler each", flushing(ambient(), N)),
            Contender("one batch of all", batching(N), Bar.TIMES_FIRST, 1),
            Contender("as many follow-ups more", flushing(follow_ups, 2 * N), Bar.TIMES_FIRST, 2.5),
            Contender("sync handlers, async scope", awaiting(nothing), Bar.TIMES_FIRST, 3),
        ],
    )
    yield Row(
        "async",
        f"{N:,} intents with async handlers",
        "ns per intent",
        [
            Contender("airlock", awaiting(awaited)),
            Contender("await handler(x) in a loop", lambda: lambda: _run(_loop), Bar.AT_MOST, 5),
        ],
    )
    for title, work in (("sibling regions with a policy", siblings), ("nested scopes", scopes)):
        yield Row(
            "many",
            title,
            "ns per item",
            [
                Contender("500 of them", _many(work, 500)),
                Contender("16,000 of them", _many(work, 16_000), Bar.TIMES_FIRST, 1.3),
            ],
        )


# -- counted --------------------------------------------------------------------------------------


def counting(what: str) -> Sample:
    """Count the calls of airlock's functions in one scope, or the files that these are in."""
    boundary = Boundary({NotifyWarehouse: nothing})
    files = list[str]()

    def once() -> None:
        with boundary.scope() as effects:
            effects.emit(NotifyWarehouse(1))

    def note(frame: Any, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(root):
            files.append(name)

    root = airlock.__path__[0]
    once()
    once()
    sys.setprofile(note)
    try:
        once()
    finally:
        sys.setprofile(None)
    return Sample(float(len(files) if what == "calls" else len(set(files))))


# -- around a call --------------------------------------------------------------------------------


def _passing(intent: Any, call_next: Handler) -> object:
    return call_next(intent)


class _Watching(Observer):
    def started(self, delivery: Any, /) -> None:
        """The least that an observer can do."""


def intercepted(handler: Handler) -> Work:
    return _work(Boundary({NotifyWarehouse: handler}, interceptors=[_passing]))


def observed(handler: Handler) -> Work:
    return _work(Boundary({NotifyWarehouse: handler}, observers=[_Watching()]))


def retried(handler: Handler) -> Work:
    effects = containers.DynamicContainer()
    effects.notify = Handles(NotifyWarehouse, handler, retry=RetryPolicy(on=ConnectionError))
    return _work(Boundary(effects))


def _work(boundary: Boundary) -> Work:
    def work(n: int) -> object:
        with boundary.scope() as scope:
            for i in range(n):
                emit(NotifyWarehouse(i))
        return reported(scope)

    return work


# -- kinds of delivery ----------------------------------------------------------------------------


def follow_ups(handler: Handler) -> Work:
    """``n`` intents, half of them emitted by the handlers of the others."""

    def follow(cause: NotifyWarehouse) -> None:
        handler(cause)
        emit(Other(cause.order_id))

    work = _work(Boundary({NotifyWarehouse: follow, Other: handler}))
    return lambda n: work(n // 2)


def batching(n: int) -> Callable[[], Callable[[], Sample]]:
    """What takes samples of one batch of all, which has been seen to be one."""

    def prepare() -> Callable[[], Sample]:
        sizes = list[int]()
        _batch(lambda items: sizes.append(len(items)))(100)
        if sizes != [100]:
            raise BrokenError(f"batches of {sizes}, not one of 100")
        work = _batch(nothing)
        return lambda: Sample(per_item(work, n))

    return prepare


def _batch(handler: Handler) -> Work:
    effects = containers.DynamicContainer()
    effects.notify = HandlesBatch(NotifyWarehouse, handler)
    return _work(Boundary(effects))


async def awaited(_: object) -> None:
    """The async handler of everybody."""


def awaiting(handler: Handler) -> Callable[[], Callable[[], Sample]]:
    """What takes samples of a flush in an async scope."""
    boundary = Boundary({NotifyWarehouse: handler})

    async def work(n: int) -> object:
        async with boundary.scope() as scope:
            for i in range(n):
                emit(NotifyWarehouse(i))
        return reported(scope)

    return lambda: lambda: _run(work)


async def _loop(n: int) -> object:
    done = list[NotifyWarehouse]()
    for i in range(n):
        done.append(NotifyWarehouse(i))
        await awaited(done[-1])
    return done


def _run(work: Callable[[int], Awaitable[object]]) -> Sample:
    """The event loop is running before the clock is started."""

    async def timed() -> float:
        gc.collect()
        start = process_time()
        done = await work(N)
        spent = process_time() - start
        del done
        return spent

    return Sample(asyncio.run(timed()) / N * 1e9)


# -- many of them ---------------------------------------------------------------------------------


def siblings(handler: Handler) -> Work:
    boundary = Boundary({NotifyWarehouse: handler})

    def work(n: int) -> object:
        with boundary.scope() as scope:
            for i in range(n):
                with region(Drop(Other)):
                    emit(NotifyWarehouse(i))
        return reported(scope)

    return work


def scopes(handler: Handler) -> Work:
    boundary = Boundary({NotifyWarehouse: handler})

    def work(n: int) -> object:
        with boundary.scope() as scope:
            for i in range(n):
                with boundary.scope():
                    emit(NotifyWarehouse(i))
        return reported(scope)

    return work


def _many(make: Callable[[Handler], Work], n: int) -> Callable[[], Callable[[], Sample]]:
    """As many items for few as for many: several scopes of few."""

    def prepare() -> Callable[[], Sample]:
        work = proven(make, nothing)
        return lambda: Sample(per_item(work, n, 16_000 // n))

    return prepare
