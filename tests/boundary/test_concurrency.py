"""``Boundary(concurrency=n)``: an async flush that runs several handlers at once."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import airlock
from airlock import Boundary, FlushError, Options
from airlock.errors import WiringError
from tests.boundary.vocabulary import Broken, NotifyWarehouse, SendEmail


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio: the one loop it runs under."""
    return "asyncio"


class Worker:
    """An async handler that takes its time, and notes how many run at once."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended: list[int] = []
        self.running: set[int] = set()
        self.most = 0

    async def __call__(self, subject: NotifyWarehouse) -> None:
        self.started.append(subject.order_id)
        self.running.add(subject.order_id)
        self.most = max(self.most, len(self.running))
        for _ in range(1 + subject.order_id % 3):
            await asyncio.sleep(0)
        self.running.discard(subject.order_id)
        self.ended.append(subject.order_id)


def orders(count: int) -> list[NotifyWarehouse]:
    return [NotifyWarehouse(n) for n in range(count)]


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 2, 3, 100])
async def test_at_most_so_many_handlers_run_at_once(concurrency: int) -> None:
    """All are delivered, started in the order of their emission."""
    worker = Worker()
    async with Boundary({NotifyWarehouse: worker}, concurrency=concurrency).scope() as effects:
        effects.emit_all(orders(10))
    assert worker.started == list(range(10))
    assert sorted(worker.ended) == list(range(10))
    assert worker.most == min(concurrency, 10)
    assert effects.report.delivered == orders(10)


@pytest.mark.anyio
async def test_an_ordering_key_keeps_its_intents_in_order() -> None:
    """One after the other; those of other keys do not wait for them."""
    worker = Worker()
    boundary = Boundary({NotifyWarehouse: worker}, concurrency=10)
    overlaps: list[set[int]] = []

    async def watch(subject: Any, call_next: Any) -> None:
        overlaps.append({n % 2 for n in worker.running if n % 2 == subject.order_id % 2})
        await call_next(subject)

    boundary = Boundary({NotifyWarehouse: worker}, concurrency=10, interceptors=[watch])
    async with boundary.scope() as effects:
        for subject in orders(10):
            effects.emit(subject, Options(ordering_key="odd" if subject.order_id % 2 else "even"))
    assert overlaps == [set()] * 10
    assert worker.most == 2
    assert [n for n in worker.ended if n % 2] == [1, 3, 5, 7, 9]
    assert [n for n in worker.ended if n % 2 == 0] == [0, 2, 4, 6, 8]


@pytest.mark.anyio
async def test_waves_still_follow_each_other() -> None:
    """Follow-ups begin when all of their wave has ended; each has its own cause."""
    log: list[str] = []

    async def notify(subject: NotifyWarehouse) -> None:
        await asyncio.sleep(0)
        airlock.emit(SendEmail(str(subject.order_id)))
        await asyncio.sleep(0)
        log.append("notified")

    boundary = Boundary(
        {NotifyWarehouse: notify, SendEmail: lambda _: log.append("sent")}, concurrency=5
    )
    async with boundary.scope() as effects:
        effects.emit_all(orders(3))
    assert log == ["notified"] * 3 + ["sent"] * 3
    assert [
        (e.intent.to, e.cause and e.cause.intent.order_id) for e in effects.report.of(SendEmail)
    ] == [("0", 0), ("1", 1), ("2", 2)]


@pytest.mark.anyio
async def test_failures_are_gathered() -> None:
    """One does not cancel the others."""

    async def notify(subject: NotifyWarehouse) -> None:
        await asyncio.sleep(0)
        if subject.order_id % 2:
            raise Broken(str(subject.order_id))

    effects = Boundary({NotifyWarehouse: notify}, concurrency=3).scope()
    with pytest.raises(FlushError) as raised:
        async with effects:
            effects.emit_all(orders(5))
    assert [str(error) for error in raised.value.exceptions] == ["1", "3"]
    assert [i.order_id for i in effects.report.delivered] == [0, 2, 4]


@pytest.mark.anyio
async def test_fail_fast_starts_no_more() -> None:
    """What was running is awaited."""
    worker = Worker()

    async def notify(subject: NotifyWarehouse) -> None:
        await worker(subject)
        if subject.order_id == 0:
            raise Broken

    effects = Boundary({NotifyWarehouse: notify}, concurrency=2, fail_fast=True).scope()
    with pytest.raises(FlushError):
        async with effects:
            effects.emit_all(orders(10))
    assert worker.running == set()
    assert effects.report.failed == orders(1)
    assert len(effects.report.pending) == 10 - len(worker.started)
    assert len(worker.started) < 5


@pytest.mark.anyio
async def test_cancellation_interrupts_all_that_run() -> None:
    """The report is complete: failed what ran, pending what did not."""

    async def notify(subject: NotifyWarehouse) -> None:
        await asyncio.sleep(0 if subject.order_id == 0 else 60)

    scope = Boundary({NotifyWarehouse: notify}, concurrency=2).scope()
    with anyio.move_on_after(0.05) as cancelled:
        async with scope:
            scope.emit_all(orders(5))
    assert cancelled.cancelled_caught
    report = scope.report
    assert report.delivered == orders(1)
    assert [i.order_id for i in report.failed] == [1, 2]
    assert [entry.interrupted for entry in report] == [False, True, True, False, False]
    assert [i.order_id for i in report.pending] == [3, 4]


def test_a_sync_flush_runs_one_after_the_other(handled: list[Any]) -> None:
    """There is nothing to wait for."""
    with Boundary({NotifyWarehouse: handled.append}, concurrency=5).scope() as effects:
        effects.emit_all(orders(3))
    assert handled == orders(3)


def test_other_event_loops_are_refused() -> None:
    """Loudly, with what to do; nothing ran, nothing is lost, and the error has the report."""
    worker = Worker()
    scope = Boundary({NotifyWarehouse: worker}, concurrency=2).scope()

    async def main() -> None:
        async with scope:
            scope.emit_all(orders(2))

    with pytest.raises(WiringError) as raised:
        anyio.run(main, backend="trio")
    assert "concurrency=...) runs under asyncio" in str(raised.value)
    assert "leave it 1" in str(raised.value)
    assert worker.started == []
    assert scope.report.pending == orders(2)
    assert raised.value.report is scope.report
