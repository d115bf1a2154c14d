"""The contract of releases, over SQLAlchemy: each kind of session, on SQLite and PostgreSQL."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, registry, scoped_session, sessionmaker

from airlock.integrations.sqlalchemy import on_commit
from airlock.release import OnFlushError, Release
from airlock.testing import ReleaseContract, ReleaseHarness
from tests.integrations.services import postgresql

tables = registry(metadata=MetaData())
rows = Table(f"rows_{uuid4().hex[:12]}", tables.metadata, Column("n", Integer, primary_key=True))


class Row:
    def __init__(self, n: int) -> None:
        self.n = n


tables.map_imperatively(Row, rows)


async def now(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def begin_by_hand(engine: Engine) -> None:
    """On SQLite SQLAlchemy begins transactions, and not the driver, so that savepoints work."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))


class Harness(ReleaseHarness):
    """A session of any kind."""

    def __init__(self, engine: Any, session: Any, *, is_async: bool = False) -> None:
        self.engine = engine  # a sync one, which looks at what is stored
        self.session = session
        self.is_async = is_async
        self.savepoints: list[Any] = []

    def release(self, on_flush_error: OnFlushError) -> Release:
        return on_commit(self.session, on_flush_error=on_flush_error)

    def begin(self) -> Any:
        return self.session.begin()

    def write(self, n: int) -> Any:
        return self.session.execute(insert(rows).values(n=n))

    def read(self) -> Any:
        return self.session.execute(select(Row))

    def commit(self) -> Any:
        return self.session.commit()

    def roll_back(self) -> Any:
        return self.session.rollback()

    def close(self) -> Any:
        return self.session.close()

    async def savepoint(self) -> None:
        self.savepoints.append(await now(self.session.begin_nested()))

    def release_savepoint(self) -> Any:
        return self.savepoints.pop().commit()

    def roll_back_savepoint(self) -> Any:
        return self.savepoints.pop().rollback()

    def stored(self) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(rows.c.n).order_by(rows.c.n)))

    async def finish(self) -> None:
        await now(self.session.close())
        if self.is_async:
            await self.session.bind.dispose()


class Unit(Harness):
    """The session begins its transaction by itself, and writes objects, which are not flushed."""

    def begin(self) -> None:
        self.read()

    def write(self, n: int) -> None:
        self.session.add(Row(n))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'rows.db'}" if request.param == "sqlite" else postgresql()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    begin_by_hand(engine)
    tables.metadata.create_all(engine)
    yield engine
    tables.metadata.drop_all(engine)
    engine.dispose()


class TestSession(ReleaseContract):
    @pytest.fixture(params=[Harness, Unit])
    def harness(self, request: pytest.FixtureRequest, engine: Engine) -> Iterator[Harness]:
        with Session(engine) as session:
            yield request.param(engine, session)


class TestScopedSession(ReleaseContract):
    @pytest.fixture
    def harness(self, engine: Engine) -> Iterator[Harness]:
        sessions = scoped_session(sessionmaker(engine))
        yield Harness(engine, sessions)
        sessions.remove()


class TestSessionOfAConnection(ReleaseContract):
    """As in tests, whose outer transaction is rolled back."""

    @pytest.fixture
    def harness(self, engine: Engine) -> Iterator[Harness]:
        with engine.connect() as connection, connection.begin() as outer:
            session = Session(connection, join_transaction_mode="create_savepoint")
            yield Inside(connection, session)
            session.close()
            outer.rollback()


class Inside(Harness):
    def stored(self) -> list[int]:
        return list(self.engine.scalars(select(rows.c.n).order_by(rows.c.n)))


class TestAsyncSession(ReleaseContract):
    @pytest.fixture(params=["AsyncSession", "async_scoped_session"])
    def harness(self, request: pytest.FixtureRequest, url: str, engine: Engine) -> Harness:
        found = url.replace("sqlite:", "sqlite+aiosqlite:", 1)
        found = found.replace("postgresql:", "postgresql+asyncpg:", 1)
        awaited = create_async_engine(found, poolclass=NullPool)
        begin_by_hand(awaited.sync_engine)
        session: Any = AsyncSession(awaited)
        if request.param == "async_scoped_session":
            session = async_scoped_session(async_sessionmaker(awaited), scopefunc=lambda: None)
        return Harness(engine, session, is_async=True)
