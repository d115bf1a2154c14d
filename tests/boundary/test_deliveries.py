"""``delivery()`` and ``deliveries()``: what a handler may know about the intent it runs for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Delivery,
    Dispatcher,
    FlushError,
    Handles,
    HandlesBatch,
    Options,
    RetryPolicy,
    deliveries,
    delivery,
    intent,
)
from airlock.errors import DeliveryError
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    CountDown,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
)


@pytest.fixture(params=["plain", "intercepted"])
def interceptors(request: pytest.FixtureRequest) -> list[Any]:
    """Handlers are called with and without something around them; that makes no difference."""
    return [] if request.param == "plain" else [lambda subject, call_next: call_next(subject)]


@pytest.fixture
def seen() -> list[Delivery]:
    """The deliveries that handlers found."""
    return []


@pytest.fixture
def noting(seen: list[Delivery], interceptors: list[Any]) -> Boundary:
    """A boundary whose handlers note their deliveries, and count down."""

    def note(subject: Any) -> None:
        seen.append(delivery())
        if isinstance(subject, CountDown) and subject.n:
            airlock.emit(CountDown(subject.n - 1))

    return Boundary(
        dict.fromkeys((NotifyWarehouse, SendEmail, CountDown), note), interceptors=interceptors
    )


def test_a_handler_finds_its_own_delivery(noting: Boundary, seen: list[Delivery]) -> None:
    """The intent, its kind, the attempt; each handler its own."""
    with noting.scope() as effects:
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2), SendEmail()])
    assert [one.intent for one in seen] == [NotifyWarehouse(1), NotifyWarehouse(2), SendEmail()]
    assert seen[0].kind == "tests.boundary.vocabulary.NotifyWarehouse"
    assert [one.attempt for one in seen] == [1, 1, 1]
    assert len({one.id for one in seen}) == 3
    assert repr(seen[0]) == "<Delivery of NotifyWarehouse(order_id=1), attempt 1>"


def test_the_id_is_that_of_the_report(noting: Boundary, seen: list[Delivery]) -> None:
    """The same wherever it is asked for, and however often."""
    with noting.scope() as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert [entry.id for entry in effects.report] == [one.id for one in seen]
    assert [entry.id for entry in effects.report] == [one.id for one in seen]
    assert str(seen[0].id) in effects.report.to_json(ids=True)


def test_an_id_that_is_given_is_the_id_everywhere(noting: Boundary, seen: list[Delivery]) -> None:
    """In the handler and in the report."""
    mine = uuid4()
    with noting.scope() as effects:
        effects.emit(NotifyWarehouse(), Options(id=mine))
    assert seen[0].id == mine
    assert [entry.id for entry in effects.report] == [mine]


def test_an_id_is_stable_across_attempts_and_resumes() -> None:
    """An idempotency key: the receiver knows what it has seen."""
    ids: list[UUID] = []

    def notify(_: object) -> None:
        ids.append(delivery().id)
        if len(ids) < 5:
            raise Broken

    wiring = containers.DynamicContainer()
    retry = RetryPolicy(Broken, max_attempts=2, wait_initial=timedelta(0), wait_max=timedelta(0))
    wiring.notify = Handles(NotifyWarehouse, notify, retry=retry)
    with pytest.raises(FlushError), Boundary(wiring).scope() as effects:
        effects.emit(NotifyWarehouse())
    with pytest.raises(FlushError) as raised:
        effects.report.resume()
    second = raised.value.report
    assert second is not None
    third = second.resume()
    assert len(ids) == 5
    assert len(set(ids)) == 1
    for report in (effects.report, second, third):
        assert [entry.id for entry in report] == ids[:1]


def test_an_id_that_nobody_asked_for_yet_is_stable_too() -> None:
    """Read from a report after that was resumed, it is that of the resumed one."""
    broken = [True]

    def notify(_: object) -> None:
        if broken:
            broken.pop()
            raise Broken

    with pytest.raises(FlushError), Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit(NotifyWarehouse())
    resumed = effects.report.resume()
    assert [entry.id for entry in effects.report] == [entry.id for entry in resumed]


def test_causes_lead_back_to_the_block(noting: Boundary, seen: list[Delivery]) -> None:
    """Each delivery has the one whose handler emitted it; the block has none."""
    with noting.scope() as effects:
        effects.emit_all([NotifyWarehouse(), CountDown(2)])
    last = seen[-1]
    assert last.intent == CountDown(0)
    assert last.cause is not None
    assert last.cause.intent == CountDown(1)
    assert last.cause.id == seen[2].id
    assert last.cause.attempt == 1
    assert last.cause.cause is not None
    assert last.cause.cause.intent == CountDown(2)
    assert last.cause.cause.cause is None
    assert list(last.ancestors) == [CountDown(1), CountDown(2)]
    assert list(seen[0].ancestors) == []


def test_the_cause_knows_which_attempt_emitted() -> None:
    """The one that succeeded: what others emitted is discarded."""

    def succeed(_: object) -> None:
        airlock.emit(SendEmail())

    def fail(subject: object) -> None:
        succeed(subject)
        raise Broken

    send = FakeHandler()
    wiring = containers.DynamicContainer()
    retry = RetryPolicy(Broken, wait_initial=timedelta(0), wait_max=timedelta(0))
    wiring.placed = Handles(OrderPlaced, FakeHandler(fail, succeed), retry=retry)
    wiring.email = Handles(SendEmail, send)
    with Boundary(wiring).scope() as effects:
        effects.emit(OrderPlaced())
    assert [one.cause and one.cause.attempt for one in send.deliveries] == [2]


def test_options_of_the_emission_are_there(seen: list[Delivery]) -> None:
    """All of them, as given; nothing where nothing was."""

    class Carries(Dispatcher):
        options = frozenset({"id", "delay", "ordering_key", "dedupe_key", "headers"})

        def dispatch(self, delivery: Delivery, /) -> None:
            seen.append(delivery)

    options = Options(
        delay=timedelta(minutes=5), ordering_key="order 7", dedupe_key="once", headers={"a": "b"}
    )
    with Boundary({}, dispatch=Carries()).scope(headers={"tenant": "acme"}) as effects:
        effects.emit(SendEmail("1"), options)
        effects.emit(SendEmail("2"))
    assert seen[0].options == options
    assert seen[0].delay == timedelta(minutes=5)
    assert seen[0].headers == {"tenant": "acme", "a": "b"}
    assert seen[1].options == Options()
    assert seen[1].delay is None
    assert seen[1].headers == {"tenant": "acme"}


def test_headers_cannot_be_changed(noting: Boundary, seen: list[Delivery]) -> None:
    """They are those of the emission, whatever a handler would like."""
    with noting.scope(headers={"tenant": "acme"}) as effects:
        effects.emit(SendEmail())
    with pytest.raises(TypeError):
        seen[0].headers["tenant"] = "other"  # type: ignore[index]


def test_a_batch_handler_has_a_delivery_for_each_member() -> None:
    """In the order of the list; asking for the one says how to ask for all."""
    found: list[tuple[Delivery, ...]] = []
    errors: list[str] = []

    def write(batch: list[AuditEntry]) -> None:
        found.append(deliveries())
        if len(batch) > 1:
            with pytest.raises(DeliveryError) as raised:
                delivery()
            errors.append(str(raised.value))
        else:
            found.append((delivery(),))

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, write, size=2)
    mine = uuid4()
    with Boundary(wiring).scope() as effects:
        effects.emit(AuditEntry("1"), Options(id=mine))
        effects.emit_all([AuditEntry("2"), AuditEntry("3")])
    first, second, alone = found
    assert [one.intent for one in first] == [AuditEntry("1"), AuditEntry("2")]
    assert first[0].id == mine
    assert [one.id for one in (*first, *second)] == [entry.id for entry in effects.report]
    assert [one.intent for one in alone] == [AuditEntry("3")]
    assert errors == ["this handler runs for a batch of 2: use airlock.deliveries(), one for each."]


def test_the_members_of_a_batch_are_causes_of_what_it_emits() -> None:
    """The last of them in the report; all of them for ``OncePerChain``."""

    @intent
    class Echo:
        text: str = "echo"

    def write(batch: list[AuditEntry]) -> None:
        airlock.emit(Echo())

    echo = FakeHandler()
    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, write)
    wiring.echo = Handles(Echo, echo)
    with Boundary(wiring).scope() as effects:
        effects.emit_all([AuditEntry("1"), AuditEntry("2")])
    (entry,) = effects.report.of(Echo)
    assert entry.cause is not None
    assert entry.cause.intent == AuditEntry("2")
    (delivered,) = echo.deliveries
    assert sorted(one.text for one in delivered.ancestors) == ["1", "2"]


def test_there_is_a_delivery_inside_of_handlers_only(boundary: Boundary) -> None:
    """In the block, and outside of everything, asking is an error that says so."""
    with pytest.raises(DeliveryError):
        delivery()
    with boundary.scope(), pytest.raises(DeliveryError):
        deliveries()


def test_a_handlers_own_blocks_have_its_delivery(handled: list[Any]) -> None:
    """Regions and scopes that it opens, of its boundary or another."""

    def notify(_: object) -> None:
        with airlock.region(airlock.Allow()):
            handled.append(delivery().intent)
        with other.scope():
            handled.append(delivery().intent)
            airlock.emit(SendEmail())

    other = Boundary({SendEmail: lambda _: handled.append(delivery().intent)})
    with Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == [NotifyWarehouse(), NotifyWarehouse(), SendEmail()]


@pytest.mark.anyio
async def test_async_handlers_find_their_deliveries() -> None:
    """Each its own, after an await too."""
    import anyio

    seen: list[Any] = []

    async def notify(subject: NotifyWarehouse) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(delivery().intent == subject)

    async with Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
    assert seen == [True, True]
