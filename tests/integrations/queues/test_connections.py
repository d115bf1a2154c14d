"""A database connection that a worker has lost fails at most one delivery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from tests.integrations import services
from tests.integrations.queues.test_django import database

ROOT = Path(__file__).parents[3]
PACKAGE = "tests.integrations.queues.lost"
CELERY = ["celery", "-A", f"{PACKAGE}.worker", "worker", "--concurrency=1", "--without-mingle"]
CELERY += ["--without-gossip", "--without-heartbeat"]
HUEY = ["huey.bin.huey_consumer", f"{PACKAGE}.worker.app", "--workers=1", "--no-periodic"]
HUEY += ["--delay=0.05", "--max-delay=0.1"]
WORKERS = {
    **{
        f"celery {pool}": [*CELERY, f"--pool={pool}"]
        for pool in ("prefork", "threads", "solo", "gevent")
    },
    **{f"huey {kind}": [*HUEY, f"--worker-type={kind}"] for kind in ("thread", "process")},
    "huey gevent": ["gevent.monkey", "--module", *HUEY, "--worker-type=greenlet"],
    "dramatiq threads": ["dramatiq", f"{PACKAGE}.worker:app", "--processes=1", "--threads=1"],
    "django_q cluster": ["django", "qcluster"],
    "django_tasks db_worker": ["django", "db_worker", "--interval=0.05", "--no-startup-delay"],
}


def program(command: list[str], engine: str, folder: Path, **environ: str) -> dict[str, Any]:
    """Run a module with a database of its own, and return what it prints."""
    queue, url = f"airlock{uuid4().hex[:12]}", services.redis()
    try:
        with database("with PostgreSQL", folder) as name:
            environ |= {
                "DJANGO_SETTINGS_MODULE": f"{PACKAGE}.settings",
                "AIRLOCK_TEST_ENGINE": engine,
                "AIRLOCK_TEST_DATABASE": name,
                "AIRLOCK_TEST_REDIS": url,
                "AIRLOCK_TEST_QUEUE": queue,
                "AIRLOCK_TEST_LOG": str(folder / "log.jsonl"),
            }
            ran = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=os.environ | environ,
                capture_output=True,
                text=True,
                timeout=390,
                check=False,
            )
    finally:
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(f"*{queue}*"):
                client.delete(key)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.timeout(400)
@pytest.mark.parametrize("worker", WORKERS)
def test_a_lost_connection_fails_one_delivery_at_most(worker: str, tmp_path: Path) -> None:
    """None that is closed after each delivery, or checked before it, and one that is neither."""
    engine = worker.split(maxsplit=1)[0]
    if engine == "django_tasks":
        pytest.importorskip("django_tasks_db", reason="pip install django-tasks-db")
    ways = ["async", "to_thread", "sync"]
    if engine.startswith("django"):
        ways.remove(
            "sync"
        )  # one boundary delivers there, and the engines close those of their thread
    gevents = dict[str, str]()
    if worker.endswith("gevent"):
        # The loop is in the one real thread, so that Django takes every greenlet for async code, and
        # gives each call of to_thread a connection of its own.
        gevents["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        ways.remove("to_thread")
    found = program([PACKAGE, json.dumps(WORKERS[worker]), *ways], engine, tmp_path, **gevents)
    assert set(found) == set(ways)
    for how, told in found.items():
        before, after, later = told["rounds"]
        assert all(before.values()), how
        assert told["closed after its delivery"], how
        assert after["brief"], how
        assert after["checked"] not in {None, before["checked"]}, how
        assert all(later.values()), how
        assert later["lasting"] != before["lasting"], how


@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["celery", "huey"])
def test_what_is_delivered_at_once_closes_no_connection_of_others(
    engine: str, tmp_path: Path
) -> None:
    """Whatever their age, in a transaction and without; and it waits for no thread that waits for it."""
    found = program([f"{PACKAGE}.at_once"], engine, tmp_path)
    assert len(found) == 22
    assert [name for name, right in found.items() if not right] == []
