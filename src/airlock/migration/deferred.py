"""Functions that are called later than they were given away: callbacks.

``as_now`` keeps the variables that such a function reads as they are, ``Reads`` finds out whether
they have changed, and ``call_for`` calls the function for the code that gave it away.

A callback that runs later may find another loop variable, a list that has grown, an object with
another status. Values are compared without calling any code of theirs.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, TypeVar
from uuid import UUID

from airlock.effects.place import Place

__all__ = ["Reads", "as_now", "call_for", "place_for"]

ATOMS = frozenset(
    {bool, bytes, complex, date, datetime, Decimal, float, int, str, time, timedelta, type(None)}
    | {UUID}
)
"""Types whose values never change; anything else is the same only if it is the same object."""

DEPTH = 3
"""Number of steps from the function: a variable, its attribute, the attribute of that."""
SIZE = 100
"""Number of members of a container that are read."""


class Reads:
    """A record of the values that a function reads: variables around it, globals, bound arguments.

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


def as_now(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that reads the variables around it as they are now.

    A variable that the function itself assigns stays shared. So do the objects that variables name:
    those are read as they are when the function runs.

    Example:
        >>> def numbers():
        ...     found = []
        ...     for number in (1, 2):
        ...         found.append(as_now(lambda: number))
        ...     return [function() for function in found]
        >>> numbers()
        [1, 2]
    """
    now: Callable[[], Any] = _as_now(function, {})
    return now


def _as_now(function: Any, made: dict[int, Any]) -> Any:
    if isinstance(function, partial):
        return partial(_as_now(function.func, made), *function.args, **function.keywords)
    if not isinstance(function, FunctionType) or not function.__closure__:
        return function
    if id(function) in made:
        return made[id(function)]
    assigned = {name for code in _codes(function.__code__) for name in _assigned(code)}
    names = zip(function.__code__.co_freevars, function.__closure__, strict=True)
    cells = tuple(
        cell if name in assigned or _is_empty(cell) else CellType() for name, cell in names
    )
    now = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, cells
    )
    now.__kwdefaults__ = function.__kwdefaults__
    now.__qualname__, now.__module__ = function.__qualname__, function.__module__
    vars(now).update(vars(function))
    made[id(function)] = now
    for cell, before in zip(cells, function.__closure__, strict=True):
        if cell is not before:
            cell.cell_contents = _as_now(before.cell_contents, made)
    return now


def _assigned(code: CodeType) -> Iterator[str]:
    """Yield the variables of functions around it that a function assigns."""
    for step in dis.get_instructions(code):
        if step.opname in ("STORE_DEREF", "DELETE_DEREF"):
            yield step.argval


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_empty(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - it raises
    except ValueError:
        return True
    return False


T = TypeVar("T")


def call_for(place: Place, function: Callable[[], T]) -> T:  # noqa: ARG001 - read off the frame
    """Call a function for the code that gave it away.

    Args:
        place: where that was: what the function itself calls is called from there, as a ``partial``
            has no frame of its own.
        function: to call.

    Raises:
        Exception: as it does.

    Example:
        >>> call_for(("shop.py", 11), lambda: 42)
        42
    """
    return function()


def place_for(frame: FrameType) -> Place | None:
    """Return the place that ``call_for`` was given, if a frame is one of it; None otherwise."""
    if frame.f_code is not call_for.__code__:
        return None
    place: Place = frame.f_locals["place"]
    return place
