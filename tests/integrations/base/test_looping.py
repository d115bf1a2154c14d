"""Async handlers in workers that have no event loop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
from dependency_injector import containers, providers

import airlock
from airlock import Boundary, Drop, Handles
from airlock.errors import AsyncHandlerError
from airlock.integrations.base import Receiver
from airlock.integrations.base.looping import run
from airlock.wire import Envelope, Wire
from tests.integrations.base.forking import forked


@airlock.intent(kind="looping.work")
class Work:
    number: int


MESSAGE = Wire().encode(Envelope(Work(1)))


class Client:
    """Belongs to the loop in which it is made, as async clients do."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.open = True
        self.sent = list[tuple[int, int]]()

    async def send(self, number: int) -> None:
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        self.sent.append((number, threading.get_ident()))


async def a_client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    assert asyncio.get_running_loop() is client.loop
    client.open = False


async def send(intent: Work, client: Client) -> None:
    await client.send(intent.number)


class AsyncWorker(containers.DeclarativeContainer):
    client = providers.Resource(a_client)
    work = Handles(Work, send, client=client)


def test_async_handlers_run_where_there_is_no_loop() -> None:
    """All in one, in which their resources are opened and closed; also for threads."""
    container = AsyncWorker()
    receiver = Receiver(Boundary(container))
    receiver.boundary  # noqa: B018 - opened now
    client: Client = run(_given(container.client))
    threads = [threading.Thread(target=receiver.receive, args=(MESSAGE,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=600)
    assert repr(receiver.receive(MESSAGE)) == "<Report: 1 delivered>"
    assert len(client.sent) == 6
    assert len({thread for _, thread in client.sent}) == 1
    receiver.close()
    assert not client.open


async def _given(provider: Any) -> Any:
    return await provider()


def test_their_errors_are_raised_where_the_engine_sees_them() -> None:
    async def fail(intent: Work) -> None:
        raise ConnectionError(intent.number)

    with pytest.raises(ConnectionError):
        Receiver(Boundary({Work: fail})).receive(MESSAGE)


def test_they_have_the_context_of_the_engine() -> None:
    """Its trace, for one; and what encloses it."""
    tenant = ContextVar("tenant", default="nobody")
    found = list[str]()

    async def look(intent: Work) -> None:
        found.append(tenant.get())

    receiver = Receiver(Boundary({Work: look}))
    tenant.set("ann")
    receiver.receive(MESSAGE)
    with airlock.enclose(Drop()):
        receiver.receive(MESSAGE)
    assert found == ["ann"]


class TimeLimitError(Exception):
    pass


@pytest.fixture
def slow() -> tuple[Receiver, list[str]]:
    """A receiver whose handler takes a minute, and what the handler tells."""
    told = list[str]()

    async def sleep(intent: Work) -> None:
        told.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    return Receiver(Boundary({Work: sleep})), told


def test_a_time_limit_by_a_signal_cancels_them(slow: tuple[Receiver, list[str]]) -> None:
    """As Celery's, in the main thread."""
    receiver, told = slow

    def limit(*_: object) -> None:
        raise TimeLimitError

    receiver.boundary  # noqa: B018 - made before the clock runs
    before = signal.signal(signal.SIGALRM, limit)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeLimitError):
            receiver.receive(MESSAGE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert told == ["begun", "cancelled"]


def test_a_time_limit_in_a_thread_cancels_them(slow: tuple[Receiver, list[str]]) -> None:
    """As Dramatiq's."""
    receiver, told = slow
    raised = list[BaseException]()

    def work() -> None:
        try:
            receiver.receive(MESSAGE)
        except TimeLimitError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not told:
        time.sleep(0.01)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeLimitError)
    )
    thread.join(timeout=600)
    assert told == ["begun", "cancelled"]
    assert len(raised) == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_handler_that_exits_ends_no_loop(error: type[BaseException]) -> None:
    async def leave(intent: Work) -> None:
        raise error(3)

    receiver = Receiver(Boundary({Work: leave}))
    for _ in range(2):
        with pytest.raises(error):
            receiver.receive(MESSAGE)


def test_one_that_delivers_eagerly_waits_for_nobody() -> None:
    """As an eager engine does, of a follow-up: only sync handlers can run in it."""
    done = list[str]()

    async def nested(intent: Work) -> None:
        done.append("first")
        Receiver(Boundary({Work: lambda _: done.append("second")})).receive(MESSAGE)
        with pytest.raises(AsyncHandlerError):
            receiver.receive(MESSAGE)

    receiver = Receiver(Boundary({Work: nested}))
    receiver.receive(MESSAGE)
    assert done == ["first", "second"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_loop_of_its_own() -> None:
    """And a thread for Django's connections; Django has no settings here."""
    pytest.importorskip("django.db")

    async def note(intent: Work) -> None:
        done.append(os.getpid())

    done = list[int]()
    receiver = Receiver(lambda: Boundary({Work: note}))
    receiver.receive(MESSAGE)

    def child() -> str:
        receiver.receive(MESSAGE)
        return f"{done[-1] == os.getpid()}"

    assert forked(child) == "True"
    assert done == [os.getpid()]
