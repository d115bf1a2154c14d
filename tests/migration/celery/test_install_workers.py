"""Buffered calls, sent through real brokers to workers in processes of their own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("celery")

from celery import Celery, chain, chord, group

from airlock import Boundary
from airlock.integrations.celery import CallTask
from airlock.migration.celery import install
from tests.integrations import services
from tests.migration.celery.install_program import boundary_of, make_app

ROOT = Path(__file__).parents[3]
PROGRAM = "tests.migration.celery.install_program"
SOON = 60  # seconds, on a busy machine


class Failure(Exception):  # noqa: N818 - what goes wrong in a block
    """It goes wrong."""


class Shop:
    """The sender's side, with a worker at the other."""

    def __init__(self, broker: str, backend: str, journal: str) -> None:
        from redis import Redis

        self.name = f"airlock-install-{secrets.token_hex(4)}"
        self.said = {"broker": broker, "backend": backend, "name": self.name, "journal": journal}
        self.app: Celery = make_app(**self.said)
        self.boundary: Boundary = boundary_of(self.app)
        self._redis: Any = Redis.from_url(journal)

    def task(self, name: str) -> Any:
        return self.app.tasks[f"shop.{name}"]

    def ran(self) -> list[dict[str, Any]]:
        """What tasks wrote, in order."""
        return [json.loads(line) for line in self._redis.lrange(f"{self.name}:ran", 0, -1)]

    def run_of(self, task_id: str, retries: int = 0, within: int = SOON) -> dict[str, Any]:
        """What a task wrote, at a retry if so asked; waits for it.

        Of a task that retries this is no result: its processes store theirs side by side, and in a
        database without row locks Celery's RETRY of one may end up beside the result of the next.
        """
        end = time.monotonic() + within
        while time.monotonic() < end:
            for line in self.ran():
                if line["id"] == task_id and line["retries"] == retries:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"{task_id} did not run: {self.ran()}")

    def drained(self) -> None:
        """Wait until the worker has done everything that was sent before."""
        self.run_of(self.task("add").apply_async((0,)).id, within=3 * SOON)

    def clean(self) -> None:
        for line in self.ran():
            self._redis.delete(f"celery-task-meta-{line['id']}")
        self._redis.delete(self.name, f"{self.name}:ran")
        with self.app.connection_for_write() as connection:
            channel: Any = connection.default_channel
            channel.queue_delete(self.name)
            if connection.transport.driver_type == "amqp":
                channel.exchange_delete(self.name)
        for key in self._redis.scan_iter(f"*{self.name}*"):
            self._redis.delete(key)
        self._redis.close()
        self.app.close()


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """RabbitMQ with results in a database: its chords are released by a task of Celery's own."""
    redis = services.redis()
    if request.param == "redis":
        made = Shop(redis, redis, redis)
    else:
        folder = tmp_path_factory.mktemp("results")
        made = Shop(services.rabbitmq(), f"db+sqlite:///{folder}/results.sqlite", redis)
    options = [
        "-c",
        "2",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "-l",
        "WARNING",
    ]
    worker = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", PROGRAM, "worker", *options],
        cwd=ROOT,
        env=os.environ | {"AIRLOCK_TEST_CELERY": json.dumps(made.said)},
    )
    try:
        made.drained()
        yield made
    finally:
        worker.terminate()
        try:
            worker.wait(SOON)
        finally:
            worker.kill()
            worker.wait()
            made.clean()


def test_a_call_runs_after_the_scope_under_the_id_it_was_given(shop: Shop) -> None:
    with install(shop.app, mode="buffer", boundary=shop.boundary):
        with shop.boundary.scope() as effects:
            result = shop.task("add").delay(40, 2)
            time.sleep(0.3)
            assert result.id not in [line["id"] for line in shop.ran()]
        assert effects.report.delivered == [CallTask(shop.task("add").s(40, 2))]
        assert result.get(timeout=SOON) == 42
        assert shop.run_of(result.id)["args"] == [40, 2]
        assert (result.ready(), result.state) == (True, "SUCCESS")


def test_options_are_kept(shop: Shop) -> None:
    with install(shop.app, mode="buffer", boundary=shop.boundary), shop.boundary.scope():
        result = shop.task("add").apply_async(
            (1,), countdown=1, expires=60, priority=3, headers={"tenant": "acme"}
        )
    released = time.time()
    line = shop.run_of(result.id)
    assert line["at"] - released >= 0.9
    assert line["eta"] is not None
    assert line["expires"] is not None
    assert (line["tenant"], line["priority"]) == ("acme", 3)


def test_a_chain_runs_link_by_link_under_the_ids_it_was_given(shop: Shop) -> None:
    with install(shop.app, mode="buffer", boundary=shop.boundary):
        add = shop.task("add")
        with shop.boundary.scope():
            result = chain(add.s(1), add.s(2), add.s(3))()
            assert shop_ids(result).isdisjoint(line["id"] for line in shop.ran())
        assert result.get(timeout=SOON) == 6
        assert result.parent.parent.get(timeout=SOON) == 1
        for task_id in shop_ids(result):
            shop.run_of(task_id)


def test_a_group_runs_under_the_ids_it_was_given(shop: Shop) -> None:
    with install(shop.app, mode="buffer", boundary=shop.boundary):
        with shop.boundary.scope():
            result = group(shop.task("add").s(n, 1) for n in range(3))()
        assert result.get(timeout=SOON) == [1, 2, 3]
        assert [shop.run_of(one.id)["args"] for one in result.results] == [[0, 1], [1, 1], [2, 1]]


def test_a_chord_runs_under_the_ids_it_was_given(shop: Shop) -> None:
    with install(shop.app, mode="buffer", boundary=shop.boundary):
        with shop.boundary.scope():
            header = [shop.task("add").s(n) for n in (1, 2, 3)]
            result: Any = chord(header, shop.task("total").s())()
        assert result.get(timeout=SOON) == 6
        assert shop.run_of(result.id)["task"] == "shop.total"
        assert {shop.run_of(one.id)["args"][0] for one in result.parent.results} == {1, 2, 3}


def test_a_chain_with_a_group_in_it_runs_under_the_ids_it_was_given(shop: Shop) -> None:
    add, total = shop.task("add"), shop.task("total")
    with install(shop.app, mode="buffer", boundary=shop.boundary):
        with shop.boundary.scope():
            result = (add.s(1) | group(add.s(1), add.s(2)) | total.s() | add.s(4)).delay()
        assert result.get(timeout=SOON) == 9
        assert shop.run_of(result.id)["args"] == [5, 4]
        assert shop.run_of(result.parent.id)["args"] == [[2, 3]]


def test_a_callback_is_called(shop: Shop) -> None:
    add = shop.task("add")
    with install(shop.app, mode="buffer", boundary=shop.boundary):
        with shop.boundary.scope():
            callback = add.s(100).set(task_id=f"callback-{secrets.token_hex(4)}")
            add.apply_async((1,), link=callback)
        assert shop.run_of(callback.id)["args"] == [1, 100]


def test_what_is_discarded_never_runs(shop: Shop) -> None:
    add, results = shop.task("add"), list[Any]()
    installed = install(shop.app, mode="buffer", boundary=shop.boundary)
    with installed, suppress(Failure), shop.boundary.scope():
        results += [add.delay(1), chain(add.s(1), add.s(2))()]
        results.append(chord([add.s(1), add.s(2)], shop.task("total").s())())
        raise Failure
    time.sleep(0.5)
    shop.drained()
    ids = {one.id for one in results[-1].parent.results}.union(*map(shop_ids, results))
    assert len(ids) == 7
    assert ids.isdisjoint(line["id"] for line in shop.ran())


def test_a_retry_in_a_worker_is_sent_as_ever(shop: Shop) -> None:
    """The worker buffers too, and a retry leaves its task with an exception."""
    sent = shop.task("flaky").delay(2)
    shop.run_of(sent.id, retries=2)
    assert [line["retries"] for line in shop.ran() if line["id"] == sent.id] == [0, 1, 2]


def test_a_task_that_is_replaced_in_a_worker_is_so_as_ever(shop: Shop) -> None:
    assert shop.task("replaced").delay().get(timeout=SOON) == 3


def test_what_a_task_calls_is_sent_if_it_succeeds(shop: Shop) -> None:
    child = shop.task("parent").delay().get(timeout=SOON)
    assert shop.run_of(child)["args"] == [40, 2]


def test_what_a_task_calls_is_not_sent_if_it_fails(shop: Shop) -> None:
    failed = shop.task("parent").delay(fail=True)
    with pytest.raises(ValueError, match="on purpose"):
        failed.get(timeout=SOON)
    shop.drained()
    [child] = shop.run_of(failed.id)["args"]
    assert child not in [line["id"] for line in shop.ran()]


def test_what_is_called_after_a_failure_is_sent_by_the_worker_as_ever(shop: Shop) -> None:
    """Though what the failed task called itself is dropped."""
    errback = shop.task("total").s().set(task_id=f"errback-{secrets.token_hex(4)}")
    failed = shop.task("parent").apply_async(kwargs={"fail": True}, link_error=errback)
    end = time.monotonic() + SOON
    while time.monotonic() < end and not ran_with(shop, failed.id):
        time.sleep(0.05)
    assert [line["task"] for line in ran_with(shop, failed.id)] == ["shop.total"]


def test_a_link_of_a_chain_is_sent_by_the_worker_as_ever(shop: Shop) -> None:
    add = shop.task("add")
    assert chain(add.s(1), add.s(2))().get(timeout=SOON) == 3


def ran_with(shop: Shop, argument: str) -> list[dict[str, Any]]:
    """What tasks wrote that had an argument."""
    return [line for line in shop.ran() if line["args"] == [argument]]


def shop_ids(result: Any) -> set[str]:
    """Of a result and its parents."""
    return set() if result is None else {result.id, *shop_ids(result.parent)}
