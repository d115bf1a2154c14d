"""JSON Schemas."""

from __future__ import annotations

import json
from typing import Any

import attrs
import jsonschema
import pytest

from airlock import intent
from airlock.errors import UnencodableError
from airlock.wire import Wire, envelope_schema
from tests.wire import vocabulary as v

VALIDATOR = jsonschema.Draft202012Validator


def test_the_schema_of_an_intent() -> None:
    """That of what ``dumps`` writes."""
    schema = Wire().schema_of(v.Order)
    VALIDATOR.check_schema(schema)
    assert schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order",
        "type": "object",
        "properties": {
            "kind": {"const": "wire.order"},
            "version": {"const": 2},
            "data": {
                "title": "Order",
                "type": "object",
                "properties": {
                    "order_id": {"type": "integer"},
                    "lines": {
                        "type": "array",
                        "items": {"$ref": "#/$defs/Line"},
                        "default": [],
                    },
                    "note": {"type": "string", "default": "none"},
                    "colour": {
                        "anyOf": [{"enum": ["red", "blue"]}, {"type": "null"}],
                        "default": None,
                    },
                },
                "required": ["order_id"],
            },
        },
        "required": ["kind", "version", "data"],
        "$defs": {
            "Line": {
                "title": "Line",
                "type": "object",
                "properties": {
                    "sku": {"type": "string"},
                    "qty": {"type": "integer"},
                    "price": {"type": "string", "format": "decimal", "default": "0"},
                },
                "required": ["sku", "qty"],
            }
        },
    }


def test_the_schema_of_a_type_that_holds_itself() -> None:
    @intent(kind="wire.node")
    class Node:
        name: str
        below: tuple[v.Tree, ...] = ()

    schema = Wire().schema_of(Node)
    assert schema["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    good = {"name": "a", "below": [{"name": "b", "children": [{"name": "c"}]}]}
    bad = {"name": "a", "below": [{"name": "b", "children": [{"name": 1}]}]}
    message = {"kind": "wire.node", "version": 1}
    VALIDATOR(schema).validate(message | {"data": good})
    assert not VALIDATOR(schema).is_valid(message | {"data": bad})


def test_classes_of_one_name_have_schemas_of_their_own() -> None:
    other = attrs.frozen(type("Line", (), {"__annotations__": {"other": int}}))
    cls: Any = intent(kind="wire.twins")(
        type("Twins", (), {"__annotations__": {"a": v.Line, "b": other, "c": v.Box[int]}})
    )
    schema = Wire().schema_of(cls)
    assert set(schema["$defs"]) == {"Line", "Line_2", "Box_int"}


def test_the_schema_of_an_effect_function_is_that_of_its_intent() -> None:
    assert Wire().schema_of(v.notify)["title"] == "notify"


def test_schemas_are_one_document_to_be_saved() -> None:
    wire = Wire([v.Small, v.Charge, v.Order])
    wire.upcaster("wire.order", 1)(lambda data: data)
    wire.rename("wire.tiny", forwards_to="wire.small")
    document = wire.schemas()
    assert json.loads(json.dumps(document)) == document
    assert document["envelope"] == envelope_schema()
    assert document["upcasters"] == [{"kind": "wire.order", "version": 1}]
    assert document["renames"] == {"wire.tiny": "wire.small"}
    assert {intent["title"] for intent in document["intents"]} == {"Small", "Charge", "Order"}


def test_an_intent_without_a_form_has_no_schema() -> None:
    cls: Any = intent(kind="wire.any")(type("Anything", (), {"__annotations__": {"it": Any}}))
    with pytest.raises(UnencodableError, match=r"Anything\.it"):
        Wire().schema_of(cls)
