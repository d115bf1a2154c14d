"""Intent classes on the wire: each is looked at when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import RLock
from typing import Any, TypedDict

import attrs
import msgspec

from airlock.effects.place import shown
from airlock.effects.registry import declared, describe, spec_of, type_named, types_named
from airlock.errors import DeclarationError, SensitiveFieldError, UnencodableError
from airlock.wire import carried
from airlock.wire.classes import constructor
from airlock.wire.converter import WireConverter, Write
from airlock.wire.hints import has_secrets
from airlock.wire.leaves import Leaf
from airlock.wire.problems import NoFormError, UnwritableError, discreet, located
from airlock.wire.schema import Schemas
from airlock.wire.text import dumps

__all__ = ["Entries", "Entry"]


@attrs.frozen(eq=False)
class Entry:
    """An intent class on the wire.

    Attributes:
        cls: the class.
        kind: its kind.
        version: of its fields.
        secrets: the fields that are sealed: those with something sensitive in them.
        write: the hook that writes an intent; raises ``UnwritableError``.
        body: return what msgspec writes as the data of an intent, itself if it can.
        dumps: the message of an intent as a text, nothing of it sealed, at once.
    """

    cls: type[Any]
    kind: str
    version: int
    secrets: tuple[str, ...]
    write: Write
    body: Write
    dumps: Callable[[Any], bytes]

    def unencodable(self, error: UnwritableError) -> UnencodableError:
        """Return the error for an intent that could not be written."""
        path = discreet(error.path) if self.secrets else error.path
        hint = "Nothing was written. Give a value of the annotated type, or change the annotation."
        return UnencodableError(self.cls.__qualname__, path, error.problem, hint)


class Entries:
    """Entries by class, and by kind and version. Threads may share them.

    Args:
        intents: the classes that may pass; None for every one that is declared.
        leaves: the forms of types whose values are not made of others.
        sealed: True if there is a cipher for sensitive fields.
    """

    def __init__(
        self, intents: Iterable[Any] | None, leaves: Mapping[Any, Leaf], *, sealed: bool
    ) -> None:
        if not isinstance(intents, Iterable | None) or isinstance(intents, type):
            raise DeclarationError(
                f"Wire(intents=...) takes several intent classes, not {describe(intents)}: "
                "put it in a list."
            )
        chosen = None if intents is None else [getattr(i, "intent_type", i) for i in intents]
        self._chosen = None if chosen is None else frozenset(map(_name, chosen))
        self._converter = WireConverter(leaves)
        self._explaining = WireConverter(leaves, explain=True)
        self.schemas = Schemas(self._converter)
        self._sealed = sealed
        self._lock = RLock()
        self.made: dict[type[Any], Entry] = {}
        """Entries of the classes that were already used."""
        self.writers: dict[type[Any], Callable[[Any], bytes]] = {}
        """Their ``dumps``, of those without secrets."""
        self.bodies: dict[type[Any], tuple[str, int, Write, bool]] = {}
        """Kind, version and ``body`` of the same, and whether their values are not nested."""

    def of_value(self, intent: Any) -> Entry:
        """Return the entry of an intent's class.

        Raises:
            UnencodableError: as ``of`` does.
            DeclarationError: it is no intent.
        """
        entry = self.made.get(type(intent))
        if entry is not None:
            return entry
        if isinstance(intent, type) or "__intent__" not in vars(type(intent)):
            raise DeclarationError(
                f"the wire takes intents, values of @intent classes, not {describe(intent)}."
            )
        return self.of(type(intent))

    def of(self, cls: type[Any]) -> Entry:
        """Return the entry of a class.

        Raises:
            UnencodableError: a field has no form, or the class may not pass.
            SensitiveFieldError: a field is sensitive, and there is no cipher.
            DeclarationError: it is no intent class.
        """
        return self.made.get(cls) or self._make(cls)

    def named(self, kind: str, version: int) -> Entry | None:
        """Return the entry of a kind and version; None if there is none that may pass.

        Raises:
            UnencodableError: as ``of`` does.
        """
        cls = type_named(kind, version)
        if cls is None:
            return None
        return self.made.get(cls) or (self._make(cls) if self._passes(cls) else None)

    def versions(self, kind: str) -> list[int]:
        """Return the versions of a kind that may pass."""
        return sorted(spec_of(cls).version for cls in types_named(kind) if self._passes(cls))

    def all(self) -> list[type[Any]]:
        """Return every class that may pass, in order of declaration."""
        return [cls for cls in declared() if self._passes(cls)]

    def _passes(self, cls: type[Any]) -> bool:
        return self._chosen is None or _name(cls) in self._chosen

    def _make(self, cls: type[Any]) -> Entry:
        entry = self.described(cls)
        if entry.secrets and not self._sealed:
            raise SensitiveFieldError(
                cls.__qualname__,
                f".{entry.secrets[0]}",
                "is sensitive, and this wire has no cipher, so it would be there for all to read",
                "Give one, Wire(cipher=AesGcm(key)), or leave the field out and send an id.",
            )
        if not entry.secrets:
            self.writers[cls] = entry.dumps
            flat = carried.is_flat(cls, self._converter)
            self.bodies[cls] = entry.kind, entry.version, entry.body, flat
        self.made[cls] = entry
        return entry

    def described(self, cls: type[Any]) -> Entry:
        """Return the entry of a class, with or without a cipher: for its schema.

        Raises:
            UnencodableError: a field has no form, or the class may not pass.
        """
        spec = spec_of(cls)
        if not self._passes(cls):
            raise UnencodableError(
                cls.__qualname__,
                "",
                "is not among the intents of this wire",
                "Add it to Wire(intents=...).",
            )
        with self._lock:
            try:
                self.schemas.of(cls)
            except NoFormError as error:
                problem = f"{error.problem} (declared at {shown(spec.place)})"
                path, hint = error.path, error.hint
            else:
                return self._entry(cls, spec.kind, spec.version)
        raise UnencodableError(cls.__qualname__, path, problem, hint)

    def _entry(self, cls: type[Any], kind: str, version: int) -> Entry:
        secrets = [
            one.key
            for one in self._converter.arguments_of(cls)
            if one.sensitive or has_secrets(one.type)
        ]
        head = dumps({"kind": kind, "version": version})[:-1] + b',"data":'
        return Entry(
            cls,
            kind,
            version,
            tuple(secrets),
            self._converter.write(cls),
            carried.writer(cls, self._converter),
            carried.writer(cls, self._converter, head),
        )

    def explain(self, cls: type[Any], data: Any) -> Any:
        """Return the intent of some data.

        Raises:
            MisfitError: there is none; it says what is wrong, and where.
        """
        with self._lock:
            hook = self._explaining.read(cls)
        try:
            return hook(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the payload caused it
            raise located(error).within(".data") from None

    def reader(self, cls: type[Any]) -> Callable[[msgspec.Raw], Any]:
        """Return the function from the text of some data to the intent, where nothing is wrong.

        msgspec reads the class, or else those of its fields that it can.
        """
        with self._lock:
            return self._reader(cls)

    def _reader(self, cls: type[Any]) -> Callable[[msgspec.Raw], Any]:
        if carried.is_read(cls, self._converter):
            return msgspec.json.Decoder(cls).decode
        declared = self._converter.arguments_of(cls)
        checked = [one.key for one in declared if carried.is_read(one.type, self._converter)]
        data = {one.key: one.type if one.key in checked else Any for one in declared}
        decode = msgspec.json.Decoder(TypedDict("Data", data, total=False)).decode  # type: ignore[operator]
        construct = constructor(cls, self._converter, checked)
        return lambda text: construct(decode(text))


def _name(cls: type[Any]) -> tuple[str, int]:
    """Return kind and version: those of a class stay when its module is loaded again."""
    spec = spec_of(cls)
    return spec.kind, spec.version
