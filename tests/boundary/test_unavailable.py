"""A handler that cannot reach where it sends is asked once in a flush, as a dispatch is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import Boundary, FlushError, HandlesBatch, Hold
from airlock.errors import ApplyError, UnavailableError
from airlock.wire import Envelope
from tests.boundary.vocabulary import AuditEntry, NotifyWarehouse, SendEmail


class Broker:
    """A handler that sends to a broker, which may be down."""

    def __init__(self) -> None:
        self.is_down = True
        self.asked = 0
        self.sent: list[Any] = []

    def __call__(self, intent: Any) -> None:
        self.asked += 1
        airlock.emit(SendEmail("follow-up"))
        if self.is_down and intent != NotifyWarehouse(0):
            raise UnavailableError("the broker", "connection refused")
        self.sent.append(intent)

    async def arun(self, intent: Any) -> None:
        self(intent)


@pytest.fixture
def broker() -> Broker:
    return Broker()


def ignore(intent: Any, call_next: Any) -> Any:
    return call_next(intent)


PLAIN: dict[str, Any] = {}
CALLS: dict[str, Any] = {"interceptors": [ignore]}


@pytest.mark.parametrize("how", [PLAIN, CALLS], ids=["plain", "calls"])
def test_it_is_asked_once_and_the_rest_is_pending(broker: Broker, how: Any) -> None:
    emails: list[Any] = []
    boundary = Boundary({NotifyWarehouse: broker, SendEmail: emails.append}, **how)
    effects = boundary.scope()
    emitted = [one for n in range(4) for one in (NotifyWarehouse(n), SendEmail(f"{n}"))]
    with pytest.raises(FlushError, match="the broker: connection refused"), effects:
        effects.emit_all(emitted)
    assert broker.asked == 2
    assert effects.report.pending == [NotifyWarehouse(n) for n in (1, 2, 3)]
    assert [mail.to for mail in emails] == ["0", "1", "2", "3", "follow-up"]
    broker.is_down = False
    report = effects.report.resume()
    assert broker.sent == [NotifyWarehouse(n) for n in range(4)]
    assert report.pending == report.failed == []


def test_async_handlers_are_asked_once(broker: Broker) -> None:
    boundary = Boundary({NotifyWarehouse: broker.arun, SendEmail: lambda _: None})
    effects = boundary.scope()

    async def main() -> None:
        with suppress(FlushError):
            async with effects:
                for number in range(1, 4):
                    effects.emit(NotifyWarehouse(number))

    asyncio.run(main())
    assert (broker.asked, len(effects.report.pending)) == (1, 3)


def test_a_batch_and_an_override_are_asked_once(broker: Broker) -> None:
    class Effects(containers.DeclarativeContainer):
        audit = HandlesBatch(AuditEntry, broker, size=2)

    boundary = Boundary(Effects())
    effects = boundary.scope()
    with suppress(FlushError), effects, effects.override({NotifyWarehouse: broker}):
        for number in range(1, 5):
            effects.emit(AuditEntry(f"{number}"))
            effects.emit(NotifyWarehouse(number))
    assert (broker.asked, len(effects.report.pending)) == (1, 8)


def test_a_plan_goes_on_from_there(broker: Broker) -> None:
    boundary = Boundary({NotifyWarehouse: broker, SendEmail: lambda _: None})
    with boundary.scope(policy=Hold(NotifyWarehouse)) as effects:
        for number in range(1, 4):
            effects.emit(NotifyWarehouse(number))
    plan = effects.plan()
    with pytest.raises(ApplyError) as caught:
        boundary.apply(plan)
    assert caught.value.applied is not None
    assert (broker.asked, caught.value.applied.remaining) == (1, 3)
    broker.is_down = False
    assert boundary.apply(plan).remaining == 0
    assert len(broker.sent) == 3


def test_who_delivers_from_a_queue_hears_of_it(broker: Broker) -> None:
    """Its engine decides about another attempt."""
    for how in (PLAIN, CALLS):
        boundary = Boundary({NotifyWarehouse: broker}, **how)
        with pytest.raises(UnavailableError):
            boundary.deliver(Envelope(NotifyWarehouse(1)))
