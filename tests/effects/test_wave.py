"""Waves: intents that are decided and run together, and how policies stack over them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airlock
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
    Options,
    Outcome,
    Verdict,
    View,
    enclose,
    region,
)
from airlock.emissions.flat import Flat
from airlock.emissions.region import Region
from airlock.emissions.wave import Wave, chain
from airlock.errors import PolicyError
from airlock.policies.policy import PolicyLike
from airlock.testing import FakeHandler
from tests.effects.vocabulary import Mail, Notify, Urgent

ONE_OF_EACH = (Notify(1), Urgent(2), Mail("a"))


def wave(*intents: Any, policies: Sequence[PolicyLike] = ()) -> Wave:
    root = Region("scope", policies=tuple(policies))
    root.extend(intents)
    return Wave(0, root, Flat(root))


def decided(*intents: Any, policies: Sequence[PolicyLike] = ()) -> list[str]:
    made = wave(*intents, policies=policies)
    made.decide({})
    return [Outcome(code).word for code in made.outcomes]


# -- outcomes -------------------------------------------------------------------------------------


def test_an_outcome_has_a_word_for_people() -> None:
    assert [outcome.word for outcome in Outcome] == [
        "pending",
        "delivered",
        "handed over",
        "recorded",
        "dropped",
        "held",
        "merged",
        "failed",
        "discarded",
    ]


def test_everything_is_pending_at_first() -> None:
    assert decided(*ONE_OF_EACH) == ["pending"] * 3
    assert wave(*ONE_OF_EACH).allowed() is None


# -- how policies stack ---------------------------------------------------------------------------

VERDICTS: dict[str, PolicyLike] = {"ALLOW": Allow(), "HOLD": Hold(), "DROP": Drop()}
STRENGTH = ("ALLOW", "HOLD", "DROP")
OUTCOME = {"ALLOW": "pending", "HOLD": "held", "DROP": "dropped"}


@given(st.lists(st.sampled_from(STRENGTH), max_size=5))
def test_drop_beats_hold_beats_allow_in_any_order(verdicts: list[str]) -> None:
    strongest = max(verdicts, key=STRENGTH.index, default="ALLOW")
    assert decided(Notify(1), policies=[VERDICTS[v] for v in verdicts]) == [OUTCOME[strongest]]


@pytest.mark.parametrize("outer", [Allow(), Hold(), Drop()])
def test_merged_is_final(outer: PolicyLike) -> None:
    """What stands for it may still be held or dropped."""
    outcomes = decided(Notify(1), Notify(1), policies=[Dedupe(), outer])
    assert outcomes[1] == "merged"
    assert outcomes[0] == {Allow(): "pending", Hold(): "held", Drop(): "dropped"}[outer]  # type: ignore[index]


def test_an_outer_policy_is_shown_what_the_inner_ones_allowed_or_held() -> None:
    shown: list[list[Any]] = []

    def look(view: View) -> Sequence[Verdict]:
        shown.append(list(view.intents))
        return [ALLOW] * len(view)

    decided(*ONE_OF_EACH, Mail("a"), policies=[Drop(Urgent), Hold(Notify), Dedupe(), look])
    assert shown == [[Notify(1), Mail("a")]]


def test_a_merge_points_into_the_wave_whatever_the_policy_was_shown() -> None:
    made = wave(Mail("x"), Notify(1), Notify(1), policies=[Drop(Mail), Dedupe()])
    made.decide({})
    assert made.merged == {2: 1}


def test_the_decider_is_the_policy_that_spoke_last() -> None:
    made = wave(*ONE_OF_EACH, policies=[Hold(), Drop(Mail)])
    made.decide({})
    assert made.deciders == {0: Hold(), 1: Hold(), 2: Drop(Mail)}


def test_a_policy_that_fails_decides_nothing() -> None:
    def broken(_: View) -> Sequence[Verdict]:
        raise ValueError("sick")

    made = wave(*ONE_OF_EACH, policies=[Limit(1), broken])
    ledger: dict[Any, Any] = {}
    with pytest.raises(PolicyError, match=r"raised ValueError\('sick'\)"):
        made.decide(ledger)
    assert not made.decided
    assert set(made.outcomes) == {Outcome.PENDING}
    assert not any(ledger.values())


def test_region_scope_boundary_and_enclosure_speak_in_this_order() -> None:
    order: list[str] = []

    def say(name: str) -> Callable[[View], Sequence[Verdict]]:
        def policy(view: View) -> Sequence[Verdict]:
            order.append(name)
            return [ALLOW] * len(view)

        return policy

    boundary = Boundary({Notify: lambda _: None}, policy=say("boundary"))
    with (
        enclose(say("outer enclosure")),
        enclose(say("enclosure")),
        boundary.scope(policy=say("scope")),
        boundary.scope(policy=say("nested scope")),
        region(say("region")),
    ):
        airlock.emit(Notify(1))
    assert order == [
        "region",
        "nested scope",
        "scope",
        "boundary",
        "enclosure",
        "outer enclosure",
    ]


def test_a_nested_drop_stays_dropped() -> None:
    with Boundary({Notify: lambda _: None}).scope(policy=Allow()) as effects:
        with region(Drop()):
            airlock.emit(Notify(1))
        airlock.emit(Notify(2))
    assert (effects.report.dropped, effects.report.delivered) == ([Notify(1)], [Notify(2)])


def test_a_policy_judges_only_what_is_in_its_region() -> None:
    with Boundary({Notify: lambda _: None}).scope() as effects:
        effects.emit(Notify(1))
        with region(Limit(1)):
            effects.emit_all([Notify(2), Notify(3)])
        effects.emit(Notify(4))
    assert effects.report.dropped == [Notify(3)]


# -- waves of follow-ups --------------------------------------------------------------------------


def test_follow_ups_run_wave_by_wave() -> None:
    """First everything the block emitted, then what that led to, in the order of the causes."""
    ran: list[int] = []

    def handle(one: Notify) -> None:
        ran.append(one.order_id)
        if one.order_id < 10:
            airlock.emit(Notify(one.order_id * 10))
            airlock.emit(Notify(one.order_id * 10 + 1))

    with Boundary({Notify: handle}).scope() as effects:
        effects.emit_all([Notify(1), Notify(2)])
    assert ran == [1, 2, 10, 11, 20, 21]
    assert [entry.wave for entry in effects.report] == [0, 0, 1, 1, 1, 1]
    causes = [entry.cause.intent.order_id for entry in effects.report if entry.cause]
    assert causes == [1, 1, 2, 2]


def test_follow_ups_are_judged_under_the_policies_of_their_cause() -> None:
    def handle(one: Notify) -> None:
        airlock.emit(Mail(str(one.order_id)))

    with Boundary({Notify: handle, Mail: lambda _: None}).scope() as effects:
        with region(Drop(Mail)):
            effects.emit(Notify(1))
        effects.emit(Notify(2))
    assert effects.report.dropped == [Mail("1")]
    assert effects.report.delivered == [Notify(1), Notify(2), Mail("2")]


def test_a_policy_is_told_the_wave_the_causes_and_what_it_allowed_before() -> None:
    told: list[tuple[int, list[Any], list[Any]]] = []

    def look(view: View) -> Sequence[Verdict]:
        causes = [list(view.ancestors(i)) for i in range(len(view))]
        told.append((view.wave, causes, list(view.earlier)))
        return [ALLOW if i == 0 else DROP for i in range(len(view))]

    def handle(one: Notify) -> None:
        if one.order_id < 3:
            airlock.emit(Notify(one.order_id + 1))

    with Boundary({Notify: handle}, policy=look).scope() as effects:
        effects.emit_all([Notify(1), Notify(1)])
    assert told == [
        (0, [[], []], []),
        (1, [[Notify(1)]], [Notify(1)]),
        (2, [[Notify(2), Notify(1)]], [Notify(1), Notify(2)]),
    ]


def test_what_is_held_or_dropped_was_not_allowed_before() -> None:
    told: list[Sequence[Any]] = []

    def look(view: View) -> Sequence[Verdict]:
        told.append(view.earlier)
        return [{1: ALLOW, 2: HOLD, 3: DROP}.get(i.order_id, ALLOW) for i in view.intents]

    with (
        Boundary(
            {Notify: lambda _: airlock.emit(Mail("x")), Mail: lambda _: None}
        ).scope() as effects,
        region(lambda view: look(view) if view.wave == 0 else _note(view)),
    ):
        effects.emit_all([Notify(1), Notify(2), Notify(3)])

    assert effects.report.held == [Notify(2)]
    assert told == [()]
    assert noted == [(Notify(1),)]


noted: list[Sequence[Any]] = []


def _note(view: View) -> Sequence[Verdict]:
    noted.append(view.earlier)
    return [ALLOW] * len(view)


# -- what an intent carries -----------------------------------------------------------------------


def test_the_id_is_the_one_given_or_one_that_stays() -> None:
    given_id = uuid.UUID(int=7)
    root = Region("scope")
    root.put(Notify(1), Options(id=given_id))
    root.append(Notify(2))
    made = Wave(0, root, Flat(root))
    assert made.id_of(0) == given_id
    assert made.id_of(1) == made.id_of(1) != given_id


def test_the_nearest_header_wins() -> None:
    """The emission's own, then the regions outwards, then those of the cause."""

    def follow(_: Notify) -> None:
        airlock.emit(Notify(2), Options(headers={"own": "follow-up"}))

    notify = FakeHandler(follow, None)
    boundary = Boundary({Notify: notify})
    with (
        boundary.scope(headers={"a": "outer", "b": "outer", "own": "outer"}),
        boundary.scope(headers={"b": "inner"}),
    ):
        airlock.emit(Notify(1), Options(headers={"own": "emission"}))
    assert [one.headers for one in notify.deliveries] == [
        {"a": "outer", "b": "inner", "own": "emission"},
        {"a": "outer", "b": "inner", "own": "follow-up"},
    ]


def test_chain_leads_outwards() -> None:
    outer = Region("outer")
    inner = Region("inner", up=outer)
    assert list(chain(inner)) == [inner, outer]
    assert list(chain(None)) == []


# -- what is left ---------------------------------------------------------------------------------


def test_what_failed_or_is_pending_makes_a_wave_of_the_rest() -> None:
    made = wave(*ONE_OF_EACH, Notify(4), policies=[Drop(Mail)])
    made.decide({})
    made.delivered_up_to(2)
    made.fail(1, ValueError("broken"))
    rest = made.unfinished(interrupted=False)
    assert rest is not None
    assert rest.intents == [Urgent(2), Notify(4)]
    assert rest.decided


def test_nothing_is_left_of_a_wave_that_is_done() -> None:
    made = wave(*ONE_OF_EACH)
    made.delivered_up_to(3)
    assert made.unfinished(interrupted=True) is None


def test_what_was_in_flight_is_left_only_if_asked_for() -> None:
    made = wave(Notify(1), Notify(2))
    made.fail(0, KeyboardInterrupt())
    made.interrupted.add(0)
    for interrupted, left in ((False, [Notify(2)]), (True, [Notify(1), Notify(2)])):
        rest = made.unfinished(interrupted=interrupted)
        assert rest is not None
        assert rest.intents == left


def test_ids_and_options_go_with_the_rest() -> None:
    root = Region("scope")
    root.append(Notify(1))
    root.put(Notify(2), Options(ordering_key="k"))
    root.append(Notify(3))
    made = Wave(0, root, Flat(root))
    ids = [made.id_of(i) for i in range(3)]
    made.delivered_up_to(1)
    rest = made.unfinished(interrupted=False)
    assert rest is not None
    assert rest.options == {0: Options(ordering_key="k")}
    assert [rest.id_of(i) for i in range(2)] == ids[1:]


def test_a_verdict_is_given_once() -> None:
    """A resumed report asks no policy again."""
    asked: list[int] = []

    def count(view: View) -> Sequence[Verdict]:
        asked.append(len(view))
        return [ALLOW, MERGED(into=0)]

    notify = FakeHandler(ValueError("broken"), None)
    scope = Boundary({Notify: notify}, policy=count).scope()
    with pytest.raises(airlock.FlushError), scope:
        scope.emit_all([Notify(1), Notify(1)])
    assert scope.report.resume().delivered == [Notify(1)]
    assert asked == [2]
