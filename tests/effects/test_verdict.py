"""Verdicts: what a policy may answer."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from airlock import ALLOW, DROP, HOLD, MERGED, Verdict


@pytest.mark.parametrize(("verdict", "name"), [(ALLOW, "ALLOW"), (DROP, "DROP"), (HOLD, "HOLD")])
def test_verdicts_show_their_names(verdict: Verdict, name: str) -> None:
    assert (repr(verdict), verdict.name, verdict.into) == (name, name, None)


def test_merged_names_the_survivor() -> None:
    assert repr(MERGED(into=2)) == "MERGED(into=2)"
    assert MERGED(into=2).into == 2


def test_the_survivor_is_given_by_name() -> None:
    merged: Any = MERGED
    with pytest.raises(TypeError, match="positional"):
        merged(2)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("verdict", [ALLOW, DROP, HOLD], ids=repr)
def test_a_verdict_stays_itself_through_pickle(verdict: Verdict, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(verdict, protocol)) is verdict


@pytest.mark.parametrize("verdict", [ALLOW, DROP, HOLD], ids=repr)
def test_a_verdict_stays_itself_when_copied(verdict: Verdict) -> None:
    assert copy.copy(verdict) is verdict
    assert copy.deepcopy(verdict) is verdict


def test_merged_pickles() -> None:
    loaded = pickle.loads(pickle.dumps(MERGED(into=3)))
    assert (loaded.name, loaded.into) == ("MERGED", 3)


def test_verdicts_have_no_other_attributes() -> None:
    verdict: Any = ALLOW
    with pytest.raises(AttributeError):
        verdict.reason = "because"
