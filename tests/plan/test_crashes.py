"""A plan survives ``kill -9`` between any two things it does, and in the middle of each.

``crashes.py`` applies one in processes that die; here is looked at what it tells of that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.plan import crashes

ROOT = Path(__file__).parents[2]
EMITTING = ("Save", "Index", "Flaky")
SILENT = "Placed"  # it only means others
DONE = [str(one) for one in crashes.PLANNED if not str(one).startswith(SILENT)]
EXPECTED = Counter([*DONE, *map(str, crashes.FOLLOWING)])
FINISHED = {"delivered", "dropped"}


def told(story: str, mode: str, folder: Path) -> list[dict[str, Any]]:
    """What a run of ``crashes.py`` says."""
    command = [sys.executable, "-Wignore", "-m", "tests.plan.crashes", story, mode, str(folder)]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert not ran.returncode, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def in_flight(case: dict[str, Any]) -> list[int]:
    return [int(number) for number, state in case["at"].items() if state == "running"]


def text_of(number: int) -> str:
    """A planned effect, as it is named when it is asked about."""
    return f"{number}  {crashes.PLANNED[number]}"


@pytest.mark.parametrize(
    ("story", "mode"),
    [
        ("every-point", "sync asking"),
        ("every-point", "async idempotent"),
        ("every-third-point", "async asking"),
        ("every-third-point", "sync idempotent"),
    ],
)
def test_every_point(story: str, mode: str, tmp_path: Path) -> None:
    """Whatever the moment: nothing is lost, and nothing is done twice that was not in flight."""
    cases = told(story, mode, tmp_path)
    assert [case["killed"] for case in cases] == [True] * (len(cases) - 1) + [False]
    assert len(cases) > 30
    for case in cases:
        assert set(case["states"].values()) == FINISHED
        nothing_lost_nothing_twice(case, asking="asking" in mode)
        if mode == "sync asking":
            in_order(case["after"])
    assert any(in_flight(case) for case in cases[:-1])


def nothing_lost_nothing_twice(case: dict[str, Any], *, asking: bool) -> None:
    after = Counter(case["after"])
    assert set(after) == set(EXPECTED), case
    if not case["killed"]:
        assert after == EXPECTED
        return
    undecided = in_flight(case)
    # What the journal does not know to be over was in flight, so that it may have happened.
    assert len(case["before"]) <= sum(1 for s in case["at"].values() if s != "emitted"), case
    twice = [one for one, times in after.items() if times > EXPECTED[one]]
    assert all(after[one] == EXPECTED[one] + 1 for one in twice), case
    assert len(twice) <= len(undecided), case
    if asking:
        asked_about_exactly(case, undecided)
        assert all(one.startswith(EMITTING) for one in twice), case


def asked_about_exactly(case: dict[str, Any], undecided: list[int]) -> None:
    """Each that was in flight is named, no other, and nothing runs before it is answered."""
    assert [int(one.split()[0]) for one in case["refused"]] == undecided, case
    planned = [number for number in undecided if number < len(crashes.PLANNED)]
    assert case["refused"][: len(planned)] == [text_of(number) for number in planned], case
    assert case["asked"] == case["before"], case


def in_order(after: list[str]) -> None:
    """First what is planned, in its order; a batch is where its last member is."""
    planned = [one for one in dict.fromkeys(after) if one in DONE]
    assert list(dict.fromkeys(after))[: len(DONE)] == planned, after
    for wanted in (True, False):
        some = [one for one in DONE if one.startswith("Audit") is wanted]
        assert [one for one in planned if one.startswith("Audit") is wanted] == some, after


@pytest.mark.parametrize("mode", ["sync asking", "async asking", "sync idempotent"])
@pytest.mark.parametrize("story", ["twice", "from-outside"])
def test_again_and_again(story: str, mode: str, tmp_path: Path) -> None:
    """It dies while it goes on, too; and at moments that nobody chose."""
    cases = told(story, mode, tmp_path)
    assert sum(case["died"] for case in cases) > 3
    for case in cases:
        assert set(case["states"].values()) == FINISHED
        after = Counter(case["after"])
        assert set(after) == set(EXPECTED), case
        assert after.total() - EXPECTED.total() <= case["in_flight"], case
        if "asking" in mode:
            twice = [one for one, times in after.items() if times > EXPECTED[one]]
            assert all(one.startswith(EMITTING) for one in twice), case
