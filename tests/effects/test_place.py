"""Places: where in the user's code something was written."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock import Boundary, Drop, enclose
from airlock.cli import story
from airlock.effects.place import caller, shown
from airlock.effects.registry import spec_of


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_caller_is_the_nearest_line_outside_airlock() -> None:
    assert caller() == (__file__, here())


def test_an_intent_of_airlock_itself_is_declared_in_airlock() -> None:
    """And not by the machinery that imports its module."""
    file, line = spec_of(story.NotifyWarehouse).place
    assert file == story.__file__
    assert Path(file).read_text("utf-8").splitlines()[line - 1].startswith("@intent")


def test_a_scope_is_opened_where_its_block_begins() -> None:
    scope = Boundary({}).scope()
    with scope:
        line = here() - 1
        assert scope.region.place == (__file__, line)


def test_exit_stacks_and_context_managers_only_forward() -> None:
    """What ``contextlib`` enters was opened by the line that told it to."""
    boundary = Boundary({})

    @contextlib.contextmanager
    def forwarded() -> Iterator[int]:
        with boundary.scope() as effects:
            assert isinstance(effects.region.place, tuple)
            yield effects.region.place[1]

    with contextlib.ExitStack() as stack:
        scope = stack.enter_context(boundary.scope())
        assert scope.region.place == (__file__, here() - 1)
        assert stack.enter_context(forwarded()) < here()
        stack.enter_context(enclose(Drop()))


def test_a_place_below_the_working_directory_is_shown_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        shown((str(tmp_path / "shop" / "models.py"), 3)) == str(Path("shop") / "models.py") + ":3"
    )


def test_a_place_elsewhere_is_shown_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert shown((str(tmp_path / "models.py"), 3)) == f"{tmp_path / 'models.py'}:3"


def test_an_unknown_place_says_so() -> None:
    assert shown(None) == "an unknown place"
