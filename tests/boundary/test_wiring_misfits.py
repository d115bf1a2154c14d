"""Handlers that do not fit: refused where they are declared, or before anything runs."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from dependency_injector import containers, providers

import airlock
from airlock import (
    Boundary,
    FlushError,
    Handles,
    HandlesBatch,
    RetryPolicy,
    effect,
    needs,
)
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    DuplicateHandlerError,
    HandlerSignatureError,
)
from tests.boundary.vocabulary import (
    AuditEntry,
    NotifyWarehouse,
    SendEmail,
    SendInvoice,
    ignore,
    next_line,
)
from tests.boundary.wired import Client, EmailSender, deliver, notify


def takes_two(a: Any, b: Any) -> None:
    """A handler that nobody can call with an intent alone."""


def takes_none() -> None:
    """The same."""


# -- declarations that do not fit -----------------------------------------------------------------


def test_two_handlers_for_one_type_are_refused() -> None:
    """With both names and places, and the way to have several effects."""

    class Twice(containers.DeclarativeContainer):
        one = Handles(NotifyWarehouse, notify, http=Client())
        two = Handles(NotifyWarehouse, ignore)

    with pytest.raises(DuplicateHandlerError) as raised:
        Boundary(Twice())
    text = str(raised.value)
    assert (
        "NotifyWarehouse has two handlers: one (notify, tests/boundary/test_wiring_misfits.py:"
        in text
    )
    assert "and two (" in text
    assert "Expands(" in text


def test_an_effect_function_and_its_intent_class_are_one_type(handled: list[Any]) -> None:
    """A mapping cannot give both a handler."""

    @effect
    def restock(product: int) -> None: ...

    with pytest.raises(DuplicateHandlerError, match="restock"):
        Boundary({restock: restock, restock.intent_type: handled.append})


@pytest.mark.parametrize(
    ("declare", "problem"),
    [
        (lambda: Handles(NotifyWarehouse, notify, http=1, port=2), "'port'"),
        (lambda: Handles(NotifyWarehouse, notify, htpp=1), "'htpp'"),
        (lambda: Handles(NotifyWarehouse, notify), "Give http by name"),
        (lambda: Handles(SendEmail, EmailSender, smpt=1), "'smpt'"),
        (lambda: Handles(SendEmail, EmailSender), "Give smtp by name"),
        (
            lambda: Handles(NotifyWarehouse, cast("Any", takes_none)),
            "takes_none(intent), and it takes ()",
        ),
        (lambda: HandlesBatch(AuditEntry, takes_two), "Give b by name"),
    ],
)
def test_dependencies_are_checked_at_declaration(
    declare: Callable[[], object], problem: str
) -> None:
    """Misspelt or missing: refused where the container is written, with the signature."""
    with pytest.raises(HandlerSignatureError) as raised:
        declare()
    text = str(raised.value)
    assert problem in text
    assert "cannot handle" in text
    assert re.search(r"[Ii]t takes \(", text)


def test_a_handler_is_callable() -> None:
    """A value, or an instance of a class without ``__call__``, is no handler."""

    class Silent:
        pass

    for handler in (42, "notify", Silent()):
        with pytest.raises(HandlerSignatureError, match=r"not callable.*function or class"):
            Handles(NotifyWarehouse, handler)  # type: ignore[call-overload]
        with pytest.raises(HandlerSignatureError, match="not callable"):
            Boundary({NotifyWarehouse: handler})  # type: ignore[dict-item]
    with pytest.raises(HandlerSignatureError, match=r"cannot be called.*__call__"):
        Handles(NotifyWarehouse, Silent)  # type: ignore[arg-type]


def test_the_annotation_of_a_handler_is_believed() -> None:
    """A handler of another intent is refused; one of a base class, or of a union, fits."""

    def of_email(subject: SendEmail) -> None: ...
    def of_some(subject: SendEmail | NotifyWarehouse) -> None: ...
    def of_batch(subjects: list[SendEmail]) -> None: ...

    with pytest.raises(HandlerSignatureError) as raised:
        Handles(NotifyWarehouse, of_email)  # type: ignore[arg-type]
    text = str(raised.value)
    assert "of_email cannot handle NotifyWarehouse: its argument is annotated with" in text
    assert "Register it for that type, or change the annotation" in text
    with pytest.raises(HandlerSignatureError, match="annotated"):
        Boundary({AuditEntry: of_some})
    with pytest.raises(HandlerSignatureError, match="annotated"):
        HandlesBatch(AuditEntry, of_batch)  # type: ignore[arg-type]
    Handles(SendInvoice, of_email)
    Handles(NotifyWarehouse, of_some)
    HandlesBatch(SendInvoice, of_batch)  # type: ignore[arg-type]


def test_a_handler_of_a_subclass_cannot_handle_the_base() -> None:
    """It would be given values it is not written for."""

    def of_invoice(subject: SendInvoice) -> None: ...

    with pytest.raises(HandlerSignatureError, match="SendInvoice"):
        Handles(SendEmail, of_invoice)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [int, NotifyWarehouse(), "notify", None])
def test_handlers_are_for_intent_classes(wrong: Any, handled: list[Any]) -> None:
    """Anything else is refused at declaration."""
    with pytest.raises(DeclarationError):
        Boundary({wrong: handled.append})
    if wrong is not None:
        with pytest.raises(DeclarationError, match=r"not an intent class|give its class"):
            Handles(wrong, handled.append)


# -- effect functions -----------------------------------------------------------------------------


@effect
def charge(
    card: str,
    *,
    cents: int = 0,
    http: Client = needs(),
    log: list[Any] = needs(),
) -> None:
    """An effect with two dependencies."""
    http.sent.append((card, cents))
    log.append(card)


def test_an_effect_function_gets_its_dependencies_from_the_container() -> None:
    """Its arguments are the intent, what is marked with ``needs()`` is not."""
    log: list[Any] = []

    class Payments(containers.DeclarativeContainer):
        http = providers.Singleton(Client)
        charge = Handles(charge, http=http, log=providers.Object(log))

    container = Payments()
    with Boundary(container).scope():
        airlock.enqueue(charge, "4111", cents=5)
        airlock.emit(charge.intent("4222"))
    assert container.http().sent == [("4111", 5), ("4222", 0)]
    assert log == ["4111", "4222"]


def test_an_effect_function_in_a_container_is_overridden(handled: list[Any]) -> None:
    """The provider is replaced by a handler of the intent."""

    class Payments(containers.DeclarativeContainer):
        charge = Handles(charge, http=Client(), log=[])

    container = Payments()
    with container.charge.override(handled.append):
        deliver(container, charge.intent("4111"))
    assert handled == [charge.intent("4111")]


def test_the_dependencies_of_an_effect_function_are_checked() -> None:
    """Missing and unknown ones are refused, with the names it has."""
    with pytest.raises(HandlerSignatureError, match=r"it needs log\. Write Handles\(charge, log="):
        Handles(charge, http=Client())
    with pytest.raises(HandlerSignatureError, match=r"'card' is not a dependency.*http, log"):
        Handles(charge, http=Client(), log=[], card="x")
    with pytest.raises(HandlerSignatureError, match="it needs http, log"):
        Boundary({charge: charge})
    with pytest.raises(DeclarationError, match="is its own handler"):
        Handles(charge, notify, http=Client(), log=[])  # type: ignore[call-overload]


def test_an_effect_function_handles_its_own_intents_only() -> None:
    """As a value in a mapping it belongs under its own key."""

    @effect
    def restock(product: int) -> None: ...

    with pytest.raises(HandlerSignatureError, match=r"its own intents only.*{restock: restock}"):
        Boundary({NotifyWarehouse: restock})


@pytest.mark.anyio
async def test_async_effect_functions_are_awaited(handled: list[Any]) -> None:
    """In async scopes."""

    @effect
    async def restock(product: int) -> None:
        handled.append(product)

    async with Boundary({restock: restock}).scope():
        airlock.enqueue(restock, 7)
    assert handled == [7]


# -- async handlers in a sync flush ---------------------------------------------------------------


def test_an_async_handler_refuses_a_sync_flush(handled: list[Any]) -> None:
    """Before anything runs; the message names the handler, its place, and both ways out."""

    async def send(subject: SendEmail) -> None:
        raise AssertionError("never called")

    class Mixed(containers.DeclarativeContainer):
        notify = Handles(NotifyWarehouse, handled.append)
        email = Handles(SendEmail, send)

    with pytest.raises(AsyncHandlerError) as raised:
        deliver(Mixed(), NotifyWarehouse(), SendEmail())
    assert handled == []
    text = str(raised.value)
    assert "email (" in text
    assert "tests/boundary/test_wiring_misfits.py:" in text
    assert "the handler of SendEmail, must be awaited, and this flush is sync" in text
    assert "`async with boundary.scope(): ...`" in text
    assert "register a plain function" in text
    assert raised.value.report is not None
    assert raised.value.report.pending == [NotifyWarehouse(), SendEmail()]


def plain(subject: SendEmail) -> None: ...


async def asynchronous(subject: SendEmail) -> None: ...


class Threaded:
    """Runs a plain function in a thread, as ``sync_to_async`` does: it wraps it, and is async."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)

    async def __call__(self, subject: SendEmail) -> None: ...

    @classmethod
    async def of_the_class(cls, subject: SendEmail) -> None: ...

    @staticmethod
    async def static(subject: SendEmail) -> None: ...


@functools.wraps(asynchronous)
def passing_on(subject: SendEmail) -> Any:
    return asynchronous(subject)


@pytest.mark.parametrize(
    "handler",
    [
        Threaded(plain),
        Threaded(plain).__call__,
        Threaded.of_the_class,
        Threaded.static,
        functools.partial(asynchronous),
        functools.partial(Threaded(plain)),
        passing_on,
        AsyncMock(),
    ],
    ids=["object", "method", "class method", "static", "partial", "of object", "wrapped", "mock"],
)
def test_whatever_is_async_is_known_before_anything_runs(handler: Any, handled: list[Any]) -> None:
    """``check`` names it as well."""
    boundary = Boundary({NotifyWarehouse: handled.append, SendEmail: handler})
    assert boundary.check([NotifyWarehouse, SendEmail], sync=True).misfits
    with pytest.raises(AsyncHandlerError), boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert handled == []


def test_a_handler_that_returns_a_coroutine_in_a_sync_flush_fails(handled: list[Any]) -> None:
    """It cannot be seen from outside; the coroutine is closed, and the rest is delivered."""

    async def send(subject: SendEmail) -> None:
        raise AssertionError("never run")

    coroutines: list[Any] = []

    def sneaky(subject: SendEmail) -> object:
        coroutines.append(send(subject))
        return coroutines[-1]

    with pytest.raises(FlushError) as raised:
        deliver(
            {SendEmail: sneaky, NotifyWarehouse: handled.append}, SendEmail(), NotifyWarehouse()
        )
    (error,) = raised.value.exceptions
    assert isinstance(error, AsyncHandlerError)
    assert "sneaky" in str(error)
    assert "must be awaited" in str(error)
    assert inspect.getcoroutinestate(coroutines[0]) == inspect.CORO_CLOSED
    assert handled == [NotifyWarehouse()]


def test_a_lambda_that_returns_a_coroutine_says_where_it_is(handled: list[Any]) -> None:
    """Lambdas have no name to look for."""

    async def send(subject: SendEmail) -> None:
        raise AssertionError("never run")

    place = next_line()
    boundary = Boundary({SendEmail: lambda one: send(subject=one)})
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit(SendEmail())
    assert place in str(raised.value.exceptions[0])


# -- bad arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("policy", airlock.Drop),
        ("policy", 42),
        ("dispatch", 42),
        ("dispatch", airlock.Dispatcher),
        ("interceptors", [42]),
        ("observers", [42]),
        ("observers", [airlock.Observer]),
    ],
)
def test_parts_of_a_boundary_are_checked_when_it_is_made(option: str, value: Any) -> None:
    """Not at the first flush."""
    with pytest.raises(DeclarationError):
        Boundary({}, **{option: value})


def test_retries_are_checked_at_declaration() -> None:
    """A retry policy says for what, how often and how long."""
    wrong: list[dict[str, Any]] = [{"on": 42}, {"on": ()}, {"on": OSError, "max_attempts": 0}]
    for arguments in wrong:
        with pytest.raises(DeclarationError, match="RetryPolicy"):
            RetryPolicy(**arguments)
