"""``Wire``: intents to JSON and back, by kind and version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from airlock.effects.registry import KINDS, describe
from airlock.errors import DeclarationError, UnencodableError, WireError
from airlock.wire.ciphers import Cipher
from airlock.wire.decoding import Decoder, strictly
from airlock.wire.entries import Entries, Entry
from airlock.wire.envelope import Envelope
from airlock.wire.leaves import LEAVES, TypeForm, leaf_of
from airlock.wire.message import (
    check_envelope,
    check_message,
    decode_envelope,
    decode_message,
    envelope_schema,
    envelope_text,
    kind_and_version,
)
from airlock.wire.problems import UnwritableError
from airlock.wire.schema import message_schema
from airlock.wire.sealing import seal
from airlock.wire.text import Limits, TextError, as_bytes, dumps, loads
from airlock.wire.versions import Upcaster, Versions

__all__ = ["Wire"]

UpcasterT = TypeVar("UpcasterT", bound=Upcaster)


class Wire:
    """Encodes intents as JSON, and decodes those whose kind is declared, and no others.

    Types are looked at when they are first used. Threads may share a wire; upcasters and names are
    registered before that.

    Args:
        intents: the classes that may pass; by default every declared intent, later ones too.
        cipher: seals sensitive fields; without one, intents that have such are refused.
        limits: how large a text may be.
        forms: of types that airlock does not know.

    Raises:
        DeclarationError: an argument makes no sense.

    Example:
        >>> wire = Wire()
        >>> wire.dumps(NotifyWarehouse(42))
        b'{"kind":"docstrings.notify-warehouse","version":1,"data":{"order_id":42}}'
        >>> wire.loads(wire.dumps(NotifyWarehouse(42)))
        NotifyWarehouse(order_id=42)
    """

    def __init__(
        self,
        intents: Iterable[Any] | None = None,
        *,
        cipher: Cipher | None = None,
        limits: Limits | None = None,
        forms: Mapping[type[Any], TypeForm] = MappingProxyType({}),
    ) -> None:
        _check(cipher, limits)
        self.limits = Limits() if limits is None else limits
        self._short = min(self.limits.size, self.limits.items)
        self._glance = min(self._short, 2 * self.limits.depth)
        self._cipher = cipher
        own = {cls: leaf_of(cls, form) for cls, form in forms.items()}
        self._entries = Entries(intents, {**LEAVES, **own}, sealed=cipher is not None)
        self._writers, self._bodies = self._entries.writers, self._entries.bodies
        self._versions = Versions()
        self._decoder = Decoder(self._entries, self._versions, cipher, self.limits)
        self._readers = self._decoder.readers

    # -- encoding ---------------------------------------------------------------------------------

    def encode(self, envelope: Envelope) -> bytes:
        """Return an intent with its id, options, headers and causes, as JSON text.

        Raises:
            UnencodableError: a field has no form on the wire, or its value does not fit its type.
            SensitiveFieldError: it has a sensitive field, and there is no cipher.
        """
        if not isinstance(envelope, Envelope):
            raise DeclarationError(
                f"encode takes an Envelope, not {describe(envelope)}: wrap the intent, "
                "Envelope(...), or use dumps for the intent alone."
            )
        try:
            kind, version, body, flat = self._bodies[type(envelope.intent)]
            text = envelope_text(envelope, kind, version, body(envelope.intent))
            flat = flat and not envelope.causation.ancestors and self.limits.depth >= _FLAT
            if (flat and len(text) < self._short) or self.limits.ample(text):
                return text
        except Exception:  # noqa: BLE001, S110 - the other way is slower, and says what is wrong
            pass
        message = self.dump(envelope.intent)
        try:
            return self._bounded(envelope_text(envelope, **message))
        except TextError as wrong:
            error = _too_large(envelope.intent, wrong.problem)
        except UnwritableError as wrong:
            name, hint = type(envelope.intent).__qualname__, "Give Envelope(...) a Causation."
            error = UnencodableError(name, "'s causation", wrong.problem, hint)
        raise error  # out here, where no value hangs on its context

    def dumps(self, intent: Any) -> bytes:
        """Return an intent alone, as JSON text: kind, version and data.

        Raises:
            UnencodableError: as ``encode`` does.
        """
        try:
            text = self._writers[type(intent)](intent)
            if len(text) < self._glance or self.limits.ample(text):
                return text
        except Exception:  # noqa: BLE001, S110 - the other way is slower, and says what is wrong
            pass
        message = self.dump(intent)
        try:
            return self._bounded(dumps(message))
        except TextError as wrong:
            error = _too_large(intent, wrong.problem)
        raise error

    def dump(self, intent: Any) -> dict[str, Any]:
        """Return an intent alone, as dicts and lists, to be put into a larger document.

        Raises:
            UnencodableError: as ``encode`` does.
        """
        entry = self._entries.of_value(intent)
        try:
            return self._message(entry, loads(dumps(entry.write(intent))))
        except UnwritableError as unwritable:
            error = entry.unencodable(unwritable)
        except TextError as wrong:
            error = _too_large(intent, wrong.problem)
        except RecursionError:
            error = _too_large(intent, "is too deep")
        raise error

    def _message(self, entry: Entry, data: dict[str, Any]) -> dict[str, Any]:
        message = {"kind": entry.kind, "version": entry.version, "data": data}
        if entry.secrets and self._cipher is not None:
            secrets = {key: data.pop(key) for key in entry.secrets}
            sealed = seal(self._cipher, self.limits, secrets, entry.kind, entry.version)
            message["sealed"] = sealed
        return message

    def _bounded(self, text: bytes) -> bytes:
        """Return a text that is not too large."""
        if len(text) >= self._glance and not self.limits.ample(text):
            self.limits.measure(loads(text))
        return text

    def check(self, cls: type[Any]) -> None:
        """Check that intents of a class can be encoded, before there is one.

        Raises:
            UnencodableError: a field has no form on the wire, or the class may not pass.
            SensitiveFieldError: a field is sensitive, and there is no cipher.
        """
        self._entries.of(cls)

    # -- decoding ---------------------------------------------------------------------------------

    def decode(self, text: bytes | str) -> Envelope:
        """Return what ``encode`` wrote.

        Raises:
            WireError: the text is bad in any way; it names kind, version and path.
            UnencodableError: a class of this kind is declared here, with a field that has no form.
            SensitiveFieldError: it has a sensitive field, and there is no cipher.
        """
        raw: Any = text
        try:
            if (raw.isascii() or raw.decode()) and len(raw) < self._short:
                message, options, causation = decode_envelope(raw)
                short = len(bytes(message.data)) < self._glance and not causation.ancestors
                if short or self.limits.ample(raw):
                    intent = self._readers[KINDS[message.kind, message.version]](message.data)
                    return Envelope(intent, options, self._versions.renamed(causation))
        except Exception:  # noqa: BLE001, S110 - as in dumps
            pass
        read, options, causation = strictly(check_envelope, self._document(text))
        return Envelope(self._decoder.intent(read), options, self._versions.renamed(causation))

    def loads(self, text: bytes | str) -> Any:
        """Return what ``dumps`` wrote: the intent.

        Raises:
            WireError: as ``decode`` does.
        """
        raw: Any = text
        try:  # msgspec does not look at what it skips, so that it might be no UTF-8
            if (raw.isascii() or raw.decode()) and (
                len(raw) < self._glance or self.limits.ample(raw)
            ):
                message = decode_message(raw)
                return self._readers[KINDS[message.kind, message.version]](message.data)
        except Exception:  # noqa: BLE001, S110 - as in dumps
            pass
        return self._decoder.intent(strictly(check_message, self._document(text)))

    def load(self, message: Mapping[str, Any]) -> Any:
        """Return what ``dump`` made: the intent.

        Raises:
            WireError: as ``decode`` does.
        """
        document = dict(message) if isinstance(message, Mapping) else message
        return self._decoder.intent(strictly(check_message, document))

    def _document(self, text: bytes | str) -> Any:
        document = None
        try:
            if type(text) is not bytes:
                text = as_bytes(text)
            ample = len(text) < self._glance or self.limits.ample(text)
            document = loads(text)
            if not ample:
                self.limits.measure(document)
        except TextError as wrong:
            error = WireError(*kind_and_version(document), "$", wrong.problem)
        else:
            return document
        raise error

    # -- versions ---------------------------------------------------------------------------------

    def upcaster(self, kind: str, version: int) -> Callable[[UpcasterT], UpcasterT]:
        """Decorate a function that makes data of the next version out of data of ``version``.

        It is given the JSON data, its own to change. Upcasters are chained, and the last version
        that they lead to must be declared.

        Args:
            kind: of the intent.
            version: that the data is of, from 1.

        Raises:
            DeclarationError: there is one for this version already.

        Example:
            >>> wire = Wire()
            >>> @wire.upcaster("shop.order-placed", 1)
            ... def with_currency(data):
            ...     return data | {"currency": "EUR"}
        """

        def register(upcaster: UpcasterT) -> UpcasterT:
            self._versions.add(kind, version, upcaster)
            self._decoder.discard_cached()
            return upcaster

        return register

    def rename(self, kind: str, *, forwards_to: str) -> None:
        """Read an old kind as a new one, in every version.

        Args:
            kind: the old name.
            forwards_to: the new one.

        Raises:
            DeclarationError: it forwards elsewhere already, or names would go round in a circle.

        Example:
            >>> Wire().rename("shop.mail", forwards_to="shop.send-email")
        """
        self._versions.rename(kind, forwards_to)
        self._decoder.discard_cached()

    # -- schemas ----------------------------------------------------------------------------------

    def schema_of(self, cls: Any) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of what ``dumps`` writes for an intent class.

        Raises:
            UnencodableError: a field has no form on the wire.
        """
        entry = self._entries.described(getattr(cls, "intent_type", cls))
        return message_schema(entry, self._entries.schemas)

    def schemas(self) -> dict[str, Any]:
        """Return the JSON Schema of the envelope, and of every intent that may pass, to be saved.

        ``incompatibilities(saved, wire.schemas())`` lists what would break.

        Raises:
            UnencodableError: as ``schema_of`` does.
        """
        entries = [self._entries.described(cls) for cls in self._entries.all()]
        intents = [message_schema(entry, self._entries.schemas) for entry in entries]
        document = {"airlock": 1, "envelope": envelope_schema(), "intents": intents}
        return {**document, **self._versions.registered()}


_FLAT = 2
"""Levels of an envelope without ancestors whose intent has no nested values."""


def _check(cipher: object, limits: object) -> None:
    if not isinstance(limits, Limits | None):
        raise DeclarationError(f"Wire(limits=...) takes Limits(...), not {describe(limits)}.")
    if cipher is not None and not (hasattr(cipher, "encrypt") and hasattr(cipher, "decrypt")):
        raise DeclarationError(
            f"Wire(cipher=...) takes what has encrypt and decrypt, not a {type(cipher).__qualname__}: "
            "give AesGcm(key)."
        )


def _too_large(intent: Any, problem: str) -> UnencodableError:
    hint = "Send an id, and load the rest in the handler; or raise Wire(limits=Limits(...))."
    return UnencodableError(type(intent).__qualname__, "", problem, hint)
