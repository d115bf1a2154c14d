"""Units of work that a framework runs: their scopes, and what becomes of errors of their flushes."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import threading
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import airlock
from airlock import Boundary, Drop, HandlesBatch, Options, RetryPolicy
from airlock.errors import (
    DeclarationError,
    FlushError,
    NoScopeError,
    OpenRegionsError,
    PlanError,
    ScopeOrderError,
    SettingError,
)
from airlock.integrations.base import SLOW, Edge, effects_mode, keep_web, parse_mode, scopeless
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.plan import Plan


@airlock.intent(kind="edges.note")
class Note:
    text: str


def fail(intent: Note) -> None:
    raise ConnectionError(intent.text)


def test_the_scope_is_flushed_when_the_work_is_done() -> None:
    done: list[Any] = []
    with Edge(Boundary({Note: done.append})).scope("GET /") as effects:
        airlock.emit(Note("a"))
        assert done == []
    assert done == [Note("a")]
    assert effects.report.delivered == [Note("a")]


def test_an_error_of_the_work_is_raised_and_nothing_is_delivered() -> None:
    done: list[Any] = []
    with pytest.raises(KeyError), Edge(Boundary({Note: done.append})).scope("GET /"):
        airlock.emit(Note("a"))
        raise KeyError
    assert done == []


def test_an_error_of_the_flush_is_logged_counted_and_in_the_report(
    caplog: pytest.LogCaptureFixture,
) -> None:
    edge = Edge(Boundary({Note: fail}))
    with edge.scope("GET /checkout") as effects:
        airlock.emit(Note("a"))
    assert effects.report.failed == [Note("a")]
    assert edge.flush_errors == 1
    assert "effects of GET /checkout failed" in caplog.text
    assert "ConnectionError" in caplog.text


def test_or_is_raised() -> None:
    edge = Edge(Boundary({Note: fail}), on_flush_error="raise")
    with pytest.raises(FlushError), edge.scope("GET /"):
        airlock.emit(Note("a"))
    assert edge.flush_errors == 1


def test_also_if_a_commit_around_the_work_sets_it_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edge = Edge(Boundary({Note: fail}))
    with connect(tmp_path / "db") as connection:
        connection.execute("BEGIN")
        with edge.scope("POST /orders", release=on_commit(connection)) as effects:
            airlock.emit(Note("a"))
        assert edge.flush_errors == 0
        connection.commit()
    assert effects.report.failed == [Note("a")]
    assert edge.flush_errors == 1
    assert "effects of POST /orders failed" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("which", ["edge", "release"])
def test_or_is_raised_from_that_commit(which: str, tmp_path: Path) -> None:
    edge = Edge(Boundary({Note: fail}), on_flush_error="raise" if which == "edge" else "report")
    with connect(tmp_path / "db") as connection:
        release = on_commit(connection, on_flush_error="raise" if which != "edge" else "report")
        connection.execute("BEGIN")
        with edge.scope("POST /orders", release=release):
            airlock.emit(Note("a"))
        with pytest.raises(FlushError):
            connection.commit()
    assert edge.flush_errors == 1


def test_in_async_work_too(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Any] = []

    async def handler(intent: Note) -> None:
        done.append(intent)
        raise ConnectionError

    async def work() -> None:
        async with Edge(Boundary({Note: handler})).scope("GET /"):
            airlock.emit(Note("a"))

    asyncio.run(work())
    assert done == [Note("a")]
    assert "effects of GET / failed" in caplog.text


def test_an_interruption_is_not_an_error_of_the_flush() -> None:
    def interrupt(_: Note) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Edge(Boundary({Note: interrupt})).scope("GET /"):
        airlock.emit(Note("a"))


def test_a_scope_left_open_by_failing_work_does_not_stay_current() -> None:
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    with pytest.raises(KeyError), Edge(boundary).scope("GET /"):
        boundary.scope().enter().emit(Note("a"))
        raise KeyError
    with pytest.raises(NoScopeError):
        airlock.current()
    assert done == []


@pytest.mark.parametrize("on_flush_error", ["report", "raise"])
def test_a_scope_left_open_by_work_that_ends_well_is_told_and_costs_what_is_in_it(
    on_flush_error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    edge = Edge(boundary, on_flush_error=on_flush_error)
    raised = pytest.raises(ScopeOrderError) if on_flush_error == "raise" else nullcontext()
    with raised, edge.scope("GET /") as effects:
        airlock.emit(Note("a"))
        boundary.scope().enter()
        airlock.emit(Note("in the scope left open"))
    with pytest.raises(NoScopeError):
        airlock.current()
    assert done == [Note("a")]
    assert effects.report.discarded == [Note("in the scope left open")]
    assert edge.flush_errors == 1
    assert ("GET / has left a scope open" in caplog.text) is (on_flush_error == "report")


def test_work_inside_of_other_work_tells_of_it_too(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    edge = Edge(boundary)
    with edge.scope("the batch"), edge.scope("one of it"):
        airlock.emit(Note("a"))
        boundary.scope().enter()
    assert done == [Note("a")]
    assert "one of it has left a scope open" in caplog.text
    assert edge.flush_errors == 1


def test_work_names_its_scope_in_messages_and_somebody_elses_words_are_escaped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Edge(Boundary({Note: fail})).scope("GET /a\nCRITICAL all is lost") as effects:
        airlock.emit(Note("a"))
        assert effects.region.described() == r"the scope of 'GET /a\nCRITICAL all is lost'"
    assert "\nCRITICAL" not in caplog.messages[0]


def test_the_transaction_may_end_after_the_work() -> None:
    done: list[Any] = []
    database = connect(":memory:", isolation_level=None)
    database.execute("BEGIN")
    with Edge(Boundary({Note: done.append})).scope("GET /", release=on_commit(database)):
        airlock.emit(Note("a"))
    assert done == []
    database.execute("COMMIT")
    assert done == [Note("a")]
    database.close()


def test_where_the_framework_made_a_response_of_the_error_that_is_only_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    boundary = Boundary({Note: print})
    with Edge(boundary).scope("GET /", keep=lambda _: False) as effects:
        airlock.emit(Note("a"))
        boundary.scope().enter()
    with pytest.raises(NoScopeError):
        airlock.current()
    assert effects.report.discarded == [Note("a")]
    assert "GET / failed, and cannot leave the scope" in caplog.text


def outlived(boundary: Boundary) -> None:
    """What a task does that outlives the work: it has a scope open when that ends."""
    contextvars.copy_context().run(boundary.scope().enter).emit(Note("in a task"))


def test_a_task_that_outlives_the_work_keeps_back_nothing_but_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody is there to flush the scope again."""
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    edge = Edge(boundary)
    with edge.scope("GET /") as effects:
        airlock.emit(Note("a"))
        outlived(boundary)
        airlock.emit(Note("b"))
    assert done == [Note("a"), Note("b")]
    assert effects.report.discarded == [Note("in a task")]
    assert edge.flush_errors == 1
    (record,) = caplog.records
    assert "emitted without a commit was discarded, and the rest delivered" in caplog.text
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OpenRegionsError)


def test_also_where_handlers_are_async_and_others_fail(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Any] = []

    async def handler(intent: Note) -> None:
        done.append(intent)
        if intent.text == "a":
            raise ConnectionError

    async def work() -> Any:
        boundary = Boundary({Note: handler})
        async with Edge(boundary, on_flush_error="raise").scope("GET /"):
            airlock.emit_all([Note("a"), Note("b")])
            outlived(boundary)

    with pytest.raises(FlushError) as raised:
        asyncio.run(work())
    assert done == [Note("a"), Note("b")]
    assert [type(one) for one in raised.value.exceptions] == [ConnectionError, OpenRegionsError]


@pytest.mark.parametrize("which", ["edge", "scope"])
def test_what_it_emitted_in_a_transaction_is_decided_by_that(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    database = connect(":memory:", isolation_level=None)
    database.execute("BEGIN")
    release = on_commit(database)
    scope: Any = boundary.scope(release=release)
    with Edge(boundary).scope("GET /", release=release) if which == "edge" else scope:
        airlock.emit(Note("a"))
        outlived(boundary)
    assert done == []
    database.execute("COMMIT")
    assert done == [Note("a"), Note("in a task")]
    assert "OpenRegionsError" in caplog.text
    database.close()


def test_a_commit_seals_what_was_emitted_in_a_scope_that_is_left_open() -> None:
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    database = connect(":memory:", isolation_level=None)
    with pytest.raises(KeyError), Edge(boundary).scope("GET /", release=on_commit(database)):
        boundary.scope().enter()
        airlock.emit(Note("before"))
        database.execute("BEGIN")
        airlock.emit(Note("in it"))
        database.execute("COMMIT")
        airlock.emit(Note("after"))
        raise KeyError
    assert done == [Note("before"), Note("in it")]
    database.close()


def test_where_a_later_commit_cannot_await_handlers_effects_are_pending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A request that was cancelled may leave a transaction behind, which a thread commits."""
    done: list[Any] = []

    async def handler(intent: Note) -> None:
        done.append(intent)

    async def work() -> Any:
        database = connect(":memory:", isolation_level=None)
        database.execute("BEGIN")
        edge = Edge(Boundary({Note: handler}))
        async with edge.scope("GET /", release=on_commit(database)) as effects:
            airlock.emit(Note("a"))
        database.execute("COMMIT")
        assert edge.flush_errors == 1
        assert effects.report.pending == [Note("a")]
        await effects.report.aresume()
        database.close()

    asyncio.run(work())
    assert done == [Note("a")]
    assert "AsyncHandlerError" in caplog.text


@pytest.mark.parametrize("transaction", [False, True])
def test_a_keep_hook_that_raises_is_told_and_what_was_committed_is_delivered(
    transaction: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def keep(_: BaseException | None) -> bool:
        raise LookupError("no status")

    done: list[Any] = []
    database = connect(":memory:", isolation_level=None)
    release = on_commit(database) if transaction else None
    with Edge(Boundary({Note: done.append})).scope("GET /", keep=keep, release=release) as effects:
        database.execute("BEGIN")
        airlock.emit(Note("in it"))
        database.execute("COMMIT")
        airlock.emit(Note("after"))
    assert done == ([Note("in it")] if transaction else [])
    assert (
        effects.report.discarded == [Note("after")]
        if transaction
        else [Note("in it"), Note("after")]
    )
    assert "LookupError: no status" in caplog.text
    database.close()


def test_work_that_ends_in_another_context_is_refused_whatever_became_of_it() -> None:
    work = Edge(Boundary({Note: print})).scope("GET /", keep=lambda _: False)
    caught: list[BaseException] = []

    def end() -> None:
        try:
            work.__exit__(None, None, None)
        except ScopeOrderError as error:
            caught.append(error)

    with work:
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
    assert len(caught) == 1


# -- slow handlers --------------------------------------------------------------------------------


def test_a_slow_handler_is_warned_of_and_dispatch_named(caplog: pytest.LogCaptureFixture) -> None:
    edge = Edge(Boundary({Note: lambda _: time.sleep(0.02)}), slow=timedelta(milliseconds=5))
    with edge.scope("GET /"):
        airlock.emit_all([Note("a"), Note("b")])
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert re.match(r"the handler of edges.note took \d+ ms", caplog.messages[0])
    assert "dispatch=Route({Note:" in caplog.messages[0]


def test_an_async_one_too(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(_: Note) -> None:
        await asyncio.sleep(0.02)

    async def work() -> None:
        edge = Edge(Boundary({Note: handler}), slow=timedelta(milliseconds=5))
        async with edge.scope("GET /"):
            airlock.emit(Note("a"))

    asyncio.run(work())
    assert "edges.note took" in caplog.text


def test_a_quick_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with Edge(Boundary({Note: lambda _: None}), slow=timedelta(hours=1)).scope("GET /"):
        airlock.emit(Note("a"))
    assert caplog.records == []


def test_what_is_handed_over_is_not_a_handler_here(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(airlock.Dispatcher):
        def dispatch(self, delivery: Any, /) -> None:
            time.sleep(0.02)

    edge = Edge(Boundary({}, dispatch=Slow()), slow=timedelta(milliseconds=5))
    with edge.scope("GET /"):
        airlock.emit(Note("a"))
    assert caplog.records == []


def test_responses_wait_for_100_milliseconds_at_most() -> None:
    assert timedelta(milliseconds=100) == SLOW


# -- keep -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kept"),
    [(None, 200, True), (None, 399, True), (None, 400, False), (None, 500, False)]
    + [(KeyError(), status, False) for status in (200, 500)],
)
def test_the_web_keeps_what_succeeded(error: BaseException | None, status: int, kept: bool) -> None:
    assert keep_web(error, status) is kept


# -- no scope -------------------------------------------------------------------------------------


def test_without_a_scope_an_emission_is_refused() -> None:
    with pytest.raises(NoScopeError):
        airlock.emit(Note("a"))


def test_or_delivered_at_once() -> None:
    done: list[Any] = []

    def handle(intent: Note) -> None:
        done.append((intent.text, dict(airlock.delivery().headers)))

    with scopeless(Boundary({Note: handle}), "run") as taken:
        airlock.emit(Note("a"))
        assert done == [("a", {})]
        airlock.emit(Note("b"), Options(headers={"tenant": "acme"}))
        airlock.emit_all([Note("c")])
    assert done == [("a", {}), ("b", {"tenant": "acme"}), ("c", {})]
    assert taken.counts == {"edges.note": 3}
    with pytest.raises(NoScopeError):
        airlock.emit(Note("d"))


def test_or_dropped_and_logged_once_per_kind(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Any] = []
    with scopeless(Boundary({Note: done.append}), "drop") as taken:
        airlock.emit_all([Note("a"), Note("b")])
    assert done == []
    assert taken.counts == {"edges.note": 2}
    assert [record.message for record in caplog.records] == [
        "edges.note was emitted where no scope is open, and is dropped"
    ]


def test_in_threads_too() -> None:
    done: list[Any] = []
    with scopeless(Boundary({Note: done.append}), "run"):
        thread = threading.Thread(target=airlock.emit, args=(Note("a"),))
        thread.start()
        thread.join()
    assert done == [Note("a")]


def test_enclosures_around_it_hold() -> None:
    done: list[Any] = []
    with scopeless(Boundary({Note: done.append}), "run"), airlock.enclose(Drop()):
        airlock.emit(Note("a"))
    assert done == []


def test_a_transaction_decides_there_too() -> None:
    done: list[Any] = []
    database = connect(":memory:", isolation_level=None)
    boundary = Boundary({Note: done.append})
    with scopeless(boundary, "run", release=lambda: on_commit(database)):
        database.execute("BEGIN")
        airlock.emit(Note("a"))
        assert done == []
        database.execute("COMMIT")
        assert done == [Note("a")]
        database.execute("BEGIN")
        airlock.emit(Note("b"))
        database.execute("ROLLBACK")
    assert done == [Note("a")]
    database.close()


def test_a_value_that_is_no_intent_is_refused_as_ever() -> None:
    with scopeless(Boundary({}), "run"), pytest.raises(TypeError):
        airlock.emit("note")  # type: ignore[arg-type]


def test_errors_are_logged_or_raised(caplog: pytest.LogCaptureFixture) -> None:
    with scopeless(Boundary({Note: fail}), "run"):
        airlock.emit(Note("a"))
    assert "an emission of edges.note without a scope failed" in caplog.text
    raising = scopeless(Boundary({Note: fail}), "run", on_flush_error="raise")
    with raising, pytest.raises(FlushError):
        airlock.emit(Note("a"))


def test_other_ways_are_refused() -> None:
    with pytest.raises(DeclarationError, match="'run' or 'drop'"):
        scopeless(Boundary({}), "raise")  # type: ignore[arg-type]


# -- modes of commands ----------------------------------------------------------------------------


def test_effects_of_a_command_run() -> None:
    done: list[Any] = []
    with effects_mode("run"), Boundary({Note: done.append}).scope():
        airlock.emit(Note("a"))
    assert done == [Note("a")]


def test_or_are_dropped_in_every_thread() -> None:
    done: list[Any] = []

    def work() -> None:
        with Boundary({Note: done.append}).scope():
            airlock.emit(Note("a"))

    with effects_mode("drop"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert done == []


def test_or_become_a_plan(tmp_path: Path) -> None:
    done: list[Any] = []
    boundary = Boundary({Note: done.append})
    with effects_mode(f"plan:{tmp_path / 'notes.plan'}"), boundary.scope():
        airlock.emit(Note("a"))
    assert done == []
    boundary.apply(Plan.load(tmp_path / "notes.plan"))
    assert done == [Note("a")]


def test_a_command_that_fails_leaves_no_plan(tmp_path: Path) -> None:
    with pytest.raises(KeyError), effects_mode(f"plan:{tmp_path / 'notes.plan'}"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_plan_of_a_mode_has_the_rest_and_says_what_it_lacks(tmp_path: Path, fails: bool) -> None:
    """Whatever happens the file is written: what it is about may have been committed."""
    file = tmp_path / "notes.plan"
    boundary = Boundary({Note: print})

    def work() -> None:
        with effects_mode(f"plan:{file}"):
            with boundary.scope() as effects:
                effects.emit_all([Note("a"), Note("\ud800"), Note("c")])
            if fails:
                raise LookupError

    with pytest.raises(LookupError if fails else PlanError) as caught:
        work()
    said = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert f"the plan {file} has 2 effect(s), and lacks 1:" in said
    assert "unpaired" in said or "surrogate" in said
    assert [entry.intent for entry in Plan.load(file)] == [Note("a"), Note("c")]


@pytest.mark.parametrize("text", ["", "plan", "plan:", "drop:all", "hold", None])
def test_other_modes_are_refused(text: Any) -> None:
    with pytest.raises(SettingError, match="Give run, drop, or plan:FILE"):
        parse_mode(text)


# -- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [{"slow": 5}, {"on_flush_error": "ignore"}, {"boundary": "shop.boundary"}]
)
def test_an_edge_checks_its_arguments(arguments: dict[str, Any]) -> None:
    given = {"boundary": Boundary({}), **arguments}
    with pytest.raises(DeclarationError):
        Edge(given.pop("boundary"), **given)


def test_batches_and_retries_are_watched_too(caplog: pytest.LogCaptureFixture) -> None:
    from dependency_injector import containers

    calls: list[int] = []

    def write(notes: list[Note]) -> None:
        calls.append(len(notes))
        time.sleep(0.01)
        if len(calls) == 1:
            raise ConnectionError

    class Effects(containers.DeclarativeContainer):
        notes = HandlesBatch(
            Note, write, retry=RetryPolicy(on=ConnectionError, wait_initial=timedelta(0))
        )

    with Edge(Boundary(Effects()), slow=timedelta(milliseconds=5)).scope("GET /"):
        airlock.emit_all([Note("a"), Note("b")])
    assert calls == [2, 2]
    assert caplog.text.count("edges.note took") == 2
