"""The module that the workers of Celery, Dramatiq and Huey import."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

django.setup()

from tests.integrations.queues.lost.apps import async_boundary, sync_boundary  # noqa: E402

QUEUE: str = settings.QUEUE
TASKS = {"sync": sync_boundary, "async": async_boundary}


def celery() -> tuple[Any, Any]:
    from celery import Celery

    from airlock.integrations.celery import CeleryDispatch, deliver_task

    app = Celery(QUEUE, broker=settings.REDIS, fixups=[])  # without what Celery does for Django
    app.conf.task_default_queue = QUEUE
    app.conf.worker_prefetch_multiplier = 1
    app.conf.broker_transport_options = {"global_keyprefix": f"{QUEUE}:"}
    app.conf.broker_connection_retry_on_startup = True
    for name, boundary in TASKS.items():
        deliver_task(app, boundary, name=f"lost.{name}")
    return app, lambda name: CeleryDispatch(app, queue=QUEUE, task=f"lost.{name}")


def dramatiq() -> tuple[Any, Any]:
    from dramatiq.brokers.redis import RedisBroker

    from airlock.integrations.dramatiq import DramatiqDispatch, deliver_task

    made: Any = RedisBroker  # it has no types
    broker = made(url=settings.REDIS, namespace=QUEUE)
    for name, boundary in TASKS.items():
        deliver_task(broker, boundary, queue=QUEUE, name=f"lost.{name}")
    return broker, lambda name: DramatiqDispatch(broker, queue=QUEUE, task=f"lost.{name}")


def huey() -> tuple[Any, Any]:
    from huey import RedisHuey  # type: ignore[import-untyped]  # it has no types

    from airlock.integrations.huey import HueyDispatch, deliver_task

    queue = RedisHuey(QUEUE, url=settings.REDIS)
    for name, boundary in TASKS.items():
        deliver_task(queue, boundary, name=f"lost.{name}")
    return queue, lambda name: HueyDispatch(queue, task=f"lost.{name}")


def django_q() -> tuple[Any, Any]:
    from airlock.integrations.django_q import DjangoQDispatch

    return None, lambda name: DjangoQDispatch()


def django_tasks() -> tuple[Any, Any]:
    from airlock.integrations.django_tasks import DjangoTasksDispatch

    return None, lambda name: DjangoTasksDispatch()


app, dispatch = globals()[settings.ENGINE]()
