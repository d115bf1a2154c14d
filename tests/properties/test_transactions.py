"""Laws of transactional releases: the transaction decides, and a savepoint is a part of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import airlock
from airlock import Boundary, Outcome, Scope, Segment
from airlock.release import OnFlushError
from tests.properties.vocabulary import Broken, Mail


@attrs.define(eq=False)
class Database:
    """A release, and what it would have kept: a list for each open savepoint.

    Attributes:
        kept: of ended transactions.
        lost: with a transaction or a savepoint.
        stranded: emitted since the last transaction.
    """

    on_flush_error: OnFlushError = "raise"
    segments: list[Segment] = attrs.Factory(lambda: [Segment()])
    open: list[list[int]] = attrs.Factory(list)
    stranded: list[int] = attrs.Factory(list)
    kept: list[int] = attrs.Factory(list)
    lost: list[int] = attrs.Factory(list)

    def segment(self) -> Segment:
        return self.segments[-1]

    def emit(self, key: int, scope: Scope) -> None:
        scope.emit(Mail(key))
        (self.open[-1] if self.open else self.stranded).append(key)

    def begin(self) -> None:
        if self.open:
            self.segments.append(self.segment().nested())
            self.open.append([])
        else:
            self.segment().begin()
            self.open.append(self.stranded)
            self.stranded = []

    def end(self, *, commits: bool) -> None:
        if not self.open:
            return
        part = self.open.pop()
        if not commits:
            self.lost += part
        elif self.open:
            self.open[-1] += part
        else:
            self.kept += part
        ended = self.segments.pop()
        self.segments = self.segments or [Segment()]
        if not commits:
            ended.roll_back()
        elif not self.open:
            ended.commit()


ops = st.lists(
    st.sampled_from(("emit", "emit", "begin", "begin", "commit", "roll back", "nested", "fails")),
    max_size=14,
)


def run(database: Database, boundary: Boundary, scope: Scope, program: list[str]) -> None:
    """In the scope; ``"nested"`` is a nested scope for the next emission, ``"fails"`` one that fails."""
    nested = ""
    for key, op in enumerate(program):
        match op:
            case "emit" if nested:
                with contextlib.suppress(Broken), boundary.scope():
                    database.emit(key, airlock.current())
                    if nested == "fails":
                        _unsay(database, key)
                        raise Broken
                nested = ""
            case "emit":
                database.emit(key, scope)
            case "begin":
                database.begin()
            case "commit" | "roll back":
                database.end(commits=op == "commit")
            case _:
                nested = op


def _unsay(database: Database, key: int) -> None:
    """A block decides about what was emitted without a transaction, and about nothing else."""
    if not database.open:
        database.stranded.remove(key)
        database.lost.append(key)


@pytest.mark.parametrize("ending", ["in the block", "after the block"])
@given(program=ops, commits=st.booleans())
def test_the_transaction_decides_what_is_kept(
    ending: str, program: list[str], commits: bool
) -> None:
    """Whatever errors were caught meanwhile, and wherever the last transaction ends."""
    delivered: list[Any] = []
    boundary = Boundary({Mail: lambda mail: delivered.append(mail.key)})
    database = Database()
    scope = boundary.scope(release=database)
    scope.enter()
    run(database, boundary, scope, program)
    if ending == "in the block":
        _end_all(database, commits=commits)
    assert delivered == []
    scope.exit()
    scope.settle()
    _end_all(database, commits=commits)
    assert delivered == sorted(database.kept + database.stranded)
    lost = Counter(mail.key for mail in scope.report.discarded)
    assert lost == Counter(database.lost)
    assert len(scope.report) == program.count("emit")


def _end_all(database: Database, *, commits: bool) -> None:
    while database.open:
        database.end(commits=commits)


@given(program=ops)
def test_a_commit_is_not_unregistered_by_a_later_error(program: list[str]) -> None:
    """Nor by an error that leaves the block; what nothing committed goes with it."""
    delivered: list[Any] = []
    boundary = Boundary({Mail: lambda mail: delivered.append(mail.key)})
    database = Database()
    scope = boundary.scope(release=database)
    with contextlib.suppress(Broken), scope:
        run(database, boundary, scope, program)
        _end_all(database, commits=True)
        raise Broken
    assert delivered == sorted(database.kept)
    assert Counter(mail.key for mail in scope.report.discarded) == Counter(
        database.lost + database.stranded
    )
    assert Outcome.PENDING not in scope.report.counts


def test_a_follow_up_that_is_too_deep_is_a_failure_to_fail_fast_on() -> None:
    """When a report is resumed, there may be waves after it."""

    def follow(mail: Mail) -> None:
        if mail.key in (0, 1, 10):
            airlock.emit(Mail(mail.key + 1))

    database = Database()
    scope = Boundary({Mail: follow}, fail_fast=True, max_depth=1).scope(release=database)
    scope.enter()
    database.begin()
    scope.emit(Mail(0))
    database.end(commits=True)
    database.begin()
    scope.emit(Mail(10))
    database.segment().in_doubt()
    scope.exit()
    with pytest.raises(airlock.FlushError):
        scope.settle()
    assert scope.report.pending == [Mail(10)]
    assert scope.report.failed == [Mail(2)]
    with pytest.raises(airlock.FlushError) as again:
        scope.report.resume()
    report = again.value.report
    assert report.delivered == [Mail(10)]
    assert report.failed == [Mail(2)]
    assert report.pending == [Mail(11)]
