"""Programs that misuse airlock, each in one way. What they are told is kept in ``golden/``."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NoReturn

import attrs
from dependency_injector import containers, providers

import airlock
from airlock import (
    ALLOW,
    MERGED,
    Allow,
    Boundary,
    Dedupe,
    Drop,
    FlushError,
    Handles,
    HandlesBatch,
    Hold,
    Json,
    Limit,
    Options,
    PartialFailure,
    Refuse,
    RetryPolicy,
    Route,
    Segment,
    Verdict,
    View,
    effect,
    enclose,
    field,
    intent,
    needs,
    region,
)
from airlock.errors import (
    AirlockError,
    ApplyError,
    AsyncHandlerError,
    CascadeError,
    ClosedRegionError,
    DeclarationError,
    DeferredError,
    DeliveryError,
    DependencyError,
    DirectCallError,
    DuplicateHandlerError,
    DuplicateKindError,
    EmittedInPolicyError,
    ExpectationError,
    FieldError,
    HandlerCancelledError,
    HandlerSignatureError,
    InDoubtError,
    JournalError,
    LeaseLostError,
    MissingExtraError,
    NoScopeError,
    NotAnIntentError,
    NoTransactionError,
    NotRecordedError,
    OpenElsewhereError,
    OpenRegionsError,
    OptionError,
    OutboxSchemaError,
    PlanError,
    PlanExpiredError,
    PlanFormatError,
    PlanMismatchError,
    PolicyError,
    RefusedError,
    ReleaseError,
    ResumeError,
    ScopeOrderError,
    ScopeStateError,
    SensitiveFieldError,
    SettingError,
    SignatureError,
    UnavailableError,
    UndeclaredHereError,
    UnencodableError,
    UnfakedIntentError,
    UnhandledIntentError,
    UnreleasedResultError,
    UnsupportedOptionError,
    WireError,
    WiringError,
)
from airlock.integrations.base import Edge, QueueDispatch, Receiver, parse_mode
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.plan import Plan, holding
from airlock.release import OnFlushError
from airlock.testing import FakeHandler, expect_effects, fake_boundary, in_order, like
from airlock.wire import Envelope, Wire

Misuse = Callable[[], object]

MISUSES: dict[str, tuple[type[Exception], Misuse]] = {}
"""By name: what is raised, and the program."""

loose: Any = SimpleNamespace(
    **{name: getattr(airlock, name) for name in airlock.__all__},
)
"""Airlock as it is seen by callers without a type checker."""


def raises(error: type[Exception]) -> Callable[[Misuse], Misuse]:
    def note(misuse: Misuse) -> Misuse:
        MISUSES[misuse.__name__] = (error, misuse)
        return misuse

    return note


# -- a small shop ---------------------------------------------------------------------------------


@intent(kind="misuses.notify-warehouse")
class NotifyWarehouse:
    order_id: int


@intent(kind="misuses.send-email")
class SendEmail:
    to: str


@intent(kind="misuses.charge-card")
class ChargeCard:
    card: str = field(sensitive=True)


@effect
def restock(product_id: int, *, http: object = needs()) -> None: ...


def notify(intent: NotifyWarehouse) -> None: ...


def email(intent: SendEmail) -> None: ...


async def notify_later(intent: NotifyWarehouse) -> None: ...


def notify_with(intent: NotifyWarehouse, http: object) -> None: ...


def broken(intent: NotifyWarehouse) -> None:
    raise ValueError("the warehouse does not know this order")


def shop(**options: Any) -> Boundary:
    return Boundary({NotifyWarehouse: notify, SendEmail: email}, **options)


def flushed(*intents: Any, handler: Any = notify, **options: Any) -> None:
    with Boundary({NotifyWarehouse: handler}, **options).scope() as effects:
        effects.emit_all(intents)


def cause_of(flush: Misuse) -> NoReturn:
    """Raise the error inside a ``FlushError``."""
    try:
        flush()
    except FlushError as error:
        raise error.exceptions[0] from None
    raise AssertionError("nothing failed")


class Commit:
    """A release whose transaction has begun."""

    on_flush_error: OnFlushError = "report"

    def __init__(self) -> None:
        self.now = Segment(begun=True)

    def segment(self) -> Segment:
        return self.now


# -- declaring intents ----------------------------------------------------------------------------


@raises(DeclarationError)
def intent_on_a_function() -> None:
    @loose.intent  # type: ignore[untyped-decorator]
    def notify_warehouse(order_id: int) -> None: ...


@raises(DeclarationError)
def intent_on_a_dataclass() -> None:
    @intent
    @attrs.frozen
    class NotifyTwice:
        order_id: int


@raises(DeclarationError)
def intent_on_an_exception() -> None:
    @intent
    class NotifyError(Exception):
        order_id: int


@raises(DeclarationError)
def intent_with_an_empty_kind() -> None:
    @intent(kind="")
    class Nameless:
        order_id: int


@raises(DeclarationError)
def intent_of_version_zero() -> None:
    @intent(version=0)
    class Early:
        order_id: int


@raises(DeclarationError)
def intent_with_a_bare_field() -> None:
    @intent
    class Bare:
        order_id = field(default=0)  # pyright: ignore[reportGeneralTypeIssues]


@raises(DuplicateKindError)
def kind_claimed_twice() -> None:
    @intent(kind="misuses.notify-warehouse")
    class TellWarehouse:
        order_id: int


@raises(FieldError)
def field_that_is_a_list() -> None:
    @intent
    class Ship:
        order_ids: list[int]


@raises(FieldError)
def field_that_is_a_dict() -> None:
    @intent
    class Ship:
        payload: dict[str, int]


@raises(FieldError)
def field_that_is_code() -> None:
    @intent
    class Later:
        callback: Callable[[], None]


@raises(FieldError)
def field_that_is_a_model() -> None:
    class Order:
        __tablename__ = "orders"

    @intent
    class Ship:
        order: Order


@raises(FieldError)
def field_compared_by_identity() -> None:
    class Order:
        pass

    @intent
    class Ship:
        order: Order


@raises(FieldError)
def field_that_is_not_frozen() -> None:
    @attrs.define
    class Address:
        street: str

    @intent
    class Ship:
        address: Address


@raises(FieldError)
def field_that_is_mutable_inside() -> None:
    @attrs.frozen
    class Line:
        tags: list[str]

    @intent
    class Ship:
        lines: tuple[Line, ...]


@raises(FieldError)
def field_of_a_type_that_is_nowhere() -> None:
    @intent(kind="misuses.misspelt")
    class Misspelt:
        lines: Tupel[int, ...]  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    airlock.EffectBuffer().emit(Misspelt(()))


@raises(DeclarationError)
def fields_of_a_dataclass_that_would_vanish() -> None:
    @dataclasses.dataclass(frozen=True)
    class DomainEvent:
        tenant: str = "public"

    @intent
    class OrderPlaced(DomainEvent):
        order_id: int = 0


@raises(DeclarationError)
def equality_without_a_hash() -> None:
    @intent
    class Loose:  # noqa: PLW1641 - what is refused
        name: str

        def __eq__(self, other: object) -> bool:
            return True


@raises(DeclarationError)
def hook_of_dataclasses() -> None:
    @intent
    class Checked:
        number: int

        def __post_init__(self) -> None: ...


@raises(FieldError)
def private_field() -> None:
    @intent
    class Login:
        _token: str


@raises(DeclarationError)
def json_with_a_set() -> None:
    Json({"tags": {"a"}})


@raises(DeclarationError)
def json_with_a_number_as_key() -> None:
    Json({"lines": [{1: "a"}]})


# -- declaring effect functions -------------------------------------------------------------------


@raises(DeclarationError)
def effect_on_a_class() -> None:
    @loose.effect
    class Notifier:
        pass


@raises(DeclarationError)
def effect_with_star_args() -> None:
    @effect
    def notify_all(*order_ids: int) -> None: ...


@raises(FieldError)
def effect_with_a_bare_parameter() -> None:
    @effect
    def notify_order(order_id) -> None: ...  # type: ignore[no-untyped-def]


@raises(FieldError)
def effect_on_a_method() -> None:
    class Order:
        @effect
        def notify(self, order_id: int) -> None: ...


@raises(DirectCallError)
def effect_called_directly() -> None:
    restock(7)


@raises(NotAnIntentError)
def enqueue_of_a_raw_function() -> None:
    with shop().scope():
        loose.enqueue(notify, 7)


@raises(FieldError)
def private_parameter_of_an_effect() -> None:
    @effect
    def remind(_order_id: int) -> None: ...


@raises(FieldError)
def list_as_a_parameter_of_an_effect() -> None:
    @effect
    def remind(order_ids: list[int]) -> None: ...


# -- emitting -------------------------------------------------------------------------------------


@raises(NotAnIntentError)
def emit_of_two_at_once() -> None:
    with shop().scope():
        loose.emit(NotifyWarehouse(7), NotifyWarehouse(8))


@raises(NotAnIntentError)
def emit_of_a_list() -> None:
    with shop().scope() as effects:
        loose_effects: Any = effects
        loose_effects.emit([NotifyWarehouse(7), NotifyWarehouse(8)])


@raises(DeclarationError)
def scope_as_a_decorator() -> None:
    decorator: Any = shop().scope()

    def remind() -> None: ...

    decorator(remind)


@raises(NotAnIntentError)
def emit_of_a_class() -> None:
    with shop().scope() as effects:
        loose_effects: Any = effects
        loose_effects.emit(NotifyWarehouse)


@raises(NotAnIntentError)
def emit_of_a_callable() -> None:
    with shop().scope():
        loose.emit(notify)


@raises(NotAnIntentError)
def emit_of_an_undecorated_subclass() -> None:
    class NotifyUrgently(NotifyWarehouse):
        pass

    with shop().scope() as effects:
        effects.emit(NotifyUrgently(7))


@raises(NotAnIntentError)
def emit_of_a_dict() -> None:
    with shop().scope():
        loose.emit({"order_id": 7})


@raises(NoScopeError)
def emit_without_a_scope() -> None:
    airlock.emit(NotifyWarehouse(7))


@raises(NoScopeError)
def current_without_a_scope() -> None:
    airlock.current()


@raises(NoScopeError)
def region_without_a_scope() -> None:
    with region(Drop()):
        pass


@raises(ClosedRegionError)
def emit_after_the_scope() -> None:
    with shop().scope() as effects:
        pass
    effects.emit(NotifyWarehouse(7))


@raises(OpenElsewhereError)
def emit_from_a_thread_into_a_scope_with_an_open_region() -> None:
    with shop().scope() as effects, region(Drop(SendEmail)):
        _in_thread(lambda: effects.emit(NotifyWarehouse(7)))


@raises(OpenElsewhereError)
def override_from_a_thread_in_a_scope_with_an_open_region() -> None:
    def override() -> None:
        with effects.override({SendEmail: None}):
            pass

    with shop().scope() as effects, region(Drop(SendEmail)):
        _in_thread(override)


def _in_thread(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@raises(NoScopeError)
def emit_in_a_hold_outside_of_scopes() -> None:
    with enclose(Hold()):
        airlock.emit(NotifyWarehouse(7))


@raises(ClosedRegionError)
def emit_after_the_handler_has_ended() -> None:
    """A handler that starts work in its own context and does not wait for it."""
    contexts: list[contextvars.Context] = []

    def start(_: NotifyWarehouse) -> None:
        airlock.emit(SendEmail("a@example.org"))
        contexts.append(contextvars.copy_context())

    boundary = Boundary({NotifyWarehouse: start, SendEmail: email}, interceptors=[passing])
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(7))
    contexts[0].run(airlock.emit, SendEmail("late@example.org"))


def passing(intent: Any, call_next: Callable[[Any], object]) -> object:
    return call_next(intent)


@raises(ClosedRegionError)
def emit_into_a_discarded_scope() -> None:
    scope = shop().scope()
    scope.enter()
    scope.exit()
    scope.discard()
    scope.emit(NotifyWarehouse(7))


@raises(EmittedInPolicyError)
def emit_inside_a_policy() -> None:
    def audited(view: View) -> Sequence[Verdict]:
        airlock.emit(SendEmail("auditor@example.org"))
        return [ALLOW] * len(view)

    with shop(policy=audited).scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(EmittedInPolicyError)
def scope_inside_a_policy() -> None:
    def looking(view: View) -> Sequence[Verdict]:
        with shop().scope():
            return [ALLOW] * len(view)

    with shop(policy=looking).scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(OptionError)
def option_of_a_wrong_type() -> None:
    loose.Options(delay=30)


@raises(OptionError)
def negative_delay() -> None:
    Options(delay=timedelta(seconds=-1))


@raises(OptionError)
def options_that_are_a_dict() -> None:
    with shop().scope() as effects:
        loose_effects: Any = effects
        loose_effects.emit(NotifyWarehouse(7), {"delay": 30})


@raises(OptionError)
def headers_that_are_no_text() -> None:
    loose_shop: Any = shop()
    loose_shop.scope(headers={"tenant": 7})


@raises(RefusedError)
def emit_of_what_is_refused() -> None:
    with shop().scope(policy=Refuse(ChargeCard)) as effects:
        effects.emit(ChargeCard("4111 1111 1111 1111"))


@raises(RefusedError)
def emit_of_what_an_enclosure_refuses() -> None:
    with enclose(Refuse()), shop().scope() as effects:
        effects.emit(NotifyWarehouse(7))


# -- scopes ---------------------------------------------------------------------------------------


@raises(ScopeStateError)
def scope_entered_twice() -> None:
    scope = shop().scope()
    with scope:
        pass
    with scope:
        pass


@raises(ScopeStateError)
def emit_before_the_scope() -> None:
    shop().scope().emit(NotifyWarehouse(7))


@raises(ScopeStateError)
def flush_of_an_open_scope() -> None:
    with shop().scope() as effects:
        effects.flush()


@raises(ScopeStateError)
def second_flush() -> None:
    with shop().scope() as effects:
        pass
    effects.flush()


@raises(ScopeStateError)
def discard_after_the_flush() -> None:
    with shop().scope() as effects:
        pass
    effects.discard()


@raises(ScopeStateError)
def report_of_an_open_scope() -> None:
    with shop().scope() as effects:
        _ = effects.report


@raises(ScopeStateError)
def region_entered_twice() -> None:
    quiet = region(Drop())
    with shop().scope():
        with quiet:
            pass
        with quiet:
            pass


@raises(ScopeStateError)
def handler_that_leaves_its_scope() -> None:
    scope = shop().scope()

    def leave(_: NotifyWarehouse) -> None:
        scope.exit()

    def run() -> None:
        nonlocal scope
        scope = Boundary({NotifyWarehouse: leave}).scope()
        with scope:
            scope.emit(NotifyWarehouse(7))

    cause_of(run)


@raises(ScopeOrderError)
def scopes_left_out_of_order() -> None:
    boundary = shop()
    outer, inner = boundary.scope(), boundary.scope()
    outer.enter()
    inner.enter()
    try:
        outer.exit()
    finally:
        inner.exit()
        outer.exit()


@raises(ScopeOrderError)
def scope_left_in_another_thread() -> None:
    scope = shop().scope()
    errors: list[Exception] = []

    def leave() -> None:
        try:
            scope.exit()
        except AirlockError as error:
            errors.append(error)

    with scope:
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
    raise errors[0]


@raises(ScopeOrderError)
def generator_that_leaks_its_scope() -> None:
    boundary = shop()

    def orders() -> Generator[int]:
        with boundary.scope():
            yield 7

    leaking = orders()
    try:
        with boundary.scope():
            next(leaking)
    finally:
        with contextlib.suppress(ScopeStateError):  # it was closed with the scope around it
            leaking.close()


@raises(OpenRegionsError)
def scope_flushed_with_an_open_region() -> None:
    boundary = shop()
    outer, inner = boundary.scope(), boundary.scope()
    outer.enter()
    contextvars.copy_context().run(inner.enter)  # as a task does, which nobody awaits
    outer.exit()
    outer.flush()


@raises(OpenRegionsError)
def work_that_ends_with_an_open_region() -> None:
    boundary = shop()
    with Edge(boundary, on_flush_error="raise").scope("GET /"):
        airlock.emit(NotifyWarehouse(7))
        contextvars.copy_context().run(boundary.scope().enter)


@raises(ReleaseError)
def release_on_a_nested_scope() -> None:
    boundary = shop()
    with boundary.scope(), boundary.scope(release=Commit()):
        pass


@raises(ReleaseError)
def release_with_a_plain_connection() -> None:
    connection: Any = sqlite3.connect(":memory:")
    try:
        on_commit(connection)
    finally:
        connection.close()


@raises(NoTransactionError)
def commit_interrupted() -> None:
    release = Commit()
    with shop().scope(release=release) as effects:
        effects.emit(NotifyWarehouse(7))
        effects.emit(NotifyWarehouse(8))
        release.now.in_doubt()


# -- wiring ---------------------------------------------------------------------------------------


@raises(DuplicateHandlerError)
def two_handlers() -> None:
    container = containers.DynamicContainer()
    container.notify = Handles(NotifyWarehouse, notify)
    container.notify_again = Handles(NotifyWarehouse, notify_with, http=providers.Object("http"))
    Boundary(container)


@raises(HandlerSignatureError)
def dependency_misspelt() -> None:
    Handles(NotifyWarehouse, notify_with, htpp="http")


@raises(HandlerSignatureError)
def dependency_missing() -> None:
    Handles(NotifyWarehouse, notify_with)


@raises(HandlerSignatureError)
def dependency_of_an_effect_missing() -> None:
    Handles(restock)


@raises(HandlerSignatureError)
def dependency_of_an_effect_misspelt() -> None:
    Handles(restock, htpp="http")


@raises(HandlerSignatureError)
def handler_of_another_intent() -> None:
    loose.Handles(NotifyWarehouse, email)


@raises(HandlerSignatureError)
def batch_handler_of_another_intent() -> None:
    def send_all(intents: list[SendEmail]) -> None: ...

    loose.HandlesBatch(NotifyWarehouse, send_all)


@raises(HandlerSignatureError)
def handler_that_cannot_be_called() -> None:
    loose.Boundary({NotifyWarehouse: "notify"})


@raises(HandlerSignatureError)
def handler_class_without_call() -> None:
    class Notifier:
        pass

    loose.Handles(NotifyWarehouse, Notifier)


@raises(HandlerSignatureError)
def handler_without_arguments() -> None:
    def remind() -> None: ...

    loose.Boundary({NotifyWarehouse: remind})


@raises(HandlerSignatureError)
def batch_handler_without_arguments() -> None:
    def remind() -> None: ...

    loose.HandlesBatch(NotifyWarehouse, remind)


@raises(HandlerSignatureError)
def handler_class_that_takes_no_intent() -> None:
    class Notifier:
        def __call__(self) -> None: ...

    loose.Handles(NotifyWarehouse, Notifier)


@raises(HandlerSignatureError)
def handler_class_in_a_mapping() -> None:
    class Notifier:
        def __call__(self, intent: NotifyWarehouse) -> None: ...

    loose.Boundary({NotifyWarehouse: Notifier})


@raises(HandlerSignatureError)
def override_with_too_many_arguments() -> None:
    with shop().scope() as effects, effects.override({NotifyWarehouse: lambda a, b, c: None}):
        pass


@raises(DeclarationError)
def handler_of_what_is_no_intent() -> None:
    loose.Handles(int, notify)


@raises(DeclarationError)
def handler_beside_an_effect() -> None:
    loose.Handles(restock, notify)


@raises(DeclarationError)
def batches_of_size_zero() -> None:
    HandlesBatch(NotifyWarehouse, print, size=0)


@raises(DeclarationError)
def boundary_of_a_container_class() -> None:
    class Effects(containers.DeclarativeContainer):
        notify = Handles(NotifyWarehouse, notify)

    loose.Boundary(Effects)


@raises(DeclarationError)
def boundary_of_no_depth() -> None:
    shop(max_depth=0)


@raises(DeclarationError)
def route_to_a_function() -> None:
    loose.Route({SendEmail: email})


@raises(DeclarationError)
def retry_on_a_name() -> None:
    loose.RetryPolicy(on="ConnectionError")


@raises(UnhandledIntentError)
def intent_without_a_handler() -> None:
    with shop().scope() as effects:
        effects.emit(ChargeCard("4111"))
        effects.emit(NotifyWarehouse(7))


@raises(AsyncHandlerError)
def async_handler_in_a_sync_flush() -> None:
    flushed(NotifyWarehouse(7), handler=notify_later)


@raises(AsyncHandlerError)
def handler_that_returns_an_awaitable() -> None:
    """Its definition does not tell that it is async; its result does."""
    cause_of(lambda: flushed(NotifyWarehouse(7), handler=lambda one: notify_later(one)))  # noqa: PLW0108


def opened() -> Iterator[str]:
    yield "a client"


async def opened_later() -> AsyncIterator[str]:
    yield "a client"


class Stored(containers.DeclarativeContainer):
    http = providers.Resource(opened)
    notify = Handles(NotifyWarehouse, notify_with, http=http)


class StoredLater(containers.DeclarativeContainer):
    http = providers.Resource(opened_later)
    notify = Handles(NotifyWarehouse, notify_with, http=http)


class Unset(containers.DeclarativeContainer):
    http: Any = providers.Dependency()
    notify = Handles(NotifyWarehouse, notify_with, http=http)


@raises(DependencyError)
def resource_that_nobody_opened() -> None:
    with Boundary(Stored()).scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(DependencyError)
def dependency_that_nobody_gave() -> None:
    with Boundary(Unset()).scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(AsyncHandlerError)
def async_dependency_in_a_sync_flush() -> None:
    with Boundary(StoredLater()).scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(AsyncHandlerError)
def async_interceptor_in_a_sync_flush() -> None:
    async def timed(intent: Any, call_next: Any) -> None: ...

    with Boundary({NotifyWarehouse: print}, interceptors=[timed]).scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(UnsupportedOptionError)
def delay_without_an_engine() -> None:
    with shop().scope() as effects:
        effects.emit(NotifyWarehouse(7), Options(delay=timedelta(hours=1)))


@raises(MissingExtraError)
def retry_without_stamina() -> None:
    """The test hides stamina."""
    RetryPolicy(on=ConnectionError)


@raises(WiringError)
def wiring_with_problems() -> None:
    Boundary({NotifyWarehouse: notify_later}).check([SendEmail], sync=True).raise_for_problems()


# -- policies -------------------------------------------------------------------------------------


@raises(DeclarationError)
def policy_that_is_a_class() -> None:
    shop(policy=Drop)


@raises(DeclarationError)
def policy_that_is_a_word() -> None:
    shop(policy="drop")


@raises(DeclarationError)
def kind_misspelt() -> None:
    Drop("misuses.sendemail")


@raises(DeclarationError)
def kind_unknown() -> None:
    Hold("?")


@raises(DeclarationError)
def policy_for_a_value() -> None:
    loose.Allow(NotifyWarehouse(7))


@raises(DeclarationError)
def limit_below_zero() -> None:
    Limit(-1)


@raises(DeclarationError)
def dedupe_that_keeps_the_newest() -> None:
    loose.Dedupe(keep="newest")


@raises(PolicyError)
def chooser_that_makes_an_intent() -> None:
    chooser = Dedupe(
        key=type, keep=lambda one, other: NotifyWarehouse(one.order_id + other.order_id)
    )
    flushed(NotifyWarehouse(7), NotifyWarehouse(8), policy=chooser)


@raises(PolicyError)
def policy_that_raises() -> None:
    def sick(view: View) -> Sequence[Verdict]:
        raise KeyError("tenant")

    with shop().scope(policy=sick) as effects:
        effects.emit(NotifyWarehouse(7))


@raises(PolicyError)
def policy_that_answers_too_little() -> None:
    with shop().scope() as effects, region(Allow() & (lambda view: [ALLOW])):
        effects.emit_all([NotifyWarehouse(7), NotifyWarehouse(8)])


@raises(PolicyError)
def policy_that_merges_into_nothing() -> None:
    flushed(NotifyWarehouse(7), NotifyWarehouse(8), policy=lambda _: [ALLOW, MERGED(into=2)])


# -- delivering -----------------------------------------------------------------------------------


@raises(CascadeError)
def handler_that_calls_itself() -> None:
    cause_of(lambda: flushed(NotifyWarehouse(7), handler=airlock.emit, max_depth=3))


@raises(CascadeError)
def long_circle() -> None:
    def again(one: NotifyWarehouse) -> None:
        airlock.emit(NotifyWarehouse(one.order_id + 1))

    cause_of(lambda: flushed(NotifyWarehouse(0), handler=again))


@raises(DeliveryError)
def delivery_outside_of_handlers() -> None:
    airlock.delivery()


@raises(DeliveryError)
def delivery_in_a_batch() -> None:
    def write(entries: list[NotifyWarehouse]) -> None:
        airlock.delivery()

    container = containers.DynamicContainer()
    container.write = HandlesBatch(NotifyWarehouse, write)

    def run() -> None:
        with Boundary(container).scope() as effects:
            effects.emit_all([NotifyWarehouse(7), NotifyWarehouse(8)])

    cause_of(run)


@raises(FlushError)
def handler_that_fails() -> None:
    flushed(NotifyWarehouse(7), NotifyWarehouse(8), handler=broken)


@raises(FlushError)
def handler_that_fails_fast() -> None:
    flushed(NotifyWarehouse(7), NotifyWarehouse(8), handler=broken, fail_fast=True)


@raises(PartialFailure)
def batch_that_fails_in_part() -> None:
    raise PartialFailure({3: ValueError("no such account"), 0: KeyError("tenant")})


@raises(ResumeError)
def report_resumed_twice() -> None:
    with shop().scope() as effects:
        effects.emit(NotifyWarehouse(7))
    effects.report.resume()
    effects.report.resume()


# -- tests ----------------------------------------------------------------------------------------


@raises(ExpectationError)
def expectation_of_a_misspelt_field() -> None:
    like(NotifyWarehouse, ordr_id=7)


@raises(ExpectationError)
def expectation_of_no_intent() -> None:
    in_order(ChargeCard("4111 1111 1111 1111"), "an e-mail")


@raises(ExpectationError)
def expectation_never_used() -> None:
    with expect_effects():
        like(NotifyWarehouse)


@raises(UnfakedIntentError)
def intent_without_a_fake() -> None:
    with fake_boundary({SendEmail: FakeHandler()}).scope() as effects:
        effects.emit(NotifyWarehouse(7))


# -- the wire -------------------------------------------------------------------------------------


@raises(WireError)
def payload_of_a_wrong_type() -> None:
    wire = Wire()
    message = wire.dump(NotifyWarehouse(7))
    wire.load(message | {"data": {"order_id": "7"}})


@raises(WireError)
def payload_of_an_unknown_kind() -> None:
    Wire().loads('{"kind": "shop.no-such-kind", "version": 1, "data": {}}')


@raises(WireError)
def payload_cut_off() -> None:
    Wire().loads('{"kind": "shop.em')


@raises(UnencodableError)
def field_without_a_form_on_the_wire() -> None:
    @intent
    class Measure:
        value: complex

    Wire().dumps(Measure(1j))


@raises(UnencodableError)
def value_that_its_annotation_does_not_allow() -> None:
    Wire().dumps(NotifyWarehouse("7"))  # type: ignore[arg-type]


@raises(SensitiveFieldError)
def sensitive_field_without_a_cipher() -> None:
    Wire().dumps(ChargeCard("4111 1111 1111 1111"))


@raises(DeclarationError)
def kinds_forwarding_in_a_circle() -> None:
    wire = Wire()
    wire.rename("shop.mail", forwards_to="shop.email")
    wire.rename("shop.email", forwards_to="shop.mail")


@raises(DeclarationError)
def version_with_two_upcasters() -> None:
    wire = Wire()
    wire.upcaster("shop.email", 1)(dict)
    wire.upcaster("shop.email", 1)(lambda data: data)


# -- plans ----------------------------------------------------------------------------------------


def plan_of(*intents: Any, expires: timedelta | None = None) -> Plan:
    with Boundary({}).scope(policy=Hold()) as effects:
        effects.emit_all(intents)
    return effects.plan(expires=expires)


@contextlib.contextmanager
def saved(plan: Plan) -> Generator[Path]:
    with TemporaryDirectory(prefix="misuse_") as folder:
        plan.save(Path(folder, "orders.plan"))
        yield Path(folder, "orders.plan")


@raises(PlanError)
def plan_of_an_overridden_intent() -> None:
    with Boundary({}).scope(policy=Hold()) as effects, effects.override({NotifyWarehouse: None}):
        effects.emit(NotifyWarehouse(7))
    effects.plan()


@raises(ScopeStateError)
def plan_of_a_nested_scope() -> None:
    boundary = Boundary({NotifyWarehouse: notify})
    with boundary.scope(), boundary.scope(policy=Hold()) as inner:
        inner.emit(NotifyWarehouse(7))
    inner.plan()


@raises(PlanError)
def plan_while_a_scope_is_open() -> None:
    with holding() as held, Boundary({}).scope() as effects:
        effects.emit(NotifyWarehouse(7))
        held.plan()


@raises(PlanFormatError)
def plan_that_was_edited() -> None:
    with saved(plan_of(NotifyWarehouse(7))) as path:
        path.write_bytes(path.read_bytes().replace(b":7", b":8"))
        Plan.load(path)


@raises(PlanFormatError)
def plan_that_was_cut_off() -> None:
    with saved(plan_of(NotifyWarehouse(7))) as path:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
        Plan.load(path)


@raises(PlanFormatError)
def file_that_is_no_plan() -> None:
    with saved(plan_of(NotifyWarehouse(7))) as path:
        path.write_bytes(b"from: ada@example.org\n\nHello\n")
        Plan.load(path)


@raises(PlanExpiredError)
def plan_that_expired() -> None:
    plan = plan_of(NotifyWarehouse(7), expires=timedelta(0))
    Boundary({NotifyWarehouse: notify}).apply(plan)


@raises(PlanMismatchError)
def plan_of_a_kind_that_may_not_pass() -> None:
    with saved(plan_of(NotifyWarehouse(7))) as path:
        Boundary({SendEmail: email}).apply(Plan.load(path, wire=Wire([SendEmail])))


@raises(DeclarationError)
def plan_applied_by_a_misspelt_kind() -> None:
    boundary = Boundary({NotifyWarehouse: notify})
    boundary.apply(plan_of(NotifyWarehouse(7)), kinds=["misuses.notify-warehose"])


@raises(DeclarationError)
def plan_applied_by_an_index_it_does_not_have() -> None:
    Boundary({NotifyWarehouse: notify}).apply(plan_of(NotifyWarehouse(7)), indices=[1])


@raises(JournalError)
def journal_of_another_plan() -> None:
    boundary = Boundary({NotifyWarehouse: notify})
    with saved(plan_of(NotifyWarehouse(7))) as path:
        boundary.apply(Plan.load(path))
        plan_of(NotifyWarehouse(8)).save(path)
        boundary.apply(Plan.load(path))


@raises(JournalError)
def journal_that_is_none() -> None:
    with saved(plan_of(NotifyWarehouse(7))) as path:
        path.with_name("orders.plan.journal").write_bytes(b"applied: 0, 1, 2, 3" * 100)
        Boundary({NotifyWarehouse: notify}).apply(Plan.load(path))


@raises(InDoubtError)
def effect_in_flight_at_a_crash() -> None:
    def dies(intent: NotifyWarehouse) -> None:
        raise KeyboardInterrupt

    with saved(plan_of(NotifyWarehouse(7), NotifyWarehouse(8))) as path:
        with contextlib.suppress(KeyboardInterrupt):
            Boundary({NotifyWarehouse: dies}).apply(Plan.load(path))
        Boundary({NotifyWarehouse: notify}).apply(Plan.load(path))


@raises(ApplyError)
def effect_of_a_plan_that_fails() -> None:
    Boundary({NotifyWarehouse: broken}).apply(plan_of(NotifyWarehouse(7)))


@contextlib.contextmanager
def hidden(module: str) -> Generator[None]:
    """As if a package were not installed."""
    before = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment]  # what the import system takes for that
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not None:
            sys.modules[module] = before


@raises(FlushError)
def broker_that_is_down() -> None:
    class Queue(QueueDispatch):
        def send(self, envelope: Envelope, message: str, /) -> NoReturn:
            raise UnavailableError("amqp://broker:5672", "connection refused")

    with Boundary({}, dispatch=Queue()).scope() as effects:
        effects.emit_all([NotifyWarehouse(7), NotifyWarehouse(8)])


@raises(UnavailableError)
def broker_that_is_down_by_itself() -> None:
    raise UnavailableError("amqp://broker:5672", "connection refused")


@raises(UndeclaredHereError)
def message_of_a_newer_release() -> None:
    known = Wire().encode(Envelope(NotifyWarehouse(7)))
    Receiver(Boundary({})).receive(known.replace(b'"version":1', b'"version":2'))


@raises(UndeclaredHereError)
def message_that_this_worker_has_no_handler_for() -> None:
    Receiver(Boundary({})).deliver(Envelope(NotifyWarehouse(7)))


@raises(UndeclaredHereError)
def message_for_a_boundary_that_cannot_be_made() -> None:
    def boundary() -> NoReturn:
        raise ConnectionRefusedError("no mail server")

    Receiver(boundary).receive("{}")


@raises(SettingError)
def mode_that_is_none() -> None:
    parse_mode("plan")


@raises(DeclarationError)
def edge_without_a_boundary() -> None:
    Edge("shop.effects.boundary")  # type: ignore[arg-type]


@raises(SettingError)
def receiver_of_no_boundary() -> None:
    Receiver(42)  # type: ignore[arg-type]


@raises(SettingError)
def receiver_of_a_path_without_a_colon() -> None:
    Receiver("shop.effects.boundary")


@raises(SettingError)
def receiver_whose_function_returns_no_boundary() -> None:
    Receiver(lambda: None).boundary  # type: ignore[return-value,arg-type]  # noqa: B018


@raises(ReleaseError)
def second_release() -> None:
    database = connect(":memory:")
    with (
        contextlib.closing(database),
        Boundary({}).scope(release=on_commit(database)) as effects,
    ):
        effects.release_with(on_commit(database))


@raises(HandlerCancelledError)
def handler_that_awaits_what_others_cancel() -> None:
    async def awaits(_: object) -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    async def main() -> None:
        async with Boundary({NotifyWarehouse: awaits}).scope() as effects:
            effects.emit(NotifyWarehouse(7))

    try:
        asyncio.run(main())
    except FlushError as failed:
        raise failed.exceptions[0] from None


# -- Celery ---------------------------------------------------------------------------------------


@raises(SignatureError)
def call_of_a_task_that_is_none() -> None:
    from airlock.integrations.celery import CallTask

    CallTask(notify)  # type: ignore[arg-type]


def _receipt() -> Any:
    from celery import Celery

    app: Any = Celery("misuses", set_as_current=False)
    return app.task(notify, name="misuses.receipt")


@raises(NotAnIntentError)
def enqueue_of_a_task() -> None:
    with shop().scope():
        loose.enqueue(_receipt(), 7)


@raises(NotAnIntentError)
def emit_of_a_signature() -> None:
    with shop().scope():
        loose.emit(_receipt().s(7))


@raises(DeclarationError)
def effect_on_a_task() -> None:
    effect(_receipt())


@raises(UnreleasedResultError)
def result_of_a_task_that_was_not_sent() -> None:
    from airlock.integrations.celery import CallTask
    from airlock.migration.celery.results import BufferedCall

    with shop().scope() as effects:
        BufferedCall(CallTask(_receipt().s(7)), effects).check()


# -- outboxes -------------------------------------------------------------------------------------


def outbox_for(database: Any, **options: Any) -> Any:
    from airlock.outbox import Outbox

    return Outbox(database, **options)


def durable(database: str = "sqlite://", **options: Any) -> Boundary:
    outbox = outbox_for(database, **options)
    return Boundary({}, dispatch=Route({NotifyWarehouse: outbox}))


@raises(NotRecordedError)
def effect_for_an_outbox_without_a_transaction() -> None:
    with durable().scope() as effects:
        effects.emit(NotifyWarehouse(7))


@raises(NotRecordedError)
def effect_for_an_outbox_in_autocommit() -> None:
    release: Any = SimpleNamespace(segment=lambda: None, on_flush_error="report")
    with durable().scope(release=release) as effects:
        effects.emit(NotifyWarehouse(7))


@raises(NotRecordedError)
def effect_for_an_outbox_in_another_database() -> None:
    database = connect(":memory:")
    with (
        contextlib.closing(database),
        durable("sqlite:////srv/shop.db").scope(release=on_commit(database)) as effects,
    ):
        effects.emit(NotifyWarehouse(7))


@raises(NotRecordedError)
def effect_for_an_outbox_with_a_release_that_cannot_record() -> None:
    segment = Segment(begun=True)
    release: Any = SimpleNamespace(segment=lambda: segment, on_flush_error="report")
    with durable().scope(release=release) as effects:
        effects.emit(NotifyWarehouse(7))


@raises(NotRecordedError)
def effect_for_an_outbox_of_a_handler_without_a_transaction() -> None:
    boundary = Boundary(
        {ChargeCard: lambda _: airlock.emit(NotifyWarehouse(7))},
        dispatch=Route({NotifyWarehouse: outbox_for("sqlite://")}),
    )
    try:
        with boundary.scope() as effects:
            effects.emit(ChargeCard("4111"))
    except FlushError as failed:
        raise failed.exceptions[0] from None


@raises(NoTransactionError)
def effect_for_an_outbox_that_no_transaction_commits() -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from airlock.integrations.sqlalchemy import on_commit as on_commit_of_session

    engine = create_engine("sqlite://")
    boundary = Boundary({}, dispatch=outbox_for(engine))
    with (
        Session(engine) as session,
        boundary.scope(release=on_commit_of_session(session)) as effects,
    ):
        effects.emit(NotifyWarehouse(7))


@raises(DeclarationError)
def boundary_that_parks_in_a_function() -> None:
    Boundary({}, park=loose.emit)


@raises(DeclarationError)
def outbox_of_a_path() -> None:
    outbox_for(Path("shop.db"))


@raises(DeclarationError)
def outbox_that_ignores_duplicates() -> None:
    outbox_for("sqlite://", on_duplicate="ignore")


@raises(DeclarationError)
def retry_in_seconds() -> None:
    loose.Retry(5)


@raises(DeclarationError)
def dead_letter_without_a_reason() -> None:
    airlock.Dead("")


@raises(DeferredError)
def handler_that_wants_a_relay() -> None:
    try:
        with Boundary({NotifyWarehouse: lambda _: airlock.Dead("too old")}).scope() as effects:
            effects.emit(NotifyWarehouse(7))
    except FlushError as failed:
        raise failed.exceptions[0] from None


@raises(OutboxSchemaError)
def outbox_without_tables() -> None:
    try:
        with durable(standalone=True).scope() as effects:
            effects.emit(NotifyWarehouse(7))
    except FlushError as failed:
        raise failed.exceptions[0] from None


@raises(LeaseLostError)
def acknowledgement_of_a_row_that_is_gone() -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    caught = list[Exception]()

    def handle(_: NotifyWarehouse) -> None:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM airlock_outbox"))
        with Session(engine) as session:
            try:
                airlock.delivery().acknowledge(session)
            except LeaseLostError as error:
                caught.append(LeaseLostError(error.kind, "<id>"))

    with TemporaryDirectory(prefix="misuse_") as folder:
        engine = create_engine(f"sqlite:///{folder}/shop.db")
        outbox = outbox_for(engine, standalone=True)
        outbox.create()
        handlers = {NotifyWarehouse: handle}
        with Boundary(handlers, dispatch=outbox).scope() as effects:
            effects.emit(NotifyWarehouse(7))
        outbox.drain(Boundary(handlers))
        engine.dispose()
    raise caught[0]
