"""What people see of a plan and of its differences, kept in ``golden/``; and ``Plan.diff``.

To accept new texts, run these tests with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import airlock
from airlock import Boundary, Hold, Options
from airlock.errors import DeclarationError
from airlock.plan import Plan, PlanDiff
from airlock.wire import AesGcm, Wire
from tests.plan.vocabulary import (
    EVERYTHING,
    Audit,
    Chain,
    Charge,
    Index,
    Mail,
    Notify,
    Placed,
    chain,
    plan_of,
    saved,
)

GOLDEN = Path(__file__).parent / "golden"
PLACE = re.compile(r"(?:/[^\n:']*/|[^\s']*)(test_showing|vocabulary)\.py:\d+")
CHANGING = re.compile(r"sha256:[0-9a-f]+|UUID\('[^']+'\)")
CIPHERED = Wire(cipher=AesGcm(b"k" * 32))


def some() -> Plan:
    return plan_of(Notify(1), Mail("ada@example.org"), Notify(2))


def with_causes() -> Plan:
    def placed(one: Placed) -> None:
        airlock.emit_all([Notify(one.order_id), Mail("x")])

    boundary = Boundary({**EVERYTHING, Placed: placed, Chain: chain}, policy=Hold(Notify, Audit))
    with boundary.scope(policy=Hold().where(lambda one: one == Chain(0))) as effects:
        effects.emit_all([Placed(1), Audit("first"), Placed(2), Chain(2)])
    return effects.plan()


def without_places() -> Plan:
    def holds(view: airlock.View) -> list[airlock.Verdict]:
        return [airlock.HOLD] * len(view)

    return plan_of(*map(Notify, range(3)), policy=holds)


PLANS: dict[str, Callable[[], object]] = {
    "a_plan": some,
    "a_plan_of_nothing": plan_of,
    "a_plan_of_one": lambda: plan_of(Index(7)),
    "a_plan_that_expires": lambda: plan_of(
        Notify(1), expires=datetime(2100, 1, 1, 9, 30, tzinfo=UTC)
    ),
    "a_plan_with_causes": with_causes,
    "a_plan_without_places": without_places,
    "a_plan_with_secrets": lambda: plan_of(Charge(1, "4111"), Mail("x"), wire=CIPHERED),
    "a_plan_of_fifty": lambda: plan_of(*map(Notify, range(50))),
    "a_plan_of_many": lambda: plan_of(*map(Notify, range(1_234))),
    "a_table_without_a_limit": lambda: plan_of(*map(Notify, range(52))).table(limit=None),
    "a_table_of_no_rows": lambda: plan_of(*map(Notify, range(3))).table(limit=0),
    "repr_of_a_plan": lambda: repr(some()),
    "no_difference": lambda: some().diff(some()),
    "added_and_removed": lambda: some().diff(
        plan_of(Notify(1), Notify(3), Mail("ada@example.org"), Notify(4))
    ),
    "another_order": lambda: some().diff(plan_of(Notify(2), Notify(1), Mail("ada@example.org"))),
    "a_difference_in_secrets": lambda: plan_of(Charge(1, "4111"), wire=CIPHERED).diff(
        plan_of(Charge(1, "4222"), wire=CIPHERED)
    ),
    "a_difference_from_nothing": lambda: plan_of().diff(some()),
    "an_entry": lambda: repr(*plan_of(Charge(1, "4111"), wire=CIPHERED)),
}


def told(name: str) -> str:
    text = CHANGING.sub("<changing>", f"{PLANS[name]()}\n")
    return PLACE.sub(r"\1.py:<line>", text)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_shown_in_these_words(name: str) -> None:
    text = told(name)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")
    assert not re.search("4111|4222", text)


def test_no_golden_text_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(PLANS)


def test_a_plan_is_shown_as_the_one_that_was_saved(tmp_path: Path) -> None:
    plan = with_causes()
    assert str(saved(plan, tmp_path / "effects.plan")) == str(plan)
    assert repr(Plan.load(tmp_path / "effects.plan")) == repr(plan)


# -- differences ----------------------------------------------------------------------------------


def difference(before: list[Any], after: list[Any]) -> PlanDiff:
    return plan_of(*before).diff(plan_of(*after))


def intents(entries: tuple[Any, ...]) -> list[Any]:
    return [entry.intent for entry in entries]


def test_a_plan_does_not_differ_from_itself(tmp_path: Path) -> None:
    plan = plan_of(Notify(1), Notify(1), Charge(1, "4111"), wire=CIPHERED)
    for other in (plan, saved(plan, tmp_path / "effects.plan")):
        found = plan.diff(other)
        assert not found
        assert (found.added, found.removed, found.unchanged, found.reordered) == ((), (), 3, False)


def test_what_is_there_twice_is_counted() -> None:
    """Of equal ones the later are those that are too many."""
    found = difference([Notify(1), Notify(1), Mail("x")], [Mail("x"), Notify(1), Notify(2)])
    assert intents(found.removed) == [Notify(1)]
    assert [entry.index for entry in found.removed] == [1]
    assert intents(found.added) == [Notify(2)]
    assert found.unchanged == 2
    assert found.reordered
    assert found


def test_the_reverse_difference_is_reversed() -> None:
    one, other = plan_of(Notify(1), Mail("x")), plan_of(Mail("x"), Audit())
    there, back = one.diff(other), other.diff(one)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert there.unchanged == back.unchanged == 1


@pytest.mark.parametrize(
    "options",
    [Options(ordering_key="a"), Options(headers={"tenant": "acme"})],
    ids=["key", "headers"],
)
def test_options_make_a_difference(options: Options) -> None:
    def made(given: Options | None) -> Plan:
        with Boundary(EVERYTHING).scope(policy=Hold()) as effects:
            effects.emit(Notify(1), given)
        return effects.plan()

    assert not made(options).diff(made(options))
    assert made(options).diff(made(None)).removed


def test_ids_make_none() -> None:
    """Not even those that were given."""

    def made() -> Plan:
        with Boundary(EVERYTHING).scope(policy=Hold()) as effects:
            effects.emit(Notify(1), Options(id=uuid4()))
        return effects.plan()

    assert not made().diff(made())


def test_headers_of_scopes_make_a_difference() -> None:
    def made(tenant: str) -> Plan:
        with Boundary(EVERYTHING).scope(policy=Hold(), headers={"tenant": tenant}) as effects:
            effects.emit(Notify(1))
        return effects.plan()

    assert not made("acme").diff(made("acme"))
    assert made("acme").diff(made("umbrella"))


@pytest.mark.parametrize("other", [None, "effects.plan", 5, [Notify(1)], Plan])
def test_a_difference_is_from_a_plan(other: Any) -> None:
    with pytest.raises(DeclarationError, match="diff takes a Plan"):
        plan_of(Notify(1)).diff(other)
