# A mark belongs to its line, however long:
# fmt: off
# mypy: ignore-errors
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportIncompatibleMethodOverride=false, reportOperatorIssue=false
"""Misuse of policies that type checkers report, each line with the rule that says it."""

from __future__ import annotations

from collections.abc import Sequence

from airlock import (
    ALLOW,
    DROP,
    MERGED,
    Allow,
    Boundary,
    Dedupe,
    Drop,
    Hold,
    Limit,
    OncePerChain,
    Policy,
    PolicyLike,
    Refuse,
    Verdict,
    View,
    each,
)
from tests.typing.vocabulary import Notify, restock


def answers_bools(view: View) -> list[bool]:
    return [True for _ in view.intents]


def answers_one(view: View) -> Verdict:
    return ALLOW


def takes_an_intent(intent: Notify) -> list[Verdict]:
    return [ALLOW]


async def is_async(view: View) -> list[Verdict]:
    return [ALLOW]


bools: PolicyLike = answers_bools  # E: mypy=assignment pyright=reportAssignmentType
one: PolicyLike = answers_one  # E: mypy=assignment pyright=reportAssignmentType
of_an_intent: PolicyLike = takes_an_intent  # E: mypy=assignment pyright=reportAssignmentType
waits: PolicyLike = is_async  # E: mypy=assignment pyright=reportAssignmentType
a_class: PolicyLike = Drop  # E: mypy=assignment pyright=reportAssignmentType
a_number: PolicyLike = 3  # E: mypy=assignment pyright=reportAssignmentType
a_verdict: PolicyLike = ALLOW  # E: mypy=assignment pyright=reportAssignmentType

Allow(3)  # E: mypy=arg-type pyright=reportArgumentType
Drop(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
Hold(restock.intent(1))  # E: mypy=arg-type pyright=reportArgumentType
Refuse([Notify])  # E: mypy=arg-type pyright=reportArgumentType
Drop(lambda intent: True)  # E: mypy=arg-type pyright=reportArgumentType
Drop(types=Notify)  # E: mypy=call-arg pyright=reportCallIssue
Dedupe(keep="newest")  # E: mypy=arg-type pyright=reportArgumentType
Dedupe(keep=3)  # E: mypy=arg-type pyright=reportArgumentType
Dedupe(keep=lambda one: one)  # E: mypy=arg-type pyright=reportArgumentType
Dedupe(key="order_id")  # E: mypy=arg-type pyright=reportArgumentType
Dedupe(lambda intent: intent.order_id)  # E: mypy=arg-type pyright=reportArgumentType
Limit()  # E: mypy=call-arg pyright=reportCallIssue
Limit("3")  # E: mypy=arg-type pyright=reportArgumentType
Limit(3, 4)  # E: mypy=call-arg pyright=reportCallIssue
Limit(3, per="to")  # E: mypy=arg-type pyright=reportArgumentType
OncePerChain(key=3)  # E: mypy=arg-type pyright=reportArgumentType
OncePerChain(keep="first")  # E: mypy=call-arg pyright=reportCallIssue
_ = Drop() & 3  # E: mypy=operator pyright=reportOperatorIssue
_ = Drop() & Drop  # E: mypy=operator pyright=reportOperatorIssue
Drop().where(3)  # E: mypy=arg-type pyright=reportArgumentType
Drop().where(lambda intent: "yes")  # E: mypy=arg-type pyright=reportArgumentType
_ = Drop() | Hold()  # E: mypy=operator pyright=reportOperatorIssue
Limit(3).n = 4  # E: mypy=misc pyright=reportAttributeAccessIssue
MERGED(1)  # E: mypy=call-arg pyright=reportCallIssue
MERGED(into="1")  # E: mypy=arg-type pyright=reportArgumentType
MERGED()  # E: mypy=call-arg pyright=reportCallIssue
ALLOW.name = "DROP"  # E: mypy=misc pyright=reportAttributeAccessIssue
each(3)  # E: mypy=arg-type pyright=reportArgumentType
each(lambda intent: True)  # E: mypy=arg-type pyright=reportArgumentType
each(lambda view: [ALLOW])  # E: mypy=arg-type pyright=reportArgumentType
View([Notify(1)]).wave = 2  # E: mypy=misc pyright=reportAttributeAccessIssue
View([Notify(1)]).merge_key("0")  # E: mypy=arg-type pyright=reportArgumentType


class AnswersBools(Policy):
    def decide(self, view: View, /) -> Sequence[bool]:  # E: mypy=override pyright=reportIncompatibleMethodOverride
        return [True]


class TakesIntent(Policy):
    def decide(self, intent: Notify, /) -> Sequence[Verdict]:  # E: mypy=override pyright=reportIncompatibleMethodOverride
        return [DROP]


class RefusesWithAnswer(Policy):
    def refuse(self, intent: Notify, more: int, /) -> None: ...  # E: mypy=override pyright=reportIncompatibleMethodOverride


Boundary({}, policy=answers_bools)  # E: mypy=arg-type pyright=reportArgumentType
Boundary({}).scope(policy=lambda view: [True])  # E: mypy=arg-type pyright=reportArgumentType
