"""The middleware around a Starlette app: what is kept, when it happens, what is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

import airlock
from airlock import Allow, Boundary, Drop, FlushError, delivery
from airlock.errors import ClosedRegionError, DeclarationError, ScopeOrderError, SettingError
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.starlette import effects_of
from tests.integrations.asgi.vocabulary import Note, Notes, Receipt, get

pytestmark = pytest.mark.anyio

View = Callable[[Request], Awaitable[Response]]


def app_of(view: Any, notes: Notes, *, inside: Any = (), outside: Any = (), **options: Any) -> Any:
    """A Starlette app with one view, under every path."""
    ours = Middleware(EffectsMiddleware, boundary=notes.boundary, **options)
    return Starlette(
        routes=[Route("/{path:path}", view, methods=["GET", "POST"])],
        middleware=[*outside, ours, *inside],
        exception_handlers={LookupError: answer_404},
    )


async def answer_404(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 404)


@pytest.fixture
def notes() -> Notes:
    return Notes()


class TestKeeping:
    async def test_effects_happen_after_the_response_was_sent(self, notes: Notes) -> None:
        async def view(request: Request) -> Response:
            effects_of(request).emit(Note("delivered"))
            return PlainTextResponse("ok")

        inner = app_of(view, notes)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                notes.log.append(message["type"])
                await send(message)

            await inner(scope, receive, sending)

        assert (await get(app, "/")).text == "ok"
        assert notes.log == ["http.response.start", "http.response.body", "delivered"]

    @pytest.mark.parametrize("status", [200, 201, 303, 400, 404, 500])
    async def test_a_status_from_400_on_discards(self, notes: Notes, status: int) -> None:
        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            return Response(status_code=status)

        assert (await get(app_of(view, notes), "/")).status_code == status
        assert notes.log == (["x"] if status < 400 else [])
        assert notes.report.discarded == ([] if status < 400 else [Note("x")])

    async def test_an_error_discards(self, notes: Notes) -> None:
        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            raise ValueError("broken")

        assert (await get(app_of(view, notes), "/")).status_code == 500
        assert notes.log == []
        with pytest.raises(ValueError, match="broken"):
            await get(app_of(view, notes), "/", raises=True)

    @pytest.mark.parametrize("error", [HTTPException(409), LookupError("none")])
    async def test_an_error_that_the_framework_answers_discards(
        self, notes: Notes, error: Exception
    ) -> None:
        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            raise error

        assert (await get(app_of(view, notes), "/")).status_code in (404, 409)
        assert notes.log == []

    async def test_an_app_that_does_not_answer_discards(self, notes: Notes) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            airlock.emit(Note("x"))

        await EffectsMiddleware(app, notes.boundary)(request_to("/"), nothing, ignore)
        assert notes.log == []

    async def test_keep_may_decide_otherwise(self, notes: Notes) -> None:
        asked = []

        def keep(error: BaseException | None, status: int) -> bool:
            asked.append((error, status))
            return True

        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            return Response(status_code=409)

        await get(app_of(view, notes, keep=keep), "/")
        assert (notes.log, asked) == (["x"], [(None, 409)])

    @pytest.mark.parametrize("heard", ["before it starts", "in between", "when it is over"])
    async def test_a_client_that_is_known_to_have_left_before_the_response_was_complete(
        self, notes: Notes, heard: str
    ) -> None:
        asked = []

        def keep(error: BaseException | None, status: int) -> bool:
            asked.append((type(error), status))
            return error is None

        async def app(scope: Any, receive: Any, send: Any) -> None:
            airlock.emit(Note("x"))
            assert (await receive())["type"] == "http.request"
            for now, message in {
                "before it starts": {"type": "http.response.start", "status": 200},
                "in between": {"type": "http.response.body", "body": b"", "more_body": False},
                "when it is over": None,
            }.items():
                if now == heard:
                    assert (await receive())["type"] == "http.disconnect"
                if message is not None:
                    await send(message)

        told: list[Any] = [{"type": "http.disconnect"}, {"type": "http.request", "body": b""}]

        async def receive() -> Any:
            return told.pop()

        await EffectsMiddleware(app, notes.boundary, keep=keep)(request_to("/"), receive, ignore)
        late = heard == "when it is over"
        assert asked == [(type(None) if late else ConnectionAbortedError, 200)]
        assert notes.log == (["x"] if late else [])

    async def test_requests_at_the_same_time_are_apart(self, notes: Notes) -> None:
        async def view(request: Request) -> Response:
            name = request.url.path
            airlock.emit(Note(f"{name} begins"))
            await anyio.sleep(0.01)
            airlock.emit(Note(f"{name} ends"))
            assert effects_of(request) == [Note(f"{name} begins"), Note(f"{name} ends")]
            return PlainTextResponse(status_code=500 if name == "/3" else 200)

        app = app_of(view, notes)
        async with anyio.create_task_group() as group:
            for n in range(10):
                group.start_soon(get, app, f"/{n}")
        wanted = {f"/{n} {what}" for n in range(10) if n != 3 for what in ("begins", "ends")}
        assert (len(notes.log), set(notes.log)) == (18, wanted)

    async def test_headers_of_the_request_ride_on_its_effects(self) -> None:
        seen = []

        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            return Response()

        notes = Notes()
        notes.boundary = Boundary({Note: lambda note: seen.append(dict(delivery().headers))})
        app = app_of(view, notes, headers=lambda scope: {"path": scope["path"]})
        await get(app, "/checkout")
        assert seen == [{"path": "/checkout"}]


class TestWhereCodeRuns:
    async def test_background_tasks_belong_to_the_request(self, notes: Notes) -> None:
        async def later() -> None:
            await anyio.sleep(0.01)
            notes.log.append("in the background")
            airlock.emit(Note("later"))

        async def view(request: Request) -> Response:
            airlock.emit(Note("now"))
            return PlainTextResponse("ok", background=BackgroundTask(later))

        assert (await get(app_of(view, notes), "/")).text == "ok"
        assert notes.log == ["in the background", "now", "later"]

    async def test_a_background_task_that_fails_discards(self, notes: Notes) -> None:
        def later() -> None:
            raise ValueError("cut")

        async def view(request: Request) -> Response:
            airlock.emit(Note("now"))
            return PlainTextResponse("ok", background=BackgroundTask(later))

        assert (await get(app_of(view, notes), "/")).text == "ok"
        assert notes.log == []

    async def test_a_sync_view_runs_in_a_thread_and_emits_into_the_request(
        self, notes: Notes
    ) -> None:
        def view(request: Request) -> Response:
            airlock.emit(Note("ambient"))
            effects_of(request).emit(Note("injected"))
            with airlock.region(Drop()):
                airlock.emit(Note("dropped"))
            return PlainTextResponse("ok")

        await get(app_of(view, notes), "/")
        assert notes.log == ["ambient", "injected"]

    async def test_a_body_that_is_streamed_emits_into_the_request(self, notes: Notes) -> None:
        async def body() -> AsyncIterator[str]:
            for n in range(3):
                airlock.emit(Note(f"chunk {n}"))
                yield str(n)

        async def view(request: Request) -> Response:
            airlock.emit(Note("view"))
            return StreamingResponse(body())

        assert (await get(app_of(view, notes), "/")).text == "012"
        assert notes.log == ["view", "chunk 0", "chunk 1", "chunk 2"]

    async def test_a_body_that_fails_discards(self, notes: Notes) -> None:
        async def body() -> AsyncIterator[str]:
            yield "some"
            airlock.emit(Note("some"))
            raise ValueError("cut")

        async def view(request: Request) -> Response:
            return StreamingResponse(body())

        with pytest.raises(ValueError, match="cut"):
            await get(app_of(view, notes), "/", raises=True)
        assert notes.log == []

    async def test_tasks_of_a_view_emit_into_the_request(self, notes: Notes) -> None:
        async def emit(text: str) -> None:
            await anyio.lowlevel.checkpoint()
            airlock.emit(Note(text))

        async def view(request: Request) -> Response:
            async with anyio.create_task_group() as group:
                group.start_soon(emit, "a")
                group.start_soon(emit, "b")
            return Response()

        await get(app_of(view, notes), "/")
        assert sorted(notes.log) == ["a", "b"]

    @pytest.mark.parametrize("place", ["inside", "outside"])
    async def test_a_base_http_middleware_on_either_side_changes_nothing(
        self, notes: Notes, place: str
    ) -> None:
        async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
            if place == "inside":
                airlock.emit(Note("before"))
            response = await call_next(request)
            if place == "inside":
                effects_of(request).emit(Note("after"))
            return response

        async def view(request: Request) -> Response:
            airlock.emit(Note("view"))
            return PlainTextResponse("ok", int(request.url.path[1:]))

        theirs = Middleware(BaseHTTPMiddleware, dispatch=dispatch)
        app = app_of(view, notes, **{place: [theirs]})
        assert (await get(app, "/200")).text == "ok"
        assert notes.log == (["before", "view", "after"] if place == "inside" else ["view"])
        notes.log.clear()
        assert (await get(app, "/422")).status_code == 422
        assert notes.log == []

    async def test_a_view_that_calls_another_app_has_nothing_in_common_with_it(
        self, notes: Notes
    ) -> None:
        async def view(request: Request) -> Response:
            if request.url.path == "/inner":
                airlock.emit(Note("inner"))
                return Response()
            airlock.emit(Note("outer"))
            await get(app, "/inner")
            assert notes.log == ["inner"]
            airlock.emit(Note("outer still"))
            return Response(status_code=500)

        app = app_of(view, notes)
        await get(app, "/outer")
        assert notes.log == ["inner"]
        assert notes.report.discarded == [Note("outer"), Note("outer still")]

    async def test_what_encloses_a_request_holds(self, notes: Notes) -> None:
        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            return Response()

        with airlock.enclose(Drop()):
            await get(app_of(view, notes), "/")
        assert notes.log == []
        assert notes.report.dropped == [Note("x")]


async def test_tasks_of_asyncio_emit_into_the_request(notes: Notes, anyio_backend: str) -> None:
    if anyio_backend == "trio":
        return

    async def emit(text: str) -> None:
        await asyncio.sleep(0)
        airlock.emit(Note(text))

    async def view(request: Request) -> Response:
        async with asyncio.TaskGroup() as group:
            group.create_task(emit("a"))
        await asyncio.gather(emit("b"), emit("c"))
        return Response()

    await get(app_of(view, notes), "/")
    assert notes.log == ["a", "b", "c"]


async def test_a_task_that_outlives_its_request_keeps_back_nothing_but_its_own(
    notes: Notes, anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend == "trio":
        return
    answered, tasks, errors = asyncio.Event(), list[Any](), list[Exception]()

    async def background() -> None:
        try:
            with airlock.region(Allow()):
                airlock.emit(Note("late"))
                await answered.wait()
                airlock.emit(Note("too late"))
        except ClosedRegionError as error:
            errors.append(error)

    async def view(request: Request) -> Response:
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)
        airlock.emit(Note("a"))
        return PlainTextResponse("ok")

    assert (await get(app_of(view, notes), "/")).text == "ok"
    assert notes.log == ["a"]
    assert "OpenRegionsError" in caplog.text
    answered.set()
    await asyncio.gather(*tasks)
    assert len(errors) == 1
    assert notes.log == ["a"]


class TestErrorsOfTheFlush:
    @staticmethod
    async def view(request: Request) -> Response:
        airlock.emit(Note("bad"))
        airlock.emit(Receipt(1))
        return PlainTextResponse("ok")

    @staticmethod
    def failing(notes: Notes) -> Notes:
        def fail(note: Note) -> None:
            raise ConnectionError("no route to the printer")

        handlers = {Note: fail, Receipt: notes.deliver}
        notes.boundary = Boundary(handlers, observers=[notes.seen])
        return notes

    async def test_they_are_logged_and_the_client_does_not_hear_of_them(
        self, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = await get(app_of(self.view, self.failing(notes)), "/checkout", raises=True)
        assert response.text == "ok"
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "GET /checkout" in record.getMessage()
        assert notes.report.failed == [Note("bad")]
        assert notes.log == ["receipt 1"]

    async def test_they_are_raised_if_that_is_wanted(self, notes: Notes) -> None:
        app = app_of(self.view, self.failing(notes), on_flush_error="raise")
        with pytest.raises(FlushError):
            await get(app, "/", raises=True)

    async def test_a_path_cannot_forge_lines_of_the_log(
        self, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (await self.view(Request(scope)))(scope, receive, send)

        await get(EffectsMiddleware(app, self.failing(notes).boundary), "/a%0Ab")
        assert [r"'GET /a\nb'" in record.getMessage() for record in caplog.records] == [True]

    async def test_a_slow_handler_is_told_of_and_the_way_out_too(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def slow(note: Note) -> None:
            await anyio.sleep(0.02)

        notes = Notes()
        notes.boundary = Boundary({Note: slow, Receipt: notes.deliver})
        await get(app_of(self.view, notes, slow=timedelta(milliseconds=10)), "/")
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "asgi.note" in record.getMessage()
        assert "dispatch=" in record.getMessage()
        caplog.clear()
        await get(app_of(self.view, notes), "/")
        assert caplog.records == []


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"boundary": print}, r"EffectsMiddleware\(boundary=...\) takes a Boundary"),
            ({"keep": True}, r"EffectsMiddleware\(keep=...\)"),
            ({"headers": {"tenant": "x"}}, r"EffectsMiddleware\(headers=...\)"),
            ({"slow": 0.1}, "slow"),
            ({"on_flush_error": "ignore"}, "on_flush_error"),
        ],
    )
    async def test_wrong_arguments_are_refused_at_once(
        self, notes: Notes, options: Any, message: str
    ) -> None:
        with pytest.raises(DeclarationError, match=message):
            EffectsMiddleware(app_of(None, notes), **{"boundary": notes.boundary, **options})

    async def test_headers_that_are_none_are_refused_before_the_view_runs(
        self, notes: Notes
    ) -> None:
        async def view(request: Request) -> Response:
            notes.log.append("ran")
            return Response()

        app = app_of(view, notes, headers=lambda scope: {"user": 42})
        with pytest.raises(TypeError, match="headers"):
            await get(app, "/", raises=True)
        assert notes.log == []

    async def test_the_middleware_twice_for_one_boundary_is_refused(self, notes: Notes) -> None:
        async def view(request: Request) -> Response:
            notes.log.append("ran")
            return Response()

        twice = Middleware(EffectsMiddleware, boundary=notes.boundary)
        with pytest.raises(SettingError, match="another EffectsMiddleware around this one"):
            await get(app_of(view, notes, inside=[twice]), "/", raises=True)
        assert notes.log == []

    async def test_so_is_it_in_a_mounted_app(self, notes: Notes) -> None:
        async def view(request: Request) -> Response:
            airlock.emit(Note("x"))
            return Response()

        other = Notes()
        app = app_of(view, notes)
        app.router.routes[:0] = [
            Mount("/same", app_of(view, notes)),
            Mount("/other", app_of(view, other)),
        ]
        with pytest.raises(SettingError, match="Remove one of the two"):
            await get(app, "/same/a", raises=True)
        await get(app, "/other/a", raises=True)
        await get(app, "/a", raises=True)
        assert (notes.log, other.log) == (["x"], ["x"])

    async def test_two_boundaries_each_have_a_scope(self, notes: Notes) -> None:
        inner = Notes()

        async def view(request: Request) -> Response:
            ours = request.scope["airlock"]
            assert effects_of(request) is ours.effects
            ours.outer.effects.emit(Note("outer"))
            ours.effects.emit(Note("inner"))
            return Response()

        second = Middleware(EffectsMiddleware, boundary=inner.boundary)
        await get(app_of(view, notes, inside=[second]), "/", raises=True)
        assert (notes.log, inner.log) == (["outer"], ["inner"])

    async def test_without_the_middleware_the_error_names_it(self) -> None:
        async def view(request: Request) -> Response:
            effects_of(request)
            return Response()

        with pytest.raises(
            SettingError, match=r"app\.add_middleware\(EffectsMiddleware, boundary="
        ):
            await get(Starlette(routes=[Route("/", view)]), "/", raises=True)

    async def test_a_scope_that_a_view_leaves_open_costs_what_is_in_it_and_harms_nobody(
        self, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def view(request: Request) -> Response:
            if request.url.path == "/leaks":
                airlock.emit(Note("before"))
                notes.boundary.scope().enter()
            airlock.emit(Note("x"))
            return PlainTextResponse("ok")

        app = app_of(view, notes)
        for path in ("/leaks", "/leaks", "/fine"):
            assert (await get(app, path, raises=True)).text == "ok"
        assert notes.log == ["before", "before", "x"]
        assert [type(r.exc_info[1]) for r in caplog.records if r.exc_info] == [ScopeOrderError] * 2
        assert "GET /leaks has left a scope open" in caplog.text
        assert "cannot leave the scope of GET /leaks here" in caplog.text

    async def test_it_is_raised_once_if_errors_are(self, notes: Notes) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            notes.boundary.scope().enter()
            await PlainTextResponse("ok")(scope, receive, send)

        ours = EffectsMiddleware(app, notes.boundary, on_flush_error="raise")
        with pytest.raises(ScopeOrderError):
            await ours(request_to("/"), nothing, ignore)
        assert ours._edge.flush_errors == 1

    async def test_a_view_that_crashes_in_a_scope_left_open_harms_nobody(
        self, notes: Notes
    ) -> None:
        async def view(request: Request) -> Response:
            if request.url.path == "/crashes":
                notes.boundary.scope(policy=Drop()).enter()
                raise ValueError("crash")
            airlock.emit(Note("x"))
            return PlainTextResponse("ok")

        app = app_of(view, notes)
        with pytest.raises(ValueError, match="crash"):
            await get(app, "/crashes", raises=True)
        await get(app, "/fine", raises=True)
        assert notes.log == ["x"]


async def test_connections_of_other_kinds_pass_through(notes: Notes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        notes.log.append(scope["type"])

    await EffectsMiddleware(app, notes.boundary)({"type": "telegraph"}, nothing, ignore)
    assert notes.log == ["telegraph"]


async def test_the_key_is_gone_when_the_request_is_over(notes: Notes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        notes.log.append(type(scope["airlock"].effects).__name__)

    request = request_to("/")
    await EffectsMiddleware(app, notes.boundary)(request, nothing, ignore)
    assert notes.log == ["Scope"]
    assert request.get("airlock") is None


def request_to(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": []}


async def nothing() -> Any:
    raise AssertionError("nobody asked")


async def ignore(_: Any) -> None:
    pass
