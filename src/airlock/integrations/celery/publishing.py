"""Producers whose publishing is confirmed by the broker, and never waits for long.

What airlock itself publishes passes the interception of calls: ``passing`` marks it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from amqp.exceptions import MessageNacked
from celery import Celery, _state
from kombu import Connection, Producer
from kombu.exceptions import OperationalError

from airlock.errors import UnavailableError

__all__ = ["Producers", "is_down", "unavailable"]


class Producers:
    """The producers of one app, in each process its own; one that is free is used again.

    Connections of their own make it certain that RabbitMQ confirms each message, whatever the
    settings for other tasks are. (Celery's pool would also bind each producer anew.)

    Args:
        app: whose broker it is.
        timeout: how long to wait for a connection, and for a confirm.
        retries: how often to connect again when a connection is lost.
        confirm: whether to wait for RabbitMQ's confirm.
    """

    def __init__(self, app: Celery, *, timeout: timedelta, retries: int, confirm: bool) -> None:
        self._app = app
        self._seconds = timeout.total_seconds()
        self._confirm = confirm
        self._retrying = {
            "max_retries": retries,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.1,
        }
        self._idle: deque[Producer] = deque()
        self._pid = os.getpid()
        self.how: dict[str, Any] = {
            "retry": retries > 0,
            "retry_policy": self._retrying,
            "timeout": self._seconds,
            "confirm_timeout": self._seconds,
            "mandatory": True,  # or RabbitMQ confirms what goes to no queue
        }
        """The options of a publishing that waits no longer than it may."""

    def publish(self, queue: object, send: Callable[[Producer], object]) -> None:
        """Publish with a producer.

        Args:
            queue: names the receiver in errors.
            send: is given the producer.

        Raises:
            UnavailableError: the broker did not take the message.
        """
        producer = self._acquire()
        try:
            send(producer)
        except BaseException as error:
            self._drop(producer)
            if is_down(error):
                raise unavailable(queue, self._app, error) from error
            raise
        self._idle.append(producer)

    def close(self) -> None:
        """Close the connections of this process that are not in use."""
        while self._idle and self._pid == os.getpid():
            with suppress(IndexError):
                connection: Any = self._idle.pop().connection
                connection.release()

    def _acquire(self) -> Producer:
        if self._pid != os.getpid():  # forked: those of the parent are left alone, and not closed
            self._idle, self._pid = deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._app.amqp.Producer(self._connection(), auto_declare=False)

    def _connection(self) -> Connection:
        connection = self._app.connection_for_write(connect_timeout=self._seconds)
        options = connection.transport_options = {
            **(connection.transport_options or {}),
            **self._retrying,
        }
        transport = connection.transport
        if transport.driver_name == "py-amqp" and self._confirm:
            options["confirm_publish"] = True
        if transport.driver_type == "redis":
            options.setdefault("socket_timeout", self._seconds)
            options.setdefault("socket_connect_timeout", self._seconds)
        return connection

    def _drop(self, producer: Any) -> None:
        """Discard a connection on which a confirm may be under way: the next one would take it."""
        with suppress(Exception):
            producer.connection.collect(socket_timeout=self._seconds)


def is_down(error: BaseException) -> bool:
    """Return True if the broker cannot be reached; False if it does not want this message."""
    refused = isinstance(error, MessageNacked) or isinstance(error.__cause__, MessageNacked)
    return isinstance(error, OperationalError | OSError) and not refused


def unavailable(sender: object, app: Celery, error: BaseException) -> UnavailableError:
    """Return the error of a broker that cannot be reached.

    Args:
        sender: names who sends.
        app: whose broker it is.
        error: of the connection.
    """
    where = app.connection_for_write().as_uri()
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return UnavailableError(f"{sender} at {where}", reason)


_passing: ContextVar[int] = ContextVar("airlock_celery_passing", default=-1)


@contextmanager
def passing() -> Iterator[None]:
    """Exempt the calls in this block from interception, but not those of a task that runs in it."""
    before = _passing.get()
    _passing.set(_depth())
    try:
        yield
    finally:
        _passing.set(before)


def is_inside() -> bool:
    """Return True if a call is part of a call that passes."""
    return _passing.get() == _depth()


def _depth() -> int:
    """Return how many tasks run here, one in the other."""
    return len(_state._task_stack.stack)  # type: ignore[attr-defined]  # noqa: SLF001 - celery has no public length of it
