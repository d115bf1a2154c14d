"""The shop, without a mail server or a warehouse: its domain alone, then through the app."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from airlock.testing import Recording, fake_boundary

from shop.intents import NotifyWarehouse, SendConfirmation
from shop.main import create_app, lifespan
from shop.models import Order
from shop.wiring import boundary

pytestmark = pytest.mark.anyio

ORDER = {"id": 1, "email": "ann@example.org", "total": "9.99"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_placed_order_is_confirmed_and_the_warehouse_told(effects: Recording) -> None:
    Order(id=1, email="ann@example.org", total=Decimal("9.99")).place(effects)
    assert effects == [
        NotifyWarehouse(1),
        SendConfirmation(1, "ann@example.org", Decimal("9.99")),
    ]


def test_every_intent_has_a_handler() -> None:
    assert boundary().check([NotifyWarehouse, SendConfirmation]).ok


@pytest.fixture
def sent() -> list[Any]:
    return []


@pytest.fixture
async def client(
    sent: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite+aiosqlite:///{tmp_path}/shop.sqlite")
    fakes = {NotifyWarehouse: sent.append, SendConfirmation: sent.append}
    app = create_app(fake_boundary(fakes))
    transport = httpx.ASGITransport(app)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        yield client


async def test_an_order_is_stored_and_its_effects_happen(
    client: httpx.AsyncClient, sent: list[Any]
) -> None:
    placed = await client.post("/orders", json=ORDER)
    assert (placed.status_code, placed.json()) == (201, {"id": 1, "status": "placed"})
    assert (await client.get("/orders/1")).json()["status"] == "placed"
    assert sent == [NotifyWarehouse(1), SendConfirmation(1, "ann@example.org", Decimal("9.99"))]


async def test_an_order_that_cannot_be_stored_has_no_effects(
    client: httpx.AsyncClient, sent: list[Any]
) -> None:
    await client.post("/orders", json=ORDER)
    sent.clear()
    assert (await client.post("/orders", json=ORDER)).status_code == 409
    assert sent == []


async def test_imported_orders_are_not_confirmed(
    client: httpx.AsyncClient, sent: list[Any]
) -> None:
    orders = [ORDER, {**ORDER, "id": 2}]
    assert (await client.post("/import", json=orders)).json() == {"imported": 2}
    assert sent == [NotifyWarehouse(1), NotifyWarehouse(2)]
