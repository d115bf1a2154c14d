"""``report.resume()``: what failed or is pending runs again, with the verdicts already given."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

import airlock
from airlock import (
    ALLOW,
    DROP,
    Boundary,
    Drop,
    FlushError,
    Hold,
    Limit,
    Options,
    Outcome,
    Verdict,
    View,
)
from airlock.errors import AsyncHandlerError, ResumeError
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    Broken,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    assert_usable,
    awaited,
)


def orders(*numbers: int) -> list[NotifyWarehouse]:
    return [NotifyWarehouse(n) for n in numbers]


def confirm(order: OrderPlaced) -> None:
    """What follows an order."""
    airlock.emit(SendEmail(str(order.order_id)))


def test_what_failed_runs_again() -> None:
    """And nothing else; a new report tells of it."""
    notify = FakeHandler(None, Broken, None, None)
    with pytest.raises(FlushError), Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit_all(orders(1, 2, 3))
    resumed = effects.report.resume()
    assert notify.intents == orders(1, 2, 3, 2)
    assert resumed.delivered == orders(2)
    assert len(resumed) == 1
    assert resumed.ok
    assert effects.report.failed == orders(2)


def test_what_is_pending_after_fail_fast_runs() -> None:
    """In order, what failed included; and again it stops at the first failure if told so."""
    notify = FakeHandler(None, Broken, None, None, Broken, None, None)
    boundary = Boundary({NotifyWarehouse: notify}, fail_fast=True)
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit_all(orders(1, 2, 3, 4, 5))
    with pytest.raises(FlushError) as raised:
        effects.report.resume()
    second = raised.value.report
    assert second is not None
    assert second.delivered == orders(2, 3)
    assert second.failed == orders(4)
    assert second.pending == orders(5)
    assert second.resume().delivered == orders(4, 5)
    assert notify.intents == orders(1, 2, 2, 3, 4, 4, 5)


def test_a_report_is_resumed_once() -> None:
    """Running effects twice is not what it is for; the message says which report to take."""
    notify = FakeHandler(Broken, None)
    with pytest.raises(FlushError), Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit_all(orders(1))
    effects.report.resume()
    with pytest.raises(ResumeError) as raised:
        effects.report.resume()
    assert "was resumed before" in str(raised.value)
    assert "resume the report that resume() returned" in str(raised.value)
    assert notify.intents == orders(1, 1)


def test_resuming_a_complete_report_runs_nothing(boundary: Boundary, handled: list[Any]) -> None:
    """There is nothing left."""
    with boundary.scope() as effects:
        effects.emit_all(orders(1))
    assert len(effects.report.resume()) == 0
    assert handled == orders(1)


def test_verdicts_are_not_asked_for_again() -> None:
    """What was dropped, held or merged stays so; a policy that would decide otherwise is silent."""
    asked: list[int] = []

    def policy(view: View) -> Sequence[Verdict]:
        asked.append(len(view))
        return [DROP if i.order_id == 1 else ALLOW for i in view.intents]

    notify = FakeHandler(Broken, None)
    with (
        pytest.raises(FlushError),
        Boundary({NotifyWarehouse: notify}).scope(policy=policy) as effects,
        airlock.region(Hold().where(lambda i: i.order_id == 2)),
    ):
        effects.emit_all(orders(1, 2, 3))
    assert effects.report.resume().delivered == orders(3)
    assert effects.report.held == orders(2)
    assert asked == [3]


def test_a_limit_goes_on_counting_for_follow_ups_of_a_resume() -> None:
    """One flush, however many attempts it takes."""

    def confirm_and_fail(order: OrderPlaced) -> None:
        confirm(order)
        raise Broken

    place = FakeHandler(confirm_and_fail, confirm, confirm)
    boundary = Boundary({OrderPlaced: place, SendEmail: lambda _: None}, policy=Limit(3))
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert effects.report.delivered == [OrderPlaced(2), SendEmail("2")]
    resumed = effects.report.resume()
    assert resumed.delivered == [OrderPlaced(1)]
    assert resumed.dropped == [SendEmail("1")]


def test_follow_ups_that_failed_keep_their_cause() -> None:
    """The new report knows what caused them, though that ran before."""
    send = FakeHandler(Broken, None)
    boundary = Boundary({OrderPlaced: lambda _: airlock.emit(SendEmail()), SendEmail: send})
    with pytest.raises(FlushError), boundary.scope(headers={"tenant": "acme"}) as effects:
        effects.emit(OrderPlaced(), Options(headers={"trace": "7"}))
    resumed = effects.report.resume()
    _, again = send.deliveries
    assert again.intent == SendEmail()
    assert again.cause is not None
    assert again.cause.intent == OrderPlaced()
    assert again.headers == {"tenant": "acme", "trace": "7"}
    (entry,) = resumed
    assert entry.wave == 1
    assert entry.cause is not None
    assert entry.cause.intent == OrderPlaced()
    assert resumed.tree().splitlines() == ["SendEmail(to='a@example.org')  delivered"]


def test_failures_of_several_waves_are_resumed_together() -> None:
    """Each in its own place."""
    place = FakeHandler(confirm, Broken, confirm)
    send = FakeHandler(Broken, None, None)
    with (
        pytest.raises(FlushError),
        Boundary({OrderPlaced: place, SendEmail: send}).scope() as effects,
    ):
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert effects.report.failed == [OrderPlaced(2), SendEmail("1")]
    resumed = effects.report.resume()
    assert sorted(map(repr, resumed.delivered)) == sorted(
        map(repr, [OrderPlaced(2), SendEmail("1"), SendEmail("2")])
    )
    assert resumed.ok


def test_a_discarded_report_has_nothing_to_resume(boundary: Boundary, handled: list[Any]) -> None:
    """What was thrown away stays so."""
    with pytest.raises(Broken), boundary.scope() as effects:
        effects.emit_all(orders(1))
        raise Broken
    assert len(effects.report.resume()) == 0
    assert handled == []


@pytest.mark.anyio
async def test_async_reports_are_resumed_with_aresume() -> None:
    """``resume`` awaits nothing."""
    notify = FakeHandler(None, Broken, None)
    effects = Boundary({NotifyWarehouse: awaited(notify)}).scope()
    with pytest.raises(FlushError):
        async with effects:
            effects.emit_all(orders(1, 2))
    assert (await effects.report.aresume()).delivered == orders(2)
    assert notify.intents == orders(1, 2, 2)


@pytest.mark.anyio
async def test_a_refused_flush_is_resumed_the_right_way() -> None:
    """A sync flush that was refused because of an async handler lost nothing."""
    boundary = Boundary({NotifyWarehouse: awaited(FakeHandler())})
    with pytest.raises(AsyncHandlerError), boundary.scope() as effects:
        effects.emit_all(orders(1, 2))
    assert effects.report.pending == orders(1, 2)
    assert (await effects.report.aresume()).delivered == orders(1, 2)


def test_resuming_where_it_is_refused_again_loses_nothing() -> None:
    """The error of the second refusal has a report, to be resumed in turn."""
    boundary = Boundary({NotifyWarehouse: awaited(FakeHandler())})
    with pytest.raises(AsyncHandlerError), boundary.scope() as effects:
        effects.emit_all(orders(1))
    with pytest.raises(AsyncHandlerError) as raised:
        effects.report.resume()
    again = raised.value.report
    assert again is not None
    assert again is not effects.report
    assert anyio.run(again.aresume).delivered == orders(1)


def test_overrides_and_regions_hold_when_resumed() -> None:
    """They are those of the emission."""
    notify, fake = FakeHandler(Broken, None), FakeHandler()
    boundary = Boundary({NotifyWarehouse: notify}, fail_fast=True)
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit_all(orders(1))
        with effects.override({NotifyWarehouse: fake}), airlock.region(Drop(SendEmail)):
            effects.emit_all(orders(2))
    assert effects.report.resume().delivered == orders(1, 2)
    assert fake.intents == orders(2)
    assert notify.intents == orders(1, 1)


# -- interruption ---------------------------------------------------------------------------------


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
@pytest.mark.parametrize("intercepted", [False, True])
def test_an_interruption_propagates_bare(interruption: BaseException, intercepted: bool) -> None:
    """The one in flight has failed, the rest is pending, the report is complete."""
    ran: list[int] = []

    def notify(subject: NotifyWarehouse) -> None:
        ran.append(subject.order_id)
        airlock.emit(SendEmail(str(subject.order_id)))
        if ran == [1, 2]:
            raise interruption

    through = [lambda subject, call_next: call_next(subject)] if intercepted else []
    boundary = Boundary({NotifyWarehouse: notify, SendEmail: lambda _: None}, interceptors=through)
    with pytest.raises(type(interruption)) as raised, boundary.scope() as effects:
        effects.emit_all(orders(1, 2, 3))
    assert raised.value is interruption
    report = effects.report
    assert report.delivered == orders(1)
    assert report.failed == orders(2)
    assert report.pending == [*orders(3), SendEmail("1")]
    assert report.discarded == [SendEmail("2")]
    assert [entry.intent for entry in report if entry.interrupted] == orders(2)
    assert "(interrupted)" in str(report)
    assert len(report) == 5
    assert_usable()
    resumed = report.resume()
    assert ran == [1, 2, 3]
    assert resumed.delivered == [*orders(3), SendEmail("1"), SendEmail("3")]


def test_what_was_interrupted_runs_again_only_when_told_to() -> None:
    """Its effect may have happened."""
    notify = FakeHandler(KeyboardInterrupt, None, None)
    with pytest.raises(KeyboardInterrupt), Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit_all(orders(1, 2))
    assert effects.report.resume(interrupted=True).delivered == orders(1, 2)
    assert notify.intents == orders(1, 1, 2)


@pytest.mark.anyio
async def test_cancellation_is_an_interruption() -> None:
    """The cancelled flush has a complete report, and can be resumed."""
    ran: list[int] = []

    async def notify(subject: NotifyWarehouse) -> None:
        ran.append(subject.order_id)
        if ran == [1, 2]:
            await anyio.sleep(60)

    scope = Boundary({NotifyWarehouse: notify}).scope()
    with anyio.move_on_after(0.05) as cancelled:
        async with scope:
            scope.emit_all(orders(1, 2, 3))
    assert cancelled.cancelled_caught
    assert scope.report.delivered == orders(1)
    assert scope.report.failed == orders(2)
    assert scope.report.pending == orders(3)
    assert [entry.interrupted for entry in scope.report] == [False, True, False]
    assert (await scope.report.aresume()).delivered == orders(3)
    assert ran == [1, 2, 3]


def test_an_interruption_of_a_batch_interrupts_its_members() -> None:
    """Nobody knows which of them happened."""
    from dependency_injector import containers

    wiring = containers.DynamicContainer()
    wiring.notify = airlock.HandlesBatch(NotifyWarehouse, FakeHandler(KeyboardInterrupt), size=2)
    with pytest.raises(KeyboardInterrupt), Boundary(wiring).scope() as effects:
        effects.emit_all(orders(1, 2, 3))
    assert [(entry.outcome, entry.interrupted) for entry in effects.report] == [
        (Outcome.FAILED, True),
        (Outcome.FAILED, True),
        (Outcome.PENDING, False),
    ]


def test_an_interruption_while_handlers_are_resolved_leaves_all_pending() -> None:
    """Nothing had begun."""
    from dependency_injector import containers, providers

    calls: list[int] = []

    def notify(subject: NotifyWarehouse, http: str) -> None: ...

    def connect() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return "connection"

    wiring = containers.DynamicContainer()
    wiring.notify = airlock.Handles(NotifyWarehouse, notify, http=providers.Callable(connect))
    with pytest.raises(KeyboardInterrupt), Boundary(wiring).scope() as effects:
        effects.emit_all(orders(1))
    assert effects.report.pending == orders(1)
    assert effects.report.resume().delivered == orders(1)


def test_an_interrupted_policy_leaves_all_pending(boundary: Boundary) -> None:
    """The same, one step earlier; policies are asked again."""
    calls: list[int] = []

    def policy(view: View) -> Sequence[Verdict]:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return [ALLOW] * len(view)

    with pytest.raises(KeyboardInterrupt), boundary.scope(policy=policy) as effects:
        effects.emit_all(orders(1))
    assert_usable()
    assert effects.report.pending == orders(1)
    assert effects.report.resume().delivered == orders(1)
