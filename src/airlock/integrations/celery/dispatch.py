"""``CeleryDispatch``: hands intents over to the workers of a Celery app."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from celery import Celery

from airlock.effects.registry import describe
from airlock.errors import SettingError
from airlock.integrations.base import QueueDispatch
from airlock.integrations.base.looping import beside
from airlock.integrations.celery.publishing import Producers, passing

if TYPE_CHECKING:
    from airlock.integrations.base.queues import Inject
    from airlock.wire import Envelope, Wire

__all__ = ["DELIVER", "TIMEOUT", "CeleryDispatch"]

DELIVER = "airlock.deliver"
"""The name of the task that delivers intents, unless it is given another."""

TIMEOUT = timedelta(seconds=3)

_OURS = frozenset(
    {"args", "countdown", "eta", "kwargs", "producer", "queue", "serializer", "task_id"}
)
"""Names that the options of a message cannot have: the dispatch or the intent sets these."""


class CeleryDispatch(QueueDispatch):
    """Sends intents to Celery workers, where the task of ``deliver_task`` runs their handlers.

    A message is the JSON text of an envelope; the sender needs neither the task nor the handlers.
    The id of an intent is the task's id, its delay the countdown.

    RabbitMQ confirms every message, whatever ``broker_transport_options`` has: without that, what
    is sent to a broker that is going down is lost.

    Args:
        app: whose broker takes them.
        queue: by default the one of the app's settings.
        task: the name that ``deliver_task`` was given.
        wire: as for ``QueueDispatch``.
        inject: as for ``QueueDispatch``.
        timeout: how long to wait for the broker, each time.
        retries: how often to connect again if a connection was lost.
        confirm: whether to wait for the confirms of RabbitMQ.
        options: more options of each message, as ``apply_async`` takes them: ``priority``,
            ``exchange`` and ``routing_key``, ``headers``.

    Raises:
        SettingError: an argument makes no sense.

    Example:
        >>> from celery import Celery
        >>> from airlock.integrations.celery import CeleryDispatch
        >>> app = Celery("docstrings", broker="memory://")
        >>> boundary = Boundary({}, dispatch=CeleryDispatch(app, queue="effects"))
        >>> with boundary.scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> effects.report
        <Report: 1 handed over>
    """

    def __init__(
        self,
        app: Celery,
        *,
        queue: str | None = None,
        task: str = DELIVER,
        wire: Wire | None = None,
        inject: Inject | None = None,
        timeout: timedelta = TIMEOUT,
        retries: int = 1,
        confirm: bool = True,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(wire=wire, inject=inject)
        check_app("CeleryDispatch", app)
        _check(timeout, retries, options)
        self._app = app
        self._queue = queue
        self._task = task
        self._producers = Producers(app, timeout=timeout, retries=retries, confirm=confirm)
        self._options = {
            "ignore_result": True,  # or the result backend would wait for each, and nobody asks
            "add_to_parent": False,  # or the result of a task would list each intent it emitted
            **options,
            "serializer": "json",
        }

    def send(self, envelope: Envelope, message: str, /) -> object:
        """Send one message.

        Returns:
            None; or with ``task_always_eager`` what awaits the task, in the event loop of a worker.

        Raises:
            UnavailableError: the broker did not take it in time.
        """
        delay = envelope.options.delay
        options = {
            "task_id": str(envelope.id),
            "countdown": delay.total_seconds() if delay else None,
            # Instead of the data, which may be private: logs, events and Flower show these.
            "shadow": envelope.kind,
            "argsrepr": f"({envelope.kind!r} version {envelope.version},)",
            "kwargsrepr": "{}",
            **self._options,
        }
        if self._app.conf.task_always_eager:
            return beside(partial(self._run_here, message, options))
        self._producers.publish(
            self,
            lambda producer: self._app.send_task(
                self._task,
                (message,),
                producer=producer,
                **self._declaring(producer),
                **{**self._producers.how, **options},
            ),
        )
        return None

    def _run_here(self, message: str, options: Mapping[str, Any]) -> None:
        with passing():  # in a thread no block around it marks it as airlock's own
            self._here().apply_async((message,), **options)

    def _declaring(self, producer: Any) -> dict[str, Any]:
        """Return the queue option; with nothing to declare if this connection has declared it.

        Celery would look that up for each message, with a copy of the queue that it binds first.
        """
        if self._queue is None:
            return {}
        queue = self._app.amqp.queues[self._queue]
        declared = producer.connection.declared_entities
        if queue.can_cache_declaration and hash(queue) in declared:
            return {"queue": queue, "declare": []}
        return {"queue": queue}

    def check(self, cls: type[Any], /) -> None:
        """Check that every field of the class has a form on the wire, and that the queue exists.

        Raises:
            UnencodableError: as for ``QueueDispatch``.
            SensitiveFieldError: as for ``QueueDispatch``.
            SettingError: there is no such queue, and the app creates none.
        """
        super().check(cls)
        create = self._app.conf.task_create_missing_queues
        if self._queue is not None and not create and self._queue not in self._app.amqp.queues:
            raise SettingError(
                "CeleryDispatch",
                "queue",
                f"is {self._queue!r}, which is none of the app's task_queues, and "
                "task_create_missing_queues is off",
                "Add it to task_queues.",
            )

    def close(self) -> None:
        """Close the connections to the broker; the next message opens them again."""
        self._producers.close()

    def _here(self) -> Any:
        """Return the task in this process, for ``task_always_eager``."""
        if self._task not in self._app.tasks:
            raise SettingError(
                "Celery",
                "task_always_eager",
                f"is set, and there is no task {self._task!r} in this process to run",
                "Call deliver_task(app, boundary) here too, or unset it.",
            )
        return self._app.tasks[self._task]

    def __repr__(self) -> str:
        queue = "" if self._queue is None else f", queue={self._queue!r}"
        return f"CeleryDispatch({self._app.main!r}{queue})"


def check_app(where: str, app: object) -> None:
    """Refuse what is no Celery app.

    Raises:
        SettingError: naming ``where`` it was given.
    """
    if not isinstance(app, Celery):
        raise SettingError(where, "app", f"is {describe(app)}", "Give a Celery app")


def _check(timeout: object, retries: object, options: Mapping[str, Any]) -> None:
    where = "CeleryDispatch"
    if not isinstance(timeout, timedelta) or timeout <= timedelta(0):
        raise SettingError(
            where, "timeout", f"is {timeout!r}", "Give a timedelta that is longer than 0"
        )
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise SettingError(where, "retries", f"is {retries!r}", "Give an int, 0 for none")
    if ours := _OURS & options.keys():
        raise SettingError(
            where,
            "options",
            f"cannot have {', '.join(sorted(ours))}",
            "The id and the delay are options of an emission, and queue= is an argument of its own",
        )
