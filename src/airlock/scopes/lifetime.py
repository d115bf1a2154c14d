"""The life of a scope: entered, left, then flushed or discarded."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from airlock.emissions.flat import Flat
from airlock.emissions.report import Report
from airlock.emissions.segments import against, throw_undecided, unended
from airlock.errors import (
    NoTransactionError,
)
from airlock.scopes.enclose import is_interrupt, succeeded
from airlock.scopes.harvest import Harvest
from airlock.scopes.stages import (
    CAPTURED,
    CLOSED,
    DISCARDED,
    FLUSHED,
    FLUSHING,
    OPEN,
    WAITING,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airlock.plan.document import Plan
    from airlock.wire.codec import Wire

__all__ = ["Lifetime"]

log = logging.getLogger("airlock")


class Lifetime(Harvest):
    """A buffer that is entered, left, and then flushed or discarded.

    ::

        NEW ─enter()─► OPEN ─exit()─► CLOSED ─flush()──► FLUSHING ─► FLUSHED
                         │              │ └─discard()─► DISCARDED
                         │              └─(its block ends inside its transaction)─► WAITING ─► ...
                         └─exit(), nested in a scope of the same boundary─► CAPTURED

    What is done when it ends: without a release its ``keep`` hook decides, and by default whether
    there was an exception. With one the transaction decides, now or when it ends.
    """

    __slots__ = ()

    @property
    def outermost(self) -> Lifetime:
        """The scope that delivers its intents: itself, or the one it is nested in."""
        outermost: Lifetime = self if self._captor is None else self._captor
        return outermost

    @property
    def report(self) -> Report:
        """What became of every intent; that of the outermost scope, for a nested one.

        Raises:
            ScopeStateError: it was neither flushed nor discarded yet.
        """
        report = self._report if self._captor is None else self._captor.report
        if report is None and self.state is FLUSHED:  # nothing was emitted
            report = self._report = self.engine.new_report()
        if report is None:
            self._wrong("has no report yet", "It has one once its outermost scope is flushed.")
        return report

    def plan(
        self, *, expires: datetime | timedelta | None = None, wire: Wire | None = None
    ) -> Plan:
        """What policies hold of this scope, as a plan: to review, to store, to apply.

        Args:
            expires: when the plan can no longer be applied, or how long from now; None for never.
            wire: writes the intents; one with a cipher, if any has a sensitive field.

        Raises:
            ScopeStateError: it was not flushed yet, or belongs to the scope around it.
            PlanError: an intent was emitted under an override, which no plan can hold.
            UnencodableError: an intent has no form on the wire.

        Example:
            >>> with boundary.scope(policy=Hold()) as effects:
            ...     effects.emit(NotifyWarehouse(42))
            >>> effects.plan().counts
            {'docstrings.notify-warehouse': 1}
        """
        if self._captor is not None:
            self._wrong(
                "is nested, and what it holds belongs to the scope around it",
                "Make the plan of the outermost one: scope.outermost.plan().",
            )
        return self.engine.plan(self.report, expires, wire)

    def settle(self, error: BaseException | None = None) -> None:
        """Flush or discard, after ``exit``: what the end of a ``with`` block does.

        Without a release the ``keep`` hook decides, and by default whether there was an error.
        With one the transaction decides, now or when it ends. What goes wrong in that never takes
        the place of an interrupt that leaves the block (Ctrl-C, a cancellation): it is logged, and
        the report has it.

        Raises:
            FlushError: some effects failed.
            NoTransactionError: some intents were emitted after the last transaction.
            WiringError: nothing ran, because of the wiring.
            PolicyError: nothing ran, because of a policy.
            OpenRegionsError: a region below is still open, and nothing ran. (Where a commit or a
            framework sets it off, nobody can flush the scope again, and the rest was delivered.)
        """
        try:
            if not self._idle(error) and self._due(error):
                self.flush()
        except Exception as failure:
            if not goes_on(error, failure):
                raise

    async def asettle(self, error: BaseException | None = None) -> None:
        """``settle`` where handlers are async."""
        try:
            if not self._idle(error) and self._due(error):
                await self.aflush()
        except Exception as failure:
            if not goes_on(error, failure):
                raise

    def flush(self) -> None:
        """Deliver what the policies allow. A nested scope has nothing of its own to deliver.

        Raises:
            Exception: as ``settle`` does.
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        waves, how = self._planned()
        try:
            if waves and self.inside is None:
                self.engine.flush(self.report, waves, **how)
            elif waves and self.inside is not None:
                with self.inside():
                    self.engine.flush(self.report, waves, **how)
        finally:
            self._flushed()

    async def aflush(self) -> None:
        """``flush`` where handlers are async."""
        waves, how = self._planned()
        try:
            if waves:
                with nullcontext() if self.inside is None else self.inside():
                    await self.engine.aflush(self.report, waves, **how)
        finally:
            self._flushed()

    def discard(self, reason: object = "discard()") -> None:
        """Throw away everything, after ``exit``.

        Args:
            reason: what decided it, for the report.

        Raises:
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        captured = self.state is CAPTURED
        if captured and self.outermost.state not in (OPEN, CLOSED, WAITING):
            self._wrong("was flushed or discarded with the scope around it", "It is too late.")
        if not captured and self.state not in (CLOSED, WAITING):
            self._wrong(self.state.value, "Discard it after exit(), once.")
        for region in Flat(self.region).open:
            region.close("the scope around it was discarded")
        self.region.close("it was discarded", reason)
        self.state = DISCARDED
        if not captured:
            self._report = self.engine.new_report()
            self._report.thrown_away = Flat(self.region, keeps=against).discarded
            self.engine.note_discarded(self._report, self._observers)

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        self.exit_block(error)
        if self.state is CLOSED:
            self.settle(error)
        return False

    async def __aenter__(self) -> Self:
        return self.enter()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        self.exit_block(error)
        await self.asettle(error)
        return False

    def _idle(self, error: BaseException | None) -> bool:
        """Whether nothing was emitted, as in most requests: then nobody is told of a flush."""
        region = self.region
        if error is not None or region or region.children or self.state is not CLOSED:
            return False
        if self._watched:
            return False
        self.state = FLUSHED
        region.scope = None
        return True

    def _due(self, error: BaseException | None) -> bool:
        """Whether to flush now; otherwise it is discarded, waits, or is not ours to flush."""
        if self.state is not CLOSED:
            return False
        try:
            kept, why = (self._keep or succeeded)(error), error or "its keep hook"
        except Exception as raised:
            if self.release is None:
                if self.work is not None or is_interrupt(error):
                    self.discard(raised)
                raise
            kept, why, self._problems = False, raised, (raised,)
        if self.release is None:
            if not kept:
                self.discard(why)
            return kept
        if not kept:
            throw_undecided(self.region, why)
        waiting = unended(self.region)
        if not waiting:
            return True
        if self.work is None:
            self.engine.check_sync(self)
        self.state = WAITING
        waiting[0].transaction.when_ended(self._released)
        return False

    def _released(self) -> None:
        """A transaction has ended, after its block."""
        if self.state is not WAITING:  # it was discarded meanwhile
            return
        waiting = unended(self.region)
        if waiting:
            waiting[0].transaction.when_ended(self._released)
            return
        try:
            self.flush()
        except Exception as error:
            raising = self.release is not None and self.release.on_flush_error == "raise"
            tell, self.failed_late = self.failed_late, None
            if tell is not None:
                tell(error)
            elif not raising:
                log.exception(
                    "effects released by a commit failed; scope.report has them all, and "
                    "report.resume() runs what is left"
                )
            if raising:
                raise

    def _flushed(self) -> None:
        if self.state is FLUSHING:
            self.state = FLUSHED
            if not self.region.children:
                # Nothing asks any more, and no reference cycle is left for the collector.
                self.region.scope = None


def goes_on(error: BaseException | None, failure: Exception) -> bool:
    """Return True if the error that leaves the block goes on, and log the failure of its end.

    An interrupt does, whatever failed: who has sent it waits for it. Any other error does if only
    the transaction is missing, which is likely to be its fault.
    """
    if not is_interrupt(error) and (error is None or not isinstance(failure, NoTransactionError)):
        return False
    if isinstance(failure, NoTransactionError):
        log.error("%s", failure)
    else:
        log.error("%r left a block, and goes on; besides, %s", error, failure, exc_info=failure)
    return True
