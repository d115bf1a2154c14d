"""What validators of attrs say of a value, as far as it can be drawn to fit."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from attrs import validators
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from airlock.testing.strategies.hints import At
from airlock.testing.strategies.leaves import decimals, moments
from airlock.testing.strategies.shapes import DEEPEST, SIZES

__all__ = [
    "DEEP",
    "IN",
    "INSTANCE",
    "LIMITED",
    "NUMBER",
    "OPTIONAL",
    "comparison_of",
    "flattened",
    "is_instance",
    "sizes_of",
]


IN: Any = type(validators.in_(()))
_AND: Any = type(validators.and_(validators.in_(())))
OPTIONAL: Any = type(validators.optional(validators.in_(())))
INSTANCE: Any = type(validators.instance_of(int))
NUMBER: Any = type(validators.ge(0))
_MIN: Any = type(validators.min_len(0))
_MAX: Any = type(validators.max_len(0))
_REGEX: Any = type(validators.matches_re(""))
DEEP: Any = type(validators.deep_iterable(validators.in_(())))

# ``bound <= value`` for ``ge(bound)``: the form that Hypothesis turns into a range.
_MIRRORED = {">=": operator.le, ">": operator.lt, "<=": operator.ge, "<": operator.gt}


def flattened(validator: Any) -> Iterator[Any]:
    """The validators that one stands for."""
    if isinstance(validator, _AND):
        validator = validator._validators  # noqa: SLF001 - attrs has no other name for them
    if isinstance(validator, list | tuple):
        for inner in validator:
            yield from flattened(inner)
    elif validator is not None:
        yield validator


def sizes_of(checks: tuple[Any, ...], at: At, *, nests: bool) -> dict[str, Any]:
    """How large a collection may be.

    Args:
        checks: its validators.
        at: where it stands.
        nests: whether its elements hold others.
    """
    smallest = max((c.min_length for c in checks if isinstance(c, _MIN)), default=0)
    most = [c.max_length for c in checks if isinstance(c, _MAX)]
    cap = SIZES[min(at.depth, DEEPEST)] if nests else None
    if cap is not None:
        most.append(max(cap, smallest))
    return {"min_size": smallest, "max_size": min(most, default=None)}


def _texts(make: Callable[..., SearchStrategy[Any]], checks: tuple[Any, ...]) -> Any:
    for check in checks:
        if isinstance(check, _REGEX):
            whole = check.match_func.__name__ == "fullmatch"
            return st.from_regex(check.pattern, fullmatch=whole)
    return make(**sizes_of(checks, At({}, 0), nests=False))


def _range(make: Callable[..., SearchStrategy[Any]], checks: tuple[Any, ...]) -> Any:
    bounds = [check for check in checks if isinstance(check, NUMBER)]
    lowest = [check.bound for check in bounds if ">" in check.compare_op]
    highest = [check.bound for check in bounds if "<" in check.compare_op]
    ends = {"min_value": max(lowest, default=None), "max_value": min(highest, default=None)}
    return make(**{name: end for name, end in ends.items() if end is not None})


def _decimal_range(**ends: Any) -> SearchStrategy[Any]:
    exact: Any = {name: Decimal(end) for name, end in ends.items()}
    return decimals(**exact)


def _datetime_range(**ends: dt.datetime) -> SearchStrategy[Any]:
    if not ends:
        return moments
    zone: Any = next(end.tzinfo for end in ends.values())
    naive: Any = {name: end.replace(tzinfo=None) for name, end in ends.items()}
    return st.datetimes(**naive, timezones=st.just(zone))


# What Hypothesis cannot limit afterwards, as it does ints and floats.
LIMITED: dict[Any, Callable[[tuple[Any, ...]], SearchStrategy[Any]]] = {
    str: partial(_texts, st.text),
    bytes: partial(_texts, st.binary),
    Decimal: partial(_range, _decimal_range),
    dt.timedelta: partial(_range, st.timedeltas),
    dt.date: partial(_range, st.dates),
    dt.datetime: partial(_range, _datetime_range),
}


def comparison_of(check: Any, kind: Any) -> Callable[[Any], bool]:
    """``bound <= value`` and its like, as Hypothesis understands it for numbers."""
    compare = partial(_MIRRORED[check.compare_op], check.bound)
    return compare if kind in (int, float) else partial(_holds, compare)


def _holds(compare: Callable[[Any], bool], value: Any) -> bool:
    try:
        return compare(value)
    except TypeError:  # None, or a naive and an aware datetime
        return False


def is_instance(cls: Any, value: Any) -> bool:
    """``isinstance``, class first."""
    return isinstance(value, cls)
