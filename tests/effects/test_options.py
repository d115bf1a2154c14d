"""``Options``: what may be said of one emission."""

from __future__ import annotations

import copy
import pickle
import uuid
from datetime import timedelta
from typing import Any

import attrs
import pytest

from airlock import Options
from airlock.effects.options import NO_HEADERS, headers_of
from airlock.errors import OptionError

ID = uuid.UUID(int=7)
EVERY: dict[str, Any] = {
    "id": ID,
    "delay": timedelta(seconds=3),
    "ordering_key": "o",
    "dedupe_key": "d",
    "headers": {"tenant": "t"},
}

loose: Any = Options


def test_nothing_is_said_by_default() -> None:
    assert Options().given() == ()
    assert Options().headers == {}


@pytest.mark.parametrize("name", EVERY)
def test_each_option_can_be_given_alone(name: str) -> None:
    options = Options(**{name: EVERY[name]})
    assert options.given() == (name,)
    assert getattr(options, name) == EVERY[name]


def test_all_options_can_be_given_together() -> None:
    assert Options(**EVERY).given() == tuple(EVERY)


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        loose(ID)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("id", "7", "must be a UUID, not str"),
        ("id", 7, "must be a UUID, not int"),
        ("delay", 3, "must be a timedelta, not int"),
        ("delay", timedelta(seconds=-1), "must not be negative"),
        ("ordering_key", 3, "must be a str, not int"),
        ("dedupe_key", b"d", "must be a str, not bytes"),
        ("headers", [("a", "b")], "must map str to str"),
        ("headers", {"a": 1}, "must map str to str"),
        ("headers", {1: "a"}, "must map str to str"),
        ("headers", "a", "must map str to str"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_the_option(
    name: str, value: object, problem: str
) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        loose(**{name: value})
    assert caught.value.option == name


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="prio"):
        loose(prio=1)


@pytest.mark.parametrize("name", ["id", "delay", "ordering_key", "dedupe_key", "headers"])
def test_none_says_nothing(name: str) -> None:
    assert loose(**{name: None}).given() == ()


def test_a_delay_of_zero_says_nothing() -> None:
    assert Options(delay=timedelta(0)).given() == ()


def test_options_are_values() -> None:
    assert Options(**EVERY) == Options(**EVERY)
    assert hash(Options(**EVERY)) == hash(Options(**EVERY))
    assert Options(headers={"a": "1"}) != Options(headers={"a": "2"})
    options: Any = Options()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        options.delay = timedelta(1)


def test_headers_are_a_read_only_copy() -> None:
    given = {"tenant": "t"}
    headers: Any = Options(headers=given).headers
    given["tenant"] = "other"
    assert headers == {"tenant": "t"}
    with pytest.raises(TypeError, match="does not support item assignment"):
        headers["tenant"] = "x"
    assert headers_of(None) is NO_HEADERS


@pytest.mark.parametrize("given", [{}, EVERY])
def test_options_pickle_and_copy(given: dict[str, Any]) -> None:
    """They travel with their intents, to other processes too."""
    options = Options(**given)
    assert copy.deepcopy(options) == options
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(options, protocol)) == options
