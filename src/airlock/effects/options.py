"""What may be said of one emission, beside its value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from airlock.errors import OptionError

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

__all__ = ["NO_HEADERS", "Options", "headers_of"]


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def headers_of(value: Mapping[str, str] | None) -> Mapping[str, str]:
    """A read-only copy of headers.

    Raises:
        OptionError: a key or a value is not a ``str``.
    """
    if value is None:
        return NO_HEADERS
    if not isinstance(value, Mapping) or not all(
        isinstance(text, str) for pair in value.items() for text in pair
    ):
        raise OptionError("headers", f"must map str to str, not {value!r}")
    return MappingProxyType(dict(value))


def _of_type(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    wanted = _TYPES[attribute.name]
    if value is not None and wanted not in (c.__name__ for c in type(value).__mro__):
        got = type(value).__qualname__
        raise OptionError(attribute.name, f"must be a {wanted}, not {got}")


# By name: uuid takes a while to import, and who gives an id has imported it.
_TYPES = {"id": "UUID", "delay": "timedelta", "ordering_key": "str", "dedupe_key": "str"}


def _not_negative(_: object, __: attrs.Attribute[Any], value: timedelta | None) -> None:
    if value is not None and value.total_seconds() < 0:
        raise OptionError("delay", f"must not be negative, not {value!r}")


@attrs.frozen(kw_only=True, hash=True)
class Options:
    """What may be said of one emission, beside its value: ``emit(intent, Options(delay=...))``.

    Args:
        id: the id of the intent, everywhere it goes; one is made where it is needed if not given.
        delay: how long after the release to deliver, at the earliest.
        ordering_key: intents with the same key are delivered one after the other.
        dedupe_key: at most one intent of a kind with this key is waiting at a time.
        headers: carried with the intent and its follow-ups, over those of the scope.

    Raises:
        OptionError: a value has a wrong type.

    Example:
        >>> from datetime import timedelta
        >>> later = Options(delay=timedelta(hours=1))
        >>> EffectBuffer().emit(NotifyWarehouse(42), later)
    """

    id: UUID | None = attrs.field(default=None, validator=_of_type)
    delay: timedelta | None = attrs.field(default=None, validator=[_of_type, _not_negative])
    ordering_key: str | None = attrs.field(default=None, validator=_of_type)
    dedupe_key: str | None = attrs.field(default=None, validator=_of_type)
    headers: Mapping[str, str] = attrs.field(default=None, converter=headers_of, hash=False)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {name: getattr(self, name) for name in self.given()}
        if "headers" in given:
            given["headers"] = dict(self.headers)
        return _options, (given,)

    def over(self, captured: Options) -> Options:
        """Return these, with headers that were captured beside them where these have none."""
        return attrs.evolve(self, headers={**captured.headers, **self.headers})

    def given(self) -> tuple[str, ...]:
        """The names of the options that say anything."""
        given = {a.name: getattr(self, a.name) for a in attrs.fields(type(self))}
        if self.delay is not None and not self.delay.total_seconds():
            del given["delay"]  # every dispatch honours that
        return tuple(name for name, value in given.items() if value not in (None, NO_HEADERS))


def _options(given: dict[str, Any]) -> Options:
    return Options(**given)
