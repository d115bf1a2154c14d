"""``scope.plan()``: what is in a plan, in which order, with what; and what is refused."""

# ruff: noqa: PT012 - a block that emits and then fails is what some of these are about
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import airlock
from airlock import (
    Boundary,
    Dedupe,
    Drop,
    FlushError,
    Hold,
    Options,
    enclose,
    intent,
    region,
)
from airlock.errors import (
    DeclarationError,
    PlanError,
    ScopeStateError,
    SensitiveFieldError,
    UnencodableError,
)
from airlock.plan import Plan
from airlock.wire import AesGcm, Wire
from tests.boundary.vocabulary import next_line
from tests.plan.vocabulary import (
    EVERYTHING,
    Audit,
    Broken,
    Chain,
    Charge,
    Index,
    Mail,
    Notify,
    Placed,
    chain,
    lines_of,
    plan_of,
)


def intents(plan: Plan) -> list[Any]:
    return [entry.intent for entry in plan]


def holding_follow_ups(*held: type[Any]) -> Boundary:
    """A boundary that holds some, and whose orders are followed by mails."""

    def placed(one: Placed) -> None:
        airlock.emit(Mail(str(one.order_id)))

    return Boundary({**EVERYTHING, Placed: placed, Chain: chain}, policy=Hold(*held))


# -- what is in it --------------------------------------------------------------------------------


def test_a_plan_has_what_was_held_in_order() -> None:
    plan = plan_of(Notify(1), Mail("x"), Notify(2), Notify(1))
    assert intents(plan) == [Notify(1), Mail("x"), Notify(2), Notify(1)]
    assert [entry.index for entry in plan] == [0, 1, 2, 3]
    assert len(plan) == 4
    assert plan.counts == {"plans.notify": 3, "plans.mail": 1}
    assert list(plan.kinds.items()) == [(("plans.notify", 1), 3), (("plans.mail", 1), 1)]
    assert plan.path is None
    assert plan.journal is None


def test_it_has_nothing_else(boundary: Boundary, handled: list[Any]) -> None:
    """What was dropped, merged or delivered is not held."""
    policy = Drop(Audit) & Dedupe(Mail) & Hold(Mail, Notify)
    with boundary.scope(policy=policy) as effects:
        effects.emit_all([Mail("x"), Audit(), Index(1), Mail("x"), Notify(1)])
    assert intents(effects.plan()) == [Mail("x"), Notify(1)]
    assert handled == [Index(1)]


def test_a_plan_of_nothing_is_a_plan(tmp_path: Path) -> None:
    plan = plan_of()
    assert not list(plan)
    assert len(plan) == 0
    assert plan
    assert (plan.counts, dict(plan.kinds)) == ({}, {})
    plan.save(tmp_path / "effects.plan")
    assert Plan.load(tmp_path / "effects.plan").digest == plan.digest


def test_nested_scopes_and_regions_are_in_it_where_they_opened(boundary: Boundary) -> None:
    with boundary.scope() as effects:
        effects.emit(Notify(1))
        with region(Hold()):
            airlock.emit(Notify(2))
            with boundary.scope():
                airlock.emit(Notify(3))
        with boundary.scope(policy=Hold(Mail)) as inner:
            inner.emit(Mail("x"))
    assert intents(effects.plan()) == [Notify(2), Notify(3), Mail("x")]


def test_what_failed_with_its_block_is_not_in_it(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold()) as effects:
        effects.emit(Notify(1))
        with pytest.raises(Broken), boundary.scope() as inner:
            inner.emit(Notify(2))
            raise Broken
        effects.emit(Notify(3))
    assert intents(effects.plan()) == [Notify(1), Notify(3)]


def test_an_independent_scope_has_a_plan_of_its_own(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold()) as outer:
        outer.emit(Notify(1))
        with boundary.scope(independent=True) as inner:
            inner.emit(Notify(2))
    assert intents(outer.plan()) == [Notify(1)]
    assert intents(inner.plan()) == [Notify(2)]


def test_what_an_enclosure_holds_is_in_it(boundary: Boundary) -> None:
    with enclose(Hold(Mail)), boundary.scope() as effects:
        effects.emit_all([Mail("x"), Notify(1)])
    assert intents(effects.plan()) == [Mail("x")]


def test_held_follow_ups_are_in_it_with_their_causes() -> None:
    """After what the block emitted, wave by wave."""
    with holding_follow_ups(Mail, Audit).scope(headers={"tenant": "acme"}) as effects:
        effects.emit_all([Placed(1), Audit("a"), Placed(2)])
    audit, first, second = effects.plan()
    assert (audit.intent, audit.causation.depth, audit.causation.ancestors) == (Audit("a"), 0, ())
    assert (first.intent, second.intent) == (Mail("1"), Mail("2"))
    assert first.causation.depth == 1
    assert [cause.kind for cause in first.causation.ancestors] == ["plans.placed"]
    assert first.headers == {"tenant": "acme"}


def test_causes_of_causes() -> None:
    """The nearest first."""
    with holding_follow_ups(Mail).scope(policy=Hold(Chain).where(_is_last)) as effects:
        effects.emit(Chain(3))
    (held,) = effects.plan()
    assert held.intent == Chain(0)
    assert held.causation.depth == 3
    assert [cause.kind for cause in held.causation.ancestors] == ["plans.chain"] * 3


def _is_last(link: Chain) -> bool:
    return not link.n


def test_a_scope_that_was_discarded_holds_nothing(boundary: Boundary) -> None:
    with pytest.raises(Broken), boundary.scope(policy=Hold()) as effects:
        effects.emit(Notify(1))
        raise Broken
    assert not list(effects.plan())


def test_a_flush_that_failed_has_a_plan() -> None:
    """Of what it holds all the same."""
    boundary = Boundary({**EVERYTHING, Notify: lambda _: 1 / 0})
    with pytest.raises(FlushError), boundary.scope(policy=Hold(Mail)) as effects:
        effects.emit_all([Notify(1), Mail("x")])
    assert intents(effects.plan()) == [Mail("x")]


def test_a_plan_can_be_made_twice(boundary: Boundary) -> None:
    """With the same ids, and so the same effects."""
    with boundary.scope(policy=Hold()) as effects:
        effects.emit_all([Notify(1), Notify(2)])
    one, other = effects.plan(), effects.plan()
    assert [entry.id for entry in one] == [entry.id for entry in other]
    assert not one.diff(other)


# -- what an entry says ---------------------------------------------------------------------------


def test_the_options_of_the_emission() -> None:
    options = Options(
        delay=timedelta(hours=1), ordering_key="a", dedupe_key="b", headers={"trace": "1"}
    )
    with Boundary(EVERYTHING).scope(policy=Hold(), headers={"tenant": "acme"}) as effects:
        effects.emit(Notify(1), options)
        effects.emit(Notify(2))
    given, plain = effects.plan()
    assert given.options == Options(
        delay=timedelta(hours=1),
        ordering_key="a",
        dedupe_key="b",
        headers={"tenant": "acme", "trace": "1"},
    )
    assert given.given == {"delay", "ordering_key", "dedupe_key", "headers"}
    assert plain.options == Options()
    assert plain.given == frozenset()
    assert plain.headers == {"tenant": "acme"}


def test_places() -> None:
    """Of each emission, where a ``Hold`` was in force."""
    with Boundary(EVERYTHING).scope(policy=Hold()) as effects:
        first = next_line()
        effects.emit(Notify(1))
        second = next_line()
        airlock.emit_all([Notify(2), Notify(3)])
    shown = [(entry.place or "").rpartition("/")[2] for entry in effects.plan()]
    assert shown == [first, second, second]


def test_a_place_is_unknown_where_nothing_recorded_it(boundary: Boundary) -> None:
    def holds(view: airlock.View) -> list[airlock.Verdict]:
        return [airlock.HOLD] * len(view)

    with boundary.scope(policy=holds) as effects:
        effects.emit(Notify(1))
    assert [entry.place for entry in effects.plan()] == [None]


def test_places_are_those_of_now(boundary: Boundary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the working directory, where that is shorter."""
    monkeypatch.chdir(Path(__file__).parent)
    with boundary.scope(policy=Hold()) as effects:
        here = next_line()
        effects.emit(Notify(1))
    assert [entry.place for entry in effects.plan()] == [here]


# -- secrets --------------------------------------------------------------------------------------


def test_a_sensitive_field_needs_a_cipher(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold()) as effects:
        effects.emit(Charge(1, "4111-secret"))
    with pytest.raises(SensitiveFieldError) as refused:
        effects.plan()
    assert "4111" not in str(refused.value)


def test_a_secret_is_neither_written_nor_shown(tmp_path: Path) -> None:
    """And the handler gets it."""
    wire = Wire(cipher=AesGcm(b"k" * 32))
    plan = plan_of(Charge(1, "4111-secret"), wire=wire)
    path = tmp_path / "effects.plan"
    plan.save(path)
    handled: list[Any] = []
    boundary = Boundary({Charge: handled.append})
    loaded = Plan.load(path, wire=wire)
    shown = [str(loaded), repr(loaded), *map(str, loaded), *map(repr, loaded)]
    shown.append(str(plan_of().diff(loaded)))
    assert not [text for text in shown if "4111" in text]
    assert str(boundary.apply(loaded)) == "1 delivered"
    assert handled == [Charge(1, "4111-secret")]
    for file in tmp_path.iterdir():
        assert b"4111" not in file.read_bytes(), file
        assert b"secret" not in file.read_bytes(), file


# -- expiry ---------------------------------------------------------------------------------------


def test_expiry_as_a_duration() -> None:
    before = datetime.now(UTC)
    plan = plan_of(Notify(1), expires=timedelta(hours=1))
    assert plan.expires is not None
    assert abs(plan.expires - before - timedelta(hours=1)) < timedelta(seconds=5)
    assert abs(plan.created - before) < timedelta(seconds=5)
    assert plan_of(Notify(1)).expires is None


def test_expiry_as_a_moment() -> None:
    """In UTC, wherever it was said."""
    moment = datetime(2100, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    plan = plan_of(Notify(1), expires=moment)
    assert plan.expires is not None
    assert plan.expires == moment
    assert plan.expires.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "expires",
    [datetime(2100, 1, 1), date(2100, 1, 1), "tomorrow", 3600, True],  # noqa: DTZ001
)
def test_another_expiry_is_refused(expires: Any) -> None:
    with pytest.raises(DeclarationError, match="expires="):
        plan_of(Notify(1), expires=expires)


# -- what is refused ------------------------------------------------------------------------------


def test_an_open_scope_has_no_plan(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold()) as effects:
        effects.emit(Notify(1))
        with pytest.raises(ScopeStateError, match="no report yet"):
            effects.plan()
    assert intents(effects.plan()) == [Notify(1)]


def test_nor_has_one_that_was_never_entered(boundary: Boundary) -> None:
    with pytest.raises(ScopeStateError, match="no report yet"):
        boundary.scope().plan()


def test_a_nested_scope_has_none(boundary: Boundary) -> None:
    """During the block or after it; the outermost has it."""
    with boundary.scope(policy=Hold()) as outer, boundary.scope() as inner:
        inner.emit(Notify(1))
        with pytest.raises(ScopeStateError, match="nested"):
            inner.plan()
    with pytest.raises(ScopeStateError, match="outermost"):
        inner.plan()
    assert intents(inner.outermost.plan()) == [Notify(1)]
    assert intents(outer.plan()) == [Notify(1)]


def test_an_overridden_intent_has_none(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold()) as effects, effects.override({Mail: None}):
        effects.emit(Mail("x"))
    with pytest.raises(PlanError, match=r"override.*Mail|Mail.*override"):
        effects.plan()


def test_an_override_of_another_type_is_no_reason(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold()) as effects, effects.override({Mail: None}):
        effects.emit(Notify(1))
    assert intents(effects.plan()) == [Notify(1)]


@intent(kind="plans.odd")
class Odd:
    thing: object


def test_an_intent_without_a_form_has_none() -> None:
    """And the other ones are not lost by it."""
    with Boundary({Odd: print, Notify: print}).scope(policy=Hold()) as effects:
        effects.emit_all([Notify(1), Odd(object)])
    with pytest.raises(UnencodableError, match="thing"):
        effects.plan()
    assert len(effects.report.held) == 2


@pytest.mark.parametrize("wire", ["json", 5, Wire])
def test_a_wire_is_a_wire(boundary: Boundary, wire: Any) -> None:
    with boundary.scope(policy=Hold()) as effects:
        effects.emit(Notify(1))
    with pytest.raises(DeclarationError, match="takes a Wire"):
        effects.plan(wire=wire)


def test_the_document(tmp_path: Path) -> None:
    """Header, effects, footer."""
    plan = plan_of(Notify(1), expires=datetime(2100, 1, 1, tzinfo=UTC))
    plan.save(tmp_path / "effects.plan")
    head, effect, foot = lines_of(tmp_path / "effects.plan")
    assert head == {
        "airlock_plan": 1,
        "created": plan.created.isoformat(),
        "expires": "2100-01-01T00:00:00+00:00",
    }
    assert effect["index"] == 0
    assert effect["given"] == []
    assert effect["effect"]["kind"] == "plans.notify"
    assert foot == {"effects": 1, "kinds": [["plans.notify", 1, 1]], "digest": plan.digest}
