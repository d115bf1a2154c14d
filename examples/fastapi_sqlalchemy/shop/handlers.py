"""What runs for each intent. Arguments after the first are dependencies, which the container gives."""

import smtplib
from collections.abc import Callable
from email.message import EmailMessage

import anyio.to_thread
import httpx
from airlock import delivery

from shop.intents import NotifyWarehouse, SendConfirmation


async def notify_warehouse(intent: NotifyWarehouse, http: httpx.AsyncClient) -> None:
    # The id of the delivery is the same in every attempt: the warehouse may throw repeats away.
    key = {"Idempotency-Key": str(delivery().id)}
    response = await http.post("/orders", json={"order": intent.order_id}, headers=key)
    response.raise_for_status()


async def send_confirmation(intent: SendConfirmation, connect: Callable[[], smtplib.SMTP]) -> None:
    message = EmailMessage()
    message["From"] = "orders@shop.example"
    message["To"] = intent.to
    message["Subject"] = f"Your order {intent.order_id}"
    message["X-Request"] = delivery().headers.get("request", "")
    message.set_content(f"Thank you for your order. It comes to ${intent.total}.\n")

    def send() -> None:
        with connect() as smtp:
            smtp.send_message(message)

    await anyio.to_thread.run_sync(send)  # smtplib would keep the event loop waiting
