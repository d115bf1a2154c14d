"""``Engine``: what the scopes of one boundary ask of it; they never see the boundary itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import attrs

from airlock.dispatch import (
    INLINE,
    Dispatcher,
    Interceptor,
    Recorder,
    dispatch_of,
    targets_of,
)
from airlock.emissions.report import Report
from airlock.emissions.wave import Wave
from airlock.errors import AsyncHandlerError
from airlock.flushing.flush import Flush
from airlock.flushing.gather import gather
from airlock.flushing.recording import Recording
from airlock.handlers.overrides import checked_overrides
from airlock.handlers.table import Binding
from airlock.observers import Observers
from airlock.policies.policy import PolicyLike
from airlock.scopes.carry import Capture
from airlock.scopes.opening import ScopeOptions
from airlock.scopes.scope import Scope

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airlock.plan.document import Plan
    from airlock.wire.codec import Wire

__all__ = ["Engine"]


log = logging.getLogger("airlock")

Planner = Callable[["Report", "datetime | timedelta | None", "Wire | None"], "Plan"]
"""``(report, expires, wire) -> plan``: what a report says is held, as a plan."""


@attrs.frozen(eq=False, repr=False)
class Engine:
    """The part of a boundary that flushes its scopes, and resumes their reports.

    Attributes:
        handlers: as registered, by intent class.
        policy: in force in every scope.
        dispatch: how intents are delivered.
        interceptors: around each attempt of a handler, outermost first.
        observers: of all scopes.
        max_depth: how many handlers may stand between a block and an intent.
        concurrency: how many async handlers run at once.
        fail_fast: stop a flush at the first failure, unless the scope has its own.
        plan: makes a plan of what a report says is held.
        capture: makes options of what is ambient, at each emission; None for none.
        park: stores what failed where nobody can resume it.
        recorders: those among the dispatchers, each once.
        outlet: records in them, right before commits; None if there are none.
    """

    handlers: dict[type[Any], Binding]
    policy: tuple[PolicyLike, ...]
    dispatch: Dispatcher
    interceptors: tuple[Interceptor, ...]
    observers: Observers
    max_depth: int
    concurrency: int
    fail_fast: bool
    plan: Planner
    capture: Capture | None = None
    park: Recorder | None = None
    recorders: tuple[Recorder, ...] = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: _recorders_of(self.dispatch), takes_self=True),
    )
    outlet: Recording | None = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: Recording(self) if self.recorders else None, takes_self=True
        ),
    )

    _bindings: dict[type[Any], Binding | None] = attrs.field(factory=dict, init=False)

    # -- wiring -----------------------------------------------------------------------------------

    def binding(self, cls: type[Any]) -> Binding | None:
        """Return the handler of an intent class, along its MRO."""
        try:
            return self._bindings[cls]
        except KeyError:
            found = (self.handlers[base] for base in cls.__mro__ if base in self.handlers)
            binding = self._bindings[cls] = next(found, None)
            return binding

    def dispatch_in(self, wave: Wave, cls: type[Any]) -> Dispatcher:
        """Return how a class is delivered: here, if it was handed over to this process."""
        return INLINE if wave.arrived else dispatch_of(self.dispatch, cls)

    def check_sync(self, intents: Iterable[Any]) -> None:
        """Refuse intents whose handlers must be awaited here.

        Raises:
            AsyncHandlerError: the handler of one is async.
        """
        for cls in set(map(type, intents)):
            handed = self.dispatch is not INLINE and dispatch_of(self.dispatch, cls) is not INLINE
            binding = None if handed else self.binding(cls)
            if binding is not None and binding.awaited():
                raise AsyncHandlerError(binding.name, cls.__qualname__, True)  # noqa: FBT003 - a fact

    def checked_overrides(self, overrides: Mapping[Any, Any]) -> Mapping[type[Any], Any]:
        """Return overrides by intent type, for ``scope.override``."""
        return checked_overrides(overrides)

    # -- reports ----------------------------------------------------------------------------------

    def new_report(self) -> Report:
        """Return an empty report, which can be resumed."""
        return Report(self)

    def note_discarded(self, scope: Scope) -> None:
        """Call the observers of a discarded scope."""
        observers, report = Observers(scope.observers, before=self.observers), scope.report
        observers.call(lambda observer: observer.discarded(report))

    def park_rest(self, report: Report | None) -> None:
        """Store what failed or is pending where nobody can resume it, if there is an outbox for that.

        Args:
            report: of a flush; None if nothing was flushed.
        """
        if self.park is None or report is None or report.ok or report.parked:
            return
        try:
            self.park.park(report)
        except Exception:
            log.exception(LOST, _left(report))
        else:
            report.parked = True

    async def apark_rest(self, report: Report | None) -> None:
        """Do what ``park_rest`` does, in a coroutine."""
        if self.park is None or report is None or report.ok or report.parked:
            return
        try:
            await self.park.apark(report)
        except Exception:
            log.exception(LOST, _left(report))
        else:
            report.parked = True

    # -- flushing ---------------------------------------------------------------------------------

    def flush(self, scope: Scope) -> None:
        """Deliver what a scope has emitted."""
        flush = self._flush(scope)
        try:
            if scope.inside is None:
                flush.run()
            else:
                with scope.inside():
                    flush.run()
        finally:
            scope.flushed()

    async def aflush(self, scope: Scope) -> None:
        """Do what ``flush`` does, awaiting async handlers."""
        flush = self._flush(scope)
        try:
            with nullcontext() if scope.inside is None else scope.inside():
                await flush.arun()
        finally:
            scope.flushed()

    def _flush(self, scope: Scope) -> Flush:
        recordings = scope.recordings
        report = Report(self, None if recordings is None else recordings.ledger)
        wave = gather(scope, report)
        report.fail_fast, report.observers = scope.options.fail_fast, scope.observers
        waves = [wave] if wave.intents or not report.waves else []
        return Flush(self, report, waves, problems=scope.problems)

    def resume(self, before: Report, waves: Sequence[Wave]) -> Report:
        """Run what a report has left: for ``report.resume()``."""
        report = self._again(before)
        with self._resuming(report, before, waves):
            Flush(self, report, waves).run()
        return report

    async def aresume(self, before: Report, waves: Sequence[Wave]) -> Report:
        """Do what ``resume`` does, awaiting async handlers."""
        report = self._again(before)
        with self._resuming(report, before, waves):
            await Flush(self, report, waves).arun()
        return report

    def _again(self, before: Report) -> Report:
        """Return a report of a flush that goes as the one before."""
        report = Report(self, before.ledger)
        report.fail_fast, report.observers = before.fail_fast, before.observers
        return report

    @contextmanager
    def _resuming(self, report: Report, before: Report, waves: Sequence[Wave]) -> Iterator[None]:
        """Have the regions of a report belong to its scope again while it is resumed.

        If that is interrupted, nobody gets the new report: the one before takes back what became of
        the rest, and can be resumed again.
        """
        freed = {wave.root for wave in waves if wave.root.scope is None}
        for root in freed:
            scope = before.scope()
            if scope is None:
                scope = Scope(self, ScopeOptions())
                scope.resuming(root)
            root.scope = scope
        report.scope = before.scope
        try:
            yield
        except Exception:
            raise
        except BaseException:
            before.take_back(report)
            raise
        finally:
            for root in freed:
                root.scope = None


LOST = "effects were not delivered, and could not be stored: %s"


def _left(report: Report) -> str:
    """Return what could not be parked, for the log: nothing else has it."""
    return ", ".join(map(repr, [*report.failed, *report.pending]))


def _recorders_of(dispatch: Dispatcher) -> tuple[Recorder, ...]:
    """Return the outboxes that a dispatch sends to, each once."""
    found = [one for one in targets_of(dispatch) if isinstance(one, Recorder)]
    return tuple(dict.fromkeys(found))
