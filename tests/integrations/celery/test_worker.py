"""``deliver_task`` and ``effects_tasks`` in workers that are processes, and are killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from airlock import Boundary, intent
from airlock.integrations.celery import CeleryDispatch
from airlock.testing.queues import Program
from tests.integrations import services
from tests.integrations.celery.brokers import private, texts, until
from tests.integrations.celery.vocabulary import Note

ROOT = Path(__file__).parents[3]
MODULE = "tests.integrations.celery.programs.working"

Service = Callable[[], str]


@intent(kind="tests.celery.slow")
class Slow:
    text: str
    seconds: float


class Worker:
    """A worker, what it has logged, and the way to it."""

    def __init__(self, folder: Path, url: str, app: Celery, queue: str) -> None:
        self.folder = folder
        self.app = app
        self.queue = queue
        self.environ = {
            "AIRLOCK_TEST_FOLDER": str(folder),
            "AIRLOCK_TEST_QUEUE": queue,
            "AIRLOCK_TEST_BROKER": url,
        }
        app.conf.update(result_backend=folder.as_uri())
        if url.startswith("redis"):
            app.conf.broker_transport_options = {"global_keyprefix": f"{queue}:"}
        self.dispatch = CeleryDispatch(app, queue=queue)
        self.boundary = Boundary({}, dispatch=self.dispatch)
        self.program: Program | None = None

    def start(self, pool: str = "prefork", processes: int = 2, **options: Any) -> Program:
        command = [sys.executable, "-m", "celery", "-A", MODULE, "worker", f"--pool={pool}"]
        command += [f"--concurrency={processes}", f"--hostname={self.queue}@%h"]
        command += [
            "--without-mingle",
            "--without-gossip",
            "--without-heartbeat",
            "--loglevel=INFO",
        ]
        self.environ["AIRLOCK_TEST_OPTIONS"] = json.dumps(options)
        self.program = Program(command, self.folder, self.environ, cwd=ROOT)
        self.program.start({})
        return self.program

    def emit(self, *intents: Any) -> None:
        with self.boundary.scope() as effects:
            for value in intents:
                effects.emit(value)

    def call(self, task: str, *args: Any) -> Any:
        """Run a task of the program, and give its result."""
        return self.app.send_task(f"{MODULE}.{task}", args, queue=self.queue)

    def told(self, event: str, text: str | None = None) -> list[dict[str, Any]]:
        """What the program has logged."""
        log = self.folder / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line for line in found if line["event"] == event and text in (None, line["text"])]

    def wait(self, event: str, text: str | None = None, count: int = 1) -> list[dict[str, Any]]:
        output = "" if self.program is None else self.program.output
        until(lambda: len(self.told(event, text)) >= count, f"{count} {event} {text}\n{output}")
        return self.told(event, text)


@pytest.fixture
def service() -> Service:
    return services.rabbitmq


@pytest.fixture
def worker(service: Service, tmp_path: Path) -> Iterator[Worker]:
    url = service()
    with private(url) as (app, queue):
        made = Worker(tmp_path, url, app, queue)
        yield made
        if made.program is not None:
            made.program.kill()  # nothing is left for it to do: to ask it takes seconds
        made.dispatch.close()
        if url.startswith("redis"):
            with app.connection_for_write() as connection:
                client: Any = connection.default_channel
                for key in client.client.scan_iter(f"{queue}:*"):
                    client.client.delete(key)


# -- processes ----------------------------------------------------------------------------------------


def test_each_pool_process_makes_and_opens_its_own_boundary(worker: Worker) -> None:
    """Clients and connections are not shared with the parent; a stop closes them."""
    program = worker.start()
    worker.emit(*(Note(f"{n}") for n in range(20)))
    pids = {line["pid"] for line in worker.wait("delivered", count=20)}
    opened = [line["pid"] for line in worker.told("opened")]
    assert program._process is not None
    assert sorted(opened) == sorted(pids), "once in each process that delivers"
    assert program._process.pid not in opened
    assert {line["mail"] for line in worker.told("delivered")} == {"mail"}
    program.stop()
    assert sorted(line["pid"] for line in worker.told("closed")) == sorted(opened)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_async_handlers_have_one_loop_in_each_process(worker: Worker, pool: str) -> None:
    """Their resources too."""
    program = worker.start(pool, awaits=True)
    worker.emit(*(Note(f"{n}") for n in range(20)))
    delivered = worker.wait("delivered", count=20)
    program.stop()
    places = {(line["pid"], line["loop"]) for line in delivered}
    assert len(places) == len({pid for pid, _ in places})
    for event in ("opened", "closed"):
        told = [(line["pid"], line["loop"]) for line in worker.told(event)]
        assert sorted(told) == sorted(places), event


def test_a_time_limit_cancels_an_async_handler(worker: Worker) -> None:
    program = worker.start(awaits=True, soft_time_limit=1)
    worker.emit(Slow("a", 60))
    worker.wait("cancelled", "a")
    until(lambda: "SoftTimeLimitExceeded" in program.output, "the task fails by the limit")
    worker.emit(Note("b"))
    worker.wait("delivered", "b")
    assert not worker.told("delivered", "after a")


def test_a_time_limit_interrupts_the_flush_of_a_task(worker: Worker) -> None:
    """The task has succeeded by then; what is left is no error of the flush's own."""
    program = worker.start(awaits=True, inline=True)
    result = worker.call("hurried", "a", "b")
    worker.wait("cancelled", "a")
    until(lambda: "SoftTimeLimitExceeded" in program.output, "the limit is logged")
    worker.call("working_for", "acme", "c")
    worker.wait("delivered", "c")
    assert result.get(60) == "done"
    assert worker.told("begun", "b") == []
    assert worker.told("delivered", "after a") == []
    assert "FlushError" not in program.output


def test_a_context_crosses_to_the_worker(worker: Worker) -> None:
    """From its task, and back from the queue."""
    worker.start()
    worker.call("working_for", "acme", "a")
    (told,) = worker.wait("delivered", "a")
    assert told["tenant"] == "acme"


@pytest.mark.parametrize("service", [services.rabbitmq, services.redis])
def test_a_pool_process_killed_in_a_handler_loses_nothing(worker: Worker) -> None:
    """The message goes back, and another process has it, with the same id."""
    worker.start()
    worker.emit(Slow("a", 60))
    (begun,) = worker.wait("begun", "a")
    os.kill(begun["pid"], signal.SIGKILL)
    worker.wait("ended", "a")
    first, second = worker.told("begun", "a")
    assert first["id"] == second["id"]
    assert first["pid"] != second["pid"]
    worker.wait("delivered", "after a")
    assert len(worker.told("delivered", "after a")) == 1, "those of the killed attempt are gone"


def test_a_worker_killed_in_a_handler_loses_nothing(worker: Worker) -> None:
    """All of it: the next one has the message."""
    program = worker.start()
    worker.emit(Slow("a", 60))
    worker.wait("begun", "a")
    program.kill()
    worker.start()
    worker.wait("ended", "a")
    first, second = worker.told("begun", "a")
    assert first["id"] == second["id"]


def test_a_worker_that_is_asked_to_stop_ends_its_handler(worker: Worker) -> None:
    """And sends the follow-ups; nothing is done twice."""
    program = worker.start()
    worker.emit(Slow("a", 2))
    worker.wait("begun", "a")
    program.stop()
    assert len(worker.told("ended", "a")) == 1
    (sent,) = texts(worker.app, worker.queue)
    assert '"text":"after a"' in sent


def test_a_handler_that_takes_too_long_fails(worker: Worker) -> None:
    """Celery's time limits are those of deliveries; the follow-ups of such an attempt are dropped."""
    program = worker.start(soft_time_limit=1)
    worker.emit(Slow("a", 60), Note("b"))
    until(lambda: "raised unexpected: SoftTimeLimitExceeded" in program.output, "it fails")
    worker.wait("delivered", "b")
    assert worker.told("ended") == []
    assert worker.told("delivered", "after a") == []


def test_a_hard_time_limit_is_the_end_of_a_delivery(worker: Worker) -> None:
    """Celery acknowledges the message of a task that it kills for that, which the page says."""
    program = worker.start(processes=1, time_limit=2)
    worker.emit(Slow("a", 60))
    until(lambda: "Hard time limit (2s) exceeded" in program.output, "it is killed")
    worker.emit(Note("b"))
    worker.wait("delivered", "b")
    assert len(worker.told("begun", "a")) == 1
    program.stop()
    assert texts(worker.app, worker.queue) == []


def test_while_the_boundary_cannot_be_made_everything_is_kept(worker: Worker) -> None:
    """The intent is not to blame: that counts as no attempt."""
    (worker.folder / "broken").touch()
    program = worker.start(max_retries=0)
    worker.emit(Note("a"))
    until(lambda: program.output.count("looks at it again in 1 seconds") >= 2, "it is kept")
    assert "ConnectionError: no mail server" in program.output
    (worker.folder / "broken").unlink()
    (told,) = worker.wait("delivered", "a")
    assert told["attempt"] == 1


@pytest.mark.parametrize("pool", ["solo", "threads", "gevent"])
def test_other_pools(worker: Worker, pool: str) -> None:
    """There the boundary is made in the process of the worker, and closed with it."""
    program = worker.start(pool)
    worker.emit(*(Note(f"{n}") for n in range(3)))
    worker.wait("delivered", count=3)
    result = worker.call("work", "task")
    worker.wait("delivered", "task 1")
    assert result.get(10) == 1
    program.stop()
    assert len(worker.told("opened")) == len(worker.told("closed")) == 1


# -- tasks --------------------------------------------------------------------------------------------


def test_of_a_task_that_is_retried_only_what_succeeded_goes_out(worker: Worker) -> None:
    """Twice it fails, and is sent to the broker again."""
    worker.start()
    assert worker.call("work", "a", 2).get(90) == 3
    worker.wait("delivered", "a 3")
    assert [line["text"] for line in worker.told("delivered")] == ["a 3"]


def test_of_a_task_that_fails_nothing_goes_out(worker: Worker) -> None:
    """After all its attempts."""
    worker.start()
    result = worker.call("work", "a", 100)
    assert isinstance(result.get(90, propagate=False), Exception)
    worker.call("work", "b")
    worker.wait("delivered", "b 1")
    assert [line["text"] for line in worker.told("delivered")] == ["b 1"]
    assert len(worker.told("worked", "a")) == 4


def test_a_broker_that_is_down_at_the_end_of_a_task_fails_nothing(worker: Worker) -> None:
    """The task has done its work and stays done; the log says what was not sent."""
    program = worker.start()
    result = worker.call("work", "a", 0, True)
    assert result.get(90) == 1
    worker.wait("delivered", "a 1")
    told = f"effects of task {MODULE}.work[{result.id}] failed"
    until(lambda: told in program.output, "it is told")
    assert "nothing can be handed over to CeleryDispatch('nowhere'" in program.output
    assert len(worker.told("worked", "a")) == 1
    assert result.state == "SUCCESS"


def test_a_task_that_was_replaced_keeps_what_it_emitted(worker: Worker) -> None:
    """It did not fail: it handed the rest of its work over."""
    worker.start()
    worker.call("replaced", "a")
    worker.wait("delivered", "a")
    worker.wait("delivered", "instead of a 1")
