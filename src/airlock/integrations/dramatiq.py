"""Dramatiq: intents travel as messages, and one actor delivers them in the worker."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from airlock.boundary.boundary import Boundary
from airlock.errors import MissingExtraError, UnavailableError, UndeclaredHereError, WireError
from airlock.integrations.base import QueueDispatch, Receiver
from airlock.wire import Envelope, Wire

try:
    from dramatiq import Actor, Broker, Message
    from dramatiq.errors import ConnectionClosed, ConnectionFailed
    from dramatiq.middleware import CurrentMessage, SkipMessage
except ImportError:
    raise MissingExtraError(__name__, "Dramatiq", "dramatiq") from None

if TYPE_CHECKING:
    from airlock.integrations.base.queues import Inject

__all__ = ["DELIVER", "DramatiqDispatch", "deliver_task"]

log = logging.getLogger("airlock")

DELIVER = "airlock.deliver"
"""The name of the actor that delivers intents, unless it is given another."""


class DramatiqDispatch(QueueDispatch):
    """Sends intents to Dramatiq's workers, where the actor of ``deliver_task`` runs their handlers.

    The id of an intent is that of its message, and a delay is Dramatiq's own.

    Args:
        broker: takes the messages. A ``RabbitmqBroker`` needs ``confirm_delivery=True``: without it
            Dramatiq may not notice that a message was lost with the connection.
        queue: the name of the queue.
        task: the name of the actor, as ``deliver_task`` was given it.
        wire: as for ``QueueDispatch``.
        inject: as for ``QueueDispatch``.
        options: more options of each message: ``max_retries``, ``broker_priority``.

    Example:
        >>> from dramatiq.brokers.stub import StubBroker
        >>> from airlock.integrations.dramatiq import DramatiqDispatch
        >>> broker = StubBroker()
        >>> dispatch = DramatiqDispatch(broker)
        >>> with Boundary({}, dispatch=dispatch).scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> broker.queues["default"].qsize()
        1
    """

    def __init__(
        self,
        broker: Broker,
        *,
        queue: str = "default",
        task: str = DELIVER,
        wire: Wire | None = None,
        inject: Inject | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(wire=wire, inject=inject)
        self._broker = broker
        self._queue = queue
        self._task = task
        self._options = dict(options)

    def send(self, envelope: Envelope, message: str, /) -> None:
        """Send one message.

        Raises:
            UnavailableError: the broker did not take it.
        """
        job: Message[Any] = Message(
            queue_name=self._queue,
            actor_name=self._task,
            args=(message,),
            kwargs={},
            options=dict(self._options),
            message_id=str(envelope.id),
        )
        delay = envelope.options.delay
        try:
            self._broker.declare_queue(self._queue)
            self._broker.enqueue(job, delay=_milliseconds(delay) if delay else None)
        except _unreachable() as error:
            raise UnavailableError(repr(self), f"{type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return f"DramatiqDispatch({type(self._broker).__qualname__}, queue={self._queue!r})"


def deliver_task(
    broker: Broker,
    boundary: Boundary | Callable[[], Boundary] | str,
    *,
    queue: str = "default",
    name: str = DELIVER,
    wire: Wire | None = None,
    recheck: timedelta = timedelta(minutes=1),
    **options: Any,
) -> Actor[[str], None]:
    """Declare the actor that delivers intents, in a module that Dramatiq's workers import.

    A handler's error fails the message, so that Dramatiq tries again, up to ``max_retries``. What
    this worker does not know goes back to the queue, with a warning, until a newer worker takes
    it. What can never be read is among the dead letters at once.

    Args:
        broker: where the messages come from.
        boundary: with the handlers; or a function that makes it, or the import path of either,
            ``"shop.effects:boundary"``. In each process it is made, and the resources of its
            container are opened, for the first message.
        queue: as ``DramatiqDispatch`` was given it.
        name: of the actor; ``DramatiqDispatch(task=...)`` has the same.
        wire: reads the messages, as the sender's writes them.
        recheck: how long what is kept waits.
        **options: of the actor: ``max_retries``, ``min_backoff``, ``time_limit``, ``priority``,
            ``on_failure``. A ``WireError`` is among its ``throws``, whatever else is.

    Returns:
        The actor.

    Example:
        >>> from dramatiq.brokers.stub import StubBroker
        >>> from airlock.integrations.dramatiq import deliver_task
        >>> deliver_task(StubBroker(), boundary, max_retries=3).actor_name
        'airlock.deliver'
    """
    receiver = Receiver(boundary, wire=wire)
    if not any(isinstance(middleware, CurrentMessage) for middleware in broker.middleware):
        broker.add_middleware(CurrentMessage())

    def keep(error: Exception) -> NoReturn:
        message: Any = CurrentMessage.get_current_message()
        log.warning("%s is kept, to be looked at in %s: %s", message.message_id, recheck, error)
        broker.enqueue(message.copy(), delay=_milliseconds(recheck))
        # This one is done, and has come to nothing: neither on_success nor a pipe may go on.
        raise SkipMessage(str(error)) from error

    def deliver(text: str) -> None:
        message: Any = CurrentMessage.get_current_message()
        try:
            envelope = receiver.read(text)
        except UndeclaredHereError as error:
            keep(error)
        except WireError as error:
            log.error("%s can never be delivered: %r", message.message_id, error)  # noqa: TRY400
            raise
        try:
            receiver.deliver(envelope, attempt=message.options.get("retries", 0) + 1)
        except UndeclaredHereError as error:
            keep(error)

    throws = options.get("throws") or ()  # a type of error, or a tuple
    options["throws"] = (*(throws if isinstance(throws, tuple) else (throws,)), WireError)
    return Actor(
        deliver,
        broker=broker,
        actor_name=name,
        queue_name=queue,
        priority=options.pop("priority", 0),
        options=options,
    )


def _milliseconds(delay: timedelta) -> int:
    return math.ceil(delay / timedelta(milliseconds=1))


def _unreachable() -> tuple[type[Exception], ...]:
    """Return the errors of brokers that do not answer; those of a driver only if it is in use."""
    found: list[type[Exception]] = [ConnectionClosed, ConnectionFailed, OSError]
    if "pika" in sys.modules:
        from pika.exceptions import AMQPError  # type: ignore[import-untyped]  # noqa: PLC0415

        found.append(AMQPError)
    if "redis" in sys.modules:
        from redis import exceptions  # noqa: PLC0415

        found += [exceptions.ConnectionError, exceptions.TimeoutError]
    return tuple(found)
