"""Retries of a handler: attempts are counted, and what a failed one emitted is discarded."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    FlushError,
    Handles,
    HandlesBatch,
    Outcome,
    PartialFailure,
    RetryPolicy,
    delivery,
    effect,
)
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    NotifyWarehouse,
    SendEmail,
    awaited,
    ignore,
)


def at_once(*, max_attempts: int = 5) -> RetryPolicy:
    """Try again after ``Broken``, without waiting."""
    return RetryPolicy(
        Broken, max_attempts=max_attempts, wait_initial=timedelta(0), wait_max=timedelta(0)
    )


def succeed(_: object) -> None:
    """Emit an e-mail that says which attempt this is."""
    airlock.emit(SendEmail(f"attempt {delivery().attempt}"))


def fail(subject: object) -> None:
    """The same, and fail."""
    succeed(subject)
    raise Broken(f"attempt {delivery().attempt}")


def attempts(handler: FakeHandler) -> list[int]:
    return [one.attempt for one in handler.deliveries]


def retrying(handler: Any, retry: RetryPolicy | None = None) -> Boundary:
    """A boundary that retries one handler."""
    wiring = containers.DynamicContainer()
    wiring.notify = Handles(NotifyWarehouse, handler, retry=retry or at_once())
    wiring.email = Handles(SendEmail, ignore)
    return Boundary(wiring)


def test_a_handler_is_called_again_until_it_succeeds() -> None:
    """Attempts count from 1; the intent is delivered once."""
    notify = FakeHandler(fail, fail, succeed)
    with retrying(notify).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert attempts(notify) == [1, 2, 3]
    assert effects.report.ok
    assert effects.report.delivered == [NotifyWarehouse(), SendEmail("attempt 3")]


def test_what_a_failed_attempt_emitted_is_discarded() -> None:
    """Each with the error that it failed with."""
    with retrying(FakeHandler(fail, fail, succeed)).scope() as effects:
        effects.emit(NotifyWarehouse())
    thrown_away = [e for e in effects.report if e.outcome is Outcome.DISCARDED]
    assert [(e.intent, str(e.by), e.cause and e.cause.intent) for e in thrown_away] == [
        (SendEmail("attempt 1"), "attempt 1", NotifyWarehouse()),
        (SendEmail("attempt 2"), "attempt 2", NotifyWarehouse()),
    ]


@pytest.mark.anyio
async def test_async_handlers_are_retried_too() -> None:
    """Under either event loop."""
    notify = FakeHandler(fail, fail, succeed)
    async with retrying(awaited(notify)).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert attempts(notify) == [1, 2, 3]
    assert effects.report.delivered == [NotifyWarehouse(), SendEmail("attempt 3")]
    assert effects.report.discarded == [SendEmail("attempt 1"), SendEmail("attempt 2")]


def test_a_spent_policy_fails_the_intent_with_the_last_error() -> None:
    """As raised by the handler; the rest is still delivered."""
    notify = FakeHandler(fail, fail, fail)
    with (
        pytest.raises(FlushError) as raised,
        retrying(notify, at_once(max_attempts=3)).scope() as effects,
    ):
        effects.emit_all([NotifyWarehouse(), SendEmail("other")])
    assert attempts(notify) == [1, 2, 3]
    (error,) = raised.value.exceptions
    assert isinstance(error, Broken)
    assert str(error) == "attempt 3"
    assert effects.report.delivered == [SendEmail("other")]
    assert len(effects.report.discarded) == 3


def test_other_errors_are_not_retried() -> None:
    """Only those that the policy is for."""
    notify = FakeHandler(KeyError)
    with pytest.raises(FlushError), retrying(notify).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert attempts(notify) == [1]
    assert effects.report.failed == [NotifyWarehouse()]


def test_a_policy_may_be_for_several_errors() -> None:
    """A tuple of classes."""
    notify = FakeHandler(KeyError, None)
    retry = RetryPolicy((OSError, KeyError), wait_initial=timedelta(0), wait_max=timedelta(0))
    with retrying(notify, retry).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert attempts(notify) == [1, 2]


def test_resuming_goes_on_counting() -> None:
    """Attempts are those of the intent, whichever flush made them."""
    notify = FakeHandler(fail, fail, fail, succeed)
    with pytest.raises(FlushError), retrying(notify, at_once(max_attempts=2)).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert effects.report.resume().delivered == [NotifyWarehouse(), SendEmail("attempt 4")]
    assert attempts(notify) == [1, 2, 3, 4]


def test_a_batch_is_retried_as_a_whole() -> None:
    """All members, each with a new attempt."""
    calls: list[tuple[int, ...]] = []

    def write(batch: list[AuditEntry]) -> None:
        calls.append(tuple(one.attempt for one in airlock.deliveries()))
        if len(calls) == 1:
            raise Broken

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, write, retry=at_once())
    with Boundary(wiring).scope() as effects:
        effects.emit_all([AuditEntry("1"), AuditEntry("2")])
    assert calls == [(1, 1), (2, 2)]


@pytest.mark.parametrize("on", [Broken, PartialFailure, Exception])
def test_a_partial_failure_is_not_retried(on: type[Exception]) -> None:
    """The batch did run: members that failed are for ``resume``."""
    calls: list[int] = []

    def write(batch: list[AuditEntry]) -> None:
        calls.append(len(batch))
        raise PartialFailure({0: Broken()})

    wiring = containers.DynamicContainer()
    retry = RetryPolicy(on, wait_initial=timedelta(0), wait_max=timedelta(0))
    wiring.audit = HandlesBatch(AuditEntry, write, retry=retry)
    with pytest.raises(FlushError), Boundary(wiring).scope() as effects:
        effects.emit_all([AuditEntry("1"), AuditEntry("2")])
    assert calls == [2]
    assert effects.report.failed == [AuditEntry("1")]
    assert effects.report.delivered == [AuditEntry("2")]


def test_effect_functions_are_retried() -> None:
    """``Handles(fn, retry=...)``."""
    calls: list[int] = []

    @effect
    def restock(product: int) -> None:
        calls.append(delivery().attempt)
        if len(calls) == 1:
            raise Broken

    wiring = containers.DynamicContainer()
    wiring.restock = Handles(restock, retry=at_once())
    with Boundary(wiring).scope():
        airlock.enqueue(restock, 1)
    assert calls == [1, 2]


def test_an_interrupted_attempt_is_not_retried() -> None:
    """``KeyboardInterrupt`` propagates bare."""
    notify = FakeHandler(KeyboardInterrupt, None)
    with pytest.raises(KeyboardInterrupt), retrying(notify).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert attempts(notify) == [1]
    assert [entry.interrupted for entry in effects.report] == [True]


def test_without_stamina_a_retry_policy_names_the_extra() -> None:
    """Where the policy is written, not when the first handler fails."""
    program = (
        "import sys; sys.modules['stamina'] = None\n"
        "import airlock\n"
        "try:\n"
        "    airlock.RetryPolicy(OSError)\n"
        "except airlock.errors.MissingExtraError as error:\n"
        "    assert isinstance(error, ImportError)\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stderr == ""
    assert "RetryPolicy needs stamina, which is not installed" in done.stdout
    assert "pip install 'airlock-effects[retry]'" in done.stdout
