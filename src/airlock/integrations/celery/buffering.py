"""What ``install(mode="buffer")`` does with a call: a ``CallTask`` is emitted in its place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock
from typing import Any
from uuid import uuid4

from celery import Celery

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, dispatch_of
from airlock.effects.place import Place, shown
from airlock.emissions.region import Region
from airlock.emissions.wave import chain
from airlock.errors import FlushError, SettingError, UnavailableError
from airlock.handlers.overrides import checked_overrides
from airlock.integrations.base.observing import Observations
from airlock.integrations.celery.asked import Call
from airlock.integrations.celery.calls import is_overridden
from airlock.integrations.celery.documents import given_id
from airlock.integrations.celery.results import result_of
from airlock.integrations.celery.signatures import CallTask
from airlock.scopes.blocks import RegionBlock
from airlock.scopes.current import emit, here

__all__ = ["Buffering"]

log = logging.getLogger("airlock")


class Buffering:
    """Emits calls of the tasks of an app.

    A scope whose boundary cannot send them has them all the same, with its own policies and at its
    end, and the boundary of the installation sends them.

    Args:
        app: whose tasks.
        boundary: finds the one that sends them.
        observations: where they are counted.
        alone: whether to send at once where no scope is open.
    """

    def __init__(
        self,
        app: Celery,
        boundary: Callable[[], Boundary],
        observations: Observations,
        *,
        alone: bool,
    ) -> None:
        self._app = app
        self._boundary = boundary
        self._observations = observations
        self._alone = alone
        # One for all calls: those that differ in what stands for their handler are never merged.
        self._instead = checked_overrides({CallTask: self._send_by_ours})
        self._warned: set[Place] = set()
        self._lock = Lock()

    def caught(self, call: Call) -> Any:
        """A call was made: the result that it returns.

        Raises:
            TypeError: the task does not take its arguments.
            SignatureError: it cannot be kept for later.
            EncodeError: Celery's serializer cannot say its arguments.
            EmissionError: as ``airlock.emit`` does.
        """
        check_arguments(call)
        document = call.frozen()
        task_id = given_id(document) or str(uuid4())
        prepared = call.asked.task is not None and is_overridden(call.asked.task)
        intent = CallTask(document, task_id=task_id, prepared=prepared)
        # What reads the context when it is published shall find that of the call.
        object.__setattr__(intent, "context", copy_context())
        region = here.get()
        self._observations.count(call.place, call.what, "count")
        if self._alone and (region.scope is None or region.is_closed):
            return self._send_alone(call, intent, task_id)
        result = result_of(self._app, intent, task_id, region.scope)
        if sends(region):
            emit_at(intent, call.place)
        else:
            with RegionBlock("buffered call", here.get, overrides=self._instead):
                emit_at(intent, call.place)
        return result

    def _send_alone(self, call: Call, intent: CallTask, task_id: str) -> Any:
        """Send at once, unless a policy that holds everywhere says otherwise."""
        self._observations.count(call.place, call.what, "no scope")
        self._warn(call)
        scope = self._boundary().scope()
        result = result_of(self._app, intent, task_id, scope)
        try:
            self._send(intent, scope)
        except UnavailableError as error:
            raise error.__cause__ or error from None  # as before
        return result if result.release.actual is None else result.release.actual

    def _send_by_ours(self, intent: CallTask) -> None:
        # In the context of the call, which the contexts of our boundary capture.
        intent.context.run(self._send_from, here.get(), intent)

    def _send_from(self, region: Region, intent: CallTask) -> None:
        here.set(region)
        self._send(intent, self._boundary().scope())

    def _send(self, intent: CallTask, scope: Any) -> None:
        try:
            with scope:
                scope.emit(intent)
        except FlushError as error:
            if len(error.exceptions) == 1:
                raise error.exceptions[0] from error.exceptions[0].__cause__  # as before
            raise

    def _warn(self, call: Call) -> None:
        with self._lock:
            if call.place in self._warned or len(self._warned) > _WARNINGS:
                return
            self._warned.add(call.place)
        log.warning(
            "%s is called at %s where no scope is open, and was sent at once. Open a scope around "
            "this unit of work, or leave the task out of install(tasks=...).",
            call.what,
            shown(call.place),
        )


_WARNINGS = 1000
"""How many call sites are warned of."""


def check_sends(boundary: Boundary) -> Boundary:
    """Return a boundary that can send calls of tasks.

    Raises:
        SettingError: it has no handler for them.
    """
    handled = any(cls in boundary.handlers for cls in CallTask.__mro__)
    if not handled and dispatch_of(boundary.dispatch, CallTask) is INLINE:
        raise SettingError(
            "install",
            "boundary",
            "has no handler for CallTask",
            "Add one: Boundary({..., CallTask: SendTasks(app)})",
        )
    return boundary


def sends(region: Region) -> bool:
    """Whether what is emitted in a region can be sent by its scope; nowhere, anything can."""
    if region.scope is None or any(CallTask in (one.overrides or ()) for one in chain(region)):
        return True
    engine = region.scope.engine
    there = engine.binding(CallTask) is not None
    return there or dispatch_of(engine.dispatch, CallTask) is not INLINE


def emit_at(intent: CallTask, place: Place) -> None:
    """Emit; a recorded emission has the place of the call, and not of Celery's code that led here."""
    region = here.get()
    emit(intent)
    if region.scope is None:  # somebody else has taken it
        return
    region = region.as_parent()
    position = len(region) - 1
    while region[position] is not intent:  # another thread emitted in between
        position -= 1
    emission = (region.emissions or {}).get(position)
    if emission is not None:
        emission.place = place


def check_arguments(call: Call) -> None:
    """Refuse arguments that the task does not take, here and not when it is sent.

    Raises:
        TypeError: as ``apply_async`` does.
    """
    task = call.asked.task
    if task is not None and task.typing and hasattr(task, "__header__"):
        signature = call.asked.signature()
        task.__header__(*signature.args, **signature.kwargs)
