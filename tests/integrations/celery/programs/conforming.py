"""The module that Celery's workers import in the contract's tests."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from celery import Celery
from celery.signals import task_failure

from airlock.integrations.celery import CeleryDispatch, deliver_task
from airlock.testing.queues import worker_boundary, worker_wire

QUEUE = os.environ["AIRLOCK_TEST_QUEUE"]

app = Celery("conforming", broker=os.environ["AIRLOCK_TEST_BROKER"])
app.conf.task_default_queue = QUEUE
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1
if os.environ["AIRLOCK_TEST_BROKER"].startswith("redis"):
    app.conf.broker_transport_options = {
        "global_keyprefix": f"{QUEUE}:",
        "visibility_timeout": 3,  # how soon the messages of a dead worker are given to others
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }

deliver_task(
    app,
    lambda: worker_boundary(CeleryDispatch(app, queue=QUEUE)),
    wire=worker_wire(),
    recheck=timedelta(seconds=1),
    autoretry_for=(Exception,),
    retry_kwargs={"countdown": 0.05},
    max_retries=2,
)


def failed(**_: object) -> None:
    with Path(os.environ["AIRLOCK_TEST_FAILED"]).open("a", encoding="utf-8") as file:
        file.write("failed\n")


task_failure.connect(failed)
