"""Forms of values that are one of a few: enums and literals."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from airlock.wire.form import Form, Misfit, Write, found, unwritable
from airlock.wire.leaves import LEAVES

__all__ = ["enum_form", "literal_form"]


_JSON_TYPES = {
    bool: "boolean",
    int: "integer",
    str: "string",
    type(None): "null",
}


def enum_form(cls: type[enum.Enum]) -> Form:
    """Members are written by value where all values are strings, or all integers; else by name."""
    if issubclass(cls, enum.Flag):
        return _flag_form(cls)
    by_value = {type(member.value) for member in cls} in ({str}, {int})
    constants = {member.name: member.value if by_value else member.name for member in cls}

    def write(value: Any) -> Any:
        if type(value) is cls:
            return constants[value.name]
        raise unwritable(cls.__name__, value)

    pairs = [(constants[member.name], member) for member in cls]
    return _choice(cls.__name__, (cls,), pairs, write)


def _flag_form(cls: type[enum.Flag]) -> Form:
    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise unwritable(cls.__name__, value)
        return value.value

    def read(value: Any, _: Any = None) -> Any:
        flags = _flags(cls, LEAVES[int].read(value))
        if flags is None:
            raise Misfit(f"expected flags of {cls.__name__}, found others")
        return flags

    every = 0
    for member in cls.__members__.values():
        every |= int(member.value)
    schema: dict[str, Any] = {"type": "integer"}
    if _flags(cls, 1 << every.bit_length()) is None:  # else it takes those it does not know, too
        schema |= {"minimum": 0, "maximum": every, "x-airlock-flags": every}
    return Form(cls.__name__, frozenset({"integer"}), (cls,), schema, write, read)


def _flags(cls: type[enum.Flag], number: int) -> Any:
    """Just these flags; None where the class refuses some, drops some, or makes no flags of them."""
    try:
        flags: Any = cls(number)
    except ValueError:
        return None
    return flags if type(flags) is cls and flags.value == number else None


def literal_form(values: tuple[Any, ...]) -> Form | None:
    """Of strings, integers, booleans and None; there is no form for others."""
    if any(type(value) not in _JSON_TYPES for value in values):
        return None

    def write(value: Any) -> Any:
        if (type(value), value) in known:
            return value
        raise unwritable(_one_of(values), value)

    known = [(type(value), value) for value in values]  # True is not 1 here
    types = tuple({type(value) for value in values})
    return _choice("Literal", types, [(value, value) for value in values], write)


def _choice(
    name: str, types: tuple[type[Any], ...], pairs: Iterable[tuple[Any, Any]], write: Write
) -> Form:
    """One of some constants, each with what it is read as."""
    table = {(type(constant), constant): meant for constant, meant in pairs}
    constants = [constant for _, constant in table]
    what = _one_of(constants)

    def read(value: Any, _: Any = None) -> Any:
        key = (type(value), value if value.__hash__ else None)
        if key in table:
            return table[key]
        raise Misfit(f"expected {what}, found another {found(value).split(' ')[-1]}")

    json_types = frozenset(_JSON_TYPES[type(constant)] for constant in constants)
    return Form(name, json_types, types, {"enum": constants}, write, read)


def _one_of(constants: Iterable[Any]) -> str:
    return f"one of {', '.join(map(repr, constants))}"
