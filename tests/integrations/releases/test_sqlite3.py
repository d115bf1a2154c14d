"""The contract of releases, over sqlite3 in its isolation modes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.integrations.sqlite3 import connect, on_commit
from airlock.release import OnFlushError, Release
from airlock.testing import ReleaseContract, ReleaseHarness


class Harness(ReleaseHarness):
    """A connection to a file; transactions are begun and ended by statements."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.connection = connect(path, **options)
        self.connection.execute("CREATE TABLE rows (n INTEGER)")
        self.connection.commit()

    def release(self, on_flush_error: OnFlushError) -> Release:
        return on_commit(self.connection, on_flush_error=on_flush_error)

    def begin(self) -> None:
        self.connection.execute("BEGIN")

    def write(self, n: int) -> None:
        self.connection.execute("INSERT INTO rows VALUES (?)", [n])

    def read(self) -> None:
        self.connection.execute("SELECT * FROM rows").fetchall()

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        self.connection.execute("ROLLBACK")

    def close(self) -> None:
        self.connection.close()

    def savepoint(self) -> None:
        self.connection.execute("SAVEPOINT same_name")

    def release_savepoint(self) -> None:
        self.connection.execute("RELEASE same_name")

    def roll_back_savepoint(self) -> None:
        self.connection.execute("ROLLBACK TO same_name")
        self.connection.execute("RELEASE same_name")

    def stored(self) -> list[int]:
        with contextlib.closing(sqlite3.connect(self.path)) as other:
            return [n for (n,) in other.execute("SELECT n FROM rows ORDER BY n")]

    def finish(self) -> None:
        self.connection.close()


class Methods(Harness):
    """Transactions are ended by the methods of the connection."""

    def commit(self) -> None:
        self.connection.commit()

    def roll_back(self) -> None:
        self.connection.rollback()


class TestStatements(ReleaseContract):
    @pytest.fixture(params=[None, "", "IMMEDIATE"])
    def harness(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
        harness = Harness(tmp_path / "rows.db", isolation_level=request.param)
        yield harness
        harness.connection.close()


class TestMethods(ReleaseContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        harness = Methods(tmp_path / "rows.db")
        yield harness
        harness.connection.close()
