"""Matchers equal the values that they accept, wherever they stand, and never raise."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.testing import any_value, contains, gt, lt, matching


@given(st.integers(), st.integers())
def test_gt_and_lt_compare_as_the_values_do(value: int, bound: int) -> None:
    assert (value == gt(bound)) == (value > bound)
    assert (value == lt(bound)) == (value < bound)


@pytest.mark.parametrize(
    ("value", "matcher"),
    [
        (dt.date(2026, 11, 22), gt(dt.date(2026, 11, 21))),
        ("b", gt("a")),
        ((1, 2), lt((1, 3))),
        ("ada@example.org", contains("@")),
        ((1, 2), contains(2)),
        (frozenset({1}), contains(1)),
        ({"order": 1}, contains("order")),
        ("order 42", matching(r"\d+$")),
        ("ORDER", matching(re.compile("order", re.IGNORECASE))),
        (None, any_value),
        (float("nan"), any_value),
    ],
    ids=repr,
)
def test_a_matcher_equals_what_it_accepts(value: object, matcher: Any) -> None:
    """On either side, and in what holds it."""
    assert matcher == value
    assert value == matcher
    assert (value,) == (matcher,)
    assert {"field": [value]} == {"field": [matcher]}


@pytest.mark.parametrize(
    ("value", "matcher"),
    [
        (4, gt(4)),
        (4, lt(4)),
        ("5", gt(4)),
        (None, lt(4)),
        (dt.datetime(2026, 11, 22), gt(dt.datetime(2026, 11, 21, tzinfo=dt.UTC))),  # noqa: DTZ001 - they do not compare
        (42, contains(4)),
        ("42", contains(4)),
        ((1, 2), contains(3)),
        (42, matching("42")),
        (b"42", matching("42")),
        (None, matching("None")),
        ("order", matching("^rder")),
    ],
    ids=repr,
)
def test_a_matcher_differs_from_everything_else(value: object, matcher: Any) -> None:
    """From what cannot be compared with it too."""
    assert matcher != value
    assert value != matcher


def test_errors_other_than_of_type_are_raised() -> None:
    """They are mistakes of the value's class, which the test should see."""
    value = mock.Mock(__gt__=mock.Mock(side_effect=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        assert value == gt(1)


@pytest.mark.parametrize(
    ("matcher", "written"),
    [
        (gt(5), "gt(5)"),
        (lt("b"), "lt('b')"),
        (contains("@"), "contains('@')"),
        (matching(r"\d"), r"matching('\\d')"),
        (matching(re.compile("a", re.IGNORECASE)), "matching('a')"),
        (any_value, "any_value"),
    ],
    ids=str,
)
def test_a_matcher_is_shown_as_it_is_written(matcher: object, written: str) -> None:
    assert repr(matcher) == written


def test_a_pattern_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(re.error):
        matching("(")


@pytest.mark.parametrize("matcher", [gt(1), lt(1), contains(1), matching("a"), any_value], ids=repr)
def test_a_matcher_is_not_hashable(matcher: object) -> None:
    """It equals values of different hashes."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(matcher)


@pytest.mark.parametrize("make", [gt, lt, contains, matching])
def test_a_matcher_takes_one_value(make: Callable[..., object]) -> None:
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        make("a", "b")
