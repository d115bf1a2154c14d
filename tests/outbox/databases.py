"""Databases that the outbox is tested on, with empty tables."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine

from airlock.outbox import schema
from airlock.outbox.database import (
    AsyncEngineDatabase,
    Cursor,
    EngineDatabase,
    cursor_of,
    identity_of,
)
from tests.integrations.services import postgresql

T = TypeVar("T")


class SqliteDatabase:
    """A file, reached by connections of ``sqlite3``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def identity(self) -> Hashable:
        return identity_of(sqlite3.connect(self.path))

    def run(self, function: Callable[[Cursor], T]) -> T:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return function(cursor_of(connection))
        finally:
            connection.close()

    async def arun(self, function: Callable[[Cursor], T]) -> T:
        return await asyncio.to_thread(self.run, function)


def sqlite_engine(path: Path) -> Engine:
    """An engine of a file, as an outbox makes it of a URL."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")

    return engine


@contextmanager
def postgresql_schema(name: str) -> Iterator[tuple[Engine, str]]:
    """An engine of psycopg whose tables are in a schema of their own, and the URL without a driver."""
    url = postgresql().removeprefix("postgresql://")
    engine = create_engine(
        f"postgresql+psycopg://{url}",
        connect_args={"options": f"-csearch_path={name}"},
        pool_size=10,
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    try:
        EngineDatabase(engine).run(schema.create)
        yield engine, url
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        engine.dispose()


def asyncpg_database(url: str, name: str) -> AsyncEngineDatabase:
    """The database of a schema, reached by asyncpg."""
    engine = create_async_engine(
        f"postgresql+asyncpg://{url}", connect_args={"server_settings": {"search_path": name}}
    )
    return AsyncEngineDatabase(engine)
