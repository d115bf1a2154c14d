"""``Wire``: intents to JSON and back, by kind and version."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from airlock.effects.registry import describe
from airlock.errors import DeclarationError, UnencodableError, WireError
from airlock.wire.ciphers import Cipher
from airlock.wire.custom import TypeForm, custom
from airlock.wire.decoding import Decoder, strictly
from airlock.wire.entries import Entries, Entry
from airlock.wire.envelope import Envelope
from airlock.wire.form import Unwritable
from airlock.wire.message import check_message, named, read_envelope, write_envelope
from airlock.wire.schema import message_schema, schemas
from airlock.wire.sealing import seal
from airlock.wire.text import Flaw, Limits, as_bytes, text_of
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
        json: ``"stdlib"``, or ``"orjson"`` with the extra of that name.
        forms: of types that airlock does not know.

    Raises:
        DeclarationError: an argument makes no sense.
        MissingExtraError: orjson is not installed.

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
        json: Literal["stdlib", "orjson"] = "stdlib",
        forms: Mapping[type[Any], TypeForm] = MappingProxyType({}),
    ) -> None:
        _check(cipher, limits)
        self.limits = Limits() if limits is None else limits
        self._glance = min(self.limits.size, self.limits.items, 2 * self.limits.depth)
        self._cipher = cipher
        self._text = text_of(json)
        own = {cls: custom(cls, form) for cls, form in forms.items()}
        self._entries = Entries(intents, own, sealed=cipher is not None)
        self._versions = Versions()
        self._decoder = Decoder(self._entries, self._versions, cipher, self.limits)

    # -- encoding ---------------------------------------------------------------------------------

    def encode(self, envelope: Envelope) -> bytes:
        """An intent with its id, options, headers and causes, as JSON text.

        Raises:
            UnencodableError: a field has no form on the wire, or its value does not fit its type.
            SensitiveFieldError: it has a sensitive field, and there is no cipher.
        """
        if not isinstance(envelope, Envelope):
            raise DeclarationError(
                f"encode takes an Envelope, not {describe(envelope)}: wrap the intent, "
                "Envelope(...), or use dumps for the intent alone."
            )
        intent = envelope.intent
        message = self.dump(intent)
        try:
            return self._texted(intent, write_envelope(envelope, message))
        except Unwritable as unfit:
            problem = str(unfit)
        name = type(intent).__qualname__
        raise UnencodableError(name, "'s causation", problem, "Give Envelope(...) a Causation.")

    def dumps(self, intent: Any) -> bytes:
        """An intent alone, as JSON text: kind, version and data.

        Raises:
            UnencodableError: as ``encode`` does.
        """
        try:
            entry = self._entries.made[type(intent)]
            text = entry.head + self._text.quick(entry.form.write_known(intent)) + b"}"
            if not entry.secrets and (len(text) < self._glance or self.limits.ample(text)):
                return text
        except Exception:  # noqa: BLE001, S110 - the other way is slower, and says what is wrong
            pass
        return self._texted(intent, self.dump(intent))

    def dump(self, intent: Any) -> dict[str, Any]:
        """An intent alone, as dicts and lists, to be put into a larger document.

        Raises:
            UnencodableError: as ``encode`` does.
        """
        entry = self._entries.of_value(intent)
        try:
            return self._message(entry, entry.form.write(intent))
        except Unwritable:
            error = entry.unfit(intent)
        except Flaw as flaw:
            error = _too_large(intent, flaw)
        except RecursionError:
            error = _too_large(intent, Flaw("is too deep"))
        raise error  # out here, where no value hangs on its context

    def _message(self, entry: Entry, data: dict[str, Any]) -> dict[str, Any]:
        message = {"kind": entry.kind, "version": entry.version, "data": data}
        if entry.secrets and self._cipher is not None:
            secrets = {key: data.pop(key) for key in entry.secrets}
            sealed = seal(self._cipher, self.limits, secrets, entry.kind, entry.version)
            message["sealed"] = sealed
        return message

    def _texted(self, intent: Any, document: dict[str, Any]) -> bytes:
        try:
            text = self._text.dumps(document)
            if not self.limits.ample(text):
                self.limits.measure(document)
        except Flaw as flaw:
            error = _too_large(intent, flaw)
        else:
            return text
        raise error

    def check(self, cls: type[Any]) -> None:
        """Whether intents of a class can be encoded, before there is one.

        Raises:
            UnencodableError: a field has no form on the wire, or the class may not pass.
            SensitiveFieldError: a field is sensitive, and there is no cipher.
        """
        self._entries.of(cls)

    # -- decoding ---------------------------------------------------------------------------------

    def decode(self, text: bytes | str) -> Envelope:
        """What ``encode`` wrote.

        Raises:
            WireError: the text is bad in any way; it names kind, version and path.
            UnencodableError: a class of this kind is declared here, with a field that has no form.
            SensitiveFieldError: it has a sensitive field, and there is no cipher.
        """
        document = self._document(text)
        message, options, causation = strictly(read_envelope, document)
        return Envelope(self._decoder.intent(*message), options, self._versions.renamed(causation))

    def loads(self, text: bytes | str) -> Any:
        """What ``dumps`` wrote: the intent.

        Raises:
            WireError: as ``decode`` does.
        """
        document = self._document(text)
        try:
            if len(document) == 3:
                return self._decoder.at_once(
                    document["kind"], document["version"], document["data"]
                )
        except Exception:  # noqa: BLE001, S110 - as in dumps
            pass
        return self._read(document)

    def load(self, message: Mapping[str, Any]) -> Any:
        """What ``dump`` made: the intent.

        Raises:
            WireError: as ``decode`` does.
        """
        document = dict(message) if isinstance(message, Mapping) else message
        return self._read(document if self._versions.empty else copy.deepcopy(document))

    def _document(self, text: bytes | str) -> Any:
        try:
            if type(text) is not bytes:
                text = as_bytes(text)
            ample = len(text) < self._glance or self.limits.ample(text)
            document = self._text.loads(text)
            if not ample:
                self.limits.measure(document)
        except Flaw as flaw:
            error = WireError(*named(flaw.document), flaw.path, flaw.problem)
        else:
            return document
        raise error

    def _read(self, document: Any) -> Any:
        return self._decoder.intent(*strictly(check_message, document))

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

    # -- schemas ----------------------------------------------------------------------------------

    def schema_of(self, cls: Any) -> dict[str, Any]:
        """JSON Schema (2020-12) of what ``dumps`` writes for an intent class.

        Raises:
            UnencodableError: a field has no form on the wire.
        """
        entry = self._entries.described(getattr(cls, "intent_type", cls))
        return message_schema(entry, self._entries.forms.definitions)

    def schemas(self) -> dict[str, Any]:
        """The JSON Schema of the envelope, with one for every intent that may pass: to be saved.

        ``incompatibilities(saved, wire.schemas())`` says what would break.

        Raises:
            UnencodableError: as ``schema_of`` does.
        """
        entries = [self._entries.described(cls) for cls in self._entries.all()]
        return {**schemas(entries, self._entries.forms.definitions), **self._versions.told()}


def _check(cipher: object, limits: object) -> None:
    if not isinstance(limits, Limits | None):
        raise DeclarationError(f"Wire(limits=...) takes Limits(...), not {describe(limits)}.")
    if cipher is not None and not (hasattr(cipher, "encrypt") and hasattr(cipher, "decrypt")):
        raise DeclarationError(
            f"Wire(cipher=...) takes what has encrypt and decrypt, not a {type(cipher).__qualname__}: "
            "give AesGcm(key)."
        )


def _too_large(intent: Any, flaw: Flaw) -> UnencodableError:
    hint = "Send an id, and load the rest in the handler; or raise Wire(limits=Limits(...))."
    return UnencodableError(type(intent).__qualname__, "", flaw.problem, hint)
