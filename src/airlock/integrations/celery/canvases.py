"""What is in a canvas: a chain, group or chord, as Celery has it or as a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celery.canvas import Signature, _chord  # type: ignore[attr-defined]  # the class behind the name

__all__ = ["finished", "leaves", "names_in", "parts_of", "plain", "unfinished"]


def plain(value: Any) -> Any:
    """A value with signatures in it as dicts, and what is made on demand as lists."""
    if isinstance(value, Signature):
        said = {key: plain(item) for key, item in value.items()}
        return {**said, "args": [*said.get("args", ())], "kwargs": _listed(said.get("kwargs", {}))}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value).__name__ == "_regen":  # a generator that celery has wrapped
        return [plain(item) for item in value]
    return value


def _listed(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a signature; the members of a canvas may be in a tuple."""
    members = {k: [*kwargs[k]] for k in ("tasks", "header") if type(kwargs.get(k)) is tuple}
    return {**kwargs, **members}


def names_in(document: Mapping[str, Any]) -> Iterator[str]:
    """The names of the tasks that a signature sends, callbacks left out."""
    for one in leaves(document):
        yield one["task"]


def leaves(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The signatures of single tasks in one."""
    parts = parts_of(document)
    if parts is None:
        yield document
    for part in parts or ():
        yield from leaves(part)


def parts_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The members of a canvas; None for what is sent as one task."""
    kwargs = document.get("kwargs", {})
    match document.get("task"):
        case "celery.chain" | "celery.group":
            return list(kwargs["tasks"])
        case "celery.chord":
            header, body = kwargs["header"], kwargs.get("body")
            members: list[Any] = [header] if isinstance(header, dict) else [*header]
            return members if body is None else [*members, body]
        case "celery.map" | "celery.starmap":
            return [kwargs["task"]]
        case _:
            return None


def unfinished(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The chords in a signature that have no body."""
    if document.get("task") == "celery.chord" and document["kwargs"].get("body") is None:
        yield document
    for part in parts_of(document) or ():
        yield from unfinished(part)


def finished(canvas: Any, body: Signature[Any] | None) -> Any:
    """A canvas with the body that a call of it brings along; the same one if it brings none."""
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
