"""Types whose values are one of a few: enums, flags and literals."""

from __future__ import annotations

import enum
import typing
from collections.abc import Iterable
from typing import Any

from airlock.wire.leaves import LEAVES, Leaf
from airlock.wire.problems import MisfitError, found, unwritable

__all__ = ["by_value", "choice_of", "is_choice"]


def is_choice(hint: Any) -> bool:
    """Return True if a type is an enum, flags or a literal."""
    return typing.get_origin(hint) is typing.Literal or (
        isinstance(hint, type) and issubclass(hint, enum.Enum)
    )


def by_value(cls: type[enum.Enum]) -> bool:
    """Return True if members are written by value: all values are strings, or all integers."""
    return {type(member.value) for member in cls} in ({str}, {int})


def choice_of(hint: Any) -> Leaf | None:
    """Return the form of an enum, of flags or of a literal; None if it has none."""
    if typing.get_origin(hint) is typing.Literal:
        values = typing.get_args(hint)
        if all(type(value) in (bool, int, str, type(None)) for value in values):
            return _choice(f"one of {_listed(values)}", [(value, value) for value in values])
        return None
    if issubclass(hint, enum.Flag):
        return _flags(hint)
    if not len(hint):
        return None
    constant = "value" if by_value(hint) else "name"
    return _choice(hint.__name__, [(member, getattr(member, constant)) for member in hint])


def _choice(name: str, pairs: Iterable[tuple[Any, Any]]) -> Leaf:
    """Return the form of some values, each with its constant in JSON."""
    read_as = {(type(constant), constant): value for value, constant in pairs}  # True is not 1 here
    written = [(type(value), value, constant) for (_, constant), value in read_as.items()]
    constants = [constant for _, constant in read_as]

    def read(value: Any, _: Any = None) -> Any:
        key = (type(value), value if value.__hash__ else None)
        if key in read_as:
            return read_as[key]
        problem = f"expected one of {_listed(constants)}, found another {found(value).split()[-1]}"
        raise MisfitError(problem)

    def write(value: Any) -> Any:
        for cls, one, constant in written:  # members of an enum may have no hash
            if type(value) is cls and value == one:
                return constant
        raise unwritable(name, value)

    return Leaf(write, read, {"enum": constants})


def _listed(constants: Iterable[Any]) -> str:
    return ", ".join(map(repr, constants))


def _flags(cls: type[enum.Flag]) -> Leaf:
    def read(value: Any, _: Any = None) -> Any:
        flags = _of_number(cls, LEAVES[int].read(value, None))
        if flags is None:
            raise MisfitError(f"expected flags of {cls.__name__}, found others")
        return flags

    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise unwritable(cls.__name__, value)
        return value.value

    every = 0
    for member in cls.__members__.values():
        every |= int(member.value)
    schema: dict[str, Any] = {"type": "integer"}
    if _of_number(cls, 1 << every.bit_length()) is None:  # else it takes unknown flags, too
        schema |= {"minimum": 0, "maximum": every, "x-airlock-flags": every}
    return Leaf(write, read, schema)


def _of_number(cls: type[enum.Flag], number: int) -> Any:
    """Return just these flags; None if the class refuses some, drops some, or returns a number."""
    try:
        flags: Any = cls(number)
    except ValueError:
        return None
    return flags if type(flags) is cls and flags.value == number else None
