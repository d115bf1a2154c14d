"""A release for Django: each row of the table in docs/how-to/django-transactions.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import Error, IntegrityError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

import airlock
from airlock import Boundary, Scope, intent
from airlock.integrations.django.transactions import on_commit
from tests.integrations.django.shop.models import Line, Row
from tests.integrations.services import postgresql

PAGE = Path(__file__).parents[3] / "docs/how-to/django-transactions.md"


@intent(kind="django-transactions.note")
class Note:
    text: str


class SurpriseError(Exception):
    """What goes wrong in a block."""


@attrs.define
class Story:
    """Writes rows and emits notes about them, in one database."""

    alias: str
    boundary: Boundary
    delivered: list[str]

    def scope(self, **options: Any) -> Scope:
        return self.boundary.scope(release=on_commit(self.alias), **options)

    def atomic(self, **options: Any) -> transaction.Atomic:
        return transaction.atomic(self.alias, **options)

    def place(self, *texts: str) -> None:
        """What a model does in ``save()``."""
        for text in texts:
            Row.objects.using(self.alias).create(text=text)
            airlock.emit(Note(text))

    def savepoint(self) -> str:
        """Made by hand, as ``transaction.savepoint()`` does; Django 6.1 renames that."""
        sid = connections[self.alias].savepoint()
        assert sid is not None
        return sid

    def end_it(self, sql: str) -> None:
        """Past ``transaction``, which Django does not notice."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)

    @property
    def stored(self) -> list[str]:
        return [*Row.objects.using(self.alias).order_by("id").values_list("text", flat=True)]

    def check(self, *texts: str) -> None:
        """These were stored, and told of."""
        assert self.delivered == [*texts]
        assert self.stored == [*texts]


@pytest.fixture(params=["default", "postgres"])
def alias(request: pytest.FixtureRequest) -> str:
    if request.param == "postgres":
        postgresql()
    alias: str = request.param
    return alias


@pytest.fixture
def story(alias: str) -> Iterator[Story]:
    delivered: list[str] = []
    boundary = Boundary({Note: lambda note: delivered.append(note.text)})
    yield Story(alias, boundary, delivered)
    connections[alias].close()
    Line.objects.using(alias).all().delete()
    Row.objects.using(alias).all().delete()


def test_each_row_of_the_page_has_a_test_and_each_test_a_row() -> None:
    """The table says nothing that is not tried here."""
    rows = {int(n) for n in re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)}
    tests = {int(n) for n in re.findall(r"test_(\d+)_", " ".join(globals()))}
    assert rows == tests
    assert rows == set(range(1, len(rows) + 1))


# -- in autocommit mode ----------------------------------------------------------------------------


def test_1_no_transaction_and_the_block_ends_well(story: Story) -> None:
    """What each statement commits by itself, the end of the block delivers."""
    with story.scope():
        story.place("a")
        assert story.delivered == []
    story.check("a")


def test_1_no_transaction_and_others_before_and_after_it(story: Story) -> None:
    """Commit, then emit: no ``atomic()`` decides about what is emitted outside of it."""
    with story.scope() as effects:
        with story.atomic():
            story.place("a")
        airlock.emit(Note("after the commit"))
        with suppress(SurpriseError), story.atomic():
            story.place("b")
            raise SurpriseError
        assert Row.objects.using(story.alias).count() == 1  # a query that writes nothing
        airlock.emit(Note("after the rollback"))
    assert story.delivered == ["a", "after the commit", "after the rollback"]
    assert effects.report.discarded == [Note("b")]


def test_2_no_transaction_and_a_commit_after_it(story: Story) -> None:
    """Nor does a later commit keep it."""
    effects = story.scope()
    with suppress(SurpriseError), effects:
        airlock.emit(Note("a"))
        with story.atomic():
            story.place("b")
        raise SurpriseError
    assert story.delivered == ["b"]
    assert effects.report.discarded == [Note("a")]


def test_2_no_transaction_and_an_error(story: Story) -> None:
    """Without a transaction an error discards, although what was written stays."""
    effects = story.scope()
    with suppress(SurpriseError), effects:
        story.place("a")
        raise SurpriseError
    assert effects.report.discarded == [Note("a")]
    assert (story.stored, story.delivered) == (["a"], [])


def test_2_no_transaction_and_a_500(story: Story) -> None:
    """So does a ``keep`` hook that says no."""
    with story.scope(keep=lambda error: False) as effects:
        story.place("a")
    assert effects.report.discarded == [Note("a")]


# -- an atomic() in the block ----------------------------------------------------------------------


def test_3_a_commit(story: Story) -> None:
    """A commit seals; the end of the block delivers."""
    with story.scope():
        with story.atomic():
            story.place("a")
        assert story.delivered == []
        with story.atomic(durable=True):
            story.place("b")
    story.check("a", "b")


def test_3_select_for_update(story: Story) -> None:
    """What reads for update is in a transaction too."""
    with story.scope():
        story.place("a")
        with story.atomic():
            assert Row.objects.using(story.alias).select_for_update().get(text="a").pk
            story.place("b")
    story.check("a", "b")


def test_4_a_rollback_whose_error_is_caught(story: Story) -> None:
    """A rollback discards, although the error was caught."""
    with story.scope() as effects:
        with suppress(SurpriseError), story.atomic():
            story.place("a")
            raise SurpriseError
        with story.atomic():
            story.place("b")
    story.check("b")
    assert effects.report.discarded == [Note("a")]


def test_4_a_rollback_whose_error_leaves_the_block(story: Story) -> None:
    """A rollback discards."""
    effects = story.scope()
    with suppress(SurpriseError), effects, story.atomic():
        story.place("a")
        raise SurpriseError
    story.check()
    assert effects.report.discarded == [Note("a")]


def test_5_a_commit_then_an_error(story: Story) -> None:
    """A later error does not unsay what was committed, and discards what came after it."""
    effects = story.scope()
    with suppress(SurpriseError), effects:
        with story.atomic():
            story.place("a")
        airlock.emit(Note("b"))
        raise SurpriseError
    story.check("a")
    assert effects.report.discarded == [Note("b")]


def test_5_a_commit_then_a_500(story: Story) -> None:
    """Nor does a 500."""
    with story.scope(keep=lambda error: False) as effects:
        with story.atomic():
            story.place("a")
        airlock.emit(Note("b"))
    story.check("a")
    assert effects.report.discarded == [Note("b")]


def test_6_an_inner_atomic_fails(story: Story) -> None:
    """A savepoint that is rolled back discards what is in it, and no more."""
    with story.scope(), story.atomic():
        story.place("a")
        with suppress(SurpriseError), story.atomic():
            story.place("b")
            with story.atomic():
                story.place("c")
            raise SurpriseError
        story.place("d")
        with story.atomic():
            story.place("e")
    story.check("a", "d", "e")


def test_6_some_of_a_loop_fail(story: Story) -> None:
    """An import that skips what fails tells of what it stored."""
    with story.scope(), story.atomic():
        for text in "abacab":
            with suppress(IntegrityError), story.atomic():
                story.place(text)
    story.check("a", "b", "c")


def test_6_an_inner_atomic_emits_first_and_fails_in_the_database(story: Story) -> None:
    """It does not matter whether the emission or the statement comes first."""
    with story.scope(), story.atomic():
        story.place("a")
        with suppress(IntegrityError), story.atomic():
            airlock.emit(Note("twice"))
            story.place("a")
    story.check("a")


def test_7_an_inner_atomic_without_savepoint_fails(story: Story) -> None:
    """Without a savepoint nothing less than the whole can be rolled back."""
    with story.scope(), story.atomic():
        story.place("a")
        with suppress(SurpriseError), story.atomic(savepoint=False):
            story.place("b")
            raise SurpriseError
        airlock.emit(Note("c"))
    story.check()


def test_8_set_rollback(story: Story) -> None:
    """A rollback that is asked for discards, without any error."""
    with story.scope() as effects:
        with story.atomic():
            story.place("a")
            transaction.set_rollback(True, story.alias)
        with story.atomic():
            story.place("b")
            with story.atomic():
                story.place("c")
                transaction.set_rollback(True, story.alias)
    story.check("b")
    assert effects.report.discarded == [Note("a"), Note("c")]


def test_9_savepoint_rollback(story: Story) -> None:
    """Savepoints that are made by hand count as well."""
    with story.scope(), story.atomic():
        story.place("a")
        sid = story.savepoint()
        story.place("b")
        transaction.savepoint_rollback(sid, story.alias)
        story.place("c")
        transaction.savepoint_rollback(sid, story.alias)
        story.place("d")
        transaction.savepoint_commit(sid, story.alias)
        story.place("e")
    story.check("a", "d", "e")


def test_9_a_savepoint_that_was_there_before(story: Story) -> None:
    """Also one that was made before anything was emitted on this connection."""
    connections[story.alias].close()
    del connections[story.alias]
    with story.atomic():
        sid = story.savepoint()
        with story.scope() as effects:
            story.place("a")
            with story.atomic():
                story.place("b")
            transaction.savepoint_rollback(sid, story.alias)
            story.place("c")
    story.check("c")
    assert effects.report.discarded == [Note("a"), Note("b")]


def test_10_the_connection_is_closed(story: Story) -> None:
    """A connection that is lost takes its transaction along."""
    with story.scope() as effects:
        with suppress(Error), story.atomic():
            story.place("a")
            connections[story.alias].close()
            airlock.emit(Note("b"))
        story.place("c")
    story.check("c")
    assert effects.report.discarded == [Note("a"), Note("b")]


def test_11_the_commit_fails(story: Story) -> None:
    """A COMMIT that the database refuses is a rollback."""
    with story.scope() as effects:
        with suppress(IntegrityError), story.atomic():
            story.place("a")
            Line.objects.using(story.alias).create(row_id=4242)  # checked by the COMMIT
        story.place("b")
    story.check("b")
    assert effects.report.discarded == [Note("a")]


def test_12_a_failed_statement_is_ignored(story: Story) -> None:
    """PostgreSQL answers the COMMIT with a ROLLBACK, which Django does not notice."""
    called: list[str] = []
    with story.scope(), story.atomic():
        story.place("a")
        with suppress(Error), connections[story.alias].cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere_at_all")
        transaction.on_commit(lambda: called.append("back"), story.alias)
    assert called == ["back"]
    story.check(*([] if story.alias == "postgres" else ["a"]))


def test_12_the_database_itself_rolls_back(story: Story) -> None:
    """What ends the transaction under Django, takes along what was emitted; the rest goes on."""
    with story.scope() as effects, story.atomic():
        story.place("a")
        story.end_it("ROLLBACK")
        story.place("b")
    story.check("b")
    assert effects.report.discarded == [Note("a")]


def test_12_a_statement_that_rolls_back_when_it_fails() -> None:
    """Only SQLite has such a conflict clause."""
    story = Story("default", Boundary({Note: print}), [])
    row = Row.objects.create(text="there")
    with story.scope() as effects, story.atomic():
        story.place("a")
        with suppress(IntegrityError), connections["default"].cursor() as cursor:
            cursor.execute("INSERT OR ROLLBACK INTO shop_row (id, text) VALUES (%s, '')", [row.pk])
    assert story.stored == ["there"]
    assert effects.report.discarded == [Note("a")]
    row.delete()


def test_12_a_commit_under_django(story: Story) -> None:
    """What a statement has committed is kept, whatever becomes of the atomic()."""
    with story.scope() as effects, suppress(SurpriseError), story.atomic():
        story.place("a")
        story.end_it("-- now\n COMMIT;")
        if story.alias == "postgres":  # SQLite commits by itself from here on
            story.place("b")
        raise SurpriseError
    story.check("a")
    assert effects.report.discarded == ([Note("b")] if story.alias == "postgres" else [])


def test_12_a_commit_under_django_of_what_has_failed() -> None:
    """PostgreSQL rolls back then, and says so."""
    postgresql()
    story = Story("postgres", Boundary({Note: print}), [])
    with story.scope() as effects, story.atomic():
        story.place("a")
        with suppress(Error):
            story.end_it("SELECT * FROM nowhere_at_all")
        story.end_it("COMMIT")
    assert story.stored == []
    assert effects.report.discarded == [Note("a")]


def test_12_a_transaction_that_ended_unseen(story: Story) -> None:
    """The driver knows that there is none, but not how it ended: that counts as a rollback."""
    with story.scope() as effects, story.atomic():
        story.place("a")
        connections[story.alias].connection.rollback()
        story.place("b")
        if story.alias == "postgres":  # SQLite commits by itself from here on
            connections[story.alias].connection.rollback()
    assert effects.report.discarded[0] == Note("a")
    story.check(*([] if story.alias == "postgres" else ["b"]))


def test_12_a_transaction_without_statements(story: Story) -> None:
    """PostgreSQL has not begun any, and what was emitted is delivered all the same."""
    for savepoint in (True, False):
        with story.scope(), story.atomic():
            airlock.emit(Note("a"))
            with story.atomic(savepoint=savepoint):
                airlock.emit(Note("b"))
    with story.scope() as effects, suppress(SurpriseError), story.atomic():
        airlock.emit(Note("c"))
        raise SurpriseError
    assert story.delivered == ["a", "b"] * 2
    assert effects.report.discarded == [Note("c")]


def test_13_the_callback_of_another_fails(story: Story) -> None:
    """After one that raises Django calls no other; the commit has happened all the same."""

    def fail() -> None:
        raise SurpriseError

    with story.scope():
        with suppress(SurpriseError), story.atomic():
            transaction.on_commit(fail, story.alias)
            story.place("a")
        with story.atomic():
            transaction.on_commit(fail, story.alias, robust=True)
            story.place("b")
    story.check("a", "b")


# -- the block ends inside -------------------------------------------------------------------------


def test_14_then_a_commit(story: Story) -> None:
    """The commit delivers, in turn with the callbacks of others."""
    order = story.delivered
    with story.atomic():
        transaction.on_commit(lambda: order.append("before"), story.alias)
        with story.scope() as effects:
            story.place("a")
            with story.atomic():
                story.place("b")
        transaction.on_commit(lambda: order.append("after"), story.alias)
        assert order == []
    assert order == ["before", "a", "b", "after"]
    assert effects.report.delivered == [Note("a"), Note("b")]


def test_14_then_a_commit_after_the_callback_of_another_failed(story: Story) -> None:
    """Nothing is lost because of it."""

    def fail() -> None:
        raise SurpriseError

    with suppress(SurpriseError), story.atomic():
        transaction.on_commit(fail, story.alias)
        with story.scope():
            story.place("a")
    story.check("a")


def test_14_a_handler_fails_then(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    """An error goes to the report and the log: it cannot undo the commit."""

    def fail(note: Note) -> None:
        raise ConnectionError

    with story.atomic(), story.scope() as effects, effects.override({Note: fail}):
        story.place("a")
    assert effects.report.failed == [Note("a")]
    assert "effects released by a commit failed" in caplog.text
    assert story.stored == ["a"]


def test_15_then_a_rollback(story: Story) -> None:
    """The rollback discards, at once."""
    effects = story.scope()
    with suppress(SurpriseError), story.atomic():
        with effects:
            story.place("a")
        raise SurpriseError
    story.check()
    assert effects.report.discarded == [Note("a")]


def test_15_then_the_rollback_of_a_savepoint(story: Story) -> None:
    """What was emitted in a savepoint is discarded; by the end of the transaction, at the latest."""
    effects = story.scope()
    with story.atomic():
        with suppress(SurpriseError), story.atomic():
            with effects:
                story.place("a")
            raise SurpriseError
        Row.objects.using(story.alias).create(text="b")
    assert effects.report.discarded == [Note("a")]
    assert (story.stored, story.delivered) == (["b"], [])


# -- requests --------------------------------------------------------------------------------------


def request(story: Story, view: Callable[[], int], *, atomic: bool = True) -> tuple[int, Scope]:
    """Answer one in a scope around the view, as the middleware does; the view returns a status."""
    scopes: list[Scope] = []

    def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
        def answer(request: HttpRequest) -> HttpResponse:
            with story.scope() as effects:
                scopes.append(effects)
                return get_response(request)

        return answer

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=view())

    urls: Any = ModuleType("urls")
    urls.urlpatterns = [path("", page)]
    settings_dict = connections[story.alias].settings_dict
    settings_dict["ATOMIC_REQUESTS"] = atomic
    try:
        with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[reachable(middleware)]):
            response = Client(raise_request_exception=False).get("/")
    finally:
        settings_dict["ATOMIC_REQUESTS"] = False
    return response.status_code, scopes[0]


def reachable(middleware: Any) -> str:
    """The dotted path of a middleware, which settings ask for."""
    globals()["the_middleware"] = middleware
    return f"{__name__}.the_middleware"


def test_16_a_view_returns(story: Story) -> None:
    """ATOMIC_REQUESTS: the view is the transaction, and commits before the middleware ends."""

    def view() -> int:
        story.place("a")
        return 200

    assert request(story, view)[0] == 200
    story.check("a")


def test_17_a_view_raises(story: Story) -> None:
    """ATOMIC_REQUESTS: an error rolls back, although Django makes a 500 of it before the block ends."""

    def view() -> int:
        story.place("a")
        raise SurpriseError

    status, effects = request(story, view)
    assert status == 500
    story.check()
    assert effects.report.discarded == [Note("a")]


def test_18_a_view_catches_the_error_of_an_inner_atomic(story: Story) -> None:
    """ATOMIC_REQUESTS: an atomic() in a view is a savepoint."""

    def view() -> int:
        story.place("a")
        with suppress(SurpriseError), story.atomic():
            story.place("b")
            raise SurpriseError
        return 200

    request(story, view)
    story.check("a")


def test_19_a_view_answers_500(story: Story) -> None:
    """ATOMIC_REQUESTS: Django commits whatever the status is, and so the effects are kept."""

    def view() -> int:
        story.place("a")
        return 500

    assert request(story, view)[0] == 500
    story.check("a")


def test_20_a_view_asks_for_the_rollback(story: Story) -> None:
    """ATOMIC_REQUESTS: a view that answers an error by itself has to ask for the rollback."""

    def view() -> int:
        story.place("a")
        transaction.set_rollback(True, story.alias)
        return 422

    assert request(story, view)[0] == 422
    story.check()


def test_20_a_view_without_atomic_requests(story: Story) -> None:
    """Without it, a view's own atomic() commits, and a 500 after it unsays nothing."""

    def view() -> int:
        with story.atomic():
            story.place("a")
        raise SurpriseError

    assert request(story, view, atomic=False)[0] == 500
    story.check("a")


# -- set_autocommit(False) -------------------------------------------------------------------------


@pytest.fixture
def manual(story: Story) -> Iterator[Story]:
    transaction.set_autocommit(False, story.alias)
    yield story
    transaction.rollback(story.alias)
    transaction.set_autocommit(True, story.alias)


def test_21_commit_by_hand(manual: Story) -> None:
    """``transaction.commit()`` is a commit."""
    with manual.scope():
        manual.place("a")
        transaction.commit(manual.alias)
        manual.place("b")
        transaction.rollback(manual.alias)
    manual.check("a")


def test_21_commit_by_hand_after_the_block(manual: Story) -> None:
    """It delivers, if the block has ended."""
    with manual.scope() as effects:
        manual.place("a")
    assert manual.delivered == []
    transaction.commit(manual.alias)
    assert manual.delivered == ["a"]
    assert effects.report.delivered == [Note("a")]


def test_22_rollback_by_hand(manual: Story) -> None:
    """``transaction.rollback()`` is a rollback; an atomic() in between is a savepoint."""
    with manual.scope() as effects:
        manual.place("a")
        with manual.atomic():
            manual.place("b")
        transaction.rollback(manual.alias)
    manual.check()
    assert effects.report.discarded == [Note("a"), Note("b")]


# -- several databases -----------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[None]:
    yield
    connections["other"].close()
    Row.objects.using("other").all().delete()


def test_23_a_transaction_of_another_database(story: Story, other: None) -> None:
    """The release is of one database: as far as that is concerned, this is autocommit mode."""
    with story.scope() as effects, suppress(SurpriseError), transaction.atomic("other"):
        airlock.emit(Note("a"))
        raise SurpriseError
    assert effects.report.delivered == [Note("a")]


def test_24_transactions_of_two_databases(story: Story, other: None) -> None:
    """The one of the release decides, whatever becomes of the other."""
    with story.scope():
        with suppress(SurpriseError), transaction.atomic("other"):
            with story.atomic():
                story.place("a")
            raise SurpriseError
        with suppress(SurpriseError), story.atomic():
            with transaction.atomic("other"):
                Row.objects.using("other").create(text="b")
                airlock.emit(Note("b"))
            raise SurpriseError
    story.check("a")
    assert [row.text for row in Row.objects.using("other").all()] == ["b"]


def test_25_a_scope_for_each_database(story: Story, other: None) -> None:
    """Each decides about what was emitted in its own."""
    log = story.boundary.scope(release=on_commit("other"), independent=True)
    with story.scope(), suppress(SurpriseError), story.atomic():
        story.place("a")
        with log, transaction.atomic("other"):
            airlock.emit(Note("logged"))
        assert story.delivered == ["logged"]
        raise SurpriseError
    assert story.delivered == ["logged"]


# -- in callbacks of transaction.on_commit ---------------------------------------------------------


def emits(*texts: str, fails: bool = False) -> Callable[[], None]:
    """A callback for ``transaction.on_commit``."""

    def callback() -> None:
        for text in texts:
            airlock.emit(Note(text))
        if fails:
            raise SurpriseError

    return callback


def test_26_an_error_after_a_callback(story: Story) -> None:
    """What a callback emits belongs to its commit; what comes after it to the block."""
    effects = story.scope()
    with suppress(SurpriseError), effects:
        with story.atomic():
            transaction.on_commit(emits("before"), story.alias)
            story.place("a")
            with story.atomic():
                transaction.on_commit(emits("inner"), story.alias)
        airlock.emit(Note("after"))
        raise SurpriseError
    assert story.delivered == ["a", "before", "inner"]
    assert effects.report.discarded == [Note("after")]


def test_26_a_500_after_a_callback(story: Story) -> None:
    """It is the first that this scope emits, and a ``keep`` hook that says no changes nothing."""
    with story.scope(keep=lambda error: False), story.atomic():
        transaction.on_commit(emits("a"), story.alias)
    assert story.delivered == ["a"]


def test_26_a_view_that_fails_after_a_callback(story: Story) -> None:
    """Nor does the answer to a request."""

    def view() -> int:
        with story.atomic():
            transaction.on_commit(emits("a"), story.alias)
        raise SurpriseError

    assert request(story, view, atomic=False)[0] == 500
    assert story.delivered == ["a"]


def test_26_a_callback_of_what_is_rolled_back_does_not_run(story: Story) -> None:
    """So it emits nothing."""
    with story.scope() as effects, story.atomic():
        with suppress(SurpriseError), story.atomic():
            transaction.on_commit(emits("a"), story.alias)
            raise SurpriseError
        transaction.on_commit(emits("b"), story.alias)
    assert story.delivered == ["b"]
    assert effects.report.discarded == []


def test_26_a_callback_of_a_callback(story: Story) -> None:
    """Django calls it at once, because of the same commit."""
    with suppress(SurpriseError), story.scope():
        with story.atomic():
            again = partial(transaction.on_commit, emits("a"), story.alias)
            transaction.on_commit(again, story.alias)
        raise SurpriseError
    assert story.delivered == ["a"]


def test_26_a_callback_in_regions_and_nested_scopes(story: Story) -> None:
    """Policies hold in it, around it too, and what a nested scope emits belongs to the commit as well."""

    def callback() -> None:
        with airlock.region(airlock.Drop()):
            airlock.emit(Note("dropped"))
        with suppress(SurpriseError), story.boundary.scope() as nested:
            nested.emit(Note("nested"))
            raise SurpriseError

    with suppress(SurpriseError), story.scope() as effects, story.boundary.scope():
        with story.atomic():
            transaction.on_commit(callback, story.alias)
        with airlock.region(airlock.Drop()), story.atomic():
            transaction.on_commit(emits("dropped too"), story.alias)
        raise SurpriseError
    assert story.delivered == ["nested"]
    assert effects.report.dropped == [Note("dropped"), Note("dropped too")]


def test_26_a_buffer_of_a_scope_around(story: Story) -> None:
    """So does what a callback emits into the scope of another boundary that is open around it."""
    audited: list[str] = []
    audit = Boundary({Note: lambda note: audited.append(note.text)})
    with suppress(SurpriseError), audit.scope(release=on_commit(story.alias)) as log, story.scope():
        with story.atomic():
            transaction.on_commit(lambda: log.emit(Note("a")), story.alias)
        raise SurpriseError
    assert audited == ["a"]


def test_26_async_code_in_a_callback(story: Story) -> None:
    """What it calls is a part of it."""

    async def send() -> None:
        airlock.emit(Note("a"))

    with suppress(SurpriseError), story.scope():
        with story.atomic():
            transaction.on_commit(async_to_sync(send), story.alias)
        raise SurpriseError
    assert story.delivered == ["a"]


def test_26_an_async_view(story: Story) -> None:
    """The transaction is that of a thread; the scope that of the view."""

    @sync_to_async
    def place() -> None:
        with story.atomic():
            transaction.on_commit(emits("a"), story.alias)

    async def view() -> None:
        async with story.scope() as effects:
            await place()
            effects.emit(Note("after"))
            raise SurpriseError

    with suppress(SurpriseError):
        asyncio.run(view())
    assert story.delivered == ["a"]


def test_27_a_callback_that_raises(story: Story) -> None:
    """What it has emitted is kept, as is what others did."""
    for robust in (False, True):
        with suppress(SurpriseError), story.scope():
            with story.atomic():
                transaction.on_commit(emits(f"{robust}", fails=True), story.alias, robust=robust)
                transaction.on_commit(emits("next"), story.alias)
            raise SurpriseError
    assert story.delivered == ["False", "True", "next"]


def test_27_what_comes_after_a_callback_that_raises(story: Story) -> None:
    """It is nobody's commit any more."""
    with story.scope(keep=lambda error: False) as effects:
        with suppress(SurpriseError), story.atomic():
            transaction.on_commit(emits("a", fails=True), story.alias)
        airlock.emit(Note("b"))
    assert story.delivered == ["a"]
    assert effects.report.discarded == [Note("b")]


def test_28_a_callback_of_another_database(story: Story, other: None) -> None:
    """It ran because of that commit, in a transaction of ours or in none."""
    with suppress(SurpriseError), story.scope():
        with transaction.atomic("other"):
            transaction.on_commit(emits("a"), "other")
        raise SurpriseError
    with suppress(SurpriseError), story.scope() as effects, story.atomic():
        story.place("rolled back")
        with transaction.atomic("other"):
            transaction.on_commit(emits("b"), "other")
        story.place("so is this")
        raise SurpriseError
    assert story.delivered == ["a", "b"]
    assert effects.report.discarded == [Note("rolled back"), Note("so is this")]


def test_29_a_transaction_in_a_callback(story: Story) -> None:
    """That one decides about what is emitted in it; what stands beside it belongs to the commit."""

    def callback() -> None:
        with suppress(SurpriseError), story.atomic():
            story.place("rolled back")
            raise SurpriseError
        with story.atomic():
            story.place("a")
            transaction.on_commit(emits("inner"), story.alias)
        airlock.emit(Note("b"))

    with suppress(SurpriseError), story.scope() as effects:
        with story.atomic():
            transaction.on_commit(callback, story.alias)
        raise SurpriseError
    assert story.delivered == ["a", "inner", "b"]
    assert effects.report.discarded == [Note("rolled back")]


def test_30_a_unit_of_work_in_a_callback(story: Story) -> None:
    """It is no part of the commit: it fails by itself, as an eager task does."""
    tasks = [story.scope(independent=True) for _ in range(2)]

    def callback() -> None:
        with tasks[0] as task:
            task.emit(Note("a"))
        with suppress(SurpriseError), tasks[1] as task:
            task.emit(Note("failed"))
            raise SurpriseError

    with story.scope(), story.atomic():
        transaction.on_commit(callback, story.alias)
    assert story.delivered == ["a"]
    assert tasks[1].report.discarded == [Note("failed")]


def test_30_a_handler_that_a_callback_sets_off(story: Story) -> None:
    """A failed attempt of it discards what it emitted, as anywhere."""

    def fail(_: Note) -> None:
        airlock.emit(Note("follow-up"))
        raise SurpriseError

    def callback() -> None:
        task = story.scope(independent=True)
        with suppress(airlock.FlushError), task, task.override({Note: fail}):
            task.emit(Note("a"))

    with story.scope(), story.atomic():
        transaction.on_commit(callback, story.alias)
    assert story.delivered == []
