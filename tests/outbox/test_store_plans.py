"""Claims read the rows that they lease, however many others there are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine

from airlock.outbox import schema
from airlock.outbox.database import EngineDatabase, cursor_of
from airlock.outbox.statements import DIALECTS
from airlock.outbox.store import Store
from tests.outbox.databases import postgresql_schema

NAME = f"outbox_plans_{os.getpid()}"
CLAIM = {
    "queue": "default",
    "now": None,
    "token": "t",
    "worker": "w",
    "lease": 30_000_000,
    "kinds": None,
    "without": "shop.none",
    "limit": 100,
}
LOAD = """
    INSERT INTO airlock_outbox
      (intent_id, kind, version, envelope, queue, ordering_key, available_at, created_at)
    SELECT gen_random_uuid(), 'shop.note', 1, '{}', 'default',
      CASE WHEN n % 10 = 0 THEN CAST(n % 1000 AS text) END,
      CAST(extract(epoch FROM now()) * 1000000 AS bigint) + (:ahead) * CAST(1000000 AS bigint), 0
    FROM generate_series(1, :rows) AS n
"""

WITHOUT_IDS = "ALTER TABLE airlock_outbox DROP CONSTRAINT airlock_outbox_intent_id_key"
"""No claim reads that index, and filling it takes longest."""


@pytest.fixture(scope="module")
def full() -> Iterator[Engine]:
    """20,000 rows that are due, and 300,000 that are scheduled in the next days."""
    with postgresql_schema(NAME) as (engine, _):
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX airlock_outbox_due, airlock_outbox_order")
            connection.exec_driver_sql(WITHOUT_IDS)
            connection.execute(text(LOAD.replace(":ahead", "-n")), {"rows": 20_000})
            connection.execute(text(LOAD.replace(":ahead", "1000 + n")), {"rows": 300_000})
            schema.create(cursor_of(connection))
        yield engine


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def touched(engine: Engine, sql: str, parameters: dict[str, Any]) -> tuple[int, int, set[str]]:
    """Rows and pages that a statement touches, and how it scans; what it changes is rolled back."""
    with engine.connect() as connection:
        rows = cursor_of(connection).execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters
        )
    [[found]] = rows
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    every = list(nodes(plan))
    read = sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in every
        if "Scan" in node["Node Type"]
    )
    pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return int(read), pages, {node["Node Type"] for node in every}


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_claim_reads_the_rows_that_it_leases(full: Engine, analyzed: bool) -> None:
    """It reads few more than 100 rows, with and without statistics of the table."""
    if analyzed:
        with full.begin() as connection:
            connection.exec_driver_sql("ANALYZE airlock_outbox")
    rows, pages, scans = touched(full, DIALECTS["postgresql"].claim, CLAIM)
    assert rows < 1_000
    assert pages < 5_000
    assert "Index Scan" in scans


def test_a_claim_of_a_suspect_does_not_read_the_rows_that_are_due(full: Engine) -> None:
    rows, pages, _ = touched(full, DIALECTS["postgresql"].claim_suspect, {**CLAIM, "limit": 1})
    assert rows < 10
    assert pages < 100


def test_an_acknowledgement_reads_the_rows_that_it_deletes(full: Engine) -> None:
    with full.begin() as connection:
        picked = connection.exec_driver_sql("SELECT seq FROM airlock_outbox LIMIT 100").scalars()
        seqs = "\x1e".join(map(str, picked))
    parameters = {"seqs": seqs, "token": "t"}
    rows, pages, _ = touched(full, DIALECTS["postgresql"].acknowledge, parameters)
    assert rows < 500
    assert pages < 2_000


def test_a_large_table_is_reported_on(full: Engine) -> None:
    status = EngineDatabase(full).run(Store().status)
    assert (status.due, status.scheduled, status.leased) == (20_000, 300_000, 0)
