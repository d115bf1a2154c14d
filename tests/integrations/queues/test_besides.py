"""What the integrations of queues have in common, beside the contract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from huey import MemoryHuey  # type: ignore[import-untyped]  # it has no types

from airlock import Boundary
from airlock.integrations.dramatiq import DramatiqDispatch
from airlock.integrations.dramatiq import deliver_task as dramatiq_task
from airlock.integrations.huey import HueyDispatch
from airlock.integrations.huey import deliver_task as huey_task
from airlock.testing.queues.worker import Note
from airlock.wire import Wire

MISSING = [
    ("dramatiq", "dramatiq", "Dramatiq", "dramatiq"),
    ("huey", "huey", "Huey", "huey"),
    ("django_q", "django_q", "django-q2", "django-q"),
    ("django_tasks", "django", "Django 6 or django-tasks", "django-tasks"),
]


@pytest.mark.parametrize(("module", "package", "name", "extra"), MISSING)
def test_a_missing_package_names_its_extra(
    module: str, package: str, name: str, extra: str
) -> None:
    """And says what to run."""
    program = f"import sys; sys.modules[{package!r}] = None; import airlock.integrations.{module}"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert f"airlock.integrations.{module} needs {name}, which is not installed." in ran.stderr
    assert f"pip install 'airlock-effects[{extra}]'" in ran.stderr


def dramatiq_texts(broker: StubBroker) -> list[str]:
    queue = broker.queues["default"]
    return [dramatiq.Message.decode(queue.get()).args[0] for _ in range(queue.qsize())]


def test_headers_are_injected() -> None:
    """Such as those of a trace; they are in the message, and not in the report's intents."""
    broker, huey = StubBroker(), MemoryHuey()

    def inject(headers: dict[str, str]) -> None:
        headers["traceparent"] = "00-1-2-01"

    for dispatch in (DramatiqDispatch(broker, inject=inject), HueyDispatch(huey, inject=inject)):
        with Boundary({}, dispatch=dispatch).scope(headers={"tenant": "acme"}) as effects:
            effects.emit(Note("a"))
    task = huey.serializer.deserialize(huey.storage.dequeue())
    for text in (*dramatiq_texts(broker), task.args[0]):
        headers = Wire().decode(text).headers
        assert headers == {"tenant": "acme", "traceparent": "00-1-2-01"}


WITH_DRAMATIQ = """
from dramatiq.brokers.stub import StubBroker
import dramatiq
from airlock.integrations.dramatiq import deliver_task
broker = StubBroker()
deliver_task(broker, PATH)
broker.enqueue(dramatiq.Message("default", "airlock.deliver", (TEXT,), {}, {}))
worker = dramatiq.Worker(broker, worker_timeout=10)
worker.start()
broker.join("default", timeout=10_000)
worker.join()
worker.stop()
"""
WITH_HUEY = """
from huey import MemoryHuey
from airlock.integrations.huey import deliver_task
huey = MemoryHuey()
deliver_task(huey, PATH)(TEXT)
huey.execute(huey.dequeue())
"""
TEXT = (
    '{"airlock":1,"id":"00000000-0000-0000-0000-00000000002a","kind":"tests.lazily",'
    '"version":1,"data":{"number":42}}'
)


@pytest.mark.parametrize("program", [WITH_DRAMATIQ, WITH_HUEY], ids=["dramatiq", "huey"])
@pytest.mark.parametrize("name", ["boundary", "make"])
def test_a_boundary_may_be_an_import_path(program: str, name: str) -> None:
    """It is imported before the message is read, as it declares the intents of messages."""
    end = "from tests.integrations.queues.lazily import GOT; print(GOT)"
    start = f"PATH, TEXT = 'tests.integrations.queues.lazily:{name}', {TEXT!r}"
    ran = subprocess.run(
        [sys.executable, "-c", f"{start}\n{program}\n{end}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout == "[Lazy(number=42)]\n", ran.stderr


@pytest.mark.parametrize("task", [dramatiq_task, huey_task])
def test_what_is_no_boundary_is_refused_at_once(task: Callable[..., Any]) -> None:
    """And not when the first message comes."""
    queue = StubBroker() if task is dramatiq_task else MemoryHuey()
    with pytest.raises(TypeError, match="Give a Boundary"):
        task(queue, 42)
