"""Types as annotations say them: names resolved, aliases followed, fields found."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import attrs
from hypothesis.strategies import SearchStrategy

from airlock.testing.strategies.shapes import COLLECTIONS, MAPPINGS

__all__ = [
    "UNIONS",
    "At",
    "Part",
    "Unknown",
    "bindings_of",
    "choices_of",
    "evaluated",
    "is_alias",
    "is_made",
    "is_told",
    "may_nest",
    "parts_of",
    "stripped",
    "substituted",
    "without_none",
]


class Unknown(Exception):  # noqa: N818 - internal; becomes a DeclarationError that names the field
    """A type that does not say how to make a value; the text says why."""


@attrs.frozen
class At:
    """Where a type stands: what names mean there, and in how many other values it is."""

    names: Mapping[str, Any]
    depth: int


@attrs.frozen
class Part:
    """What a class is made from: an argument of its constructor."""

    argument: str
    name: str
    hint: Any
    required: bool
    validator: Any = None


UNIONS = (typing.Union, types.UnionType)
_QUALIFIERS = (typing.Final, typing.ClassVar, typing.Required, typing.NotRequired)


def is_told(kind: Any) -> bool:
    """Whether Hypothesis has been told what values of a class are."""
    # There is no public way to ask. Without this one, what users register would be overlooked.
    lookup = sys.modules.get("hypothesis.strategies._internal.types")
    return kind in getattr(lookup, "_global_type_lookup", {})


def stripped(hint: Any, at: At) -> Any:
    """A type without what says nothing about its values."""
    while True:
        origin = typing.get_origin(hint)
        if isinstance(hint, str | typing.ForwardRef):
            hint = evaluated(hint, at)
        elif hint is None:
            return type(None)
        elif isinstance(hint, typing.NewType) and not is_told(hint):
            hint = hint.__supertype__
        elif isinstance(hint, TypeVar):
            hint = typing.Union[choices_of(hint)]  # noqa: UP007 - of a tuple
        elif origin in _QUALIFIERS or (origin is typing.Annotated and not _is_constrained(hint)):
            hint = typing.get_args(hint)[0]
        else:
            return hint


def without_none(hint: Any) -> Any:
    """``int`` of ``int | None``."""
    if typing.get_origin(hint) not in UNIONS:
        return hint
    return typing.Union[tuple(h for h in typing.get_args(hint) if h is not type(None))]  # noqa: UP007 - of a tuple


def evaluated(hint: Any, at: At) -> Any:
    """What a forward reference stands for there."""
    text = getattr(hint, "__forward_arg__", hint)
    if not isinstance(text, str):
        return hint
    try:
        return eval(text, dict(at.names))  # noqa: S307 - the user's own annotation
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it cannot be read
        raise Unknown(f"the annotation {text!r} cannot be resolved ({error})") from None


def _is_constrained(hint: Any) -> bool:
    """Whether an ``Annotated`` says something that Hypothesis reads."""
    return any(
        isinstance(said, SearchStrategy) or type(said).__module__ == "annotated_types"
        for said in hint.__metadata__
    )


def choices_of(variable: Any) -> tuple[Any, ...]:
    """Types that may stand for a type variable."""
    bound = getattr(variable, "__bound__", None)
    return getattr(variable, "__constraints__", ()) or ((int, str) if bound is None else (bound,))


def is_made(kind: Any) -> bool:
    """Whether values are made from others, by a class with fields, or by one of its subclasses."""
    if not isinstance(kind, type):
        return is_alias(kind)
    if attrs.has(kind) or dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return True
    if inspect.isabstract(kind):
        return kind.__module__ not in sys.stdlib_module_names and bool(kind.__subclasses__())
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def is_alias(kind: Any) -> bool:
    """Whether it was written with ``type X = ...``."""
    return type(kind).__name__ == "TypeAliasType"  # from Python 3.12


def may_nest(hint: Any, at: At) -> bool:
    """Whether a type speaks of values that are made from others."""
    if hint is Ellipsis:
        return False
    hint = stripped(hint, at)
    kind = typing.get_origin(hint) or hint
    if kind in UNIONS or kind in COLLECTIONS or kind in MAPPINGS:
        return any(may_nest(arg, at) for arg in typing.get_args(hint))
    return is_made(kind) and not is_told(kind)


def substituted(hint: Any, chosen: Mapping[Any, Any]) -> Any:
    """A type with other types for its variables."""
    if isinstance(hint, TypeVar):
        return chosen.get(hint, hint)
    generic: Any = hint
    variables = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    return generic[tuple(chosen.get(v, v) for v in variables)] if variables and chosen else hint


def bindings_of(hint: Any) -> dict[Any, dict[Any, Any]]:
    """What the type variables of a class, and of each of its bases, stand for."""
    cls = typing.get_origin(hint) or hint
    chosen = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    found = {cls: chosen}
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, typing.Generic, typing.Protocol):
            found |= bindings_of(substituted(base, chosen))
    return found


def parts_of(cls: Any) -> Iterator[Part]:
    """What a class with fields is made from."""
    if attrs.has(cls):
        annotated = {name for base in cls.__mro__ for name in inspect.get_annotations(base)}
        for a in attrs.fields(cls):
            if a.init:
                hint = _accepted(a) if a.converter or a.name in annotated else Any
                yield Part(a.alias, a.name, hint, a.default is attrs.NOTHING, a.validator)
    elif dataclasses.is_dataclass(cls):
        for f in dataclasses.fields(cls):
            if f.init:
                default = f.default is not f.default_factory  # both are MISSING, or one
                yield Part(f.name, f.name, f.type, not default)
    else:
        hints = inspect.get_annotations(cls)
        names = getattr(cls, "_fields", hints)
        defaults = getattr(cls, "_field_defaults", getattr(cls, "__optional_keys__", ()))
        for name in names:
            yield Part(name, name, hints.get(name, Any), name not in defaults)


def _accepted(attribute: attrs.Attribute[Any]) -> Any:
    """What an argument may be: what the converter takes, if it says so, or else the field's type."""
    converter: Any = getattr(attribute.converter, "converter", attribute.converter)
    said: Any = None
    with suppress(TypeError, ValueError, NameError, StopIteration):  # it has no signature to read
        first = next(iter(inspect.signature(converter).parameters))
        said = typing.get_type_hints(converter).get(first)
    return said or attribute.type
