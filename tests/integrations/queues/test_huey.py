"""Huey passes the contract of queues: with SQLite, and with Redis."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
import redis
from huey import (  # type: ignore[import-untyped]  # it has no types
    MemoryHuey,
    RedisHuey,
    SqliteHuey,
)
from huey.registry import Message  # type: ignore[import-untyped]  # as above

import airlock
from airlock import Boundary
from airlock.errors import SettingError
from airlock.integrations.huey import HueyDispatch, deliver_task
from airlock.testing.queues import Job, Program, QueueContract, QueueHarness
from airlock.testing.queues.worker import Note
from tests.integrations import services
from tests.integrations.queues.proxy import Proxy

ROOT = Path(__file__).parents[3]

LACKS = {
    "redelivery": "Huey takes a task off its queue before it runs it.",
    "text": "Huey pickles its tasks: the text of the envelope is inside.",
}


class Harness(QueueHarness):
    """What both storages have in common: the process, and the way in."""

    huey: Any

    def __init__(self, folder: Path, queue: str, url: str) -> None:
        super().__init__(folder)
        self.queue = queue
        instance = "tests.integrations.queues.huey_worker.huey"
        command = [sys.executable, "-m", "huey.bin.huey_consumer", instance]
        command += ["--workers=2", "--no-periodic", "--delay=0.05", "--max-delay=0.1"]
        environ = {"AIRLOCK_TEST_QUEUE": queue, "AIRLOCK_TEST_BROKER": url}
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
        task = Message(id=str(uuid4()), name="airlock.deliver", args=(text,), kwargs={})
        self.huey.storage.enqueue(self.huey.serializer.serialize(task))

    def waiting(self) -> Sequence[Job]:
        raw = self.huey.storage.enqueued_items()
        tasks = [(data, self.huey.serializer.deserialize(data)) for data in raw]
        return [Job(task.id, task.args[0], data) for data, task in tasks]

    def failed(self) -> int:
        results = map(self.huey.serializer.deserialize, self.huey.all_results().values())
        return sum(not result.metadata["retries"] for result in results)


class WithSqlite(Harness):
    def __init__(self, folder: Path) -> None:
        file = str(folder / "huey.db")
        super().__init__(folder, "airlock", file)
        self.huey = SqliteHuey("airlock", filename=file, timeout=0.5)
        self.dispatch = HueyDispatch(self.huey)
        self.lock = sqlite3.connect(file, isolation_level=None, check_same_thread=False)

    def disconnect(self) -> None:
        self.lock.execute("BEGIN EXCLUSIVE")

    def reconnect(self) -> None:
        self.lock.execute("ROLLBACK")

    def close(self) -> None:
        self.end(kill=True)
        self.lock.close()
        self.huey.storage.close()


class WithRedis(Harness):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, f"airlock{uuid4().hex[:12]}", url)
        self.client = redis.Redis.from_url(url)
        self.proxy = Proxy(url)
        self.far: Any = RedisHuey(self.queue, url=self.proxy.url)
        self.huey = RedisHuey(self.queue, url=url)
        self.dispatch = HueyDispatch(self.far)

    def disconnect(self) -> None:
        self.proxy.shut()

    def reconnect(self) -> None:
        self.proxy.open()

    def close(self) -> None:
        self.end(kill=True)
        self.proxy.shut()
        for key in self.client.scan_iter(f"*{self.queue}*"):
            self.client.delete(key)
        for client in (self.client, self.far.storage.conn, self.huey.storage.conn):
            client.close()


class TestHueyWithSqlite(QueueContract):
    lacks: ClassVar[Mapping[str, str]] = LACKS

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = WithSqlite(tmp_path_factory.mktemp("sqlite"))
        yield harness
        harness.close()


class TestHueyWithRedis(QueueContract):
    lacks: ClassVar[Mapping[str, str]] = LACKS

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = WithRedis(tmp_path_factory.mktemp("redis"), services.redis())
        yield harness
        harness.close()


def test_immediate_mode_delivers_at_once() -> None:
    """As Huey's own tasks do, in tests."""
    huey, got = MemoryHuey(immediate=True), list[Note]()
    deliver_task(huey, Boundary({Note: got.append}))
    with Boundary({}, dispatch=HueyDispatch(huey)).scope() as effects:
        effects.emit(Note("now"))
    assert got == [Note("now")]


def test_immediate_mode_delivers_async_follow_ups_too() -> None:
    """However long the chain is, though each link waits for the next one."""
    huey, got = MemoryHuey(immediate=True), list[str]()

    async def shorten(note: Note) -> None:
        await asyncio.sleep(0)
        got.append(note.label)
        if len(note.label) > 1:
            airlock.emit(Note(note.label[1:]))

    boundary = Boundary({Note: shorten}, dispatch=HueyDispatch(huey))
    deliver_task(huey, boundary)
    with boundary.scope() as effects:
        effects.emit(Note("abcdefghijkl"))
    assert got == ["abcdefghijkl"[at:] for at in range(12)]


def test_immediate_mode_delivers_in_an_event_loop() -> None:
    """As in a test of an async application."""
    huey, got = MemoryHuey(immediate=True), list[Note]()

    async def take(note: Note) -> None:
        await asyncio.sleep(0)
        got.append(note)
        if note.label == "first":
            airlock.emit(Note("second"))

    async def main() -> None:
        async with boundary.scope() as effects:
            effects.emit(Note("first"))

    boundary = Boundary({Note: take}, dispatch=HueyDispatch(huey))
    deliver_task(huey, boundary)
    asyncio.run(main())
    assert got == [Note("first"), Note("second")]


def test_immediate_mode_without_the_task_is_refused() -> None:
    """Nothing would ever run it."""
    with (
        pytest.raises(Exception, match="there is no task") as caught,
        Boundary({}, dispatch=HueyDispatch(MemoryHuey(immediate=True))).scope() as effects,
    ):
        effects.emit(Note("never"))
    assert caught.group_contains(SettingError)


@pytest.mark.parametrize("name", ["deliver", ".deliver", "shop.", ""])
def test_a_name_that_huey_can_give_to_no_task_is_refused(name: str) -> None:
    """It would be registered under another one, and every intent would be sent to nobody."""
    for call in (
        lambda: HueyDispatch(MemoryHuey(), task=name),
        lambda: deliver_task(MemoryHuey(), Boundary({}), name=name),
    ):
        with pytest.raises(SettingError, match=r"two names with a dot .*\n?.*'shop.deliver'"):
            call()


@pytest.mark.parametrize("name", ["shop.deliver", "shop.effects.deliver"])
def test_a_name_with_a_dot_is_that_of_the_task(name: str) -> None:
    """In the dispatch and in the consumer."""
    huey, got = MemoryHuey(), list[Note]()
    deliver_task(huey, Boundary({Note: got.append}), name=name)
    with Boundary({}, dispatch=HueyDispatch(huey, task=name)).scope() as effects:
        effects.emit(Note("there"))
    huey.execute(huey.dequeue())
    assert got == [Note("there")]
