"""``EffectsMiddleware``: opens a scope around each HTTP request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import NoReturn

from airlock import Boundary
from airlock.effects.registry import describe
from airlock.errors import DeclarationError, SettingError
from airlock.integrations.asgi.connection import (
    KEY,
    SERVED,
    Connection,
    Keep,
    Request,
    Response,
    Unscoped,
    around_others,
)
from airlock.integrations.asgi.lifespan import STARTUP_FAILED, Lifespan
from airlock.integrations.asgi.types import App, ASGIScope, Receive, Send
from airlock.integrations.base import SLOW, Edge, keep_web
from airlock.release import OnFlushError
from airlock.scopes.current import NOWHERE, here

__all__ = ["EffectsMiddleware"]


class EffectsMiddleware:
    """Opens a scope around each HTTP request; its effects happen once the response has been sent.

    Background tasks belong to the request: the flush waits for them, and delivers what they emit
    too. A websocket gets no scope, as it is no unit of work. The resources of the boundary's
    container are opened before the app starts, and closed after it has shut down.

    Args:
        app: the ASGI app; frameworks give it: ``app.add_middleware(EffectsMiddleware,
            boundary=boundary)``.
        boundary: that the scopes belong to.
        keep: decides about what was emitted without a transaction: by default it is kept if nothing
            was raised and the status is below 400.
        headers: called with the ASGI scope; what it returns rides on every intent of the request.
        on_flush_error: ``"report"`` logs errors of a flush, ``"raise"`` raises them to the server.
        slow: log a warning of inline handlers that take longer; None for none.

    Raises:
        DeclarationError: an argument makes no sense.

    Example:
        >>> async def app(scope, receive, send):
        ...     scope["airlock"].effects.emit(NotifyWarehouse(42))
        ...     await send({"type": "http.response.start", "status": 200, "headers": []})
        ...     await send({"type": "http.response.body", "body": b"ok"})
        >>> async def send(message):
        ...     print(message["type"])
        >>> import asyncio
        >>> app = EffectsMiddleware(app, Boundary({NotifyWarehouse: print}))
        >>> request = {"type": "http", "method": "GET", "path": "/"}
        >>> asyncio.run(app(request, None, send))
        http.response.start
        http.response.body
        NotifyWarehouse(order_id=42)
    """

    def __init__(
        self,
        app: App,
        boundary: Boundary,
        *,
        keep: Keep = keep_web,
        headers: Callable[[ASGIScope], Mapping[str, str]] | None = None,
        on_flush_error: OnFlushError = "report",
        slow: timedelta | None = SLOW,
    ) -> None:
        if not isinstance(boundary, Boundary):
            wrong("boundary", boundary, "a Boundary")
        if not callable(keep):
            wrong("keep", keep, "a function of (error, status)")
        if headers is not None and not callable(headers):
            wrong("headers", headers, "a function of the ASGI scope")
        self.app = app
        self._boundary = boundary
        self._keep = keep
        self._headers = headers
        self._edge = Edge(boundary, on_flush_error=on_flush_error, slow=slow)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve a connection.

        Raises:
            SettingError: this boundary has another middleware around this one.
            Exception: as the app does.
        """
        outer: Connection | None = scope.get(KEY)
        if outer is not None:
            await self._check_once(scope, outer, send)
        now = here.get()
        if now is not NOWHERE and (around := around_others(now, outer)) is not now:
            here.set(around)
            try:
                await self(scope, receive, send)
            finally:
                here.set(now)
        elif scope["type"] == "http":
            await self._request(scope, receive, send, outer)
        else:
            await self._other(scope, receive, send, outer)

    async def _request(
        self, scope: ASGIScope, receive: Receive, send: Send, outer: Connection | None
    ) -> None:
        headers = None if self._headers is None else self._headers(scope)
        response = Response(self._keep)
        work = self._edge.scope(
            f"{scope['method']} {scope['path']}", headers=headers, keep=response.keep
        )
        effects = work.scope.enter()
        request = scope[KEY] = Request(
            self._boundary, outer, work, response, receive=receive, send=send
        )
        SERVED.add(effects)
        try:
            await self.app(scope, request.receive, request.send)
        except BaseException as error:
            with shielded(error):
                await work.__aexit__(type(error), error, None)
            raise
        else:
            await work.__aexit__(None, None, None)
        finally:
            scope[KEY] = outer
            SERVED.discard(effects)

    async def _other(
        self, scope: ASGIScope, receive: Receive, send: Send, outer: Connection | None
    ) -> None:
        kind = scope["type"]
        scope[KEY] = Unscoped(self._boundary, outer, kind)
        try:
            if kind == "lifespan":
                await Lifespan(self._boundary, receive, send).run(self.app, scope)
            else:
                await self.app(scope, receive, send)
        finally:
            scope[KEY] = outer

    async def _check_once(self, scope: ASGIScope, outer: Connection, send: Send) -> None:
        if all(connection.boundary is not self._boundary for connection in outer.around()):
            return
        error = SettingError(
            "EffectsMiddleware",
            "boundary",
            "is that of another EffectsMiddleware around this one, and a request is one unit of "
            "work",
            "Remove one of the two. A mounted app that is independent has a boundary of its own.",
        )
        if scope["type"] == "lifespan":
            await send({"type": STARTUP_FAILED, "message": str(error)})
        raise error


def wrong(name: str, given: object, wanted: str) -> NoReturn:
    """Refuse an argument."""
    raise DeclarationError(f"EffectsMiddleware({name}=...) takes {wanted}, not {describe(given)}.")


def shielded(error: BaseException) -> AbstractContextManager[object]:
    """Let a request that was cancelled deliver what it has committed.

    A task that was cancelled may await on, but not in a cancel scope of anyio or trio.
    """
    anyio = None if isinstance(error, Exception) else sys.modules.get("anyio")
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)
