"""The domain. It says what it wants to happen, and knows no server, no boundary, no policy."""

from decimal import Decimal
from sqlite3 import Connection

from attrs import define, frozen

import airlock
from airlock import Emits
from examples.orders.intents import (
    CheckShelves,
    EnrichCustomer,
    NotifyWarehouse,
    SendConfirmationEmail,
)


@frozen
class Line:
    product: str
    quantity: int
    price: Decimal


@define
class Order:
    id: int
    customer_id: int
    store_id: int
    placed_at: str
    lines: tuple[Line, ...]
    status: str = "new"

    @property
    def email(self) -> str:
        return f"customer-{self.customer_id}@shop.example"

    @property
    def total(self) -> Decimal:
        return sum((line.price for line in self.lines), Decimal("0.00"))

    # The signature says what may happen; mypy and pyright hold the body to it.
    def process(
        self, effects: Emits[NotifyWarehouse | CheckShelves | SendConfirmationEmail]
    ) -> None:
        self.status = "processed"
        effects.emit(NotifyWarehouse(self.id, self.store_id, len(self.lines)))
        effects.emit(CheckShelves(self.store_id))
        effects.emit(SendConfirmationEmail(self.id, self.email, self.total))


@define
class Customer:
    id: int
    segment: str = "unknown"

    # The other style, for where nothing can be injected: the effect goes to the scope that is open
    # around the call. Where none is, emit raises an error.
    def save(self, db: Connection) -> None:
        db.execute("insert or replace into customers values (?, ?)", (self.id, self.segment))
        airlock.emit(EnrichCustomer(self.id))
