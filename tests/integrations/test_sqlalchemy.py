"""A release for SQLAlchemy sessions: the transaction decides, and savepoints in it do."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from uuid import uuid4
from weakref import ref

import attrs
import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    union,
    update,
)
from sqlalchemy.event import registry as listeners
from sqlalchemy.exc import IntegrityError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.orm import Session, registry, scoped_session, sessionmaker

import airlock
from airlock import Boundary, FlushError, Scope, emit, intent
from airlock.errors import DeclarationError, ReleaseError
from airlock.integrations.sqlalchemy import on_commit
from airlock.integrations.sqlalchemy.statements import text_reads
from tests.integrations.services import postgresql


@intent(kind="sqlalchemy.marker")
class Marker:
    n: int


@intent(kind="sqlalchemy.broken")
class Broken:
    n: int


class SurpriseError(Exception):
    """What goes wrong in a block."""


def fail(broken: Broken) -> None:
    raise SurpriseError(broken.n)


tables = registry(metadata=MetaData())
suffix = uuid4().hex[:12]
markers = Table(f"markers_{suffix}", tables.metadata, Column("n", Integer, primary_key=True))
children = Table(
    f"children_{suffix}",
    tables.metadata,
    Column(
        "n",
        ForeignKey(markers.c.n, deferrable=True, initially="DEFERRED"),
        primary_key=True,
        autoincrement=False,
    ),
)


class MarkerRow:
    def __init__(self, n: int) -> None:
        self.n = n


class ChildRow(MarkerRow):
    pass


tables.map_imperatively(MarkerRow, markers)
tables.map_imperatively(ChildRow, children, concrete=True)


def sqlite(url: str) -> Engine:
    """As SQLAlchemy's documentation has it, so that savepoints work: BEGIN is SQLAlchemy's."""
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = OFF")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = sqlite(f"sqlite:///{tmp_path_factory.mktemp('sqlalchemy') / 'shop.db'}")
    else:
        url = postgresql().replace("postgresql:", "postgresql+psycopg:", 1)
        engine = create_engine(url, connect_args={"options": "-c synchronous_commit=off"})
    tables.metadata.create_all(engine)
    yield engine
    tables.metadata.drop_all(engine)
    engine.dispose()


@attrs.define
class Shop:
    """A session, and a boundary that notes what it delivers."""

    engine: Engine
    session: Session
    seen: list[int] = attrs.field(factory=list)

    @property
    def boundary(self) -> Boundary:
        return Boundary({Marker: lambda marker: self.seen.append(marker.n), Broken: fail})

    def scope(self, **options: Any) -> Scope:
        return self.boundary.scope(release=on_commit(self.session), **options)

    def add(self, n: int) -> None:
        self.session.add(MarkerRow(n))

    @property
    def stored(self) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(markers.c.n).order_by(markers.c.n)))


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    with engine.begin() as connection:
        connection.execute(children.delete())
        connection.execute(markers.delete())
    with Session(engine) as session:
        yield Shop(engine, session)


class TestTheTransactionDecides:
    def test_a_release_may_be_made_anywhere_in_a_transaction(self, shop: Shop) -> None:
        """In a savepoint too, whose rollback then counts."""
        with shop.session.begin():
            shop.add(1)
            outer = shop.session.begin_nested()
            inner = shop.session.begin_nested()
            with shop.scope() as effects:
                effects.emit(Marker(1))
                inner.rollback()
                effects.emit(Marker(2))
                outer.commit()
                effects.emit(Marker(3))
        assert shop.seen == [2, 3]

    def test_several_databases_decide_each_for_its_own_scope(self, shop: Shop) -> None:
        """Two sessions are two transactions."""
        other = Boundary({Marker: lambda marker: shop.seen.append(-marker.n)})
        session = Session(sqlite("sqlite://"))
        release = on_commit(session)
        with shop.scope() as effects, other.scope(release=release) as others, session:
            shop.add(1)
            effects.emit(Marker(1))
            others.emit(Marker(2))
            session.commit()
            shop.session.rollback()
        assert shop.seen == [-2]


class TestSavepoints:
    def test_an_outer_savepoint_that_is_closed_takes_the_inner_ones_along(self, shop: Shop) -> None:
        """SQLAlchemy does not tell of the end of those."""
        with shop.scope() as effects:
            outer = shop.session.begin_nested()
            shop.session.execute(insert(markers).values(n=1))
            shop.session.begin_nested()
            effects.emit(Marker(1))
            outer.close()
            shop.session.begin_nested()
            effects.emit(Marker(2))
            shop.session.commit()
        assert shop.seen == [2]

    def test_a_commit_releases_open_savepoints(self, shop: Shop) -> None:
        """It commits all there is."""
        with shop.scope() as effects:
            shop.session.begin_nested()
            shop.add(1)
            effects.emit(Marker(1))
            shop.session.begin_nested()
            effects.emit(Marker(2))
            shop.session.commit()
        assert shop.seen == [1, 2]

    def test_a_rollback_ends_open_savepoints(self, shop: Shop) -> None:
        """It rolls back all there is."""
        with shop.scope() as effects:
            effects.emit(Marker(1))
            with contextlib.suppress(InvalidRequestError), shop.session.begin_nested():
                effects.emit(Marker(2))
                shop.session.rollback()
        assert shop.seen == []
        assert effects.report.discarded == [Marker(1), Marker(2)]


class TestErrorsOfTheDatabase:
    def test_a_flush_that_fails_rolls_back(self, shop: Shop) -> None:
        """What is emitted before the session is rolled back is lost with it."""
        with shop.scope() as effects:
            shop.add(1)
            shop.session.commit()
            effects.emit(Marker(1))
            shop.add(1)
            with pytest.raises(IntegrityError):
                shop.session.flush()
            effects.emit(Marker(2))
            shop.session.rollback()
            shop.add(3)
            effects.emit(Marker(3))
            shop.session.commit()
        assert shop.seen == [3]
        assert effects.report.discarded == [Marker(1), Marker(2)]

    def test_a_flush_that_fails_in_a_savepoint_rolls_back_no_more_than_that(
        self, shop: Shop
    ) -> None:
        """The usual way to insert what may be there."""
        with shop.scope(), shop.session.begin():
            for n in (1, 2, 1, 3):
                with contextlib.suppress(IntegrityError), shop.session.begin_nested():
                    emit(Marker(n))
                    shop.session.execute(insert(markers).values(n=n))
        assert shop.seen == shop.stored == [1, 2, 3]

    @pytest.mark.parametrize("ending", ["rollback", "close"])
    def test_a_commit_that_fails_discards(self, shop: Shop, ending: str) -> None:
        """A deferred constraint speaks at COMMIT only."""
        with shop.scope() as effects:
            shop.session.add(ChildRow(1))
            effects.emit(Marker(1))
        with pytest.raises(IntegrityError):
            shop.session.commit()
        assert shop.seen == []
        getattr(shop.session, ending)()
        assert effects.report.discarded == [Marker(1)]
        # Closed, SQLAlchemy leaves the transaction of a pooled SQLite connection open.
        shop.engine.dispose()

    def test_a_commit_that_fails_in_a_begin_block_discards(self, shop: Shop) -> None:
        """The block rolls back by itself."""

        def block() -> None:
            with shop.session.begin():
                shop.session.add(ChildRow(1))
                emit(Marker(1))

        with shop.scope() as effects, pytest.raises(IntegrityError):
            block()
        assert effects.report.discarded == [Marker(1)]

    @pytest.mark.parametrize("made", ["before", "after"])
    def test_a_commit_after_an_error_that_was_caught_may_be_none(
        self, shop: Shop, made: str
    ) -> None:
        """PostgreSQL rolls back then, and nobody says so: neither the driver nor SQLAlchemy."""
        engine = create_engine(shop.engine.url)  # nobody has listened to it yet
        shop.session = Session(engine)
        release = on_commit(shop.session) if made == "before" else None
        shop.add(1)
        shop.session.flush()
        with pytest.raises(SQLAlchemyError):
            shop.session.execute(text("SELECT * FROM nowhere_at_all"))
        with shop.boundary.scope(release=release or on_commit(shop.session)) as effects:
            effects.emit(Marker(1))
            shop.session.commit()
        assert shop.seen == shop.stored == ([1] if engine.dialect.name == "sqlite" else [])
        with shop.scope() as effects, shop.session:
            transaction = shop.session.begin()
            shop.session.begin_nested()
            effects.emit(Marker(2))
            transaction.commit()
        assert effects.report.delivered == [Marker(2)]
        engine.dispose()

    def test_an_error_in_a_savepoint_does_not_stand_against_the_commit(self, shop: Shop) -> None:
        """Its rollback made the transaction whole again."""
        with shop.scope(), shop.session.begin():
            shop.add(1)
            emit(Marker(1))
            with contextlib.suppress(SQLAlchemyError), shop.session.begin_nested():
                shop.session.execute(text("SELECT * FROM nowhere_at_all"))
        assert shop.seen == shop.stored == [1]


def drop(shop: Shop, row: MarkerRow) -> None:
    shop.session.delete(row)


def change(shop: Shop, row: MarkerRow) -> None:
    row.n = 3


def flush(shop: Shop, _: MarkerRow) -> None:
    shop.add(2)
    shop.session.flush()


def in_a_cte(shop: Shop, _: MarkerRow) -> None:
    added = insert(markers).values(n=2).returning(markers.c.n).cte()
    shop.session.execute(select(added))


WRITES: dict[str, Callable[[Shop, MarkerRow], object]] = {
    "add": lambda shop, _: shop.add(2),
    "delete": drop,
    "set": change,
    "flush": flush,
    "insert()": lambda shop, _: shop.session.execute(insert(markers).values(n=2)),
    "update() of nothing": lambda shop, _: shop.session.execute(
        update(MarkerRow).where(markers.c.n < 0).values(n=2)
    ),
    "bulk": lambda shop, _: shop.session.bulk_insert_mappings(inspect(MarkerRow), [{"n": 2}]),
    "text()": lambda shop, _: shop.session.execute(text(f"DELETE FROM {markers.name}")),
    "a text that calls": lambda shop, _: shop.session.execute(text("SELECT ltrim('writes?')")),
    "from a text that calls": lambda shop, _: shop.session.scalars(
        select(MarkerRow).from_statement(text("SELECT length(ltrim('writes?')) AS n"))
    ),
    "connection": lambda shop, _: shop.session.connection().execute(insert(markers).values(n=2)),
    "driver": lambda shop, _: shop.session.connection().exec_driver_sql(
        f"INSERT INTO {markers.name} VALUES (2)"
    ),
    "a function": lambda shop, _: shop.session.execute(select(func.ltrim("writes?"))),
}
READS: dict[str, Callable[[Shop, MarkerRow], object]] = {
    "nothing": lambda shop, _: None,
    "begin": lambda shop, _: shop.session.in_transaction() or shop.session.begin(),
    "refresh": lambda shop, row: shop.session.refresh(row),
    "an attribute": lambda _, row: row.n,
    "get": lambda shop, _: shop.session.get(MarkerRow, 1),
    "select()": lambda shop, _: shop.session.execute(select(1)),
    "count, for update": lambda shop, _: shop.session.execute(
        select(markers.c.n).where(func.abs(markers.c.n) > 0).with_for_update()
    ),
    "max()": lambda shop, _: shop.session.scalar(select(func.max(markers.c.n))),
    "union()": lambda shop, _: shop.session.execute(
        union(select(markers.c.n), select(markers.c.n))
    ),
    "cte()": lambda shop, _: shop.session.execute(select(select(markers.c.n).cte())),
    "query()": lambda shop, _: shop.session.query(MarkerRow).all(),
    "connection": lambda shop, _: shop.session.connection().execute(select(1)),
    "savepoint": lambda shop, _: shop.session.begin_nested().commit(),
    "lower()": lambda shop, _: shop.session.execute(select(func.lower("READS"))),
    "text()": lambda shop, _: shop.session.execute(
        text(f"SELECT count(*) FROM {markers.name} WHERE n IN (:n) -- and so on"), {"n": 1}
    ),
    "from a text": lambda shop, _: shop.session.scalars(
        select(MarkerRow).from_statement(text(f"SELECT n FROM {markers.name}"))
    ),
    "driver": lambda shop, _: shop.session.connection().exec_driver_sql("SELECT 1"),
}


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "SELECT\n count(*) FROM t WHERE x = 'a;(b' AND y IN (1, 2)",
        "/* traced */ select n from t -- why\n where id = %(id)s;",
        'select "Order".id from "Order" where (a = $1)',
        "select a from t where exists (select b from u) for update",
        "SET LOCAL app.tenant = 'acme'",
        "SHOW search_path",
    ],
)
def test_a_text_that_is_known_to_be_a_read(sql: str) -> None:
    assert text_reads(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "insert into t values (1)",
        "/* read */ delete from t",
        "select place_order(1)",
        "select place_order/* */(1)",
        "select pg_catalog.setval('x', 1)",
        'select "place order"(1)',
        "select a from t where exists (select 1 + place_order(b))",
        "select '--', place_order(1)",
        r"select e'\'', place_order(1)",
        "select 1; delete from t",
        "select * into n from t",
        "with gone as (delete from t returning *) select * from gone",
        "explain analyze delete from t",
    ],
)
def test_a_text_that_may_be_a_write(sql: str) -> None:
    assert not text_reads(sql)


class TestATransactionThatIsMerelyClosed:
    """After ``commit()``: if it wrote, closing gives that up; else the block decides."""

    @pytest.mark.parametrize("late", [True, False])
    @pytest.mark.parametrize("write", WRITES)
    def test_one_that_wrote_is_rolled_back(self, shop: Shop, write: str, late: bool) -> None:
        """Whether that came before or after the emission."""
        if (write, late) == ("delete", True):
            pytest.skip("nobody hears of an object that is deleted, and never flushed")
        assert self._told(shop, WRITES[write], late=late).discarded == [Marker(2)]
        assert shop.seen == []
        assert shop.stored == [1]

    @pytest.mark.parametrize("late", [True, False])
    @pytest.mark.parametrize("read", READS)
    def test_one_that_only_read_leaves_it_to_the_block(
        self, shop: Shop, read: str, late: bool
    ) -> None:
        """The order of commit, refresh, emit."""
        assert self._told(shop, READS[read], late=late).delivered == [Marker(2)]

    def test_an_insert_in_a_cte_is_a_write(self, shop: Shop) -> None:
        """PostgreSQL has that: a select() that writes."""
        if shop.engine.dialect.name == "postgresql":
            assert self._told(shop, in_a_cte, late=False).discarded == [Marker(2)]

    def _told(
        self, shop: Shop, step: Callable[[Shop, MarkerRow], object], *, late: bool
    ) -> airlock.Report:
        row = MarkerRow(1)
        with shop.scope() as effects, shop.session as session:
            session.add(row)
            session.commit()
            if not late:
                step(shop, row)
            effects.emit(Marker(2))
            if late:
                step(shop, row)
        return effects.report

    def test_one_of_which_the_begin_was_not_heard_counts_as_one_that_wrote(
        self, shop: Shop
    ) -> None:
        """The release came later than the first statement."""
        shop.session.execute(select(1))
        with shop.scope() as effects, shop.session:
            effects.emit(Marker(1))
        assert effects.report.discarded == [Marker(1)]

    def test_a_commit_that_fails_is_not_merely_closed(self, shop: Shop) -> None:
        """Somebody wanted it, and there was something to commit."""

        def refuse(_: Session) -> None:
            raise SurpriseError

        with shop.scope() as effects, shop.session as session:
            session.execute(select(1))
            effects.emit(Marker(1))
            event.listen(session, "before_commit", refuse)
            with contextlib.suppress(SurpriseError):
                session.commit()
            event.remove(session, "before_commit", refuse)
        assert effects.report.discarded == [Marker(1)]

    def test_a_savepoint_is_closed_with_it(self, shop: Shop) -> None:
        """Nothing was written in it either."""
        with shop.scope() as effects, shop.session as session:
            session.begin_nested()
            effects.emit(Marker(1))
        assert shop.seen == [1]

    def test_a_later_commit_delivers_what_was_emitted_while_reading(self, shop: Shop) -> None:
        """A commit decides, whatever there was to commit."""
        row = MarkerRow(1)
        shop.session.add(row)
        with shop.scope() as effects:
            shop.session.commit()
            effects.emit(Marker(row.n))
        shop.session.commit()
        assert shop.seen == [1]


class TestSessionsOfOtherKinds:
    def test_the_current_one_of_a_scoped_session(self, shop: Shop) -> None:
        """Of this thread; another thread has another."""
        sessions = scoped_session(sessionmaker(shop.engine))
        with shop.boundary.scope(release=on_commit(sessions)) as effects:
            effects.emit(Marker(1))
            sessions.add(MarkerRow(1))
            thread = threading.Thread(target=sessions.commit)
            thread.start()
            thread.join()
            effects.emit(Marker(2))
            sessions.commit()
        sessions.remove()
        assert shop.seen == [1, 2]
        assert shop.stored == [1]

    def test_another_thread_may_commit(self, shop: Shop) -> None:
        """The handlers run where it was committed."""
        with Session(sqlite("sqlite://")) as session:
            ran: list[object] = []
            boundary = Boundary({Marker: lambda _: ran.append(threading.current_thread())})
            session.begin()
            with boundary.scope(release=on_commit(session)) as effects:
                effects.emit(Marker(1))
            thread = threading.Thread(target=session.commit)
            thread.start()
            thread.join()
        assert ran == [thread]

    def test_listeners_of_a_sessionmaker_hear_what_they_did(self, shop: Shop) -> None:
        """They may emit, and belong to the transaction."""
        maker = sessionmaker(shop.engine)
        event.listen(maker, "before_commit", lambda session: emit(Marker(1)))
        event.listen(maker, "after_commit", lambda session: emit(Marker(2)))
        event.listen(maker, "after_flush", lambda session, context: emit(Marker(0)))
        with maker() as session, shop.boundary.scope(release=on_commit(session)):
            session.add(MarkerRow(1))
            session.commit()
        assert sorted(shop.seen) == [0, 1, 2]

    def test_a_test_that_rolls_everything_back_sees_the_effects(self, shop: Shop) -> None:
        """The session's commits are savepoints of its connection, and count as commits."""
        with shop.engine.connect() as connection, connection.begin() as outer:
            mode: Any = "create_savepoint"
            with Session(connection, join_transaction_mode=mode) as session:
                boundary = shop.boundary
                with boundary.scope(release=on_commit(session)) as effects:
                    for n in (1, 2, 3):
                        session.add(MarkerRow(n))
                        effects.emit(Marker(n))
                        session.rollback() if n == 2 else session.commit()
                with boundary.scope(release=on_commit(session)) as effects, session.begin():
                    session.begin_nested().commit()
                    effects.emit(Marker(4))
            outer.rollback()
        assert shop.seen == [1, 3, 4]
        assert shop.stored == []

    @pytest.mark.parametrize("mode", ["conditional_savepoint", "control_fully"])
    def test_a_session_that_owns_the_transaction_of_a_connection(
        self, shop: Shop, mode: Any
    ) -> None:
        """One it begins itself, or takes over, is committed by it."""
        with shop.engine.connect() as connection:
            if mode == "control_fully":
                connection.begin()
            with Session(connection, join_transaction_mode=mode) as session:
                with shop.boundary.scope(release=on_commit(session)) as effects:
                    session.add(MarkerRow(1))
                    effects.emit(Marker(1))
                    session.commit()
                assert not connection.in_transaction()
        assert shop.seen == shop.stored == [1]

    @pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only"])
    def test_a_session_that_commits_nothing_is_refused(self, shop: Shop, mode: Any) -> None:
        """Its effects would escape before the commit."""
        with shop.engine.connect() as connection:
            connection.begin()
            with Session(connection, join_transaction_mode=mode) as session:
                with pytest.raises(ReleaseError, match=r"commits nothing .*\n?.*create_savepoint"):
                    on_commit(session)
                session.execute(select(1))
                with shop.boundary.scope(release=on_commit(session)) as effects:
                    effects.emit(Marker(1))
                session.commit()
        assert shop.seen == []
        assert effects.report.pending == [Marker(1)]

    def test_a_savepoint_of_the_connection_is_joined_as_one(self, shop: Shop) -> None:
        """By default a session in a savepoint makes its own."""
        with shop.engine.begin() as connection, connection.begin_nested():
            session = Session(connection)
            with shop.boundary.scope(release=on_commit(session)) as effects, session:
                session.add(MarkerRow(1))
                effects.emit(Marker(1))
                session.commit()
        assert shop.seen == shop.stored == [1]

    @pytest.mark.parametrize("kind", ["Connection", "Engine", "sessionmaker", "int"])
    def test_what_is_no_session_is_refused(self, shop: Shop, kind: str) -> None:
        """A Core connection tells of a commit before it has succeeded, so it may fail after."""
        with shop.engine.connect() as connection:
            given: Any = {
                "Connection": connection,
                "Engine": shop.engine,
                "sessionmaker": sessionmaker(shop.engine),
                "int": 1,
            }[kind]
            with pytest.raises(
                ReleaseError, match=rf"given a [\w.]*{kind}, .*Session\(connection\)"
            ):
                on_commit(given)

    def test_what_to_do_with_errors_is_checked(self, shop: Shop) -> None:
        """At the call."""
        with pytest.raises(DeclarationError, match="'report' or 'raise'"):
            on_commit(shop.session, on_flush_error="ignore")  # type: ignore[arg-type]


class TestFlushesAfterACommit:
    @pytest.mark.parametrize("ending", ["commit()", "with begin()"])
    def test_an_error_is_raised_from_the_commit_on_request(self, shop: Shop, ending: str) -> None:
        """After everything was attempted; the session goes on."""
        release = on_commit(shop.session, on_flush_error="raise")

        def block() -> None:
            shop.add(1)
            with shop.boundary.scope(release=release) as effects:
                effects.emit_all([Broken(1), Marker(1)])
            if ending == "commit()":
                shop.session.commit()

        begins = shop.session.begin() if ending == "with begin()" else contextlib.nullcontext()
        with pytest.raises(FlushError), begins:
            block()
        assert shop.seen == shop.stored == [1]
        with shop.scope() as effects:
            shop.add(2)
            effects.emit(Marker(2))
            shop.session.commit()
        assert shop.seen == [1, 2]

    def test_a_handler_may_use_the_session(self, shop: Shop) -> None:
        """It runs when the transaction is over, in one of its own, which releases too."""

        def write(marker: Marker) -> None:
            with inner.scope(release=on_commit(shop.session)):
                shop.add(marker.n + 10)
                emit(Marker(marker.n + 10))
                shop.session.commit()

        inner = shop.boundary
        with Boundary({Marker: write}).scope(release=on_commit(shop.session)) as effects:
            shop.add(1)
            effects.emit_all([Marker(1), Marker(2)])
        shop.session.commit()
        assert effects.report.ok
        assert shop.stored == [1, 11, 12]
        assert shop.seen == [11, 12]

    def test_in_a_begin_block_the_session_is_not_free_yet(self, shop: Shop) -> None:
        """SQLAlchemy refuses until the block has ended; the report says so."""
        boundary = Boundary({Marker: lambda marker: shop.add(marker.n)})
        release = on_commit(shop.session)
        with shop.session.begin(), boundary.scope(release=release) as effects:
            effects.emit(Marker(1))
        assert [type(e) for e in effects.report.errors] == [InvalidRequestError]


class TestWhatItCosts:
    def test_listeners_are_installed_once(self, shop: Shop) -> None:
        """However many scopes a session sees."""
        releases = [on_commit(shop.session) for _ in range(3)]
        assert len(list(shop.session.dispatch.after_commit)) == 1
        assert len({id(release.segment()) for release in releases}) == 1

    def test_the_info_of_another_session_is_not_mistaken_for_its_own(self, shop: Shop) -> None:
        """It may be handed on."""
        on_commit(shop.session)
        session = Session(shop.engine, info=shop.session.info)
        with shop.boundary.scope(release=on_commit(session)) as effects, session:
            effects.emit(Marker(1))
            session.commit()
        assert shop.seen == [1]

    def test_nothing_keeps_a_session_alive(self, shop: Shop) -> None:
        """Not its release, not a scope; and no cycle, no listener is left of it."""
        boundary, kept = shop.boundary, []
        gc.collect()
        before = len(listeners._key_to_collection)
        gc.disable()
        try:
            for n in range(20):
                session = Session(shop.engine)
                release = on_commit(session)
                with boundary.scope(release=release) as effects:
                    session.add(MarkerRow(n))
                    effects.emit(Marker(n))
                    session.commit()
                kept += [release, effects]
                gone = ref(session)
                session.close()
                del session
                assert gone() is None
            assert len(listeners._key_to_collection) == before
        finally:
            gc.enable()

    def test_a_session_that_is_dropped_can_be_collected(self, shop: Shop) -> None:
        """While its scope waits."""
        session = Session(sqlite("sqlite://"))
        session.begin()
        with shop.boundary.scope(release=on_commit(session)) as effects:
            effects.emit(Marker(1))
        gone = ref(session)
        del session
        gc.collect()
        assert gone() is None
        assert shop.seen == [1]  # nothing was written

    def test_time_is_linear_in_intents_and_savepoints(self) -> None:
        """Ten times as much takes ten times as many calls."""
        assert calls(1000, each=100) < 10.2 * calls(100, each=100)


def calls(savepoints: int, *, each: int) -> int:
    """How many functions a block calls, to the end of its flush."""
    count = 0

    def called(frame: FrameType, what: str, _: object) -> None:
        nonlocal count
        count += what == "call"

    seen: list[int] = []
    boundary = Boundary({Marker: lambda marker: seen.append(marker.n)})
    with Session(sqlite("sqlite://")) as session:
        sys.setprofile(called)
        try:
            with boundary.scope(release=on_commit(session)) as effects:
                for turn in range(savepoints):
                    with session.begin_nested() as savepoint:
                        for n in range(each):
                            effects.emit(Marker(n))
                        if turn % 2:
                            savepoint.rollback()
                session.commit()
        finally:
            sys.setprofile(None)
    assert len(seen) == savepoints * each // 2
    return count
