"""Many intents that arrived at this process, in one flush: ``boundary.deliver_all``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Dead,
    Dedupe,
    Drop,
    Handles,
    HandlesBatch,
    Limit,
    OncePerChain,
    Options,
    Outcome,
    PolicyLike,
    Refuse,
    Retry,
    RetryPolicy,
    Snooze,
    intent,
)
from airlock.effects.causation import Ancestor, Causation
from airlock.errors import DeclarationError, DeferredError, RefusedError, UnhandledIntentError
from airlock.wire import Envelope


@intent
class Bill:
    n: int


@intent
class Archive:
    n: int


def envelopes(*numbers: int) -> list[Envelope]:
    return [Envelope(Bill(n), Options(headers={"tenant": f"t{n}"})) for n in numbers]


def outcomes(report: airlock.Report) -> list[str]:
    return [entry.outcome.word for entry in report]


def test_each_has_its_own_id_headers_and_attempt() -> None:
    seen: list[tuple[Any, ...]] = []

    def bill(intent: Bill) -> None:
        delivery = airlock.delivery()
        seen.append((intent.n, delivery.id, delivery.attempt, dict(delivery.headers)))

    sent = envelopes(1, 2, 3)
    report = Boundary({Bill: bill}).deliver_all(sent, attempts=[1, 4, 2])
    assert seen == [
        (1, sent[0].id, 1, {"tenant": "t1"}),
        (2, sent[1].id, 4, {"tenant": "t2"}),
        (3, sent[2].id, 2, {"tenant": "t3"}),
    ]
    assert [entry.id for entry in report] == [envelope.id for envelope in sent]


def test_each_has_its_own_causes() -> None:
    deep = Causation(7, (Ancestor("shop.order", {}),))
    seen = list[Causation]()
    boundary = Boundary({Bill: lambda _: seen.append(airlock.delivery().causation)})
    boundary.deliver_all([Envelope(Bill(1)), Envelope(Bill(2), causation=deep)], attempts=[1, 1])
    assert [one.depth for one in seen] == [0, 7]


def test_follow_ups_have_the_headers_of_their_own_cause() -> None:
    seen: list[tuple[int, dict[str, str]]] = []

    def printing(intent: Archive) -> None:
        seen.append((intent.n, dict(airlock.delivery().headers)))

    boundary = Boundary({Bill: lambda i: airlock.emit(Archive(i.n)), Archive: printing})
    boundary.deliver_all(envelopes(1, 2), attempts=[1, 1])
    assert seen == [(1, {"tenant": "t1"}), (2, {"tenant": "t2"})]


def test_one_that_fails_raises_nothing_and_the_rest_is_delivered() -> None:
    def bill(intent: Bill) -> None:
        if intent.n == 2:
            raise ValueError(intent.n)

    report = Boundary({Bill: bill}).deliver_all(envelopes(1, 2, 3), attempts=[1, 1, 1])
    assert outcomes(report) == ["delivered", "failed", "delivered"]
    assert repr(report.entries[1].by) == "ValueError(2)"


def test_where_nothing_could_run_all_have_failed() -> None:
    report = Boundary({Archive: print}).deliver_all(envelopes(1, 2), attempts=[1, 1])
    assert outcomes(report) == ["failed", "failed"]
    assert isinstance(report.entries[0].by, UnhandledIntentError)


@pytest.mark.parametrize(
    "policy", [Refuse(Bill).where(lambda i: i.n == 2), Refuse(Bill) & Drop(Archive)]
)
def test_one_that_a_policy_refuses_stands_at_its_place(policy: PolicyLike) -> None:
    boundary = Boundary({Bill: lambda _: None}, policy=policy)
    report = boundary.deliver_all(envelopes(1, 2, 3), attempts=[1, 1, 1])
    assert isinstance(report.entries[1].by, RefusedError)
    assert len(report) == 3


@pytest.mark.parametrize("result", [Retry(timedelta(1)), Snooze(timedelta(1)), Dead("gone")])
def test_a_result_for_the_relay_fails_the_intent_and_is_in_its_error(result: Any) -> None:
    boundary = Boundary({Bill: lambda i: result if i.n == 1 else None})
    report = boundary.deliver_all(envelopes(1, 2), attempts=[1, 1])
    error = report.entries[0].by
    assert isinstance(error, DeferredError)
    assert error.result is result
    assert outcomes(report) == ["failed", "delivered"]


def test_a_result_of_an_async_handler_does_so_too() -> None:
    async def bill(_: Bill) -> Dead:
        return Dead("gone")

    report = asyncio.run(Boundary({Bill: bill}).adeliver_all(envelopes(1), attempts=[1]))
    assert isinstance(report.entries[0].by, DeferredError)


def test_what_a_handler_emitted_that_gives_up_is_discarded() -> None:
    def bill(intent: Bill) -> Dead:
        airlock.emit(Archive(intent.n))
        return Dead("gone")

    report = Boundary({Bill: bill, Archive: print}).deliver_all(envelopes(1), attempts=[1])
    assert report.discarded == [Archive(1)]


def _batch(seen: list[Any]) -> Callable[[list[Bill]], None]:
    def bills(intents: list[Bill]) -> None:
        seen.append(intents)

    return bills


def test_those_of_one_batch_handler_are_one_call_if_their_headers_are_the_same() -> None:
    seen = list[Any]()

    class Wiring(containers.DeclarativeContainer):
        bills = HandlesBatch(Bill, _batch(seen))

    sent = [Envelope(Bill(1)), Envelope(Bill(2))]
    Boundary(Wiring()).deliver_all(sent, attempts=[1, 1])
    assert seen == [[Bill(1), Bill(2)]]


def test_no_retry_waits_here() -> None:
    calls = list[int]()

    def bill(intent: Bill) -> None:
        calls.append(intent.n)
        raise ConnectionError

    class Wiring(containers.DeclarativeContainer):
        bill_ = Handles(Bill, bill, retry=RetryPolicy(on=ConnectionError, max_attempts=5))

    report = Boundary(Wiring()).deliver_all(envelopes(1), attempts=[1])
    assert calls == [1]
    assert report.entries[0].outcome is Outcome.FAILED


def test_an_interruption_has_the_report() -> None:
    def bill(intent: Bill) -> None:
        if intent.n == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        Boundary({Bill: bill}).deliver_all(envelopes(1, 2, 3), attempts=[1, 1, 1])
    assert outcomes(raised.value.report) == ["delivered", "failed", "pending"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sent", "attempts"),
    [
        pytest.param(envelopes(1), [], id="too few attempts"),
        pytest.param(envelopes(1), [0], id="attempt zero"),
        pytest.param([Bill(1)], [1], id="no envelope"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(sent: Any, attempts: Any) -> None:
    with pytest.raises(DeclarationError, match="deliver_all"):
        Boundary({Bill: print}).deliver_all(sent, attempts=attempts)


@pytest.mark.parametrize("policy", [Limit(2), Dedupe(Bill), OncePerChain(Bill)])
def test_a_policy_judges_each_by_itself(policy: PolicyLike) -> None:
    """They were emitted apart, and judged there: none is dropped or merged for another."""
    handled = list[Bill]()
    boundary = Boundary({Bill: handled.append}, policy=policy)
    report = boundary.deliver_all([Envelope(Bill(1)) for _ in range(5)], attempts=[1] * 5)
    assert handled == [Bill(1)] * 5
    assert [entry.outcome for entry in report] == [Outcome.DELIVERED] * 5
