"""Interceptors wrap handler calls; observers only watch."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Delivery,
    Drop,
    FlushError,
    Handles,
    HandlesBatch,
    Interceptor,
    Log,
    Observer,
    Outcome,
    Report,
    RetryPolicy,
    intent,
)
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    explode,
)

Next = Callable[[Any], object]

# -- interceptors ---------------------------------------------------------------------------------


def around(name: str, log: list[Any]) -> Interceptor:
    """An interceptor that notes when it is entered and left."""

    def intercept(subject: Any, call_next: Next) -> object:
        log.append(f"{name} in")
        try:
            return call_next(subject)
        finally:
            log.append(f"{name} out")

    return intercept


def test_the_first_interceptor_is_the_outermost(handled: list[Any]) -> None:
    """Each wraps those after it, and the handler."""
    boundary = Boundary(
        {NotifyWarehouse: handled.append},
        interceptors=[around("one", handled), around("two", handled)],
    )
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == ["one in", "two in", NotifyWarehouse(), "two out", "one out"]


@pytest.mark.anyio
async def test_an_async_interceptor_awaits_the_handler(handled: list[Any]) -> None:
    """It is around the whole of it, whether the handler is async or not."""

    async def timing(subject: Any, call_next: Callable[[Any], Any]) -> object:
        handled.append("in")
        result = call_next(subject)
        if result is not None:
            await result
        handled.append("out")
        return None

    async def send(subject: SendEmail) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(subject)

    boundary = Boundary({SendEmail: send, NotifyWarehouse: handled.append}, interceptors=[timing])
    async with boundary.scope() as effects:
        effects.emit_all([SendEmail(), NotifyWarehouse()])
    assert handled == ["in", SendEmail(), "out", "in", NotifyWarehouse(), "out"]


@pytest.mark.anyio
async def test_a_sync_interceptor_passes_an_async_handler_on(handled: list[Any]) -> None:
    """It returns what the handler returned, and that is awaited."""

    async def send(subject: SendEmail) -> None:
        handled.append(subject)

    def tag(subject: SendEmail, call_next: Next) -> object:
        return call_next(airlock.replace(subject, to=f"{subject.to}!"))

    async with Boundary({SendEmail: send}, interceptors=[tag]).scope() as effects:
        effects.emit(SendEmail("x"))
    assert handled == [SendEmail("x!")]
    assert effects.report.delivered == [SendEmail("x")]


def test_around_a_batch_an_interceptor_is_given_the_list(handled: list[Any]) -> None:
    """Once per batch."""
    seen: list[Any] = []

    def watch(subject: Any, call_next: Next) -> object:
        seen.append(list(subject))
        return call_next(subject)

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, handled.append, size=2)
    with Boundary(wiring, interceptors=[watch]).scope() as effects:
        effects.emit_all([AuditEntry(str(n)) for n in range(3)])
    assert seen == handled == [[AuditEntry("0"), AuditEntry("1")], [AuditEntry("2")]]


def test_an_interceptor_may_keep_the_handler_from_running(handled: list[Any]) -> None:
    """The intent is delivered then: a cache, an idempotency check."""
    done = {NotifyWarehouse(1)}

    def once(subject: Any, call_next: Next) -> object:
        return None if subject in done else call_next(subject)

    with Boundary({NotifyWarehouse: handled.append}, interceptors=[once]).scope() as effects:
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
    assert handled == [NotifyWarehouse(2)]
    assert effects.report.delivered == [NotifyWarehouse(1), NotifyWarehouse(2)]


def test_an_interceptor_that_raises_fails_the_intent(handled: list[Any]) -> None:
    """And only that one."""

    def picky(subject: Any, call_next: Next) -> object:
        if subject == NotifyWarehouse(1):
            raise Broken("not that one")
        return call_next(subject)

    boundary = Boundary({NotifyWarehouse: handled.append}, interceptors=[picky])
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
    assert effects.report.failed == [NotifyWarehouse(1)]
    assert handled == [NotifyWarehouse(2)]
    assert str(raised.value.exceptions[0]) == "not that one"


def test_interceptors_know_the_delivery_and_may_emit(handled: list[Any]) -> None:
    """They run inside the handler's attempt."""

    def audit(subject: Any, call_next: Next) -> object:
        if not isinstance(subject, AuditEntry):
            airlock.emit(AuditEntry(f"{airlock.delivery().kind.rpartition('.')[2]}"))
        return call_next(subject)

    boundary = Boundary(
        {NotifyWarehouse: handled.append, AuditEntry: handled.append}, interceptors=[audit]
    )
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == [NotifyWarehouse(), AuditEntry("NotifyWarehouse")]
    assert effects.report.entries[1].cause == effects.report.entries[0]


def test_interceptors_wrap_each_attempt() -> None:
    """A retry goes through them again."""
    attempts: list[int] = []

    def watch(subject: Any, call_next: Next) -> object:
        attempts.append(airlock.delivery().attempt)
        return call_next(subject)

    flaky = FakeHandler(Broken, Broken, None)
    wiring = containers.DynamicContainer()
    wiring.notify = Handles(NotifyWarehouse, flaky, retry=retrying())
    with Boundary(wiring, interceptors=[watch]).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert attempts == [1, 2, 3]


def test_interceptors_wrap_overrides_too(handled: list[Any]) -> None:
    """Whatever runs in the handler's place."""
    boundary = Boundary({NotifyWarehouse: explode}, interceptors=[around("one", handled)])
    with boundary.scope() as effects, effects.override({NotifyWarehouse: handled.append}):
        effects.emit(NotifyWarehouse())
    assert handled == ["one in", NotifyWarehouse(), "one out"]


def retrying() -> RetryPolicy:
    """Five attempts without waiting."""
    return RetryPolicy(Broken, wait_initial=timedelta(0), wait_max=timedelta(0))


# -- observers ------------------------------------------------------------------------------------


class Watch(Observer):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.reports: list[Report] = []

    def started(self, delivery: Delivery, /) -> None:
        self.told.append(("started", delivery.intent, delivery.attempt))

    def ended(self, delivery: Delivery, error: BaseException | None, /) -> None:
        self.told.append(("ended", delivery.intent, type(error).__name__))

    def flushed(self, report: Report, /) -> None:
        self.told.append(("flushed", report.summary()))
        self.reports.append(report)

    def discarded(self, report: Report, /) -> None:
        self.told.append(("discarded", report.summary()))
        self.reports.append(report)


def test_observers_are_told_of_every_attempt_and_flush() -> None:
    """In order; of failures with their errors."""
    watch = Watch()
    boundary = Boundary(
        {NotifyWarehouse: lambda _: airlock.emit(SendEmail()), SendEmail: explode},
        observers=[watch],
    )
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert watch.told == [
        ("started", NotifyWarehouse(), 1),
        ("ended", NotifyWarehouse(), "NoneType"),
        ("started", SendEmail(), 1),
        ("ended", SendEmail(), "Broken"),
        ("flushed", "1 delivered, 1 failed"),
    ]
    assert watch.reports == [effects.report]


def test_observers_are_told_of_discarded_scopes(boundary: Boundary) -> None:
    """With the report, which has everything."""
    watch = Watch()
    boundary = Boundary({NotifyWarehouse: explode}, observers=[watch])
    with pytest.raises(Broken), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
        with boundary.scope() as inner:
            inner.emit(NotifyWarehouse(2))
        raise Broken
    assert watch.told == [("discarded", "2 discarded")]
    assert watch.reports == [effects.report]


def test_observers_are_told_of_refused_flushes() -> None:
    """They are over, too."""
    watch = Watch()
    with (
        pytest.raises(airlock.AirlockError),
        Boundary({}, observers=[watch]).scope() as effects,
    ):
        effects.emit(NotifyWarehouse())
    assert watch.told == [("flushed", "1 pending")]


def test_observers_are_told_of_each_retry_and_each_member() -> None:
    """A batch is one attempt for each of its members."""
    watch = Watch()
    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, FakeHandler(Broken, None), retry=retrying())
    with Boundary(wiring, observers=[watch]).scope() as effects:
        effects.emit_all([AuditEntry("1"), AuditEntry("2")])
    assert watch.told == [
        *[("started", AuditEntry(text), 1) for text in "12"],
        *[("ended", AuditEntry(text), "Broken") for text in "12"],
        *[("started", AuditEntry(text), 2) for text in "12"],
        *[("ended", AuditEntry(text), "NoneType") for text in "12"],
        ("flushed", "2 delivered"),
    ]


@pytest.mark.anyio
async def test_observers_watch_async_flushes_too() -> None:
    """An attempt ends when its handler was awaited."""
    watch = Watch()

    async def notify(subject: NotifyWarehouse) -> None:
        await anyio.lowlevel.checkpoint()
        watch.told.append(("ran",))

    async with Boundary({NotifyWarehouse: notify}, observers=[watch]).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert [told[0] for told in watch.told] == ["started", "ran", "ended", "flushed"]


@pytest.mark.parametrize("hook", ["started", "ended", "flushed", "discarded"])
def test_an_observer_that_raises_is_disabled_and_logged(
    caplog: pytest.LogCaptureFixture, handled: list[Any], hook: str
) -> None:
    """It breaks nothing: the flush goes on, and so do the other observers."""
    calls: list[str] = []

    def raises(self: Observer, *_: object) -> None:
        calls.append(hook)
        raise Broken("in an observer")

    bad: Observer = type("Bad", (Observer,), {hook: raises})()
    watch = Watch()
    boundary = Boundary({NotifyWarehouse: handled.append}, observers=[bad, watch])
    for _ in range(2):
        with boundary.scope() as effects:
            effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
        with pytest.raises(KeyError), boundary.scope() as effects:
            raise KeyError
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)] * 2
    assert calls == [hook]
    assert [told[0] for told in watch.told].count("flushed") == 2
    assert [told[0] for told in watch.told].count("ended") == 4
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "Bad" in record.getMessage()
    assert "is disabled" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Broken)


# -- Log ------------------------------------------------------------------------------------------


@intent
class ChargeCard:
    card: str = airlock.field(sensitive=True)


def test_log_writes_a_line_for_each_intent(caplog: pytest.LogCaptureFixture) -> None:
    """What went well at the level given, failures as errors; sensitive values hidden."""
    boundary = Boundary(
        {ChargeCard: lambda _: None, NotifyWarehouse: explode},
        observers=[Log(level=logging.DEBUG)],
        policy=Drop(SendEmail),
    )
    with (
        caplog.at_level(logging.DEBUG, logger="airlock"),
        pytest.raises(FlushError),
        boundary.scope() as effects,
    ):
        effects.emit_all([ChargeCard("4111"), SendEmail(), NotifyWarehouse()])
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("airlock", "DEBUG", "delivered ChargeCard(card=<hidden>)"),
        ("airlock", "DEBUG", "dropped SendEmail(to='a@example.org') (Drop(SendEmail))"),
        (
            "airlock",
            "ERROR",
            "failed NotifyWarehouse(order_id=1) (Broken('the handler failed'))",
        ),
    ]


def test_log_takes_a_logger_and_tells_of_discarded_scopes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """``Log(logger)``; the default level is INFO."""
    boundary = Boundary({}, observers=[Log(logging.getLogger("shop"))])
    with (
        caplog.at_level(logging.INFO, logger="shop"),
        pytest.raises(Broken),
        boundary.scope() as effects,
    ):
        effects.emit(OrderPlaced(7))
        raise Broken("sold out")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("shop", "INFO")
    assert record.getMessage() == "discarded OrderPlaced(order_id=7) (Broken('sold out'))"
    assert effects.report.counts == {Outcome.DISCARDED: 1}
