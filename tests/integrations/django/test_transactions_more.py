"""A release for Django: how many callbacks, threads, async code, handlers, and what is refused."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, Error, OperationalError, connections, transaction
from django.db.models.signals import post_delete, post_save
from django.test import TestCase

import airlock
from airlock import Boundary, FlushError, Scope, intent
from airlock.errors import AsyncHandlerError, DeclarationError, NoScopeError, ReleaseError
from airlock.integrations.django import on_commit as exported
from airlock.integrations.django.testing import EffectsTestMixin
from airlock.integrations.django.transactions import on_commit
from airlock.integrations.django.watching import transactions_of
from airlock.scopes.scope import State
from tests.integrations.django.shop.models import Row
from tests.integrations.services import postgresql


@intent(kind="django-more.note")
class Note:
    text: str


class SurpriseError(Exception):
    """What goes wrong in a block."""


delivered: list[str] = []
boundary = Boundary({Note: lambda note: delivered.append(note.text)})


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    delivered.clear()
    connections.close_all()
    for alias in connections:
        Row.objects.using(alias).all().delete()


def place(text: str, alias: str = "default") -> None:
    Row.objects.using(alias).create(text=text)
    airlock.emit(Note(text))


def run_in_thread(work: Callable[[], None]) -> None:
    """Which has a connection of its own, and no context."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    if raised:
        raise raised[0]


# -- callbacks -------------------------------------------------------------------------------------


def callbacks() -> int:
    return len(connections["default"].run_on_commit)


def test_a_hundred_thousand_intents_take_one_callback() -> None:
    """One for the transaction, whatever is emitted in it."""
    notes = [Note(str(n)) for n in range(100_000)]
    with boundary.scope(release=on_commit()), transaction.atomic():
        for note in notes:
            airlock.emit(note)
        assert callbacks() == 1
    assert delivered == [note.text for note in notes]


def test_callbacks_are_never_more_than_segments() -> None:
    """A savepoint needs one where nothing around it has one, and its release passes that on."""
    with boundary.scope(release=on_commit()), transaction.atomic():
        for n in range(10):
            with suppress(SurpriseError), transaction.atomic():
                airlock.emit(Note(f"{n} is rolled back"))
                assert callbacks() == 1
                raise SurpriseError
            assert callbacks() == 0
        for n in range(10):
            with transaction.atomic():
                for _ in range(10):
                    airlock.emit(Note(str(n)))
                with transaction.atomic():
                    airlock.emit(Note(str(n)))
            assert callbacks() == 1
    assert len(delivered) == 110


def test_a_callback_that_a_rollback_dropped_is_made_again() -> None:
    """So that effects keep their turn among the callbacks of others."""
    with transaction.atomic():
        with boundary.scope(release=on_commit()):
            with suppress(SurpriseError), transaction.atomic():
                airlock.emit(Note("rolled back"))
                raise SurpriseError
            airlock.emit(Note("a"))
            assert callbacks() == 1
        transaction.on_commit(lambda: delivered.append("after"))
    assert delivered == ["a", "after"]


def test_a_callback_that_somebody_calls_delivers_nothing_before_the_commit() -> None:
    """Only a TestCase has no commit to wait for."""
    with transaction.atomic():
        with boundary.scope(release=on_commit()):
            place("a")
        for _, callback, _ in connections["default"].run_on_commit:  # type: ignore[misc]  # the stubs are old
            callback()
        assert delivered == []
    assert delivered == ["a"]


def test_savepoints_that_nobody_releases_end_with_the_transaction() -> None:
    """Nothing of them is left for the next."""
    with boundary.scope(release=on_commit()):
        for text in "ab":
            with transaction.atomic():
                assert connections["default"].savepoint()
                place(text)
    assert delivered == ["a", "b"]
    assert len(transactions_of(connections["default"])._levels) == 1


def test_the_calls_for_each_intent_do_not_grow() -> None:
    """Ten times as many take ten times as many calls, in inner atomic() as well."""

    def calls(n: int) -> int:
        counted = Counter[str]()
        sys.setprofile(lambda _, event, __: counted.update([event]))
        try:
            with boundary.scope(release=on_commit()), transaction.atomic():
                for at in range(n):
                    with suppress(SurpriseError), transaction.atomic():
                        airlock.emit(Note(""))
                        if at % 2:
                            raise SurpriseError
        finally:
            sys.setprofile(None)
        return counted["call"] + counted["c_call"]

    calls(100)
    assert calls(2_000) < 10.5 * calls(200)


# -- handlers --------------------------------------------------------------------------------------


def test_handlers_of_a_commit_may_open_transactions() -> None:
    """They run when the connection is out of the one that was committed."""

    def store(note: Note) -> None:
        assert not connections["default"].in_atomic_block
        with transaction.atomic(durable=True):
            Row.objects.create(text=f"handled {note.text}")
        delivered.append(note.text)

    with transaction.atomic(), Boundary({Note: store}).scope(release=on_commit()):
        place("a")
        place("b")
    assert delivered == ["a", "b"]
    assert Row.objects.count() == 4


def test_handlers_of_a_commit_may_open_scopes_with_releases() -> None:
    """Each is settled by its own transaction."""

    def again(note: Note) -> None:
        if note.text != "a":
            delivered.append(note.text)
            return
        with transaction.atomic(), boundary.scope(release=on_commit(), independent=True):
            place("b")
        assert delivered == ["b"]

    boundary = Boundary({Note: again})
    with transaction.atomic(), boundary.scope(release=on_commit()):
        place("a")
    assert delivered == ["b"]


def test_handlers_of_a_rollback() -> None:
    """Two databases, and the last to end rolls back: the flush is when the connection is free."""

    def store(note: Note) -> None:
        with transaction.atomic(durable=True):
            Row.objects.create(text=f"handled {note.text}")

    effects = Boundary({Note: store}).scope(release=on_commit())
    with suppress(SurpriseError), transaction.atomic():
        with effects:
            place("a")

            def other_thread() -> None:
                with transaction.atomic():
                    effects.emit(Note("b"))

            run_in_thread(other_thread)
        raise SurpriseError
    assert effects.report.delivered == [Note("b")]
    assert [row.text for row in Row.objects.all()] == ["handled b"]


def test_an_error_is_raised_from_the_commit_if_asked_for() -> None:
    """The row stays; another scope is delivered, and the connection is well."""

    def fail(note: Note) -> None:
        raise SurpriseError(note.text)

    effects = boundary.scope(release=on_commit(on_flush_error="raise"))

    @transaction.atomic
    def work() -> None:
        with effects, effects.override({Note: fail}):
            place("a")
        with boundary.scope(release=on_commit()):
            place("b")

    with pytest.raises(FlushError, match="SurpriseError"):
        work()
    assert effects.report.failed == [Note("a")]
    assert delivered == ["b"]
    assert Row.objects.count() == 2
    assert transaction.get_autocommit()


def test_an_error_beside_that_of_another_callback_is_a_note_on_it() -> None:
    """The first error goes on, and says so."""

    def fail(*_: object) -> None:
        raise SurpriseError("of a callback")

    effects = boundary.scope(release=on_commit(on_flush_error="raise"))

    @transaction.atomic
    def work() -> None:
        transaction.on_commit(fail)
        with effects, effects.override({Note: fail}):
            place("a")

    with pytest.raises(SurpriseError, match="of a callback") as raised:
        work()
    assert "effects released by the commit failed as well" in raised.value.__notes__[0]
    assert effects.report.failed == [Note("a")]


def test_async_handlers_are_refused_before_the_commit() -> None:
    """A block that ends in its transaction is flushed by the commit, which awaits nothing."""

    async def send(note: Note) -> None: ...

    effects = Boundary({Note: send}).scope(release=on_commit())
    with pytest.raises(AsyncHandlerError), transaction.atomic(), effects:
        place("a")
    assert Row.objects.count() == 0


# -- threads and async code ------------------------------------------------------------------------


def test_threads_have_transactions_of_their_own() -> None:
    """What a thread emits is decided in that thread."""
    release = on_commit()
    with boundary.scope(release=release) as effects:

        def work() -> None:
            with suppress(SurpriseError), transaction.atomic():
                effects.emit(Note("rolled back there"))
                raise SurpriseError
            with transaction.atomic():
                effects.emit(Note("committed there"))

        with transaction.atomic():
            run_in_thread(work)
            effects.emit(Note("committed here"))
            assert delivered == []
    assert delivered == ["committed there", "committed here"]


def test_a_scope_waits_for_the_transactions_of_all_threads() -> None:
    """The last of them flushes."""
    opened, proceed = threading.Event(), threading.Event()
    effects = boundary.scope(release=on_commit())

    def work() -> None:
        with transaction.atomic():
            effects.emit(Note("there"))
            opened.set()
            proceed.wait(10)

    with effects:
        thread = threading.Thread(target=lambda: run_in_thread(work))
        thread.start()
        assert opened.wait(10)
        with transaction.atomic():
            effects.emit(Note("here"))
    assert effects.state is State.WAITING
    assert delivered == []
    proceed.set()
    thread.join(30)
    assert delivered == ["there", "here"]


def test_async_code_is_in_no_transaction_and_its_threads_are() -> None:
    """``sync_to_async`` runs in the thread whose connection Django uses."""

    def ordered(text: str, *, fails: bool = False) -> None:
        with transaction.atomic():
            place(text)
            if fails:
                raise SurpriseError

    async def view() -> Scope:
        async with boundary.scope(release=on_commit()) as effects:
            airlock.emit(Note("async"))
            await sync_to_async(ordered)("a")
            with suppress(SurpriseError):
                await sync_to_async(ordered)("b", fails=True)
            await asyncio.gather(*[sync_to_async(ordered)(text) for text in "cd"])
        await sync_to_async(connections.close_all)()
        return effects

    effects = asyncio.run(view())
    assert set(delivered) == {"async", "a", "c", "d"}
    assert effects.report.discarded == [Note("b")]


# -- what becomes of connections -------------------------------------------------------------------


@pytest.mark.filterwarnings(  # nobody closes the connection: that is the point
    "ignore:unclosed database:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
def test_a_thread_that_ends_in_a_transaction_leaves_nothing_waiting() -> None:
    """Its connection is thrown away, and the database rolls back."""
    effects = boundary.scope(release=on_commit())

    def work() -> None:
        transaction.set_autocommit(False)
        with effects:
            airlock.emit(Note("a"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    del thread
    gc.collect()
    assert effects.report.discarded == [Note("a")]


def test_a_connection_that_the_server_ends() -> None:
    """PostgreSQL is restarted, say, in the midst of a transaction."""
    postgresql()
    connection = connections["postgres"]
    with boundary.scope(release=on_commit("postgres")) as effects:
        with suppress(DatabaseError), transaction.atomic("postgres"):
            place("a", "postgres")
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                (pid,) = cursor.fetchone()
            kill(pid)
        place("b", "postgres")
    assert effects.report.discarded == [Note("a")]
    assert delivered == ["b"]


def kill(pid: int) -> None:
    second = connections["postgres"].copy()
    with second.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    second.close()


def test_some_errors_of_mysql_roll_back_the_whole_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its driver does not know of transactions, but other errors take along their statement only."""
    code = 1213

    def deadlock(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql == "SELECT 1":
            raise OperationalError(code, "Deadlock found when trying to get lock")
        return execute(sql, *arguments)

    connection = connections["default"]
    monkeypatch.setattr(connection, "vendor", "mysql")
    with boundary.scope(release=on_commit()) as effects, connection.execute_wrapper(deadlock):
        for code in (1213, 1020, 1205):
            with transaction.atomic():
                place(f"before {code}")
                with suppress(OperationalError), connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                place(f"after {code}")
    assert effects.report.discarded == [Note("before 1213"), Note("before 1020")]
    assert delivered == ["after 1213", "after 1020", "before 1205", "after 1205"]


def test_a_callback_that_emits_is_called_after_the_request_in_a_test_case() -> None:
    """As the page says: there is no scope any more, unless ``captureEffects`` is around."""
    case: Any = type("Tests", (EffectsTestMixin, TestCase), {"databases": {"default"}})
    atomics = case._enter_atomics()

    def request(text: str) -> None:
        with boundary.scope(release=on_commit()), transaction.atomic():
            place(text)
            transaction.on_commit(lambda: airlock.emit(Note("called back")))

    try:
        with pytest.raises(NoScopeError), case.captureOnCommitCallbacks(execute=True):
            request("a")
        assert delivered == ["a"]
        with case.captureEffects() as effects:
            request("b")
        assert effects == [Note("b"), Note("called back")]
    finally:
        case._rollback_atomics(atomics)


def test_a_test_case_whose_transaction_the_database_ended() -> None:
    """That spoils the test, and Django says so: the next savepoint is a transaction of its own."""
    case: Any = type("Tests", (TestCase,), {"databases": {"default"}})
    atomics = case._enter_atomics()
    with boundary.scope(release=on_commit()) as effects, suppress(Error), transaction.atomic():
        place("a")
        with connections["default"].cursor() as cursor:
            cursor.execute("ROLLBACK")
        with transaction.atomic():
            place("b")
    with suppress(Error), transaction.atomic():
        place("c")
    case._rollback_atomics(atomics)
    assert delivered == ["b"]
    assert effects.report.discarded == [Note("a")]


def test_the_wrappers_of_others_stay_as_they_are() -> None:
    """Ours is around all of them, and so a block that takes away the last takes away its own."""
    seen: list[str] = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        seen.append(sql)
        return execute(sql, *arguments)

    del connections["default"]
    connection = connections["default"]
    with boundary.scope(release=on_commit()), connection.execute_wrapper(note):
        with transaction.atomic():
            place("a")
        count = len(seen)
    assert count > 0
    Row.objects.count()
    assert len(seen) == count
    assert len(connection.execute_wrappers) == 1


def test_a_connection_that_is_closed_behind_the_back_of_django() -> None:
    """The error is that of the database, and nothing is delivered."""
    with boundary.scope(release=on_commit()) as effects:
        with suppress(Error), transaction.atomic():
            place("a")
            connections["default"].connection.close()
        place("b")
    assert effects.report.discarded == [Note("a")]
    assert delivered == ["b"]


def test_a_connection_that_is_replaced() -> None:
    """Django can use none again that was closed in an atomic() of manual mode; a new one is."""
    transaction.set_autocommit(False)
    with boundary.scope(release=on_commit()) as effects:
        with suppress(Error), transaction.atomic():
            place("a")
            connections["default"].close()
        assert connections["default"].in_atomic_block
        del connections["default"]
        with transaction.atomic():
            place("b")
    assert delivered == ["b"]
    assert effects.report.discarded == [Note("a")]


@contextmanager
def database(alias: str, **settings: Any) -> Iterator[None]:
    """Another alias of the default database, with settings of its own."""
    connections.settings[alias] = {**connections.settings["default"], **settings}
    try:
        yield
    finally:
        if connections[alias].connection is not None:
            connections[alias].connection.close()
        del connections[alias]
        del connections.settings[alias]


def test_a_memory_database_stays_open() -> None:
    """Django does not close it, and so its transaction goes on."""
    with database("memory", NAME=":memory:"):
        with boundary.scope(release=on_commit("memory")), transaction.atomic("memory"):
            airlock.emit(Note("a"))
            connections["memory"].close()
        assert delivered == ["a"]


def test_a_database_without_autocommit() -> None:
    """Whoever sets AUTOCOMMIT to False commits by hand, from the first statement on."""
    with database("manual", AUTOCOMMIT=False):
        effects = boundary.scope(release=on_commit("manual"))
        with suppress(SurpriseError), effects:
            airlock.emit(Note("a"))
            Row.objects.using("manual").create(text="a")
            transaction.commit("manual")
            airlock.emit(Note("b"))
            transaction.rollback("manual")
            raise SurpriseError
    assert delivered == ["a"]
    assert effects.report.discarded == [Note("b")]


def test_autocommit_that_is_switched_on_commits_on_sqlite() -> None:
    """SQLite does that, and tells nobody."""
    with boundary.scope(release=on_commit(), keep=lambda error: False):
        transaction.set_autocommit(False)
        place("a")
        transaction.set_autocommit(True)
    assert delivered == ["a"]
    connections.close_all()
    assert Row.objects.count() == 1


def test_a_commit_that_fails_by_hand_is_a_rollback_on_postgresql() -> None:
    """The transaction is over then; on SQLite it goes on."""
    postgresql()
    transaction.set_autocommit(False, "postgres")
    with boundary.scope(release=on_commit("postgres")) as effects:
        place("a", "postgres")
        with connections["postgres"].cursor() as cursor:
            cursor.execute("INSERT INTO shop_line (row_id) VALUES (4242)")
        with pytest.raises(Error):
            transaction.commit("postgres")
        assert effects == []
        place("b", "postgres")
        transaction.commit("postgres")
    transaction.set_autocommit(True, "postgres")
    assert delivered == ["b"]
    assert [row.text for row in Row.objects.using("postgres").all()] == ["b"]


# -- where Django opens an atomic() by itself ------------------------------------------------------


@pytest.fixture
def telling() -> Iterator[None]:
    """Rows that emit when they are saved or deleted."""

    def tell(instance: Row, **_: Any) -> None:
        airlock.emit(Note(instance.text))

    for signal in (post_save, post_delete):
        signal.connect(tell, sender=Row)
    yield
    for signal in (post_save, post_delete):
        signal.disconnect(tell, sender=Row)


BY_ITSELF: dict[str, Callable[[], object]] = {
    "get_or_create": lambda: Row.objects.get_or_create(text="a"),
    "update_or_create, which creates": lambda: Row.objects.update_or_create(text="a"),
    "update_or_create, which updates": lambda: Row.objects.update_or_create(
        {"text": "b"}, text="there"
    ),
    "delete": lambda: Row.objects.get(text="there").delete(),
    "delete of several": lambda: Row.objects.filter(text="there").delete(),
}
IN_NONE: dict[str, Callable[[], object]] = {
    "create": lambda: Row.objects.create(text="a"),
    "save": lambda: Row.objects.get(text="there").save(),
    "get_or_create, which gets": lambda: Row.objects.get_or_create(text="there"),
}


@pytest.mark.parametrize("how", [*BY_ITSELF, *IN_NONE])
def test_what_is_emitted_in_an_atomic_of_djangos_own(telling: None, how: str) -> None:
    """That one decides, as if the code had written it; elsewhere the block does."""
    Row.objects.bulk_create([Row(text="there")])
    with suppress(SurpriseError), boundary.scope(release=on_commit()):
        (BY_ITSELF | IN_NONE)[how]()
        airlock.emit(Note("after it"))
        raise SurpriseError
    assert len(delivered) == (how in BY_ITSELF)


# -- what is refused -------------------------------------------------------------------------------


def test_the_package_exports_it() -> None:
    assert exported is on_commit


def test_none_is_the_default_database() -> None:
    assert on_commit(None) == on_commit("default") == on_commit()


def test_an_unknown_database_is_refused() -> None:
    """When the release is made, with a guess."""
    with pytest.raises(ReleaseError) as raised:
        on_commit("othr")
    assert str(raised.value).startswith("on_commit('othr') names no database: DATABASES has 'def")
    assert str(raised.value).endswith("Did you mean 'other'?")


def test_another_way_to_treat_errors_is_refused() -> None:
    with pytest.raises(DeclarationError, match="'report' or 'raise'"):
        on_commit(on_flush_error="ignore")  # type: ignore[arg-type]  # what it is about
