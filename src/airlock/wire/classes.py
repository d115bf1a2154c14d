"""Classes with fields: objects, by the names of the constructor's arguments."""

from __future__ import annotations

import typing
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import attrs
from cattrs.gen import make_dict_structure_fn_from_attrs, override

from airlock.effects.fields import has_fields
from airlock.wire import carried
from airlock.wire.hints import positional, title
from airlock.wire.problems import UnwritableError, expected, unwritable

if TYPE_CHECKING:
    from airlock.wire.converter import Read, WireConverter, Write

__all__ = ["constructor", "is_class", "reader", "writer"]


def is_class(hint: Any) -> bool:
    """Return True if a type is a class with fields, or a generic one with its arguments."""
    return has_fields(typing.get_origin(hint) or hint)


def reader(hint: Any, converter: WireConverter) -> Read:
    """Return the hook that makes an object by its constructor."""
    construct, what = constructor(hint, converter), f"an object ({title(hint)})"

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is dict:
            return construct(value, hint)
        raise expected(what, value)

    return read


def constructor(hint: Any, converter: WireConverter, checked: Collection[str] = ()) -> Read:
    """Return cattrs' function from a dict to an object, with a hook of ours for each field.

    Args:
        hint: the class.
        converter: that makes the hooks.
        checked: fields that are there as they should be already, and need none.
    """
    cls: Any = typing.get_origin(hint) or hint
    declared = converter.arguments_of(hint)
    required = [member.key for member in declared if member.required]
    by_name = positional(cls)[: len(required)] != required  # by position is faster
    fields = {
        one.key: attrs.field(
            default=attrs.NOTHING if one.required else None,
            converter=_as_it_is if one.key in checked else None,  # cattrs leaves the value to it
            alias=one.key,
            kw_only=by_name,
        )
        for one in declared
    }
    hooks: Any = {
        one.key: override(struct_hook=converter.read(one.type))
        for one in declared
        if one.key not in checked
    }
    return make_dict_structure_fn_from_attrs(
        list(attrs.fields(attrs.make_class(cls.__name__, fields, **_BARE))),
        cls,
        converter,
        {variable.__name__: Any for variable in getattr(cls, "__parameters__", ())},
        _cattrs_prefer_attrib_converters=True,
        **hooks,
    )


_BARE: Any = {"init": False, "repr": False, "eq": False, "slots": False}
"""Stands for the code of a class that is only inspected; nothing has to be generated."""


def _as_it_is(value: Any) -> Any:
    return value


def writer(hint: Any, converter: WireConverter) -> Write:
    """Return the hook that writes an object: as it is if msgspec can write that, else as a dict."""
    cls, name = typing.get_origin(hint) or hint, title(hint)
    fields = [
        (one.key, one.name, converter.write(one.type)) for one in converter.arguments_of(hint)
    ]
    fits = carried.fits(hint, converter)

    def write(value: Any) -> Any:
        if fits(value):
            return value
        if type(value) is not cls:
            raise unwritable(name, value)
        made: dict[str, Any] = {}
        key = ""
        try:
            for key, attribute, hook in fields:
                made[key] = hook(getattr(value, attribute))
        except UnwritableError as error:
            raise error.within(f".{key}") from None
        return made

    return write
