"""JSON Schemas (2020-12) of types, of messages and of the envelope; which types have a form."""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from airlock.effects.fields import Field, Unresolved
from airlock.wire.classes import is_class
from airlock.wire.compounds import MAPPINGS, SETS, is_compound, is_record
from airlock.wire.converter import WireConverter
from airlock.wire.hints import UNBOUND, bare, format_hint, has_secrets, title, unfilled
from airlock.wire.problems import NoFormError, UnwritableError
from airlock.wire.text import TextError, dumps, loads
from airlock.wire.unions import is_tagged, is_union, members_of

if TYPE_CHECKING:
    from airlock.wire.entries import Entry

__all__ = ["Schemas", "closed_schema", "message_schema"]

_DEFINITIONS = "#/$defs/"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = Mapping[str, Any]


class Schemas:
    """The schemas of types. Where there is none, the type has no form.

    Args:
        converter: whose hooks read and write the types.
        closed: describe classes as objects without other fields.
    """

    def __init__(self, converter: WireConverter, *, closed: bool = False) -> None:
        self._converter = converter
        self._closed = closed
        self._open: set[Any] = set()
        self._checked: set[Any] = set()
        self._names: dict[str, Any] = {}

    def of(self, hint: Any) -> Schema:
        """Return the schema of a type.

        Raises:
            NoFormError: it has no form.
        """
        checked = set(self._checked)
        try:
            return self._of(hint)
        except BaseException as error:
            self._checked = checked  # a class of which a part has no form has none
            self._open.clear()
            self._converter.fields.clear()
            if isinstance(error, RecursionError):
                raise NoFormError("has a type without end", "Give it one that ends.") from None
            raise

    def _of(self, hint: Any) -> Schema:
        kind = bare(hint)
        leaf = self._converter.leaf(kind)
        if leaf is not None:
            return leaf.schema
        if kind in self._open and hint is not kind:  # an alias, in itself
            return self._reference(hint)
        nested = kind in self._open
        self._open.add(kind)
        try:
            return self._made(kind)
        finally:
            if not nested:
                self._open.discard(kind)

    def _made(self, hint: Any) -> Schema:
        if is_union(hint):
            return self._union(hint)
        if is_compound(hint):
            return self._compound(hint)
        if is_class(hint):
            return self._class(hint)
        return _refuse(hint)

    # -- parts ------------------------------------------------------------------------------------

    def _union(self, hint: Any) -> Schema:
        members = members_of(hint)
        some = [one for one in members if one is not type(None)]
        schemas = [self._of(one) for one in some]
        names = list(map(title, some))
        if is_tagged(members, self._converter):
            if len(set(names)) < len(names):
                problem = f"is a union whose members share a name ({' | '.join(names)})"
                raise NoFormError(problem, "Rename one of the classes.")
            schema: Schema = {"oneOf": list(map(_tagged, names, schemas))}
        else:
            schema = schemas[0] if len(some) == 1 else {"anyOf": schemas}
        if len(some) == len(members):
            return schema
        return {"anyOf": [schema, {"type": "null"}]}

    def _compound(self, hint: Any) -> Schema:
        kind, args = typing.get_origin(hint), typing.get_args(hint)
        if is_record(hint):
            items = [self._item(i, one) for i, one in enumerate(args)]
            bounds = {"type": "array", "minItems": len(items), "maxItems": len(items)}
            return {**bounds, "prefixItems": items} if items else bounds  # it may not be empty
        if kind in MAPPINGS:
            if bare(args[0]) is not str:
                _refuse(hint, "Keys of JSON objects are strings: use a tuple of pairs.")
            return {"type": "object", "additionalProperties": self._item("", args[1])}
        array = {"type": "array", "items": self._item("", args[0])}
        return {**array, "uniqueItems": True} if kind in SETS else array

    def _item(self, segment: object, hint: Any) -> Schema:
        try:
            return self._of(hint)
        except NoFormError as error:
            raise error.within(f"[{segment}]") from None

    def _class(self, hint: Any) -> Schema:
        if hint not in self._checked:
            self._checked.add(hint)
            declared = self._converter.arguments_of(hint)
            asked = unfilled(typing.get_origin(hint) or hint, declared)
            if asked is not None:
                _refuse(hint, f"Its constructor asks for {asked!r}, which is no field of it.")
            for member in declared:
                self._field(member)
        return self._reference(hint)

    def _field(self, member: Field) -> Schema:
        try:
            return self._of(member.type)
        except NoFormError as error:
            raise error.within(f".{member.key}") from None

    # -- definitions ------------------------------------------------------------------------------

    def _reference(self, hint: Any) -> Schema:
        """Refer to a class, or to an alias that is in itself, by a name that only it has."""
        own = getattr(typing.get_origin(hint) or hint, "__name__", "Alias")
        kinds = [bare(one) for one in typing.get_args(hint)]
        name = "_".join([own, *(kind.__name__ for kind in kinds if isinstance(kind, type))])
        unique, number, kind = name, 2, bare(hint)
        while self._names.setdefault(unique, kind) != kind:
            unique, number = f"{name}_{number}", number + 1
        return {"$ref": _DEFINITIONS + unique}

    def used(self, schema: Any) -> dict[str, Any]:
        """Return the definitions that a schema refers to, and those that they refer to."""
        used: dict[str, Any] = {}
        names = list(_references(schema))
        for name in names:
            if name not in used and name in self._names:  # a default may look like a reference
                used[name] = copy.deepcopy(self._definition(self._names[name]))
                names += _references(used[name])
        return used

    def _definition(self, hint: Any) -> dict[str, Any]:
        if not is_class(hint):
            self._open.add(hint)
            try:
                return dict(self._made(hint))
            finally:
                self._open.discard(hint)
        declared = self._converter.arguments_of(hint)
        return {
            "title": title(hint),
            "type": "object",
            "properties": {member.key: self._property(member) for member in declared},
            "required": [member.key for member in declared if member.required],
            **({"additionalProperties": False} if self._closed else {}),
        }

    def _property(self, member: Field) -> Schema:
        schema = self._of(member.type)
        if member.default is attrs.NOTHING or member.sensitive or has_secrets(member.type):
            return schema
        try:
            default = loads(dumps(self._converter.write(member.type)(member.default)))
        except (UnwritableError, TextError):  # a default that its own annotation does not allow
            return schema
        return {**schema, "default": default}


def _tagged(name: str, schema: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {name: schema},
        "required": [name],
        "additionalProperties": False,
    }


def _refuse(hint: Any, hint_for_user: str | None = None) -> NoReturn:
    problem = f"has the type {format_hint(hint)}, which has no form on the wire"
    raise NoFormError(problem, hint_for_user or _instead(hint))


def _instead(hint: Any) -> str:
    if isinstance(hint, Unresolved):
        return "Declare what it names at the top of a module, and import that."
    if hint is UNBOUND:
        return "Bind the type variable: a subclass of Generic[int], say, with @intent."
    if hint in (Any, object):
        return "Use a type that says what is in it, or airlock.Json."
    if typing.get_origin(hint) is typing.Literal:
        return "Literals are strings, integers, booleans."
    return "Use a type that JSON has a form for, or give Wire(forms={...}) one for it."


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield _name(schema)
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list | tuple):
        for inner in schema:
            yield from _references(inner)


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix(_DEFINITIONS)


# -- messages -------------------------------------------------------------------------------------


def message_schema(entry: Entry, schemas: Schemas) -> dict[str, Any]:
    """Return the schema of what ``Wire.dumps`` writes for an intent class."""
    reference = schemas.of(entry.cls)
    used = schemas.used(reference)
    data = _without_secrets(entry, used[_name(reference)])
    others = [schema for name, schema in used.items() if name != _name(reference)]
    if _name(reference) not in _references([data, *others]):
        del used[_name(reference)]
    properties: dict[str, Any] = {
        "kind": {"const": entry.kind},
        "version": {"const": entry.version},
        "data": data,
    }
    if entry.secrets:
        properties["sealed"] = {"type": "string", "contentEncoding": "base64"}
    return {
        "$schema": _DIALECT,
        "title": title(entry.cls),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        **({"$defs": used} if used else {}),
    }


def _without_secrets(entry: Entry, data: Schema) -> dict[str, Any]:
    """Mark the fields that are sealed: they are not in the data."""
    properties = dict(data["properties"])
    for key in entry.secrets:
        marks = {"x-airlock-sealed": True}
        if key in data["required"]:
            marks["x-airlock-required"] = True
        properties[key] = {**properties[key], **marks}
    required = [key for key in data["required"] if key not in entry.secrets]
    return {**data, "properties": properties, "required": required}


def closed_schema(cls: type[Any], schemas: Schemas, title: str) -> dict[str, Any]:
    """Return the schema of a class of airlock's own, which is read strictly."""
    reference = schemas.of(cls)
    used = schemas.used(reference)
    own = used.pop(_name(reference))
    return {"$schema": _DIALECT, **own, "title": title, "$defs": used}
