"""What the middleware adds to a request that emits nothing, beside one that does nothing.

The same application is asked in turns, a request each, in processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib import import_module
from statistics import median
from time import process_time
from typing import Any

from airlock import Boundary
from benchmarks import django_project
from benchmarks.contenders import NotifyWarehouse
from benchmarks.measure import Bar, Contender, Row, Sample

BAR = 5.0
"""Microseconds."""
REQUESTS = 400
"""In each round, with each of the two."""

Ask = Callable[[], float]
Aask = Callable[[], Awaitable[float]]

boundary = Boundary({NotifyWarehouse: print})


def rows() -> Iterator[Row]:
    yield Row(
        "web",
        "what the middleware adds to a request that emits nothing",
        "µs",
        [
            Contender("Starlette", starlette, Bar.VALUE, BAR),
            Contender("Django, sync", django, Bar.VALUE, BAR),
            Contender("Django, async", django_async, Bar.VALUE, BAR),
            Contender("Flask", flask, Bar.VALUE, BAR),
        ],
    )


def added(nothing: Ask, ours: Ask) -> Sample:
    """The difference, request by request."""
    return compared([(nothing(), ours()) for _ in range(REQUESTS)])


async def added_async(nothing: Aask, ours: Aask) -> Sample:
    return compared([(await nothing(), await ours()) for _ in range(REQUESTS)])


def compared(pairs: list[tuple[float, float]]) -> Sample:
    """Microseconds that are added; beside them, those of a request without."""
    base = median(nothing for nothing, _ in pairs)
    more = median(ours - nothing for nothing, ours in pairs)
    return Sample(more * 1e6, {"a request without": base * 1e6})


def call(inner: Callable[..., Any], *given: Any) -> Any:
    """The least that a middleware of plain functions can be."""
    return inner(*given)


# -- Starlette ------------------------------------------------------------------------------------


class NoAsgi:
    """The least that an ASGI middleware can be."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def starlette() -> Callable[[], Sample]:
    nothing = _asked(_starlette(NoAsgi))
    ours = import_module("airlock.integrations.asgi").EffectsMiddleware
    mine = _asked(_starlette(ours, boundary=boundary))
    return lambda: asyncio.run(added_async(nothing, mine))


def _starlette(middleware: Any, **options: Any) -> Any:
    applications, responses = "starlette.applications", "starlette.responses"
    routing, response = import_module("starlette.routing"), import_module(responses)

    async def view(_: object) -> Any:
        return response.PlainTextResponse("ok")

    wrapped = import_module("starlette.middleware").Middleware(middleware, **options)
    app = import_module(applications).Starlette
    return app(routes=[routing.Route("/orders/42", view)], middleware=[wrapped])


def _asked(app: Any) -> Aask:
    request = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/orders/42"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: object) -> None:
        """What a server does is not measured."""

    async def ask() -> float:
        scope = {**request, "query_string": b"", "headers": []}
        start = process_time()
        await app(scope, receive, send)
        return process_time() - start

    return ask


# -- Django ---------------------------------------------------------------------------------------

OURS = "airlock.integrations.django.EffectsMiddleware"


def no_django(get_response: Any) -> Any:
    """The least that a Django middleware can be."""
    if not import_module("asgiref.sync").iscoroutinefunction(get_response):
        return partial(call, get_response)

    async def middleware(request: Any) -> Any:
        return await get_response(request)

    return middleware


no_django.sync_capable = no_django.async_capable = True  # type: ignore[attr-defined]  # as Django reads it


def django() -> Callable[[], Sample]:
    handlers = [_handler(name, is_async=False) for name in (f"{__name__}.no_django", OURS)]
    nothing, ours = (_got(handler) for handler in handlers)
    return lambda: added(nothing, ours)


def django_async() -> Callable[[], Sample]:
    handlers = [_handler(name, is_async=True) for name in (f"{__name__}.no_django", OURS)]
    nothing, ours = (_agot(handler) for handler in handlers)
    return lambda: asyncio.run(added_async(nothing, ours))


def _handler(middleware: str, *, is_async: bool) -> Any:
    django_project.set_up()
    handler = import_module("django.core.handlers.base").BaseHandler()
    with import_module("django.test").override_settings(MIDDLEWARE=[middleware]):
        handler.load_middleware(is_async=is_async)
    return handler


def _got(handler: Any) -> Ask:
    make = import_module("django.test").RequestFactory()

    def ask() -> float:
        request = make.get("/view")  # as a server makes one, which is not paid for
        start = process_time()
        handler.get_response(request)
        return process_time() - start

    return ask


def _agot(handler: Any) -> Aask:
    make = import_module("django.test").RequestFactory()

    async def ask() -> float:
        request = make.get("/aview")
        start = process_time()
        await handler.get_response_async(request)
        return process_time() - start

    return ask


# -- Flask ----------------------------------------------------------------------------------------


def flask() -> Callable[[], Sample]:
    plain, scoped = _flask(), _flask()
    wsgi = plain.wsgi_app
    plain.wsgi_app = partial(call, wsgi)
    import_module("airlock.integrations.flask").Effects(scoped, boundary)
    nothing, ours = _served(plain), _served(scoped)
    return lambda: added(nothing, ours)


def _flask() -> Any:
    app = import_module("flask").Flask("benchmark")
    app.add_url_rule("/orders/42", view_func=lambda: "ok")
    return app


def _served(app: Any) -> Ask:
    environ = import_module("werkzeug.test").create_environ("/orders/42")

    def start(*_: object) -> None:
        """What a server does is not measured."""

    def ask() -> float:
        request = dict(environ)
        begun = process_time()
        b"".join(app(request, start))
        return process_time() - begun

    return ask
