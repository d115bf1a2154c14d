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
from airlock.emissions.region import Region
from airlock.emissions.wave import Wave
from airlock.errors import HandlerSignatureError
from airlock.handlers.providers import Handler, calling

__all__ = ["Link", "Override", "Overrides", "Wrapped", "checked_overrides"]


@attrs.frozen(eq=False, repr=False)
class Override:
    """A replacement for a handler: called with the intent and what it replaces; None drops.

    Attributes:
        call: what is called.
        given: as it was given.
        calls_on: whether it may call what it replaces.
    """

    call: Callable[[Any, Handler], object] | None
    given: Any = None
    calls_on: bool = False


def checked_overrides(overrides: Mapping[Any, Any]) -> Mapping[type[Any], Override]:
    """Return overrides by intent type.

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


@attrs.frozen(eq=False, repr=False)
class Link:
    """An override, and those around it.

    Attributes:
        override: the innermost.
        outer: the next; None if it is the last.
        reaches_handler: whether the handler itself may be called.
    """

    override: Override
    outer: Link | None
    reaches_handler: bool


class Overrides:
    """The overrides of a wave: what stands for the handler of each intent.

    Args:
        wave: of the intents.
    """

    def __init__(self, wave: Wave) -> None:
        self._wave = wave
        self._links: dict[tuple[Region, type[Any]], Link | None] = {}
        self._made: dict[tuple[type[Any], int, Link | None], Link] = {}
        self._handlers: dict[Link | None, Handler] = {}

    def of(self, position: int) -> Link | None:
        """Return the overrides of an intent, innermost first; along its MRO in each region."""
        cls, links = type(self._wave.intents[position]), self._links
        inside = list[Region]()
        region: Region | None = self._wave.home(position)
        while region is not None and (region, cls) not in links:
            inside.append(region)
            region = region.up
        link = None if region is None else links[region, cls]
        for inner in reversed(inside):
            own = _override_in(inner, cls)
            if own is not None:
                link = self._linked(cls, own, link)
            links[inner, cls] = link
        return link

    def _linked(self, cls: type[Any], override: Override, outer: Link | None) -> Link:
        """Return the link of an override; one for the same function in several regions."""
        key = (cls, id(override.call), outer)
        if key not in self._made:
            reaches = override.calls_on and (outer is None or outer.reaches_handler)
            self._made[key] = Link(override, outer, reaches)
        return self._made[key]

    def handler(self, link: Link, original: Handler) -> Handler:
        """Return the handler that stands for ``original``, which is the same for a class."""
        inside = list[Link]()
        at: Link | None = link
        while at is not None and at not in self._handlers:
            inside.append(at)
            at = at.outer
        handler = original if at is None else self._handlers[at]
        for inner in reversed(inside):
            call = inner.override.call
            handler = _nothing if call is None else Wrapped(call, handler)
            self._handlers[inner] = handler
        return handler


def _override_in(region: Region, cls: type[Any]) -> Override | None:
    overrides = region.overrides
    found = (overrides[base] for base in cls.__mro__ if base in overrides) if overrides else ()
    return next(iter(found), None)


def _nothing(_: object) -> None:
    return None


@attrs.frozen(eq=False, repr=False)
class Wrapped:
    """A handler that is wrapped: ``call(intent, call_next)``."""

    call: Callable[[Any, Handler], object]
    call_next: Handler

    def __repr__(self) -> str:
        return describe(self.call)

    def __call__(self, intent: Any) -> object:
        return self.call(intent, self.call_next)
