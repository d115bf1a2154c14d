"""Types that the fields of an intent may have: immutable and hashable ones.

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
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from airlock.effects.fields import Unresolved, bare, fields_of

__all__ = ["INSIST", "Problem", "problems"]


@attrs.frozen(eq=False)
class Problem:
    """A problem of a type, and what to write instead.

    ``path`` leads from the field into nested values (``.lines[].tags``). With ``later`` it is that a
    type cannot be found, and may be when more is defined. With ``final`` no
    declaration can insist on the type.
    """

    text: str
    hint: str
    path: str = ""
    later: bool = False
    final: bool = False


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
# Recognised by name, so that none of them has to be imported.
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
INSIST = "To insist, use airlock.field(hash=False), which leaves the field out of the hash."
_FIND = (
    "Import the name where the program runs, not only under `if TYPE_CHECKING:`, and define it before "
    "the first emission."
)
_WRITE = "Write a type."
_OWN = (
    "Annotate what belongs to the class as typing.ClassVar[...]; for keyword-only fields write "
    "@intent(kw_only=True); what is computed from arguments is computed by a classmethod."
)
_MODEL = "Pass its id, and load it in the handler."
_CODE = "Intents are data: say what should happen, and let the handler hold the code."


def problems(
    hint: Any, path: str = "", names: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Yield the problems of ``hint`` as the type of a field; none if it is a value type.

    What cannot be known from the type alone (``Any``, a protocol, a type variable) is accepted.

    Args:
        hint: as ``fields_of`` returns it.
        path: from the field to it.
        names: what local names mean in the classes that it leads to.

    Example:
        >>> [p.text for p in problems(tuple[list[int], ...])]
        ['has the mutable type list[int]']
    """
    yield from _problems(hint, path, _Seen(names))


class _Seen(set[Any]):
    """The classes and aliases that were looked at, and the local names that their annotations know."""

    def __init__(self, names: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.names = names


def _problems(hint: Any, path: str, seen: _Seen) -> Iterator[Problem]:
    if isinstance(hint, Unresolved):
        yield _unresolved(hint, path)
        return
    hint = bare(hint, seen)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or origin is typing.Literal:
        return
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _problems(argument, path, seen)
        return
    kind = origin or hint
    if problem := _outright(kind, hint, path):
        yield problem
        return
    if isinstance(kind, type) and kind not in seen:
        seen.add(kind)
        yield from _class_problems(kind, path, seen)
    for argument in arguments:
        if argument is not Ellipsis and not isinstance(argument, list):
            yield from _problems(argument, f"{path}[]", seen)


def _unresolved(hint: Unresolved, path: str) -> Problem:
    text = f"has the annotation {hint.annotation!r}, which cannot be resolved ({hint.problem})"
    return Problem(text, _FIND if hint.later else _WRITE, path, hint.later)


def _outright(kind: Any, hint: Any, path: str) -> Problem | None:
    """Return the problem of a type that has one whatever its arguments are."""
    if _is_no_field(kind):
        return Problem(f"is no field ({_name(hint)})", _OWN, path, final=True)
    if kind in _MUTABLE:
        return Problem(f"has the mutable type {_name(hint)}", _MUTABLE[kind], path)
    if kind is type or kind is collections.abc.Callable or kind is types.FunctionType:
        return Problem(f"is code ({_name(hint)})", _CODE, path, final=True)
    return None


def _is_no_field(kind: Any) -> bool:
    """Return True for ``InitVar`` and ``KW_ONLY``, and for a ``ClassVar`` that attrs took for a field."""
    names = {getattr(kind, "__name__", ""), type(kind).__name__}
    module = {getattr(kind, "__module__", ""), type(kind).__module__}
    return kind is typing.ClassVar or bool(
        "dataclasses" in module and names & {"InitVar", "KW_ONLY", "_KW_ONLY_TYPE"}
    )


def _class_problems(cls: type[Any], path: str, seen: _Seen) -> Iterator[Problem]:
    if model := _orm(cls):
        yield Problem(f"is an ORM model ({cls.__qualname__}, {model})", _MODEL, path)
    elif issubclass(cls, tuple):
        yield from _members(cls, path, seen)
    elif any(map(_is_value, cls.__mro__)) or issubclass(cls, frozenset):
        return
    elif getattr(cls, "__hash__", None) is None:
        made = attrs.has(cls) or hasattr(cls, "__dataclass_fields__")
        fix = (
            "Make it frozen and hashable."
            if made
            else "Make it a frozen attrs class, so that it is hashable."
        )
        yield Problem(f"has the unhashable type {cls.__qualname__}", fix, path)
    elif getattr(cls, "__eq__", None) is object.__eq__ and not _abstract(cls):
        yield Problem(
            f"has the type {cls.__qualname__}, which compares by identity",
            "Use a frozen attrs class, or pass an id.",
            path,
        )
    else:
        yield from _members(cls, path, seen)


def _is_value(base: type[Any]) -> bool:
    return base in _VALUES or base.__module__.partition(".")[0] in _VALUE_MODULES


def _members(cls: type[Any], path: str, seen: _Seen) -> Iterator[Problem]:
    for field in fields_of(cls, seen.names):
        if field.compared:
            yield from _problems(field.type, f"{path}.{field.name}", seen)


def _abstract(cls: type[Any]) -> bool:
    """Return True if a type stands for values of other classes: object, a protocol, an ABC."""
    return cls is object or getattr(cls, "_is_protocol", False) or inspect.isabstract(cls)


def _orm(cls: type[Any]) -> str | None:
    """Return the name of the ORM that made ``cls``, judging by the names of its base classes."""
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
