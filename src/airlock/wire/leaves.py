"""Forms of values that are not made of others: numbers, texts, times, documents."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from airlock.effects.json import Json
from airlock.errors import DeclarationError
from airlock.wire.form import Form, Misfit, Unwritable, expected, unwritable

__all__ = ["ANYTHING", "LEAVES"]

ANYTHING = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""Every type of JSON."""

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_CLOCK = r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_ZONE = r"(?:Z|[+-]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)"
_DATETIME = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}{_ZONE}", re.ASCII).fullmatch
_TIME = re.compile(rf"{_CLOCK}{_ZONE}?", re.ASCII).fullmatch
_DURATION = re.compile(
    r"(-?)P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?", re.ASCII
).fullmatch


def _text(value: Any, _: Any = None) -> Any:
    if type(value) is str:
        return value
    raise expected("a string", value)


def _write_text(value: Any) -> Any:
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    raise unwritable("str", value)


def _bool(value: Any, _: Any = None) -> Any:
    if value is True or value is False:
        return value
    raise expected("a boolean", value)


def _write_bool(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise unwritable("bool", value)


def _int(value: Any, _: Any = None) -> Any:
    if type(value) is int:
        return value
    raise expected("an integer", value)


def _write_int(value: Any) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    raise unwritable("int", value)


def _float(value: Any, _: Any = None) -> Any:
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int:
        return _exact(value)
    if type(value) is float:  # JSON has no infinity, but 1e999
        raise Misfit("expected a number that a float can hold, found a larger one")
    raise expected("a number", value)


def _exact(value: int) -> float:
    """JSON from elsewhere writes 1.0 as 1; an integer that a float cannot hold is refused."""
    try:
        if int(float(value)) == value:
            return float(value)
    except OverflowError:
        pass
    raise Misfit("expected a number that a float can hold, found a larger integer")


def _write_float(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return _exact(int.__int__(value))
        except Misfit:
            raise Unwritable("holds an integer that a float cannot hold") from None
    if not isinstance(value, float):
        raise unwritable("float", value)
    if not isfinite(value):
        raise Unwritable("is NaN or infinite, which JSON cannot say")
    return float.__float__(value)


def _null(value: Any, _: Any = None) -> Any:
    if value is None:
        return None
    raise expected("null", value)


def _write_null(value: Any) -> Any:
    if value is None:
        return None
    raise unwritable("None", value)


def _texts(
    cls: type[Any],
    to_text: Callable[[Any], str],
    of_text: Callable[[str], Any],
    what: str,
    **schema: str,
) -> Form:
    """The form of a type that is written as a string."""

    def write(value: Any) -> Any:
        if not isinstance(value, cls):
            raise unwritable(cls.__name__, value)
        return to_text(value)

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is not str:
            raise expected(what, value)
        try:
            return of_text(value)
        except (ValueError, ArithmeticError):
            raise Misfit(f"expected {what}, found another string") from None

    return _leaf(cls, write, read, type="string", **schema)


def _matching(pattern: Callable[[str], object], make: Callable[[str], Any]) -> Callable[[str], Any]:
    def of_text(text: str) -> Any:
        if pattern(text) is None:
            raise ValueError
        return make(text)

    return of_text


def _decimal(value: Any, _: Any = None) -> Any:
    if type(value) is not str:
        raise expected(_A_DECIMAL, value)
    try:
        number = Decimal(value)
        # Decimal takes spaces and underscores too. Its own text is looked at first, being fast.
        if number.is_finite() and (str(number) == value or _DECIMAL(value)):
            return number
    except ArithmeticError:
        pass
    raise Misfit(f"expected {_A_DECIMAL}, found another string")


_A_DECIMAL = "a decimal number in a string"


def _write_decimal(value: Any) -> Any:
    if type(value) is Decimal and value.is_finite():
        return str(value)
    if not isinstance(value, Decimal):
        raise unwritable("Decimal", value)
    if not value.is_finite():
        raise Unwritable("is NaN or infinite, which JSON cannot say")
    return Decimal.__str__(value)


def _datetime_text(value: datetime) -> str:
    if value.utcoffset() is None:
        raise Unwritable("is a datetime without a zone, which means something else elsewhere")
    return datetime.isoformat(value)


def _date_text(value: date) -> str:
    if isinstance(value, datetime):
        raise unwritable("date", value)
    return date.isoformat(value)


def _time_text(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise Unwritable("is a time in a zone whose offset depends on the day")
    return time.isoformat(value)


def _duration_text(value: timedelta) -> str:
    size = abs(value)
    days = f"{size.days}D" if size.days else ""
    seconds = f"{size.seconds}.{size.microseconds:06}".rstrip("0").rstrip(".")
    clock = f"T{seconds}S" if size.seconds or size.microseconds or not days else ""
    return f"{'-' if value < timedelta(0) else ''}P{days}{clock}"


def _duration(text: str) -> timedelta:
    match = _DURATION(text)
    if match is None:
        raise ValueError
    sign, days, hours, minutes, seconds, fraction = match.groups()
    size = timedelta(
        days=int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(6, "0")),
    )
    return -size if sign else size


def _bytes_text(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)


def _document(value: Any, _: Any = None) -> Any:
    try:
        return Json(value)
    except DeclarationError:
        raise Misfit("expected a JSON document that is finite and less deep") from None


def _write_document(value: Any) -> Any:
    if isinstance(value, Json):
        return value.value
    raise unwritable("airlock.Json", value)


def _leaf(cls: type[Any], write: Any, read: Any, **schema: str) -> Form:
    name = "None" if cls is type(None) else cls.__name__
    return Form(name, frozenset({schema["type"]}), (cls,), schema, write, read)


LEAVES: dict[Any, Form] = {
    type(None): _leaf(type(None), _write_null, _null, type="null"),
    bool: _leaf(bool, _write_bool, _bool, type="boolean"),
    int: _leaf(int, _write_int, _int, type="integer"),
    float: _leaf(float, _write_float, _float, type="number"),
    str: _leaf(str, _write_text, _text, type="string"),
    Decimal: _leaf(Decimal, _write_decimal, _decimal, type="string", format="decimal"),
    bytes: _texts(bytes, _bytes_text, _bytes, "base64", contentEncoding="base64"),
    UUID: _texts(UUID, UUID.__str__, _matching(_UUID, UUID), "a UUID", format="uuid"),
    datetime: _texts(
        datetime,
        _datetime_text,
        _matching(_DATETIME, datetime.fromisoformat),
        "a date and time with a zone",
        format="date-time",
    ),
    date: _texts(date, _date_text, _matching(_DATE, date.fromisoformat), "a date", format="date"),
    time: _texts(
        time,
        _time_text,
        _matching(_TIME, time.fromisoformat),
        "a time of day",
        format="time",
    ),
    timedelta: _texts(
        timedelta,
        _duration_text,
        _duration,
        "an ISO 8601 duration",
        format="duration",
    ),
    Json: Form("Json", ANYTHING, (Json,), {}, _write_document, _document),
}
"""By type."""
