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
    """Return a value with its signatures as dicts and its generators as lists."""
    if isinstance(value, Signature):
        content = {key: plain(item) for key, item in value.items()}
        return {
            **content,
            "args": [*content.get("args", ())],
            "kwargs": _listed(content.get("kwargs", {})),
        }
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value).__name__ == "_regen":  # a generator that celery has wrapped
        return [plain(item) for item in value]
    return value


def _listed(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a signature, with the members of a canvas in lists."""
    members = {k: [*kwargs[k]] for k in ("tasks", "header") if type(kwargs.get(k)) is tuple}
    return {**kwargs, **members}


def names_in(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the tasks that a signature sends, callbacks left out."""
    for one in leaves(document):
        yield one["task"]


def leaves(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the signatures of single tasks in a signature."""
    parts = parts_of(document)
    if parts is None:
        yield document
    for part in parts or ():
        yield from leaves(part)


def parts_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Return the members of a canvas; None for a signature that is sent as one task."""
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
    """Yield the chords in a signature that have no body."""
    if document.get("task") == "celery.chord" and document["kwargs"].get("body") is None:
        yield document
    for part in parts_of(document) or ():
        yield from unfinished(part)


AnySignature = Signature[Any]

TRANSPORT = ("connection", "producer", "publisher", "router", "result_cls")
"""Arguments of ``apply_async`` that are objects of this process, and no data."""

BY_NAME = "by_name"
"""Key of a signature that ``send_task`` sends, although there is a task of that name."""


UNKNOWN = "unknown"
"""Key of the tasks of a signature that are not registered where it was made: Celery sends those with
the app's defaults, and their own options are not known."""


def freeze(signature: AnySignature, call: Mapping[str, Any] | None = None) -> Json:
    """Return a signature as a document.

    Args:
        signature: of a task or a canvas; it is not changed.
        call: what ``apply_async`` was given beside it: ``args``, ``kwargs``, ``options``.

    Raises:
        SignatureError: it is no signature, or cannot be kept.
        EncodeError: Celery's serializer cannot encode its arguments.
    """
    if not isinstance(signature, Signature):
        raise SignatureError(
            f"CallTask({signature!r})",
            "takes a signature",
            "Give it one: CallTask(send_receipt.s(42)), CallTask(chain(...)).",
        )
    if isinstance(signature, chunks):
        signature = signature.group()
    content = plain(signature)
    given = {name: plain(value) for name, value in (call or {}).items() if value}
    check_transport(str(signature.task), content["options"], given.get("options", {}))
    check_bodies(content)
    dump_models(signature.app, content, given.get("options", {}).get("serializer"))
    unknown = unregistered(signature.app, names_in(content))
    content = {
        name: value for name, value in content.items() if value not in ((), [], {}, None, False)
    }
    if unknown:
        content[UNKNOWN] = unknown
    if "subtask_type" not in content:
        content.pop("immutable", None)  # changes nothing of what is sent now
    return encoded({**content, "call": given} if given else content, signature)


def unregistered(app: Any, names: Iterable[str]) -> list[str]:
    """Return those of some names that no task of an app has in this process."""
    return [name for name in dict.fromkeys(names) if name not in app.tasks]


def check_registered(app: Any, content: Mapping[str, Any]) -> None:
    """Refuse a call of a task that is known where it was made, and is not here.

    Celery would send it with the app's defaults: to another queue, with another priority.

    Raises:
        SignatureError: naming the tasks.
    """
    if content.get(BY_NAME):
        return
    missing = [n for n in unregistered(app, names_in(content)) if n not in content.get(UNKNOWN, ())]
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
    """Return the error of options that only this process can understand."""
    return SignatureError(
        f"the call of {task}",
        f"has {', '.join(f'{name}=' for name in options)}, which cannot be kept for later",
        "Give queues and exchanges by name, and leave connections and classes of errors to Celery's "
        "settings; or leave this task out of install(tasks=...).",
    )


def check_bodies(content: Mapping[str, Any]) -> None:
    """Refuse a chord that nobody has given a body, here and not when it is sent.

    Raises:
        SignatureError: naming the tasks of its header.
    """
    for chord in unfinished(content):
        raise SignatureError(
            f"a chord of {', '.join(names_in(chord)) or 'no tasks'}",
            "has no body, and Celery sends none without",
            "Give it one: chord(header, body), or chord(header)(body).",
        )


def dump_models(app: Any, content: Mapping[str, Any], serializer: str | None) -> None:
    """Dump models in the arguments of the tasks of pydantic, as Celery does before it sends one.

    Args:
        app: whose tasks.
        content: of a signature, changed in place.
        serializer: that a call of it gives.
    """
    for one in leaves(content):
        task = app.tasks.get(one["task"])
        dump = getattr(task, "_dump_pydantic_arguments", None)
        own = one.get("options", {}).get("serializer") or getattr(task, "serializer", None)
        if dump is not None and (serializer or own) != "pickle":
            args, kwargs = dump(tuple(one.get("args", ())), one.get("kwargs", {}))
            cast("dict[str, Any]", one).update(args=[*args], kwargs={**kwargs})


def encoded(content: dict[str, Any], signature: AnySignature) -> Json:
    """Return a document of a content: plain JSON if that is exact, packed otherwise."""
    serializer = serializer_of(signature)
    if serializer != "json":
        text = exact_json(content)
        return Json(packed(content, serializer)) if text is None else Json(json.loads(text))
    try:
        _, _, payload = serialization.dumps(content, serializer="json")
    except EncodeError:
        options = {**content.get("options", {}), **content.get("call", {}).get("options", {})}
        wrong = [name for name, value in options.items() if not encodable(value)]
        if wrong:  # celery may send it, as it is no part of the message
            raise unkept(content["task"], *wrong) from None
        raise
    document = json.loads(payload)
    try:
        return Json(document)
    except DeclarationError:  # NaN, which celery lets pass
        return Json(packed(content, serializer))


def encodable(value: Any) -> bool:
    """Return True if Celery's JSON can encode a value."""
    try:
        serialization.dumps(value, serializer="json")
    except EncodeError:
        return False
    return True


def exact_json(content: Any) -> str | None:
    """Return a content as Celery's JSON, if decoding gives the very same again; None otherwise."""
    try:
        text: str = kombu_json.dumps(content)
        Json(json.loads(text))
        read = kombu_json.loads(text)
    except (TypeError, ValueError, RecursionError, DeclarationError):
        return None
    return text if same(content, read) else None


def same(a: Any, b: Any) -> bool:
    """Return True if two values are equal, with the same types all through."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(item, b[key]) for key, item in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def packed(content: dict[str, Any], serializer: str) -> dict[str, Any]:
    """Return a content in the form of another serializer, with the names that policies need."""
    content_type, encoding, payload = serialization.dumps(content, serializer=serializer)
    data: Any = payload
    if isinstance(data, str):
        data = data.encode(encoding)
    return {
        "task": content["task"],
        "tasks": [*names_in(content)],
        "content_type": content_type,
        "content_encoding": encoding,
        "packed": base64.b64encode(data).decode(),
    }


def serializer_of(signature: AnySignature) -> str:
    """Return the serializer that Celery will use; for a canvas, the first that is not JSON."""
    app: Any = signature.app
    for one in leaves(plain(signature)):
        task = app.tasks.get(one["task"])
        mine = one["options"].get("serializer") or getattr(task, "serializer", None)
        if mine not in (None, "json"):
            return str(mine)
    return str(app.conf.task_serializer)


# -- and back -------------------------------------------------------------------------------------


def thaw(app: Celery, document: Json, task_id: str) -> tuple[AnySignature, dict[str, Any]]:
    """Return a new signature, and the arguments for its ``apply_async``.

    Args:
        app: that it is to be sent by.
        document: of ``freeze``.
        task_id: as for ``CallTask``.

    Raises:
        ContentDisallowed: its arguments are in a form that the app does not accept.
        SignatureError: a task of it is not registered here, and was where it was made.
    """
    content = unpacked(app, document)
    check_registered(app, content)
    content.pop(UNKNOWN, None)
    by_name = content.pop(BY_NAME, False)
    call: dict[str, Any] = {"args": (), "kwargs": {}, "options": {}, **content.pop("call", {})}
    call[BY_NAME] = by_name
    base: dict[str, Any] = {
        "args": [],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    signature: Any = Signature.from_dict({**base, **content}, app=app)
    signature.args = tuple(content.get("args", ()))  # canvases lose theirs
    identify(app, signature, task_id, uuid5(_IDS, task_id))
    return signature, call


def unpacked(app: Celery, document: Json) -> dict[str, Any]:
    """Return the content of a document, as Celery decodes it."""
    packed = document.value
    if "packed" not in packed:
        content: dict[str, Any] = kombu_json.loads(document.text)
        return content
    content = serialization.loads(
        base64.b64decode(packed["packed"]),
        packed["content_type"],
        packed["content_encoding"],
        accept=serialization.prepare_accept_content(app.conf.accept_content),
    )
    return dict(content)


_IDS = UUID("4f6a3c9e-93b4-4a0e-8f0f-2f4d7c0c9a5d")
"""Makes the ids of the members of a canvas."""


def given_id(document: Json) -> str | None:
    """Return the id that a signature was given; None if Celery is to make one."""
    content = document.value
    options = {} if content["task"] == "celery.chord" else content.get("options", {})
    found = content.get("call", {}).get("options", {}).get("task_id") or options.get("task_id")
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
