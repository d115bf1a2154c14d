"""What most of these tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airlock import Boundary
from airlock.scopes.current import NOWHERE, here
from tests.boundary.vocabulary import (
    AuditEntry,
    Emission,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    ambient,
    assert_usable,
    held,
    held_with_options,
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests run under both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    """No test leaves a current region behind, and one that does spoils no other."""
    yield
    try:
        assert_usable()
    finally:
        here.set(NOWHERE)


@pytest.fixture
def handled() -> list[Any]:
    """What handlers were called with, in order."""
    return []


@pytest.fixture
def boundary(handled: list[Any]) -> Boundary:
    """A boundary whose handlers note what they are called with."""
    note = handled.append
    return Boundary({NotifyWarehouse: note, SendEmail: note, AuditEntry: note, OrderPlaced: note})


@pytest.fixture(params=[ambient, held, held_with_options])
def emission(request: pytest.FixtureRequest) -> Emission:
    """Every way to emit into a scope."""
    emit: Emission = request.param
    return emit
