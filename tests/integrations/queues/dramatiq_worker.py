"""The module that Dramatiq's workers import in the tests."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

from airlock.integrations.dramatiq import DramatiqDispatch, deliver_task
from airlock.testing.queues import worker_boundary, worker_wire

QUEUE = os.environ["AIRLOCK_TEST_QUEUE"]
URL = os.environ["AIRLOCK_TEST_BROKER"]

broker: dramatiq.Broker
if URL.startswith("redis"):
    made: Any = RedisBroker  # it has no types
    broker = made(url=URL, namespace=QUEUE, heartbeat_timeout=1500, maintenance_chance=1_000_000)
else:
    broker = RabbitmqBroker(url=URL, confirm_delivery=True)
dramatiq.set_broker(broker)

deliver_task(
    broker,
    lambda: worker_boundary(DramatiqDispatch(broker, queue=QUEUE)),
    queue=QUEUE,
    wire=worker_wire(),
    recheck=timedelta(seconds=1),
    max_retries=2,
    min_backoff=50,
    max_backoff=100,
)
