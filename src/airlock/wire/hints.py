"""Annotations: the fields of a class, and their types with names and type variables resolved."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from airlock.effects.describe import name_of
from airlock.effects.intent import resolve_late

__all__ = [
    "UNBOUND",
    "UNIONS",
    "Member",
    "bare",
    "format_hint",
    "has_members",
    "has_secrets",
    "members",
    "positional",
    "title",
    "unfilled",
]

UNIONS = (typing.Union, types.UnionType)
UNBOUND = object()
"""The type of a type variable that nobody bound: nothing is known of its values."""


@attrs.frozen
class Member:
    """A field of a class that is written as an object.

    Attributes:
        name: of the attribute.
        key: the name of the constructor's argument, and in JSON.
        hint: its type; a ``str`` if a name in it cannot be resolved.
        required: whether it has no default.
        default: the default; ``attrs.NOTHING`` if there is none or it is made anew each time.
        secret: True if it was declared sensitive.
    """

    name: str
    key: str
    hint: Any
    required: bool
    default: Any
    secret: bool


def bare(hint: Any) -> Any:
    """Return a type without Annotated, Final, NewType and aliases, which do not change its form.

    Raises:
        RecursionError: an alias stands for itself.
    """
    for _ in range(_MOST_NAMES):
        origin = typing.get_origin(hint)
        if hint is None:
            return type(None)
        if origin in (typing.Annotated, typing.Final):
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":  # from Python 3.12
            hint = hint.__value__
        elif type(origin).__name__ == "TypeAliasType":
            alias: Any = origin
            chosen = dict(zip(alias.__type_params__, typing.get_args(hint), strict=False))
            hint = _substituted(alias.__value__, chosen)
        elif isinstance(hint, TypeVar):
            hint = _choice(hint)
        else:
            return hint
    raise RecursionError


_MOST_NAMES = 100
"""Aliases of aliases, after which a type is taken for one without end."""


def _choice(variable: TypeVar) -> Any:
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007 - of a tuple
    return UNBOUND if variable.__bound__ is None else variable.__bound__


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def has_members(cls: Any) -> bool:
    """Return True if the values of a class are made of its fields."""
    return isinstance(cls, type) and (
        attrs.has(cls) or dataclasses.is_dataclass(cls) or _is_named_tuple(cls)
    )


def title(hint: Any) -> str:
    """Return the name of a type in messages, and as a tag of a union: ``Line``, ``Box[int]``."""
    hint = bare(hint)
    cls = typing.get_origin(hint) or hint
    if hint is type(None):
        return "None"
    if cls is typing.Literal:
        return "Literal"
    if cls in UNIONS:
        return " | ".join(map(title, typing.get_args(hint)))
    if not has_members(cls):
        return hint.__name__ if isinstance(hint, type) and hint is cls else format_hint(hint)
    names = [getattr(one, "__name__", str(one)) for one in typing.get_args(hint)]
    return name_of(cls).lstrip("_") + (f"[{', '.join(names)}]" if names else "")


def format_hint(hint: Any) -> str:
    """Return a type as it is written in code."""
    if hint is UNBOUND:
        return "TypeVar"
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__qualname__
    return str(getattr(hint, "__forward_arg__", hint)).replace("typing.", "")


def members(hint: Any) -> list[Member]:
    """Return the fields of a class that its constructor takes, with their types."""
    cls: Any = typing.get_origin(hint) or hint
    resolve_late(cls)
    bound = _bindings(hint)
    found = []
    for member in _declared(cls):
        owner = next((c for c in cls.__mro__ if member.name in _annotations(c)), cls)
        resolved = _resolved(member.hint, owner)
        found.append(attrs.evolve(member, hint=_substituted(resolved, bound.get(owner, {}))))
    return found


def has_secrets(hint: Any) -> bool:
    """Return True if a value of a type may hold something sensitive, however deep."""
    return _has_secrets(hint, set())


def _has_secrets(hint: Any, seen: set[Any]) -> bool:
    hint = bare(hint)
    if hint in seen:
        return False
    seen.add(hint)
    inner = list(typing.get_args(hint))
    if has_members(typing.get_origin(hint) or hint):
        own = members(hint)
        if any(member.secret for member in own):
            return True
        inner += [member.hint for member in own]
    return any(_has_secrets(one, seen) for one in inner)


def unfilled(cls: Any, declared: list[Member]) -> str | None:
    """Return a required argument of the constructor that is no field; None if there is none."""
    keys = {member.key for member in declared}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in _parameters(cls):
        required = parameter.default is parameter.empty and parameter.kind not in several
        if required and parameter.name not in keys:
            return parameter.name
    return None


def positional(cls: Any) -> list[str]:
    """Return the arguments that the constructor of a class takes by position."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [parameter.name for parameter in _parameters(cls) if parameter.kind is kind]


def _parameters(cls: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):  # a constructor without a signature
        return []


def _declared(cls: Any) -> Iterator[Member]:
    if attrs.has(cls):
        for a in attrs.fields(cls):
            default = attrs.NOTHING if isinstance(a.default, _FACTORY) else a.default
            secret = bool(a.metadata.get("airlock.sensitive"))
            required = a.default is attrs.NOTHING
            if a.init:
                yield Member(a.name, a.alias, _type_of(a, cls), required, default, secret)
    elif dataclasses.is_dataclass(cls):
        for f in dataclasses.fields(cls):
            made = f.default_factory is not dataclasses.MISSING
            given = f.default is not dataclasses.MISSING
            if f.init:
                default = f.default if given else attrs.NOTHING
                yield Member(f.name, f.name, f.type, not (made or given), default, secret=False)
    else:
        hints = _annotations(cls)
        for name in cls._fields:
            default = cls._field_defaults.get(name, attrs.NOTHING)
            required = default is attrs.NOTHING
            yield Member(name, name, hints.get(name, Any), required, default, secret=False)


_FACTORY: Any = attrs.Factory  # a class, typed as a function


def _type_of(attribute: Any, cls: Any) -> Any:
    """Return the type of an attribute: attrs has None both for that type and for no type."""
    if attribute.type is None and not any(attribute.name in _annotations(c) for c in cls.__mro__):
        return Any
    return attribute.type


def _resolved(hint: Any, owner: type[Any]) -> Any:
    """Return a type with its names resolved, or as it was if one of them cannot be.

    An intent's own types are resolved already, even those of local names.
    """
    names = {owner.__name__: owner}
    names |= {variable.__name__: variable for variable in getattr(owner, "__type_params__", ())}
    holder = type("Holder", (), {"__annotations__": {"it": hint}, "__module__": owner.__module__})
    try:
        return typing.get_type_hints(holder, localns=names)["it"]
    except Exception:  # noqa: BLE001 - whatever is wrong with a name
        return hint


def _annotations(cls: type[Any]) -> Mapping[str, Any]:
    return inspect.get_annotations(cls)


def _substituted(hint: Any, chosen: Mapping[Any, Any]) -> Any:
    """Return a type with other types for its variables."""
    if isinstance(hint, TypeVar):
        return chosen.get(hint, hint)
    generic: Any = hint
    variables = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    if not variables or not chosen:
        return hint
    return generic[tuple(chosen.get(variable, variable) for variable in variables)]


def _bindings(hint: Any) -> dict[Any, dict[Any, Any]]:
    """Return the types of the type variables of a class, and of each of its bases."""
    cls: Any = typing.get_origin(hint) or hint
    chosen = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    found = {cls: chosen}
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, typing.Generic, typing.Protocol):
            found |= _bindings(_substituted(base, chosen))
    return found
