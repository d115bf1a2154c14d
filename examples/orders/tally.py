"""How often each thing was promised, and how often it was received. Equal means: id by id."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from attrs import Factory, define

from examples.orders.models import Order

Email = tuple[int, str]  # order, address
Notice = tuple[int, int, int]  # order, store, items
NAMES = {
    "emails": "e-mails",
    "notices": "orders",
    "shelf_checks": "shelf checks",
    "lookups": "lookups",
}


@define
class Tally:
    emails: Counter[Email] = Factory(Counter)
    notices: Counter[Notice] = Factory(Counter)
    shelf_checks: Counter[int] = Factory(Counter)  # by store
    lookups: Counter[int] = Factory(Counter)  # by customer

    @classmethod
    def of(cls, orders: Iterable[Order]) -> Self:
        """Everything that processing these orders means, each once."""
        orders = list(orders)
        return cls(
            emails=Counter((order.id, order.email) for order in orders),
            notices=Counter((order.id, order.store_id, len(order.lines)) for order in orders),
            shelf_checks=Counter(order.store_id for order in orders),
        )

    def totals(self) -> tuple[int, ...]:
        return tuple(getattr(self, name).total() for name in NAMES)

    def differences(self, received: "Tally") -> list[str]:
        """What is missing in the other, and what it has too much, in words."""
        found = list[str]()
        for field, name in NAMES.items():
            promised, arrived = getattr(self, field), getattr(received, field)
            found += [f"{name}: lost {key}" for key in (promised - arrived).elements()]
            found += [f"{name}: nobody promised {key}" for key in (arrived - promised).elements()]
        return found
