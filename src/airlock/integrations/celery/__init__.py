"""Celery: intents travel to workers, and every task is a scope.

``CeleryDispatch`` sends intents, ``deliver_task`` is the task that delivers them in a worker, and
``effects_tasks`` opens a scope around each of your own tasks. ``CallTask`` is a call of a task as a
value, and ``SendTasks`` its handler.
"""

from __future__ import annotations

from airlock.errors import MissingExtraError

try:
    import celery  # noqa: F401 - the modules below need it
except ImportError:
    raise MissingExtraError(__name__, "Celery 5.3", "celery") from None

from airlock.integrations.celery.calls import CallTask, SendTasks, calling
from airlock.integrations.celery.dispatch import CeleryDispatch
from airlock.integrations.celery.scopes import effects_tasks, keep_task
from airlock.integrations.celery.worker import deliver_task

__all__ = [
    "CallTask",
    "CeleryDispatch",
    "SendTasks",
    "calling",
    "deliver_task",
    "effects_tasks",
    "keep_task",
]
