"""Forms of values that are made of others: arrays, sets, mappings, optional values, unions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from airlock.wire.form import Form, Misfit, Unwritable, expected, unwritable

__all__ = ["AmbiguousUnion", "array_form", "mapping_form", "record_form", "set_form", "union_form"]


class AmbiguousUnion(Exception):  # noqa: N818 - internal; becomes an UnencodableError
    """Two members of a union have one name, so that no tag could tell them apart."""


def _read_items(form: Form, value: Any) -> list[Any]:
    if type(value) is not list:
        raise expected("an array", value)
    items: list[Any] = []
    append, read = items.append, form.read
    try:
        for item in value:
            append(read(item, None))
    except Misfit as misfit:
        raise misfit.within(f"[{len(items)}]") from None
    return items


def _item_parts(form: Form) -> Callable[[Any], Iterator[tuple[str, Form, Any]]]:
    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if isinstance(value, Iterable):
            for i, item in enumerate(value):
                yield f"[{i}]", form, item

    return parts


def array_form(
    name: str, form: Form, types: tuple[type[Any], ...], make: Callable[[list[Any]], Any]
) -> Form:
    """``tuple[X, ...]`` and its like: an array."""

    def write(value: Any) -> Any:
        if not isinstance(value, types):
            raise unwritable(name, value)
        return list(map(form.write, value))

    def read(value: Any, _: Any = None) -> Any:
        return make(_read_items(form, value))

    schema = {"type": "array", "items": form.schema}
    json_type = frozenset({"array"})
    return Form(name, json_type, types, schema, write, read, (form,), parts=_item_parts(form))


def set_form(
    name: str, form: Form, types: tuple[type[Any], ...], make: Callable[[list[Any]], Any]
) -> Form:
    """``frozenset[X]``: an array without repetitions, in an order that is the same in every run."""

    def write(value: Any) -> Any:
        if not isinstance(value, types):
            raise unwritable(name, value)
        return sorted(map(form.write, value), key=_ordered)

    def read(value: Any, _: Any = None) -> Any:
        made = make(_read_items(form, value))
        if len(made) != len(value):
            raise Misfit("expected items that are all different, found one twice")
        return made

    schema = {"type": "array", "items": form.schema, "uniqueItems": True}
    json_type = frozenset({"array"})
    return Form(name, json_type, types, schema, write, read, (form,), parts=_item_parts(form))


def _ordered(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def record_form(name: str, forms: Sequence[Form]) -> Form:
    """``tuple[X, Y]``: an array of just these."""
    forms = tuple(forms)

    def write(value: Any) -> Any:
        if not isinstance(value, tuple):
            raise unwritable(name, value)
        if len(value) != len(forms):
            raise Unwritable(f"has {len(value)} items, and its annotation says {name}")
        return [form.write(item) for form, item in zip(forms, value, strict=True)]

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not list:
            raise expected("an array", value)
        if len(value) != len(forms):
            raise Misfit(f"expected {len(forms)} items, found {len(value)}")
        return tuple(
            _read_within(form, item, f"[{i}]")
            for i, (form, item) in enumerate(zip(forms, value, strict=True))
        )

    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if isinstance(value, tuple) and len(value) == len(forms):
            for i, (form, item) in enumerate(zip(forms, value, strict=True)):
                yield f"[{i}]", form, item

    schema = {
        "type": "array",
        "prefixItems": [form.schema for form in forms],
        "minItems": len(forms),
        "maxItems": len(forms),
    }
    return Form(name, frozenset({"array"}), (tuple,), schema, write, read, forms, parts=parts)


def _read_within(form: Form, value: Any, segment: str) -> Any:
    try:
        return form.read(value, None)
    except Misfit as misfit:
        raise misfit.within(segment) from None


def mapping_form(name: str, form: Form, types: tuple[type[Any], ...]) -> Form:
    """``Mapping[str, X]``: an object with any keys."""

    def write(value: Any) -> Any:
        if not isinstance(value, types) or not all(isinstance(key, str) for key in value):
            raise unwritable(name, value)
        return {key: form.write(item) for key, item in value.items()}

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not dict:
            raise expected("an object", value)
        return {key: _read_within(form, item, f"[{key!r}]") for key, item in value.items()}

    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield f"[{key!r}]", form, item

    schema = {"type": "object", "additionalProperties": form.schema}
    return Form(name, frozenset({"object"}), types, schema, write, read, (form,), parts=parts)


# -- unions ---------------------------------------------------------------------------------------


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
    return Form(
        name, json_types, types, schema, write_optional, read_optional, (form,), parts=parts
    )


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
        tuple(members),
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
        return _read_within(table[name], inside, f".{name}")

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
        tuple(members),
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


def _member_parts(members: Sequence[Form]) -> Callable[[Any], Iterator[tuple[str, Form, Any]]]:
    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        fitting = [form for form in members if type(value) in form.types]
        if len(fitting) == 1:
            yield "", fitting[0], value

    return parts
