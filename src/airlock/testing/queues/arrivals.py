"""The checks of what arrives: what, once, with what, and when."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from airlock.effects.options import Options
from airlock.emissions.wave import Outcome
from airlock.errors import SensitiveFieldError, UnsupportedOptionError
from airlock.testing.queues.harness import QueueHarness
from airlock.testing.queues.looking import Looking, raised, require, send, unique
from airlock.testing.queues.worker import DEPTH, Deep, Late, Note, Once, Secret, newest, runs

__all__ = ["Arrivals"]

NOW = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)


class Arrivals(Looking):
    """Checks of a queue when nothing goes wrong."""

    # -- the message ------------------------------------------------------------------------------

    def test_the_job_carries_the_text_of_the_envelope(self, harness: QueueHarness) -> None:
        """Kind, version and data as JSON text: no object, no code."""
        sent, id_ = Note(unique(), "text"), uuid4()
        job = self.job(harness, sent, id_)
        require(type(job.text) is str, f"the task is given {job.text!r}")
        envelope = newest().decode(str(job.text))
        require(envelope.intent == sent and envelope.id == id_, f"the text is {job.text}")

    def test_the_job_is_json(self, harness: QueueHarness) -> None:
        """The job in the broker is JSON: the worker unpickles nothing."""
        self.needs("text")
        raw = self.job(harness, Note(unique()), uuid4()).raw
        try:
            json.loads(raw)
        except ValueError as error:
            raise AssertionError(f"the job is not JSON: {raw[:200]!r}") from error

    # -- what arrives -----------------------------------------------------------------------------

    def test_an_intent_arrives_once_as_it_was(self, harness: QueueHarness) -> None:
        """The intent is delivered once, and equal."""
        sent = Note(unique(), "§ 'quoted' \"text\"\n", -7, NOW, Decimal("1.10"), ("a", "b"))
        harness.run()
        report = send(harness, sent)
        outcomes = [entry.outcome for entry in report.entries]
        require(outcomes == [Outcome.HANDED_OVER], f"the report is {report!r}")
        run = self.arrive(harness, sent)
        require(run.intent == sent, f"it arrived as {run.intent!r}, and was {sent!r}")
        self.stay(harness, sent.label, 1)

    def test_many_arrive_once_each(self, harness: QueueHarness) -> None:
        """All of a flush are delivered; in which order, nobody promises."""
        label = unique()
        harness.run()
        send(harness, *(Note(label, number=number) for number in range(20)))
        self.wait(harness, lambda: len(runs(harness.log, label)) >= 20, "20 intents arrive")
        time.sleep(self.quiet)
        numbers = sorted(run.intent.number for run in runs(harness.log, label))
        require(numbers == list(range(20)), f"of 20 intents these arrived: {numbers}")

    def test_its_id_is_the_same_on_both_sides(self, harness: QueueHarness) -> None:
        """The handler gets the id that the intent was emitted with, and has in the report."""
        sent, id_ = Note(unique()), uuid4()
        harness.run()
        send(harness, sent, options=Options(id=id_))
        require(self.arrive(harness, sent).id == str(id_), "the handler gets another id")

    def test_the_job_has_the_id_of_the_intent(self, harness: QueueHarness) -> None:
        """The id in the report finds what the engine logs and shows."""
        self.needs("ids")
        sent, id_ = Note(unique()), uuid4()
        job = self.job(harness, sent, id_)
        require(job.id == str(id_), f"the job has the id {job.id}, its intent {id_}")

    def test_headers_arrive(self, harness: QueueHarness) -> None:
        """Headers of the scope arrive, and follow-ups have them too."""
        sent, headers = Late(unique(), 0), {"tenant": "acmé"}
        harness.run()
        send(harness, sent, headers=headers)
        for run in (self.arrive(harness, sent), self.arrive(harness, Note, sent.label)):
            require(run.headers == headers, f"{run.intent!r} arrived with {dict(run.headers)}")

    def test_causes_arrive(self, harness: QueueHarness) -> None:
        """``OncePerChain`` and ``max_depth`` hold across processes."""
        once, deep = Once(unique()), Deep(unique())
        harness.run()
        send(harness, once, deep)
        self.arrive(harness, once)
        depths = range(DEPTH + 1)
        self.wait(harness, lambda: len(runs(harness.log, deep.label)) > DEPTH, "a chain goes on")
        self.stay(harness, once.label, 1)
        reached = sorted(run.intent.number for run in runs(harness.log, deep.label))
        require(reached == list(depths), f"a chain with max_depth={DEPTH} reached {reached}")

    def test_a_sensitive_field_needs_a_cipher(self, harness: QueueHarness) -> None:
        """Without one the flush is refused, before anything of it is sent."""
        label, other = unique(), Note(unique())
        harness.run()
        error = raised(lambda: send(harness, Note(label), Secret(label, "swordfish")))
        require(isinstance(error, SensitiveFieldError), f"it was not refused, but {error!r}")
        send(harness, other)
        self.arrive(harness, other)  # the worker runs, so that its start hides nothing
        self.stay(harness, label, 0)

    # -- when -------------------------------------------------------------------------------------

    def test_a_delay_is_kept(self, harness: QueueHarness) -> None:
        """An intent is delivered no earlier than its delay; or refused, where there is no delay."""
        sent, delay, other = Note(unique()), self.delay, Note(unique())
        harness.run()
        send(harness, other)
        self.arrive(harness, other)  # the worker runs, so that its start hides nothing
        began = time.time()
        if "delay" in self.lacks:
            error = raised(lambda: send(harness, sent, options=Options(delay=delay)))
            refused = isinstance(error, UnsupportedOptionError)
            require(refused, f"its options should leave out delay: {error!r}")
            self.needs("delay")
        send(harness, sent, options=Options(delay=delay))
        after = self.arrive(harness, sent).at - began
        early = after < delay.total_seconds()
        require(not early, f"it arrived after {after:.3f} seconds, and had a delay of {delay}")
        self.stay(harness, sent.label, 1)

    def test_follow_ups_leave_after_the_handler(self, harness: QueueHarness) -> None:
        """Intents that a handler emits go out when the handler has come to its end."""
        sent = Late(unique(), 0.5)
        harness.run()
        send(harness, sent)
        follow_up = self.arrive(harness, Note, sent.label)
        ended = [run.at for run in runs(harness.log, sent.label) if run.event == "ended"]
        before = not ended or follow_up.at < ended[0]
        require(not before, "a follow-up arrived before the handler that emitted it had ended")
