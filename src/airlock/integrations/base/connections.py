"""Django's database connections around a delivery: none that is lost is used again.

Django closes lost and old connections when a web request ends. Nothing does so in a worker, where
one lost connection makes every later handler of its thread fail.

Connections belong to threads. Sync handlers use those of the engine's thread. Async handlers use
those of another one: ``sync_to_async``, and with it Django's async methods, run the database's work
of all coroutines in one thread, and ``asyncio.to_thread`` in some of the event loop's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

__all__ = ["Threads", "afresh_connections", "fresh_connections", "is_waited_for"]

log = logging.getLogger("airlock")

T = TypeVar("T")


@contextmanager
def fresh_connections() -> Iterator[None]:
    """Close Django's lost and old connections of this thread, before a delivery and after it.

    The delivery may be part of other work in this thread: engines have modes in which a task runs
    at once, in a request, a loop over a queryset, a transaction. So a connection is closed for its
    age only if a delivery has opened it, and none is running. One that is lost is closed whoever
    has opened it, but never in a transaction.
    """
    use = _Use()
    try:
        use.begin()
        yield
    finally:
        use.end()


@asynccontextmanager
async def afresh_connections() -> AsyncIterator[None]:
    """``fresh_connections`` of the thread in which ``sync_to_async`` runs functions from here."""
    use = _Use()
    try:
        await _in_its_thread(use.begin)
        yield
    finally:
        await _in_its_thread(use.end)


class Threads(ThreadPoolExecutor):
    """Threads for ``asyncio.to_thread``, with fresh connections for each call."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        def call() -> T:
            with fresh_connections():
                return fn(*args, **kwargs)

        return super().submit(call)


def is_waited_for() -> bool:
    """Return True if the thread that ``sync_to_async`` would use may be waiting for this one.

    It does so where a sync view, or another function that an async one has called, waits for an
    event loop of airlock's. Then its connections are in use, and it would never answer.
    """
    asgiref: Any = sys.modules.get("asgiref.sync")
    return asgiref is not None and bool(
        getattr(asgiref.AsyncToSync.executors, "current", None)
        or asgiref.SyncToAsync.thread_sensitive_context.get(None)
        or asgiref.SyncToAsync.deadlock_context.get(False)
    )


def _renew_thread() -> None:
    """Give ``sync_to_async`` a thread in a forked process, where it would wait for its parent's."""
    asgiref: Any = sys.modules.get("asgiref.sync")
    if asgiref is not None:
        asgiref.SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_renew_thread)


async def _in_its_thread(function: Callable[[], None]) -> None:
    if "django.db" in sys.modules:
        from asgiref.sync import sync_to_async  # noqa: PLC0415 - Django depends on it

        await sync_to_async(function)()


class _Thread(threading.local):
    """State of a thread, or of a greenlet where gevent has patched threads."""

    deliveries = 0
    """Number of deliveries that are running: coroutines share a thread."""

    def __init__(self) -> None:
        self.own = dict[str, object]()
        """Connections that deliveries have opened and left open, by alias."""
        self.others = dict[str, object]()
        """Connections that other code was using when the first of the deliveries began."""

    def begin(self) -> None:
        if not self.deliveries:
            self.others = {
                each.alias: each.connection
                for each in _open_connections()
                if _in_transaction(each) or self.own.get(each.alias) is not each.connection
            }
            self._close_old(check_others=True)
        else:
            self._close_lost()
        self.deliveries += 1

    def end(self) -> None:
        self.deliveries -= 1
        if not self.deliveries:
            self._close_old()
            self.own = {
                each.alias: each.connection for each in _open_connections() if not self._other(each)
            }
        else:
            self._close_lost()

    def _close_old(self, *, check_others: bool = False) -> None:
        for each in _open_connections():
            if not self._other(each):
                _close(each, each.close_if_unusable_or_obsolete)
        self._close_lost(check_others=check_others)

    def _close_lost(self, *, check_others: bool = False) -> None:
        for each in _open_connections():
            suspect = each.errors_occurred or (check_others and self._other(each))
            if suspect and not _in_transaction(each) and not each.is_usable():
                _close(each, each.close)

    def _other(self, connection: Any) -> bool:
        return self.others.get(connection.alias) is connection.connection


_THREAD = _Thread()


class _Use:
    """The effect of one delivery on a thread's connections; ending an unstarted one does nothing."""

    begun = False

    def begin(self) -> None:
        _THREAD.begin()
        self.begun = True

    def end(self) -> None:
        if self.begun:
            self.begun = False
            _THREAD.end()


def _open_connections() -> list[Any]:
    """Return those of this thread; none where Django is not in use."""
    database = sys.modules.get("django.db")
    if database is None or not sys.modules["django.conf"].settings.configured or _refuses():
        return []
    found = database.connections.all(initialized_only=True)
    return [each for each in found if each.connection is not None]


def _refuses() -> bool:
    """Return True if Django refuses to touch a database here: in the thread of an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")


def _in_transaction(connection: Any) -> bool:
    usual = connection.settings_dict["AUTOCOMMIT"]
    return bool(connection.in_atomic_block or connection.get_autocommit() != usual)


def _close(connection: Any, how: Callable[[], object]) -> None:
    try:
        how()
    except Exception:  # the delivery is not to blame, and has perhaps succeeded
        log.warning("cannot close the connection to database %r", connection.alias, exc_info=True)
