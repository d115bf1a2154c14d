"""A queue in memory that keeps the contract, or breaks one rule of it."""

from __future__ import annotations

import copy
import json
import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs

from airlock.boundary.boundary import Boundary
from airlock.errors import UnavailableError, UnhandledIntentError, WireError
from airlock.integrations.base import QueueDispatch
from airlock.testing.queues import Job, QueueHarness, worker_boundary, worker_wire
from airlock.wire import Envelope, Wire

__all__ = ["FAULTS", "OPTIONS", "ToyHarness"]

ATTEMPTS = 3
OPTIONS = QueueDispatch.options
KIND = "airlock.testing.queues."


@attrs.define
class ToyJob:
    id: str
    text: Any
    at: float = 0
    attempt: int = 1


class ToyQueue:
    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.jobs: list[ToyJob] = []
        self.failed: list[ToyJob] = []
        self.output: list[str] = []
        self.lock = threading.Lock()
        self.connected = True

    def put(self, job: ToyJob) -> None:
        with self.lock:
            self.jobs.append(job)

    def take(self) -> ToyJob | None:
        with self.lock:
            for job in self.jobs:
                if job.at <= time.time():
                    self.jobs.remove(job)
                    return job
        return None

    def say(self, text: str) -> None:
        self.output.append(text)


class ToyDispatch(QueueDispatch):
    def __init__(self, queue: ToyQueue, *, inside: bool = False) -> None:
        super().__init__(wire=None)
        self._queue = queue
        self._inside = inside

    def check(self, cls: type[Any], /) -> None:
        if self._queue.fault != "checks nothing":
            super().check(cls)

    def send(self, envelope: Envelope, message: str, /) -> None:
        if not self._inside and not self._queue.connected:
            match self._queue.fault:
                case "raises any error":
                    raise ConnectionRefusedError("nobody is there")
                case "loses what it cannot send":
                    return
                case _ if self._queue.fault == "waits for its broker":
                    time.sleep(0.5)
            raise UnavailableError("toy", "it is disconnected")
        delay = envelope.options.delay
        job = ToyJob(
            str(envelope.id), message, time.time() + (delay.total_seconds() if delay else 0)
        )
        alter = SENDING.get(self._queue.fault)
        if alter is not None:
            alter(job)
        if self._queue.fault == "loses some" and '"number":13' in message:
            return
        self._queue.put(job)
        if self._queue.fault == "delivers twice":
            self._queue.put(copy.copy(job))


def without(*path: str) -> Callable[[ToyJob], None]:
    """Leaves out a part of the envelope."""

    def alter(job: ToyJob) -> None:
        document = inner = json.loads(job.text)
        for key in path[:-1]:
            inner = inner.get(key, {})
        inner.pop(path[-1], None)
        job.text = json.dumps(document)

    return alter


def with_other_id(job: ToyJob) -> None:
    job.text = json.dumps(json.loads(job.text) | {"id": str(uuid4())})


def as_document(job: ToyJob) -> None:
    job.text = json.loads(job.text)


def at_once(job: ToyJob) -> None:
    job.at = 0


def with_own_id(job: ToyJob) -> None:
    job.id = str(uuid4())


SENDING: Mapping[str, Callable[[ToyJob], None]] = {
    "loses a field": without("data", "tags"),
    "loses headers": without("headers"),
    "loses causes": without("causation"),
    "changes ids": with_other_id,
    "has ids of its own": with_own_id,
    "sends documents": as_document,
    "forgets delays": at_once,
}


FORGED = {
    "sends follow-ups first": f"{KIND}late",
    "sends follow-ups of failures": f"{KIND}flaky",
    "sends follow-ups of what is killed": f"{KIND}slow",
}


class ToyWorker(threading.Thread):
    def __init__(self, queue: ToyQueue, environ: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self.queue = queue
        self.taken: ToyJob | None = None
        self.ended = False
        self.wire: Wire = worker_wire(environ)
        self.environ = environ

    def boundary(self) -> Boundary:
        return worker_boundary(ToyDispatch(self.queue, inside=True), self.environ)

    def run(self) -> None:
        time.sleep(0.3)  # as a process does, before it works
        while not self.ended:
            job = self.taken = self.queue.take()
            if job is None:
                time.sleep(0.005)
                continue
            try:
                self.work(job)
            except Exception as error:  # noqa: BLE001 - a job may fail as it likes
                self.fail(job, error)
            self.taken = None

    def work(self, job: ToyJob) -> None:
        fault = self.queue.fault
        text = json.dumps(job.text) if isinstance(job.text, dict) else job.text
        try:
            boundary = self.boundary()
        except Exception as error:
            if fault == "fails without a boundary":
                raise
            self.keep(job, error)
            return
        try:
            envelope = self.wire.decode(text)
        except WireError as error:
            if error.unknown and fault != "fails unknown kinds":
                if fault != "drops unknown kinds":
                    self.keep(job, error)
                return
            if fault == "drops what it cannot read":
                return
            raise
        if FORGED.get(fault) == envelope.kind:
            self.forge(text)
        attempt = 1 if fault == "counts no attempts" else job.attempt
        raises = fault == "runs again for follow-ups"
        try:
            boundary.deliver(
                envelope, attempt=attempt, on_flush_error="raise" if raises else "report"
            )
        except UnhandledIntentError as error:
            if fault == "fails without a handler":
                raise
            self.keep(job, error)

    def keep(self, job: ToyJob, error: Exception) -> None:
        if self.queue.fault != "keeps in silence":
            self.queue.say(str(error))
        job.at = time.time() + 0.05
        self.queue.put(job)

    def forge(self, text: str) -> None:
        """What it would look like if a follow-up was sent when it is emitted."""
        document = json.loads(text)
        data = {"label": document["data"]["label"], "text": "follow-up"}
        note = {**document, "id": str(uuid4()), "kind": f"{KIND}note", "data": data}
        self.queue.put(ToyJob(str(uuid4()), json.dumps(note)))

    def fail(self, job: ToyJob, error: Exception) -> None:
        fault = self.queue.fault
        if fault != "fails in silence":
            self.queue.say(repr(error))
        final = isinstance(error, WireError) or job.attempt == ATTEMPTS
        if fault == "forgives":
            return
        if fault == "stops at a failure":
            self.ended = True
        if final:
            self.queue.failed.append(job)
        else:
            job.attempt += 1
            self.queue.put(job)


class ToyHarness(QueueHarness):
    def __init__(self, folder: Path, fault: str = "", options: frozenset[str] = OPTIONS) -> None:
        super().__init__(folder)
        self.queue = ToyQueue(fault)
        self.dispatch = type("Dispatch", (ToyDispatch,), {"options": options})(self.queue)
        self.workers: list[ToyWorker] = []

    def start(self, environ: Mapping[str, str]) -> None:
        self.workers = [ToyWorker(self.queue, environ) for _ in range(2)]
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        for worker in self.workers:
            worker.ended = True
        for worker in self.workers:
            worker.join(timeout=2)

    def kill(self) -> None:
        for worker in self.workers:
            worker.ended = True
            if worker.taken is not None and self.queue.fault != "loses what was killed":
                self.queue.put(worker.taken)

    def put(self, text: str) -> None:
        self.queue.put(ToyJob("garbage", text))

    def waiting(self) -> Sequence[Job]:
        pickled = self.queue.fault == "pickles"
        return [
            Job(
                job.id,
                job.text,
                pickle.dumps(job) if pickled else json.dumps(attrs.asdict(job)).encode(),
            )
            for job in self.queue.jobs
        ]

    def failed(self) -> int:
        return len(self.queue.failed)

    def output(self) -> str:
        return "\n".join(self.queue.output)

    def disconnect(self) -> None:
        self.queue.connected = False

    def reconnect(self) -> None:
        self.queue.connected = True


ARRIVES = "test_an_intent_arrives_once_as_it_was"
MANY = "test_many_arrive_once_each"
ID = "test_its_id_is_the_same_on_both_sides"
HEADERS = "test_headers_arrive"
CAUSES = "test_causes_arrive"
TEXT = "test_the_job_carries_the_text_of_the_envelope"
DELAY = "test_a_delay_is_kept"
LEAVE = "test_follow_ups_leave_after_the_handler"
FAILS = "test_a_failing_handler_makes_a_failed_job"
DROPPED = "test_follow_ups_of_a_failed_attempt_are_dropped"
ATTEMPT = "test_attempts_are_counted"
FLUSH = "test_an_error_of_the_flush_runs_no_handler_again"
GARBAGE = "test_what_cannot_be_read_is_a_failed_job"
KIND_KEPT = "test_an_unknown_kind_waits_for_a_newer_worker"
VERSION_KEPT = "test_a_newer_version_waits_for_a_newer_worker"
UNHANDLED_KEPT = "test_an_intent_without_a_handler_waits_for_a_newer_worker"
OUTAGE = "test_without_its_broker_intents_are_pending"
KILLED = "test_a_killed_worker_loses_nothing"
NO_BOUNDARY = "test_a_worker_without_a_boundary_keeps_everything"
KEPT = {KIND_KEPT, VERSION_KEPT, UNHANDLED_KEPT}

FAULTS: Mapping[str, set[str]] = {
    "loses a field": {ARRIVES},
    "loses some": {MANY},
    "delivers twice": {
        ARRIVES, MANY, CAUSES, DELAY, FAILS, DROPPED, ATTEMPT, FLUSH, OUTAGE,
        "test_the_job_carries_the_text_of_the_envelope",
        "test_the_job_has_the_id_of_the_intent", "test_the_job_is_json",
    },
    "changes ids": {
        ID, TEXT, NO_BOUNDARY, *KEPT,
        "test_the_job_has_the_id_of_the_intent", "test_the_job_is_json",
    },
    "has ids of its own": {"test_the_job_has_the_id_of_the_intent"},
    "loses headers": {HEADERS},
    "loses causes": {CAUSES},
    "sends documents": {TEXT},
    "pickles": {"test_the_job_is_json"},
    "checks nothing": {"test_a_sensitive_field_needs_a_cipher"},
    "forgets delays": {DELAY},
    "sends follow-ups first": {LEAVE},
    "sends follow-ups of failures": {FAILS, DROPPED},
    "forgives": {FAILS, DROPPED, ATTEMPT, FLUSH, GARBAGE},
    "stops at a failure": {FAILS, GARBAGE},
    "counts no attempts": {ATTEMPT},
    "runs again for follow-ups": {FLUSH, CAUSES},
    "drops what it cannot read": {GARBAGE},
    "fails in silence": {GARBAGE},
    "fails unknown kinds": {KIND_KEPT, VERSION_KEPT},
    "drops unknown kinds": {KIND_KEPT, VERSION_KEPT},
    "fails without a handler": {UNHANDLED_KEPT},
    "fails without a boundary": {NO_BOUNDARY},
    "keeps in silence": KEPT | {NO_BOUNDARY},
    "raises any error": {OUTAGE},
    "loses what it cannot send": {OUTAGE},
    "waits for its broker": {OUTAGE},
    "loses what was killed": {KILLED},  # its thread goes on, and ends the job
    "sends follow-ups of what is killed": {KILLED},
}  # fmt: skip
"""What can be wrong with it, and the checks that find it."""
