"""Recording with AsyncSession: asyncpg and aiosqlite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

import airlock
from airlock import Boundary, Route, View, emit
from airlock.errors import PolicyError
from airlock.integrations.sqlalchemy import on_commit
from airlock.outbox import Outbox
from tests.outbox.vocabulary import Base, Log, Mail, Order, url_in


@attrs.define(eq=False)
class Shop:
    engine: AsyncEngine
    outbox: Outbox
    boundary: Boundary
    handled: list[Any]

    async def rows(self) -> list[int]:
        async with self.engine.connect() as connection:
            found = await connection.execute(
                text("SELECT envelope FROM airlock_outbox ORDER BY seq")
            )
            return [json.loads(row[0])["data"]["n"] for row in found]

    async def orders(self) -> list[int]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text("SELECT id FROM orders"))).scalars())


@asynccontextmanager
async def shop_in(database: str, folder: Path, **options: Any) -> AsyncIterator[Shop]:
    with url_in(database, folder) as url:
        tables = create_engine(url)
        Outbox(tables).create()
        Base.metadata.create_all(tables)
        tables.dispose()
        if database == "sqlite":
            engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
        else:
            plain, _, schema = url.partition("?options=-csearch_path%3D")
            engine = create_async_engine(
                plain.replace("+psycopg", "+asyncpg"),
                connect_args={"server_settings": {"search_path": schema}},
            )
        outbox = Outbox(engine, **options)
        handled = list[Any]()

        async def handle(log: Log) -> None:
            await asyncio.sleep(0)
            handled.append(log)

        boundary = Boundary({Log: handle}, dispatch=Route({Mail: outbox}))
        try:
            yield Shop(engine, outbox, boundary, handled)
        finally:
            await engine.dispose()


Test = Callable[[Shop], Awaitable[None]]


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Run a coroutine function of a shop."""

    def run(work: Test, **options: Any) -> None:
        async def main() -> None:
            async with shop_in(request.param, tmp_path, **options) as shop:
                await work(shop)

        asyncio.run(main())

    return run


def test_the_order_and_its_effect_are_one_transaction(run: Any) -> None:
    async def work(shop: Shop) -> None:
        async with (
            AsyncSession(shop.engine) as session,
            shop.boundary.scope(release=on_commit(session)) as effects,
        ):
            session.add(Order(id=1))
            await session.flush()
            effects.emit(Mail(1))
            effects.emit(Log(1))
            assert await shop.rows() == []
            await session.commit()
            assert await shop.rows() == [1]
        assert await shop.orders() == [1]
        assert shop.handled == [Log(1)]
        assert effects.report.summary() == "1 delivered, 1 recorded"

    run(work)


def test_a_rollback_takes_both_back(run: Any) -> None:
    async def work(shop: Shop) -> None:
        async with (
            AsyncSession(shop.engine) as session,
            shop.boundary.scope(release=on_commit(session)) as effects,
        ):
            session.add(Order(id=1))
            await session.flush()
            effects.emit(Mail(1))
            await session.rollback()
        assert (await shop.orders(), await shop.rows()) == ([], [])
        assert effects.report.discarded == [Mail(1)]

    run(work)


def test_a_policy_that_raises_keeps_the_commit_from_happening(run: Any) -> None:
    def broken(_: View) -> Any:
        raise ZeroDivisionError

    async def work(shop: Shop) -> None:
        async with (
            AsyncSession(shop.engine) as session,
            shop.boundary.scope(release=on_commit(session), policy=broken) as effects,
        ):
            session.add(Order(id=1))
            await session.flush()
            effects.emit(Mail(1))
            with pytest.raises(PolicyError):
                await session.commit()
            await session.rollback()
        assert (await shop.orders(), await shop.rows()) == ([], [])

    run(work)


def test_a_commit_after_the_block_records(run: Any) -> None:
    """A handler here would have to be sync; what goes to an outbox need not be handled here."""

    async def work(shop: Shop) -> None:
        async with (
            AsyncSession(shop.engine) as session,
            session.begin(),
            shop.boundary.scope(release=on_commit(session)) as effects,
        ):
            session.add(Order(id=1))
            await session.flush()
            effects.emit(Mail(1))
        assert await shop.rows() == [1]
        assert effects.report.recorded == [Mail(1)]

    run(work)


def test_standalone_in_an_async_flush_and_in_a_sync_one(run: Any) -> None:
    async def work(shop: Shop) -> None:
        async with shop.boundary.scope():
            emit(Mail(1))
        await asyncio.to_thread(sync, shop)
        sync_in_the_loop(shop)
        assert await shop.rows() == [1, 2, 3]

    def sync(shop: Shop) -> None:
        with shop.boundary.scope():
            emit(Mail(2))

    def sync_in_the_loop(shop: Shop) -> None:
        with shop.boundary.scope():
            emit(Mail(3))

    run(work, standalone=True)


def test_a_cancelled_commit_records_both_or_nothing(run: Any) -> None:
    async def work(shop: Shop) -> None:
        async def one(n: int) -> airlock.Report:
            async with (
                AsyncSession(shop.engine) as session,
                shop.boundary.scope(release=on_commit(session)) as effects,
            ):
                session.add(Order(id=n))
                await session.flush()
                effects.emit(Mail(n))
                await session.commit()
            return effects.report

        for n in range(10):
            task = asyncio.create_task(one(n))
            for _ in range(n * 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert sorted(await shop.orders()) == await shop.rows()

    run(work)
