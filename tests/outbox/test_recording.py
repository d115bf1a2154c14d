"""What goes to an outbox is recorded in the transaction that decides, right before its COMMIT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

import airlock
from airlock import (
    ALLOW,
    Boundary,
    Dedupe,
    Drop,
    Hold,
    Limit,
    OncePerChain,
    Options,
    Outcome,
    Route,
    View,
    emit,
    enclose,
    region,
)
from airlock.errors import (
    NoTransactionError,
    NotRecordedError,
    OutboxSchemaError,
    PolicyError,
    SensitiveFieldError,
    UnencodableError,
)
from airlock.integrations.sqlalchemy import on_commit
from airlock.integrations.sqlite3 import connect
from airlock.integrations.sqlite3 import on_commit as on_commit_of_sqlite3
from airlock.outbox import Outbox
from airlock.testing import Recording
from airlock.wire import Limits, Wire
from tests.outbox.vocabulary import Log, Mail, Order, Secret, Shop, shop_in


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def shop(database: str, tmp_path: Path) -> Iterator[Shop]:
    with shop_in(database, tmp_path) as made:
        yield made


# -- one transaction ------------------------------------------------------------------------------


def test_the_order_and_its_effect_are_one_transaction(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        effects.emit(Mail(1))
        assert shop.rows() == []
        session.commit()
        assert (shop.orders(), shop.rows()) == ([1], [1])
    assert effects.report.recorded == [Mail(1)]
    assert effects.report.summary() == "1 recorded"
    assert shop.handled == []


def test_a_rollback_takes_both_back(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        effects.emit(Mail(1))
        session.rollback()
    assert (shop.orders(), shop.rows()) == ([], [])
    assert effects.report.discarded == [Mail(1)]


def test_a_commit_seals_whatever_the_block_does_afterwards(shop: Shop) -> None:
    with (
        suppress(ZeroDivisionError),
        Session(shop.engine) as session,
        shop.scope(session) as effects,
    ):
        shop.work(session, 1)
        effects.emit(Mail(1))
        session.commit()
        _ = 1 / 0
    assert shop.rows() == [1]
    assert effects.report.recorded == [Mail(1)]


def test_a_savepoint_that_is_rolled_back_records_nothing(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        effects.emit(Mail(1))
        savepoint = session.begin_nested()
        effects.emit(Mail(2))
        savepoint.rollback()
        with session.begin_nested():
            effects.emit(Mail(3))
        session.commit()
    assert shop.rows() == [1, 3]
    assert effects.report.discarded == [Mail(2)]


def test_it_takes_one_insert(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        effects.emit_all(Mail(n) for n in range(1000))
        with shop.statements() as found:
            session.commit()
    inserts = [sql for sql in found if "INSERT" in sql]
    assert len(inserts) == 1
    assert shop.rows() == [*range(1000)]


def test_a_second_transaction_of_an_outbox_executes_nothing_but_the_insert(shop: Shop) -> None:
    for n in (1, 2):
        with Session(shop.engine) as session, shop.scope(session) as effects:
            shop.work(session, n)
            effects.emit(Mail(n))
            with shop.statements() as found:
                session.commit()
    assert len(found) == 1


def test_what_is_handled_here_waits_for_the_end_of_the_block(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        effects.emit(Log(1))
        effects.emit(Mail(1))
        effects.emit(Log(2))
        session.commit()
        assert shop.rows() == [1]
        assert shop.handled == []
    assert shop.handled == [Log(1), Log(2)]
    assert effects.report.summary() == "2 delivered, 1 recorded"
    assert effects == [Log(1), Mail(1), Log(2)]


def test_a_block_that_ends_in_its_transaction_records_at_the_commit(shop: Shop) -> None:
    with Session(shop.engine) as session, session.begin():
        with shop.scope(session) as effects:
            shop.work(session, 1)
            effects.emit(Mail(1))
        assert shop.rows() == []
    assert shop.rows() == [1]
    assert effects.report.recorded == [Mail(1)]


def test_hooks_of_an_orm_flush_may_emit(shop: Shop) -> None:
    def noted(_: Any, __: Any, order: Order) -> None:
        emit(Mail(order.id))

    event.listen(Order, "after_insert", noted)
    try:
        with Session(shop.engine) as session, shop.scope(session):
            session.add(Order(id=7))
            session.commit()  # flushes, and only then is there anything to record
    finally:
        event.remove(Order, "after_insert", noted)
    assert (shop.orders(), shop.rows()) == ([7], [7])


def test_nested_scopes_and_regions_are_part_of_it(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        with shop.boundary.scope():
            emit(Mail(1))
            with region(Drop(Mail)):
                emit(Mail(2))
        with shop.boundary.scope(policy=Hold()):
            emit(Mail(3))
        session.commit()
    assert shop.rows() == [1]
    assert effects.report.dropped == [Mail(2)]
    assert effects.report.held == [Mail(3)]


def test_headers_and_options_are_in_the_row(shop: Shop) -> None:
    id_ = uuid4()
    options = Options(id=id_, delay=timedelta(hours=1), ordering_key="a", headers={"x": "1"})
    with Session(shop.engine) as session, shop.scope(session, headers={"tenant": "t"}) as effects:
        shop.work(session, 1)
        effects.emit(Mail(1), options)
        session.commit()
    [entry] = shop.outbox.database.run(shop.outbox.store.select)
    envelope = shop.outbox.wire.decode(entry.envelope)
    assert entry.id == id_ == effects.report.entries[0].id
    assert dict(envelope.headers) == {"tenant": "t", "x": "1"}
    assert entry.ordering_key == "a"
    assert timedelta(minutes=59) < entry.available_at - entry.created_at < timedelta(minutes=61)


def test_two_phases_record_before_they_are_prepared(tmp_path: Path) -> None:
    with shop_in("postgresql", tmp_path) as shop:
        with shop.engine.connect() as connection:
            if connection.execute(text("SHOW max_prepared_transactions")).scalar() == "0":
                pytest.skip("PostgreSQL has max_prepared_transactions = 0")
        with Session(shop.engine, twophase=True) as session, shop.scope(session) as effects:
            shop.work(session, 1)
            effects.emit(Mail(1))
            session.commit()
        assert shop.rows() == [1]


def test_serializable_callers_retry_with_nothing_counted(tmp_path: Path) -> None:
    """The COMMIT itself fails, after the recording: its row is gone, and so is what Limit counted."""
    with shop_in("postgresql", tmp_path) as shop:
        engine = shop.engine.execution_options(isolation_level="SERIALIZABLE")
        with (
            Session(engine) as session,
            Session(engine) as other,
            shop.scope(session, policy=Limit(1)) as effects,
        ):
            for one, n in ((session, 1), (other, 2)):
                assert one.execute(text("SELECT count(*) FROM orders")).scalar() == 0
                one.execute(text("INSERT INTO orders VALUES (:n)"), {"n": n})
            other.commit()
            effects.emit(Mail(1))
            with pytest.raises(OperationalError):
                session.commit()
            session.rollback()
            assert shop.rows() == []
            session.execute(text("INSERT INTO orders VALUES (3)"))
            effects.emit(Mail(2))
            session.commit()
        assert shop.rows() == [2]
        assert effects.report.summary() == "1 recorded, 1 discarded"


# -- several commits in one scope -----------------------------------------------------------------


def commits(shop: Shop, policy: Any, *numbers: int) -> airlock.Report:
    """Emit each number in a transaction of its own, in one scope."""
    with Session(shop.engine) as session, shop.scope(session, policy=policy) as effects:
        for at, n in enumerate(numbers):
            shop.work(session, at)
            effects.emit(Mail(n))
            session.commit()
    return effects.report


def test_a_limit_counts_on_across_transactions_and_the_flush(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session, policy=Limit(2)) as effects:
        for n in (1, 2, 3):
            shop.work(session, n)
            effects.emit(Mail(n))
            session.commit()
        effects.emit(Log(4))
        shop.work(session, 4)
        session.commit()
    assert shop.rows() == [1, 2]
    assert shop.handled == []
    assert effects.report.summary() == "2 recorded, 2 dropped"


def test_a_function_sees_what_was_allowed_before(shop: Shop) -> None:
    seen = list[tuple[Any, ...]]()

    def noting(view: View) -> list[Any]:
        seen.append((tuple(view.intents), tuple(view.earlier)))
        return [ALLOW] * len(view)

    commits(shop, noting, 1, 2)
    assert seen == [((Mail(1),), ()), ((Mail(2),), (Mail(1),))]


def test_dedupe_works_within_each_transaction(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session, policy=Dedupe(Mail)) as effects:
        shop.work(session, 1)
        effects.emit_all([Mail(1), Mail(1), Mail(2)])
        session.commit()
    assert shop.rows() == [1, 2]
    assert effects.report.merged == [Mail(1)]


def test_each_transaction_is_judged_once(shop: Shop) -> None:
    report = commits(shop, OncePerChain(Mail), 1, 2, 3)
    assert shop.rows() == [1, 2, 3]
    assert [wave.intents for wave in report.waves] == [[Mail(1)], [Mail(2)], [Mail(3)]]


# -- what keeps the COMMIT from happening ---------------------------------------------------------


def refused(shop: Shop, kind: type[Exception], *emitted: Any, **options: Any) -> Exception:
    """Commit an order with effects; nothing of that may be there afterwards."""
    with Session(shop.engine) as session, shop.scope(session, **options) as effects:
        shop.work(session, 1)
        effects.emit_all(emitted)
        with pytest.raises(kind) as raised:
            session.commit()
        session.rollback()
    assert (shop.orders(), shop.rows()) == ([], [])
    assert effects.report.discarded == [*emitted]
    return raised.value


def test_a_policy_that_raises(shop: Shop) -> None:
    def broken(_: View) -> Any:
        raise ZeroDivisionError

    error = refused(shop, PolicyError, Mail(1), policy=broken)
    assert "the COMMIT was not sent" in "".join(error.__notes__)


def test_a_limit_of_the_wire(database: str, tmp_path: Path) -> None:
    with shop_in(database, tmp_path, wire=Wire(limits=Limits(size=50))) as shop:
        error = refused(shop, UnencodableError, Mail(10**30))
        assert "Limits" in str(error)


def test_an_insert_that_fails(shop: Shop) -> None:
    with shop.engine.begin() as connection:
        connection.execute(text("CREATE UNIQUE INDEX one_of_each ON airlock_outbox (kind)"))
    refused(shop, IntegrityError, Mail(1), Mail(2))


def test_tables_that_are_not_there(database: str, tmp_path: Path) -> None:
    with shop_in(database, tmp_path) as shop:
        outbox = Outbox(shop.engine)
        with shop.engine.begin() as connection:
            for name in ("airlock_outbox", "airlock_outbox_pauses", "airlock_outbox_schema"):
                connection.execute(text(f"DROP TABLE {name}"))
        boundary = Boundary({}, dispatch=outbox)
        with (
            Session(shop.engine) as session,
            boundary.scope(release=on_commit(session)) as effects,
        ):
            shop.work(session, 1)
            effects.emit(Mail(1))
            with pytest.raises(OutboxSchemaError, match="airlock outbox init"):
                session.commit()
            session.rollback()
        assert shop.orders() == []


def test_a_session_in_a_with_block_rolls_back_by_itself(shop: Shop) -> None:
    def broken(_: View) -> Any:
        raise ZeroDivisionError

    def work() -> None:
        with Session(shop.engine) as session, session.begin():
            effects.release_with(on_commit(session))
            shop.work(session, 1)
            effects.emit(Mail(1))

    with shop.boundary.scope(policy=broken) as effects, pytest.raises(PolicyError):
        work()
    assert (shop.orders(), shop.rows()) == ([], [])


# -- emissions that cannot be recorded ------------------------------------------------------------


def test_an_emission_without_a_release_is_refused(shop: Shop) -> None:
    with shop.boundary.scope() as effects:
        with pytest.raises(NotRecordedError, match="standalone=True"):
            effects.emit(Mail(1))
        with pytest.raises(NotRecordedError):
            effects.emit_all([Log(1), Mail(1)])
        effects.emit(Log(2))
    assert effects.report.summary() == "1 delivered"


def test_an_emission_in_the_transaction_of_another_database_is_refused(shop: Shop) -> None:
    other = create_engine("sqlite://")
    with (
        Session(other) as session,
        shop.scope(session) as effects,
        pytest.raises(NotRecordedError, match="a transaction in sqlite"),
    ):
        effects.emit(Mail(1))
    other.dispose()


def test_an_engine_that_commits_each_statement_is_refused(shop: Shop) -> None:
    engine = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
    with (
        Session(engine) as session,
        shop.scope(session) as effects,
        pytest.raises(NotRecordedError),
    ):
        effects.emit(Mail(1))


def test_what_no_transaction_has_committed_is_refused_at_the_end(shop: Shop) -> None:
    with (
        pytest.raises(NoTransactionError, match="ends without one that was committed"),
        Session(shop.engine) as session,
        shop.scope(session) as effects,
    ):
        effects.emit(Mail(1))
    assert effects.report.pending == [Mail(1)]
    assert shop.rows() == []


def test_a_sensitive_field_without_a_cipher_is_refused_at_the_emission(shop: Shop) -> None:
    with (
        Session(shop.engine) as session,
        shop.scope(session) as effects,
        pytest.raises(SensitiveFieldError),
    ):
        effects.emit(Secret("4111"))


# -- standalone -----------------------------------------------------------------------------------


def test_an_outbox_may_record_alone_all_of_a_wave_in_one_transaction(
    database: str, tmp_path: Path
) -> None:
    with shop_in(database, tmp_path, standalone=True) as shop:
        with shop.statements() as found, shop.boundary.scope() as effects:
            effects.emit(Log(0))
            effects.emit_all(Mail(n) for n in range(20))
            effects.emit(Log(1))
        assert sum("INSERT" in sql for sql in found) == 1
        assert shop.rows() == [*range(20)]
        assert effects.report.summary() == "2 delivered, 20 recorded"
        assert shop.handled == [Log(0), Log(1)]


def test_follow_ups_of_handlers_are_recorded_alone(database: str, tmp_path: Path) -> None:
    with shop_in(database, tmp_path, standalone=True) as shop:
        boundary = Boundary(
            {Log: lambda log: emit(Mail(log.n))}, dispatch=Route({Mail: shop.outbox})
        )
        with boundary.scope(headers={"tenant": "t"}) as effects:
            effects.emit_all([Log(1), Log(2)])
        assert shop.rows() == [1, 2]
        entries = shop.outbox.database.run(shop.outbox.store.select)
        envelope = shop.outbox.wire.decode(entries[0].envelope)
        assert dict(envelope.headers) == {"tenant": "t"}
        assert [cause.kind for cause in envelope.causation.ancestors] == ["recording.log"]


def test_one_that_cannot_be_written_fails_those_of_its_wave(database: str, tmp_path: Path) -> None:
    with shop_in(database, tmp_path, standalone=True, wire=Wire(limits=Limits(size=50))) as shop:
        with suppress(airlock.FlushError), shop.boundary.scope() as effects:
            effects.emit(Mail(10**30))
            effects.emit(Log(1))
        assert [e.outcome for e in effects.report] == [Outcome.FAILED, Outcome.DELIVERED]
        assert shop.rows() == []


# -- handlers with transactions of their own ------------------------------------------------------


def test_a_handler_records_its_follow_ups_in_its_own_transaction(shop: Shop) -> None:
    def handle(log: Log) -> None:
        with Session(shop.engine) as session, boundary.scope(release=on_commit(session)):
            shop.work(session, log.n)
            emit(Mail(log.n))
            session.commit()

    boundary = Boundary({Log: handle}, dispatch=Route({Mail: shop.outbox}))
    with boundary.scope(headers={"tenant": "t"}) as effects:
        effects.emit_all([Log(1), Log(2)])
    assert (shop.orders(), shop.rows()) == ([1, 2], [1, 2])
    assert effects.report.summary() == "2 delivered, 2 recorded"
    [first, _] = shop.outbox.database.run(shop.outbox.store.select)
    envelope = shop.outbox.wire.decode(first.envelope)
    assert [cause.kind for cause in envelope.causation.ancestors] == ["recording.log"]
    assert dict(envelope.headers) == {"tenant": "t"}
    assert [entry.cause and entry.cause.intent for entry in effects.report.of(Mail)] == [
        Log(1),
        Log(2),
    ]


def test_what_a_handler_has_committed_stays_recorded_if_it_fails_afterwards(shop: Shop) -> None:
    def handle(log: Log) -> None:
        with Session(shop.engine) as session, boundary.scope(release=on_commit(session)):
            shop.work(session, log.n)
            emit(Mail(log.n))
            session.commit()
            if log.n == 1:
                raise ValueError

    boundary = Boundary({Log: handle}, dispatch=Route({Mail: shop.outbox}))
    with pytest.raises(airlock.FlushError), boundary.scope() as effects:
        effects.emit_all([Log(1), Log(2)])
    assert shop.rows() == [1, 2]
    assert effects.report.summary() == "1 delivered, 2 recorded, 1 failed"


def test_what_a_handler_has_rolled_back_is_discarded(shop: Shop) -> None:
    def handle(log: Log) -> None:
        with Session(shop.engine) as session, boundary.scope(release=on_commit(session)):
            shop.work(session, log.n)
            emit(Mail(log.n))
            session.rollback()

    boundary = Boundary({Log: handle}, dispatch=Route({Mail: shop.outbox}))
    with boundary.scope() as effects:
        effects.emit(Log(1))
    assert shop.rows() == []
    assert effects.report.summary() == "1 delivered, 1 discarded"


@contextmanager
def recording(mode: Any = "record") -> Iterator[Recording]:
    recorded = Recording(mode=mode)
    recorded.start()
    try:
        yield recorded
    finally:
        recorded.stop()


# -- policies and tests ---------------------------------------------------------------------------


def test_what_is_held_is_a_plan_and_recorded_when_that_is_applied(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session, policy=Hold(Mail)) as effects:
        shop.work(session, 1)
        effects.emit(Mail(1))
        session.commit()
    assert (shop.orders(), shop.rows()) == ([1], [])
    plan = effects.plan()
    assert str(shop.boundary.apply(plan)) == "1 recorded"
    assert shop.rows() == [1]


def test_an_enclosure_drops_it(shop: Shop) -> None:
    with enclose(Drop()), Session(shop.engine) as session, shop.scope(session) as effects:
        shop.work(session, 1)
        effects.emit(Mail(1))
        session.commit()
    assert (shop.orders(), shop.rows()) == ([1], [])
    assert effects.report.dropped == [Mail(1)]


def test_a_nested_enclosure_of_the_process_drops_it(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.scope(session) as effects:
        with enclose(Drop(), process=True):
            shop.work(session, 1)
            effects.emit(Mail(1))
        session.commit()
    assert shop.rows() == []


def test_an_override_stands_for_the_outbox(shop: Shop) -> None:
    seen = list[Any]()
    with Session(shop.engine) as session, shop.scope(session) as effects:
        with effects.override({Mail: seen.append}):
            shop.work(session, 1)
            effects.emit(Mail(1))
        effects.emit(Mail(2))
        session.commit()
    assert seen == [Mail(1)]
    assert shop.rows() == [2]


def test_a_recording_of_a_test_needs_no_release_and_writes_nothing(shop: Shop) -> None:
    with recording() as effects:
        with shop.boundary.scope():
            emit(Mail(1))
        with Session(shop.engine) as session, shop.scope(session):
            shop.work(session, 1)
            emit(Mail(2))
            session.commit()
    assert effects == [Mail(1), Mail(2)]
    assert shop.rows() == []


def test_a_recording_that_allows_effects_shows_what_was_recorded(shop: Shop) -> None:
    with (
        recording(mode="allow") as effects,
        Session(shop.engine) as session,
        shop.scope(session),
    ):
        shop.work(session, 1)
        emit(Mail(1))
        session.commit()
        shop.work(session, 2)
        emit(Mail(2))
        session.rollback()
    assert effects == [Mail(1)]
    assert shop.rows() == [1]


# -- sqlite3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["commit()", "COMMIT", "END", "with", "RELEASE"])
def test_a_plain_connection_of_sqlite3_records(how: str, tmp_path: Path) -> None:
    with shop_in("sqlite", tmp_path) as shop:
        connection = connect(tmp_path / "shop.db", isolation_level=None)
        with shop.boundary.scope(release=on_commit_of_sqlite3(connection)) as effects:
            connection.execute("SAVEPOINT work" if how == "RELEASE" else "BEGIN")
            connection.execute("INSERT INTO orders VALUES (1)")
            effects.emit(Mail(1))
            if how == "commit()":
                connection.commit()
            elif how == "with":
                with connection:
                    pass
            else:
                connection.execute("RELEASE work" if how == "RELEASE" else how)
        connection.close()
        assert (shop.orders(), shop.rows()) == ([1], [1])
        assert effects.report.recorded == [Mail(1)]


def test_a_plain_connection_of_sqlite3_is_rolled_back_if_it_cannot_record(tmp_path: Path) -> None:
    def broken(_: View) -> Any:
        raise ZeroDivisionError

    with shop_in("sqlite", tmp_path) as shop:
        connection = connect(tmp_path / "shop.db", isolation_level=None)
        release = on_commit_of_sqlite3(connection)
        with shop.boundary.scope(release=release, policy=broken) as effects:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO orders VALUES (1)")
            effects.emit(Mail(1))
            with pytest.raises(PolicyError):
                connection.commit()
            assert not connection.in_transaction
        connection.close()
        assert (shop.orders(), shop.rows()) == ([], [])
        assert effects.report.discarded == [Mail(1)]
