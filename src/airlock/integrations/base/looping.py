"""``run``: a coroutine, for a worker that has no event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from threading import Event, Lock, Thread, local
from typing import Any, NoReturn, TypeVar

from airlock.boundary.boundary import Boundary
from airlock.integrations.base.connections import Threads, afresh_connections, is_waited_for

__all__ = ["beside", "has_async", "in_loop", "run"]

T = TypeVar("T")


def has_async(boundary: Boundary) -> bool:
    """Return True if a handler of the boundary is async."""
    return any(binding.awaited() for binding in boundary.handlers.values())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a copy of this context, and wait for it.

    It runs in the one event loop of this process, made when it is first needed: an async client
    belongs to the loop in which it was first used. That has a thread of its own, so that signals,
    by which workers limit time, interrupt who waits; then the coroutine is cancelled, and waited
    for.

    Django's connections that are lost or old are closed before and after it, in the threads where
    coroutines use them.

    Args:
        coroutine: to run.

    Returns:
        What it returns.

    Raises:
        BaseException: as it does.

    Example:
        >>> async def double(number: int) -> int:
        ...     return 2 * number
        >>> run(double(21))
        42
    """
    tasks = list[asyncio.Task[T]]()
    ended = Event()
    work = coroutine if is_waited_for() else _with_fresh_connections(coroutine)

    def begin() -> None:
        tasks.append(loop.create_task(work))
        tasks[0].add_done_callback(lambda _: ended.set())

    loop = _loop()
    loop.call_soon_threadsafe(begin)
    try:
        # In turns: what an engine raises in a thread, as Dramatiq's time limits are, waits for one.
        while not ended.wait(1.0):
            pass
    except BaseException:
        loop.call_soon_threadsafe(lambda: tasks[0].cancel())  # noqa: PLW0108 - it may not exist yet
        ended.wait()
        raise
    return tasks[0].result()


async def _with_fresh_connections(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        async with afresh_connections():
            return await coroutine
    finally:
        coroutine.close()  # it has not begun if this was cancelled before


def in_loop() -> bool:
    """Return True in that loop, where nobody may wait for it."""
    return hasattr(_THREAD, "loop")


def beside(function: Callable[[], T]) -> T | Awaitable[T]:
    """Call a function that may ``run`` something: in a thread, if this is that loop.

    Returns:
        What it returns; in that loop something to be awaited, which returns it.

    Raises:
        Exception: as it does, at once or when it is awaited.
    """
    return asyncio.to_thread(function) if in_loop() else function()


_THREAD = local()
_LOOPS: dict[int, asyncio.AbstractEventLoop] = {}  # by process: what was forked has its own
_MAKING = Lock()


def _loop() -> asyncio.AbstractEventLoop:
    with _MAKING:
        loop = _LOOPS.get(os.getpid())
        if loop is None:
            loop = _LOOPS[os.getpid()] = asyncio.new_event_loop()
            loop.set_default_executor(Threads())
            Thread(target=_run, args=(loop,), name="airlock-loop", daemon=True).start()
    return loop


def _run(loop: asyncio.AbstractEventLoop) -> NoReturn:
    _THREAD.loop = loop
    while True:
        with suppress(KeyboardInterrupt, SystemExit):  # a handler's: whoever waits for it gets it
            loop.run_forever()
