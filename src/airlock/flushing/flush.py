"""The flush: decide → resolve → execute → report, wave by wave.

One generator with two drivers: it yields what must be awaited. A sync flush yields nothing, for
what would have to be awaited is refused; an async one awaits it and passes the result back.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Generator, Sequence
from contextlib import suppress
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from airlock.dispatch import Dispatcher
from airlock.effects.describe import short
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome, Wave, holding
from airlock.errors import (
    AirlockError,
    CascadeError,
    FlushError,
    HandlerCancelledError,
    UnavailableError,
)
from airlock.flushing.execution import Steps, drive, execute, interrupts
from airlock.flushing.resolution import Positions, Work, arrange, resolve
from airlock.flushing.unplanned import watch
from airlock.handlers.overrides import Overrides
from airlock.handlers.providers import Handler
from airlock.observers import Observers
from airlock.scopes.current import judge
from airlock.scopes.tasks import cancelling

if TYPE_CHECKING:
    from airlock.flushing.engine import Engine

__all__ = ["Flush", "Journal", "too_deep"]

log = logging.getLogger("airlock")


class Journal(Protocol):
    """Writes down what happens, so that it does not happen twice.

    Whatever either method raises ends the flush: what cannot be written down must not go on.
    """

    def begin(self, wave: Wave, positions: Sequence[int], /) -> None:
        """Write down that a handler is about to be called for some intents."""
        ...

    def end(self, wave: Wave, positions: Sequence[int], /) -> None:
        """Write down what became of them, which the wave has. Not called after an interruption."""
        ...


class Flush:
    """One run over some waves and all their follow-ups.

    Args:
        engine: of the boundary.
        report: to be filled; it has the scope's ``fail_fast`` and observers.
        waves: to begin with: what a block emitted, or what a report has left.
        problems: errors to raise at the end, whatever else happens.
        journal: writes down every call; it takes the follow-ups too, and they do not run here.

    Attributes:
        observers: those of the boundary, and those of the scope.
        fail_fast: stop at the first failure; the rest stays pending.
        resolved: handlers by intent class, each resolved once per flush.
        works: how each intent class is delivered.
        handing_over: what is called for all that goes to a dispatcher.
        down: calls that could not reach where they send, with their errors: those of dispatchers
            and of handlers.
    """

    def __init__(
        self,
        engine: Engine,
        report: Report,
        waves: Sequence[Wave],
        *,
        problems: tuple[Exception, ...] = (),
        journal: Journal | None = None,
    ) -> None:
        self.engine = engine
        self.report = report
        self.observers = engine.observers
        if report.observers:
            self.observers = Observers(report.observers, before=engine.observers)
        self.fail_fast = engine.fail_fast if report.fail_fast is None else report.fail_fast
        self.journal = journal
        self.resolved: dict[type[Any], Handler] = {}
        self.works: dict[type[Any], Work] = {}
        self.handing_over: dict[Dispatcher, Handler] = {}
        self.down: list[tuple[Handler, UnavailableError]] = []
        self._queue = deque(waves)
        self._running: Wave | None = None
        self._judged = bool(report.waves)  # what was recorded before, or is stranded
        self._ran = False
        self._problems = problems
        self._refusals: list[Exception] = []

    def run(self) -> None:
        """Run it; async handlers are refused.

        Raises:
            FlushError: some effects failed.
            AirlockError: nothing ran, because of the wiring or a policy.
        """
        for _ in self._steps(awaits=False):
            pass  # it yields nothing

    async def arun(self) -> None:
        """Do what ``run`` does, where handlers are async."""
        await drive(self._steps(awaits=True))

    def _steps(self, *, awaits: bool) -> Steps:
        if self.observers.any:
            self.observers.call(lambda observer: observer.flushing(self.report))
        try:
            yield from self._waves(awaits=awaits)
        except BaseException as error:
            self._close()
            if not isinstance(error, Exception):
                self._interrupted(error)
            raise
        self._close()
        self._raise()

    def _waves(self, *, awaits: bool) -> Steps:
        while self._queue:
            wave = self._queue.popleft()
            self.report.waves.append(wave)
            # Without spans there is no policy and no override; a resumed wave was decided before.
            if not wave.decided and wave.spans and not self._decided(wave):
                continue
            wave.decided = True
            allowed = wave.allowed()
            if wave.depth_after(wave.origin) > self.engine.max_depth:
                _fail_too_deep(wave, self.engine.max_depth)
            elif allowed is None or allowed:
                overrides = Overrides(wave) if wave.spans and wave.overridden else None
                if not (yield from self._resolved(wave, allowed, overrides, awaits=awaits)):
                    continue
                self._ran = True
                self._running = wave
                calls = arrange(self, wave, allowed, overrides, awaits=awaits)
                yield from execute(self, wave, calls, awaits=awaits)
                self._running = None
                if wave.attempts or wave.discarded:
                    self._follow(wave)
            if self.fail_fast and wave.errors:
                return

    def _decided(self, wave: Wave) -> bool:
        """Ask the policies; return False if they refuse the wave."""
        if not wave.judged:
            return True
        self._judged = True
        try:
            judge(lambda: wave.decide(self.report.ledger))
        except AirlockError as error:
            self._refusals.append(error)
            return False
        return True

    def is_down(self, call: Handler) -> bool:
        """Return True if a call could not reach where it sends: it is asked once in a flush."""
        return any(one is call for one, _ in self.down)

    def resolve(self, wave: Wave, *, awaits: bool) -> Steps:
        """Resolve the handlers of a wave that is not run here.

        Raises:
            Exception: as ``resolution.resolve`` does.
        """
        overrides = Overrides(wave) if wave.overridden else None
        yield from resolve(self, wave, wave.allowed(), overrides, awaits=awaits)

    def _resolved(
        self, wave: Wave, allowed: Positions, overrides: Overrides | None, *, awaits: bool
    ) -> Generator[Awaitable[Any], Any, bool]:
        """Resolve the handlers of a wave; return False if something does not fit."""
        before = cancelling() if awaits else None
        try:
            yield from resolve(self, wave, allowed, overrides, awaits=awaits)
        except Exception as error:  # noqa: BLE001 - a provider's too: it refuses the wave
            self._refusals.append(error)
            return False
        except BaseException as error:
            if interrupts(error, before, awaits=awaits):
                raise
            cancelled = HandlerCancelledError("a provider of a handler")
            cancelled.__cause__ = error
            self._refusals.append(cancelled)
            return False
        return True

    def _follow(self, wave: Wave) -> None:
        """Queue the follow-ups of a wave that ran."""
        self.report.waves += holding(wave.recordings) if wave.recordings else ()
        following = wave.follow_ups() if self.journal is None else None
        wave.discarded.sort(key=itemgetter(2))  # by cause, whichever attempt was over first
        if following is not None:
            self._queue.append(following)

    def _close(self) -> None:
        """Complete the report, however the flush ended."""
        if self._running is not None:  # interrupted
            self._follow(self._running)
        self.report.waves += self._queue
        self._queue.clear()
        if self.journal is None and self._judged:
            watch(self.report)
        if self.observers.any:
            self.observers.call(lambda observer: observer.flushed(self.report))

    def _interrupted(self, error: BaseException) -> None:
        """Log what was in flight, and what is pending, by intent; store it if there is an outbox."""
        in_flight = [
            wave.intents[i] for wave in self.report.waves for i in sorted(wave.interrupted)
        ]
        if self.journal is not None or not (in_flight or self.report.pending):
            return
        arrived = bool(self.report.waves) and self.report.waves[0].arrived
        if self.engine.park is not None and not arrived:  # else whoever sent it sends it again
            self.engine.park_rest(self.report)
            if self.report.parked:
                return
        log.error(
            "a flush was interrupted by %s. In flight, perhaps done: %s. Pending: %s. The report has "
            "them all: report.resume() delivers what is pending, and with interrupted=True also what "
            "was in flight",
            type(error).__qualname__,
            _listed(in_flight),
            _listed(self.report.pending),
        )

    def _raise(self) -> None:
        """Raise one error for everything that went wrong, with the report."""
        failed = any(map(attrgetter("errors"), self.report.waves))
        if not (failed or self._refusals or self._problems or self.down):
            return
        failures = [e for e in self.report.errors if isinstance(e, Exception)]
        problems = [*self._refusals, *self._problems]
        down = [error for _, error in self.down]
        refusals = [*problems, *down]
        # One problem is raised as it is: a FlushError is for several, or for effects that failed.
        if not failures and len(refusals) == 1 and (not self._ran or self._problems):
            alone: Any = refusals[0]
            with suppress(Exception):  # a provider's error may take no attributes
                alone.report = self.report
            raise alone
        if not failures and not refusals:
            return  # what was in flight at an earlier interruption, and was not repeated
        names = [type(error).__qualname__ for error in problems]
        text = "; ".join((_summary(self.report), *names, *map(str, down)))
        raise FlushError(text, [*failures, *refusals], self.report)


_NAMED = 3


def _summary(report: Report) -> str:
    failed = [entry for entry in report if entry.outcome is Outcome.FAILED]
    text = f"{len(failed)} of {len(report)} effects failed"
    if report.pending:
        text += f", {len(report.pending)} pending"
    if failed:
        text += ": " + "; ".join(f"{short(e.intent)}: {short(e.by)}" for e in failed[:_NAMED])
    return text + (f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else "")


_LISTED = 10


def _listed(intents: Sequence[Any]) -> str:
    shown = [short(intent) for intent in intents[:_LISTED]]
    if len(intents) > _LISTED:
        shown.append(f"and {len(intents) - _LISTED} more")
    return ", ".join(shown) or "nothing"


def _fail_too_deep(wave: Wave, max_depth: int) -> None:
    allowed = wave.allowed()
    for i in range(len(wave.intents)) if allowed is None else allowed:
        wave.fail(i, too_deep(wave, i, max_depth))


def too_deep(wave: Wave, position: int, max_depth: int) -> CascadeError:
    """Return the error of an intent that has too many causes."""
    links = [*map(short, (wave.intents[position], *wave.lineage(position)))]
    ancestors = wave.origin_of(position).ancestors
    links += [f"{cause.kind}, in another process" for cause in ancestors]
    return CascadeError(tuple(reversed(links)), max_depth)
