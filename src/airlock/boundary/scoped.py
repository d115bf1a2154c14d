"""``@boundary.scoped()``: a scope around each call of a function, coroutine or generator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from itertools import takewhile
from typing import Any, TypeVar, cast

from airlock.emissions.region import Region
from airlock.scopes.current import enclosed, end_step, here, outwards, own
from airlock.scopes.enclose import unknown
from airlock.scopes.scope import Scope

__all__ = ["scoped"]

F = TypeVar("F", bound=Callable[..., Any])


def scoped(function: F, open_scope: Callable[[], Scope]) -> F:
    """Wrap a function so that each call of it is a scope of its own.

    Args:
        function: plain, ``async def``, a generator or an async generator function. A generator's
            scope is current only while its own code runs, and ends with the generator.
        open_scope: makes the scope.
    """
    around: Callable[[Callable[..., Any], Callable[[], Scope]], Callable[..., Any]]
    if inspect.isasyncgenfunction(function):
        around = _around_async_generator
    elif inspect.isgeneratorfunction(function):
        around = _around_generator
    elif inspect.iscoroutinefunction(function):
        around = _around_coroutine
    else:
        around = _around_function
    return cast("F", functools.wraps(function)(around(function, open_scope)))


def _around_function(
    function: Callable[..., Any], open_scope: Callable[[], Scope]
) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with open_scope():
            return function(*args, **kwargs)

    return wrapped


def _around_coroutine(
    function: Callable[..., Any], open_scope: Callable[[], Scope]
) -> Callable[..., Any]:
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        async with open_scope():
            return await function(*args, **kwargs)

    return wrapped


class _Inside:
    """Makes a generator's own region current around each of its steps.

    A step is inside of whatever is current where it is asked for: enclosures that the consumer has
    opened meanwhile hold for it, and for handlers if it is the last one.

    Args:
        scope: of the generator.
    """

    def __init__(self, scope: Scope) -> None:
        consumer = here.get()
        self._scope = scope.enter()
        self._region = scope.region
        scope.free()
        here.set(consumer)

    def step(self, step: Callable[..., Any], *args: Any) -> Any:
        consumer = self._enter()
        try:
            return step(*args)
        finally:
            self._leave(consumer)

    async def astep(self, step: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        consumer = self._enter()
        try:
            return await step(*args)
        finally:
            self._leave(consumer)

    def closing(self, close: Callable[..., Any]) -> Callable[..., Any]:
        """Note that the generator is being closed, which leaves its blocks by ``GeneratorExit``."""
        self._scope.closing = True
        return close

    def end(self, error: BaseException | None = None) -> None:
        """Leave the scope."""
        consumer = self._enter(emits=False)
        try:
            self._scope.__exit__(None if error is None else type(error), error, None)
        finally:
            here.set(consumer)

    async def aend(self, error: BaseException | None = None) -> None:
        """Do what ``end`` does, where handlers are async."""
        consumer = self._enter(emits=False)
        try:
            await self._scope.__aexit__(None if error is None else type(error), error, None)
        finally:
            here.set(consumer)

    def _enter(self, *, emits: bool = True) -> Region:
        """Make the generator's region current, within the consumer's."""
        consumer, region, root = here.get(), self._region, self._scope.region
        if root not in outwards(consumer):  # else a task of its own asks for the next step
            root.outer = consumer
        if emits and not region.is_closed:
            for enclosure in reversed(unknown(root, consumer)):
                region = enclosed(region, enclosure)
        here.set(region)
        return consumer

    def _leave(self, consumer: Region) -> None:
        """Make the consumer's region current; those that stood in for the generator's are over."""
        now = here.get()
        for region in takewhile(lambda one: one is not self._scope.region, outwards(now)):
            if region.instead_of is None and region.outer is not None:
                end_step(region.outer)
                region.outer = own(region.outer)
        end_step(now)
        self._region = own(now)
        here.set(consumer)


def _around_generator(
    function: Callable[..., Generator[Any, Any, Any]], open_scope: Callable[[], Scope]
) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inside = _Inside(open_scope())
        generator = function(*args, **kwargs)
        try:
            value = inside.step(next, generator)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    inside.step(inside.closing(generator.close))
                    raise
                except BaseException as error:  # noqa: BLE001 - it is raised inside
                    value = inside.step(generator.throw, error)
                else:
                    value = inside.step(generator.send, sent)
        except StopIteration as stop:
            inside.end()
            return stop.value
        except BaseException as error:
            inside.end(error)
            raise

    return wrapped


def _around_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], open_scope: Callable[[], Scope]
) -> Callable[..., Any]:
    async def wrapped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inside = _Inside(open_scope())
        generator = function(*args, **kwargs)
        try:
            value = await inside.astep(generator.__anext__)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await inside.astep(inside.closing(generator.aclose))
                    raise
                except BaseException as error:  # noqa: BLE001 - it is raised inside
                    value = await inside.astep(generator.athrow, error)
                else:
                    value = await inside.astep(generator.asend, sent)
        except StopAsyncIteration:
            await inside.aend()
        except BaseException as error:
            await inside.aend(error)
            raise

    return wrapped
