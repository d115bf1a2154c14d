"""``asdict``: an intent as plain dicts and lists."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import pytest

import airlock
from airlock import Json, asdict, effect, field, intent
from airlock.errors import DeclarationError

T = TypeVar("T")


class Size(NamedTuple):
    width: int
    unit: str = "cm"


@dataclasses.dataclass(frozen=True)
class Address:
    street: str


@attrs.frozen
class Line:
    sku: str
    size: Size
    token: str = field(sensitive=True)


@intent(kind="tests.asdict.customer")
class Customer:
    name: str
    password: str = field(sensitive=True)


@intent(kind="tests.asdict.order")
class Order(Generic[T]):
    customer: Customer
    lines: tuple[Line, ...]
    address: Address
    at: dt.date
    total: Decimal
    note: Json
    tags: frozenset[str]
    content: T
    card: str = field(sensitive=True)
    rows: list[int] = field(hash=False, factory=list)
    _hidden: int = field(default=1, alias="shown")


ORDER = Order(
    Customer("Ada", "s3cret"),
    (Line("hat", Size(12), "t0ken"),),
    Address("Main"),
    dt.date(2026, 1, 2),
    Decimal("12.50"),
    Json({"gift": [1, None]}),
    frozenset({"b", "a", "c"}),
    None,
    "4111",
    [1],
)
PLAIN = {
    "customer": {"name": "Ada"},
    "lines": [{"sku": "hat", "size": {"width": 12, "unit": "cm"}}],
    "address": {"street": "Main"},
    "at": dt.date(2026, 1, 2),
    "total": Decimal("12.50"),
    "note": {"gift": [1, None]},
    "tags": ["a", "b", "c"],
    "content": None,
    "rows": [1],
    "_hidden": 1,
}


def test_whatever_has_fields_becomes_a_dict() -> None:
    """Intents, attrs classes, dataclasses, named tuples; documents and collections too, in order."""
    assert asdict(ORDER) == PLAIN
    assert list(asdict(ORDER)) == list(PLAIN)
    assert json.loads(json.dumps(asdict(ORDER), default=str))["total"] == "12.50"


def test_sensitive_fields_are_left_out_however_deep() -> None:
    """Unless they are asked for."""
    text = str(asdict(ORDER))
    for secret in ("s3cret", "t0ken", "4111"):
        assert secret not in text
    everything = asdict(ORDER, sensitive=True)
    assert everything["card"] == "4111"
    assert everything["customer"]["password"] == "s3cret"
    assert everything["lines"][0]["token"] == "t0ken"


def test_what_is_in_another_value_is_found() -> None:
    """A generic intent with another one inside, in tuples of tuples."""
    nested = attrs.evolve(ORDER, content=((Customer("Bob", "x"),),))  # type: ignore[misc]
    assert asdict(nested)["content"] == [[{"name": "Bob"}]]


def test_calls_of_effect_functions_are_intents_too() -> None:
    @effect
    def restock(product_id: int, *, urgent: bool = False) -> None: ...

    assert asdict(restock.intent(7)) == {"product_id": 7, "urgent": False}


def test_changing_the_dict_changes_nothing() -> None:
    asdict(ORDER)["note"]["gift"].append(2)
    asdict(ORDER)["lines"].clear()
    assert asdict(ORDER) == PLAIN


@pytest.mark.parametrize("value", [3, Customer, Address("a"), Line("a", Size(1), "b"), None])
def test_it_takes_intents_only(value: Any) -> None:
    with pytest.raises(DeclarationError):
        asdict(value)


# -- options of fields ----------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["init", "order", "on_setattr", "type", "cmp", "secret"])
def test_an_option_that_makes_no_sense_is_refused(option: str) -> None:
    """Where it is written."""
    options: dict[str, Any] = {option: None}
    with pytest.raises(
        DeclarationError, match=rf"airlock\.field\({option}=\.\.\.\): .* It takes default"
    ):
        field(**options)


def test_a_validator_or_default_that_is_a_method_is_refused() -> None:
    """No type checker knows what ``@number.validator`` is."""
    loose: Any = airlock.field

    def fine(instance: Any, attribute: Any, value: Any) -> None: ...

    for validators in (None, fine, [fine]):
        with pytest.raises(
            DeclarationError, match=r"number gets its validator or default .*validator="
        ):

            @intent
            class Checked:
                number: Any = loose(validator=validators)

                @number.validator  # type: ignore[untyped-decorator]
                def check(self, attribute: Any, value: Any) -> None: ...

    with pytest.raises(DeclarationError, match=r"number gets its validator or default .*factory="):

        @intent
        class Made:
            first: int = 1
            number: Any = loose()

            @number.default  # type: ignore[untyped-decorator]
            def make(self) -> int:
                return self.first

    @intent
    class Allowed:
        first: int
        number: int = field(default=attrs.Factory(lambda self: self.first + 1, takes_self=True))
        other: int = field(default=2, validator=[fine, attrs.validators.ge(0)])

    assert Allowed(1).number == 2
