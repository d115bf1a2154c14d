"""What a dispatch handed over is delivered in another process: ``boundary.deliver``."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

import airlock
from airlock import Boundary, Drop, Expands, OncePerChain, Options, Route
from airlock.errors import (
    ApplyError,
    DeclarationError,
    FlushError,
    UnavailableError,
    UnhandledIntentError,
)
from airlock.integrations.base import QueueDispatch, Receiver
from airlock.wire import Envelope


@airlock.intent(kind="arrivals.work")
class Work:
    number: int


@airlock.intent(kind="arrivals.next")
class Next:
    number: int


class Queue(QueueDispatch):
    """A queue in a list, which may be down."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent: list[str] = []
        self.down = False
        self.asked = 0

    def send(self, envelope: Envelope, message: str, /) -> None:
        self.asked += 1
        if self.down:
            raise UnavailableError("the test queue", "it is down")
        self.sent.append(message)


def test_its_handler_runs_here_whatever_the_dispatch_says() -> None:
    queue, done = Queue(), list[Any]()
    boundary = Boundary({Work: done.append}, dispatch=queue)
    report = boundary.deliver(Envelope(Work(1)))
    assert (done, queue.sent) == ([Work(1)], [])
    assert report.delivered == [Work(1)]


def test_follow_ups_go_where_the_dispatch_says() -> None:
    queue = Queue()

    def work(intent: Work) -> None:
        airlock.emit(Next(intent.number))
        assert queue.sent == []

    report = Boundary({Work: work}, dispatch=queue).deliver(Envelope(Work(1)))
    assert len(queue.sent) == 1
    assert report.handed_over == [Next(1)]


def test_a_follow_up_of_its_own_class_is_handed_over_as_well() -> None:
    queue = Queue()
    boundary = Boundary({Work: lambda intent: airlock.emit(Work(2))}, dispatch=queue)
    assert boundary.deliver(Envelope(Work(1))).handed_over == [Work(2)]


def test_what_it_expands_to_is_handed_over() -> None:
    from dependency_injector import containers

    class Effects(containers.DeclarativeContainer):
        work = Expands(Work, lambda intent: (Next(1), Next(2)))

    report = Boundary(Effects(), dispatch=Queue()).deliver(Envelope(Work(1)))
    assert report.handed_over == [Next(1), Next(2)]


def test_an_error_of_the_handler_is_raised_as_it_is_and_its_follow_ups_are_dropped() -> None:
    queue = Queue()

    def work(intent: Work) -> None:
        airlock.emit(Next(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Boundary({Work: work}, dispatch=queue).deliver(Envelope(Work(1)))
    assert queue.sent == []


def test_an_error_of_a_follow_up_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue()
    queue.down = True
    boundary = Boundary({Work: lambda _: airlock.emit(Next(1))}, dispatch=Route({Next: queue}))
    report = boundary.deliver(Envelope(Work(1)))
    assert report.delivered == [Work(1)]
    assert report.pending == [Next(1)]
    assert "some of its follow-ups were not" in caplog.text


def test_or_raised() -> None:
    queue = Queue()
    queue.down = True
    boundary = Boundary({Work: lambda _: airlock.emit(Next(1))}, dispatch=Route({Next: queue}))
    with pytest.raises(FlushError, match="the test queue"):
        boundary.deliver(Envelope(Work(1)), on_flush_error="raise")


def test_without_a_handler_it_is_refused() -> None:
    with pytest.raises(UnhandledIntentError):
        Boundary({}, dispatch=Queue()).deliver(Envelope(Work(1)))


def test_the_handler_knows_the_id_headers_causes_and_the_attempt() -> None:
    told: list[Any] = []

    def work(intent: Work) -> None:
        now = airlock.delivery()
        told.extend((now.id, dict(now.headers), now.attempt))

    options = Options(id=UUID(int=7), headers={"tenant": "acme"}, delay=timedelta(hours=1))
    Boundary({Work: work}, dispatch=Queue()).deliver(Envelope(Work(1), options), attempt=3)
    assert told == [UUID(int=7), {"tenant": "acme"}, 3]


def test_a_dedupe_key_concerns_the_queue_and_not_the_handler() -> None:
    done: list[Any] = []
    envelope = Envelope(Work(1), Options(dedupe_key="one at a time"))
    Boundary({Work: done.append}).deliver(envelope)
    assert done == [Work(1)]


def test_a_report_that_is_resumed_runs_the_handler_here_as_well() -> None:
    queue, done, reports = Queue(), list[Any](), list[airlock.Report]()

    class Keep(airlock.Observer):
        def flushed(self, report: airlock.Report, /) -> None:
            reports.append(report)

    def work(intent: Work) -> None:
        done.append(intent)
        if len(done) == 1:
            raise ConnectionError

    boundary = Boundary({Work: work}, dispatch=queue, observers=[Keep()])
    with pytest.raises(ConnectionError):
        boundary.deliver(Envelope(Work(1)))
    assert reports[0].resume().delivered == [Work(1)]
    assert queue.sent == []


def test_policies_of_the_worker_hold() -> None:
    boundary = Boundary({Work: print}, policy=Drop(Work), dispatch=Queue())
    assert boundary.deliver(Envelope(Work(1))).dropped == [Work(1)]


def test_once_per_chain_remembers_what_happened_elsewhere() -> None:
    queue = Queue()
    boundary = Boundary(
        {Work: lambda _: airlock.emit(Next(1)), Next: lambda _: airlock.emit(Work(1))},
        policy=OncePerChain(Work),
        dispatch=queue,
    )
    receiver = Receiver(boundary)
    with boundary.scope() as effects:
        effects.emit(Work(1))
    receiver.receive(queue.sent[0])
    report = receiver.receive(queue.sent[1])
    assert report.dropped == [Work(1)]


def test_inside_a_scope_it_is_delivered_at_once() -> None:
    done: list[Any] = []
    boundary = Boundary({Work: done.append})
    with boundary.scope():
        boundary.deliver(Envelope(Work(1)))
        assert done == [Work(1)]


def test_where_handlers_are_async() -> None:
    done: list[Any] = []

    async def work(intent: Work) -> None:
        done.append(intent)

    asyncio.run(_adelivered(Boundary({Work: work})))
    assert done == [Work(1)]


async def _adelivered(boundary: Boundary) -> None:
    queue = Queue()
    async with Boundary({}, dispatch=queue).scope() as effects:
        effects.emit(Work(1))
    await Receiver(boundary).areceive(queue.sent[0])


@pytest.mark.parametrize("attempt", [0, "1", None])
def test_an_attempt_is_a_number_from_1(attempt: Any) -> None:
    with pytest.raises(DeclarationError, match="attempt"):
        Boundary({}).deliver(Envelope(Work(1)), attempt=attempt)


def test_anything_but_an_envelope_is_refused() -> None:
    with pytest.raises(DeclarationError, match="Envelope"):
        Boundary({}).deliver(Work(1))  # type: ignore[arg-type]


# -- queues ---------------------------------------------------------------------------------------


def test_a_broker_that_is_down_is_asked_once_and_everything_is_pending() -> None:
    queue, done = Queue(), list[Any]()
    queue.down = True
    boundary = Boundary({Next: done.append}, dispatch=Route({Work: queue}))
    down = "nothing can be handed over to the test queue"
    with pytest.raises(FlushError, match=down) as caught, boundary.scope() as effects:
        effects.emit_all([Work(1), Next(1), Work(2), Next(2)])
    assert queue.asked == 1
    assert done == [Next(1), Next(2)]
    assert effects.report.pending == [Work(1), Work(2)]
    assert caught.value.subgroup(UnavailableError) is not None
    queue.down = False
    assert effects.report.resume().handed_over == [Work(1), Work(2)]


def test_in_a_plan_each_effect_that_could_not_be_handed_over_has_failed() -> None:
    queue = Queue()
    boundary = Boundary({}, dispatch=queue)
    with boundary.scope(policy=airlock.Hold()) as effects:
        effects.emit_all([Work(1), Work(2)])
    plan = effects.plan()
    queue.down = True
    with pytest.raises(ApplyError):
        boundary.apply(plan)
    queue.down = False
    assert boundary.apply(plan).counts == {"handed over": 2}


def test_in_an_async_flush_too() -> None:
    queue = Queue()
    queue.down = True

    async def flush() -> None:
        async with Boundary({}, dispatch=queue).scope() as effects:
            effects.emit_all([Work(1), Work(2)])

    with pytest.raises(FlushError):
        asyncio.run(flush())
    assert queue.asked == 1


def test_what_has_no_form_on_the_wire_is_refused_before_anything_runs() -> None:
    @airlock.intent(kind="arrivals.unwritable")
    class Unwritable:
        value: object

    done: list[Any] = []
    boundary = Boundary({Next: done.append}, dispatch=Route({Unwritable: Queue()}))
    with pytest.raises(TypeError, match="Unwritable"), boundary.scope() as effects:
        effects.emit_all([Next(1), Unwritable(object())])
    assert done == []


def test_headers_may_be_added_to_each_message() -> None:
    queue = Queue(inject=lambda headers: headers.update(traceparent="00-1-2-01"))
    told: list[Any] = []
    with Boundary({}, dispatch=queue).scope(headers={"tenant": "acme"}) as effects:
        effects.emit(Work(1))
    Receiver(Boundary({Work: lambda _: told.append(airlock.delivery().headers)})).receive(
        queue.sent[0]
    )
    assert told == [{"tenant": "acme", "traceparent": "00-1-2-01"}]


def test_a_report_of_the_worker_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Boundary({Work: lambda _: None}).deliver(Envelope(Work(1)))
    assert caplog.records == []
