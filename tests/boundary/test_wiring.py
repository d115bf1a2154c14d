"""Wiring: which handler runs for which intent, from a mapping or a container."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
import pytest
from dependency_injector import containers, providers

import airlock
from airlock import (
    Boundary,
    FlushError,
    Handles,
    HandlesBatch,
    effect,
)
from airlock.errors import (
    AsyncHandlerError,
    DuplicateHandlerError,
    UnhandledIntentError,
)
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    SendInvoice,
)
from tests.boundary.wired import MAILBOX, Client, Effects, EmailSender, deliver, notify


@pytest.fixture(autouse=True)
def _empty_mailbox() -> None:
    MAILBOX.clear()
    EmailSender.made = 0


# -- mappings -------------------------------------------------------------------------------------


def test_a_mapping_from_classes_to_handlers_is_the_shortest_wiring(handled: list[Any]) -> None:
    """Functions, lambdas, bound methods, builtins, objects with ``__call__``."""

    class Handler:
        def __call__(self, subject: Any) -> None:
            handled.append(subject)

        def method(self, subject: Any) -> None:
            handled.append(subject)

    deliver(
        {
            NotifyWarehouse: handled.append,
            SendEmail: lambda subject: handled.extend([subject]),
            AuditEntry: Handler(),
            OrderPlaced: Handler().method,
        },
        *[NotifyWarehouse(), SendEmail(), AuditEntry(), OrderPlaced()],
    )
    assert handled == [NotifyWarehouse(), SendEmail(), AuditEntry(), OrderPlaced()]


def test_a_mapping_may_hold_effect_functions_without_dependencies(handled: list[Any]) -> None:
    """``{restock: restock}``; as a key with another handler, that handler gets the intent."""

    @effect
    def restock(product: int) -> None:
        handled.append(product)

    deliver({restock: restock}, restock.intent(1))
    deliver({restock: handled.append}, restock.intent(2))
    assert handled == [1, restock.intent(2)]


def test_a_handlers_result_is_ignored(handled: list[Any]) -> None:
    """Whatever it is, true, false or strange."""

    class Strange:
        def __bool__(self) -> bool:
            raise Broken

        def __eq__(self, other: object) -> bool:
            raise Broken

        __hash__ = None  # type: ignore[assignment]

    assert deliver({NotifyWarehouse: lambda _: Strange()}, NotifyWarehouse()).ok


# -- containers -----------------------------------------------------------------------------------


def test_a_container_supplies_dependencies_by_name() -> None:
    """From providers of any kind; functions and classes alike."""
    container = Effects()
    container.config.smtp.from_value("mail.test")
    deliver(container, NotifyWarehouse(1), SendEmail("x"))
    assert container.http().sent == [NotifyWarehouse(1)]
    assert [("mail.test", SendEmail("x"))] == MAILBOX


def test_dependencies_may_be_plain_values(handled: list[Any]) -> None:
    """Not everything is a provider."""

    class Plain(containers.DeclarativeContainer):
        audit = Handles(
            AuditEntry,
            lambda subject, sink, mark: sink(f"{mark} {subject.text}"),
            sink=providers.Object(handled.append),
            mark="!",
        )

    deliver(Plain(), AuditEntry())
    assert handled == ["! seen"]


def test_handlers_of_nested_containers_are_found() -> None:
    """At any depth; messages call them by their path."""

    class Shop(containers.DeclarativeContainer):
        effects = providers.Container(Effects)

    class Application(containers.DeclarativeContainer):
        shop = providers.Container(Shop)

    container = Application()
    deliver(container, NotifyWarehouse())
    assert container.shop().effects().http().sent == [NotifyWarehouse()]

    class Twice(containers.DeclarativeContainer):
        shop = providers.Container(Shop)
        again = Handles(NotifyWarehouse, notify, http=Client())

    with pytest.raises(DuplicateHandlerError, match=r"shop\.effects\.notify"):
        Boundary(Twice())


def test_containers_inherit(handled: list[Any]) -> None:
    """A subclass has the handlers of its base, and may replace one under its name."""

    class More(Effects):
        audit = Handles(AuditEntry, handled.append)
        notify = Handles(NotifyWarehouse, handled.append)

    deliver(More(), AuditEntry(), NotifyWarehouse(), SendEmail())
    assert handled == [AuditEntry(), NotifyWarehouse()]
    assert [("localhost", SendEmail())] == MAILBOX


def test_containers_are_overridden(handled: list[Any]) -> None:
    """Dependency-injector's own overriding: a provider, a container, a dependency."""
    container = Effects()
    boundary = Boundary(container)

    def run() -> None:
        with boundary.scope() as effects:
            effects.emit(NotifyWarehouse())

    with container.notify.override(Handles(NotifyWarehouse, handled.append)):
        run()
    assert handled == [NotifyWarehouse()]

    class Fakes(containers.DeclarativeContainer):
        http = providers.Singleton(Client)

    fakes = Fakes()
    overridden = Effects()
    overridden.override(fakes)
    deliver(overridden, NotifyWarehouse())
    assert fakes.http().sent == [NotifyWarehouse()]
    client = Client()
    with container.http.override(client):
        run()
    assert client.sent == [NotifyWarehouse()]
    run()
    assert container.http().sent == [NotifyWarehouse()]
    assert handled == [NotifyWarehouse()]


def test_a_provider_is_overridden_with_a_plain_function(handled: list[Any]) -> None:
    """The function is the handler then, without dependencies."""

    def record(subject: NotifyWarehouse) -> None:
        handled.append(subject)

    container = Effects()
    with container.notify.override(record):
        deliver(container, NotifyWarehouse())
    assert handled == [NotifyWarehouse()]
    assert container.http().sent == []


def test_a_provider_that_is_overridden_with_an_async_function_must_be_awaited() -> None:
    """The fit is known from what is resolved, before anything runs."""

    async def fake(subject: NotifyWarehouse) -> None:
        raise AssertionError("never called")

    container = Effects()
    with container.notify.override(fake), pytest.raises(AsyncHandlerError, match="notify"):
        deliver(container, SendEmail(), NotifyWarehouse())
    assert MAILBOX == []


def test_each_container_has_dependencies_of_its_own() -> None:
    """A boundary is made of an instance; two instances do not share their singletons."""
    one, two = Effects(), Effects()
    deliver(one, NotifyWarehouse())
    assert one.http().sent == [NotifyWarehouse()]
    assert two.http().sent == []


def test_handlers_keep_their_options_in_instances_of_a_container() -> None:
    """Dependency-injector copies providers; batch size and retries are copied with them."""
    sizes: list[int] = []

    def write(entries: list[AuditEntry]) -> None:
        sizes.append(len(entries))

    class Batched(containers.DeclarativeContainer):
        audit = HandlesBatch(AuditEntry, write, size=2)

    class Outer(containers.DeclarativeContainer):
        inner = providers.Container(Batched)

    deliver(Outer(), *[AuditEntry(str(n)) for n in range(5)])
    assert sizes == [2, 2, 1]


def test_async_handlers_of_containers_run_in_async_scopes() -> None:
    """With their dependencies, as functions and as classes."""

    sent: list[Any] = []

    async def send(subject: NotifyWarehouse, sink: list[Any]) -> None:
        await anyio.lowlevel.checkpoint()
        sink.append(subject)

    class Sender:
        def __init__(self, sink: list[Any]) -> None:
            self.sink = sink

        async def __call__(self, subject: SendEmail) -> None:
            self.sink.append(subject)

    class Async(containers.DeclarativeContainer):
        sink = providers.Object(sent)
        notify = Handles(NotifyWarehouse, send, sink=sink)
        email = Handles(SendEmail, Sender, sink=sink)

    boundary = Boundary(Async())

    async def main() -> None:
        async with boundary.scope() as effects:
            effects.emit_all([NotifyWarehouse(), SendEmail()])

    anyio.run(main)
    assert sent == [NotifyWarehouse(), SendEmail()]
    for subject in (NotifyWarehouse(), SendEmail()):
        with pytest.raises(AsyncHandlerError), boundary.scope() as effects:
            effects.emit(subject)
    assert len(sent) == 2


# -- resolution -----------------------------------------------------------------------------------


def test_handlers_are_resolved_once_per_type_per_flush() -> None:
    """However many intents and waves; and anew for the next flush."""
    container = Effects()
    boundary = Boundary(container)
    for flushes in (1, 2):
        with boundary.scope() as effects:
            effects.emit_all([SendEmail(str(n)) for n in range(5)])
        assert EmailSender.made == flushes


def test_handlers_are_resolved_once_for_all_waves() -> None:
    """The follow-ups of the same type use the same handler."""
    made: list[int] = []

    class Again:
        def __init__(self) -> None:
            made.append(1)

        def __call__(self, subject: OrderPlaced) -> None:
            if subject.order_id:
                airlock.emit(OrderPlaced(subject.order_id - 1))

    class Circle(containers.DeclarativeContainer):
        again = Handles(OrderPlaced, Again)

    report = deliver(Circle(), OrderPlaced(5))
    assert len(report.delivered) == 6
    assert len(made) == 1


def test_what_is_dropped_is_not_resolved() -> None:
    """A policy that drops all e-mails keeps the SMTP connection from being opened."""
    with Boundary(Effects()).scope(policy=airlock.Drop(SendEmail)) as effects:
        effects.emit(SendEmail())
        effects.emit(NotifyWarehouse())
    assert EmailSender.made == 0


def test_handlers_are_found_along_the_mro(handled: list[Any]) -> None:
    """The handler of the nearest base class; its own first."""
    deliver({SendEmail: handled.append}, SendInvoice("1"))
    assert handled == [SendInvoice("1")]
    own: list[Any] = []
    deliver({SendEmail: handled.append, SendInvoice: own.append}, SendInvoice("2"), SendEmail("3"))
    assert own == [SendInvoice("2")]
    assert handled == [SendInvoice("1"), SendEmail("3")]


def test_a_provider_that_raises_refuses_the_flush(handled: list[Any]) -> None:
    """Before the first handler runs; its error tells, and resuming asks it again."""
    down = [True]

    def connect() -> Client:
        if down:
            down.pop()
            raise ConnectionError("no route to the warehouse")
        return Client()

    class Fragile(containers.DeclarativeContainer):
        http = providers.Callable(connect)
        notify = Handles(NotifyWarehouse, notify, http=http)
        email = Handles(SendEmail, handled.append)

    with pytest.raises(ConnectionError, match="no route") as raised:
        deliver(Fragile(), SendEmail(), NotifyWarehouse())
    assert handled == []
    report: airlock.Report = raised.value.report  # type: ignore[attr-defined]
    assert report.pending == [SendEmail(), NotifyWarehouse()]
    assert report.resume().delivered == [SendEmail(), NotifyWarehouse()]


def test_an_error_of_a_provider_that_takes_no_attributes_is_raised_as_it_is() -> None:
    """A frozen exception cannot carry the report; the scope has it."""

    @attrs.frozen
    class ConfigurationError(Exception):
        key: str

    def connect() -> Client:
        raise ConfigurationError("warehouse.url")

    class Fragile(containers.DeclarativeContainer):
        notify = Handles(NotifyWarehouse, notify, http=providers.Callable(connect))

    with pytest.raises(ConfigurationError), Boundary(Fragile()).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert effects.report.pending == [NotifyWarehouse()]


def test_a_provider_that_raises_in_a_later_wave_refuses_that_wave() -> None:
    """What ran did run."""

    def connect() -> Client:
        raise ConnectionError("no route")

    def place(_: OrderPlaced) -> None:
        airlock.emit(NotifyWarehouse())

    class Fragile(containers.DeclarativeContainer):
        placed = Handles(OrderPlaced, place)
        notify = Handles(NotifyWarehouse, notify, http=providers.Callable(connect))

    with pytest.raises(FlushError) as raised:
        deliver(Fragile(), OrderPlaced())
    assert [type(error) for error in raised.value.exceptions] == [ConnectionError]
    assert raised.value.report is not None
    assert raised.value.report.delivered == [OrderPlaced()]
    assert raised.value.report.pending == [NotifyWarehouse()]


def test_a_missing_handler_refuses_the_flush(handled: list[Any]) -> None:
    """Nothing ran, nothing is lost; the message names the class and its declaration."""
    with pytest.raises(UnhandledIntentError) as raised:
        deliver({SendEmail: handled.append}, SendEmail(), NotifyWarehouse(), AuditEntry())
    assert handled == []
    text = str(raised.value)
    for cls in (AuditEntry, NotifyWarehouse):
        assert f"{cls.__name__} (declared at tests/boundary/vocabulary.py:" in text
    assert "Handlers are registered for: SendEmail." in text
    assert "Nothing of this wave ran, nothing is lost" in text
    assert "Add a Handles(...) to the container or an entry to Boundary({...})" in text
    assert "use Drop(...)" in text
    assert raised.value.report is not None
    assert raised.value.report.pending == [SendEmail(), NotifyWarehouse(), AuditEntry()]


def test_a_missing_handler_of_a_follow_up_refuses_its_wave(handled: list[Any]) -> None:
    """The wave before did run; the follow-ups, all of them, stay pending."""

    def place(_: OrderPlaced) -> None:
        airlock.emit(SendEmail())
        airlock.emit(NotifyWarehouse())

    with pytest.raises(FlushError) as raised:
        deliver({OrderPlaced: place, SendEmail: handled.append}, OrderPlaced())
    (error,) = raised.value.exceptions
    assert isinstance(error, UnhandledIntentError)
    assert "NotifyWarehouse (declared at" in str(error)
    assert handled == []
    assert raised.value.report is not None
    assert raised.value.report.delivered == [OrderPlaced()]
    assert raised.value.report.pending == [SendEmail(), NotifyWarehouse()]


def test_what_is_held_or_dropped_needs_no_handler() -> None:
    """Only what is about to escape does."""
    with Boundary({}).scope(policy=airlock.Drop(SendEmail) & airlock.Hold()) as effects:
        effects.emit_all([SendEmail(), NotifyWarehouse()])
    assert effects.report.ok
