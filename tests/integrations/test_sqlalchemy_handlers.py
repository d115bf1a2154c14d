"""Handlers with a session of their own, which decides about what they emit: sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, NullPool, Table, create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import airlock
from airlock import Boundary, FlushError, Report, Scope, intent
from airlock.integrations.sqlalchemy import on_commit
from tests.integrations.services import postgresql


@intent(kind="sqlalchemy-handlers.allocate")
class Allocate:
    n: int
    end: str


@intent(kind="sqlalchemy-handlers.allocated")
class Allocated:
    n: int


class SurpriseError(Exception):
    """Fails a handler."""


metadata = MetaData()
rows = Table(f"allocations_{uuid4().hex[:12]}", metadata, Column("n", Integer, primary_key=True))
ENDS = ("commit", "rollback", "error", "commit, error", "nothing")
KEPT = ("commit", "commit, error")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}" if request.param == "sqlite" else postgresql()


def driven(url: str, sqlite: str, postgres: str) -> str:
    return url.replace("sqlite:", sqlite, 1).replace("postgresql:", postgres, 1)


@pytest.fixture
def engine(url: str) -> Iterator[Any]:
    engine = create_engine(driven(url, "sqlite:", "postgresql+psycopg:"), poolclass=NullPool)
    metadata.create_all(engine)
    yield engine
    metadata.drop_all(engine)


def judge(engine: Any, allocated: list[int], report: Report) -> None:
    """Every follow-up that was delivered has its row, and every row its follow-up."""
    with engine.connect() as connection:
        stored = [*connection.scalars(select(rows.c.n).order_by(rows.c.n))]
    kept = [n for n, end in enumerate(ENDS) if end in KEPT]
    assert sorted(allocated) == [n for n in stored if n < 100] == kept
    assert {note.n for note in report.discarded} == {*range(len(ENDS))} - {*kept}
    assert [job.end for job in report.failed] == ["error", "commit, error"]


def test_a_unit_of_work_serves_a_command_and_its_follow_ups(engine: Any) -> None:
    """It brings its release each time."""
    allocated: list[int] = []

    @contextmanager
    def unit_of_work() -> Iterator[Session]:
        with Session(engine) as session, boundary.scope(release=on_commit(session)):
            yield session

    def allocate(job: Allocate) -> None:
        with unit_of_work() as session:
            session.execute(insert(rows).values(n=job.n))
            airlock.emit(Allocated(job.n))
            if "commit" in job.end:
                session.commit()
            if job.end == "rollback":
                session.rollback()
            if "error" in job.end:
                raise SurpriseError

    boundary = Boundary({Allocate: allocate, Allocated: lambda note: allocated.append(note.n)})
    scopes = list[Scope]()
    with suppress(FlushError), unit_of_work() as session:
        scopes.append(airlock.current())
        session.execute(insert(rows).values(n=100))
        for n, end in enumerate(ENDS):
            airlock.emit(Allocate(n, end))
        session.commit()
    judge(engine, allocated, scopes[0].report)


def test_so_does_an_async_one(engine: Any, url: str) -> None:
    allocated: list[int] = []
    awaited = create_async_engine(
        driven(url, "sqlite+aiosqlite:", "postgresql+asyncpg:"), poolclass=NullPool
    )

    @asynccontextmanager
    async def unit_of_work() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(awaited) as session, boundary.scope(release=on_commit(session)):
            yield session

    async def allocate(job: Allocate) -> None:
        async with unit_of_work() as session:
            await session.execute(insert(rows).values(n=job.n))
            airlock.emit(Allocated(job.n))
            if "commit" in job.end:
                await session.commit()
            if job.end == "rollback":
                await session.rollback()
            if "error" in job.end:
                raise SurpriseError

    async def note(note: Allocated) -> None:
        await asyncio.sleep(0)
        allocated.append(note.n)

    boundary = Boundary({Allocate: allocate, Allocated: note})

    async def main() -> Report:
        scopes = list[Scope]()
        with suppress(FlushError):
            async with unit_of_work() as session:
                scopes.append(airlock.current())
                await session.execute(insert(rows).values(n=100))
                for n, end in enumerate(ENDS):
                    airlock.emit(Allocate(n, end))
                await session.commit()
        await awaited.dispose()
        return scopes[0].report

    judge(engine, allocated, asyncio.run(main()))
