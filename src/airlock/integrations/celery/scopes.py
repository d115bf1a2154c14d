"""``effects_tasks``: a scope around every task of an app."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from celery import Celery
from celery.exceptions import Ignore
from celery.signals import task_postrun, task_prerun

from airlock.boundary.boundary import Boundary
from airlock.errors import SettingError
from airlock.integrations.base import Edge, Receiver, Work
from airlock.integrations.base.looping import has_async, in_loop, run
from airlock.integrations.celery.dispatch import check_app
from airlock.integrations.celery.worker import OWN, home_of
from airlock.release import Release
from airlock.scopes.ending import Keep

__all__ = ["effects_tasks", "keep_task"]

log = logging.getLogger("airlock")

KEY = "airlock_scope"  # an attribute of the task's request


def keep_task(error: BaseException | None) -> bool:
    """Return True if a task succeeded or was replaced, so that its effects are kept.

    Args:
        error: what it raised, ``Retry`` and ``Ignore`` included; None if it returned.

    Example:
        >>> from celery.exceptions import Retry
        >>> from airlock.integrations.celery import keep_task
        >>> keep_task(None), keep_task(Retry()), keep_task(ValueError())
        (True, False, False)
    """
    return error is None or (isinstance(error, Ignore) and error.args == _REPLACED)


_REPLACED = ("Replaced by new task",)
"""Arguments of the ``Ignore`` that ``Task.replace`` raises; with others, the task may have failed."""


def effects_tasks(
    app: Celery,
    boundary: Boundary | Callable[[], Boundary] | str,
    *,
    keep: Keep = keep_task,
    release: Callable[[], Release] | None = None,
) -> None:
    """Open a scope around every task of an app, in workers and in eager mode.

    What a task emits goes out when it has succeeded, after its result is stored and before its
    message is acknowledged, if it is acknowledged late. It is dropped when the task fails or is
    retried. The task's outcome is known by then, so an error of the flush is logged, and neither
    fails the task nor sets off its retry. Where a handler of the boundary is async, all of them run
    in the event loop of the process, as those of ``deliver_task`` do.

    The flush comes before all other receivers of ``task_postrun``, so that handlers run in the
    context that those of other libraries put back there.

    Args:
        app: whose tasks; those of ``shared_task`` included.
        boundary: as for ``deliver_task``.
        keep: decides, from what a task raised or None, whether to deliver.
        release: called for each task, to make the release of its scope.

    Raises:
        SettingError: an argument makes no sense.

    Example:
        >>> from celery import Celery
        >>> from airlock.integrations.celery import effects_tasks
        >>> app = Celery("docstrings", broker="memory://")
        >>> effects_tasks(app, boundary)
        >>> @app.task
        ... def process(order_id):
        ...     emit(NotifyWarehouse(order_id))
        >>> process.apply((42,)).state
        'SUCCESS'
    """
    check_app("effects_tasks", app)
    for name, given in (("keep", keep), ("release", release)):
        if given is not None and not callable(given):
            raise SettingError("effects_tasks", name, f"is {given!r}", "Give a function")
    scopes = TaskScopes(app, home_of(app, boundary), keep, release)
    uid = f"{__name__}:{id(app)}"  # the last call counts, as with a setting
    for signal, receiver in ((task_prerun, scopes.begun), (task_postrun, scopes.ended)):
        signal.disconnect(dispatch_uid=uid)
        signal.connect(receiver, weak=False, dispatch_uid=uid)
    _put_first(task_postrun)
    _SCOPED.add(app)


_SCOPED: WeakSet[Celery] = WeakSet()
"""The apps whose tasks have scopes."""
_UNSCOPED: WeakSet[Celery] = WeakSet()
"""Other apps, of which a task ran."""


def _put_first(signal: Any) -> None:
    """Let the receiver that was connected last be called before all others, later ones too.

    Those of other libraries put back the tenant, the language or the log's context that the task had.
    """
    with signal.lock:
        signal.receivers.insert(0, signal.receivers.pop())
        signal.sender_receivers_cache.clear()


class TaskWork(Work):
    """The unit of work of a task: a worker has no event loop, and its handlers may need one."""

    __slots__ = ()

    def settle(self, error: BaseException | None) -> None:
        emitted = self.scope.region or self.scope.region.children
        if emitted and has_async(self._edge.boundary) and not in_loop():
            run(self.scope.asettle(error))
        else:
            super().settle(error)


class TaskScopes:
    """The scopes of the tasks that run, each kept in the request of its task.

    The signals are around everything that a task does, its hooks and its own ``__call__`` included,
    whatever its base class; and the last one knows whether it succeeded.
    """

    def __init__(
        self, app: Celery, home: Receiver, keep: Keep, release: Callable[[], Release] | None
    ) -> None:
        self._app = app
        self._home = home
        self._keep = keep
        self._release = release
        self._edge: Edge | None = None

    def begun(self, task: Any, task_id: str, **_: object) -> None:
        """Open the scope of a task: one of its own, even if another task runs it eagerly."""
        if hasattr(task, OWN):
            return
        if task.app is not self._app:
            self._note_unscoped(task)
            return
        edge = self._at()
        scope = edge.boundary.scope(
            release=None if self._release is None else self._release(),
            independent=True,
            keep=self._keep,
        )
        work = TaskWork(edge, f"task {task.name}[{task_id}]", scope, self._keep)
        setattr(task.request, KEY, work)
        work.__enter__()

    def ended(self, task: Any, state: str | None, retval: object, **_: object) -> None:
        """Deliver or drop what it emitted."""
        work: Work | None = vars(task.request).pop(KEY, None)
        if work is not None:
            error = retval if isinstance(retval, BaseException) else sys.exc_info()[1]
            work.__exit__(None, None if state == "SUCCESS" else error, None)

    def _note_unscoped(self, task: Any) -> None:
        """Log the first task of another app, which may be taken for the one that has scopes."""
        app = getattr(task.app, "_get_current_object", lambda: task.app)()
        if app in _SCOPED or app in _UNSCOPED:
            return
        _UNSCOPED.add(app)
        log.warning(
            "task %s runs without a scope: it belongs to another Celery app, %r, and "
            "effects_tasks(...) was given %r. Call it for that app too, or let the task belong to "
            "this one.",
            task.name,
            app.main,
            self._app.main,
        )

    def _at(self) -> Edge:
        boundary = self._home.boundary
        if self._edge is None or self._edge.boundary is not boundary:
            self._edge = Edge(boundary)
        return self._edge
