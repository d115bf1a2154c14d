"""The next step of a row, without any I/O."""

from __future__ import annotations

from asyncio import CancelledError
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import Dead, Retry, Snooze
from airlock.errors import DeferredError, UnhandledIntentError, WireError
from airlock.outbox.schedule import Again, Bury, after_crashes, after_error, pause


def after(error: BaseException, attempt: int = 1) -> Again | Bury:
    return after_error(
        error, attempt=attempt, max_attempts=12, place="shop.py:3", chance=lambda: 0.5
    )


def test_pauses_double_up_to_an_hour() -> None:
    assert [pause(n, chance=lambda: 0.5).total_seconds() for n in range(1, 14)] == [
        *(2.0**n for n in range(1, 12)),
        3600,
        3600,
    ]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_jitter_is_a_fifth(attempt: int, chance: float) -> None:
    exact = pause(attempt, chance=lambda: 0.5)
    assert exact * 0.79 < pause(attempt, chance=lambda: chance) < exact * 1.21


def test_an_error_is_tried_again_until_the_attempts_are_spent() -> None:
    step = after(OSError("no route"), attempt=11)
    assert isinstance(step, Again)
    assert step.burn
    assert step.failure is not None
    assert (step.failure.type, step.failure.place) == ("builtins.OSError", "shop.py:3")
    assert isinstance(after(OSError("no route"), attempt=12), Bury)


def test_results_of_handlers_decide() -> None:
    hour = timedelta(hours=1)
    again = after(DeferredError(Retry(hour)))
    assert isinstance(again, Again)
    assert (again.after, again.burn) == (hour, True)
    assert isinstance(after(DeferredError(Retry(hour)), attempt=12), Bury)
    assert after(DeferredError(Snooze(hour)), attempt=12) == Again(hour, None, burn=False)
    dead = after(DeferredError(Dead("the order was deleted")))
    assert isinstance(dead, Bury)
    assert dead.failure.message == "the order was deleted"


@pytest.mark.parametrize(
    "error",
    [WireError("shop.gone", 1, "$.kind", "is not declared"), UnhandledIntentError(("Gone",), ())],
)
def test_what_is_unknown_waits_for_a_release(error: Exception) -> None:
    step = after(error)
    assert isinstance(step, Again)
    assert step.after == timedelta(minutes=1)
    assert isinstance(after(error, attempt=12), Bury)


def test_a_stopping_relay_burns_no_attempt() -> None:
    assert after(CancelledError(), attempt=12) == Again(timedelta(0), None, burn=False)


def test_crashes_are_counted_apart() -> None:
    assert after_crashes(5, 5) is None
    assert isinstance(after_crashes(6, 5), Bury)
