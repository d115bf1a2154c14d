"""``Reads``: what a function reads from around it, and whether that has changed since.

A callback that runs later may find another loop variable, a list that has grown, an object with
another status. Values are compared without calling any code of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any
from uuid import UUID

__all__ = ["Reads"]

ATOMS = frozenset(
    {bool, bytes, complex, date, datetime, Decimal, float, int, str, time, timedelta, type(None)}
    | {UUID}
)
"""Types whose values never change; anything else is the same only if it is the same object."""

DEPTH = 3
"""How many steps from the function: a variable, its attribute, the attribute of that."""
SIZE = 100
"""How many members of a container are looked at."""


class Reads:
    """What a function reads now: variables around it, globals, arguments bound to it, and in them.

    Args:
        function: that is about to be called.

    Example:
        >>> rows = []
        >>> reads = Reads(lambda: rows)
        >>> rows.append(1)
        >>> reads.changed()
        ['rows']
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._found = dict(_function(function, "", DEPTH))

    def ran(self) -> None:
        """Leave out what the function itself has changed: it was called since."""
        now = dict(_function(self._function, "", DEPTH))
        self._found = {n: value for n, value in self._found.items() if now.get(n) == value}

    def changed(self) -> list[str]:
        """Return the names of what has changed since."""
        now = dict(_function(self._function, "", DEPTH))
        return [name for name, value in self._found.items() if now.get(name) != value]


class Same:
    """An object, equal to itself only. Held, so that no other gets its identity."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]  # compared only


Found = Iterator[tuple[str, object]]


def _function(value: Any, name: str, depth: int) -> Found:
    """Yield what a callable reads."""
    if isinstance(value, partial):
        yield from _function(value.func, name, depth)
        for at, argument in enumerate((*value.args, *value.keywords.values())):
            yield from _value(argument, f"{name or 'partial'}({at})", depth)
    elif isinstance(value, MethodType):
        yield from _value(value.__self__, f"{name}.__self__".lstrip("."), depth)
    elif isinstance(value, FunctionType):
        for variable, item in _variables(value):
            yield from _value(item, variable, depth)
    else:
        yield from _value(value, name or "it", depth)


def _variables(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the variables around a function, its globals, and its defaults."""
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            yield name, None
    for name in code.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for at, default in enumerate(function.__defaults__ or ()):
        yield f"default {at}", default
    yield from (function.__kwdefaults__ or {}).items()


def _value(value: Any, name: str, depth: int) -> Found:
    """Yield a value, and what is in it."""
    cls = type(value)
    if cls in ATOMS:
        yield name, (cls, repr(value))
        return
    if isinstance(value, ModuleType | type | BuiltinFunctionType):
        yield name, Same(value)
    elif isinstance(value, FunctionType | MethodType | partial):
        yield name, Same(value) if isinstance(value, FunctionType | partial) else None
        if depth > 1 and "<locals>" in getattr(value, "__qualname__", "<locals>"):
            yield from _function(value, name, depth - 1)
    elif cls in (list, tuple, set, frozenset, dict):
        yield name, (Same(value), len(value), *_members(value))
        items = value.items() if cls is dict else enumerate(value)
        for key, item in islice(items, SIZE) if depth > 1 else ():
            yield from _value(item, f"{name}[{key!r}]" if type(key) in ATOMS else name, depth - 1)
    else:
        yield name, Same(value)
        for attribute, item in _attributes(value) if depth > 1 else ():
            yield from _value(item, f"{name}.{attribute}", depth - 1)


def _members(value: Any) -> Iterator[object]:
    """Yield the members of a container: atoms by value, others by identity."""
    for item in islice(value.values() if type(value) is dict else value, SIZE):
        yield repr(item) if type(item) in ATOMS else Same(item)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public attributes that an object itself holds."""
    try:
        found: dict[str, Any] = dict(object.__getattribute__(value, "__dict__"))
    except (AttributeError, TypeError):
        found = {}
    for base in type(value).__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, MemberDescriptorType):
                try:
                    found[name] = slot.__get__(value)
                except AttributeError:
                    continue
    for name, item in islice(found.items(), SIZE):
        if isinstance(name, str) and not name.startswith("_"):
            yield name, item
