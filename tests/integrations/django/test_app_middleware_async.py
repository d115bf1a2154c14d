"""One scope for each request, as ASGI serves it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import django
import pytest
from asgiref.sync import SyncToAsync, iscoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import AsyncClient, override_settings
from django.urls import clear_url_caches, path

import airlock
from airlock.integrations.django import EffectsMiddleware
from airlock.scopes.current import NOWHERE, here
from tests.integrations.django import pages
from tests.integrations.django.pages import MIDDLEWARE, Note, async_boundary, done
from tests.integrations.django.shop.models import Row
from tests.integrations.django.test_app_middleware import PAGES, serving

ASYNC = pytest.mark.parametrize("boundary", [pages.boundary, async_boundary], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def _served() -> Iterator[None]:
    done.clear()
    pages.threads.clear()
    with serving():
        yield
    assert here.get() is NOWHERE
    Row.objects.all().delete()


def get(*paths: str, **settings: Any) -> list[Any]:
    """The responses to some requests, one after the other in one task."""

    async def ask() -> list[Any]:
        client = AsyncClient(raise_request_exception=False)
        return [await client.get(path) for path in paths]

    with serving(**settings):
        return asyncio.run(ask())


@ASYNC
@pytest.mark.parametrize("path", ["/note/a", "/given/a", "/async/note/a"])
def test_effects_happen_before_the_response_is_returned(path: str, boundary: Any) -> None:
    (response,) = get(path, BOUNDARY=boundary)
    assert response.content == b""
    assert done == ["a"]


@ASYNC
@pytest.mark.parametrize("path", ["/crash", "/async/crash", "/missing", "/status/400"])
def test_an_exception_or_a_bad_status_discards(path: str, boundary: Any) -> None:
    get(path, BOUNDARY=boundary)
    assert done == []


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/async/crash", ("KeyError", 500)),
        ("/crash", ("KeyError", 500)),
        ("/missing", ("Http404", 404)),
        ("/async/note/a", ("NoneType", 200)),
    ],
)
def test_keep_is_asked_with_the_exception_and_the_status(path: str, asked: tuple[str, int]) -> None:
    seen: list[tuple[str, int]] = []

    def keep(error: BaseException | None, status: int) -> bool:
        seen.append((type(error).__name__, status))
        return True

    get(path, KEEP=keep)
    assert set(seen) == {asked}


@ASYNC
def test_transactions_decide_in_their_thread(boundary: Any) -> None:
    get("/async/save/a?crash", "/save/b?status=500", "/unsave/c", BOUNDARY=boundary)
    assert done == ["a", "b", "caught"]
    assert sorted(row.text for row in Row.objects.all()) == ["a", "b"]


@ASYNC
def test_an_error_of_a_handler_is_logged_and_in_the_report(
    boundary: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (response,) = get("/async/note/fails", BOUNDARY=boundary)
    assert response.status_code == 200
    assert response.asgi_request.effects.report.failed == [Note("fails")]
    assert "effects of GET /async/note/fails failed" in caplog.text


def test_or_raised() -> None:
    (response,) = get("/async/note/fails", ON_FLUSH_ERROR="raise")
    assert response.status_code == 500


def test_tasks_of_a_view_emit_into_its_scope() -> None:
    get("/async/gather/a")
    assert sorted(done) == ["a0", "a1", "a2"]


@pytest.mark.parametrize("how", ["crash", "status=200", "crash&independent", "independent"])
@pytest.mark.parametrize("path", ["/leak", "/async/leak"])
def test_a_scope_that_a_view_leaves_open_does_not_reach_the_next_request(
    path: str, how: str
) -> None:
    get(f"{path}?{how}", "/async/note/a", "/async/crash", "/note/b")
    assert "leaked" not in done
    assert done[-2:] == ["a", "b"]


def test_requests_at_once_do_not_see_each_other() -> None:
    async def ask() -> list[Any]:
        client = AsyncClient(raise_request_exception=False)
        paths = [f"/async/gather/{name}" for name in "abc"] + ["/async/crash", "/note/d"]
        return await asyncio.gather(*(client.get(path) for path in paths))

    responses = asyncio.run(ask())
    for name, response in zip("abc", responses, strict=False):
        delivered = response.asgi_request.effects.report.delivered
        assert delivered == [Note(f"{name}{i}") for i in range(3)]
    assert responses[3].asgi_request.effects.report.discarded == [Note("crash")]


def test_sync_handlers_run_in_the_thread_for_sync_code_and_may_use_the_database() -> None:
    get("/async/rows", "/async/note/a")
    assert done == ["0 rows", "a"]
    assert pages.threads != [threading.main_thread().name]


def test_async_handlers_run_in_the_loop() -> None:
    get("/async/note/a", BOUNDARY=async_boundary)
    assert pages.threads == [threading.main_thread().name]


def test_the_body_of_a_stream_is_after_the_request() -> None:
    async def ask() -> tuple[list[str], bytes]:
        response: Any = await AsyncClient().get("/async/stream")
        before = list(done)
        return before, b"".join([part async for part in response])

    assert asyncio.run(ask()) == (["before the body"], b"no scope")


def test_with_a_sync_middleware_inside_the_scope_still_reaches_async_views() -> None:
    async def ask() -> None:
        await AsyncClient().get("/async/note/a")

    with serving(MIDDLEWARE, f"{PAGES}.crashing"):
        asyncio.run(ask())
    assert done == ["of a middleware", "a"]


def test_it_is_what_it_wraps() -> None:
    def sync(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    async def asynchronous(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with serving():
        assert not iscoroutinefunction(EffectsMiddleware(sync))
        assert iscoroutinefunction(EffectsMiddleware(asynchronous))


@pytest.mark.parametrize(
    ("path", "boundary", "switches"),
    [
        ("/async/noop", pages.boundary, 0),
        ("/async/note/a", async_boundary, 0),
        ("/async/note/a", pages.boundary, 1),
    ],
)
def test_threads_are_switched_only_for_sync_handlers(
    path: str, boundary: Any, switches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    real = SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(self.func)
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF=PAGES):
        asyncio.run(Asked("/async/noop").answered())
    without, called = len(called), []
    with serving(BOUNDARY=boundary):
        asyncio.run(Asked(path).answered())
    assert len(called) - without == switches


class Asked:
    """A request to the ASGI app itself."""

    def __init__(self, path: str) -> None:
        self.scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": []}
        self.scope |= {"query_string": b"", "http_version": "1.1", "server": ("testserver", 80)}
        self.left = asyncio.Event()
        self.sent: list[Any] = []
        self._told = False

    async def receive(self) -> dict[str, Any]:
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def answered(self) -> None:
        await ASGIHandler()(self.scope, self.receive, self.send)


@pytest.mark.skipif(django.VERSION < (5,), reason="Django 4 lets requests go on without a client")
@ASYNC
def test_a_request_that_is_cancelled_delivers_what_was_committed(
    boundary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[asyncio.Event] = []

    async def hang(request: HttpRequest) -> HttpResponseBase:
        await sync_to_async(pages.save)(request, "committed")
        airlock.emit(Note("not committed"))
        begun[0].set()
        await asyncio.sleep(60)
        return HttpResponse()

    async def ask() -> None:
        begun.append(asyncio.Event())
        asked = Asked("/hang")
        asking = asyncio.create_task(asked.answered())
        await begun[0].wait()
        asked.left.set()
        await asking

    monkeypatch.setattr(pages, "urlpatterns", [path("hang", hang)])
    clear_url_caches()
    try:
        with serving(BOUNDARY=boundary):
            asyncio.run(asyncio.wait_for(ask(), 10))
    finally:
        clear_url_caches()
    assert done == ["committed"]
