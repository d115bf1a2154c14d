"""What the tests of the ASGI integrations share: intents, a boundary that notes, requests, a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import httpx
import uvicorn

from airlock import Boundary, Observer, Report, intent
from airlock.integrations.asgi.types import App

__all__ = ["Note", "Notes", "Receipt", "get", "served"]


@intent(kind="asgi.note")
class Note:
    text: str


@intent(kind="asgi.receipt")
class Receipt:
    order_id: int


class Reports(Observer):
    """Keeps the reports of all scopes."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def flushed(self, report: Report, /) -> None:
        self.reports.append(report)

    def discarded(self, report: Report, /) -> None:
        self.reports.append(report)


@attrs.define
class Notes:
    """A boundary, and what it has delivered.

    Attributes:
        log: what was delivered, and whatever else a test notes, in order.
    """

    log: list[str] = attrs.field(factory=list)
    seen: Reports = attrs.field(factory=Reports)
    boundary: Boundary = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        handlers = {Note: self.deliver, Receipt: self.deliver}
        self.boundary = Boundary(handlers, observers=[self.seen])

    def deliver(self, intent: Note | Receipt) -> None:
        self.log.append(intent.text if isinstance(intent, Note) else f"receipt {intent.order_id}")

    @property
    def report(self) -> Report:
        """Of the last scope."""
        return self.seen.reports[-1]


async def get(app: App, path: str, *, method: str = "GET", raises: bool = False) -> httpx.Response:
    """The response of an app, called in this task."""
    transport: Any = httpx.ASGITransport(app, raise_app_exceptions=raises)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.request(method, path)


class Server(uvicorn.Server):
    """A real server, in a thread.

    Attributes:
        url: where it listens.
    """

    url = ""

    def run_in_thread(self) -> None:
        """Serve; it exits if the app does not start."""
        with suppress(SystemExit):
            self.run()

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self.servers[0].sockets[0].getsockname()[1])


@contextmanager
def served(app: App, **options: Any) -> Iterator[Server]:
    """Serve an app until the block ends, and shut it down properly."""
    settings: Any = {"lifespan": "on", "timeout_graceful_shutdown": 2, **options}
    config = uvicorn.Config(app, port=0, log_config=None, **settings)
    server = Server(config)
    thread = threading.Thread(target=server.run_in_thread, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        if server.started:
            server.url = f"http://127.0.0.1:{server.port}"
        yield server
    finally:
        server.should_exit = True
        thread.join(20)
        if thread.is_alive():
            raise TimeoutError("the server did not stop")
