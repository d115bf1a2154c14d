"""The resources of a boundary's container, opened and closed with the app."""

from __future__ import annotations

import logging

from airlock import Boundary
from airlock.integrations.asgi.types import App, ASGIScope, Message, Receive, Send

__all__ = ["STARTUP_FAILED", "Lifespan"]

STARTED = "lifespan.startup.complete"
STARTUP_FAILED = "lifespan.startup.failed"
STOPPED = "lifespan.shutdown.complete"
SHUTDOWN_FAILED = "lifespan.shutdown.failed"

log = logging.getLogger("airlock")


class Lifespan:
    """Runs the lifespan of an app inside the boundary's ``async with`` block.

    ::

        startup ─► open ─► the app's startup ─► ... ─► the app's shutdown ─► close ─► complete
                    │               └─ failed ─► close ─► failed                └───► failed
                    └─► failed

    An app that knows nothing of lifespans raises or returns at once: then it is left out. One that
    has asked for the first message knows, and what it raises then goes on to the server.
    """

    def __init__(self, boundary: Boundary, receive: Receive, send: Send) -> None:
        self._boundary = boundary
        self._receive = receive
        self._send = send
        self._startup: Message | None = None
        self._open = self._answered = False

    async def run(self, app: App, scope: ASGIScope) -> None:
        """Serve it."""
        self._startup = await self._receive()
        try:
            await self._boundary.__aenter__()
        except BaseException as error:
            await self._failed(STARTUP_FAILED, error)
            raise
        self._open = True
        try:
            await self._app(app, scope)
        finally:
            await self._close()

    async def _app(self, app: App, scope: ASGIScope) -> None:
        try:
            await app(scope, self._replay, self._pass)
        except Exception as error:
            if self._answered or self._startup is None:  # or it was asked for
                raise
            log.info("the app raised %r at the start of its lifespan, and so has none", error)
        if not self._answered:
            await self._send({"type": STARTED})
            await self._receive()
            await self._pass({"type": STOPPED})

    async def _replay(self) -> Message:
        """Give the app the first message again, which was read to open the resources before."""
        message, self._startup = self._startup, None
        return await self._receive() if message is None else message

    async def _pass(self, message: Message) -> None:
        self._answered = True
        if message["type"] in (STARTUP_FAILED, SHUTDOWN_FAILED):
            await self._close()
        elif message["type"] == STOPPED:
            try:
                await self._close()
            except BaseException as error:
                await self._failed(SHUTDOWN_FAILED, error)
                raise
        await self._send(message)

    async def _close(self) -> None:
        if self._open:
            self._open = False
            await self._boundary.__aexit__(None, None, None)

    async def _failed(self, kind: str, error: BaseException) -> None:
        text = f"the resources of the boundary's container: {type(error).__qualname__}: {error}"
        await self._send({"type": kind, "message": text})
