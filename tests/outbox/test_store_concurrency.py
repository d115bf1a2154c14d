"""Stores that work at the same time, on real connections."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection, Engine

from airlock.outbox import schema
from airlock.outbox.database import Cursor, EngineDatabase, cursor_of
from airlock.outbox.entry import Entry, Selection
from airlock.outbox.store import Store
from airlock.testing.stores import new
from tests.outbox.databases import postgresql_schema, sqlite_engine

LEASE = timedelta(minutes=10)
NAME = f"outbox_concurrency_{os.getpid()}"


@pytest.fixture
def engine() -> Iterator[Engine]:
    with postgresql_schema(NAME) as (found, _):
        yield found


def acknowledge(database: EngineDatabase, store: Store, claimed: list[Entry]) -> None:
    """Acknowledge a claim, of which all rows are still held."""
    seqs = {entry.seq for entry in claimed}
    token = next((entry.token for entry in claimed), None) or ""
    assert database.run(lambda c: store.acknowledge(c, token, seqs)) == seqs


def drain(database: EngineDatabase, store: Store, worker: str, limit: int) -> list[Entry]:
    """Claim and acknowledge until nothing is left, and return what was claimed."""
    found = list[Entry]()
    deadline = time.monotonic() + 60
    while database.run(store.count):
        assert time.monotonic() < deadline, "rows are left that nobody acknowledges"
        claimed = database.run(lambda c: store.claim(c, limit=limit, lease=LEASE, worker=worker))
        acknowledge(database, store, claimed)
        found += claimed
    return found


def drained_by_four(database: EngineDatabase, store: Store) -> list[Entry]:
    with ThreadPoolExecutor(4) as threads:
        works = [threads.submit(drain, database, store, f"w{n}", 3 + n) for n in range(4)]
        return [entry for work in works for entry in work.result()]


def test_claims_that_overlap_share_the_rows(engine: Engine) -> None:
    """Four claimers get every row once, and wait for nobody."""
    database, store = EngineDatabase(engine), Store()
    database.run(lambda c: store.insert(c, [new() for _ in range(400)]))
    found = drained_by_four(database, store)
    assert sorted(entry.seq for entry in found) == list(range(1, 401))


def test_the_rows_of_a_key_are_delivered_one_after_the_other(engine: Engine) -> None:
    """Four claimers: a row of a key is claimed once the one before it was acknowledged."""
    database, store = EngineDatabase(engine), Store()
    entries = [new(ordering_key=str(n % 5)) for n in range(100)]
    database.run(lambda c: store.insert(c, entries))
    order = list[tuple[str, int]]()
    lock = threading.Lock()

    deadline = time.monotonic() + 60

    def work(worker: str) -> None:
        while database.run(store.count):
            assert time.monotonic() < deadline, "rows are left that nobody acknowledges"
            claimed = database.run(lambda c: store.claim(c, limit=3, lease=LEASE, worker=worker))
            with lock:
                order.extend((entry.ordering_key or "", entry.seq) for entry in claimed)
            acknowledge(database, store, claimed)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, f"w{n}") for n in range(4)]:
            done.result()
    assert len(order) == 100
    for key in "01234":
        of_key = [seq for found, seq in order if found == key]
        assert of_key == sorted(of_key)


def test_a_claim_skips_what_another_has_not_committed_yet(engine: Engine) -> None:
    database, store = EngineDatabase(engine), Store()
    database.run(lambda c: store.insert(c, [new(), new()]))
    with engine.begin() as connection:
        [first] = store.claim(cursor_of(connection), limit=1, lease=LEASE, worker="a")
        [second] = database.run(lambda c: store.claim(c, limit=9, lease=LEASE, worker="b"))
    assert first.seq != second.seq


def test_claims_of_a_serializable_engine_do_not_fail(engine: Engine) -> None:
    """The database begins transactions at READ COMMITTED, whatever the engine is set to."""
    database = EngineDatabase(engine.execution_options(isolation_level="SERIALIZABLE"))
    store = Store()
    database.run(lambda c: store.insert(c, [new() for _ in range(100)]))
    assert len(drained_by_four(database, store)) == 100


def waits(blocker: Connection, work: Callable[[], Any]) -> tuple[ThreadPoolExecutor, Future[Any]]:
    """Start something in a thread, and return once it waits for the transaction of a connection."""
    pid = blocker.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE {pid} = ANY(pg_blocking_pids(pid))"
    thread = ThreadPoolExecutor(1)
    future = thread.submit(work)
    deadline = time.monotonic() + 60
    with blocker.engine.connect() as connection:
        while not connection.exec_driver_sql(waiting).scalar():
            connection.rollback()
            assert not future.done(), f"it did not wait: {future.result()}"
            assert time.monotonic() < deadline, "nothing waits"
            time.sleep(0.01)
    return thread, future


@pytest.mark.parametrize("committed", [True, False])
def test_a_duplicate_waits_for_the_one_before_it(engine: Engine, committed: bool) -> None:
    """It is skipped if that is committed, and recorded if it is rolled back."""
    database, store = EngineDatabase(engine), Store()
    winner, loser = new(dedupe_key="d"), new(dedupe_key="d")
    with engine.connect() as connection:
        store.insert(cursor_of(connection), [winner])
        thread, done = waits(
            connection, lambda: database.run(lambda c: store.insert(c, [loser, new()]))
        )
        with thread:
            connection.commit() if committed else connection.rollback()
            done.result()
    ids = {entry.id for entry in database.run(store.select) if entry.dedupe_key}
    assert ids == {(winner if committed else loser).id}
    assert database.run(store.count) == 2


def test_a_replacement_waits_for_the_acknowledgement_and_is_recorded(engine: Engine) -> None:
    database, store = EngineDatabase(engine), Store(on_duplicate="replace")
    database.run(lambda c: store.insert(c, [new(dedupe_key="d")]))
    [held] = database.run(lambda c: store.claim(c, limit=1, lease=LEASE, worker="w"))
    later = new(dedupe_key="d")
    with engine.connect() as connection:
        store.acknowledge(cursor_of(connection), held.token or "", [held.seq])
        thread, done = waits(connection, lambda: database.run(lambda c: store.insert(c, [later])))
        with thread:
            connection.commit()
            done.result()
    assert [entry.id for entry in database.run(store.select)] == [later.id]


def test_an_acknowledgement_waits_for_the_replacement_and_changes_nothing(engine: Engine) -> None:
    database, store = EngineDatabase(engine), Store(on_duplicate="replace")
    database.run(lambda c: store.insert(c, [new(dedupe_key="d")]))
    [held] = database.run(lambda c: store.claim(c, limit=1, lease=LEASE, worker="w"))
    later = new(dedupe_key="d")
    with engine.connect() as connection:
        store.insert(cursor_of(connection), [later])
        thread, done = waits(
            connection,
            lambda: database.run(lambda c: store.acknowledge(c, held.token or "", [held.seq])),
        )
        with thread:
            connection.commit()
            assert done.result() == set()
    assert [entry.id for entry in database.run(store.select)] == [later.id]


def test_transactions_that_record_the_same_keys_in_opposite_orders_both_commit(
    engine: Engine,
) -> None:
    """Rows are recorded in the order of their keys, so that no two wait for each other."""
    database, store = EngineDatabase(engine), Store()
    keys = [f"{n:04}" for n in range(2_000)]

    def work(order: list[str]) -> None:
        for _ in range(5):
            database.run(lambda c: store.insert(c, [new(dedupe_key=key) for key in order]))
            database.run(lambda c: store.discard(c, Selection()))

    with ThreadPoolExecutor(4) as threads:
        orders = [keys, keys[::-1], keys[1_000:] + keys[:1_000], keys[::-2] + keys[::2]]
        for done in [threads.submit(work, order) for order in orders]:
            done.result()


def test_reports_about_the_same_rows_in_opposite_orders_both_commit(engine: Engine) -> None:
    """Rows are locked in the order of their numbers, so that no two wait for each other."""
    database, store = EngineDatabase(engine), Store()
    database.run(lambda c: store.insert(c, [new() for _ in range(200)]))
    claimed = database.run(lambda c: store.claim(c, limit=200, lease=LEASE, worker="w"))
    token, seqs = claimed[0].token or "", [entry.seq for entry in claimed]

    def renew(order: list[int]) -> set[int]:
        return set.union(
            *(database.run(lambda c: store.renew(c, token, order, LEASE)) for _ in range(5))
        )

    with ThreadPoolExecutor(4) as threads:
        works = [threads.submit(renew, order) for order in (seqs, seqs[::-1], seqs, seqs[::-1])]
        assert all(work.result() == set(seqs) for work in works)


def test_a_transaction_on_sqlite_takes_the_write_lock_when_it_begins(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "outbox.db")
    other = sqlite3.connect(tmp_path / "outbox.db", timeout=0, isolation_level=None)

    def try_to_write(_: Cursor) -> None:
        other.execute("BEGIN IMMEDIATE")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        EngineDatabase(engine).run(try_to_write)
    other.close()
    engine.dispose()


def test_four_writers_of_one_file_lose_nothing(tmp_path: Path) -> None:
    """Each transaction reads before it writes, and the write lock is taken when it begins."""
    engine = sqlite_engine(tmp_path / "outbox.db")
    database, store = EngineDatabase(engine), Store()
    database.run(schema.create)

    def read_and_write(c: Cursor, kind: str) -> None:
        store.count(c)
        store.insert(c, [new(kind)])

    def write(n: int) -> None:
        for i in range(25):
            database.run(partial(read_and_write, kind=f"{n}.{i}"))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(write, n) for n in range(4)]:
            done.result()
    found = drained_by_four(database, store)
    assert Counter(entry.kind for entry in found) == Counter(
        f"{n}.{i}" for n in range(4) for i in range(25)
    )
    engine.dispose()
