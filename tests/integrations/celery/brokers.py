"""Brokers that the tests can break, and what lies in their queues."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from celery import Celery

__all__ = ["Line", "bodies", "delete", "private", "taken", "texts", "until"]


def until(condition: Callable[[], object], what: str, patience: float = 90) -> None:
    """Wait for something to happen."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in {patience} seconds"
        time.sleep(0.02)


@contextlib.contextmanager
def private(url: str, *, through: str | None = None) -> Iterator[tuple[Celery, str]]:
    """An app with a queue of its own on a broker, which is deleted in the end."""
    queue = f"airlock-{uuid4().hex[:12]}"
    app = Celery(queue, broker=through or url, set_as_current=False)
    direct = Celery(queue, broker=url, set_as_current=False)
    try:
        yield app, queue
    finally:
        app.close()
        delete(direct, queue)
        direct.close()


def delete(app: Celery, *queues: str) -> None:
    """Delete queues, if there are such."""
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel  # its stub is nearly empty
        for queue in queues:
            with contextlib.suppress(Exception):  # nothing may have been declared
                channel.queue_delete(queue)


def taken(app: Celery, queue: str, *, no_ack: bool) -> list[Any]:
    """The messages in a queue; with ``no_ack`` they are gone from it."""
    found = list[Any]()
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        while (got := channel.basic_get(queue, no_ack=no_ack)) is not None:
            found.append(channel.message_to_python(got) if isinstance(got, dict) else got)
    return found


def bodies(app: Celery, queue: str) -> list[Any]:
    """Take the messages out of a queue."""
    return taken(app, queue, no_ack=True)


def texts(app: Celery, queue: str) -> list[str]:
    """Take the envelopes out of a queue."""
    found = list[str]()
    for message in bodies(app, queue):
        body = message.body if isinstance(message.body, str) else message.body.decode()
        with contextlib.suppress(ValueError):
            body = b64decode(body, validate=True).decode()
        found.append(json.loads(body)[0][0])
    return found


class Line:
    """A line to a broker that can go silent in one direction, or be cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
        self._ends = list[socket.socket]()
        self.hears = threading.Event()  # what the broker says
        self.hears.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nobody is connected any more, and nobody can connect."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.hears.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._ends += [client, server]
                for source, sink, heard in ((client, server, None), (server, client, self.hears)):
                    threading.Thread(
                        target=self._forward, args=(source, sink, heard), daemon=True
                    ).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket, heard: threading.Event | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if heard is not None:
                    heard.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
