"""JSON Schemas, and which of their changes break."""

from __future__ import annotations

import enum
import json
from typing import Any, Literal
from uuid import UUID

import attrs
import jsonschema
import pytest

from airlock import Json, field, intent
from airlock.errors import DeclarationError, UnencodableError
from airlock.wire import Wire, envelope_schema, incompatibilities
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


# -- compatibility --------------------------------------------------------------------------------


class More(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Less(enum.Enum):
    RED = "red"


@attrs.frozen
class Longer:
    sku: str
    qty: int
    price: str = "0"
    note: str = ""


@attrs.frozen
class Shorter:
    sku: str


def document(*, version: int = 1, **hints: Any) -> dict[str, Any]:
    """The schemas of one intent; a value in parentheses has a default."""
    namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for name, hint in hints.items():
        defaulted = isinstance(hint, list)
        secret = isinstance(hint, set)
        [namespace["__annotations__"][name]] = hint if defaulted or secret else [hint]
        namespace[name] = field(
            kw_only=True, hash=False, sensitive=secret, **({"default": None} if defaulted else {})
        )
    cls: Any = intent(kind="wire.evolving", version=version)(type("Evolving", (), namespace))
    return Wire([cls]).schemas()


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    saved = json.loads(json.dumps(document(**before)))
    return [f"{i.path} {i.problem}" for i in incompatibilities(saved, document(**after))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": int}, {"a": int}),
        ({"a": int}, {"a": int, "b": [str]}),
        ({"a": int}, {"a": [int]}),
        ({"a": int}, {"a": int | None}),
        ({"a": int}, {"a": int | str}),
        ({"a": int}, {"a": float}),
        ({"a": v.Colour}, {"a": More}),
        ({"a": v.Colour}, {"a": str}),
        ({"a": Literal["x"]}, {"a": Literal["x", "y"]}),
        ({"a": UUID}, {"a": str}),
        ({"a": v.Line}, {"a": Longer}),
        ({"a": v.Line | v.Cash}, {"a": v.Cash | v.Line | v.Point}),
        ({"a": tuple[int, int]}, {"a": tuple[float, ...]}),
        ({"a": tuple[int, ...]}, {"a": tuple[int | None, ...]}),
        ({"a": frozenset[int]}, {"a": tuple[int, ...]}),
        ({"a": v.Tree}, {"a": v.Tree}),
        ({"a": int | str}, {"a": Json}),
        ({"a": {str}}, {"a": {str}}),
        ({"a": dict[str, int]}, {"a": dict[str, float]}),
    ],
)
def test_changes_that_add_are_compatible(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert changes(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": int, "b": int}, {"a": int}, [".b was removed"]),
        ({"a": int, "b": [int]}, {"a": int}, [".b was removed"]),
        ({"a": int}, {"a": int, "b": int}, [".b is new, and required"]),
        ({"a": [int]}, {"a": int}, [".a is required now"]),
        ({"a": int}, {"a": str}, [".a does not take integer any more, but string"]),
        ({"a": float}, {"a": int}, [".a does not take number any more, but integer"]),
        ({"a": int | None}, {"a": int}, [".a does not take null any more, but integer"]),
        ({"a": int | str}, {"a": int}, [".a does not take string any more, but integer"]),
        ({"a": str}, {"a": UUID}, [".a does not take string any more, but string (uuid)"]),
        ({"a": v.Colour}, {"a": Less}, [".a does not take 'blue' any more"]),
        ({"a": str}, {"a": v.Colour}, [".a does not take every string any more"]),
        ({"a": v.Colour}, {"a": int}, [".a takes integer now"]),
        ({"a": v.Line}, {"a": Shorter}, [".a.qty was removed", ".a.price was removed"]),
        ({"a": tuple[v.Line, ...]}, {"a": tuple[Shorter, ...]},
         [".a[].qty was removed", ".a[].price was removed"]),
        ({"a": tuple[int, ...]}, {"a": tuple[str, ...]},
         [".a[] does not take integer any more, but string"]),
        ({"a": tuple[int, ...]}, {"a": frozenset[int]}, [".a does not take an item twice any more"]),
        ({"a": tuple[int, ...]}, {"a": tuple[int, int]}, [".a takes just 2 items now"]),
        ({"a": tuple[int, int]}, {"a": tuple[int, str]},
         [".a[1] does not take integer any more, but string"]),
        ({"a": v.Line | v.Cash}, {"a": v.Line}, [
            ".a.Line was removed", ".a.sku is new, and required", ".a.qty is new, and required",
            ".a.Cash was removed", ".a.sku is new, and required", ".a.qty is new, and required",
        ]),
        ({"a": v.Line}, {"a": v.Line | v.Cash}, [".a.sku was removed", ".a.qty was removed",
         ".a.price was removed", ".a.Line is new, and required"]),
        ({"a": str}, {"a": {str}}, [".a is sealed now"]),
        ({"a": {str}}, {"a": str}, [".a is sealed no longer"]),
        ({"a": {int}}, {"a": {str}}, [".a does not take integer any more, but string"]),
        ({"a": int, "b": int}, {"a": str},
         [".a does not take integer any more, but string", ".b was removed"]),
        ({"a": Json}, {"a": int}, [".a does not take any value any more, but integer"]),
        ({"a": dict[str, int]}, {"a": dict[str, str]},
         [".a[] does not take integer any more, but string"]),
        ({"a": int | str}, {"a": bool | float}, [".a does not take string any more"]),
    ],
)  # fmt: skip
def test_changes_that_break_are_found(
    before: dict[str, Any], after: dict[str, Any], expected: list[str]
) -> None:
    assert changes(before, after) == expected


def test_a_kind_that_is_gone_breaks() -> None:
    saved, now = document(a=int), document(version=2, a=str)
    [found] = incompatibilities(saved, now)
    assert str(found) == (
        "wire.evolving version 1: is not declared any more, and no upcaster or new name leads on "
        "from it"
    )


def test_a_version_with_an_upcaster_may_go() -> None:
    """Whatever changed: that is what the upcaster is for."""
    saved, now = document(a=int), document(version=2, a=str)
    assert (
        incompatibilities(saved, now | {"upcasters": [{"kind": "wire.evolving", "version": 1}]})
        == []
    )
    gap = now | {"upcasters": [{"kind": "wire.evolving", "version": 2}]}
    assert len(incompatibilities(saved, gap)) == 1
    renamed = document(version=2, a=int) | {"renames": {"wire.evolving": "wire.gone"}}
    assert len(incompatibilities(saved, renamed)) == 1


def test_a_kind_with_a_new_name_may_go() -> None:
    saved = document(a=int)
    renames = {"wire.evolving": "wire.small"}
    now = Wire([v.Small]).schemas() | {"renames": renames}
    assert incompatibilities(saved, now) == []


def test_a_new_kind_breaks_nothing() -> None:
    assert incompatibilities(Wire([]).schemas(), document(a=int)) == []


@pytest.mark.parametrize("wrong", [{}, None, []])
def test_only_documents_of_schemas_are_compared(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"Wire\.schemas\(\)"):
        incompatibilities(wrong, document(a=int))
