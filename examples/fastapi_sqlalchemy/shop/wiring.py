"""Which handler runs for which intent, and what each of them needs."""

import os
import smtplib
from collections.abc import AsyncIterator

import httpx
from airlock import INLINE, Boundary, Handles, Route
from airlock.outbox import Outbox
from airlock.wire import AesGcm, Wire
from dependency_injector import containers, providers

from shop import handlers
from shop.database import new_engine
from shop.intents import NotifyWarehouse, SendConfirmation

EXAMPLE_KEY = "00112233445566778899aabbccddeeff" * 2  # yours comes from a vault


async def warehouse_client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    # A resource: opened when the app starts, closed when it has shut down.
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


class Effects(containers.DeclarativeContainer):
    config = providers.Configuration(strict=True)
    http = providers.Resource(warehouse_client, url=config.warehouse_url)
    smtp = providers.Factory(
        smtplib.SMTP,
        host="127.0.0.1",
        port=config.smtp_port.as_int(),
        local_hostname="shop.example",  # otherwise each connection begins with a DNS query
    )
    warehouse = Handles(NotifyWarehouse, handlers.notify_warehouse, http=http)
    confirmation = Handles(SendConfirmation, handlers.send_confirmation, connect=smtp.provider)


def boundary() -> Boundary:
    effects = Effects()
    effects.config.from_dict(
        {
            "warehouse_url": os.environ.get("SHOP_WAREHOUSE", "http://127.0.0.1:8026"),
            "smtp_port": os.environ.get("SHOP_SMTP_PORT", "8025"),
        }
    )
    # The customer's address is sensitive: what is stored of it is sealed.
    wire = Wire(cipher=AesGcm(bytes.fromhex(os.environ.get("SHOP_KEY", EXAMPLE_KEY))))
    outbox = Outbox(new_engine(), wire=wire)
    # A confirmation survives a crash; the notice goes out at once, and is parked if it fails.
    return Boundary(
        effects, dispatch=Route({SendConfirmation: outbox}, default=INLINE), park=outbox
    )
