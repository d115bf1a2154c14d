"""The worker's end of a queue: where its boundary comes from, and which messages are to be kept."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from dependency_injector import containers, providers

import airlock
from airlock import Boundary, Handles
from airlock.errors import (
    FlushError,
    SettingError,
    UndeclaredHereError,
    UnhandledIntentError,
    WireError,
)
from airlock.integrations.base import Receiver
from airlock.wire import Envelope, Wire
from tests.integrations.base.forking import forked


@airlock.intent(kind="receivers.work")
class Work:
    number: int


@airlock.intent(kind="receivers.next")
class Next:
    number: int


MADE = Boundary({})
MESSAGE = Wire().encode(Envelope(Work(1)))
UNKNOWN = MESSAGE.replace(b"receivers.work", b"receivers.other")
NEWER = MESSAGE.replace(b'"version":1', b'"version":2')


def make() -> Boundary:
    return Boundary({Work: lambda _: None})


def done_with(intent: Work, client: str) -> None: ...


def opened_and_closed(told: list[str]) -> Iterator[str]:
    told.append("opened")
    yield "client"
    told.append("closed")


class Resources(containers.DeclarativeContainer):
    """One resource, which tells when it is opened and closed."""

    told = providers.Object(list[str]())
    client = providers.Resource(opened_and_closed, told)
    work = Handles(Work, done_with, client=client)


# -- the boundary ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [MADE, f"{__name__}:MADE"])
def test_a_boundary_is_itself(given: Boundary | str) -> None:
    """Made by whoever gives it."""
    assert Receiver(given).boundary is MADE


@pytest.mark.parametrize("given", [make, f"{__name__}:make"])
def test_a_function_is_called_once_in_a_process(given: Callable[[], Boundary] | str) -> None:
    """When the boundary is first needed."""
    receiver = Receiver(given)
    assert receiver.boundary is receiver.boundary


def test_nothing_is_made_or_imported_before_it_is_needed() -> None:
    """Programs that only emit declare the worker's task too."""
    made = list[int]()
    Receiver(lambda: made.append(1))  # type: ignore[arg-type,return-value]
    Receiver("no.such.module:boundary")
    assert made == []


@pytest.mark.parametrize("is_async", [False, True])
def test_threads_share_one(is_async: bool) -> None:
    """Even if they need it at the same time."""
    made, got = list[Boundary](), list[Boundary]()

    def get() -> None:
        if is_async:
            asyncio.run(receiver.areceive(MESSAGE))
        got.append(receiver.boundary)

    def slowly() -> Boundary:
        made.append(make())
        time.sleep(0.05)
        return made[-1]

    receiver = Receiver(slowly)
    threads = [threading.Thread(target=get) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=600)
    assert got == made * 5


class Pid(Boundary):
    """A boundary that knows where it was made."""

    def __init__(self) -> None:
        super().__init__({})
        self.pid = os.getpid()


def test_a_child_process_makes_its_own() -> None:
    """Even if the parent has used one before it forked; and that stays."""
    receiver = Receiver(Pid)

    def mine() -> str:
        return str(isinstance(made := receiver.boundary, Pid) and made.pid == os.getpid())

    before = receiver.boundary
    assert mine() == forked(mine) == "True"
    assert receiver.boundary is before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_it_is_made_does_not_lock_the_child() -> None:
    """The thread that makes it is not in the child."""
    begun, over = threading.Event(), threading.Event()

    def slowly() -> Boundary:
        if threading.current_thread() is thread:
            begun.set()
            over.wait(10)
        return make()

    receiver = Receiver(slowly)
    thread = threading.Thread(target=lambda: receiver.boundary)
    thread.start()
    begun.wait(10)
    told = forked(lambda: type(receiver.boundary).__name__)
    over.set()
    thread.join(10)
    assert told == "Boundary"


@pytest.mark.parametrize("how", ["function", "boundary"])
def test_its_resources_are_opened_with_it_and_closed_at_the_end(how: str) -> None:
    """Whatever was given: a worker has nobody else to do it."""
    told = list[str]()
    boundary = Boundary(Resources(told=providers.Object(told)))
    receiver = Receiver(boundary if how == "boundary" else lambda: boundary)
    receiver.close()
    assert told == []
    receiver.receive(MESSAGE)
    receiver.receive(MESSAGE)
    assert told == ["opened"]
    receiver.close()
    receiver.close()
    assert told == ["opened", "closed"]


def test_a_child_closes_nothing_that_its_parent_has_opened() -> None:
    """Connections are not its own."""
    told = list[str]()
    receiver = Receiver(Boundary(Resources(told=providers.Object(told))))
    _ = receiver.boundary

    def close() -> str:
        receiver.close()
        return ",".join(told)

    assert forked(close) == "opened"


def test_after_it_was_closed_it_is_made_again() -> None:
    """A worker may be started again in one process."""
    receiver = Receiver(make)
    before = receiver.boundary
    receiver.close()
    assert receiver.boundary is not before


def test_async_resources_are_opened_where_handlers_are_async() -> None:
    """Once, whatever comes at the same time."""
    told = list[str]()

    async def opened() -> AsyncIterator[str]:
        told.append("opened")
        await asyncio.sleep(0.01)
        yield "client"
        told.append("closed")

    async def work(intent: Work, client: str) -> None:
        told.append(client)

    class Effects(containers.DeclarativeContainer):
        client = providers.Resource(opened)
        work_ = Handles(Work, work, client=client)

    async def main() -> None:
        receiver = Receiver(lambda: Boundary(Effects()))
        await asyncio.gather(receiver.areceive(MESSAGE), receiver.areceive(MESSAGE))
        await receiver.aclose()

    asyncio.run(main())
    assert told == ["opened", "client", "client", "closed"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (f"{__name__}:os.sep", ":os.sep' gives '/'. Let it return a Boundary"),
        (lambda: 42, "gives 42. Let it return a Boundary"),
    ],
)
def test_what_makes_no_boundary_is_told(given: Any, told: str) -> None:
    """When it is first needed: a path is not imported before that."""
    receiver = Receiver(given)
    with pytest.raises(SettingError) as caught:
        _ = receiver.boundary
    assert told in str(caught.value)


@pytest.mark.parametrize("given", [42, None, "shop", "shop.effects.boundary"])
def test_what_can_be_no_boundary_is_refused_at_once(given: Any) -> None:
    """Where it is written."""
    with pytest.raises(SettingError, match=r"Receiver: 'boundary' is .*shop\.effects:boundary"):
        Receiver(given)


# -- messages that are kept -----------------------------------------------------------------------


def test_it_receives() -> None:
    """What it reads is delivered, with the attempt that it is."""
    told: list[Any] = []
    boundary = Boundary({Work: lambda intent: told.append((intent, airlock.delivery().attempt))})
    assert Receiver(boundary).receive(MESSAGE, attempt=3).delivered == [Work(1)]
    assert told == [(Work(1), 3)]


def test_the_boundary_is_made_before_a_message_is_read() -> None:
    """With the handlers comes what declares the intents."""

    def lazily() -> Boundary:
        @airlock.intent(kind="receivers.lazy")
        class Lazy:
            number: int

        return Boundary({Lazy: lambda _: None})

    message = MESSAGE.replace(b"receivers.work", b"receivers.lazy")
    assert Receiver(lazily).read(message).kind == "receivers.lazy"


def received(receiver: Receiver, message: bytes) -> None:
    receiver.receive(message)


def areceived(receiver: Receiver, message: bytes) -> None:
    asyncio.run(receiver.areceive(message))


BOTH = pytest.mark.parametrize("receive", [received, areceived])


@BOTH
@pytest.mark.parametrize(
    ("message", "what", "problem"),
    [
        (UNKNOWN, "'receivers.other' version 1", "its kind is not declared here"),
        (NEWER, "'receivers.work' version 2", "its version is not declared here, only 1"),
    ],
)
def test_what_is_not_declared_here_is_to_be_kept(
    receive: Any, message: bytes, what: str, problem: str
) -> None:
    """A later release may know it."""
    with pytest.raises(UndeclaredHereError) as caught:
        receive(Receiver(make), message)
    assert (caught.value.what, caught.value.problem) == (what, problem)
    assert isinstance(caught.value.__cause__, WireError)


@BOTH
@pytest.mark.parametrize("message", [b"garbage", MESSAGE.replace(b'"number":1', b'"number":"a"')])
def test_garbage_is_told_apart(receive: Any, message: bytes) -> None:
    """Nobody will ever read it."""
    with pytest.raises(WireError):
        receive(Receiver(make), message)


@BOTH
def test_what_has_no_handler_here_is_to_be_kept(receive: Any) -> None:
    """Another worker may have one."""
    with pytest.raises(UndeclaredHereError, match="there is no handler for Work") as caught:
        receive(Receiver(Boundary({})), MESSAGE)
    assert isinstance(caught.value.__cause__, UnhandledIntentError)
    assert caught.value.what == "'receivers.work' version 1"


@BOTH
@pytest.mark.parametrize("given", ["no.such.module:boundary", "os:sep", lambda: 1 / 0])
def test_while_the_boundary_cannot_be_made_everything_is_to_be_kept(
    receive: Any, given: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage too: nothing is known of it. The log has the traceback, once."""
    receiver = Receiver(given)
    for message in (MESSAGE, b"garbage"):
        caplog.clear()
        with pytest.raises(UndeclaredHereError, match="its boundary cannot be made") as caught:
            receive(receiver, message)
        assert type(caught.value.__cause__).__name__ in caught.value.problem
        (record,) = caplog.records
        assert record.exc_info is not None
        assert record.exc_info[1] is caught.value.__cause__


def test_to_deliver_needs_the_boundary_as_well() -> None:
    """What was read elsewhere is kept, too, while there is none."""
    with pytest.raises(UndeclaredHereError):
        Receiver("no.such.module:boundary").deliver(Envelope(Work(1)))


def test_resources_that_cannot_be_opened_are_tried_again() -> None:
    """No intent is to blame that a server is down; when it is back, it is delivered."""
    down = [ConnectionRefusedError("no mail server")]

    def opened() -> str:
        if down:
            raise down.pop()
        return "client"

    class Effects(containers.DeclarativeContainer):
        client = providers.Resource(opened)
        work = Handles(Work, done_with, client=client)

    receiver = Receiver(lambda: Boundary(Effects()))
    with pytest.raises(UndeclaredHereError, match="ConnectionRefusedError: no mail server"):
        receiver.receive(MESSAGE)
    assert receiver.receive(MESSAGE).delivered == [Work(1)]


# -- errors that are the handler's ----------------------------------------------------------------


@BOTH
def test_an_error_of_the_handler_comes_as_it_is(receive: Any) -> None:
    """The engine's retries see it."""

    def work(intent: Work) -> None:
        raise WireError(None, None, "$", "is not JSON")

    with pytest.raises(WireError) as caught:
        receive(Receiver(Boundary({Work: work})), MESSAGE)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("other", [Work(1), Next(1)])
def test_an_intent_without_a_handler_that_the_handler_flushed_is_its_own_error(other: Any) -> None:
    """Even if it is equal to the one that arrived."""

    def work(intent: Work) -> None:
        with Boundary({}).scope(independent=True) as effects:
            effects.emit(other)

    with pytest.raises(UnhandledIntentError):
        Receiver(Boundary({Work: work})).receive(MESSAGE)


def test_a_follow_up_without_a_handler_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """The handler has run, and must not run again."""
    boundary = Boundary({Work: lambda _: airlock.emit(Next(1))})
    with caplog.at_level(logging.ERROR):
        assert Receiver(boundary).receive(MESSAGE).pending == [Next(1)]
    assert "some of its follow-ups were not" in caplog.text


def test_or_raised() -> None:
    """If the receiver is told so."""
    boundary = Boundary({Work: lambda _: airlock.emit(Next(1))})
    with pytest.raises((FlushError, UnhandledIntentError)):
        Receiver(boundary, on_flush_error="raise").receive(MESSAGE)
