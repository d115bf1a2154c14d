"""A recording holds what would have escaped, wherever it is emitted, and nothing of it happens."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Dedupe,
    Drop,
    EffectBuffer,
    FlushError,
    Handles,
    Hold,
    Limit,
    Options,
    Refuse,
    RetryPolicy,
    Scope,
    enclose,
)
from airlock.errors import (
    DeclarationError,
    ExpectationError,
    NoScopeError,
    RefusedError,
    ScopeOrderError,
    ScopeStateError,
)
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.testing import (
    FakeHandler,
    Recording,
    expect_effects,
    gt,
    in_order,
    like,
    one_of,
)
from airlock.testing.explain import log
from tests.testing.vocabulary import (
    ChargeCard,
    Done,
    Money,
    NotifyWarehouse,
    PlaceOrder,
    SendEmail,
    SendReceipt,
    restock,
)


def notify(order_id: int) -> None:
    """Code under test, deep in the call stack."""
    airlock.emit(NotifyWarehouse(order_id))


def order_ids(effects: EffectBuffer) -> list[int]:
    return [intent.order_id for intent in effects]


def told(recording: Recording) -> list[str]:
    """What the log says became of each emission."""
    return [recording.tape.fate(emission).note for emission in recording.tape.emissions]


@contextlib.contextmanager
def running(recording: Recording) -> Iterator[None]:
    recording.start()
    try:
        yield
    finally:
        recording.stop()


def nothing_is_current() -> None:
    with pytest.raises(NoScopeError):
        airlock.current()


# -- where code emits -----------------------------------------------------------------------------


def test_ambient_emissions_are_recorded_where_no_scope_is_open() -> None:
    with expect_effects() as fx:
        notify(1)
        airlock.emit_all([NotifyWarehouse(2), NotifyWarehouse(3)])
        assert order_ids(fx) == [1, 2, 3]


def test_emissions_into_the_recording_are_recorded() -> None:
    """It is a buffer like any other for code that is given one."""
    with expect_effects() as fx:
        fx.emit(NotifyWarehouse(1))
        fx.emit_all([NotifyWarehouse(2), SendEmail("ada@example.org")])
        assert fx == [NotifyWarehouse(1), NotifyWarehouse(2), SendEmail("ada@example.org")]


def test_calls_of_effect_functions_are_recorded() -> None:
    with expect_effects() as fx:
        airlock.enqueue(restock, 7)
        assert fx == [restock.intent(7)]


def test_what_scopes_of_the_code_under_test_emit_is_recorded_and_not_delivered() -> None:
    done = Done()
    with expect_effects() as fx:
        with done.boundary().scope() as scope:
            notify(1)
            scope.emit(NotifyWarehouse(2))
        assert scope.report.dropped == [NotifyWarehouse(1), NotifyWarehouse(2)]
        assert order_ids(fx) == [1, 2]
    assert done.intents == []


def test_nested_independent_and_foreign_scopes_are_recorded_in_the_order_of_emission() -> None:
    done = Done()
    boundary = done.boundary()
    with expect_effects() as fx:
        with boundary.scope():
            notify(1)
            with boundary.scope(), airlock.region(Drop(SendEmail)):
                notify(2)
            with boundary.scope(independent=True):
                notify(3)
            with Done().boundary().scope():
                notify(4)
            notify(5)
        notify(6)
        assert order_ids(fx) == [1, 2, 3, 4, 5, 6]
    assert done.intents == []


def test_scoped_functions_are_recorded() -> None:
    done = Done()
    with expect_effects(NotifyWarehouse(1)):
        done.boundary().scoped()(notify)(1)
    assert done.intents == []


def test_what_is_emitted_into_a_scope_opened_before_is_recorded() -> None:
    """And not delivered later, unlike what was emitted before and after the recording."""
    done = Done()
    with done.boundary().scope() as scope:
        scope.emit(NotifyWarehouse(1))
        with expect_effects(NotifyWarehouse(2), NotifyWarehouse(3)):
            scope.emit(NotifyWarehouse(2))
            notify(3)
        scope.emit(NotifyWarehouse(4))
    assert done.intents == [NotifyWarehouse(1), NotifyWarehouse(4)]


def test_a_recording_is_over_when_its_block_ends() -> None:
    done = Done()
    with expect_effects() as fx:
        pass
    with done.boundary().scope():
        notify(1)
    assert done.intents == [NotifyWarehouse(1)]
    assert fx == []


# -- what counts ----------------------------------------------------------------------------------


def test_what_the_policies_of_the_code_drop_does_not_count() -> None:
    """And what they let pass does."""
    with expect_effects() as fx:
        with Done().boundary().scope(policy=Limit(1)), airlock.region(Drop(SendEmail)):
            notify(1)
            notify(2)
            airlock.emit(SendEmail("ada@example.org"))
        assert order_ids(fx) == [1]
        assert told(fx) == ["", "dropped by Limit(1)", "dropped by Drop(SendEmail)"]


def test_what_is_merged_counts_once() -> None:
    scope = Done().boundary().scope(policy=Dedupe(NotifyWarehouse))
    with expect_effects(NotifyWarehouse(1)) as fx, scope:
        notify(1)
        notify(1)
    assert [note.partition(" of ")[0] for note in told(fx)] == [
        "",
        "merged into the NotifyWarehouse(order_id=1, urgent=False)",
    ]


def test_what_is_held_stays_held_and_does_not_count() -> None:
    """So that code that makes a plan of it finds it in the report."""
    with expect_effects() as fx:
        with Done().boundary().scope(policy=Hold(NotifyWarehouse)) as scope:
            notify(1)
        assert scope.report.held == [NotifyWarehouse(1)]
        assert fx == []
        assert told(fx) == ["held by Hold(NotifyWarehouse)"]


def test_what_is_refused_raises_where_it_is_emitted() -> None:
    """And is not recorded: it never was an emission."""
    with expect_effects() as fx:
        scope = Done().boundary().scope(policy=Refuse(NotifyWarehouse))
        with scope, pytest.raises(RefusedError):
            notify(1)
        assert fx.tape.emissions == []


def test_what_a_failed_block_emitted_does_not_count() -> None:
    """Of a nested scope; a region keeps what was emitted in it."""
    boundary = Done().boundary()
    blocks: list[Callable[[], Any]] = [boundary.scope, lambda: airlock.region(Drop(SendEmail))]
    with expect_effects() as fx:
        with boundary.scope():
            for order_id, block in enumerate(blocks):
                with contextlib.suppress(KeyError), block():
                    notify(order_id)
                    raise KeyError(order_id)
            notify(2)
        assert order_ids(fx) == [1, 2]
        assert told(fx) == ["discarded by KeyError(0)", "", ""]


def test_what_a_discarded_scope_emitted_does_not_count() -> None:
    with expect_effects() as fx:
        scope = Done().boundary().scope().enter()
        notify(1)
        scope.exit()
        assert order_ids(fx) == [1]
        scope.discard()
        assert fx == []


def test_a_failed_block_around_a_recording_unsays_what_it_recorded() -> None:
    """While the recording runs, it counts."""
    scope = Done().boundary().scope().enter()
    with expect_effects() as fx:
        scope.emit(NotifyWarehouse(1))
        assert order_ids(fx) == [1]
    scope.__exit__(KeyError, KeyError("later"), None)
    assert fx == []


def test_what_a_transaction_decides_counts_as_it_decided() -> None:
    """Committed, rolled back, rolled back to a savepoint."""
    connection = connect(":memory:", isolation_level=None)
    with contextlib.closing(connection), expect_effects() as fx:
        for end in ("COMMIT", "ROLLBACK"):
            with Done().boundary().scope(release=on_commit(connection)):
                connection.execute("BEGIN")
                notify(1)
                connection.execute("SAVEPOINT reward")
                notify(2)
                connection.execute("ROLLBACK TO reward")
                connection.execute(end)
        assert order_ids(fx) == [1]
        assert told(fx) == ["", *["discarded by rollback"] * 3]


def test_what_an_enclosure_inside_drops_does_not_count() -> None:
    """It is code under test, as a dry run would be."""
    with expect_effects() as fx:
        with enclose(Drop(NotifyWarehouse)), Done().boundary().scope():
            notify(1)
            airlock.emit(SendEmail("ada@example.org"))
        assert fx == [SendEmail("ada@example.org")]


def test_what_an_enclosure_around_the_recording_drops_counts() -> None:
    """It is no code under test: a suite may forbid everything, and each test still sees it."""
    with enclose(Drop()), expect_effects() as fx:
        with Done().boundary().scope():
            notify(1)
        assert fx == [NotifyWarehouse(1)]


def test_what_an_override_replaces_counts() -> None:
    """What a test leaves out, it still wants to see."""
    with expect_effects(allow=True) as fx:
        scope = Done().boundary().scope()
        with scope, scope.override({SendEmail: None, NotifyWarehouse: FakeHandler()}):
            notify(1)
            airlock.emit(SendEmail("ada@example.org"))
        assert fx == [NotifyWarehouse(1), SendEmail("ada@example.org")]
        assert told(fx) == ["", "dropped by override"]


# -- letting effects happen -----------------------------------------------------------------------


def test_effects_that_are_allowed_are_delivered_and_recorded() -> None:
    done = Done()
    with expect_effects(NotifyWarehouse(1), allow=True), done.boundary().scope():
        notify(1)
    assert done.intents == [NotifyWarehouse(1)]


def test_the_follow_ups_of_allowed_effects_are_recorded() -> None:
    """They come after what the block emitted; without ``allow`` there are none."""

    def charge(_: ChargeCard) -> None:
        notify(1)

    boundary = Boundary({ChargeCard: charge, NotifyWarehouse: FakeHandler()})
    with expect_effects(allow=True) as fx:
        with boundary.scope():
            airlock.emit(ChargeCard("4111", 7))
            airlock.emit(NotifyWarehouse(0))
        assert fx == [ChargeCard("4111", 7), NotifyWarehouse(0), NotifyWarehouse(1)]
    with expect_effects(ChargeCard("4111", 7)), boundary.scope():
        airlock.emit(ChargeCard("4111", 7))


def test_of_attempts_that_are_repeated_the_last_ones_emissions_count() -> None:
    def send(_: SendEmail) -> None:
        notify(airlock.delivery().attempt)
        if airlock.delivery().attempt < 3:
            raise ConnectionError("mail server down")

    at_once = RetryPolicy(ConnectionError, wait_initial=timedelta(0), wait_max=timedelta(0))
    wiring = containers.DynamicContainer()
    wiring.send = Handles(SendEmail, send, retry=at_once)
    wiring.notify = Handles(NotifyWarehouse, FakeHandler())
    with expect_effects(allow=True) as fx:
        with Boundary(wiring).scope():
            airlock.emit(SendEmail("ada@example.org"))
        assert fx == [SendEmail("ada@example.org"), NotifyWarehouse(3)]
        discarded = "discarded by ConnectionError('mail server down')"
        assert told(fx) == ["", discarded, discarded, ""]


def test_what_failed_attempts_emitted_does_not_count() -> None:
    """Neither at first, nor when the report is resumed."""

    def send(_: SendEmail) -> None:
        notify(airlock.delivery().attempt)
        if airlock.delivery().attempt < 3:
            raise ConnectionError("mail server down")

    boundary = Boundary({SendEmail: send, NotifyWarehouse: FakeHandler()})
    with expect_effects(allow=True) as fx:
        scope = boundary.scope()
        with contextlib.suppress(FlushError), scope:
            airlock.emit(SendEmail("ada@example.org"))
        with pytest.raises(FlushError):
            scope.report.resume()
        assert fx == [SendEmail("ada@example.org")]
        assert told(fx)[0] == "failed: ConnectionError('mail server down')"
        assert told(fx)[1:] == ["discarded by ConnectionError('mail server down')"] * 2


def test_a_failed_handler_does_not_unsay_its_intent() -> None:
    """It was emitted, and it escaped; resumed, it is as if it had never failed."""
    fake = FakeHandler(ConnectionError("warehouse down"), None, None)
    with expect_effects(allow=True) as fx:
        scope = Boundary({NotifyWarehouse: fake}).scope()
        with contextlib.suppress(FlushError), scope:
            notify(1)
            notify(2)
        assert order_ids(fx) == [1, 2]
        assert told(fx) == ["failed: ConnectionError('warehouse down')", ""]
        scope.report.resume()
        assert order_ids(fx) == [1, 2]
        assert told(fx) == ["", ""]


def test_a_resumed_report_is_not_recorded_again() -> None:
    """What it runs was emitted before the recording; its follow-ups are in it, as they happen now."""

    def send(_: SendEmail) -> None:
        fake(None)
        notify(1)

    fake = FakeHandler(ConnectionError, None)
    boundary = Boundary({SendEmail: send, NotifyWarehouse: FakeHandler()})
    scope = boundary.scope()
    with contextlib.suppress(FlushError), scope:
        airlock.emit(SendEmail("ada@example.org"))
    with expect_effects(allow=True) as fx:
        scope.report.resume()
        assert fx == [NotifyWarehouse(1)]


def test_a_recording_that_allows_effects_opens_no_scope() -> None:
    """It has no handlers, so ambient code needs a scope of its own, as in production."""
    with expect_effects(allow=True) as fx:
        nothing_is_current()
        with pytest.raises(NoScopeError):
            notify(1)
        for emit in (fx.emit, lambda intent: fx.emit_all([intent])):
            with pytest.raises(ScopeStateError, match="has no handlers to deliver with"):
                emit(NotifyWarehouse(1))


def test_modes_other_than_record_and_allow() -> None:
    """``refuse`` raises at the line that emits; ``drop`` records like ``record``."""
    refusing, dropping = Recording(mode="refuse"), Recording(mode="drop")
    with running(refusing):
        with pytest.raises(RefusedError, match='mode "refuse"'):
            notify(1)
        with Done().boundary().scope(), pytest.raises(RefusedError):
            notify(2)
    with running(dropping):
        notify(3)
    assert refusing == []
    assert dropping == [NotifyWarehouse(3)]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(DeclarationError, match="choose one of 'record', 'allow'"):
        Recording(mode="recrod")  # type: ignore[arg-type]


# -- recordings in recordings ---------------------------------------------------------------------


def test_a_recording_around_another_one_sees_the_same_emissions() -> None:
    """What the inner test asserted is asserted."""
    with expect_effects() as outer:
        notify(1)
        with expect_effects() as inner:
            notify(2)
            inner.saw(NotifyWarehouse(2))
        assert outer.unasserted == [NotifyWarehouse(1)]
        assert order_ids(outer) == [1, 2]
        assert order_ids(inner) == [2]


def test_what_the_outer_recording_asserts_is_left_over_in_no_inner_one() -> None:
    with expect_effects() as outer, expect_effects():
        notify(1)
        outer.saw(NotifyWarehouse(1))


def test_each_recording_has_its_own_matches() -> None:
    """An emission that met an expectation of the one may meet one of the other."""
    with expect_effects() as outer, expect_effects() as inner:
        notify(1)
        inner.saw(NotifyWarehouse(1))
        outer.saw(NotifyWarehouse(1))


def test_an_allowing_recording_inside_a_recording_delivers_nothing() -> None:
    done = Done()
    allowing = expect_effects(NotifyWarehouse(1), allow=True)
    with expect_effects(), allowing, done.boundary().scope():
        notify(1)
    assert done.intents == []


# -- the block ------------------------------------------------------------------------------------


def test_after_the_block_nothing_is_current() -> None:
    with expect_effects():
        assert airlock.current() is not None
    nothing_is_current()


def test_after_a_block_that_raised_nothing_is_current() -> None:
    """And what it raised is raised, whatever was left over or missing."""
    recordings: list[Recording] = []

    def block() -> None:
        with expect_effects(SendEmail) as fx:
            recordings.append(fx)
            notify(1)
            raise KeyError

    with pytest.raises(KeyError):
        block()
    nothing_is_current()
    assert order_ids(recordings[0]) == [1]


def test_after_a_failed_expectation_nothing_is_current() -> None:
    with pytest.raises(AssertionError, match="not as expected"), expect_effects(SendEmail):
        pass
    nothing_is_current()


def test_a_scope_left_open_in_the_block_is_told_of_and_closed() -> None:
    """It does not stay current, in the block of a recording of any kind."""

    def block(*, allow: bool) -> None:
        with expect_effects(allow=allow):
            Done().boundary().scope().enter()

    for allow in (True, False):
        with pytest.raises(ScopeOrderError, match="Leave the inner one first"):
            block(allow=allow)
        nothing_is_current()


def test_a_scope_left_open_in_a_block_that_raised_hides_no_error() -> None:

    def block() -> None:
        with expect_effects():
            Done().boundary().scope().enter()
            raise KeyError

    with pytest.raises(KeyError) as caught:
        block()
    assert "Leave the inner one first" in str(caught.value.__notes__)
    nothing_is_current()


def test_a_block_is_used_once() -> None:
    block = expect_effects()
    with block:
        pass
    with pytest.raises(ScopeStateError, match="was entered before"):
        block.__enter__()
    nothing_is_current()


def test_a_recording_says_what_it_is_where_it_is_the_wrong_place() -> None:
    """By name and place, as a scope does."""
    scope = Done().boundary().scope().enter()
    where = r"the recording opened at .*test_recording.py:"
    with expect_effects(), pytest.raises(ScopeOrderError, match=where):
        scope.exit()
    scope.exit()


# -- expectations of the block --------------------------------------------------------------------


def test_what_the_block_expects_may_be_emitted_in_any_order() -> None:
    with expect_effects(SendEmail, NotifyWarehouse(1)):
        notify(1)
        airlock.emit(SendEmail("ada@example.org"))


def test_what_is_left_over_fails() -> None:

    def block() -> None:
        with expect_effects(NotifyWarehouse(1)):
            notify(1)
            notify(2)

    with pytest.raises(AssertionError, match="1 effect was emitted, and not asserted"):
        block()


def test_a_block_that_is_not_exhaustive_lists_what_it_left_out() -> None:
    with expect_effects(NotifyWarehouse(1), exhaustive=False) as fx:
        notify(1)
        notify(2)
    assert fx.unasserted == [NotifyWarehouse(2)]


def test_a_block_that_expects_nothing_and_emits_nothing_passes() -> None:
    with expect_effects() as fx:
        pass
    assert fx.unasserted == []
    assert log(fx.tape) == ["nothing was emitted"]


def test_expectations_take_as_much_as_they_may() -> None:
    """A part of ``one_of`` that is met is content; the larger ones are written first."""
    paid = one_of(in_order(ChargeCard, NotifyWarehouse), ChargeCard)
    with expect_effects(like(NotifyWarehouse).times(1, 2), NotifyWarehouse(1)):
        notify(1)
        notify(2)
        notify(3)
    with expect_effects(paid):
        airlock.emit(ChargeCard("4111"))
        notify(1)
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(ChargeCard("4111"))
        notify(1)
        fx.saw(one_of(*reversed(paid.parts)))
    assert fx.unasserted == [NotifyWarehouse(1)]


# -- looking --------------------------------------------------------------------------------------

LOOKS: dict[str, Callable[[Recording], object]] = {
    "==": lambda fx: fx == [NotifyWarehouse(1), SendReceipt("ada@example.org")],
    "== on the right": lambda fx: [NotifyWarehouse(1), SendReceipt("ada@example.org")] == fx,
    "== a buffer": lambda fx: fx == EffectBuffer(fx.flat().intents),
    "in": lambda fx: (NotifyWarehouse(1) in fx, like(SendEmail) in fx),
    "saw": lambda fx: fx.saw(NotifyWarehouse(1), SendEmail),
    "saw in any order": lambda fx: fx.saw(SendEmail, NotifyWarehouse(1)),
    "one": lambda fx: (fx.one(NotifyWarehouse), fx.one(SendEmail, to="ada@example.org")),
    "of": lambda fx: (fx.of(NotifyWarehouse), fx.of(SendEmail)),
    "a loop": list,
    "an index": lambda fx: (fx[0], fx[-1]),
    "a slice": lambda fx: fx[:],
    "to_json": lambda fx: fx.to_json(),
    "since": lambda fx: fx.since(fx.mark().__class__(fx, {fx.region: 0})),
    "before": lambda fx: fx.before(fx.mark()),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
def test_every_look_at_a_value_asserts_it(look: Callable[[Recording], object]) -> None:
    with expect_effects() as fx:
        notify(1)
        airlock.emit(SendReceipt("ada@example.org"))
        assert len(fx.unasserted) == 2
        look(fx)
        assert fx.unasserted == []
        fx.nothing_else()


NO_LOOKS: dict[str, Callable[[Recording], object]] = {
    "== that fails": lambda fx: fx == [NotifyWarehouse(2)],
    "== something else": lambda fx: fx == 3,
    "in that fails": lambda fx: NotifyWarehouse(2) in fx,
    "len": len,
    "repr": repr,
    "unasserted": lambda fx: fx.unasserted,
    "none": lambda fx: fx.none(SendEmail),
    "the log": lambda fx: log(fx.tape),
    "mark": lambda fx: fx.since(fx.mark()),
}


@pytest.mark.parametrize("look", NO_LOOKS.values(), ids=list(NO_LOOKS))
def test_what_shows_no_value_asserts_nothing(look: Callable[[Recording], object]) -> None:
    with expect_effects(exhaustive=False) as fx:
        notify(1)
        look(fx)
    assert fx.unasserted == [NotifyWarehouse(1)]


def test_a_look_asserts_what_it_looked_at_and_no_more() -> None:
    with expect_effects(exhaustive=False) as fx:
        notify(1)
        notify(2)
        assert fx[1] == NotifyWarehouse(2)
        with pytest.raises(AssertionError, match="not asserted"):
            fx.nothing_else()
    assert fx.unasserted == [NotifyWarehouse(1)]


def test_one_gives_the_only_emission_of_a_class_with_these_fields() -> None:
    with expect_effects(exhaustive=False) as fx:
        notify(1)
        notify(2)
        assert fx.one(NotifyWarehouse, order_id=gt(1)).order_id == 2
        for fields in ({}, {"order_id": 3}):
            with pytest.raises(AssertionError, match="expected one"):
                fx.one(NotifyWarehouse, **fields)


def test_one_finds_subclasses() -> None:
    with expect_effects() as fx:
        airlock.emit(SendReceipt("ada@example.org"))
        assert type(fx.one(SendEmail)) is SendReceipt


def test_none_fails_if_there_is_one() -> None:
    with expect_effects() as fx:
        fx.none(NotifyWarehouse)
        notify(1)
        fx.none(NotifyWarehouse, order_id=2)
        with pytest.raises(AssertionError, match="expected no like"):
            fx.none(NotifyWarehouse)
        fx.saw(NotifyWarehouse(1))


@pytest.mark.parametrize("verb", ["one", "none"])
def test_one_and_none_take_a_class(verb: str) -> None:
    fx = Recording()
    with pytest.raises(ExpectationError, match="is about a value"):
        getattr(fx, verb)(NotifyWarehouse(1))
    with pytest.raises(ExpectationError, match="is about no intent"):
        getattr(fx, verb)(Money)


def test_of_takes_an_intent_class() -> None:
    """A class that is none would find nothing, whatever was emitted."""
    with pytest.raises(ExpectationError, match="is about no intent"):
        Recording().of(Money)  # type: ignore[type-var]


def test_an_emission_meets_one_expectation_of_saw() -> None:
    with expect_effects() as fx:
        notify(1)
        notify(1)
        fx.saw(NotifyWarehouse(1))
        fx.saw(NotifyWarehouse(1))
        with pytest.raises(AssertionError, match="an earlier saw"):
            fx.saw(NotifyWarehouse(1))


def test_a_failed_saw_takes_nothing() -> None:
    with expect_effects() as fx:
        notify(1)
        with pytest.raises(AssertionError):
            fx.saw(NotifyWarehouse(1), SendEmail)
        assert fx.unasserted == [NotifyWarehouse(1)]
        fx.saw(NotifyWarehouse(1))


# -- marks ----------------------------------------------------------------------------------------


def test_marks_tell_before_from_after() -> None:
    with expect_effects() as fx:
        notify(1)
        mark = fx.mark()
        with Done().boundary().scope():
            notify(2)
        assert fx.before(mark) == [NotifyWarehouse(1)]
        assert fx.since(mark) == [NotifyWarehouse(2)]


def test_marks_go_by_emissions_whatever_became_of_them() -> None:
    """What was dropped before the mark moves nothing after it."""
    with expect_effects() as fx:
        with Done().boundary().scope(policy=Drop()):
            notify(1)
        notify(2)
        mark = fx.mark()
        with Done().boundary().scope(policy=Drop()):
            notify(3)
        notify(4)
        assert [order_ids(EffectBuffer(part)) for part in (fx.before(mark), fx.since(mark))] == [
            [2],
            [4],
        ]


def test_a_mark_is_of_one_recording() -> None:
    fx, other = Recording(), Recording()
    for look in (fx.since, fx.before):
        with pytest.raises(ValueError, match="another buffer"):
            look(other.mark())


# -- as a buffer ----------------------------------------------------------------------------------


def test_options_are_kept_beside_the_values() -> None:
    """In the JSON for snapshots, and in buffers that take over what was recorded."""
    options = Options(id=uuid.UUID(int=1), delay=timedelta(minutes=5), headers={"tenant": "a"})
    with expect_effects() as fx:
        notify(1)
        fx.emit(NotifyWarehouse(2), options)
        with Done().boundary().scope(policy=Drop()):
            airlock.emit(NotifyWarehouse(3), Options(dedupe_key="three"))
        airlock.emit(NotifyWarehouse(4), Options(dedupe_key="four"))
        taken_over = EffectBuffer()
        taken_over.emit_all(fx)
    assert taken_over.flat().options == {1: options, 2: Options(dedupe_key="four")}
    assert taken_over.to_json() == fx.to_json()


def test_a_recording_reads_as_a_buffer() -> None:
    with expect_effects() as fx:
        notify(1)
        notify(2)
        assert len(fx) == 2
        assert fx[0] == NotifyWarehouse(1)
        assert fx[1:] == [NotifyWarehouse(2)]
        assert [*reversed(fx)] == [NotifyWarehouse(2), NotifyWarehouse(1)]
        assert fx.index(NotifyWarehouse(2)) == 1
        assert fx.count(NotifyWarehouse(1)) == 1
        assert fx != [NotifyWarehouse(2)]
        assert repr(fx) == f"Recording([{NotifyWarehouse(1)!r}, {NotifyWarehouse(2)!r}])"
        with pytest.raises(IndexError):
            fx[2]


def test_a_recording_is_not_hashable() -> None:
    """As no buffer is: it grows."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Recording())


def test_two_recordings_may_be_compared() -> None:
    with expect_effects() as fx, expect_effects() as same:
        notify(1)
        assert fx == same


# -- places ---------------------------------------------------------------------------------------


def line() -> int:
    """Where this is called."""
    return sys._getframe(1).f_lineno


def lines(recording: Recording) -> list[int]:
    places = [emission.place for emission in recording.tape.emissions]
    assert {file for file, _ in places} == {__file__}
    return [number for _, number in places]


def test_the_place_of_an_emission_is_the_line_that_emits() -> None:
    """Whichever call it is made with."""
    with expect_effects(exhaustive=False) as fx, Done().boundary().scope() as scope:
        start = line()
        airlock.emit(NotifyWarehouse(1))
        airlock.emit_all([NotifyWarehouse(2), NotifyWarehouse(3)])
        airlock.enqueue(restock, 7)
        fx.emit(NotifyWarehouse(4))
        fx.emit_all([NotifyWarehouse(5)])
        scope.emit(NotifyWarehouse(6), Options(dedupe_key="six"))
        scope.emit_all(EffectBuffer([NotifyWarehouse(7)]))
        with airlock.region(Drop()):
            airlock.emit(NotifyWarehouse(8))
        notify(9)
    assert [at - start for at in lines(fx)[:-1]] == [1, 2, 2, 3, 4, 5, 6, 7, 9]
    assert lines(fx)[-1] == notify.__code__.co_firstlineno + 2


def test_the_place_of_a_follow_up_is_in_its_handler() -> None:
    def charge(_: ChargeCard) -> None:
        airlock.emit(NotifyWarehouse(1))

    boundary = Boundary({ChargeCard: charge, NotifyWarehouse: FakeHandler()})
    with expect_effects(exhaustive=False, allow=True) as fx, boundary.scope():
        airlock.emit(ChargeCard("4111"))
    assert lines(fx)[1] == charge.__code__.co_firstlineno + 1


def test_the_place_of_an_emission_into_a_scope_opened_before_is_the_line_that_emits() -> None:
    def emit_into(scope: Scope) -> None:
        scope.emit(PlaceOrder(1, Money(7)))

    with Done().boundary().scope() as scope, expect_effects(exhaustive=False) as fx:
        emit_into(scope)
    assert lines(fx) == [emit_into.__code__.co_firstlineno + 1]
