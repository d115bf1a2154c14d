"""The resources of the boundary's container live as long as the app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from dependency_injector import containers, providers
from fastapi import FastAPI
from starlette.middleware import Middleware

from airlock import Boundary
from airlock.handlers.providers import Handles
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.asgi.types import App, Message
from airlock.integrations.fastapi import Effects
from tests.integrations.asgi.vocabulary import Note, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Async resources of dependency-injector are for asyncio."""
    return "asyncio"


@pytest.fixture
def log() -> list[str]:
    return []


def boundary_of(log: list[str], *, fails: str = "") -> Boundary:
    """With a container that has a resource: a printer."""

    async def printer() -> AsyncIterator[Callable[[str], None]]:
        if fails == "open":
            raise ConnectionError("no printer")
        log.append("printer on")
        yield log.append
        if fails == "close":
            raise ConnectionError("printer on fire")
        log.append("printer off")

    def print_note(note: Note, *, printer: Callable[[str], None]) -> None:
        printer(note.text)

    class Container(containers.DeclarativeContainer):
        resource: Any = providers.Resource(printer)
        note = Handles(Note, print_note, printer=resource)

    return Boundary(Container())


def app_of(boundary: Boundary, log: list[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.append("app starts")
        async with boundary.scope() as effects:
            effects.emit(Note("starting"))
        yield
        log.append("app stops")

    app = FastAPI(lifespan=lifespan, middleware=[Middleware(EffectsMiddleware, boundary=boundary)])

    @app.get("/")
    async def view(effects: Effects) -> str:
        effects.emit(Note("note"))
        return "ok"

    return app


async def live(app: App, *, stop: bool = True) -> list[Message]:
    """What an app answers to its startup and its shutdown."""
    sent: list[Message] = []
    asked = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return asked.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await app({"type": "lifespan"}, receive, send)
    except Exception as error:  # noqa: BLE001 - servers go on, too
        sent.append({"type": type(error).__name__})
    return sent


def kinds(messages: list[Message]) -> list[str]:
    return [message["type"] for message in messages]


def test_resources_are_opened_before_the_app_starts_and_closed_after_it(log: list[str]) -> None:
    with served(app_of(boundary_of(log), log)) as server:
        assert log == ["printer on", "app starts", "starting"]
        assert httpx.get(server.url).json() == "ok"
    assert log == [
        *["printer on", "app starts", "starting"],
        *["note", "app stops", "printer off"],
    ]


def test_a_resource_that_cannot_be_opened_stops_the_start(
    log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with served(app_of(boundary_of(log, fails="open"), log)) as server:
        assert not server.started
    assert log == []
    assert "no printer" in caplog.text


def test_the_middleware_twice_for_one_boundary_stops_the_start(
    log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    boundary = boundary_of(log)
    app = app_of(boundary, log)
    app.add_middleware(EffectsMiddleware, boundary=boundary)
    with served(app) as server:
        assert not server.started
    assert log == ["printer on", "printer off"]
    assert "another EffectsMiddleware around this one" in caplog.text


async def test_a_startup_that_fails_closes_them(log: list[str]) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if log:
            raise ValueError("the app does not start")
        yield

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(EffectsMiddleware, boundary=boundary_of(log))
    assert kinds(await live(app)) == ["lifespan.startup.failed", "ValueError"]
    assert log == ["printer on", "printer off"]


async def test_a_resource_that_cannot_be_closed_fails_the_shutdown(log: list[str]) -> None:
    answers = await live(app_of(boundary_of(log, fails="close"), log))
    assert kinds(answers) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.failed",
        "ConnectionError",
    ]
    assert "printer on fire" in answers[1]["message"]


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError


async def ignores(scope: Any, receive: Any, send: Any) -> None:
    pass


@pytest.mark.parametrize("app", [refuses, ignores])
async def test_an_app_that_knows_of_no_lifespan_has_the_resources_too(
    log: list[str], app: App
) -> None:
    answers = await live(EffectsMiddleware(app, boundary_of(log)))
    assert kinds(answers) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["printer on", "printer off"]


async def crashes(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    raise ConnectionError("no database")


async def test_an_app_that_crashes_at_its_startup_is_not_said_to_have_started(
    log: list[str],
) -> None:
    assert kinds(await live(EffectsMiddleware(crashes, boundary_of(log)))) == ["ConnectionError"]
    assert log == ["printer on", "printer off"]


def test_a_server_does_not_start_then_as_without_the_middleware(
    log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with served(EffectsMiddleware(crashes, boundary_of(log))) as server:
        assert not server.started
    assert log == ["printer on", "printer off"]
    assert "no database" in caplog.text


async def test_an_app_that_fails_while_it_lives_closes_them(log: list[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError

    answers = await live(EffectsMiddleware(app, boundary_of(log)))
    assert kinds(answers) == ["lifespan.startup.complete", "ValueError"]
    assert log == ["printer on", "printer off"]


async def test_two_boundaries_are_opened_from_the_outside(log: list[str]) -> None:
    app = EffectsMiddleware(ignores, boundary_of(log))
    assert kinds(await live(EffectsMiddleware(app, boundary_of(log)))) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert log == ["printer on"] * 2 + ["printer off"] * 2
