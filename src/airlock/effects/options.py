"""Options of one emission, beside its value."""

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
    """Return a read-only copy of headers.

    Raises:
        OptionError: a key or a value is not a ``str``.
    """
    if value is None:
        return NO_HEADERS
    if type(value) is not dict and not isinstance(value, Mapping):
        raise OptionError("headers", f"must map str to str, not {value!r}")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise OptionError("headers", f"must map str to str, not {value!r}")
    return MappingProxyType(dict(value))


def _check_type(name: str, wanted: str, value: object) -> None:
    # By name: uuid takes a while to import, and who gives an id has imported it.
    cls = type(value)
    if cls.__name__ != wanted and wanted not in (c.__name__ for c in cls.__mro__):
        raise OptionError(name, f"must be a {wanted}, not {cls.__qualname__}")


@attrs.frozen(kw_only=True, hash=True)
class Options:
    """Options of one emission, beside its value: ``emit(intent, Options(delay=...))``.

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

    id: UUID | None = None
    delay: timedelta | None = None
    ordering_key: str | None = None
    dedupe_key: str | None = None
    headers: Mapping[str, str] = attrs.field(default=None, converter=headers_of, hash=False)

    def __attrs_post_init__(self) -> None:
        # Validators would be called for each option that is not given, too, and few are.
        if self.id is not None and self.id.__class__.__name__ != "UUID":
            _check_type("id", "UUID", self.id)
        if self.delay is not None:
            _check_type("delay", "timedelta", self.delay)
            if self.delay.total_seconds() < 0:
                raise OptionError("delay", f"must not be negative, not {self.delay!r}")
        if self.ordering_key is not None and self.ordering_key.__class__ is not str:
            _check_type("ordering_key", "str", self.ordering_key)
        if self.dedupe_key is not None and self.dedupe_key.__class__ is not str:
            _check_type("dedupe_key", "str", self.dedupe_key)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {name: getattr(self, name) for name in self.given()}
        if "headers" in given:
            given["headers"] = dict(self.headers)
        return _options, (given,)

    def over(self, captured: Options) -> Options:
        """Return these, with headers that were captured beside them where these have none."""
        return attrs.evolve(self, headers={**captured.headers, **self.headers})

    def given(self) -> tuple[str, ...]:
        """Return the names of the options that are set."""
        given = {a.name: getattr(self, a.name) for a in attrs.fields(type(self))}
        if self.delay is not None and not self.delay.total_seconds():
            del given["delay"]  # every dispatch honours that
        return tuple(name for name, value in given.items() if value not in (None, NO_HEADERS))


def _options(given: dict[str, Any]) -> Options:
    return Options(**given)
