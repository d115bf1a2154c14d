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
    insert,
    select,
    text,
)
from sqlalchemy.event import registry as listeners
from sqlalchemy.exc import IntegrityError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.orm import Session, registry, scoped_session, sessionmaker

from airlock import Boundary, FlushError, Scope, emit, intent
from airlock.errors import DeclarationError, NoTransactionError, ReleaseError, ScopeStateError
from airlock.integrations.sqlalchemy import on_commit
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
    def test_a_commit_in_the_block_delivers_when_the_block_ends(self, shop: Shop) -> None:
        """The commit seals; the flush waits for the end of the block."""
        with shop.scope() as effects:
            shop.add(1)
            effects.emit(Marker(1))
            shop.session.commit()
            assert shop.seen == []
        assert shop.seen == shop.stored == [1]
        assert effects.report.delivered == [Marker(1)]

    def test_a_rollback_discards_though_its_error_is_caught(self, shop: Shop) -> None:
        """The block ends well, and still nothing escapes that was rolled back."""
        with shop.scope() as effects, contextlib.suppress(SurpriseError), shop.session.begin():
            shop.add(1)
            effects.emit(Marker(1))
            raise SurpriseError
        assert shop.seen == shop.stored == []
        assert [e.by for e in effects.report] == ["rollback"]

    def test_an_error_after_the_commit_does_not_unsay_it(self, shop: Shop) -> None:
        """What was committed is delivered, and the error goes on."""

        def block() -> None:
            with shop.session.begin():
                shop.add(1)
                emit(Marker(1))
            raise SurpriseError

        with pytest.raises(SurpriseError), shop.scope() as effects:
            block()
        assert shop.seen == [1]
        assert effects.report.delivered == [Marker(1)]

    def test_a_keep_hook_has_no_say_about_what_was_committed(self, shop: Shop) -> None:
        """An answer of 500 after the commit does not unsay it."""
        with shop.scope(keep=lambda error: False) as effects:
            shop.add(1)
            effects.emit(Marker(1))
            shop.session.commit()
        assert shop.seen == [1]

    def test_a_block_that_ends_inside_its_transaction_waits_for_the_commit(
        self, shop: Shop
    ) -> None:
        """Nothing escapes before the commit, and there is no report until then."""
        with shop.scope() as effects:
            shop.add(1)
            effects.emit(Marker(1))
        assert shop.seen == []
        with pytest.raises(ScopeStateError):
            _ = effects.report
        shop.session.commit()
        assert shop.seen == shop.stored == [1]
        assert effects.report.ok

    def test_each_of_several_transactions_decides_for_itself(self, shop: Shop) -> None:
        """In one scope, in emission order."""
        with shop.scope() as effects:
            for n in (1, 2, 3):
                shop.add(n)
                effects.emit(Marker(n))
                shop.session.rollback() if n == 2 else shop.session.commit()
        assert shop.seen == shop.stored == [1, 3]
        assert effects.report.discarded == [Marker(2)]

    def test_what_is_emitted_before_the_transaction_belongs_to_it(self, shop: Shop) -> None:
        """A session begins its transaction when it is first used."""
        with shop.scope() as effects:
            effects.emit(Marker(1))
            shop.add(1)
            shop.session.rollback()
            effects.emit(Marker(2))
            shop.session.commit()
        assert shop.seen == [2]
        assert effects.report.discarded == [Marker(1)]

    def test_a_nested_scope_that_fails_in_a_committed_transaction_is_kept(self, shop: Shop) -> None:
        """Its block would throw it away; the transaction that committed it decides."""
        boundary = shop.boundary
        with boundary.scope(release=on_commit(shop.session)):
            with contextlib.suppress(SurpriseError), boundary.scope():
                shop.add(1)
                emit(Marker(1))
                raise SurpriseError
            shop.session.commit()
        assert shop.seen == shop.stored == [1]

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

    def test_scopes_of_one_transaction_are_flushed_in_the_order_they_ended(
        self, shop: Shop
    ) -> None:
        """A commit releases every scope that waits for it."""
        with shop.session.begin():
            for n in (1, 2):
                with shop.scope() as effects:
                    effects.emit(Marker(n))
        assert shop.seen == [1, 2]

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


BLOCKS = {
    # what happens: (the block ends before the transaction does, after it), what becomes of it
    "commit": ("begin emit end commit", "begin emit commit end", "delivered"),
    "rollback": ("begin emit end rollback", "begin emit rollback end", "discarded"),
    "close": ("begin emit end close", "begin emit close end", "discarded"),
    "rollback caught": ("begin emit error rollback", "begin emit caught rollback end", "discarded"),
    "error": ("begin emit error commit", "begin emit commit error", "delivered"),
    "error caught": ("begin emit caught end commit", "begin emit caught commit end", "delivered"),
    "savepoint": (
        "begin savepoint emit end release commit",
        "begin savepoint emit release commit end",
        "delivered",
    ),
    "savepoint rollback": (
        "begin savepoint emit undo end commit",
        "begin savepoint emit undo commit end",
        "discarded",
    ),
    "savepoint close": (
        "begin savepoint emit end leave commit",
        "begin savepoint emit leave commit end",
        "discarded",
    ),
    "released, rolled back": (
        "begin savepoint emit release end rollback",
        "begin savepoint emit release rollback end",
        "discarded",
    ),
    "no transaction": ("emit end begin commit", "begin commit emit end", "pending"),
    "no transaction, error": ("emit error begin commit", "begin commit emit error", "discarded"),
}


@pytest.mark.parametrize("begins", ["by itself", "begin()"])
@pytest.mark.parametrize("ends", ["before", "after"])
@pytest.mark.parametrize("story", list(BLOCKS))
def test_what_becomes_of_an_effect(story: str, ends: str, begins: str, shop: Shop) -> None:
    """Every way a transaction can end, inside the block or after it."""
    session = shop.session
    before, after, outcome = BLOCKS[story]
    effects = shop.scope().enter()

    def end(error: Exception | None = None) -> None:
        effects.exit(error)
        stranded = outcome == "pending"
        with pytest.raises(NoTransactionError) if stranded else contextlib.nullcontext():
            effects.settle(error)

    def savepoint() -> Any:
        return session.get_nested_transaction()

    steps: dict[str, Callable[[], object]] = {
        "begin": session.begin if begins == "begin()" else lambda: session.execute(select(1)),
        "emit": lambda: effects.emit(Marker(1)),
        "commit": session.commit,
        "rollback": session.rollback,
        "close": session.close,
        "savepoint": session.begin_nested,
        "release": lambda: savepoint().commit(),
        "undo": lambda: savepoint().rollback(),
        "leave": lambda: savepoint().close(),
        "caught": lambda: None,
        "error": lambda: end(SurpriseError()),
        "end": end,
    }
    for step in (before if ends == "before" else after).split():
        assert shop.seen == []
        steps[step]()
    assert getattr(effects.report, outcome) == [Marker(1)]
    assert len(effects.report) == 1
    assert shop.seen == ([1] if outcome == "delivered" else [])


class TestSavepoints:
    def test_a_savepoint_decides_for_what_was_emitted_in_it(self, shop: Shop) -> None:
        """Released, it shares the fate of what is around it; rolled back, it is thrown away."""
        with shop.scope(), shop.session.begin():
            for n in range(1, 7):
                with contextlib.suppress(SurpriseError), shop.session.begin_nested():
                    shop.add(n)
                    emit(Marker(n))
                    if n % 2:
                        raise SurpriseError
            shop.add(7)
            emit(Marker(7))
        assert shop.seen == shop.stored == [2, 4, 6, 7]

    def test_releasing_a_savepoint_is_no_commit(self, shop: Shop) -> None:
        """Although the session says so: its transaction may still be rolled back."""
        with shop.session.begin() as transaction:
            with shop.scope() as effects, shop.session.begin_nested():
                shop.add(1)
                effects.emit(Marker(1))
            assert shop.seen == []
            transaction.rollback()
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1)]

    def test_an_outer_savepoint_takes_the_inner_ones_along(self, shop: Shop) -> None:
        """Released or open."""
        with shop.scope() as effects:
            outer = shop.session.begin_nested()
            with shop.session.begin_nested():
                effects.emit(Marker(1))
            shop.session.begin_nested()
            effects.emit(Marker(2))
            outer.rollback()
            effects.emit(Marker(3))
            shop.session.commit()
        assert shop.seen == [3]

    def test_an_outer_savepoint_that_is_closed_takes_the_inner_ones_along(self, shop: Shop) -> None:
        """SQLAlchemy does not tell of the end of those."""
        with shop.scope() as effects:
            outer = shop.session.begin_nested()
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


class TestWithoutATransaction:
    def test_what_is_emitted_after_the_last_commit_is_refused(self, shop: Shop) -> None:
        """It is pending, what was committed is delivered, and resuming delivers the rest."""

        def block() -> None:
            shop.add(1)
            emit(Marker(1))
            shop.session.commit()
            emit(Marker(2))

        with pytest.raises(NoTransactionError) as caught, shop.scope() as effects:
            block()
        assert caught.value.count == 1
        assert shop.seen == [1]
        assert effects.report.pending == [Marker(2)]
        assert effects.report.resume().ok
        assert shop.seen == [1, 2]

    def test_reading_after_the_last_commit_is_no_transaction(self, shop: Shop) -> None:
        """The session begins one by itself to read; closing it says neither yes nor no."""

        def block() -> None:
            with shop.session:
                row = MarkerRow(1)
                shop.session.add(row)
                shop.session.commit()
                emit(Marker(row.n))
                assert shop.session.in_transaction()

        with pytest.raises(NoTransactionError), shop.scope() as effects:
            block()
        assert effects.report.pending == [Marker(1)]

    def test_the_block_may_have_ended_when_the_session_is_closed(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """There is nobody to raise it to; it is logged, or raised from the close on request."""
        row = MarkerRow(1)
        shop.session.add(row)
        for way in ("report", "raise"):
            release = on_commit(shop.session, on_flush_error=way)
            shop.session.commit()
            with shop.boundary.scope(release=release) as effects:
                effects.emit(Marker(row.n))
            raised = pytest.raises(NoTransactionError) if way == "raise" else None
            with raised or contextlib.nullcontext():
                shop.session.close()
            assert effects.report.pending == [Marker(1)]
            shop.session.add(row)
        assert [(r.name, r.levelname) for r in caplog.records] == [("airlock", "ERROR")]

    @pytest.mark.parametrize("change", ["add", "delete", "set", "execute", "flush", "begin"])
    def test_closing_after_a_change_rolls_back(self, shop: Shop, change: str) -> None:
        """Then there was something to commit, and it was given up."""
        row = MarkerRow(1)
        shop.session.add(row)
        with shop.scope() as effects:
            shop.session.commit()
            if change == "begin":
                shop.session.begin()
            elif change == "execute":
                shop.session.execute(insert(markers).values(n=2))
            elif change == "delete":
                shop.session.delete(row)
            elif change == "set":
                row.n = 3
            else:
                shop.add(2)
                if change == "flush":
                    shop.session.flush()
            effects.emit(Marker(2))
            shop.session.close()
        assert effects.report.discarded == [Marker(2)]

    @pytest.mark.parametrize("way", ["select()", "text()"])
    def test_only_a_select_is_known_to_be_a_read(self, shop: Shop, way: str) -> None:
        """A text may have changed something, so that closing gives it up."""
        read: Any = select(1) if way == "select()" else text("SELECT 1")
        effects = shop.scope().enter()
        shop.add(1)
        shop.session.commit()
        shop.session.execute(read)
        effects.emit(Marker(1))
        shop.session.close()
        effects.exit()
        if way == "text()":
            effects.settle()
            assert effects.report.discarded == [Marker(1)]
        else:
            with pytest.raises(NoTransactionError):
                effects.settle()
            assert effects.report.pending == [Marker(1)]

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
    def test_an_error_is_reported_and_logged(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The commit cannot be undone, so it does not fail."""
        with shop.session.begin(), shop.scope() as effects:
            shop.add(1)
            effects.emit_all([Broken(1), Marker(1)])
        assert shop.seen == shop.stored == [1]
        assert effects.report.failed == [Broken(1)]
        assert [(r.name, r.levelname) for r in caplog.records] == [("airlock", "ERROR")]

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
        assert shop.seen == []

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
