"""``deliver_task``: what a message is when it goes back to the broker, and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.exceptions import Reject, Retry
from celery.signals import before_task_publish

import airlock
from airlock import Boundary
from airlock.integrations.celery import CeleryDispatch, deliver_task
from airlock.wire import Envelope, Wire
from tests.integrations.celery.vocabulary import Note

DOWN = "amqp://guest:guest@127.0.0.1:1//"


@airlock.intent(kind="tests.celery.unhandled")
class Unhandled:
    text: str


def fail(_: object) -> None:
    raise ConnectionError("no mail today")


def rejecting(_: object) -> None:
    raise Reject("the handler's own", requeue=False)


def worked(task: Any, headers: dict[str, Any], body: Any) -> Any:
    """What the code of a worker makes of a message."""
    args, kwargs = body[0], body[1]
    trace = build_tracer(task.name, task, app=task.app)
    info = {"exchange": "", "routing_key": "effects", "priority": 0}
    more = {"delivery_info": info, "is_eager": False, "hostname": "h", "called_directly": False}
    return trace(headers["id"], args, kwargs, {**headers, "args": args, "kwargs": kwargs, **more})


def run(task: Any, intent: Any) -> Any:
    envelope = Envelope(intent)
    text = Wire().encode(envelope).decode()
    return worked(task, {"id": str(envelope.id), "retries": 0}, ((text,), {})).info.retval


# -- the broker takes nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"autoretry_for": (Exception,)}])
def test_what_is_kept_and_cannot_be_published_goes_back_to_its_queue(options: Any) -> None:
    """It is no attempt, so that nothing may try it again as one."""
    app = Celery("down", broker=DOWN, set_as_current=False)
    outcome = run(deliver_task(app, Boundary({}), **options), Unhandled("a"))
    assert (type(outcome), outcome.requeue) == (Reject, True)


def test_a_retry_that_cannot_be_published_goes_back_to_its_queue(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Celery throws such a message away."""
    app = Celery("down", broker=DOWN, set_as_current=False)
    task = deliver_task(app, Boundary({Note: fail}), autoretry_for=(ConnectionError,))
    outcome = run(task, Note("a"))
    assert (type(outcome), outcome.requeue) == (Reject, True)
    assert "ConnectionError('no mail today')" in caplog.text


def test_a_handler_may_reject_its_message_for_good() -> None:
    app = Celery("down", broker=DOWN, set_as_current=False)
    task = deliver_task(app, Boundary({Note: rejecting}), autoretry_for=(Exception,))
    outcome = run(task, Note("a"))
    assert (type(outcome), outcome.requeue) == (Reject, False)


def test_a_base_class_of_ones_own_is_kept() -> None:
    app = Celery("down", broker="memory://", set_as_current=False)

    class Counting(Task):  # type: ignore[type-arg]  # not generic at run time
        retried = 0

        def retry(self, *args: Any, **kwargs: Any) -> Any:
            Counting.retried += 1
            return super().retry(*args, **kwargs)

    task = deliver_task(
        app, Boundary({Note: fail}), base=Counting, autoretry_for=(ConnectionError,)
    )
    assert isinstance(task, Counting)
    assert isinstance(run(task, Note("a")), Retry)
    assert Counting.retried == 1


# -- what is shown ------------------------------------------------------------------------------------


@pytest.fixture
def sent() -> Iterator[list[tuple[dict[str, Any], Any]]]:
    messages = list[tuple[dict[str, Any], Any]]()

    def published(headers: dict[str, Any], body: Any, **_: Any) -> None:
        messages.append((headers, body))

    before_task_publish.connect(published)
    yield messages
    before_task_publish.disconnect(published)


@pytest.mark.parametrize("value", [Note("private"), Unhandled("private")])
def test_what_goes_back_shows_no_data(sent: list[tuple[dict[str, Any], Any]], value: Any) -> None:
    """Logs, events and Flower show the kind, of a retry and of what is kept too."""
    app = Celery("shown", broker="memory://", set_as_current=False)
    options: Any = {"autoretry_for": (ConnectionError,), "retry_kwargs": {"countdown": 0}}
    task = deliver_task(app, Boundary({Note: fail}), **options)
    with Boundary({}, dispatch=CeleryDispatch(app)).scope() as effects:
        effects.emit(value)
    for _ in range(2):
        assert isinstance(worked(task, *sent[-1]).info.retval, Retry)
    assert len(sent) == 3
    for headers, _ in sent:
        assert headers["argsrepr"] == f"('{headers['shadow']}' version 1,)"
        assert (headers["kwargsrepr"], headers["shadow"][:13]) == ("{}", "tests.celery.")


def test_what_was_not_sent_by_a_dispatch_shows_no_data_either(
    sent: list[tuple[dict[str, Any], Any]],
) -> None:
    app = Celery("shown", broker="memory://", set_as_current=False)
    run(deliver_task(app, Boundary({})), Unhandled("private"))
    [(headers, _)] = sent
    assert "private" not in headers["argsrepr"]
