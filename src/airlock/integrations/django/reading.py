"""Readers of the setting ``AIRLOCK``: a function for each name, which refuses wrong values."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, get_args

from django.db import connections
from django.utils.module_loading import import_string

from airlock import Boundary
from airlock.effects.registry import describe
from airlock.errors import SettingError
from airlock.release import OnFlushError

__all__ = ["READERS", "problem", "suggestion"]

NO_SCOPE = ("raise", "run", "drop")


def problem(name: str, what: str, hint: str) -> SettingError:
    """Return the error of a setting."""
    return SettingError("settings.AIRLOCK", name, what, hint)


def suggestion(given: object, known: Iterable[str]) -> str:
    """Return the known name nearest to the given one, or list the known names."""
    names = [*known]
    near = get_close_matches(str(given), names, 1)
    return f"Did you mean {near[0]!r}?" if near else f"Choose {choices(names)}."


def choices(names: list[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def imported(name: str, value: Any) -> Any:
    """Import ``module.name`` or ``module:name``; return what is not a string as it is."""
    if not isinstance(value, str):
        return value
    path = value.replace(":", ".", 1)
    try:
        return import_string(path)
    except Exception as error:
        what = f"is {value!r}, which does not import: {type(error).__qualname__}: {error}"
        raise problem(name, what, correction(path)) from error


def correction(path: str) -> str:
    """Return what to do about a path that cannot be imported."""
    module, _, name = path.rpartition(".")
    if not module:
        return "Write module.name, such as 'shop.effects.boundary'."
    if module not in sys.modules:
        return f"`python -c 'import {module}'` shows where it fails."
    public = [known for known in vars(sys.modules[module]) if not known.startswith("_")]
    near = get_close_matches(name, public, 1)
    return f"Did you mean {near[0]!r}?" if near else f"Define it in {module}, or correct the path."


def boundary(name: str, value: Any) -> Boundary:
    if value is None:
        raise problem(name, "is missing", f'Write "{name}": "shop.effects.boundary".')
    found = imported(name, value)
    if not isinstance(found, Boundary) and callable(found):
        try:
            found = found()
        except Exception as error:
            what = f"cannot be called: {type(error).__qualname__}: {error}"
            raise problem(name, what, "Name a boundary, or what makes one.") from error
    if not isinstance(found, Boundary):
        raise problem(
            name,
            f"is {describe(found)}",
            "Name a Boundary, or a function without arguments that returns one.",
        )
    return found


def database(name: str, value: Any) -> str | None:
    if value is not None and value not in [*connections]:
        hint = f"{suggestion(value, connections)} None is for no database at all."
        raise problem(name, f"is {value!r}, which is not in DATABASES", hint)
    return value  # type: ignore[no-any-return]  # one of them


def function(*arguments: object) -> Callable[[str, Any], Any]:
    """Return a reader of a function, or the path of one, that takes so many arguments."""

    def read(name: str, value: Any) -> Any:
        found = imported(name, value)
        wanted = {"KEEP": "(error, status) that returns a bool", "HEADERS": "(request)"}[name]
        if not callable(found):
            raise problem(name, f"is {describe(found)}", f"Name a function of {wanted}.")
        try:
            inspect.signature(found).bind(*arguments)
        except TypeError as error:
            what = f"cannot be called as it will be: {error}"
            raise problem(name, what, f"Name a function of {wanted}.") from None
        except ValueError:
            pass  # a builtin without a signature
        return found

    return read


def headers(name: str, value: Any) -> Any:
    return None if value is None else function(object())(name, value)


def one_of(*words: str) -> Callable[[str, Any], str]:
    """Return a reader of one of some words."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise problem(name, f"is {value!r}", suggestion(value, words))
        return value

    return read


def commands(name: str, value: Any) -> Mapping[str, str | None]:
    if not isinstance(value, Mapping):
        example = 'Write modes by command, such as {"*": "run", "loaddata": "drop"}.'
        raise problem(name, f"is {describe(value)}", example)
    for command, mode in value.items():
        if mode is not None and mode not in ("run", "drop"):
            raise problem(
                name,
                f"has {mode!r} for {command!r}",
                "Use 'run', 'drop', or None for no scope. A plan is asked for each time: "
                f"`airlock run --plan FILE -- manage.py {command}`.",
            )
    return dict(value)


def slow(name: str, value: Any) -> timedelta | None:
    if value is not None and not isinstance(value, timedelta):
        hint = "Give a timedelta, such as timedelta(milliseconds=100), or None for no warnings."
        raise problem(name, f"is {value!r}", hint)
    return value


READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "BOUNDARY": boundary,
    "DATABASE": database,
    "KEEP": function(None, 200),
    "HEADERS": headers,
    "ON_FLUSH_ERROR": one_of(*get_args(OnFlushError)),
    "NO_SCOPE": one_of(*NO_SCOPE),
    "COMMANDS": commands,
    "SLOW": slow,
}
