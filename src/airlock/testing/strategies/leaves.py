"""Values that are not made from others: numbers, times, texts, documents."""

from __future__ import annotations

import datetime as dt
import numbers
import operator
import os
import pathlib
import re
import typing
from collections import abc
from decimal import Decimal
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from airlock.effects.json import Json
from airlock.effects.options import Options
from airlock.testing.strategies.hints import Unknown, is_told

__all__ = ["decimals", "documents", "is_leaf", "leaf_of", "moments", "options"]


_anything = st.none() | st.booleans() | st.integers() | st.text()
_floats = st.floats(allow_nan=False)
_complex = st.complex_numbers(allow_nan=False)
decimals = partial(st.decimals, allow_nan=False, allow_infinity=False)
_zones: Any = st.none() | st.integers(-48, 56).map(  # every offset in use: -12:00 to +14:00
    lambda quarters: dt.timezone(quarters * dt.timedelta(minutes=15))
)
# A day from either end of time, so that each can be told in any zone.
moments = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=_zones)  # noqa: DTZ001 - of any zone


def _paths(cls: type[pathlib.PurePath]) -> SearchStrategy[Any]:
    names = st.text(st.characters(categories=("L", "Nd")), min_size=1, max_size=8)
    return st.lists(names, max_size=3).map("/".join).map(cls)


# Where Hypothesis's own choice is not ours, and what that is: another one there is the user's.
_CHOICES: dict[Any, tuple[SearchStrategy[Any], SearchStrategy[Any]]] = {
    float: (st.floats(), _floats),
    complex: (st.complex_numbers(), _complex),
    Decimal: (st.decimals(), decimals()),
    dt.datetime: (st.datetimes(), moments),
    dt.time: (st.times(), st.times(timezones=_zones)),
}
_FIXED: dict[Any, SearchStrategy[Any]] = {
    Any: _anything,
    object: _anything,
    abc.Hashable: _anything,
    numbers.Real: _floats,
    numbers.Complex: _complex,
    numbers.Number: _complex,
    os.PathLike: _paths(pathlib.PurePath),
}


def documents() -> SearchStrategy[Json]:
    """JSON documents."""
    floats = st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | st.integers() | floats | st.text()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ).map(Json)


def options() -> SearchStrategy[Options]:
    """What may be said of an emission."""
    texts = st.none() | st.text()
    return st.builds(
        Options,
        id=st.none() | st.uuids(),
        delay=st.none() | st.timedeltas(min_value=dt.timedelta(0)),
        ordering_key=texts,
        dedupe_key=texts,
        headers=st.none() | st.dictionaries(st.text(), st.text(), max_size=3),
    )


def is_leaf(kind: Any) -> bool:
    """Whether it stands for values of ours, whatever classes derive from it: ``Hashable``."""
    return kind in _FIXED


def leaf_of(hint: Any, kind: Any) -> SearchStrategy[Any]:
    """Values that are not made from others."""
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _CHOICES:
        default, ours = _CHOICES[kind]
        told = st.from_type(kind)
        return ours if repr(told) == repr(default) else told
    if kind is re.Pattern:
        text = st.binary() if bytes in typing.get_args(hint) else st.text()
        return text.map(re.escape).map(re.compile)
    if is_told(kind) or not isinstance(kind, type):
        return _by_hypothesis(hint)
    if issubclass(kind, pathlib.PurePath):
        return _paths(kind)
    return documents() if kind is Json else _by_hypothesis(hint)


def _by_hypothesis(hint: Any) -> SearchStrategy[Any]:
    try:
        made = st.from_type(hint)
        made.validate()
    except (HypothesisException, TypeError) as error:
        raise Unknown(f"there is no strategy for {hint!r} ({error})") from None
    return made if hint in (int, str, bytes, bool) else made.filter(_equals_itself)


def _equals_itself(value: Any) -> bool:
    try:
        return bool(operator.eq(value, value))
    except ArithmeticError:  # a signalling NaN
        return False
