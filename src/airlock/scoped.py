"""``@boundary.scoped()``: a scope around each call of a function, coroutine or generator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

from airlock.context import here
from airlock.effects.region import Region
from airlock.scope import Scope

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
    """Makes a generator's own region current around each of its steps."""

    def __init__(self) -> None:
        self._region: Region | None = None

    def step(self, step: Callable[..., Any], *args: Any) -> Any:
        outside = self._enter()
        try:
            return step(*args)
        finally:
            self._leave(outside)

    async def astep(self, step: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        outside = self._enter()
        try:
            return await step(*args)
        finally:
            self._leave(outside)

    def _enter(self) -> Region:
        outside = here.get()
        if self._region is not None:
            here.set(self._region)
        return outside

    def _leave(self, outside: Region) -> None:
        self._region = here.get()
        here.set(outside)


def _around_generator(
    function: Callable[..., Generator[Any, Any, Any]], open_scope: Callable[[], Scope]
) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inside, scope = _Inside(), open_scope()
        inside.step(scope.enter)
        scope.free()
        generator = function(*args, **kwargs)
        try:
            value = inside.step(next, generator)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    inside.step(generator.close)
                    raise
                except BaseException as error:  # noqa: BLE001 - it is raised inside
                    value = inside.step(generator.throw, error)
                else:
                    value = inside.step(generator.send, sent)
        except StopIteration as stop:
            inside.step(scope.__exit__, None, None, None)
            return stop.value
        except BaseException as error:
            inside.step(scope.__exit__, type(error), error, error.__traceback__)
            raise

    return wrapped


def _around_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], open_scope: Callable[[], Scope]
) -> Callable[..., Any]:
    async def wrapped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inside, scope = _Inside(), open_scope()
        inside.step(scope.enter)
        scope.free()
        generator = function(*args, **kwargs)
        try:
            value = await inside.astep(generator.__anext__)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await inside.astep(generator.aclose)
                    raise
                except BaseException as error:  # noqa: BLE001 - it is raised inside
                    value = await inside.astep(generator.athrow, error)
                else:
                    value = await inside.astep(generator.asend, sent)
        except StopAsyncIteration:
            await inside.astep(scope.__aexit__, None, None, None)
        except BaseException as error:
            await inside.astep(scope.__aexit__, type(error), error, error.__traceback__)
            raise

    return wrapped
