"""``QueueDispatch``: intents go to a task queue, as messages for a ``Receiver`` in the worker.

The message is the JSON text of an envelope: kind, version and data of the intent, its id, headers
and causes. It names no code, and only what the worker has declared is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from airlock.dispatch import Dispatcher
from airlock.emissions.delivery import Delivery
from airlock.wire import Envelope, Wire

__all__ = ["QueueDispatch"]

Inject = Callable[[dict[str, str]], object]
"""``(headers) -> None``: adds to the headers of a message, as ``opentelemetry.propagate.inject``."""


class QueueDispatch(Dispatcher):
    """Base of dispatchers that send intents to a task queue, for a worker to deliver.

    A subclass implements ``send``, and sets ``options`` if its queue honours others.

    Args:
        wire: writes the messages; by default every declared intent may pass.
        inject: called with the headers of each message, to add to them.

    Example:
        >>> from airlock.integrations.base import Receiver
        >>> class ListDispatch(QueueDispatch):
        ...     sent = []
        ...
        ...     def send(self, envelope, message):
        ...         self.sent.append(message)
        >>> dispatch = ListDispatch()
        >>> with Boundary({}, dispatch=dispatch).scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> Receiver(boundary).receive(dispatch.sent[0])
        <Report: 1 delivered>
    """

    options = frozenset({"id", "delay", "headers"})

    def __init__(self, *, wire: Wire | None = None, inject: Inject | None = None) -> None:
        self.wire = Wire() if wire is None else wire
        self._inject = inject

    def check(self, cls: type[Any], /) -> None:
        """Check that every field of the class can be written to the wire.

        Raises:
            UnencodableError: one has not.
            SensitiveFieldError: it is sensitive, and the wire has no cipher.
        """
        self.wire.check(cls)

    def dispatch(self, delivery: Delivery, /) -> object:
        envelope = Envelope.of(delivery)
        if self._inject is not None:
            headers = dict(envelope.headers)
            self._inject(headers)
            options = attrs.evolve(envelope.options, headers=headers)
            envelope = attrs.evolve(envelope, options=options)
        return self.send(envelope, self.wire.encode(envelope).decode())

    def send(self, envelope: Envelope, message: str, /) -> object:
        """Send one message.

        Args:
            envelope: what the message holds: ``envelope.id`` for the engine's id, ``envelope.options.delay``.
            message: the text to send.

        Returns:
            Anything; an awaitable is awaited, in async flushes.

        Raises:
            UnavailableError: the broker cannot be reached.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not implement send()")
