"""Emission by what outlives its handler: refused, and never lost silently."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    FlushError,
    HandlesBatch,
    Options,
    Scope,
)
from airlock.errors import (
    ClosedRegionError,
    NoScopeError,
)
from tests.boundary.vocabulary import (
    AuditEntry,
    NotifyWarehouse,
    SendEmail,
    assert_usable,
    next_line,
)


def emit_here(_: Scope | None, subject: Any) -> None:
    airlock.emit(subject)


def emit_here_with_options(_: Scope | None, subject: Any) -> None:
    airlock.emit(subject, Options(headers={"a": "b"}))


def emit_all_here(_: Scope | None, subject: Any) -> None:
    airlock.emit_all([subject])


def emit_into(scope: Scope | None, subject: Any) -> None:
    assert scope is not None
    scope.emit(subject)


def emit_into_with_options(scope: Scope | None, subject: Any) -> None:
    assert scope is not None
    scope.emit(subject, Options(headers={"a": "b"}))


def emit_all_into(scope: Scope | None, subject: Any) -> None:
    assert scope is not None
    scope.emit_all([NotifyWarehouse(99), subject])


Way = Callable[[Scope | None, Any], None]
AMBIENT: list[Way] = [emit_here, emit_here_with_options, emit_all_here]
HELD: list[Way] = [emit_into, emit_into_with_options, emit_all_into]


# -- after the handler ----------------------------------------------------------------------------


@pytest.mark.parametrize("intercepted", [False, True])
@pytest.mark.parametrize("emitted_before", [False, True])
@pytest.mark.parametrize("way", AMBIENT)
def test_after_the_handler_ended(way: Way, intercepted: bool, emitted_before: bool) -> None:
    """What a handler left behind with its context, running after the flush: refused, not lost."""
    contexts: list[contextvars.Context] = []

    def notify(_: object) -> None:
        if emitted_before:
            airlock.emit(AuditEntry())
        contexts.append(contextvars.copy_context())

    boundary = Boundary(
        {NotifyWarehouse: notify, AuditEntry: lambda _: None, SendEmail: lambda _: None},
        interceptors=[lambda subject, call_next: call_next(subject)] if intercepted else [],
    )
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(7))
    with pytest.raises(ClosedRegionError) as raised:
        contexts[0].run(way, None, SendEmail())
    text = str(raised.value)
    assert "cannot emit SendEmail" in text
    assert "into the handler" in text
    assert "it has ended" in text
    assert "opens a scope of its own" in text
    assert effects.report.of(SendEmail) == []
    assert_usable()


class Leftover:
    """Two handler calls; the second emits with the context that the first left behind."""

    def __init__(self, *, emitted_before: bool) -> None:
        self.emitted_before = emitted_before
        self.contexts: list[contextvars.Context] = []
        self.errors: list[BaseException] = []

    def __call__(self, subject: NotifyWarehouse) -> None:
        if subject.order_id == 1:
            self.contexts.append(contextvars.copy_context())
            if self.emitted_before:
                airlock.emit(AuditEntry("1"))
            return
        try:
            self.contexts[0].run(airlock.emit, SendEmail("late"))
        except ClosedRegionError as error:
            self.errors.append(error)

    def run(self, *interceptors: Any) -> airlock.Report:
        handlers: dict[Any, Any] = {
            NotifyWarehouse: self,
            AuditEntry: lambda _: None,
            SendEmail: lambda _: None,
        }
        with Boundary(handlers, interceptors=interceptors).scope() as effects:
            effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
        return effects.report


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("emitted_before", [False, True])
async def test_after_an_async_handler_ended_while_another_runs(
    emitted_before: bool, concurrency: int, anyio_backend: str
) -> None:
    """It is not taken for an emission of the other."""
    if concurrency > 1 and anyio_backend == "trio":
        return
    leftover = Leftover(emitted_before=emitted_before)
    order: list[int] = []

    async def notify(subject: NotifyWarehouse) -> None:
        while subject.order_id == 2 and not order:
            await anyio.lowlevel.checkpoint()
        leftover(subject)
        order.append(subject.order_id)

    handlers: dict[Any, Any] = {
        NotifyWarehouse: notify,
        AuditEntry: lambda _: None,
        SendEmail: lambda _: None,
    }
    async with Boundary(handlers, concurrency=concurrency).scope() as effects:
        effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
    assert effects.report.of(SendEmail) == []
    (error,) = leftover.errors
    assert "handler of NotifyWarehouse(order_id=1)" in str(error)


@pytest.mark.parametrize("emitted_before", [False, True])
@pytest.mark.parametrize("around", [(), (lambda subject, call_next: call_next(subject),)])
def test_the_sync_handlers_of_a_wave_have_one_sink(emitted_before: bool, around: Any) -> None:
    """It counts as an emission of the handler that is running: misattributed, but not lost."""
    leftover = Leftover(emitted_before=emitted_before)
    (entry,) = leftover.run(*around).of(SendEmail)
    assert leftover.errors == []
    assert entry.cause is not None
    assert entry.cause.intent == NotifyWarehouse(2)


@pytest.mark.parametrize("way", HELD)
def test_into_the_scope_after_its_handlers_ended(way: Way) -> None:
    """The scope that a handler kept is closed with its block."""
    scopes: list[Scope] = []
    boundary = Boundary({NotifyWarehouse: lambda _: scopes.append(airlock.current())})
    place = next_line()
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    with pytest.raises(ClosedRegionError) as raised:
        way(scopes[0], SendEmail())
    assert place in str(raised.value)
    assert_usable()


def test_from_a_thread_that_a_handler_started(handled: list[Any]) -> None:
    """It has no scope; with the handler's context it has the handler's, as long as that runs."""
    errors: list[BaseException] = []
    release = threading.Event()
    threads: list[threading.Thread] = []

    def late(context: contextvars.Context) -> None:
        release.wait(30)
        for run in (airlock.emit, lambda subject: context.run(airlock.emit, subject)):
            try:
                run(SendEmail())
            except airlock.AirlockError as error:
                errors.append(error)

    def notify(_: object) -> None:
        thread = threading.Thread(target=late, args=(contextvars.copy_context(),))
        thread.start()
        threads.append(thread)

    with Boundary({NotifyWarehouse: notify, SendEmail: handled.append}).scope() as effects:
        effects.emit(NotifyWarehouse())
    release.set()
    threads[0].join(30)
    assert [type(error) for error in errors] == [NoScopeError, ClosedRegionError]
    assert handled == []


def test_after_a_batch_handler_ended() -> None:
    """The same for batches."""
    contexts: list[contextvars.Context] = []

    def write(_: list[AuditEntry]) -> None:
        contexts.append(contextvars.copy_context())

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, write)
    with Boundary(wiring).scope() as effects:
        effects.emit_all([AuditEntry("1"), AuditEntry("2")])
    with pytest.raises(ClosedRegionError, match="it has ended"):
        contexts[0].run(airlock.emit, SendEmail())


def test_after_a_handler_failed() -> None:
    """It is refused like what comes after a handler that did well."""
    contexts: list[contextvars.Context] = []

    def notify(_: object) -> None:
        airlock.emit(AuditEntry())
        contexts.append(contextvars.copy_context())
        raise ValueError

    boundary = Boundary(
        {NotifyWarehouse: notify}, interceptors=[lambda subject, call_next: call_next(subject)]
    )
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    with pytest.raises(ClosedRegionError, match="it has ended"):
        contexts[0].run(airlock.emit, SendEmail())


@pytest.mark.anyio
async def test_from_a_task_that_outlives_its_handler() -> None:
    """A background task inherits the handler's region, and is refused once that has ended."""
    errors: list[BaseException] = []
    ended = anyio.Event()

    async def background() -> None:
        await ended.wait()
        try:
            airlock.emit(SendEmail())
        except ClosedRegionError as error:
            errors.append(error)

    async def notify(_: object) -> None:
        tasks.start_soon(background)

    effects = Boundary({NotifyWarehouse: notify}).scope()
    async with anyio.create_task_group() as tasks:
        async with effects:
            effects.emit(NotifyWarehouse(7))
        ended.set()
    (error,) = errors
    assert "handler of NotifyWarehouse(order_id=7)" in str(error)
    assert "it has ended" in str(error)
    assert effects.report.of(SendEmail) == []
