"""Entries for people: what they are about, in which state, without what is sensitive."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from airlock.errors import AirlockError
from airlock.outbox.entry import Entry, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.wire import Wire

__all__ = ["Payload", "payload_of", "state_of"]


@attrs.frozen
class Payload:
    """The content of an entry: the intent as its class shows it, or why it cannot be read."""

    text: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    causes: tuple[str, ...] = ()
    """Kinds of the causes, nearest first."""
    unreadable: str | None = None


def payload_of(entry: Entry, wire: Wire) -> Payload:
    """Return the content of an entry, with sensitive fields hidden.

    What the wire cannot read is shown by its kind and version alone: nobody knows which of its
    fields are sensitive.

    Example:
        >>> payload_of(entry, outbox.wire).text  # doctest: +SKIP
        "SendEmail(order_id=42, to=<hidden>)"
    """
    try:
        envelope = wire.decode(entry.envelope)
    except AirlockError as error:
        return Payload(f"{entry.kind} version {entry.version}", unreadable=str(error))
    causes: Any = envelope.causation.ancestors
    kinds = tuple(cause.kind for cause in causes)
    return Payload(repr(envelope.intent), dict(envelope.headers), kinds)


def state_of(entry: Entry, now: datetime) -> str:
    """Return the state of an entry in a word: pending, scheduled, retrying, running or dead."""
    if entry.state is State.DEAD:
        return "dead"
    if entry.token is not None and entry.available_at > now:
        return "running"
    if entry.attempts:
        return "retrying"
    return "scheduled" if entry.available_at > now else "pending"
