"""``holding()``: whatever a whole program emits is held, and is a plan; and ``UnplannedWarning``."""

# ruff: noqa: PT012 - a block that emits and then fails is what some of these are about
from __future__ import annotations

import gc
import subprocess
import sys
import threading
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import airlock
from airlock import Boundary, Dedupe, Drop, Hold, Options, enclose, region
from airlock.errors import (
    AirlockError,
    DeclarationError,
    PlanError,
    ScopeStateError,
    UnencodableError,
    UnplannedWarning,
)
from airlock.integrations.sqlite3 import Connection, connect, on_commit
from airlock.plan import Plan, holding
from airlock.wire import AesGcm, Wire
from tests.boundary.vocabulary import next_line
from tests.plan.vocabulary import (
    EVERYTHING,
    Audit,
    Broken,
    Chain,
    Index,
    Mail,
    Notify,
    Placed,
    chain,
    ignore,
    noting,
    plan_of,
)

ROOT = Path(__file__).parents[2]


def intents(plan: Plan) -> list[Any]:
    return [entry.intent for entry in plan]


# -- everything -----------------------------------------------------------------------------------


def test_several_scopes_and_boundaries(boundary: Boundary, handled: list[Any]) -> None:
    """In the order of emission, whoever ends first."""
    other = Boundary(noting(handled))
    with holding() as held:
        with boundary.scope() as outer:
            outer.emit(Notify(1))
            with other.scope() as inner:
                inner.emit(Mail("x"))
                outer.emit(Notify(2))
            with boundary.scope(independent=True) as apart:
                apart.emit(Notify(3))
            with boundary.scope() as nested, region(Drop(Audit)):
                nested.emit_all([Notify(4), Audit()])
                airlock.emit_all([Notify(5), Audit()])
        with other.scope():
            airlock.emit(Mail("y"))
    assert intents(held.plan()) == [
        Notify(1), Mail("x"), Notify(2), Notify(3), Notify(4), Notify(5), Mail("y")
    ]  # fmt: skip
    assert not handled


def test_threads(boundary: Boundary, handled: list[Any]) -> None:
    """Each in its own order, and none is lost."""

    def work(number: int) -> None:
        for i in range(50):
            with boundary.scope() as effects:
                effects.emit(Notify(100 * number + i))

    with holding() as held:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = [entry.intent.order_id for entry in held.plan()]
    assert len(found) == 400
    for number in range(8):
        assert [n % 100 for n in found if n // 100 == number] == list(range(50))
    assert not handled


def test_what_would_not_escape_is_not_in_it(boundary: Boundary) -> None:
    """Dropped, merged, thrown away with a block: as without it."""
    with holding() as held:
        with boundary.scope(policy=Drop(Audit) & Dedupe(Mail)) as effects:
            effects.emit_all([Audit(), Mail("x"), Mail("x")])
        with pytest.raises(Broken), boundary.scope() as thrown:
            thrown.emit(Notify(1))
            raise Broken
        with boundary.scope() as outer:
            outer.emit(Notify(2))
            with pytest.raises(Broken), boundary.scope() as inner:
                inner.emit(Notify(3))
                raise Broken
    assert intents(held.plan()) == [Mail("x"), Notify(2)]


def test_what_the_program_holds_is_its_own(boundary: Boundary) -> None:
    """It would not have happened, and has a plan of its own."""
    with holding() as held, boundary.scope(policy=Hold(Mail)) as effects:
        effects.emit_all([Mail("x"), Notify(1)])
    assert intents(held.plan()) == [Notify(1)]
    assert intents(effects.plan()) == [Mail("x")]


def test_transactions(boundary: Boundary, handled: list[Any]) -> None:
    """What was committed is held; what was rolled back is not."""
    with closing(connect(":memory:", isolation_level=None)) as database:
        with holding() as held, boundary.scope(release=on_commit(database)) as effects:
            in_transaction(database, "COMMIT", effects, Notify(1))
            in_transaction(database, "ROLLBACK", effects, Notify(2))
            database.execute("BEGIN")
            effects.emit(Notify(3))
            database.execute("SAVEPOINT one")
            effects.emit(Notify(4))
            database.execute("ROLLBACK TO one")
            effects.emit(Notify(5))
            database.execute("COMMIT")
        assert intents(held.plan()) == [Notify(1), Notify(3), Notify(5)]
    assert not handled


def in_transaction(database: Connection, end: str, effects: Any, *emitted: Any) -> None:
    database.execute("BEGIN")
    effects.emit_all(emitted)
    database.execute(end)


def test_a_transaction_that_goes_on(boundary: Boundary) -> None:
    """Nobody knows yet what becomes of it."""
    with closing(connect(":memory:", isolation_level=None)) as database:
        with holding() as held:
            database.execute("BEGIN")
            with boundary.scope(release=on_commit(database)) as effects:
                effects.emit(Notify(1))
            with pytest.raises(PlanError, match="waits for the end of its transaction"):
                held.plan()
            database.execute("COMMIT")
        assert intents(held.plan()) == [Notify(1)]


def test_a_scope_that_is_open(boundary: Boundary) -> None:
    """The plan would lack what it has; it says where that was emitted."""
    with holding() as held:
        with boundary.scope() as effects:
            here = next_line()
            effects.emit(Notify(1))
            with pytest.raises(PlanError, match="is open") as refused:
                held.plan()
            assert here in str(refused.value)
        assert intents(held.plan()) == [Notify(1)]
    assert intents(held.plan()) == [Notify(1)]


def test_a_scope_that_is_open_and_has_nothing(boundary: Boundary) -> None:
    """It is no reason."""
    with holding() as held, boundary.scope():
        with Boundary(EVERYTHING).scope() as effects:
            effects.emit(Notify(1))
        assert intents(held.plan()) == [Notify(1)]


def test_a_scope_that_was_open_before(boundary: Boundary, handled: list[Any]) -> None:
    """What is emitted into it now is held; what it had before is not."""
    with boundary.scope() as effects:
        effects.emit(Notify(1))
        with holding() as held:
            effects.emit(Notify(2))
            airlock.emit(Notify(3))
    assert handled == [Notify(1)]
    assert intents(held.plan()) == [Notify(2), Notify(3)]


def test_a_scope_that_ends_in_it_and_had_something_before(
    boundary: Boundary, handled: list[Any]
) -> None:
    """In another thread. It is held too, and never forgotten in silence."""
    began, goes_on = threading.Event(), threading.Event()
    reports: list[airlock.Report] = []

    def work() -> None:
        with boundary.scope() as effects:
            effects.emit(Notify(1))
            began.set()
            goes_on.wait(10)
        reports.append(effects.report)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait(10)
    with holding() as held:
        goes_on.set()
        thread.join()
    assert not handled
    assert reports[0].held == [Notify(1)]
    with pytest.raises(PlanError, match=r"Notify\(order_id=1\) was emitted before"):
        held.plan()


def test_overrides_are_refused(boundary: Boundary) -> None:
    with holding() as held, boundary.scope() as effects, effects.override({Mail: None}):
        effects.emit(Mail("x"))
    with pytest.raises(PlanError, match="override"):
        held.plan()


def test_it_is_a_plan_like_any_other(
    boundary: Boundary, handled: list[Any], tmp_path: Path
) -> None:
    """Options, headers, places; it is saved and applied."""
    with holding() as held, boundary.scope(headers={"tenant": "acme"}) as effects:
        here = next_line()
        effects.emit(Notify(1), Options(ordering_key="a"))
    plan = held.plan()
    plan.save(tmp_path / "effects.plan")
    (entry,) = Plan.load(tmp_path / "effects.plan")
    assert entry.headers == {"tenant": "acme"}
    assert entry.options == Options(ordering_key="a")
    assert (entry.place or "").endswith(here)
    assert boundary.apply(plan).counts == {"delivered": 1}
    assert handled == [Notify(1)]


def test_follow_ups_of_what_ran_before(boundary: Boundary) -> None:
    """A scope whose first wave ran before has only the rest held."""
    started = Boundary({Chain: chain}, policy=Hold().where(lambda one: one.n == 1))
    with holding() as held, started.scope() as effects:
        effects.emit(Chain(3))
    assert intents(held.plan()) == [Chain(3)]


def test_one_in_another(boundary: Boundary) -> None:
    """The inner one has it."""
    with holding() as outer, holding() as inner, boundary.scope() as effects:
        effects.emit(Notify(1))
    assert intents(inner.plan()) == [Notify(1)]
    assert intents(outer.plan()) == []


def test_it_is_entered_once(boundary: Boundary) -> None:
    held = holding()
    with held, boundary.scope() as effects:
        effects.emit(Notify(1))
    with pytest.raises(ScopeStateError), held:
        pass
    with boundary.scope() as after:
        after.emit(Notify(2))
    assert after.report.delivered == [Notify(2)]


def test_an_error_leaves_it(boundary: Boundary, handled: list[Any]) -> None:
    with pytest.raises(Broken), holding() as held:
        with boundary.scope() as effects:
            effects.emit(Notify(1))
        raise Broken
    assert intents(held.plan()) == [Notify(1)]
    with boundary.scope() as effects:
        effects.emit(Notify(2))
    assert handled == [Notify(2)]


@pytest.mark.anyio
async def test_async_scopes(boundary: Boundary, handled: list[Any]) -> None:
    with holding() as held:
        async with boundary.scope() as effects:
            effects.emit(Notify(1))
    assert intents(held.plan()) == [Notify(1)]
    assert not handled


# -- the warning ----------------------------------------------------------------------------------


def scope_that_holds(boundary: Boundary) -> airlock.Scope:
    with boundary.scope(policy=Hold(Notify)) as effects:
        effects.emit_all([Notify(1), Notify(2), Mail("x")])
    return effects


def unplanned() -> pytest.WarningsRecorder:
    gc.collect()  # what other tests have left says so before
    return pytest.warns(UnplannedWarning)


def test_held_and_never_planned(boundary: Boundary) -> None:
    """It says how many, and which scope."""
    with unplanned() as warned:
        scope_that_holds(boundary)
        gc.collect()
    (warning,) = warned
    assert str(warning.message).startswith("2 intent(s) were held in the scope opened at ")
    assert warning.filename == __file__
    assert isinstance(warning.message, RuntimeWarning)


def test_a_follow_up_that_is_held(boundary: Boundary) -> None:
    holds = Boundary({Placed: lambda _: airlock.emit(Mail("x")), Mail: ignore}, policy=Hold(Mail))
    with unplanned():
        with holds.scope() as effects:
            effects.emit(Placed(1))
        del effects
        gc.collect()


@pytest.fixture
def strict() -> Any:
    """Any warning is an error; one that comes from a finalizer, too."""
    gc.collect()  # of others, before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


def quiet(scope: airlock.Scope) -> None:
    """Let it go."""
    del scope
    gc.collect()


@pytest.mark.usefixtures("strict")
def test_planned(boundary: Boundary) -> None:
    scope = scope_that_holds(boundary)
    scope.plan()
    quiet(scope)


@pytest.mark.usefixtures("strict")
def test_looked_at(boundary: Boundary) -> None:
    scope = scope_that_holds(boundary)
    assert scope.report.held
    quiet(scope)


@pytest.mark.usefixtures("strict")
def test_nothing_held(boundary: Boundary) -> None:
    with boundary.scope(policy=Hold(Index) & Drop(Mail)) as effects:
        effects.emit_all([Notify(1), Mail("x")])
    quiet(effects)


@pytest.mark.usefixtures("strict")
def test_held_by_holding(boundary: Boundary) -> None:
    """It remembers by itself."""
    with holding(), boundary.scope() as effects:
        effects.emit(Notify(1))
    quiet(effects)


@pytest.mark.usefixtures("strict")
def test_applied(boundary: Boundary) -> None:
    """What is held of a plan is in the plan, and in its journal."""
    plan = plan_of(Notify(1), Placed(1))
    holds = Boundary({**EVERYTHING, Placed: lambda _: airlock.emit(Mail("x"))}, policy=Hold())
    holds.apply(plan)
    with enclose(Hold()):
        boundary.apply(plan)
    gc.collect()


def test_a_plan_that_could_not_be_made_is_none(boundary: Boundary) -> None:
    """It still warns."""
    with unplanned():
        scope = _overridden(boundary)
        with pytest.raises(PlanError):
            scope.plan()
        quiet(scope)
        del scope
        gc.collect()


def _overridden(boundary: Boundary) -> airlock.Scope:
    with boundary.scope(policy=Hold()) as effects, effects.override({Mail: None}):
        effects.emit(Mail("x"))
    return effects


PROGRAM = """
from airlock import Boundary, Hold
from tests.plan.vocabulary import Notify
with Boundary({{Notify: print}}).scope(policy=Hold()) as effects:
    effects.emit(Notify(1))
{more}
"""


@pytest.mark.parametrize(
    ("more", "warns"), [("", True), ("effects.plan()", False), ("effects.report.held", False)]
)
def test_at_the_end_of_a_program(more: str, warns: bool) -> None:
    """Even if the scope is still there."""
    ran = subprocess.run(
        [sys.executable, "-Wdefault", "-c", PROGRAM.format(more=more)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    assert ("UnplannedWarning: 1 intent(s) were held" in ran.stderr) is warns, ran.stderr


# -- what a plan cannot hold ----------------------------------------------------------------------


@airlock.intent(kind="tests.holding.callback")
class Callback:
    """A value of this process only."""

    function: Any


@airlock.intent(kind="tests.holding.charge")
class Charge:
    card: str = airlock.field(sensitive=True)


@pytest.mark.parametrize("wrong", [Callback(print), Charge("4111")], ids=["no form", "sensitive"])
def test_a_class_that_no_plan_can_hold_is_refused_at_its_emission(
    boundary: Boundary, wrong: Any
) -> None:
    """Before what belongs to it is committed; and what was held before it is in the plan."""
    with closing(connect(":memory:", isolation_level=None)) as database, holding() as held:
        database.execute("CREATE TABLE rows (n)")
        with boundary.scope(release=on_commit(database)) as effects:
            with database:
                database.execute("BEGIN")
                database.execute("INSERT INTO rows VALUES (1)")
                effects.emit(Mail("kept"))
            with pytest.raises(UnencodableError) as caught, database:
                database.execute("BEGIN")
                database.execute("INSERT INTO rows VALUES (2)")
                effects.emit(wrong)
        assert database.execute("SELECT n FROM rows").fetchall() == [(1,)]
    assert "refused at its emission" in caught.value.__notes__[0]
    assert intents(held.plan()) == [Mail("kept")]


def test_a_wire_that_can_write_it_is_given_before(boundary: Boundary) -> None:
    with holding(wire=Wire(cipher=AesGcm(bytes(32)))) as held, boundary.scope() as effects:
        effects.emit(Charge("4111"))
    assert len(held.plan()) == 1
    with pytest.raises(DeclarationError, match=r"holding\(wire=...\) takes a Wire"):
        holding(wire=print)  # type: ignore[arg-type]  # what is wrong here


def test_the_plan_has_the_rest_and_names_what_it_lacks(boundary: Boundary) -> None:
    """A value that has no form, an override, a scope that was never left."""
    leaked = boundary.scope()
    with holding() as held:
        with boundary.scope() as effects:
            effects.emit(Mail("a"))
            effects.emit(Mail("\ud800"))
            with effects.override({Mail: ignore}):
                effects.emit(Mail("b"))
            effects.emit(Mail("c"))
        leaked.enter()
        leaked.emit(Mail("d"))
        lacking: list[AirlockError] = []
        plan = held.plan(lacking=lacking)
        with pytest.raises(PlanError):
            held.plan()
        leaked.exit()
        leaked.flush()
    assert [(entry.index, entry.intent) for entry in plan] == [(0, Mail("a")), (1, Mail("c"))]
    assert len(lacking) == 3
    assert [type(error) for error in lacking] == [PlanError, UnencodableError, PlanError]
    assert "Mail(to='b')" in str(lacking[2])
