"""The table of handlers: which one runs for which intent, and whether it can.

With ``dependencies`` the only module that knows dependency-injector.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    TypeAlias,
)

import attrs
from dependency_injector import providers

from airlock.effects.function import EffectFunction
from airlock.effects.place import shown
from airlock.effects.registry import describe, spec_of
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    DependencyError,
    DuplicateHandlerError,
    HandlerSignatureError,
)
from airlock.handlers.dependencies import Dependencies, Lacking
from airlock.handlers.providers import Handler, Handles, HandlesBatch, calling
from airlock.handlers.retry import RetryPolicy
from airlock.handlers.signatures import check_effect, check_handler, is_async

if TYPE_CHECKING:
    # Imported at run time, it loads FastAPI, Starlette and Werkzeug, where there are any.
    from dependency_injector import containers

__all__ = ["Binding", "Wiring", "handler_table"]


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

        As far as the declarations show: what a plain function returns is not known.
        """
        if is_async(self._runs()):
            return "is async"
        awaited = self._lacking().awaited
        return f"needs {', '.join(awaited)}" if awaited else None

    def undefined(self) -> tuple[str, ...]:
        """Return the dependencies that nothing supplies, with the reason."""
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
        """Return what is called: the target, or what overrides its provider now."""
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
    """Return the handlers of a mapping or a container, by intent type.

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
