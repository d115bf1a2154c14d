"""What the shop may want to happen in the world. Values, and nothing else."""

from decimal import Decimal

import airlock
from airlock import intent


@intent(kind="shop.notify-warehouse")
class NotifyWarehouse:
    """The warehouse packs the order."""

    order_id: int
    store_id: int
    items: int


@intent(kind="shop.check-shelves")
class CheckShelves:
    """The warehouse compares a store's shelves with its stock. Once is as good as ten times."""

    store_id: int


@intent(kind="shop.confirmation-email")
class SendConfirmationEmail:
    """The customer is thanked."""

    order_id: int
    to: str = airlock.field(sensitive=True)  # handlers get it; reports and logs show ***
    total: Decimal = airlock.field(repr=str)


@intent(kind="shop.enrich-customer")
class EnrichCustomer:
    """The customer register is asked for what the shop does not know itself."""

    customer_id: int
