"""Calls of tasks as they were made, and the signatures that they amount to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature as signature_of
from types import MappingProxyType
from typing import Any

import attrs
from celery import Celery
from celery.canvas import Signature, _chord  # type: ignore[attr-defined]  # the class behind the name

from airlock import Json
from airlock.effects.place import Place
from airlock.integrations.celery.signatures import (
    BY_NAME,
    freeze,
    leaves,
    names_in,
    plain,
)

__all__ = ["Call", "Invocation", "of_canvas", "of_name", "of_task"]


@cache
def positions(method: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the arguments that a method takes by position, without ``self``."""
    parameters = signature_of(method).parameters.values()
    return tuple(one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD)[1:]


OF_TASK = ("args", "kwargs", "task_id", "producer", "link", "link_error", "shadow")
"""Arguments of ``Task.apply_async``, by position."""

OF_NAME = positions(Celery.send_task)[1:]

NONE_IS_ABSENT = frozenset(
    {"connection", "link", "link_error", "producer", "publisher", "result_cls", "router", "shadow"}
    | {"task_id"}
)
"""Options for which None is the same as leaving them out."""

NONE_OVERRIDES = frozenset({"expires", "soft_time_limit", "time_limit"})
"""Options of ``send_task`` for which None overrides those of the task."""


@attrs.frozen(eq=False)
class Invocation:
    """The names, ids and signature of a call, each computed when it is needed.

    Attributes:
        names: of its tasks.
        ids: that it gives to them.
        signature: of the tasks that are called.
        given: what ``apply_async`` of a canvas was given beside it.
        task: that is called, if it is a single one.
    """

    names: Callable[[], tuple[str, ...]]
    ids: Callable[[], tuple[str, ...]]
    signature: Callable[[], Signature[Any]]
    given: Mapping[str, Any] = MappingProxyType({})
    task: Any = None


@attrs.frozen(eq=False)
class Call:
    """One call of a task or a canvas.

    Attributes:
        names: of its tasks.
        place: where it was made.
        send: makes the call.
        invocation: its content.
    """

    names: tuple[str, ...]
    place: Place
    send: Callable[[], Any]
    invocation: Invocation

    @property
    def what(self) -> str:
        """The names, for people."""
        return ", ".join(dict.fromkeys(self.names))

    def frozen(self) -> Json:
        """Return the signature as a document.

        Raises:
            SignatureError: it cannot be kept for later.
            EncodeError: Celery's serializer cannot encode its arguments.
        """
        return freeze(self.invocation.signature(), self.invocation.given)


def of_task(app: Any, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Invocation:
    """Return the content of ``task.apply_async(*args, **kwargs)``."""
    given = named(OF_TASK, args, kwargs)

    def signature() -> Signature[Any]:
        options = {k: v for k, v in given.items() if v is not None or k not in NONE_IS_ABSENT}
        return Signature(task.name, *arguments(options), options, app=app)

    def names() -> tuple[str, ...]:
        within = task.name in ("celery.map", "celery.starmap")
        return tuple(names_in(plain(signature()))) if within else (task.name,)

    return Invocation(names, _ids(given), signature, task=task)


def of_name(app: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Invocation:
    """Return the content of ``app.send_task(name, *args, **kwargs)``.

    A task of that name has another way to be called, with checks and defaults of its own.
    """
    given = named(OF_NAME, args, kwargs)

    def signature() -> Signature[Any]:
        known = name in app.tasks
        kept = NONE_OVERRIDES if known else frozenset[str]()
        options = {k: v for k, v in given.items() if v is not None or k in kept}
        made = Signature(name, *arguments(options), options, app=app)
        if known:
            made[BY_NAME] = True
        return made

    return Invocation(lambda: (name,), _ids(given), signature)


def of_canvas(
    canvas: Any, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Invocation:
    """Return the content of ``method(canvas, *args, **kwargs)``, its ``apply_async``."""
    given = named(positions(method) or ("args", "kwargs"), args, kwargs)
    data = {**(given.pop("kwargs", None) or {})}  # celery takes the body out of it
    whole = finished(canvas, data.pop("body", None))
    call = {"args": [*(given.pop("args", None) or ())], "kwargs": data}
    call["options"] = {name: value for name, value in given.items() if value is not None}
    members = [*leaves(plain(whole))]
    return Invocation(
        lambda: tuple(one["task"] for one in members),
        lambda: tuple(str(one.get("options", {}).get("task_id")) for one in members),
        lambda: whole,
        call,
    )


def named(
    order: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name."""
    return {**dict(zip(order, args, strict=False)), **kwargs}


def arguments(options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Remove the arguments of the task from those of ``apply_async``, and return them.

    Raises:
        TypeError: as Celery does when it sends them.
    """
    args, kwargs = options.pop("args", None) or (), options.pop("kwargs", None) or {}
    if not isinstance(args, list | tuple):
        raise TypeError("task args must be a list or tuple")
    if not isinstance(kwargs, Mapping):
        raise TypeError("task keyword arguments must be a mapping")
    return tuple(args), dict(kwargs)


def _ids(given: Mapping[str, Any]) -> Callable[[], tuple[str, ...]]:
    return lambda: (str(given.get("task_id")),)


def finished(canvas: Any, body: Signature[Any] | None) -> Any:
    """Return a canvas with the body that a call of it brings along; itself if that brings none."""
    if not body or not isinstance(canvas, _chord):
        return canvas
    return type(canvas)(
        canvas.tasks,
        body,
        args=canvas.args,
        kwargs={"kwargs": canvas.kwargs.get("kwargs", {})},
        app=canvas._app,  # noqa: SLF001 - the property would look for one
        options=canvas.options,
        immutable=canvas.immutable,
    )
