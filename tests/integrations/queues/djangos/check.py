"""The contract for the queues of Django, in a process that has the settings for one of them."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from airlock import Boundary, Options
from airlock.emissions.report import Report
from airlock.errors import UndeclaredHereError, UnsupportedOptionError
from airlock.integrations.base import Receiver
from airlock.integrations.base.receiver import unregistered
from airlock.testing.queues import Job, QueueContract, QueueHarness
from airlock.testing.queues.worker import Note
from airlock.wire import Wire
from tests.integrations.queues.djangos.harness import DjangoHarness
from tests.integrations.queues.proxy import Proxy


def set_up() -> Proxy | None:
    """Django, behind a door where there is something that can have one."""
    proxy = None
    for what in ("BROKER", "DATABASE"):
        url = os.environ.get(f"AIRLOCK_TEST_WORKERS_{what}", "")
        if "://" in url and proxy is None:
            proxy = Proxy(url)
            url = proxy.url
        if url:
            os.environ[f"AIRLOCK_TEST_{what}"] = url
    django.setup()
    call_command("migrate", verbosity=0)
    return proxy


PROXY = set_up()


class DjangoTasks(DjangoHarness):
    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, PROXY, "db_worker", "--interval=0.05", "--no-startup-delay", "--no-reload"
        )
        from airlock.integrations.django_tasks import DjangoTasksDispatch

        self.dispatch = DjangoTasksDispatch()

    def put(self, text: str) -> None:
        from airlock.integrations.django_tasks import deliver

        deliver.enqueue(text)

    def waiting(self) -> Sequence[Job]:
        return [
            Job(None, row.args_kwargs["args"][0], json.dumps(row.args_kwargs).encode())
            for row in self.results().ready()
        ]

    def failed(self) -> int:
        return len(self.results().failed())

    def results(self) -> Any:
        from django_tasks_db.models import DBTaskResult

        return DBTaskResult.objects


class DjangoQ(DjangoHarness):
    """Where delays are looked at more often: the cluster does that twice a minute."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PROXY, "qcluster")
        from airlock.integrations.django_q import DjangoQDispatch

        self.dispatch = DjangoQDispatch()
        self.over = threading.Event()
        self.scheduler = threading.Thread(target=self.schedule, daemon=True)
        self.scheduler.start()

    def schedule(self) -> None:
        from django_q.scheduler import scheduler  # type: ignore[import-untyped]  # no types

        while not self.over.wait(0.3):
            scheduler()
        connection.close()

    def put(self, text: str) -> None:
        from django_q.tasks import async_task  # type: ignore[import-untyped]  # no types

        async_task("airlock.integrations.django_q.deliver", text)

    def waiting(self) -> Sequence[Job]:
        from django_q.brokers import get_broker  # type: ignore[import-untyped]  # no types
        from django_q.models import OrmQ  # type: ignore[import-untyped]  # no types
        from django_q.signing import SignedPackage  # type: ignore[import-untyped]  # no types

        broker: Any = get_broker()
        if settings.ENGINE == "redis":
            raw = [item.decode() for item in broker.connection.lrange(broker.list_key, 0, -1)]
        else:
            raw = [row.payload for row in OrmQ.objects.all()]
        tasks = [(item, SignedPackage.loads(item)) for item in raw]
        return [Job(task["name"], task["args"][0], item.encode()) for item, task in tasks]

    def failed(self) -> int:
        from django_q.models import Failure

        if settings.ENGINE == "redis":
            return len(Failure.objects.all())
        return sum(
            failure.attempt_count >= 3 or "WireError" in failure.result
            for failure in Failure.objects.all()
        )

    def close(self) -> None:
        from django_q.brokers import get_broker

        self.over.set()
        self.scheduler.join()
        get_broker().delete_queue()


HARNESSES: dict[str, Any] = {"django_tasks": DjangoTasks, "orm": DjangoQ, "redis": DjangoQ}
PICKLES = "django-q2 signs and pickles its tasks: the text of the envelope is inside."
LACKS = {
    "django_tasks": {
        "ids": "The backend makes the ids of its tasks.",
        "retries": "db_worker runs a task once.",
        "attempts": "db_worker runs a task once.",
        "redelivery": "db_worker leaves the task of a killed worker as running.",
    },
    "orm": {"text": PICKLES},
    "redis": {
        "text": PICKLES,
        "retries": "With Redis, django-q2 runs a task once.",
        "attempts": "With Redis, django-q2 runs a task once.",
        "redelivery": "With Redis, django-q2 takes a task off its queue before it runs it.",
    },
}


class TestQueue(QueueContract):
    lacks: ClassVar[Mapping[str, str]] = LACKS[settings.ENGINE]

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness: Any = HARNESSES[settings.ENGINE](tmp_path_factory.mktemp("queue"))
        yield harness
        harness.end(kill=True)
        if isinstance(harness, DjangoQ):
            harness.close()
        connection.close()


class TestBesides:
    """What the queues of Django have to do beside the contract."""

    def test_an_async_flush_awaits_the_queue(self, tmp_path: Path) -> None:
        """Django's databases refuse to be used in an event loop."""
        harness = HARNESSES[settings.ENGINE](tmp_path)
        sent = Note("async")

        async def flush() -> Report:
            async with Boundary({}, dispatch=harness.dispatch).scope() as effects:
                effects.emit(sent)
            return effects.report

        report = asyncio.run(flush())
        assert [entry.outcome.word for entry in report] == ["handed over"]
        texts = [str(job.text) for job in harness.waiting()]
        if isinstance(harness, DjangoQ):
            harness.close()
        assert any(sent == Wire().decode(text).intent for text in texts)

    @pytest.mark.skipif(settings.ENGINE != "django_tasks", reason="there is no immediate one")
    def test_the_immediate_backend_delivers_at_once(self) -> None:
        """And refuses a delay, which it would ignore."""
        from airlock.integrations.django_tasks import DjangoTasksDispatch, deliver_task

        got = list[Note]()
        deliver_task(Boundary({Note: got.append}))
        boundary = Boundary({}, dispatch=DjangoTasksDispatch(backend="immediate"))
        with boundary.scope() as effects:
            effects.emit(Note("now"))
        assert got == [Note("now")]
        with pytest.raises(UnsupportedOptionError), boundary.scope() as effects:
            effects.emit(Note("later"), Options(delay=timedelta(seconds=1)))
        assert got == [Note("now")]

    @pytest.mark.skipif(settings.ENGINE != "django_tasks", reason="others have their own")
    def test_without_deliver_task_nothing_is_delivered(self) -> None:
        """An app that forgot to say what delivers is told; a backend without delays can only fail."""
        from airlock.integrations import django_tasks

        django_tasks._Worker.receiver = Receiver(unregistered("Django Tasks"))
        task = SimpleNamespace(get_backend=lambda: SimpleNamespace(supports_defer=False))
        function: Any = django_tasks.deliver.func
        context = SimpleNamespace(attempt=1, task_result=SimpleNamespace(task=task, id="1"))
        with pytest.raises(
            UndeclaredHereError, match=r"Call deliver_task\(boundary\) in ready\(\)"
        ):
            function(context, "text")
