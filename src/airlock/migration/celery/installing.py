"""``install``: calls of tasks, ``.delay()`` and the like, go through scopes, or are only observed.

For code bases that call tasks in hundreds of places: first see, then switch, then rewrite.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextvars import copy_context
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, get_args
from uuid import uuid4

from celery import Celery
from celery.app.task import Task
from kombu.exceptions import EncodeError

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, dispatch_of
from airlock.effects.place import Place, shown
from airlock.effects.registry import describe
from airlock.emissions.region import Region
from airlock.emissions.wave import chain
from airlock.errors import FlushError, SettingError, SignatureError, UnavailableError
from airlock.handlers.overrides import checked_overrides
from airlock.integrations.celery.calls import CallTask, name_of
from airlock.integrations.celery.signatures import given_id
from airlock.integrations.celery.worker import home_of
from airlock.migration.celery.call import Call
from airlock.migration.celery.hooks import Hooks, catch, is_overridden, uncaught
from airlock.migration.celery.results import result_of, watch
from airlock.migration.observations import Observations
from airlock.scopes.blocks import RegionBlock
from airlock.scopes.current import emit, here

__all__ = ["Buffering", "Installed", "Mode", "install"]

log = logging.getLogger("airlock")

Mode = Literal["observe", "buffer"]
Scopeless = Literal["send", "raise"]


def install(
    app: Celery,
    *,
    mode: Mode,
    boundary: Boundary | Callable[[], Boundary] | str | None = None,
    tasks: Iterable[Task[Any, Any] | str] | None = None,
    scopeless: Scopeless = "send",
) -> Installed:
    """Catch the calls of an app's tasks: ``delay``, ``apply_async``, signatures, ``send_task``.

    It is in force from here on, in this process; ``with install(...)`` or ``uninstall()`` ends it.
    What Celery sends by itself is left alone: retries, the links of chains, the bodies of chords,
    beat. Of several installations the last one that is about a task has it.

    Args:
        app: whose tasks.
        mode: ``"observe"`` sends as before, and counts by call site what the current scope would
            have done. ``"buffer"`` emits a ``CallTask`` instead, which is sent when the scope
            releases it; the call returns a result with the id that the task will have.
        boundary: with a handler for ``CallTask``; needed to buffer. It sends what is called in
            scopes of other boundaries too, if those have no such handler. A function that makes it,
            or the import path of either, ``"shop.effects:boundary"``, is looked up at the first
            call: the boundary may import the app. It is the one that ``effects_tasks`` has, if
            that was given the same.
        tasks: only these, by task, name, or pattern (``"shop.*"``); by default all of the app. One
            that no task has by the first call of any is logged.
        scopeless: what buffering does where no scope is open: ``"send"`` sends at once, in a scope
            of its own, and logs a warning for each call site; ``"raise"`` emits all the same,
            which raises ``NoScopeError`` unless ``airlock.integrations.base.scopeless`` is in force.

    Returns:
        The installation: it has the counts, and ``uninstall`` undoes it.

    Raises:
        SettingError: an argument makes no sense.

    Example:
        >>> from celery import Celery
        >>> from airlock.migration.celery import install
        >>> from airlock.integrations.celery.calls import CallTask
        >>> app = Celery("docstrings", broker="memory://", set_as_current=False)
        >>> @app.task(name="shop.receipt", shared=False)
        ... def receipt(order_id): ...
        >>> boundary = Boundary({CallTask: print})
        >>> with install(app, mode="buffer", boundary=boundary, tasks=[receipt]):
        ...     with boundary.scope() as effects:  # doctest: +SKIP
        ...         result = receipt.delay(42)
        ...         assert effects == [CallTask(receipt.s(42))]
        CallTask(shop.receipt(42))
    """
    current = getattr(app, "_get_current_object", lambda: app)()
    _check(current, mode, boundary, tasks, scopeless)
    names = None if tasks is None else tuple(name_of(task) for task in tasks)
    installed = Installed(current, mode, boundary, names, scopeless)
    installed.hooks = catch(current, installed)
    return installed


def _check(app: Any, mode: object, boundary: Any, tasks: object, scopeless: object) -> None:
    def wrong(name: str, given: object, hint: str) -> SettingError:
        return SettingError("install", name, f"is {describe(given)}", hint)

    if not isinstance(app, Celery):
        raise wrong("app", app, "Give a Celery app")
    if mode not in get_args(Mode):
        raise wrong("mode", mode, "Give 'observe' or 'buffer'")
    if scopeless not in get_args(Scopeless):
        raise wrong("scopeless", scopeless, "Give 'send' or 'raise'")
    if isinstance(tasks, str):
        raise wrong("tasks", tasks, f"Give several: tasks=({tasks!r},)")
    if mode == "buffer" and not isinstance(boundary, Boundary | str) and not callable(boundary):
        raise wrong("boundary", boundary, "Give the Boundary that sends what is buffered")
    if isinstance(boundary, Boundary) and mode == "buffer":
        check_sends(boundary)


class Installed:
    """An installation. Made by ``install``.

    Attributes:
        mode: observe or buffer.
        tasks: names and patterns; None for all.
        observations: the counts by call site; ``print(installed.observations)``.
    """

    def __init__(
        self,
        app: Celery,
        mode: Mode,
        boundary: Boundary | Callable[[], Boundary] | str | None,
        tasks: tuple[str, ...] | None,
        scopeless: Scopeless,
    ) -> None:
        self.mode = mode
        self.tasks = tasks
        self.observations = Observations()
        self.hooks: Hooks | None = None
        self._app = app
        self._unknown_logged = False
        self._buffering = None
        if mode == "buffer" and boundary is not None:
            alone = scopeless == "send"
            get = (lambda: boundary) if isinstance(boundary, Boundary) else _later(app, boundary)
            self._buffering = Buffering(app, get, self.observations, alone=alone)

    def uninstall(self) -> None:
        """Leave the app as it was. What was buffered stays so."""
        if self.hooks is not None:
            self.hooks.remove(self)

    def summary(self) -> str:
        """Return a line of totals, and a table of the call sites, the worst first."""
        done = "observed" if self.mode == "observe" else "buffered"
        text = f"{done} {self.observations.summary()}\n{self.observations.table()}"
        if unknown := self._unknown():
            text += f"\nno task of the app is called {' or '.join(unknown)}"
        return "\n".join([text, *uncaught()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> Literal[False]:
        self.uninstall()
        return False

    def __repr__(self) -> str:
        tasks = "all tasks" if self.tasks is None else ", ".join(self.tasks)
        return f"<install(mode={self.mode!r}) of {tasks}>"

    # -- what is caught ---------------------------------------------------------------------------

    @property
    def observes(self) -> bool:
        """True if the calls are sent as ever, and must not fail for being observed."""
        return self.mode == "observe"

    def wants(self, names: tuple[str, ...], /) -> bool:
        """Return True if one of some tasks is among the installation's."""
        if self.tasks is None:
            return True
        if not self._unknown_logged:  # now, as the app's tasks have been imported
            self._unknown_logged = True
            self._log_unknown()
        return any(fnmatches(names, pattern) for pattern in self.tasks)

    def _unknown(self) -> list[str]:
        """Return the names and patterns that no task of the app has."""
        return [name for name in self.tasks or () if not fnmatches(self._app.tasks, name)]

    def _log_unknown(self) -> None:
        for name in self._unknown():
            near = get_close_matches(name, self._app.tasks, 1)
            log.warning(
                "install(tasks=...) has %r, and no task of the app %r is called that so far%s. Its "
                "calls would be sent as ever.",
                name,
                self._app.main,
                f": did you mean {near[0]!r}?" if near else "",
            )

    def caught(self, call: Call, /) -> Any:
        """Observe or buffer a call, and return its result."""
        return self._observe(call) if self._buffering is None else self._buffering.caught(call)

    def _observe(self, call: Call) -> Any:
        region = here.get()
        value = made(call)
        result = call.send()
        self.observations.count(call.place, call.what, "count")
        try:
            watch(result, self.observations, call.place, call.what, region)
            self.observations.note(call.what, call.place, value, region)
        except (SignatureError, EncodeError):
            self.observations.count(call.place, call.what, "not possible")
        except Exception:  # observing must not break the code
            log.exception("a call of %s was sent, and not observed", call.what)
        return result


def _later(app: Celery, boundary: Callable[[], Boundary] | str) -> Callable[[], Boundary]:
    """Return a function that finds the boundary of this process, which was not made yet."""
    home = home_of(app, boundary)
    return lambda: check_sends(home.boundary)


def fnmatches(names: Iterable[str], pattern: str) -> bool:
    """Return True if one of some names matches a pattern."""
    return any(fnmatchcase(name, pattern) for name in names)


def made(call: Call) -> Callable[[], CallTask]:
    """Return a function that returns the intent of a call, frozen now: sending gives a canvas ids."""
    try:
        intent = CallTask(call.frozen())
    except Exception as error:  # noqa: BLE001 - raised when somebody asks for it
        return partial(_fail, error)
    return lambda: intent


def _fail(error: Exception) -> NoReturn:
    raise error


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
        """Buffer a call, and return its result.

        Raises:
            TypeError: the task does not take its arguments.
            SignatureError: it cannot be kept for later.
            EncodeError: Celery's serializer cannot encode its arguments.
            EmissionError: as ``airlock.emit`` does.
        """
        check_arguments(call)
        document = call.frozen()
        task_id = given_id(document) or str(uuid4())
        prepared = call.invocation.task is not None and is_overridden(call.invocation.task)
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
        """Send at once, unless a policy that holds everywhere decides otherwise."""
        self._observations.count(call.place, call.what, "no scope")
        self._warn(call)
        scope = self._boundary().scope()
        result = result_of(self._app, intent, task_id, scope)
        try:
            self._send(intent, scope)
        except UnavailableError as error:
            raise error.__cause__ or error from None  # as before
        return result if result.buffered.actual is None else result.buffered.actual

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
"""Largest number of call sites that are warned of."""


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
    """Return True if the scope of a region can send calls, or no scope is open."""
    if region.scope is None:
        return True
    around = chain(region)
    if any(CallTask in (one.overrides or ()) for one in around):
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
    region = region.collecting()
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
    task = call.invocation.task
    if task is not None and task.typing and hasattr(task, "__header__"):
        signature = call.invocation.signature()
        task.__header__(*signature.args, **signature.kwargs)
