"""Laws of policies and of their algebra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

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
    Limit,
    OncePerChain,
    Outcome,
    PolicyLike,
    Report,
    Verdict,
    View,
    each,
)
from airlock.errors import PolicyError
from airlock.testing.laws import policy_laws
from tests.properties.strategies import policies
from tests.properties.vocabulary import (
    CONCRETE,
    RULES,
    Call,
    Mail,
    Orphan,
    Ought,
    Seen,
    Work,
    odd,
    policy,
)

idle = st.builds(
    lambda cls, key: cls(key=key),
    st.sampled_from([c for c in CONCRETE if c is not Orphan]),
    st.integers(0, 2),
)
SICK = ("sick", "nonsense")
sound = policies.filter(lambda name: name not in (*SICK, "Refuse(Urgent)"))


def ignoring() -> Boundary:
    return Boundary({Work: lambda _: None})


def report_of(*nested: PolicyLike, intents: Sequence[Work]) -> Report:
    """Of intents emitted within nested regions, the first outermost."""
    with ignoring().scope() as effects:
        _within(nested, intents)
    return effects.report


def _within(nested: Sequence[PolicyLike], intents: Sequence[Work]) -> None:
    if not nested:
        airlock.emit_all(intents)
        return
    with airlock.region(nested[0]):
        _within(nested[1:], intents)


def outcomes(report: Report) -> list[tuple[Outcome, Any]]:
    return [
        (entry.outcome, id(entry.by) if entry.outcome is Outcome.MERGED else None)
        for entry in report.entries
    ]


def chosen_policy(name: str) -> PolicyLike:
    chosen = policy(name)
    assert chosen is not None
    return chosen


@st.composite
def views(draw: st.DrawFn) -> tuple[View, list[Seen], list[Work]]:
    """A view, and the same for the model."""
    wave = draw(st.integers(0, 2))
    families = st.lists(idle, min_size=1, max_size=2).map(tuple) if wave else st.just(())
    options = st.sampled_from((None, "a", "b"))
    seen = [
        Seen(intent, causes, apart, wave)
        for intent, causes, apart in draw(st.lists(st.tuples(idle, families, options), max_size=6))
    ]
    earlier = draw(st.lists(idle, max_size=3))
    view = View(
        [one.intent for one in seen],
        wave,
        earlier,
        lambda i: iter(seen[i].ancestors),
        lambda i: seen[i].apart,
    )
    return view, seen, earlier


def stated(verdicts: Sequence[Verdict]) -> list[Ought]:
    words: dict[Verdict, Ought] = {ALLOW: "allow", DROP: "drop", HOLD: "hold"}
    return [words[v] if v.into is None else v.into for v in verdicts]


@given(views(), sound.flatmap(lambda name: st.sampled_from(RULES[name])))
def test_every_policy_decides_as_it_ought(shown: Any, rule: Any) -> None:
    view, seen, earlier = shown
    decide = getattr(rule.real, "decide", rule.real)
    assert stated(decide(view)) == rule.decide(seen, earlier)


# Of `a & b` a flush asks each part by itself.
SINGLY = [name for name, rules in RULES.items() if len(rules) == 1 and name not in SICK]


@pytest.mark.parametrize("name", SINGLY)
def test_every_policy_keeps_the_laws_that_users_try_theirs_with(name: str) -> None:
    policy_laws(chosen_policy(name), idle)


@pytest.mark.parametrize("name", SICK)
def test_a_sick_policy_breaks_those_laws(name: str) -> None:
    with pytest.raises(AssertionError, match="A policy answers one verdict for each intent"):
        policy_laws(chosen_policy(name), st.sampled_from([cls() for cls in CONCRETE]))


@given(sound, sound, st.lists(idle, max_size=6))
def test_a_and_b_is_a_inside_b(a: str, b: str, intents: list[Work]) -> None:
    together = Allow() & chosen_policy(a) & chosen_policy(b)
    nested = report_of(chosen_policy(b), chosen_policy(a), intents=intents)
    assert outcomes(report_of(together, intents=intents)) == outcomes(nested)


@given(sound, sound, sound, st.lists(idle, max_size=6))
def test_and_is_associative(a: str, b: str, c: str, intents: list[Work]) -> None:
    one, two, three = (Allow() & chosen_policy(name) for name in (a, b, c))
    left, right = (one & two) & three, one & (two & three)
    assert outcomes(report_of(left, intents=intents)) == outcomes(report_of(right, intents=intents))


@given(sound, st.lists(idle, max_size=6))
def test_allow_changes_nothing(name: str, intents: list[Work]) -> None:
    alone = outcomes(report_of(chosen_policy(name), intents=intents))
    assert outcomes(report_of(Allow() & chosen_policy(name), intents=intents)) == alone
    assert outcomes(report_of(chosen_policy(name), Allow(), intents=intents)) == alone


@given(sound, sound, st.lists(idle, max_size=6))
def test_where_judges_what_it_selects_as_if_there_were_nothing_else(
    a: str, b: str, intents: list[Work]
) -> None:
    whole = Allow() & chosen_policy(a) & chosen_policy(b)
    some = outcomes(report_of(whole.where(odd), intents=intents))
    alone = outcomes(report_of(whole, intents=[i for i in intents if odd(i)]))
    assert [found for found, intent in zip(some, intents, strict=True) if odd(intent)] == alone
    others = [found for found, intent in zip(some, intents, strict=True) if not odd(intent)]
    assert others == [(Outcome.DELIVERED, None)] * len(others)


@given(st.lists(st.lists(st.sampled_from((ALLOW, HOLD, DROP)), min_size=4, max_size=4), max_size=4))
def test_drop_beats_hold_beats_allow_in_any_order(table: list[list[Verdict]]) -> None:
    def judging(row: list[Verdict]) -> PolicyLike:
        return each(lambda intent: row[intent.key])

    report = report_of(*map(judging, table), intents=[Mail(key) for key in range(4)])
    for key, entry in enumerate(report.entries):
        column = [row[key] for row in table]
        strongest = DROP if DROP in column else HOLD if HOLD in column else ALLOW
        outcome = {DROP: Outcome.DROPPED, HOLD: Outcome.HELD, ALLOW: Outcome.DELIVERED}
        assert entry.outcome is outcome[strongest]


@given(st.lists(idle, max_size=8))
def test_merged_is_final(intents: list[Work]) -> None:
    """An outer policy is not shown what was merged, whatever becomes of the survivor."""
    shown: list[list[Work]] = []

    def watching(view: View) -> Sequence[Verdict]:
        shown.append(list(view.intents))
        return [DROP] * len(view)

    report = report_of(watching, Dedupe(), intents=intents)
    assert report.merged + report.dropped == sorted_as(report, intents)
    assert [work for seen in shown for work in seen] == report.dropped
    assert len(set(intents)) == len(report.dropped)


def sorted_as(report: Report, intents: Sequence[Work]) -> list[Work]:
    merged = {id(intent) for intent in report.merged}
    return sorted(intents, key=lambda intent: id(intent) not in merged)


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=4, max_size=4),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.integers(0, 12),
)
def test_a_limit_counts_across_waves(graph: list[list[int]], starts: list[int], limit: int) -> None:
    """It lets the first ones through, in order of waves; a chain that it cut goes no further."""
    delivered: list[int] = []

    def follow(intent: Mail) -> None:
        delivered.append(intent.key)
        airlock.emit_all(Mail(key) for key in graph[intent.key])

    with Boundary({Mail: follow}).scope(policy=Limit(limit)) as effects:
        effects.emit_all(Mail(key) for key in starts)
    queue, expected = list(starts), list[int]()
    for key in queue[:limit]:
        expected.append(key)
    for key in expected:
        free = limit - len(expected)
        expected += graph[key][: max(free, 0)]
    assert delivered == expected
    assert len(effects.report.dropped) == len(effects.report) - len(delivered)


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=3, unique=True), min_size=4, max_size=4),
    st.booleans(),
)
def test_once_per_chain_ends_every_circle(graph: list[list[int]], by_type: bool) -> None:
    """What is delivered are the paths that visit nothing twice."""
    delivered: list[tuple[int, ...]] = []

    def follow(intent: Mail) -> None:
        causes: Iterator[Any] = airlock.delivery().ancestors
        delivered.append((*reversed([cause.key for cause in causes]), intent.key))
        airlock.emit_all(Mail(key) for key in graph[intent.key])

    once = OncePerChain(Mail, key=type) if by_type else OncePerChain()
    with Boundary({Mail: follow}, policy=once).scope() as effects:
        effects.emit(Mail(0))
    assert sorted(delivered) == sorted([(0,)] if by_type else paths(graph, (0,)))
    assert effects.report.ok


def paths(graph: list[list[int]], path: tuple[int, ...]) -> list[tuple[int, ...]]:
    onwards = [(*path, key) for key in graph[path[-1]] if key not in path]
    return [path, *(longer for each_one in onwards for longer in paths(graph, each_one))]


@given(st.lists(idle, max_size=8), st.sampled_from(("first", "last", "chooser")))
def test_dedupe_keeps_one_of_each(intents: list[Work], keep: Any) -> None:
    def later(_: Work, other: Work) -> Work:
        return other

    dedupe = Dedupe(keep=later if keep == "chooser" else keep)
    report = report_of(dedupe, intents=intents)
    kept = list(dict.fromkeys(intents))
    if keep != "first":
        kept = list(dict.fromkeys(reversed(intents)))[::-1]
    assert report.delivered == kept
    for entry in report.entries:
        if entry.outcome is Outcome.MERGED:
            assert entry.by == entry.intent
            assert any(entry.by is survivor for survivor in report.delivered)


@given(st.lists(idle, min_size=2, max_size=6))
def test_a_chooser_that_makes_intents_is_refused(intents: list[Work]) -> None:
    dedupe = Dedupe(key=lambda _: 0, keep=lambda one, _: airlock.replace(one))
    kinds = [type(intent) for intent in intents]
    if len(set(kinds)) == len(kinds):
        assert report_of(dedupe, intents=intents).delivered == intents
        return
    with pytest.raises(PolicyError) as refused:
        report_of(dedupe, intents=intents)
    assert refused.value.report is not None
    assert refused.value.report.pending == intents


@given(st.lists(idle, max_size=6), st.lists(st.sampled_from((None, "a", "b")), min_size=6))
def test_what_was_emitted_differently_never_merges(
    intents: list[Work], tenants: list[str | None]
) -> None:
    with ignoring().scope(policy=Dedupe()) as effects:
        for intent, tenant in zip(intents, tenants, strict=False):
            headers = None if tenant is None else airlock.Options(headers={"tenant": tenant})
            effects.emit(intent, headers)
    told = list(zip(intents, tenants, strict=False))
    kept = [intent for i, (intent, tenant) in enumerate(told) if (intent, tenant) not in told[:i]]
    assert effects.report.delivered == kept


@given(st.lists(idle, max_size=4), st.sampled_from([Drop(), Allow(Call), Limit(2)]))
def test_an_inner_policy_never_lets_more_escape(intents: list[Work], outer: Any) -> None:
    """Whatever stands inside, what escapes is allowed by the outer one too."""
    alone = report_of(outer, intents=intents).delivered
    for inner in (Allow(), Dedupe(), Drop(Mail), Limit(1)):
        inside = report_of(outer, inner, intents=intents).delivered
        assert len(inside) <= len(alone)
        assert all(type(outer) is Limit or intent in alone for intent in inside)
