"""Celery passes the contract of queues: with RabbitMQ, and with Redis."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery

from airlock.integrations.celery import CeleryDispatch
from airlock.testing.queues import Job, Program, QueueContract, QueueHarness
from tests.integrations import services
from tests.integrations.celery.brokers import delete, taken
from tests.integrations.queues.proxy import Proxy

ROOT = Path(__file__).parents[3]


class Harness(QueueHarness):
    """What both brokers have in common: the process, and the way in."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.queue = f"airlock-{uuid4().hex[:12]}"
        self.proxy = Proxy(url)
        self._failed = folder / "failed.txt"
        module = "tests.integrations.celery.programs.conforming"
        command = [sys.executable, "-m", "celery", "-A", module, "worker", "--pool=prefork"]
        command += ["--concurrency=2", f"--hostname={self.queue}@%h", f"--queues={self.queue}"]
        command += [
            "--without-mingle",
            "--without-gossip",
            "--without-heartbeat",
            "--loglevel=INFO",
        ]
        environ = {
            "AIRLOCK_TEST_QUEUE": self.queue,
            "AIRLOCK_TEST_BROKER": url,
            "AIRLOCK_TEST_FAILED": str(self._failed),
        }
        self.program = Program(command, folder, environ, cwd=ROOT)
        self.near = Celery("near", broker=url, set_as_current=False)
        self.far = Celery("far", broker=self.proxy.url, set_as_current=False)
        for app in (self.near, self.far):
            app.conf.task_default_queue = self.queue
            if url.startswith("redis"):
                app.conf.broker_transport_options = {"global_keyprefix": f"{self.queue}:"}
        self.dispatch = self.sender = CeleryDispatch(self.far, queue=self.queue)

    def start(self, environ: Mapping[str, str]) -> None:
        self.program.start(environ)

    def stop(self) -> None:
        self.program.stop()

    def kill(self) -> None:
        self.program.kill()

    def output(self) -> str:
        return self.program.output

    def failed(self) -> int:
        return len(self._failed.read_text().splitlines()) if self._failed.exists() else 0

    def put(self, text: str) -> None:
        self.near.send_task("airlock.deliver", (text,), queue=self.queue, ignore_result=True)

    def disconnect(self) -> None:
        self.proxy.shut()

    def reconnect(self) -> None:
        self.proxy.open()

    def close(self) -> None:
        self.end(kill=True)
        self.sender.close()
        self.far.close()
        self.near.close()
        self.proxy.shut()


class WithRabbitMQ(Harness):
    def waiting(self) -> Sequence[Job]:
        found = taken(self.near, self.queue, no_ack=False)  # they are put back
        return [
            Job(got.headers["id"], json.loads(got.body)[0][0], got.body.encode()) for got in found
        ]

    def close(self) -> None:
        self.end(kill=True)
        delete(self.near, self.queue)
        super().close()


class WithRedis(Harness):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.client = redis.Redis.from_url(url)

    def waiting(self) -> Sequence[Job]:
        found = list[Job]()
        waiting: Any = self.client.lrange(f"{self.queue}:{self.queue}", 0, -1)
        for raw in waiting:
            document = json.loads(raw)
            text = json.loads(b64decode(document["body"]))[0][0]
            found.append(Job(document["headers"]["id"], text, raw))
        return found

    def close(self) -> None:
        super().close()
        for key in self.client.scan_iter(f"{self.queue}:*"):
            self.client.delete(key)
        self.client.close()


class TestCeleryWithRabbitMQ(QueueContract):
    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = WithRabbitMQ(tmp_path_factory.mktemp("rabbitmq"), services.rabbitmq())
        yield harness
        harness.close()


class TestCeleryWithRedis(QueueContract):
    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = WithRedis(tmp_path_factory.mktemp("redis"), services.redis())
        yield harness
        harness.close()
