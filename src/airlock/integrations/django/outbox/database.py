"""``DjangoOutbox``: an outbox on Django's own connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeVar

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from airlock.errors import DeclarationError
from airlock.integrations.django.database import identity_of
from airlock.outbox import schema
from airlock.outbox.database import ADAPTERS, NOW, Cursor, Database, checked
from airlock.outbox.outbox import Outbox
from airlock.wire import Wire

__all__ = ["DjangoOutbox", "create_tables", "drop_tables"]

T = TypeVar("T")

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)(?!:)")


@lru_cache(128)
def _with_percents(sql: str) -> str:
    """Return a statement with its parameters as Django has them, on any database."""
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))


class DjangoCursor:
    """A cursor of one of Django's connections, through all that Django does around statements."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self.dialect = checked(connection.vendor)

    @property
    def now(self) -> str:
        return NOW[self.dialect]

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(_with_percents(sql), dict(parameters or {}))
            return cursor.fetchall() if cursor.description else []

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, Any]], /) -> None:
        with self._connection.cursor() as cursor:
            for one in parameters:
                cursor.execute(_with_percents(sql), dict(one))


def _adapt(connection: Any) -> tuple[Cursor, Hashable] | None:
    if not isinstance(connection, BaseDatabaseWrapper):
        return None
    return DjangoCursor(connection), identity_of(connection)


ADAPTERS.append(_adapt)


@contextmanager
def _immediate(connection: Any) -> Iterator[None]:
    """Have SQLite take its lock when a transaction begins, as Django can from 5.1 on.

    One that reads first, and writes after another one has written, fails however long it would wait.
    """
    mode = getattr(connection, "transaction_mode", "")
    if connection.vendor != "sqlite" or mode == "" or connection.in_atomic_block:
        yield
        return
    connection.transaction_mode = "IMMEDIATE"
    try:
        yield
    finally:
        connection.transaction_mode = mode


class DjangoDatabase:
    """The database of an alias, on the connection that Django has for it in this thread.

    Args:
        alias: in ``DATABASES``.

    Raises:
        DeclarationError: there is none of that name, or an outbox has no statements for it.
    """

    def __init__(self, alias: str) -> None:
        if alias not in [*connections]:
            names = ", ".join(map(repr, connections))
            raise DeclarationError(
                f"DjangoOutbox({alias!r}) names no database: DATABASES has {names}."
            )
        self.alias = alias
        self.dialect = checked(connections[alias].vendor)

    @property
    def identity(self) -> Hashable:
        """The database: equal for the same one, however it is reached. In a test, that of tests."""
        return identity_of(connections[self.alias])

    def run(self, function: Callable[[Cursor], T]) -> T:
        connection = connections[self.alias]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        with _immediate(connection), transaction.atomic(self.alias):
            return function(DjangoCursor(connection))

    async def arun(self, function: Callable[[Cursor], T]) -> T:
        return await sync_to_async(self.run)(function)


class DjangoOutbox(Outbox):
    """An outbox in a database of the project: what ``atomic()`` commits holds the effects too.

    Add ``"airlock.integrations.django.outbox"`` to ``INSTALLED_APPS`` and migrate.

    Args:
        alias: of the database, in ``DATABASES``.
        queue: as for ``Outbox``.
        wire: as for ``Outbox``.
        standalone: as for ``Outbox``.
        on_duplicate: as for ``Outbox``.
        clock: as for ``Outbox``.

    Raises:
        DeclarationError: there is no such database, or another argument makes no sense.

    Example:
        >>> from airlock.integrations.django.outbox import DjangoOutbox  # doctest: +SKIP
        >>> outbox = DjangoOutbox("default")  # doctest: +SKIP
        >>> boundary = Boundary(
        ...     Effects(), dispatch=Route({SendEmail: outbox})
        ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        alias: str = DEFAULT_DB_ALIAS,
        *,
        queue: str = "default",
        wire: Wire | None = None,
        standalone: bool = False,
        on_duplicate: Literal["skip", "replace"] = "skip",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.alias = alias
        super().__init__(
            alias,
            queue=queue,
            wire=wire,
            standalone=standalone,
            on_duplicate=on_duplicate,
            clock=clock,
        )

    def _database(self, given: Any) -> Database:
        return DjangoDatabase(given)


def create_tables(connection: BaseDatabaseWrapper) -> None:
    """Make the tables of the outbox: for the migration."""
    schema.create(DjangoCursor(connection))


def drop_tables(connection: BaseDatabaseWrapper) -> None:
    """Drop the tables of the outbox, with all that is in them."""
    schema.drop(DjangoCursor(connection))
