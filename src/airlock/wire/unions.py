"""Forms of values that are of one of several types: unions, and optional values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airlock.wire.form import Form, Misfit, Parts, Unwritable, expected, unwritable

__all__ = ["AmbiguousUnion", "union_form"]


class AmbiguousUnion(Exception):  # noqa: N818 - internal; becomes an UnencodableError
    """Two members of a union have one name, so that no tag could tell them apart."""


def union_form(members: Sequence[Form]) -> Form:
    """``A | B``, and ``A | None``.

    Where the types of JSON tell the members apart, each is written as it is; otherwise as an object
    with one key, which names the member: ``{"Card": {...}}``. None is always null.

    Raises:
        AmbiguousUnion: two members have one name.
    """
    some = [form for form in members if form.name != "None"]
    optional = len(some) < len(members)
    if _apart(some, optional=optional):
        form = some[0] if len(some) == 1 else _plain(some)
    else:
        form = _tagged(some)
    return _optional(form) if optional else form


def _apart(members: Sequence[Form], *, optional: bool) -> bool:
    types = [name for form in members for name in form.json] + ["null"] * optional
    return len(set(types)) == len(types)


def _optional(form: Form) -> Form:
    write, read = form.write, form.read

    def write_optional(value: Any) -> Any:
        return None if value is None else write(value)

    def read_optional(value: Any, hint: Any = None) -> Any:
        return None if value is None else read(value, hint)

    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if value is not None:
            yield "", form, value

    types = (*form.types, type(None))
    schema = {"anyOf": [form.schema, {"type": "null"}]}
    name, json_types = f"{form.name} | None", form.json | {"null"}
    return Form(name, json_types, types, schema, write_optional, read_optional, parts=parts)


def _plain(members: Sequence[Form]) -> Form:
    table = {type_: form.read for form in members for name in form.json for type_ in _TYPES[name]}
    for form in members:
        if "number" in form.json:  # JSON from elsewhere writes 1.0 as 1
            table.setdefault(int, form.read)
    names = " or ".join(form.name for form in members)

    def write(value: Any) -> Any:
        return _member(members, value, names)[1]

    def read(value: Any, hint: Any = None) -> Any:
        reader = table.get(type(value))
        if reader is None:
            raise expected(names, value)
        return reader(value, hint)

    json_types = frozenset(name for form in members for name in form.json)
    types = tuple(cls for form in members for cls in form.types)
    schema = {"anyOf": [form.schema for form in members]}
    return Form(
        " | ".join(form.name for form in members),
        json_types,
        types,
        schema,
        write,
        read,
        parts=_member_parts(members),
    )


_TYPES: dict[str, tuple[type[Any], ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (float,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def _tagged(members: Sequence[Form]) -> Form:
    table = {form.name: form for form in members}
    if len(table) < len(members):
        raise AmbiguousUnion(" | ".join(form.name for form in members))
    names = " or ".join(table)

    def write(value: Any) -> Any:
        form, written = _member(members, value, names)
        return {form.name: written}

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not dict or len(value) != 1:
            raise expected(f"an object with one key, {names}", value)
        ((name, inside),) = value.items()
        if name not in table:
            raise Misfit(f"expected one key, {names}, found another")
        try:
            return table[name].read(inside, None)
        except Misfit as misfit:
            raise misfit.within(f".{name}") from None

    types = tuple(cls for form in members for cls in form.types)
    schema = {"oneOf": [_tag_schema(form) for form in members]}
    name = " | ".join(table)
    return Form(
        name,
        frozenset({"object"}),
        types,
        schema,
        write,
        read,
        parts=_member_parts(members),
    )


def _tag_schema(form: Form) -> Mapping[str, Any]:
    return {
        "type": "object",
        "properties": {form.name: form.schema},
        "required": [form.name],
        "additionalProperties": False,
    }


def _member(members: Sequence[Form], value: Any, names: str) -> tuple[Form, Any]:
    """The member that a value is of, and what it is written as: the first that takes it."""
    cls = type(value)
    exact = [form for form in members if cls in form.types]
    for form in exact or [form for form in members if isinstance(value, form.types)]:
        try:
            return form, form.write(value)
        except Unwritable:
            continue
    raise unwritable(names, value)


def _member_parts(members: Sequence[Form]) -> Parts:
    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        fitting = [form for form in members if type(value) in form.types]
        if len(fitting) == 1:
            yield "", fitting[0], value

    return parts
