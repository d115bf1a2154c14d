"""The registry of intent classes, by kind and version."""

from __future__ import annotations

from types import CodeType
from typing import Any

import attrs

from airlock.effects.place import Place, shown
from airlock.errors import DeclarationError, DuplicateKindError

__all__ = [
    "KINDS",
    "KNOWN",
    "IntentSpec",
    "declared",
    "describe",
    "located",
    "register",
    "spec_of",
    "type_named",
    "types_named",
]


@attrs.frozen
class IntentSpec:
    """The arguments of ``@intent``, and the place of its call.

    Attributes:
        kind: stable name, on the wire and in reports.
        version: of the fields, from 1.
        place: file and line of the declaration.
    """

    kind: str
    version: int
    place: Place


KNOWN: set[type[Any]] = set()
"""Every class that may be emitted. ``type(x) in KNOWN`` is the whole check on the hot path."""

KINDS: dict[tuple[str, int], type[Any]] = {}
"""By kind and version: every intent class declared so far, in order of declaration."""


def declared() -> tuple[type[Any], ...]:
    """Every intent class declared so far, in order of declaration."""
    return tuple(KINDS.values())


def types_named(kind: str) -> tuple[type[Any], ...]:
    """Return the intent classes of a kind, all versions; empty if none is declared (yet)."""
    return tuple(cls for (name, _), cls in KINDS.items() if name == kind)


def type_named(kind: str, version: int) -> type[Any] | None:
    """Return the intent class of a kind and version; None if none is declared (yet)."""
    return KINDS.get((kind, version))


def spec_of(cls: type[Any]) -> IntentSpec:
    """Return the spec of an intent class.

    Raises:
        DeclarationError: if ``cls`` is not itself decorated with ``@intent``.
    """
    spec = vars(cls).get("__intent__") if isinstance(cls, type) else None
    if type(cls) in KNOWN:
        name = type(cls).__qualname__
        raise DeclarationError(f"{cls!r} is an intent, a value: give its class, {name}.")
    if not isinstance(spec, IntentSpec):
        raise DeclarationError(f"{describe(cls)} is not an intent class: decorate it with @intent.")
    return spec


def register(built: type[Any], spec: IntentSpec) -> None:
    """Note a class under its kind and version.

    Raises:
        DuplicateKindError: another class has them.
    """
    key = (spec.kind, spec.version)
    other = KINDS.get(key)
    # The same place in the source declared again (a reload, a class inside a function) replaces.
    if other is not None and _source(other) != _source(built):
        places = [
            f"{c.__module__}.{c.__qualname__} ({shown(p)})"
            for c, p in ((other, spec_of(other).place), (built, spec.place))
        ]
        raise DuplicateKindError(spec.kind, spec.version, *places)
    KINDS[key] = built


def _source(cls: type[Any]) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def located(value: Any) -> str:
    """``describe``, with the place of the code where that is known."""
    code = getattr(value, "__code__", None)
    if type(code) is not CodeType:  # a mock only pretends to have one
        return describe(value)
    return f"{describe(value)} ({shown((code.co_filename, code.co_firstlineno))})"


def describe(value: Any) -> str:
    """Return a short name of anything, for messages."""
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    name = getattr(value, "__qualname__", None)
    if name is not None:
        return str(name)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
