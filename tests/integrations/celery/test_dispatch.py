"""``CeleryDispatch``: what a message is, and how it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from celery.signals import after_task_publish, before_task_publish
from kombu import Queue

import airlock
from airlock import Boundary, Options, intent
from airlock.errors import FlushError, SensitiveFieldError, SettingError
from airlock.integrations.celery import CeleryDispatch, deliver_task, effects_tasks
from airlock.wire import Wire
from tests.integrations.celery.brokers import bodies, private
from tests.integrations.celery.vocabulary import Note

ID = UUID(int=42)


@intent(kind="tests.celery.card")
class Card:
    number: str = airlock.field(sensitive=True)


@pytest.fixture
def queued() -> Iterator[tuple[Celery, str]]:
    with private("memory://") as made:
        yield made


def emit(dispatch: CeleryDispatch, *intents: Any, options: Options | None = None) -> Any:
    with Boundary({}, dispatch=dispatch).scope(headers={"tenant": "acme"}) as effects:
        for value in intents:
            effects.emit(value, options)
    return effects.report


def test_a_message_is_the_json_of_an_envelope(queued: tuple[Celery, str]) -> None:
    """Kind, version, data, id and headers; the id of the intent is that of the task."""
    app, queue = queued
    report = emit(CeleryDispatch(app, queue=queue), Note("a"), options=Options(id=ID))
    (message,) = bodies(app, queue)
    ((text,), kwargs, _) = message.payload
    envelope = Wire([Note]).decode(text)
    assert report.handed_over == [Note("a")]
    assert (envelope.intent, envelope.id) == (Note("a"), ID)
    assert envelope.headers == {"tenant": "acme"}
    assert (kwargs, message.headers["task"], message.headers["id"]) == (
        {},
        "airlock.deliver",
        str(ID),
    )


def test_a_message_is_json_even_where_tasks_are_pickled(queued: tuple[Celery, str]) -> None:
    """A worker unpickles nothing that came from a dispatch."""
    app, queue = queued
    app.conf.task_serializer = "pickle"
    emit(CeleryDispatch(app, queue=queue), Note("a"))
    (message,) = bodies(app, queue)
    assert message.content_type == "application/json"


def test_what_is_shown_of_a_task_is_the_kind_and_not_the_data(queued: tuple[Celery, str]) -> None:
    """Logs, events and Flower show the name and the arguments of tasks."""
    app, queue = queued
    emit(CeleryDispatch(app, queue=queue), Note("private"))
    (message,) = bodies(app, queue)
    assert message.headers["shadow"] == "tests.celery.note"
    assert message.headers["argsrepr"] == "('tests.celery.note' version 1,)"
    assert "private" not in json.dumps(message.headers)


def test_a_delay_is_a_countdown(queued: tuple[Celery, str]) -> None:
    """It counts from when the message is sent; without one there is no eta."""
    app, queue = queued
    dispatch = CeleryDispatch(app, queue=queue)
    before = datetime.now(UTC)
    emit(dispatch, Note("later"), options=Options(delay=timedelta(minutes=5)))
    emit(dispatch, Note("now"))
    later, now = bodies(app, queue)
    after = datetime.fromisoformat(later.headers["eta"]) - before
    assert timedelta(minutes=5) <= after < timedelta(minutes=6)
    assert now.headers["eta"] is None


def test_inject_adds_to_the_headers(queued: tuple[Celery, str]) -> None:
    """As ``opentelemetry.propagate.inject`` does."""
    app, queue = queued
    emit(
        CeleryDispatch(app, queue=queue, inject=lambda headers: headers.update(trace="t")),
        Note("a"),
    )
    ((text,), _, _) = bodies(app, queue)[0].payload
    assert Wire([Note]).decode(text).headers == {"tenant": "acme", "trace": "t"}


def test_the_options_of_apply_async(queued: tuple[Celery, str]) -> None:
    """Priorities, expiry and message headers are Celery's own business."""
    app, queue = queued
    emit(
        CeleryDispatch(app, queue=queue, options={"priority": 7, "headers": {"x": "y"}}), Note("a")
    )
    (message,) = bodies(app, queue)
    assert message.properties["priority"] == 7
    assert message.headers["x"] == "y"


def test_without_a_queue_the_routes_of_the_app_decide(queued: tuple[Celery, str]) -> None:
    """By the name of the task, which is an argument."""
    app, queue = queued
    app.conf.task_routes = {"shop.deliver": {"queue": queue}}
    emit(CeleryDispatch(app, task="shop.deliver"), Note("a"))
    assert [message.headers["task"] for message in bodies(app, queue)] == ["shop.deliver"]


def test_the_signals_of_publishing_are_sent(queued: tuple[Celery, str]) -> None:
    """Tracing and metrics listen to them, and may add headers."""
    app, queue = queued
    heard = list[tuple[str, str]]()

    def before(sender: str, headers: dict[str, Any], **_: object) -> None:
        headers["traceparent"] = "00-1"
        heard.append(("before", sender))

    def after(sender: str, **_: object) -> None:
        heard.append(("after", sender))

    before_task_publish.connect(before)
    after_task_publish.connect(after)
    try:
        emit(CeleryDispatch(app, queue=queue), Note("a"))
    finally:
        before_task_publish.disconnect(before)
        after_task_publish.disconnect(after)
    assert heard == [("before", "airlock.deliver"), ("after", "airlock.deliver")]
    assert bodies(app, queue)[0].headers["traceparent"] == "00-1"


def test_a_sensitive_field_refuses_the_flush(queued: tuple[Celery, str]) -> None:
    """Nothing of it was sent."""
    app, queue = queued
    dispatch = CeleryDispatch(app, queue=queue)
    with pytest.raises(SensitiveFieldError):
        emit(dispatch, Note("a"), Card("4111"))
    emit(dispatch, Note("b"))
    assert len(bodies(app, queue)) == 1


def test_a_task_that_emits_has_no_children(queued: tuple[Celery, str]) -> None:
    """The result of a task would grow with each intent it emits."""
    app, queue = queued
    effects_tasks(app, Boundary({}, dispatch=CeleryDispatch(app, queue=queue)))
    children = list[Any]()

    @app.task(bind=True, shared=False)
    def work(self: Any) -> None:
        airlock.emit(Note("a"))
        children.append(self.request.children)

    work.apply()
    assert children == [[]]
    assert len(bodies(app, queue)) == 1


# -- task_always_eager --------------------------------------------------------------------------------


def test_with_task_always_eager_the_handler_runs_here(queued: tuple[Celery, str]) -> None:
    """As every task does then; what it is given went through JSON."""
    app, queue = queued
    app.conf.task_always_eager = True
    taken = list[Note]()
    deliver_task(app, Boundary({Note: taken.append}))
    emit(CeleryDispatch(app, queue=queue), Note("a"))
    assert taken == [Note("a")]


@pytest.mark.parametrize("propagates", [False, True])
def test_with_task_always_eager_async_handlers_have_follow_ups(
    queued: tuple[Celery, str], propagates: bool
) -> None:
    """They run in the loop of the process as it would be in a worker, which waits for each."""
    app, queue = queued
    app.conf.task_always_eager = True
    app.conf.task_eager_propagates = propagates
    told = list[str]()
    loops = set[object]()

    async def tell(note: Note) -> None:
        loops.add(asyncio.get_running_loop())
        told.append(note.text)
        if len(note.text) < 3:
            airlock.emit(Note(f"{note.text}a"))

    boundary = Boundary({Note: tell}, dispatch=CeleryDispatch(app, queue=queue))
    deliver_task(app, boundary)
    with boundary.scope() as effects:
        effects.emit(Note("a"))
    assert (told, len(loops)) == (["a", "aa", "aaa"], 1)
    told.clear()

    async def main() -> None:
        async with boundary.scope() as effects:
            effects.emit(Note("b"))

    asyncio.run(main())
    assert (told, len(loops)) == (["b", "ba", "baa"], 1)


def test_with_task_always_eager_the_task_must_be_here(queued: tuple[Celery, str]) -> None:
    """Celery would send it to a broker that tests do not have."""
    app, queue = queued
    app.conf.task_always_eager = True
    with pytest.raises(FlushError) as caught:
        emit(CeleryDispatch(app, queue=queue), Note("a"))
    assert str(caught.value.exceptions[0]) == (
        "Celery: 'task_always_eager' is set, and there is no task 'airlock.deliver' in this process "
        "to run. Call deliver_task(app, boundary) here too, or unset it."
    )


# -- bad settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"timeout": timedelta(0)}, "'timeout' is datetime.timedelta(0). Give a timedelta"),
        ({"timeout": 3}, "'timeout' is 3"),
        ({"retries": -1}, "'retries' is -1. Give an int, 0 for none"),
        ({"options": {"task_id": "1", "eta": 2}}, "'options' cannot have eta, task_id. The id"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    """Where they are written."""
    with pytest.raises(SettingError) as caught:
        CeleryDispatch(Celery("bad", set_as_current=False), **wrong)
    assert told in str(caught.value)


def test_a_queue_that_nobody_declares_refuses_the_flush() -> None:
    """Where the app creates none that is missing; nothing is lost."""
    app = Celery("strict", broker="memory://", set_as_current=False)
    app.conf.task_create_missing_queues = False
    effects = Boundary({}, dispatch=CeleryDispatch(app, queue="efects")).scope()
    told = r"'queue' is 'efects'.*task_create_missing_queues"
    with pytest.raises(SettingError, match=told), effects:
        effects.emit(Note("a"))
    assert effects.report.pending == [Note("a")]
    app.amqp.queues.add(Queue("efects"))
    assert effects.report.resume().handed_over == [Note("a")]


def test_an_app_is_needed() -> None:
    """Not its name, and not a function that makes it."""
    app: Any = "shop"
    with pytest.raises(SettingError, match="'app' is"):
        CeleryDispatch(app)
