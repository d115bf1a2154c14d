"""Policies stack: an intent escapes only if every policy around its emission allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

import airlock
from airlock import (
    ALLOW,
    DROP,
    HOLD,
    Allow,
    Boundary,
    Dedupe,
    Drop,
    Hold,
    Limit,
    OncePerChain,
    Options,
    Outcome,
    Policy,
    Refuse,
    Verdict,
    View,
    each,
    enclose,
    region,
)
from airlock.errors import FlushError, PolicyError, RefusedError
from airlock.policies.policy import And
from tests.boundary.vocabulary import (
    AuditEntry,
    CountDown,
    Emission,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    SendInvoice,
    count_down,
    next_line,
)

Places = Callable[[Boundary, Any], ExitStack]


def scope_inside(boundary: Boundary, policy: Any) -> ExitStack:
    """A nested scope under a policy."""
    stack = ExitStack()
    stack.enter_context(boundary.scope(policy=policy))
    return stack


def region_inside(_: Boundary, policy: Any) -> ExitStack:
    """A region under a policy."""
    stack = ExitStack()
    stack.enter_context(region(policy))
    return stack


def enclosure_inside(_: Boundary, policy: Any) -> ExitStack:
    """An enclosure inside a scope."""
    stack = ExitStack()
    stack.enter_context(enclose(policy))
    return stack


PLACES = [scope_inside, region_inside, enclosure_inside]


@pytest.mark.parametrize("place", PLACES)
def test_a_nested_drop_stays_dropped(
    boundary: Boundary, handled: list[Any], emission: Emission, place: Places
) -> None:
    """What an inner policy drops, the outermost scope does not deliver."""
    with boundary.scope(policy=Allow()) as effects:
        with place(boundary, Drop()):
            emission(effects, NotifyWarehouse(1))
        emission(effects, NotifyWarehouse(2))
    assert handled == [NotifyWarehouse(2)]
    assert effects.report.dropped == [NotifyWarehouse(1)]


@pytest.mark.parametrize("place", PLACES)
def test_an_outer_drop_is_not_undone(
    boundary: Boundary, handled: list[Any], emission: Emission, place: Places
) -> None:
    """No inner ``Allow()`` lets anything out."""
    with boundary.scope(policy=Drop()) as effects, place(boundary, Allow()):
        emission(effects, NotifyWarehouse())
    assert handled == []


@pytest.mark.parametrize(
    ("inner", "outer", "outcome"),
    [
        (Allow(), Allow(), Outcome.DELIVERED),
        (Hold(), Allow(), Outcome.HELD),
        (Allow(), Hold(), Outcome.HELD),
        (Hold(), Drop(), Outcome.DROPPED),
        (Drop(), Hold(), Outcome.DROPPED),
        (Hold(), Hold(), Outcome.HELD),
    ],
)
def test_drop_beats_hold_beats_allow(
    boundary: Boundary, inner: Policy, outer: Policy, outcome: Outcome
) -> None:
    """Whichever is inside."""
    with boundary.scope(policy=outer) as effects, region(inner):
        effects.emit(NotifyWarehouse())
    assert [entry.outcome for entry in effects.report] == [outcome]


def test_the_innermost_policy_is_asked_first(handled: list[Any]) -> None:
    """Region by region outwards, then the scope's, the boundary's default, every enclosure."""
    asked: list[str] = []

    def asks(name: str) -> Callable[[View], Sequence[Verdict]]:
        def policy(view: View) -> Sequence[Verdict]:
            asked.append(name)
            return [ALLOW] * len(view)

        return policy

    boundary = Boundary({NotifyWarehouse: handled.append}, policy=asks("boundary"))
    with (
        enclose(asks("outer enclosure")),
        enclose(asks("enclosure")),
        boundary.scope(policy=asks("scope")),
        region(asks("region")),
        boundary.scope(policy=asks("nested scope")) as inner,
        region(asks("innermost region")),
    ):
        inner.emit(NotifyWarehouse())
    assert asked == [
        "innermost region",
        "nested scope",
        "region",
        "scope",
        "boundary",
        "enclosure",
        "outer enclosure",
    ]
    assert handled == [NotifyWarehouse()]


def test_an_outer_policy_sees_what_inner_ones_left(boundary: Boundary) -> None:
    """So that a limit counts only what may still escape; what is held may, later."""
    shown: list[Any] = []

    def outer(view: View) -> Sequence[Verdict]:
        shown.extend(view.intents)
        return [ALLOW] * len(view)

    with boundary.scope(policy=outer) as effects, region(Drop(SendEmail) & Hold(AuditEntry)):
        effects.emit_all([SendEmail(), AuditEntry(), NotifyWarehouse()])
    assert shown == [AuditEntry(), NotifyWarehouse()]


def test_merged_is_final(boundary: Boundary, handled: list[Any]) -> None:
    """An outer policy is shown the one that stands for both, and what it says holds for that."""
    with boundary.scope(policy=Drop(NotifyWarehouse)) as effects, region(Dedupe()):
        effects.emit_all([NotifyWarehouse(), NotifyWarehouse(), SendEmail(), SendEmail()])
    assert handled == [SendEmail()]
    assert [(entry.outcome, entry.by) for entry in effects.report] == [
        (Outcome.DROPPED, Drop(NotifyWarehouse)),
        (Outcome.MERGED, NotifyWarehouse()),
        (Outcome.DELIVERED, None),
        (Outcome.MERGED, SendEmail()),
    ]


def test_the_default_of_a_boundary_holds_in_every_scope(handled: list[Any]) -> None:
    """Outside the scope's own policy, independent scopes included."""
    boundary = Boundary(
        {NotifyWarehouse: handled.append, SendEmail: handled.append}, policy=Drop(SendEmail)
    )
    with boundary.scope(policy=Allow()) as effects:
        effects.emit(SendEmail("1"))
        effects.emit(NotifyWarehouse(1))
        with boundary.scope(independent=True) as inner:
            inner.emit(SendEmail("2"))
            inner.emit(NotifyWarehouse(2))
    assert handled == [NotifyWarehouse(2), NotifyWarehouse(1)]


def test_a_and_b_is_a_inside_b(boundary: Boundary, handled: list[Any]) -> None:
    """``b`` sees what ``a`` allowed or held."""
    with boundary.scope(policy=Dedupe() & Limit(2)) as effects:
        effects.emit_all([NotifyWarehouse(n) for n in (1, 1, 1, 2, 3)])
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]
    with boundary.scope(policy=Limit(2) & Dedupe()) as effects:
        effects.emit_all([NotifyWarehouse(n) for n in (1, 1, 1, 2, 3)])
    assert effects.report.delivered == [NotifyWarehouse(1)]
    assert effects.report.dropped == [NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)]


def test_policies_combine_with_plain_functions(boundary: Boundary, handled: list[Any]) -> None:
    """A function of a view is a policy; ``each`` lifts one of a single intent."""

    def no_even(view: View) -> Sequence[Verdict]:
        return [DROP if i.order_id % 2 == 0 else ALLOW for i in view.intents]

    hold_big = each(lambda subject: HOLD if subject.order_id > 5 else ALLOW)
    with boundary.scope(policy=Limit(3) & no_even & hold_big) as effects:
        effects.emit_all([NotifyWarehouse(n) for n in (1, 2, 7, 3)])
    assert handled == [NotifyWarehouse(1)]
    assert effects.report.held == [NotifyWarehouse(7)]
    assert effects.report.dropped == [NotifyWarehouse(2), NotifyWarehouse(3)]


def test_where_judges_only_what_it_selects(boundary: Boundary, handled: list[Any]) -> None:
    """The others are allowed, and not counted."""
    policy = Limit(1).where(lambda subject: isinstance(subject, SendEmail))
    with boundary.scope(policy=policy) as effects:
        effects.emit_all([NotifyWarehouse(1), SendEmail("1"), NotifyWarehouse(2), SendEmail("2")])
    assert handled == [NotifyWarehouse(1), SendEmail("1"), NotifyWarehouse(2)]


def test_any_object_that_decides_is_a_policy(boundary: Boundary, handled: list[Any]) -> None:
    """A subclass of ``Policy`` is one way; ``decide(view)`` is enough."""

    class Mute:
        def decide(self, view: View, /) -> Sequence[Verdict]:
            return [DROP] * len(view)

    with boundary.scope(policy=Mute()) as effects:
        effects.emit(NotifyWarehouse())
    assert handled == []


@pytest.mark.parametrize("policy", [Allow(SendEmail), Drop(SendEmail), Hold(SendEmail)])
def test_a_policy_for_a_class_holds_for_its_subclasses(boundary: Boundary, policy: Policy) -> None:
    """The same rule as for handlers."""
    with boundary.scope(policy=policy) as effects:
        effects.emit_all([SendEmail(), SendInvoice()])
    one, other = effects.report
    assert one.outcome is other.outcome


# -- follow-ups -----------------------------------------------------------------------------------


def test_follow_ups_are_judged_under_the_policies_of_their_cause(handled: list[Any]) -> None:
    """A handler that runs late emits under what held when its intent was emitted."""
    boundary = Boundary(
        {OrderPlaced: lambda i: airlock.emit(SendEmail(str(i.order_id))), SendEmail: handled.append}
    )
    with boundary.scope() as effects:
        with region(Drop(SendEmail)):
            effects.emit(OrderPlaced(1))
        effects.emit(OrderPlaced(2))
    assert handled == [SendEmail("2")]
    assert effects.report.dropped == [SendEmail("1")]


def test_a_limit_counts_across_waves() -> None:
    """Follow-ups are part of the flush."""
    boundary = Boundary({CountDown: count_down})
    with boundary.scope(policy=Limit(3)) as effects:
        effects.emit(CountDown(10))
    assert effects.report.delivered == [CountDown(10), CountDown(9), CountDown(8)]
    assert effects.report.dropped == [CountDown(7)]


def test_once_per_chain_ends_a_circle() -> None:
    """Save, enrich, save, … without a flag."""
    boundary = Boundary(
        {
            OrderPlaced: lambda i: airlock.emit(NotifyWarehouse(i.order_id)),
            NotifyWarehouse: lambda i: airlock.emit(OrderPlaced(i.order_id)),
        },
        policy=OncePerChain(OrderPlaced),
    )
    with boundary.scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(1), OrderPlaced(2)])
    assert effects.report.delivered == [
        *[OrderPlaced(1), OrderPlaced(1), OrderPlaced(2)],
        *[NotifyWarehouse(1), NotifyWarehouse(1), NotifyWarehouse(2)],
    ]
    assert effects.report.dropped == [OrderPlaced(1), OrderPlaced(1), OrderPlaced(2)]


# -- Refuse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_refuse_speaks_at_the_emit_site(
    boundary: Boundary, handled: list[Any], emission: Emission, place: Places
) -> None:
    """Nothing is recorded, and the code goes on if it catches the error."""
    with boundary.scope() as effects:
        with place(boundary, Refuse(SendEmail)):
            with pytest.raises(RefusedError) as raised:
                emission(effects, SendEmail("x"))
            emission(effects, NotifyWarehouse())
        emission(effects, SendEmail("y"))
    assert handled == [NotifyWarehouse(), SendEmail("y")]
    assert len(effects.report) == 2
    text = str(raised.value)
    assert "SendEmail(to='x') is refused by Refuse(SendEmail)" in text
    assert "Nothing was recorded" in text
    assert "use Drop instead of Refuse" in text


def test_a_refusal_says_where_the_policy_is_in_force(boundary: Boundary) -> None:
    """The block may be far up the stack."""
    place = next_line()
    with boundary.scope(policy=Refuse()) as effects, pytest.raises(RefusedError) as raised:
        effects.emit(SendEmail())
    assert place in str(raised.value)


def test_refuse_as_the_default_of_a_boundary(handled: list[Any], emission: Emission) -> None:
    """In every scope of it."""
    boundary = Boundary({SendEmail: handled.append}, policy=Refuse(SendEmail))
    with boundary.scope() as effects, pytest.raises(RefusedError):
        emission(effects, SendEmail())
    with (
        boundary.scope(),
        boundary.scope(independent=True) as effects,
        pytest.raises(RefusedError),
    ):
        emission(effects, SendInvoice())
    assert handled == []


@pytest.mark.parametrize(
    "policy",
    [
        Refuse().where(lambda subject: isinstance(subject, SendEmail)),
        Refuse(SendEmail) & Limit(5),
        Limit(5) & Refuse(SendEmail),
        (Refuse(SendEmail) & Limit(5)).where(lambda subject: True),
    ],
)
def test_refuse_keeps_its_voice_in_combinations(
    boundary: Boundary, emission: Emission, policy: Policy
) -> None:
    """Inside ``where`` and on either side of ``&``."""
    with boundary.scope(policy=policy) as effects:
        with pytest.raises(RefusedError):
            emission(effects, SendEmail())
        emission(effects, NotifyWarehouse())
        assert effects == [NotifyWarehouse()]


def test_emit_all_under_refuse_takes_nothing(boundary: Boundary) -> None:
    """All are checked before the first is taken."""
    with boundary.scope(policy=Refuse(SendEmail)) as effects:
        with pytest.raises(RefusedError):
            effects.emit_all([NotifyWarehouse(), SendEmail()])
        with pytest.raises(RefusedError):
            airlock.emit_all([NotifyWarehouse(), SendEmail()])
        assert effects == []
    assert len(effects.report) == 0


def test_a_scope_that_refused_some_delivers_the_others(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Whatever was refused, and however it was emitted."""
    with boundary.scope(policy=Refuse(SendEmail)) as effects:
        with pytest.raises(RefusedError):
            effects.emit_all([NotifyWarehouse(1), SendEmail()])
        effects.emit(AuditEntry())
    assert handled == list(effects)


def test_refuse_in_a_handler_fails_that_handler(handled: list[Any]) -> None:
    """Follow-ups are under the policies of their cause; what it had emitted is discarded."""

    def place(order: OrderPlaced) -> None:
        airlock.emit(NotifyWarehouse(order.order_id))
        airlock.emit(SendEmail())

    boundary = Boundary({OrderPlaced: place, NotifyWarehouse: handled.append})
    with (
        pytest.raises(FlushError) as raised,
        boundary.scope() as effects,
        region(Refuse(SendEmail)),
    ):
        effects.emit(OrderPlaced(1))
    assert [type(error) for error in raised.value.exceptions] == [RefusedError]
    assert effects.report.failed == [OrderPlaced(1)]
    assert effects.report.discarded == [NotifyWarehouse(1)]
    assert handled == []


def test_refuse_that_comes_too_late_refuses_the_flush(boundary: Boundary) -> None:
    """What was emitted before it held is still refused when it is to escape."""

    def late(view: View) -> Sequence[Verdict]:
        return Refuse().decide(view)

    with pytest.raises(PolicyError, match="Refuse"), boundary.scope(policy=late) as effects:
        effects.emit(NotifyWarehouse())
    assert effects.report.pending == [NotifyWarehouse()]


def test_a_policy_of_your_own_may_refuse(boundary: Boundary, emission: Emission) -> None:
    """``refuse`` is called with each intent as it is emitted."""

    class NoBulk(Policy):
        def refuse(self, subject: Any, /) -> None:
            if subject == SendEmail("all"):
                raise RefusedError(repr(subject), "NoBulk()")

    with boundary.scope(policy=NoBulk()) as effects:
        with pytest.raises(RefusedError, match=r"NoBulk\(\)"):
            emission(effects, SendEmail("all"))
        emission(effects, SendEmail("one"))
        assert effects == [SendEmail("one")]


def test_a_policy_is_not_asked_about_nothing() -> None:
    """Not where all was dropped inside, and not where nothing was emitted."""
    asked: list[int] = []

    def counts(view: View) -> Sequence[Verdict]:
        asked.append(len(view))
        return [ALLOW] * len(view)

    boundary = Boundary({SendEmail: lambda _: None, NotifyWarehouse: lambda _: None})
    with boundary.scope(policy=counts):
        with airlock.region(counts):
            pass
        with airlock.region(each(lambda _: DROP)):
            airlock.emit(SendEmail())
    assert asked == []
    with boundary.scope(policy=counts):
        airlock.emit(NotifyWarehouse())
    assert asked == [1]


@pytest.mark.parametrize("together", [True, False])
def test_what_is_allowed_is_not_merged_into_what_is_held(together: bool) -> None:
    """It would not happen, for another's sake."""
    delivered: list[Any] = []
    hold = each(lambda intent: HOLD)
    held = (hold & Dedupe()) if together else hold
    boundary = Boundary({SendEmail: delivered.append})
    with boundary.scope(policy=Dedupe()) as effects:
        with airlock.region(held):
            effects.emit(SendEmail("a"))
        effects.emit(SendEmail("a"))
        effects.emit(SendEmail("a"))
    assert effects.report.held == [SendEmail("a")]
    assert effects.report.merged == [SendEmail("a")]
    assert delivered == [SendEmail("a")]


def test_the_parts_of_one_policy_do_not_merge_across_what_they_hold() -> None:
    def holds_the_first(view: View) -> Sequence[Verdict]:
        return [HOLD if i == 0 else ALLOW for i in range(len(view))]

    delivered: list[Any] = []
    both = And((holds_the_first, Dedupe()))
    with Boundary({SendEmail: delivered.append}).scope(
        policy=both.where(lambda _: True)
    ) as effects:
        effects.emit_all([SendEmail("a"), SendEmail("a")])
    assert effects.report.held == [SendEmail("a")]
    assert delivered == [SendEmail("a")]


def test_follow_ups_of_different_tenants_are_not_merged() -> None:
    """Headers are inherited, from scopes as from options."""
    mailed: list[Any] = []
    boundary = Boundary(
        {
            NotifyWarehouse: lambda _: airlock.emit(SendEmail("same")),
            SendEmail: lambda _: mailed.append(airlock.delivery().headers["tenant"]),
        },
        policy=Dedupe(SendEmail),
    )
    with boundary.scope() as effects:
        for tenant in "ab":
            with boundary.scope(headers={"tenant": tenant}):
                airlock.emit(NotifyWarehouse(1))
            effects.emit(NotifyWarehouse(1), Options(headers={"tenant": tenant * 2}))
    assert sorted(mailed) == ["a", "aa", "b", "bb"]
