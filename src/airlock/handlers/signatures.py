"""Signatures of handlers, dependencies and intents, checked when they are declared."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Mapping
from typing import Any

from airlock.effects.function import EffectFunction
from airlock.effects.registry import describe
from airlock.errors import HandlerSignatureError

__all__ = ["check_effect", "check_handler", "is_async"]


def check_effect(effect: EffectFunction[..., Any], dependencies: Mapping[str, Any]) -> None:
    """Refuse dependencies that an effect function does not have, or lacks.

    Raises:
        HandlerSignatureError: saying which.
    """
    for name in dependencies:
        if name not in effect.needs:
            known = ", ".join(effect.needs) or "none"
            raise HandlerSignatureError(
                effect.__name__,
                "its intent",
                f"{name!r} is not a dependency of it",
                f"Its dependencies, marked with airlock.needs(), are: {known}.",
            )
    missing = [name for name in effect.needs if name not in dependencies]
    if missing:
        raise HandlerSignatureError(
            effect.__name__,
            "its intent",
            f"it needs {', '.join(missing)}",
            f"Write Handles({effect.__name__}, {missing[0]}=...).",
        )


def check_handler(handler: Any, accepts: Any, dependencies: Mapping[str, Any]) -> None:
    """Refuse a handler that cannot be called with its intent and dependencies.

    Args:
        handler: a function, a class, or an object that is called.
        accepts: the intent class, or ``list[intent class]`` for a batch.
        dependencies: by parameter name.

    Raises:
        HandlerSignatureError: saying why.
    """
    name = getattr(accepts, "__qualname__", str(accepts))
    if typing.get_origin(accepts) is list:
        name = f"batches of {typing.get_args(accepts)[0].__qualname__}"
    shows = describe(handler)
    given = "intent" if typing.get_origin(accepts) is not list else "[intent, ...]"
    if not callable(handler):
        raise HandlerSignatureError(shows, name, "it is not callable", "Give a function or class.")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # a builtin without a signature
        return
    call = handler
    if inspect.isclass(handler):
        _bind(signature, (), dependencies, shows, name, called=handler.__name__)
        call = handler.__call__
        if call is type.__call__ or not inspect.isfunction(call):
            raise HandlerSignatureError(
                shows, name, "its instances cannot be called", "Define __call__(self, intent)."
            )
        call = functools.partial(call, None)
        on = f"{handler.__name__}.__call__"
        _bind(inspect.signature(call), (given,), {}, shows, name, called=on)
    else:
        on = getattr(handler, "__name__", type(handler).__name__)
        _bind(signature, (given,), dependencies, shows, name, called=on)
    _check_annotation(call, accepts, shows, name)


def _bind(
    signature: inspect.Signature,
    args: tuple[str, ...],
    dependencies: Mapping[str, Any],
    handler: str,
    intent: str,
    *,
    called: str,
) -> None:
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = [name for name in dependencies if name not in signature.parameters and not takes_any]
    if unknown:
        from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

        near = get_close_matches(unknown[0], signature.parameters, 1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise HandlerSignatureError(
            handler,
            intent,
            f"it has no parameter {unknown[0]!r}",
            f"{meant}It takes {_shown(signature)}.",
        )
    try:
        signature.bind(*args, **dependencies)
    except TypeError:
        call = ", ".join((*args, *(f"{name}=..." for name in dependencies)))
        problem = f"airlock calls {called}({call}), and it takes {_shown(signature)}"
        remedy = _remedy(signature, args, dependencies)
        raise HandlerSignatureError(handler, intent, problem, remedy) from None


def _shown(signature: inspect.Signature) -> str:
    """Format a signature without its types, which are no part of the question."""
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _remedy(
    signature: inspect.Signature, args: tuple[str, ...], dependencies: Mapping[str, Any]
) -> str:
    """Return what to do about a handler that does not take what it is called with."""
    try:
        taken = signature.bind_partial(*args, **dependencies).arguments
    except TypeError:
        what = "a list of intents" if args[0].startswith("[") else "the intent"
        return f"Declare it with a first parameter for {what}."
    lacking = [
        p.name
        for p in signature.parameters.values()
        if p.name not in taken
        and p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return (
        f"Give {' and '.join(lacking)} by name where the handler is bound, in a container: "
        f"Handles(..., {lacking[0]}=...). Or declare a default."
    )


def _check_annotation(call: Any, accepts: Any, handler: str, intent: str) -> None:
    """Refuse a handler whose first parameter is annotated with types that exclude the intent."""
    function = call.func if isinstance(call, functools.partial) else inspect.unwrap(call)
    try:
        parameters = list(inspect.signature(call).parameters.values())
        hint = typing.get_type_hints(function).get(parameters[0].name)
    except (NameError, TypeError, AttributeError, IndexError, ValueError):
        return  # nothing is known about it
    batch = typing.get_origin(accepts) is list
    wanted = typing.get_args(accepts)[0] if batch else accepts
    if batch:
        arguments = typing.get_args(hint)
        hint = arguments[0] if arguments else None
    options = typing.get_args(hint) if typing.get_origin(hint) is not None else (hint,)
    classes = [typing.get_origin(option) or option for option in options]
    if not classes or not all(
        isinstance(c, type) and vars(c).get("__intent__") is not None for c in classes
    ):
        return
    if not any(issubclass(wanted, c) for c in classes if c is not None):
        raise HandlerSignatureError(
            handler,
            intent,
            f"its argument is annotated with {hint!r}",
            "Register it for that type, or change the annotation.",
        )


def is_async(handler: Any) -> bool:
    """Return True if its definition shows that calling it gives something to await."""
    if inspect.isclass(handler):
        handler = getattr(handler, "__call__", None)  # noqa: B004 - of its instances
    while True:
        call = getattr(type(handler), "__call__", None)  # noqa: B004 - the method itself
        if inspect.isfunction(call) and inspect.iscoroutinefunction(call):
            return True
        if isinstance(handler, functools.partial):
            handler = handler.func
        elif hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        elif hasattr(handler, "__func__"):
            handler = handler.__func__
        else:
            code = getattr(handler, "__code__", None)
            return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)
