"""Django is set up when something of this folder is collected; other tests do not use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.django.ready import ready, set_up

set_up()

from django.db import connections  # noqa: E402 - after the setup
from django.test import SimpleTestCase  # noqa: E402
from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: E402


@pytest.fixture(scope="package", autouse=True)
def _environment() -> Iterator[None]:
    """What Django's own test runner does around all tests."""
    ready()
    setup_test_environment()
    yield
    teardown_test_environment()


@pytest.fixture(autouse=True)
def _connections(request: pytest.FixtureRequest, _environment: None) -> Iterator[None]:
    """A test that leaves a transaction open does not hold up the next."""
    yield
    if not isinstance(request.instance, SimpleTestCase):  # which has one for the whole class
        connections.close_all()
