"""What is written to an outbox: the row of each intent, and the follow-ups that a relay collects."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

import attrs

from airlock.emissions.delivery import Delivery
from airlock.outbox.entry import New
from airlock.wire.codec import Wire
from airlock.wire.envelope import Envelope

__all__ = ["RELAYING", "Relaying", "new_of", "news_of"]


@attrs.frozen(eq=False)
class Relaying:
    """A flush of a relay.

    Attributes:
        outbox: that the relay delivers.
        collected: what its handlers emitted to that outbox. The relay records it in the transaction
            that acknowledges the intents whose handlers emitted it.
    """

    outbox: object
    collected: list[Delivery] = attrs.field(factory=list)


RELAYING: ContextVar[Relaying | None] = ContextVar("airlock_relaying", default=None)
"""The flush of a relay that runs in this context."""


def new_of(delivery: Delivery, wire: Wire) -> New:
    """Return the row of an intent that is to be recorded.

    Raises:
        UnencodableError: it has no form on the wire.
    """
    envelope = Envelope.of(delivery)
    options = envelope.options
    return New(
        id=envelope.id,
        kind=envelope.kind,
        version=envelope.version,
        envelope=wire.encode(envelope),
        ordering_key=options.ordering_key,
        dedupe_key=options.dedupe_key,
        delay=options.delay,
        chosen=delivery.options.id is not None,
    )


def news_of(deliveries: Iterable[Delivery], wire: Wire) -> list[New]:
    """Return the rows of intents that are to be recorded.

    Raises:
        UnencodableError: one of them has no form on the wire.
    """
    return [new_of(delivery, wire) for delivery in deliveries]
