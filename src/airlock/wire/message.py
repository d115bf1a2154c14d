"""What an envelope looks like in JSON: read strictly, so that nothing of it is overlooked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import attrs

from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.options import NO_HEADERS, Options
from airlock.wire.classes import Manner
from airlock.wire.envelope import Envelope
from airlock.wire.form import Form, Misfit, expected
from airlock.wire.forms import Forms

__all__ = [
    "ENVELOPE",
    "FORMS",
    "Message",
    "check_message",
    "named",
    "read_envelope",
    "write_envelope",
]

FORMAT = 1
"""Of the envelope itself. A reader refuses others."""


class Data(dict[str, Any]):
    """The data of an intent, still to be read: its form depends on kind and version."""


def _data(value: Any, _: Any = None) -> Any:
    if type(value) is dict:
        return value
    raise expected("an object", value)


Message = tuple[str, int, dict[str, Any], str | None]
"""Kind, version, data, and what is sealed."""


@attrs.frozen
class _Message:
    kind: str
    version: int
    data: Data
    sealed: str | None = None


@attrs.frozen
class EmissionOptions:
    delay: timedelta | None = None
    ordering_key: str | None = None
    dedupe_key: str | None = None


@attrs.frozen(kw_only=True)
class _Envelope(_Message):
    airlock: Literal[1]
    id: UUID
    causation: Causation = attrs.field(factory=Causation)
    options: EmissionOptions = attrs.field(factory=EmissionOptions)
    headers: Mapping[str, str] = NO_HEADERS


_DATA = Form("object", frozenset({"object"}), (dict,), {"type": "object"}, _data, _data)
FORMS = Forms({Data: _DATA}, Manner(closed=True))
ENVELOPE = FORMS.of(_Envelope)

_CAREFUL = Forms({Data: _DATA}, Manner(closed=True, careful=True))

_CAUSATION = FORMS.of(Causation)
_OPTIONS = FORMS.of(EmissionOptions)


def check_message(document: Any) -> Message:
    """What a document says.

    Raises:
        Misfit: it is no message.
    """
    if type(document) is dict and len(document) == 3:  # the most frequent one, at a glance
        kind, version, data = document.get("kind"), document.get("version"), document.get("data")
        if type(kind) is str and type(version) is int and type(data) is dict:
            return kind, version, data, None
    read: _Message = _CAREFUL.of(_Message).read(document)
    return read.kind, read.version, read.data, read.sealed


def write_envelope(envelope: Envelope, message: dict[str, Any]) -> dict[str, Any]:
    """The JSON of an envelope, around that of its intent. What says nothing is left out."""
    options = envelope.options
    document = {"airlock": FORMAT, "id": str(envelope.id), **message}
    if envelope.causation != NO_CAUSE:
        document["causation"] = _CAUSATION.write(envelope.causation)
    said = EmissionOptions(options.delay, options.ordering_key, options.dedupe_key)
    if said != _NO_OPTIONS:
        written = _OPTIONS.write(said)
        document["options"] = {key: value for key, value in written.items() if value is not None}
    if options.headers:
        document["headers"] = dict(options.headers)
    return document


_NO_OPTIONS = EmissionOptions()


def read_envelope(document: Any) -> tuple[Message, Options, Causation]:
    """What an envelope says: its message, the options of the intent, and its causes.

    Raises:
        Misfit: it is no envelope.
    """
    read: _Envelope
    try:
        read = ENVELOPE.read(document, None)
    except Exception:  # noqa: BLE001 - whatever it is, the other reading tells
        read = _CAREFUL.of(_Envelope).read(document)
    said = read.options
    if said.delay is not None and said.delay < timedelta(0):
        raise Misfit("expected a duration that is not negative, found another").within(
            ".options.delay"
        )
    options = Options(
        id=read.id,
        delay=said.delay,
        ordering_key=said.ordering_key,
        dedupe_key=said.dedupe_key,
        headers=read.headers,
    )
    return (read.kind, read.version, read.data, read.sealed), options, read.causation


def named(document: Any) -> tuple[str | None, int | None]:
    """What a document says it is, for messages."""
    said = document if isinstance(document, dict) else {}
    kind, version = said.get("kind"), said.get("version")
    known = isinstance(version, int) and not isinstance(version, bool)
    return kind[:200] if isinstance(kind, str) else None, version if known else None
