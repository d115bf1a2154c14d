"""The flush: decide → resolve → run → report, as one generator with a sync and an async driver.

The generator yields one step for each thing that may have to be awaited: the resolution of a
wave's handlers, and the wave itself. The drivers differ in nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from inspect import isawaitable
from operator import itemgetter
from typing import Any, Protocol

from airlock.calls import calls_of, close, forget
from airlock.context import in_asyncio, judge
from airlock.dispatch import INLINE, Dispatcher
from airlock.effects.flat import Flat
from airlock.effects.place import shown
from airlock.effects.registry import located, spec_of
from airlock.effects.report import Report
from airlock.effects.wave import Outcome, Wave
from airlock.errors import (
    AirlockError,
    AsyncHandlerError,
    CascadeError,
    FlushError,
    OpenRegionsError,
    UnavailableError,
    UnhandledIntentError,
    UnsupportedOptionError,
    WiringError,
)
from airlock.held import watch
from airlock.overrides import Override, override_of, reaches_handler
from airlock.plain import PlainRun
from airlock.settings import Journal, Settings
from airlock.signatures import is_async

__all__ = ["Flush", "Resolution", "too_deep"]


class Step(Protocol):
    """Something to do, waiting or not."""

    def run(self) -> None: ...
    async def arun(self) -> None: ...


class Flush:
    """One run over some waves and all their follow-ups.

    Args:
        settings: of the boundary.
        report: to be filled.
        waves: to begin with: what a block emitted, or what a report has left.
        fail_fast: stop at the first failure; the rest stays pending.
        problems: errors to raise at the end, whatever else happens.
        journal: is told of every call; it takes the follow-ups too, and they do not run here.
    """

    def __init__(
        self,
        settings: Settings,
        report: Report,
        waves: Sequence[Wave],
        *,
        fail_fast: bool,
        problems: tuple[Exception, ...] = (),
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings
        self.report = report
        self.fail_fast = fail_fast
        self.journal = journal
        self.resolved: dict[type[Any], Any] = {}
        self.down: dict[Dispatcher, UnavailableError] = {}
        self._queue = deque(waves)
        self._running: Wave | None = None
        self._ran = False
        self._refusals: list[Exception] = []
        self._problems = problems

    def run(self) -> None:
        """The sync driver."""
        self._begin()
        try:
            for step in self._steps(awaits=False):
                step.run()
        finally:
            self._close()
        self._raise()

    async def arun(self) -> None:
        """The async driver."""
        self._begin()
        try:
            for step in self._steps(awaits=True):
                await step.arun()
        finally:
            self._close()
        self._raise()

    def _begin(self) -> None:
        self.settings.observers.tell(lambda observer: observer.flushing(self.report))

    def _steps(self, *, awaits: bool) -> Iterator[Step]:
        while self._queue:
            wave = self._queue.popleft()
            self.report.waves.append(wave)
            if not self._decide(wave):
                continue
            if wave.depth > self.settings.max_depth:
                _fail_too_deep(wave, self.settings.max_depth)
                if self.fail_fast and wave.errors:
                    return
                continue
            resolution = Resolution(self, wave, awaits=awaits)
            yield resolution
            if resolution.error is not None:
                self._refuse(resolution.error)
                continue
            self._ran = True
            self._running = wave
            yield (
                calls_of(self, wave) if awaits or not _simple(self, wave) else PlainRun(self, wave)
            )
            self._settle(wave)
            if self.fail_fast and wave.errors:
                return

    def _decide(self, wave: Wave) -> bool:
        if wave.decided or not wave.judged:
            wave.decided = True
            return True
        try:
            judge(lambda: wave.decide(self.report.ledger))
        except AirlockError as error:
            self._refuse(error)
            return False
        return True

    def _refuse(self, error: Exception) -> None:
        self._refusals.append(error)

    def _settle(self, wave: Wave) -> None:
        """Queue the follow-ups of a wave that ran."""
        self._running = None
        for attempt in [a for a in wave.attempts if a.children]:
            still_open = Flat(attempt).open
            if still_open:
                names = tuple(region.described() for region in still_open)
                error = OpenRegionsError(attempt.described(), names)
                forget(wave, attempt, error)
                wave.fail(attempt.cause, error)
        following = wave.follow_ups() if self.journal is None else None
        wave.discarded.sort(key=itemgetter(2))  # by cause, whichever attempt was over first
        if following is not None:
            self._queue.append(following)

    def _close(self) -> None:
        """However it ended: the report is complete."""
        if self._running is not None:  # interrupted
            self._settle(self._running)
        self.report.waves += self._queue
        self._queue.clear()
        if self.journal is None:
            watch(self.report)
        self.settings.observers.tell(lambda observer: observer.flushed(self.report))

    def _raise(self) -> None:
        """One error for everything that went wrong, with the report."""
        failed = any(w.errors for w in self.report.waves)
        if not (failed or self._refusals or self._problems or self.down):
            return
        failures = [e for e in self.report.errors if isinstance(e, Exception)]
        problems = [*self._refusals, *self._problems]
        refusals = [*problems, *self.down.values()]
        if not failures and len(refusals) == 1 and (not self._ran or self._problems):
            alone: Any = refusals[0]
            with suppress(Exception):  # a provider's error may take no attributes
                alone.report = self.report
            raise alone
        names = [type(error).__qualname__ for error in problems]
        text = "; ".join((_summary(self.report), *names, *map(str, self.down.values())))
        raise FlushError(text, [*failures, *refusals], self.report)


def _summary(report: Report) -> str:
    failed = [entry for entry in report if entry.outcome is Outcome.FAILED]
    text = f"{len(failed)} of {len(report)} effects failed"
    if report.pending:
        text += f", {len(report.pending)} pending"
    if failed:
        text += ": " + "; ".join(f"{e.intent!r}: {_said(e.by)}" for e in failed[:_NAMED])
    return text + (f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else "")


def _said(error: object) -> str:
    """The ``repr`` of an error, which is the user's, and may fail itself."""
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - as above
        return f"{type(error).__qualname__}(...)"


_NAMED = 3


def _fail_too_deep(wave: Wave, max_depth: int) -> None:
    allowed = wave.allowed()
    for i in range(len(wave.intents)) if allowed is None else allowed:
        wave.fail(i, too_deep(wave, i, max_depth))


def too_deep(wave: Wave, position: int, max_depth: int) -> CascadeError:
    """The error of an intent that has too many causes."""
    links = [*map(repr, (wave.intents[position], *wave.lineage(position)))]
    ancestors = wave.origin_of(position).ancestors
    links += [f"{cause.kind}, in another process" for cause in ancestors]
    return CascadeError(tuple(reversed(links)), max_depth)


def _simple(flush: Flush, wave: Wave) -> bool:
    """Whether the handlers can be called one by one, with nothing around them."""
    settings = flush.settings
    if settings.interceptors or settings.observers.watch_attempts or wave.tries:
        return False
    if flush.journal is not None:
        return False
    if wave.overridden:
        return False
    for cls in wave.classes:
        binding = settings.binding(cls)
        if binding is not None and (binding.batch or binding.retry is not None):
            return False
        if settings.dispatch_in(wave, cls) is not INLINE:
            return False
    return True


def _order(cls: type[Any]) -> str:
    return cls.__qualname__


class Resolution:
    """Before a wave runs: its handlers are resolved, and everything is known to fit.

    Attributes:
        error: why the wave is refused; None if it may run.
    """

    def __init__(self, flush: Flush, wave: Wave, *, awaits: bool) -> None:
        self._flush = flush
        self._wave = wave
        self._awaits = awaits
        self.error: Exception | None = None

    def run(self) -> None:
        for _ in self._attempted():
            pass

    async def arun(self) -> None:
        if self._flush.settings.concurrency > 1 and not in_asyncio():
            self.error = WiringError(
                "Boundary(concurrency=...) runs under asyncio, and this is another event loop. "
                "Here leave it 1: the handlers of a flush then run one after the other."
            )
            return
        for awaitable, resolved in self._attempted():
            try:
                resolved.append(await awaitable)
            except Exception as error:  # noqa: BLE001 - a resource's: as above
                self.error = error
                return

    def _attempted(self) -> Iterator[tuple[Any, list[Any]]]:
        """Resolve; what goes wrong is kept as the reason of the refusal."""
        try:
            yield from self._resolve()
        except Exception as error:  # noqa: BLE001 - a provider's too: it refuses the wave
            self.error = error

    def _resolve(self) -> Iterator[tuple[Any, list[Any]]]:
        """Resolve; yields what must be awaited, with a list for the result."""
        needing, asking = self._classes()
        settings, resolved = self._flush.settings, self._flush.resolved
        self._check_options()
        missing = list[type[Any]]()
        for cls in sorted(needing | asking, key=_order):
            dispatch = settings.dispatch_in(self._wave, cls)
            if dispatch is not INLINE:
                if cls in needing:  # what an override stands for is not carried
                    dispatch.check(cls)
                    self._refuse_async(dispatch.dispatch, cls, repr(dispatch))
                continue
            binding = settings.binding(cls)
            if binding is None:
                missing += [cls] if cls in needing else []
            elif cls not in resolved:
                self._refuse_async_interceptors(cls, binding.name)
                binding.refuse_lacking(awaits=self._awaits)
                handler = binding.provide()
                if isawaitable(handler):
                    if not self._awaits:
                        close(handler)
                        raise AsyncHandlerError(binding.name, cls.__qualname__)
                    result: list[Any] = []
                    yield handler, result
                    handler = result[0]
                if cls in needing and not self._awaits and is_async(handler):
                    raise AsyncHandlerError(binding.name, cls.__qualname__)
                resolved[cls] = handler
        if missing:
            raise UnhandledIntentError(
                tuple(
                    sorted(
                        f"{c.__qualname__} (declared at {shown(spec_of(c).place)})" for c in missing
                    )
                ),
                tuple(cls.__qualname__ for cls in settings.handlers),
            )

    def _classes(self) -> tuple[set[type[Any]], set[type[Any]]]:
        """The classes that need a handler, and those whose overrides may call on to one."""
        wave = self._wave
        allowed = wave.allowed()
        if not wave.overridden:
            if allowed is None:
                return wave.classes, set()
            return {type(wave.intents[i]) for i in allowed}, set()
        needing, asking = set[type[Any]](), set[type[Any]]()
        fakes = dict[tuple[Override, type[Any]], None]()
        for i in range(len(wave.intents)) if allowed is None else allowed:
            cls, overrides = type(wave.intents[i]), override_of(wave, i)
            if not overrides:
                needing.add(cls)
                continue
            fakes.update(dict.fromkeys((override, cls) for override in overrides))
            if reaches_handler(overrides):
                asking.add(cls)
        for override, cls in fakes:
            self._refuse_async(override.given, cls, located(override.given))
            self._refuse_async_interceptors(cls, located(override.given))
        return needing, asking - needing

    def _refuse_async_interceptors(self, cls: type[Any], handler: str) -> None:
        for interceptor in self._flush.settings.interceptors:
            self._refuse_async(
                interceptor, cls, handler, f"for its interceptor {located(interceptor)}"
            )

    def _refuse_async(self, function: Any, cls: type[Any], handler: str, needs: str = "") -> None:
        if not self._awaits and is_async(function):
            raise AsyncHandlerError(handler, cls.__qualname__, False, needs)  # noqa: FBT003 - a fact

    def _check_options(self) -> None:
        wave = self._wave
        for i, options in wave.options.items():
            if wave.outcomes[i] == Outcome.PENDING:
                dispatch = self._flush.settings.dispatch_in(wave, type(wave.intents[i]))
                for name in options.given():
                    if name not in dispatch.options:
                        raise UnsupportedOptionError(repr(wave.intents[i]), name, repr(dispatch))
