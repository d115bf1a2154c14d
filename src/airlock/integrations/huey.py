"""Huey: intents travel as tasks, and one task delivers them in the consumer."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airlock.boundary.boundary import Boundary
from airlock.errors import (
    MissingExtraError,
    SettingError,
    UnavailableError,
    UndeclaredHereError,
    WireError,
)
from airlock.integrations.base import QueueDispatch, Receiver
from airlock.integrations.base.looping import in_loop
from airlock.wire import Envelope, Wire

try:
    import huey as engine  # type: ignore[import-untyped]  # it has no types
    from huey.exceptions import HueyException, RetryTask  # type: ignore[import-untyped]  # as above
    from huey.registry import Message  # type: ignore[import-untyped]  # as above
    from huey.utils import normalize_time  # type: ignore[import-untyped]  # as above
except ImportError:
    raise MissingExtraError(__name__, "Huey", "huey") from None

if TYPE_CHECKING:
    from airlock.integrations.base.queues import Inject

__all__ = ["DELIVER", "HueyDispatch", "deliver_task"]

log = logging.getLogger("airlock")

DELIVER = "airlock.deliver"
"""The name of the task that delivers intents, unless it is given another."""


class HueyDispatch(QueueDispatch):
    """Sends intents to Huey's consumer, where the task of ``deliver_task`` runs their handlers.

    The id of an intent is that of its task, and a delay is Huey's own.

    Args:
        huey: takes the tasks.
        task: the name of the task, as ``deliver_task`` was given it: ``"shop.deliver"``.
        priority: of the tasks, where the storage knows priorities.
        wire: as for ``QueueDispatch``.
        inject: as for ``QueueDispatch``.

    Raises:
        SettingError: Huey can have no task of that name.

    Example:
        >>> from huey import MemoryHuey
        >>> from airlock.integrations.huey import HueyDispatch
        >>> huey = MemoryHuey()
        >>> with Boundary({}, dispatch=HueyDispatch(huey)).scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> huey.pending_count()
        1
    """

    def __init__(
        self,
        huey: engine.Huey,
        *,
        task: str = DELIVER,
        priority: int | None = None,
        wire: Wire | None = None,
        inject: Inject | None = None,
    ) -> None:
        _split("HueyDispatch", "task", task)
        super().__init__(wire=wire, inject=inject)
        self._huey = huey
        self._task = task
        self._priority = priority

    def send(self, envelope: Envelope, message: str, /) -> Awaitable[None] | None:
        """Send one task; run it at once in immediate mode.

        In the event loop of a worker's async handlers that is to be awaited, as the handlers of
        follow-ups run in the same loop.

        Raises:
            UnavailableError: the storage did not take it.
        """
        delay = envelope.options.delay
        task = Message(
            id=str(envelope.id),
            name=self._task,
            eta=normalize_time(None, delay, self._huey.utc) if delay else None,
            priority=self._priority,
            args=(message,),
            kwargs={},
        )  # with neither retries nor a timeout: the consumer's task has its own
        if self._huey.immediate and in_loop():
            return _in_a_thread(partial(self._enqueue, task))
        self._enqueue(task)
        return None

    def _enqueue(self, task: Message) -> None:
        data = self._huey.serializer.serialize(task)
        try:
            try:
                known = self._huey.deserialize_task(data)
            except HueyException as error:  # this process does not have the task
                self._refuse_immediate(error)
                self._huey.storage.enqueue(data, self._priority)
            else:
                self._huey.enqueue(known)
        except _unreachable() as error:
            raise UnavailableError(repr(self), f"{type(error).__name__}: {error}") from error

    def _refuse_immediate(self, error: Exception) -> None:
        if self._huey.immediate:
            raise SettingError(
                "Huey",
                "immediate",
                f"is set, and there is no task {self._task!r} in this process to run",
                "Call deliver_task(huey, boundary) here too, or unset it.",
            ) from error

    def __repr__(self) -> str:
        return f"HueyDispatch({self._huey.name!r})"


def deliver_task(
    huey: engine.Huey,
    boundary: Boundary | Callable[[], Boundary] | str,
    *,
    name: str = DELIVER,
    wire: Wire | None = None,
    recheck: timedelta = timedelta(minutes=1),
    **options: Any,
) -> Any:
    """Register the task that delivers intents, in the module of the ``Huey`` the consumer runs.

    A handler's error fails the task, so that Huey tries again, up to ``retries``. What this
    consumer does not know stays in its schedule, and is logged as a warning, until a newer one takes it. What
    can never be read fails at once.

    Args:
        huey: where the tasks come from.
        boundary: with the handlers; or a function that makes it, or the import path of either,
            ``"shop.effects:boundary"``. In each process it is made, and the resources of its
            container are opened, for the first task.
        name: of the task, with a dot; ``HueyDispatch(task=...)`` has the same.
        wire: reads the messages, as the sender's writes them.
        recheck: how long what is kept waits.
        **options: of the task: ``retries``, ``retry_delay``, ``timeout``.

    Returns:
        The task.

    Raises:
        SettingError: Huey can have no task of that name, or ``boundary`` can be none.

    Example:
        >>> from huey import MemoryHuey
        >>> from airlock.integrations.huey import deliver_task
        >>> deliver_task(MemoryHuey(), boundary, retries=3).retries
        3
    """
    module, short = _split("deliver_task", "name", name)
    receiver = Receiver(boundary, wire=wire)

    def keep(task: Any, error: Exception) -> NoReturn:
        log.warning("%s is kept, to be looked at in %s: %s", task.id, recheck, error)
        raise RetryTask(str(error), delay=recheck.total_seconds())  # it takes none of the retries

    def deliver(text: str, task: Any) -> None:
        try:
            envelope = receiver.read(text)
        except UndeclaredHereError as error:
            keep(task, error)
        except WireError:
            task.retries = 0  # there is no use in them
            raise
        try:
            receiver.deliver(envelope, attempt=task.default_retries - task.retries + 1)
        except UndeclaredHereError as error:
            keep(task, error)

    deliver.__module__ = module
    return huey.task(name=short, context=True, **options)(deliver)


def _split(where: str, setting: str, name: str) -> tuple[str, str]:
    """Split a task's name in two: Huey registers one by the module and the name of its function.

    Raises:
        SettingError: it has not two parts, and the consumer would never find the task.
    """
    module, _, short = name.rpartition(".")
    if not module or not short:
        raise SettingError(
            where,
            setting,
            f"is {name!r}, and Huey calls a task by two names with a dot between them",
            f"Call it {DELIVER!r}, or after your project: 'shop.deliver'.",
        )
    return module, short


async def _in_a_thread(call: Callable[[], object]) -> None:
    """``asyncio.to_thread``, whose few threads might all be waiting for one more."""
    thread = ThreadPoolExecutor(1)
    try:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(thread, copy_context().run, call)
    finally:
        thread.shutdown(wait=False)


def _unreachable() -> tuple[type[Exception], ...]:
    """Return the errors of storages that do not answer; those of a driver only if it is in use."""
    found: list[type[Exception]] = [OSError, sqlite3.OperationalError]
    if "redis" in sys.modules:
        from redis import exceptions  # noqa: PLC0415

        found += [exceptions.ConnectionError, exceptions.TimeoutError]
    if "psycopg" in sys.modules:
        import psycopg  # noqa: PLC0415

        found.append(psycopg.OperationalError)
    return tuple(found)
