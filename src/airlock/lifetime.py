"""The life of a scope: entered, left, then flushed or discarded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import ref

from airlock.block import Block
from airlock.effects.flat import Flat
from airlock.effects.region import Region
from airlock.effects.report import Report
from airlock.effects.wave import Wave, chain
from airlock.enclosure import abandon, process_policies, succeeded
from airlock.errors import (
    NoTransactionError,
    OpenRegionsError,
)
from airlock.release import (
    Fate,
    against,
    stranded_only,
    stranding,
    throw_stranded,
    unended,
)
from airlock.stages import (
    CAPTURED,
    CLOSED,
    DISCARDED,
    FLUSHED,
    FLUSHING,
    OPEN,
    WAITING,
    How,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airlock.plan.document import Plan
    from airlock.wire.codec import Wire

__all__ = ["Lifetime"]

log = logging.getLogger("airlock")

_STRANDED = {
    Fate.WAITING: (
        "emitted with none: after the last commit, or without any",
        (
            "Nothing will ever commit them or roll them back, so they were not delivered. Emit before "
            "the commit, or in a scope without release. They are pending in scope.report, and "
            "scope.report.resume() delivers them."
        ),
    ),
    Fate.UNKNOWN: (
        "emitted in one whose commit was interrupted: nobody knows whether it was carried out",
        (
            "So they were not delivered. Look whether what was written with them is there: they are "
            "pending in scope.report, and scope.report.resume() delivers them."
        ),
    ),
}


class Lifetime(Block):
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
        With one the transaction decides, now or when it ends.

        Raises:
            FlushError: some effects failed.
            NoTransactionError: some intents were emitted after the last transaction.
            WiringError: nothing ran, because of the wiring.
            PolicyError: nothing ran, because of a policy.
            OpenRegionsError: a region below is still open, and nothing ran. (Where a commit or a
            framework sets it off, nobody can flush the scope again, and the rest was delivered.)
        """
        if not self._idle(error) and self._due(error):
            with self._bare(error):
                self.flush()

    async def asettle(self, error: BaseException | None = None) -> None:
        """``settle`` where handlers are async."""
        if not self._idle(error) and self._due(error):
            with self._bare(error):
                await self.aflush()

    @contextmanager
    def _bare(self, error: BaseException | None) -> Iterator[None]:
        """An error that leaves the block goes on, and no complaint instead of it."""
        try:
            yield
        except NoTransactionError as stranded:
            if error is None:
                raise
            log.error("%s", stranded)  # noqa: TRY400 - where it was found says nothing

    def flush(self) -> None:
        """Deliver what the policies allow. A nested scope has nothing of its own to deliver.

        Raises:
            Exception: as ``settle`` does.
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        waves, how = self._planned()
        try:
            if waves:
                self.engine.flush(self.report, waves, **how)
        finally:
            self._flushed()

    async def aflush(self) -> None:
        """``flush`` where handlers are async."""
        waves, how = self._planned()
        try:
            if waves:
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
                if self.work is not None:
                    self.discard(raised)
                raise
            kept, why, self._problems = False, raised, (raised,)
        if self.release is None:
            if not kept:
                self.discard(why)
            return kept
        if not kept:
            throw_stranded(self.region, why)
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

    def _planned(self) -> tuple[list[Wave], How]:
        """What to flush, and how; everything about the scope is checked."""
        how = How(problems=self._problems, fail_fast=self._fail_fast, observers=self._observers)
        if self.state is CAPTURED:
            return [], how
        if self.state not in (CLOSED, WAITING):
            self._wrong(self.state.value, "A scope is flushed once, after exit().")
        if self.release is not None and unended(self.region):
            self._wrong(WAITING.value, "It is flushed by the commit.")
        self.region.enclosures += process_policies(self.region.enclosures)
        flat = Flat(self.region, keeps=stranding)
        if flat.open:
            how["problems"] += (self._abandon(flat.open),)
            flat = Flat(self.region, keeps=stranding)
        above = [region for region in chain(self.region.up) if region.contextual]
        flat.spans += [(0, len(flat.intents), region) for region in above]
        self.state = FLUSHING
        report = self._report = self.engine.new_report()
        report.scope = ref(self)
        report.thrown_away = [(i, why) for i, why in flat.discarded if not isinstance(why, Fate)]
        if len(report.thrown_away) < len(flat.discarded):
            rest = Flat(self.region, keeps=stranded_only)
            rest.spans += [(0, len(rest.intents), region) for region in above]
            stranded = self._wave(rest)
            report.waves.append(stranded)
            how["problems"] += tuple(self._stranded(flat))
        classes = None if flat.discarded else self.region.seen
        return [self._wave(flat, classes)], how

    def _abandon(self, regions: list[Region]) -> OpenRegionsError:
        """Close regions that somebody left open below it.

        Returns:
            The error that tells of it, where nobody can flush the rest.
        """
        alone = self.work is not None or self.state is WAITING
        names = tuple(region.described() for region in regions)
        error = OpenRegionsError(self.region.described(), names, alone)
        for region in regions:
            abandon(region)
        if not alone:
            raise error
        return error

    def _wave(self, flat: Flat, classes: set[type[Any]] | None = None) -> Wave:
        wave = Wave(0, self.region, flat, classes=classes)
        wave.origin = self._cause
        if self._arrival is not None:
            wave.arrived = True
            wave.tries = dict.fromkeys(range(len(wave.intents)), self._arrival - 1)
        return wave

    def _stranded(self, flat: Flat) -> Iterator[NoTransactionError]:
        for fate, (problem, hint) in _STRANDED.items():
            count = sum(len(intents) for intents, why in flat.discarded if why is fate)
            if count:
                what = f"releases with a transaction, and {count} intent(s) were {problem}"
                yield NoTransactionError(self.region.described(), what, hint, count)

    def _flushed(self) -> None:
        if self.state is FLUSHING:
            self.state = FLUSHED
            if not self.region.children:
                # Nothing asks any more, and no reference cycle is left for the collector.
                self.region.scope = None
