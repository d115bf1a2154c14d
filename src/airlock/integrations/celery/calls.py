"""``CallTask``: a call of a Celery task, or of a whole chain, group or chord, as a value.

``SendTasks`` is its handler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from celery import Celery
from celery.app.task import Task
from celery.canvas import Signature

from airlock import Json, field, intent
from airlock.emissions.region import Region
from airlock.integrations.base.looping import beside
from airlock.integrations.celery.publishing import is_down, passing, unavailable
from airlock.integrations.celery.signatures import BY_NAME, freeze, names_in, parts_of, thaw
from airlock.scopes.current import delivery, here

__all__ = ["AWAITED", "Awaits", "CallTask", "SendTasks", "calling", "name_of"]


class InContext:
    """The context in which a buffered call was made, which is no part of its value."""

    __slots__ = ("context",)
    if TYPE_CHECKING:  # it is no field
        context: (
            Context  # not set of those that were emitted as values, copied, or read from a wire
        )


@intent(kind="celery.signature", version=1)
class CallTask(InContext):
    """Call a Celery task, or a whole canvas: ``signature.apply_async()``, as a value.

    Its handler is ``SendTasks(app)``. Two are equal if their signatures are; ids do not count.

    Args:
        signature: what to send, frozen here: later changes to it are not seen.
        task_id: the id that the task will have, or the last one of a chain, or the body of a
            chord; by default the id of the intent.
        prepared: whether ``apply_async`` of the task's own class has run, where the task was called,
            and the signature is what it made of the call.

    Raises:
        SignatureError: it cannot be kept for later.
        EncodeError: Celery's serializer cannot encode its arguments.

    Example:
        >>> from celery import Celery
        >>> from airlock.integrations.celery.calls import CallTask
        >>> app = Celery("shop", broker="memory://", set_as_current=False)
        >>> @app.task(name="shop.send_receipt", shared=False)
        ... def send_receipt(order_id): ...
        >>> with boundary.scope(policy=Drop()) as effects:
        ...     effects.emit(CallTask(send_receipt.s(42)))
        ...     assert effects == [CallTask(send_receipt.s(42))]
        >>> CallTask(send_receipt.s(42).set(countdown=5))
        CallTask(shop.send_receipt(42).set(countdown=5))
    """

    signature: Json
    task_id: str | None = field(default=None, eq=False, kw_only=True)
    prepared: bool = field(default=False, eq=False, kw_only=True)

    def __init__(
        self,
        signature: Signature[Any] | Json,
        *,
        task_id: str | None = None,
        prepared: bool = False,
    ) -> None:
        document = signature if isinstance(signature, Json) else freeze(signature)
        self.__attrs_init__(document, task_id=task_id, prepared=prepared)  # type: ignore[attr-defined]  # attrs makes it  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks in it, without callbacks."""
        document = self.signature.value
        return tuple(document.get("tasks") or names_in(document))

    def __repr__(self) -> str:
        return f"CallTask({shown(self.signature.value)})"


def calling(*tasks: Task[Any, Any] | str) -> Callable[[Any], bool]:
    """Return a predicate of the intents that call one of some tasks, for ``policy.where(...)``.

    Args:
        *tasks: tasks or their names.

    Example:
        >>> from airlock.integrations.celery.calls import CallTask, calling
        >>> no_receipts = Drop(CallTask).where(calling("shop.send_receipt"))
    """
    wanted = frozenset(name_of(task) for task in tasks)

    def calls(intent: Any) -> bool:
        return isinstance(intent, CallTask) and not wanted.isdisjoint(intent.tasks)

    calls.__qualname__ = f"calling({', '.join(sorted(wanted))})"
    return calls


def name_of(task: Task[Any, Any] | str) -> str:
    """Return the name of a task, given the task or its name."""
    return task if isinstance(task, str) else str(task.name)


def shown(document: Mapping[str, Any]) -> str:
    """Return a document as the source code of the call."""
    if "packed" in document:
        return f"{' | '.join(document['tasks'])}(...)"
    parts = parts_of(document)
    options = {k: v for k, v in document.get("options", {}).items() if k not in _SILENT}
    options |= document.get("call", {}).get("options", {})
    suffix = f".set({written(options.items())})" if options else ""
    if parts is None:
        return f"{document['task']}({arguments(document)}){suffix}"
    inner = map(shown, parts)
    name = str(document["task"]).removeprefix("celery.")
    text = " | ".join(inner) if name == "chain" else f"{name}({', '.join(inner)})"
    return f"({text}){suffix}" if suffix and name == "chain" else text + suffix


_SILENT = frozenset({"argsrepr", "kwargsrepr", "task_id", "reply_to", "root_id"})


def arguments(document: Mapping[str, Any]) -> str:
    """Return the arguments of one task as text; ``argsrepr`` and ``kwargsrepr`` stand for hidden ones."""
    options = document.get("options", {})
    args = ", ".join(map(repr, document.get("args", ())))
    kwargs = written(document.get("kwargs", {}).items())
    if "argsrepr" in options:
        args = str(options["argsrepr"]).removeprefix("(").removesuffix(")").removesuffix(",")
    if "kwargsrepr" in options:
        kwargs = f"**{options['kwargsrepr']}"
    return ", ".join(filter(None, (args, kwargs)))


def written(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return keyword arguments as source code."""
    return ", ".join(f"{name}={value!r}" for name, value in pairs)


class Awaits(Protocol):
    """Observer of one call, notified when the call was sent."""

    def sent(self, actual: Any, /) -> None:
        """Store the result that Celery returned."""
        ...


AWAITED: WeakValueDictionary[str, Awaits] = WeakValueDictionary()
"""Observers of calls that were not sent yet, in this process, by the id of the task."""


class SendTasks:
    """Handler of ``CallTask``: sends its signature, with exactly its options and its id.

    ``countdown`` and a relative ``expires`` count from then, ``eta`` stays what it is. A broker that
    is down is asked once in a flush; the other calls are pending, and ``report.resume()`` sends them.

    Args:
        app: that sends it.

    Example:
        >>> from celery import Celery
        >>> from airlock.integrations.celery.calls import SendTasks
        >>> from airlock.integrations.celery.calls import CallTask
        >>> app = Celery("docstrings", broker="memory://", set_as_current=False)
        >>> @app.task(name="docstrings.receipt", shared=False)
        ... def receipt(order_id): ...
        >>> with Boundary({CallTask: SendTasks(app)}).scope() as effects:
        ...     effects.emit(CallTask(receipt.s(42) | receipt.si(43)))
        >>> effects.report.delivered
        [CallTask(docstrings.receipt(42) | docstrings.receipt(43))]
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, intent: CallTask) -> object:
        send = partial(self._send, intent, intent.task_id or str(delivery().id))
        # An eager task may wait for async handlers.
        return beside(send) if self._app.conf.task_always_eager else send()

    def _send(self, intent: CallTask, task_id: str) -> None:
        context = getattr(intent, "context", None)
        if context is None:
            self._publish(intent, task_id)
        else:  # that of the call, but for the region: what this leads to is a follow-up
            context.copy().run(self._publish, intent, task_id, here.get())

    def _publish(self, intent: CallTask, task_id: str, region: Region | None = None) -> None:
        if region is not None:
            here.set(region)
        signature, given = thaw(self._app, intent.signature, task_id)
        args, kwargs, options = signature.args, signature.kwargs, signature.options
        with passing(), self._asking():
            if given[BY_NAME]:
                actual: Any = self._app.send_task(str(signature.task), args, kwargs, **options)
            elif intent.prepared:
                actual = Task.apply_async(signature.type, args, kwargs, **options)
            else:
                actual = signature.apply_async(given["args"], given["kwargs"], **given["options"])
        awaited = AWAITED.get(task_id)
        if awaited is not None:
            awaited.sent(actual)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raise the error that keeps the flush from asking a broker that is down for each call."""
        try:
            yield
        except Exception as error:
            if self._app.conf.task_always_eager or not is_down(error):  # or it is the task's own
                raise
            raise unavailable(self, self._app, error) from error

    def __repr__(self) -> str:
        return f"SendTasks({self._app.main!r})"
