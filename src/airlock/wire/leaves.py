"""Types whose values are not made of others: numbers, texts, times, documents, types of yours.

Reading takes what JSON holds, strictly; writing returns what msgspec writes in the right form.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

import attrs
from msgspec import Raw, convert

from airlock.effects.json import Json
from airlock.effects.registry import KNOWN, describe
from airlock.errors import DeclarationError
from airlock.wire.problems import MisfitError, UnwritableError, expected, found, unwritable

__all__ = ["LEAVES", "Leaf", "TypeForm", "leaf_of"]

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_CLOCK = r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_ZONE = r"(?:Z|[+-]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)"
_DATETIME = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}{_ZONE}", re.ASCII).fullmatch
_TIME = re.compile(rf"{_CLOCK}{_ZONE}?", re.ASCII).fullmatch
_DURATION = re.compile(
    r"-?P(?=.)(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d{1,6})?S)?)?", re.ASCII
).fullmatch


@attrs.frozen
class Leaf:
    """The form of a type in JSON.

    Attributes:
        write: return what msgspec writes; raise ``UnwritableError``.
        read: return the value, called as cattrs calls its hooks; raise ``MisfitError``.
        schema: JSON Schema.
    """

    write: Callable[[Any], Any]
    read: Callable[..., Any]
    schema: Mapping[str, Any]


def _plain(cls: type[Any], what: str, json_type: str) -> Leaf:
    """Return the form of a type that JSON has. Values of subclasses are written as the base type."""
    name = cls.__name__

    def read(value: Any, _: Any = None) -> Any:
        if value.__class__ is cls:
            return value
        raise expected(what, value)

    def write(value: Any) -> Any:
        if value.__class__ is cls:
            return value
        if isinstance(value, cls) and not isinstance(value, bool):
            return getattr(cls, f"__{name}__")(value)
        raise unwritable(name, value)

    return Leaf(write, read, {"type": json_type})


def _null(value: Any, _: Any = None) -> Any:
    if value is None:
        return None
    raise expected("null", value)


def _write_null(value: Any) -> Any:
    if value is None:
        return None
    raise unwritable("None", value)


def _float(value: Any, _: Any = None) -> Any:
    if value.__class__ is float and isfinite(value):
        return value
    if value.__class__ is int and (exact := _exact(value)) is not None:
        return exact  # JSON from elsewhere writes 1.0 as 1
    if value.__class__ is int:
        raise MisfitError("expected a number that a float can hold, found a larger integer")
    if value.__class__ is float:  # of a dict: JSON has no infinity
        raise MisfitError("expected a number that a float can hold, found a larger one")
    raise expected("a number", value)


def _exact(value: int) -> float | None:
    try:
        return float(value) if int(float(value)) == value else None
    except OverflowError:
        return None


def _write_float(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        exact = _exact(int.__int__(value))
        if exact is None:
            raise UnwritableError("holds an integer that a float cannot hold")
        return exact
    if not isinstance(value, float):
        raise unwritable("float", value)
    if not isfinite(value):
        raise UnwritableError("is NaN or infinite, which JSON cannot represent")
    return float.__float__(value)


def _text(
    cls: type[Any],
    write: Callable[[Any], Any],
    matches: Callable[[str], object],
    read: Callable[[str], Any],
    what: str,
    **schema: str,
) -> Leaf:
    """Return the form of a type that is written as a string."""

    def write_text(value: Any) -> Any:
        if isinstance(value, cls):
            return write(value)
        raise unwritable(cls.__name__, value)

    def read_text(value: Any, _: Any = None) -> Any:
        if value.__class__ is not str:
            raise expected(what, value)
        try:
            if matches(value):
                return read(value)
        except (ValueError, ArithmeticError):
            pass
        raise MisfitError(f"expected {what}, found another string")

    return Leaf(write_text, read_text, {"type": "string", **schema})


def _read_decimal(value: Any, _: Any = None) -> Any:
    if value.__class__ is not str:
        raise expected("a decimal number in a string", value)
    try:
        number = Decimal(value)
        # Decimal takes spaces and underscores too. Its own text is looked at first, being fast.
        if number.is_finite() and (str(number) == value or _DECIMAL(value)):
            return number
    except ArithmeticError:
        pass
    raise MisfitError("expected a decimal number in a string, found another string")


def _write_decimal(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise unwritable("Decimal", value)
    if not value.is_finite():
        raise UnwritableError("is NaN or infinite, which JSON cannot represent")
    return Decimal.__str__(value)


def _write_datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise UnwritableError("is a datetime without a zone, which means something else elsewhere")
    return datetime.isoformat(value)


def _write_date(value: date) -> str:
    if isinstance(value, datetime):
        raise unwritable("date", value)
    return date.isoformat(value)


def _write_time(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise UnwritableError("is a time in a zone whose offset depends on the day")
    return time.isoformat(value)


def _write_duration(value: timedelta) -> str:
    size = abs(value)
    days = f"{size.days}D" if size.days else ""
    seconds = f"{size.seconds}.{size.microseconds:06}".rstrip("0").rstrip(".")
    clock = f"T{seconds}S" if size.seconds or size.microseconds or not days else ""
    return f"{'-' if value < timedelta(0) else ''}P{days}{clock}"


def _write_bytes(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _read_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)


def _read_json(value: Any, _: Any = None) -> Any:
    try:
        return Json(value)
    except DeclarationError:
        raise MisfitError("expected a JSON document that is finite and less deep") from None


def _write_json(value: Any) -> Any:
    if isinstance(value, Json):
        return _raw(value.text)
    raise unwritable("airlock.Json", value)


def _raw(text: str) -> Raw:
    try:
        return Raw(text.encode())
    except UnicodeEncodeError:
        problem = "contains an unpaired surrogate, which is no character"
        raise UnwritableError(problem) from None


def _has_hyphens(text: str) -> bool:
    return len(text) == 36  # msgspec takes the 32 digits of a UUID without them, too


def _by_msgspec(cls: type[Any]) -> Callable[[str], Any]:
    return lambda text: convert(text, cls)


LEAVES: dict[Any, Leaf] = {
    type(None): Leaf(_write_null, _null, {"type": "null"}),
    bool: _plain(bool, "a boolean", "boolean"),
    int: _plain(int, "an integer", "integer"),
    float: Leaf(_write_float, _float, {"type": "number"}),
    str: _plain(str, "a string", "string"),
    Decimal: Leaf(_write_decimal, _read_decimal, {"type": "string", "format": "decimal"}),
    bytes: _text(bytes, _write_bytes, str.isascii, _read_bytes, "base64", contentEncoding="base64"),
    UUID: _text(UUID, UUID.__str__, _has_hyphens, _by_msgspec(UUID), "a UUID", format="uuid"),
    datetime: _text(
        datetime, _write_datetime, _DATETIME, datetime.fromisoformat,
        "a date and time with a zone", format="date-time",
    ),
    date: _text(date, _write_date, _DATE, date.fromisoformat, "a date", format="date"),
    time: _text(time, _write_time, _TIME, time.fromisoformat, "a time of day", format="time"),
    timedelta: _text(
        timedelta, _write_duration, _DURATION, _by_msgspec(timedelta), "an ISO 8601 duration",
        format="duration",
    ),
    Json: Leaf(_write_json, _read_json, {}),
}  # fmt: skip
"""The forms of single values, by type."""


# -- types of yours -------------------------------------------------------------------------------


@attrs.frozen
class TypeForm:
    """The form in JSON of a type that airlock does not know: ``Wire(forms={Money: TypeForm(...)})``.

    Args:
        write: from a value to what ``json.dumps`` takes.
        read: back again; any exception means that the payload is bad.
        schema: JSON Schema of what is written.

    Example:
        >>> from ipaddress import IPv4Address
        >>> form = TypeForm(str, IPv4Address, {"type": "string", "format": "ipv4"})
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    schema: Mapping[str, Any] = attrs.field(factory=dict)


def leaf_of(cls: type[Any], form: TypeForm) -> Leaf:
    """Return the form of a type of the user's, whose functions know nothing of our errors.

    Raises:
        DeclarationError: it is no type, or an intent, or this is no ``TypeForm``.
    """
    if not isinstance(cls, type) or cls in KNOWN or not isinstance(form, TypeForm):
        raise DeclarationError(
            f"Wire(forms={{{describe(cls)}: {describe(form)}}}): give a TypeForm for a class that is "
            "the type of a field, not for an intent, a generic type or a name."
        )

    def write(value: Any) -> Any:
        if not isinstance(value, cls):
            raise unwritable(cls.__name__, value)
        try:
            written = form.write(value)
        except Exception as error:  # noqa: BLE001 - its words may show the value
            problem = f"was refused by its TypeForm ({type(error).__name__})"
            raise UnwritableError(problem) from None
        try:
            return _raw(json.dumps(written, allow_nan=False, ensure_ascii=False))
        except (TypeError, ValueError, RecursionError) as error:
            problem = f"is written as what is not JSON ({type(error).__name__})"
            raise UnwritableError(problem) from None

    def read(value: Any, _: Any = None) -> Any:
        try:
            return form.read(value)
        except Exception as error:  # noqa: BLE001 - whatever it is, the payload caused it
            what = f"expected what {cls.__name__} is read from, found {found(value)}"
            raise MisfitError(f"{what} ({type(error).__name__})") from None

    return Leaf(write, read, dict(form.schema))
