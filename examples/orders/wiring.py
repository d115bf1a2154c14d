"""Which handler runs for which intent, and what each of them needs."""

import smtplib
from collections.abc import Iterator
from sqlite3 import Connection

import httpx
from dependency_injector import containers, providers

from airlock import Handles, HandlesBatch
from examples.orders import handlers
from examples.orders.intents import (
    CheckShelves,
    EnrichCustomer,
    NotifyWarehouse,
    SendConfirmationEmail,
)


def http_client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, trust_env=False) as client:
        yield client


class Clients(containers.DeclarativeContainer):
    config = providers.Configuration(strict=True)
    db = providers.Dependency(instance_of=Connection)
    http = providers.Resource(http_client, base_url=config.warehouse.url)
    smtp = providers.Factory(
        smtplib.SMTP,
        host=config.smtp.host,
        port=config.smtp.port.as_int(),
        local_hostname="shop.example",  # otherwise each connection begins with a DNS query
    )


class Effects(Clients):
    notice = Handles(NotifyWarehouse, handlers.notify_warehouse, http=Clients.http)
    shelves = Handles(CheckShelves, handlers.check_shelves, http=Clients.http)
    email = Handles(
        SendConfirmationEmail, handlers.send_confirmation, connect=Clients.smtp.provider
    )
    enrich = Handles(EnrichCustomer, handlers.enrich_customer, http=Clients.http, db=Clients.db)


class BulkEffects(Clients):
    notice = HandlesBatch(
        NotifyWarehouse,
        handlers.notify_warehouse_of_many,
        size=500,
        http=Clients.http,
    )
    shelves = HandlesBatch(
        CheckShelves,
        handlers.check_many_shelves,
        size=500,
        http=Clients.http,
    )
    email = HandlesBatch(
        SendConfirmationEmail,
        handlers.send_many_confirmations,
        size=100,
        connect=Clients.smtp.provider,
    )
