"""Async functions in the region of a recording, in whatever context they run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from types import MethodType
from typing import Any

from airlock.emissions.region import Region
from airlock.scopes.current import here, outwards

__all__ = ["resumed"]


def resumed(function: Any, region: Region) -> Any:
    """Return an async function that runs in a region, also in a context that never saw it open.

    Args:
        function: a coroutine or async generator function. A method stays one, of the same object.
        region: to be current while its own code runs, unless it is around what is current there.

    Returns:
        None if ``function`` is not async.
    """
    if inspect.iscoroutinefunction(function):
        around = _coroutine
    elif inspect.isasyncgenfunction(function):
        around = _generator
    else:
        return None
    if inspect.ismethod(function):
        return MethodType(around(function.__func__, region), function.__self__)
    return around(function, region)


def _in_force(region: Region) -> bool:
    return any(around is region for around in outwards(here.get()))


def _coroutine(function: Callable[..., Any], region: Region) -> Callable[..., Any]:
    @functools.wraps(function)
    async def running(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if _in_force(region):
            return await function(*args, **kwargs)
        before = here.get()
        here.set(region)
        try:
            return await function(*args, **kwargs)
        finally:
            here.set(before)

    return running


def _generator(function: Callable[..., Any], region: Region) -> Callable[..., Any]:
    @functools.wraps(function)
    async def running(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        before = here.get()
        if not _in_force(region):
            here.set(region)
        try:
            async with aclosing(function(*args, **kwargs)) as generator:
                async for value in generator:
                    yield value
        finally:
            here.set(before)

    return running
