"""``@effect``: a function as an effect. Its arguments are the intent, its dependencies are not."""

from __future__ import annotations

import functools
import inspect
import keyword
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar

import attrs

from airlock.effects.celery import celery_hint
from airlock.effects.intent import Around, Intent, build_intent, field
from airlock.effects.place import caller, shown
from airlock.effects.registry import describe
from airlock.errors import DeclarationError, DirectCallError, FieldError, NotAnIntentError

__all__ = ["EffectFunction", "effect", "intent_of", "needs"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class _Needs:
    """The default of a parameter that the container supplies."""

    def __repr__(self) -> str:
        return "airlock.needs()"


_NEEDS = _Needs()


def needs() -> Any:
    """Mark a parameter of an ``@effect`` function as a dependency.

    The container supplies it, ``Handles(notify_warehouse, http=http)``; it is no part of the intent.
    """
    return _NEEDS


class EffectFunction(Generic[P, R_co]):
    """A function that is an effect: it is emitted, not called. Made by ``@effect``.

    Attributes:
        intent_type: the intent class made from its parameters.
        needs: the names of its dependencies.
        function: what ``@effect`` decorated.
    """

    def __init__(
        self, function: Callable[P, R_co], intent_type: type[Any], dependencies: tuple[str, ...]
    ) -> None:
        functools.update_wrapper(self, function)
        self.__name__: str = function.__name__
        self.__qualname__: str = function.__qualname__
        self.function = function
        self.intent_type = intent_type
        self.needs = dependencies

    def intent(self, *args: P.args, **kwargs: P.kwargs) -> Intent:
        """Return the intent to call the function with these arguments.

        Raises:
            TypeError: the arguments do not fit its parameters.
        """
        bound: dict[str, Any] = {}
        with suppress(TypeError):  # the intent's own constructor says better what does not fit
            bound = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
        given = [name for name in self.needs if name in bound]
        if given:
            raise TypeError(
                f"{self.__name__}() takes {', '.join(given)} from the container: leave it out here."
            )
        made: Intent = self.intent_type(*args, **kwargs)
        return made

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function here and now, with its dependencies given.

        Raises:
            TypeError: a dependency is missing.
        """
        bound = inspect.signature(self.function).bind(*args, **kwargs).arguments
        missing = [name for name in self.needs if name not in bound]
        if missing:
            raise TypeError(f"{self.__name__}.run() needs {', '.join(missing)}: pass it by name.")
        return self.function(*args, **kwargs)

    def __call__(self, *_: P.args, **__: P.kwargs) -> NoReturn:
        raise DirectCallError(self.__name__)

    def __repr__(self) -> str:
        return f"<effect {self.__module__}.{self.__qualname__}>"

    def __reduce__(self) -> str:
        return self.__qualname__


def effect(function: Callable[P, R_co], /) -> EffectFunction[P, R_co]:
    """Make a function an effect.

    Its annotated parameters become the fields of an intent of kind ``module.function``; those with
    the default ``airlock.needs()`` are dependencies.

    Args:
        function: sync or async, with every parameter annotated and named.

    Returns:
        An ``EffectFunction``: emit it with ``airlock.enqueue(function, ...)``, register it with
        ``Handles(function, dependency=...)``, run it with ``function.run(...)``.

    Raises:
        FieldError: a parameter is mutable or has no annotation.
        DeclarationError: it is not a function, or takes ``*args`` or ``**kwargs``.

    Example:
        >>> @effect
        ... def notify_warehouse(
        ...     order_id: int, *, urgent: bool = False, http: object = needs()
        ... ) -> None: ...
        >>> notify_warehouse.intent(42)
        notify_warehouse(order_id=42, urgent=False)
    """
    if not isinstance(function, types.FunctionType):
        if (hint := celery_hint(function)) is not None:
            raise DeclarationError(
                f"@effect takes a function, and {describe(function)} is a Celery task. {hint}"
            )
        raise DeclarationError(
            f"@effect takes a function, not {describe(function)}. For data use @intent; a bound "
            "method or an object with __call__ is registered as the handler of an @intent."
        )
    place = caller()
    names = Around(sys._getframe(1), function.__globals__, _INSTEAD)
    dependencies = tuple(
        name for name, p in inspect.signature(function).parameters.items() if p.default is _NEEDS
    )
    namespace: dict[str, Any] = {
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": {},
    }
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in dependencies:
            _check_parameter(function, parameter, shown(place))
            namespace["__annotations__"][name] = parameter.annotation
            namespace[name] = _field(parameter)
    plain = type(function.__name__, (), namespace)
    intent_type: Any = build_intent(
        plain,
        kind=None,
        version=1,
        kw_only=False,
        place=place,
        names=names,
    )
    made = EffectFunction[P, R_co](function, intent_type, dependencies)
    fields = tuple(namespace["__annotations__"])
    # Found by pickle through the function, whose name the class shares.
    intent_type.__reduce__ = lambda self: (_rebuild, (made, *(getattr(self, f) for f in fields)))
    return made


_INSTEAD = (
    "If the container supplies it, mark it as a dependency with = airlock.needs(). To insist, declare "
    "an @intent with the field airlock.field(hash=False), and a handler of it."
)


def _rebuild(function: EffectFunction[..., Any], *values: Any) -> Any:
    names = [a.name for a in attrs.fields(function.intent_type)]
    return function.intent_type(**dict(zip(names, values, strict=True)))


def _check_parameter(function: Any, parameter: inspect.Parameter, place: str) -> None:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise DeclarationError(
            f"{function.__qualname__} (declared at {place}) takes *{name}: an intent has named "
            "fields. Name each parameter, or take one tuple."
        )
    if name in ("self", "cls"):
        hint = "Decorate a function, not a method: an intent carries data, not the object."
        raise FieldError(function.__qualname__, name, "is the object of a method", hint, place)
    if parameter.annotation is parameter.empty:
        hint = "Annotate it, or mark it as a dependency with = airlock.needs()."
        raise FieldError(function.__qualname__, name, "has no annotation", hint, place)
    if name.startswith("_") or keyword.iskeyword(name):
        raise FieldError(
            function.__qualname__,
            name,
            "is private",
            f"Rename it to {name.strip('_') or 'a name'!r}, for it is a field of the intent; or mark it "
            "as a dependency with = airlock.needs().",
            place,
        )


def _field(parameter: inspect.Parameter) -> Any:
    keyword_only = parameter.kind is parameter.KEYWORD_ONLY
    if parameter.default is parameter.empty:
        return field(kw_only=keyword_only)
    return field(default=parameter.default, kw_only=keyword_only)


def intent_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Intent:
    """Return the intent that ``enqueue`` emits.

    Raises:
        NotAnIntentError: ``function`` is not an effect function.
    """
    if isinstance(function, EffectFunction):
        made: Intent = function.intent(*args, **kwargs)
        return made
    if (hint := celery_hint(function)) is not None:
        raise NotAnIntentError(
            describe(function), "it belongs to Celery, and is not an effect", hint
        )
    raise NotAnIntentError(
        describe(function),
        "enqueue takes a function decorated with @airlock.effect",
        "Decorate it, so that its arguments can be bound, compared and stored. "
        "A value of an @intent class is emitted with airlock.emit(...).",
    )
