"""Laws of stacking: every policy around an emission holds, whichever way the intent takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airlock
from airlock import Boundary, Drop, Outcome, Report, Scope, Segment
from airlock.errors import CascadeError
from tests.properties.strategies import policies
from tests.properties.vocabulary import CONCRETE, Broken, Call, Mail, Orphan, Urgent, Work, policy

idle = st.builds(
    lambda cls, key: cls(key=key),
    st.sampled_from([c for c in CONCRETE if c is not Orphan]),
    st.integers(0, 2),
)
lists_of_work = st.lists(idle, max_size=6)
sound = policies.filter(lambda name: name not in ("sick", "nonsense", "Refuse(Urgent)"))

Layers = Callable[[ExitStack, Boundary, Any], Scope]
"""Opens blocks around an emission, one of them with the policy; returns the scope that delivers."""


def _region(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    scope = stack.enter_context(boundary.scope())
    stack.enter_context(airlock.region(chosen))
    return scope


def _scope(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    return stack.enter_context(boundary.scope(policy=chosen))


def _nested(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    scope = stack.enter_context(boundary.scope())
    stack.enter_context(boundary.scope(policy=chosen))
    return scope


def _around_nested(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    scope = stack.enter_context(boundary.scope(policy=chosen))
    stack.enter_context(boundary.scope())
    return scope


def _around_independent(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    stack.enter_context(boundary.scope(policy=chosen))
    return stack.enter_context(boundary.scope(independent=True))


def _region_around_independent(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    stack.enter_context(boundary.scope())
    stack.enter_context(airlock.region(chosen))
    return stack.enter_context(boundary.scope(independent=True))


def _around_independent_and_another_boundary(
    stack: ExitStack, boundary: Boundary, chosen: Any
) -> Scope:
    stack.enter_context(boundary.scope(policy=chosen))
    stack.enter_context(Boundary({}).scope())
    return stack.enter_context(boundary.scope(independent=True))


def _enclose(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    stack.enter_context(airlock.enclose(chosen))
    return stack.enter_context(boundary.scope())


def _enclose_in_scope(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    scope = stack.enter_context(boundary.scope())
    stack.enter_context(airlock.enclose(chosen))
    return scope


def _enclose_process(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    stack.enter_context(airlock.enclose(chosen, process=True))
    return stack.enter_context(boundary.scope())


def _enclose_another_boundary(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    stack.enter_context(Boundary({}).scope())
    stack.enter_context(airlock.enclose(chosen))
    return stack.enter_context(boundary.scope())


def _override(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    scope = stack.enter_context(boundary.scope(policy=chosen))
    stack.enter_context(scope.override({Orphan: None}))
    return scope


def _enclose_around_override(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    """The override is one of a scope that the enclosure is not in."""
    scope = stack.enter_context(boundary.scope())
    stack.enter_context(Boundary({}).scope())
    stack.enter_context(airlock.enclose(chosen))
    stack.enter_context(scope.override({Orphan: None}))
    return scope


def _enclose_around_nested(stack: ExitStack, boundary: Boundary, chosen: Any) -> Scope:
    scope = stack.enter_context(boundary.scope())
    stack.enter_context(Boundary({}).scope())
    stack.enter_context(airlock.enclose(chosen))
    stack.enter_context(boundary.scope())
    return scope


WAYS: list[Layers] = [
    _region, _scope, _nested, _around_nested, _around_independent, _region_around_independent,
    _around_independent_and_another_boundary, _enclose, _enclose_in_scope, _enclose_process,
    _enclose_another_boundary, _override, _enclose_around_override, _enclose_around_nested,
]  # fmt: skip


def told(report: Report) -> list[tuple[Work, Outcome]]:
    return [(entry.intent, entry.outcome) for entry in report]


def boundary(default: Any = None) -> Boundary:
    return Boundary({Work: lambda _: None}, policy=default)


def directly(name: str, intents: Sequence[Work]) -> Report:
    """What the policy says where it is the boundary's own."""
    with boundary(policy(name)).scope() as effects:
        effects.emit_all(intents)
    return effects.report


@pytest.mark.parametrize("held", [False, True], ids=["ambient", "held"])
@pytest.mark.parametrize("way", WAYS)
@given(name=sound, intents=lists_of_work)
def test_a_policy_holds_wherever_it_stands(
    way: Layers, held: bool, name: str, intents: list[Work]
) -> None:
    """The same outcomes, through the ambient scope or a scope that the code holds."""
    with ExitStack() as stack:
        scope = way(stack, boundary(), policy(name))
        for intent in intents:
            (scope.emit if held else airlock.emit)(intent)
    assert told(scope.report) == told(directly(name, intents))


@pytest.mark.parametrize("take", ["one by one", "together"])
@given(name=sound, intents=lists_of_work)
def test_an_enclosure_holds_for_a_scope_that_is_reached_past_another_boundary(
    take: str, name: str, intents: list[Work]
) -> None:
    """All that is emitted in the enclosure's block is judged together, as in a region."""
    with (
        boundary().scope() as effects,
        Boundary({}).scope(),
        airlock.enclose(policy(name) or airlock.Allow()),
    ):
        if take == "together":
            effects.emit_all(intents)
        else:
            for intent in intents:
                effects.emit(intent)
    assert told(effects.report) == told(directly(name, intents))


@given(lists_of_work, lists_of_work)
def test_own_and_captured_are_the_whole_whatever_is_around(
    one: list[Work], other: list[Work]
) -> None:
    """An intent belongs to the innermost scope whose region it stands in."""
    here = boundary()
    with here.scope() as effects:
        effects.emit_all(one)
        with here.scope() as inner, Boundary({}).scope(), airlock.enclose(airlock.Allow()):
            for intent in other:
                effects.emit(intent)
            assert inner.own == inner == other
    assert effects.own == one
    assert effects.captured == other


# -- overrides --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["override", "scope", "independent", "another boundary"])
@given(
    layers=st.lists(
        st.tuples(
            st.sampled_from((Work, Mail, Urgent, Call)),
            st.sampled_from(("calls on", "calls on", "replaces", "drops")),
        ),
        max_size=4,
    ),
    intent=st.sampled_from((Mail(), Urgent(), Call())),
)
def test_overrides_are_asked_from_the_inside_out(
    kind: str, layers: list[tuple[type[Work], str]], intent: Work
) -> None:
    """Until one does not call on; those of other classes are passed over."""
    log: list[int | str] = []
    here = Boundary({Work: lambda _: log.append("handler")})
    blocks: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "override": contextlib.nullcontext,
        "scope": here.scope,
        "independent": lambda: here.scope(independent=True),
        "another boundary": lambda: Boundary({}).scope(),
    }
    with ExitStack() as stack:
        scope = stack.enter_context(here.scope())
        for i, (cls, what) in enumerate(layers):
            stack.enter_context(scope.override({cls: _fake(what, i, log)}))
            stack.enter_context(blocks[kind]())
        scope = stack.enter_context(here.scope(independent=kind == "independent"))
        scope.emit(intent)
    fitting = [(i, what) for i, (cls, what) in enumerate(layers) if isinstance(intent, cls)]
    expected = list[int | str]()
    for i, what in reversed(fitting):
        expected += [] if what == "drops" else [i]
        if what != "calls on":
            break
    else:
        expected.append("handler")
    assert log == expected
    dropped = bool(fitting) and fitting[-1][1] == "drops"
    outcome = Outcome.DROPPED if dropped else Outcome.DELIVERED
    assert [entry.outcome for entry in scope.report] == [outcome]


def _fake(what: str, name: int, log: list[int | str]) -> Callable[..., object] | None:
    def calls_on(intent: Work, call_next: Callable[[Work], object]) -> object:
        log.append(name)
        return call_next(intent)

    def replaces(_: Work) -> None:
        log.append(name)

    return {"calls on": calls_on, "replaces": replaces, "drops": None}[what]


# -- follow-ups -------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(0, 6))
def test_what_a_policy_drops_past_the_depth_stays_dropped(
    max_depth: int, dropped_from: int
) -> None:
    """Only what would have run is too deep."""
    drop = Drop().where(lambda intent: intent.key >= dropped_from)
    chain = Boundary(
        {Mail: lambda mail: airlock.emit(Mail(mail.key + 1))}, policy=drop, max_depth=max_depth
    )
    with contextlib.suppress(airlock.FlushError), chain.scope() as effects:
        effects.emit(Mail(0))
    last = effects.report.entries[-1]
    if dropped_from <= max_depth + 1:
        assert effects.report.ok
        assert last.outcome is Outcome.DROPPED
        assert last.wave == dropped_from
    else:
        assert last.outcome is Outcome.FAILED
        assert isinstance(last.by, CascadeError)
        assert last.wave == max_depth + 1
        assert len(last.by.chain) == max_depth + 2


class Transaction:
    """A release that looks at one transaction, and then at the next one."""

    on_flush_error = "raise"

    def __init__(self) -> None:
        self.now = Segment(begun=True)

    def segment(self) -> Segment:
        return self.now

    def commit(self) -> None:
        ended, self.now = self.now, Segment()
        ended.commit()


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("kind", ["scope", "region", "enclose"])
def test_a_scope_that_fails_in_a_handler_is_discarded(kind: str, transactional: bool) -> None:
    """After the commit no transaction is left to decide. Other blocks discard nothing."""
    delivered: list[Work] = []

    def handle(_: Mail) -> None:
        blocks: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "scope": here.scope,
            "region": lambda: airlock.region(airlock.Allow()),
            "enclose": lambda: airlock.enclose(airlock.Allow()),
        }
        with contextlib.suppress(Broken), blocks[kind]():
            airlock.emit(Call(1))
            raise Broken

    here = Boundary({Mail: handle, Call: delivered.append})
    release: Any = Transaction() if transactional else None
    with here.scope(release=release) as effects:
        airlock.emit(Mail())
        if transactional:
            release.commit()
    assert delivered == ([] if kind == "scope" else [Call(1)])
    assert effects.report.discarded == ([Call(1)] if kind == "scope" else [])
