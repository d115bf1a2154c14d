"""Differences between two values, field by field; sensitive values are never shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeGuard

import attrs

from airlock.effects.describe import field_repr, name_of, stable_repr
from airlock.effects.json import Json
from airlock.testing.bounded import LONGEST, short

__all__ = ["Difference", "differences", "in_common", "of_field"]

NOTHING = "nothing"
AROUND = 40
"""Number of characters on either side of the place where long texts begin to differ."""


@attrs.frozen
class Difference:
    """One place where a value is not as expected.

    Attributes:
        path: from the whole value: ``order_id``, ``lines[2].sku``.
        expected: as text.
        got: as text.
    """

    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        if self.expected == self.got:  # as a sensitive field is
            return f"{self.path}: differs, and is shown as {short(self.got)}"
        return f"{self.path}: expected {short(self.expected)}, got {short(self.got)}"


def differences(expected: Any, got: Any, path: str = "") -> Iterator[Difference]:
    """Yield where ``got`` is not as expected; nothing if they are equal.

    Args:
        expected: a value, which may be or hold matchers.
        got: the value there is.
        path: where they are, in what they are parts of.
    """
    if expected is got or _equal(expected, got):
        return
    if isinstance(expected, Json) and isinstance(got, Json):
        expected, got = expected.value, got.value
    found = list(_of_parts(expected, got, path))
    yield from found or [Difference(path or "value", stable_repr(expected), stable_repr(got))]


def _of_parts(expected: Any, got: Any, path: str) -> Iterator[Difference]:
    """Yield nothing if they have no parts that can be compared."""
    if attrs.has(type(expected)) and attrs.has(type(got)):
        if type(expected) is type(got):
            yield from _of_fields(expected, got, path)
        elif not path:
            yield Difference("class", name_of(type(expected)), name_of(type(got)))
    elif isinstance(expected, Mapping) and isinstance(got, Mapping):
        yield from _of_items(expected, got, path)
    elif _listed(expected) and _listed(got):
        yield from _of_elements(expected, got, lambda i: f"{path}[{i}]")
    elif isinstance(expected, str) and isinstance(got, str) and "\n" in expected + got:
        line = f"{path or 'text'}, line"
        yield from _of_elements(
            expected.splitlines(), got.splitlines(), lambda i: f"{line} {i + 1}"
        )
    elif _long_texts(expected, got):
        pairs = enumerate(zip(expected, got, strict=False))
        shorter = min(len(expected), len(got))
        at = next((i for i, (one, other) in pairs if one != other), shorter)
        around = slice(max(at - AROUND, 0), at + AROUND)
        where = f"{path or 'value'}, around character {at + 1:,}"
        yield Difference(where, repr(expected[around]), repr(got[around]))


def _long_texts(expected: Any, got: Any) -> bool:
    """Return True if the difference may be in what is not shown of two texts."""
    texts = type(expected) is type(got) and type(expected) in (str, bytes)
    return texts and max(len(expected), len(got)) > LONGEST


def _equal(expected: Any, got: Any) -> bool:
    try:
        return bool(expected == got)
    except Exception:  # noqa: BLE001 - a user's __eq__, while a failure is being explained
        return False


def _listed(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _of_fields(expected: Any, got: Any, path: str) -> Iterator[Difference]:
    for attribute in attrs.fields(type(expected)):
        if attribute.eq:
            one, other = (getattr(side, attribute.name) for side in (expected, got))
            where = f"{path}.{attribute.name}" if path else attribute.name
            yield from of_field(attribute, one, other, where)


def of_field(attribute: Any, expected: Any, got: Any, path: str) -> Iterator[Difference]:
    """``differences`` of one field, shown as the field is shown."""
    if _equal(expected, got):
        return
    if attribute.repr is True:
        yield from differences(expected, got, path)
    else:
        yield Difference(path, field_repr(attribute, expected), field_repr(attribute, got))


def _of_items(
    expected: Mapping[Any, Any], got: Mapping[Any, Any], path: str
) -> Iterator[Difference]:
    for key in [*expected, *(key for key in got if key not in expected)]:
        where = f"{path}[{key!r}]"
        if key not in got:
            yield Difference(where, stable_repr(expected[key]), NOTHING)
        elif key not in expected:
            yield Difference(where, NOTHING, stable_repr(got[key]))
        else:
            yield from differences(expected[key], got[key], where)


def _of_elements(
    expected: Sequence[Any], got: Sequence[Any], path_of: Callable[[int], str]
) -> Iterator[Difference]:
    """Between what both begin with and what both end with."""
    begin, end = in_common(expected, got)
    middles = (range(begin, len(side) - end) for side in (expected, got))
    for one, other in zip_longest(*middles):
        where = path_of(other if one is None else one)
        if one is None:
            yield Difference(where, NOTHING, stable_repr(got[other]))
        elif other is None:
            yield Difference(where, stable_repr(expected[one]), NOTHING)
        else:
            yield from differences(expected[one], got[other], where)


def in_common(expected: Sequence[Any], got: Sequence[Any]) -> tuple[int, int]:
    """Return how many elements two sequences begin with, and then end with, alike."""
    begin, shorter = 0, min(len(expected), len(got))
    while begin < shorter and _equal(expected[begin], got[begin]):
        begin += 1
    end = 0
    while end < shorter - begin and _equal(expected[-1 - end], got[-1 - end]):
        end += 1
    return begin, end
