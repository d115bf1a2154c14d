"""The checks of what goes wrong: in handlers, in messages, with workers, with the broker."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

from airlock.boundary import Boundary
from airlock.dispatch import INLINE, Route
from airlock.effects.options import Options
from airlock.effects.wave import Outcome
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
    """What a queue does when something goes wrong."""

    # -- failures ---------------------------------------------------------------------------------

    def test_a_failing_handler_makes_a_failed_job(self, harness: QueueHarness) -> None:
        """It ends where those of the engine do, without follow-ups; others are not held up."""
        failing, other = Flaky(unique(), 1000), Note(unique())
        harness.run()
        before = harness.failed()
        send(harness, failing, other)
        self.arrive(harness, other)
        self.wait(harness, lambda: harness.failed() > before, "a job that fails ends as failed")
        self.none(harness, Note, failing.label, "follow-ups of a handler that failed arrived")
        require(harness.failed() == before + 1, "one handler failed, and more jobs than one")

    def test_follow_ups_of_a_failed_attempt_are_dropped(self, harness: QueueHarness) -> None:
        """Those of the attempt that succeeds go out."""
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
        told = attempts()
        require(told == [1, 2], f"the handler was told that it is attempt {told}")

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
        """A message that no release will ever read ends with the failed jobs, and is told of."""
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
        """A worker that was not deployed yet keeps it, and tells of it."""
        self._keeps(harness, New(unique()), "is not declared here")

    def test_a_newer_version_waits_for_a_newer_worker(self, harness: QueueHarness) -> None:
        """As an unknown kind does."""
        self._keeps(harness, Changed(unique(), 1), "is not declared here")

    def test_an_intent_without_a_handler_waits_for_a_newer_worker(
        self, harness: QueueHarness
    ) -> None:
        """As an unknown kind does."""
        self._keeps(harness, Unhandled(unique()), "no handler for Unhandled")

    def test_a_worker_without_a_boundary_keeps_everything(self, harness: QueueHarness) -> None:
        """Where it cannot be made, no intent is to blame."""
        sent = Note(unique())
        harness.run("nothing")
        before, why = harness.failed(), "a boundary that cannot be made"
        told = harness.output().count(why)
        send(harness, sent)
        self.wait(harness, lambda: harness.output().count(why) > told, "the log says why")
        harness.run()
        self.arrive(harness, sent)
        self.kept(harness, sent.label)
        require(harness.failed() == before, "an intent counts as failed, and was never tried")

    def _keeps(self, harness: QueueHarness, sent: Any, why: str) -> None:
        other, id_ = Note(unique()), uuid4()
        harness.run("old")
        before, told = harness.failed(), harness.output().count(why)
        send(harness, sent, options=Options(id=id_))
        send(harness, other)
        self.arrive(harness, other)
        said = "the log of a worker tells why it keeps an intent"
        self.wait(harness, lambda: harness.output().count(why) > told, said)
        self.stay(harness, sent.label, 0)
        harness.run()
        require(self.arrive(harness, sent).id == str(id_), "the kept one has another id")
        self.kept(harness, sent.label)
        require(harness.failed() == before, "an unknown intent counts as a failed job")

    # -- outages ----------------------------------------------------------------------------------

    def test_without_its_broker_intents_are_pending(self, harness: QueueHarness) -> None:
        """The error says so, soon; the rest of the flush goes on, and resume() sends them."""
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
        told = error.exceptions if isinstance(error, FlushError) else [error]
        clear = all(isinstance(each, UnavailableError) for each in told)
        require(clear, f"not an UnavailableError, but {error!r}")
        require(took < self.bound, f"it took {took:.1f} seconds to say so")
        report = error.report if isinstance(error, AirlockError) else None
        if report is None:
            raise AssertionError("the error has no report")
        outcomes = [entry.outcome for entry in report.entries]
        require(outcomes == [*PENDING, Outcome.DELIVERED], f"the report says {report!r}")
        require(len(here) == 1, "what goes elsewhere did not")
        report.resume()
        harness.run()
        for sent in (first, second):
            self.arrive(harness, sent)
            self.stay(harness, sent.label, 1)

    def test_a_killed_worker_loses_nothing(self, harness: QueueHarness) -> None:
        """What it was working on is done by another one; what it emitted until then is dropped."""
        self.needs("redelivery")
        sent = Slow(unique(), self.slow)
        harness.run()
        send(harness, sent)
        killed = self.arrive(harness, sent).worker
        harness.end(kill=True)
        harness.run()

        def ended() -> bool:
            """A process that outlived its worker may end the job as well: that is not another one."""
            return any(
                run.event == "ended" and run.worker != killed
                for run in runs(harness.log, sent.label)
            )

        self.wait(harness, ended, "the job of a killed worker is done by another one")
        self.arrive(harness, Note, sent.label)
        time.sleep(self.quiet)
        found = [r.intent.number for r in runs(harness.log, sent.label) if type(r.intent) is Note]
        require(min(found) > 1, f"run 1 was killed; follow-ups of {found} arrived")
