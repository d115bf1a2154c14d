from typing import Literal

from airlock import intent


@intent(kind="shop.notify-warehouse", version=1)
class NotifyWarehouse:
    order: int


@intent(kind="shop.send-mail", version=1)
class SendMail:
    order: int
    about: Literal["placed", "packed", "cancelled"]
