"""Functions that run later than they were meant to, and the variables that they read by then."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, CodeType, FunctionType
from typing import Any

__all__ = ["as_now"]


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
    """The variables of functions around it that a function assigns."""
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
