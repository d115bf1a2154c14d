"""Policies: views, and how policies are combined."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest

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
    Policy,
    Refuse,
    Verdict,
    View,
    each,
    effect,
    enqueue,
)
from airlock.errors import DeclarationError, RefusedError
from airlock.policies.judge import BadVerdictsError, ask
from airlock.policies.policy import And, Each, Selection, Where, decision, guard_of, seats
from tests.effects.vocabulary import Charge, Mail, Notify, Urgent


@effect
def restock(product_id: int) -> None: ...


def view(*intents: object, **facts: Any) -> View:
    return View(list(intents), **facts)


def first_only(shown: View) -> Sequence[Verdict]:
    return [ALLOW if i == 0 else DROP for i in range(len(shown))]


@attrs.frozen
class DropAll(Policy):
    def decide(self, shown: View, /) -> Sequence[Verdict]:
        return [DROP] * len(shown)


class Duck:
    """No subclass of ``Policy``."""

    def decide(self, shown: View, /) -> Sequence[Verdict]:
        return [HOLD] * len(shown)


# -- the view -------------------------------------------------------------------------------------


def test_a_view_has_the_intents_and_their_number() -> None:
    shown = view(Notify(1), Mail("a"))
    assert (len(shown), shown.intents, shown.wave, shown.earlier) == (
        2,
        [Notify(1), Mail("a")],
        0,
        (),
    )


def test_a_view_of_some_intents_keeps_their_causes_and_marks() -> None:
    def ancestry(index: int) -> Iterator[object]:
        yield f"cause of {index}"

    whole = View(["a", "b", "c"], 2, ("z",), ancestry, lambda index: index % 2)
    some = whole.only([2, 1], ("y",))
    assert (some.intents, some.wave, some.earlier) == (["c", "b"], 2, ("y",))
    assert [list(some.ancestors(i)) for i in range(2)] == [["cause of 2"], ["cause of 1"]]
    assert [some.merge_key(i) for i in range(2)] == [(0, False), (1, False)]
    assert list(some.only([1], ()).ancestors(0)) == ["cause of 1"]


def test_intents_of_a_plain_view_have_no_causes_and_may_be_merged() -> None:
    shown = view(Notify(1), Notify(1))
    assert list(shown.ancestors(0)) == []
    assert shown.merge_key(0) == shown.merge_key(1)
    assert shown.only([1], ()).merge_key(0) == shown.merge_key(1)


def test_a_view_cannot_be_changed() -> None:
    shown: Any = view(Notify(1))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        shown.wave = 3


# -- what is a policy -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "verdicts"),
    [
        (first_only, [ALLOW, DROP]),
        (DropAll(), [DROP, DROP]),
        (Duck(), [HOLD, HOLD]),
        (Policy(), [ALLOW, ALLOW]),
        (each(lambda intent: DROP if isinstance(intent, Mail) else ALLOW), [ALLOW, DROP]),
        (lambda shown: (ALLOW,) * len(shown), (ALLOW, ALLOW)),
    ],
)
def test_a_policy_is_a_function_of_a_view_or_has_decide(policy: Any, verdicts: object) -> None:
    assert decision(policy)(view(Notify(1), Mail("a"))) == verdicts


@pytest.mark.parametrize("policy", [first_only, DropAll(), Duck(), Drop(), each(lambda _: ALLOW)])
def test_any_policy_takes_one_seat(policy: Any) -> None:
    assert seats(policy) == (policy,)


@pytest.mark.parametrize("bad", [3, "Drop", [Drop()], ALLOW, {}])
def test_what_is_no_policy_is_refused(bad: Any) -> None:
    with pytest.raises(DeclarationError, match="is not a policy: give Allow"):
        Boundary({}, policy=bad)


@pytest.mark.parametrize("bad", [Drop, DropAll, Duck])
def test_a_policy_class_is_refused(bad: Any) -> None:
    with pytest.raises(DeclarationError, match=r"is a policy class: call it"):
        Boundary({}).scope(policy=bad)


# -- a & b ----------------------------------------------------------------------------------------


def test_and_puts_the_first_inside_the_second() -> None:
    """The outer one is shown what the inner one allowed or held."""
    shown: list[list[Any]] = []

    def outer(inner: View) -> Sequence[Verdict]:
        shown.append(list(inner.intents))
        return [ALLOW] * len(inner)

    policy = Drop(Mail) & Hold(Notify) & outer
    verdicts = policy.decide(view(Mail("a"), Notify(1), Charge("c")))
    assert verdicts == [DROP, HOLD, ALLOW]
    assert shown == [[Notify(1), Charge("c")]]


def test_an_outer_allow_does_not_lift_an_inner_hold() -> None:
    assert (Hold() & Allow()).decide(view(Notify(1))) == [HOLD]
    assert (Hold() & Drop()).decide(view(Notify(1))) == [DROP]
    assert (Drop() & Hold()).decide(view(Notify(1))) == [DROP]


def test_and_is_flat() -> None:
    assert ((Allow() & Drop()) & Hold()).parts == (Allow() & (Drop() & Hold())).parts
    assert Allow() & Drop() & Hold() == Allow() & (Drop() & Hold())


def test_and_takes_functions_on_either_side() -> None:
    left: Any = first_only
    assert (Drop() & first_only).parts == (Drop(), first_only)
    assert (left & Drop()).parts == (first_only, Drop())


@pytest.mark.parametrize("bad", [3, "x", Drop])
def test_and_refuses_what_is_no_policy(bad: Any) -> None:
    with pytest.raises(DeclarationError):
        _ = Drop() & bad


def test_a_merge_of_an_outer_policy_points_into_the_whole_view() -> None:
    policy = Drop(Mail) & Dedupe()
    verdicts = policy.decide(view(Mail("a"), Notify(1), Notify(1)))
    assert [repr(v) for v in verdicts] == ["DROP", "ALLOW", "MERGED(into=1)"]


def test_the_parts_of_and_sit_apart() -> None:
    """Each has a memory of its own: what it allowed itself."""
    assert seats(Limit(1) & Limit(2)) == (Limit(1), Limit(2))
    with Boundary({Notify: lambda _: None}, policy=Limit(2) & Limit(1)).scope() as effects:
        effects.emit_all([Notify(1), Notify(2), Notify(3)])
    assert effects.report.delivered == [Notify(1)]


def test_and_shows_its_parts() -> None:
    assert repr(Drop(Mail) & Hold() & first_only) == "Drop(Mail) & Hold() & first_only"


# -- where ----------------------------------------------------------------------------------------


def odd(intent: Any) -> bool:
    return bool(getattr(intent, "order_id", 0) % 2)


def test_where_judges_only_what_the_predicate_selects() -> None:
    verdicts = Drop().where(odd).decide(view(Notify(1), Notify(2), Mail("a")))
    assert verdicts == [DROP, ALLOW, ALLOW]


def test_where_moves_merges_into_the_whole_view() -> None:
    policy = Dedupe(key=type).where(odd)
    verdicts = policy.decide(view(Notify(2), Notify(1), Notify(4), Notify(3)))
    assert [repr(v) for v in verdicts] == ["ALLOW", "ALLOW", "ALLOW", "MERGED(into=1)"]


def test_where_counts_only_what_it_selected_in_earlier_waves() -> None:
    earlier = (Notify(2), Notify(4), Notify(1))
    shown = view(Notify(3), Notify(5), Notify(6), wave=1, earlier=earlier)
    assert Limit(2).where(odd).decide(shown) == [ALLOW, DROP, ALLOW]


def test_where_of_and_narrows_each_part() -> None:
    policy = (Drop(Mail) & Hold()).where(odd)
    assert seats(policy) == (Drop(Mail).where(odd), Hold().where(odd))


def test_where_narrows_a_refusal() -> None:
    with Boundary({}, policy=Hold() & Refuse().where(odd)).scope() as effects:
        effects.emit(Notify(2))
        with pytest.raises(RefusedError):
            effects.emit(Notify(1))
    assert effects.report.held == [Notify(2)]


def test_where_stacks() -> None:
    policy = Drop().where(odd).where(lambda intent: intent.order_id > 2)
    assert policy.decide(view(Notify(1), Notify(3), Notify(4))) == [ALLOW, DROP, ALLOW]


@pytest.mark.parametrize(
    "nonsense", [lambda _: [ALLOW], lambda _: [], lambda _: [MERGED(into=9)] * 2, lambda _: [3, 3]]
)
def test_nonsense_of_a_narrowed_policy_stays_nonsense(nonsense: Any) -> None:
    with pytest.raises(BadVerdictsError):
        ask(Where(nonsense, odd), view(Notify(1), Notify(2), Notify(3)))


def test_where_shows_what_it_narrows() -> None:
    assert repr(Drop().where(odd)) == "Drop().where(odd)"


# -- each -----------------------------------------------------------------------------------------


def test_each_lifts_a_function_of_one_intent() -> None:
    policy = each(lambda intent: HOLD if isinstance(intent, Mail) else ALLOW)
    assert isinstance(policy, Each)
    assert policy.decide(view(Mail("a"), Notify(1))) == [HOLD, ALLOW]
    assert (policy & Drop(Notify)).decide(view(Mail("a"), Notify(1))) == [HOLD, DROP]
    assert repr(each(first_of_its_kind)) == "each(first_of_its_kind)"


def first_of_its_kind(intent: Any) -> Verdict:
    return ALLOW


# -- guards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [Drop(), Allow(), Hold(), Dedupe(), first_only, Duck(), Policy()]
)
def test_most_policies_do_nothing_at_the_emit_site(policy: Any) -> None:
    assert guard_of(policy) is None
    assert guard_of(Where(policy, odd)) is None


def test_a_policy_may_speak_at_the_emit_site() -> None:
    """Nothing is recorded of what it refuses."""

    @attrs.frozen
    class NoZero(Policy):
        def refuse(self, intent: Any, /) -> None:
            if getattr(intent, "order_id", 1) == 0:
                raise RefusedError(repr(intent), repr(self))

    with Boundary({Notify: lambda _: None}).scope(policy=NoZero()) as effects:
        effects.emit(Notify(1))
        with pytest.raises(RefusedError):
            effects.emit(Notify(0))
    assert effects.report.delivered == [Notify(1)]


# -- values ---------------------------------------------------------------------------------------

MADE = [
    Drop(Mail) & Hold(Notify),
    Drop().where(odd),
    each(odd),  # type: ignore[arg-type]
    (Drop(Mail) & Hold()).where(odd),
    DropAll(),
]


@pytest.mark.parametrize("policy", MADE, ids=repr)
def test_combined_policies_are_values(policy: Any) -> None:
    """Compared by what they are made of, hashable, and picklable."""
    loaded = pickle.loads(pickle.dumps(policy))
    assert loaded == policy
    assert hash(loaded) == hash(policy)
    assert repr(loaded) == repr(policy)


def test_different_combinations_differ() -> None:
    assert len(set(MADE)) == len(MADE)
    assert And((Drop(), Hold())) != And((Hold(), Drop()))


# -- selections -----------------------------------------------------------------------------------


def test_an_empty_selection_chooses_all() -> None:
    chosen: Selection[Any] = Selection((), "Drop")
    assert Notify in chosen
    assert Mail in chosen


def test_a_class_chooses_its_subclasses_too() -> None:
    chosen: Selection[Any] = Selection((Notify,), "Drop")
    assert [cls in chosen for cls in (Notify, Urgent, Mail)] == [True, True, False]


def test_a_subclass_does_not_choose_its_base() -> None:
    chosen: Selection[Any] = Selection((Urgent,), "Drop")
    assert [cls in chosen for cls in (Notify, Urgent)] == [False, True]


def test_a_kind_chooses_as_its_class_does() -> None:
    chosen: Selection[Any] = Selection(("tests.effects.notify",), "Drop")
    assert [cls in chosen for cls in (Notify, Urgent, Mail)] == [True, True, False]


def test_an_effect_function_chooses_its_intents() -> None:
    with Boundary({restock: restock}).scope(policy=Drop(restock)) as effects:
        enqueue(restock, 7)
    assert effects.report.dropped == [restock.intent(7)]


def test_a_misspelt_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(
        DeclarationError,
        match=r"Drop\('tests.effects.notfy'\): .* Did you mean 'tests.effects.notify'\?",
    ):
        Drop("tests.effects.notfy")


def test_a_kind_that_nothing_resembles_has_perhaps_not_been_imported() -> None:
    with pytest.raises(DeclarationError, match="Import the module that declares it"):
        Hold("0000000000")


@pytest.mark.parametrize("bad", [int, Policy, 3, None, print])
def test_only_intents_can_be_selected(bad: Any) -> None:
    with pytest.raises(DeclarationError):
        Drop(bad)


def test_a_value_is_refused_in_favour_of_its_class() -> None:
    value: Any = Notify(1)
    with pytest.raises(DeclarationError, match=r"\(a value\): give its class"):
        Drop(value)


def test_selections_are_values() -> None:
    one: Selection[Any] = Selection((Notify, "tests.effects.mail"), "Drop")
    other: Selection[Any] = Selection((Notify, "tests.effects.mail"), "Hold")
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != Selection((Notify,), "Drop")
    assert repr(one) == "Notify, 'tests.effects.mail'"
