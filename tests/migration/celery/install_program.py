"""A Celery app whose tasks write down how they ran. Workers run it with the environment set."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery
from redis import Redis

from airlock import Boundary
from airlock.integrations.celery import CallTask, SendTasks, effects_tasks
from airlock.migration.celery import install

__all__ = ["boundary_of", "make_app"]


def make_app(broker: str, backend: str, name: str, journal: str) -> Celery:
    """The app of sender and worker.

    Args:
        broker: its URL.
        backend: the URL of the result backend.
        name: of its queue, and of the list in Redis where its tasks write.
        journal: the URL of that Redis.
    """
    app = Celery(name, broker=broker, backend=backend, set_as_current=False, fixups=[])
    app.conf.update(
        task_default_queue=name,
        broker_connection_retry_on_startup=True,
        result_chord_retry_interval=0.2,
    )
    redis: Any = Redis.from_url(journal)

    def wrote(task: Any, *args: Any) -> None:
        request = task.request
        line = {
            "task": task.name,
            "id": request.id,
            "args": args,
            "eta": request.eta,
            "expires": request.expires,
            "tenant": (request.headers or {}).get("tenant") or getattr(request, "tenant", None),
            "priority": (request.delivery_info or {}).get("priority"),
            "retries": request.retries,
            "at": time.time(),
        }
        redis.rpush(f"{name}:ran", json.dumps(line))

    @app.task(name="shop.add", shared=False, bind=True)
    def add(self: Any, *numbers: int) -> int:
        wrote(self, *numbers)
        return sum(numbers)

    @app.task(name="shop.total", shared=False, bind=True)
    def total(self: Any, numbers: list[int]) -> int:
        wrote(self, numbers)
        return sum(numbers)

    @app.task(name="shop.flaky", shared=False, bind=True, max_retries=3)
    def flaky(self: Any, failures: int) -> int:
        wrote(self, failures)
        if self.request.retries < failures:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    @app.task(name="shop.replaced", shared=False, bind=True)
    def replaced(self: Any) -> None:
        wrote(self)
        add = self.app.tasks["shop.add"]
        raise self.replace(add.s(1) | add.s(2))

    @app.task(name="shop.parent", shared=False, bind=True)
    def parent(self: Any, *, fail: bool = False) -> str:
        child = self.app.tasks["shop.add"].delay(40, 2)
        wrote(self, child.id)
        if fail:
            raise ValueError("on purpose")
        return str(child.id)

    return app


def boundary_of(app: Celery) -> Boundary:
    return Boundary({CallTask: SendTasks(app)})


if "AIRLOCK_TEST_CELERY" in os.environ:
    app = make_app(**json.loads(os.environ["AIRLOCK_TEST_CELERY"]))
    boundary = boundary_of(app)
    effects_tasks(app, boundary)
    install(app, mode="buffer", boundary=boundary)
