"""Reading annotations: what a field's type says once names and type variables stand for something."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from airlock.effects.intent import resolve_late

__all__ = [
    "UNBOUND",
    "Member",
    "bare",
    "has_members",
    "has_secrets",
    "members",
    "positional",
    "unfilled",
]

UNBOUND = object()
"""What a type variable stands for that nobody bound: nothing can be said of its values."""


@attrs.frozen
class Member:
    """A field as its class declares it.

    Attributes:
        name: of the attribute.
        key: of the argument, and in JSON.
        hint: its type; a ``str`` if a name in it is not to be found.
        required: whether it has no default.
        default: the default; ``attrs.NOTHING`` if there is none or it is made anew each time.
        secret: whether it was declared sensitive.
    """

    name: str
    key: str
    hint: Any
    required: bool
    default: Any
    secret: bool


def bare(hint: Any) -> Any:
    """A type without what says nothing about its form: Annotated, Final, NewType, an alias.

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
"""How many names a type may have, one for the other, before it is taken for one without end."""


def _choice(variable: TypeVar) -> Any:
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007 - of a tuple
    return UNBOUND if variable.__bound__ is None else variable.__bound__


def _is_named_tuple(cls: Any) -> bool:
    """Whether a class is a named tuple."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def has_members(cls: Any) -> bool:
    """Whether the values of a class are made of its fields."""
    return isinstance(cls, type) and (
        attrs.has(cls) or dataclasses.is_dataclass(cls) or _is_named_tuple(cls)
    )


def members(hint: Any) -> list[Member]:
    """The fields of a class that its constructor takes, with their types."""
    cls: Any = typing.get_origin(hint) or hint
    resolve_late(cls)
    bound = _bindings(hint)
    found = []
    for member in _declared(cls):
        owner = next((c for c in cls.__mro__ if member.name in _annotations(c)), cls)
        said = _resolved(member.hint, owner)
        found.append(attrs.evolve(member, hint=_substituted(said, bound.get(owner, {}))))
    return found


def has_secrets(hint: Any) -> bool:
    """Whether a value of a type may hold something sensitive, however deep."""
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
    """An argument that the constructor of a class asks for, and none of its fields gives."""
    keys = {member.key for member in declared}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in _parameters(cls):
        required = parameter.default is parameter.empty and parameter.kind not in several
        if required and parameter.name not in keys:
            return parameter.name
    return None


def positional(cls: Any) -> list[str]:
    """The arguments that the constructor of a class takes by position."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [parameter.name for parameter in _parameters(cls) if parameter.kind is kind]


def _parameters(cls: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):  # it does not say
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
    """``None`` is a type, and what attrs says of a field without one."""
    if attribute.type is None and not any(attribute.name in _annotations(c) for c in cls.__mro__):
        return Any
    return attribute.type


def _resolved(hint: Any, owner: type[Any]) -> Any:
    """A type with what its names stand for; as it was if one of them is not to be found.

    An intent's own types are resolved already, even those of local names.
    """
    names = {owner.__name__: owner}
    names |= {variable.__name__: variable for variable in getattr(owner, "__type_params__", ())}
    holder = type("Holder", (), {"__annotations__": {"it": hint}, "__module__": owner.__module__})
    try:
        return typing.get_type_hints(holder, localns=names)["it"]
    except Exception:  # noqa: BLE001 - as in _resolve of the intent: whatever is wrong with a name
        return hint


def _annotations(cls: type[Any]) -> Mapping[str, Any]:
    return inspect.get_annotations(cls)


def _substituted(hint: Any, chosen: Mapping[Any, Any]) -> Any:
    """A type with other types for its variables."""
    if isinstance(hint, TypeVar):
        return chosen.get(hint, hint)
    generic: Any = hint
    variables = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    if not variables or not chosen:
        return hint
    return generic[tuple(chosen.get(variable, variable) for variable in variables)]


def _bindings(hint: Any) -> dict[Any, dict[Any, Any]]:
    """What the type variables of a class, and of each of its bases, stand for."""
    cls: Any = typing.get_origin(hint) or hint
    chosen = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    found = {cls: chosen}
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, typing.Generic, typing.Protocol):
            found |= _bindings(_substituted(base, chosen))
    return found
