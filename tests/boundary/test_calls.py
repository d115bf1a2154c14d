"""One scope stays a short way through few files: counted, for each call costs, and each is read."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import airlock
from airlock import Boundary, Drop, PolicyLike, intent


@intent
class Mail:
    n: int


HERE = str(Path(airlock.__file__).parent)
BOUNDARY = Boundary({Mail: lambda _: None})


def work(policy: PolicyLike | None) -> None:
    with BOUNDARY.scope(policy=policy) as effects:
        effects.emit(Mail(1))


def calls_of(policy: PolicyLike | None) -> list[str]:
    """Return the files of airlock that the calls of its functions are in."""
    files: list[str] = []

    def count(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        # Methods that attrs and airlock generate are in files of no place, named after their class.
        if event == "call" and name.startswith((HERE, "<airlock", "<attrs")):
            files.append(name)

    work(policy)  # what is done once
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work(policy)
    finally:
        sys.setprofile(before)
    return files


@pytest.mark.parametrize(
    ("policy", "calls", "files"),
    [
        pytest.param(None, 58, 22, id="plain"),
        pytest.param(Drop(), 92, 24, id="under a policy"),
    ],
)
def test_a_scope_with_one_intent(policy: PolicyLike | None, calls: int, files: int) -> None:
    found = calls_of(policy)
    assert len(found) <= calls
    assert len(set(found)) <= files


def test_a_scope_in_which_nothing_is_emitted() -> None:
    """Most requests are that: it costs no flush."""
    calls = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal calls
        calls += event == "call"

    def idle() -> None:
        with BOUNDARY.scope():
            pass

    idle()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        idle()
    finally:
        sys.setprofile(before)
    assert calls <= 15
