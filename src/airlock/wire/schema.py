"""JSON Schemas (2020-12) of messages and of the envelope."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airlock.wire.entries import Entry
from airlock.wire.message import ENVELOPE, FORMS

__all__ = ["envelope_schema", "message_schema", "schemas"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Definitions = Mapping[str, Mapping[str, Any]]


def message_schema(entry: Entry, definitions: Definitions) -> dict[str, Any]:
    """Of what ``Wire.dumps`` writes for one intent class."""
    used = _used(entry.form.schema, definitions)
    schema = _message(entry, used)
    return {"$schema": _DIALECT, **schema, **({"$defs": used} if used else {})}


def _message(entry: Entry, used: dict[str, Any]) -> dict[str, Any]:
    name = _name(entry.form.schema)
    data = _open(entry, used[name])
    if not _refers(name, (data, *(schema for key, schema in used.items() if key != name))):
        del used[name]
    properties: dict[str, Any] = {
        "kind": {"const": entry.kind},
        "version": {"const": entry.version},
        "data": data,
    }
    if entry.secrets:
        properties["sealed"] = {"type": "string", "contentEncoding": "base64"}
    return {
        "title": entry.form.name,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _open(entry: Entry, data: Mapping[str, Any]) -> dict[str, Any]:
    """What is not sealed is in the data; of what is, the schema tells the type."""
    properties = dict(data["properties"])
    for key in entry.secrets:
        marks = {"x-airlock-sealed": True}
        if key in data["required"]:
            marks["x-airlock-required"] = True
        properties[key] = {**properties[key], **marks}
    required = [key for key in data["required"] if key not in entry.secrets]
    return {**data, "properties": properties, "required": required}


def envelope_schema() -> dict[str, Any]:
    """Of what ``Wire.encode`` writes, whatever the intent.

    Example:
        >>> envelope_schema()["properties"]["id"]
        {'type': 'string', 'format': 'uuid'}
    """
    used = _used(ENVELOPE.schema, FORMS.definitions)
    own = used.pop(_name(ENVELOPE.schema))
    return {"$schema": _DIALECT, **own, "title": "Envelope", "$defs": used}


def schemas(entries: Iterable[Entry], definitions: Definitions) -> dict[str, Any]:
    """Of the envelope and of every intent, in one document."""
    intents = [message_schema(entry, definitions) for entry in entries]
    return {"airlock": 1, "envelope": envelope_schema(), "intents": intents}


def _used(schema: Any, definitions: Definitions) -> dict[str, Any]:
    """The definitions that a schema speaks of, and those that they speak of."""
    used: dict[str, Any] = {}
    names = list(_references(schema))
    for name in names:
        if name not in used and name in definitions:  # a default, or a type of yours, may have any
            used[name] = copy.deepcopy(dict(definitions[name]))
            names += _references(used[name])
    return used


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield _name(schema)
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list | tuple):
        for inner in schema:
            yield from _references(inner)


def _refers(name: str, schemas: Iterable[Any]) -> bool:
    return any(name in _references(schema) for schema in schemas)


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).removeprefix("#/$defs/")
