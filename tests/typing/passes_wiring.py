"""Wiring, as type checkers see it: nothing here is an error, and all of it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_type
from uuid import UUID

from dependency_injector import containers, providers

import airlock
from airlock import (
    INLINE,
    Boundary,
    Check,
    Delivery,
    Dispatcher,
    Expands,
    FlushError,
    Handles,
    HandlesBatch,
    Intent,
    Log,
    Observer,
    Outcome,
    Release,
    Report,
    ReportEntry,
    RetryPolicy,
    Route,
    Segment,
)
from airlock.release import OnFlushError
from tests.typing.vocabulary import (
    BatchNotifier,
    Box,
    Charge,
    Http,
    Notifier,
    Notify,
    SendMail,
    Urgent,
    on_any,
    on_async,
    on_batch,
    on_charge,
    on_either,
    on_notify,
    refund,
    restock,
)


def expand(event: Urgent) -> Iterable[Intent]:
    yield SendMail(to=event.why)


class Wiring(containers.DeclarativeContainer):
    http = providers.Singleton(Http)
    plain = Handles(Notify, on_notify)
    charge = Handles(Charge, on_charge, http=http)
    restocking = Handles(restock, http=http)
    refunding = Handles(refund, retry=RetryPolicy(on=ConnectionError, max_attempts=2))
    box = Handles(Box, on_any)
    placed = Expands(Urgent, expand)


Handles(Notify, on_any)
Handles(Notify, on_either)
Handles(Notify, on_async)
Handles(Notify, Notifier, http=Http())
Handles(Notify, Notifier(Http()))
Handles(Notify, lambda intent: intent.order_id)
Handles(Urgent, on_notify)
HandlesBatch(Notify, on_batch)
HandlesBatch(Notify, on_any)
HandlesBatch(Notify, BatchNotifier)
Expands(Notify, lambda event: (SendMail(to=str(event.order_id)), Urgent(event.order_id)))
Expands(Notify, lambda event: [])

# -- boundaries -----------------------------------------------------------------------------------


class Queue(Dispatcher):
    options = frozenset({"delay"})

    def dispatch(self, delivery: Delivery, /) -> None:
        assert_type(delivery.id, UUID)
        assert_type(delivery.attempt, int)
        assert_type(delivery.kind, str)
        assert_type(delivery.cause, Delivery | None)


def timed(intent: Any, call_next: Any) -> object:
    return call_next(intent)


class Watching(Observer):
    def flushed(self, report: Report, /) -> None:
        assert_type(report.counts, dict[Outcome, int])


boundary = Boundary(
    {Notify: on_notify, Charge: print, restock: lambda intent: None},
    policy=airlock.Dedupe() & airlock.Limit(10),
    dispatch=Route({SendMail: Queue(), refund: Queue()}, default=INLINE),
    interceptors=[timed, lambda intent, call_next: call_next(intent)],
    observers=[Log(), Watching()],
)
from_container = Boundary(Wiring())
assert_type(boundary.check([Notify], sync=True), Check)


class Commit:
    """A release is any object with these two."""

    on_flush_error: OnFlushError = "report"

    def segment(self) -> Segment:
        return Segment(begun=True)


release: Release = Commit()
boundary.scope(release=release, independent=True, keep=lambda error: error is None)
boundary.scoped(release=Commit, fail_fast=True)

# -- reports --------------------------------------------------------------------------------------

with boundary.scope() as effects:
    effects.emit(Notify(1))
report = effects.report
assert_type(report, Report)
assert_type(report.delivered, list[Any])
assert_type(report.entries, list[ReportEntry])
assert_type(report.of(Notify)[0].outcome, Outcome)
assert_type(report.ok, bool)
assert_type(report.resume(interrupted=True), Report)


def handled() -> None:
    try:
        checkout()
    except FlushError as error:
        assert_type(error.exceptions, tuple[Exception | ExceptionGroup[Exception], ...])
        if error.report is not None:
            assert_type(error.report, Report)
    try:
        checkout()
    except* ValueError as group:
        assert_type(group, ExceptionGroup[ValueError])


def checkout() -> None: ...
