"""Who calls a task, and from where: read off the stack.

The nearest frame outside of Celery is the call site, unless one of Celery's own, that sends by
itself, comes before it: a retry, the next link of a chain, the body of a chord, beat.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any

from celery import Celery, _state
from celery.app.task import Task
from celery.canvas import Signature

from airlock.effects.place import Place
from airlock.integrations.base.behalf import place_for

__all__ = ["call_site", "is_inside", "is_overridden", "passing"]

FORWARDING = (
    "celery.app.base",
    "celery.app.task",
    "celery.canvas",
    "celery.contrib",
    "celery.local",
    "celery.utils",
)
"""The modules of Celery that send because they were called; all others send by themselves."""

WRAPPERS = frozenset(
    {"airlock", "amqp", "billiard", "celery", "contextlib", "ddtrace", "django", "functools"}
    | {"kombu", "newrelic", "opentelemetry", "sentry_sdk", "vine", "wrapt"}
)
"""Packages that are no call sites: they wrap calls, or make them later."""

NAMES = frozenset({"apply_async", "delay", "send_task"})
"""Methods that are no call sites: overrides in a base class of tasks, signatures or apps."""

ITS_OWN: frozenset[CodeType] = frozenset(
    getattr(Task, name).__code__ for name in ("retry", "replace", "add_to_chord")
)

_passing: ContextVar[int] = ContextVar("airlock_celery_passing", default=-1)


@contextmanager
def passing() -> Iterator[None]:
    """Let what is sent in this block go on to Celery; but not what a task that runs in it sends."""
    before = _passing.get()
    _passing.set(_depth())
    try:
        yield
    finally:
        _passing.set(before)


def is_inside() -> bool:
    """Whether a call is a part of one that was let pass."""
    return _passing.get() == _depth()


def _depth() -> int:
    """How many tasks run here, one in the other."""
    return len(_state._task_stack.stack)  # type: ignore[attr-defined]  # noqa: SLF001 - celery tells the top only


def call_site(app: Any, task_ids: tuple[str, ...] = (), task: Any = None) -> Place | None:
    """Return where in the user's code a call was made; None if Celery or airlock sends by itself.

    A callback that we call for somebody is called where it was given to us. What a base class does
    around ``apply_async`` is no call site.

    Args:
        app: that sends.
        task_ids: those that the call gives: that of the task that runs is the task itself again.
        task: that is called, if it is a single one.
    """
    running = app.current_worker_task
    if running is not None and running.request.id in task_ids:
        return None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        frame = frame.f_back  # the hook
    if task is not None and is_overridden(task):
        frame = _outside_of_overrides(frame, task)
    later = False
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        package = name.partition(".")[0]
        # Django calls back from a commit, around which there may be code of ours.
        later = later or package == "django"
        if package == "airlock" and not later:
            return place_for(frame)
        if _sends_by_itself(frame, name):
            return None
        if package not in WRAPPERS and not _overrides(frame):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def is_overridden(task: Any) -> bool:
    """Return True if the class of a task has an ``apply_async`` of its own."""
    return type(task).apply_async is not Task.apply_async


def _outside_of_overrides(frame: FrameType | None, task: Any) -> FrameType | None:
    """Return the frame that called the outermost ``apply_async`` of a task.

    Its own may call helpers before it calls that of Celery; those are not the user's call.
    """
    at, found = frame, frame
    while at is not None and not _sends_by_itself(at, at.f_globals.get("__name__", "")):
        if _overrides(at) and _first(at) is task:
            found = at.f_back
        at = at.f_back
    return found


def _overrides(frame: FrameType) -> bool:
    """Whether a frame is of a method of Celery's, overridden, and of no function of that name."""
    return frame.f_code.co_name in NAMES and isinstance(_first(frame), Task | Signature | Celery)


def _first(frame: FrameType) -> Any:
    """Return the first argument of the function of a frame."""
    code = frame.f_code
    if not code.co_varnames:
        return None
    first = frame.f_locals.get(code.co_varnames[0])
    if isinstance(first, tuple) and code.co_argcount == 0 and first:  # def delay(*args, **kwargs)
        first = first[0]
    return first


def _sends_by_itself(frame: FrameType, name: str) -> bool:
    """Whether a frame is one of Celery's that nobody asked to send."""
    if frame.f_code in ITS_OWN:
        return True
    return name.startswith("celery.") and not name.startswith(FORWARDING)
