"""Migrating Django projects: ``on_commit`` callbacks, and Celery tasks in transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import on_commit as imported_before
from django.test import TestCase
from django.utils import timezone, translation
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from airlock import Boundary, Dedupe, Drop, FlushError, emit, intent
from airlock.errors import SettingError
from airlock.integrations.django import on_commit
from airlock.migration.django import (
    InstalledOnCommit,
    RunCallback,
    install_on_commit,
    run_callback,
)

HERE = Path(__file__).name


@intent(kind="tests.migration.django.note")
class Note:
    text: str


class Failure(Exception):  # noqa: N818 - what goes wrong in a block
    """It goes wrong."""


did: list[str] = []
boundary = Boundary({RunCallback: run_callback, Note: lambda intent: did.append(intent.text)})


def do(text: str) -> Callable[[], None]:
    return lambda: did.append(text)


def do_c() -> None:
    did.append("c")


def fail() -> None:
    raise ValueError("failed")


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    did.clear()


@pytest.fixture
def buffered() -> Iterator[InstalledOnCommit]:
    with install_on_commit(mode="buffer", boundary=boundary) as installed:
        yield installed


@pytest.fixture
def observed() -> Iterator[InstalledOnCommit]:
    with install_on_commit(mode="observe") as installed:
        yield installed


RELEASES: list[Any] = [None, "default", "other"]


# -- buffering ------------------------------------------------------------------------------------


@pytest.mark.parametrize("using", RELEASES)
def test_a_callback_runs_when_its_scope_ends(buffered: InstalledOnCommit, using: str) -> None:
    release = on_commit(using) if using else None
    with boundary.scope(release=release) as effects:
        with transaction.atomic():
            transaction.on_commit(do("a"))
            imported_before(do("b"))
            assert did == []
        assert did == []
    assert did == ["a", "b"]
    assert [type(intent) for intent in effects.report.delivered] == [RunCallback, RunCallback]


def test_callbacks_and_effects_run_in_the_order_of_emission(buffered: InstalledOnCommit) -> None:
    with boundary.scope(release=on_commit()) as effects, transaction.atomic():
        transaction.on_commit(do("a"))
        effects.emit(Note("b"))
        transaction.on_commit(do("c"))
    assert did == ["a", "b", "c"]


@pytest.mark.parametrize("using", RELEASES)
def test_a_callback_of_a_rolled_back_transaction_never_runs(
    buffered: InstalledOnCommit, using: str
) -> None:
    release = on_commit(using) if using else None
    with boundary.scope(release=release) as effects:
        with suppress(Failure), transaction.atomic():
            transaction.on_commit(do("a"))
            raise Failure
        with transaction.atomic():
            transaction.on_commit(do("b"))
            with suppress(Failure), transaction.atomic():
                transaction.on_commit(do("c"))
                raise Failure
    assert did == ["b"]
    if using:
        assert [entry.by for entry in effects.report if entry.by] == ["rollback", "rollback"]


@pytest.mark.parametrize("using", RELEASES)
def test_a_scope_inside_the_transaction_waits_for_the_commit(
    buffered: InstalledOnCommit, using: str
) -> None:
    release = on_commit(using) if using else None
    with transaction.atomic():
        with boundary.scope(release=release):
            transaction.on_commit(do("a"))
        assert did == []
    assert did == ["a"]
    with suppress(Failure), transaction.atomic():
        with boundary.scope(release=release):
            transaction.on_commit(do("b"))
        raise Failure
    assert did == ["a"]


def test_a_policy_drops_a_callback(buffered: InstalledOnCommit) -> None:
    with boundary.scope(policy=Drop(RunCallback)) as effects, transaction.atomic():
        transaction.on_commit(do("a"))
    assert did == []
    assert len(effects.report.dropped) == 1


def test_a_failing_block_discards_a_callback_where_it_decides(
    buffered: InstalledOnCommit,
) -> None:
    with suppress(Failure), boundary.scope():
        with transaction.atomic():
            transaction.on_commit(do("a"))
        raise Failure
    assert did == []


@pytest.mark.parametrize("using", ["default", "other"])
def test_a_commit_keeps_a_callback_where_the_transaction_decides(
    buffered: InstalledOnCommit, using: str
) -> None:
    """The transaction of the callback: the release may be of another database."""
    with suppress(Failure), boundary.scope(release=on_commit(using)):
        with transaction.atomic():
            transaction.on_commit(do("a"))
        raise Failure
    assert did == ["a"]


def test_one_that_fails_leaves_the_others_alone_and_is_reported(
    buffered: InstalledOnCommit,
) -> None:
    effects = boundary.scope()
    with suppress(FlushError), effects, transaction.atomic():
        transaction.on_commit(fail)
        transaction.on_commit(do("b"))
    assert did == ["b"]
    [failed] = effects.report.failed
    assert isinstance(failed, RunCallback)
    assert failed.name == "fail"
    assert HERE in failed.place


def test_a_robust_one_that_fails_is_logged_as_django_does(
    buffered: InstalledOnCommit, caplog: pytest.LogCaptureFixture
) -> None:
    with boundary.scope() as effects, transaction.atomic():
        transaction.on_commit(fail, robust=True)
    assert len(effects.report.delivered) == 1
    assert "Error calling fail in on_commit() (failed)." in caplog.text


def test_a_callback_outside_of_transactions_runs_when_the_scope_ends(
    buffered: InstalledOnCommit,
) -> None:
    with boundary.scope(release=on_commit()):
        transaction.on_commit(do("a"))
        assert did == []
    assert did == ["a"]


def test_without_a_scope_django_does_what_it_does(buffered: InstalledOnCommit) -> None:
    with transaction.atomic():
        transaction.on_commit(do("a"))
        assert did == []
    transaction.on_commit(do("b"))
    assert did == ["a", "b"]
    assert [row.fates for row in buffered.observations] == [{"no scope": 1}, {"no scope": 1}]


def test_what_is_no_function_is_refused_as_django_does(buffered: InstalledOnCommit) -> None:
    with boundary.scope(), pytest.raises(TypeError, match="must be a callable"):
        transaction.on_commit("no function")  # type: ignore[arg-type]  # that is the test


def test_only_the_chosen_modules_are_caught() -> None:
    package = __name__.rpartition(".")[0]
    chosen = ([__name__], [package], [f"{package}.*"], ["*.test_install_on_commit"], ["airlock"])
    for modules, caught in zip(chosen, (1, 1, 1, 1, 0), strict=True):
        installed = install_on_commit(mode="buffer", boundary=boundary, modules=modules)
        with installed, boundary.scope() as effects, transaction.atomic():
            transaction.on_commit(do("a"))
            assert len(effects) == caught


def test_a_callback_has_the_name_of_its_function(buffered: InstalledOnCommit) -> None:
    with boundary.scope() as effects, transaction.atomic():
        transaction.on_commit(partial(partial(did.append, "a")))
        transaction.on_commit(do("a"))
        assert [intent.name for intent in effects] == ["list.append", "do.<lambda>"]
        transaction.set_rollback(True)


def test_two_callbacks_are_never_the_same(buffered: InstalledOnCommit) -> None:
    """Lambdas of one line do different things, and the same function may be meant to run twice."""
    with boundary.scope(release=on_commit(), policy=Dedupe()) as effects, transaction.atomic():
        for text in ("a", "b"):
            transaction.on_commit(do(text))
        for _ in range(2):
            transaction.on_commit(do_c)
    assert did == ["a", "b", "c", "c"]
    assert len(set(effects)) == 4


def test_it_has_no_form_on_the_wire() -> None:
    from airlock.errors import UnencodableError
    from airlock.wire import Wire

    with pytest.raises(UnencodableError):
        Wire().check(RunCallback)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "bufer"},
        {"mode": "buffer"},
        {"mode": "buffer", "boundary": Boundary({})},
        {"mode": "observe", "modules": "shop"},
        {"mode": "observe", "modules": ["airlok"]},
        {"mode": "observe", "modules": ["airlock.nothing"]},
        {"mode": "observe", "modules": ["airlok.*"]},
        {"mode": "observe", "modules": ["airlok.nothing.views"]},
        {"mode": "observe", "modules": [transaction]},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Any) -> None:
    before = BaseDatabaseWrapper.on_commit
    with pytest.raises(SettingError, match="install_on_commit"):
        install_on_commit(**wrong)
    assert BaseDatabaseWrapper.on_commit is before


def test_undone_it_leaves_no_trace() -> None:
    before = BaseDatabaseWrapper.on_commit
    installed = install_on_commit(mode="observe")
    assert BaseDatabaseWrapper.on_commit is not before
    installed.uninstall()
    installed.uninstall()
    assert BaseDatabaseWrapper.on_commit is before


# -- what a callback reads ------------------------------------------------------------------------


def a_loop() -> None:
    """One transaction for each item, as commands have."""
    for text in "abc":
        with transaction.atomic():
            transaction.on_commit(lambda: did.append(text))  # noqa: B023 - that is the test


def a_loop_of_functions() -> None:
    for text in "abc":

        def send(mark: str, *, end: str = ".") -> None:
            did.append(text + mark + end)  # noqa: B023 - that is the test

        with transaction.atomic():
            transaction.on_commit(partial(send, "!"))
            transaction.on_commit(lambda: send("?"), robust=True)


def set_before_the_commit() -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: did.append(text))
        text = "set"
    text = "set later"


def counts() -> None:
    """A callback that assigns shares the variable."""
    count = 0

    def add() -> None:
        nonlocal count
        count += 1
        did.append(f"{count}")

    for _ in "ab":
        with transaction.atomic():
            transaction.on_commit(add)


READING: list[tuple[Callable[[], None], list[str]]] = [
    (a_loop, ["a", "b", "c"]),
    (a_loop_of_functions, ["a!.", "a?.", "b!.", "b?.", "c!.", "c?."]),
    (set_before_the_commit, ["set"]),
    (counts, ["1", "2"]),
]


@pytest.mark.parametrize("using", RELEASES)
@pytest.mark.parametrize(("command", "read"), READING)
def test_a_callback_reads_variables_as_they_were_at_its_commit(
    buffered: InstalledOnCommit, using: str, command: Callable[[], None], read: list[str]
) -> None:
    """As in Django, though it runs when the scope ends."""
    with boundary.scope(release=on_commit(using) if using else None):
        command()
        assert did == []
    assert did == read


def test_a_callback_outside_of_transactions_reads_them_as_they_are_at_the_call(
    buffered: InstalledOnCommit,
) -> None:
    with boundary.scope(release=on_commit()):
        for text in "ab":
            transaction.on_commit(lambda: did.append(text))  # noqa: B023 - that is the test
    assert did == ["a", "b"]


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.parametrize("using", RELEASES)
def test_a_callback_runs_in_the_context_of_its_commit(
    buffered: InstalledOnCommit, using: str
) -> None:
    """Its language, its time zone, its tenant; what it emits is a follow-up all the same."""

    def send() -> None:
        emit(Note(f"{get_language()} {get_current_timezone_name()} {tenant.get()}"))

    with boundary.scope(release=on_commit(using) if using else None) as effects:
        for language, zone in (("de", "Europe/Berlin"), ("ja", "Asia/Tokyo")):
            token = tenant.set(language)
            with translation.override(language), timezone.override(zone), transaction.atomic():
                transaction.on_commit(send)
            tenant.reset(token)
        assert did == []
    assert did == ["de Europe/Berlin de", "ja Asia/Tokyo ja"]
    assert [entry.wave for entry in effects.report] == [0, 0, 1, 1]
    assert tenant.get() == "nobody"


class Item:
    """Like a model."""

    def __init__(self, status: str) -> None:
        self.status = status

    def send(self) -> None:
        did.append(self.status)


def an_item_that_changes() -> None:
    item = Item("new")
    with transaction.atomic():
        transaction.on_commit(lambda: did.append(item.status))
    item.status = "paid"


def a_bound_method() -> None:
    item = Item("new")
    with transaction.atomic():
        transaction.on_commit(item.send)
    item.status = "paid"


def a_batch() -> None:
    batch = ["a", "b"]
    with transaction.atomic():
        transaction.on_commit(partial(did.extend, batch))
    batch.clear()


def nothing_changes() -> None:
    item = Item("new")
    for text in "ab":
        with transaction.atomic():
            transaction.on_commit(partial(did.append, text))
            transaction.on_commit(lambda: did.append(item.status))


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (a_loop, 2),
        (set_before_the_commit, 1),
        (an_item_that_changes, 1),
        (a_bound_method, 1),
        (a_batch, 1),
        (nothing_changes, 0),
    ],
)
def test_observing_names_the_sites_that_would_read_something_else(
    observed: InstalledOnCommit, command: Callable[[], None], changed: int
) -> None:
    """Between its commit and the end of the scope."""
    with boundary.scope(release=on_commit()):
        command()
    rows = [*observed.observations]
    assert sum(row.changed for row in rows) == changed
    assert all(HERE in row.site and row.harm == row.changed for row in rows)
    told = f"{changed} that would read something else by then"
    assert (told in observed.summary()) is bool(changed)
    assert ("changed" in str(observed.observations).splitlines()[0]) is bool(changed)


# -- observing ------------------------------------------------------------------------------------


def test_observing_leaves_everything_as_it_is(observed: InstalledOnCommit) -> None:
    with boundary.scope(policy=Drop()) as effects:
        with transaction.atomic():
            transaction.on_commit(do("a"))
            assert did == []
        assert did == ["a"]
        with suppress(Failure), transaction.atomic():
            transaction.on_commit(do("b"))
            raise Failure
        transaction.on_commit(do("c"))
    assert (did, len(effects)) == (["a", "c"], 0)
    found = [row.fates for row in observed.observations]
    assert found == [{"dropped": 1}, {"dropped": 1, "at once": 1}, {}]


def test_observing_tells_of_blocks_and_of_no_scope(observed: InstalledOnCommit) -> None:
    with suppress(Failure), boundary.scope(release=on_commit()):
        with transaction.atomic():
            transaction.on_commit(do("kept, as it was committed"))
        raise Failure
    with suppress(Failure), boundary.scope():
        with transaction.atomic():
            transaction.on_commit(do("discarded with the block"))
        raise Failure
    with transaction.atomic():
        transaction.on_commit(do("no scope"))
    assert len(did) == 3
    found = sorted(str(row.fates) for row in observed.observations)
    assert found == ["{'discarded': 1}", "{'later': 1}", "{'no scope': 1}"]
    assert "do.<lambda>" in observed.summary()


def test_observing_takes_no_two_callbacks_for_the_same(observed: InstalledOnCommit) -> None:
    with boundary.scope(release=on_commit(), policy=Dedupe()), transaction.atomic():
        for text in ("a", "b"):
            transaction.on_commit(do(text))
    [row] = observed.observations
    assert (row.fates, row.repeated) == ({"later": 2}, 0)


@pytest.mark.parametrize("how", ["variable", "object", "bound", "rolled back"])
def test_observing_names_the_sites_that_would_read_what_has_changed(
    observed: InstalledOnCommit, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Each ran at its own commit; buffered, all would run at the end of the scope."""
    order = {"status": "new"}
    with suppress(Failure), boundary.scope(release=on_commit()):
        for text in ("a", "b", "c"):
            with suppress(Failure), transaction.atomic():
                if how == "variable":
                    transaction.on_commit(lambda: did.append(text))  # noqa: B023 - the fault
                elif how == "object":
                    transaction.on_commit(lambda: did.append(order["status"]))
                else:
                    transaction.on_commit(partial(did.append, text))
                if how == "rolled back":
                    raise Failure
            order["status"] = text
    found = sorted((row.changed, row.count) for row in observed.observations)
    wanted = {"variable": [(2, 3)], "object": [(3, 3)]}
    assert found == wanted.get(how, [(0, 3)])
    told = [text for text in caplog.messages if "what it reads is another" in text]
    if how in wanted:
        name = "text" if how == "variable" else "order"
        assert len(told) == 1
        assert HERE in told[0]
        assert name in told[0]
        assert f"{wanted[how][0][0]} that would read something else by then" in observed.summary()
        assert "changed" in observed.summary().splitlines()[1]
    else:
        assert told == []


# -- a TestCase -----------------------------------------------------------------------------------


class Views(TestCase):
    """As projects test: everything is rolled back in the end."""

    databases = frozenset({"default"})  # type: ignore[assignment]  # it is only looked at

    def test_captured_callbacks_run_when_the_scope_has_released_them(self) -> None:
        with install_on_commit(mode="buffer", boundary=boundary):
            with self.captureOnCommitCallbacks(execute=True), boundary.scope():
                transaction.on_commit(do("a"))
            assert did == ["a"]

    def test_with_a_release_a_scope_ends_as_ever(self) -> None:
        with install_on_commit(mode="buffer", boundary=boundary):
            with boundary.scope(release=on_commit()), transaction.atomic():
                transaction.on_commit(do("a"))
            assert did == ["a"]


# -- Celery tasks in Django's transactions --------------------------------------------------------


class Tasks:
    """A Celery app with a task, and what it sent to its broker."""

    def __init__(self) -> None:
        from celery import Celery
        from celery.contrib.django.task import DjangoTask

        from airlock.integrations.celery import CallTask, SendTasks

        self.app: Any = Celery("shop", broker="memory://", set_as_current=False, fixups=[])
        self.sent: list[Any] = []

        @self.app.task(name="shop.receipt", shared=False, base=DjangoTask)
        def receipt(order_id: int) -> None: ...

        self.receipt: Any = receipt
        self.handlers: Any = {CallTask: SendTasks(self.app)}
        self.boundary = Boundary(self.handlers)

    def with_callbacks(self) -> Boundary:
        return Boundary({**self.handlers, RunCallback: run_callback})

    def published(self, body: Any, **_: Any) -> None:
        self.sent += body[0]


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    pytest.importorskip("celery.contrib.django.task", reason="needs Celery 5.4")
    signals = pytest.importorskip("celery.signals")
    made = Tasks()
    signals.before_task_publish.connect(made.published)
    yield made
    signals.before_task_publish.disconnect(made.published)
    made.app.close()


def test_a_task_is_sent_by_the_commit_and_not_after_a_rollback(tasks: Tasks) -> None:
    from airlock.migration.celery import install

    with install(tasks.app, mode="buffer", boundary=tasks.boundary):
        with tasks.boundary.scope(release=on_commit()) as effects:
            with suppress(Failure), transaction.atomic():
                tasks.receipt.delay(1)
                raise Failure
            with transaction.atomic():
                tasks.receipt.delay(2)
            tasks.receipt.delay(3)
            assert tasks.sent == []
        assert tasks.sent == [2, 3]
        assert len(effects.report.discarded) == 1


def test_observing_tells_what_was_sent_before_a_rollback(tasks: Tasks) -> None:
    from airlock.migration.celery import install

    with install(tasks.app, mode="observe") as observed:
        with tasks.boundary.scope(release=on_commit()):
            with suppress(Failure), transaction.atomic():
                tasks.receipt.delay(1)
                raise Failure
            with transaction.atomic():
                tasks.receipt.delay(2)
            tasks.receipt.delay(3)
        assert tasks.sent == [1, 2, 3]
        found = [row.fates for row in observed.observations]
    assert found == [{"rolled back": 1}, {"later": 1}, {"later": 1}]


def test_a_task_called_on_commit_is_buffered_then(tasks: Tasks) -> None:
    from airlock.migration.celery import install

    with install(tasks.app, mode="buffer", boundary=tasks.boundary) as installed:
        with tasks.boundary.scope(release=on_commit()) as effects:
            with transaction.atomic():
                transaction.on_commit(partial(tasks.receipt.delay, 1))
                tasks.receipt.delay_on_commit(2)
                assert len(effects) == 0
            assert len(effects) == 2
            assert tasks.sent == []
        assert tasks.sent == [1, 2]
    assert all(HERE in row.site for row in installed.observations)


def test_a_task_called_on_commit_belongs_to_the_commit(tasks: Tasks) -> None:
    """A later error discards what was called after it, and nothing else."""
    from airlock.migration.celery import install

    with install(tasks.app, mode="buffer", boundary=tasks.boundary):
        effects = tasks.boundary.scope(release=on_commit())
        with suppress(Failure), effects:
            with transaction.atomic():
                transaction.on_commit(partial(tasks.receipt.delay, 1))
                transaction.on_commit(lambda: tasks.receipt.delay(2), robust=True)
                tasks.receipt.delay_on_commit(3)
                transaction.on_commit(partial(tasks.receipt.apply_async, (4,), countdown=5))
            tasks.receipt.delay(5)
            raise Failure
    assert tasks.sent == [1, 2, 3, 4]
    assert len(effects.report.discarded) == 1


@pytest.mark.parametrize("release", [None, on_commit()], ids=["none", "on_commit"])
@pytest.mark.parametrize("mode", ["observe", "buffer"])
def test_a_task_that_a_buffered_callback_calls_is_buffered_too(
    tasks: Tasks, mode: Any, release: Any
) -> None:
    """Its policies hold, whoever called the callback."""
    from airlock.integrations.celery import CallTask
    from airlock.migration.celery import install

    both = tasks.with_callbacks()
    options: Any = {"boundary": both}
    installed = install(tasks.app, mode="buffer", **options)
    with installed, install_on_commit(mode=mode, **options):
        with both.scope(release=release, policy=Dedupe()) as effects, transaction.atomic():
            transaction.on_commit(partial(tasks.receipt.delay, 1))
            transaction.on_commit(partial(tasks.receipt.delay, 2))
            tasks.receipt.delay_on_commit(2)
        assert tasks.sent == [1, 2]
        assert len(effects.report.merged) == 1
        with both.scope(release=release, policy=Drop(CallTask)), transaction.atomic():
            transaction.on_commit(partial(tasks.receipt.delay, 3))
        assert tasks.sent == [1, 2]
    assert all(HERE in row.site and row.fates == {} for row in installed.observations)


def test_a_task_that_a_callback_calls_after_its_scope_is_sent_with_a_warning(
    tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    from airlock.migration.celery import install

    both = tasks.with_callbacks()
    options: Any = {"mode": "buffer", "boundary": both}
    with install(tasks.app, **options), install_on_commit(**options), transaction.atomic():
        with both.scope():
            transaction.on_commit(partial(tasks.receipt.delay, 1))
        assert tasks.sent == []
    assert tasks.sent == [1]
    assert f"{HERE}:" in caplog.text
    assert "no scope is open" in caplog.text
