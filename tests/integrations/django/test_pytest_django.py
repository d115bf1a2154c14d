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


def test_it_runs_with_pytest_django(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_django")
    shutil.copytree(EXAMPLE, pytester.path, dirs_exist_ok=True)
    pytester.path.joinpath(
        "pyproject.toml"
    ).unlink()  # it extends the configuration of a folder above
    pytester.path.joinpath("test_shop.py").write_text(TESTS, "utf-8")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    result = pytester.runpytest_subprocess(
        *options("django", "asyncio"), "--ds=shop.settings", "test_shop.py"
    )
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(["*2 effects were emitted, and not asserted:*"])
