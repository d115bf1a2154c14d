"""``install``: canvases that are finished by the call itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from celery import Task, chain, chord, group

from airlock import Dedupe
from airlock.errors import SignatureError
from airlock.integrations.celery import CallTask
from airlock.migration.celery import Installed, install
from tests.migration.celery.shops import Shop

CHORDS: dict[str, Callable[[Shop], Any]] = {
    "called with its body": lambda shop: chord([shop.receipt.s(1)])(shop.mail.s()),
    "of a generator": lambda shop: chord(shop.receipt.s(n) for n in (1,))(shop.mail.s()),
    "delayed": lambda shop: chord([shop.receipt.s(1)]).delay(body=shop.mail.s()),
    "applied": lambda shop: chord([shop.receipt.s(1)]).apply_async((), {"body": shop.mail.s()}),
    "of another body": lambda shop: chord([shop.receipt.s(1)], shop.receipt.s())(shop.mail.s()),
}


@pytest.mark.parametrize("call", CHORDS.values(), ids=CHORDS)
def test_a_body_that_comes_with_the_call_is_a_part_of_it(
    shop: Shop, buffered: Installed, call: Callable[[Shop], Any]
) -> None:
    with shop.boundary.scope() as effects:
        result = call(shop)
        assert effects == [CallTask(chord([shop.receipt.s(1)], shop.mail.s()))]
        assert effects[0].tasks == ("shop.receipt", "shop.mail")
        assert shop.sent == []
    assert shop.sent[0] == ("shop.receipt", 1)
    assert result.buffered.actual.id == result.id


@pytest.mark.parametrize("call", CHORDS.values(), ids=CHORDS)
def test_observing_a_body_that_comes_with_the_call(
    shop: Shop, observed: Installed, call: Callable[[Shop], Any]
) -> None:
    with shop.boundary.scope():
        call(shop)
        assert shop.sent[0] == ("shop.receipt", 1)
    [row] = observed.observations
    assert (row.what, row.fates) == ("shop.receipt, shop.mail", {"later": 1})


def test_the_body_decides_whether_a_chord_is_caught(shop: Shop) -> None:
    options: Any = {"mode": "buffer", "boundary": shop.boundary, "tasks": ["shop.mail"]}
    with install(shop.app, **options), shop.boundary.scope() as effects:
        chord([shop.receipt.s(1)])(shop.mail.s())
        chord([shop.receipt.s(1)])(shop.receipt.s())
    assert [intent.tasks for intent in effects] == [("shop.receipt", "shop.mail")]


@pytest.mark.parametrize(
    "unfinished",
    [
        chord,
        lambda header: chain(header[0], chord(header)),
        lambda header: group(chord(header), header[0]),
    ],
)
def test_a_chord_without_a_body_is_refused(shop: Shop, unfinished: Callable[[Any], Any]) -> None:
    with pytest.raises(SignatureError, match="has no body"):
        CallTask(unfinished([shop.receipt.s(1)]))


def test_a_call_of_a_chord_without_a_body_is_refused(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope(), pytest.raises(SignatureError, match="has no body"):
        chord([shop.receipt.s(1)]).delay()


@pytest.mark.parametrize("mode", ["observe", "buffer"])
def test_arguments_of_a_canvas_may_be_made_on_demand(shop: Shop, mode: Any) -> None:
    with install(shop.app, mode=mode, boundary=shop.boundary), shop.boundary.scope():
        one: Any = chain(shop.mail.s(2))
        one.apply_async(number for number in (0, 1))
        both: Any = group(shop.mail.s(4), shop.mail.s(4))
        both.apply_async(args=(number for number in (3,)))
    assert shop.sent == [("shop.mail", 0, 1, 2), ("shop.mail", 3, 4), ("shop.mail", 3, 4)]


def test_the_id_of_a_chord_may_be_given_by_position(shop: Shop, buffered: Installed) -> None:
    with shop.boundary.scope() as effects:
        result: Any = chord([shop.receipt.s(1)], shop.mail.s()).apply_async((), {}, "an-id")
    assert (result.id, effects.report.delivered[0].task_id) == ("an-id", "an-id")
    assert result.buffered.actual.id == "an-id"


def test_observing_tells_of_canvases_that_say_the_same(shop: Shop, observed: Installed) -> None:
    """Sending one gives ids to its tasks, which say nothing of what was called."""
    with shop.boundary.scope(policy=Dedupe()):
        for _ in range(2):
            chain(shop.receipt.s(1), shop.mail.s())()
            group(shop.receipt.s(1), shop.mail.s())()
            chord([shop.receipt.s(1)], shop.mail.s())()
    assert sum(row.repeated for row in observed.observations) == 3
    assert sum(row.fates.get("merged", 0) for row in observed.observations) == 3


@pytest.mark.parametrize("broken", ["hooks.call_site", "call.names_in", "call.leaves"])
def test_what_cannot_even_be_told_of_is_sent_all_the_same(
    shop: Shop,
    observed: Installed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    """Code must not notice that it is observed."""

    def fail(*_: object) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(f"airlock.migration.celery.{broken}", fail)
    with shop.boundary.scope():
        group(shop.receipt.s(1), shop.receipt.s(2))()
        shop.receipt.map([1]).delay()
    assert [name for name, *_ in shop.sent] == ["shop.receipt", "shop.receipt", "celery.map"]
    assert "a call of a task is not observed" in caplog.text
    assert {record.levelno for record in caplog.records} >= {logging.ERROR}


@pytest.mark.skipif(not hasattr(Task, "_dump_pydantic_arguments"), reason="Celery before 5.7")
def test_models_of_pydantic_are_dumped_in_canvases_as_in_calls(
    shop: Shop, buffered: Installed
) -> None:
    pydantic = pytest.importorskip("pydantic")
    Order: Any = pydantic.create_model("Order", id=(int, ...))  # noqa: N806 - a class

    def work(order: Any, note: str = "") -> Any:
        return order

    work.__annotations__ = {"order": Order, "note": str, "return": Order}
    decorate: Any = shop.app.task(name="shop.work", pydantic=True, shared=False)
    task = decorate(work)
    with shop.boundary.scope() as effects:
        task.delay(Order(id=1))
        task.s(Order(id=2)).delay()
        (task.s(Order(id=3)) | task.s("after")).delay()
        group(task.s(Order(id=4)), task.s({"id": 5})).delay()
        chord([task.s(Order(id=6))])(shop.mail.s())
    assert effects[0] == CallTask(task.s(Order(id=1))) == CallTask(task.s({"id": 1}))
    sent = [args for name, *args in shop.sent if name == "shop.work"]
    assert sent == [[{"id": n}] for n in (1, 2, 3, 4, 5, 6)]
