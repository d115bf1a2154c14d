"""A tenant is a schema of PostgreSQL, and an attribute of the connection, as django-tenants has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

import airlock
from airlock import Boundary, Context, Hold, intent
from tests.integrations import services

SCHEMAS = ("airlock_acme", "airlock_umbrella")


@intent(kind="tests.schemas.order-placed")
class OrderPlaced:
    number: int


class Database:
    """A connection with a current schema."""

    def __init__(self, url: str) -> None:
        self.connection: Any = psycopg.connect(url, autocommit=True)
        self.schema = "public"

    @contextmanager
    def of(self, schema: str) -> Iterator[None]:
        before = self.schema
        self._switch(schema)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, schema: str) -> None:
        self.connection.execute(f'SET search_path TO "{schema}"')
        self.schema = schema

    def rows(self, schema: str) -> list[int]:
        found = self.connection.execute(f'SELECT number FROM "{schema}".orders ORDER BY number')
        return [number for (number,) in found]


class Tenant(Context):
    """The schema of a connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def capture(self) -> Mapping[str, str]:
        return {"schema": self._database.schema}

    def restore(self, headers: Mapping[str, str], /) -> Any:
        return self._database.of(headers["schema"])


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database(services.postgresql())
    for schema in SCHEMAS:
        made.connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        made.connection.execute(f'CREATE SCHEMA "{schema}"')
        made.connection.execute(f'CREATE TABLE "{schema}".orders (number int)')
    yield made
    for schema in SCHEMAS:
        made.connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
    made.connection.close()


@pytest.fixture
def boundary(database: Database) -> Boundary:
    def write(intent: OrderPlaced) -> None:
        database.connection.execute("INSERT INTO orders VALUES (%s)", (intent.number,))

    return Boundary({OrderPlaced: write}, context=[Tenant(database)])


def test_handlers_write_into_the_schema_of_the_emission(
    database: Database, boundary: Boundary
) -> None:
    with boundary.scope():
        for number in range(4):
            with database.of(SCHEMAS[number % 2]):
                airlock.emit(OrderPlaced(number))
    assert [database.rows(schema) for schema in SCHEMAS] == [[0, 2], [1, 3]]
    assert database.schema == "public"


def test_a_plan_is_applied_in_the_schemas_of_its_emissions(
    database: Database, boundary: Boundary
) -> None:
    with boundary.scope(policy=Hold()) as effects:
        for number in range(4):
            with database.of(SCHEMAS[number % 2]):
                effects.emit(OrderPlaced(number))
    boundary.apply(effects.plan())
    assert [database.rows(schema) for schema in SCHEMAS] == [[0, 2], [1, 3]]
