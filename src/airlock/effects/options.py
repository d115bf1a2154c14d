"""What may be said of one emission, beside its value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypedDict
from uuid import UUID

import attrs

from airlock.errors import OptionError

__all__ = ["NO_HEADERS", "EmitOptions", "Options", "headers_of"]


class EmitOptions(TypedDict, total=False):
    """Keyword arguments of ``emit``.

    Keys:
        id: the id of the intent, everywhere it goes; one is made where it is needed if not given.
        delay: how long after the release to deliver, at the earliest.
        ordering_key: intents with the same key are delivered one after the other.
        dedupe_key: at most one intent of a kind with this key is waiting at a time.
        headers: carried with the intent and its follow-ups, over those of the scope.
    """

    id: UUID
    delay: timedelta
    ordering_key: str
    dedupe_key: str
    headers: Mapping[str, str]


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def headers_of(value: Mapping[str, str] | None) -> Mapping[str, str]:
    """A read-only copy of headers.

    Raises:
        OptionError: a key or a value is not a ``str``.
    """
    if value is None:
        return NO_HEADERS
    if not isinstance(value, Mapping) or not all(  # pyright: ignore[reportUnnecessaryIsInstance]
        isinstance(text, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        for pair in value.items()
        for text in pair
    ):
        raise OptionError("headers", f"must map str to str, not {value!r}")
    return MappingProxyType(dict(value))


@attrs.frozen(hash=True)
class Options:
    """The options one intent was emitted with; kept beside the buffer, only where given."""

    id: UUID | None = None
    delay: timedelta | None = None
    ordering_key: str | None = None
    dedupe_key: str | None = None
    headers: Mapping[str, str] = attrs.field(default=NO_HEADERS, hash=False)

    @classmethod
    def checked(cls, options: Mapping[str, Any]) -> Options:
        """Options from keyword arguments.

        Raises:
            OptionError: an option is unknown or has a wrong type.
        """
        for name, value in options.items():
            if name not in _TYPES:
                raise OptionError(name, "does not exist")
            if value is not None and not isinstance(value, _TYPES[name]):
                wanted = _TYPES[name].__name__
                raise OptionError(name, f"must be a {wanted}, not {type(value).__qualname__}")
        delay = options.get("delay")
        if delay is not None and delay < timedelta(0):
            raise OptionError("delay", f"must not be negative, not {delay!r}")
        return cls(**{**options, "headers": headers_of(options.get("headers"))})

    def given(self) -> tuple[str, ...]:
        """The names of the options that were given."""
        return tuple(name for name in _TYPES if getattr(self, name) not in _NOTHING)


_NOTHING = (None, timedelta(0), NO_HEADERS)
_TYPES: dict[str, type[Any]] = {
    "id": UUID,
    "delay": timedelta,
    "ordering_key": str,
    "dedupe_key": str,
    "headers": Mapping,
}
