"""Draining: what is due is delivered here and now, by a clock that can be set."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import airlock
from airlock import Boundary, Dead, Retry, Route, Snooze
from airlock.dispatch import Dispatcher
from airlock.errors import LeaseLostError, UnavailableError
from airlock.outbox import Outbox, Relay
from airlock.outbox.entry import State
from tests.outbox.relay_worker import Fast, Slow, Work
from tests.outbox.relaying import Place, place_in

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place_in(request.param, tmp_path) as found:
        found.outbox = Outbox(found.engine, clock=lambda: START)
        yield found


class Handler:
    """Notes what it is called with, and answers as it is told to."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls = list[tuple[Any, int]]()

    def __call__(self, one: Any) -> Any:
        self.calls.append((one, airlock.delivery().attempt))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


def wired(place: Place, handle: Any, **more: Any) -> Boundary:
    to: dict[Any, Outbox] = {Work: place.outbox, Slow: place.outbox, Fast: place.outbox}
    return Boundary({Work: handle, Fast: handle, Slow: handle}, dispatch=Route(to), **more)


def test_only_what_is_due_is_delivered(place: Place) -> None:
    handle = Handler()
    place.record(Work(1))
    place.record(Work(2), delay=HOUR)
    drained = place.outbox.drain(wired(place, handle))
    assert (drained.delivered, drained.failed, drained.dead) == (1, 0, 0)
    assert [one.number for one, _ in handle.calls] == [1]


def test_the_clock_goes_from_row_to_row_until_it_is_set_to(place: Place) -> None:
    handle = Handler()
    place.record(Work(3), delay=3 * HOUR)
    place.record(Work(2), delay=2 * HOUR)
    place.record(Work(1))
    place.outbox.drain(wired(place, handle), until=START + 2 * HOUR)
    assert [one.number for one, _ in handle.calls] == [1, 2]
    assert len(place.rows()) == 1


def test_a_failure_is_tried_again_with_growing_pauses_until_it_is_dead(place: Place) -> None:
    handle = Handler(*(OSError(f"number {n}") for n in range(1, 13)))
    place.record(Work(1))
    boundary = wired(place, handle)
    place.outbox.drain(boundary)
    (row,) = place.rows()
    assert row.attempts == 1
    assert timedelta(seconds=1.5) < row.available_at - START < timedelta(seconds=2.5)
    drained = place.outbox.drain(boundary, until=START + timedelta(days=1))
    assert (drained.delivered, drained.failed, drained.dead) == (0, 10, 1)
    assert [attempt for _, attempt in handle.calls] == list(range(1, 13))
    (row,) = place.rows()
    assert row.state is State.DEAD
    assert row.error is not None
    assert row.error.message == "number 12"


def test_a_retry_policy_has_its_own_number_of_attempts(place: Place) -> None:
    from dependency_injector import containers

    from airlock import RetryPolicy
    from airlock.handlers.providers import Handles

    handle = Handler(*(OSError("no") for _ in range(12)))

    class Effects(containers.DeclarativeContainer):
        work = Handles(Work, handle, retry=RetryPolicy(on=OSError, max_attempts=3))

    place.record(Work(1))
    boundary = Boundary(Effects(), dispatch=Route({Work: place.outbox}))
    drained = place.outbox.drain(boundary, until=START + HOUR)
    assert (drained.failed, drained.dead) == (2, 1)


def test_results_of_a_handler_are_acted_on(place: Place) -> None:
    handle = Handler(Snooze(HOUR), Retry(HOUR), Snooze(HOUR), Dead("the order was deleted"))
    place.record(Work(1))
    drained = place.outbox.drain(wired(place, handle), until=START + 3 * HOUR)
    assert [attempt for _, attempt in handle.calls] == [1, 1, 2, 2]
    assert (drained.delivered, drained.failed, drained.dead) == (0, 1, 1)
    (row,) = place.rows()
    assert row.error is not None
    assert row.error.message == "the order was deleted"


def test_follow_ups_are_recorded_if_their_cause_is_acknowledged(place: Place) -> None:
    def emit() -> None:
        airlock.emit(Fast(2))

    def fail() -> None:
        airlock.emit(Fast(3))
        raise OSError

    handle = Handler(emit, fail)
    place.record(Work(1))
    place.record(Work(4))
    assert place.outbox.drain(wired(place, handle)).delivered == 2
    assert [one for one, _ in handle.calls] == [Work(1), Work(4), Fast(2)]


def test_an_inline_follow_up_that_fails_becomes_a_row(place: Place) -> None:
    handle = Handler(lambda: airlock.emit(Slow(2)), OSError("no"))
    boundary = Boundary({Work: handle, Slow: handle}, dispatch=Route({Work: place.outbox}))
    place.record(Work(1))
    assert place.outbox.drain(boundary).delivered == 1
    (row,) = place.rows()
    assert row.kind == "tests.slow"
    assert row.error is not None
    assert row.error.message == "no"
    place.outbox.drain(boundary, until=START + HOUR)
    assert [one for one, _ in handle.calls] == [Work(1), Slow(2), Slow(2)]


def test_async_handlers_are_drained(place: Place) -> None:
    calls = list[int]()

    async def handle(one: Any) -> None:
        await asyncio.sleep(0)
        calls.append(one.number)

    place.record(Work(1), Work(2))
    assert place.outbox.drain(wired(place, handle)).delivered == 2
    assert calls == [1, 2]


def test_headers_causes_and_ids_arrive(place: Place) -> None:
    new = place.new(Work(1), headers={"tenant": "acme"})
    place.outbox.database.run(lambda c: place.outbox.store.insert(c, [new]))
    seen = list[Any]()

    def handle(one: Any) -> None:
        delivery = airlock.delivery()
        seen.append((delivery.id, dict(delivery.headers), delivery.arrived))

    place.outbox.drain(wired(place, handle))
    assert seen == [(new.id, {"tenant": "acme"}, True)]


def test_a_row_that_was_replaced_meanwhile_cannot_be_acknowledged(place: Place) -> None:
    raised = list[BaseException]()

    def handle(one: Any) -> None:
        place.execute("UPDATE airlock_outbox SET lease_token = 'another'")
        with place.engine.begin() as connection:
            try:
                airlock.delivery().acknowledge(connection)
            except LeaseLostError as error:
                raised.append(error)

    place.record(Work(1))
    assert place.outbox.drain(wired(place, handle)).delivered == 0
    assert raised
    assert len(place.rows()) == 1


def test_what_a_handler_emits_is_not_recorded_once_its_row_is_another_relays(place: Place) -> None:
    def lose() -> None:
        airlock.emit(Fast(2))
        place.execute("UPDATE airlock_outbox SET lease_token = 'another'")

    place.record(Work(1))
    assert place.outbox.drain(wired(place, Handler(lose))).delivered == 0
    assert [row.kind for row in place.rows()] == ["tests.work"]


class Queue(Dispatcher):
    """An engine that takes intents, unless it is down."""

    options = frozenset({"id", "headers"})

    def __init__(self) -> None:
        self.down = False
        self.taken = list[Any]()

    def dispatch(self, delivery: Any, /) -> None:
        if self.down:
            raise UnavailableError("the queue", "nobody answers")
        self.taken.append((delivery.intent, delivery.id, dict(delivery.headers)))


def test_rows_are_forwarded_once_the_engine_has_them(place: Place) -> None:
    queue = Queue()
    boundary = Boundary({}, dispatch=Route({Work: place.outbox}, default=queue))
    new = place.new(Work(1), headers={"tenant": "acme"}, ordering_key="a", dedupe_key="b")
    place.outbox.database.run(lambda c: place.outbox.store.insert(c, [new]))
    queue.down = True
    relay = Relay(place.outbox, boundary, forward=True)
    for _ in range(20):
        relay.drain(until=START)
    (row,) = place.rows()
    assert (row.attempts, row.state) == (0, State.PENDING), "a broker that is down burns no attempt"
    assert row.error is not None
    queue.down = False
    assert relay.drain(until=START + HOUR).delivered == 1
    assert queue.taken == [(Work(1), new.id, {"tenant": "acme"})]
    assert not place.rows()


def test_log_lines_have_fields(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "airlock.relay")
    place.record(Work(1))
    place.outbox.drain(wired(place, Handler(OSError("no"))))
    (record,) = [each for each in caplog.records if each.message.startswith("failed")]
    fields = vars(record)["airlock"]
    assert (fields["event"], fields["kind"], fields["attempt"]) == ("failed", "tests.work", 1)
