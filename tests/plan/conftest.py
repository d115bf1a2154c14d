"""What most of these tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock import Boundary
from airlock.scopes.current import here
from tests.plan.vocabulary import noting


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    """No test leaves a current region behind, and one that does spoils no other."""
    before = here.get()
    yield
    left = here.get()
    here.set(before)
    assert left is before


@pytest.fixture
def handled() -> list[Any]:
    """What handlers were called with, in order."""
    return []


@pytest.fixture
def boundary(handled: list[Any]) -> Boundary:
    """A boundary whose handlers note what they are called with."""
    return Boundary(noting(handled))
