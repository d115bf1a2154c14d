"""Intents with every type that has a form on the wire."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Generic, Literal, NamedTuple, NewType, TypeVar
from uuid import UUID

import attrs
from attrs import validators

from airlock import Json, effect, field, intent

T = TypeVar("T")
Sku = NewType("Sku", str)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Priority(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Shape(enum.Enum):
    """Its values are no JSON, so that members go by name."""

    ROUND = (1, 0)
    SQUARE = (4, 4)


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass(frozen=True)
class Size:
    width: int
    height: int = 1


@attrs.frozen
class Line:
    sku: str
    qty: int
    price: Decimal = Decimal(0)


@attrs.frozen
class Card:
    number: str = field(sensitive=True)
    holder: str = ""


@attrs.frozen
class Cash:
    amount: Decimal


@attrs.frozen
class Box(Generic[T]):
    item: T
    spare: T | None = None


@attrs.frozen
class Tree:
    name: str
    children: tuple[Tree, ...] = ()


@intent(kind="wire.everything")
class Everything:
    id: UUID
    at: datetime
    day: date
    clock: time
    wait: timedelta
    text: str
    count: int
    ratio: float
    flag: bool
    price: Decimal
    raw: bytes
    document: Json
    nothing: None
    colour: Colour
    priority: Priority
    shape: Shape
    rights: Rights
    mode: Literal["fast", "slow", 1, True]
    sku: Sku
    line: Line
    lines: tuple[Line, ...]
    pair: tuple[int, str]
    tags: frozenset[str]
    corners: frozenset[tuple[int, int]]
    point: Point
    size: Size
    box: Box[int]
    boxes: Box[tuple[Box[str], ...]]
    tree: Tree
    plain: int | str | tuple[int, ...]
    number: int | float
    tagged: Decimal | str | date
    payment: Line | Cash | None
    optional: str | None = None
    either: Box[int] | Box[str] | None = None


@intent(kind="wire.order", version=2)
class Order:
    order_id: int
    lines: tuple[Line, ...] = ()
    note: str = "none"
    colour: Colour | None = None


@intent(kind="wire.small")
class Small:
    order_id: int
    to: str = "nobody"


@intent(kind="wire.charge")
class Charge:
    order_id: int
    card: str = field(sensitive=True)
    name: str = "?"


@intent(kind="wire.pay")
class Pay:
    order_id: int
    by: Card | Cash


@intent(kind="wire.picky")
class Picky:
    qty: int = field(validator=validators.gt(0))
    word: str = field(default="a", converter=str.lower)


@intent(kind="wire.renamed")
class Renamed:
    _hidden: int = field(alias="shown")
    derived: int = attrs.field(init=False, default=7)


@intent(kind="wire.moved")
class Moved(Generic[T]):
    thing: T


@intent(kind="wire.moved-line")
class MovedLine(Moved[Line]):
    place: str = ""


@intent(kind="wire.insisted")
class Insisted:
    words: list[str] = field(hash=False)
    counts: Mapping[str, int] = field(hash=False)
    ids: set[int] = field(hash=False)


@effect
def notify(order_id: int, *, urgent: bool = False) -> None:
    """An effect function has an intent, too."""
