"""What became of an emission can be asked at any time: while its scope is open, and ever after."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import pytest

import airlock
from airlock import (
    ALLOW,
    DROP,
    MERGED,
    Allow,
    Boundary,
    Dedupe,
    Drop,
    FlushError,
    Hold,
    PolicyLike,
    Release,
    Scope,
    Segment,
    Verdict,
    View,
    enclose,
)
from airlock.effects.place import shown
from airlock.errors import NoTransactionError, PolicyError, UnhandledIntentError
from airlock.policies.recorder import Recorder
from airlock.release import OnFlushError
from airlock.testing import FakeHandler, Recording, expect_effects
from airlock.testing.fates import Fate
from tests.testing.vocabulary import ChargeCard, Done, NotifyWarehouse, SendEmail

ESCAPES = Fate(escapes=True)


def fates(recording: Recording) -> list[Fate]:
    return [recording.tape.fate(emission) for emission in recording.tape.emissions]


def gone(note: str) -> Fate:
    return Fate(escapes=False, note=note)


def second_into_first(view: View) -> Sequence[Verdict]:
    return [ALLOW, MERGED(into=0)][: len(view)]


def nothing(view: View) -> Sequence[Verdict]:
    return [DROP] * len(view)


DECISIONS: dict[str, tuple[PolicyLike, list[Fate]]] = {
    "no policy of its own": (Allow(), [ESCAPES, ESCAPES]),
    "a drop": (Drop(SendEmail), [ESCAPES, gone("dropped by Drop(SendEmail)")]),
    "an allow of others": (
        Allow(NotifyWarehouse),
        [ESCAPES, gone("dropped by Allow(NotifyWarehouse)")],
    ),
    "a function": (nothing, [gone("dropped by nothing")] * 2),
    "a hold": (Hold(SendEmail), [ESCAPES, gone("held by Hold(SendEmail)")]),
    "the innermost of two": (
        Drop(SendEmail) & Drop(),
        [gone("dropped by Drop()"), gone("dropped by Drop(SendEmail)")],
    ),
}


@pytest.mark.parametrize("allow", [True, False])
@pytest.mark.parametrize(("policy", "expected"), DECISIONS.values(), ids=list(DECISIONS))
def test_an_emission_escapes_unless_a_policy_decides_otherwise(
    policy: PolicyLike, expected: list[Fate], *, allow: bool
) -> None:
    """The policy of the recording is none of them."""
    with expect_effects(exhaustive=False, allow=allow) as fx:
        with Done().boundary().scope(policy=policy):
            airlock.emit(NotifyWarehouse(1))
            airlock.emit(SendEmail("ada@example.org"))
            assert fates(fx) == [ESCAPES, ESCAPES]  # nothing has decided yet
        assert fates(fx) == expected
    assert fates(fx) == expected


def test_a_merged_emission_names_the_one_that_stands_for_it() -> None:
    """With its place, as the values may be the same."""
    scope = Done().boundary().scope(policy=second_into_first)
    with expect_effects(exhaustive=False) as fx, scope:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(NotifyWarehouse(2))
    first = fx.tape.emissions[0]
    assert fates(fx)[1] == gone(f"merged into the {NotifyWarehouse(1)!r} of {shown(first.place)}")


def test_a_merged_emission_may_stand_behind_one_that_was_not_recorded() -> None:
    """Emitted into the same scope before the recording began, which has no place."""
    with Done().boundary().scope(policy=Dedupe(NotifyWarehouse)) as scope:
        scope.emit(NotifyWarehouse(1))
        with expect_effects(exhaustive=False) as fx:
            scope.emit(NotifyWarehouse(1))
    assert fates(fx) == [gone(f"merged into {NotifyWarehouse(1)!r}")]


def fail(_: object) -> None:
    airlock.emit(SendEmail("lost"))
    raise ConnectionError("down")


def test_a_failed_emission_escapes_and_what_its_handler_emitted_does_not() -> None:
    scope = Boundary({NotifyWarehouse: fail, SendEmail: FakeHandler()}).scope()
    recording = expect_effects(exhaustive=False, allow=True)
    with recording as fx, contextlib.suppress(FlushError), scope:
        airlock.emit(NotifyWarehouse(1))
    assert fates(fx) == [
        Fate(escapes=True, note="failed: ConnectionError('down')"),
        gone("discarded by ConnectionError('down')"),
    ]


def test_an_emission_that_stays_pending_escapes() -> None:
    """After a failure with ``fail_fast``, or where the flush was refused."""

    def confused(view: View) -> Sequence[Verdict]:
        raise ZeroDivisionError

    refusals: list[tuple[Boundary, type[Exception]]] = [
        (Boundary({}), UnhandledIntentError),
        (Boundary({}, policy=confused), PolicyError),
    ]
    for boundary, error in refusals:
        recording = expect_effects(exhaustive=False, allow=True)
        with recording as fx, pytest.raises(error), boundary.scope():
            airlock.emit(NotifyWarehouse(1))
        assert fates(fx) == [ESCAPES]


class Transactions:
    """A release whose transactions are ended by the test."""

    def __init__(self) -> None:
        self.now = Segment(begun=True)

    @property
    def on_flush_error(self) -> OnFlushError:
        return "raise"

    def segment(self) -> Segment:
        return self.now


def test_a_transaction_decides_whenever_it_ends() -> None:
    """Even after the block of the recording."""
    release: Release = (transactions := Transactions())
    with expect_effects(exhaustive=False) as fx:
        with Done().boundary().scope(release=release):
            airlock.emit(NotifyWarehouse(1))
            transactions.now = transactions.now.nested()
            airlock.emit(NotifyWarehouse(2))
            transactions.now.roll_back()
        waits = gone("not delivered: its transaction is still open")
        assert fates(fx) == [waits, gone("discarded by rollback")]
    transactions.now.transaction.roll_back()
    assert fates(fx) == [gone("discarded by rollback")] * 2


def test_what_waits_for_its_transaction_is_not_in_a_recording_until_the_commit() -> None:
    """The block has ended, and nothing was committed so far."""
    transactions = Transactions()
    with expect_effects(exhaustive=False) as fx:
        with Done().boundary().scope(release=transactions):
            airlock.emit(NotifyWarehouse(1))
            assert fx == [NotifyWarehouse(1)]
        assert fx == []
        transactions.now.commit()
        assert fx == [NotifyWarehouse(1)]


def test_what_nobody_has_decided_about_is_not_in_a_recording() -> None:
    """A commit that was interrupted."""
    transactions = Transactions()
    scope = Done().boundary().scope(release=transactions)
    with expect_effects() as fx:
        scope.enter()
        airlock.emit(NotifyWarehouse(1))
        transactions.now.in_doubt()
        scope.exit()
        with pytest.raises(NoTransactionError):
            scope.settle()
    assert fx == []


Ending = Callable[[Scope], None]

ENDINGS: dict[str, tuple[Ending, Fate]] = {
    "flush": (lambda scope: scope.flush(), ESCAPES),
    "discard": (lambda scope: scope.discard(), gone("discarded by discard()")),
    "discard, with a reason": (lambda scope: scope.discard("bored"), gone("discarded by bored")),
}


@pytest.mark.parametrize(("end", "expected"), ENDINGS.values(), ids=list(ENDINGS))
def test_a_scope_that_is_ended_by_hand_decides(end: Ending, expected: Fate) -> None:
    with expect_effects(exhaustive=False) as fx:
        scope = Done().boundary().scope().enter()
        airlock.emit(NotifyWarehouse(1))
        scope.exit()
        end(scope)
    assert fates(fx) == [expected]


def test_a_discarded_nested_scope_takes_its_own_with_it() -> None:
    """And nothing of the scope around it."""
    boundary = Done().boundary()
    with expect_effects(exhaustive=False) as fx, boundary.scope():
        airlock.emit(NotifyWarehouse(1))
        with boundary.scope() as nested:
            airlock.emit(NotifyWarehouse(2))
        nested.discard()
    assert fates(fx) == [ESCAPES, gone("discarded by discard()")]


def test_a_failed_outer_block_unsays_what_nested_scopes_emitted() -> None:
    """But not what an independent one did, which was delivered by itself."""
    boundary = Done().boundary()
    with expect_effects(exhaustive=False) as fx, contextlib.suppress(KeyError), boundary.scope():
        with boundary.scope(), airlock.region(Drop(SendEmail)):
            airlock.emit(NotifyWarehouse(1))
        with boundary.scope(independent=True):
            airlock.emit(NotifyWarehouse(2))
        raise KeyError("later")
    assert fates(fx) == [gone("discarded by KeyError('later')"), ESCAPES]


def test_an_independent_scope_that_waits_is_not_unregistered_by_the_block_around_it() -> None:
    """It can be flushed by itself still."""
    done = Done()
    boundary = done.boundary()
    waiting = boundary.scope(independent=True)
    with expect_effects(exhaustive=False, allow=True) as fx:
        outer = boundary.scope().enter()
        waiting.enter()
        airlock.emit(NotifyWarehouse(1))
        waiting.exit()
        outer.__exit__(KeyError, KeyError("later"), None)
        assert fates(fx) == [ESCAPES]
        waiting.flush()
    assert done.intents == [NotifyWarehouse(1)]


def test_a_keep_hook_decides() -> None:
    with expect_effects(exhaustive=False) as fx, Done().boundary().scope(keep=lambda _: False):
        airlock.emit(NotifyWarehouse(1))
    assert fates(fx) == [gone("discarded by its keep hook")]


def test_what_follow_ups_became_is_known_too() -> None:
    def charge(_: ChargeCard) -> None:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(SendEmail("ada@example.org"))

    boundary = Boundary({ChargeCard: charge, NotifyWarehouse: FakeHandler()})
    recording = expect_effects(exhaustive=False, allow=True)
    with recording as fx, boundary.scope(policy=Drop(SendEmail)):
        airlock.emit(ChargeCard("4111"))
    assert fates(fx) == [ESCAPES, ESCAPES, gone("dropped by Drop(SendEmail)")]


def test_notes_have_no_addresses_and_no_sensitive_values() -> None:
    class CardError(Exception):
        def __repr__(self) -> str:
            return f"CardError({object()!r})"

    with expect_effects(exhaustive=False, allow=True) as fx:
        boundary = Boundary({ChargeCard: FakeHandler(CardError())})
        with contextlib.suppress(FlushError), boundary.scope(policy=Dedupe(ChargeCard)):
            airlock.emit(ChargeCard("4111"))
            airlock.emit(ChargeCard("4111"))
    notes = [fate.note for fate in fates(fx)]
    assert notes[0] == "failed: CardError(<object object>)"
    assert "4111" not in notes[1]


def test_a_recorder_of_another_kind_decides_like_any_policy() -> None:
    """Only the recordings of this kit are looked through."""

    class Counting(Recorder):
        __slots__ = ("count",)

        def __init__(self) -> None:
            self.count = 0

        def record(self, _: object, /) -> None:
            self.count += 1

        def decide(self, view: View, /) -> Sequence[Verdict]:
            return [DROP] * len(view)

        def __repr__(self) -> str:
            return "Counting()"

    counting = Counting()
    with expect_effects(exhaustive=False) as fx, enclose(counting):
        airlock.emit(NotifyWarehouse(1))
    assert counting.count == 1
    assert fates(fx) == [gone("dropped by Counting()")]
