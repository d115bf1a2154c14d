"""The store keeps its promises on every database and driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from airlock.outbox import schema
from airlock.outbox.database import AsyncEngineDatabase, Database, EngineDatabase
from airlock.testing.stores import StoreContract
from tests.outbox.databases import SqliteDatabase, asyncpg_database, postgresql_schema

NAME = f"outbox_store_{os.getpid()}"


class TestSqlite(StoreContract):
    @pytest.fixture
    def database(self) -> Iterator[Database]:
        engine = create_engine("sqlite://")
        found = EngineDatabase(engine)
        found.run(schema.create)
        yield found
        engine.dispose()


class TestSqliteConnections(StoreContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        found = SqliteDatabase(tmp_path / "outbox.db")
        found.run(schema.create)
        return found


class TestAiosqlite(StoreContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        found = AsyncEngineDatabase(
            create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/outbox.db")
        )
        found.run(schema.create)
        return found


class TestPsycopg(StoreContract):
    @pytest.fixture
    def database(self) -> Iterator[Database]:
        with postgresql_schema(NAME) as (engine, _):
            yield EngineDatabase(engine)


class TestAsyncpg(StoreContract):
    @pytest.fixture
    def database(self) -> Iterator[Database]:
        with postgresql_schema(NAME) as (_, url):
            yield asyncpg_database(url, NAME)


def test_an_outbox_of_a_sync_engine_needs_no_greenlet() -> None:
    """SQLAlchemy asks for greenlet where its async half is imported, and does not install it."""
    program = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from airlock.outbox import Outbox\n"
        "print(Outbox('sqlite://').store.queue)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("default\n", "")
