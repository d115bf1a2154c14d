"""Changes between two sets of schemas that break what was written before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from airlock.errors import DeclarationError

__all__ = ["Incompatibility", "incompatibilities"]

Schema = Mapping[str, Any]
Problems = Iterator[tuple[str, str]]


@attrs.frozen
class Incompatibility:
    """A change that breaks.

    Attributes:
        kind: of the intent.
        version: of its fields.
        path: of the field, from the data: ``.lines[].qty``.
        problem: what changed.
    """

    kind: str
    version: int
    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.kind} version {self.version}: {(self.path + ' ').lstrip()}{self.problem}"


def incompatibilities(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[Incompatibility]:
    """Return the changes after which older data cannot be read, or is read as something else.

    A field that is new and has a default, a type that takes more than before, another member of an
    enum or a union are no such changes. For others raise the version, and register an upcaster.

    Args:
        saved: what ``Wire.schemas()`` returned when the intents were as they were.
        now: what it returns now.

    Raises:
        DeclarationError: one of the two is not what ``Wire.schemas()`` returns.

    Example:
        >>> from airlock.wire import Wire
        >>> schemas = Wire([NotifyWarehouse]).schemas()
        >>> incompatibilities(schemas, schemas)
        []
    """
    for document in (saved, now):
        if not isinstance(document, Mapping) or "intents" not in document:
            raise DeclarationError("incompatibilities takes two documents of Wire.schemas().")
    declared = {_key(intent): intent for intent in now["intents"]}
    read_before = {_key(intent): intent for intent in saved["intents"]}
    found = list[Incompatibility]()
    for kind, version in dict.fromkeys((*read_before, *_older(saved, read_before))):
        end, changed = _end(now, kind, version)
        intent = read_before.get((kind, version))
        if end not in declared:
            problem = "is not declared any more, and no upcaster or new name leads on from it"
            found.append(Incompatibility(kind, version, "", problem))
        elif intent is not None and not changed:
            problems = _Comparison(intent, declared[end]).data()
            found += [Incompatibility(kind, version, path, problem) for path, problem in problems]
    return found


def _key(intent: Schema) -> tuple[str, int]:
    properties = intent["properties"]
    return properties["kind"]["const"], properties["version"]["const"]


def _older(
    document: Schema, declared: Mapping[tuple[str, int], Schema]
) -> Iterator[tuple[str, int]]:
    """Yield what was readable then but not declared: older versions, and kinds by an old name."""
    for step in document.get("upcasters", ()):
        if _end(document, step["kind"], step["version"])[0] in declared:
            yield step["kind"], step["version"]
    for kind in document.get("renames", {}):
        for _, version in declared:
            if _end(document, kind, version)[0] in declared:
                yield kind, version


def _end(document: Schema, kind: str, version: int) -> tuple[tuple[str, int], bool]:
    """Follow upcasters and new names to the end; return it, and True if an upcaster changes the data."""
    steps = {(step["kind"], step["version"]) for step in document.get("upcasters", ())}
    renames = document.get("renames", {})
    first = version
    while (kind, version) in steps or kind in renames:
        if (kind, version) in steps:
            version += 1
        else:
            kind = renames[kind]
    return (kind, version), version > first


class _Comparison:
    """Comparison of an intent's schema with an older one."""

    def __init__(self, saved: Schema, now: Schema) -> None:
        self._saved = saved
        self._now = now
        self._assumed: set[tuple[int, int]] = set()

    def data(self) -> Problems:
        """Yield what breaks in the data."""
        return self._compare(self._saved["properties"]["data"], self._now["properties"]["data"], "")

    def _compare(self, saved: Schema, now: Schema, path: str) -> Problems:
        """Yield the problems of reading every value of one schema as one of the other."""
        if saved.get("x-airlock-sealed") != now.get("x-airlock-sealed"):
            yield path, "is sealed now" if now.get("x-airlock-sealed") else "is sealed no longer"
            return
        saved, now = _resolved(saved, self._saved), _resolved(now, self._now)
        pair = id(saved), id(now)  # of nodes of the two documents
        if pair in self._assumed:
            return
        self._assumed.add(pair)
        members = _members(saved)
        if members is not None:
            for member in members:
                yield from self._compare(member, now, path)
        elif _members(now) is not None:
            yield from self._among(saved, now, path)
        else:
            yield from self._plain(saved, now, path)

    def _among(self, saved: Schema, now: Schema, path: str) -> Problems:
        """Yield nothing if one of the members takes it; else the problems of the nearest."""
        attempts = []
        for member in _members(now) or ():
            assumed = set(self._assumed)
            problems = list(self._compare(saved, member, path))
            if not problems:
                return
            self._assumed = assumed
            attempts.append(problems)
        inside = [p for p in attempts if all(where != path for where, _ in p)]
        yield from (
            inside[0] if inside else [(path, f"does not take {_format_schema(saved)} any more")]
        )

    def _plain(self, saved: Schema, now: Schema, path: str) -> Problems:
        if not set(now) - _REMARKS:
            return
        if "enum" in saved:
            yield from _enum(saved, now, path)
        elif "enum" in now:
            yield path, f"does not take every {saved.get('type', 'value')} any more"
        elif (saved.get("type"), now.get("type")) == ("integer", "number"):
            yield path, "takes a number now, which cannot hold every integer"
        elif not _fits(saved, now):
            yield path, f"does not take {_format_schema(saved)} any more, but {_format_schema(now)}"
        elif now.get("type") == "array":
            yield from self._array(saved, now, path)
        elif now.get("type") == "object":
            yield from self._object(saved, now, path)

    def _array(self, saved: Schema, now: Schema, path: str) -> Problems:
        if now.get("uniqueItems") and not saved.get("uniqueItems"):
            yield path, "does not take an item twice any more"
        before, after = _record(saved), _record(now)
        if after is not None and (before is None or len(before) != len(after)):
            yield path, f"takes just {len(after)} items now"
        elif before is not None:
            others = after or [now.get("items", _ANY)] * len(before)
            for i, (one, other) in enumerate(zip(before, others, strict=True)):
                yield from self._compare(one, other, f"{path}[{i}]")
        else:
            yield from self._compare(saved.get("items", _ANY), now.get("items", _ANY), f"{path}[]")

    def _object(self, saved: Schema, now: Schema, path: str) -> Problems:
        before, after = saved.get("properties", _ANY), now.get("properties", _ANY)
        for key, schema in before.items():
            if key not in after:
                yield f"{path}.{key}", "was removed"
            else:
                yield from self._compare(schema, after[key], f"{path}.{key}")
        for key in [key for key in after if _required(now, key) and not _required(saved, key)]:
            yield f"{path}.{key}", "is required now" if key in before else "is new, and required"
        yield from self._mapping(saved, now, path)

    def _mapping(self, saved: Schema, now: Schema, path: str) -> Problems:
        before, after = saved.get("additionalProperties"), now.get("additionalProperties")
        if isinstance(before, Mapping) and not isinstance(after, Mapping):
            yield path, "does not take any keys any more"
        elif isinstance(after, Mapping) and (
            isinstance(before, Mapping) or "properties" not in saved
        ):
            yield from self._compare(before or _ANY, after, f"{path}[]")


_ANY: Schema = {}
_REMARKS = {"default", "title", "description", "x-airlock-sealed", "x-airlock-required"}
_STRUCTURE = {
    *("type", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("minItems", "maxItems", "uniqueItems", "minimum", "maximum", "x-airlock-flags"),
}


def _resolved(schema: Schema, document: Schema) -> Schema:
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    found: Schema = document.get("$defs", _ANY).get(name, schema)
    return found


def _members(schema: Schema) -> list[Schema] | None:
    members: list[Schema] | None = schema.get("anyOf", schema.get("oneOf"))
    return members


def _record(schema: Schema) -> list[Schema] | None:
    """Return the items of an array of fixed length."""
    none: list[Schema] | None = [] if schema.get("maxItems") == 0 else None
    items: list[Schema] | None = schema.get("prefixItems", none)
    return items


def _required(schema: Schema, key: str) -> bool:
    sealed = schema.get("properties", _ANY).get(key, _ANY).get("x-airlock-required", False)
    return key in schema.get("required", ()) or bool(sealed)


def _fits(saved: Schema, now: Schema) -> bool:
    """Return True if type and format are unchanged, as must be all of a user's own type."""
    compared = [key for key in now if key not in _REMARKS | _STRUCTURE]
    return (
        saved.get("type") == now.get("type")
        and all(saved.get(key) == now[key] for key in compared)
        and _takes_flags(now, saved.get("x-airlock-flags", -1))
    )


def _takes_flags(schema: Schema, flags: int) -> bool:
    """Return True if all flags are among the schema's; a negative number stands for all."""
    return "x-airlock-flags" not in schema or flags & ~schema["x-airlock-flags"] == 0


def _enum(saved: Schema, now: Schema, path: str) -> Problems:
    gone = [repr(value) for value in saved["enum"] if not _takes(now, value)]
    if gone:
        yield path, f"does not take {', '.join(gone)} any more"


def _takes(schema: Schema, constant: Any) -> bool:
    if "enum" in schema:
        return (type(constant), constant) in [(type(value), value) for value in schema["enum"]]
    names = {bool: "boolean", int: "integer", str: "string", type(None): "null"}
    flags = constant if isinstance(constant, int) else 0
    return _fits({"type": names.get(type(constant))}, {**schema, "x-airlock-flags": -1}) and (
        _takes_flags(schema, flags)
    )


def _format_schema(schema: Schema) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum']))}"
    kind = str(schema.get("title") or schema.get("type", "any value"))
    detail = schema.get("format") or schema.get("contentEncoding")
    if "x-airlock-flags" in schema:
        detail = f"flags {schema['x-airlock-flags']}"
    return f"{kind} ({detail})" if detail else kind
