"""Intents, as type checkers see them: nothing here is an error, and all of it runs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, assert_type

import attrs

from airlock import Intent, Json, asdict, field, intent, replace
from tests.typing.vocabulary import Box, Charge, Notify, SendMail, Urgent, refund, restock

notify = Notify(7)
Notify(order_id=7)
charge = Charge("4111", Decimal(1), ("a",), at=dt.date(2021, 1, 1))
Charge("4111")
Charge(card="4111", tags=("a",))
SendMail(to="a")
Urgent(1, "late")

assert_type(notify, Notify)
assert_type(notify.order_id, int)
assert_type(charge.tags, tuple[str, ...])
assert_type(charge.at, dt.date)
assert_type(Urgent(1).order_id, int)

# Generic intents keep their argument.
assert_type(Box(3), Box[int])
assert_type(Box("a").item, str)
boxed: Box[tuple[int, ...]] = Box((1, 2))

# They are values.
assert hash(notify) == hash(Notify(7))
assert notify == Notify(7)
seen = {notify: 1, Box(3): 2}

# replace keeps the type.
assert_type(replace(notify, order_id=8), Notify)
assert_type(replace(Urgent(1), why="x"), Urgent)

# asdict takes any of them.
assert_type(asdict(charge), dict[str, Any])
asdict(restock.intent(1), sensitive=True)

# Every one is an Intent; so are those of effect functions.
some: Intent = notify
several: list[Intent] = [notify, charge, Box(3), restock.intent(1), refund.intent("4111")]
kinds: list[type[Intent]] = [Notify, Charge]
assert_type(restock.intent(1, urgent=True), Intent)


def described(value: Notify | Charge | SendMail) -> str:
    match value:
        case Notify(order_id):
            assert_type(order_id, int)
            return str(order_id)
        case Charge(card, amount):
            assert_type(card, str)
            assert_type(amount, Decimal)
            return card
        case SendMail(to=to):
            assert_type(to, str)
            return to


described(notify)


def not_blank(instance: Any, attribute: attrs.Attribute[str], value: str) -> None: ...


@intent
class Fields:
    """What ``field`` gives its annotation."""

    plain: int = field()
    with_default: int = field(default=3)
    with_factory: tuple[str, ...] = field(factory=tuple)
    insisting: list[int] = field(hash=False, factory=list)
    aliased: str = field(alias="named", default="")
    body: Json = field(default=Json(None))
    checked: int = field(default=1, validator=attrs.validators.instance_of(int))
    both: int = field(default=1, validator=[attrs.validators.ge(0), attrs.validators.le(9)])
    own: str = field(default="", validator=not_blank)
    converted: str = field(default="", converter=str.lower)
    as_tuple: tuple[int, ...] = field(default=(), converter=tuple)
    twice: str = field(default="", converter=[str.strip, str.lower])
    shown: str = field(default="", repr=lambda text: text[:3], eq=str.lower)
    described: str = field(default="", metadata={"unit": "cent"})


Fields(1, named="a", insisting=[1], body=Json({"a": 1}))
document: Any = Json([1]).value
