"""``deliver_task``: the task that delivers, in a worker, what ``CeleryDispatch`` has sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary

from celery import Celery
from celery.exceptions import Reject, Retry
from celery.signals import worker_process_shutdown, worker_shutdown

from airlock.errors import SettingError, UndeclaredHereError, WireError
from airlock.integrations.base import Receiver
from airlock.integrations.celery.dispatch import DELIVER, TIMEOUT, check_app
from airlock.integrations.celery.publishing import Producers
from airlock.wire import Wire

__all__ = ["deliver_task", "home_of", "requeuing"]

log = logging.getLogger("airlock")


class RequeueMixin:
    """Task mixin that requeues instead of dropping, and hides the payload."""

    request: Any

    def retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Retry; if the broker does not take that, requeue the message as it is.

        Raises:
            Retry: it was sent.
            Reject: it was not.
            Exception: there are no more attempts.
        """
        try:
            return super().retry(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into
        except Reject as error:  # Celery would discard it
            reason = error.args[0]
            log.warning(
                "worker %s puts %s back into its queue: its handler failed, %r, and another attempt "
                "cannot be sent to the broker, %r",
                self.request.hostname,
                self.request.id,
                kwargs.get("exc"),
                reason,
            )
            raise Reject(reason, requeue=True) from error

    def signature_from_request(self: Any, request: Any = None, *args: Any, **options: Any) -> Any:
        """Return the signature of the message, which logs and events show without its payload."""
        request = self.request if request is None else request
        shown = {
            "argsrepr": request.get("argsrepr") or "('...',)",
            "kwargsrepr": request.get("kwargsrepr") or "{}",
        }
        return super().signature_from_request(request, *args, **{**shown, **options})  # type: ignore[misc]  # as above


def requeuing(base: type[Any]) -> type[Any]:
    """Return a task class that requeues instead of dropping."""
    return type("DeliverTask", (RequeueMixin, base), {"abstract": True, "__module__": __name__})


if TYPE_CHECKING:
    from airlock.boundary.boundary import Boundary


OWN = "airlock_deliver"  # an attribute of the task


def deliver_task(
    app: Celery,
    boundary: Boundary | Callable[[], Boundary] | str,
    *,
    name: str = DELIVER,
    wire: Wire | None = None,
    recheck: timedelta = timedelta(minutes=1),
    **options: Any,
) -> Any:
    """Register the task that delivers intents through the worker's own boundary.

    A handler's error fails the task, so that ``autoretry_for`` and ``max_retries`` decide about
    another attempt. Its follow-ups go out when it succeeds. If those fail, that is logged, and
    the task stays succeeded.

    A message that this worker cannot read goes back to its queue, with a warning, until a newer
    worker takes it. So is everything while the boundary cannot be made. If the broker
    takes nothing back, the message stays in its queue, as a failed one does whose retry cannot be
    sent.

    Args:
        app: of the worker.
        boundary: with the handlers; or a function that makes it, or the import path of either,
            ``"shop.effects:boundary"``. In each process it is made, and the resources of its
            container are opened, for the first task; they are closed when the process shuts down.
        name: of the task; ``CeleryDispatch(task=...)`` has the same.
        wire: reads the messages, as the sender's writes them.
        recheck: how long what is kept waits.
        **options: of the task, as ``app.task`` takes them. By default a message is acknowledged
            when the handler has ended, and goes to another worker if this one dies: deliveries
            are repeated rather than lost, and each has the same ``airlock.delivery().id``.

    Returns:
        The task.

    Raises:
        SettingError: an argument makes no sense.

    Example:
        >>> from celery import Celery
        >>> from airlock.integrations.celery import deliver_task
        >>> app = Celery("docstrings", broker="memory://")
        >>> deliver_task(
        ...     app, boundary, autoretry_for=(ConnectionError,), max_retries=5
        ... ).name
        'airlock.deliver'
    """
    check_app("deliver_task", app)
    if not isinstance(recheck, timedelta) or recheck <= timedelta(0):
        raise SettingError(
            "deliver_task", "recheck", f"is {recheck!r}", "Give a timedelta that is longer than 0"
        )
    home = home_of(app, boundary)
    receiver = _closing(Receiver(lambda: home.boundary, wire=wire))
    deliverer = Deliverer(app, receiver, recheck)
    usual = {
        "acks_late": True,
        "reject_on_worker_lost": True,
        "ignore_result": True,
        "shared": False,
    }
    # Reading it again changes nothing; and what is kept, or put back, is not tried again at once.
    never = (WireError, UndeclaredHereError, Reject, *options.pop("dont_autoretry_for", ()))
    base = requeuing(options.pop("base", None) or app.Task)
    more: dict[str, Any] = {**usual, **options, "dont_autoretry_for": never, OWN: True}
    decorate: Any = app.task(bind=True, name=name, base=base, **more)
    return decorate(deliverer.function())


_HOMES: WeakKeyDictionary[Celery, dict[Any, Receiver]] = WeakKeyDictionary()


def home_of(app: Celery, boundary: Boundary | Callable[[], Boundary] | str) -> Receiver:
    """Return the receiver that keeps a boundary for the workers of an app, until they shut down.

    The task that delivers and the scopes of other tasks share one, if they are given the same.

    Not made when a process begins: Celery kills one that takes longer than four seconds to come
    up, and logs no error of the signal.
    """
    homes = _HOMES.setdefault(app, {})
    if boundary not in homes:
        homes[boundary] = _closing(Receiver(boundary))
    return homes[boundary]


def _closing(receiver: Receiver) -> Receiver:
    """Close the boundary of a receiver when the worker, or a process of it, shuts down."""

    def close(**_: object) -> None:
        receiver.close()

    worker_process_shutdown.connect(close, weak=False)
    worker_shutdown.connect(close, weak=False)
    return receiver


class Deliverer:
    """Reads and delivers a message, or puts it back."""

    def __init__(self, app: Celery, receiver: Receiver, recheck: timedelta) -> None:
        self._receiver = receiver
        self._recheck = recheck
        self._producers = Producers(app, timeout=TIMEOUT, retries=1, confirm=True)

    def function(self) -> Any:
        """Return the function of the task: a task takes no bound method."""

        def deliver(task: Any, message: str) -> None:
            self.deliver(task, message)

        return deliver

    def deliver(self, task: Any, message: str) -> None:
        """Decode a message, and run the handler."""
        try:
            self._receiver.receive(message, attempt=task.request.retries + 1)
        except UndeclaredHereError as error:
            self._keep(task, error)

    def _keep(self, task: Any, why: Exception) -> NoReturn:
        """Put the message back, to be looked at again later: no attempt, and no failure."""
        request = task.request
        seconds = self._recheck.total_seconds()
        if request.called_directly or request.is_eager:
            raise why
        log.warning(
            "worker %s keeps %s, and looks at it again in %.0f seconds. %s",
            request.hostname,
            request.id,
            seconds,
            why,
        )
        again = task.signature_from_request(request, countdown=seconds, retries=request.retries)
        try:
            self._producers.publish(
                f"task {task.name}",
                lambda producer: again.apply_async(producer=producer, **self._producers.how),
            )
        except Exception as error:
            raise Reject(error, requeue=True) from error
        when: Any = seconds  # a number, which numbers.Real is no type for
        raise Retry(str(why), why, when)
