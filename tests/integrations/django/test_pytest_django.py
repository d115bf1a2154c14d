"""Tests that pytest-django runs: its fixtures beside ours, in a project of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.testing.test_plugin import options

EXAMPLE = Path(__file__).parents[3] / "examples" / "django_celery"

TESTS = """
import pytest
from django.db import transaction

import airlock
from airlock.integrations.django.testing import assert_effects, capture_effects
from shop.intents import NotifyWarehouse, SendMail
from shop.models import Order

ORDER = {"number": 1, "email": "ann@example.org"}
PLACED = [NotifyWarehouse(1), SendMail(1, "placed")]


@pytest.mark.django_db
def test_our_fixture_and_a_client(client, effects):
    assert client.post("/orders/", ORDER).status_code == 201
    assert effects == PLACED


@pytest.mark.django_db
def test_what_the_view_rolls_back_is_not_recorded(client, effects):
    assert client.post("/orders/", ORDER).status_code == 201
    assert client.post("/orders/", ORDER).status_code == 409
    assert effects == PLACED
    assert Order.objects.count() == 1


@pytest.mark.django_db
def test_captured(client):
    with capture_effects() as captured:
        client.post("/orders/", ORDER)
    assert captured == PLACED


@pytest.mark.django_db
def test_asserted(client):
    with assert_effects(*PLACED):
        client.post("/orders/", ORDER)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [201, 409])
def test_with_commits(client, effects, status):
    if status == 409:
        Order.objects.create(**ORDER)
    assert client.post("/orders/", ORDER).status_code == status
    assert effects == (PLACED if status == 201 else [])


@pytest.mark.django_db
def test_its_own_capture_of_callbacks(client, effects, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/orders/", ORDER)
    assert effects == PLACED


@pytest.mark.django_db
def test_without_a_request(effects):
    with transaction.atomic():
        airlock.emit(NotifyWarehouse(1))
    assert effects == [NotifyWarehouse(1)]


def test_without_a_database(effects):
    assert effects == []


@pytest.mark.django_db
@pytest.mark.effects(strict=True)
def test_strict(client):
    client.post("/orders/", ORDER)


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
async def test_async(async_client, effects):
    assert (await async_client.post("/orders/", ORDER)).status_code == 201
    assert effects == PLACED
"""


ROLLBACKS = """
import pytest
from django.db import transaction
from django.test import TestCase, TransactionTestCase

import airlock
from airlock.testing import expect_effects
from shop.intents import NotifyWarehouse

KEPT = [NotifyWarehouse(1), NotifyWarehouse(3), NotifyWarehouse(5)]


def work():
    with pytest.raises(ValueError), transaction.atomic():
        airlock.emit(NotifyWarehouse(0))
        raise ValueError
    with transaction.atomic():
        airlock.emit(NotifyWarehouse(1))
        with pytest.raises(ValueError), transaction.atomic():
            airlock.emit(NotifyWarehouse(2))
            raise ValueError
        airlock.emit(NotifyWarehouse(3))
        sid = transaction.savepoint()
        airlock.emit(NotifyWarehouse(4))
        transaction.savepoint_rollback(sid)
    airlock.emit(NotifyWarehouse(5))


@pytest.mark.django_db
def test_with_the_marker(effects):
    work()
    assert effects == KEPT


def test_with_the_fixture_first(db, effects):
    work()
    assert effects == KEPT


def test_with_the_fixture_last(effects, db):
    work()
    assert effects == KEPT


@pytest.mark.django_db(transaction=True)
def test_where_transactions_are_real(effects):
    work()
    assert effects == KEPT


@pytest.mark.effects("record")
def test_marked(db):
    work()
    assert airlock.current() == KEPT


def test_a_recording_in_a_test(db):
    with expect_effects(*KEPT):
        work()


def test_callbacks_that_are_called(db, effects, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        transaction.on_commit(lambda: airlock.emit(NotifyWarehouse(1)))
    assert effects == [NotifyWarehouse(1)]


def test_into_the_fixture(db, effects):
    with pytest.raises(ValueError), transaction.atomic():
        effects.emit(NotifyWarehouse(0))
        raise ValueError
    assert effects == []


@pytest.fixture
def in_a_transaction(db):
    with transaction.atomic():
        airlock.emit(NotifyWarehouse(1))
        yield
        transaction.set_rollback(True)


def test_in_a_transaction_of_a_fixture(in_a_transaction, effects):
    with pytest.raises(ValueError), transaction.atomic():
        airlock.emit(NotifyWarehouse(0))
        raise ValueError
    assert effects == [NotifyWarehouse(1)]  # nothing has decided against it so far


def test_what_became_of_it_is_said(db, effects):
    with pytest.raises(ValueError), transaction.atomic():
        airlock.emit(NotifyWarehouse(7))
        raise ValueError
    effects.saw(NotifyWarehouse(7))


@pytest.mark.asyncio
@pytest.mark.django_db(transaction=True)
async def test_async(effects):
    from asgiref.sync import sync_to_async
    await sync_to_async(work)()
    assert effects == KEPT


class InCase(TestCase):
    @pytest.fixture(autouse=True)
    def _effects(self, effects):
        self.effects = effects

    def test_it(self):
        work()
        assert self.effects == KEPT


@pytest.mark.effects("record")
class Real(TransactionTestCase):
    def test_it(self):
        work()
        assert airlock.current() == KEPT
"""


def test_what_is_rolled_back_is_not_recorded(pytester: pytest.Pytester) -> None:
    """Wherever the transaction is: a recording holds what production would deliver."""
    result = run(pytester, ROLLBACKS)
    result.assert_outcomes(passed=12, failed=1)
    result.stdout.fnmatch_lines(["*NotifyWarehouse(order=7)*discarded by rollback*"])


def test_it_runs_with_pytest_django(pytester: pytest.Pytester) -> None:
    result = run(pytester, TESTS)
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(["*2 effects were emitted, and not asserted:*"])


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    """Run tests in a copy of the example."""
    pytest.importorskip("pytest_django")
    shutil.copytree(EXAMPLE, pytester.path, dirs_exist_ok=True)
    pytester.path.joinpath(
        "pyproject.toml"
    ).unlink()  # it extends the configuration of a folder above
    pytester.path.joinpath("test_shop.py").write_text(tests, "utf-8")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    return pytester.runpytest_subprocess(
        *options("django", "asyncio"), "--ds=shop.settings", "test_shop.py"
    )
