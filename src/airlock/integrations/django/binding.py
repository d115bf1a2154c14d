"""Detection of middleware that binds what handlers may read: a tenant, a language, a user, an id.

Such a middleware unbinds it when it has its response, so that handlers must run before. There is no
list of all of them: their code is looked at, and that of the functions that they call.
"""

from __future__ import annotations

import dis
import inspect
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from types import CodeType, FunctionType, ModuleType
from typing import Any

from asgiref.local import Local
from django.utils.module_loading import import_string

__all__ = ["binds"]

BINDERS = frozenset(
    {
        *("activate", "override"),  # Django's languages and time zones
        *("set_tenant", "set_schema"),  # django-tenants
        *("bind_contextvars", "bound_contextvars"),  # structlog
    }
)
"""Functions and methods that bind something, by the names under which they are called."""


def binds(path: str) -> bool:
    """Return True if the middleware of a path binds something, as far as its code shows it."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - Django raises it, where it loads it
        return False
    own = list(functions(found))
    called = [other for one in own for other in referred(one) if isinstance(other, FunctionType)]
    return any(map(binds_itself, (*own, *map(inspect.unwrap, called))))


def functions(middleware: Any) -> Iterator[FunctionType]:
    """Yield the functions of a middleware, which is a class or a function."""
    if not isinstance(middleware, type):
        middleware = inspect.unwrap(middleware)
        yield from (middleware,) if isinstance(middleware, FunctionType) else ()
        return
    for cls in middleware.__mro__:
        for value in vars(cls).values():
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType):
                yield function


def binds_itself(function: Any) -> bool:
    """Return True if the code of a function binds something."""
    if not isinstance(function, FunctionType):
        return False
    names = {name for code in codes(function.__code__) for name in code.co_names}
    if names & BINDERS:
        return True
    kept = [*referred(function)]
    stores = any(
        one.opname == "STORE_ATTR"
        for c in codes(function.__code__)
        for one in dis.get_instructions(c)
    )
    return ("set" in names and any(isinstance(one, ContextVar) for one in kept)) or (
        stores and any(isinstance(one, Local | threading.local) for one in kept)
    )


def referred(function: FunctionType) -> Iterator[Any]:
    """Yield what a function refers to: globals, and attributes of modules and classes there."""
    for code in codes(function.__code__):
        found = [
            function.__globals__[name] for name in code.co_names if name in function.__globals__
        ]
        yield from found
        for holder in found:
            if isinstance(holder, ModuleType | type):
                yield from (vars(holder)[name] for name in code.co_names if name in vars(holder))


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object, and those of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)
