"""``SendTasks``: the handler of ``CallTask``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery import Celery
from celery.app.task import Task

from airlock.emissions.region import Region
from airlock.integrations.base.looping import beside
from airlock.integrations.celery.calls import passing
from airlock.integrations.celery.documents import BY_NAME, thaw
from airlock.integrations.celery.publishing import is_down, unavailable
from airlock.integrations.celery.results import sent
from airlock.integrations.celery.signatures import CallTask
from airlock.scopes.current import delivery, here

__all__ = ["SendTasks"]


class SendTasks:
    """Sends what a ``CallTask`` says, with exactly its options and its id.

    ``countdown`` and a relative ``expires`` count from then, ``eta`` stays what it is. A broker that
    is down is asked once in a flush; the other calls are pending, and ``report.resume()`` sends them.

    Args:
        app: that sends it.

    Example:
        >>> from celery import Celery
        >>> from airlock.integrations.celery.sending import SendTasks
        >>> from airlock.integrations.celery.signatures import CallTask
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
        sent(task_id, actual)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Tell the flush of a broker that is down, so that it is not asked again for each call."""
        try:
            yield
        except Exception as error:
            if self._app.conf.task_always_eager or not is_down(error):  # or it is the task's own
                raise
            raise unavailable(self, self._app, error) from error

    def __repr__(self) -> str:
        return f"SendTasks({self._app.main!r})"
