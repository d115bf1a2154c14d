"""The contract of releases passes one that is right, and finds each that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from airlock.release import OnFlushError, Segment
from airlock.testing import ReleaseContract, ReleaseHarness


class Store(ReleaseHarness):
    """Rows in memory, and a release of them that is right."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.copies: list[list[int]] = []  # of the rows, to go back to
        self.segments = [Segment()]
        self.on_flush_error: OnFlushError = "report"

    def release(self, on_flush_error: OnFlushError) -> Store:
        self.on_flush_error = on_flush_error
        return self

    def segment(self) -> Segment | None:
        return self.segments[-1]

    def begin(self) -> None:
        self.copies.append([*self.rows])
        self.segments[0].begin()
        self.segments[0].wrote = False

    def write(self, n: int) -> None:
        self.rows.append(n)
        self.segments[0].wrote = True

    def read(self) -> None:
        pass

    def commit(self) -> None:
        self.copies = []
        self.end().commit()

    def roll_back(self) -> None:
        self.undo()
        self.end().roll_back()

    def close(self) -> None:
        self.undo()
        self.end().close()

    def savepoint(self) -> None:
        self.copies.append([*self.rows])
        self.segments.append(self.segments[-1].nested())

    def release_savepoint(self) -> None:
        self.copies.pop()
        self.segments.pop()

    def roll_back_savepoint(self) -> None:
        self.rows = self.copies.pop()
        self.segments.pop().roll_back()

    def stored(self) -> list[int]:
        return self.rows

    def end(self) -> Segment:
        ended, self.segments = self.segments[0], [Segment()]
        return ended

    def undo(self) -> None:
        if self.copies:
            self.rows, self.copies = self.copies[0], []


class TestAReleaseThatIsRight(ReleaseContract):
    @pytest.fixture
    def harness(self) -> Store:
        return Store()


class Async(Store):
    is_async = True

    async def commit(self) -> None:  # type: ignore[override]  # as a harness may
        super().commit()

    async def finish(self) -> None:
        self.undo()


class TestAnAsyncOne(ReleaseContract):
    @pytest.fixture
    def harness(self) -> Async:
        return Async()


class TestOneOfADatabaseWithoutSavepoints(ReleaseContract):
    @pytest.fixture
    def harness(self) -> Store:
        store = Store()
        store.has_savepoints = store.can_close = False
        return store


# -- and those that are wrong ---------------------------------------------------------------------


class DeliversTooEarly(Store):
    """Its segments are committed from the start."""

    def begin(self) -> None:
        super().begin()
        self.segments[0].commit()


class ForgetsRollbacks(Store):
    def roll_back(self) -> None:
        self.undo()
        self.end().commit()


class NeverEnds(Store):
    """It does not hear of a commit that comes after the block."""

    def commit(self) -> None:
        self.copies = []
        self.end()


class KnowsNoSavepoints(Store):
    def segment(self) -> Segment:
        return self.segments[0]


class TakesAReleaseForACommit(Store):
    """Savepoints are transactions of their own."""

    def savepoint(self) -> None:
        self.copies.append([*self.rows])
        self.segments.append(Segment(begun=True))

    def release_savepoint(self) -> None:
        self.copies.pop()
        self.segments.pop().commit()


class ForgetsInnerSavepoints(Store):
    def savepoint(self) -> None:
        self.copies.append([*self.rows])
        self.segments.append(self.segments[0].nested())  # beside each other


class ForgetsWhatCameBefore(Store):
    """A transaction has a segment of its own, and what was emitted before it has none."""

    def segment(self) -> Segment | None:
        return self.segments[-1] if self.copies else None


class NeverWrites(Store):
    """It leaves everything that is closed to the block."""

    def write(self, n: int) -> None:
        self.rows.append(n)


class AlwaysWrites(Store):
    """It takes a read for a write."""

    def read(self) -> None:
        self.segments[0].wrote = True


class TakesARollbackForAClose(Store):
    def roll_back(self) -> None:
        self.close()


class RaisesNothing(Store):
    def release(self, on_flush_error: OnFlushError) -> Store:
        return self


class MakesSegments(Store):
    """A new one at each call."""

    def segment(self) -> Segment:
        return self.segments[-1].nested()


WRONG: dict[type[Store], Callable[..., None]] = {
    DeliversTooEarly: ReleaseContract.test_it_decides_after_the_block_as_well,
    ForgetsRollbacks: ReleaseContract.test_a_rollback_discards,
    NeverEnds: ReleaseContract.test_it_decides_after_the_block_as_well,
    KnowsNoSavepoints: (
        ReleaseContract.test_a_savepoint_that_is_rolled_back_discards_what_was_emitted_in_it
    ),
    TakesAReleaseForACommit: (
        ReleaseContract.test_a_savepoint_that_is_released_is_rolled_back_with_the_transaction
    ),
    ForgetsInnerSavepoints: (
        ReleaseContract.test_a_savepoint_that_is_rolled_back_takes_inner_ones_along
    ),
    ForgetsWhatCameBefore: (
        ReleaseContract.test_what_is_emitted_before_a_transaction_is_rolled_back_with_it
    ),
    NeverWrites: ReleaseContract.test_a_transaction_that_wrote_is_rolled_back_by_closing,
    AlwaysWrites: ReleaseContract.test_a_transaction_that_only_read_leaves_it_to_the_block,
    TakesARollbackForAClose: (ReleaseContract.test_a_rollback_discards_even_if_nothing_was_written),
    RaisesNothing: (
        ReleaseContract.test_a_handler_that_fails_after_a_late_commit_is_raised_on_request
    ),
    MakesSegments: ReleaseContract.test_the_segment_stays_the_same,
}


@pytest.mark.parametrize("broken", WRONG)
def test_a_release_that_is_wrong_is_found(broken: type[Store]) -> None:
    """By the check that is meant for it; an error of its own is a finding too."""
    with pytest.raises(AssertionError):
        WRONG[broken](ReleaseContract(), broken())


class Waits(Store):
    async def roll_back(self) -> None:  # type: ignore[override]  # as a harness may
        await asyncio.sleep(0)


def test_a_harness_with_async_methods_says_so() -> None:
    with pytest.raises(TypeError, match="Waits has async methods: set its is_async"):
        ReleaseContract().test_a_rollback_discards(Waits())


def test_its_checks_have_names() -> None:
    assert "test_commit_then_emit" in ReleaseContract.checks()
