"""The app: ``python -m uvicorn --factory shop.main:create_app``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import airlock
from airlock import Boundary, Drop
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.fastapi import Emits
from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker

from shop import wiring
from shop.database import Session, new_engine
from shop.intents import NotifyWarehouse, SendConfirmation
from shop.models import Base, Order

routes = APIRouter()


class NewOrder(BaseModel):
    id: int
    email: str
    total: Decimal


@routes.post("/orders", status_code=201)
async def place_order(
    new: NewOrder, session: Session, effects: Emits[NotifyWarehouse | SendConfirmation]
) -> dict[str, Any]:
    order = Order(id=new.id, email=new.email, total=new.total)
    session.add(order)
    order.place(effects)
    try:
        await session.flush()
    except IntegrityError:
        raise HTTPException(409, f"there is an order {new.id} already") from None
    return {"id": order.id, "status": order.status}


@routes.post("/import", status_code=201)
async def import_orders(orders: list[NewOrder], session: Session) -> dict[str, int]:
    """Orders of the old shop: the warehouse must know, their customers have been thanked."""
    with airlock.region(Drop(SendConfirmation)):
        for new in orders:
            order = Order(id=new.id, email=new.email, total=new.total)
            session.add(order)
            order.place(airlock.current())
    return {"imported": len(orders)}


@routes.get("/orders/{order_id}")
async def show_order(order_id: int, session: Session) -> dict[str, Any]:
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404)
    return {"id": order.id, "status": order.status}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = new_engine()
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app.state.sessions = async_sessionmaker(engine)
    yield
    await engine.dispose()


def request_headers(scope: Any) -> dict[str, str]:
    found = dict(scope["headers"]).get(b"x-request-id", b"")
    return {"request": found.decode("latin-1")}


def create_app(boundary: Boundary | None = None) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.include_router(routes)
    app.add_middleware(
        EffectsMiddleware,
        boundary=wiring.boundary() if boundary is None else boundary,
        headers=request_headers,
        slow=timedelta(seconds=5),  # mail servers take their time, and nobody waits for them
    )
    return app
