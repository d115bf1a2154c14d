"""Forms of values that are one of a few: enums and literals."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from airlock.wire.form import Form, Misfit, found, unwritable
from airlock.wire.leaves import LEAVES

__all__ = ["enum_form", "literal_form"]


def _json_type(value: object) -> str:
    """The JSON type of a constant."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names[type(value)]


def enum_form(cls: type[enum.Enum]) -> Form:
    """Members are written by value where all values are strings, or all integers; else by name."""
    if issubclass(cls, enum.Flag):
        return _flag_form(cls)
    members = cls.__members__
    by_value = {type(m.value) for m in members.values()} in ({str}, {int})
    said = {m: (m.value if by_value else m.name) for m in members.values()}
    return _choice(cls.__name__, cls, {text: member for member, text in said.items()})


def _flag_form(cls: type[enum.Flag]) -> Form:
    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise unwritable(cls.__name__, value)
        return value.value

    def read(value: Any, _: Any = None) -> Any:
        try:
            return cls(LEAVES[int].read(value))
        except ValueError:
            raise Misfit(f"expected flags of {cls.__name__}, found others") from None

    return Form(cls.__name__, frozenset({"integer"}), (cls,), {"type": "integer"}, write, read)


def literal_form(values: Iterable[Any]) -> Form | None:
    """Of strings, integers, booleans and None; there is no form for others."""
    values = tuple(values)
    if any(type(value) not in (str, int, bool, type(None)) for value in values):
        return None
    return _choice("Literal", None, {value: value for value in values}, values)


def _choice(
    name: str, cls: type[Any] | None, members: Mapping[Any, Any], values: tuple[Any, ...] = ()
) -> Form:
    """One of some constants. ``True`` is not 1 here, so the type is part of the key."""
    values = values or tuple(members)
    table = {(type(value), value): members[value] if cls else value for value in values}
    back = {member: text for (_, text), member in table.items()} if cls else {}
    what = f"one of {', '.join(map(repr, values))}"
    types = (cls,) if cls else tuple({type(value) for value in values})

    def write(value: Any) -> Any:
        if cls is None and (type(value), value) in table:
            return value
        if type(value) is cls:
            return back[value]
        raise unwritable(what if cls is None else name, value)

    def read(value: Any, _: Any = None) -> Any:
        key = (type(value), value if value.__hash__ else None)
        if key in table:
            return table[key]
        raise Misfit(f"expected {what}, found another {found(value).split(' ')[-1]}")

    return Form(
        name, frozenset(map(_json_type, values)), types, {"enum": list(values)}, write, read
    )
