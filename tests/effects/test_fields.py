"""The one reader of annotations: the fields of a class, with types in which every name is resolved."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, NewType, TypeVar

import attrs
import pytest

from airlock import field, intent
from airlock.effects.fields import (
    Field,
    Unresolved,
    bare,
    bindings,
    fields_of,
    has_fields,
    resolved,
)

T = TypeVar("T")
K = TypeVar("K")
OrderId = NewType("OrderId", int)


@intent(kind="tests.fields.order")
class Order:
    order_id: int
    card: str = field(sensitive=True, default="")
    tags: tuple[str, ...] = field(factory=tuple, alias="labels", eq=False)


@dataclasses.dataclass(frozen=True)
class Data:
    order: Order
    note: str = "none"
    made: list[int] = dataclasses.field(default_factory=list, compare=False)
    inside: int = dataclasses.field(default=1, init=False)


class Named(NamedTuple):
    order: Order
    size: int = 3


class More(Named):
    """A subclass that adds nothing to the tuple."""


@attrs.frozen
class Page(Generic[T]):
    items: tuple[T, ...]
    following: Page[T] | None = None


@attrs.frozen
class Names(Page[str], Generic[K]):
    key: K | None = None


def types_of(hint: Any, **names: Any) -> dict[str, Any]:
    return {field.name: field.type for field in fields_of(hint, names)}


def test_the_fields_of_an_intent() -> None:
    """With what else is known of them."""
    assert fields_of(Order) == (
        Field("order_id", "order_id", int, attrs.NOTHING, required=True),
        Field("card", "card", str, "", required=False, sensitive=True),
        Field("tags", "labels", tuple[str, ...], attrs.NOTHING, required=False, compared=False),
    )


def test_the_fields_of_dataclasses_and_named_tuples() -> None:
    """The same, under the same names."""
    assert fields_of(Data) == (
        Field("order", "order", Order, attrs.NOTHING, required=True),
        Field("note", "note", str, "none", required=False),
        Field("made", "made", list[int], attrs.NOTHING, required=False, compared=False),
        Field("inside", "inside", int, 1, required=False, init=False),
    )
    expected = (
        Field("order", "order", Order, attrs.NOTHING, required=True),
        Field("size", "size", int, 3, required=False),
    )
    assert fields_of(Named) == fields_of(More) == expected


def test_type_variables_stand_for_arguments_also_of_bases() -> None:
    assert types_of(Page[int]) == {"items": tuple[int, ...], "following": Page[int] | None}
    assert types_of(Names[bytes]) == {
        "items": tuple[str, ...],
        "following": Page[str] | None,
        "key": bytes | None,
    }
    assert types_of(Page)["items"] == tuple[T, ...]  # type: ignore[valid-type]
    assert bindings(Names[bytes])[Page] == {T: str}


def test_none_is_a_type_and_no_annotation_is_any() -> None:
    @attrs.frozen
    class Bare:
        nothing: None

    unknown = attrs.make_class("Unknown", ["value"])
    assert types_of(Bare) == {"nothing": type(None)}
    assert types_of(unknown) == {"value": Any}


def test_names_are_looked_up_where_each_class_is_defined() -> None:
    """A base class of another module knows its own; what is local, only who is told of it."""
    module = types.ModuleType("tests_fields_made")
    sys.modules[module.__name__] = module
    try:
        exec(
            "from __future__ import annotations\nimport attrs\nclass Order: ...\n"
            "@attrs.frozen\nclass Base:\n    order: Order\n",
            vars(module),
        )
        base: Any = module.Base

        @attrs.frozen
        class Child(base):  # type: ignore[misc]
            mine: Order

        assert types_of(Child) == {"order": module.Order, "mine": Order}
    finally:
        del sys.modules[module.__name__]

    class Local: ...

    @attrs.frozen
    class Holder:
        local: Local

    unknown = types_of(Holder)["local"]
    assert unknown == Unresolved("Local", "name 'Local' is not defined", later=True)
    assert types_of(Holder, Local=Local) == {"local": Local}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("Order", Order),
        (tuple["Order", ...], tuple[Order, ...]),
        (typing.Optional["Order"], typing.Optional[Order]),  # noqa: UP045
        (Annotated["Order", "note"], Annotated[Order, "note"]),
        (Annotated[int, "Order"], Annotated[int, "Order"]),
        (Literal["Order"], Literal["Order"]),
        ("Final[int]", Final[int]),
        (typing.Callable[["Order"], int], typing.Callable[[Order], int]),
    ],
)
def test_names_inside_of_types_are_resolved(hint: Any, expected: Any) -> None:
    """Strings that are no names of types stay strings."""
    assert resolved(hint, Order) == expected


@pytest.mark.parametrize(
    ("hint", "later"),
    [("Nowhere", True), ("typing.Nowhere", True), ("1 +", False), ("Order[int]", False)],
)
def test_what_cannot_be_resolved_says_why(hint: str, later: bool) -> None:
    """And whether it may be when more is defined."""
    found = resolved(hint, Order)
    assert isinstance(found, Unresolved)
    assert (found.annotation, found.later) == (hint, later)
    assert found.problem


def test_what_has_fields() -> None:
    for cls in (Order, Data, Named, More, Page):
        assert has_fields(cls)
    for other in (int, tuple, Order(1), None, Page[int]):
        assert not has_fields(other)


def test_a_bare_type_says_what_values_there_are() -> None:
    assert bare(Annotated[Final[OrderId], "note"]) is int
    assert bare(None) is type(None)
    assert bare(tuple[OrderId, ...]) == tuple[OrderId, ...]
