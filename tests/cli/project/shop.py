"""A shop, as somebody would write it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from dependency_injector import containers, providers

from airlock import Boundary, EffectBuffer, Emits, Expands, Handles, HandlesBatch, field, intent
from airlock.wire import AesGcm, Wire


@intent(kind="shop.order-placed")
class OrderPlaced:
    order_id: int


@intent(kind="shop.notify-warehouse")
class NotifyWarehouse:
    order_id: int
    urgent: bool = False


@intent(kind="shop.charge-card", version=2)
class ChargeCard:
    order_id: int
    card: str = field(sensitive=True)


@intent(kind="shop.audit")
class Audit:
    entry: str


def placed(event: OrderPlaced) -> Iterable[NotifyWarehouse | Audit]:
    return [NotifyWarehouse(event.order_id), Audit(f"order {event.order_id}")]


@attrs.define
class Charge:
    effects: Emits[Audit]

    def __call__(self, intent: ChargeCard) -> None:
        print(f"charged for order {intent.order_id}")


async def notify(intent: NotifyWarehouse) -> None:
    print(f"packed {intent.order_id}")


def audit(entries: list[Audit]) -> None:
    print(f"noted {len(entries)}")


class Effects(containers.DeclarativeContainer):
    placed = Expands(OrderPlaced, placed)
    notify = Handles(NotifyWarehouse, notify, idempotent=True)
    charge = Handles(ChargeCard, Charge, effects=providers.Factory(EffectBuffer))
    audit = HandlesBatch(Audit, audit, size=500)


boundary = Boundary(Effects())
wire = Wire(cipher=AesGcm(b"0" * 32))


def make_boundary() -> Boundary:
    """As a factory."""
    return boundary


incomplete = Boundary({NotifyWarehouse: notify})
nothing = 42
