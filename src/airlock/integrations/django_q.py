"""django-q2: intents travel as tasks, and one function delivers them in the cluster."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
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
    import django_q  # type: ignore[import-untyped]  # noqa: F401 - it has no types
    from asgiref.sync import sync_to_async
    from django.db import InterfaceError, OperationalError, close_old_connections
    from django.utils import timezone
except ImportError:
    raise MissingExtraError(__name__, "django-q2", "django-q") from None

if TYPE_CHECKING:
    from airlock.integrations.base.queues import Inject

__all__ = ["DjangoQDispatch", "deliver", "deliver_task"]

log = logging.getLogger("airlock")

DELIVER = f"{__name__}.deliver"


class DjangoQDispatch(QueueDispatch):
    """Sends intents to the cluster of django-q2, where ``deliver`` runs their handlers.

    The name of a task is the id of its intent. A delay is a schedule of django-q2, which looks at
    those twice a minute.

    Args:
        cluster: the name of the cluster, if it is not that of ``Q_CLUSTER``.
        group: of the tasks.
        wire: as for ``QueueDispatch``.
        inject: as for ``QueueDispatch``.
    """

    def __init__(
        self,
        *,
        cluster: str | None = None,
        group: str | None = None,
        wire: Wire | None = None,
        inject: Inject | None = None,
    ) -> None:
        super().__init__(wire=wire, inject=inject)
        self._cluster = cluster
        self._group = group

    def send(self, envelope: Envelope, message: str, /) -> Awaitable[None] | None:
        """Queue one task; in an event loop, to be awaited, as Django's databases are.

        Raises:
            UnavailableError: the database or the broker did not take it.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._send(envelope, message)
            return None
        return sync_to_async(self._send)(envelope, message)

    def _send(self, envelope: Envelope, message: str) -> None:
        given = {"cluster": self._cluster, "group": self._group}
        options = {key: value for key, value in given.items() if value is not None}
        try:
            _queue(message, str(envelope.id), envelope.options.delay, options)
        except _unreachable() as error:
            close_old_connections()  # or the next attempt gets the same broken one
            raise UnavailableError(repr(self), f"{type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return f"DjangoQDispatch(cluster={self._cluster!r})"


def _queue(message: str, name: str, delay: timedelta | None, options: dict[str, str]) -> None:
    from django_q.tasks import (  # type: ignore[import-untyped]  # noqa: PLC0415 - models, once apps are ready
        async_task,
        schedule,
    )

    options = {**options, "task_name": name}
    if delay:
        when = timezone.now() + delay
        cluster = options.get("cluster")
        schedule(DELIVER, message, cluster=cluster, next_run=when, q_options=options)
    else:
        async_task(DELIVER, message, q_options=options)


class _Worker:
    """Arguments of ``deliver_task`` in this process, and the task that runs in it."""

    receiver = Receiver(unregistered("django-q2"))
    recheck = timedelta(minutes=1)
    task: dict[str, Any] | None = None


def deliver_task(
    boundary: Boundary | Callable[[], Boundary] | str,
    *,
    wire: Wire | None = None,
    recheck: timedelta = timedelta(minutes=1),
) -> Any:
    """Register what delivers intents in this process: in ``ready()`` of an app.

    A handler's error fails the task, so that django-q2 tries again if its broker gives receipts. What
    this cluster does not know is scheduled, with a warning, until a newer one takes it. What can
    never be read fails at once.

    Args:
        boundary: with the handlers; or a function that makes it, or the import path of either,
            ``"shop.effects:boundary"``. In each process it is made, and the resources of its
            container are opened, for the first task.
        wire: reads the messages, as the sender's writes them.
        recheck: how long what is kept waits, at least.

    Returns:
        The function, ``airlock.integrations.django_q.deliver``.
    """
    _Worker.receiver = Receiver(boundary, wire=wire)
    _Worker.recheck = recheck
    from django_q.signals import pre_execute  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    pre_execute.connect(_begins, dispatch_uid=DELIVER)
    return deliver


def _begins(task: dict[str, Any], **_: object) -> None:
    _Worker.task = task


def deliver(message: str) -> None:
    """Deliver one message, as the task does, through the boundary that ``deliver_task`` was given.

    Raises:
        WireError: the message cannot be read.
        Exception: as the handler does.
    """
    task = _Worker.task or {}
    try:
        envelope = _Worker.receiver.read(message)
    except UndeclaredHereError as error:
        return _keep(task, message, error)
    except WireError as error:
        log.error("task %s can never be delivered: %r", task.get("name"), error)  # noqa: TRY400
        task["ack_failure"] = True  # there is no use in another attempt
        raise
    try:
        _Worker.receiver.deliver(envelope, attempt=_attempt(task))
    except UndeclaredHereError as error:
        _keep(task, message, error)


def _attempt(task: dict[str, Any]) -> int:
    """Return the number of the attempt: only brokers with receipts hand a task out again."""
    if not task.get("ack_id"):
        return 1
    from django_q.models import Task  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    before = Task.objects.filter(pk=task["id"]).values_list("attempt_count", flat=True).first()
    return (before or 0) + 1


def _keep(task: dict[str, Any], message: str, error: Exception) -> None:
    """Schedule it for a newer cluster."""
    name = task.get("name", "airlock")
    log.warning("task %s is kept, to be looked at in %s: %s", name, _Worker.recheck, error)
    options = {key: task[key] for key in ("cluster", "group") if task.get(key)}
    _queue(message, name, _Worker.recheck, options)


def _unreachable() -> tuple[type[Exception], ...]:
    """Return the errors of brokers that do not answer; those of a driver only if it is in use."""
    found: list[type[Exception]] = [OSError, OperationalError, InterfaceError]
    if "redis" in sys.modules:
        from redis import exceptions  # noqa: PLC0415

        found += [exceptions.ConnectionError, exceptions.TimeoutError]
    return tuple(found)
