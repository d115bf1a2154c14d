"""The policies that come with airlock."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    View,
    effect,
    intent,
)
from airlock.errors import DeclarationError, PolicyError, RefusedError
from tests.effects.vocabulary import Charge, Mail, Notify, Urgent


@effect
def restock(product_id: int) -> None: ...


@intent(kind="tests.policies.save")
class Save:
    user_id: int
    again: int = 0


def order_id(one: Any) -> int:
    found: int = one.order_id
    return found


def address(one: Any) -> str:
    found: str = one.to
    return found


def longer(one: Any, other: Any) -> Any:
    return other if len(other.to) > len(one.to) else one


def decide(policy: Policy, *intents: Any, **facts: Any) -> list[str]:
    return [repr(verdict) for verdict in policy.decide(View(list(intents), **facts))]


SOME = (Notify(1), Urgent(2), Mail("a"), Charge("4111"))


# -- Allow, Drop, Hold ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "verdicts"),
    [
        (Allow(), "ALLOW ALLOW ALLOW ALLOW"),
        (Allow(Notify), "ALLOW ALLOW DROP DROP"),
        (Allow(Urgent, Mail), "DROP ALLOW ALLOW DROP"),
        (Drop(), "DROP DROP DROP DROP"),
        (Drop(Notify), "DROP DROP ALLOW ALLOW"),
        (Drop(Urgent, Charge), "ALLOW DROP ALLOW DROP"),
        (Drop("tests.effects.mail"), "ALLOW ALLOW DROP ALLOW"),
        (Hold(), "HOLD HOLD HOLD HOLD"),
        (Hold(Notify), "HOLD HOLD ALLOW ALLOW"),
        (Hold(restock), "ALLOW ALLOW ALLOW ALLOW"),
        (Allow(restock), "DROP DROP DROP DROP"),
    ],
    ids=repr,
)
def test_a_policy_is_named_after_its_verdict(policy: Policy, verdicts: str) -> None:
    """For the types it is given, their subclasses included; for all, if none are given."""
    assert decide(policy, *SOME) == verdicts.split()


@pytest.mark.parametrize("policy", [Allow(), Drop(), Hold(), Dedupe(), Limit(3), OncePerChain()])
def test_a_policy_answers_nothing_for_nothing(policy: Policy) -> None:
    assert decide(policy) == []


# -- Refuse ---------------------------------------------------------------------------------------


def test_refuse_speaks_at_the_emit_site() -> None:
    with Boundary({Notify: lambda _: None}).scope(policy=Refuse(Mail)) as effects:
        with pytest.raises(RefusedError) as caught:
            effects.emit(Mail("a"))
        effects.emit(Notify(1))
    assert caught.value.what == "Mail(to='a')"
    assert caught.value.policy == "Refuse(Mail)"
    assert effects.report.counts == {Outcome.DELIVERED: 1}


def test_refuse_refuses_subclasses_too() -> None:
    refuse = Refuse(Notify)
    with pytest.raises(RefusedError):
        refuse.refuse(Urgent(1))
    refuse.refuse(Mail("a"))


def test_refuse_shows_no_secret() -> None:
    with pytest.raises(RefusedError) as caught:
        Refuse().refuse(Charge("4111"))
    assert "4111" not in str(caught.value)


def test_refuse_refuses_the_flush_if_it_came_after_the_emission() -> None:
    scope = Boundary({Mail: lambda _: None}).scope()
    scope.enter()
    scope.emit(Mail("a"))
    scope.exit()
    with airlock.enclose(Refuse(), process=True), pytest.raises(PolicyError, match="RefusedError"):
        scope.flush()
    assert scope.report.pending == [Mail("a")]


def test_refuse_allows_what_it_does_not_refuse() -> None:
    assert decide(Refuse(Mail), Notify(1), Urgent(1)) == ["ALLOW", "ALLOW"]


# -- Dedupe ---------------------------------------------------------------------------------------


def test_dedupe_merges_equal_intents_into_the_first() -> None:
    assert decide(Dedupe(), Notify(1), Mail("a"), Notify(1), Notify(2), Notify(1)) == (
        ["ALLOW", "ALLOW", "MERGED(into=0)", "ALLOW", "MERGED(into=0)"]
    )


def test_dedupe_keeps_the_last_if_told() -> None:
    verdicts = decide(Dedupe(keep="last"), Notify(1), Mail("a"), Notify(1))
    assert verdicts == ["MERGED(into=2)", "ALLOW", "ALLOW"]


def test_a_chooser_says_which_one_stands_for_all() -> None:
    policy = Dedupe(key=type, keep=longer)
    assert decide(policy, Mail("a"), Mail("abc"), Mail("ab")) == (
        ["MERGED(into=1)", "ALLOW", "MERGED(into=1)"]
    )


def test_a_chooser_cannot_make_intents() -> None:
    """An equal value is not one of the two either."""
    for chooser in (
        lambda one, other: Mail("new"),
        lambda one, other: Mail(one.to),
        lambda *_: None,
    ):
        policy = Dedupe(key=type, keep=chooser)
        with pytest.raises(DeclarationError, match="a policy cannot make intents"):
            policy.decide(View([Mail("a"), Mail("b")]))


def test_a_key_says_what_is_the_same_within_a_class() -> None:
    policy = Dedupe(key=order_id)
    assert decide(policy, Notify(1), Urgent(1), Notify(1)) == ["ALLOW", "ALLOW", "MERGED(into=0)"]


def test_dedupe_of_some_types_leaves_the_others() -> None:
    policy = Dedupe(Mail)
    assert decide(policy, Notify(1), Notify(1), Mail("a"), Mail("a")) == (
        ["ALLOW", "ALLOW", "ALLOW", "MERGED(into=2)"]
    )


def test_intents_with_different_options_are_not_merged() -> None:
    with Boundary({Notify: lambda _: None}, policy=Dedupe()).scope() as effects:
        effects.emit(Notify(1))
        effects.emit(Notify(1), Options(ordering_key="a"))
        effects.emit(Notify(1), Options(ordering_key="a"))
        effects.emit(Notify(1))
    outcomes = [entry.outcome.word for entry in effects.report]
    assert outcomes == ["delivered", "delivered", "merged", "merged"]


@pytest.mark.parametrize("keep", ["newest", None, 3, ""])
def test_keep_is_first_last_or_a_function(keep: Any) -> None:
    with pytest.raises(DeclarationError, match="keep is 'first', 'last' or a function"):
        Dedupe(keep=keep)


@given(st.lists(st.builds(Notify, st.integers(0, 3)) | st.builds(Mail, st.just("a"))))
def test_dedupe_leaves_one_of_each(intents: list[Any]) -> None:
    for policy in (Dedupe(), Dedupe(keep="last"), Dedupe(keep=lambda _, other: other)):
        verdicts = policy.decide(View(intents))
        allowed = [i for i, v in zip(intents, verdicts, strict=True) if v is ALLOW]
        assert len(allowed) == len(set(intents))
        assert set(allowed) == set(intents)
        for one, verdict in zip(intents, verdicts, strict=True):
            assert verdict.into is None or intents[verdict.into] == one


# -- Limit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "verdicts"), [(0, "DROP DROP DROP"), (2, "ALLOW ALLOW DROP"), (9, "ALLOW ALLOW ALLOW")]
)
def test_limit_allows_the_first_n(n: int, verdicts: str) -> None:
    assert decide(Limit(n), Notify(1), Mail("a"), Notify(2)) == verdicts.split()


def test_limit_counts_what_it_allowed_in_earlier_waves() -> None:
    assert decide(Limit(2), Notify(2), Notify(3), wave=1, earlier=(Notify(1),)) == ["ALLOW", "DROP"]


def test_limit_counts_by_key() -> None:
    policy = Limit(1, per=address)
    assert decide(policy, Mail("a"), Mail("b"), Mail("a"), Mail("b")) == [
        "ALLOW",
        "ALLOW",
        "DROP",
        "DROP",
    ]
    assert decide(Limit(1, per=type), Mail("a"), Notify(1), Mail("b")) == ["ALLOW", "ALLOW", "DROP"]


def test_limit_holds_for_a_whole_flush_follow_ups_included() -> None:
    def handle(one: Notify) -> None:
        airlock.emit(Notify(one.order_id + 1))

    with Boundary({Notify: handle}, policy=Limit(4)).scope() as effects:
        effects.emit_all([Notify(1), Notify(10)])
    assert effects.report.delivered == [Notify(1), Notify(10), Notify(2), Notify(11)]
    assert effects.report.dropped == [Notify(3), Notify(12)]


def test_limit_counts_afresh_in_the_next_scope() -> None:
    boundary = Boundary({Notify: lambda _: None}, policy=Limit(1))
    for _ in range(2):
        with boundary.scope() as effects:
            effects.emit(Notify(1))
        assert effects.report.delivered == [Notify(1)]


@pytest.mark.parametrize("n", [-1, True, 1.0, "1", None])
def test_a_limit_is_an_int_from_0(n: Any) -> None:
    with pytest.raises(DeclarationError, match="the limit is an int, 0 or more"):
        Limit(n)


# -- OncePerChain ---------------------------------------------------------------------------------


def chain(policy: Policy, handler: Callable[[Any], None], first: Any) -> Any:
    with Boundary({Save: handler}, policy=policy, max_depth=5).scope() as effects:
        effects.emit(first)
    return effects.report


def test_once_per_chain_ends_a_circle() -> None:
    """save → enrich → save → …"""
    report = chain(OncePerChain(), airlock.emit, Save(1))
    assert (report.delivered, report.dropped) == ([Save(1)], [Save(1)])


def test_once_per_chain_may_compare_by_key() -> None:
    def handle(one: Save) -> None:
        airlock.emit(Save(one.user_id, one.again + 1))

    report = chain(OncePerChain(Save, key=lambda one: one.user_id), handle, Save(1))
    assert (report.delivered, report.dropped) == ([Save(1)], [Save(1, 1)])
    assert chain(OncePerChain(key=type), handle, Save(1)).dropped == [Save(1, 1)]


def test_siblings_are_not_ancestors() -> None:
    def handle(one: Save) -> None:
        if one.user_id == 1:
            airlock.emit_all([Save(2), Save(2)])

    report = chain(OncePerChain(), handle, Save(1))
    assert report.delivered == [Save(1), Save(2), Save(2)]


def test_what_the_block_emits_has_no_ancestors() -> None:
    assert decide(OncePerChain(), Save(1), Save(1)) == ["ALLOW", "ALLOW"]


def test_once_per_chain_of_some_types_leaves_the_others() -> None:
    ancestry = lambda _: iter([Save(1), Notify(1)])  # noqa: E731
    verdicts = OncePerChain(Notify).decide(View([Save(1), Notify(1)], 1, (), ancestry))
    assert verdicts == [ALLOW, DROP]


def test_only_ancestors_of_the_same_class_count() -> None:
    ancestry = lambda _: iter([Notify(1)])  # noqa: E731
    assert OncePerChain().decide(View([Urgent(1)], 1, (), ancestry)) == [ALLOW]


# -- policies are values --------------------------------------------------------------------------

ALL: list[tuple[Callable[[], Policy], str]] = [
    (Allow, "Allow()"),
    (lambda: Allow(Notify, Mail), "Allow(Notify, Mail)"),
    (lambda: Drop(Mail), "Drop(Mail)"),
    (lambda: Drop("tests.effects.mail"), "Drop('tests.effects.mail')"),
    (lambda: Drop(restock), "Drop(restock)"),
    (Hold, "Hold()"),
    (lambda: Hold(Notify), "Hold(Notify)"),
    (lambda: Refuse(Mail), "Refuse(Mail)"),
    (Dedupe, "Dedupe()"),
    (lambda: Dedupe(Mail, keep="last"), "Dedupe(Mail, keep='last')"),
    (lambda: Dedupe(Mail, Notify, key=type), "Dedupe(Mail, Notify, key=type)"),
    (lambda: Limit(3), "Limit(3)"),
    (lambda: Limit(0, per=order_id), "Limit(0, per=order_id)"),
    (OncePerChain, "OncePerChain()"),
    (lambda: OncePerChain(Mail, key=address), "OncePerChain(Mail, key=address)"),
]
MADE = [make for make, _ in ALL]
NAMES = [name for _, name in ALL]


@pytest.mark.parametrize("make", MADE, ids=NAMES)
def test_equal_policies_are_equal_and_hash_alike(make: Callable[[], Policy]) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())


def test_different_policies_differ() -> None:
    made = [make() for make in MADE]
    assert len(set(made)) == len(made)
    assert Drop() != Drop(Mail)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("make", MADE, ids=NAMES)
def test_policies_pickle_and_copy(make: Callable[[], Policy], protocol: int) -> None:
    policy = make()
    loaded = pickle.loads(pickle.dumps(policy, protocol))
    assert loaded == policy
    assert type(loaded) is type(policy)
    assert copy.deepcopy(policy) == copy.copy(policy) == policy


@pytest.mark.parametrize("make", MADE, ids=NAMES)
def test_policies_cannot_be_changed(make: Callable[[], Policy]) -> None:
    policy: Any = make()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.types = ()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.other = 1


@pytest.mark.parametrize(("make", "name"), ALL, ids=NAMES)
def test_a_policy_shows_how_it_was_made(make: Callable[[], Policy], name: str) -> None:
    """Reports name it."""
    shown = repr(make())
    assert shown == name


@pytest.mark.parametrize("policy", [Drop(), Hold(), Dedupe(), Limit(1), OncePerChain()], ids=repr)
def test_policies_have_no_state(policy: Policy) -> None:
    view = View([Notify(1), Notify(1)])
    first: Sequence[object] = [repr(v) for v in policy.decide(view)]
    assert [repr(v) for v in policy.decide(view)] == first


def test_the_verdicts_are_the_constants() -> None:
    assert Hold().decide(View([Mail("a")]))[0] is HOLD
    assert Drop().decide(View([Mail("a")]))[0] is DROP
