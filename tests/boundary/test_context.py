"""Contexts: what is ambient at an emission is restored around its handler."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import anyio
import pytest
import structlog
from dependency_injector import containers
from structlog.contextvars import bound_contextvars, get_contextvars

import airlock
from airlock import (
    Boundary,
    Context,
    Dedupe,
    Dispatcher,
    Drop,
    FlushError,
    HandlesBatch,
    Hold,
    Options,
    RetryPolicy,
)
from airlock.emissions.region import Region
from airlock.errors import DeclarationError, OptionError, UnsupportedOptionError
from airlock.wire import Envelope, Wire
from tests.boundary.vocabulary import AuditEntry, NotifyWarehouse, SendEmail

tenant: ContextVar[str] = ContextVar("tenant", default="public")


@contextmanager
def of(name: str) -> Iterator[None]:
    token = tenant.set(name)
    try:
        yield
    finally:
        tenant.reset(token)


class Tenant(Context):
    """A tenant in a context variable; none for the public one."""

    def capture(self) -> Mapping[str, str]:
        return {} if tenant.get() == "public" else {"tenant": tenant.get()}

    @contextmanager
    def restore(self, headers: Mapping[str, str], /) -> Iterator[None]:
        with of(headers.get("tenant", "public")):
            yield


class Bound(Context):
    """What structlog has bound."""

    def capture(self) -> Mapping[str, str]:
        return {key: str(value) for key, value in get_contextvars().items()}

    @contextmanager
    def restore(self, headers: Mapping[str, str], /) -> Iterator[None]:
        with bound_contextvars(**{k: v for k, v in headers.items() if k == "request_id"}):
            yield


class Seen(list[tuple[Any, str]]):
    """A handler that notes the tenant that it ran for."""

    def __call__(self, intent: Any) -> None:
        self.append((intent, tenant.get()))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def boundary(seen: Seen) -> Boundary:
    return Boundary({NotifyWarehouse: seen, SendEmail: seen}, context=[Tenant()])


def test_a_handler_runs_in_the_context_of_the_emission(boundary: Boundary, seen: Seen) -> None:
    """Of each one, whichever is current at the flush."""
    with of("flush"), boundary.scope() as effects:
        for name in ("acme", "umbrella", "public"):
            with of(name):
                airlock.emit(NotifyWarehouse(1))
                effects.emit(NotifyWarehouse(2), Options(ordering_key="a"))
                airlock.emit_all([NotifyWarehouse(3), SendEmail()])
    assert [name for _, name in seen] == [*["acme"] * 4, *["umbrella"] * 4, *["public"] * 4]
    assert tenant.get() == "public"


def test_follow_ups_have_the_context_of_their_handler(seen: Seen) -> None:
    """Or the one that it has switched to."""

    def handle(intent: NotifyWarehouse) -> None:
        airlock.emit(SendEmail("same"))
        with of("other"):
            airlock.emit(SendEmail("switched"))

    boundary = Boundary({NotifyWarehouse: handle, SendEmail: seen}, context=[Tenant()])
    with boundary.scope(), of("acme"):
        airlock.emit(NotifyWarehouse())
    assert seen == [(SendEmail("same"), "acme"), (SendEmail("switched"), "other")]


def test_the_nearest_header_wins(boundary: Boundary, seen: Seen) -> None:
    with boundary.scope(headers={"tenant": "scope"}) as effects:
        effects.emit(NotifyWarehouse(1))
        with of("ambient"):
            effects.emit(NotifyWarehouse(2))
            effects.emit(NotifyWarehouse(3), Options(headers={"tenant": "given"}))
            with boundary.scope(headers={"tenant": "nested"}) as nested:
                nested.emit(NotifyWarehouse(4))
    assert [name for _, name in seen] == ["scope", "ambient", "given", "ambient"]


def test_regions_nested_and_independent_scopes_capture_too(boundary: Boundary, seen: Seen) -> None:
    with (
        of("acme"),
        boundary.scope(),
        airlock.region(Dedupe()),
        airlock.enclose(Dedupe()),
        boundary.scope(),
    ):
        airlock.emit(NotifyWarehouse(1))
        with of("umbrella"), boundary.scope(independent=True):
            airlock.emit(NotifyWarehouse(2))
    assert seen == [(NotifyWarehouse(2), "umbrella"), (NotifyWarehouse(1), "acme")]


def test_equal_intents_of_two_tenants_are_not_merged(boundary: Boundary, seen: Seen) -> None:
    with boundary.scope(policy=Dedupe()) as effects:
        for name in ("acme", "umbrella", "acme"):
            with of(name):
                effects.emit(NotifyWarehouse(1))
    assert [name for _, name in seen] == ["acme", "umbrella"]


def test_another_boundary_captures_nothing(boundary: Boundary, seen: Seen) -> None:
    plain = Boundary({NotifyWarehouse: seen})
    with boundary.scope(), plain.scope() as effects, of("acme"):
        airlock.emit(NotifyWarehouse(1))
        assert type(effects.region) is Region  # the fast one
    assert seen == [(NotifyWarehouse(1), "public")]


def test_each_attempt_and_each_override_is_in_the_context(boundary: Boundary, seen: Seen) -> None:
    attempts: list[str] = []

    class Effects(containers.DeclarativeContainer):
        notify = airlock.Handles(
            NotifyWarehouse,
            lambda _: fail(),
            retry=RetryPolicy(on=ConnectionError, max_attempts=3, wait_initial=timedelta(0)),
        )

    def fail() -> None:
        attempts.append(tenant.get())
        if len(attempts) < 3:
            raise ConnectionError

    boundary = Boundary(Effects(), context=[Tenant()])
    with boundary.scope() as effects, of("acme"):
        effects.emit(NotifyWarehouse(1))
        with effects.override({NotifyWarehouse: seen}):
            effects.emit(NotifyWarehouse(2))
    assert (attempts, seen) == (["acme"] * 3, [(NotifyWarehouse(2), "acme")])


def test_a_batch_runs_in_what_its_members_share() -> None:
    seen: list[str] = []

    class Effects(containers.DeclarativeContainer):
        audit = HandlesBatch(AuditEntry, lambda entries: seen.append(tenant.get()))

    with Boundary(Effects(), context=[Tenant()]).scope(), of("acme"):
        airlock.emit_all([AuditEntry("a"), AuditEntry("b")])
    assert seen == ["acme"]


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_async_handlers_have_it_at_each_await(concurrency: int) -> None:
    seen: list[str] = []

    async def handle(intent: NotifyWarehouse) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            seen.append(f"{intent.order_id} {tenant.get()}")

    boundary = Boundary({NotifyWarehouse: handle}, context=[Tenant()], concurrency=concurrency)
    async with boundary.scope():
        for number in range(3):
            with of(f"tenant {number}"):
                airlock.emit(NotifyWarehouse(number))
    assert sorted(seen) == sorted(f"{n} tenant {n}" for n in range(3) for _ in range(3))


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_plan_keeps_it(boundary: Boundary, seen: Seen) -> None:
    with boundary.scope(policy=Hold()) as effects, of("acme"):
        effects.emit(NotifyWarehouse(1))
        effects.emit(NotifyWarehouse(2), Options(headers={"user": "ann"}))
    plan = effects.plan()
    assert [dict(entry.headers) for entry in plan] == [
        {"tenant": "acme"},
        {"tenant": "acme", "user": "ann"},
    ]
    with of("umbrella"):
        boundary.apply(plan)
    assert [name for _, name in seen] == ["acme", "acme"]


def test_follow_ups_of_a_plan_capture_too(seen: Seen) -> None:
    boundary = Boundary(
        {NotifyWarehouse: lambda _: airlock.emit(SendEmail()), SendEmail: seen}, context=[Tenant()]
    )
    with boundary.scope(policy=Hold(NotifyWarehouse)) as effects, of("acme"):
        effects.emit(NotifyWarehouse(1))
    boundary.apply(effects.plan())
    assert seen == [(SendEmail(), "acme")]


def test_it_crosses_the_wire(boundary: Boundary, seen: Seen) -> None:
    sent: list[bytes] = []

    class Queue(Dispatcher):
        options = frozenset({"headers"})

        def dispatch(self, delivery: Any, /) -> None:
            sent.append(Wire().encode(Envelope.of(delivery)))

    with Boundary({}, dispatch=Queue(), context=[Tenant()]).scope(), of("acme"):
        airlock.emit(NotifyWarehouse(1))
    with of("umbrella"):  # as the worker may be
        boundary.deliver(Wire().decode(sent[0]))
        boundary.deliver(Envelope(NotifyWarehouse(2)))
    assert seen == [(NotifyWarehouse(1), "acme"), (NotifyWarehouse(2), "public")]


def test_what_a_delivered_intent_leads_to_has_the_context_of_its_handler(seen: Seen) -> None:
    def handle(intent: NotifyWarehouse) -> None:
        with of("switched"):
            airlock.emit(SendEmail())

    boundary = Boundary({NotifyWarehouse: handle, SendEmail: seen}, context=[Tenant()])
    boundary.deliver(Envelope(NotifyWarehouse(1), Options(headers={"tenant": "acme"})))
    assert seen == [(SendEmail(), "switched")]


def test_a_dispatch_that_would_lose_it_refuses() -> None:
    boundary = Boundary({}, dispatch=Dispatcher(), context=[Tenant()])
    with pytest.raises(UnsupportedOptionError, match="headers"), boundary.scope(), of("acme"):
        airlock.emit(NotifyWarehouse(1))


def test_a_thread_has_a_context_of_its_own(boundary: Boundary, seen: Seen) -> None:
    with boundary.scope() as effects, of("acme"):
        effects.emit(NotifyWarehouse(1))
        thread = threading.Thread(target=effects.emit, args=(NotifyWarehouse(2),))
        thread.start()
        thread.join()
    assert [name for _, name in seen] == ["acme", "public"]


def test_what_cannot_be_captured_is_not_emitted(seen: Seen) -> None:
    class Broken(Context):
        def capture(self) -> Any:
            return wrong()

    def wrong() -> Any:
        raise LookupError("no tenant")

    boundary = Boundary({NotifyWarehouse: seen}, context=[Broken()])
    with boundary.scope() as effects:
        with pytest.raises(LookupError, match="no tenant"):
            effects.emit(NotifyWarehouse())
        wrong = lambda: {"tenant": 1}  # noqa: E731 - another wrong one
        with pytest.raises(OptionError, match="must map str to str"):
            effects.emit(NotifyWarehouse())
        with pytest.raises(OptionError):
            effects.emit_all([NotifyWarehouse()])
    assert (list(effects), seen) == ([], [])


def test_what_cannot_be_restored_fails_the_intent(seen: Seen) -> None:
    class Gone(Tenant):
        @contextmanager
        def restore(self, headers: Mapping[str, str], /) -> Iterator[None]:
            if headers.get("tenant") == "gone":
                raise LookupError("no such tenant")
            yield

    boundary = Boundary({NotifyWarehouse: seen}, context=[Gone()])
    effects = boundary.scope()

    def emit_both() -> None:
        with effects:
            with of("gone"):
                effects.emit(NotifyWarehouse(1))
            effects.emit(NotifyWarehouse(2))

    with pytest.raises(FlushError, match="no such tenant"):
        emit_both()
    assert [intent for intent, _ in seen] == [NotifyWarehouse(2)]
    assert effects.report.failed == [NotifyWarehouse(1)]


def test_several_are_restored_from_the_outside_in_around_the_interceptors() -> None:
    told: list[str] = []

    class Named(Context):
        def __init__(self, name: str) -> None:
            self.name = name

        @contextmanager
        def restore(self, headers: Mapping[str, str], /) -> Iterator[None]:
            told.append(f"{self.name} on")
            yield
            told.append(f"{self.name} off")

    def intercept(intent: Any, call_next: Any) -> Any:
        told.append("interceptor")
        return call_next(intent)

    boundary = Boundary(
        {NotifyWarehouse: lambda _: told.append("handler")},
        context=[Named("a"), Named("b"), Context()],
        interceptors=[intercept],
    )
    with boundary.scope():
        airlock.emit(NotifyWarehouse())
    assert told == ["a on", "b on", "interceptor", "handler", "b off", "a off"]


def test_structlog_has_bound_what_it_had() -> None:
    captured = structlog.testing.LogCapture()
    processors: Any = [structlog.contextvars.merge_contextvars, captured]
    log = structlog.wrap_logger(structlog.ReturnLogger(), processors=processors)
    boundary = Boundary({NotifyWarehouse: lambda intent: log.info("notified")}, context=[Bound()])
    with bound_contextvars(request_id="flush"), boundary.scope():
        for request in ("r-1", "r-2"):
            with bound_contextvars(request_id=request):
                airlock.emit(NotifyWarehouse())
    assert [line["request_id"] for line in captured.entries] == ["r-1", "r-2"]
    assert get_contextvars() == {}


@pytest.mark.parametrize("wrong", [[object()], [Tenant]])
def test_what_is_no_context_is_refused(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"Boundary\(context=...\) takes Context objects"):
        Boundary({}, context=wrong)


def test_what_is_dropped_was_captured_and_nothing_else_happens(
    boundary: Boundary, seen: Seen
) -> None:
    with boundary.scope(policy=Drop()) as effects, of("acme"):
        effects.emit(NotifyWarehouse(1))
        assert effects == [NotifyWarehouse(1)]
    assert seen == []
