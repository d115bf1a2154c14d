"""The domain. It says what should happen, and knows nothing of requests, servers or sessions."""

from decimal import Decimal

from airlock import Emits
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shop.intents import NotifyWarehouse, SendConfirmation


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    total: Mapped[Decimal]
    status: Mapped[str] = mapped_column(default="new")

    def place(self, effects: Emits[NotifyWarehouse | SendConfirmation]) -> None:
        self.status = "placed"
        effects.emit(NotifyWarehouse(self.id))
        effects.emit(SendConfirmation(self.id, self.email, self.total))
