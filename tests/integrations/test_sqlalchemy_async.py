"""A release for SQLAlchemy's AsyncSession: what is awaited, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, event, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.util import await_only

from airlock import Boundary, Scope, emit, intent
from airlock.errors import NoTransactionError, ReleaseError
from airlock.integrations.sqlalchemy import on_commit
from tests.integrations.services import postgresql


@intent(kind="sqlalchemy-async.marker")
class Marker:
    n: int


metadata = MetaData()
markers = Table(f"markers_{uuid4().hex[:12]}", metadata, Column("n", Integer, primary_key=True))


class SurpriseError(Exception):
    """What goes wrong in a block."""


@attrs.define
class Shop:
    """A session, and a boundary with an async handler that notes what it delivers."""

    engine: AsyncEngine
    session: AsyncSession
    seen: list[int] = attrs.field(factory=list)

    def scope(self, *, sync: bool = False, **options: Any) -> Scope:
        async def awaited(marker: Marker) -> None:
            await asyncio.sleep(0)
            self.seen.append(marker.n)

        handler = (lambda marker: self.seen.append(marker.n)) if sync else awaited
        return Boundary({Marker: handler}).scope(release=on_commit(self.session), **options)

    async def insert(self, n: int) -> None:
        await self.session.execute(insert(markers).values(n=n))

    async def stored(self) -> list[int]:
        async with self.engine.connect() as connection:
            return list(await connection.scalars(select(markers.c.n).order_by(markers.c.n)))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Shop]:
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", begin_by_hand)
        event.listen(engine.sync_engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        async with AsyncSession(engine) as session:
            yield Shop(engine, session)
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
        await engine.dispose()


def begin_by_hand(connection: Any, _: object) -> None:
    connection.isolation_level = None


Test = Callable[[Callable[[Shop], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Test:
    """Runs a coroutine function with a shop."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}"
    else:
        url = postgresql().replace("postgresql:", "postgresql+asyncpg:", 1)

    async def main(test: Callable[[Shop], Awaitable[None]]) -> None:
        async with opened(url) as shop:
            await test(shop)

    return lambda test: asyncio.run(main(test))


def test_closing_rolls_back(run: Test) -> None:
    """So does a task that is cancelled on its way to the commit."""

    async def test(shop: Shop) -> None:
        scope = shop.scope()
        emitted = asyncio.Event()

        async def block() -> None:
            async with scope, shop.session:
                await shop.insert(1)
                scope.emit(Marker(1))
                emitted.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(block())
        await emitted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert scope.report.discarded == [Marker(1)]
        assert await shop.stored() == []

    run(test)


def test_a_task_that_is_cancelled_during_the_commit_leaves_a_doubt(run: Test) -> None:
    """The database carries it out, most of the time: what was emitted is not thrown away."""

    async def test(shop: Shop) -> None:
        sent = no_answer(shop.engine)
        async with shop.session:
            scope = shop.scope()

            async def block() -> None:
                async with scope:
                    await shop.insert(1)
                    emit(Marker(1))
                    task = asyncio.create_task(shop.session.commit())
                    await sent.wait()
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    await shop.session.close()

            with pytest.raises(NoTransactionError):
                await block()
        assert shop.seen == []
        assert await shop.stored() == [1]
        assert scope.report.pending == [Marker(1)]
        await scope.report.aresume()
        assert shop.seen == [1]

    run(test)


def test_the_cancellation_goes_on_though_there_are_effects_in_doubt(run: Test) -> None:
    """They are pending in the report."""

    async def test(shop: Shop) -> None:
        sent, scope = no_answer(shop.engine), shop.scope()

        async def block() -> None:
            async with scope, shop.session:
                await shop.insert(1)
                emit(Marker(1))
                await shop.session.commit()

        task = asyncio.create_task(block())
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert shop.seen == []
        assert await shop.stored() == [1]
        assert scope.report.pending == [Marker(1)]

    run(test)


def no_answer(engine: AsyncEngine) -> asyncio.Event:
    """The next COMMIT of the engine is carried out, and its answer takes a minute."""
    dialect: Any = engine.dialect
    sent = asyncio.Event()
    usual = dialect.do_commit

    def commit(connection: Any) -> None:
        dialect.do_commit = usual
        usual(connection)
        sent.set()
        await_only(asyncio.sleep(60))

    dialect.do_commit = commit
    return sent


def test_a_task_that_is_cancelled_after_the_commit_has_committed(run: Test) -> None:
    """While the connection goes back to the pool: the session is never told that it is over."""

    async def test(shop: Shop) -> None:
        returning = asyncio.Event()
        dialect: Any = shop.engine.dialect
        usual = dialect.do_rollback

        def rollback(connection: Any) -> None:
            dialect.do_rollback = usual
            returning.set()
            await_only(asyncio.sleep(60))

        async def block() -> None:
            async with shop.scope():
                await shop.insert(1)
                emit(Marker(1))
                dialect.do_rollback = rollback
                await shop.session.commit()

        task = asyncio.create_task(block())
        await returning.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert shop.seen == await shop.stored() == [1]
        async with shop.scope(sync=True) as effects:
            await shop.insert(2)
            emit(Marker(2))
            await shop.session.close()
        assert shop.seen == await shop.stored() == [1]
        assert effects.report.discarded == [Marker(2)]

    run(test)


def test_a_commit_after_an_error_that_was_caught_may_be_none(run: Test) -> None:
    """PostgreSQL rolls back then, and asyncpg does not say so."""

    async def test(shop: Shop) -> None:
        async with shop.scope() as effects:
            await shop.insert(1)
            effects.emit(Marker(1))
            with pytest.raises(SQLAlchemyError):
                await shop.session.execute(text("SELECT * FROM nowhere_at_all"))
            await shop.session.commit()
        assert shop.seen == await shop.stored()
        assert len(shop.seen) == (shop.engine.dialect.name == "sqlite")

    run(test)


def test_the_current_one_of_an_async_scoped_session(run: Test) -> None:
    """That of this task."""

    async def test(shop: Shop) -> None:
        sessions = async_scoped_session(
            async_sessionmaker(shop.engine), scopefunc=asyncio.current_task
        )
        boundary = Boundary({Marker: lambda marker: shop.seen.append(marker.n)})
        async with boundary.scope(release=on_commit(sessions)) as effects:
            await sessions.execute(insert(markers).values(n=1))
            effects.emit(Marker(1))
            await sessions.commit()
        await sessions.remove()
        assert shop.seen == await shop.stored() == [1]

    run(test)


def test_tasks_with_sessions_of_their_own_do_not_mix(run: Test) -> None:
    """One commits while the other is about to roll back."""

    async def test(shop: Shop) -> None:
        async def work(n: int) -> None:
            async with AsyncSession(shop.engine) as session:
                release = on_commit(session)
                boundary = Boundary({Marker: lambda marker: shop.seen.append(marker.n)})
                async with boundary.scope(release=release):
                    emit(Marker(n))
                    await asyncio.sleep(0.001 * (n % 3))
                    await session.execute(select(1))
                    await (session.rollback() if n % 2 else session.commit())

        await asyncio.gather(*map(work, range(8)))
        assert sorted(shop.seen) == [0, 2, 4, 6]

    run(test)


def test_an_async_connection_is_refused(run: Test) -> None:
    """It tells of a commit before it has succeeded."""

    async def test(shop: Shop) -> None:
        async with shop.engine.connect() as connection:
            given: Any = connection
            with pytest.raises(ReleaseError, match="AsyncConnection, and only sessions"):
                on_commit(given)

    run(test)
