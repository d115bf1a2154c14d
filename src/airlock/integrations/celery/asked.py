"""What a call of a task asks for: the signature that says the same, read off its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from celery.canvas import Signature

from airlock import Json
from airlock.effects.place import Place
from airlock.integrations.celery.canvases import finished, leaves, names_in, plain
from airlock.integrations.celery.documents import freeze

__all__ = ["Asked", "Call", "of_canvas", "of_name", "of_task"]

ARGUMENTS = ("task_id", "producer", "link", "link_error", "shadow")
"""Of ``Task.apply_async``, after ``args`` and ``kwargs``, by position; None says nothing."""

UNSAID = frozenset({*ARGUMENTS, "connection", "publisher", "result_cls", "router"})


@attrs.frozen(eq=False)
class Asked:
    """What a call asks for; each part is made when it is needed.

    Attributes:
        names: of its tasks.
        ids: that it gives to them.
        signature: says what is called.
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
        asked: what for.
    """

    names: tuple[str, ...]
    place: Place
    send: Callable[[], Any]
    asked: Asked

    @property
    def what(self) -> str:
        """The names, for people."""
        return ", ".join(dict.fromkeys(self.names))

    def frozen(self) -> Json:
        """The signature as a document.

        Raises:
            SignatureError: it cannot be kept for later.
            EncodeError: Celery's serializer cannot say its arguments.
        """
        return freeze(self.asked.signature(), self.asked.given)


def of_task(app: Any, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """What ``task.apply_async(*args, **kwargs)`` asks for."""
    given = {**dict(zip(("args", "kwargs", *ARGUMENTS), args, strict=False)), **kwargs}

    def signature() -> Signature[Any]:
        said = {k: v for k, v in given.items() if v is not None or k not in UNSAID}
        positional, named = said.pop("args", None) or (), said.pop("kwargs", None) or {}
        return Signature(task.name, tuple(positional), dict(named), said, app=app)

    def names() -> tuple[str, ...]:
        within = task.name in ("celery.map", "celery.starmap")
        return tuple(names_in(plain(signature()))) if within else (task.name,)

    return Asked(names, _ids(given), signature, task=task)


def of_name(app: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """What ``app.send_task(name, *args, **kwargs)`` asks for."""
    order = ("args", "kwargs", "countdown", "eta", "task_id")
    given = {**dict(zip(order, args, strict=False)), **kwargs}

    def signature() -> Signature[Any]:
        said = {k: v for k, v in given.items() if v is not None}
        positional, named = said.pop("args", None) or (), said.pop("kwargs", None) or {}
        return Signature(name, tuple(positional), dict(named), said, app=app)

    return Asked(lambda: (name,), _ids(given), signature)


def of_canvas(canvas: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """What ``canvas.apply_async(*args, **kwargs)`` asks for."""
    given = {**dict(zip(("args", "kwargs"), args, strict=False)), **kwargs}
    named = {**(given.pop("kwargs", None) or {})}  # celery takes the body out of it
    whole = finished(canvas, named.pop("body", None))
    call = {"args": [*(given.pop("args", None) or ())], "kwargs": named}
    call["options"] = {name: value for name, value in given.items() if value is not None}
    members = [*leaves(plain(whole))]
    return Asked(
        lambda: tuple(one["task"] for one in members),
        lambda: tuple(str(one["options"].get("task_id")) for one in members),
        lambda: whole,
        call,
    )


def _ids(given: Mapping[str, Any]) -> Callable[[], tuple[str, ...]]:
    return lambda: (str(given.get("task_id")),)
