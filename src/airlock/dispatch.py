"""HOW an effect is delivered: inline by its handler, or handed over to an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airlock.context import here, outwards
from airlock.effects.causation import Ancestor, Causation, digest
from airlock.effects.function import EffectFunction
from airlock.effects.options import Options
from airlock.effects.policy import PolicyLike
from airlock.effects.region import Region
from airlock.effects.registry import describe, spec_of
from airlock.effects.wave import Outcome, Wave, chain
from airlock.errors import DeclarationError, DeliveryError
from airlock.policies import OncePerChain, chain_policies

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

__all__ = [
    "INLINE",
    "Delivery",
    "Dispatcher",
    "Inline",
    "Interceptor",
    "Route",
    "deliveries",
    "delivery",
    "running",
]

Interceptor = Callable[[Any, Callable[[Any], object]], object]
"""``(intent, call_next) -> object``: wraps each attempt of each handler that runs here.

Contract: call ``call_next(intent)`` once and return what it returns (which is awaitable if the
handler is async: an ``async def`` interceptor awaits it). Raising fails the intent. Around a batch
handler, ``intent`` is the list of intents.
"""

_NO_OPTIONS = Options()

FARTHEST = 256
"""How many causes an envelope tells of: a batch has as many as members."""


class Delivery:
    """One intent on its way: what a handler may ask about it, and what a dispatcher is given."""

    __slots__ = ("_position", "_wave", "attempt", "inline")

    def __init__(self, wave: Wave, position: int, attempt: int, inline: bool = True) -> None:  # noqa: FBT001, FBT002 - keywords cost a tenth of a microsecond, for each attempt that is watched
        self._wave = wave
        self._position = position
        self.attempt = attempt
        """Which try this is, from 1."""
        self.inline = inline
        """Whether its handler runs here; False if it is handed over."""

    @property
    def intent(self) -> Any:
        """The intent."""
        return self._wave.intents[self._position]

    @property
    def id(self) -> UUID:
        """The id it was emitted with, or one made for it: the same in every attempt and report."""
        return self._wave.id_of(self._position)

    @property
    def kind(self) -> str:
        """The kind of the intent."""
        return spec_of(type(self.intent)).kind

    @property
    def cause(self) -> Delivery | None:
        """The delivery whose handler emitted it; None if the block did."""
        parent = self._wave.parent
        if parent is None:
            return None
        position = self._wave.causes[self._position]
        failed = parent.outcomes[position] == Outcome.FAILED
        return Delivery(parent, position, parent.tries.get(position, 0) + (not failed))

    @property
    def ancestors(self) -> Iterator[Any]:
        """The intents that caused it, its direct cause first."""
        return self._wave.ancestors(self._position)

    @property
    def arrived(self) -> bool:
        """Whether a dispatch handed it over to this process, where it is delivered now."""
        return self._wave.arrived

    @property
    def causation(self) -> Causation:
        """Its causes for other processes: kinds and digests of at most 256 of them, the nearest."""
        origin = self._wave.origin_of(self._position)
        if self._wave.parent is None and self._wave.within is None:
            return origin
        causes = islice(self.ancestors, FARTHEST)
        policies = tuple(chain_policies(self._policies()))
        here_ = (_ancestor(cause, policies) for cause in causes)
        known = dict.fromkeys((*here_, *origin.ancestors))
        return Causation(self._wave.depth_after(origin), tuple(known)[:FARTHEST])

    def _policies(self) -> Iterator[PolicyLike]:
        for region in chain(self._wave.home(self._position)):
            yield from region.policies
            yield from region.enclosures

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of its scopes, of its causes, and its own."""
        return MappingProxyType(self._wave.headers(self._position))

    @property
    def options(self) -> Options:
        """The options it was emitted with."""
        return self._wave.options.get(self._position, _NO_OPTIONS)

    @property
    def delay(self) -> timedelta | None:
        """How long after the release to deliver, at the earliest."""
        return self.options.delay

    def __repr__(self) -> str:
        return f"<Delivery of {self.intent!r}, attempt {self.attempt}>"


def _ancestor(cause: Any, policies: Iterable[OncePerChain]) -> Ancestor:
    whole = digest(cause)
    digests = {} if whole is None else {"": whole}
    for policy in policies:
        digests.update(policy.ancestor(cause))
    return Ancestor(spec_of(type(cause)).kind, digests)


def delivery() -> Delivery:
    """Inside a handler: the delivery it runs for.

    Raises:
        DeliveryError: no handler is running here, or a batch handler is (see ``deliveries``).

    Example:
        >>> def send(intent):
        ...     mail(intent, message_id=str(delivery().id))
    """
    found = deliveries()
    if len(found) != 1:
        raise DeliveryError(
            f"this handler runs for a batch of {len(found)}: use airlock.deliveries(), one for each."
        )
    return found[0]


def deliveries() -> tuple[Delivery, ...]:
    """Inside a batch handler: the deliveries of its members, in order.

    Raises:
        DeliveryError: no handler is running here.
    """
    for region in outwards(here.get()):
        if region.running is not None:
            execution: Runs = region.running
            return execution.deliveries(region.cause)
    raise DeliveryError(
        "no handler is running here, so there is no delivery to ask about. Call airlock.delivery() "
        "in a handler, or in what it calls."
    )


class Runs(Protocol):
    """What calls handlers, as seen from inside of one."""

    def deliveries(self, cause: int = -1) -> tuple[Delivery, ...]: ...
    def again(self, error: BaseException, /) -> None: ...


def running() -> Runs:
    """Return what calls the handler that is running here.

    Raises:
        DeliveryError: none is.
    """
    region: Region | None = here.get()
    while region is not None:
        if region.running is not None:
            execution: Runs = region.running
            return execution
        region = region.outer
    raise DeliveryError("no handler is running here")


class Dispatcher:
    """Base of what hands intents over to an engine: a task queue, a broker, an outbox.

    Subclasses set ``options`` and implement ``dispatch``. An intent that was handed over without
    an error has the outcome *handed over*; an error fails it, and ``report.resume()`` tries again.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    """The emission options it honours, of id, delay, ordering_key, dedupe_key and headers."""

    def check(self, cls: type[Any], /) -> None:
        """Called once per intent class, before anything of a wave runs.

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
        """The dispatch of an intent class, along its MRO."""
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
    """The dispatcher that carries ``cls``, through routes."""
    return dispatch.of(cls) if isinstance(dispatch, Route) else dispatch
