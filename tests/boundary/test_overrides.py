"""``scope.override``: other handlers for what is emitted in a block."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest
from dependency_injector import containers, providers

import airlock
from airlock import Boundary, Drop, Handles, HandlesBatch, Outcome, PartialFailure, effect, needs
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    FlushError,
    HandlerSignatureError,
    UnhandledIntentError,
)
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    Emission,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    SendInvoice,
    awaited,
    explode,
)

Next = Callable[[Any], object]


@pytest.fixture
def fake() -> FakeHandler:
    """What stands for a handler."""
    return FakeHandler()


def test_another_handler_stands_for_the_boundarys(
    boundary: Boundary, handled: list[Any], fake: FakeHandler, emission: Emission
) -> None:
    """In the block only."""
    with boundary.scope() as effects:
        with effects.override({NotifyWarehouse: fake}) as same:
            assert same is effects
            emission(effects, NotifyWarehouse(1))
            emission(effects, SendEmail())
        emission(effects, NotifyWarehouse(2))
    assert fake.intents == [NotifyWarehouse(1)]
    assert handled == [SendEmail(), NotifyWarehouse(2)]
    assert effects.report.delivered == [NotifyWarehouse(1), SendEmail(), NotifyWarehouse(2)]


def test_none_drops(boundary: Boundary, handled: list[Any]) -> None:
    """And the report says that an override did."""
    with boundary.scope() as effects, effects.override({NotifyWarehouse: None}):
        effects.emit(NotifyWarehouse())
    assert handled == []
    (entry,) = effects.report
    assert (entry.outcome, entry.by) == (Outcome.DROPPED, "override")
    assert "by override" in str(effects.report)


def test_a_fake_may_call_on_to_what_it_replaces(boundary: Boundary, handled: list[Any]) -> None:
    """With ``(intent, call_next)``: before, after, instead, or with another intent."""
    log: list[Any] = []

    def fake(subject: NotifyWarehouse, call_next: Next) -> None:
        log.append(("before", len(handled)))
        if subject.order_id != 2:
            call_next(airlock.replace(subject, order_id=subject.order_id * 10))
        log.append(("after", len(handled)))

    with boundary.scope() as effects, effects.override({NotifyWarehouse: fake}):
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)])
    assert handled == [NotifyWarehouse(10), NotifyWarehouse(30)]
    assert log == [
        ("before", 0),
        ("after", 1),
        ("before", 1),
        ("after", 1),
        ("before", 1),
        ("after", 2),
    ]


def test_a_second_parameter_with_a_default_is_the_fakes_own(boundary: Boundary) -> None:
    """One that can be called with the intent alone is."""
    noted: list[Any] = []

    def fake(subject: NotifyWarehouse, note: list[Any] = noted) -> None:
        note.append(subject)

    with boundary.scope() as effects, effects.override({NotifyWarehouse: fake}):
        effects.emit(NotifyWarehouse())
    assert noted == [NotifyWarehouse()]


def test_overrides_follow_the_classes_of_intents(
    boundary: Boundary, handled: list[Any], fake: FakeHandler
) -> None:
    """One of a base class holds for its subclasses; the nearest class wins."""
    invoices = FakeHandler()
    with boundary.scope() as effects:
        with effects.override({SendEmail: fake}):
            effects.emit(SendInvoice("1"))
        with effects.override({SendEmail: fake, SendInvoice: invoices}):
            effects.emit(SendInvoice("2"))
            effects.emit(SendEmail("3"))
        with effects.override({SendInvoice: invoices}):
            effects.emit(SendEmail("4"))
    assert fake.intents == [SendInvoice("1"), SendEmail("3")]
    assert invoices.intents == [SendInvoice("2")]
    assert handled == [SendEmail("4")]


def test_nested_overrides_wrap_each_other(boundary: Boundary, handled: list[Any]) -> None:
    """The innermost is called first, and calls on to the one around it, then to the handler."""
    log: list[str] = []

    def fake(name: str) -> Callable[[Any, Next], object]:
        def call(subject: Any, call_next: Next) -> object:
            log.append(name)
            return call_next(subject)

        return call

    with (
        boundary.scope() as effects,
        effects.override({NotifyWarehouse: fake("outer")}),
        boundary.scope() as nested,
        nested.override({NotifyWarehouse: fake("inner")}),
    ):
        airlock.emit(NotifyWarehouse())
    assert log == ["inner", "outer"]
    assert handled == [NotifyWarehouse()]


def test_a_fake_in_a_block_that_drops_is_called(boundary: Boundary) -> None:
    """The inner override replaces what is around it, None too; calling on leads nowhere."""
    faked: list[Any] = []

    def fake(subject: Any, call_next: Next) -> object:
        faked.append(subject)
        return call_next(subject)

    with boundary.scope() as effects, effects.override({NotifyWarehouse: None}):
        with effects.override({NotifyWarehouse: fake}):
            effects.emit(NotifyWarehouse(1))
        effects.emit(NotifyWarehouse(2))
    assert faked == [NotifyWarehouse(1)]
    assert effects.report.delivered == [NotifyWarehouse(1)]
    assert effects.report.dropped == [NotifyWarehouse(2)]


def test_follow_ups_keep_the_overrides_of_their_cause(fake: FakeHandler) -> None:
    """However many handlers stand between."""
    boundary = Boundary(
        {
            OrderPlaced: lambda _: airlock.emit(SendInvoice("1")),
            SendInvoice: lambda _: airlock.emit(NotifyWarehouse()),
            NotifyWarehouse: explode,
        }
    )
    with boundary.scope() as effects, effects.override({NotifyWarehouse: fake}):
        effects.emit(OrderPlaced())
    assert fake.intents == [NotifyWarehouse()]


def test_overrides_hold_however_late_the_delivery(boundary: Boundary, handled: list[Any]) -> None:
    """At the outermost scope's end, and in a resumed report."""
    fake = FakeHandler(Broken, None)
    with pytest.raises(FlushError), boundary.scope() as effects:
        with boundary.scope() as nested, nested.override({NotifyWarehouse: fake}):
            nested.emit(NotifyWarehouse())
        assert fake.intents == []
    assert effects.report.resume().delivered == [NotifyWarehouse()]
    assert fake.intents == [NotifyWarehouse(), NotifyWarehouse()]
    assert handled == []


def test_an_override_by_a_handler_holds_for_its_follow_ups(
    handled: list[Any], fake: FakeHandler
) -> None:
    """``airlock.current()`` is the scope that is flushed."""

    def place(_: OrderPlaced) -> None:
        with airlock.current().override({NotifyWarehouse: fake}):
            airlock.emit(NotifyWarehouse(1))
        airlock.emit(NotifyWarehouse(2))

    boundary = Boundary({OrderPlaced: place, NotifyWarehouse: handled.append})
    with boundary.scope() as effects:
        effects.emit(OrderPlaced())
    assert fake.intents == [NotifyWarehouse(1)]
    assert handled == [NotifyWarehouse(2)]


def test_overrides_reach_independent_scopes_of_their_boundary_and_no_other(
    boundary: Boundary, handled: list[Any], fake: FakeHandler
) -> None:
    """They are region data, like policies."""
    others = FakeHandler()
    other = Boundary({NotifyWarehouse: others})
    with boundary.scope() as effects, effects.override({NotifyWarehouse: fake}):
        with boundary.scope(independent=True) as inner:
            inner.emit(NotifyWarehouse(1))
        with other.scope() as inner:
            inner.emit(NotifyWarehouse(2))
    assert fake.intents == [NotifyWarehouse(1)]
    assert others.intents == [NotifyWarehouse(2)]
    assert handled == []


def test_policies_judge_what_is_overridden(boundary: Boundary, fake: FakeHandler) -> None:
    """A fake is HOW; whether is still a policy's."""
    with (
        boundary.scope(policy=Drop(NotifyWarehouse)) as effects,
        effects.override({NotifyWarehouse: fake}),
    ):
        effects.emit(NotifyWarehouse())
    assert fake.intents == []
    assert effects.report.dropped == [NotifyWarehouse()]


def test_what_is_overridden_needs_no_handler(fake: FakeHandler) -> None:
    """Only a fake that calls on does."""
    boundary = Boundary({})
    with boundary.scope() as effects, effects.override({NotifyWarehouse: fake}):
        effects.emit(NotifyWarehouse())
    assert fake.intents == [NotifyWarehouse()]
    with (
        pytest.raises(FlushError) as raised,
        boundary.scope() as effects,
        effects.override({NotifyWarehouse: lambda i, call_next: call_next(i)}),
    ):
        effects.emit(NotifyWarehouse())
    assert isinstance(raised.value.exceptions[0], UnhandledIntentError)


# -- batches, effect functions, async -------------------------------------------------------------


def batches(handler: Callable[[list[AuditEntry]], object]) -> Boundary:
    """A boundary with one batch handler."""
    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, handler)
    return Boundary(wiring)


def test_a_fake_of_a_batch_handler_gets_single_intents() -> None:
    """Calling on hands the original a list of one; the others stay together."""
    faked: list[Any] = []
    written: list[Any] = []
    boundary = batches(written.append)

    def fake(subject: AuditEntry, call_next: Next) -> None:
        faked.append(subject)
        call_next(subject)

    with boundary.scope() as effects:
        effects.emit(AuditEntry("1"))
        with effects.override({AuditEntry: fake}):
            effects.emit(AuditEntry("2"))
            effects.emit(AuditEntry("3"))
        effects.emit(AuditEntry("4"))
    assert faked == [AuditEntry("2"), AuditEntry("3")]
    assert written == [
        [AuditEntry("2")],
        [AuditEntry("3")],
        [AuditEntry("1"), AuditEntry("4")],
    ]


def test_a_partial_failure_of_what_a_fake_calls_on_to_fails_the_intent() -> None:
    """The batch of one has failed."""
    boundary = batches(FakeHandler(PartialFailure({0: Broken("no space")})))
    with (
        pytest.raises(FlushError),
        boundary.scope() as effects,
        effects.override({AuditEntry: lambda i, call_next: call_next(i)}),
    ):
        effects.emit(AuditEntry())
    assert effects.report.failed == [AuditEntry()]


def test_effect_functions_are_overridden_by_themselves_and_by_others(fake: FakeHandler) -> None:
    """The function is the key; another effect function with the same parameters is a fake."""
    ran: list[int] = []
    pretended: list[int] = []

    @effect
    def restock(product: int, *, note: list[int] = needs()) -> None:
        note.append(product)

    @effect
    def pretend(product: int) -> None:
        pretended.append(product)

    wiring = containers.DynamicContainer()
    wiring.restock = Handles(restock, note=ran)
    boundary = Boundary(wiring)
    with boundary.scope() as effects:
        with effects.override({restock: fake}):
            airlock.enqueue(restock, 1)
        with effects.override({restock: pretend}):
            airlock.enqueue(restock, 2)
        airlock.enqueue(restock, 3)
    assert fake.intents == [restock.intent(1)]
    assert pretended == [2]
    assert ran == [3]


@pytest.mark.anyio
async def test_fakes_may_be_async() -> None:
    """And await what they call on to."""
    faked: list[Any] = []
    notify = FakeHandler()

    async def fake(subject: NotifyWarehouse, call_next: Callable[[Any], Any]) -> None:
        faked.append(subject)
        await call_next(subject)

    async with Boundary({NotifyWarehouse: awaited(notify)}).scope() as effects:
        with effects.override({NotifyWarehouse: fake}):
            effects.emit(NotifyWarehouse())
    assert faked == notify.intents == [NotifyWarehouse()]


class Waiting:
    """A fake with an async ``__call__``."""

    async def __call__(self, subject: NotifyWarehouse) -> None:
        raise AssertionError("never awaited")


async def waiting(subject: NotifyWarehouse) -> None:
    raise AssertionError("never awaited")


async def passing(subject: NotifyWarehouse, call_next: Callable[[Any], Any]) -> None:
    raise AssertionError("never awaited")


@pytest.mark.parametrize(
    ("fake", "name"),
    [
        (waiting, "waiting (tests"),
        (passing, "passing (tests"),
        (Waiting(), "Waiting object"),
        (Waiting().__call__, "Waiting.__call__"),
        (functools.partial(passing, call_next=print), "partial"),
        (AsyncMock(), "AsyncMock"),
    ],
    ids=["function", "calling on", "object", "method", "partial", "mock"],
)
def test_an_async_fake_in_a_sync_flush_refuses_it(
    boundary: Boundary, handled: list[Any], fake: Any, name: str
) -> None:
    """Before the first handler runs, as an async handler does; the error names what was given."""
    with (
        pytest.raises(AsyncHandlerError, match="must be awaited, and this flush is sync") as raised,
        boundary.scope() as effects,
    ):
        effects.emit(SendEmail())
        with effects.override({NotifyWarehouse: fake}):
            effects.emit(NotifyWarehouse())
    assert handled == []
    assert name in str(raised.value)
    assert effects.report.pending == [SendEmail(), NotifyWarehouse()]


def test_what_is_replaced_is_not_made(fake: FakeHandler) -> None:
    """A fake that does not call on needs none of the handler's dependencies."""

    def connect() -> None:
        raise AssertionError("not called")

    def connected(subject: NotifyWarehouse, db: None) -> None: ...

    wiring = containers.DynamicContainer()
    wiring.notify = Handles(NotifyWarehouse, connected, db=providers.Callable(connect))
    with Boundary(wiring).scope() as effects, effects.override({NotifyWarehouse: fake}):
        effects.emit(NotifyWarehouse())
    assert fake.intents == [NotifyWarehouse()]


def test_a_sync_fake_makes_an_async_handler_fit(fake: FakeHandler) -> None:
    """Nobody has to await what is not called."""

    async def notify(subject: NotifyWarehouse) -> None:
        raise AssertionError("not called")

    boundary = Boundary({NotifyWarehouse: notify})
    with boundary.scope() as effects, effects.override({NotifyWarehouse: fake}):
        effects.emit(NotifyWarehouse())
    assert fake.intents == [NotifyWarehouse()]


# -- what is no override --------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [42, "drop", lambda: None, lambda a, b, c: None])
def test_an_override_takes_one_or_two_arguments(boundary: Boundary, handler: Any) -> None:
    """Anything else is refused where it is written."""
    with (
        boundary.scope() as effects,
        pytest.raises(
            HandlerSignatureError, match=r"takes \(intent\) or \(intent, call_next\).*None to drop"
        ),
    ):
        effects.override({NotifyWarehouse: handler})


def test_an_override_is_for_an_intent_class(boundary: Boundary) -> None:
    """Not for a value, or for some other class."""
    with boundary.scope() as effects:
        for key in (NotifyWarehouse(), int, "shop.notify"):
            with pytest.raises(
                DeclarationError, match=r"not an intent class.*@intent|give its class"
            ):
                effects.override({key: None})


def test_one_function_may_stand_for_handlers_of_several_classes(handled: list[Any]) -> None:
    """What it calls on to is that of each class, in several regions too."""
    boundary = Boundary(
        {
            NotifyWarehouse: lambda _: handled.append("notify"),
            SendEmail: lambda _: handled.append("email"),
        }
    )

    def around(intent: Any, call_next: Callable[[Any], object]) -> object:
        return call_next(intent)

    with boundary.scope() as effects:
        for _ in range(2):
            with effects.override({NotifyWarehouse: around, SendEmail: around}):
                effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert handled == ["notify", "email", "notify", "email"]
