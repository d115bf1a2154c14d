"""Policies that raise or answer nonsense: the wave is refused, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import airlock
from airlock import (
    ALLOW,
    DROP,
    MERGED,
    Boundary,
    FlushError,
    Verdict,
    View,
)
from airlock.errors import (
    PolicyError,
)
from tests.boundary.vocabulary import (
    Broken,
    CountDown,
    NotifyWarehouse,
    SendEmail,
    count_down,
    next_line,
)


def raising(_: View) -> Sequence[Verdict]:
    raise Broken("no database")


def too_few(view: View) -> Sequence[Verdict]:
    return [ALLOW] * (len(view) - 1)


def no_sequence(_: View) -> Any:
    return None


def no_verdict(view: View) -> Any:
    return [True] * len(view)


def merged_into_itself(view: View) -> Sequence[Verdict]:
    return [MERGED(into=0)] * len(view)


def merged_into_nothing(view: View) -> Sequence[Verdict]:
    return [MERGED(into=99)] * len(view)


def merged_into_dropped(view: View) -> Sequence[Verdict]:
    return [DROP, *[MERGED(into=0)] * (len(view) - 1)]


BROKEN_POLICIES = [
    (raising, "raised Broken"),
    (too_few, "answered 1 verdicts for 2 intents"),
    (no_sequence, "answered NoneType instead of a sequence"),
    (no_verdict, "answered True for intent 0"),
    (merged_into_itself, "merged intent 0 into 0"),
    (merged_into_nothing, "merged intent 0 into 99"),
    (merged_into_dropped, "whose own verdict is DROP"),
]


@pytest.mark.parametrize(("policy", "problem"), BROKEN_POLICIES)
def test_a_policy_that_fails_refuses_the_flush(
    boundary: Boundary, handled: list[Any], policy: Any, problem: str
) -> None:
    """Nothing ran, nothing is lost; the message says which policy, of which block, what to do."""
    place = next_line()
    with pytest.raises(PolicyError) as raised, boundary.scope(policy=policy) as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert handled == []
    assert effects.report.pending == [NotifyWarehouse(), SendEmail()]
    assert raised.value.report is effects.report
    text = str(raised.value)
    assert problem in text
    assert policy.__name__ in text
    assert place in text
    assert "nothing is lost (report.resume() asks again)" in text
    assert "ALLOW, DROP, HOLD or MERGED(into=index)" in text


@pytest.mark.parametrize(("policy", "problem"), BROKEN_POLICIES)
def test_a_policy_that_fails_in_a_later_wave_refuses_that_wave(policy: Any, problem: str) -> None:
    """What ran before did run; the wave stays pending."""

    def later(view: View) -> Any:
        return policy(view) if view.wave == 2 else [ALLOW] * len(view)

    def twice(subject: CountDown) -> None:
        count_down(subject)
        if subject.n == 2:
            airlock.emit(CountDown(-1))

    boundary = Boundary({CountDown: twice})
    with pytest.raises(FlushError) as raised, boundary.scope(policy=later) as effects:
        effects.emit(CountDown(3))
    (error,) = raised.value.exceptions
    assert isinstance(error, PolicyError)
    assert problem in str(error)
    assert effects.report.delivered == [CountDown(3), CountDown(2)]
    assert effects.report.pending == [CountDown(1), CountDown(-1)]


def test_a_policy_that_recovers_is_asked_again(boundary: Boundary, handled: list[Any]) -> None:
    """``report.resume()`` of a refused flush judges it anew."""
    healthy: list[bool] = []

    def moody(view: View) -> Sequence[Verdict]:
        if not healthy:
            raise Broken
        return [DROP if isinstance(i, SendEmail) else ALLOW for i in view.intents]

    with pytest.raises(PolicyError), boundary.scope(policy=moody) as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail()])
    healthy.append(True)
    resumed = effects.report.resume()
    assert handled == [NotifyWarehouse()]
    assert resumed.dropped == [SendEmail()]
