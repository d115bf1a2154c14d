"""``NO_SCOPE``: shells, threads, and the entry points of others."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client, override_settings

import airlock
from airlock.errors import NoScopeError
from airlock.integrations.django import counts
from tests.integrations.django import pages
from tests.integrations.django.pages import Note, done
from tests.integrations.django.shop.models import Row
from tests.integrations.django.test_app_middleware import serving


@pytest.fixture(autouse=True)
def _nothing_done() -> Iterator[None]:
    done.clear()
    yield
    with pytest.raises(NoScopeError):
        airlock.emit(Note("after the test"))
    Row.objects.all().delete()


def test_an_emission_without_a_scope_is_refused() -> None:
    with serving(), pytest.raises(NoScopeError):
        airlock.emit(Note("a"))


def test_or_delivered_at_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with serving(NO_SCOPE="run"):
        airlock.emit(Note("a"))
        assert done == ["a"]
        airlock.emit(Note("b"))
        assert counts().no_scope == {"django-app.note": 2}
    assert caplog.text.count("was emitted where no scope is open, and is delivered at once") == 1


def test_or_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with serving(NO_SCOPE="drop"):
        airlock.emit(Note("a"))
        assert counts().no_scope == {"django-app.note": 1}
    assert done == []
    assert "is dropped" in caplog.text


def test_in_a_transaction_it_waits_for_the_commit() -> None:
    with serving(NO_SCOPE="run"):
        with transaction.atomic():
            Row.objects.create(text="a")
            airlock.emit(Note("a"))
            assert done == []
        assert done == ["a"]
        with transaction.atomic():
            airlock.emit(Note("b"))
            transaction.set_rollback(True)
    assert done == ["a"]


def test_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(NO_SCOPE="run"):
        airlock.emit(Note("fails"))
    assert "the warehouse does not answer" in caplog.text


def test_or_raised() -> None:
    with serving(NO_SCOPE="run", ON_FLUSH_ERROR="raise"), pytest.raises(airlock.FlushError):
        airlock.emit(Note("fails"))


def test_threads_are_meant_too() -> None:
    with serving(NO_SCOPE="run"):
        thread = threading.Thread(target=pages.emit_or_say)
        thread.start()
        thread.join()
    assert done == ["from a thread"]


def test_requests_have_their_scope_still() -> None:
    with serving(NO_SCOPE="drop"):
        Client().get("/save/a")
        assert counts().no_scope == {}
    assert done == ["a"]


def test_with_wrong_settings_it_is_refused_and_nothing_is_lost() -> None:
    with serving(NO_SCOPE="run", DATABASE="nowhere"), pytest.raises(NoScopeError):
        airlock.emit(Note("a"))


def test_the_boundary_is_not_imported_for_nothing() -> None:
    nowhere = {"BOUNDARY": "tests.integrations.django.nowhere.boundary"}
    with override_settings(AIRLOCK=nowhere), pytest.raises(NoScopeError):
        airlock.emit(Note("a"))
