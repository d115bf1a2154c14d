"""Overrides: other handlers for what is emitted in a region, each able to call on to the original."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs

from airlock.effects.function import EffectFunction
from airlock.effects.registry import describe, spec_of
from airlock.effects.wave import Wave, chain
from airlock.errors import HandlerSignatureError
from airlock.wiring import Handler, calling

__all__ = [
    "Next",
    "Override",
    "checked_overrides",
    "overridden",
    "override_of",
    "reaches_handler",
]


@attrs.frozen(eq=False, repr=False)
class Override:
    """What stands for a handler: called with the intent and what it replaces; None drops.

    Attributes:
        call: what is called.
        given: as it was given.
        calls_on: whether it may call what it replaces.
    """

    call: Callable[[Any, Handler], object] | None
    given: Any = None
    calls_on: bool = False


def checked_overrides(overrides: Mapping[Any, Any]) -> Mapping[type[Any], Override]:
    """Overrides by intent type.

    Raises:
        DeclarationError: a key is not an intent class.
        HandlerSignatureError: a value is not None, ``(intent)`` or ``(intent, call_next)``.
    """
    checked: dict[type[Any], Override] = {}
    for key, handler in overrides.items():
        cls = getattr(key, "intent_type", key)
        spec_of(cls)
        plain = calling(handler) if isinstance(handler, EffectFunction) else handler
        checked[cls] = Override(None) if plain is None else _checked(cls, plain)
    return checked


def _checked(cls: type[Any], handler: Any) -> Override:
    fits: list[int] = []
    with suppress(TypeError, ValueError):
        signature = inspect.signature(handler)
        for count in (1, 2):
            with suppress(TypeError):
                signature.bind(*range(count))
                fits.append(count)
    if inspect.isclass(handler) or not fits:
        raise HandlerSignatureError(
            describe(handler),
            cls.__qualname__,
            "an override takes (intent) or (intent, call_next)",
            "Give such a function, or None to drop the intent.",
        )
    if fits[0] == 1:

        @functools.wraps(handler)
        def alone(intent: Any, _: Handler) -> object:
            return handler(intent)

        return Override(alone, handler)
    return Override(handler, handler, calls_on=True)


def reaches_handler(overrides: list[Override]) -> bool:
    """Return True if the handler itself may be called, under these overrides."""
    return all(override.calls_on for override in overrides)


def override_of(wave: Wave, position: int) -> list[Override]:
    """The overrides of one intent, innermost first; along its MRO in each region."""
    found: list[Override] = []
    for region in chain(wave.home(position)) if wave.spans else ():
        for base in type(wave.intents[position]).__mro__ if region.overrides else ():
            if base in region.overrides:  # type: ignore[operator]  # not None, see above
                found.append(region.overrides[base])  # type: ignore[index]  # as above
                break
    return found


def overridden(overrides: list[Override], original: Handler) -> Handler:
    """The handler that stands for ``original`` under overrides, innermost first."""
    handler = original
    for override in reversed(overrides):
        handler = _nothing if override.call is None else Next(override.call, handler)
    return handler


def _nothing(_: object) -> None:
    return None


@attrs.frozen(eq=False, repr=False)
class Next:
    """A handler that is wrapped: ``call(intent, call_next)``."""

    call: Callable[[Any, Handler], object]
    call_next: Handler

    def __repr__(self) -> str:
        return describe(self.call)

    def __call__(self, intent: Any) -> object:
        return self.call(intent, self.call_next)
