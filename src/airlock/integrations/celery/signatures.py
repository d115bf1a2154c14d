"""Celery signatures as JSON documents, and back.

Celery's own serializer writes them, so that they are frozen, compared by content, and can be
stored. The ids of the tasks are no part of them: they are made of one id and of the place of each
task in the signature, the same whenever it is thawed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from uuid import UUID, uuid5

from celery import Celery, group
from celery.canvas import Signature, chunks, maybe_signature
from kombu import serialization
from kombu.exceptions import EncodeError
from kombu.utils import json as kombu_json

from airlock import Json
from airlock.errors import DeclarationError, SignatureError

__all__ = [
    "BY_NAME",
    "freeze",
    "given_id",
    "leaves",
    "names_in",
    "parts_of",
    "plain",
    "thaw",
    "unfinished",
]


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


AnySignature = Signature[Any]

TRANSPORT = ("connection", "producer", "publisher", "router", "result_cls")
"""Arguments of ``apply_async`` that are objects of this process, and no data."""

BY_NAME = "by_name"
"""Says of a signature that ``send_task`` sends it, although there is a task of that name."""


UNKNOWN = "unknown"
"""Says of a signature which of its tasks are not registered where it was made: Celery sends those
with the app's defaults, and nobody can say what else they want."""


def freeze(signature: AnySignature, call: Mapping[str, Any] | None = None) -> Json:
    """A signature as a document.

    Args:
        signature: of a task or a canvas; it is not changed.
        call: what ``apply_async`` was given beside it: ``args``, ``kwargs``, ``options``.

    Raises:
        SignatureError: it is no signature, or cannot be kept.
        EncodeError: Celery's serializer cannot say its arguments.
    """
    if not isinstance(signature, Signature):
        raise SignatureError(
            f"CallTask({signature!r})",
            "takes a signature",
            "Give it one: CallTask(send_receipt.s(42)), CallTask(chain(...)).",
        )
    if isinstance(signature, chunks):
        signature = signature.group()
    said = plain(signature)
    given = {name: plain(value) for name, value in (call or {}).items() if value}
    check_transport(str(signature.task), said["options"], given.get("options", {}))
    check_bodies(said)
    dump_models(signature.app, said, given.get("options", {}).get("serializer"))
    unknown = unregistered(signature.app, names_in(said))
    said = {name: value for name, value in said.items() if value not in ((), [], {}, None, False)}
    if unknown:
        said[UNKNOWN] = unknown
    if "subtask_type" not in said:
        said.pop("immutable", None)  # says nothing of what is sent now
    return encoded({**said, "call": given} if given else said, signature)


def unregistered(app: Any, names: Iterable[str]) -> list[str]:
    """Return those of some names that no task of an app has in this process."""
    return [name for name in dict.fromkeys(names) if name not in app.tasks]


def check_registered(app: Any, said: Mapping[str, Any]) -> None:
    """Refuse a call of a task that is known where it was made, and is not here.

    Celery would send it with the app's defaults: to another queue, with another priority.

    Raises:
        SignatureError: naming the tasks.
    """
    if said.get(BY_NAME):
        return
    missing = [n for n in unregistered(app, names_in(said)) if n not in said.get(UNKNOWN, ())]
    if not missing:
        return
    app.loader.import_default_modules()  # as a worker does when it starts
    missing = unregistered(app, missing)
    if missing:
        raise SignatureError(
            f"the call of {', '.join(missing)}",
            f"is not sent: the Celery app {app.main!r} has no task of that name in this process, so "
            "that its queue and other options are not known",
            "Import the module that declares it where the app is made (Celery(include=[...]), or "
            "app.autodiscover_tasks()), and send it again: apply the plan again, or call "
            "report.resume().",
        )


def check_transport(task: str, *options: Mapping[str, Any]) -> None:
    """Refuse options that only this process can understand, now.

    Raises:
        SignatureError: naming them.
    """
    given = {name: value for one in options for name, value in one.items()}
    found = [name for name in TRANSPORT if given.get(name) is not None]
    objects = [n for n in ("queue", "exchange") if not isinstance(given.get(n), str | None)]
    if found or objects:
        raise unkept(task, *found, *objects)


def unkept(task: str, *options: str) -> SignatureError:
    """The error of options that only this process can understand."""
    return SignatureError(
        f"the call of {task}",
        f"has {', '.join(f'{name}=' for name in options)}, which cannot be kept for later",
        "Give queues and exchanges by name, and leave connections and classes of errors to Celery's "
        "settings; or leave this task out of install(tasks=...).",
    )


def check_bodies(said: Mapping[str, Any]) -> None:
    """Refuse a chord that nobody has given a body, here and not when it is sent.

    Raises:
        SignatureError: naming the tasks of its header.
    """
    for chord in unfinished(said):
        raise SignatureError(
            f"a chord of {', '.join(names_in(chord)) or 'no tasks'}",
            "has no body, and Celery sends none without",
            "Give it one: chord(header, body), or chord(header)(body).",
        )


def dump_models(app: Any, said: Mapping[str, Any], serializer: str | None) -> None:
    """Dump models in the arguments of the tasks of pydantic, as Celery does before it sends one.

    Args:
        app: whose tasks.
        said: what a signature says, which is changed.
        serializer: that a call of it gives.
    """
    for one in leaves(said):
        task = app.tasks.get(one["task"])
        dump = getattr(task, "_dump_pydantic_arguments", None)
        own = one.get("options", {}).get("serializer") or getattr(task, "serializer", None)
        if dump is not None and (serializer or own) != "pickle":
            args, kwargs = dump(tuple(one.get("args", ())), one.get("kwargs", {}))
            cast("dict[str, Any]", one).update(args=[*args], kwargs={**kwargs})


def encoded(said: dict[str, Any], signature: AnySignature) -> Json:
    """A document of what is said: JSON if that says all of it, or else packed."""
    serializer = serializer_of(signature)
    if serializer != "json":
        text = exact_json(said)
        return Json(packed(said, serializer)) if text is None else Json(json.loads(text))
    try:
        _, _, payload = serialization.dumps(said, serializer="json")
    except EncodeError:
        options = {**said.get("options", {}), **said.get("call", {}).get("options", {})}
        wrong = [name for name, value in options.items() if not encodable(value)]
        if wrong:  # celery may send it, as it is no part of the message
            raise unkept(said["task"], *wrong) from None
        raise
    document = json.loads(payload)
    try:
        return Json(document)
    except DeclarationError:  # NaN, which celery lets pass
        return Json(packed(said, serializer))


def encodable(value: Any) -> bool:
    """Whether Celery's JSON can say a value."""
    try:
        serialization.dumps(value, serializer="json")
    except EncodeError:
        return False
    return True


def exact_json(said: Any) -> str | None:
    """As Celery's JSON, if reading that gives the very same again; None otherwise."""
    try:
        text: str = kombu_json.dumps(said)
        Json(json.loads(text))
        read = kombu_json.loads(text)
    except (TypeError, ValueError, RecursionError, DeclarationError):
        return None
    return text if same(said, read) else None


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, with the same types all through."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(item, b[key]) for key, item in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def packed(said: dict[str, Any], serializer: str) -> dict[str, Any]:
    """What only another serializer can say, with what policies need to know of it."""
    content_type, encoding, payload = serialization.dumps(said, serializer=serializer)
    data: Any = payload
    if isinstance(data, str):
        data = data.encode(encoding)
    return {
        "task": said["task"],
        "tasks": [*names_in(said)],
        "content_type": content_type,
        "content_encoding": encoding,
        "packed": base64.b64encode(data).decode(),
    }


def serializer_of(signature: AnySignature) -> str:
    """The serializer that Celery will use; for a canvas, the first that is not JSON."""
    app: Any = signature.app
    for one in leaves(plain(signature)):
        task = app.tasks.get(one["task"])
        mine = one["options"].get("serializer") or getattr(task, "serializer", None)
        if mine not in (None, "json"):
            return str(mine)
    return str(app.conf.task_serializer)


# -- and back -------------------------------------------------------------------------------------


def thaw(app: Celery, document: Json, task_id: str) -> tuple[AnySignature, dict[str, Any]]:
    """A signature of its own, and what to give its ``apply_async``.

    Args:
        app: that it is to be sent by.
        document: of ``freeze``.
        task_id: as for ``CallTask``.

    Raises:
        ContentDisallowed: its arguments are in a form that the app does not accept.
        SignatureError: a task of it is not registered here, and was where it was made.
    """
    said = unpacked(app, document)
    check_registered(app, said)
    said.pop(UNKNOWN, None)
    by_name = said.pop(BY_NAME, False)
    call: dict[str, Any] = {"args": (), "kwargs": {}, "options": {}, **said.pop("call", {})}
    call[BY_NAME] = by_name
    base: dict[str, Any] = {
        "args": [],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    signature: Any = Signature.from_dict({**base, **said}, app=app)
    signature.args = tuple(said.get("args", ()))  # canvases forget theirs
    identify(app, signature, task_id, uuid5(_IDS, task_id))
    return signature, call


def unpacked(app: Celery, document: Json) -> dict[str, Any]:
    """What a document says, as Celery reads it."""
    packed = document.value
    if "packed" not in packed:
        said: dict[str, Any] = kombu_json.loads(document.text)
        return said
    said = serialization.loads(
        base64.b64decode(packed["packed"]),
        packed["content_type"],
        packed["content_encoding"],
        accept=serialization.prepare_accept_content(app.conf.accept_content),
    )
    return dict(said)


_IDS = UUID("4f6a3c9e-93b4-4a0e-8f0f-2f4d7c0c9a5d")
"""Makes the ids of the members of a canvas."""


def given_id(document: Json) -> str | None:
    """The id that whoever made a signature gave it; None if they left that to Celery."""
    said = document.value
    options = {} if said["task"] == "celery.chord" else said.get("options", {})
    found = said.get("call", {}).get("options", {}).get("task_id") or options.get("task_id")
    return None if found is None else str(found)


def identify(app: Celery, signature: Any, task_id: str, root: UUID, path: str = "") -> None:
    """Give every task in a signature an id, made of its place, unless it has one.

    ``task_id`` is for what its result stands for: the last of a chain, the body of a chord.
    """

    def made(place: object) -> str:
        return str(uuid5(root, f"{path}.{place}"))

    signature._app = app  # noqa: SLF001 - members of canvases may have lost it
    match signature["task"]:
        case "celery.chain":
            tasks = [maybe_signature(task, app=app) for task in signature.tasks]
            signature.tasks = tasks
            for at, task in enumerate(tasks):
                last = at == len(tasks) - 1
                identify(app, task, task_id if last else made(at), root, f"{path}.{at}")
        case "celery.group":
            signature.options.setdefault("task_id", task_id)
            tasks = [maybe_signature(task, app=app) for task in signature.tasks]
            signature.tasks = tasks
            for at, task in enumerate(tasks):
                identify(app, task, made(at), root, f"{path}.{at}")
        case "celery.chord":
            if not isinstance(signature.tasks, group):
                signature.tasks = group(signature.tasks, app=app)
            identify(app, signature.tasks, made("header"), root, f"{path}.header")
            identify(app, signature.body, task_id, root, f"{path}.body")
        case _:
            signature.options.setdefault("task_id", task_id)
