"""What changed between two sets of schemas, and breaks what was written before."""

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
    """Changes after which what was written before cannot be read, or is read as something else.

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
    found = list[Incompatibility]()
    for intent in saved["intents"]:
        kind, version = _key(intent)
        other = declared.get((kind, version))
        if other is not None and not _moves(now, kind, version):
            problems = _Comparison(intent, other).data()
            found += [Incompatibility(kind, version, path, problem) for path, problem in problems]
        elif _end(now, kind, version) not in declared:
            problem = "is not declared any more, and no upcaster or new name leads on from it"
            found.append(Incompatibility(kind, version, "", problem))
    return found


def _key(intent: Schema) -> tuple[str, int]:
    properties = intent["properties"]
    return properties["kind"]["const"], properties["version"]["const"]


def _moves(document: Schema, kind: str, version: int) -> bool:
    return _end(document, kind, version) != (kind, version)


def _end(document: Schema, kind: str, version: int) -> tuple[str, int]:
    """Where upcasters and new names lead."""
    steps = {(step["kind"], step["version"]) for step in document.get("upcasters", ())}
    renames = document.get("renames", {})
    while (kind, version) in steps or kind in renames:
        if (kind, version) in steps:
            version += 1
        else:
            kind = renames[kind]
    return kind, version


class _Comparison:
    """Of the schema of one intent with that of another time."""

    def __init__(self, saved: Schema, now: Schema) -> None:
        self._saved = saved
        self._now = now
        self._assumed: set[tuple[str, str]] = set()

    def data(self) -> Problems:
        """What breaks in the data."""
        return self._compare(self._saved["properties"]["data"], self._now["properties"]["data"], "")

    def _compare(self, saved: Schema, now: Schema, path: str) -> Problems:
        """What stands against reading every value of the one as one of the other."""
        if saved.get("x-airlock-sealed") != now.get("x-airlock-sealed"):
            yield path, "is sealed now" if now.get("x-airlock-sealed") else "is sealed no longer"
            return
        if "$ref" in saved and "$ref" in now:
            pair = saved["$ref"], now["$ref"]
            if pair in self._assumed:
                return
            self._assumed.add(pair)
        saved, now = _resolved(saved, self._saved), _resolved(now, self._now)
        members = _members(saved)
        if members is not None:
            for member in members:
                yield from self._compare(member, now, path)
        elif _members(now) is not None:
            yield from self._among(saved, now, path)
        else:
            yield from self._plain(saved, now, path)

    def _among(self, saved: Schema, now: Schema, path: str) -> Problems:
        """One of the members must take it; if none does, what the nearest says."""
        attempts = []
        for member in _members(now) or ():
            assumed = set(self._assumed)
            problems = list(self._compare(saved, member, path))
            if not problems:
                return
            self._assumed = assumed
            attempts.append(problems)
        inside = [p for p in attempts if all(where != path for where, _ in p)]
        yield from inside[0] if inside else [(path, f"does not take {_said(saved)} any more")]

    def _plain(self, saved: Schema, now: Schema, path: str) -> Problems:
        if not set(now) - _REMARKS:
            return
        if "enum" in now or "enum" in saved:
            yield from _enum(saved, now, path)
        elif not _fits(saved, now):
            yield path, f"does not take {_said(saved)} any more, but {_said(now)}"
        elif now["type"] == "array":
            yield from self._array(saved, now, path)
        elif now["type"] == "object":
            yield from self._object(saved, now, path)

    def _array(self, saved: Schema, now: Schema, path: str) -> Problems:
        if now.get("uniqueItems") and not saved.get("uniqueItems"):
            yield path, "does not take an item twice any more"
        before, after = saved.get("prefixItems"), now.get("prefixItems")
        if after is not None and (before is None or len(before) != len(after)):
            yield path, f"takes just {len(after)} items now"
        elif before is not None:
            others = after or [now["items"]] * len(before)
            for i, (one, other) in enumerate(zip(before, others, strict=True)):
                yield from self._compare(one, other, f"{path}[{i}]")
        else:
            yield from self._compare(saved["items"], now["items"], f"{path}[]")

    def _object(self, saved: Schema, now: Schema, path: str) -> Problems:
        before, after = saved.get("properties", {}), now.get("properties", {})
        for key, schema in before.items():
            if key not in after:
                yield f"{path}.{key}", "was removed"
            else:
                yield from self._compare(schema, after[key], f"{path}.{key}")
        for key in now.get("required", ()):
            if key not in before:
                yield f"{path}.{key}", "is new, and required"
            elif key not in saved.get("required", ()) and not before[key].get("x-airlock-sealed"):
                yield f"{path}.{key}", "is required now"
        values = now.get("additionalProperties")
        if isinstance(values, Mapping):
            yield from self._compare(saved.get("additionalProperties") or {}, values, f"{path}[]")


_REMARKS = {"default", "title", "description", "x-airlock-sealed"}


def _resolved(schema: Schema, document: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = document["$defs"][reference.removeprefix("#/$defs/")]
    return found


def _members(schema: Schema) -> list[Schema] | None:
    members: list[Schema] | None = schema.get("anyOf", schema.get("oneOf"))
    return members


def _fits(saved: Schema, now: Schema) -> bool:
    before, after = saved.get("type"), now.get("type")
    if before != after and (before, after) != ("integer", "number"):
        return False
    return all(
        key not in now or saved.get(key) == now[key] for key in ("format", "contentEncoding")
    )


def _enum(saved: Schema, now: Schema, path: str) -> Problems:
    if "enum" not in now:
        names = {bool: "boolean", int: "integer", str: "string", type(None): "null"}
        if any(names.get(type(value)) != now.get("type") for value in saved["enum"]):
            yield path, f"takes {_said(now)} now"
        return
    known = [(type(value), value) for value in now["enum"]]
    if "enum" not in saved:
        yield path, f"does not take every {saved.get('type', 'value')} any more"
        return
    gone = [repr(value) for value in saved["enum"] if (type(value), value) not in known]
    if gone:
        yield path, f"does not take {', '.join(gone)} any more"


def _said(schema: Schema) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum']))}"
    kind = str(schema.get("title") or schema.get("type", "any value"))
    detail = schema.get("format") or schema.get("contentEncoding")
    return f"{kind} ({detail})" if detail else kind
