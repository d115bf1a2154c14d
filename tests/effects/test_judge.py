"""Verdicts are checked: every nonsense answer of a policy is caught, and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import ALLOW, DROP, HOLD, MERGED, Boundary, EffectBuffer, Options, Verdict, View
from airlock.errors import PolicyError
from airlock.policies.judge import BadVerdictsError, ask
from tests.effects.vocabulary import Mail, Notify

TWO = View([Notify(1), Notify(2)])

verdicts = st.sampled_from((ALLOW, DROP, HOLD)) | st.integers(-1, 3).map(lambda i: MERGED(into=i))

NONSENSE: list[tuple[str, Any, str]] = [
    ("nothing", None, "answered NoneType instead of a sequence of verdicts"),
    ("one verdict", ALLOW, "answered Verdict instead of a sequence of verdicts"),
    ("a bool", True, "answered bool instead of a sequence"),
    ("a str", "AD", "answered str instead of a sequence"),
    ("bytes", b"AD", "answered bytes instead of a sequence"),
    ("a generator", (v for v in (ALLOW, DROP)), "answered generator instead of a sequence"),
    ("a set", {ALLOW, DROP}, "answered set instead of a sequence"),
    ("a dict", {0: ALLOW, 1: DROP}, "answered dict instead of a sequence"),
    ("too few", [ALLOW], "answered 1 verdicts for 2 intents"),
    ("too many", [ALLOW] * 3, "answered 3 verdicts for 2 intents"),
    ("none at all", [], "answered 0 verdicts for 2 intents"),
    ("bools", [True, False], "answered True for intent 0 instead of a verdict"),
    ("names", ["ALLOW", "DROP"], "answered 'ALLOW' for intent 0 instead of a verdict"),
    ("a None among them", [ALLOW, None], "answered None for intent 1 instead of a verdict"),
    ("the class", [ALLOW, Verdict], "for intent 1 instead of a verdict"),
    ("MERGED not called", [ALLOW, MERGED], "for intent 1 instead of a verdict"),
    ("a made-up verdict", [ALLOW, Verdict("PERHAPS")], "merged intent 1 into None"),
    ("merged into itself", [MERGED(into=0), ALLOW], "merged intent 0 into 0"),
    ("merged beyond the view", [ALLOW, MERGED(into=2)], "merged intent 1 into 2"),
    ("merged before the view", [ALLOW, MERGED(into=-1)], "merged intent 1 into -1"),
    ("merged into no index", [ALLOW, Verdict("MERGED", "0")], "merged intent 1 into '0'"),  # type: ignore[arg-type]
    ("merged into what is dropped", [DROP, MERGED(into=0)], "whose own verdict is DROP"),
    ("merged in a circle", [MERGED(into=1), MERGED(into=0)], "whose own verdict is MERGED"),
]


@pytest.mark.parametrize(
    ("answer", "text"), [n[1:] for n in NONSENSE], ids=[n[0] for n in NONSENSE]
)
def test_a_nonsense_answer_is_refused_in_words(answer: Any, text: str) -> None:
    with pytest.raises(BadVerdictsError) as caught:
        ask(lambda _: answer, TWO)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [n[1] for n in NONSENSE if n[0] != "a generator"],
    ids=[n[0] for n in NONSENSE if n[0] != "a generator"],
)
def test_a_nonsense_answer_refuses_the_flush_and_nothing_is_lost(answer: Any) -> None:
    """Nothing ran; everything is pending."""
    ran: list[Any] = []
    scope = Boundary({Notify: ran.append}).scope(policy=lambda _: answer)
    with pytest.raises(PolicyError, match="The flush was refused"), scope:
        scope.emit_all([Notify(1), Notify(2)])
    assert ran == []
    assert scope.report.pending == [Notify(1), Notify(2)]


def test_what_a_policy_raises_passes() -> None:
    def broken(_: View) -> Sequence[Verdict]:
        raise KeyError("sick")

    with pytest.raises(KeyError, match="sick"):
        ask(broken, TWO)


def test_if_all_are_allowed_there_is_nothing_to_note() -> None:
    assert ask(lambda _: [ALLOW, ALLOW], TWO) is None
    assert ask(lambda _: (ALLOW, ALLOW), TWO) is None


@pytest.mark.parametrize("answer", [[ALLOW, DROP], (HOLD, ALLOW), [HOLD, HOLD], [DROP, DROP]])
def test_a_sound_answer_is_returned(answer: Sequence[Verdict]) -> None:
    assert ask(lambda _: answer, TWO) == answer


@pytest.mark.parametrize("survivor", [ALLOW, HOLD])
def test_one_may_be_merged_into_what_is_allowed_or_held(survivor: Verdict) -> None:
    answer = [survivor, MERGED(into=0)]
    assert ask(lambda _: answer, TWO) == answer


def test_a_verdict_that_was_made_anew_is_not_the_verdict() -> None:
    """Verdicts are compared by identity; a look-alike is nonsense, not an ALLOW."""
    with pytest.raises(BadVerdictsError):
        ask(lambda _: [Verdict("ALLOW"), DROP], TWO)


@given(st.lists(verdicts, max_size=4))
def test_whatever_is_accepted_leaves_a_survivor_for_every_merge(answer: list[Verdict]) -> None:
    shown = View([Notify(i) for i in range(len(answer))])
    try:
        accepted = ask(lambda _: answer, shown) or []
    except BadVerdictsError:
        return
    for i, verdict in enumerate(accepted):
        if verdict.into is not None:
            assert verdict.into != i
            assert accepted[verdict.into] in (ALLOW, HOLD)


def test_intents_of_other_options_headers_or_overrides_are_not_merged() -> None:
    def merge(view: View) -> Sequence[Verdict]:
        return [ALLOW] + [MERGED(into=0)] * (len(view) - 1)

    boundary = Boundary({Notify: lambda _: None, Mail: lambda _: None})
    source = EffectBuffer([Notify(1)])
    source.emit(Notify(1), Options(ordering_key="k"))
    apart = boundary.scope(policy=merge)
    with pytest.raises(PolicyError, match="emitted with other options, headers or over"), apart:
        apart.emit_all(source)
    together = boundary.scope(policy=merge)
    with together:
        together.emit(Notify(1), Options(ordering_key="k"))
        together.emit(Notify(1), Options(ordering_key="k"))
    assert len(together.report.merged) == 1


@pytest.mark.parametrize("headers", [({"a": "1"}, {"a": "2"}), ({}, {"a": "1"})])
def test_nested_scopes_with_other_headers_are_not_merged(
    headers: tuple[dict[str, str], dict[str, str]],
) -> None:
    def merge(_: View) -> Sequence[Verdict]:
        return [ALLOW, MERGED(into=0)]

    boundary = Boundary({Notify: lambda _: None})

    def emit_with(some: dict[str, str]) -> None:
        with boundary.scope(headers=some) as nested:
            nested.emit(Notify(1))

    with pytest.raises(PolicyError, match=r"see View\.merge_key"), boundary.scope(policy=merge):
        list(map(emit_with, headers))
