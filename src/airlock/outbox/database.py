"""Databases of an outbox: how its statements run, on connections of any kind.

Statements are written once, with ``:name`` for parameters. A ``Cursor`` runs them on a connection of
SQLAlchemy, of ``sqlite3``, or of what an integration has registered; a ``Database`` runs functions of a
cursor, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool, StaticPool

from airlock.effects.registry import describe
from airlock.errors import DeclarationError
from airlock.outbox.statements import NOW

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = [
    "ADAPTERS",
    "NOW",
    "AsyncEngineDatabase",
    "Cursor",
    "Database",
    "EngineDatabase",
    "cursor_of",
    "database_of",
    "identity_of",
]

T = TypeVar("T")

Parameters = Mapping[str, Any]


class Cursor(Protocol):
    """Runs statements on one connection, in the transaction that is open there."""

    dialect: str
    """``"postgresql"`` or ``"sqlite"``."""

    def execute(self, sql: str, parameters: Parameters | None = None, /) -> list[Any]:
        """Run a statement, and return its rows; none if it returns none."""
        ...

    def execute_many(self, sql: str, parameters: Sequence[Parameters], /) -> None:
        """Run a statement once for each set of parameters."""
        ...

    @property
    def now(self) -> str:
        """The SQL of the time in microseconds since the epoch."""
        ...


class Database(Protocol):
    """Runs functions of a cursor, each in a transaction of its own."""

    @property
    def identity(self) -> Hashable:
        """The database: equal for the same one, however it is reached."""
        ...

    def run(self, function: Callable[[Cursor], T]) -> T:
        """Call a function in a transaction, and commit it; roll back if the function raises."""
        ...

    async def arun(self, function: Callable[[Cursor], T]) -> T:
        """Do what ``run`` does, in a coroutine."""
        ...


# -- cursors --------------------------------------------------------------------------------------


class ConnectionCursor:
    """A cursor of a SQLAlchemy connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = checked(connection.dialect.name)

    @property
    def now(self) -> str:
        return NOW[self.dialect]

    def execute(self, sql: str, parameters: Parameters | None = None, /) -> list[Any]:
        result = self._connection.execute(_text(sql), parameters or {})
        return list(result) if result.returns_rows else []

    def execute_many(self, sql: str, parameters: Sequence[Parameters], /) -> None:
        self._connection.execute(_text(sql), list(parameters))


@lru_cache(128)
def _text(sql: str) -> Any:
    return text(sql)


class SqliteCursor:
    """A cursor of a connection of ``sqlite3``."""

    dialect = "sqlite"
    now = NOW["sqlite"]

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters | None = None, /) -> list[Any]:
        with closing(self._cursor()) as cursor:
            return cursor.execute(sql, parameters or {}).fetchall()

    def execute_many(self, sql: str, parameters: Sequence[Parameters], /) -> None:
        with closing(self._cursor()) as cursor:
            cursor.executemany(sql, parameters)

    def _cursor(self) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # rows as tuples, whatever the program has them as
        return cursor


ADAPTERS: list[Callable[[Any], tuple[Cursor, Hashable] | None]] = []
"""Return the cursor of a connection, and what identifies its database; None for unknown ones.

Integrations append theirs.
"""


def adapted(connection: object) -> tuple[Cursor, Hashable]:
    """Return the cursor of a connection of any kind, and what identifies its database.

    Raises:
        DeclarationError: nobody knows what it is.
    """
    if isinstance(connection, Connection):
        return ConnectionCursor(connection), identity(connection.engine)
    if isinstance(connection, sqlite3.Connection):
        cursor = SqliteCursor(connection)
        (_, _, path), *_ = cursor.execute("PRAGMA database_list")
        return cursor, sqlite_identity(path, connection)
    for adapt in ADAPTERS:
        found = adapt(connection)
        if found is not None:
            return found
    raise DeclarationError(
        f"an outbox cannot use {describe(connection)}: give a Session or Connection of "
        "SQLAlchemy, of sqlite3, or of Django."
    )


def cursor_of(connection: object) -> Cursor:
    """Return the cursor of a connection of SQLAlchemy, sqlite3, or an integration's."""
    return adapted(connection)[0]


def identity_of(connection: object) -> Hashable:
    """Return what identifies the database of a connection."""
    return adapted(connection)[1]


def sqlite_identity(path: str | None, owner: object) -> Hashable:
    """Return what identifies a SQLite database: its file, or the owner of one in memory."""
    if not path or path == ":memory:":
        return ("sqlite", id(owner))
    return ("sqlite", str(Path(path).resolve()))


def identity(engine: Engine) -> Hashable:
    """Return what identifies the database of an engine."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return sqlite_identity(url.database, engine.pool)
    return (
        url.get_backend_name(),
        url.host or url.query.get("host", ""),
        url.port or 5432,
        url.database or url.username or "",
    )


def checked(dialect: str) -> str:
    """Return the name of a dialect that the outbox has statements for.

    Raises:
        DeclarationError: it has none.
    """
    if dialect not in NOW:
        raise DeclarationError(
            f"an outbox is kept in PostgreSQL or SQLite, and this database is {dialect!r}."
        )
    return dialect


# -- databases ------------------------------------------------------------------------------------


class EngineDatabase:
    """A database of a SQLAlchemy engine.

    Args:
        engine: of PostgreSQL or SQLite; its pool is used, whatever isolation level it has.

    Raises:
        DeclarationError: it is of another database.

    Example:
        >>> from sqlalchemy import create_engine
        >>> database = EngineDatabase(create_engine("sqlite://"))
        >>> database.run(lambda c: c.execute("SELECT 6 * 7"))
        [(42,)]
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = checked(engine.dialect.name)
        self.identity = identity(engine)

    def run(self, function: Callable[[Cursor], T]) -> T:
        with self.engine.connect() as connection:
            return in_transaction(connection, function)

    async def arun(self, function: Callable[[Cursor], T]) -> T:
        return await asyncio.to_thread(self.run, function)


class AsyncEngineDatabase:
    """A database of an ``AsyncEngine``.

    ``run`` opens a connection of its own, in an event loop of another thread, since those of the pool
    belong to the loop that they were opened in.

    Args:
        engine: as for ``EngineDatabase``.

    Raises:
        DeclarationError: it is of another database.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.dialect = checked(engine.dialect.name)
        self.identity = identity(engine.sync_engine)

    def run(self, function: Callable[[Cursor], T]) -> T:
        alone = AsyncEngineDatabase(without_pool(self.engine))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(alone.arun(function))).result()

    async def arun(self, function: Callable[[Cursor], T]) -> T:
        async with self.engine.connect() as connection:
            return await connection.run_sync(in_transaction, function)

    async def aclose(self) -> None:
        """Close the connections of the engine's pool: before the loop ends that they are of."""
        await self.engine.dispose()


def without_pool(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine that connects as another one does, anew each time.

    A database in memory keeps its connection, without which it is gone.
    """
    sync = engine.sync_engine
    pool: Any = sync.pool
    if isinstance(pool, StaticPool):
        return engine
    # As Pool.recreate does it, which keeps the class too: with the same arguments and listeners.
    alone = NullPool(pool._creator, dialect=sync.dialect, _dispatch=pool.dispatch)  # noqa: SLF001
    return type(engine)(Engine(alone, sync.dialect, sync.url))


def in_transaction(connection: Connection, function: Callable[[Cursor], T]) -> T:
    """Call a function in a transaction of a connection.

    On SQLite it takes the lock at once: a transaction that reads first and writes after another one
    has written fails, however long it would wait. On PostgreSQL it is READ COMMITTED, where claims
    that overlap skip each other; at SERIALIZABLE one of them would fail.
    """
    cursor = ConnectionCursor(connection)
    if cursor.dialect == "postgresql":
        connection.execution_options(isolation_level="READ COMMITTED")
    with connection.begin():
        if cursor.dialect == "sqlite" and not _begun(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        return function(cursor)


def _begun(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    found: bool = driver.in_transaction
    return found


def database_of(given: object) -> Database:
    """Return the database of an engine or a URL.

    Raises:
        DeclarationError: it is neither, or of a database that the outbox has no statements for.
    """
    if isinstance(given, str | URL):
        return EngineDatabase(_engine(make_url(given)))
    if isinstance(given, Engine):
        return EngineDatabase(given)
    if _is_async(given):
        return AsyncEngineDatabase(given)
    raise DeclarationError(
        f"Outbox takes an Engine or AsyncEngine of SQLAlchemy, or a URL, not {describe(given)}."
    )


def _is_async(given: object) -> TypeGuard[AsyncEngine]:
    # Who has an AsyncEngine has imported its module, which asks for greenlet: others need none.
    module = sys.modules.get("sqlalchemy.ext.asyncio")
    return module is not None and isinstance(given, module.AsyncEngine)


def _engine(url: URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url)
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        event.listen(engine, "connect", _tune)
    return engine


def _tune(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA busy_timeout = 10000")
