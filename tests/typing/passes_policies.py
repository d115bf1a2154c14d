"""Policies, as type checkers see them: nothing here is an error, and all of it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

import attrs

from airlock import (
    ALLOW,
    DROP,
    HOLD,
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
    enclose,
    region,
)
from tests.typing.vocabulary import Charge, Notify, SendMail, Urgent, restock


def first_only(view: View) -> list[Verdict]:
    return [ALLOW if i == 0 else DROP for i in range(len(view))]


def as_a_tuple(view: View) -> tuple[Verdict, ...]:
    return tuple(HOLD for _ in view.intents)


class AnyObject:
    def decide(self, view: View, /) -> Sequence[Verdict]:
        return [ALLOW for _ in view.intents]


@attrs.frozen
class Own(Policy):
    at_most: int

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return [ALLOW if i < self.at_most else DROP for i in range(len(view))]


def picks(one: Notify, other: Notify) -> Notify:
    return max(one, other, key=lambda notify: notify.order_id)


policies: tuple[PolicyLike, ...] = (
    Allow(),
    Allow(Notify, SendMail),
    Drop("typing.charge"),
    Drop(restock),
    Hold(Charge),
    Refuse(Urgent),
    Dedupe(Notify, key=lambda intent: intent.order_id, keep="last"),
    Dedupe(Notify, keep=picks),
    Limit(3, per=type),
    OncePerChain(Notify, key=type),
    first_only,
    as_a_tuple,
    AnyObject(),
    Own(3),
    each(lambda intent: HOLD if isinstance(intent, Charge) else ALLOW),
    Drop(Notify) & Dedupe() & first_only,
    first_only & Drop(),
    Drop().where(lambda intent: isinstance(intent, Notify)),
)

assert_type(MERGED(into=1), Verdict)
assert_type(ALLOW, Verdict)

boundary = Boundary({}, policy=first_only)
for policy in policies:
    with boundary.scope(policy=policy), region(policy), enclose(policy, process=True):
        pass
