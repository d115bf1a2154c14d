"""Its only app: in workers, it says what delivers."""

from __future__ import annotations

import os
from datetime import timedelta

from django.apps import AppConfig
from django.conf import settings

from airlock import Boundary
from airlock.testing.queues import worker_boundary, worker_wire


class WorkerConfig(AppConfig):
    name = "tests.integrations.queues.djangos"
    label = "worker"

    def ready(self) -> None:
        if "AIRLOCK_QUEUE_LOG" not in os.environ:
            return  # this is the sender
        if settings.ENGINE == "django_tasks":
            from airlock.integrations.django_tasks import deliver_task
        else:
            from airlock.integrations.django_q import deliver_task
        path = f"{__name__}:boundary"
        deliver_task(path, wire=worker_wire(), recheck=timedelta(seconds=1))


def boundary() -> Boundary:
    if settings.ENGINE == "django_tasks":
        from airlock.integrations.django_tasks import DjangoTasksDispatch

        return worker_boundary(DjangoTasksDispatch())
    from airlock.integrations.django_q import DjangoQDispatch

    return worker_boundary(DjangoQDispatch())
