"""HOW an effect is delivered: inline by its handler, or handed over to an engine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airlock.effects.function import EffectFunction
from airlock.effects.registry import describe, spec_of
from airlock.emissions.delivery import Delivery
from airlock.errors import DeclarationError

if TYPE_CHECKING:
    from airlock.emissions.report import Report

__all__ = [
    "INLINE",
    "Dispatcher",
    "Inline",
    "Interceptor",
    "Recorder",
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


class Recorder(Dispatcher):
    """Base of a dispatcher that records intents in the transaction that decides about them.

    In a scope whose release has a transaction, ``record`` is called right before its COMMIT, on its
    connection; elsewhere ``record_alone`` at the flush.

    Attributes:
        standalone: it may record in a transaction of its own, for scopes that have none.
    """

    standalone: bool = False

    @property
    def identity(self) -> Hashable:
        """The database that it records in: equal for the same one, however it is reached."""
        raise NotImplementedError(f"{type(self).__qualname__} does not implement identity")

    def record(self, deliveries: Sequence[Delivery], connection: Any) -> None:
        """Record intents in the open transaction of a connection.

        Args:
            deliveries: of the intents.
            connection: as the release has it, of the database and in the transaction.

        Raises:
            Exception: the COMMIT must not happen.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not implement record()")

    def record_alone(self, deliveries: Sequence[Delivery]) -> None:
        """Record intents in one transaction of its own."""
        raise NotImplementedError(f"{type(self).__qualname__} does not implement record_alone()")

    async def arecord_alone(self, deliveries: Sequence[Delivery]) -> None:
        """Do what ``record_alone`` does, in an async flush."""
        raise NotImplementedError(f"{type(self).__qualname__} does not implement arecord_alone()")

    def nudge(self) -> None:
        """Note that a transaction has ended in which something was recorded: a relay may look."""

    def dispatch(self, delivery: Delivery, /) -> object:
        """Record one intent in a transaction of its own."""
        self.record_alone([delivery])
        return None

    def park(self, report: Report) -> int:
        """Store what failed or is pending in a report that nobody can resume; return how many."""
        raise NotImplementedError(f"{type(self).__qualname__} does not implement park()")

    async def apark(self, report: Report) -> int:
        """Do what ``park`` does, in a coroutine."""
        raise NotImplementedError(f"{type(self).__qualname__} does not implement apark()")


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
    def targets(self) -> Iterator[Dispatcher]:
        """The dispatchers that it sends to, those of routes in it too."""
        for to in (*self._routes.values(), self._default):
            yield from targets_of(to)

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


def targets_of(dispatch: Dispatcher) -> Iterator[Dispatcher]:
    """Yield the dispatchers that one stands for: of a route, all that it sends to."""
    if isinstance(dispatch, Route):
        yield from dispatch.targets
    else:
        yield dispatch
