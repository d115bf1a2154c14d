"""An app whose tasks are called, and what comes of it."""

from __future__ import annotations

from typing import Any

from celery import Celery

from airlock import Boundary
from airlock.integrations.celery import CallTask, SendTasks

__all__ = ["Shop"]


class Shop:
    """An app, and what was sent to its broker."""

    def __init__(self, name: str = "shop") -> None:
        self.app = Celery(
            name, broker="memory://", backend="cache+memory://", set_as_current=False, fixups=[]
        )
        self.sent: list[Any] = []
        self.ran: list[Any] = []

        @self.app.task(name="shop.receipt", shared=False)
        def receipt(order_id: int, *, urgent: bool = False) -> int:
            self.ran.append(order_id)
            return order_id

        @self.app.task(name="shop.mail", shared=False)
        def mail(*args: Any) -> Any:
            self.ran.append(("mail", *args))
            return args

        def published(sender: str, body: Any, **_: Any) -> None:
            self.sent.append((sender, *body[0]))

        self.published = published  # celery 5.3 takes the methods of two objects for one
        self.receipt: Any = receipt
        self.mail: Any = mail
        self.boundary = Boundary({CallTask: SendTasks(self.app)})
