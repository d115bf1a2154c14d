"""The asyncio or trio task that is running. Neither library is imported here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["at_work", "cancelling", "in_asyncio", "running_task", "task_name"]


def running_task() -> Any:
    """Return the asyncio or trio task that is running; None outside of them."""
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 - documented
    if asyncio is not None and loop is not None:
        return asyncio.current_task(loop)
    trio = sys.modules.get("trio")
    return (
        trio.lowlevel.current_task() if trio is not None and trio.lowlevel.in_trio_task() else None
    )


def in_asyncio() -> bool:
    """Return True if an asyncio loop runs in this thread."""
    asyncio = sys.modules.get("asyncio")
    # Not current_task(), which raises without a loop, and takes ten times as long for that.
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - documented


def at_work(task: Any) -> bool:
    """Return True if a task has not ended."""
    if hasattr(task, "done"):
        return not task.done()
    return task.coro.cr_frame is not None


def task_name(task: Any) -> str:
    """Return the name of a task, for messages."""
    return str(task.get_name() if hasattr(task, "get_name") else task.name)


def cancelling() -> int | None:
    """Return how often the asyncio task that is running was asked to cancel; None if unknown."""
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 - documented
    task = None if asyncio is None or loop is None else asyncio.current_task(loop)
    asked: Callable[[], int] | None = getattr(task, "cancelling", None)
    return None if asked is None else asked()
