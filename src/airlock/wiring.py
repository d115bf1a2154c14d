"""Which handler runs for which intent: ``Handles``, ``HandlesBatch``, ``Expands``, and the table.

With ``dependencies`` the only module that knows dependency-injector.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

import attrs
from dependency_injector import providers

from airlock.context import emit_all
from airlock.dependencies import Dependencies, Lacking
from airlock.effects.function import EffectFunction
from airlock.effects.intent import Intent
from airlock.effects.place import caller, shown
from airlock.effects.registry import describe, spec_of
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    DependencyError,
    DuplicateHandlerError,
    HandlerSignatureError,
)
from airlock.retry import RetryPolicy
from airlock.signatures import check_effect, check_handler, is_async

if TYPE_CHECKING:
    # Imported at run time, it loads FastAPI, Starlette and Werkzeug, where there are any.
    from dependency_injector import containers

__all__ = ["Binding", "Expands", "Handles", "HandlesBatch", "Wiring", "calling", "handler_table"]

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
        """The type of the handler's argument."""
        return intent_type

    def _provided(self, handler: Any) -> tuple[Any, ...]:
        """What the factory calls, with the dependencies, to make the handler."""
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
    """Turns one event into several effects, which follow it as its follow-ups.

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
    """A handler of the effect's intents that calls it with their fields."""
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


# -- the table ------------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class Binding:
    """A handler as registered.

    Attributes:
        intent_type: what it is registered for.
        name: where it is registered: a container attribute, or the handler's own name.
        provide: makes the handler; may return an awaitable, where resources are async.
        target: the function or class that was registered.
        batch: whether it is called with lists.
        size: of a batch, at the most.
        mix_headers: whether a batch may hold intents with different headers.
        retry: when to call it again.
        idempotent: whether calling it twice for an intent does no harm.
        dependencies: what is called to make the handler; None for one that is there already.
    """

    intent_type: type[Any]
    name: str
    provide: Callable[[], Any]
    target: Any
    batch: bool = False
    size: int | None = None
    retry: RetryPolicy | None = None
    idempotent: bool = False
    mix_headers: bool = False
    dependencies: Dependencies | None = None

    def awaited(self) -> str | None:
        """Return why only an async flush can run the handler, as it is overridden now; None if any can.

        As far as the declarations tell: what a plain function returns is not known.
        """
        if is_async(self._runs()):
            return "is async"
        awaited = self._lacking().awaited
        return f"needs {', '.join(awaited)}" if awaited else None

    def undefined(self) -> tuple[str, ...]:
        """The dependencies that nothing supplies, with the reason."""
        return self._lacking().undefined

    def refuse_lacking(self, *, awaits: bool) -> None:
        """Refuse to make the handler, before anything is made for it, where it cannot be.

        Args:
            awaits: whether the flush is async.

        Raises:
            DependencyError: a dependency is not defined, or a resource not open.
            AsyncHandlerError: a dependency must be awaited, in a sync flush.
        """
        if self.dependencies is None or self.dependencies.are_plain():
            return
        lacking, intent = self._lacking(), self.intent_type.__qualname__
        if lacking.undefined:
            hint = "Give it to the container when you make it, or override the provider."
            problem = f"{'; '.join(lacking.undefined)}"
            raise DependencyError(self.name, intent, problem, hint)
        if lacking.awaited and not awaits:
            needs = f"for {', '.join(lacking.awaited)}"
            raise AsyncHandlerError(self.name, intent, False, needs)  # noqa: FBT003 - a fact
        if lacking.unopened:
            raise DependencyError(
                self.name,
                intent,
                f"{', '.join(lacking.unopened)} is not open, and a flush never opens a resource",
                "Open the resources around the work: `with boundary:`, or `async with boundary:`.",
            )

    def _lacking(self) -> Lacking:
        return Lacking() if self.dependencies is None else self.dependencies.lacking()

    def _runs(self) -> Any:
        """What is called: the target, or what overrides its provider now."""
        provider: Any = self.provide
        while getattr(provider, "last_overriding", None) is not None:
            provider = provider.last_overriding
        if isinstance(provider, providers.Object):
            return provider()
        if provider is self.provide or isinstance(provider, Handles):
            return getattr(provider, "target", self.target)
        made = getattr(provider, "provides", None)
        return made if inspect.isclass(made) else None


Wiring: TypeAlias = "Mapping[Any, Callable[..., object]] | containers.Container"
"""Handlers: a mapping from intent classes and effect functions, or a container."""


def handler_table(wiring: Wiring) -> dict[type[Any], Binding]:
    """The handlers of a mapping or a container, by intent type.

    Raises:
        DuplicateHandlerError: two for one type.
        WiringError: a handler does not fit its intent.
    """
    table: dict[type[Any], Binding] = {}
    found = _mapped(wiring) if isinstance(wiring, Mapping) else _provided(wiring)
    for binding in found:
        other = table.get(binding.intent_type)
        if other is not None:
            raise DuplicateHandlerError(binding.intent_type.__qualname__, other.name, binding.name)
        table[binding.intent_type] = binding
    return table


def _mapped(wiring: Mapping[Any, Any]) -> Iterator[Binding]:
    for key, handler in wiring.items():
        if isinstance(handler, EffectFunction):
            if key is not handler:
                raise HandlerSignatureError(
                    repr(handler),
                    describe(key),
                    "it handles its own intents only",
                    f"Write {{{handler.__name__}: {handler.__name__}}}.",
                )
            check_effect(handler, {})
            ready = calling(handler)
            yield Binding(handler.intent_type, handler.__name__, _always(ready), handler.function)
            continue
        if isinstance(handler, providers.Provider):
            raise HandlerSignatureError(
                f"a {type(handler).__name__}",
                describe(key),
                "it is a provider, and belongs in a container",
                "Make it an attribute of one: Boundary(Effects()).",
            )
        if inspect.isclass(handler):
            raise HandlerSignatureError(
                describe(handler),
                describe(key),
                "it is a class",
                "Give an instance, or declare Handles(...) in a container.",
            )
        intent_type: type[Any] = getattr(key, "intent_type", key)
        spec_of(intent_type)
        check_handler(handler, intent_type, {})
        yield Binding(intent_type, describe(handler), _always(handler), handler)


def _always(handler: Handler) -> Callable[[], Handler]:
    return lambda: handler


def _provided(container: Any, path: str = "", root: Any = None) -> Iterator[Binding]:
    if inspect.isclass(container) or not hasattr(container, "providers"):
        raise DeclarationError(
            f"Boundary takes a mapping or a container instance, not {describe(container)}"
            + (": call it, Boundary(Effects())." if inspect.isclass(container) else ".")
        )
    for name, provider in container.providers.items():
        if isinstance(provider, Handles):
            yield _binding(f"{path}{name}", provider, root or container)
        elif isinstance(provider, providers.Container):
            yield from _provided(provider.container, f"{path}{name}.", root or container)


def _binding(name: str, provider: Handles[Any], container: Any) -> Binding:
    return Binding(
        provider.intent_type,
        f"{name} ({describe(provider.target)}, {shown(provider.place)})",
        provider,
        provider.target,
        isinstance(provider, HandlesBatch),
        provider.size if isinstance(provider, HandlesBatch) else None,
        provider.retry,
        provider.idempotent,
        isinstance(provider, HandlesBatch) and provider.mix_headers,
        Dependencies(provider, container),
    )
