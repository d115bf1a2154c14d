"""When a transaction decides: where none is open, where several are, and for scopes told later."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import asyncio
from typing import Any

import pytest

import airlock
from airlock import Allow, Boundary, Observer, Outcome, Report
from airlock.errors import (
    AsyncHandlerError,
    DeclarationError,
    ReleaseError,
    ScopeStateError,
)
from airlock.release import Fate, OnFlushError, Segment


@airlock.intent(kind="releases.note")
class Note:
    text: str


class Transactions:
    """A release whose transactions a test makes by hand."""

    on_flush_error: OnFlushError = "report"

    def __init__(self) -> None:
        self.now: Segment | None = None

    def segment(self) -> Segment | None:
        return self.now


@pytest.fixture
def done() -> list[Any]:
    return []


@pytest.fixture
def boundary(done: list[Any]) -> Boundary:
    return Boundary({Note: lambda intent: done.append(intent.text)})


DEEP = 10_000


@pytest.mark.parametrize("early", [True, False])
def test_savepoints_may_be_thousands_deep(early: bool, boundary: Boundary, done: list[Any]) -> None:
    """Each is looked at once, and none by a call that goes deeper."""
    release = Transactions()
    release.now = transaction = Segment(begun=True)
    savepoints = []
    with boundary.scope(release=release) as effects:
        for depth in range(DEEP):
            release.now = release.now.nested()
            savepoints.append(release.now)
            effects.emit(Note(str(depth)))
        savepoints[DEEP // 2].roll_back()
        if early:
            transaction.commit()
    if not early:
        transaction.commit()
    assert done == [str(depth) for depth in range(DEEP // 2)]
    assert len(effects.report.discarded) == DEEP // 2


def test_a_savepoint_in_one_that_was_rolled_back_is_rolled_back() -> None:
    savepoint = Segment(begun=True).nested()
    savepoint.roll_back()
    assert savepoint.nested().fate is Fate.ROLLED_BACK


@pytest.mark.parametrize(
    "nothing", [[], airlock.EffectBuffer(), iter(())], ids=["list", "buffer", "iterator"]
)
def test_a_scope_in_which_nothing_was_emitted_waits_for_no_transaction(
    nothing: Any, boundary: Boundary, done: list[Any]
) -> None:
    release = Transactions()
    release.now = Segment(begun=True)
    with boundary.scope(release=release) as effects:
        effects.emit_all(nothing)
        airlock.emit_all(())
    assert effects.report.counts == {}
    release.now.commit()
    assert done == []


def test_a_scope_that_waits_may_be_discarded(
    boundary: Boundary, done: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The commit has nothing to do with it any more."""
    release = Transactions()
    release.on_flush_error = "raise"
    release.now = transaction = Segment(begun=True)
    with boundary.scope(release=release) as effects:
        effects.emit(Note("a"))
    effects.discard("another decision")
    transaction.commit()
    assert done == []
    assert effects.report.discarded == [Note("a")]


# -- in handlers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [True, False])
def test_what_a_handler_emits_in_a_transaction_that_it_rolls_back_is_thrown_away(
    plain: bool,
) -> None:
    release, done = Transactions(), list[str]()

    def handler(intent: Note) -> None:
        done.append(intent.text)
        if intent.text != "a":
            return
        airlock.emit(Note("before"))
        release.now = transaction = Segment(begun=True)
        airlock.emit(Note("rolled back"))
        with airlock.region(Allow()):
            airlock.emit(Note("rolled back, in a region"))
        transaction.roll_back()
        release.now = transaction = Segment(begun=True)
        airlock.emit(Note("committed"))
        transaction.commit()
        release.now = None
        airlock.emit(Note("after"))

    interceptors = [] if plain else [lambda subject, call_next: call_next(subject)]
    boundary = Boundary({Note: handler}, interceptors=interceptors)
    with boundary.scope(release=release) as effects:
        effects.emit(Note("a"))
    assert done == ["a", "before", "committed", "after"]
    assert effects.report.discarded == [Note("rolled back"), Note("rolled back, in a region")]
    assert {e.by for e in effects.report if e.outcome is Outcome.DISCARDED} == {"rollback"}


def test_the_transaction_of_another_handler_decides_nothing(done: list[Any]) -> None:
    """What was emitted before any transaction is no business of the next one."""
    release = Transactions()
    release.now = waiting = Segment()

    def handler(intent: Note) -> None:
        done.append(intent.text)
        if intent.text == "a":
            airlock.emit(Note("of a"))
        if intent.text == "b":
            waiting.begin()
            waiting.roll_back()

    release_of_scope = Segment(begun=True)
    with Boundary({Note: handler}).scope(release=release) as effects:
        release.now = release_of_scope
        effects.emit_all([Note("a"), Note("b")])
        release_of_scope.commit()
        release.now = waiting
    assert done == ["a", "b", "of a"]


# -- no transaction, and none is needed -----------------------------------------------------------


def test_without_a_transaction_the_block_decides(boundary: Boundary, done: list[Any]) -> None:
    with boundary.scope(release=Transactions()) as effects:
        effects.emit(Note("a"))
    assert done == ["a"]


def test_and_an_error_throws_it_away(boundary: Boundary, done: list[Any]) -> None:
    with pytest.raises(KeyError), boundary.scope(release=Transactions()) as effects:
        effects.emit(Note("a"))
        raise KeyError
    assert done == []
    assert effects.report.discarded == [Note("a")]


def test_and_keep_is_asked(boundary: Boundary, done: list[Any]) -> None:
    with boundary.scope(release=Transactions(), keep=lambda _: False) as effects:
        effects.emit(Note("a"))
    assert effects.report.discarded == [Note("a")]


def test_of_the_rest_the_transaction_decides(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with pytest.raises(KeyError), boundary.scope(release=release) as effects:
        effects.emit(Note("before"))
        release.now = transaction = Segment(begun=True)
        effects.emit(Note("in it"))
        transaction.commit()
        release.now = None
        effects.emit(Note("after"))
        raise KeyError
    assert done == ["in it"]
    assert effects.report.discarded == [Note("before"), Note("after")]


def test_an_error_of_a_nested_block_throws_away_what_had_no_transaction(
    boundary: Boundary, done: list[Any]
) -> None:
    release = Transactions()
    with boundary.scope(release=release) as effects:
        effects.emit(Note("before"))
        with pytest.raises(KeyError), boundary.scope():
            airlock.emit(Note("inner, alone"))
            release.now = transaction = Segment(begun=True)
            airlock.emit(Note("inner, in it"))
            transaction.commit()
            release.now = None
            raise KeyError
        effects.emit(Note("after"))
    assert done == ["before", "inner, in it", "after"]


# -- several transactions are open when the block ends --------------------------------------------


def test_a_block_waits_for_all_of_its_transactions(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with boundary.scope(release=release) as effects:
        release.now = one = Segment(begun=True)
        effects.emit(Note("one"))
        release.now = two = Segment(begun=True)
        effects.emit(Note("two"))
        release.now = three = Segment(begun=True)
        effects.emit(Note("three"))
    two.commit()
    one.commit()
    assert done == []
    three.roll_back()
    assert done == ["one", "two"]
    assert effects.report.discarded == [Note("three")]


def test_nothing_escapes_before_the_commit_by_hand_either(
    boundary: Boundary, done: list[Any]
) -> None:
    release = Transactions()
    release.now = transaction = Segment(begun=True)
    effects = boundary.scope(release=release).enter()
    effects.emit(Note("a"))
    effects.exit()
    with pytest.raises(ScopeStateError, match="waits for the end of its transaction"):
        effects.flush()
    assert done == []
    transaction.commit()
    effects.flush()
    assert done == ["a"]


async def refused(boundary: Boundary, release: Transactions) -> Any:
    effects = boundary.scope(release=release)
    with pytest.raises(AsyncHandlerError):
        async with effects:
            effects.emit(Note("a"))
    with pytest.raises(ScopeStateError, match="waits"):
        await effects.aflush()
    return effects


def test_what_an_async_handler_was_refused_for_can_be_flushed_after_the_commit(
    done: list[Any],
) -> None:
    async def handler(intent: Note) -> None:
        done.append(intent.text)

    async def work() -> None:
        release = Transactions()
        release.now = transaction = Segment(begun=True)
        effects = await refused(Boundary({Note: handler}), release)
        transaction.commit()
        await effects.aflush()

    asyncio.run(work())
    assert done == ["a"]


# -- a release that is given later ----------------------------------------------------------------


def test_a_release_may_be_given_inside_the_block(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with boundary.scope() as effects:
        effects.emit(Note("before"))
        effects.release_with(release)
        release.now = transaction = Segment(begun=True)
        effects.emit(Note("in it"))
        airlock.emit(Note("in it too"))
        transaction.roll_back()
    assert done == ["before"]
    assert effects.report.discarded == [Note("in it"), Note("in it too")]


def test_what_was_emitted_before_stays_with_the_block(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with pytest.raises(KeyError), boundary.scope() as effects:
        effects.emit(Note("before"))
        with airlock.region(airlock.Allow()):
            airlock.emit(Note("before, in a region that is over"))
        with airlock.region(airlock.Allow()):
            airlock.emit(Note("before, in a region that is open"))
            effects.release_with(release)
            release.now = transaction = Segment(begun=True)
            airlock.emit(Note("in it, in a region that was open"))
            transaction.commit()
        raise KeyError
    assert done == ["in it, in a region that was open"]


def test_it_holds_in_scopes_opened_after_that(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with boundary.scope() as effects:
        effects.release_with(release)
        release.now = transaction = Segment(begun=True)
        with boundary.scope():
            airlock.emit(Note("a"))
        transaction.roll_back()
    assert done == []


def test_the_block_then_waits_for_the_commit(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with boundary.scope() as effects:
        effects.release_with(release)
        release.now = transaction = Segment(begun=True)
        effects.emit(Note("a"))
    assert done == []
    transaction.commit()
    assert done == ["a"]


def test_a_transaction_may_never_come(boundary: Boundary, done: list[Any]) -> None:
    release = Transactions()
    with boundary.scope() as effects:
        effects.release_with(release)
        release.now = Segment()
        effects.emit(Note("a"))
    assert done == ["a"]


def test_one_release_decides(boundary: Boundary) -> None:
    again = pytest.raises(ReleaseError, match="has a release already")
    with boundary.scope(release=Transactions()) as effects, again:
        effects.release_with(Transactions())


def test_a_nested_scope_takes_none(boundary: Boundary) -> None:
    nested = pytest.raises(ReleaseError, match="outermost")
    with boundary.scope(), boundary.scope() as inner, nested:
        inner.release_with(Transactions())


def test_an_independent_one_does(boundary: Boundary, done: list[Any]) -> None:
    with boundary.scope(), boundary.scope(independent=True) as inner:
        inner.release_with(Transactions())


def test_a_scope_that_is_not_open_takes_none(boundary: Boundary) -> None:
    scope = boundary.scope()
    with pytest.raises(ScopeStateError):
        scope.release_with(Transactions())
    with scope:
        pass
    with pytest.raises(ScopeStateError):
        scope.release_with(Transactions())


def test_what_is_no_release_is_refused(boundary: Boundary) -> None:
    with boundary.scope() as effects, pytest.raises(DeclarationError, match="on_commit"):
        effects.release_with("default")  # type: ignore[arg-type]


# -- observers of one scope -----------------------------------------------------------------------


class Told(Observer):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def flushing(self, report: Report, /) -> None:
        self.log.append(f"{self.name} flushing {len(report)}")

    def flushed(self, report: Report, /) -> None:
        self.log.append(f"{self.name} flushed {len(report)}")

    def discarded(self, report: Report, /) -> None:
        self.log.append(f"{self.name} discarded {len(report)}")


def test_a_scope_may_have_observers_of_its_own() -> None:
    log: list[str] = []
    boundary = Boundary({Note: lambda _: log.append("handled")}, observers=[Told("all", log)])
    with boundary.scope(observers=[Told("one", log)]) as effects:
        effects.emit(Note("a"))
    with boundary.scope() as effects:
        effects.emit(Note("b"))
    assert log == [
        *("all flushing 0", "one flushing 0", "handled", "all flushed 1", "one flushed 1"),
        *("all flushing 0", "handled", "all flushed 1"),
    ]


def test_those_of_the_boundary_are_told_of_attempts_beside_it() -> None:
    class Attempts(Observer):
        def started(self, delivery: airlock.Delivery, /) -> None:
            log.append(f"started {delivery.intent.text}")

    log: list[str] = []
    boundary = Boundary({Note: lambda _: None}, observers=[Attempts()])
    with boundary.scope(observers=[Told("one", log)]) as effects:
        effects.emit(Note("a"))
    assert log == ["one flushing 0", "started a", "one flushed 1"]


def test_and_they_are_told_of_a_discarded_scope() -> None:
    log: list[str] = []
    boundary = Boundary({Note: print})
    with pytest.raises(KeyError), boundary.scope(observers=[Told("one", log)]) as effects:
        effects.emit(Note("a"))
        raise KeyError
    assert log == ["one discarded 1"]


def test_one_that_raises_is_told_no_more() -> None:
    class Broken(Observer):
        def flushing(self, report: Report, /) -> None:
            raise ZeroDivisionError

    log: list[str] = []
    boundary = Boundary({Note: lambda _: None})
    with boundary.scope(observers=[Broken(), Told("one", log)]) as effects:
        effects.emit(Note("a"))
    assert log == ["one flushing 0", "one flushed 1"]


def test_what_is_no_observer_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"scope\(observers=...\) takes Observer"):
        Boundary({Note: print}).scope(observers=[print])  # type: ignore[list-item]
