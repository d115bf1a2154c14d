"""Unions: members by the types of JSON where those differ, otherwise by a tag."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airlock.effects.fields import UNIONS
from airlock.wire.compounds import COMPOUNDS, MAPPINGS
from airlock.wire.hints import bare, title
from airlock.wire.problems import MisfitError, UnwritableError, expected, located, unwritable

if TYPE_CHECKING:
    from airlock.wire.converter import Read, WireConverter, Write

__all__ = ["is_tagged", "is_union", "members_of", "reader", "writer"]

_JSON: dict[str, type[Any]] = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "array": list,
    "object": dict,
}
"""Classes of what JSON holds, by the names that JSON Schema has for its types."""

_NULL = type(None)


def is_union(hint: Any) -> bool:
    """Return True if a type is a union."""
    return typing.get_origin(hint) in UNIONS


def members_of(hint: Any) -> list[Any]:
    """Return the members of a union, each once; those of an alias of a union are members, too."""
    return list(_flat(typing.get_args(hint), set()))


def _flat(hints: Sequence[Any], seen: set[Any]) -> Iterator[Any]:
    for hint in hints:
        kind = bare(hint)
        if kind in seen:
            continue
        seen.add(kind)
        if is_union(kind):
            yield from _flat(typing.get_args(kind), seen)
        else:
            yield kind if kind is _NULL else hint


def is_tagged(members: Sequence[Any], converter: WireConverter) -> bool:
    """Return True if members of a union have the same type in JSON."""
    names = [name for one in members for name in _json_types(one, converter)]
    return len(set(names)) < len(names)


def _json_types(hint: Any, converter: WireConverter) -> Sequence[str]:
    hint = bare(hint)
    leaf = converter.leaf(hint)
    if leaf is None:
        kind = typing.get_origin(hint)
        return ["object" if kind in MAPPINGS or kind not in COMPOUNDS else "array"]
    if "enum" in leaf.schema:
        classes = {type(constant) for constant in leaf.schema["enum"]}
        return [name for name, cls in _JSON.items() if cls in classes]
    types = leaf.schema.get("type", list(_JSON))
    return [types] if isinstance(types, str) else types


def _classes(hint: Any) -> tuple[type[Any], ...]:
    """Return the classes of the values of a member."""
    hint = bare(hint)
    kind = typing.get_origin(hint) or hint
    if kind is typing.Literal:
        return tuple({type(value) for value in typing.get_args(hint)})
    return COMPOUNDS.get(kind, (kind,))


def reader(hint: Any, converter: WireConverter) -> Read:
    """Return the hook that reads a union. None is always null."""
    members = members_of(hint)
    some = [one for one in members if one is not _NULL]
    if is_tagged(members, converter):
        read = _tagged_reader({title(one): converter.read(one) for one in some})
    elif len(some) == 1:
        read = converter.read(some[0])
    else:
        read = _plain_reader(some, converter)
    if len(some) == len(members):
        return read

    def read_optional(value: Any, _: Any = None) -> Any:
        return None if value is None else read(value, None)

    return read_optional


def _plain_reader(members: Sequence[Any], converter: WireConverter) -> Read:
    table: dict[type[Any], Read] = {}
    for one in members:
        table |= {_JSON[name]: converter.read(one) for name in _json_types(one, converter)}
    if float in table:  # JSON from elsewhere writes 1.0 as 1
        table.setdefault(int, table[float])
    names = " or ".join(map(title, members))

    def read(value: Any, _: Any = None) -> Any:
        hook = table.get(type(value))
        if hook is None:
            raise expected(names, value)
        return hook(value, None)

    return read


def _tagged_reader(table: dict[str, Read]) -> Read:
    names = " or ".join(table)

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not dict or len(value) != 1:
            raise expected(f"an object with one key, {names}", value)
        ((name, inside),) = value.items()
        if name not in table:
            raise MisfitError(f"expected one key, {names}, found another")
        try:
            return table[name](inside, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the payload caused it
            raise located(error).within(f".{name}") from None

    return read


def writer(hint: Any, converter: WireConverter) -> Write:
    """Return the hook that writes a union."""
    members = members_of(hint)
    some = [one for one in members if one is not _NULL]
    tagged = is_tagged(members, converter)
    hooks = [(_classes(one), title(one), converter.write(one)) for one in some]
    names = " or ".join(name for _, name, _ in hooks)

    def write(value: Any) -> Any:
        exact = [one for one in hooks if type(value) in one[0]]
        fitting = exact or [one for one in hooks if isinstance(value, one[0])]
        for _, name, hook in fitting:
            try:
                return {name: hook(value)} if tagged else hook(value)
            except UnwritableError:
                if len(fitting) == 1:
                    raise
        raise unwritable(names, value)

    if len(some) == len(members):
        return write
    return lambda value: None if value is None else write(value)
