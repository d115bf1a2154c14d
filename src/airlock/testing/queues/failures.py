"""The checks of what goes wrong: in handlers, in messages, with workers, with the broker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import attrs

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, Route
from airlock.effects.options import Options
from airlock.emissions.wave import Outcome
from airlock.errors import AirlockError, FlushError, UnavailableError
from airlock.testing.queues.harness import QueueHarness
from airlock.testing.queues.looking import Looking, emit_all, raised, require, send, unique
from airlock.testing.queues.worker import (
    Changed,
    Flaky,
    Here,
    New,
    Note,
    Parent,
    Slow,
    Unhandled,
    runs,
)

__all__ = ["Failures"]

PENDING = (Outcome.PENDING, Outcome.PENDING)


class Failures(Looking):
    """Checks of a queue when something goes wrong."""

    # -- failures ---------------------------------------------------------------------------------

    def test_a_failing_handler_makes_a_failed_job(self, harness: QueueHarness) -> None:
        """A failed job ends as the engine's own do, without follow-ups; others are not held up."""
        failing, other = Flaky(unique(), 1000), Note(unique())
        harness.run()
        before = harness.failed()
        send(harness, failing, other)
        self.arrive(harness, other)
        self.wait(harness, lambda: harness.failed() > before, "a job that fails ends as failed")
        self.none(harness, Note, failing.label, "follow-ups of a handler that failed arrived")
        require(harness.failed() == before + 1, "one handler failed, and more jobs than one")

    def test_follow_ups_of_a_failed_attempt_are_dropped(self, harness: QueueHarness) -> None:
        """The follow-ups of the attempt that succeeds go out."""
        self.needs("retries")
        sent = Flaky(unique(), 1)
        harness.run()
        send(harness, sent)
        self.arrive(harness, Note, sent.label)
        time.sleep(self.quiet)
        found = [r.intent.number for r in runs(harness.log, sent.label) if type(r.intent) is Note]
        require(found == [2], f"the second attempt succeeded; those of {found} sent follow-ups")

    def test_attempts_are_counted(self, harness: QueueHarness) -> None:
        """``airlock.delivery().attempt`` is 1 for the first, 2 for the next."""
        self.needs("retries")
        self.needs("attempts")
        sent = Flaky(unique(), 1)
        harness.run()
        send(harness, sent)

        def attempts() -> list[int]:
            return [r.attempt for r in runs(harness.log, sent.label) if r.intent == sent]

        self.wait(harness, lambda: len(attempts()) > 1, "a job that failed is run again")
        found = attempts()
        require(found == [1, 2], f"the handler ran as attempt {found}")

    def test_an_error_of_the_flush_runs_no_handler_again(self, harness: QueueHarness) -> None:
        """The handler succeeded, its follow-up failed: that is logged, and the job is done."""
        sent, again = Parent(unique()), Flaky(unique(), 1)
        harness.run()
        before = harness.failed()
        send(harness, sent)
        self.arrive(harness, Here, sent.label)
        if "retries" not in self.lacks:  # as long as a second attempt takes
            send(harness, again)
            self.arrive(harness, Note, again.label)
        time.sleep(self.quiet)
        called = [run for run in runs(harness.log, sent.label) if run.intent == sent]
        require(len(called) == 1, f"a follow-up failed, and the handler ran {len(called)} times")
        require(harness.failed() == before, "a follow-up failed, and the job with it")

    def test_what_cannot_be_read_is_a_failed_job(self, harness: QueueHarness) -> None:
        """A message that no release will ever read ends with the failed jobs, and is logged."""
        other, kind = Note(unique()), "airlock.testing.queues.note"
        wrong = {"airlock": 1, "id": str(uuid4()), "kind": kind, "version": 1, "data": {"x": 1}}
        harness.run()
        before, logged = harness.failed(), harness.output().count("WireError")
        for text in ("no envelope", json.dumps(wrong)):
            harness.put(text)
        send(harness, other)
        self.arrive(harness, other)
        done = before + 2
        self.wait(harness, lambda: harness.failed() >= done, "what cannot be read fails")
        require(harness.failed() == done, "two messages cannot be read, and more jobs failed")
        self.wait(harness, lambda: harness.output().count("WireError") > logged, "it is logged")

    def test_an_unknown_kind_waits_for_a_newer_worker(self, harness: QueueHarness) -> None:
        """A worker that was not deployed yet keeps it, and logs why."""
        self._kept_by_old_workers(harness, New)

    def test_a_newer_version_waits_for_a_newer_worker(self, harness: QueueHarness) -> None:
        """The message stays in the queue, as one of an unknown kind does."""
        self._kept_by_old_workers(harness, Changed)

    def test_an_intent_without_a_handler_waits_for_a_newer_worker(
        self, harness: QueueHarness
    ) -> None:
        """The message stays in the queue, as one of an unknown kind does."""
        self._kept_by_old_workers(harness, Unhandled)

    def test_a_worker_without_a_boundary_keeps_everything(self, harness: QueueHarness) -> None:
        """The queue keeps every intent where the boundary cannot be made: no intent is to blame."""
        self._kept_by_old_workers(harness, Note)

    together = True
    """One deployment serves these four checks, as workers take their time to start and to stop."""

    def _kept_by_old_workers(self, harness: QueueHarness, cls: type) -> None:
        if cls not in harness.deployed:
            kept = [New(unique()), Changed(unique(), 1), Unhandled(unique()), Note(unique())]
            chosen = [sent for sent in kept if self.together or type(sent) is cls]
            harness.deployed |= {type(each.sent): each for each in self._deploy(harness, chosen)}
        error = harness.deployed.pop(cls).error
        if error is not None:
            raise error

    def _deploy(self, harness: QueueHarness, intents: list[Any]) -> list[_Kept]:
        """Send intents to workers that do not know them, then start one that does."""
        kept = [_Kept(sent) for sent in intents]
        before = harness.failed()
        for knows in ("nothing", "old"):
            unknown = [each for each in kept if each.unknown_to == knows]
            if unknown:
                self._send_to_old(harness, knows, unknown)
        harness.run()
        for each in kept:
            with each.tried():
                run = self.arrive(harness, each.sent)
                require(run.id == str(each.id), "the kept one has another id")
        for each in kept:
            with each.tried():
                self.kept(harness, each.sent.label)
                problem = "an intent that a worker does not know counts as a failed job"
                require(harness.failed() == before, problem)
        return kept

    def _send_to_old(self, harness: QueueHarness, knows: str, kept: list[_Kept]) -> None:
        other = Note(unique())
        harness.run(knows)
        logged = len(harness.output())
        for each in kept:
            send(harness, each.sent, options=Options(id=each.id))
        if knows == "old":
            send(harness, other)
            self.arrive(harness, other)
        for each in kept:
            with each.tried():
                self.wait(
                    harness,
                    lambda each=each: each.is_logged(harness.output()[logged:]),  # type: ignore[misc]  # mypy infers no defaults
                    f"the log of a worker says why it keeps {each.sent!r}",
                )
        for each in kept:
            with each.tried():
                self.stay(harness, each.sent.label, 0)

    # -- outages ----------------------------------------------------------------------------------

    def test_without_its_broker_intents_are_pending(self, harness: QueueHarness) -> None:
        """The error is raised soon; the rest of the flush goes on, and resume() sends them."""
        self.needs("outage")
        first, second, here = Note(unique()), Note(unique()), list[Here]()
        route = Route({Here: INLINE}, default=harness.dispatch)
        boundary = Boundary({Here: here.append}, dispatch=route)
        send(harness, Note(unique()))  # the connection is open
        harness.disconnect()
        try:
            began = time.monotonic()
            error = raised(lambda: emit_all(boundary, first, second, Here("here")))
            took = time.monotonic() - began
        finally:
            harness.reconnect()
        errors = error.exceptions if isinstance(error, FlushError) else [error]
        clear = all(isinstance(each, UnavailableError) for each in errors)
        require(clear, f"not an UnavailableError, but {error!r}")
        require(took < self.bound, f"it took {took:.1f} seconds to raise it")
        report = error.report if isinstance(error, AirlockError) else None
        if report is None:
            raise AssertionError("the error has no report")
        outcomes = [entry.outcome for entry in report.entries]
        require(outcomes == [*PENDING, Outcome.DELIVERED], f"the report is {report!r}")
        require(len(here) == 1, "what goes elsewhere did not")
        report.resume()
        harness.run()
        for sent in (first, second):
            self.arrive(harness, sent)
            self.stay(harness, sent.label, 1)

    def test_a_killed_worker_loses_nothing(self, harness: QueueHarness) -> None:
        """Another worker does the work of a killed one; what that one emitted is discarded."""
        self.needs("redelivery")
        sent = Slow(unique(), self.slow)
        harness.run()
        send(harness, sent)
        killed = self.arrive(harness, sent).worker
        harness.end(kill=True)
        harness.run()

        def ended() -> bool:
            """Return True if another worker did: a process that outlived the killed one does not count."""
            return any(
                run.event == "ended" and run.worker != killed
                for run in runs(harness.log, sent.label)
            )

        self.wait(harness, ended, "the job of a killed worker is done by another one")
        self.arrive(harness, Note, sent.label)
        time.sleep(self.quiet)
        found = [r.intent.number for r in runs(harness.log, sent.label) if type(r.intent) is Note]
        require(min(found) > 1, f"run 1 was killed; follow-ups of {found} arrived")


@attrs.define
class _Kept:
    """An intent that a worker has to keep, and the first thing that went wrong with it."""

    sent: Any
    id: UUID = attrs.field(factory=uuid4)
    error: Exception | None = None

    @property
    def unknown_to(self) -> str:
        """The worker that does not know it, as for ``QueueHarness.run``."""
        return "nothing" if type(self.sent) is Note else "old"

    def is_logged(self, output: str) -> bool:
        """Return True if a line of a log says why it is kept."""
        name, why = {
            New: ("queues.new", "is not declared here"),
            Changed: ("queues.changed", "is not declared here"),
            Unhandled: ("Unhandled", "no handler for Unhandled"),
            Note: ("", "a boundary that cannot be made"),
        }[type(self.sent)]
        return any(name in line and why in line for line in output.splitlines())

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Keep the first error, and do nothing about it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - its check raises it
            self.error = self.error or error
