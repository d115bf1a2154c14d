"""``CallTask``: Celery signatures as values."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("celery")

from celery import Celery, chain, chord, group
from kombu.exceptions import ContentDisallowed, EncodeError

from airlock import Boundary, Dedupe, Drop, Hold
from airlock.errors import SignatureError
from airlock.integrations.celery import CallTask, SendTasks, calling
from airlock.integrations.celery.signatures import thaw
from airlock.wire import Envelope, Wire


class Money:
    """What JSON cannot say, and pickle can."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.amount == other.amount

    __hash__ = None  # type: ignore[assignment]  # as a model that was not saved


@pytest.fixture
def app() -> Celery:
    made = Celery(
        "shop", broker="memory://", backend="cache+memory://", set_as_current=False, fixups=[]
    )
    made.conf.accept_content = ["json", "pickle"]

    @made.task(name="shop.send", shared=False)
    def send(*args: Any, **kwargs: Any) -> None: ...

    @made.task(name="shop.send_pickled", shared=False, serializer="pickle")
    def send_pickled(*args: Any) -> None: ...

    return made


@pytest.fixture
def send(app: Celery) -> Any:
    return app.tasks["shop.send"]


def thawed(app: Celery, intent: CallTask, task_id: str = "root") -> Any:
    return thaw(app, intent.signature, task_id)[0]


def test_two_calls_of_the_same_are_equal(send: Any) -> None:
    assert CallTask(send.s(42)) == CallTask(send.s(42), task_id="another")
    assert hash(CallTask(send.s(42))) == hash(CallTask(send.s(42), task_id="another"))
    assert CallTask(send.s(42)) != CallTask(send.s(43))
    assert CallTask(send.s(42)) != CallTask(send.s(42).set(countdown=5))


def test_a_signature_may_change_afterwards(send: Any) -> None:
    signature = send.s([1])
    intent = CallTask(signature)
    signature.args[0].append(2)
    signature.set(countdown=5)
    assert intent == CallTask(send.s([1]))


def test_whether_a_single_task_takes_more_arguments_says_nothing(send: Any) -> None:
    assert CallTask(send.si(42)) == CallTask(send.s(42))


def test_what_celery_can_send_comes_back_as_it_was(app: Celery, send: Any) -> None:
    args = (datetime(2026, 1, 2, tzinfo=UTC), UUID(int=7), Decimal("1.10"), {"a": [None, True]})
    intent = CallTask(send.s(*args).set(eta=datetime(2027, 1, 1, tzinfo=UTC)))
    signature = thawed(app, intent)
    assert signature.args == args
    assert signature.options == {"eta": datetime(2027, 1, 1, tzinfo=UTC), "task_id": "root"}
    assert intent == CallTask(send.s(*args).set(eta=datetime(2027, 1, 1, tzinfo=UTC)))


def test_what_celery_cannot_send_is_refused_as_celery_does(send: Any) -> None:
    with pytest.raises(EncodeError):
        CallTask(send.s(Money(1)))


def test_what_only_pickle_can_say_is_pickled(app: Celery) -> None:
    pickled = app.tasks["shop.send_pickled"]
    intent = CallTask(pickled.s(Money(1), (1, 2)))
    assert thawed(app, intent).args == (Money(1), (1, 2))
    assert intent == CallTask(pickled.s(Money(1), (1, 2)))
    assert repr(intent) == "CallTask(shop.send_pickled(...))"
    assert intent.tasks == ("shop.send_pickled",)


def test_a_task_with_pickle_is_written_as_json_where_that_says_the_same(app: Celery) -> None:
    pickled = app.tasks["shop.send_pickled"]
    assert repr(CallTask(pickled.s(42, ["a"]))) == "CallTask(shop.send_pickled(42, ['a']))"
    assert thawed(app, CallTask(pickled.s((1, 2)))).args == ((1, 2),)  # no list


def test_a_pickle_is_not_read_where_the_app_does_not_accept_it(app: Celery) -> None:
    intent = CallTask(app.tasks["shop.send_pickled"].s(Money(1)))
    app.conf.accept_content = ["json"]
    with pytest.raises(ContentDisallowed):
        thaw(app, intent.signature, "root")


@pytest.mark.parametrize("option", ["connection", "producer"])
def test_what_belongs_to_this_process_is_refused(send: Any, option: str) -> None:
    with pytest.raises(SignatureError, match=f"{option}=.*cannot be kept for later"):
        CallTask(send.s(1).set(**{option: object()}))


def test_only_signatures_are_taken(send: Any) -> None:
    made: Any = CallTask
    with pytest.raises(SignatureError, match="takes a signature"):
        made(send)


def test_canvases_are_values_too(send: Any) -> None:
    made = chain(send.s(1), group(send.s(2), send.s(3)), send.s(4)) | chord([send.s(5)], send.s())
    intent = CallTask(made)
    assert intent == CallTask(made)
    assert set(intent.tasks) == {"shop.send"}
    assert repr(CallTask(chain(send.s(1), send.s(2)))) == "CallTask(shop.send(1) | shop.send(2))"


def test_the_ids_of_a_canvas_are_the_same_each_time(app: Celery, send: Any) -> None:
    intent = CallTask(chain(send.s(1), group(send.s(2), send.s(3)), send.s(4)))
    first, again = (thawed(app, intent).freeze().as_tuple() for _ in range(2))
    assert first == again
    assert first[0][0] == "root"
    assert thawed(app, intent, "other").freeze().as_tuple() != first


def test_ids_that_were_given_are_kept(app: Celery, send: Any) -> None:
    made = chain(send.s(1).set(task_id="one"), send.s(2))
    assert thawed(app, CallTask(made)).freeze().as_tuple() == (
        ("root", (("one", None), None)),
        None,
    )


def test_arguments_that_are_not_to_be_shown_are_not(send: Any) -> None:
    assert repr(CallTask(send.s("secret").set(argsrepr="('***',)"))) == (
        "CallTask(shop.send('***'))"
    )


def test_it_travels(send: Any) -> None:
    intent = CallTask(send.s(42).set(countdown=5), task_id="mine")
    read = Wire().decode(Wire().encode(Envelope(intent))).intent
    assert (read, read.task_id) == (intent, "mine")
    assert pickle.loads(pickle.dumps(intent)) == intent


def test_policies_choose_by_task(app: Celery, send: Any) -> None:
    boundary = Boundary({CallTask: SendTasks(app)})
    policy = Drop(CallTask).where(calling(send)) & Dedupe()
    pickled = app.tasks["shop.send_pickled"]
    with boundary.scope(policy=policy) as effects:
        effects.emit(CallTask(send.s(1)))
        effects.emit(CallTask(pickled.s(1) | send.s(1)))
        effects.emit(CallTask(pickled.s(2)))
        effects.emit(CallTask(pickled.s(2), task_id="another"))
    assert effects.report.dropped == [CallTask(send.s(1)), CallTask(pickled.s(1) | send.s(1))]
    assert effects.report.delivered == [CallTask(pickled.s(2))]
    assert effects.report.merged == [CallTask(pickled.s(2))]
    assert repr(policy.parts[0]) == "Drop(CallTask).where(calling(shop.send))"


def test_it_may_be_planned(app: Celery, send: Any) -> None:
    boundary = Boundary({CallTask: SendTasks(app)})
    with boundary.scope(policy=Hold()) as effects:
        effects.emit(CallTask(send.s(42)))
    plan = effects.plan()
    assert plan.counts == {"celery.signature": 1}
    assert str(boundary.apply(plan)) == "1 delivered"


def test_a_delay_of_a_countdown_is_none_of_the_intent(app: Celery, send: Any) -> None:
    later = CallTask(send.s(1).set(countdown=timedelta(minutes=1).total_seconds()))
    assert repr(later) == "CallTask(shop.send(1).set(countdown=60.0))"
