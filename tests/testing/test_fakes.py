"""Fakes: handlers that follow a script, and a boundary that has nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio.lowlevel
import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Drop,
    Expands,
    FlushError,
    Handles,
    HandlesBatch,
    Hold,
    Options,
    Outcome,
    PartialFailure,
    Refuse,
    Report,
)
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    ExpectationError,
    RefusedError,
    UnfakedIntentError,
    UnhandledIntentError,
    UnsupportedOptionError,
)
from airlock.testing import FakeHandler, expect_effects, fake_boundary, like
from airlock.testing.fakes import Places
from tests.testing.vocabulary import (
    ChargeCard,
    Done,
    NotifyWarehouse,
    PlaceOrder,
    SendEmail,
    SendReceipt,
    restock,
)

A, B, C = map(NotifyWarehouse, (1, 2, 3))


def delivered(handler: Callable[..., object], *intents: NotifyWarehouse) -> Report:
    with Boundary({NotifyWarehouse: handler}).scope() as effects:
        effects.emit_all(intents)
    return effects.report


# -- handlers with a script -----------------------------------------------------------------------


def test_a_fake_without_a_script_takes_every_call() -> None:
    fake = FakeHandler()
    assert delivered(fake, A, B).ok
    assert fake.intents == [A, B]
    assert fake(C) is None
    assert fake.intents == [A, B, C]


def test_a_fake_raises_the_exceptions_of_its_script() -> None:
    """Values and classes; those that are no ``Exception`` interrupt the flush, as they would."""
    fake = FakeHandler(ConnectionError("down"), ConnectionError, None)
    with pytest.raises(FlushError) as caught:
        delivered(fake, A, B, C)
    assert list(map(repr, caught.value.exceptions)) == [
        "ConnectionError('down')",
        "ConnectionError()",
    ]
    with pytest.raises(KeyboardInterrupt):
        delivered(FakeHandler(KeyboardInterrupt), A)


def test_a_fake_calls_the_functions_of_its_script() -> None:
    """They may emit; what they return is the result."""

    def charge(intent: NotifyWarehouse) -> str:
        airlock.emit(SendEmail(f"order {intent.order_id}"))
        return "done"

    fake, send = FakeHandler(charge), FakeHandler()
    with Boundary({NotifyWarehouse: fake, SendEmail: send}).scope() as effects:
        effects.emit(A)
    assert send.intents == [SendEmail("order 1")]
    with expect_effects(SendEmail("order 2")):
        assert FakeHandler(charge)(B) == "done"


def test_a_fake_returns_whatever_else_its_script_says() -> None:
    fake = FakeHandler("receipt", None, 0)
    assert [fake(A), fake(A), fake(A)] == ["receipt", None, 0]


def test_a_script_that_is_over_fails_the_call() -> None:
    """It is told which call it was; what was delivered before is."""
    fake = FakeHandler(None)
    with pytest.raises(
        FlushError, match=r"call 2 of FakeHandler\(None\), whose script has 1"
    ) as caught:
        delivered(fake, A, B)
    assert isinstance(caught.value.exceptions[0], AssertionError)
    assert caught.value.report is not None
    assert caught.value.report.delivered == [A]
    assert fake.intents == [A, B]


@pytest.mark.anyio
async def test_async_functions_of_a_script_are_awaited_in_an_async_flush() -> None:
    async def send(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise ConnectionError("down")

    fake = FakeHandler(send, None)
    with pytest.raises(FlushError, match="down"):
        async with Boundary({NotifyWarehouse: fake}).scope() as effects:
            effects.emit_all([A, B])
    assert fake.intents == [A, B]


def test_async_functions_of_a_script_are_refused_in_a_sync_flush() -> None:
    async def send(_: object) -> None: ...

    with pytest.raises(FlushError) as caught:
        delivered(FakeHandler(send), A)
    assert isinstance(caught.value.exceptions[0], AsyncHandlerError)


def test_a_fake_notes_the_members_of_batches_and_takes_a_step_for_each_batch() -> None:
    wiring = containers.DynamicContainer()
    fake = FakeHandler(None, PartialFailure({0: ConnectionError("down")}))
    wiring.notify = HandlesBatch(NotifyWarehouse, fake, size=2)
    with pytest.raises(FlushError) as caught, Boundary(wiring).scope() as effects:
        effects.emit_all([A, B, C])
    assert fake.intents == [A, B, C]
    assert caught.value.report is not None
    assert caught.value.report.failed == [C]
    assert [one.intent for one in fake.deliveries] == [A, B, C]


def test_a_fake_notes_its_deliveries() -> None:
    """Their attempts, ids and headers, with the values that the boundary gave them."""
    fake = FakeHandler(ConnectionError, None)
    scope = Boundary({NotifyWarehouse: fake}).scope(headers={"tenant": "a"})
    with pytest.raises(FlushError) as caught, scope as effects:
        effects.emit(A)
    assert caught.value.report is not None
    caught.value.report.resume()
    assert [one.attempt for one in fake.deliveries] == [1, 2]
    assert [dict(one.headers) for one in fake.deliveries] == [{"tenant": "a"}] * 2
    assert fake.deliveries[0].id == fake.deliveries[1].id


def test_a_fake_that_the_test_itself_calls_notes_no_delivery() -> None:
    fake = FakeHandler()
    fake(A)
    assert fake.deliveries == []


def test_a_fake_stands_for_a_function_in_a_container() -> None:
    fake = FakeHandler()
    wiring = containers.DynamicContainer()
    wiring.notify = Handles(NotifyWarehouse, fake)
    with Boundary(wiring).scope() as effects:
        effects.emit(A)
    assert fake.intents == [A]


def test_a_fake_may_override() -> None:
    """One that takes the intent only: it never calls on."""
    done, fake = Done(), FakeHandler()
    with done.boundary().scope() as scope, scope.override({NotifyWarehouse: fake}):
        airlock.emit(A)
    assert fake.intents == [A]
    assert done.intents == []


def test_a_fake_shows_its_script() -> None:
    assert repr(FakeHandler(ConnectionError("down"), None)) == (
        "FakeHandler(ConnectionError('down'), None)"
    )


# -- a boundary of fakes --------------------------------------------------------------------------


def unfaked(boundary: Boundary, *intents: Any) -> UnfakedIntentError:
    with pytest.raises(UnfakedIntentError) as caught, boundary.scope() as effects:
        effects.emit_all(intents)
    return caught.value


def test_a_fake_boundary_delivers_to_its_fakes() -> None:
    fake = FakeHandler()
    with fake_boundary({NotifyWarehouse: fake}).scope() as effects:
        effects.emit_all([A, B])
    assert fake.intents == [A, B]
    assert effects.report.delivered == [A, B]


def test_an_intent_without_a_fake_is_refused_before_anything_runs() -> None:
    """The report has everything, pending."""
    fake = FakeHandler()
    error = unfaked(fake_boundary({NotifyWarehouse: fake}), A, SendEmail("ada@example.org"))
    assert fake.intents == []
    assert error.report is not None
    assert error.report.pending == [A, SendEmail("ada@example.org")]


def test_an_unfaked_intent_is_told_with_its_place_and_the_line_to_add() -> None:
    """Where it was emitted last."""

    def checkout() -> None:
        airlock.emit(SendEmail("bob@example.org"))
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(A)

    boundary = fake_boundary({NotifyWarehouse: FakeHandler()})
    with pytest.raises(UnfakedIntentError) as caught, boundary.scope():
        checkout()
    error = caught.value
    assert error.place.endswith(f"test_fakes.py:{checkout.__code__.co_firstlineno + 2}")
    assert str(error).startswith(f"no fake for SendEmail, emitted at {error.place}: ")
    assert "    SendEmail: lambda intent: None,\n" in str(error)
    assert "There are fakes for: NotifyWarehouse." in str(error)


def test_an_unfaked_intent_is_an_unhandled_one() -> None:
    """For code that catches those."""
    assert isinstance(unfaked(fake_boundary({}), A), UnhandledIntentError)


def test_the_line_to_add_is_enough() -> None:
    boundary = fake_boundary({NotifyWarehouse: lambda intent: None})
    with boundary.scope() as effects:
        effects.emit(A)
    assert effects.report.ok


def test_a_policy_leaves_an_effect_out() -> None:
    """As the message says; so does the policy of a scope."""
    for boundary, policy in (
        (fake_boundary({}, policy=Drop(NotifyWarehouse)), None),
        (fake_boundary({}), Drop(NotifyWarehouse)),
        (fake_boundary({}, policy=Drop(SendEmail) & Hold()), None),
    ):
        with boundary.scope(policy=policy) as effects:
            effects.emit(A)
        assert effects.report.ok
        assert effects.report.delivered == []


def test_the_policies_of_a_fake_boundary_speak_for_themselves() -> None:
    """They are named in the report, and refuse where code emits."""
    boundary = fake_boundary({}, policy=Refuse(SendEmail) & Drop(NotifyWarehouse))
    with boundary.scope() as effects:
        effects.emit(A)
        with pytest.raises(RefusedError):
            effects.emit(SendEmail("ada@example.org"))
    assert [str(entry.by) for entry in effects.report] == ["Drop(NotifyWarehouse)"]


def test_follow_ups_need_fakes_too() -> None:
    """Each in its own wave: what ran before ran."""

    def charge(_: ChargeCard) -> None:
        airlock.emit(SendEmail("ada@example.org"))

    with pytest.raises(FlushError) as caught, fake_boundary({ChargeCard: charge}).scope() as fx:
        fx.emit(ChargeCard("4111"))
    error = caught.value.exceptions[0]
    assert isinstance(error, UnfakedIntentError)
    assert error.place.endswith(f"test_fakes.py:{charge.__code__.co_firstlineno + 1}")
    assert caught.value.report is not None
    assert caught.value.report.delivered == [ChargeCard("4111")]


def test_a_fake_of_a_base_class_stands_for_its_subclasses() -> None:
    """And the nearest in the MRO wins, as with handlers."""
    emails, receipts = FakeHandler(), FakeHandler()
    with fake_boundary({SendEmail: emails}).scope() as effects:
        effects.emit(SendReceipt("ada@example.org"))
    with fake_boundary({SendEmail: emails, SendReceipt: receipts}).scope() as effects:
        effects.emit(SendReceipt("bob@example.org"))
    assert emails.intents == [SendReceipt("ada@example.org")]
    assert receipts.intents == [SendReceipt("bob@example.org")]
    assert unfaked(fake_boundary({SendReceipt: receipts}), SendEmail("x")).intents == ("SendEmail",)


def test_fakes_may_be_of_effect_functions() -> None:
    fake = FakeHandler()
    with fake_boundary({restock: fake}).scope():
        airlock.enqueue(restock, 7)
    assert fake.intents == [restock.intent(7)]
    assert unfaked(fake_boundary({}), restock.intent(7)).intents == ("restock",)


def test_fakes_may_be_in_a_container() -> None:
    """Batches and expansions too."""
    emails, orders = FakeHandler(), FakeHandler()
    wiring = containers.DynamicContainer()
    wiring.emails = HandlesBatch(SendEmail, emails)
    wiring.orders = Handles(PlaceOrder, orders)
    wiring.charged = Expands(ChargeCard, lambda i: [SendEmail(str(i.amount)), NotifyWarehouse(1)])
    boundary = fake_boundary(wiring, policy=Drop(NotifyWarehouse))
    with boundary.scope() as effects:
        effects.emit(ChargeCard("4111", 7))
        effects.emit(ChargeCard("4111", 8))
    assert emails.intents == [SendEmail("7"), SendEmail("8")]
    assert unfaked(boundary, restock.intent(7)).known == ("SendEmail", "PlaceOrder", "ChargeCard")


@pytest.mark.parametrize(
    "options",
    [
        Options(delay=timedelta(minutes=5)),
        Options(dedupe_key="order 1"),
        Options(ordering_key="order 1", headers={"tenant": "a"}),
    ],
    ids=str,
)
def test_options_do_not_hide_that_a_fake_is_missing(options: Options) -> None:
    with pytest.raises(UnfakedIntentError), fake_boundary({}).scope() as effects:
        effects.emit(A, options)


def test_options_that_no_inline_dispatch_honours_are_refused_for_fakes_as_for_handlers() -> None:
    fakes = {NotifyWarehouse: FakeHandler()}
    with pytest.raises(UnsupportedOptionError), fake_boundary(fakes).scope() as effects:
        effects.emit(A, Options(delay=timedelta(minutes=5)))


def test_other_options_are_those_of_a_boundary() -> None:
    calls: list[object] = []

    def noting(intent: object, call_next: Callable[[Any], object]) -> object:
        calls.append(intent)
        return call_next(intent)

    fake = FakeHandler(ConnectionError, None)
    fakes = {NotifyWarehouse: fake}
    boundary = fake_boundary(fakes, interceptors=[noting], fail_fast=True, max_depth=1)
    with pytest.raises(FlushError) as caught, boundary.scope() as effects:
        effects.emit_all([A, B])
    assert calls == [A]
    assert caught.value.report is not None
    assert caught.value.report.counts == {Outcome.PENDING: 1, Outcome.FAILED: 1}
    with pytest.raises(DeclarationError, match="max_depth"):
        fake_boundary({}, max_depth=0)


def test_the_dispatch_of_a_fake_boundary_is_its_own() -> None:
    with pytest.raises(TypeError, match="dispatch"):
        fake_boundary({}, dispatch=airlock.INLINE)


def test_fakes_are_checked_as_handlers_are() -> None:
    with pytest.raises(airlock.AirlockError, match="cannot handle NotifyWarehouse"):
        fake_boundary({NotifyWarehouse: lambda: None})


@pytest.mark.anyio
async def test_fakes_may_be_async() -> None:
    sent: list[object] = []

    async def send(intent: SendEmail) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(intent)

    async with fake_boundary({SendEmail: send}).scope() as effects:
        effects.emit(SendEmail("ada@example.org"))
    assert sent == [SendEmail("ada@example.org")]


def test_a_fake_boundary_in_a_recording_delivers_nothing() -> None:
    """What its scopes emit is recorded; expectations written there belong to the recording."""
    fake = FakeHandler()

    def block() -> None:
        with expect_effects(A), fake_boundary({NotifyWarehouse: fake}).scope():
            airlock.emit(A)
            like(NotifyWarehouse)

    with pytest.raises(ExpectationError, match="was never looked for"):
        block()
    assert fake.intents == []


def test_a_fake_boundary_keeps_nothing_of_what_it_delivered() -> None:
    """It may live as long as a session of tests."""
    boundary = fake_boundary({NotifyWarehouse: lambda _: None})
    for _ in range(3):
        with boundary.scope() as effects:
            effects.emit_all([A, B])
    [places] = boundary._engine.policy
    assert isinstance(places, Places)
    assert list(places.last) == [NotifyWarehouse]


def test_a_fake_in_a_container_is_the_one_that_the_test_holds() -> None:
    """Containers copy what their providers hold."""
    fake = FakeHandler()

    class Effects(containers.DeclarativeContainer):
        notify = Handles(NotifyWarehouse, fake)

    with Boundary(Effects()).scope() as effects:
        effects.emit(NotifyWarehouse(1))
    assert fake.intents == [NotifyWarehouse(1)]


def test_a_fake_tells_a_batch_from_single_intents() -> None:
    fake = FakeHandler()
    with Boundary({NotifyWarehouse: fake}).scope() as effects:
        effects.emit(NotifyWarehouse(1))
    assert fake.calls == [NotifyWarehouse(1)]


def test_what_an_override_stands_for_needs_no_fake() -> None:
    with fake_boundary({}).scope() as effects, effects.override({NotifyWarehouse: None}):
        effects.emit(NotifyWarehouse(1))
    assert effects.report.dropped == [NotifyWarehouse(1)]
