"""Matchers of single values: they stand in ``like(...)``, or wherever ``==`` compares.

Anything with an ``==`` of its own serves as well: ``unittest.mock.ANY``, ``pytest.approx``,
``dirty_equals``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["Matcher", "any_value", "contains", "gt", "lt", "matching"]


class Matcher:
    """Equal to every value that it accepts.

    Args:
        written: as it is written, for messages.
        accepts: says whether a value fits; a ``TypeError`` of it means no.
    """

    __slots__ = ("_accepts", "_written")

    def __init__(self, written: str, accepts: Callable[[Any], object]) -> None:
        self._written = written
        self._accepts = accepts

    def __eq__(self, value: object) -> bool:
        try:
            return bool(self._accepts(value))
        except TypeError:  # not to be compared with that
            return False

    __hash__ = None  # type: ignore[assignment]  # equal to values of different hashes

    def __repr__(self) -> str:
        return self._written


def gt(bound: Any, /) -> Any:
    """Match a value greater than ``bound``.

    Example:
        >>> from airlock.testing import gt
        >>> [5 == gt(4), 4 == gt(4), "5" == gt(4)]
        [True, False, False]
    """
    return Matcher(f"gt({bound!r})", lambda value: value > bound)


def lt(bound: Any, /) -> Any:
    """Match a value less than ``bound``.

    Example:
        >>> from airlock.testing import lt
        >>> [3 == lt(4), 4 == lt(4)]
        [True, False]
    """
    return Matcher(f"lt({bound!r})", lambda value: value < bound)


def contains(item: Any, /) -> Any:
    """Match a value that contains ``item``: a part of a string, an element of a tuple, a key.

    Example:
        >>> from airlock.testing import contains
        >>> ["ada@example.org" == contains("@"), (1, 2) == contains(3)]
        [True, False]
    """
    return Matcher(f"contains({item!r})", lambda value: item in value)


def matching(pattern: str | re.Pattern[str], /) -> Any:
    r"""Match a string in which the regular expression is found, as by ``re.search``.

    Raises:
        re.error: it is not a regular expression.

    Example:
        >>> from airlock.testing import matching
        >>> [
        ...     "order 42" == matching(r"^order \d+$"),
        ...     "order x" == matching(r"^order \d+$"),
        ... ]
        [True, False]
    """
    compiled = re.compile(pattern)
    return Matcher(f"matching({compiled.pattern!r})", compiled.search)


any_value: Any = Matcher("any_value", lambda _: True)
"""Any value at all. A field that is not named in ``like(...)`` may have any value anyway."""
