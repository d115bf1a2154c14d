"""The contract of releases, over Django's ``atomic()``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections, transaction

from airlock.integrations.django.transactions import on_commit
from airlock.release import OnFlushError, Release
from airlock.testing import ReleaseContract, ReleaseHarness
from tests.integrations.django.shop.models import Row
from tests.integrations.services import postgresql


class UndoneError(Exception):
    """Leaves an ``atomic()`` block that is rolled back."""


class Harness(ReleaseHarness):
    """Transactions are ``atomic()`` blocks, and savepoints the ones inside."""

    autocommits = True
    can_close = False

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.blocks: list[transaction.Atomic] = []

    def release(self, on_flush_error: OnFlushError) -> Release:
        return on_commit(self.alias, on_flush_error=on_flush_error)

    def begin(self) -> None:
        block = transaction.atomic(self.alias)
        block.__enter__()
        self.blocks.append(block)

    def write(self, n: int) -> None:
        Row.objects.using(self.alias).create(text=str(n))

    def read(self) -> None:
        Row.objects.using(self.alias).count()

    def commit(self) -> None:
        self.blocks.pop().__exit__(None, None, None)

    def roll_back(self) -> None:
        self.blocks.pop().__exit__(UndoneError, UndoneError(), None)

    savepoint = begin
    release_savepoint = commit
    roll_back_savepoint = roll_back

    def stored(self) -> list[int]:
        return sorted(int(row.text) for row in Row.objects.using(self.alias))


class TestAtomic(ReleaseContract):
    @pytest.fixture(params=["default", "postgres"])
    def harness(self, request: pytest.FixtureRequest) -> Iterator[Harness]:
        if request.param == "postgres":
            postgresql()
        yield Harness(request.param)
        connections[request.param].close()
        Row.objects.using(request.param).all().delete()
