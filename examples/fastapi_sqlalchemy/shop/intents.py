"""What the shop may want to happen in the world."""

from decimal import Decimal

from airlock import field, intent


@intent(kind="shop.send-confirmation", version=1)
class SendConfirmation:
    order_id: int
    to: str = field(sensitive=True)
    total: Decimal


@intent(kind="shop.notify-warehouse", version=1)
class NotifyWarehouse:
    order_id: int
