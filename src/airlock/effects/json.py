"""``Json``: a JSON document as an immutable, hashable value."""

from __future__ import annotations

import json
from typing import Any

from airlock.errors import DeclarationError

__all__ = ["Json"]


class Json:
    """A JSON document, frozen through and through, so that it may stand in an intent.

    Two documents are equal if they are the same JSON: the order of keys does not matter, while
    ``1``, ``1.0`` and ``true`` are different.

    Args:
        value: what ``json.dumps`` takes, with ``str`` keys only and no NaN or infinity; tuples
            become arrays. It is copied, so later changes to it are not seen.

    Raises:
        DeclarationError: if ``value`` is not a JSON document.

    Example:
        >>> document = Json({"lines": [1, 2], "note": None})
        >>> document == Json({"note": None, "lines": (1, 2)})
        True
        >>> document.value["lines"]
        [1, 2]
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, value: Any) -> None:
        text = value.text if isinstance(value, Json) else _canonical(value)
        object.__setattr__(self, "_text", text)

    @property
    def value(self) -> Any:
        """The document as plain dicts, lists, strings and numbers: a fresh copy at each call."""
        return json.loads(self._text)

    @property
    def text(self) -> str:
        """The document as compact JSON text with sorted keys."""
        return self._text

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Json is immutable: make a new one instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Json is immutable: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Json) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Json({self.value!r})"

    def __reduce__(self) -> tuple[type[Json], tuple[Any]]:
        return Json, (self.value,)


def _canonical(value: Any) -> str:
    _check(value, "$")
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise DeclarationError(f"not a JSON document: {error}. {_HINT}") from None


_HINT = "Json takes None, bool, int, float, str, lists, tuples and dicts with str keys."


def _check(value: Any, path: str, depth: int = 0) -> None:
    """Refuse what ``json.dumps`` would quietly turn into something else."""
    if depth > 200:
        raise DeclarationError(f"not a JSON document: deeper than 200 levels at {path[:60]}...")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise DeclarationError(f"not a JSON document: key {key!r} at {path}. {_HINT}")
            _check(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(item, f"{path}[{i}]", depth + 1)
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise DeclarationError(
            f"not a JSON document: {type(value).__qualname__} at {path}. {_HINT}"
        )
