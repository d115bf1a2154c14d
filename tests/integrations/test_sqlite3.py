"""A release for sqlite3: the transaction decides, and savepoints in it do."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airlock import Boundary, FlushError, Scope, emit, intent
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    ReleaseError,
)
from airlock.integrations.sqlite3 import Connection, Cursor, connect, on_commit
from airlock.release import Fate
from airlock.testing import FakeHandler

MODES: dict[str, dict[str, Any]] = {
    "legacy": {},
    "legacy immediate": {"isolation_level": "IMMEDIATE"},
    "legacy exclusive": {"isolation_level": "EXCLUSIVE"},
    "explicit": {"isolation_level": None},
}
if sys.version_info >= (3, 12):
    MODES["autocommit"] = {"autocommit": True}
    MODES["no autocommit"] = {"autocommit": False}


@intent
class Marker:
    n: int


@intent
class Broken:
    n: int


class SurpriseError(Exception):
    """What goes wrong in a block."""


def fail(broken: Broken) -> None:
    raise SurpriseError(broken.n)


@attrs.define
class Shop:
    """A connection, and a boundary that notes what it delivers."""

    connection: Connection
    seen: list[int] = attrs.field(factory=list)

    @property
    def boundary(self) -> Boundary:
        return Boundary({Marker: lambda marker: self.seen.append(marker.n), Broken: fail})

    def scope(self, **options: Any) -> Scope:
        return self.boundary.scope(release=on_commit(self.connection), **options)

    def begin(self) -> None:
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN")

    def insert(self, n: int) -> None:
        self.connection.execute("INSERT INTO markers VALUES (?)", [n])

    @property
    def stored(self) -> list[int]:
        return [n for (n,) in self.connection.execute("SELECT n FROM markers ORDER BY n")]


def opened(database: object, **options: Any) -> Connection:
    connection = connect(database, **options)
    connection.execute("CREATE TABLE markers (n INTEGER PRIMARY KEY)")
    connection.commit()
    return connection


@pytest.fixture(params=[":memory:", "a file"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    database = tmp_path / "shop.db" if request.param == "a file" else request.param
    with contextlib.closing(opened(database, timeout=0)) as connection:
        yield Shop(connection)


@pytest.fixture(params=list(MODES))
def shop_of_any_mode(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with contextlib.closing(opened(":memory:", **MODES[request.param])) as connection:
        yield Shop(connection)


class TestTheTransactionDecides:
    def test_order_is_kept_across_transactions_and_nested_scopes(self, shop: Shop) -> None:
        """Delivery is in emission order, whatever was emitted where."""
        boundary = shop.boundary
        with boundary.scope(release=on_commit(shop.connection)) as effects:
            effects.emit(Marker(1))
            shop.insert(1)
            with boundary.scope() as inner:
                inner.emit(Marker(2))
                shop.connection.commit()
                shop.insert(2)
                inner.emit(Marker(3))
            effects.emit(Marker(4))
            shop.connection.execute("SAVEPOINT a")
            effects.emit(Marker(5))
            shop.connection.execute("RELEASE a")
            effects.emit(Marker(6))
            shop.connection.commit()
        assert shop.seen == [1, 2, 3, 4, 5, 6]


class TestSavepoints:
    @pytest.fixture
    def shop(self) -> Iterator[Shop]:
        with contextlib.closing(opened(":memory:", isolation_level=None)) as connection:
            yield Shop(connection)

    @staticmethod
    def told(shop: Shop, script: str) -> list[int]:
        """What is delivered by a block of statements and numbers to emit."""
        with shop.scope() as effects:
            for step in script.split(";"):
                if step.strip().isdigit():
                    effects.emit(Marker(int(step)))
                    shop.insert(int(step))
                else:
                    shop.connection.execute(step)
        return shop.seen

    @pytest.mark.parametrize(
        ("script", "delivered"),
        [
            ("BEGIN;1;SAVEPOINT a;2;RELEASE a;3;COMMIT", [1, 2, 3]),
            ("BEGIN;1;SAVEPOINT a;2;ROLLBACK TO a;3;COMMIT", [1, 3]),
            ("BEGIN;1;SAVEPOINT a;2;ROLLBACK TO a;3;ROLLBACK TO a;4;COMMIT", [1, 4]),
            ("BEGIN;SAVEPOINT a;1;SAVEPOINT b;2;ROLLBACK TO b;3;RELEASE a;4;COMMIT", [1, 3, 4]),
            ("BEGIN;SAVEPOINT a;1;SAVEPOINT b;2;RELEASE b;3;ROLLBACK TO a;4;COMMIT", [4]),
            ("BEGIN;SAVEPOINT a;1;SAVEPOINT b;2;ROLLBACK TO a;3;COMMIT", [3]),
            ("BEGIN;SAVEPOINT a;1;SAVEPOINT a;2;ROLLBACK TO a;3;RELEASE a;4;COMMIT", [1, 3, 4]),
            ("BEGIN;SAVEPOINT a;1;SAVEPOINT a;2;RELEASE a;ROLLBACK TO a;3;COMMIT", [3]),
            ("SAVEPOINT a;1;RELEASE a", [1]),
            ("SAVEPOINT a;1;ROLLBACK TO a;2;RELEASE a", [2]),
            ("SAVEPOINT a;1;SAVEPOINT b;2;ROLLBACK TO b;RELEASE b;3;RELEASE a", [1, 3]),
            ("SAVEPOINT a;1;COMMIT", [1]),
            ("SAVEPOINT a;1;ROLLBACK;BEGIN;2;COMMIT", [2]),
            ("BEGIN;SAVEPOINT a;1;RELEASE a;ROLLBACK;BEGIN;2;END", [2]),
        ],
    )
    def test_a_savepoint_decides_for_what_was_emitted_in_it(
        self, shop: Shop, script: str, delivered: list[int]
    ) -> None:
        """Released, it shares the fate of what is around it; rolled back, it is thrown away."""
        assert self.told(shop, script) == delivered == shop.stored

    @pytest.mark.parametrize(
        ("savepoint", "rollback"),
        [
            ("savepoint Reward", "rollback to REWARD"),
            ('SAVEPOINT "a b"', "ROLLBACK TO [A B]"),
            ('SAVEPOINT"say ""hi"""', "ROLLBACK TO SAVEPOINT 'say \"hi\"'"),
            ("SAVEPOINT`a``b`", "ROLLBACK TRANSACTION TO SAVEPOINT 'A`B'"),
            ("SAVEPOINT 'it''s'", 'ROLLBACK TRANSACTION now TO "it\'s"'),
            ("SAVEPOINT é€1$", "ROLLBACK TO é€1$"),
            ('SAVEPOINT ""', "ROLLBACK TO ''"),
            ("SAVEPOINT savepoint", "ROLLBACK TO SAVEPOINT savepoint"),
            ("-- a note\n SAVEPOINT/**/a", "/* a -- note */\nROLLBACK--\nTO/* ; */a -- done"),
            ("\ufeff\t; SAVEPOINT a", "/***/ -- BEGIN\n\r\fRollBack To a /* not closed"),
        ],
    )
    def test_statements_are_read_as_sqlite_reads_them(
        self, shop: Shop, savepoint: str, rollback: str
    ) -> None:
        """White space, comments, quotes and letter case are SQLite's."""
        with shop.scope() as effects:
            shop.connection.execute("BEGIN")
            shop.connection.execute("SAVEPOINT other")
            shop.connection.execute(savepoint)
            shop.insert(1)
            effects.emit(Marker(1))
            shop.connection.execute(rollback)
            shop.connection.execute("/* all of it */ COMMIT")
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1)]

    def test_letters_beyond_ascii_keep_their_case(self, shop: Shop) -> None:
        """Two savepoints for SQLite are two here."""
        assert self.told(shop, "SAVEPOINT é;1;SAVEPOINT É;2;ROLLBACK TO é;3;RELEASE é") == [3]

    def test_a_statement_that_fails_changes_nothing(self, shop: Shop) -> None:
        """A savepoint that does not exist, a second BEGIN."""
        with shop.scope() as effects:
            shop.connection.execute("BEGIN")
            effects.emit(Marker(1))
            for statement in ("ROLLBACK TO nowhere", "RELEASE nowhere", "BEGIN"):
                with pytest.raises(sqlite3.OperationalError):
                    shop.connection.execute(statement)
            with pytest.raises(sqlite3.ProgrammingError):
                shop.connection.execute("SAVEPOINT a", [1])
            shop.connection.execute("COMMIT")
        assert shop.seen == [1]

    def test_a_savepoint_opened_unseen_is_refused_loudly(self, shop: Shop) -> None:
        """What was emitted in it could not be told from what was emitted before."""
        shop.connection.execute("BEGIN")
        sqlite3.Cursor(shop.connection).execute("SAVEPOINT hidden")
        with pytest.raises(ReleaseError, match="'hidden' was opened unseen"):
            shop.connection.execute("ROLLBACK TO hidden")


class TestWhatEndsATransaction:
    def test_a_commit_that_is_busy_seals_nothing(self, tmp_path: Path) -> None:
        """The transaction is still open: it can be committed later, or rolled back."""
        path = tmp_path / "busy.db"
        with (
            contextlib.closing(opened(path, timeout=0)) as connection,
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader,
        ):
            shop = Shop(connection)
            reader.executescript("BEGIN; SELECT * FROM markers;")
            with shop.scope() as effects:
                shop.insert(1)
                effects.emit(Marker(1))
            for commit in (connection.commit, lambda: connection.execute("COMMIT")):
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    commit()
                assert connection.in_transaction
                assert shop.seen == []
            reader.execute("COMMIT")
            connection.commit()
            assert shop.seen == shop.stored == [1]

    @pytest.mark.parametrize("mode", list(MODES))
    def test_a_commit_that_breaks_a_deferred_key_seals_nothing(self, mode: str) -> None:
        """Rolled back after that, all is thrown away."""
        with contextlib.closing(opened(":memory:", isolation_level=None)) as connection:
            shop = Shop(connection)
            connection.executescript(
                "PRAGMA foreign_keys = ON;"
                "CREATE TABLE child (n REFERENCES markers DEFERRABLE INITIALLY DEFERRED);"
            )
            for name, value in MODES[mode].items():
                setattr(connection, name, value)
            with shop.scope() as effects:
                shop.begin()
                connection.execute("INSERT INTO child VALUES (1)")
                effects.emit(Marker(1))
                with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
                    connection.execute("COMMIT") if mode == "autocommit" else connection.commit()
                assert effects == [Marker(1)]
                connection.execute("ROLLBACK")
            assert shop.seen == []
            assert effects.report.discarded == [Marker(1)]

    def test_insert_or_rollback_rolls_back(self, shop: Shop) -> None:
        """A statement that fails may end the transaction by itself."""
        with shop.scope() as effects:
            shop.insert(1)
            effects.emit(Marker(1))
            with pytest.raises(sqlite3.IntegrityError):
                shop.connection.execute("INSERT OR ROLLBACK INTO markers VALUES (1)")
            assert not shop.connection.in_transaction
            shop.insert(2)
            effects.emit(Marker(2))
            shop.connection.commit()
        assert shop.seen == shop.stored == [2]

    def test_a_failed_insert_keeps_the_transaction(self, shop: Shop) -> None:
        """Only what ends the transaction counts."""
        with shop.scope() as effects:
            shop.insert(1)
            effects.emit(Marker(1))
            with pytest.raises(sqlite3.IntegrityError):
                shop.insert(1)
            shop.connection.commit()
        assert shop.seen == shop.stored == [1]

    def test_executemany_begins_and_rolls_back(self, shop: Shop) -> None:
        """It begins a transaction as execute does, and one of its rows may end it."""
        many = shop.connection.executemany
        with shop.scope() as effects:
            effects.emit(Marker(1))
            many("INSERT INTO markers VALUES (?)", [(1,), (2,)])
            shop.connection.commit()
            many("INSERT INTO markers VALUES (?)", [(3,)])
            effects.emit(Marker(3))
            with pytest.raises(sqlite3.IntegrityError):
                shop.connection.cursor().executemany(
                    "INSERT OR ROLLBACK INTO markers VALUES (?)", [(4,), (1,), (5,)]
                )
        assert shop.seen == [1]
        assert shop.stored == [1, 2]

    def test_executescript_commits_first_and_then_does_what_it_says(self, shop: Shop) -> None:
        """In the legacy mode sqlite3 commits before a script; the script has its own transactions."""
        with shop.scope() as effects:
            shop.insert(1)
            effects.emit(Marker(1))
            shop.connection.executescript(
                "INSERT INTO markers VALUES (2);"
                "CREATE TRIGGER t AFTER INSERT ON markers BEGIN SELECT 'a;'; SELECT 2; END;"
                "BEGIN; SAVEPOINT a; -- COMMIT;\nINSERT INTO markers VALUES (3);"
            )
            assert str(shop.connection.isolation_level) == ""
            effects.emit(Marker(3))
            shop.connection.execute("ROLLBACK TO a")
            shop.connection.commit()
        assert shop.seen == [1]
        assert shop.stored == [1, 2]

    def test_a_script_that_fails_did_what_comes_before(self, shop: Shop) -> None:
        """The transaction it leaves open is the one that goes on."""
        with shop.scope() as effects:
            with pytest.raises(sqlite3.OperationalError, match="nowhere"):
                shop.connection.executescript("BEGIN; SAVEPOINT a; SELECT * FROM nowhere; COMMIT;")
            assert shop.connection.in_transaction
            effects.emit(Marker(1))
            shop.connection.execute("ROLLBACK TO a")
            effects.emit(Marker(2))
            shop.connection.commit()
        assert shop.seen == [2]

    def test_a_script_without_transactions_runs_as_ever(self, shop: Shop) -> None:
        """It is given to sqlite3 whole."""
        cursor = shop.connection.executescript("INSERT INTO markers VALUES (1); SELECT 1; -- done")
        assert isinstance(cursor, Cursor)
        assert shop.stored == [1]
        with pytest.raises(sqlite3.OperationalError, match="syntax"):
            shop.connection.executescript("SELECT 1; NONSENSE; SELECT 2")

    def test_with_connection_commits_or_rolls_back(self, shop_of_any_mode: Shop) -> None:
        """As sqlite3 does it, which is not at all where autocommit is True."""
        shop = shop_of_any_mode
        with shop.scope() as effects:
            for n in (1, 2):
                with contextlib.suppress(SurpriseError), shop.connection:
                    shop.begin()
                    shop.insert(n)
                    effects.emit(Marker(n))
                    if n == 2:
                        raise SurpriseError
            if getattr(shop.connection, "autocommit", None) is True:
                assert shop.connection.in_transaction
                shop.connection.execute("ROLLBACK")
        assert shop.seen == shop.stored

    def test_with_connection_rolls_back_when_its_commit_fails(self) -> None:
        """sqlite3 does so, in order to give up its locks."""
        with contextlib.closing(opened(":memory:")) as connection:
            shop = Shop(connection)
            connection.executescript(
                "PRAGMA foreign_keys = ON;"
                "CREATE TABLE child (n REFERENCES markers DEFERRABLE INITIALLY DEFERRED);"
            )
            with shop.scope() as effects:
                effects.emit(Marker(1))
                with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), connection:
                    connection.execute("INSERT INTO child VALUES (1)")
            assert not connection.in_transaction
            assert effects.report.discarded == [Marker(1)]

    def test_closing_rolls_back(self, shop_of_any_mode: Shop) -> None:
        """A transaction that is open when its connection is closed is lost."""
        shop = shop_of_any_mode
        with shop.scope() as effects:
            shop.begin()
            shop.insert(1)
            effects.emit(Marker(1))
        shop.connection.close()
        assert shop.seen == []
        assert effects.report.discarded == [Marker(1)]

    @pytest.mark.parametrize("level", [None, "DEFERRED"])
    def test_setting_the_isolation_level_to_none_commits(
        self, shop: Shop, level: str | None
    ) -> None:
        """sqlite3 does that, silently."""
        with shop.scope() as effects:
            shop.insert(1)
            effects.emit(Marker(1))
            shop.connection.isolation_level = level  # type: ignore[assignment]
            with contextlib.suppress(sqlite3.OperationalError):
                shop.connection.execute("ROLLBACK")
        assert shop.seen == shop.stored == ([1] if level is None else [])

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="autocommit came with Python 3.12")
    @pytest.mark.parametrize("autocommit", [True, False])
    def test_changing_autocommit_commits_or_begins(self, autocommit: bool) -> None:
        """True commits what is open; False begins."""
        with contextlib.closing(opened(":memory:", isolation_level=None)) as connection:
            shop = Shop(connection)
            with shop.scope() as effects:
                if autocommit:
                    shop.begin()
                effects.emit(Marker(1))
                setattr(connection, "autocommit", autocommit)  # noqa: B010 - unknown to 3.11
                assert connection.in_transaction is not autocommit
                connection.rollback()
        assert shop.seen == ([1] if autocommit else [])

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="autocommit came with Python 3.12")
    def test_a_commit_that_begins_the_next_transaction_is_a_commit(self) -> None:
        """Where autocommit is False a transaction is always open."""
        with contextlib.closing(opened(":memory:", autocommit=False)) as connection:
            shop = Shop(connection)
            with shop.scope() as effects:
                for n in (1, 2, 3):
                    shop.insert(n)
                    effects.emit(Marker(n))
                    connection.rollback() if n == 2 else connection.commit()
                    assert connection.in_transaction
            assert shop.seen == [1, 3]
            with shop.scope() as effects:
                effects.emit(Marker(4))
            assert shop.seen == [1, 3]
            connection.isolation_level = None
            assert shop.seen == [1, 3, 4]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="autocommit came with Python 3.12")
    def test_a_transaction_that_is_open_from_the_start_is_seen(self) -> None:
        """Before any statement is executed."""
        with contextlib.closing(connect(":memory:", autocommit=False)) as connection:
            shop = Shop(connection)
            with shop.scope() as effects:
                effects.emit(Marker(1))
            connection.commit()
        assert shop.seen == [1]

    def test_a_transaction_lost_while_rows_were_fetched_was_rolled_back(self, shop: Shop) -> None:
        """What ends unseen is never taken for a commit."""
        with shop.scope() as effects:
            shop.insert(1)
            effects.emit(Marker(1))
            sqlite3.Cursor(shop.connection).execute("ROLLBACK")
            shop.insert(2)
            effects.emit(Marker(2))
            shop.connection.commit()
        assert shop.seen == shop.stored == [2]

    def test_ctrl_c_during_the_commit_does_not_unsay_it(self, shop: Shop) -> None:
        """Python raises it when the commit is over."""

        def commit() -> None:
            sqlite3.Connection.commit(shop.connection)
            raise KeyboardInterrupt

        shop.insert(1)
        with shop.scope() as effects:
            effects.emit(Marker(1))
        with pytest.raises(KeyboardInterrupt):
            shop.connection.transactions.run(shop.connection, "COMMIT", commit)
        assert shop.seen == [1]


class TestFlushesAfterACommit:
    def test_an_error_is_raised_from_the_commit_on_request(self, shop: Shop) -> None:
        """After everything was attempted; the connection goes on."""
        release = on_commit(shop.connection, on_flush_error="raise")
        with shop.boundary.scope(release=release) as effects:
            shop.insert(1)
            effects.emit_all([Broken(1), Marker(1)])
        with pytest.raises(FlushError) as caught:
            shop.connection.commit()
        assert caught.value.report is effects.report
        assert shop.seen == shop.stored == [1]
        with shop.scope() as effects:
            shop.insert(2)
            effects.emit(Marker(2))
            shop.connection.commit()
        assert shop.seen == [1, 2]

    def test_an_error_in_the_block_is_raised_by_the_block(self, shop: Shop) -> None:
        """A flush at the end of a block raises as any other, whatever the release."""
        effects = shop.scope().enter()
        shop.insert(1)
        effects.emit(Broken(1))
        shop.connection.commit()
        effects.exit()
        with pytest.raises(FlushError):
            effects.settle()

    def test_with_connection_does_not_roll_back_for_a_flush_that_failed(self, shop: Shop) -> None:
        """The commit stands."""
        release = on_commit(shop.connection, on_flush_error="raise")
        shop.insert(1)
        with shop.boundary.scope(release=release) as effects:
            effects.emit(Broken(1))
        with pytest.raises(FlushError), shop.connection:
            shop.insert(2)
        assert shop.stored == [1, 2]

    def test_errors_of_several_commits_of_a_script_are_raised_together(self, shop: Shop) -> None:
        """The flushes come when the script is over."""
        release = on_commit(shop.connection, on_flush_error="raise")
        shop.connection.create_function("scope", 1, self.scope_of(shop, release))
        with pytest.raises(ExceptionGroup, match="several commits") as caught:
            shop.connection.executescript(
                "BEGIN; SELECT scope(1); COMMIT; BEGIN; SELECT scope(2); COMMIT; SELECT 1;"
            )
        assert len(caught.value.exceptions) == 2

    def test_an_error_of_the_script_comes_first(self, shop: Shop) -> None:
        """The errors of flushes are notes on it."""
        release = on_commit(shop.connection, on_flush_error="raise")
        shop.connection.create_function("scope", 1, self.scope_of(shop, release))
        with pytest.raises(sqlite3.OperationalError, match="nowhere") as caught:
            shop.connection.executescript("BEGIN; SELECT scope(1); COMMIT; SELECT * FROM nowhere;")
        assert "FlushError" in caught.value.__notes__[0]

    @staticmethod
    def scope_of(shop: Shop, release: Any) -> Callable[[int], int]:
        def scope(n: int) -> int:
            with shop.boundary.scope(release=release) as effects:
                effects.emit(Broken(n))
            return n

        return scope

    def test_an_interrupted_flush_leaves_the_others_to_the_next_statement(self, shop: Shop) -> None:
        """Ctrl-C in a handler is raised at once; no scope waits for ever."""
        boundary = Boundary({Broken: FakeHandler(KeyboardInterrupt)})
        release = on_commit(shop.connection)

        def scope(n: int) -> int:
            with (boundary if n == 1 else shop.boundary).scope(release=release) as effects:
                effects.emit(Broken(n) if n == 1 else Marker(n))
            return n

        shop.connection.create_function("scope", 1, scope)
        with pytest.raises(KeyboardInterrupt):
            shop.connection.executescript(
                "BEGIN; SELECT scope(1); COMMIT; BEGIN; SELECT scope(2); COMMIT;"
            )
        assert shop.seen == []
        shop.connection.execute("SELECT 1")
        assert shop.seen == [2]

    def test_a_handler_may_use_the_connection(self, shop: Shop) -> None:
        """It runs after the commit, in transactions of its own, which release too."""

        def write(marker: Marker) -> None:
            with shop.connection, inner.scope(release=on_commit(shop.connection)):
                shop.insert(marker.n + 10)
                emit(Marker(marker.n + 10))

        inner = shop.boundary
        with Boundary({Marker: write}).scope(release=on_commit(shop.connection)) as effects:
            shop.insert(1)
            effects.emit_all([Marker(1), Marker(2)])
        shop.connection.commit()
        assert effects.report.ok
        assert shop.stored == [1, 11, 12]
        assert shop.seen == [11, 12]

    def test_an_async_handler_is_refused_when_its_block_ends_inside_the_transaction(
        self, shop: Shop
    ) -> None:
        """The commit could not await it."""

        async def handler(marker: Marker) -> None:
            shop.seen.append(marker.n)

        async def main(*, commits: bool) -> None:
            async with Boundary({Marker: handler}).scope(release=release) as effects:
                shop.insert(1)
                effects.emit(Marker(1))
                if commits:
                    shop.connection.commit()

        release = on_commit(shop.connection)
        with pytest.raises(AsyncHandlerError):
            asyncio.run(main(commits=False))
        shop.connection.rollback()
        assert shop.seen == []
        asyncio.run(main(commits=True))
        assert shop.seen == [1]


class TestWhereAReleaseIsTaken:
    def test_a_plain_connection_is_refused_with_the_way_to_open_one(self) -> None:
        """Nobody would ever hear of its commits."""
        plain: Any = sqlite3.connect(":memory:")
        with contextlib.closing(plain), pytest.raises(ReleaseError) as caught:
            on_commit(plain)
        assert "given a plain sqlite3.Connection" in str(caught.value)
        assert "factory=airlock.integrations.sqlite3.Connection" in str(caught.value)

    def test_an_unknown_way_with_errors_is_refused(self, shop: Shop) -> None:
        """It is a word, and one of two."""
        unknown: Any = "ignore"
        with pytest.raises(DeclarationError, match="'report' or 'raise'"):
            on_commit(shop.connection, on_flush_error=unknown)

    def test_a_nested_scope_has_no_release(self, shop: Shop) -> None:
        """Its outermost scope has one."""
        boundary = shop.boundary
        with boundary.scope(), pytest.raises(ReleaseError):
            boundary.scope(release=on_commit(shop.connection)).enter()

    def test_an_independent_scope_has_its_own(self, shop: Shop) -> None:
        """It waits for its transaction, the scope around it for its own end."""
        boundary = shop.boundary
        with boundary.scope() as outer:
            outer.emit(Marker(1))
            release = on_commit(shop.connection)
            with boundary.scope(release=release, independent=True) as inner:
                shop.insert(2)
                inner.emit(Marker(2))
            assert shop.seen == []
            shop.connection.commit()
            assert shop.seen == [2]
        assert shop.seen == [2, 1]

    def test_a_cursor_that_tells_nothing_is_refused(self, shop: Shop) -> None:
        """A cursor class of one's own derives from the integration's."""

        class Own(Cursor):
            pass

        assert isinstance(shop.connection.cursor(), Cursor)
        assert isinstance(shop.connection.cursor(Own), Own)
        with pytest.raises(ReleaseError, match=r"Derive it from .*\.Cursor"):
            shop.connection.cursor(sqlite3.Cursor)

    def test_a_cursor_of_a_plain_connection_is_refused(self) -> None:
        """It has nobody to tell."""
        plain = sqlite3.connect(":memory:")
        with contextlib.closing(plain), pytest.raises(ReleaseError, match="plain"):
            plain.cursor(Cursor)

    def test_cursors_tell_as_connections_do(self, shop: Shop) -> None:
        """Whatever executes, the transaction is one."""
        cursor = shop.connection.cursor()
        with shop.scope() as effects:
            effects.emit(Marker(1))
            cursor.execute("INSERT INTO markers VALUES (?)", [1])
            assert cursor.rowcount == 1
            cursor.executescript("SAVEPOINT a; ROLLBACK TO a; SELECT 1 UNION SELECT 2;")
            effects.emit(Marker(2))
            assert cursor.execute("ROLLBACK TO a") is cursor
            shop.connection.cursor().execute("COMMIT")
        assert shop.seen == [1]

    def test_a_connection_works_as_any_other(self, shop: Shop) -> None:
        """Row factories, named parameters, iteration."""
        shop.connection.row_factory = sqlite3.Row
        shop.connection.execute("INSERT INTO markers VALUES (:n)", {"n": 3})
        assert [row["n"] for row in shop.connection.execute("SELECT n FROM markers")] == [3]
        with shop.connection as entered:
            assert entered is shop.connection
        shop.connection.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            shop.connection.execute("SELECT 1")


class TestThreads:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Shop]:
        path = tmp_path / "threads.db"
        with contextlib.closing(opened(path, check_same_thread=False)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            yield Shop(connection)

    def test_another_thread_may_commit(self, shop: Shop) -> None:
        """The transaction is the connection's; the handlers run where it was committed."""
        with shop.scope() as effects:
            shop.insert(1)
            effects.emit(Marker(1))
        thread = threading.Thread(target=shop.connection.commit)
        thread.start()
        thread.join()
        assert shop.seen == [1]
        assert effects.report.ok

    def test_statements_of_many_threads_are_told_apart(self, shop: Shop) -> None:
        """Nothing is delivered that was not committed, nor lost that was."""
        numbers = count()
        together = threading.Lock()

        def work(thread: int) -> None:
            for turn in range(50):
                with together:
                    with shop.scope() as effects:
                        n = next(numbers)
                        effects.emit(Marker(n))
                        shop.insert(n)
                    if turn % 3 == thread % 3:
                        shop.connection.commit()
                    elif turn % 7 == thread:
                        shop.connection.rollback()
                shop.connection.execute("SELECT count(*) FROM markers").fetchone()

        threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (shop.connection.transactions.innermost.fate is Fate.OPEN) is (
            shop.connection.in_transaction
        )
        shop.connection.commit()
        assert sorted(shop.seen) == shop.stored


# -- the heart: SQLite itself is the reference ----------------------------------------------------

names = st.sampled_from(["a", "A", '"a"', "b", "[a b]", "'A B'"])
controls = st.one_of(
    st.sampled_from(["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK"]),
    st.builds("SAVEPOINT {}".format, names),
    st.builds("RELEASE {}".format, names),
    st.builds("ROLLBACK TO {}".format, names),
)
simple_steps = st.one_of(
    st.sampled_from(["emit, insert", "insert, emit", "commit()", "rollback()"]),
    st.sampled_from(["emit, insert", "insert, emit", "insert or rollback", "isolation level"]),
    controls,
    controls,
    st.lists(st.one_of(controls, st.just("NONSENSE")), max_size=4).map(tuple),
)
steps = st.recursive(
    simple_steps,
    lambda inner: st.tuples(
        st.sampled_from(["scope", "connection"]), st.booleans(), st.lists(inner, max_size=5)
    ),
    max_leaves=8,
)
fresh = count()


@attrs.define
class Play:
    """Does the same to a table and to a scope."""

    shop: Shop
    mode: str
    boundary: Boundary
    emitted: list[int] = attrs.field(factory=list)

    def play(self, script: list[Any]) -> None:
        for step in script:
            with contextlib.suppress(sqlite3.Error, SurpriseError):
                self.step(step)

    def step(self, step: Any) -> None:
        connection = self.shop.connection
        match step:
            case "emit, insert" | "insert, emit":
                self.mark(emit_first=step.startswith("emit"))
            case "commit()":
                connection.commit()
            case "rollback()":
                connection.rollback()
            case "insert or rollback":
                connection.execute("INSERT OR ROLLBACK INTO markers VALUES (-1)")
            case "isolation level":
                level, connection.isolation_level = connection.isolation_level, None
                connection.isolation_level = level
            case str():
                connection.execute(step)
            case [("scope" | "connection") as kind, bool() as fails, list() as inner]:
                with self.boundary.scope() if kind == "scope" else connection:
                    self.play(inner)
                    if fails:
                        raise SurpriseError
            case _:
                connection.executescript("; ".join(step))

    def mark(self, *, emit_first: bool) -> None:
        n = len(self.emitted)
        self.emitted.append(n)
        if not self.mode.startswith("legacy"):
            self.shop.begin()
        if emit_first:
            emit(Marker(n))
        self.shop.insert(n)
        if not emit_first:
            emit(Marker(n))


@pytest.mark.parametrize("mode", list(MODES))
@given(
    inside=st.lists(steps, max_size=12),
    outside=st.lists(st.one_of(controls, st.just("commit()")), max_size=3),
    last=st.sampled_from(["COMMIT", "ROLLBACK", "close()"]),
    fails=st.booleans(),
)
@settings(deadline=None)
@example(["SAVEPOINT a", "emit, insert", "ROLLBACK TO a", "emit, insert"], [], "COMMIT", True)
def test_what_is_delivered_is_what_is_stored(
    mode: str, inside: list[Any], outside: list[Any], last: str, fails: bool
) -> None:
    """Markers are emitted and inserted side by side: SQLite's table is the reference."""
    database = f"file:markers-{next(fresh)}?mode=memory&cache=shared"
    with (
        contextlib.closing(sqlite3.connect(database, uri=True)) as reference,
        contextlib.closing(opened(database, uri=True, **MODES[mode])) as connection,
    ):
        connection.execute("INSERT INTO markers VALUES (-1)")
        if connection.in_transaction:
            connection.execute("COMMIT")
        shop = Shop(connection)
        play = Play(shop, mode, shop.boundary)
        with (
            contextlib.suppress(SurpriseError),
            play.boundary.scope(release=on_commit(connection)) as effects,
        ):
            play.play(inside)
            if fails:
                raise SurpriseError
        play.play(outside)
        if last == "close()":
            connection.close()
        elif connection.in_transaction:
            connection.execute(last)
        stored = [n for (n,) in reference.execute("SELECT n FROM markers WHERE n >= 0 ORDER BY n")]
        assert shop.seen == stored
        assert effects.report.delivered == [Marker(n) for n in stored]
        assert sorted(marker.n for marker in effects.report.discarded) == sorted(
            set(play.emitted) - set(stored)
        )
        assert len(effects.report) == len(play.emitted)
