"""Dramatiq passes the contract of queues: with RabbitMQ, and with Redis."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pika  # type: ignore[import-untyped]  # it has no types
import pytest
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from pika.exceptions import ChannelClosedByBroker  # type: ignore[import-untyped]  # as above

from airlock.integrations.dramatiq import DramatiqDispatch
from airlock.testing.queues import Job, Program, QueueContract, QueueHarness
from tests.integrations import services
from tests.integrations.queues.proxy import Proxy

ROOT = Path(__file__).parents[3]


class Harness(QueueHarness):
    """What both brokers have in common: the process, and the way in."""

    broker: Any  # a dramatiq.Broker

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.queue = f"airlock-{uuid4().hex[:12]}"
        self.proxy = Proxy(url)
        module = "tests.integrations.queues.dramatiq_worker"
        command = [sys.executable, "-m", "dramatiq", module, "--processes=1", "--threads=2"]
        environ = {
            "AIRLOCK_TEST_QUEUE": self.queue,
            "AIRLOCK_TEST_BROKER": url,
            "dramatiq_worker_timeout": "100",
            "dramatiq_restart_delay": "200",
        }
        self.program = Program(command, folder, environ, cwd=ROOT)

    def start(self, environ: Mapping[str, str]) -> None:
        self.program.start(environ)

    def stop(self) -> None:
        self.program.stop()

    def kill(self) -> None:
        self.program.kill()

    def output(self) -> str:
        return self.program.output

    def put(self, text: str) -> None:
        self.broker.enqueue(dramatiq.Message[Any](self.queue, "airlock.deliver", (text,), {}, {}))

    def disconnect(self) -> None:
        self.proxy.shut()

    def reconnect(self) -> None:
        self.proxy.open()


def job(raw: bytes) -> Job:
    document = json.loads(raw)
    return Job(document["message_id"], document["args"][0], raw)


class WithRabbitMQ(Harness):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.url = url
        self.broker = RabbitmqBroker(url=self.proxy.url, confirm_delivery=True)
        self.dispatch = DramatiqDispatch(self.broker, queue=self.queue)

    def waiting(self) -> Sequence[Job]:
        found = list[bytes]()
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            while (body := channel.basic_get(self.queue)[2]) is not None:
                found.append(body)
        return [job(raw) for raw in found]  # what was not acknowledged is put back

    def failed(self) -> int:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            try:
                declared = connection.channel().queue_declare(f"{self.queue}.XQ", passive=True)
            except ChannelClosedByBroker:
                return 0
        count: int = declared.method.message_count
        return count

    def close(self) -> None:
        self.end()
        self.broker.close()
        self.proxy.shut()
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            for suffix in ("", ".DQ", ".XQ"):
                connection.channel().queue_delete(self.queue + suffix)


class WithRedis(Harness):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.client = redis.Redis.from_url(url)
        made: Any = RedisBroker  # it has no types
        self.broker = made(url=self.proxy.url, namespace=self.queue)
        self.dispatch = DramatiqDispatch(self.broker, queue=self.queue)

    def waiting(self) -> Sequence[Job]:
        found: Any = self.client.hvals(f"{self.queue}:{self.queue}.msgs")
        return [job(raw) for raw in found]

    def failed(self) -> int:
        count: Any = self.client.zcard(f"{self.queue}:{self.queue}.XQ")
        return int(count)

    def close(self) -> None:
        self.end()
        self.proxy.shut()
        for key in self.client.scan_iter(f"{self.queue}:*"):
            self.client.delete(key)
        self.client.close()


class TestDramatiqWithRabbitMQ(QueueContract):
    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = WithRabbitMQ(tmp_path_factory.mktemp("rabbitmq"), services.rabbitmq().rstrip("/"))
        yield harness
        harness.close()


class TestDramatiqWithRedis(QueueContract):
    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = WithRedis(tmp_path_factory.mktemp("redis"), services.redis())
        yield harness
        harness.close()
