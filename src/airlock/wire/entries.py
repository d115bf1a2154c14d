"""Intent classes on the wire: each is looked at when it is first used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from airlock.effects.place import shown
from airlock.effects.registry import declared, describe, spec_of, type_named, types_named
from airlock.errors import DeclarationError, SensitiveFieldError, UnencodableError
from airlock.wire.classes import Manner
from airlock.wire.form import Form, Misfit, discreet, locate
from airlock.wire.forms import Forms, NoForm

__all__ = ["Entries", "Entry"]


@attrs.frozen(eq=False)
class Entry:
    """An intent class on the wire.

    Attributes:
        cls: the class.
        kind: its kind.
        version: of its fields.
        form: of its values.
        secrets: the fields that are sealed: those with something sensitive in them.
        head: how each message begins, up to the data.
    """

    cls: type[Any]
    kind: str
    version: int
    form: Form
    secrets: tuple[str, ...]
    head: bytes

    def unfit(self, intent: Any) -> UnencodableError:
        """Why an intent could not be written."""
        path, problem = locate(self.form, intent)
        if self.secrets:
            path = discreet(path)
        hint = "Nothing was written. Make the value what the annotation says, or change that."
        return UnencodableError(self.cls.__qualname__, path, problem, hint)


class Entries:
    """Entries by class, and by kind and version.

    Args:
        intents: the classes that may pass; None for every one that is declared.
        custom: forms of types that airlock does not know.
        sealed: whether there is a cipher for sensitive fields.
    """

    def __init__(
        self, intents: Iterable[Any] | None, custom: Mapping[Any, Form], *, sealed: bool
    ) -> None:
        if not isinstance(intents, Iterable | None) or isinstance(intents, type):
            raise DeclarationError(
                f"Wire(intents=...) takes several intent classes, not {describe(intents)}: "
                "put it in a list."
            )
        chosen = None if intents is None else [getattr(i, "intent_type", i) for i in intents]
        self._chosen = None if chosen is None else frozenset(map(_name, chosen))
        self.forms = Forms(custom)
        self._careful = Forms(custom, Manner(careful=True))
        self._sealed = sealed
        self.made: dict[type[Any], Entry] = {}
        """Those that were used already."""

    def of_value(self, intent: Any) -> Entry:
        """The entry of an intent's class.

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
        """The entry of a class.

        Raises:
            UnencodableError: a field has no form, or the class may not pass.
            SensitiveFieldError: a field is sensitive, and there is no cipher.
            DeclarationError: it is no intent class.
        """
        return self.made.get(cls) or self._make(cls)

    def named(self, kind: str, version: int) -> Entry | None:
        """The entry of a kind and version; None if there is none that may pass.

        Raises:
            UnencodableError: as ``of`` does.
        """
        cls = type_named(kind, version)
        if cls is None:
            return None
        return self.made.get(cls) or (self._make(cls) if self._passes(cls) else None)

    def versions(self, kind: str) -> list[int]:
        """The versions of a kind that may pass."""
        return sorted(spec_of(cls).version for cls in types_named(kind) if self._passes(cls))

    def all(self) -> list[type[Any]]:
        """Every class that may pass, in order of declaration."""
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
        self.made[cls] = entry
        return entry

    def described(self, cls: type[Any]) -> Entry:
        """The entry of a class, whether or not there is a cipher: for its schema.

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
        try:
            form = self.forms.of(cls)
        except NoForm as none:
            problem = f"{none.problem} (declared at {shown(spec.place)})"
            raise UnencodableError(cls.__qualname__, none.path, problem, none.hint) from None
        secrets = tuple(field.key for field in form.fields if field.secret)
        kind = json.dumps(spec.kind, ensure_ascii=False)
        head = f'{{"kind":{kind},"version":{spec.version},"data":'
        return Entry(cls, spec.kind, spec.version, form, secrets, head.encode())

    def read(self, entry: Entry, data: Any) -> Any:
        """The intent; or, slowly, what is wrong with its data, and where.

        Raises:
            Misfit: it cannot be read.
        """
        try:
            return self._careful.of(entry.cls).read(data)
        except Misfit as misfit:
            raise misfit.within(".data") from None


def _name(cls: type[Any]) -> tuple[str, int]:
    """Kind and version: those of a class stay when its module is loaded again."""
    spec = spec_of(cls)
    return spec.kind, spec.version
