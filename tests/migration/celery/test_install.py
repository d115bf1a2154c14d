"""``install``: calls of tasks go through scopes, or tell what scopes would have done."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("celery")

from celery import Task, chain, chord, group
from celery.beat import Scheduler
from celery.canvas import _chain
from celery.result import AsyncResult, EagerResult, GroupResult, ResultSet
from celery.schedules import schedule
from celery.signals import before_task_publish
from kombu.exceptions import OperationalError

import airlock
from airlock import Boundary, Dedupe, Drop, Hold, Refuse
from airlock.errors import (
    NoScopeError,
    RefusedError,
    SettingError,
    SignatureError,
    UnreleasedResultError,
)
from airlock.integrations.base import scopeless
from airlock.integrations.celery import CallTask, CeleryDispatch, SendTasks, calling
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.migration.celery import Installed, install
from airlock.release import Segment
from tests.migration.celery.shops import Shop

HERE = Path(__file__).name


@airlock.intent(kind="tests.celery.placed")
class Placed:
    order_id: int


class Failure(Exception):  # noqa: N818 - what goes wrong in a block
    """It goes wrong."""


# -- what is caught -------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_scope_ends(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope() as effects:
        shop.receipt.delay(42)
        assert effects == [CallTask(shop.receipt.s(42))]
        assert shop.sent == []
    assert shop.sent == [("shop.receipt", 42)]


def test_every_way_to_call_a_task_is_caught(shop: Shop, buffered: Installed) -> None:
    receipt, mail = shop.receipt, shop.mail
    canvas = chord([receipt.s(1)], mail.s())
    with shop.boundary.scope() as effects:
        receipt.apply_async((1,), {"urgent": True}, countdown=5)
        receipt.apply_async([1], None, "an-id")
        receipt.s(2).delay()
        receipt.s().apply_async((3,), queue="slow")
        chain(receipt.s(4), mail.si())()
        (receipt.s(5) | mail.s()).delay()
        group(receipt.s(6), mail.s())()
        canvas.delay()
        shop.app.send_task("other.task", (7,), {"a": 1}, priority=3)
        receipt.map([8, 9]).delay()
        receipt.chunks([(1,), (2,)], 1)()
        assert shop.sent == []
    assert [intent for intent in effects if intent.tasks != ("shop.receipt", "shop.receipt")] == [
        CallTask(receipt.s(1, urgent=True).set(countdown=5)),
        CallTask(receipt.s(1).set(task_id="an-id")),
        CallTask(receipt.s(2)),
        CallTask(receipt.s(3).set(queue="slow")),
        CallTask(receipt.s(4) | mail.si()),
        CallTask(receipt.s(5) | mail.s()),
        CallTask(group(receipt.s(6), mail.s())),
        CallTask(canvas),
        CallTask(shop.app.signature("other.task", (7,), {"a": 1}, options={"priority": 3})),
        effects[9],
    ]
    assert effects[9].tasks == ("shop.receipt",)
    assert len(shop.sent) == 13  # two of a group, and two of the chunks


def test_arguments_given_to_a_canvas_are_kept(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope() as effects:
        chain(shop.mail.s(2), shop.mail.s())(1)
        group(shop.mail.s(2), shop.mail.s(3))(1)
        assert effects[0] != CallTask(chain(shop.mail.s(2), shop.mail.s()))
    assert shop.sent == [("shop.mail", 1, 2), ("shop.mail", 1, 2), ("shop.mail", 1, 3)]


def test_tasks_that_come_later_are_caught(shop: Shop, buffered: Installed) -> None:
    @shop.app.task(name="shop.late", shared=False)
    def late() -> None: ...

    class OfAClass(Task):  # type: ignore[type-arg]  # not generic at run time
        name = "shop.class"

        def run(self) -> None: ...

    with shop.boundary.scope() as effects:
        late.delay()
        shop.app.register_task(OfAClass()).delay()
        OfAClass().delay()  # and it does not matter which instance of the class is called
    assert [one.tasks for one in effects] == [("shop.late",), ("shop.class",), ("shop.class",)]


def test_another_app_is_left_alone_and_logged_once(
    shop: Shop, buffered: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    other = Shop("store")
    before_task_publish.connect(other.published)
    with shop.boundary.scope():
        other.receipt.delay(1)
        chain(other.receipt.s(2), other.mail.s())()
        assert other.sent == [("shop.receipt", 1), ("shop.receipt", 2)]
    before_task_publish.disconnect(other.published)
    [warning] = caplog.messages
    assert warning.startswith(f"shop.receipt at tests/migration/celery/{HERE}:")
    assert "another Celery app, 'store'" in warning
    assert "install(...) was given the app 'shop' only" in warning
    assert "another Celery app, 'store'" in buffered.summary()


def test_apps_that_are_installed_both_are_no_strangers(
    shop: Shop, buffered: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    other = Shop("store")
    with (
        install(other.app, mode="buffer", boundary=other.boundary),
        shop.boundary.scope() as effects,
    ):
        other.receipt.delay(1)
    assert effects == [CallTask(other.receipt.s(1))]
    assert caplog.messages == []


def test_only_the_chosen_tasks_are_caught(shop: Shop) -> None:
    options: Any = {"mode": "buffer", "boundary": shop.boundary}
    with install(shop.app, tasks=[shop.receipt], **options), shop.boundary.scope() as effects:
        shop.mail.delay()
        shop.receipt.delay(1)
        chain(shop.mail.s(), shop.receipt.s())()  # has one of them in it
        assert shop.sent == [("shop.mail",)]
    assert len(effects) == 2
    with install(shop.app, tasks=["shop.re*"], **options), shop.boundary.scope() as effects:
        shop.mail.delay()
        shop.receipt.delay(1)
    assert effects == [CallTask(shop.receipt.s(1))]


def test_the_last_installation_about_a_task_has_it(shop: Shop, observed: Installed) -> None:
    options: Any = {"mode": "buffer", "boundary": shop.boundary}
    with install(shop.app, tasks=[shop.receipt], **options), shop.boundary.scope() as effects:
        shop.mail.delay()
        shop.receipt.delay(1)
        assert shop.sent == [("shop.mail",)]
    assert effects == [CallTask(shop.receipt.s(1))]
    assert [row.what for row in observed.observations] == ["shop.mail"]


def test_undone_in_any_order_it_leaves_no_trace(shop: Shop) -> None:
    classes = [cls.apply_async for cls in (Task, _chain, group, chord)]
    asking = ResultSet.iter_native
    first = install(shop.app, mode="observe")
    second = install(shop.app, mode="buffer", boundary=shop.boundary)
    first.uninstall()
    with shop.boundary.scope() as effects:
        shop.receipt.delay(1)
    assert len(effects) == 1
    second.uninstall()
    second.uninstall()
    with shop.boundary.scope() as effects:
        shop.receipt.delay(1)
    assert len(effects) == 0
    assert [cls.apply_async for cls in (Task, _chain, group, chord)] == classes
    assert ResultSet.iter_native is asking
    assert "send_task" not in vars(shop.app)


def test_a_base_class_acts_once_where_the_task_is_called(shop: Shop) -> None:
    calls: list[str] = []

    class Locking(shop.app.Task):  # type: ignore[name-defined,misc]  # made by the app
        def apply_async(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(self.name)
            return self.go_on(*args, **kwargs)

        def go_on(self, *args: Any, **kwargs: Any) -> Any:
            return super().apply_async(*args, **kwargs)

    @shop.app.task(name="shop.locked", base=Locking, shared=False)
    def locked() -> None: ...

    with install(shop.app, mode="buffer", boundary=shop.boundary) as installed:
        with shop.boundary.scope():
            locked.delay()
            assert (calls, shop.sent) == (["shop.locked"], [])
        assert calls == ["shop.locked"]
        assert shop.sent == [("shop.locked",)]
        assert [HERE in row.site for row in installed.observations] == [True]


def test_arguments_that_a_base_class_adds_are_a_part_of_the_call(
    shop: Shop, buffered: Installed
) -> None:
    base: Any = shop.app.Task

    class OfATenant(base):  # type: ignore[misc]  # made by the app
        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            return super().apply_async(args, {**(kwargs or {}), "tenant": "acme"}, **options)

    @shop.app.task(name="shop.tenant", base=OfATenant, shared=False)
    def work(order_id: int, tenant: str) -> None:
        shop.ran.append((order_id, tenant))

    shop.app.conf.task_always_eager = True
    with shop.boundary.scope() as effects:
        work.delay(1)
        assert effects == [CallTask(work.s(1, tenant="acme"))]
        with pytest.raises(TypeError):
            work.delay(1, 2, 3)
    assert shop.ran == [(1, "acme")]


def test_our_own_dispatch_sends_as_ever(shop: Shop, buffered: Installed) -> None:
    boundary = Boundary({}, dispatch=CeleryDispatch(shop.app))
    with boundary.scope() as effects:
        effects.emit(Placed(1))
    assert effects.report.handed_over == [Placed(1)]
    assert [sent[0] for sent in shop.sent] == ["airlock.deliver"]


def test_beat_sends_as_ever(shop: Shop, buffered: Installed) -> None:
    scheduler = Scheduler(shop.app)
    each = schedule(60, app=shop.app)
    entry = scheduler.Entry("hourly", shop.receipt.name, args=(1,), schedule=each, app=shop.app)
    with shop.boundary.scope() as effects:
        scheduler.apply_async(entry, advance=False)
        assert shop.sent == [("shop.receipt", 1)]
    assert len(effects) == 0


def test_a_test_may_patch_the_class_meanwhile(
    shop: Shop, buffered: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(Task, "apply_async", lambda self, *args, **_: calls.append(args))
    with shop.boundary.scope():
        shop.receipt.delay(1)
    assert calls == [((1,), {})]


def test_a_class_that_a_test_has_patched_is_as_it_was_after_both(shop: Shop) -> None:
    installed = install(shop.app, mode="buffer", boundary=shop.boundary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "apply_async", lambda *_, **__: None)
        installed.uninstall()
    shop.receipt.delay(1)
    assert shop.sent == [("shop.receipt", 1)]
    with install(shop.app, mode="buffer", boundary=shop.boundary), shop.boundary.scope():
        shop.receipt.delay(2)
        assert len(shop.sent) == 1
    assert not hasattr(Task.apply_async, "airlock")


@pytest.mark.parametrize("mode", ["buffer", "observe"])
def test_what_async_handlers_call_side_by_side_are_follow_ups(shop: Shop, mode: Any) -> None:
    async def placed(intent: Placed) -> None:
        await asyncio.sleep(0)
        shop.receipt.delay(intent.order_id)

    boundary = Boundary({CallTask: SendTasks(shop.app), Placed: placed}, concurrency=2)

    async def place() -> None:
        async with boundary.scope() as effects:
            shop.mail.delay()  # observing has begun when the handlers run
            effects.emit(Placed(1))
            effects.emit(Placed(2))

    with install(shop.app, mode=mode, boundary=boundary) as installed:
        asyncio.run(place())
    assert sorted(shop.sent) == [("shop.mail",), ("shop.receipt", 1), ("shop.receipt", 2)]
    assert sum(row.count for row in installed.observations) == 3
    if mode == "observe":
        assert fates(installed) == {"shop.mail": {"later": 1}, "shop.receipt": {"later": 2}}


def test_what_a_handler_calls_is_a_follow_up(shop: Shop, buffered: Installed) -> None:
    boundary = Boundary(
        {CallTask: SendTasks(shop.app), Placed: lambda i: shop.receipt.delay(i.order_id)}
    )
    with boundary.scope() as effects:
        effects.emit(Placed(1))
    [_, entry] = effects.report.entries
    assert (entry.intent, entry.wave) == (CallTask(shop.receipt.s(1)), 1)
    assert shop.sent == [("shop.receipt", 1)]


@pytest.mark.parametrize("name", ["send_task", "delay", "apply_async"])
def test_a_handler_may_have_the_name_of_a_method_of_tasks(
    shop: Shop, buffered: Installed, name: str
) -> None:
    """What it calls is its own, and goes with it when it fails."""

    def handler(intent: Placed) -> None:
        shop.receipt.delay(intent.order_id)
        raise Failure

    class Sender:
        def __call__(self, intent: Placed) -> None:
            getattr(self, name)(intent)

    handler.__code__ = handler.__code__.replace(co_name=name)
    setattr(Sender, name, lambda _, intent: handler(intent))
    for one in (handler, Sender()):
        boundary = Boundary({CallTask: SendTasks(shop.app), Placed: one})
        with suppress(airlock.FlushError), boundary.scope() as effects:
            effects.emit(Placed(1))
        assert effects.report.discarded == [CallTask(shop.receipt.s(1))]
    assert shop.sent == []


def test_wrong_arguments_are_refused_where_the_task_is_called(
    shop: Shop, buffered: Installed
) -> None:
    with shop.boundary.scope() as effects:
        with pytest.raises(TypeError):
            shop.receipt.delay()
        with pytest.raises(SignatureError, match="producer="):
            shop.receipt.apply_async((1,), producer=object())
        with pytest.raises(SignatureError, match=r"retry_policy=.*cannot be kept for later"):
            shop.receipt.apply_async((1,), retry_policy={"retry_errors": (OSError,)})
        with pytest.raises(TypeError, match="must be a list or tuple"):
            shop.mail.apply_async(number for number in (1, 2))
    assert len(effects) == 0


# -- send_task ------------------------------------------------------------------------------------


def headers_of(shop: Shop, *calls: Any) -> list[dict[str, Any]]:
    """The headers of what is sent: each call as Celery sends it, and buffered."""
    found = list[dict[str, Any]]()

    def published(headers: dict[str, Any], **_: Any) -> None:
        found.append(headers)

    before_task_publish.connect(published)
    for call in calls:
        call()
        with install(shop.app, mode="buffer", boundary=shop.boundary), shop.boundary.scope():
            call()
    before_task_publish.disconnect(published)
    return found


def test_a_task_sent_by_name_is_sent_so(shop: Shop) -> None:
    """It is no call of the task that has the name here: what that says of arguments is not asked."""

    @shop.app.task(name="shop.limited", time_limit=60, expires=60, shared=False)
    def limited(order_id: int) -> None: ...

    def send() -> None:
        shop.app.send_task("shop.limited", (1, 2, 3), time_limit=None, expires=None)

    plain, buffered = headers_of(shop, send)
    assert (buffered["timelimit"], buffered["expires"]) == (plain["timelimit"], plain["expires"])
    assert plain["timelimit"] == [None, None]
    assert [sent[1:] for sent in shop.sent] == [(1, 2, 3)] * 2


@pytest.mark.filterwarnings("ignore::celery.exceptions.AlwaysEagerIgnored")
def test_a_task_sent_by_name_is_published_where_others_are_eager(
    shop: Shop, buffered: Installed
) -> None:
    shop.app.conf.task_always_eager = True
    with shop.boundary.scope():
        shop.app.send_task("shop.receipt", (1,))
    assert (shop.ran, shop.sent) == ([], [("shop.receipt", 1)])


def test_all_arguments_of_send_task_may_be_given_by_position(
    shop: Shop, buffered: Installed
) -> None:
    with shop.boundary.scope() as effects:
        shop.app.send_task(
            "other.task", (1,), {"a": 2}, 3, None, "an-id", None, None, None, None, 60
        )
    options = {"countdown": 3, "expires": 60, "task_id": "an-id"}
    assert effects.report.delivered == [
        CallTask(shop.app.signature("other.task", (1,), {"a": 2}, options=options))
    ]


def test_a_refusing_policy_speaks_at_the_call(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope(policy=Refuse(CallTask)), pytest.raises(RefusedError):
        shop.receipt.delay(1)
    assert shop.sent == []


def test_a_plan_tells_where_the_call_is(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope(policy=Hold()) as effects:
        shop.receipt.delay(1)
    [entry] = effects.plan()
    assert HERE in str(entry.place)


def test_an_async_scope_buffers_too(shop: Shop, buffered: Installed) -> None:
    async def main() -> None:
        async with shop.boundary.scope():
            shop.receipt.delay(1)
            assert shop.sent == []

    asyncio.run(main())
    assert shop.sent == [("shop.receipt", 1)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "bufer"},
        {"mode": "buffer"},
        {"mode": "buffer", "boundary": Boundary({})},
        {"mode": "observe", "tasks": "shop.receipt"},
        {"mode": "observe", "scopeless": "drop"},
    ],
)
def test_what_makes_no_sense_is_refused(shop: Shop, wrong: Any) -> None:
    with pytest.raises(SettingError, match="install"):
        install(shop.app, **wrong)
    assert "send_task" not in vars(shop.app)


# -- no scope -------------------------------------------------------------------------------------


def test_without_a_scope_it_is_sent_at_once_and_warned_of_once_per_site(
    shop: Shop, buffered: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    results = [shop.receipt.delay(order_id) for order_id in (1, 2)]
    shop.receipt.delay(3)
    assert [sent[1] for sent in shop.sent] == [1, 2, 3]
    assert [type(result) for result in results] == [shop.app.AsyncResult] * 2
    warnings = [record.getMessage() for record in caplog.records]
    assert [HERE in text and "no scope is open" in text for text in warnings] == [True, True]
    assert [row.fates for row in buffered.observations] == [{"no scope": 2}, {"no scope": 1}]


def test_without_a_scope_an_enclosure_holds_all_the_same(shop: Shop, buffered: Installed) -> None:
    with airlock.enclose(Drop()):
        result = shop.receipt.delay(1)
    assert shop.sent == []
    with pytest.raises(UnreleasedResultError, match=r"dropped by Drop\(\)"):
        result.get()


def test_without_a_scope_an_error_is_raised_as_before(shop: Shop) -> None:
    def fail(_: object) -> None:
        raise ConnectionError("broker")

    boundary = Boundary({CallTask: fail})
    options: Any = {"mode": "buffer", "boundary": boundary}
    with install(shop.app, **options), pytest.raises(ConnectionError, match="broker"):
        shop.receipt.delay(1)


def test_after_a_scope_it_is_sent_at_once(shop: Shop, buffered: Installed) -> None:
    """A task of asyncio that outlives the scope it was started in."""

    async def later() -> None:
        await asyncio.sleep(0)
        shop.receipt.delay(1)

    async def main() -> None:
        async with shop.boundary.scope():
            task = asyncio.create_task(later())
        await task

    asyncio.run(main())
    assert shop.sent == [("shop.receipt", 1)]


def test_without_a_scope_it_may_be_refused(shop: Shop) -> None:
    options: Any = {"mode": "buffer", "boundary": shop.boundary, "scopeless": "raise"}
    with install(shop.app, **options):
        with pytest.raises(NoScopeError):
            shop.receipt.delay(1)
        assert shop.sent == []
        with scopeless(shop.boundary, "run"):
            shop.receipt.delay(2)
        assert shop.sent == [("shop.receipt", 2)]


# -- scopes of other boundaries -------------------------------------------------------------------


def test_a_scope_without_a_handler_for_calls_has_those_of_the_installation(
    shop: Shop, buffered: Installed
) -> None:
    """They are sent when it ends, with all the rest, and it is not refused for them."""
    told = list[Placed]()
    with Boundary({Placed: told.append}).scope() as effects:
        effects.emit(Placed(1))
        result = shop.receipt.delay(1)
        assert effects == [Placed(1), CallTask(shop.receipt.s(1))]
        assert shop.sent == []
    assert told == [Placed(1)]
    assert shop.sent == [("shop.receipt", 1)]
    assert effects.report.delivered == [*effects]
    assert result.ready() is False


def test_policies_of_another_boundary_hold_for_calls(shop: Shop, buffered: Installed) -> None:
    other = Boundary({}, policy=Drop(CallTask).where(calling(shop.mail)))
    with other.scope(policy=Dedupe()) as effects:
        shop.mail.delay()
        shop.receipt.delay(1)
        shop.receipt.delay(1)
    assert [len(effects.report.dropped), len(effects.report.merged)] == [1, 1]
    assert shop.sent == [("shop.receipt", 1)]
    with suppress(Failure), other.scope():
        shop.receipt.delay(2)
        raise Failure
    assert shop.sent == [("shop.receipt", 1)]


def test_what_a_handler_of_another_boundary_calls_is_a_follow_up(
    shop: Shop, buffered: Installed
) -> None:
    other = Boundary({Placed: lambda i: shop.receipt.delay(i.order_id)})
    with other.scope() as effects:
        effects.emit(Placed(1))
    assert [entry.wave for entry in effects.report] == [0, 1]
    assert shop.sent == [("shop.receipt", 1)]


def test_what_stands_for_the_handler_of_calls_does_so_in_any_scope(
    shop: Shop, buffered: Installed
) -> None:
    faked = list[CallTask]()
    with Boundary({}).scope() as effects, effects.override({CallTask: faked.append}):
        shop.receipt.delay(1)
    assert faked == [CallTask(shop.receipt.s(1))]
    assert shop.sent == []


def test_a_call_that_fails_in_a_scope_of_another_boundary_fails_alone(shop: Shop) -> None:
    def fail(_: object) -> None:
        raise ConnectionError("broker")

    told = list[Placed]()
    options: Any = {"mode": "buffer", "boundary": Boundary({CallTask: fail})}
    effects = Boundary({Placed: told.append}).scope()
    with install(shop.app, **options), suppress(airlock.FlushError), effects:
        shop.receipt.delay(1)
        effects.emit(Placed(1))
    assert told == [Placed(1)]
    assert [repr(error) for error in effects.report.errors] == ["ConnectionError('broker')"]


# -- results --------------------------------------------------------------------------------------


def test_the_result_has_the_id_and_refuses_to_wait(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope() as effects:
        result = shop.receipt.delay(1)
        assert isinstance(result, AsyncResult)
        for ask in (result.get, result.wait, result.ready, result.successful, result.failed):
            with pytest.raises(UnreleasedResultError):
                ask()
        with pytest.raises(UnreleasedResultError):
            _ = result.state
        assert not issubclass(UnreleasedResultError, shop.app.AsyncResult.TimeoutError)
        assert effects[0].task_id == result.id
    assert (result.ready(), result.state) == (False, "PENDING")
    with pytest.raises(shop.app.AsyncResult.TimeoutError):
        result.get(timeout=0.01)


def test_the_results_of_canvases_refuse_to_wait(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope():
        many = group(shop.receipt.s(1), shop.receipt.s(2))()
        linked = chain(shop.receipt.s(1), shop.mail.s())()
        for ask in (many.get, many.join, many.ready, linked.get, linked.parent.get):
            with pytest.raises(UnreleasedResultError):
                ask()
    assert many.ready() is False
    assert linked.parent.ready() is False


def test_results_put_together_by_hand_refuse_to_wait(shop: Shop, buffered: Installed) -> None:
    """Also where others of them were sent: the backend is asked for all of them at once."""
    with shop.boundary.scope():
        result = shop.receipt.delay(1)
        sent = shop.app.AsyncResult("sent")
        many = group(shop.receipt.s(1), shop.receipt.s(2))()
        for one in (
            ResultSet([result]),
            ResultSet([sent, result]),
            GroupResult("a", [sent, result]),
            ResultSet([many]),
            many,
        ):
            for ask in (one.get, one.join_native, lambda **how: list(one.iter_native(**how))):  # noqa: B023 - called at once
                with pytest.raises(UnreleasedResultError):
                    ask(timeout=0.2)
    with pytest.raises(shop.app.AsyncResult.TimeoutError):
        ResultSet([result]).get(timeout=0.01)


def test_results_of_eager_tasks_may_be_put_together(shop: Shop, buffered: Installed) -> None:
    shop.app.conf.task_always_eager = True
    with shop.boundary.scope():
        both = ResultSet([shop.receipt.delay(1), shop.receipt.delay(2)])
    assert both.get() == [1, 2]


def test_a_result_of_what_was_never_sent_says_so(shop: Shop, buffered: Installed) -> None:
    discarded: Any = None
    with suppress(Failure), shop.boundary.scope():
        discarded = shop.receipt.delay(1)
        raise Failure("no")
    with shop.boundary.scope(policy=Drop(CallTask).where(calling(shop.mail)) & Dedupe() & Hold()):
        dropped, held, merged = shop.mail.delay(), shop.receipt.delay(1), shop.receipt.delay(1)
    for result, why in (
        (discarded, r"never sent: it was discarded by Failure\('no'\)"),
        (dropped, r"never sent: it was dropped by Drop\(CallTask\)"),
        (held, r"is held by Hold\(\)"),
        (merged, r"CallTask\(shop.receipt\(1\)\) stands for it"),
    ):
        with pytest.raises(UnreleasedResultError, match=why):
            result.get()


def test_a_result_of_what_failed_is_there_after_a_resume(shop: Shop) -> None:
    broken = [True]
    result: Any = None
    send = SendTasks(shop.app)

    def sometimes(intent: CallTask) -> None:
        if broken.pop():
            raise ConnectionError("broker")
        send(intent)

    boundary = Boundary({CallTask: sometimes})
    with install(shop.app, mode="buffer", boundary=boundary):
        effects = boundary.scope()
        with suppress(airlock.FlushError), effects:
            result = shop.receipt.delay(1)
        with pytest.raises(UnreleasedResultError, match=r"failed \(ConnectionError\('broker'\)\)"):
            result.get()
        broken[:] = [False]
        effects.report.resume()
        assert result.ready() is False


def test_eager_tasks_run_when_the_scope_ends(shop: Shop, buffered: Installed) -> None:
    shop.app.conf.task_always_eager = True
    with shop.boundary.scope():
        single = shop.receipt.delay(7)
        linked = chain(shop.receipt.s(1), shop.receipt.s())()
        many = group(shop.receipt.s(1), shop.receipt.s(2))()
        joined = chord([shop.receipt.s(1), shop.receipt.s(2)], shop.mail.s())()
        assert shop.ran == []
        with pytest.raises(UnreleasedResultError):
            single.get()
    assert single.get() == 7
    assert (single.state, single.ready(), single.successful()) == ("SUCCESS", True, True)
    assert (linked.get(), linked.parent.get()) == (1, 1)
    assert (many.get(), many.ready(), [one.get() for one in many.results]) == ([1, 2], True, [1, 2])
    assert joined.get() == ([1, 2],)
    assert shop.sent == []


def test_what_an_eager_task_calls_is_a_follow_up(shop: Shop, buffered: Installed) -> None:
    shop.app.conf.task_always_eager = True

    @shop.app.task(name="shop.outer", shared=False)
    def outer() -> None:
        shop.receipt.delay(1)
        assert shop.ran == []

    with shop.boundary.scope() as effects:
        outer.delay()
    assert shop.ran == [1]
    assert [entry.wave for entry in effects.report] == [0, 1]


# -- observing ------------------------------------------------------------------------------------


def fates(installed: Installed) -> dict[str, dict[str, int]]:
    """By what was called, of all sites together."""
    found: dict[str, dict[str, int]] = {}
    for row in installed.observations:
        for fate, count in row.fates.items():
            mine = found.setdefault(row.what, {})
            mine[fate] = mine.get(fate, 0) + count
    return found


def test_observing_sends_as_before_and_puts_nothing_into_the_scope(
    shop: Shop, observed: Installed
) -> None:
    with shop.boundary.scope(policy=Hold()) as effects:
        result = shop.receipt.delay(1)
        assert shop.sent == [("shop.receipt", 1)]
        assert isinstance(result, shop.app.AsyncResult)
        assert repr(result) == f"<AsyncResult: {result.id}>"
        assert len(effects) == 0
    assert len(effects.report) == 0
    assert fates(observed) == {"shop.receipt": {"held": 1}}


def test_observing_needs_no_handler(shop: Shop, observed: Installed) -> None:
    with Boundary({}).scope():
        shop.receipt.delay(1)
    assert fates(observed) == {"shop.receipt": {"later": 1}}


def test_observing_tells_what_policies_would_have_done(shop: Shop, observed: Installed) -> None:
    boundary = Boundary({}, policy=Drop(CallTask).where(calling("shop.mail")))
    with boundary.scope():
        shop.receipt.delay(1)
        chain(shop.receipt.s(1), shop.mail.s())()
        with airlock.region(Dedupe()):
            shop.receipt.delay(2)
            shop.receipt.delay(2)
        with airlock.region(Drop()), airlock.region(Hold()):
            shop.receipt.delay(3)
        with airlock.enclose(Drop()):
            shop.receipt.delay(4)
        with airlock.region(Refuse(CallTask)):
            shop.receipt.delay(5)
        with boundary.scope(independent=True, policy=Hold()):
            shop.receipt.delay(6)
            shop.mail.delay()
    shop.receipt.delay(7)
    assert fates(observed) == {
        "shop.receipt": {
            "later": 2, "merged": 1, "dropped": 2, "refused": 1, "held": 1, "no scope": 1
        },
        "shop.receipt, shop.mail": {"dropped": 1},
        "shop.mail": {"dropped": 1},
    }  # fmt: skip
    assert sum(row.repeated for row in observed.observations) == 1


def test_observing_tells_what_blocks_would_have_done(shop: Shop, observed: Installed) -> None:
    with shop.boundary.scope():
        shop.receipt.delay(1)
        with suppress(Failure), shop.boundary.scope():
            shop.receipt.delay(2)
            raise Failure
    with suppress(Failure), shop.boundary.scope():
        shop.receipt.delay(3)
        raise Failure
    with shop.boundary.scope(keep=lambda error: False):
        shop.receipt.delay(4)
    assert fates(observed) == {"shop.receipt": {"later": 1, "discarded": 3}}


def test_observing_tells_what_transactions_would_have_done(
    shop: Shop, observed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    database = connect(":memory:", isolation_level=None)
    with (
        suppress(Failure),
        database,
        shop.boundary.scope(release=on_commit(database)),
    ):
        database.execute("BEGIN")
        for order_id in (1, 2, 3):
            shop.receipt.delay(order_id)
        raise Failure
    [warning] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "3 sent before a rollback (shop.receipt at " in warning
    with database, shop.boundary.scope(release=on_commit(database)):
        database.execute("BEGIN")
        shop.mail.delay()
        database.execute("SAVEPOINT s")
        shop.mail.delay()
        database.execute("ROLLBACK TO s")
        database.execute("RELEASE s")
        shop.mail.delay()
    with shop.boundary.scope(release=on_commit(database)):
        with database:
            database.execute("BEGIN")
        shop.mail.delay()
    database.close()
    assert fates(observed) == {
        "shop.receipt": {"rolled back": 3},
        "shop.mail": {"rolled back": 1, "later": 3},
    }


class Autocommit:
    """A release of a connection where each statement commits by itself."""

    on_flush_error: Any = "report"

    def segment(self) -> Segment | None:
        return None


def test_observing_in_autocommit_tells_what_the_block_would_have_done(
    shop: Shop, observed: Installed
) -> None:
    with shop.boundary.scope(release=Autocommit()):
        shop.receipt.delay(1)
        with suppress(Failure), shop.boundary.scope():
            shop.receipt.delay(2)
            raise Failure
    with suppress(Failure), shop.boundary.scope(release=Autocommit()):
        shop.receipt.delay(3)
        raise Failure
    assert fates(observed) == {"shop.receipt": {"later": 1, "discarded": 2}}


def test_observing_tells_of_handlers(shop: Shop, observed: Installed) -> None:
    boundary = Boundary({Placed: lambda i: shop.receipt.delay(i.order_id)})
    with boundary.scope() as effects:
        effects.emit(Placed(1))
        shop.mail.delay()
    with boundary.scope() as effects:
        effects.emit(Placed(1))
    assert fates(observed) == {"shop.mail": {"later": 1}, "shop.receipt": {"later": 2}}


def test_observing_never_breaks_what_it_observes(
    shop: Shop, observed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(what: Any, *_: object) -> Any:
        if what:
            raise RuntimeError
        return []

    with shop.boundary.scope(policy=lambda view: broken(view.intents)):
        shop.receipt.delay(1)
    with shop.app.connection_for_write() as connection, shop.boundary.scope():
        shop.receipt.apply_async((2,), connection=connection)
        monkeypatch.setattr("airlock.migration.celery.call.freeze", broken)
        shop.receipt.delay(3)
    assert len(shop.sent) == 3
    assert fates(observed) == {"shop.receipt": {"unknown": 1, "not possible": 1}}


def test_what_is_kept_of_observations_is_bounded(shop: Shop, observed: Installed) -> None:
    observed.observations.calls = 2
    observed.observations._sites = 1
    with shop.boundary.scope():
        for _ in range(5):
            shop.receipt.delay(1)
        shop.mail.delay()
    [first, rest] = observed.observations
    assert (first.count, first.fates, first.repeated) == (5, {"later": 2, "unknown": 3}, 1)
    assert (rest.site, rest.count) == ("(more sites)", 1)


def test_the_summary_is_a_table_of_sites(shop: Shop, observed: Installed) -> None:
    with suppress(Failure), shop.boundary.scope():
        shop.mail.delay()
        raise Failure
    with shop.boundary.scope():
        for order_id in (1, 2):
            shop.receipt.delay(order_id)
    line, head, *rows = observed.summary().splitlines()
    assert line == ("observed 3 calls at 2 sites: 2 delivered later, 1 sent by a block that failed")
    assert head.split() == ["site", "what", "calls", "later", "discarded"]
    assert [row.split()[1:] for row in rows] == [
        ["shop.mail", "1", "1"],
        ["shop.receipt", "2", "2"],
    ]
    assert all(HERE in row for row in rows)


def test_observing_tells_where_a_result_is_waited_for(shop: Shop, observed: Installed) -> None:
    """Buffering would raise there; observing does as ever."""
    with shop.boundary.scope():
        assert shop.mail.delay().state == "PENDING"
        shop.app.conf.task_always_eager = True
        result = shop.receipt.delay(42)
        assert isinstance(result, AsyncResult)
        assert result.get(timeout=5) == 42
        assert result.get() == 42
        assert group(shop.receipt.s(1), shop.receipt.s(2)).apply_async().get() == [1, 2]
    assert shop.receipt.delay(43).get() == 43
    assert sorted(row.waited for row in observed.observations) == [0, 1, 1, 1]
    assert "3 whose result was waited for" in observed.summary()
    assert "waited for" in str(observed.observations).splitlines()[0]


def test_a_result_that_is_asked_after_its_scope_is_none(shop: Shop, observed: Installed) -> None:
    with shop.boundary.scope():
        result = shop.receipt.delay(42)
    assert result.state == "PENDING"
    assert [row.waited for row in observed.observations] == [0]


@pytest.mark.parametrize("eager", [True, False])
def test_an_observed_result_pickles_and_copies(
    eager: bool, shop: Shop, observed: Installed
) -> None:
    shop.app.conf.task_always_eager = eager
    with shop.boundary.scope():
        result = shop.receipt.delay(42)
        copied = copy.deepcopy(result)
        assert copied.id == result.id
        if eager:
            assert type(pickle.loads(pickle.dumps(result))) is EagerResult
    assert [row.waited for row in observed.observations] == [0]


def test_names_that_no_task_has_are_told(shop: Shop) -> None:
    with install(shop.app, mode="observe", tasks=["shop.*", "shpo.*", "shop.receit"]) as observed:
        assert "no task of the app is called shpo.* or shop.receit" in observed.summary()


def test_a_site_where_no_scope_is_open_is_logged_once(
    shop: Shop, observed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        shop.receipt.delay(42)
    (told,) = [m for m in caplog.messages if "no scope is open" in m]
    assert told.startswith(f"shop.receipt at tests/migration/celery/{HERE}:")


# -- the broker is down ---------------------------------------------------------------------------


class Closing:
    """A broker that hangs up on everybody, and counts them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"amqp://127.0.0.1:{self.listener.getsockname()[1]}//"
        self.asked = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.asked += 1  # before the client can know
                client.close()


@pytest.fixture
def closing() -> Iterator[Closing]:
    made = Closing()
    yield made
    made.listener.close()


def shop_at(broker: Closing) -> Shop:
    shop = Shop()
    shop.app.conf.update(
        broker_url=broker.url, broker_transport_options={"max_retries": 1, "interval_start": 0}
    )
    shop.app.conf.task_publish_retry_policy = {"max_retries": 0, "interval_start": 0}
    return shop


@pytest.mark.parametrize("handled", [True, False])
def test_a_broker_that_is_down_is_asked_once_in_a_flush(closing: Closing, handled: bool) -> None:
    """And of another boundary's scope, where the installation sends, too."""
    asked = dict[int, int]()
    for count in (1, 8):
        shop = shop_at(closing)
        before = closing.asked
        effects = (shop.boundary if handled else Boundary({})).scope()
        with (
            install(shop.app, mode="buffer", boundary=shop.boundary),
            suppress(airlock.FlushError),
            effects,
        ):
            for number in range(count):
                shop.receipt.delay(number)
        asked[count] = closing.asked - before
        assert len(effects.report.pending) == count
    assert 0 < asked[8] == asked[1]


def test_without_a_scope_the_error_is_the_one_that_celery_raises(closing: Closing) -> None:
    shop = shop_at(closing)
    with (
        install(shop.app, mode="buffer", boundary=shop.boundary),
        pytest.raises(OperationalError),
    ):
        shop.receipt.delay(1)


# -- names, and where the boundary is -------------------------------------------------------------


def test_a_name_that_no_task_has_is_logged_at_the_first_call(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    options: Any = {"mode": "buffer", "boundary": shop.boundary}
    with install(shop.app, tasks=["shop.reciept", "shop.m*"], **options):
        assert caplog.messages == []  # tasks may still be imported
        for order_id in (1, 2):
            shop.receipt.delay(order_id)
    [warning] = caplog.messages
    assert "'shop.reciept', and no task of the app 'shop' is called that" in warning
    assert "did you mean 'shop.receipt'?" in warning


@pytest.mark.parametrize("how", ["path", "function", "path of a function"])
def test_the_boundary_may_be_made_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It imports the app, so that the app's module cannot import it."""
    made = list[Boundary]()

    def make() -> Boundary:
        made.append(shop.boundary)
        return shop.boundary

    given: Any = {"path": "shop_effects:boundary", "path of a function": "shop_effects:make"}
    given = given.get(how, make)
    with install(shop.app, mode="buffer", boundary=given):
        module: Any = ModuleType("shop_effects")
        module.boundary, module.make = shop.boundary, make
        monkeypatch.setitem(sys.modules, "shop_effects", module)
        with shop.boundary.scope() as effects:
            shop.receipt.delay(1)
            assert effects == [CallTask(shop.receipt.s(1))]
        shop.receipt.delay(2)
        with Boundary({}).scope():
            shop.receipt.delay(3)
    assert [sent[1] for sent in shop.sent] == [1, 2, 3]
    assert len(made) <= 1


def test_a_path_to_a_boundary_that_cannot_send_is_refused_when_it_is_needed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("shop_effects")
    module.boundary = Boundary({})
    monkeypatch.setitem(sys.modules, "shop_effects", module)
    with (
        install(shop.app, mode="buffer", boundary="shop_effects:boundary"),
        pytest.raises(SettingError, match="has no handler for CallTask"),
    ):
        shop.receipt.delay(1)
