"""What goes wrong with SQLAlchemy sessions: a COMMIT that is none, lost connections, no close()."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from typing import Any
from uuid import uuid4

import attrs
import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, registry, sessionmaker

from airlock import Boundary, Scope, emit, intent
from airlock.errors import NoTransactionError
from airlock.integrations.sqlalchemy import on_commit
from tests.integrations.services import postgresql


@intent(kind="sqlalchemy-troubles.marker")
class Marker:
    n: int


tables = registry(metadata=MetaData())
markers = Table(
    f"markers_{uuid4().hex[:12]}", tables.metadata, Column("n", Integer, primary_key=True)
)


class HookError(Exception):
    """What a hook of somebody else fails with."""


class Row:
    def __init__(self, n: int) -> None:
        self.n = n


tables.map_imperatively(Row, markers)


@attrs.define
class Shop:
    """A session on PostgreSQL or SQLite, and a boundary that notes what it delivers."""

    engine: Engine
    session: Session
    seen: list[int] = attrs.field(factory=list)

    @property
    def is_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def scope(self, session: Session | None = None, **options: Any) -> Scope:
        boundary = Boundary({Marker: lambda marker: self.seen.append(marker.n)})
        return boundary.scope(release=on_commit(session or self.session), **options)

    def write(self, n: int) -> None:
        """Write and emit, so that both must share their fate."""
        self.write_only(n)
        emit(Marker(n))

    def write_only(self, n: int) -> None:
        self.session.execute(insert(markers).values(n=n))

    def fail(self) -> None:
        """A statement fails, and nobody cares."""
        with suppress(SQLAlchemyError):
            self.session.execute(text("SELECT * FROM nowhere_at_all"))

    @property
    def stored(self) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(markers.c.n).order_by(markers.c.n)))


def sqlite(path: object) -> Engine:
    """As SQLAlchemy's documentation has it, so that savepoints work."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    return engine


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Shop]:
    """With a connection for each transaction, as others are lost here."""
    if request.param == "sqlite":
        engine = sqlite(tmp_path / "shop.db")
    else:
        url = postgresql().replace("postgresql:", "postgresql+psycopg:", 1)
        options = "-c synchronous_commit=off -c lock_timeout=5000"
        engine = create_engine(url, poolclass=NullPool, connect_args={"options": options})
    tables.metadata.create_all(engine)
    shop = Shop(engine, Session(engine))
    try:
        yield shop
    finally:
        with suppress(SQLAlchemyError):
            shop.session.close()
        tables.metadata.drop_all(engine)
        engine.dispose()


only_postgresql = pytest.mark.parametrize("shop", ["postgresql"], indirect=True)


class TestACommitThatIsNone:
    """PostgreSQL rolls back what is committed after an error, and nobody says so."""

    @pytest.mark.parametrize("ends", ["in the transaction", "after the commit"])
    @pytest.mark.parametrize("order", ["write fail", "fail write", "write fail write"])
    def test_what_is_delivered_is_what_is_stored(self, shop: Shop, order: str, ends: str) -> None:
        """Whenever the statement failed, and whenever the block ends."""
        numbers = iter((1, 2))
        steps: dict[str, Callable[[], None]] = {
            "write": lambda: shop.write(next(numbers)),
            "fail": shop.fail,
        }
        with shop.scope() as effects:
            for step in order.split():
                with suppress(InternalError):
                    steps[step]()
            if ends == "after the commit":
                shop.session.commit()
        if ends == "in the transaction":
            shop.session.commit()
        assert shop.seen == shop.stored
        assert bool(shop.seen) is not shop.is_postgresql
        assert len(effects.report) == len(shop.seen) + len(effects.report.discarded)

    def test_the_next_transaction_is_none_the_worse(self, shop: Shop) -> None:
        """In the same session, on the same connection."""
        with shop.engine.connect() as connection:
            shop.session = Session(connection)
            with shop.scope(), shop.session:
                shop.write(1)
                shop.fail()
                shop.session.commit()
                shop.write(2)
                shop.session.commit()
        assert shop.seen == shop.stored == ([2] if shop.is_postgresql else [1, 2])

    @pytest.mark.parametrize("hook", ["before_commit", "before_flush", "after_flush"])
    def test_a_hook_that_fails_in_silence_counts(self, shop: Shop, hook: str) -> None:
        """However late it runs: what the connection says at its COMMIT counts."""
        release = on_commit(shop.session)
        event.listen(shop.session, hook, lambda *_: shop.fail())
        boundary = Boundary({Marker: lambda marker: shop.seen.append(marker.n)})
        with boundary.scope(release=release) as effects:
            shop.session.add(Row(1))
            effects.emit(Marker(1))
            with suppress(InternalError):  # of the flush that follows
                shop.session.commit()
            shop.session.close()
        assert shop.seen == shop.stored
        assert bool(shop.seen) is not shop.is_postgresql

    def test_a_hook_that_undoes_its_failure_does_not_count(self, shop: Shop) -> None:
        """A savepoint that is rolled back makes the transaction whole again."""
        release = on_commit(shop.session)

        def audit(*_: object) -> None:
            with suppress(SQLAlchemyError), shop.session.begin_nested():
                shop.session.execute(text("SELECT * FROM nowhere_at_all"))

        event.listen(shop.session, "before_commit", audit, once=True)
        boundary = Boundary({Marker: lambda marker: shop.seen.append(marker.n)})
        with boundary.scope(release=release):
            shop.write(1)
            shop.session.commit()
        assert shop.seen == shop.stored == [1]

    def test_an_error_in_a_savepoint_that_is_released_is_no_secret(self, shop: Shop) -> None:
        """PostgreSQL refuses to release it, and all is rolled back."""
        with shop.scope() as effects:
            shop.write(1)
            savepoint = shop.session.begin_nested()
            shop.write(2)
            shop.fail()
            with pytest.raises(InternalError) if shop.is_postgresql else nullcontext():
                savepoint.commit()
            shop.session.rollback()
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1), Marker(2)]

    def test_a_commit_after_a_close_that_failed_counts_as_what_it_is(self, shop: Shop) -> None:
        """SQLAlchemy cannot roll back savepoints that are gone, and believes in the rest."""
        with shop.scope():
            shop.write(1)
            shop.session.begin_nested()
            shop.session.begin_nested()
            shop.fail()
            with suppress(InternalError):
                shop.session.commit()
            with suppress(SQLAlchemyError):
                shop.session.close()
            shop.session.commit()
        assert shop.seen == shop.stored
        assert bool(shop.seen) is not shop.is_postgresql

    def test_the_failure_of_another_session_does_not_count(self, shop: Shop) -> None:
        """Of the same engine."""
        with shop.scope(), Session(shop.engine) as other:
            on_commit(other)
            shop.write(1)
            with suppress(SQLAlchemyError):
                other.execute(text("SELECT * FROM nowhere_at_all"))
            shop.session.commit()
        assert shop.seen == shop.stored == [1]

    def test_a_transaction_in_a_transaction_of_a_test(self, shop: Shop) -> None:
        """Its COMMIT is a RELEASE, which does not keep errors for itself."""
        with shop.engine.connect() as connection, connection.begin() as outer:
            shop.session = Session(connection, join_transaction_mode="create_savepoint")
            with shop.scope() as effects, shop.session:
                shop.write(1)
                shop.fail()
                with suppress(InternalError):
                    shop.session.commit()
            outer.rollback()
        assert len(shop.seen) + len(effects.report.discarded) == 1
        assert bool(shop.seen) is not shop.is_postgresql

    def test_a_savepoint_on_a_connection_that_once_rolled_back(self, shop: Shop) -> None:
        """What became of an earlier COMMIT there is over."""
        with shop.engine.connect() as connection:
            shop.session = Session(connection)
            with shop.scope(), shop.session:
                shop.write(1)
                shop.fail()
                shop.session.commit()
            shop.seen.clear()
            connection.begin()
            shop.session = Session(connection, join_transaction_mode="create_savepoint")
            with shop.scope(), shop.session:
                shop.write(2)
                shop.session.commit()
            connection.commit()
        assert shop.seen == [2]
        assert 2 in shop.stored

    def test_a_commit_asks_only_after_an_error_and_only_once(self, shop: Shop) -> None:
        """The usual one costs no round trip."""
        executed: list[str] = []
        event.listen(
            shop.engine, "before_cursor_execute", lambda c, cursor, sql, *_: executed.append(sql)
        )
        with shop.engine.connect() as connection:
            shop.session = Session(connection)
            asked = []
            for fails in (False, True, False):
                with shop.scope(), shop.session:
                    with suppress(SQLAlchemyError), shop.session.begin_nested():
                        shop.session.execute(text(f"SELECT {'nothing' if fails else 2}"))
                    shop.session.commit()
                asked.append(executed.count("SELECT 1"))
        assert asked == [0, 1, 1]


@only_postgresql
class TestConnectionsThatAreLost:
    def lose_connection(self, shop: Shop) -> None:
        process = shop.session.scalar(text("SELECT pg_backend_pid()"))
        with shop.engine.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": process})

    @pytest.mark.parametrize("ending", ["rollback", "close"])
    def test_what_was_emitted_is_discarded(self, shop: Shop, ending: str) -> None:
        """At the latest when the session begins its next transaction, and not with that."""
        with shop.scope() as effects:
            shop.write(1)
            self.lose_connection(shop)
        with pytest.raises(OperationalError):
            getattr(shop.session, ending)()
        assert shop.seen == []
        with shop.scope():
            shop.write(2)
            shop.session.commit()
        assert shop.seen == shop.stored == [2]
        assert effects.report.discarded == [Marker(1)]

    def test_also_in_a_savepoint(self, shop: Shop) -> None:
        """Whose rollback fails, as the transaction's does."""
        with shop.scope() as effects:
            shop.write(1)
            with suppress(SQLAlchemyError), shop.session.begin_nested():
                shop.write(2)
                self.lose_connection(shop)
            with suppress(SQLAlchemyError):
                shop.session.close()
            with suppress(SQLAlchemyError):
                shop.session.close()
            shop.write(3)
            shop.session.commit()
        assert shop.seen == shop.stored == [3]
        assert effects.report.discarded == [Marker(1), Marker(2)]


class TestHooksOfOthersThatFail:
    """A hook of the session's class, or of the pool, raises while the session commits."""

    def hooked(self, shop: Shop, name: str, *, once: bool = True, **how: Any) -> None:
        """The session is one of a class whose hook fails, the first time it is called."""
        maker = sessionmaker(shop.engine)
        rest = [1]

        def fail(*_: object) -> None:
            if not once or (rest and rest.pop()):
                raise HookError

        shop.session = maker()
        event.listen(maker, name, fail, **how)

    def commit(self, shop: Shop, way: str) -> None:
        if way == "begin block":
            with pytest.raises(HookError), shop.session.begin():
                shop.write(1)
            return
        shop.write(1)
        with pytest.raises(HookError):
            shop.session.commit()
        with suppress(SQLAlchemyError):  # it is too late for a rollback
            getattr(shop.session, way)()

    @pytest.mark.parametrize("way", ["begin block", "rollback", "close"])
    def test_a_commit_seals_though_a_hook_that_hears_of_it_fails(
        self, shop: Shop, way: str
    ) -> None:
        """The rows are there, whoever was told of them and whatever was done then."""
        self.hooked(shop, "after_commit")
        with shop.scope() as effects:
            self.commit(shop, way)
        shop.session.close()
        assert shop.seen == shop.stored == [1]
        assert effects.report.delivered == [Marker(1)]

    def test_so_does_one_that_a_scope_waits_for(self, shop: Shop) -> None:
        """Its block has ended before the commit."""
        self.hooked(shop, "after_commit")
        with shop.scope():
            shop.write(1)
        with pytest.raises(HookError):
            shop.session.commit()
        shop.session.close()
        assert shop.seen == shop.stored == [1]

    def test_the_release_of_a_savepoint_is_not_taken_for_a_commit(self, shop: Shop) -> None:
        """The savepoint is never ended, and what it said is not said of its transaction."""
        self.hooked(shop, "after_transaction_end")
        with shop.scope() as effects:
            shop.write(1)
            savepoint = shop.session.begin_nested()
            shop.write(2)
            with pytest.raises(HookError):
                savepoint.commit()
            shop.session.close()
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1), Marker(2)]

    def test_a_transaction_whose_beginning_was_not_told_is_followed(self, shop: Shop) -> None:
        """A hook that fails keeps the event from everybody after it."""
        self.hooked(shop, "after_transaction_create")
        with shop.scope() as effects:
            with pytest.raises(HookError):
                shop.write(1)
            shop.write(1)
            shop.session.commit()
            shop.write(2)
            shop.session.close()
        assert shop.seen == shop.stored == [1]
        assert effects.report.discarded == [Marker(2)]

    def test_the_hook_may_be_where_the_session_is_first_listened_to(self, shop: Shop) -> None:
        """Its transaction is committed already."""
        release = Boundary({Marker: lambda marker: shop.seen.append(marker.n)})

        def publish(session: Session) -> None:
            with release.scope(release=on_commit(session)):
                emit(Marker(1))

        event.listen(shop.session, "after_commit", publish)
        shop.session.execute(insert(markers).values(n=1))
        shop.session.commit()
        assert shop.seen == shop.stored == [1]

    @pytest.mark.parametrize("target", ["engine", "Engine"])
    def test_an_error_that_a_hook_translates_is_noted(self, shop: Shop, target: str) -> None:
        """Hooks after the one that raises are not called: so ours is called before."""

        def translate(context: ExceptionContext) -> None:
            raise HookError from context.original_exception

        on = shop.engine if target == "engine" else Engine
        event.listen(on, "handle_error", translate)
        try:
            with shop.scope() as effects:
                shop.write(1)
                with pytest.raises(HookError):
                    shop.session.execute(text("SELECT * FROM nowhere_at_all"))
                shop.session.commit()
        finally:
            event.remove(on, "handle_error", translate)
        assert shop.seen == shop.stored == ([] if shop.is_postgresql else [1])
        assert len(effects.report) == 1


@pytest.mark.filterwarnings("ignore:Exception ignored in.*BaseConnection")
class TestSessionsThatCannotFinishClosing:
    """They were committed, and nobody is told of the end."""

    @pytest.fixture(params=["checkin", "after_transaction_end"])
    def failing(self, request: pytest.FixtureRequest, shop: Shop) -> list[int]:
        """Each number in it makes the hook fail once."""
        rest = list[int]()

        def fail(*_: object) -> None:
            if rest:
                rest.pop()
                raise HookError

        if request.param == "checkin":
            event.listen(shop.engine, "checkin", fail)
        else:
            maker = sessionmaker(shop.engine)
            event.listen(maker, "after_transaction_end", fail)
            shop.session = maker()
        return rest

    def commit(self, shop: Shop, failing: list[int]) -> None:
        failing.append(1)
        with pytest.raises(HookError):
            shop.session.commit()

    def test_the_commit_is_not_taken_for_that_of_the_next_transaction(
        self, shop: Shop, failing: list[int]
    ) -> None:
        """Which is never committed."""
        with shop.scope() as effects:
            shop.write(1)
            self.commit(shop, failing)
            shop.write(2)
            shop.session.close()
        assert shop.seen == shop.stored == [1]
        assert effects.report.delivered == [Marker(1)]
        assert effects.report.discarded == [Marker(2)]

    def test_the_end_of_the_block_is_late_enough(self, shop: Shop, failing: list[int]) -> None:
        """The scope does not wait for a transaction that the session is not in any more."""
        with shop.scope() as effects:
            shop.write(1)
            self.commit(shop, failing)
        assert shop.seen == shop.stored == [1]
        assert effects.report.ok

    def test_what_is_emitted_then_belongs_to_the_next_transaction(
        self, shop: Shop, failing: list[int]
    ) -> None:
        """Also before that has begun."""
        with shop.scope() as effects:
            shop.write(1)
            self.commit(shop, failing)
            emit(Marker(2))
            shop.session.begin()
            shop.session.rollback()
        assert shop.seen == [1]
        assert effects.report.discarded == [Marker(2)]

    def test_a_scope_that_waits_ends_with_the_next_use(
        self, shop: Shop, failing: list[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Which does not fail for what fails in that scope."""
        with shop.scope():
            shop.write(1)
        release = on_commit(shop.session, on_flush_error="raise")
        with Boundary({}).scope(release=release) as broken:
            emit(Marker(2))
        self.commit(shop, failing)
        shop.write_only(3)
        shop.session.commit()
        assert shop.seen == [1]
        assert shop.stored == [1, 3]
        assert broken.report.pending == [Marker(2)]
        assert [r.name for r in caplog.records] == ["airlock"]


class TestACommitThatIsInterrupted:
    """It was sent, and no answer has come: nobody knows whether the database has carried it out."""

    @pytest.fixture(params=["carried out", "not carried out"])
    def carried_out(self, request: pytest.FixtureRequest, shop: Shop) -> bool:
        """The user presses Ctrl-C during the COMMIT."""
        carries_out = bool(request.param == "carried out")
        dialect: Any = shop.engine.dialect
        usual = dialect.do_commit

        def commit(connection: Any) -> None:
            dialect.do_commit = usual
            if carries_out:
                usual(connection)
            raise KeyboardInterrupt

        dialect.do_commit = commit
        return carries_out

    def commit(self, shop: Shop, way: str) -> None:
        if way == "begin block":
            with pytest.raises(KeyboardInterrupt), shop.session.begin():
                shop.write(1)
            return
        shop.write(1)
        with pytest.raises(KeyboardInterrupt):
            shop.session.commit()
        getattr(shop.session, way)()

    @pytest.mark.parametrize("way", ["begin block", "rollback", "close"])
    def test_its_effects_are_pending_and_the_error_is_loud(
        self, shop: Shop, way: str, *, carried_out: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """They can be resumed, if the rows are there; though the session was rolled back after."""
        scope = shop.scope()
        with pytest.raises(NoTransactionError), scope:
            self.commit(shop, way)
        assert shop.seen == []
        assert shop.stored == ([1] if carried_out else [])
        assert scope.report.pending == [Marker(1)]
        assert "nobody knows whether" in caplog.text
        scope.report.resume()
        assert shop.seen == [1]

    @pytest.mark.usefixtures("carried_out")
    def test_the_interruption_goes_on_and_they_are_pending_still(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Though an error that leaves the block throws away what no transaction has seen."""

        def block() -> None:
            with shop.session:
                shop.write(1)
                shop.session.commit()

        scope = shop.scope()
        with pytest.raises(KeyboardInterrupt), scope:
            block()
        assert shop.seen == []
        assert scope.report.pending == [Marker(1)]
        assert "commit was interrupted" in caplog.text

    def test_a_scope_that_waits_for_it_is_logged(
        self, shop: Shop, *, carried_out: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """There is nobody to raise to."""
        with shop.scope() as effects:
            shop.write(1)
        with pytest.raises(KeyboardInterrupt):
            shop.session.commit()
        shop.session.close()
        assert shop.seen == []
        assert shop.stored == ([1] if carried_out else [])
        assert effects.report.pending == [Marker(1)]
        assert {r.levelname for r in caplog.records} == {"ERROR"}

    @pytest.mark.usefixtures("carried_out")
    def test_the_next_transaction_is_none_the_worse(self, shop: Shop) -> None:
        """In the same session."""
        with shop.scope() as effects:
            shop.write(1)
        with pytest.raises(KeyboardInterrupt):
            shop.session.commit()
        shop.session.close()
        with shop.scope():
            shop.write(2)
            shop.session.commit()
        assert shop.seen == [2]
        assert effects.report.pending == [Marker(1)]

    @pytest.mark.usefixtures("carried_out")
    def test_without_effects_there_is_nothing_to_say(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The interruption goes on, as it would anyway."""
        with shop.scope():
            shop.write_only(1)
            with pytest.raises(KeyboardInterrupt):
                shop.session.commit()
            shop.session.close()
        assert caplog.records == []

    def test_one_that_the_database_refuses_counts_as_a_rollback(self, shop: Shop) -> None:
        """That is an answer."""
        dialect: Any = shop.engine.dialect
        usual = dialect.do_commit

        def refuse(connection: Any) -> None:
            dialect.do_commit = usual
            connection.rollback()
            raise dialect.loaded_dbapi.IntegrityError

        with shop.scope() as effects:
            shop.write(1)
            dialect.do_commit = refuse
            with pytest.raises(SQLAlchemyError):
                shop.session.commit()
            shop.session.close()
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1)]

    def test_a_hook_that_fails_before_it_is_sent_is_no_doubt(self, shop: Shop) -> None:
        """One of the session's: it can still be rolled back."""

        def fail(_: object) -> None:
            raise HookError

        with shop.scope() as effects:
            shop.write(1)
            event.listen(shop.session, "before_commit", fail)
            with pytest.raises(HookError):
                shop.session.commit()
            shop.session.close()
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1)]

    def test_a_hook_that_keeps_the_word_from_us_leaves_a_doubt(self, shop: Shop) -> None:
        """One that was put before ours; the effects are not lost."""
        maker = sessionmaker(shop.engine)
        on_commit(maker())
        shop.session = maker()

        def fail(_: object) -> None:
            raise HookError

        event.listen(maker, "after_commit", fail, insert=True)
        with shop.scope() as effects:
            shop.write(1)
        with pytest.raises(HookError):
            shop.session.commit()
        shop.session.close()
        assert shop.stored == [1]
        assert effects.report.pending == [Marker(1)]

    @only_postgresql
    def test_a_connection_that_is_lost_at_the_commit_leaves_a_doubt(self, shop: Shop) -> None:
        """Whether it was lost before the COMMIT or after, nobody hears."""
        with shop.scope() as effects:
            shop.write(1)
            process = shop.session.scalar(text("SELECT pg_backend_pid()"))
            with shop.engine.begin() as connection:
                kill = text("SELECT pg_terminate_backend(:pid, 5000)")
                connection.execute(kill, {"pid": process})
        with pytest.raises(OperationalError):
            shop.session.commit()
        shop.session.rollback()
        assert shop.seen == shop.stored == []
        assert effects.report.pending == [Marker(1)]
        with shop.scope():
            shop.write(2)
            shop.session.commit()
        assert shop.seen == shop.stored == [2]


class TestSessionsThatAreDropped:
    """Without ``close()``: their connections are returned, and rolled back, when they are collected."""

    def test_a_scope_that_waits_is_discarded(self, shop: Shop) -> None:
        """Nothing else would ever end it."""
        with shop.scope() as effects:
            shop.write(1)
        shop.session = Session(shop.engine)
        gc.collect()
        assert effects.report.discarded == [Marker(1)]
        assert shop.seen == shop.stored == []

    def test_what_was_committed_before_is_delivered(self, shop: Shop) -> None:
        """The scope waited for the second transaction only."""
        with shop.scope() as effects:
            shop.write(1)
            shop.session.commit()
            shop.write(2)
        assert shop.seen == []
        shop.session = Session(shop.engine)
        gc.collect()
        assert shop.seen == shop.stored == [1]
        assert effects.report.discarded == [Marker(2)]

    def test_a_scope_that_is_open_goes_on(self, shop: Shop) -> None:
        """The block decides about what is emitted after that."""
        with shop.scope() as effects:
            shop.write(1)
            shop.session = Session(shop.engine)
            gc.collect()
            emit(Marker(2))
        assert shop.seen == [2]
        assert effects.report.discarded == [Marker(1)]

    def test_a_thread_that_ends_drops_its_session(self, shop: Shop) -> None:
        """As that of a ``scoped_session`` without ``remove()``."""
        scopes: list[Scope] = []

        def work() -> None:
            session = Session(shop.engine)
            with shop.scope(session) as effects:
                session.execute(insert(markers).values(n=1))
                effects.emit(Marker(1))
            scopes.append(effects)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        gc.collect()
        assert scopes[0].report.discarded == [Marker(1)]
        assert shop.stored == []

    def test_one_that_was_closed_leaves_nothing_to_say(self, shop: Shop) -> None:
        """The usual case."""
        with shop.scope() as effects:
            shop.write(1)
            shop.session.commit()
        shop.session.close()
        shop.session = Session(shop.engine)
        gc.collect()
        assert shop.seen == [1]
        assert effects.report.delivered == [Marker(1)]


@only_postgresql
class TestTwoPhases:
    @pytest.fixture
    def prepares(self, shop: Shop) -> bool:
        """Whether the server takes prepared transactions; without them, its refusal is tested."""
        shop.session = Session(shop.engine, twophase=True)
        with shop.engine.connect() as connection:
            return bool(connection.scalar(text("SHOW max_prepared_transactions")) != "0")

    @pytest.mark.parametrize("ends", ["in the transaction", "after the commit"])
    def test_a_commit_delivers_once_both_have_succeeded(
        self, shop: Shop, prepares: bool, ends: str
    ) -> None:
        """And discards if the transaction cannot be prepared."""
        with shop.scope() as effects:
            shop.write(1)
            if ends == "after the commit":
                self.commit(shop, fails=not prepares)
        if ends == "in the transaction":
            self.commit(shop, fails=not prepares)
        assert shop.seen == shop.stored == ([1] if prepares else [])
        assert len(effects.report) == 1

    def test_prepared_and_committed_by_hand(self, shop: Shop, prepares: bool) -> None:
        """Preparing is no commit."""
        with shop.scope():
            shop.write(1)
        with nullcontext() if prepares else pytest.raises(SQLAlchemyError):
            shop.session.prepare()
        assert shop.seen == []
        if prepares:
            shop.session.commit()
        assert shop.seen == shop.stored == ([1] if prepares else [])

    def test_prepared_and_rolled_back(self, shop: Shop, prepares: bool) -> None:
        """What was prepared may still be undone."""
        with shop.scope() as effects:
            shop.write(1)
        with suppress(SQLAlchemyError):
            shop.session.prepare()
        assert shop.seen == []
        shop.session.rollback()
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1)]

    def test_after_an_error_that_was_caught(self, shop: Shop, prepares: bool) -> None:
        """PREPARE rolls back without a word, and COMMIT PREPARED finds nothing."""
        with shop.scope() as effects:
            shop.write(1)
            shop.fail()
            self.commit(shop, fails=True)
        assert shop.seen == shop.stored == []
        assert effects.report.discarded == [Marker(1)]

    def commit(self, shop: Shop, *, fails: bool) -> None:
        with closing(shop.session):
            if not fails:
                shop.session.commit()
                return
            with pytest.raises(SQLAlchemyError):
                shop.session.commit()


class TestSavepointsThatAreClosed:
    def test_what_was_not_flushed_outlives_them(self, shop: Shop) -> None:
        """SQLAlchemy keeps new objects then, and writes them with the transaction around."""
        with shop.scope() as effects:
            shop.write(1)
            savepoint = shop.session.begin_nested()
            shop.write(2)
            shop.session.add(Row(3))
            effects.emit(Marker(3))
            savepoint.close()
            shop.session.commit()
        assert shop.stored == [1, 3]
        assert shop.seen == [1]
        assert effects.report.discarded == [Marker(2), Marker(3)]

    @pytest.mark.parametrize("failing", [False, True])
    def test_the_end_of_a_block_rolls_them_back(self, shop: Shop, failing: bool) -> None:
        """With what was not flushed: the usual way to end one."""
        with shop.scope():
            with suppress(ZeroDivisionError), shop.session.begin_nested():
                shop.session.add(Row(1))
                emit(Marker(1))
                _ = 1 // (not failing)
            shop.session.commit()
        assert shop.stored == shop.seen == ([] if failing else [1])
