"""HOW: handlers run here, or intents are handed over to an engine."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.lowlevel
import attrs
import pytest

import airlock
from airlock import (
    INLINE,
    Boundary,
    Delivery,
    Dispatcher,
    Drop,
    FlushError,
    Options,
    Outcome,
    Route,
    delivery,
    effect,
)
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    UnsupportedOptionError,
    WiringError,
)
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    SendInvoice,
)


@attrs.frozen
class Message:
    """What travels through the queue."""

    id: UUID
    intent: Any
    headers: Mapping[str, str]
    delay: timedelta | None


class ToQueue(Dispatcher):
    """Hands intents over to a queue of the standard library."""

    options = frozenset({"id", "delay", "headers"})

    def __init__(self) -> None:
        self.queue: queue.Queue[Message | None] = queue.Queue()

    def dispatch(self, delivery: Delivery, /) -> None:
        self.queue.put(
            Message(delivery.id, delivery.intent, dict(delivery.headers), delivery.delay)
        )

    def __repr__(self) -> str:
        return "ToQueue()"

    def messages(self) -> list[Message]:
        """What was handed over and not taken yet."""
        found: list[Message] = []
        while not self.queue.empty():
            message = self.queue.get()
            if message is not None:
                found.append(message)
        return found


@pytest.fixture
def to_queue() -> ToQueue:
    """A dispatch that can delay."""
    return ToQueue()


def test_a_worker_delivers_what_was_handed_over(to_queue: ToQueue) -> None:
    """Through a boundary of its own, in another thread, under the same id and headers."""
    done: list[Any] = []

    def handle(subject: Any) -> None:
        mine = delivery()
        done.append((subject, mine.id, dict(mine.headers), threading.current_thread().name))

    inside = Boundary({SendEmail: handle})

    def work() -> None:
        while (message := to_queue.queue.get(timeout=600)) is not None:
            with inside.scope(headers=message.headers) as effects:
                effects.emit(message.intent, Options(id=message.id))

    worker = threading.Thread(target=work, name="worker")
    worker.start()
    ours = uuid4()
    outside = Boundary({}, dispatch=to_queue)
    try:
        with outside.scope(headers={"tenant": "acme"}) as effects:
            effects.emit(SendEmail("1"), Options(id=ours))
            effects.emit(SendEmail("2"))
            assert to_queue.queue.empty()
        other = effects.report.entries[1].id
    finally:
        to_queue.queue.put(None)
        worker.join(timeout=600)
    assert effects.report.handed_over == [SendEmail("1"), SendEmail("2")]
    assert effects.report.ok
    assert done == [
        (SendEmail("1"), ours, {"tenant": "acme"}, "worker"),
        (SendEmail("2"), other, {"tenant": "acme"}, "worker"),
    ]


def test_a_route_sends_some_intents_elsewhere(handled: list[Any], to_queue: ToQueue) -> None:
    """By class, subclasses included; the others run here, in order."""
    boundary = Boundary(
        {NotifyWarehouse: handled.append}, dispatch=Route({SendEmail: to_queue}, default=INLINE)
    )
    with boundary.scope() as effects:
        effects.emit_all([SendInvoice("1"), NotifyWarehouse(), SendEmail("2")])
    assert handled == [NotifyWarehouse()]
    assert [message.intent for message in to_queue.messages()] == [SendInvoice("1"), SendEmail("2")]
    assert [entry.outcome for entry in effects.report] == [
        Outcome.HANDED_OVER,
        Outcome.DELIVERED,
        Outcome.HANDED_OVER,
    ]


def test_the_nearest_route_wins(handled: list[Any], to_queue: ToQueue) -> None:
    """Along the MRO; routes nest; effect functions are keys too; the default is for the rest."""

    @effect
    def restock(product: int) -> None: ...

    rest = ToQueue()
    inner = Route({SendInvoice: INLINE}, default=to_queue)
    route = Route({SendEmail: inner, restock: to_queue, NotifyWarehouse: INLINE}, default=rest)
    boundary = Boundary(
        {SendEmail: handled.append, NotifyWarehouse: handled.append}, dispatch=route
    )
    with boundary.scope() as effects:
        effects.emit_all(
            [SendInvoice(), SendEmail(), restock.intent(1), NotifyWarehouse(), AuditEntry()]
        )
    assert handled == [SendInvoice(), NotifyWarehouse()]
    assert [m.intent for m in to_queue.messages()] == [SendEmail(), restock.intent(1)]
    assert [m.intent for m in rest.messages()] == [AuditEntry()]


def test_routes_are_checked_when_they_are_made(to_queue: ToQueue) -> None:
    """A name or a class is no dispatcher, and an int is no intent."""
    with pytest.raises(DeclarationError, match=r"Route sends SendEmail to .*give a Dispatcher"):
        Route({SendEmail: "celery"})  # type: ignore[dict-item]
    with pytest.raises(DeclarationError, match=r"Route sends SendEmail to .*ToQueue"):
        Route({SendEmail: ToQueue})  # type: ignore[dict-item]
    with pytest.raises(DeclarationError, match="not an intent class"):
        Route({int: to_queue})
    with pytest.raises(DeclarationError, match="Dispatcher"):
        Route({}, default="celery")  # type: ignore[arg-type]


def test_policies_decide_before_dispatch(to_queue: ToQueue) -> None:
    """WHAT, WHEN and HOW do not mix."""
    with Boundary({}, dispatch=to_queue).scope(policy=Drop(SendEmail)) as effects:
        effects.emit_all([SendEmail(), AuditEntry()])
    assert [message.intent for message in to_queue.messages()] == [AuditEntry()]


def test_a_block_that_fails_hands_nothing_over(to_queue: ToQueue) -> None:
    """The engine never hears of it."""
    with pytest.raises(Broken), Boundary({}, dispatch=to_queue).scope() as effects:
        effects.emit(SendEmail())
        raise Broken
    assert to_queue.messages() == []


# -- options --------------------------------------------------------------------------------------


def test_options_reach_a_dispatch_that_honours_them(to_queue: ToQueue) -> None:
    """Here: a delay and headers."""
    with Boundary({}, dispatch=to_queue).scope() as effects:
        effects.emit(
            SendEmail(), Options(delay=timedelta(hours=1), headers={"trace": "7"}, id=UUID(int=1))
        )
    (message,) = to_queue.messages()
    assert message == Message(UUID(int=1), SendEmail(), {"trace": "7"}, timedelta(hours=1))


@pytest.mark.parametrize(
    ("name", "options"),
    [("delay", Options(delay=timedelta(seconds=1))), ("dedupe_key", Options(dedupe_key="x"))],
)
def test_inline_dispatch_refuses_what_it_cannot_honour(
    boundary: Boundary, handled: list[Any], name: str, options: Options
) -> None:
    """Before anything runs, and with a way out."""
    with pytest.raises(UnsupportedOptionError) as raised, boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
        effects.emit(SendEmail("x"), options)
    assert handled == []
    assert effects.report.pending == [NotifyWarehouse(), SendEmail("x")]
    text = str(raised.value)
    assert (
        f"SendEmail(to='x') was emitted with {name}=, which inline dispatch cannot honour" in text
    )
    assert "nothing of this wave ran" in text
    assert "dispatch=Route(" in text


def test_a_dispatch_says_what_it_can_honour(to_queue: ToQueue) -> None:
    """One that cannot order refuses an ordering key."""
    with (
        pytest.raises(UnsupportedOptionError, match=r"ordering_key=, which ToQueue\(\) cannot"),
        Boundary({}, dispatch=to_queue).scope() as effects,
    ):
        effects.emit(SendEmail(), Options(ordering_key="a"))
    assert to_queue.messages() == []


def test_options_of_what_is_dropped_do_not_matter(boundary: Boundary) -> None:
    """Nobody has to honour them."""
    with boundary.scope(policy=Drop(SendEmail)) as effects:
        effects.emit(SendEmail(), Options(delay=timedelta(hours=1)))
    assert effects.report.dropped == [SendEmail()]


def test_no_delay_is_no_option(boundary: Boundary, handled: list[Any]) -> None:
    """A delay of zero, or no headers, asks nothing of anyone."""
    with boundary.scope() as effects:
        effects.emit(SendEmail(), Options(delay=timedelta(0), headers={}))
    assert handled == [SendEmail()]


# -- a dispatch that refuses or fails -------------------------------------------------------------


class Picky(ToQueue):
    """Cannot carry e-mails."""

    def check(self, cls: type[Any], /) -> None:
        if issubclass(cls, SendEmail):
            raise WiringError(f"{cls.__name__} has no JSON form: give it one.")


def test_a_dispatch_may_refuse_a_class(handled: list[Any]) -> None:
    """Once per class, before anything of the wave runs."""
    picky = Picky()
    boundary = Boundary(
        {NotifyWarehouse: handled.append}, dispatch=Route({SendEmail: picky, AuditEntry: picky})
    )
    with pytest.raises(WiringError, match="no JSON form"), boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(), AuditEntry(), SendEmail()])
    assert handled == []
    assert picky.messages() == []
    assert len(effects.report.pending) == 3


class Flaky(ToQueue):
    """Is down at first."""

    def __init__(self) -> None:
        super().__init__()
        self.down = True

    def dispatch(self, delivery: Delivery, /) -> None:
        if self.down and delivery.intent == SendEmail("2"):
            raise ConnectionError("broker is down")
        super().dispatch(delivery)


def test_a_dispatch_that_fails_can_be_resumed() -> None:
    """The intent has failed; the rest was handed over; the same id goes when it is up again."""
    flaky = Flaky()
    with pytest.raises(FlushError) as raised, Boundary({}, dispatch=flaky).scope() as effects:
        effects.emit_all([SendEmail("1"), SendEmail("2"), SendEmail("3")])
    assert [type(error) for error in raised.value.exceptions] == [ConnectionError]
    assert effects.report.handed_over == [SendEmail("1"), SendEmail("3")]
    assert effects.report.failed == [SendEmail("2")]
    flaky.messages()
    flaky.down = False
    failed = effects.report.entries[1].id
    resumed = effects.report.resume()
    assert resumed.handed_over == [SendEmail("2")]
    assert [message.id for message in flaky.messages()] == [failed]


class Async(ToQueue):
    """Awaits its broker."""

    async def dispatch(self, delivery: Delivery, /) -> None:  # type: ignore[override]
        await anyio.lowlevel.checkpoint()
        super().dispatch(delivery)


@pytest.mark.anyio
async def test_a_dispatch_may_be_async() -> None:
    """In async flushes."""
    dispatch = Async()
    async with Boundary({}, dispatch=dispatch).scope() as effects:
        effects.emit_all([SendEmail("1"), SendEmail("2")])
    assert [message.intent for message in dispatch.messages()] == [SendEmail("1"), SendEmail("2")]
    assert effects.report.handed_over == [SendEmail("1"), SendEmail("2")]


def test_an_async_dispatch_in_a_sync_flush_hands_nothing_over() -> None:
    """It fails loudly, and the report can be resumed asynchronously."""
    dispatch = Async()
    with (
        pytest.raises((FlushError, AsyncHandlerError)),
        Boundary({}, dispatch=dispatch).scope() as effects,
    ):
        effects.emit(SendEmail())
    assert dispatch.messages() == []
    assert not effects.report.ok
    report = anyio.run(effects.report.aresume)
    assert report.handed_over == [SendEmail()]


def test_a_dispatcher_implements_dispatch() -> None:
    """One that does not fails what it is given, and says so."""
    with (
        pytest.raises(FlushError) as raised,
        Boundary({}, dispatch=Dispatcher()).scope() as effects,
    ):
        effects.emit(SendEmail())
    assert "does not implement dispatch()" in str(raised.value.exceptions[0])
    assert effects.report.failed == [SendEmail()]


def test_what_a_dispatch_emits_follows_the_intent(handled: list[Any]) -> None:
    """A dispatcher that notes what it did, as an intent: a follow-up."""

    class Noting(ToQueue):
        def dispatch(self, delivery: Delivery, /) -> None:
            airlock.emit(AuditEntry(f"queued {delivery.kind}"))
            super().dispatch(delivery)

    boundary = Boundary({AuditEntry: handled.append}, dispatch=Route({OrderPlaced: Noting()}))
    with boundary.scope() as effects:
        effects.emit(OrderPlaced())
    assert handled == [AuditEntry("queued tests.boundary.vocabulary.OrderPlaced")]
    assert effects.report.handed_over == [OrderPlaced()]
