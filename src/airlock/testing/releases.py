"""``ReleaseContract``: the promises of a release, tried on its database.

A subclass with a fixture ``harness`` is a test class of pytest. The harness, a ``ReleaseHarness``,
does what the contract asks for: begin, write, commit. Each check is a row of
docs/reference/blocks-and-transactions.md, as steps::

    "begin write emit commit end"

``write`` and ``emit`` use the same number, so that what is delivered can be compared with what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import copy_context
from inspect import isawaitable
from typing import Any

from airlock.boundary.boundary import Boundary
from airlock.effects.intent import intent
from airlock.errors import AsyncHandlerError, FlushError
from airlock.release import OnFlushError, Release
from airlock.scopes.scope import DISCARDED, FLUSHED, Scope

__all__ = ["ReleaseContract", "ReleaseHarness"]


@intent(kind="airlock.release-contract.note")
class Note:
    """An effect of the row of the same number."""

    n: int


class BlockError(Exception):
    """Leaves a block."""


class ReleaseHarness:
    """A database as the contract uses it: derive from this, for each database and driver.

    Attributes:
        is_async: its methods may be async. Each check has an event loop of its own, and its scopes are
            left with ``async with``.
        autocommits: ``segment()`` is None where no transaction is open, as each statement commits by
            itself. What is emitted there belongs to no transaction to come.
        has_savepoints: whether there are any.
        can_close: whether a transaction can be closed without a commit or a rollback.
    """

    is_async = False
    autocommits = False
    has_savepoints = True
    can_close = True

    def release(self, on_flush_error: OnFlushError) -> Release:
        """Return the release that is tried, for the connection or session of this harness."""
        raise NotImplementedError

    def begin(self) -> Any:
        """Begin a transaction, in the usual way."""
        raise NotImplementedError

    def write(self, n: int) -> Any:
        """Store the number ``n`` in the open transaction."""
        raise NotImplementedError

    def read(self) -> Any:
        """Read in the open transaction, and write nothing."""
        raise NotImplementedError

    def commit(self) -> Any:
        """Commit the transaction."""
        raise NotImplementedError

    def roll_back(self) -> Any:
        """Roll the transaction back."""
        raise NotImplementedError

    def close(self) -> Any:
        """Close the connection or session, in its transaction."""
        raise NotImplementedError

    def savepoint(self) -> Any:
        """Open a savepoint in the transaction or savepoint that is open."""
        raise NotImplementedError

    def release_savepoint(self) -> Any:
        """Release the innermost savepoint."""
        raise NotImplementedError

    def roll_back_savepoint(self) -> Any:
        """Roll the innermost savepoint back, and leave it."""
        raise NotImplementedError

    def stored(self) -> Any:
        """Return the stored numbers, sorted, as another connection sees them."""
        raise NotImplementedError

    def finish(self) -> Any:
        """Close what is open, at the end of a check."""


class Story:
    """The steps of a check, while they are run."""

    def __init__(self, harness: ReleaseHarness, on_flush_error: OnFlushError) -> None:
        self.harness = harness
        self.delivered: list[int] = []
        self.broken = False  # the handler fails
        self.number = 0  # of the last effect
        self.release = harness.release(on_flush_error)
        self.boundary = Boundary({Note: self.handle})
        self.scopes: list[Scope] = []

    def handle(self, note: Note) -> None:
        if self.broken:
            raise BlockError
        self.delivered.append(note.n)

    @property
    def discarded(self) -> list[int]:
        ended = [scope.report for scope in self.scopes if scope.state in (FLUSHED, DISCARDED)]
        return [note.n for report in ended for note in report.discarded]

    async def run(self, steps: str) -> None:
        await self.again()
        for step in steps.split():
            await now((getattr(self, step, None) or getattr(self.harness, step))())

    # The steps that are not the harness's.

    def emit(self) -> None:
        self.number += 1
        self.scopes[-1].emit(Note(self.number))

    def write(self) -> Any:
        return self.harness.write(self.number + 1)  # the row of the effect that comes next

    async def again(self) -> None:
        await self._enter(self.boundary.scope(release=self.release))

    async def plain(self) -> None:
        await self._enter(self.boundary.scope())

    def release_with(self) -> None:
        self.scopes[-1].release_with(self.release)

    def awaits(self) -> None:
        async def handle(note: Note) -> None:
            self.handle(note)

        self.boundary = Boundary({Note: handle})

    async def refused_end(self) -> None:
        with suppress(AsyncHandlerError):
            await self.end()
            raise AssertionError("a late commit cannot await handlers: AsyncHandlerError")

    async def end(self) -> None:
        await self._leave(self.scopes[-1], None)

    async def error(self) -> None:
        await self._leave(self.scopes[-1], BlockError())

    async def nested_error(self) -> None:
        await self._enter(self.boundary.scope())
        self.emit()
        await self._leave(self.scopes.pop(), BlockError())

    def breaks(self) -> None:
        self.broken = True

    def nothing(self) -> None:
        if self.delivered:
            raise AssertionError(f"{self.delivered} was delivered too early")

    def same_segment(self) -> None:
        if self.release.segment() is not self.release.segment():
            raise AssertionError("segment() returns another one, though nothing has begun or ended")

    async def commit_that_raises(self) -> None:
        with suppress(FlushError):
            await now(self.harness.commit())
            raise AssertionError("the commit has to raise the FlushError")

    async def _enter(self, scope: Scope) -> None:
        self.scopes.append(scope)
        await scope.__aenter__() if self.harness.is_async else scope.__enter__()

    async def _leave(self, scope: Scope, error: BlockError | None) -> None:
        kind = None if error is None else BlockError
        if self.harness.is_async:
            await scope.__aexit__(kind, error, None)
        else:
            scope.__exit__(kind, error, None)


async def now(result: Any) -> Any:
    """Return what a method of a harness returns, awaited if need be."""
    return await result if isawaitable(result) else result


def drive(work: Coroutine[Any, Any, None], harness: ReleaseHarness) -> None:
    """Run a coroutine: without an event loop, unless something in it has to wait."""
    if harness.is_async:
        asyncio.run(work)
        return
    with suppress(StopIteration):
        copy_context().run(work.send, None)  # a scope that a failed check leaves open ends with it
        raise TypeError(f"{type(harness).__qualname__} has async methods: set its is_async")


class ReleaseContract:
    """Base of test classes for pytest, one for each database and driver: add a fixture ``harness``.

    Each check wants a harness of its own, whose database is empty.

    Example:
        >>> import pytest
        >>> from airlock.testing import ReleaseContract, ReleaseHarness
        >>> class TestStore(ReleaseContract):
        ...     @pytest.fixture
        ...     def harness(self) -> ReleaseHarness:
        ...         return StoreHarness()
    """

    # -- the transaction decides ------------------------------------------------------------------

    def test_nothing_is_delivered_before_the_commit_or_the_end_of_the_block(
        self, harness: ReleaseHarness
    ) -> None:
        """A commit seals; the flush waits for the end of the block."""
        self.check(harness, "begin write emit nothing commit nothing end", delivered=[1])

    def test_a_rollback_discards(self, harness: ReleaseHarness) -> None:
        """Also if the block ends well."""
        self.check(harness, "begin write emit roll_back end", delivered=[], discarded=[1])

    def test_an_error_takes_nothing_back_that_was_committed(self, harness: ReleaseHarness) -> None:
        """An error that leaves the block after the commit discards nothing."""
        self.check(harness, "begin write emit commit error", delivered=[1])

    def test_a_nested_scope_that_fails_leaves_it_to_the_transaction(
        self, harness: ReleaseHarness
    ) -> None:
        """The error of a nested scope is caught, and the transaction commits."""
        self.check(harness, "begin write nested_error commit end", delivered=[1])

    def test_each_transaction_decides_about_its_own(self, harness: ReleaseHarness) -> None:
        """Three in one block, of which the second is rolled back."""
        steps = "begin write emit commit begin write emit roll_back begin write emit commit end"
        self.check(harness, steps, delivered=[1, 3], discarded=[2])

    def test_it_decides_after_the_block_as_well(self, harness: ReleaseHarness) -> None:
        """The block ends inside the transaction, and the commit delivers."""
        self.check(harness, "begin write emit end nothing commit", delivered=[1])

    def test_a_rollback_after_the_block_discards(self, harness: ReleaseHarness) -> None:
        """The transaction decides, as inside the block."""
        self.check(harness, "begin write emit end roll_back", delivered=[], discarded=[1])

    def test_a_commit_after_an_error_that_left_the_block_delivers(
        self, harness: ReleaseHarness
    ) -> None:
        """The transaction decides, not the block."""
        self.check(harness, "begin write emit error commit", delivered=[1])

    def test_scopes_of_one_transaction_are_flushed_in_order(self, harness: ReleaseHarness) -> None:
        """Two wait for the same commit."""
        steps = "begin write emit end again write emit end commit"
        self.check(harness, steps, delivered=[1, 2])

    def test_a_transaction_that_was_open_before_decides_too(self, harness: ReleaseHarness) -> None:
        """The release is made first, and the scope opens in the transaction."""
        self.check(harness, "end begin again write emit roll_back end", delivered=[], discarded=[1])

    # -- savepoints -------------------------------------------------------------------------------

    def test_a_savepoint_that_is_rolled_back_discards_what_was_emitted_in_it(
        self, harness: ReleaseHarness
    ) -> None:
        """And nothing around it."""
        steps = "begin write emit savepoint write emit roll_back_savepoint write emit commit end"
        self.check(harness, steps, delivered=[1, 3], discarded=[2])

    def test_a_savepoint_that_is_released_leaves_it_to_the_transaction(
        self, harness: ReleaseHarness
    ) -> None:
        """A release is no commit."""
        steps = "begin savepoint write emit release_savepoint end nothing commit"
        self.check(harness, steps, delivered=[1])

    def test_a_savepoint_that_is_released_is_rolled_back_with_the_transaction(
        self, harness: ReleaseHarness
    ) -> None:
        """The transaction committed nothing."""
        steps = "begin savepoint write emit release_savepoint roll_back end"
        self.check(harness, steps, delivered=[], discarded=[1])

    def test_a_savepoint_that_is_rolled_back_takes_inner_ones_along(
        self, harness: ReleaseHarness
    ) -> None:
        """The inner one was released before."""
        inner = "savepoint write emit release_savepoint"
        steps = f"begin savepoint write emit {inner} roll_back_savepoint write emit commit end"
        self.check(harness, steps, delivered=[3], discarded=[1, 2])

    # -- no transaction, or none that decides -----------------------------------------------------

    def test_what_is_emitted_before_a_transaction_is_committed_with_it(
        self, harness: ReleaseHarness
    ) -> None:
        """No transaction was open at the emission, and one begins after it."""
        self.check(harness, "emit begin commit end", delivered=[1])

    def test_what_is_emitted_before_a_transaction_is_rolled_back_with_it(
        self, harness: ReleaseHarness
    ) -> None:
        """An early intent belongs to the next transaction, unless in autocommit mode."""
        if harness.autocommits:
            self.check(harness, "emit begin roll_back end", delivered=[1])
        else:
            self.check(harness, "emit begin roll_back end", delivered=[], discarded=[1])

    def test_without_a_transaction_the_block_decides(self, harness: ReleaseHarness) -> None:
        """No transaction begins: what a block that ends well has emitted is delivered."""
        self.check(harness, "emit end", delivered=[1])

    def test_without_a_transaction_an_error_discards(self, harness: ReleaseHarness) -> None:
        """The block decides, as in a scope without a release."""
        self.check(harness, "emit error", delivered=[], discarded=[1])

    def test_commit_then_emit(self, harness: ReleaseHarness) -> None:
        """No transaction follows, and the block ends well."""
        self.check(harness, "begin write emit commit emit end", delivered=[1, 2])

    def test_commit_then_emit_then_an_error(self, harness: ReleaseHarness) -> None:
        """The commit has sealed the first; the block decides about the second."""
        self.check(harness, "begin write emit commit emit error", delivered=[1], discarded=[2])

    def test_a_transaction_after_the_block_decides_nothing(self, harness: ReleaseHarness) -> None:
        """The block has decided before it began."""
        self.check(harness, "emit end begin roll_back", delivered=[1])

    def test_a_transaction_that_only_read_leaves_it_to_the_block(
        self, harness: ReleaseHarness
    ) -> None:
        """Commit, refresh, emit, and the session is closed."""
        self.check(harness, "begin write emit commit begin read emit close end", delivered=[1, 2])

    def test_a_transaction_that_only_read_leaves_it_to_the_block_that_failed(
        self, harness: ReleaseHarness
    ) -> None:
        """The block ends in an error, before or after the session is closed."""
        steps = "begin read emit close error"
        self.check(harness, steps, delivered=[], discarded=[1])

    def test_a_block_that_has_failed_before_the_close_discards(
        self, harness: ReleaseHarness
    ) -> None:
        """The error leaves the block while the transaction is open."""
        self.check(harness, "begin read emit error close", delivered=[], discarded=[1])

    def test_a_block_that_has_ended_before_the_close_delivers(
        self, harness: ReleaseHarness
    ) -> None:
        """The intents of a block that has ended wait for the end of the transaction."""
        self.check(harness, "begin read emit end nothing close", delivered=[1])

    def test_what_was_emitted_before_a_transaction_that_only_read(
        self, harness: ReleaseHarness
    ) -> None:
        """Commit, emit, refresh: it belongs to a transaction that decides nothing."""
        self.check(harness, "emit begin read close end", delivered=[1])

    def test_a_nested_scope_that_failed_in_a_transaction_that_only_read(
        self, harness: ReleaseHarness
    ) -> None:
        """No transaction decides, so its own block does."""
        self.check(harness, "begin read nested_error emit close end", delivered=[2], discarded=[1])

    def test_a_transaction_that_wrote_is_rolled_back_by_closing(
        self, harness: ReleaseHarness
    ) -> None:
        """The close loses what was written, and so what was emitted with it."""
        self.check(harness, "begin write emit close end", delivered=[], discarded=[1])

    def test_a_write_after_the_emission_counts(self, harness: ReleaseHarness) -> None:
        """The effects share the transaction, also if emitted before its begin."""
        self.check(harness, "begin emit write close end", delivered=[], discarded=[1])

    def test_closing_after_the_block_rolls_back_what_was_written(
        self, harness: ReleaseHarness
    ) -> None:
        """The transaction committed nothing."""
        self.check(harness, "begin write emit end close", delivered=[], discarded=[1])

    def test_a_rollback_discards_even_if_nothing_was_written(self, harness: ReleaseHarness) -> None:
        """An explicit rollback is meant, so that it discards."""
        self.check(harness, "begin read emit roll_back end", delivered=[], discarded=[1])

    # -- a release that is given later ------------------------------------------------------------

    def test_what_was_emitted_before_it_was_given_stays_with_the_block(
        self, harness: ReleaseHarness
    ) -> None:
        """The release applies to a session that is made inside the scope."""
        steps = "end plain emit release_with begin write emit roll_back end"
        self.check(harness, steps, delivered=[1], discarded=[2])

    def test_an_error_discards_what_was_emitted_before_it_was_given(
        self, harness: ReleaseHarness
    ) -> None:
        """And nothing that was committed."""
        steps = "end plain emit release_with begin write emit commit error"
        self.check(harness, steps, delivered=[2], discarded=[1])

    def test_a_block_that_waits_delivers_all_of_it_in_order(self, harness: ReleaseHarness) -> None:
        """The block ends inside the transaction."""
        steps = "end plain emit release_with begin write emit end nothing commit"
        self.check(harness, steps, delivered=[1, 2])

    # -- what a commit sets off -------------------------------------------------------------------

    def test_a_handler_that_fails_after_a_late_commit_is_reported(
        self, harness: ReleaseHarness
    ) -> None:
        """The commit does not raise; the report and the log have the error."""
        self.check(harness, "breaks begin write emit end commit", delivered=[], stored=[1])

    def test_a_handler_that_fails_after_a_late_commit_is_raised_on_request(
        self, harness: ReleaseHarness
    ) -> None:
        """With ``on_flush_error="raise"``, the commit raises the error after it has happened."""
        steps = "breaks begin write emit end commit_that_raises"
        self.check(harness, steps, delivered=[], stored=[1], on_flush_error="raise")

    def test_a_late_commit_awaits_no_handler(self, harness: ReleaseHarness) -> None:
        """An async one is refused when the block ends inside the transaction."""
        steps = "end awaits again begin write emit refused_end roll_back"
        self.check(harness, steps, delivered=[])

    def test_async_handlers_are_awaited_at_the_end_of_the_block(
        self, harness: ReleaseHarness
    ) -> None:
        """Async handlers run if the block is an ``async with``, and nothing is open."""
        if harness.is_async:
            self.check(harness, "end awaits again begin write emit commit end", delivered=[1])

    def test_the_segment_stays_the_same(self, harness: ReleaseHarness) -> None:
        """``segment()`` returns the same one as long as nothing begins or ends."""
        steps = "same_segment begin write same_segment commit same_segment end"
        self.check(harness, steps, delivered=[])

    # -- how --------------------------------------------------------------------------------------

    @classmethod
    def checks(cls) -> list[str]:
        """Return the names of its checks. Each takes the harness."""
        return [name for name in dir(ReleaseContract) if name.startswith("test_")]

    def check(
        self,
        harness: ReleaseHarness,
        steps: str,
        *,
        delivered: list[int],
        discarded: list[int] | None = None,
        stored: list[int] | None = None,
        on_flush_error: OnFlushError = "report",
    ) -> None:
        """Run steps, and compare what was delivered and discarded.

        Args:
            harness: the database.
            steps: what to do, one word each.
            delivered: the numbers of the effects that have to be delivered, in order.
            discarded: of those that have to be discarded.
            stored: the rows that have to be there; None for not looking.
            on_flush_error: of the release.

        Raises:
            AssertionError: something else was.
        """
        __tracebackhide__ = True
        for step, can in (("close", harness.can_close), ("savepoint", harness.has_savepoints)):
            if step in steps.split() and not can:
                import pytest  # noqa: PLC0415 - a script may call checks of what it has

                pytest.skip(f"the harness has no {step}")
        found: dict[str, list[int]] = {}

        async def work() -> None:
            story = Story(harness, on_flush_error)
            try:
                await story.run(steps)
                found["delivered"], found["discarded"] = story.delivered, story.discarded
                found["stored"] = list(await now(harness.stored()))
            finally:
                await now(harness.finish())

        drive(work(), harness)
        wanted = {"delivered": delivered, "discarded": discarded or [], "stored": stored}
        for what, numbers in wanted.items():
            if numbers is not None and found[what] != numbers:
                raise AssertionError(f"after {steps!r}: {what} {found[what]}, not {numbers}")
