"""Who is asked when a plan is applied: enclosures about all, the boundary about follow-ups."""

# ruff: noqa: PT012 - a block that emits and then fails is what some of these are about
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import airlock
from airlock import (
    ALLOW,
    Boundary,
    Dedupe,
    Drop,
    Hold,
    Limit,
    OncePerChain,
    Options,
    PolicyLike,
    Refuse,
    Verdict,
    View,
    enclose,
    region,
)
from airlock.errors import ApplyError, CascadeError, PolicyError, RefusedError
from airlock.plan import Applied, Plan, holding
from airlock.testing import Recording
from tests.plan.vocabulary import (
    EVERYTHING,
    Audit,
    Chain,
    Index,
    Mail,
    Notify,
    Placed,
    chain,
    noting,
    plan_of,
    saved,
    states,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.plan"


def emitting(handled: list[Any], *emitted: Any, **options: Any) -> Boundary:
    """A boundary in which an order is followed by some other intents."""

    def placed(one: Placed) -> None:
        handled.append(one)
        airlock.emit_all(emitted)

    return Boundary({**noting(handled), Placed: placed}, **options)


# -- the policies of the plan are not asked again -------------------------------------------------


def test_the_policies_of_the_plan_have_spoken(handled: list[Any], path: Path) -> None:
    """Neither those of its scope, nor the boundary's."""
    asked: list[Any] = []

    def policy(view: View) -> list[Verdict]:
        asked.append(list(view.intents))
        return [ALLOW] * len(view)

    boundary = Boundary(noting(handled), policy=policy)
    with boundary.scope(policy=Hold()) as effects:
        effects.emit_all([Notify(1), Notify(1)])
    assert asked.pop() == [Notify(1), Notify(1)]
    boundary.apply(saved(effects.plan(), path))
    assert handled == [Notify(1), Notify(1)]
    assert not asked


def test_the_default_of_the_boundary_would_hold_it(handled: list[Any], path: Path) -> None:
    """And that is what it is for: it holds, a person looks, and then it is applied."""
    boundary = Boundary(noting(handled), policy=Hold())
    with boundary.scope() as effects:
        effects.emit(Notify(1))
    assert not handled
    assert boundary.apply(saved(effects.plan(), path)).counts == {"delivered": 1}


# -- enclosures -----------------------------------------------------------------------------------


def test_an_enclosure_drops(handled: list[Any], path: Path) -> None:
    """What it drops is not done, and remains."""
    plan = saved(plan_of(Notify(1), Mail("x"), Notify(2)), path)
    boundary = Boundary(noting(handled))
    with enclose(Drop(Mail)):
        assert boundary.apply(plan) == Applied({"dropped": 1, "delivered": 2}, 0, 1)
    assert str(boundary.apply(plan)) == "1 delivered, 2 done before"
    assert handled == [Notify(1), Notify(2), Mail("x")]


def test_an_enclosure_that_drops_everything(handled: list[Any], path: Path) -> None:
    plan = saved(plan_of(Notify(1), Mail("x")), path)
    with enclose(Drop()):
        applied = Boundary(noting(handled)).apply(plan)
    assert str(applied) == "2 dropped, 2 remaining"
    assert not handled


def test_an_enclosure_in_another_thread(handled: list[Any]) -> None:
    """A process-wide one reaches it."""
    import threading

    plan = plan_of(Notify(1))
    with enclose(Drop(), process=True):
        thread = threading.Thread(target=Boundary(noting(handled)).apply, args=(plan,))
        thread.start()
        thread.join()
    assert not handled


def test_an_enclosure_refuses(handled: list[Any], path: Path) -> None:
    """Nothing of the chunk has run."""
    plan = saved(plan_of(Notify(1), Mail("x"), Notify(2)), path)
    boundary = Boundary(noting(handled))
    with enclose(Refuse(Mail)), pytest.raises(RefusedError, match="Mail"):
        boundary.apply(plan)
    assert not handled
    with enclose(Refuse(Mail)):
        assert boundary.apply(plan, kinds=[Notify]).counts == {"delivered": 2}


def test_an_enclosure_refuses_follow_ups(handled: list[Any], path: Path) -> None:
    """There and then, in the handler."""
    boundary = emitting(handled, Mail("x"))
    with enclose(Refuse(Mail)), pytest.raises(ApplyError) as failed:
        boundary.apply(saved(plan_of(Placed(1)), path))
    assert [type(one) for one in failed.value.exceptions] == [RefusedError]
    assert handled == [Placed(1)]


@pytest.mark.parametrize("now", [Drop(Mail), Refuse(Mail), Hold(Mail)])
def test_follow_ups_of_earlier_are_under_the_enclosures_of_now(
    now: PolicyLike, handled: list[Any], path: Path
) -> None:
    """What an application that was cut short has left is asked about again."""

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    plan = saved(plan_of(Placed(1)), path)
    boundary = emitting(handled, Notify(1), Mail("x"))
    placed = boundary.handlers[Placed].provide()
    with pytest.raises(KeyboardInterrupt):
        Boundary({Placed: placed, Notify: interrupted, Mail: interrupted}).apply(plan)
    assert states(plan.journal) == {0: "delivered", 1: "running", 2: "allowed"}
    handled.clear()
    with enclose(now):
        try:
            boundary.apply(plan, in_doubt="done")
        except RefusedError:
            assert isinstance(now, Refuse)
    assert not handled
    boundary.apply(plan)
    assert handled == [Mail("x")]


def test_a_limit_around_holds_for_the_whole_plan(handled: list[Any]) -> None:
    """Over chunks and follow-ups, as over the waves of a flush."""
    boundary = Boundary(noting(handled))
    plan = plan_of(*map(Notify, range(2_100)))
    with enclose(Limit(5)):
        applied = boundary.apply(plan)
    assert applied.counts == {"delivered": 5, "dropped": 2_095}


def test_a_limit_around_counts_each_once(handled: list[Any], path: Path) -> None:
    boundary = emitting(handled, Mail("x"))
    with enclose(Limit(5)):
        applied = boundary.apply(saved(plan_of(Placed(1), Placed(2), Placed(3)), path))
    assert applied.counts == {"delivered": 5, "dropped": 1}
    assert handled == [Placed(1), Placed(2), Placed(3), Mail("x"), Mail("x")]


def test_a_policy_around_that_raises(handled: list[Any], path: Path) -> None:
    def policy(_: View) -> list[Verdict]:
        raise ZeroDivisionError

    with enclose(policy), pytest.raises(PolicyError, match="ZeroDivisionError"):
        Boundary(noting(handled)).apply(saved(plan_of(Notify(1)), path))
    assert not handled


def test_regions_and_scopes_around_are_not_asked(handled: list[Any]) -> None:
    """A plan is no emission."""
    boundary = Boundary(noting(handled))
    with boundary.scope(policy=Drop()), region(Drop()):
        boundary.apply(plan_of(Notify(1)))
    assert handled == [Notify(1)]


@pytest.fixture(scope="module")
def before() -> Plan:
    """A plan from before the test."""
    return plan_of(Notify(7), Mail("x"))


def test_the_fixture_records(before: Plan, effects: Recording, handled: list[Any]) -> None:
    """In a test nothing of a plan happens, and what would is there to be compared."""
    applied = Boundary(noting(handled)).apply(before)
    assert effects == [Notify(7), Mail("x")]
    assert not handled
    assert applied.remaining == 2


# -- follow-ups -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "emitted", "done", "counts"),
    [
        (None, [Mail("x"), Mail("x")], [Mail("x")] * 4, {"delivered": 6}),
        (Drop(Mail), [Mail("x"), Audit()], [Audit()] * 2, {"delivered": 4, "dropped": 2}),
        (Dedupe(Mail), [Mail("x")], [Mail("x")], {"delivered": 3, "merged": 1}),
        (Limit(3), [Mail("x"), Audit()], [Mail("x"), Audit(), Mail("x")], None),
        (Hold(Mail), [Mail("x"), Audit()], [Audit()] * 2, {"delivered": 4, "held": 2}),
    ],
    ids=["nothing", "Drop", "Dedupe", "Limit", "Hold"],
)
def test_the_policy_of_the_boundary(
    policy: PolicyLike | None,
    emitted: list[Any],
    done: list[Any],
    counts: dict[str, int] | None,
    *,
    handled: list[Any],
    path: Path,
) -> None:
    """A generation is judged as a wave."""
    boundary = emitting(handled, *emitted, policy=policy)
    applied = boundary.apply(saved(plan_of(Placed(1), Placed(2)), path))
    assert handled == [Placed(1), Placed(2), *done]
    assert counts in (None, applied.counts)
    assert applied.remaining == 0
    assert applied.ok


def test_a_policy_that_refuses(handled: list[Any], path: Path) -> None:
    """In the handler, whose effect has failed then."""
    boundary = emitting(handled, Mail("x"), policy=Refuse(Mail))
    with pytest.raises(ApplyError) as failed:
        boundary.apply(saved(plan_of(Placed(1)), path))
    assert [type(one) for one in failed.value.exceptions] == [RefusedError]


def test_policies_see_generations(path: Path) -> None:
    """By number, with what they allowed before, and what led to each."""
    seen: list[tuple[int, list[Any], list[Any], list[str]]] = []

    def policy(view: View) -> list[Verdict]:
        causes = [cause.kind for cause in view.remote_ancestors(0)]
        seen.append((view.wave, list(view.intents), list(view.earlier), causes))
        return [ALLOW] * len(view)

    plan = saved(plan_of(Chain(3)), path)
    Boundary({Chain: chain}, policy=policy).apply(plan)
    assert seen == [
        (1, [Chain(2)], [], ["plans.chain"]),
        (2, [Chain(1)], [Chain(2)], ["plans.chain"] * 2),
        (3, [Chain(0)], [Chain(2), Chain(1)], ["plans.chain"] * 3),
    ]


def test_once_per_chain(handled: list[Any], path: Path) -> None:
    """A cycle ends where it began, whether that was in the plan or not."""

    def index(one: Index) -> None:
        handled.append(one)
        airlock.emit(Placed(one.order_id))

    def placed(one: Placed) -> None:
        handled.append(one)
        airlock.emit(Index(one.order_id))

    boundary = Boundary({Placed: placed, Index: index}, policy=OncePerChain(Placed))
    applied = boundary.apply(saved(plan_of(Placed(1), Index(2)), path))
    assert handled == [Placed(1), Index(2), Index(1), Placed(2), Index(2)]
    assert applied.counts == {"delivered": 5, "dropped": 2}


def test_regions_of_handlers_judge_what_is_emitted_in_them(handled: list[Any], path: Path) -> None:
    def placed(_: Placed) -> None:
        with region(Drop(Mail)):
            airlock.emit_all([Mail("x"), Notify(1)])
        with boundary.scope(policy=Hold(Audit), headers={"a": "b"}) as inner:
            inner.emit_all([Audit("a"), Mail("y")])
        with pytest.raises(KeyError), boundary.scope() as thrown:
            thrown.emit(Index(1))
            raise KeyError

    boundary = Boundary({**noting(handled), Placed: placed})
    applied = boundary.apply(saved(plan_of(Placed(1)), path))
    assert handled == [Notify(1), Mail("y")]
    assert applied.counts == {"dropped": 1, "held": 1, "delivered": 3}
    assert applied.held is not None
    (held,) = applied.held
    assert (held.intent, held.headers) == (Audit("a"), {"a": "b"})


# -- depth ----------------------------------------------------------------------------------------


def test_cascades_are_bounded(handled: list[Any], path: Path) -> None:
    """However often the plan is applied: what is too deep does not run."""

    def endless(one: Chain) -> None:
        handled.append(one)
        airlock.emit(Chain(one.n + 1))

    boundary = Boundary({Chain: endless}, max_depth=3)
    plan = saved(plan_of(Chain(0)), path)
    for _ in range(3):
        with pytest.raises(ApplyError) as failed:
            boundary.apply(plan)
        (error,) = failed.value.exceptions
        assert isinstance(error, CascadeError)
        assert "Chain(n=4)" in str(error)
    assert handled == [Chain(n) for n in range(4)]
    assert states(plan.journal)[4] == "failed"


def test_too_deep_is_a_failure_to_fail_fast_on(handled: list[Any]) -> None:
    boundary = Boundary(
        {**noting(handled), Placed: lambda _: airlock.emit(Chain(1)), Chain: _twice},
        max_depth=1,
        fail_fast=True,
    )
    with pytest.raises(ApplyError):
        boundary.apply(plan_of(Placed(1)))
    assert not handled


def _twice(link: Chain) -> None:
    airlock.emit_all([Chain(link.n + 1), Mail("x")])


def test_what_a_policy_drops_is_not_too_deep(handled: list[Any], path: Path) -> None:
    """As in a flush."""
    boundary = Boundary({Chain: chain}, max_depth=1, policy=Drop().where(lambda one: one.n < 2))
    assert boundary.apply(saved(plan_of(Chain(3)), path)).counts == {"delivered": 2, "dropped": 1}


def test_the_depth_of_what_was_held_counts(path: Path) -> None:
    """It is as deep as it was when it was emitted."""
    boundary = Boundary({Chain: chain}, max_depth=3, policy=Hold().where(lambda one: one.n == 2))
    with boundary.scope() as effects:
        effects.emit(Chain(4))
    plan = saved(effects.plan(), path)
    with pytest.raises(ApplyError) as failed:
        boundary.apply(plan)
    assert [type(one) for one in failed.value.exceptions] == [CascadeError]
    assert failed.value.applied is not None
    assert failed.value.applied.counts == {"delivered": 2, "failed": 1}


def test_what_an_enclosure_drops_is_not_too_deep(path: Path) -> None:
    """It has no handler to be too deep for."""
    holds = Boundary({Chain: chain}, policy=Hold().where(lambda one: one.n == 2))
    with holds.scope() as effects:
        effects.emit(Chain(4))
    plan = saved(effects.plan(), path)
    with enclose(Drop()):
        applied = Boundary({Chain: chain}, max_depth=1).apply(plan)
    assert applied.counts == {"dropped": 1}


# -- held again -----------------------------------------------------------------------------------


def test_held_follow_ups_are_a_plan(handled: list[Any], path: Path) -> None:
    """With their causes and places, and done once it is applied."""
    boundary = emitting(handled, Mail("x"), Audit(), policy=Hold(Mail))
    applied = boundary.apply(saved(plan_of(Placed(1), Placed(2)), path))
    assert applied.held is not None
    one, other = applied.held
    assert [one.index, other.index] == [0, 1]
    assert one.intent == other.intent == Mail("x")
    assert one.causation.depth == 1
    assert (one.place or "").rpartition("/")[2].startswith("test_policies.py:")
    again = saved(applied.held, path.with_name("held.json"))
    assert boundary.apply(again).counts == {"delivered": 2}
    assert handled == [Placed(1), Placed(2), Audit(), Audit(), Mail("x"), Mail("x")]


def test_nothing_held_is_no_plan(boundary: Boundary) -> None:
    assert boundary.apply(plan_of(Notify(1))).held is None


def test_what_is_held_stays_held(handled: list[Any], path: Path) -> None:
    """Applied again, the plan still says so; it is not judged again."""
    plan = saved(plan_of(Placed(1)), path)
    emitting(handled, Mail("x"), policy=Hold()).apply(plan)
    applied = emitting(handled, Mail("x")).apply(plan)
    assert str(applied) == "1 done before"
    assert applied.held is not None
    assert [entry.intent for entry in applied.held] == [Mail("x")]


def test_applied_while_it_is_held(handled: list[Any], path: Path) -> None:
    """A plan of a plan: with the same ids, and nothing is done."""
    plan = saved(plan_of(Notify(1), Notify(2)), path)
    boundary = Boundary(noting(handled))
    with holding() as held:
        assert str(boundary.apply(plan)) == "2 held, 2 remaining"
    again = held.plan()
    assert [entry.id for entry in again] == [entry.id for entry in plan]
    assert not handled


def test_the_same_headers_and_options_for_what_is_emitted(handled: list[Any], path: Path) -> None:
    """An emission of a handler may say all it could say in a flush."""

    def placed(_: Placed) -> None:
        airlock.emit(Mail("x"), Options(ordering_key="k", headers={"a": "b"}))

    def mail(_: Mail) -> None:
        now = airlock.delivery()
        handled.append((now.options.ordering_key, dict(now.headers)))

    with Boundary(EVERYTHING).scope(policy=Hold(), headers={"tenant": "acme"}) as effects:
        effects.emit(Placed(1))
    Boundary({Placed: placed, Mail: mail}).apply(saved(effects.plan(), path))
    assert handled == [("k", {"tenant": "acme", "a": "b"})]


# -- what handlers open ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["boundary", "enclosure"])
@pytest.mark.parametrize("policy", [Drop(Mail), Hold(Mail)])
def test_an_independent_scope_of_a_handler_is_no_way_out(
    policy: PolicyLike, where: str, handled: list[Any]
) -> None:
    """What it emits is delivered at its end, if the policies around let it."""

    def placed(_: Placed) -> None:
        with boundary.scope(independent=True) as apart:
            apart.emit(Mail("x"))

    of_boundary = policy if where == "boundary" else None
    boundary = Boundary({Placed: placed, Mail: handled.append}, policy=of_boundary)
    plan = plan_of(Placed(1))
    with enclose(policy if where == "enclosure" else airlock.Allow()):
        boundary.apply(plan)
    assert not handled


def test_once_per_chain_by_a_key(handled: list[Any], path: Path) -> None:
    """What an ancestor said by that key is remembered, and ends the cycle."""

    def endless(one: Chain) -> None:
        handled.append(one)
        airlock.emit(Chain(one.n + 1))

    for where in ("boundary", "enclosure"):
        handled.clear()
        once = OncePerChain(Chain, key=type)
        boundary = Boundary({Chain: endless}, policy=once if where == "boundary" else None)
        plan = saved(plan_of(Chain(0)), path.with_name(f"{where}.json"))
        with enclose(once if where == "enclosure" else airlock.Allow()):
            assert boundary.apply(plan).counts == {"delivered": 1, "dropped": 1}
        assert handled == [Chain(0)]
