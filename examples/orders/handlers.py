"""What runs for each intent: plain functions. Their other arguments are their dependencies."""

import smtplib
from collections.abc import Callable
from sqlite3 import Connection
from typing import Any

import httpx

from airlock import PartialFailure, delivery
from examples.orders import store
from examples.orders.intents import (
    CheckShelves,
    EnrichCustomer,
    NotifyWarehouse,
    SendConfirmationEmail,
)
from examples.orders.mails import confirmation

Connect = Callable[[], smtplib.SMTP]


def notify_warehouse(intent: NotifyWarehouse, http: httpx.Client) -> None:
    # The id of the delivery is the same in every attempt, and after a resume.
    key = {"Idempotency-Key": str(delivery().id)}
    http.post("/orders", json=[notice(intent)], headers=key).raise_for_status()


def check_shelves(intent: CheckShelves, http: httpx.Client) -> None:
    http.post("/shelves", json=[intent.store_id]).raise_for_status()


def send_confirmation(intent: SendConfirmationEmail, connect: Connect) -> None:
    with connect() as smtp:
        smtp.send_message(confirmation(intent.order_id, intent.to, intent.total))


def enrich_customer(intent: EnrichCustomer, http: httpx.Client, db: Connection) -> None:
    customer = store.customer_of(db, intent.customer_id)
    answer = http.get(f"/customers/{customer.id}").raise_for_status()
    customer.segment = answer.json()["segment"]
    with db:
        customer.save(db)  # which emits EnrichCustomer again, as a follow-up


# The same for many at once. A batch handler is called with a list.


def notify_warehouse_of_many(intents: list[NotifyWarehouse], http: httpx.Client) -> None:
    http.post("/orders", json=[notice(intent) for intent in intents]).raise_for_status()


def check_many_shelves(intents: list[CheckShelves], http: httpx.Client) -> None:
    http.post("/shelves", json=[intent.store_id for intent in intents]).raise_for_status()


def send_many_confirmations(intents: list[SendConfirmationEmail], connect: Connect) -> None:
    failed: dict[int, Exception] = {}
    with connect() as smtp:
        for index, intent in enumerate(intents):
            try:
                smtp.send_message(confirmation(intent.order_id, intent.to, intent.total))
            except smtplib.SMTPException as error:
                failed[index] = error
    if failed:
        raise PartialFailure(failed)  # these failed; the others are delivered


def notice(intent: NotifyWarehouse) -> dict[str, Any]:
    """As the warehouse wants it."""
    return {"order_id": intent.order_id, "store_id": intent.store_id, "items": intent.items}
