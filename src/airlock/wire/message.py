"""The form of messages and envelopes: read strictly, so that nothing of them is overlooked.

Each has two descriptions. msgspec reads texts by the one, at once, and leaves the data for later;
cattrs reads documents by the other, and says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import attrs
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Decoder

from airlock.effects.causation import NO_CAUSE, Ancestor, Causation
from airlock.effects.options import NO_HEADERS, Options
from airlock.wire.converter import WireConverter
from airlock.wire.envelope import Envelope
from airlock.wire.leaves import LEAVES, Leaf
from airlock.wire.problems import MisfitError, expected, located, unwritable
from airlock.wire.schema import Schemas, closed_schema
from airlock.wire.text import dumps

__all__ = [
    "EnvelopeText",
    "Message",
    "MessageText",
    "check_envelope",
    "check_message",
    "decode_envelope",
    "decode_message",
    "envelope_schema",
    "envelope_text",
    "kind_and_version",
]

Message = tuple[str, int, dict[str, Any], str | None]
"""Kind, version, data, and what is sealed."""


# -- for msgspec ----------------------------------------------------------------------------------


class MessageText(Struct, gc=False, forbid_unknown_fields=True):
    """A message as a text, if nothing of it is sealed."""

    kind: str
    version: int
    data: Raw


class AncestorText(Struct, frozen=True, forbid_unknown_fields=True):
    """A cause as a text."""

    kind: str
    digests: dict[str, str] = {}


class CausationText(Struct, frozen=True, forbid_unknown_fields=True):
    """A causation as a text."""

    depth: int = 0
    ancestors: tuple[AncestorText, ...] = ()


class OptionsText(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Emission options as a text."""

    delay: str | None = None
    ordering_key: str | None = None
    dedupe_key: str | None = None


_NO_OPTIONS = OptionsText()


class EnvelopeText(Struct, gc=False, forbid_unknown_fields=True):
    """An envelope as a text, if nothing of it is sealed."""

    airlock: Literal[1]
    id: Raw
    kind: str
    version: int
    data: Raw
    causation: CausationText | UnsetType = UNSET
    options: OptionsText = _NO_OPTIONS
    headers: dict[str, str] | UnsetType = UNSET


class EnvelopeWritten(Struct, gc=False, omit_defaults=True):
    """An envelope to write. What is empty is left out."""

    airlock: int
    id: Any
    kind: str
    version: int
    data: Any
    sealed: str | UnsetType = UNSET
    causation: Any = UNSET
    options: OptionsText = _NO_OPTIONS
    headers: dict[str, str] | UnsetType = UNSET


decode_message = Decoder(MessageText).decode
_decode_envelope = Decoder(EnvelopeText).decode
_decode_uuid = Decoder(UUID).decode


def decode_envelope(text: bytes) -> tuple[EnvelopeText, Options, Causation]:
    """Return the content of an envelope, if nothing is wrong with it; any exception means that it may be.

    The data is left as it is.
    """
    read = _decode_envelope(text)
    given, causation = read.options, NO_CAUSE
    if len(bytes(read.id)) != _UUID_LENGTH:  # msgspec takes one without hyphens, too
        raise ValueError
    options = Options(
        id=_decode_uuid(read.id),
        delay=None if given.delay is None else LEAVES[timedelta].read(given.delay, timedelta),
        ordering_key=given.ordering_key,
        dedupe_key=given.dedupe_key,
        headers=NO_HEADERS if read.headers is UNSET else read.headers,
    )
    if read.causation is not UNSET:
        ancestors = tuple(Ancestor(one.kind, one.digests) for one in read.causation.ancestors)
        causation = Causation(read.causation.depth, ancestors)
    return read, options, causation


_UUID_LENGTH = 38  # in quotes


def envelope_text(
    envelope: Envelope, kind: str, version: int, data: Any, sealed: str | UnsetType = UNSET
) -> bytes:
    """Return the text of an envelope.

    Args:
        envelope: the envelope.
        kind: of its intent.
        version: of the data.
        data: what msgspec writes as the data of the intent.
        sealed: the fields that are not in the data.

    Raises:
        UnwritableError: the causation is none.
        TextError: a key or a header is no text.
    """
    given, cause = envelope.options, envelope.causation
    if type(cause) is not Causation:
        raise unwritable("Causation", cause)
    options = _NO_OPTIONS
    if given.delay is not None or given.ordering_key is not None or given.dedupe_key is not None:
        delay = None if given.delay is None else LEAVES[timedelta].write(given.delay)
        options = OptionsText(delay, given.ordering_key, given.dedupe_key)
    headers: Any = given.headers  # read-only, so that msgspec does not know them
    return dumps(
        EnvelopeWritten(
            1,
            given.id,
            kind,
            version,
            data,
            sealed,
            _write_causation(cause) if cause.depth or cause.ancestors else UNSET,
            options,
            headers.copy() if headers else UNSET,
        )
    )


# -- for cattrs -----------------------------------------------------------------------------------


class Data(dict[str, Any]):
    """The data of an intent, read later: its form depends on kind and version."""


def _data(value: Any, _: Any = None) -> Any:
    if type(value) is dict:
        return value
    raise expected("an object", value)


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


_LEAVES = {**LEAVES, Data: Leaf(dict, _data, {"type": "object"})}
_CONVERTER = WireConverter(_LEAVES, strict=True, explain=True)
_read_message = _CONVERTER.read(_Message)
_read_envelope = _CONVERTER.read(_Envelope)
_write_causation = _CONVERTER.write(Causation)


def check_message(document: Any) -> Message:
    """Return the content of a document.

    Raises:
        MisfitError: it is no message.
    """
    read: _Message = _explained(_read_message, document)
    return read.kind, read.version, read.data, read.sealed


def check_envelope(document: Any) -> tuple[Message, Options, Causation]:
    """Return the message of an envelope, the options of the intent, and its causes.

    Raises:
        MisfitError: it is no envelope.
    """
    read: _Envelope = _explained(_read_envelope, document)
    given = read.options
    if given.delay is not None and given.delay < timedelta(0):
        problem = "expected a duration that is not negative, found another"
        raise MisfitError(problem).within(".options.delay")
    options = Options(
        id=read.id,
        delay=given.delay,
        ordering_key=given.ordering_key,
        dedupe_key=given.dedupe_key,
        headers=read.headers,
    )
    return (read.kind, read.version, read.data, read.sealed), options, read.causation


def _explained(hook: Any, document: Any) -> Any:
    try:
        return hook(document, None)
    except Exception as error:  # noqa: BLE001 - whatever it is, the payload caused it
        raise located(error) from None


def envelope_schema() -> dict[str, Any]:
    """Return the JSON Schema of what ``Wire.encode`` writes, whatever the intent.

    Example:
        >>> envelope_schema()["properties"]["id"]
        {'type': 'string', 'format': 'uuid'}
    """
    return closed_schema(_Envelope, Schemas(_CONVERTER, closed=True), "Envelope")


def kind_and_version(document: Any) -> tuple[str | None, int | None]:
    """Return the kind and version that a document gives, for error messages."""
    fields = document if isinstance(document, dict) else {}
    kind, version = fields.get("kind"), fields.get("version")
    known = isinstance(version, int) and not isinstance(version, bool)
    return kind[:200] if isinstance(kind, str) else None, version if known else None
