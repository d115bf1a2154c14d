"""Types whose values are made of others: arrays, sets and mappings."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Any

from airlock.wire.hints import format_hint
from airlock.wire.problems import (
    MisfitError,
    UnwritableError,
    expected,
    key_segment,
    located,
    unwritable,
)
from airlock.wire.text import dumps

if TYPE_CHECKING:
    from airlock.wire.converter import Read, WireConverter, Write

__all__ = [
    "ARRAYS",
    "COMPOUNDS",
    "MAPPINGS",
    "SETS",
    "is_compound",
    "is_record",
    "reader",
    "writer",
]

Hook = Callable[[Any], Any]

ARRAYS: Mapping[Any, tuple[type[Any], ...]] = {
    tuple: (tuple,),
    list: (list,),
    collections.abc.Sequence: (tuple, list),
}
SETS: Mapping[Any, tuple[type[Any], ...]] = {
    frozenset: (frozenset,),
    set: (set,),
    collections.abc.Set: (frozenset, set),
}
MAPPINGS: Mapping[Any, tuple[type[Any], ...]] = {
    dict: (dict,),
    collections.abc.Mapping: (collections.abc.Mapping,),
}
COMPOUNDS = {**ARRAYS, **SETS, **MAPPINGS}
"""Classes of the values, the one that is read first."""

_EMPTY = (tuple[()], typing.Tuple[()])  # noqa: UP006 - its other spelling


def is_compound(hint: Any) -> bool:
    """Return True if a type is a collection, and says of what."""
    kind, args = typing.get_origin(hint), typing.get_args(hint)
    if getattr(hint, "__unpacked__", False):  # the end of a tuple, ``*tuple[str, ...]``
        return False
    return kind in COMPOUNDS and (bool(args) or hint in _EMPTY)


def is_record(hint: Any) -> bool:
    """Return True if a type is a tuple of just so many items."""
    return typing.get_origin(hint) is tuple and typing.get_args(hint)[-1:] != (Ellipsis,)


def reader(hint: Any, converter: WireConverter) -> Read:
    """Return the hook that reads a collection."""
    kind, args = typing.get_origin(hint), typing.get_args(hint)
    make, length = COMPOUNDS[kind][0], len(args) if is_record(hint) else None
    if kind in MAPPINGS:
        return _mapping_reader(converter.read(args[1]))
    hooks = [converter.read(one) for one in args if one is not Ellipsis]

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not list:
            raise expected("an array", value)
        if length is not None and len(value) != length:
            raise MisfitError(f"expected {length} items, found {len(value)}")
        made = make(_each(hooks if length is not None else repeat(hooks[0]), value, "[{}]".format))
        if len(made) != len(value):
            raise MisfitError("expected items that are all different, found one twice")
        return made

    return read


def _mapping_reader(hook: Read) -> Read:
    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not dict:
            raise expected("an object", value)
        if not all(type(key) is str for key in value):
            raise MisfitError("expected an object, found keys that are no strings")
        return _values(hook, value)

    return read


def writer(hint: Any, converter: WireConverter) -> Write:
    """Return the hook that writes a collection."""
    kind, args, name = typing.get_origin(hint), typing.get_args(hint), format_hint(hint)
    classes, length = COMPOUNDS[kind], len(args) if is_record(hint) else None
    if kind in MAPPINGS:
        return _mapping_writer(name, classes, converter.write(args[1]))
    hooks = [converter.write(one) for one in args if one is not Ellipsis]

    def write(value: Any) -> Any:
        if not isinstance(value, classes):
            raise unwritable(name, value)
        if length is not None and len(value) != length:
            raise UnwritableError(f"has {len(value)} items, and its annotation says {name}")
        items = _each(hooks if length is not None else repeat(hooks[0]), value, "[{}]".format)
        return sorted(items, key=dumps) if kind in SETS else items  # the same order in every run

    return write


def _mapping_writer(name: str, classes: tuple[type[Any], ...], hook: Write) -> Write:
    def write(value: Any) -> Any:
        if not isinstance(value, classes) or not all(isinstance(key, str) for key in value):
            raise unwritable(name, value)
        return _values(hook, {str.__str__(key): item for key, item in value.items()})

    return write


def _values(hook: Hook, value: dict[str, Any]) -> dict[str, Any]:
    keys = list(value)
    items = _each(repeat(hook), value.values(), lambda i: key_segment(keys[i]))
    return dict(zip(keys, items, strict=True))


def _each(hooks: Iterable[Hook], items: Iterable[Any], segment: Callable[[int], str]) -> list[Any]:
    """Return each item as read or written by its hook."""
    done: list[Any] = []
    try:
        for hook, item in zip(hooks, items, strict=False):
            done.append(hook(item))
    except Exception as error:  # noqa: BLE001 - whatever it is, the item caused it
        raise located(error).within(segment(len(done))) from None
    return done
