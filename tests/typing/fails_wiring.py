# A mark belongs to its line, however long:
# fmt: off
# mypy: ignore-errors
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportIncompatibleMethodOverride=false
"""Misuse of wiring that type checkers report, each line with the rule that says it."""

from __future__ import annotations

from collections.abc import Iterable

import airlock
from airlock import (
    Boundary,
    Delivery,
    Dispatcher,
    Expands,
    Handles,
    HandlesBatch,
    Observer,
    Release,
    Report,
    RetryPolicy,
    Route,
    Segment,
)
from tests.typing.vocabulary import (
    BatchNotifier,
    Charge,
    Http,
    Notifier,
    Notify,
    SendMail,
    on_batch,
    on_charge,
    on_notify,
    on_urgent,
    restock,
)


class Charger:
    def __call__(self, intent: Charge) -> None: ...


def from_charge(event: Charge) -> Iterable[SendMail]:
    return (SendMail(to=event.card),)


def to_numbers(event: Notify) -> list[int]:
    return [event.order_id]


async def on_async_charge(intent: Charge) -> None: ...
def without_arguments() -> None: ...


# -- Handles --------------------------------------------------------------------------------------

Handles(Notify, on_charge)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, on_async_charge)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, Charger)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, Charger())  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, on_batch)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, on_urgent)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, without_arguments)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, Http)  # E: mypy=arg-type pyright=reportArgumentType
Handles(Notify, 3)  # E: mypy=call-overload pyright=reportArgumentType
Handles(Notify)  # E: mypy=call-overload pyright=reportArgumentType
Handles()  # E: mypy=call-overload pyright=reportCallIssue
Handles(Notify(1), on_notify)  # E: mypy=call-overload pyright=reportArgumentType
Handles(int, lambda number: None)  # E: mypy=type-var pyright=reportArgumentType
Handles(Notify, lambda intent: intent.nope)  # E: pyright=reportAttributeAccessIssue
Handles("typing.notify", on_notify)  # E: mypy=call-overload pyright=reportArgumentType
Handles(restock, on_notify)  # E: mypy=call-overload pyright=reportArgumentType
Handles(on_notify)  # E: mypy=call-overload pyright=reportArgumentType
Handles(Notify, on_notify, retry=3)  # E: mypy=call-overload pyright=reportArgumentType
Handles(Notify, on_notify, Http())  # E: mypy=call-overload pyright=reportCallIssue

# -- HandlesBatch ---------------------------------------------------------------------------------

HandlesBatch(Notify, on_notify)  # E: mypy=arg-type pyright=reportArgumentType
HandlesBatch(Charge, on_batch)  # E: mypy=arg-type pyright=reportArgumentType
HandlesBatch(Charge, BatchNotifier)  # E: mypy=arg-type pyright=reportArgumentType
HandlesBatch(Notify, Notifier)  # E: mypy=arg-type pyright=reportArgumentType
HandlesBatch(Notify, on_batch, size="500")  # E: mypy=call-overload pyright=reportArgumentType
HandlesBatch(Notify, on_batch, siz=500, retry=3)  # E: mypy=call-overload pyright=reportArgumentType
HandlesBatch(restock)  # E: mypy=call-overload pyright=reportCallIssue

# -- Expands --------------------------------------------------------------------------------------

Expands(Notify, from_charge)  # E: mypy=arg-type pyright=reportArgumentType
Expands(Notify, to_numbers)  # E: mypy=arg-type pyright=reportArgumentType
Expands(Notify, lambda event: 3)  # E: mypy=arg-type pyright=reportArgumentType
Expands(Notify, lambda event: Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
Expands(Notify, lambda event: [3])  # E: mypy=list-item pyright=reportArgumentType
Expands(Notify, lambda event: [Notify])  # E: mypy=list-item pyright=reportArgumentType
Expands(Notify, lambda event: [SendMail(to=event.nope)])  # E: mypy=attr-defined pyright=reportAttributeAccessIssue

# -- boundaries -----------------------------------------------------------------------------------

Boundary()  # E: mypy=call-arg pyright=reportCallIssue
Boundary(3)  # E: mypy=arg-type pyright=reportArgumentType
Boundary({Notify: 3})  # E: mypy=dict-item pyright=reportArgumentType
Boundary({}, policy=3)  # E: mypy=arg-type pyright=reportArgumentType
Boundary({}, dispatch=3)  # E: mypy=arg-type pyright=reportArgumentType
Boundary({}, interceptors=[3])  # E: mypy=list-item pyright=reportArgumentType
Boundary({}, interceptors=[lambda intent: None])  # E: mypy=list-item pyright=reportArgumentType
Boundary({}, observers=[print])  # E: mypy=list-item pyright=reportArgumentType
Boundary({}, max_depth="50")  # E: mypy=arg-type pyright=reportArgumentType
Boundary({}, concurency=2)  # E: mypy=call-arg pyright=reportCallIssue
Boundary({}).check([3])  # E: mypy=list-item pyright=reportArgumentType
Boundary({}).check(sync="yes")  # E: mypy=arg-type pyright=reportArgumentType
Route({SendMail: 3})  # E: mypy=dict-item pyright=reportArgumentType
Route({"typing.mail": Dispatcher()})  # E: mypy=dict-item pyright=reportArgumentType
RetryPolicy(on=3)  # E: mypy=arg-type pyright=reportArgumentType
RetryPolicy(on=KeyError, max_attempts="3")  # E: mypy=arg-type pyright=reportArgumentType
RetryPolicy(KeyError, 3)  # E: mypy=call-arg pyright=reportCallIssue
RetryPolicy()  # E: mypy=call-arg pyright=reportCallIssue


class BadQueue(Dispatcher):
    def dispatch(self, delivery: str, /) -> None: ...  # E: mypy=override pyright=reportIncompatibleMethodOverride


class BadObserver(Observer):
    def flushed(self, report: Report, more: int, /) -> None: ...  # E: mypy=override pyright=reportIncompatibleMethodOverride


class NoErrorSetting:
    def segment(self) -> Segment:
        return Segment()


class NoSegment:
    on_flush_error = "report"


first: Release = NoErrorSetting()  # E: mypy=assignment pyright=reportAssignmentType
second: Release = NoSegment()  # E: mypy=assignment pyright=reportAssignmentType


def handler(delivery: Delivery, report: Report) -> None:
    delivery.attempt = "1"  # E: mypy=assignment pyright=reportAttributeAccessIssue
    delivery.id = 3  # E: mypy=misc pyright=reportAttributeAccessIssue
    report.delivered = []  # E: mypy=misc pyright=reportAttributeAccessIssue
    report.of(3)  # E: mypy=arg-type pyright=reportArgumentType
    report.resume(True)  # E: mypy=call-arg pyright=reportCallIssue
    airlock.delivery(1)  # E: mypy=call-arg pyright=reportCallIssue
