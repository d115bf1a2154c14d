"""What a boundary was told about flushing, and what the parts of a flush share."""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from airlock.dispatch import INLINE, Dispatcher, Interceptor, dispatch_of
from airlock.effects.wave import Wave
from airlock.errors import UnavailableError
from airlock.observers import Observers
from airlock.wiring import Binding, Handler

__all__ = ["Journal", "Settings", "Underway"]


@attrs.frozen(eq=False, repr=False)
class Settings:
    """What a boundary was told about flushing."""

    handlers: dict[type[Any], Binding]
    dispatch: Dispatcher
    interceptors: tuple[Interceptor, ...]
    observers: Observers
    max_depth: int
    concurrency: int

    _bindings: dict[type[Any], Binding | None] = attrs.field(factory=dict, init=False)

    def binding(self, cls: type[Any]) -> Binding | None:
        """The handler of an intent class, along its MRO."""
        try:
            return self._bindings[cls]
        except KeyError:
            found = (self.handlers[base] for base in cls.__mro__ if base in self.handlers)
            binding = self._bindings[cls] = next(found, None)
            return binding

    def dispatch_in(self, wave: Wave, cls: type[Any]) -> Dispatcher:
        """How a class is delivered: here, if it was handed over to this process."""
        return INLINE if wave.arrived else dispatch_of(self.dispatch, cls)


class Journal(Protocol):
    """Writes down what happens, so that it does not happen twice.

    Whatever either method raises ends the flush: what cannot be written down must not go on.
    """

    def begin(self, wave: Wave, positions: tuple[int, ...], /) -> None:
        """A handler is about to be called for some intents."""
        ...

    def end(self, wave: Wave, positions: tuple[int, ...], /) -> None:
        """It is over; the wave has the outcomes. Not called after an interruption."""
        ...


class Underway(Protocol):
    """A flush, as far as the running of its waves needs to know it.

    Attributes:
        settings: of the boundary.
        resolved: handlers by intent class, once per flush.
        fail_fast: stop at the first failure.
        journal: is told of every call.
        down: what could not reach where it sends, a dispatcher or a handler, by its ``id``.
    """

    settings: Settings
    resolved: dict[type[Any], Handler]
    fail_fast: bool
    journal: Journal | None
    down: dict[int, UnavailableError]
