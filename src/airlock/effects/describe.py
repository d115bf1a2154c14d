"""``repr`` that is the same in every run: sets in order, no addresses."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Iterable
from typing import Any

import attrs

from airlock.effects.place import shown
from airlock.effects.registry import spec_of

__all__ = ["field_repr", "format_class", "name_of", "short", "stable_repr"]

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def stable_repr(value: Any) -> str:
    """Return a stable ``repr``, for snapshots and diffs.

    Example:
        >>> stable_repr((frozenset({"b", "a", "c"}), 1))
        "(frozenset({'a', 'b', 'c'}), 1)"
    """
    cls = type(value)
    if cls is tuple:
        inner = ", ".join(map(stable_repr, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if cls is list:
        return f"[{', '.join(map(stable_repr, value))}]"
    if cls is dict:
        pairs = (f"{stable_repr(key)}: {stable_repr(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if cls in (set, frozenset) and value:
        inner = "{" + ", ".join(sorted(map(stable_repr, value))) + "}"
        return inner if cls is set else f"frozenset({inner})"
    text = _generated(value)
    return _ADDRESS.sub("", repr(value)) if text is None else text


def short(value: object, limit: int = 300) -> str:
    """Return ``repr``, cut to a length, for texts that hold other texts; it never raises.

    Args:
        value: an intent or an error. Of a group of errors only the message is shown: the groups
            of nested scopes hold each other.
        limit: of characters.
    """
    try:
        if isinstance(value, BaseExceptionGroup):
            text = f"{type(value).__qualname__}({value.message!r})"
        else:
            text = repr(value)
    except Exception:  # noqa: BLE001 - the repr is the user's, and may fail itself
        text = f"{type(value).__qualname__}(...)"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _generated(value: Any) -> str | None:
    """``repr`` of a value whose class has a generated one; None for all others."""
    cls = type(value)
    if _made_by_attrs(cls):
        items = [(a, getattr(value, a.name)) for a in attrs.fields(cls) if a.repr is not False]
        return _call(name_of(cls), ((a.name, field_repr(a, item)) for a, item in items))
    if _made_by_dataclass(cls):
        from dataclasses import fields  # noqa: PLC0415 - loaded already, or there were no such class

        names = (field.name for field in fields(cls) if field.repr)
        return _call(cls.__qualname__, ((n, stable_repr(getattr(value, n))) for n in names))
    if _made_by_namedtuple(cls):
        return _call(cls.__name__, zip(cls._fields, map(stable_repr, value), strict=True))
    return None


def _call(name: str, arguments: Iterable[tuple[str, str]]) -> str:
    return f"{name}({', '.join(f'{argument}={text}' for argument, text in arguments)})"


def name_of(cls: type[Any]) -> str:
    """Return the name of a class as attrs shows it: without the function that declares it."""
    return cls.__qualname__.rsplit(">.", 1)[-1]


def format_class(cls: type[Any]) -> str:
    """Return the name of an intent class with the place it is declared."""
    return f"{cls.__qualname__} (declared at {shown(spec_of(cls).place)})"


def field_repr(attribute: attrs.Attribute[Any], value: Any) -> str:
    """Format a value as its field shows it: sensitive values are hidden."""
    if attribute.repr is False:
        return "<hidden>"
    if attribute.repr is True:
        return stable_repr(value)
    try:
        return str(attribute.repr(value))
    except Exception:  # noqa: BLE001 - made for the field's values, not for a matcher of them
        return "<hidden>"


def _made_by_attrs(cls: type[Any]) -> bool:
    """Return True if ``repr`` of the values of a class is the one that attrs generates."""
    return _file_of(cls.__repr__).startswith("<attrs generated")


def _made_by_dataclass(cls: type[Any]) -> bool:
    inner = getattr(cls.__repr__, "__wrapped__", None)  # guarded against recursion
    return hasattr(cls, "__dataclass_fields__") and _file_of(inner) == "<string>"


def _made_by_namedtuple(cls: type[Any]) -> bool:
    if not (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        return False
    return _file_of(cls.__repr__) == _file_of(namedtuple)  # noqa: PYI024 - it is not called


def _file_of(function: Any) -> str:
    """Return the file that contains the code of a function."""
    code = getattr(function, "__code__", None)
    return "" if code is None else str(code.co_filename)
