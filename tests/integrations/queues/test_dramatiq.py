"""Dramatiq passes the contract of queues: with RabbitMQ, and with Redis."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pika  # type: ignore[import-untyped]  # it has no types
import pytest
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from pika.exceptions import ChannelClosedByBroker  # type: ignore[import-untyped]  # as above

from airlock import Boundary
from airlock.integrations.dramatiq import DramatiqDispatch, deliver_task
from airlock.testing.queues import Job, Program, QueueContract, QueueHarness
from airlock.testing.queues.worker import Note
from airlock.wire import Envelope, Wire
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
        self.end(kill=True)
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
        self.end(kill=True)
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


class Callbacks:
    """A worker with actors that are called back, and note it."""

    def __init__(self, boundary: Boundary, **options: Any) -> None:
        self.broker = StubBroker()
        self.called: list[tuple[str, str, Any]] = []
        for name in ("on_failure", "on_success"):
            self.declare(name)
        self.deliver = deliver_task(
            self.broker, boundary, on_failure="on_failure", on_success="on_success", **options
        )

    def declare(self, name: str) -> None:
        @dramatiq.actor(broker=self.broker, actor_name=name, queue_name="callbacks")
        def note(message: Any, told: Any) -> None:
            self.called.append((name, message["message_id"], told))

    def send(self, text: str) -> str:
        return self.deliver.send(text).message_id

    def work(self, *, until: Callable[[], bool]) -> None:
        worker = dramatiq.Worker(self.broker, worker_timeout=10, worker_threads=1)
        worker.start()
        try:
            deadline = time.monotonic() + 20
            while not until() and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            worker.stop()
        assert until()


class OtherError(Exception):
    """What a handler may fail with."""


def fail(note: Note) -> None:
    raise OtherError(note.label)


class TestCallbacks:
    def test_on_failure_hears_of_what_can_never_be_read(self) -> None:
        """At once, without retries; the message is among the dead letters."""
        callbacks = Callbacks(Boundary({}), max_retries=5, min_backoff=60_000)
        sent = callbacks.send("garbage")
        callbacks.work(until=lambda: bool(callbacks.called))
        assert [called[:2] for called in callbacks.called] == [("on_failure", sent)]
        assert callbacks.called[0][2]["type"] == "WireError"
        assert [letter.message_id for letter in callbacks.broker.dead_letters] == [sent]

    @pytest.mark.parametrize("throws", [OtherError, (OtherError, KeyError)])
    def test_errors_that_are_not_to_be_retried_may_be_added(self, throws: Any) -> None:
        """To that one."""
        callbacks = Callbacks(
            Boundary({Note: fail}), throws=throws, max_retries=5, min_backoff=60_000
        )
        sent = [callbacks.send(Wire().encode(Envelope(Note("broken"))).decode())]
        sent.append(callbacks.send("garbage"))
        callbacks.work(until=lambda: len(callbacks.called) == 2)
        assert sorted(called[1] for called in callbacks.called) == sorted(sent)
        assert {called[0] for called in callbacks.called} == {"on_failure"}

    def test_what_is_kept_is_no_success(self, caplog: pytest.LogCaptureFixture) -> None:
        """Neither one that on_success hears of, nor one that a pipe goes on with."""
        boundary = Boundary({Note: lambda note: None})
        callbacks = Callbacks(boundary, recheck=timedelta(milliseconds=20))
        unknown = (
            Wire().encode(Envelope(Note("later"))).decode().replace("queues.note", "queues.unknown")
        )
        callbacks.declare("piped")
        piped = callbacks.broker.get_actor("piped").message({"message_id": ""})
        callbacks.broker.enqueue((callbacks.deliver.message(unknown) | piped).messages[0])
        callbacks.work(until=lambda: caplog.text.count("is kept") > 2)
        assert callbacks.called == []
        sent = callbacks.send(Wire().encode(Envelope(Note("now"))).decode())
        callbacks.work(until=lambda: bool(callbacks.called))
        assert callbacks.called == [("on_success", sent, None)]
