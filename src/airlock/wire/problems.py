"""Problems of a payload, a value or a type, and where they are.

These errors never leave the package: the codec turns them into a ``WireError`` or an
``UnencodableError``.
"""

from __future__ import annotations

import re
from typing import Self

from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError

__all__ = [
    "MisfitError",
    "NoFormError",
    "UnwritableError",
    "discreet",
    "expected",
    "found",
    "key_segment",
    "located",
    "unwritable",
]

_FOUND = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


class _LocatedError(Exception):
    """Something is wrong at a place.

    Attributes:
        problem: what is wrong, without the value.
        path: where, from what was read or written: ``.lines[2].qty``.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = ""

    def within(self, segment: str) -> Self:
        """Return the same error, as seen from one level further out."""
        self.path = segment + self.path
        return self


class MisfitError(_LocatedError):
    """A JSON value that does not fit its type.

    Args:
        problem: what is wrong, without the value.
        openly: the same with the words of a validator, which may show the value.
    """

    def __init__(self, problem: str, openly: str | None = None) -> None:
        super().__init__(problem)
        self.openly = problem if openly is None else openly

    def described(self, *, secret: bool) -> tuple[str, str]:
        """Return path and problem, without what may show a part of a secret."""
        if secret:
            return discreet(self.path), self.problem
        return self.path, self.openly


class UnwritableError(_LocatedError):
    """A value that its type does not allow, or that JSON cannot express."""


class NoFormError(_LocatedError):
    """A type that has no form in JSON; ``hint`` says what to use instead."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


def found(value: object) -> str:
    """Name the JSON type of a value, without the value."""
    return _FOUND.get(type(value), f"a {type(value).__qualname__}")


def expected(what: str, value: object) -> MisfitError:
    """Return the error for a payload that has something else there."""
    return MisfitError(f"expected {what}, found {found(value)}")


def unwritable(what: str, value: object) -> UnwritableError:
    """Return the error for a value of another type than the annotation says."""
    return UnwritableError(f"holds a {type(value).__qualname__}, and its annotation says {what}")


def key_segment(key: object) -> str:
    """Return the segment of a path for the key of a mapping, which came with the data."""
    return f"[{key!r:.80}]"


def discreet(path: str) -> str:
    """Return a path as far as the first key of a mapping."""
    return re.split(r"\[['\"]", path)[0]


def located(error: Exception) -> MisfitError | UnwritableError:
    """Return what is wrong with the first bad part, of all that cattrs found.

    Raises:
        RecursionError: that is what went wrong, and it is not about one place.
    """
    if isinstance(error, MisfitError | UnwritableError):
        return error
    if isinstance(error, RecursionError | MemoryError):
        raise error
    if isinstance(error, ClassValidationError):
        return _in_class(error, error.exceptions[0])
    return MisfitError(f"cannot be read ({type(error).__name__})")  # a set of unhashable items, say


def _in_class(errors: ClassValidationError, error: Exception) -> MisfitError | UnwritableError:
    if isinstance(error, ForbiddenExtraKeysError):
        extra = min(map(str, error.extra_fields))[:80]
        return MisfitError("was not expected").within(f".{extra}")
    notes = [n for n in getattr(error, "__notes__", ()) if isinstance(n, AttributeValidationNote)]
    if not notes:  # no field is to blame: the class itself refuses them, by a validator, say
        what = f"{errors.cl.__name__.lstrip('_')} refuses it"
        kind = type(error).__name__
        return MisfitError(f"{what} ({kind})", f"{what} ({kind}: {f'{error}'[:200]})")
    if isinstance(error, KeyError):
        return MisfitError("is required, and missing").within(f".{notes[-1].name}")
    return located(error).within(f".{notes[-1].name}")
