"""Fixtures of the tests of ``install``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery.signals import before_task_publish

from airlock.migration.celery import Installed, install
from tests.migration.celery.shops import Shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    before_task_publish.connect(made.published)
    yield made
    before_task_publish.disconnect(made.published)
    made.app.close()


@pytest.fixture
def buffered(shop: Shop) -> Iterator[Installed]:
    with install(shop.app, mode="buffer", boundary=shop.boundary) as installed:
        yield installed


@pytest.fixture
def observed(shop: Shop) -> Iterator[Installed]:
    with install(shop.app, mode="observe") as installed:
        yield installed
