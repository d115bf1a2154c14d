"""Laws of batches: sizes, places, and failures of some members."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from dependency_injector import containers
from hypothesis import given
from hypothesis import strategies as st

import airlock
from airlock import Boundary, Drop, FlushError, Handles, HandlesBatch, Outcome, PartialFailure
from tests.properties.vocabulary import Audit, Broken, Call, Mail, Work

idle = st.builds(
    lambda cls, key: cls(key=key), st.sampled_from((Audit, Audit, Call)), st.integers(0, 5)
)
sizes = st.none() | st.integers(1, 4)


def boundary(log: list[Any], size: int | None, fails: Any = lambda _: None) -> Boundary:
    """Notes each call; ``fails`` raises what the batch handler is to raise."""

    def write(entries: list[Audit]) -> None:
        log.append(list(entries))
        fails(entries)

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(Audit, write, size=size)
    wiring.call = Handles(Call, log.append)
    return Boundary(wiring)


def calls(intents: list[Work], size: int | None) -> list[Any]:
    """What is to be called: singles at their place, a batch at that of its last member."""
    audits = [i for i, intent in enumerate(intents) if isinstance(intent, Audit)]
    step = size or max(len(audits), 1)
    due: dict[int, Any] = {i: one for i, one in enumerate(intents) if isinstance(one, Call)}
    for start in range(0, len(audits), step):
        members = audits[start : start + step]
        due[members[-1]] = [intents[i] for i in members]
    return [due[i] for i in sorted(due)]


@given(st.lists(idle, max_size=12), sizes)
def test_a_batch_runs_at_the_place_of_its_last_member(
    intents: list[Work], size: int | None
) -> None:
    log: list[Any] = []
    with boundary(log, size).scope() as effects:
        effects.emit_all(intents)
    assert log == calls(intents, size)
    assert effects.report.delivered == intents


@given(st.lists(idle, max_size=12), sizes, st.sets(st.integers(0, 5)))
def test_a_partial_failure_fails_those_members_only(
    intents: list[Work], size: int | None, bad: set[int]
) -> None:
    def fails(entries: list[Audit]) -> None:
        errors: dict[int, Exception] = {
            i: Broken(str(entry.key)) for i, entry in enumerate(entries) if entry.key in bad
        }
        if errors:
            raise PartialFailure(errors)

    log: list[Any] = []
    with contextlib.suppress(FlushError), boundary(log, size, fails).scope() as effects:
        effects.emit_all(intents)
    assert log == calls(intents, size)
    for entry in effects.report:
        failed = isinstance(entry.intent, Audit) and entry.intent.key in bad
        assert entry.outcome is (Outcome.FAILED if failed else Outcome.DELIVERED)
        assert str(entry.by) == str(entry.intent.key) if failed else entry.by is None
    again = effects.report.failed
    bad.clear()
    log.clear()
    assert effects.report.resume().delivered == again
    assert log == calls(again, size)


@given(st.lists(idle, max_size=12), sizes, st.integers(0, 5))
def test_any_other_error_fails_all_members_of_that_batch(
    intents: list[Work], size: int | None, bad: int
) -> None:
    def fails(entries: list[Audit]) -> None:
        if any(entry.key == bad for entry in entries):
            raise Broken

    log: list[Any] = []
    with contextlib.suppress(FlushError), boundary(log, size, fails).scope() as effects:
        effects.emit_all(intents)
    broken = [
        c for c in calls(intents, size) if isinstance(c, list) and any(e.key == bad for e in c)
    ]
    assert {id(i) for i in effects.report.failed} == {id(i) for batch in broken for i in batch}
    assert len(effects.report.errors) == len(broken)


@given(st.dictionaries(st.integers(-3, 5), st.just(Broken()), max_size=3))
def test_a_partial_failure_names_members_or_fails_all(errors: dict[int, Exception]) -> None:
    """Indices that no member has, or none at all, do not let anything pass as delivered."""

    def fails(entries: list[Audit]) -> None:
        raise PartialFailure(errors)

    with pytest.raises(FlushError), boundary([], None, fails).scope() as effects:
        effects.emit_all([Audit(0), Audit(1), Audit(2)])
    sound = errors and all(0 <= i < 3 for i in errors)
    assert len(effects.report.failed) == (len(errors) if sound else 3)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=10), sizes)
def test_a_batch_never_mixes_overrides_or_policies(
    emissions: list[tuple[int, int]], size: int | None
) -> None:
    """Regions are not the same for having equal policies."""
    places = [Drop(Call), Drop(Mail), Drop(Call)]
    log: list[Any] = []
    with boundary(log, size).scope() as effects:
        for place, key in emissions:
            with airlock.region(places[place]):
                effects.emit(Audit(key))
    assert sorted(entry.key for batch in log for entry in batch) == sorted(k for _, k in emissions)
    assert [[entry.key for entry in batch] for batch in log] == [[key] for _, key in emissions]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_what_a_batch_handler_emits_follows_its_last_member(keys: list[int]) -> None:
    def follow(entries: list[Audit]) -> None:
        deliveries = airlock.deliveries()
        assert [delivery.intent for delivery in deliveries] == entries
        airlock.emit_all(Call(entry.key) for entry in entries)

    with boundary([], None, follow).scope() as effects:
        effects.emit_all(map(Audit, keys))
    assert [e.intent for e in effects.report if e.wave == 1] == [Call(key) for key in keys]
    for entry in effects.report.of(Call):
        assert entry.cause is not None
        assert entry.cause.intent is effects.report.entries[len(keys) - 1].intent


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5, unique=True))
def test_every_cause_of_a_batch_is_an_ancestor_of_what_its_handler_emits(keys: list[int]) -> None:
    """So that a circle through a batch ends wherever it began."""

    def follow(entries: list[Audit]) -> None:
        airlock.emit_all(Call(entry.key) for entry in entries)

    def ask(call: Call) -> None:
        airlock.emit(Audit(call.key))

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(Audit, follow)
    wiring.call = Handles(Call, ask)
    with Boundary(wiring, policy=airlock.OncePerChain()).scope() as effects:
        effects.emit_all(map(Call, keys))
    assert effects.report.delivered == [*map(Call, keys), *map(Audit, keys)]
    assert effects.report.dropped == list(map(Call, keys))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.integers(1, 4), st.booleans())
def test_each_member_of_a_batch_knows_its_own_attempt(
    stubborn: list[int], size: int, fail_fast: bool
) -> None:
    """However the members are put together when a report is resumed."""
    tried: dict[int, list[int]] = {}

    def write(entries: list[Audit]) -> None:
        attempts = [delivery.attempt for delivery in airlock.deliveries()]
        for entry, attempt in zip(entries, attempts, strict=True):
            tried.setdefault(entry.key, []).append(attempt)
        errors: dict[int, Exception] = {
            i: Broken()
            for i, entry in enumerate(entries)
            if len(tried[entry.key]) <= stubborn[entry.key]
        }
        if errors:
            raise PartialFailure(errors)

    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(Audit, write, size=size)
    boundary = Boundary(wiring, fail_fast=fail_fast)
    with contextlib.suppress(FlushError), boundary.scope() as effects:
        effects.emit_all(map(Audit, range(len(stubborn))))
    report = effects.report
    while not report.ok:
        try:
            report = report.resume()
        except FlushError as error:
            report = error.report
    assert tried == {key: list(range(1, n + 2)) for key, n in enumerate(stubborn)}
