"""Fields of classes: which there are, and what their annotations stand for.

One reader for everything that asks: the check at declaration, the wire, strategies for tests.
``fields_of`` takes an attrs class, a dataclass or a named tuple, also a generic one with its
arguments, and returns each field with its type. Names are looked up in the module of the class that
annotates the field, and among the local ones that the caller knows. A type that cannot be found is
an ``Unresolved``, with the reason: it is an error wherever it matters, and never the same as a type
about which nothing is known. (The own types of an intent are resolved once, with the names
around its declaration; call ``resolve_late`` first, for those that were not there yet.)
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

__all__ = [
    "UNIONS",
    "Field",
    "Unresolved",
    "bare",
    "bindings",
    "fields_of",
    "has_fields",
    "is_alias",
    "meant_by",
    "resolved",
    "substituted",
]

UNIONS = (typing.Union, types.UnionType)


@attrs.frozen
class Unresolved:
    """A type that cannot be found.

    Attributes:
        annotation: as it is written.
        problem: why, as Python has it.
        later: whether it may be found later, when more is defined.
    """

    annotation: str
    problem: str
    later: bool = False


@attrs.frozen
class Field:
    """A field of a class.

    Attributes:
        name: of the attribute.
        key: of the argument of the constructor.
        type: with its names resolved, and type variables replaced as far as they are bound;
            ``Unresolved`` if a name in it is not to be found; ``Any`` without an annotation.
        default: the default; ``attrs.NOTHING`` if there is none or it is made anew each time.
        required: whether it has no default.
        init: whether the constructor takes it.
        compared: whether it is part of the value, that is, of equality and hash.
        sensitive: whether it was declared so.
        converter: what its argument passes through first, or None.
        validator: what refuses its value, or None.
    """

    name: str
    key: str
    type: Any
    default: Any
    required: bool
    init: bool = True
    compared: bool = True
    sensitive: bool = False
    converter: Any = None
    validator: Any = None


def has_fields(cls: Any) -> bool:
    """Return True for a class whose values are made of its fields."""
    return isinstance(cls, type) and (
        attrs.has(cls) or hasattr(cls, "__dataclass_fields__") or _is_named_tuple(cls)
    )


def fields_of(hint: Any, names: Mapping[str, Any] | None = None) -> tuple[Field, ...]:
    """Return the fields of a class, in order.

    Args:
        hint: the class, or a generic one with its arguments, ``Page[int]``.
        names: what local names mean, where the class is used or declared in a function.

    Example:
        >>> [(field.name, field.type) for field in fields_of(NotifyWarehouse)]
        [('order_id', <class 'int'>)]
    """
    cls: Any = typing.get_origin(hint) or hint
    bound = bindings(hint)
    found = []
    for field in _declared(cls):
        owner = _owner(cls, field.name)
        if field.type is None:  # a type; but attrs has it for a field without one as well
            field = attrs.evolve(field, type=type(None) if owner else Any)  # noqa: PLW2901
        owner = owner or cls
        meant = resolved(field.type, owner, names)
        if not isinstance(meant, Unresolved):
            meant = substituted(meant, bound.get(owner, {}))
        found.append(attrs.evolve(field, type=meant))
    return tuple(found)


def resolved(hint: Any, owner: Any, names: Mapping[str, Any] | None = None) -> Any:
    """Resolve every name in a type, however deep; return ``Unresolved`` if one cannot be resolved.

    Args:
        hint: as an annotation has it: a type, a string, a type with strings inside.
        owner: the class that has the annotation.
        names: what local names mean.
    """
    if not _has_names(hint):
        return hint
    module = sys.modules.get(owner.__module__)
    local = {one.__name__: one for one in getattr(owner, "__type_params__", ())}
    local[owner.__name__] = owner
    around = dict(names or {})
    known = {} if module is None else vars(module)
    # A class at module level knows the names of its module; what is around its use, failing that.
    known = {**known, **around} if "<locals>" in owner.__qualname__ else {**around, **known}
    holder = type("Holder", (), {"__annotations__": {"it": hint}, "__module__": owner.__module__})
    try:
        return typing.get_type_hints(holder, known, local, include_extras=True)["it"]
    except Exception as error:  # noqa: BLE001 - an annotation is any expression of the user's
        later = isinstance(error, NameError | AttributeError)
        return Unresolved(_format_hint(hint), str(error) or type(error).__name__, later)


def _has_names(hint: Any) -> bool:
    """Return True if a type has strings in it that are names of types."""
    if isinstance(hint, str | typing.ForwardRef):
        return True
    if typing.get_origin(hint) is typing.Literal:
        return False
    if isinstance(hint, list):  # the arguments of a Callable
        return any(map(_has_names, hint))
    if typing.get_origin(hint) is typing.Annotated:
        return _has_names(typing.get_args(hint)[0])
    return any(map(_has_names, typing.get_args(hint)))


def _format_hint(hint: Any) -> str:
    text = getattr(hint, "__forward_arg__", hint)
    return text if isinstance(text, str) else str(hint)


# -- what types are made of -----------------------------------------------------------------------


def bare(hint: Any, seen: set[Any] | None = None) -> Any:
    """Strip a type of Annotated, Final, NewType and aliases, which do not restrict its values.

    Args:
        hint: any type.
        seen: the aliases that were followed; of one that is there, as it may hold itself, there is
            nothing more to say, which is ``Any``.

    Raises:
        RecursionError: without ``seen``, an alias stands for itself.
    """
    for _ in range(_MOST_NAMES):
        if hint is None:
            return type(None)
        if typing.get_origin(hint) in (typing.Annotated, typing.Final):
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif not is_alias(hint):
            return hint
        elif seen is not None and hint in seen:
            return Any
        else:
            if seen is not None:
                seen.add(hint)
            hint = meant_by(hint)
    raise RecursionError


_MOST_NAMES = 100
"""Number of names, one for the other, from which a type counts as one without end."""


def is_alias(hint: Any) -> bool:
    """Return True for an alias of PEP 695, and for a generic one with its arguments."""
    return "TypeAliasType" in (type(hint).__name__, type(typing.get_origin(hint)).__name__)


def meant_by(alias: Any) -> Any:
    """Return the type that an alias stands for."""
    origin = typing.get_origin(alias)
    if origin is None:
        return alias.__value__
    chosen = dict(zip(origin.__type_params__, typing.get_args(alias), strict=False))
    return substituted(origin.__value__, chosen)


def substituted(hint: Any, chosen: Mapping[Any, Any]) -> Any:
    """Replace the variables of a type by other types."""
    if isinstance(hint, TypeVar):
        return chosen.get(hint, hint)
    generic: Any = hint
    variables = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    if not variables or not chosen:
        return hint
    return generic[tuple(chosen.get(variable, variable) for variable in variables)]


def bindings(hint: Any) -> dict[Any, dict[Any, Any]]:
    """Return the types bound to the type variables of a class, and of each of its bases."""
    cls: Any = typing.get_origin(hint) or hint
    chosen = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    found = {cls: chosen}
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, typing.Generic, typing.Protocol):
            found |= bindings(substituted(base, chosen))
    return found


# -- classes --------------------------------------------------------------------------------------


def _declared(cls: Any) -> Iterator[Field]:
    """Yield the fields of a class, with their annotations as they are written."""
    if attrs.has(cls):
        yield from map(_of_attrs, attrs.fields(cls))
    elif hasattr(cls, "__dataclass_fields__"):
        yield from _of_dataclass(cls)
    elif _is_named_tuple(cls):
        for name in cls._fields:
            owner = _owner(cls, name)
            hint = Any if owner is None else inspect.get_annotations(owner)[name]
            default = cls._field_defaults.get(name, attrs.NOTHING)
            yield Field(name, name, hint, default, default is attrs.NOTHING)


def _of_attrs(a: Any) -> Field:
    return Field(
        a.name,
        a.alias,
        a.type,
        attrs.NOTHING if isinstance(a.default, _FACTORY) else a.default,
        a.default is attrs.NOTHING,
        a.init,
        bool(a.hash or (a.hash is None and a.eq)),
        bool(a.metadata.get("airlock.sensitive")),
        a.converter,
        a.validator,
    )


_FACTORY: Any = attrs.Factory  # a class, typed as a function


def _of_dataclass(cls: Any) -> Iterator[Field]:
    from dataclasses import MISSING, fields  # noqa: PLC0415 - loaded already, or there were no such class

    for f in fields(cls):
        yield Field(
            f.name,
            f.name,
            f.type,
            attrs.NOTHING if f.default is MISSING else f.default,
            f.default is f.default_factory,  # both are MISSING, or one
            f.init,
            bool(f.hash or (f.hash is None and f.compare)),
        )


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def _owner(cls: Any, name: str) -> Any:
    """Return the class that annotates a field; None if no class does."""
    return next((base for base in cls.__mro__ if name in inspect.get_annotations(base)), None)
