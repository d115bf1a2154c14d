"""Applying a plan: one generator of steps, with a sync and an async driver, as for a flush.

Chunk by chunk, so that the size of a plan does not matter, and every call of a handler is written
down before and after. No policy of the plan's own scopes is asked again. What handlers emit goes
to the journal together with the end of its cause, and runs after the plan: each generation is
judged by the boundary's policy, and by the enclosures of now, as the waves of a flush are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from math import inf
from typing import Protocol

import attrs

from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome, Wave
from airlock.errors import ApplyError, FlushError, WiringError
from airlock.flushing.execution import drive
from airlock.flushing.flush import Flush, too_deep
from airlock.plan.applied import Applied
from airlock.plan.document import Plan, effects
from airlock.plan.entry import PlanEntry, write_entry
from airlock.plan.fitting import Choice, sample
from airlock.plan.in_doubt import InDoubt, settle
from airlock.plan.journal import FollowUp, JournalFile
from airlock.plan.lines import written
from airlock.plan.making import entry_of
from airlock.plan.progress import Progress
from airlock.plan.staging import Stage
from airlock.plan.states import format_error, state_of
from airlock.scopes.current import judge

__all__ = ["Application"]

CHUNK = 1_000
"""Number of effects in memory at once; the largest size of a batch."""
KEPT = 100
"""Number of errors that the ApplyError holds; the journal has them all."""


class Step(Protocol):
    """Something to do, waiting or not."""

    def run(self) -> None: ...
    async def arun(self) -> None: ...


class _Resolving:
    """Resolves the handlers of a wave that is not run.

    Attributes:
        error: what does not fit; it ends the application, where that of a flush does not.
    """

    def __init__(self, flush: Flush, wave: Wave) -> None:
        self._flush = flush
        self._wave = wave
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for _ in self._flush.resolve(self._wave, awaits=False):
                pass  # it yields nothing
        except Exception as error:  # noqa: BLE001 - kept for the generator, which raises it
            self.error = error

    async def arun(self) -> None:
        try:
            await drive(self._flush.resolve(self._wave, awaits=True))
        except Exception as error:  # noqa: BLE001 - as above
            self.error = error


class Application:
    """One run over a plan.

    Args:
        stage: where the effects run.
        plan: the plan.
        journal: what was done before, and what is done now.
        choice: which effects.
        in_doubt: decides about what was in flight at a crash.
        progress: called with how much is done.
        fail_fast: stop at the first failure.
    """

    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        journal: JournalFile,
        choice: Choice,
        *,
        in_doubt: InDoubt,
        progress: Progress,
        fail_fast: bool,
    ) -> None:
        self._stage = stage
        self._plan = plan
        self._journal = journal
        self._choice = choice
        self._in_doubt: InDoubt = in_doubt
        self._progress = progress
        self._fail_fast = fail_fast
        self._before = 0
        self._left_out = 0
        self._counts = Counter[str]()
        self._errors: list[Exception] = []
        self._numbers: Sequence[int] = ()
        self._judged: float = inf

    def run(self) -> Applied:
        """Drive the steps synchronously."""
        for step in self._steps():
            with self._kept():
                step.run()
        return self._applied()

    async def arun(self) -> Applied:
        """Drive the steps asynchronously."""
        for step in self._steps():
            with self._kept():
                await step.arun()
        return self._applied()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Catch the error of a step after which the rest can still be attempted."""
        try:
            yield
        except FlushError:
            pass  # what failed is in the waves
        except WiringError as error:  # of follow-ups: those of the plan were looked at first
            self._errors.append(error)

    # -- the steps --------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Step]:
        yield from self._resolve(sample(self._plan, self._choice))
        settle(self._plan, self._journal, self._stage.engine, self._in_doubt)
        self._before = self._journal.count_done(len(self._plan))
        if not self._choice.is_all:
            done = self._journal.done(0, len(self._plan) - 1)
            left = (entry for entry in self._plan if entry.index not in done)
            self._left_out = sum(not self._choice.has(entry) for entry in left)
        for chunk in self._planned():
            yield from self._run(chunk)
        yield from self._follow_ups()

    def _resolve(self, entries: Sequence[PlanEntry]) -> Iterator[Step]:
        """Wiring first: every handler of the plan."""
        wave = self._stage.wave(entries)
        resolving = _Resolving(self._flush(wave), wave)
        yield resolving
        if resolving.error is not None:
            raise resolving.error

    def _planned(self) -> Iterator[list[tuple[int, PlanEntry]]]:
        """Yield the chosen effects of the plan that are not done, in chunks."""
        lines = enumerate(self._plan.entry_lines())
        while part := list(islice(lines, CHUNK)):
            done = self._journal.done(part[0][0], part[-1][0])
            left = ((number, self._plan.entry(line)) for number, line in part if number not in done)
            if chunk := [(number, entry) for number, entry in left if self._choice.has(entry)]:
                yield chunk

    def _follow_ups(self) -> Iterator[Step]:
        """Yield the follow-ups, generation by generation, in the order of their causes."""
        last = len(self._plan) - 1
        while not self._stopped:
            waiting = self._journal.follow_ups(("allowed", "failed"), last, CHUNK)
            if waiting:
                last = waiting[-1][0]
                yield from self._run([(n, self._plan.entry(line)) for n, line in waiting])
            elif emitted := self._journal.follow_ups(("emitted",), last, -1):
                self._judged = min(self._judged, emitted[0][0])
                self._judge([(n, self._plan.entry(line)) for n, line in emitted])
            else:
                return

    def _judge(self, generation: list[tuple[int, PlanEntry]]) -> None:
        """Ask the policies of now about what handlers emitted."""
        wave = self._stage.judged([entry for _, entry in generation])
        states = [
            (number, *state_of(wave, i, pending="allowed"))
            for i, (number, _) in enumerate(generation)
        ]
        self._journal.end(states)
        self._counts.update(state for _, state, _ in states if state != "allowed")

    def _run(self, chunk: list[tuple[int, PlanEntry]]) -> Iterator[Step]:
        if self._stopped:
            return
        self._numbers = [number for number, _ in chunk]
        asked = self._numbers[0] >= self._judged  # together with the policy of the boundary
        take = self._stage.wave if asked else self._stage.enclosed
        wave = take([entry for _, entry in chunk])
        self._fail_too_deep(wave, chunk)
        stopped = (Outcome(code) for code in wave.outcomes if code != Outcome.PENDING)
        self._counts.update(outcome.word for outcome in stopped)
        if not (self._fail_fast and wave.errors):
            yield self._flush(wave)
        found = {id(e): e for _, e in sorted(wave.errors.items()) if isinstance(e, Exception)}
        self._errors += found.values()
        del self._errors[KEPT:]

    def _fail_too_deep(self, wave: Wave, chunk: list[tuple[int, PlanEntry]]) -> None:
        most = self._stage.engine.max_depth
        for i, (_, entry) in enumerate(chunk):
            if entry.causation.depth > most and wave.outcomes[i] == Outcome.PENDING:
                wave.fail(i, too_deep(wave, i, most))
        if wave.errors:
            self._journal.end((self._numbers[i], *state_of(wave, i)) for i in wave.errors)

    def _flush(self, wave: Wave) -> Flush:
        report = Report(self._stage.engine)
        report.fail_fast = self._fail_fast
        flush = Flush(self._stage.engine, report, [wave], journal=self)
        flush.resolved = self._stage.resolved
        return flush

    @property
    def _stopped(self) -> bool:
        return self._fail_fast and bool(self._errors)

    # -- the journal of a flush -------------------------------------------------------------------

    def begin(self, _: Wave, positions: Sequence[int], /) -> None:
        """Write down that some effects are about to happen."""
        self._journal.begin([self._numbers[i] for i in positions])

    def end(self, wave: Wave, positions: Sequence[int], /) -> None:
        """Write down what became of them, together with what their handler emitted."""
        states = [(self._numbers[i], *state_of(wave, i)) for i in positions]
        ended = [attempt for attempt in wave.attempts if attempt.cause == positions[-1]]
        wave.attempts = [attempt for attempt in wave.attempts if attempt not in ended]
        emitted = list(self._emitted(wave.follow_ups(ended)))
        self._journal.end(states, emitted)
        self._counts.update(state for _, state, _ in states)
        self._counts.update(one.state for one in emitted if one.state != "emitted")
        done = sum(self._counts.values()) + self._before
        self._progress(done, max(done, self._journal.following - self._left_out))

    def _emitted(self, wave: Wave | None) -> Iterator[FollowUp]:
        """Follow-ups, as far as the regions that their handler opened decide about them."""
        if wave is None:
            return
        wave.spans = [span for span in wave.spans if span[2] is not self._stage.root]
        if wave.judged:
            judge(lambda: wave.decide({}))
        for i in range(len(wave.intents)):
            entry = entry_of(wave, i, self._journal.following + i)
            state, detail = state_of(wave, i, pending="emitted")
            yield FollowUp(write_entry(self._plan.wire, entry), state, detail)

    # -- the end ----------------------------------------------------------------------------------

    def _applied(self) -> Applied:
        size = len(self._plan)
        remaining = size - self._journal.count_done(size)
        applied = Applied(dict(self._counts), self._before, remaining, self._held())
        if self._errors:
            listed = "; ".join(map(format_error, self._errors[:3]))
            failed = self._counts["failed"]
            what = effects(failed) if failed else "follow-ups"
            raise ApplyError(f"{what} of {self._plan.name} failed: {listed}", self._errors, applied)
        return applied

    def _held(self) -> Plan | None:
        """Follow-ups that a policy holds, as a plan of their own."""
        held = self._journal.follow_ups(("held",), -1, -1)
        if not held:
            return None
        wire = self._plan.wire
        entries = (
            attrs.evolve(self._plan.entry(line), index=index)
            for index, (_, line) in enumerate(held)
        )
        return Plan(written(((one, write_entry(wire, one)) for one in entries), None), wire)
