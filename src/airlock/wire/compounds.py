"""Forms of values that are made of others: arrays, sets, mappings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from airlock.wire.form import Form, Misfit, Parts, Unwritable, expected, key_segment, unwritable

__all__ = ["array_form", "mapping_form", "record_form", "set_form"]


def _read_items(forms: Iterable[Form], value: Any) -> list[Any]:
    if type(value) is not list:
        raise expected("an array", value)
    items: list[Any] = []
    try:
        for form, item in zip(forms, value, strict=False):
            items.append(form.read(item, None))
    except Misfit as misfit:
        raise misfit.within(f"[{len(items)}]") from None
    return items


def _item_parts(form: Form) -> Parts:
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
        return make(_read_items(repeat(form), value))

    schema = {"type": "array", "items": form.schema}
    json_type = frozenset({"array"})
    return Form(name, json_type, types, schema, write, read, parts=_item_parts(form))


def set_form(
    name: str, form: Form, types: tuple[type[Any], ...], make: Callable[[list[Any]], Any]
) -> Form:
    """``frozenset[X]``: an array without repetitions, in an order that is the same in every run."""

    def write(value: Any) -> Any:
        if not isinstance(value, types):
            raise unwritable(name, value)
        return sorted(map(form.write, value), key=_ordered)

    def read(value: Any, _: Any = None) -> Any:
        made = make(_read_items(repeat(form), value))
        if len(made) != len(value):
            raise Misfit("expected items that are all different, found one twice")
        return made

    schema = {"type": "array", "items": form.schema, "uniqueItems": True}
    json_type = frozenset({"array"})
    return Form(name, json_type, types, schema, write, read, parts=_item_parts(form))


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
        if type(value) is list and len(value) != len(forms):
            raise Misfit(f"expected {len(forms)} items, found {len(value)}")
        return tuple(_read_items(forms, value))

    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if isinstance(value, tuple) and len(value) == len(forms):
            for i, (form, item) in enumerate(zip(forms, value, strict=True)):
                yield f"[{i}]", form, item

    schema: dict[str, Any] = {"type": "array", "minItems": len(forms), "maxItems": len(forms)}
    if forms:  # JSON Schema allows no empty list of them
        schema["prefixItems"] = [form.schema for form in forms]
    return Form(name, frozenset({"array"}), (tuple,), schema, write, read, parts=parts)


def mapping_form(name: str, form: Form, types: tuple[type[Any], ...]) -> Form:
    """``Mapping[str, X]``: an object with any keys."""

    def write(value: Any) -> Any:
        if not isinstance(value, types) or not all(isinstance(key, str) for key in value):
            raise unwritable(name, value)
        return {key: form.write(item) for key, item in value.items()}

    def read(value: Any, _: Any = None) -> Any:
        return _read_values(form, value)

    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield key_segment(key), form, item

    schema = {"type": "object", "additionalProperties": form.schema}
    return Form(name, frozenset({"object"}), types, schema, write, read, parts=parts)


def _read_values(form: Form, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise expected("an object", value)
    if not all(type(key) is str for key in value):
        raise Misfit("expected an object, found keys that are no strings")
    made: dict[str, Any] = {}
    key = ""
    try:
        for key, item in value.items():
            made[key] = form.read(item, None)
    except Misfit as misfit:
        raise misfit.within(key_segment(key)) from None
    return made
