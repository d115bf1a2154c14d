"""``PlanEntry``: one intent of a plan, and the line it is written as.

::

    {"index": 0, "place": "shop.py:12", "given": [], "effect": {...}}

``effect`` is the envelope as the wire writes it, and stands last, so that a line is taken apart
without being parsed twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs

from airlock.effects.causation import Causation
from airlock.effects.describe import stable_repr
from airlock.effects.options import Options
from airlock.wire.codec import Wire
from airlock.wire.envelope import Envelope
from airlock.wire.text import TextError, dumps, loads

__all__ = ["PlanEntry", "read_entry", "write_entry"]

_EFFECT = b',"effect":'  # cannot stand in a JSON string: its quotation marks would be escaped


@attrs.frozen
class PlanEntry:
    """One intent of a plan.

    Attributes:
        index: in the plan, from 0.
        envelope: the intent with its id, options, headers and causes.
        given: names of the options that its emission gave; an id and headers it has in any case.
        place: file and line of the emitting call; None if nobody recorded it.
    """

    index: int
    envelope: Envelope
    given: frozenset[str] = frozenset()
    place: str | None = None

    @property
    def intent(self) -> Any:
        """The value."""
        return self.envelope.intent

    @property
    def id(self) -> UUID:
        """The id of the intent, here and wherever it is delivered."""
        return self.envelope.id

    @property
    def kind(self) -> str:
        """The kind of the intent."""
        return self.envelope.kind

    @property
    def version(self) -> int:
        """The version of its fields."""
        return self.envelope.version

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the intent's scopes, of its causes, and its own."""
        return self.envelope.headers

    @property
    def causation(self) -> Causation:
        """The causes of the intent."""
        return self.envelope.causation

    @property
    def options(self) -> Options:
        """The options it was emitted with."""
        options = {name: getattr(self.envelope.options, name) for name in self.given}
        return Options(**options)

    def __str__(self) -> str:
        """Format the intent as in code; sensitive values are hidden."""
        return stable_repr(self.intent)


def write_entry(wire: Wire, entry: PlanEntry) -> bytes:
    """Write an entry as a line.

    Raises:
        UnencodableError: the intent has no form on the wire.
    """
    about = {"index": entry.index, "place": entry.place, "given": sorted(entry.given)}
    return dumps(about)[:-1] + _EFFECT + wire.encode(entry.envelope) + b"}\n"


def read_entry(wire: Wire, line: bytes) -> PlanEntry:
    """Read the entry of a line.

    Raises:
        WireError: its intent cannot be read here.
        ValueError: it is no such line.
    """
    about, separator, effect = line.rstrip(b"\n").partition(_EFFECT)
    try:
        head = loads(about + b"}")
        entry = head["index"], frozenset(head["given"]), head["place"]
    except (TextError, KeyError, TypeError):
        entry = None
    if entry is None or not separator or not effect.endswith(b"}"):
        raise ValueError("no entry of a plan")
    index, given, place = entry
    return PlanEntry(index, wire.decode(effect[:-1]), given, place)
