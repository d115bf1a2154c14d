"""FastAPI on a real server: streaming, clients that leave, pipelines, websockets, shutdown."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

import airlock
from airlock import Boundary, Outcome, delivery
from airlock.errors import NoScopeError, ScopeStateError
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.fastapi import Effects
from airlock.integrations.sqlalchemy import on_commit
from tests.integrations.asgi.vocabulary import Note, Notes, served


@pytest.fixture
def notes() -> Notes:
    return Notes()


def app_of(notes: Notes, *inside: Middleware, **options: Any) -> FastAPI:
    ours = Middleware(EffectsMiddleware, boundary=notes.boundary, **options)
    return FastAPI(middleware=[ours, *inside])


def soon(condition: Any) -> None:
    """Wait for something that the server does after it has answered."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.01)


def test_the_client_has_the_response_before_the_effects_happen(notes: Notes) -> None:
    async def slow(note: Note) -> None:
        await asyncio.sleep(0.2)
        notes.deliver(note)

    notes.boundary = Boundary({Note: slow}, observers=[notes.seen])
    app = app_of(notes)

    @app.get("/")
    def view(effects: Effects) -> str:
        effects.emit(Note("x"))
        return "ok"

    with served(app) as server:
        assert httpx.get(server.url).json() == "ok"
        assert notes.log == []
        soon(lambda: notes.log == ["x"])


class TestClientsThatLeave:
    """They leave while the body is streamed."""

    @contextmanager
    def left(self, app: FastAPI, notes: Notes, body: Any) -> Iterator[None]:
        async def streamed() -> AsyncIterator[str]:
            async for chunk in body:
                yield chunk
            for _ in range(1000):
                yield "x" * 10_000
                await asyncio.sleep(0.01)
            notes.log.append("read to the end")

        async def view() -> StreamingResponse:
            return StreamingResponse(streamed())

        app.get("/")(view)
        with served(app) as server:
            with httpx.stream("GET", server.url) as response:
                assert next(response.iter_text())[:1] == "a"
            soon(lambda: notes.seen.reports)
            yield

    def test_what_the_request_emitted_is_discarded(self, notes: Notes) -> None:
        async def body() -> AsyncIterator[str]:
            airlock.emit(Note("streamed"))
            yield "a"

        with self.left(app_of(notes), notes, body()):
            assert notes.log == []
            assert notes.report.discarded == [Note("streamed")]

    @pytest.mark.parametrize("layers", [1, 2])
    def test_so_it_is_under_a_middleware_that_ends_the_response_for_the_view(
        self, notes: Notes, layers: int
    ) -> None:
        async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

        async def body() -> AsyncIterator[str]:
            airlock.emit(Note("streamed"))
            yield "a"

        theirs = [Middleware(BaseHTTPMiddleware, dispatch=dispatch)] * layers
        with self.left(app_of(notes, *theirs), notes, body()):
            assert notes.log == []
            assert notes.report.discarded == [Note("streamed")]

    def test_keep_is_told_and_may_decide_otherwise(self, notes: Notes) -> None:
        asked = []

        def keep(error: BaseException | None, status: int) -> bool:
            asked.append((type(error), status))
            return True

        async def body() -> AsyncIterator[str]:
            airlock.emit(Note("streamed"))
            yield "a"

        with self.left(app_of(notes, keep=keep), notes, body()):
            assert notes.log == ["streamed"]
            ((error, status),) = asked
            assert issubclass(error, Exception)
            assert status == 200

    def test_what_was_committed_is_delivered(self, notes: Notes, tmp_path: Path) -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/s", poolclass=NullPool)

        async def body() -> AsyncIterator[str]:
            effects = airlock.current()
            async with AsyncSession(engine) as session:
                effects.release_with(on_commit(session))
                await session.execute(text("CREATE TABLE t (id INTEGER)"))
                effects.emit(Note("committed"))
                await session.commit()
                await session.execute(text("INSERT INTO t VALUES (1)"))
                effects.emit(Note("not committed"))
            yield "a"

        with self.left(app_of(notes), notes, body()):
            assert notes.log == ["committed"]
            assert notes.report.discarded == [Note("not committed")]


def test_pipelined_requests_have_nothing_in_common(notes: Notes) -> None:
    """The server begins the second in the context of the first, which is still at work."""
    told: list[tuple[str, str]] = []

    def deliver(note: Note) -> None:
        told.append((note.text, delivery().headers["path"]))

    async def later() -> None:
        await asyncio.sleep(0.3)

    async def view(path: str, effects: Effects, tasks: BackgroundTasks) -> str:
        if path == "first":
            tasks.add_task(later)
        airlock.emit(Note(path))
        assert effects == [Note(path)]
        return path

    notes.boundary = Boundary({Note: deliver}, observers=[notes.seen])
    app = app_of(notes, headers=lambda scope: {"path": scope["path"]})
    app.get("/{path}")(view)
    with served(app) as server, socket.create_connection(("127.0.0.1", server.port)) as wire:
        request = "GET /{} HTTP/1.1\r\nHost: shop\r\n\r\n"
        wire.sendall((request.format("first") + request.format("second")).encode())
        soon(lambda: len(told) == 2)
    assert told == [("second", "/second"), ("first", "/first")]


class TestWebsockets:
    """A connection may stay open for days: it is no unit of work, its messages are."""

    def test_emitting_is_refused(self, notes: Notes) -> None:
        app = app_of(notes)

        async def view(websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                airlock.emit(Note("x"))
            except NoScopeError as error:
                await websocket.send_text(str(error))

        app.websocket("/")(view)
        with served(app) as server, connect(server.url.replace("http", "ws")) as client:
            assert "with boundary.scope()" in str(client.recv())

    def test_each_message_may_have_a_scope(self, notes: Notes) -> None:
        app = app_of(notes)

        async def view(websocket: WebSocket) -> None:
            await websocket.accept()
            async for message in websocket.iter_text():
                try:
                    async with notes.boundary.scope() as effects:
                        effects.emit(Note(message))
                        if message == "bad":
                            raise ValueError(message)
                except ValueError:
                    pass
                await websocket.send_text(",".join(notes.log))

        app.websocket("/")(view)
        with served(app) as server, connect(server.url.replace("http", "ws")) as client:
            for message, then in (("a", "a"), ("bad", "a"), ("b", "a,b")):
                client.send(message)
                assert client.recv() == then

    def test_to_depend_on_the_effects_of_one_is_refused(
        self, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = app_of(notes)

        async def view(websocket: WebSocket, effects: Effects) -> None:
            await websocket.accept()

        app.websocket("/")(view)
        with served(app) as server, pytest.raises((InvalidStatus, ConnectionClosedError)):
            connect(server.url.replace("http", "ws")).recv()
        errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
        assert [type(error) for error in errors] == [ScopeStateError]
        assert "Open one for each message" in str(errors[0])


def test_a_server_that_is_stopped_during_a_flush_leaves_a_complete_report(notes: Notes) -> None:
    async def endless(note: Note) -> None:
        notes.deliver(note)
        if note.text == "second":
            await asyncio.sleep(600)

    notes.boundary = Boundary({Note: endless}, observers=[notes.seen])
    app = app_of(notes)

    @app.get("/")
    async def view(effects: Effects) -> str:
        effects.emit_all([Note("first"), Note("second"), Note("third")])
        return "ok"

    with served(app, timeout_graceful_shutdown=1) as server:
        httpx.get(server.url)
        soon(lambda: "second" in notes.log)
    assert notes.log == ["first", "second"]
    assert [(e.intent.text, e.outcome) for e in notes.report] == [
        ("first", Outcome.DELIVERED),
        ("second", Outcome.FAILED),
        ("third", Outcome.PENDING),
    ]
