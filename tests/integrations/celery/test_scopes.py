"""``effects_tasks``: what becomes of what a task emits, whatever kind of task it is."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task, shared_task
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import task_postrun, task_prerun

import airlock
from airlock import Boundary, Drop
from airlock.errors import NoScopeError, SettingError
from airlock.integrations.celery import CallTask, SendTasks, effects_tasks
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.migration.celery import install
from airlock.scopes.current import here
from tests.integrations.celery.vocabulary import Note


class Shop:
    """An app whose tasks have scopes, and what was delivered."""

    def __init__(self) -> None:
        self.app = Celery(
            "scopes", broker="memory://", backend="cache+memory://", set_as_current=False
        )
        self.delivered = list[str]()
        self.boundary = Boundary({Note: self.deliver})
        effects_tasks(self.app, self.boundary)

    def deliver(self, intent: Note) -> None:
        if intent.text == "bad":
            raise ConnectionError("no mail today")
        self.delivered.append(intent.text)

    def run(self, body: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run a function as a task, and give its result."""
        decorate: Any = self.app.task(name=body.__name__, shared=False, **options)
        return decorate(body).apply(args)


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    assert here.get().scope is None
    made.app.close()


def say(text: str) -> None:
    airlock.emit(Note(text))


# -- kept, or dropped ---------------------------------------------------------------------------------


def test_what_a_task_emits_goes_out_when_it_succeeds(shop: Shop) -> None:
    """Not before it has returned."""

    def work() -> str:
        say("a")
        return "emitted" if not shop.delivered else "delivered"

    assert shop.run(work).get() == "emitted"
    assert shop.delivered == ["a"]


@pytest.mark.parametrize("error", [ValueError(), Ignore(), Reject(), Retry(), SystemExit(0)])
def test_what_a_task_emits_is_dropped_when_it_raises(shop: Shop, error: BaseException) -> None:
    """``Ignore`` too: who raises that often has stored a failure by hand."""

    def work() -> None:
        say("a")
        raise error

    if isinstance(error, SystemExit):
        with pytest.raises(SystemExit):
            shop.run(work)
    else:
        shop.run(work)
    assert shop.delivered == []


def test_of_a_task_that_is_retried_only_the_last_attempt_counts(shop: Shop) -> None:
    """Those before it were no success."""

    def work(self: Any) -> None:
        say(f"attempt {self.request.retries}")
        if self.request.retries < 2:
            raise self.retry(countdown=0)

    assert shop.run(work, bind=True, max_retries=5).state == "SUCCESS"
    assert shop.delivered == ["attempt 2"]


def test_of_a_task_with_autoretry_only_the_last_attempt_counts(shop: Shop) -> None:
    """Its wrapper raises ``Retry`` for it."""

    def work(self: Any) -> None:
        say(f"attempt {self.request.retries}")
        if self.request.retries < 1:
            raise OSError

    options = {"autoretry_for": (OSError,), "retry_kwargs": {"countdown": 0}}
    assert shop.run(work, bind=True, **options).state == "SUCCESS"
    assert shop.delivered == ["attempt 1"]


def test_a_result_that_cannot_be_stored_is_no_success(shop: Shop) -> None:
    """The task has returned by then, and is failed all the same."""
    shop.app.conf.task_store_eager_result = True

    def work() -> object:
        say("a")
        return object()

    assert shop.run(work).state == "FAILURE"
    assert shop.delivered == []


@pytest.mark.filterwarnings("ignore:Exception raised outside body")
def test_a_result_backend_that_is_down_drops_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task has done its work, although Celery fails it."""

    def down(*_: object, **__: object) -> None:
        raise ConnectionError("no backend today")

    monkeypatch.setattr(shop.app.backend, "mark_as_done", down)

    @shop.app.task(name="work", shared=False)
    def work() -> None:
        say("a")

    info = {"exchange": "", "routing_key": "work", "priority": 0}
    request = {"id": "id", "is_eager": False, "called_directly": False, "delivery_info": info}
    trace: Any = build_tracer("work", work, app=shop.app)
    assert trace("id", (), {}, request).info.state == "FAILURE"
    assert shop.delivered == ["a"]


def test_what_tells_of_a_failure_needs_a_unit_of_its_own(shop: Shop) -> None:
    """The hooks of a task are a part of it, and what they emit is dropped with the rest."""
    base: Any = Task

    class Telling(base):  # type: ignore[misc]  # its stub says nothing of hooks
        def on_failure(self, *_: Any) -> None:
            say("dropped")
            with shop.boundary.scope(independent=True):
                say("it failed")

    def work() -> None:
        raise ValueError

    shop.run(work, base=Telling)
    assert shop.delivered == ["it failed"]


def test_keep_decides(shop: Shop) -> None:
    """It is given what the task raised, or None."""
    told = list[BaseException | None]()

    def keep(error: BaseException | None) -> bool:
        told.append(error)
        return isinstance(error, Ignore)

    effects_tasks(shop.app, shop.boundary, keep=keep)

    def ignored() -> None:
        say("ignored")
        raise Ignore

    def fine() -> None:
        say("fine")

    shop.run(ignored)
    shop.run(fine)
    assert shop.delivered == ["ignored"]
    assert [type(error) for error in told] == [Ignore, type(None)]


def test_a_release_decides(shop: Shop) -> None:
    """What was committed is delivered, although the task failed after it."""
    connection = connect(":memory:", isolation_level=None)
    effects_tasks(shop.app, shop.boundary, release=lambda: on_commit(connection))

    def work() -> None:
        connection.execute("BEGIN")
        say("committed")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        say("rolled back")
        connection.execute("ROLLBACK")
        raise sqlite3.IntegrityError

    shop.run(work)
    assert shop.delivered == ["committed"]
    connection.close()


# -- an error of the flush ----------------------------------------------------------------------------


def test_an_error_of_the_flush_fails_and_retries_nothing(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The task has done its work. The rest is delivered, and the error is logged."""
    runs = list[int]()

    def work() -> None:
        runs.append(1)
        say("bad")
        say("a")

    result = shop.run(work, autoretry_for=(Exception,), max_retries=5)
    assert (result.state, runs, shop.delivered) == ("SUCCESS", [1], ["a"])
    (record,) = [r for r in caplog.records if r.name == "airlock" and r.levelno == logging.ERROR]
    assert "effects of task work[" in record.getMessage()
    assert "no mail today" in str(record.exc_info)


def test_a_release_that_cannot_be_made_is_told(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """No scope was opened, so an emission is refused: nothing is dropped silently."""

    def release() -> Any:
        raise ConnectionError("no database")

    effects_tasks(shop.app, shop.boundary, release=release)

    def work() -> None:
        say("a")

    assert isinstance(shop.run(work).result, NoScopeError)
    assert "no database" in caplog.text


# -- async handlers -----------------------------------------------------------------------------------


class AsyncShop(Shop):
    """Its handler awaits."""

    def __init__(self) -> None:
        super().__init__()
        self.loops = set[object]()
        self.boundary = Boundary({Note: self.adeliver})
        effects_tasks(self.app, self.boundary)

    async def adeliver(self, intent: Note) -> None:
        self.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        self.deliver(intent)
        if intent.text == "a":
            say("after a")


@pytest.fixture
def awaiting() -> Iterator[AsyncShop]:
    made = AsyncShop()
    yield made
    assert here.get().scope is None
    made.app.close()


def test_handlers_of_what_a_task_emits_may_be_async(awaiting: AsyncShop) -> None:
    """As those of deliveries, in the one loop of the process."""

    def work(text: str) -> str:
        say(text)
        assert not awaiting.delivered
        return "done"

    assert awaiting.run(work, "a").get() == "done"
    assert awaiting.delivered == ["a", "after a"]
    awaiting.delivered.clear()
    awaiting.run(work, "b")
    assert len(awaiting.loops) == 1


def test_async_handlers_are_not_called_for_a_task_that_fails(awaiting: AsyncShop) -> None:
    def work() -> None:
        say("a")
        raise ValueError

    assert awaiting.run(work).state == "FAILURE"
    assert awaiting.delivered == []


def test_an_error_of_an_async_handler_fails_nothing(
    awaiting: AsyncShop, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        say("bad")
        say("b")

    assert awaiting.run(work).state == "SUCCESS"
    assert awaiting.delivered == ["b"]
    assert "effects of task work[" in caplog.text


def test_async_handlers_of_eager_tasks(awaiting: AsyncShop) -> None:
    """Where the caller has a loop of its own, too."""
    awaiting.app.conf.task_always_eager = True

    @awaiting.app.task(shared=False)
    def work() -> None:
        say("a")

    async def main() -> None:
        work.delay()

    asyncio.run(main())
    assert awaiting.delivered == ["a", "after a"]


def test_async_handlers_of_eager_tasks_that_call_tasks(awaiting: AsyncShop) -> None:
    """What a scope sends when it is flushed is a task with a scope of its own."""
    app = awaiting.app
    app.conf.task_always_eager = True
    boundary = Boundary({Note: awaiting.adeliver, CallTask: SendTasks(app)})
    effects_tasks(app, boundary)

    @app.task(shared=False)
    def inner(text: str) -> None:
        say(text)

    @app.task(shared=False)
    def outer() -> None:
        inner.delay("from inside")
        say("b")

    with install(app, mode="buffer", boundary=boundary):
        with boundary.scope():
            outer.delay()
            assert awaiting.delivered == []
        assert sorted(awaiting.delivered) == ["b", "from inside"]


# -- every task ---------------------------------------------------------------------------------------


def test_a_task_with_a_base_class_of_its_own(shop: Shop) -> None:
    """All of its hooks are inside, and its own ``__call__``."""

    base: Any = Task  # what its stub says of the hooks, Celery does not ask for

    class Base(base):  # type: ignore[misc]  # as above
        def before_start(self, *_: Any) -> None:
            say("before")

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            say("call")
            return super().__call__(*args, **kwargs)

        def on_success(self, *_: Any) -> None:
            say("success")

    def work() -> None:
        say("run")

    shop.run(work, base=Base)
    assert shop.delivered == ["before", "call", "run", "success"]


def test_a_task_that_is_a_class(shop: Shop) -> None:
    """Registered by hand."""

    class Work(Task):  # type: ignore[type-arg]  # as above
        name = "work"

        def run(self) -> None:
            say("a")

    shop.app.register_task(Work())
    shop.app.tasks["work"].apply()
    assert shop.delivered == ["a"]


def test_a_shared_task(shop: Shop) -> None:
    """It belongs to whichever app is current."""

    @shared_task(name="tests.celery.scopes.shared")
    def work() -> None:
        say("a")

    shop.app.tasks["tests.celery.scopes.shared"].apply()
    assert shop.delivered == ["a"]


def test_tasks_of_other_apps_have_no_scope(shop: Shop) -> None:
    """They have a boundary of their own, or none."""
    other = Celery("other", set_as_current=False)

    @other.task(shared=False)
    def work() -> None:
        say("a")

    assert isinstance(work.apply().result, NoScopeError)
    assert shop.delivered == []


def test_a_task_that_is_called_is_a_function(shop: Shop) -> None:
    """What it emits belongs to the caller."""

    @shop.app.task(shared=False)
    def work() -> None:
        say("a")

    with pytest.raises(NoScopeError):
        work()
    with shop.boundary.scope(policy=Drop()):
        work()
    assert shop.delivered == []


def test_a_task_in_a_task_is_a_unit_of_its_own(shop: Shop) -> None:
    """As it would be in a worker: it succeeds, whatever becomes of the one that ran it."""

    @shop.app.task(shared=False)
    def inner() -> None:
        say("inner")

    def outer() -> None:
        say("outer")
        inner.apply()
        raise ValueError

    shop.run(outer)
    assert shop.delivered == ["inner"]


def test_policies_around_an_eager_task_hold(shop: Shop) -> None:
    """A test that drops effects drops those of tasks."""

    def work() -> None:
        say("a")

    with airlock.enclose(Drop()):
        shop.run(work)
    assert shop.delivered == []


def test_the_next_task_begins_where_this_one_did(shop: Shop) -> None:
    """A region that a task left open swallows nothing of the next one."""

    def leaks() -> None:
        airlock.region(Drop()).__enter__()
        say("lost")

    def work() -> None:
        say("a")

    shop.run(leaks)
    shop.run(work)
    assert shop.delivered == ["a"]


def test_tasks_in_threads_have_scopes_of_their_own(shop: Shop) -> None:
    """As in the pool of threads."""
    both = threading.Barrier(2)

    @shop.app.task(shared=False)
    def work(text: str) -> None:
        both.wait(10)
        say(text)
        both.wait(10)

    threads = [threading.Thread(target=work.apply, args=((name,),)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(shop.delivered) == ["a", "b"]


def test_the_last_call_counts(shop: Shop) -> None:
    """As with a setting: no task has two scopes."""
    other = list[Note]()
    effects_tasks(shop.app, Boundary({Note: other.append}))

    def work() -> None:
        say("a")

    shop.run(work)
    assert (shop.delivered, other) == ([], [Note("a")])


def test_an_app_and_a_boundary_are_needed() -> None:
    """What is none is refused where it is written."""
    app = Celery("bad", set_as_current=False)
    wrong: Any = 42
    with pytest.raises(SettingError, match="'boundary' is"):
        effects_tasks(app, wrong)
    with pytest.raises(SettingError, match="'app' is"):
        effects_tasks(wrong, Boundary({}))
    with pytest.raises(SettingError, match="'keep' is 42"):
        effects_tasks(app, Boundary({}), keep=wrong)


# -- other libraries, other apps ---------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
def test_handlers_run_before_others_have_put_the_context_back(later: bool) -> None:
    """Whenever those have connected their receivers of the signals."""
    app = Celery("tenants", broker="memory://", set_as_current=False)
    current, seen = ["public"], list[tuple[str, str]]()
    boundary = Boundary({Note: lambda intent: seen.append((intent.text, current[0]))})

    def bind(**_: object) -> None:
        current[0] = "acme"

    def put_back(**_: object) -> None:
        current[0] = "public"

    if later:
        effects_tasks(app, boundary)
    task_prerun.connect(bind)
    task_postrun.connect(put_back)
    if not later:
        effects_tasks(app, boundary)
    decorate: Any = app.task(name="tenants.work", shared=False)

    def emit_one() -> None:
        say("a")

    work = decorate(emit_one)
    assert work.apply().state == "SUCCESS"
    assert (seen, current) == ([("a", "acme")], ["public"])
    task_prerun.disconnect(bind)
    task_postrun.disconnect(put_back)
    app.close()


def test_a_task_of_another_app_is_logged_once(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    other = Celery("store", broker="memory://", set_as_current=False)
    decorate: Any = other.task(name="store.work", shared=False)

    def nothing() -> None: ...

    work = decorate(nothing)
    for _ in range(2):
        work.apply()
    [found] = caplog.messages
    assert found.startswith(
        "task store.work runs without a scope: it belongs to another Celery app, 'store', and "
        "effects_tasks(...) was given "
    )
    other.close()
