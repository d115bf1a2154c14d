"""HOW an effect is delivered: inline by its handler, or handed over to an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from airlock.effects.function import EffectFunction
from airlock.effects.registry import describe, spec_of
from airlock.emissions.delivery import Delivery
from airlock.errors import DeclarationError

__all__ = [
    "INLINE",
    "Dispatcher",
    "Inline",
    "Interceptor",
    "Route",
]

Interceptor = Callable[[Any, Callable[[Any], object]], object]
"""``(intent, call_next) -> object``: wraps each attempt of each handler that runs here.

Contract: call ``call_next(intent)`` once and return what it returns (which is awaitable if the
handler is async: an ``async def`` interceptor awaits it). Raising fails the intent. Around a batch
handler, ``intent`` is the list of intents.
"""


class Dispatcher:
    """Base of what hands intents over to an engine: a task queue, a broker, an outbox.

    Subclasses set ``options`` and implement ``dispatch``. An intent that was handed over without
    an error has the outcome *handed over*; an error fails it, and ``report.resume()`` tries again.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    """The emission options it honours, of id, delay, ordering_key, dedupe_key and headers."""

    def check(self, cls: type[Any], /) -> None:
        """Check an intent class; called once per class, before anything of a wave runs.

        Raises:
            WiringError: this dispatcher cannot carry the class; the wave is refused.
        """

    def dispatch(self, delivery: Delivery, /) -> object:
        """Hand one intent over. May return an awaitable, in async flushes."""
        raise NotImplementedError(f"{type(self).__qualname__} does not implement dispatch()")


class Inline(Dispatcher):
    """Runs the handler here and now, at the flush."""

    options = frozenset({"id", "ordering_key", "headers"})

    def __repr__(self) -> str:
        return "inline dispatch"


INLINE = Inline()
"""Run handlers at the flush: the default."""


class Route(Dispatcher):
    """Another dispatch for some intents.

    Args:
        routes: by intent class (its subclasses too) or effect function.
        default: for all others.

    Example:
        >>> queue = Dispatcher()
        >>> dispatch = Route({SendEmail: queue}, default=INLINE)
        >>> dispatch.of(NotifyWarehouse)
        inline dispatch
    """

    def __init__(
        self,
        routes: Mapping[type[Any] | EffectFunction[..., Any], Dispatcher],
        *,
        default: Dispatcher = INLINE,
    ) -> None:
        self._routes: dict[Any, Dispatcher] = {
            getattr(key, "intent_type", key): to for key, to in routes.items()
        }
        self._default = default
        check_dispatcher("Route(default=...)", default)
        for key, to in self._routes.items():
            spec_of(key)
            if not isinstance(to, Dispatcher):
                raise DeclarationError(
                    f"Route sends {key.__qualname__} to {describe(to)}: give a Dispatcher."
                )

    def of(self, cls: type[Any]) -> Dispatcher:
        """Return the dispatch of an intent class, along its MRO."""
        for base in cls.__mro__:
            if base in self._routes:
                return dispatch_of(self._routes[base], cls)
        return dispatch_of(self._default, cls)

    @property
    def routed(self) -> tuple[type[Any], ...]:
        """The intent classes it names."""
        return tuple(self._routes)


def check_dispatcher(what: str, dispatch: object) -> None:
    """Refuse what is not a dispatcher.

    Raises:
        DeclarationError: naming ``what`` was given it.
    """
    if not isinstance(dispatch, Dispatcher):
        raise DeclarationError(f"{what} takes a Dispatcher, not {describe(dispatch)}.")


def dispatch_of(dispatch: Dispatcher, cls: type[Any]) -> Dispatcher:
    """Return the dispatcher that carries ``cls``, through routes."""
    return dispatch.of(cls) if isinstance(dispatch, Route) else dispatch
