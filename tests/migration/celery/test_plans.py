"""Calls of tasks in plans: applied as they would have been sent, or refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

pytest.importorskip("celery")

from celery import chain, chord, group, signature

from airlock import Boundary, Hold
from airlock.errors import ApplyError
from airlock.integrations.celery import CallTask, SendTasks
from airlock.migration.celery import Installed
from airlock.plan import holding
from airlock.testing import expect_effects
from tests.migration.celery.shops import Shop


def planned(shop: Shop, call: Callable[[], object]) -> Any:
    with shop.boundary.scope(policy=Hold()) as effects:
        call()
    return effects.plan()


@pytest.mark.parametrize("how", ["task", "chain", "group", "chord", "map"])
def test_a_call_of_a_task_that_is_not_known_here_is_refused(
    shop: Shop, buffered: Installed, how: str
) -> None:
    """Celery would send it to the default queue, without a word."""

    @shop.app.task(name="shop.report", ignore_result=True, shared=False)
    def report(number: int) -> None: ...

    calls: dict[str, Callable[[], object]] = {
        "task": lambda: report.delay(1),
        "chain": lambda: chain(report.s(1), shop.mail.s()).delay(),
        "group": lambda: group(shop.mail.s(), report.s(1)).delay(),
        "chord": lambda: chord([shop.mail.s()], report.s()).delay(),
        "map": lambda: report.map([1, 2]).delay(),
    }
    plan = planned(shop, calls[how])
    other = Shop()
    with pytest.raises(ApplyError, match=r"shop.report") as caught:
        other.boundary.apply(plan)
    assert "Import the module that declares it" in str(caught.value.exceptions[0])
    assert caught.value.applied is not None
    assert caught.value.applied.remaining == 1
    assert shop.sent == []

    @other.app.task(name="shop.report", ignore_result=True, shared=False)
    def again(number: int) -> None: ...

    assert other.boundary.apply(plan).remaining == 0
    other.app.close()


def test_what_the_app_includes_is_imported_first(
    shop: Shop, buffered: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @shop.app.task(name="shop.report", shared=False)
    def report(number: int) -> None: ...

    plan = planned(shop, lambda: report.delay(1))
    other = Shop()
    module = tmp_path / "airlock_test_reports.py"
    module.write_text(
        "from tests.migration.celery import test_plans\n\n"
        "@test_plans.including.app.task(name='shop.report', shared=False)\n"
        "def report(number): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "including", other, raising=False)
    monkeypatch.setitem(sys.modules, "tests.migration.celery.test_plans", sys.modules[__name__])
    other.app.conf.include = ["airlock_test_reports"]
    assert other.boundary.apply(plan).remaining == 0
    other.app.close()


def test_a_task_that_nobody_knew_is_sent_by_its_name(shop: Shop, buffered: Installed) -> None:
    """Such as one of another service, in another language."""
    remote = signature("other.service", args=(1,), app=shop.app)
    plan = planned(shop, lambda: (remote.delay(), chain(shop.mail.s(), remote).delay()))
    assert shop.boundary.apply(plan).remaining == 0
    assert [name for name, *_ in shop.sent] == ["other.service", "shop.mail"]


def test_send_task_needs_no_task(shop: Shop, buffered: Installed) -> None:
    plan = planned(shop, lambda: shop.app.send_task("shop.receipt", (1,), queue="slow"))
    other = Shop()
    del other.app.tasks["shop.receipt"]
    assert other.boundary.apply(plan).remaining == 0
    other.app.close()


def test_a_live_call_of_an_unknown_task_is_refused_too(shop: Shop) -> None:
    """Sent by another app than the one it was called on."""
    other = Shop()
    del other.app.tasks["shop.receipt"]
    effects = Boundary({CallTask: SendTasks(other.app)}).scope()
    with pytest.raises(ExceptionGroup, match="not sent"), effects:
        effects.emit(CallTask(shop.receipt.s(1)))
    assert len(effects.report.failed) == 1
    other.app.close()


def steps(action: Callable[[], object]) -> int:
    """How many functions an action calls."""
    count = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("how", ["held", "recorded", "planned"])
def test_each_call_costs_the_same_however_many_there_are(
    shop: Shop, buffered: Installed, how: str
) -> None:
    def calls(number: int) -> None:
        for order_id in range(number):
            shop.receipt.delay(order_id)

    def act(number: int) -> Callable[[], object]:
        def held() -> None:
            with shop.boundary.scope(policy=Hold()) as effects:
                calls(number)
            effects.report.attend()

        def recorded() -> None:
            with expect_effects(exhaustive=False):
                calls(number)

        def planned() -> None:
            with holding() as held, shop.boundary.scope():
                calls(number)
            held.plan()

        return {"held": held, "recorded": recorded, "planned": planned}[how]

    act(10)()  # what is done once
    few, many = steps(act(50)), steps(act(400))
    assert many < 10 * few
