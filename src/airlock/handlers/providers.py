"""Providers of handlers by intent class: ``Handles``, ``HandlesBatch``, ``Expands``, and the table.

With ``dependencies`` the only module that knows dependency-injector.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import (
    Any,
    Concatenate,
    Generic,
    Self,
    TypeVar,
    cast,
    overload,
)

import attrs
from dependency_injector import providers

from airlock.effects.function import EffectFunction
from airlock.effects.intent import Intent
from airlock.effects.place import caller
from airlock.effects.registry import spec_of
from airlock.errors import (
    DeclarationError,
)
from airlock.handlers.retry import RetryPolicy
from airlock.handlers.signatures import check_effect, check_handler
from airlock.scopes.current import emit_all

__all__ = ["Expands", "Handler", "Handles", "HandlesBatch", "calling"]

IntentT = TypeVar("IntentT", bound=Intent)
Handler = Callable[[Any], object]


class Handles(providers.Factory[Any], Generic[IntentT]):
    """A provider that binds an intent type to its handler and the handler's dependencies.

    It provides the handler, ready to be called with an intent; it is resolved once per flush.

    Args:
        intent_type: an intent class, or an effect function.
        handler: a function whose first argument is the intent, or a class whose instances are
            called with it; left out for an effect function. It may be async.
        retry: when to call it again after an error.
        idempotent: whether calling it twice for an intent does no harm; then nobody is asked about
            a call that a crash has cut off, and it is called again.
        **dependencies: providers or values, by parameter name.

    Raises:
        HandlerSignatureError: a dependency is missing or misspelt, or the handler is annotated
            with another type.
        DeclarationError: ``intent_type`` is not an intent.

    Example:
        >>> from dependency_injector import containers, providers
        >>> def notify_warehouse(intent: NotifyWarehouse, http: object) -> None: ...
        >>> class Effects(containers.DeclarativeContainer):
        ...     http = providers.Object("a client")
        ...     notify = Handles(NotifyWarehouse, notify_warehouse, http=http)
    """

    intent_type: type[Any]
    target: Any = None
    retry: RetryPolicy | None = None
    idempotent: bool = False
    place: tuple[str, int] | None = None

    @overload
    def __init__(
        self: Handles[Intent],
        intent_type: EffectFunction[..., Any],
        /,
        *,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        intent_type: type[IntentT],
        handler: Callable[[IntentT], object],
        /,
        *,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        intent_type: type[IntentT],
        handler: Callable[..., Callable[[IntentT], object]],
        /,
        *,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    @overload
    def __init__(  # type: ignore[overload-cannot-match]  # mypy takes Concatenate for narrower
        self,
        intent_type: type[IntentT],
        handler: Callable[Concatenate[IntentT, ...], object],
        /,
        *,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    def __init__(
        self,
        intent_type: Any = None,
        handler: Any = None,
        /,
        *,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None:
        if intent_type is None:  # dependency-injector copies a provider by calling its class
            super().__init__()
            return
        if isinstance(intent_type, EffectFunction):
            if handler is not None:
                raise DeclarationError(
                    f"{intent_type!r} is its own handler: Handles({intent_type.__name__}, ...) "
                    "takes its dependencies only. To replace it, override the provider."
                )
            check_effect(intent_type, dependencies)
            self.intent_type, self.target = intent_type.intent_type, intent_type.function
            super().__init__(functools.partial, calling(intent_type), **dependencies)
        else:
            spec_of(intent_type)
            self.intent_type, self.target = intent_type, handler
            check_handler(handler, self._accepts(intent_type), dependencies)
            super().__init__(*self._provided(handler), **dependencies)
        self.retry = retry
        self.idempotent = idempotent
        self.place = caller()

    def _accepts(self, intent_type: type[Any]) -> Any:
        """Return the type of the handler's argument."""
        return intent_type

    def _provided(self, handler: Any) -> tuple[Any, ...]:
        """Return what the factory calls, with the dependencies, to make the handler."""
        return (handler,) if inspect.isclass(handler) else (functools.partial, handler)

    def __deepcopy__(self, memo: Any) -> Self:
        copied: Any = super().__deepcopy__(memo)
        for name, value in vars(self).items():
            if name in self._kept:
                setattr(copied, name, value)
        return cast("Self", copied)

    _kept = frozenset(
        {"idempotent", "intent_type", "mix_headers", "place", "retry", "size", "target"}
    )


class HandlesBatch(Handles[IntentT]):
    """``Handles`` for a handler that is called with a list of intents.

    A batch runs at the place of its last member. It never mixes regions with policies or overrides
    of their own, nor intents with different headers. If the handler raises, all members fail;
    ``PartialFailure({index: error})`` fails those only.

    Args:
        intent_type: an intent class.
        handler: a function whose first argument is a list of intents, or a class whose instances
            are called with one. It may be async.
        size: how many intents a batch has at the most; None for all of a wave.
        mix_headers: whether a batch may hold intents with different headers (of several tenants,
            say). What it emits then has those that all members share.
        retry: when to call it again after an error.
        idempotent: whether calling it twice for an intent does no harm; then nobody is asked about
            a call that a crash has cut off, and it is called again.
        **dependencies: providers or values, by parameter name.
    """

    size: int | None = None
    mix_headers: bool = False

    @overload
    def __init__(
        self,
        intent_type: type[IntentT],
        handler: Callable[[list[IntentT]], object],
        /,
        *,
        size: int | None = None,
        mix_headers: bool = False,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        intent_type: type[IntentT],
        handler: Callable[..., Callable[[list[IntentT]], object]],
        /,
        *,
        size: int | None = None,
        mix_headers: bool = False,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    @overload
    def __init__(  # type: ignore[overload-cannot-match]  # mypy takes Concatenate for narrower
        self,
        intent_type: type[IntentT],
        handler: Callable[Concatenate[list[IntentT], ...], object],
        /,
        *,
        size: int | None = None,
        mix_headers: bool = False,
        retry: RetryPolicy | None = None,
        idempotent: bool = False,
        **dependencies: Any,
    ) -> None: ...
    def __init__(  # pyright: ignore[reportInconsistentOverload]
        self,
        intent_type: Any = None,
        handler: Any = None,
        /,
        *,
        size: int | None = None,
        mix_headers: bool = False,
        **rest: Any,
    ) -> None:
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise DeclarationError(f"HandlesBatch(size={size!r}): an int from 1, or None for all.")
        if mix_headers not in (True, False):
            raise DeclarationError(f"HandlesBatch(mix_headers={mix_headers!r}): True or False.")
        super().__init__(intent_type, handler, **rest)
        self.size = size
        self.mix_headers = mix_headers

    def _accepts(self, intent_type: type[Any]) -> Any:
        return list[intent_type]  # type: ignore[valid-type]  # built at run time


class Expands(Handles[IntentT]):
    """A provider that turns one event into several effects, which follow it as its follow-ups.

    Args:
        intent_type: an intent class, the event.
        handler: a function from the event to the intents it means, in order.
        idempotent: as for ``Handles``; by default it is, for it only says what is to happen.
        **dependencies: providers or values, by parameter name.

    Example:
        >>> placed = Expands(OrderPlaced, lambda event: (NotifyWarehouse(event.order_id),))
    """

    @overload
    def __init__(
        self,
        intent_type: type[IntentT],
        handler: Callable[[IntentT], Iterable[Intent] | Awaitable[Iterable[Intent]]],
        /,
        *,
        idempotent: bool = True,
    ) -> None: ...
    @overload
    def __init__(
        self,
        intent_type: type[IntentT],
        handler: Callable[
            Concatenate[IntentT, ...], Iterable[Intent] | Awaitable[Iterable[Intent]]
        ],
        /,
        *,
        idempotent: bool = True,
        **dependencies: Any,
    ) -> None: ...
    def __init__(  # pyright: ignore[reportInconsistentOverload]
        self,
        intent_type: Any = None,
        handler: Any = None,
        /,
        *,
        idempotent: bool = True,
        **dependencies: Any,
    ) -> None:
        super().__init__(intent_type, handler, idempotent=idempotent, **dependencies)

    def _provided(self, handler: Any) -> tuple[Any, ...]:
        return functools.partial, _expanding(handler)


def _expanding(expand: Callable[..., Iterable[Intent]]) -> Callable[..., object]:
    @functools.wraps(expand)
    def run(intent: Any, **dependencies: Any) -> object:
        made: Any = expand(intent, **dependencies)
        if inspect.isawaitable(made):
            return _emit_awaited(made)
        emit_all(made)
        return None

    return run


async def _emit_awaited(made: Any) -> None:
    emit_all(await made)


def calling(effect: EffectFunction[..., Any]) -> Callable[..., object]:
    """Return a handler of the effect's intents that calls it with their fields."""
    function = effect.function
    parameters = inspect.signature(function).parameters.values()
    first = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    names = [a.name for a in attrs.fields(effect.intent_type) if a.name not in first]

    @functools.wraps(function)
    def run(intent: Any, **dependencies: Any) -> object:
        fields = {name: getattr(intent, name) for name in names}
        before = [
            dependencies.pop(name) if name in dependencies else getattr(intent, name)
            for name in first
        ]
        return function(*before, **fields, **dependencies)

    return run
