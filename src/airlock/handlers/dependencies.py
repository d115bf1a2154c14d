"""Dependencies of a handler in its container that are undefined, not open, or async.

Known without calling a provider, so that no client is made and no connection is opened for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import attrs
from dependency_injector import providers, resources

from airlock.effects.registry import describe

__all__ = ["Dependencies", "Lacking", "async_resources"]


@attrs.frozen
class Lacking:
    """The reasons why dependencies of a handler cannot be supplied, in words.

    Attributes:
        undefined: with the reason; calling these providers raises.
        unopened: resources, which a flush uses and never opens.
        awaited: what only an async flush can await.
    """

    undefined: tuple[str, ...] = ()
    unopened: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()


_NOTHING = Lacking()


class Dependencies:
    """Everything that is called to make a handler.

    Args:
        provider: of the handler.
        container: the outermost one it is in, which has the names.
    """

    def __init__(self, provider: Any, container: Any) -> None:
        self._provider = provider
        self._container = container
        self._plain: tuple[Any, ...] | None = None

    def lacking(self) -> Lacking:
        """Return what is lacking now, with every provider as it is overridden now."""
        undefined, unopened, awaited = list[Any](), list[Any](), list[Any]()
        for one in _reached(self._provider):
            if why := _undefined(one):
                undefined.append((one, why))
            if isinstance(one, providers.Resource) and not one.initialized:
                unopened.append(one)
            if what := _awaited(one):
                awaited.append((one, what))
        if not (undefined or unopened or awaited):
            return _NOTHING
        names = dict(_names(self._container))
        return Lacking(
            tuple(f"{_named(one, names)} {why}" for one, why in undefined),
            tuple(_named(one, names) for one in unopened),
            tuple(f"{_named(one, names)} ({what})" for one, what in awaited),
        )

    def are_plain(self) -> bool:
        """Return True if nothing can be lacking but configuration: a quick look, for each flush.

        What a provider calls does not change, but for overriding it.
        """
        if self._plain is None:
            reached = tuple(_reached(self._provider, overridden=False))
            special = any(isinstance(one, _SPECIAL) or _awaited(one) for one in reached)
            self._plain = () if special else reached
        return bool(self._plain) and not any(one.last_overriding for one in self._plain)


def async_resources(container: Any) -> tuple[str, ...]:
    """Return the names of the resources of a container that only an async block can open."""
    names = dict(_names(container))
    resources = container.traverse(types=[providers.Resource])
    return tuple(sorted(_named(one, names) for one in resources if _awaited(one)))


def _reached(provider: Any, *, overridden: bool = True) -> Iterator[Any]:
    """Return the provider, and those that are called to make what it provides, each once.

    Args:
        provider: where to begin.
        overridden: follow what overrides a provider now, instead of that provider.
    """
    seen, waiting = set[int](), [provider]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if overridden and one.last_overriding is not None:
            waiting.append(one.last_overriding)
        else:
            yield one
            waiting += _called(one)


def _called(one: Any) -> list[Any]:
    """Return the providers that a provider calls; others it hands on as they are."""
    if isinstance(one, _HANDED_ON):
        return []
    if isinstance(one, providers.Dependency):
        return [] if one.default is None else [one.default]
    if isinstance(one, providers.Selector):
        by = [one.selector] if isinstance(one.selector, providers.Provider) else []
        key = _key(one)
        return [*by, *(p for name, p in one.providers.items() if key in (None, name))]
    return [p for p in one.related if not (providers.is_delegated(p) or isinstance(p, _HANDED_ON))]


_HANDED_ON = (providers.Object, providers.Delegate, providers.Self, providers.Container)


def _undefined(one: Any) -> str | None:
    """Why calling a provider raises, as far as that is known without calling it."""
    if isinstance(one, providers.Dependency) and not one.is_defined:
        return "is not defined"
    if isinstance(one, _ABSTRACT):
        return "is abstract, and nothing overrides it"
    if isinstance(one, providers.ConfigurationOption):
        try:
            one()
        except Exception as error:  # noqa: BLE001 - dependency-injector has one for everything
            return f"is not configured ({error})"
    if isinstance(one, providers.Selector):
        key = _key(one)
        if key is not None and key not in one.providers:
            return f"selects {key!r}, and has only {', '.join(map(repr, one.providers))}"
        if key is None and isinstance(one.selector, _SAFE):
            return "selects by a value that is not set"
    return None


_ABSTRACT = (
    providers.AbstractFactory,
    providers.AbstractCallable,
    providers.AbstractCoroutine,
    providers.AbstractSingleton,
)
_SPECIAL = (providers.Resource, providers.Dependency, providers.Selector, *_ABSTRACT)
_SAFE = (providers.ConfigurationOption, providers.Object)
"""Selectors that can be called: they give a value that is there already."""


def _key(selector: Any) -> Any:
    """Return what a selector selects by, where that is known; else None."""
    by = selector.selector
    while getattr(by, "last_overriding", None) is not None:
        by = by.last_overriding
    if not isinstance(by, _SAFE):
        return None
    try:
        return by()
    except Exception:  # noqa: BLE001 - told of the option itself
        return None


def _awaited(one: Any) -> str | None:
    """Return what makes the result of a provider awaitable; None if it is not."""
    if isinstance(one, providers.Resource):
        return "an async resource" if _opens_async(one.provides) else None
    if isinstance(one, providers.Coroutine):
        return "a coroutine"
    if isinstance(one, _CALLING) and _is_async(one.provides):
        return f"made by {describe(one.provides)}, which is async"
    return "in async mode" if one.is_async_mode_enabled() else None


_CALLING = (providers.Callable, providers.Factory, providers.BaseSingleton)


def _opens_async(made: Any) -> bool:
    """Return True if a resource is opened by a coroutine, or as an async context manager."""
    if inspect.isclass(made):
        only_async = hasattr(made, "__aenter__") and not hasattr(made, "__enter__")
        return only_async or issubclass(made, resources.AsyncResource)
    return _is_async(inspect.unwrap(made)) if callable(made) else False


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _names(container: Any, path: str = "") -> Iterator[tuple[int, str]]:
    """Return the names of the providers of a container, and of those inside of it."""
    for name, provider in container.providers.items():
        yield id(provider), f"{path}{name}"
        if isinstance(provider, providers.Container | providers.DependenciesContainer):
            inner = provider.container if isinstance(provider, providers.Container) else provider
            yield from _names(inner, f"{path}{name}.")


def _named(one: Any, names: dict[int, str]) -> str:
    """Return the name of a provider in its container; of one without a name, what it provides."""
    if id(one) in names:
        return f"`{names[id(one)]}`"
    if isinstance(one, providers.ConfigurationOption):
        return f"`{one.get_name()}`"
    kind = type(one).__name__
    provided = getattr(one, "provides", None)
    return f"a {kind}" if provided is None else f"a {kind} of {describe(provided)}"
