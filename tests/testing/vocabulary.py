"""The intents of these tests."""

from __future__ import annotations

import attrs

from airlock import Boundary, Json, effect, field, intent, needs


@attrs.frozen
class Money:
    amount: int
    currency: str = "EUR"


@attrs.frozen
class Account:
    owner: str
    password: str = field(sensitive=True)


@attrs.frozen
class Line:
    sku: str
    price: Money = Money(0)


@intent(kind="tests.testing.notify-warehouse")
class NotifyWarehouse:
    order_id: int
    urgent: bool = False


@intent(kind="tests.testing.send-email")
class SendEmail:
    to: str
    subject: str = ""
    body: str = ""


@intent(kind="tests.testing.send-receipt")
class SendReceipt(SendEmail):
    """Handled, chosen and expected as a SendEmail too."""


@intent(kind="tests.testing.charge-card")
class ChargeCard:
    card: str = field(sensitive=True)
    amount: int = 0


@intent(kind="tests.testing.open-account")
class OpenAccount:
    account: Account
    plan: str = "basic"


@intent(kind="tests.testing.place-order")
class PlaceOrder:
    order_id: int
    total: Money
    lines: tuple[Line, ...] = ()


@intent(kind="tests.testing.post-webhook")
class PostWebhook:
    url: str
    body: Json


@intent(kind="tests.testing.tag")
class Tag:
    names: frozenset[str] = frozenset()


@effect
def restock(product_id: int, *, http: object = needs()) -> None: ...


class Done:
    """Handlers of everything, and what was delivered to them."""

    def __init__(self) -> None:
        self.intents: list[object] = []

    def __call__(self, intent: object) -> None:
        self.intents.append(intent)

    def boundary(self) -> Boundary:
        handled = (NotifyWarehouse, SendEmail, ChargeCard, OpenAccount, PlaceOrder, PostWebhook)
        return Boundary(dict.fromkeys((*handled, Tag), self))
