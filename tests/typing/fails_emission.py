# A mark belongs to its line, however long:
# fmt: off
# ruff: noqa: F841 - mistakes are what it is about
# mypy: ignore-errors
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false, reportInvalidTypeArguments=false
"""Misuse of emission that type checkers report, each line with the rule that says it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import airlock
from airlock import Boundary, EffectBuffer, Emits, Options, Scope, emit, emit_all, enqueue
from tests.typing.vocabulary import (
    Box,
    Charge,
    Http,
    Notify,
    SendMail,
    buffer,
    process,
    refund,
    restock,
)

boundary = Boundary({})

# -- Emits ----------------------------------------------------------------------------------------


def of_notify(effects: Emits[Notify]) -> None:
    effects.emit(SendMail(to="a"))  # E: mypy=arg-type pyright=reportArgumentType
    effects.emit(Notify)  # E: mypy=arg-type pyright=reportArgumentType
    effects.emit(lambda: None)  # E: mypy=arg-type pyright=reportArgumentType
    effects.emit(3)  # E: mypy=arg-type pyright=reportArgumentType
    effects.emit(restock.intent(1))  # E: mypy=arg-type pyright=reportArgumentType
    effects.emit(Notify(1), delay=timedelta(1))  # E: mypy=call-arg pyright=reportCallIssue
    effects.emit(Notify(1), timedelta(1))  # E: mypy=arg-type pyright=reportArgumentType
    process(effects)  # E: mypy=arg-type pyright=reportArgumentType
    effects.emit_all([Notify(1), Charge("4111")])  # E: mypy=list-item pyright=reportArgumentType
    effects.emit_all(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
    effects.of(Notify)  # E: mypy=attr-defined pyright=reportAttributeAccessIssue
    first = effects[0]  # E: mypy=index pyright=reportIndexIssue
    len(effects)  # E: mypy=arg-type pyright=reportArgumentType
    list(effects)  # E: mypy=call-overload pyright=reportArgumentType


def of_either(effects: Emits[Notify | SendMail]) -> None:
    back: EffectBuffer = effects  # E: mypy=assignment pyright=reportAssignmentType
    scope: Scope = effects  # E: mypy=assignment pyright=reportAssignmentType
    effects.emit(Charge("4111"))  # E: mypy=arg-type pyright=reportArgumentType


def bound(effects: Emits[int]) -> None: ...  # E: mypy=type-var pyright=reportInvalidTypeArguments
def of_a_box(effects: Emits[Box[int]]) -> None:
    effects.emit(Box("a"))  # E: mypy=arg-type pyright=reportArgumentType


class Weird:
    def emit(self, intent: Notify, /) -> None: ...


process(Weird())  # E: mypy=arg-type pyright=reportArgumentType
process(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
process([Notify(1)])  # E: mypy=arg-type pyright=reportArgumentType

# -- buffers and scopes ---------------------------------------------------------------------------

buffer.emit(Notify)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(Box)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(lambda: None)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(print)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(3)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(None)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit("Notify")  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit([Notify(1)])  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(Notify(1), Notify(2))  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(Notify(1), {"delay": 3})  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(Notify(1), delay=timedelta(1))  # E: mypy=call-arg pyright=reportCallIssue
buffer.emit()  # E: mypy=call-arg pyright=reportCallIssue
buffer.emit(restock)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(restock.intent)  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit(intent=Notify(1))  # E: mypy=call-arg pyright=reportCallIssue
buffer.emit_all([Notify(1), 3])  # E: mypy=list-item pyright=reportArgumentType
buffer.emit_all([Notify])  # E: mypy=list-item pyright=reportArgumentType
buffer.emit_all(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
buffer.emit_all(restock.intent)  # E: mypy=arg-type pyright=reportArgumentType
EffectBuffer([Notify])  # E: mypy=list-item pyright=reportArgumentType
EffectBuffer(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
buffer[0] = Notify(1)  # E: mypy=index pyright=reportIndexIssue
del buffer[0]  # E: mypy=attr-defined pyright=reportIndexIssue
buffer.append(Notify(1))  # E: mypy=attr-defined pyright=reportAttributeAccessIssue
buffer.of(int)  # E: mypy=type-var pyright=reportArgumentType
buffer.of(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
buffer.since(3)  # E: mypy=arg-type pyright=reportArgumentType
mails: list[SendMail] = buffer.of(Notify)  # E: mypy=arg-type pyright=reportAssignmentType
card: int = buffer.of(Charge)[0].card  # E: mypy=assignment pyright=reportAssignmentType
with boundary.scope() as scope:
    scope.emit(Notify)  # E: mypy=arg-type pyright=reportArgumentType
    scope.emit(lambda: None)  # E: mypy=arg-type pyright=reportArgumentType
    scope.emit_all([3])  # E: mypy=list-item pyright=reportArgumentType
    scope.override({Notify: None}, {})  # E: mypy=call-arg pyright=reportCallIssue
    missing = scope.nope  # E: mypy=attr-defined pyright=reportAttributeAccessIssue

# -- ambient --------------------------------------------------------------------------------------

emit(Notify)  # E: mypy=arg-type pyright=reportArgumentType
emit(lambda: None)  # E: mypy=arg-type pyright=reportArgumentType
emit(3)  # E: mypy=arg-type pyright=reportArgumentType
emit(Notify(1), delay=timedelta(1))  # E: mypy=call-arg pyright=reportCallIssue
emit_all(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
emit_all([Notify])  # E: mypy=list-item pyright=reportArgumentType
airlock.region()  # E: mypy=call-arg pyright=reportCallIssue
airlock.region(3)  # E: mypy=arg-type pyright=reportArgumentType
airlock.enclose(3)  # E: mypy=arg-type pyright=reportArgumentType
airlock.current().emit(Notify)  # E: mypy=arg-type pyright=reportArgumentType

# -- enqueue --------------------------------------------------------------------------------------

enqueue(restock)  # E: mypy=call-arg pyright=reportCallIssue
enqueue(restock, "7")  # E: mypy=arg-type pyright=reportArgumentType
enqueue(restock, 7, True)  # E: mypy=call-arg pyright=reportCallIssue
enqueue(restock, 7, urgnt=True)  # E: mypy=call-arg pyright=reportCallIssue
enqueue(restock, 7, urgent="yes")  # E: mypy=arg-type pyright=reportArgumentType
enqueue(restock, 7, http=3)  # E: mypy=arg-type pyright=reportArgumentType
enqueue(refund, 4111)  # E: mypy=arg-type pyright=reportArgumentType
enqueue(refund, "4111", 3)  # E: mypy=call-arg pyright=reportCallIssue
enqueue(print, 1)  # E: mypy=arg-type pyright=reportArgumentType
enqueue(lambda: None)  # E: mypy=arg-type pyright=reportArgumentType
enqueue(restock.intent, 7)  # E: mypy=arg-type pyright=reportArgumentType
enqueue(restock.intent(7))  # E: mypy=arg-type pyright=reportArgumentType
enqueue(Notify, 1)  # E: mypy=arg-type pyright=reportArgumentType
enqueue(restock.function, 7)  # E: mypy=arg-type pyright=reportArgumentType

# -- options --------------------------------------------------------------------------------------

Options(uuid.uuid4())  # E: mypy=call-arg pyright=reportCallIssue
Options(id="7")  # E: mypy=arg-type pyright=reportArgumentType
Options(delay=3)  # E: mypy=arg-type pyright=reportArgumentType
Options(ordering_key=3)  # E: mypy=arg-type pyright=reportArgumentType
Options(dedupe_key=b"k")  # E: mypy=arg-type pyright=reportArgumentType
Options(headers={"a": 1})  # E: mypy=dict-item pyright=reportArgumentType
Options(headers=[("a", "b")])  # E: mypy=arg-type pyright=reportArgumentType
Options(priority=1)  # E: mypy=call-arg pyright=reportCallIssue
Options().delay = timedelta(1)  # E: mypy=misc pyright=reportAttributeAccessIssue

# -- scopes ---------------------------------------------------------------------------------------

boundary.scope(policy=3)  # E: mypy=arg-type pyright=reportArgumentType
boundary.scope(release=3)  # E: mypy=arg-type pyright=reportArgumentType
boundary.scope(headers={"a": 1})  # E: mypy=dict-item pyright=reportArgumentType
boundary.scope(keep=True)  # E: mypy=arg-type pyright=reportArgumentType
boundary.scope(fail_fast="yes")  # E: mypy=arg-type pyright=reportArgumentType
boundary.scope(polcy=None)  # E: mypy=call-arg pyright=reportCallIssue
boundary.scope(airlock.Drop())  # E: mypy=call-arg pyright=reportCallIssue


@boundary.scoped  # E: mypy=call-arg pyright=reportCallIssue
def not_called(order_id: int) -> str:
    return ""


@boundary.scoped()
def checkout(order_id: int) -> str:
    return ""


checkout("1")  # E: mypy=arg-type pyright=reportArgumentType
checkout()  # E: mypy=call-arg pyright=reportCallIssue
number: int = checkout(1)  # E: mypy=assignment pyright=reportAssignmentType
wanted: Callable[[str], str] = checkout  # E: mypy=assignment pyright=reportAssignmentType
anything: Any = Http()
