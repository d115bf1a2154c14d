"""What the files of this folder talk about."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Generic, TypeAlias, TypeVar

import attrs

from airlock import EffectBuffer, Emits, effect, field, intent, needs

T = TypeVar("T")


class Http:
    def post(self, body: str) -> None: ...


@intent
class Notify:
    order_id: int


@intent(kind="typing.charge", version=2)
class Charge:
    card: str = field(sensitive=True)
    amount: Decimal = Decimal(0)
    tags: tuple[str, ...] = attrs.field(factory=tuple)
    at: dt.date = field(default=dt.date(2020, 1, 1), kw_only=True)


@intent(kw_only=True)
class SendMail:
    to: str
    subject: str = ""


@intent
class Urgent(Notify):
    why: str = ""


@intent
class Box(Generic[T]):
    item: T


OrderEffects: TypeAlias = Notify | SendMail


@effect
def restock(product_id: int, *, urgent: bool = False, http: Http = needs()) -> str:
    http.post(f"{product_id} {urgent}")
    return "done"


@effect
async def refund(card: str) -> int:
    return len(card)


def on_notify(intent: Notify) -> None: ...
def on_charge(intent: Charge, http: Http) -> None: ...
def on_urgent(intent: Urgent) -> None: ...
def on_any(intent: object) -> None: ...
def on_either(intent: Notify | Charge) -> str:
    return repr(intent)


async def on_async(intent: Notify) -> None: ...


def on_batch(intents: list[Notify]) -> None: ...


class Notifier:
    def __init__(self, http: Http) -> None: ...

    def __call__(self, intent: Notify) -> None: ...


class BatchNotifier:
    def __call__(self, intents: list[Notify]) -> None: ...


def only_mail(effects: Emits[SendMail]) -> None:
    effects.emit(SendMail(to="a"))


def process(effects: Emits[Notify | SendMail]) -> None:
    effects.emit(Notify(1))


buffer = EffectBuffer()
