"""The module that Huey's consumers import in the tests."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from huey import RedisHuey, SqliteHuey  # type: ignore[import-untyped]  # it has no types

from airlock.integrations.huey import HueyDispatch, deliver_task
from airlock.testing.queues import worker_boundary, worker_wire

QUEUE = os.environ["AIRLOCK_TEST_QUEUE"]
URL = os.environ["AIRLOCK_TEST_BROKER"]

REDIS = URL.startswith("redis")
huey: Any = RedisHuey(QUEUE, url=URL) if REDIS else SqliteHuey(QUEUE, filename=URL)

deliver_task(
    huey,
    lambda: worker_boundary(HueyDispatch(huey)),
    wire=worker_wire(),
    recheck=timedelta(seconds=1),
    retries=2,
)
