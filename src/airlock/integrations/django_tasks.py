"""Django Tasks: intents travel as tasks of Django 6, or of the package django-tasks before."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from airlock.boundary.boundary import Boundary
from airlock.errors import (
    MissingExtraError,
    UnavailableError,
    UndeclaredHereError,
    WireError,
)
from airlock.integrations.base import QueueDispatch, Receiver
from airlock.integrations.base.receiver import unregistered
from airlock.wire import Envelope, Wire

try:
    from asgiref.sync import sync_to_async
    from django.db import InterfaceError, OperationalError, close_old_connections
    from django.utils import timezone

    try:
        from django.tasks import task, task_backends
    except ImportError:
        from django_tasks import task, task_backends  # type: ignore[assignment,no-redef,unused-ignore]  # alike
except ImportError:
    raise MissingExtraError(__name__, "Django 6 or django-tasks", "django-tasks") from None

if TYPE_CHECKING:
    from airlock.integrations.base.queues import Inject

__all__ = ["DjangoTasksDispatch", "deliver", "deliver_task"]

log = logging.getLogger("airlock")


class DjangoTasksDispatch(QueueDispatch):
    """Sends intents to the workers of Django Tasks, where ``deliver`` runs their handlers.

    A delay is honoured if the backend knows ``run_after``. The id of a task is the backend's own;
    that of the intent is in the message.

    Args:
        backend: the alias in ``TASKS``.
        queue: the name of the queue.
        priority: of the tasks, where the backend knows priorities.
        wire: as for ``QueueDispatch``.
        inject: as for ``QueueDispatch``.

    Raises:
        InvalidTaskBackendError: the backend is not in ``TASKS``.

    Example:
        >>> from airlock.integrations.django_tasks import (
        ...     DjangoTasksDispatch,
        ... )  # doctest: +SKIP
        >>> boundary = Boundary({}, dispatch=DjangoTasksDispatch())  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        backend: str = "default",
        queue: str = "default",
        priority: int = 0,
        wire: Wire | None = None,
        inject: Inject | None = None,
    ) -> None:
        super().__init__(wire=wire, inject=inject)
        self._backend = backend
        self._task: Any = _task().using(backend=backend, queue_name=queue, priority=priority)
        delay = {"delay"} if task_backends[backend].supports_defer else set()
        self.options = frozenset({"id", "headers"} | delay)  # type: ignore[misc]  # of this backend

    def send(self, envelope: Envelope, message: str, /) -> Awaitable[None] | None:
        """Queue one task; in an event loop, to be awaited, as Django's databases are.

        Raises:
            UnavailableError: the backend's database or broker did not take it.
        """
        delay = envelope.options.delay
        job = self._task.using(run_after=timezone.now() + delay) if delay else self._task
        if _in_event_loop():
            return self._asend(job, message)
        try:
            job.enqueue(message)
        except _unreachable() as error:
            close_old_connections()  # or the next attempt gets the same broken one
            raise self._unavailable(error) from error
        return None

    async def _asend(self, job: Any, message: str) -> None:
        try:
            await job.aenqueue(message)
        except _unreachable() as error:
            await sync_to_async(close_old_connections)()
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> UnavailableError:
        return UnavailableError(repr(self), f"{type(error).__name__}: {error}")

    def __repr__(self) -> str:
        return f"DjangoTasksDispatch(backend={self._backend!r}, queue={self._task.queue_name!r})"


class _Worker:
    """Arguments of ``deliver_task`` in this process."""

    receiver = Receiver(unregistered("Django Tasks"))
    recheck = timedelta(minutes=1)


def deliver_task(
    boundary: Boundary | Callable[[], Boundary] | str,
    *,
    wire: Wire | None = None,
    recheck: timedelta = timedelta(minutes=1),
) -> Any:
    """Register what delivers intents in this process: in ``ready()`` of an app.

    A handler's error fails the task. What this worker does not know is queued again, with a
    warning, until a newer worker takes it, if the backend knows ``run_after``; where it does not,
    it fails too, as what can never be read does.

    Args:
        boundary: with the handlers; or a function that makes it, or the import path of either,
            ``"shop.effects:boundary"``. In each process it is made, and the resources of its
            container are opened, for the first task.
        wire: reads the messages, as the sender's writes them.
        recheck: how long what is kept waits.

    Returns:
        The task, ``airlock.integrations.django_tasks.deliver``.
    """
    _Worker.receiver = Receiver(boundary, wire=wire)
    _Worker.recheck = recheck
    return _task()


deliver: Any
"""The task. It is made when it is first asked for, as that takes settings."""


def __getattr__(name: str) -> Any:
    if name != "deliver":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _task()


@cache
def _task() -> Any:
    # The worker imports a task by the module and the name of its function.
    _deliver.__qualname__ = _deliver.__name__ = "deliver"
    return task(takes_context=True)(_deliver)


def _deliver(context: Any, message: str) -> None:
    """Deliver one message through the boundary that ``deliver_task`` was given.

    Raises:
        UndeclaredHereError: this worker cannot deliver it, and the backend knows no ``run_after``.
        WireError: the message cannot be read.
        Exception: as the handler does.
    """
    try:
        envelope = _Worker.receiver.read(message)
    except UndeclaredHereError as error:
        return _keep(context, message, error)
    except WireError as error:
        log.error("task %s can never be delivered: %r", context.task_result.id, error)  # noqa: TRY400
        raise
    try:
        _Worker.receiver.deliver(envelope, attempt=context.attempt)
    except UndeclaredHereError as error:
        _keep(context, message, error)


def _keep(context: Any, message: str, error: Exception) -> None:
    """Queue it again, for a newer worker."""
    now = context.task_result
    if not now.task.get_backend().supports_defer:
        raise error
    log.warning("task %s is kept, to be looked at in %s: %s", now.id, _Worker.recheck, error)
    now.task.using(run_after=timezone.now() + _Worker.recheck).enqueue(message)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _unreachable() -> tuple[type[Exception], ...]:
    """Return the errors of backends that do not answer; those of a driver only if it is in use."""
    found: list[type[Exception]] = [OSError, OperationalError, InterfaceError]
    if "redis" in sys.modules:
        from redis import exceptions  # noqa: PLC0415

        found += [exceptions.ConnectionError, exceptions.TimeoutError]
    return tuple(found)
