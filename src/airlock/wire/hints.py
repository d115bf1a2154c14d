"""Types on the wire: what stands for a type, its name, the fields that its constructor takes."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from airlock.effects.describe import name_of
from airlock.effects.fields import UNIONS, Field, Unresolved, fields_of, has_fields
from airlock.effects.fields import bare as without_names
from airlock.effects.intent import resolve_late

__all__ = [
    "UNBOUND",
    "arguments_of",
    "bare",
    "format_hint",
    "has_secrets",
    "positional",
    "title",
    "unfilled",
]

UNBOUND = object()
"""The type of a type variable that nobody bound: nothing is known of its values."""


def bare(hint: Any) -> Any:
    """Return a type without names that do not change its form, and the choice of a type variable.

    Raises:
        RecursionError: an alias stands for itself.
    """
    while isinstance(hint := without_names(hint), TypeVar):
        if hint.__constraints__:
            return typing.Union[hint.__constraints__]  # noqa: UP007 - of a tuple
        hint = UNBOUND if hint.__bound__ is None else hint.__bound__
    return hint


def title(hint: Any) -> str:
    """Return the name of a type in messages, and as a tag of a union: ``Line``, ``Box[int]``."""
    hint = bare(hint)
    cls = typing.get_origin(hint) or hint
    if hint is type(None):
        return "None"
    if cls is typing.Literal:
        return "Literal"
    if cls in UNIONS:
        return " | ".join(map(title, typing.get_args(hint)))
    if not has_fields(cls):
        return hint.__name__ if isinstance(hint, type) and hint is cls else format_hint(hint)
    names = [getattr(one, "__name__", str(one)) for one in typing.get_args(hint)]
    return name_of(cls).lstrip("_") + (f"[{', '.join(names)}]" if names else "")


def format_hint(hint: Any) -> str:
    """Return a type as it is written in code."""
    if hint is UNBOUND:
        return "TypeVar"
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__qualname__
    written = hint.annotation if isinstance(hint, Unresolved) else hint
    return str(written).replace("typing.", "")


def arguments_of(hint: Any) -> list[Field]:
    """Return the fields of a class that its constructor takes, with their types."""
    resolve_late(typing.get_origin(hint) or hint)
    return [field for field in fields_of(hint) if field.init]


def has_secrets(hint: Any) -> bool:
    """Return True if a value of a type may hold something sensitive, however deep."""
    return _has_secrets(hint, set())


def _has_secrets(hint: Any, seen: set[Any]) -> bool:
    hint = bare(hint)
    if hint in seen:
        return False
    seen.add(hint)
    inner = list(typing.get_args(hint))
    if has_fields(typing.get_origin(hint) or hint):
        own = arguments_of(hint)
        if any(field.sensitive for field in own):
            return True
        inner += [field.type for field in own]
    return any(_has_secrets(one, seen) for one in inner)


def unfilled(cls: Any, declared: Sequence[Field]) -> str | None:
    """Return a required argument of the constructor that is no field; None if there is none."""
    keys = {field.key for field in declared}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in _parameters(cls):
        required = parameter.default is parameter.empty and parameter.kind not in several
        if required and parameter.name not in keys:
            return parameter.name
    return None


def positional(cls: Any) -> list[str]:
    """Return the arguments that the constructor of a class takes by position."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [parameter.name for parameter in _parameters(cls) if parameter.kind is kind]


def _parameters(cls: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):  # a constructor without a signature
        return []
