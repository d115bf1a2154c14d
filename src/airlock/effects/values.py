"""Which types may stand in a field of an intent: immutable and hashable ones.

An intent is compared, deduplicated, logged, stored and sent. Something that can change after it
was emitted, or that cannot be hashed, breaks each of these, so it is refused at declaration.
"""

from __future__ import annotations

import collections
import collections.abc
import enum
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import attrs

__all__ = ["Problem", "problems"]


@attrs.frozen(eq=False)
class Problem:
    """What is wrong with a type, and what to write instead.

    ``path`` leads from the field into nested values (``.lines[].tags``).
    """

    text: str
    hint: str
    path: str = ""


_VALUES: frozenset[Any] = frozenset(
    {
        int,
        float,
        complex,
        bool,
        str,
        bytes,
        type(None),
        type(Ellipsis),
        range,
        re.Pattern,
        enum.Enum,
    }
)
# Told by name, so that none of them has to be imported.
_VALUE_MODULES = frozenset(
    {"datetime", "decimal", "_decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"}
)
_TUPLE = "Use a tuple (tuple[X, ...])."
_FROZENSET = "Use a frozenset."
_JSON = "Use a frozen attrs class, or airlock.Json for a JSON document."
_MUTABLE: dict[Any, str] = {
    list: _TUPLE,
    collections.deque: _TUPLE,
    collections.abc.MutableSequence: _TUPLE,
    set: _FROZENSET,
    collections.abc.Set: _FROZENSET,
    collections.abc.MutableSet: _FROZENSET,
    dict: _JSON,
    collections.defaultdict: _JSON,
    collections.OrderedDict: _JSON,
    collections.Counter: _JSON,
    collections.abc.Mapping: _JSON,
    collections.abc.MutableMapping: _JSON,
    bytearray: "Use bytes.",
    memoryview: "Use bytes.",
}
_INSIST = "To insist, use airlock.field(hash=False), which leaves the field out of the hash."
_MODEL = "Pass its id, and load it in the handler."
_CODE = "Intents are data: say what should happen, and let the handler hold the code."


def problems(hint: Any, path: str = "") -> Iterator[Problem]:
    """What stands against ``hint`` as the type of a field; nothing if it is a value type.

    What cannot be known from the type alone (``Any``, a protocol, a type variable) is accepted.

    Example:
        >>> [p.text for p in problems(tuple[list[int], ...])]
        ['has the mutable type list[int]']
    """
    yield from _problems(hint, path, set())


def _problems(hint: Any, path: str, seen: set[Any]) -> Iterator[Problem]:
    hint = _bare(hint, seen)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or origin is typing.Literal:
        return
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _problems(argument, path, seen)
        return
    kind = origin or hint
    if kind in _MUTABLE:
        yield Problem(f"has the mutable type {_name(hint)}", f"{_MUTABLE[kind]} {_INSIST}", path)
        return
    if kind is type or kind is collections.abc.Callable or kind is types.FunctionType:
        yield Problem(f"is code ({_name(hint)})", _CODE, path)
        return
    if isinstance(kind, type) and kind not in seen:
        seen.add(kind)
        yield from _class_problems(kind, path, seen)
    for argument in arguments:
        if argument is not Ellipsis and not isinstance(argument, list):
            yield from _problems(argument, f"{path}[]", seen)


def _bare(hint: Any, seen: set[Any]) -> Any:
    """Without what says nothing about mutability: Annotated, Final, NewType, a type alias.

    Of an alias that was seen already, which may hold itself, there is nothing more to say.
    """
    while True:
        if typing.get_origin(hint) in (typing.Annotated, typing.Final, typing.ClassVar):
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif not _is_alias(hint):
            return hint
        elif hint in seen:
            return Any
        else:
            seen.add(hint)
            hint = _meant(hint)


def _is_alias(hint: Any) -> bool:
    """Whether it is an alias of PEP 695, or a generic one with its arguments."""
    return "TypeAliasType" in (type(hint).__name__, type(typing.get_origin(hint)).__name__)


def _meant(alias: Any) -> Any:
    """What an alias stands for."""
    origin = typing.get_origin(alias)
    if origin is None:
        return alias.__value__
    chosen = dict(zip(origin.__type_params__, typing.get_args(alias), strict=False))
    value = origin.__value__
    variables = getattr(value, "__parameters__", ())
    return value[tuple(chosen.get(one, one) for one in variables)] if variables else value


def _class_problems(cls: type[Any], path: str, seen: set[Any]) -> Iterator[Problem]:
    if model := _orm(cls):
        yield Problem(f"is an ORM model ({cls.__qualname__}, {model})", f"{_MODEL} {_INSIST}", path)
    elif issubclass(cls, tuple):
        for name, hint in _hints(cls).items():
            yield from _problems(hint, f"{path}.{name}", seen)
    elif any(map(_is_value, cls.__mro__)) or issubclass(cls, frozenset):
        return
    elif getattr(cls, "__hash__", None) is None:
        made = attrs.has(cls) or hasattr(cls, "__dataclass_fields__")
        fix = (
            "Make it frozen and hashable."
            if made
            else "Make it a frozen attrs class, so that it is hashable."
        )
        yield Problem(f"has the unhashable type {cls.__qualname__}", f"{fix} {_INSIST}", path)
    elif getattr(cls, "__eq__", None) is object.__eq__ and not _abstract(cls):
        yield Problem(
            f"has the type {cls.__qualname__}, which compares by identity",
            f"Use a frozen attrs class, or pass an id. {_INSIST}",
            path,
        )
    elif attrs.has(cls):
        compared = [a.name for a in attrs.fields(cls) if a.hash or (a.hash is None and a.eq)]
        yield from _members(cls, compared, path, seen)
    elif hasattr(cls, "__dataclass_fields__"):
        fields = cls.__dataclass_fields__.values()
        compared = [f.name for f in fields if f.hash or (f.hash is None and f.compare)]
        yield from _members(cls, compared, path, seen)


def _is_value(base: type[Any]) -> bool:
    return base in _VALUES or base.__module__.partition(".")[0] in _VALUE_MODULES


def _members(cls: type[Any], members: list[str], path: str, seen: set[Any]) -> Iterator[Problem]:
    hints = _hints(cls)
    for name in members:
        if name in hints:
            yield from _problems(hints[name], f"{path}.{name}", seen)


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    except (NameError, TypeError, AttributeError):  # not resolvable from outside: nothing to say
        return {}


def _abstract(cls: type[Any]) -> bool:
    """Whether values of other classes are meant: object, a protocol, an abstract class."""
    return cls is object or getattr(cls, "_is_protocol", False) or inspect.isabstract(cls)


def _orm(cls: type[Any]) -> str | None:
    """The name of the ORM that made ``cls``, told from the names of its base classes."""
    for base in cls.__mro__:
        root = base.__module__.partition(".")[0]
        if root == "django" and base.__name__ == "Model":
            return "Django"
        if root in {"peewee", "tortoise", "pony", "mongoengine"} and base.__name__.endswith(
            ("Model", "Document", "Entity")
        ):
            return root
    if "__mapper__" in vars(cls) or hasattr(cls, "__tablename__") or hasattr(cls, "_sa_registry"):
        return "SQLAlchemy"
    return None


def _name(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
