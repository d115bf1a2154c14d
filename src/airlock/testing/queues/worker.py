"""The intents and handlers of the suite: handlers log what they are given, or fail on purpose."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, Dispatcher, Route
from airlock.effects.intent import field, intent
from airlock.policies.builtin import OncePerChain
from airlock.scopes.current import delivery, emit
from airlock.wire import Wire

__all__ = [
    "DEPTH", "KNOWS", "LOG", "WORKER", "Changed", "Deep", "Flaky", "Here", "Late", "New", "Note",
    "Once", "Parent", "Run", "Secret", "Slow", "Unhandled", "newest", "runs", "worker_boundary",
    "worker_wire",
]  # fmt: skip

LOG = "AIRLOCK_QUEUE_LOG"
"""Names the environment variable with the path of the file that workers write to."""

KNOWS = "AIRLOCK_QUEUE_KNOWS"
"""Names the one that says what a worker knows: ``all``, ``old``, or ``nothing``: no boundary."""

WORKER = "AIRLOCK_QUEUE_WORKER"
"""Names the one with a name for the worker: each start has another."""

DEPTH = 3
"""``max_depth`` of a worker's boundary."""

STOP = 12
"""A chain that nothing bounds ends here: the queue is broken, and need not run forever."""


@intent(kind="airlock.testing.queues.note")
class Note:
    """An intent that its handler writes down."""

    label: str
    text: str = ""
    number: int = 0
    at: datetime | None = None
    price: Decimal = Decimal(0)
    tags: tuple[str, ...] = ()


@intent(kind="airlock.testing.queues.once")
class Once:
    """An intent whose handler emits the same again."""

    label: str


@intent(kind="airlock.testing.queues.deep")
class Deep:
    """An intent whose handler emits another one, one deeper."""

    label: str
    number: int = 0


@intent(kind="airlock.testing.queues.flaky")
class Flaky:
    """An intent whose handler emits a note, then fails the first ``times``."""

    label: str
    times: int


@intent(kind="airlock.testing.queues.late")
class Late:
    """An intent whose handler emits a note, and goes on for a while."""

    label: str
    seconds: float


@intent(kind="airlock.testing.queues.slow")
class Slow:
    """An intent whose handler emits a note, and takes long the first time: to be killed in."""

    label: str
    seconds: float


@intent(kind="airlock.testing.queues.parent")
class Parent:
    """An intent whose handler succeeds, and emits what fails in the worker."""

    label: str


@intent(kind="airlock.testing.queues.here")
class Here:
    """An intent that is not handed over, and fails."""

    label: str


@intent(kind="airlock.testing.queues.new")
class New:
    """An intent that is unknown to an old worker."""

    label: str


@intent(kind="airlock.testing.queues.unhandled")
class Unhandled:
    """An intent that is known to an old worker, which has no handler for it."""

    label: str


@intent(kind="airlock.testing.queues.changed", version=1)
class _ChangedBefore:
    label: str


@intent(kind="airlock.testing.queues.changed", version=2)
class Changed:
    """An old worker knows version 1 only."""

    label: str
    number: int


@intent(kind="airlock.testing.queues.secret")
class Secret:
    """Needs a cipher."""

    label: str
    password: str = field(sensitive=True)


@attrs.frozen
class Run:
    """A line of a worker's log: a handler was called, or came to its end."""

    label: str
    event: str
    intent: Any
    id: str
    headers: Mapping[str, str]
    attempt: int
    worker: str
    at: float


def runs(log: Path, label: str | None = None) -> list[Run]:
    """Return what workers have logged, of one label or all."""
    lines = log.read_text("utf-8").splitlines(keepends=True) if log.exists() else []
    whole = [line for line in lines if line.endswith("\n") and (label is None or label in line)]
    wire = newest()
    return [Run(**doc | {"intent": wire.load(doc["intent"])}) for doc in map(json.loads, whole)]


@cache
def newest() -> Wire:
    """Return the wire of a worker that knows everything."""
    return Wire([cls for cls in _HANDLERS if cls is not _ChangedBefore])


def worker_wire(environ: Mapping[str, str] = os.environ) -> Wire:
    """Return the wire for a worker of the suite: what it knows differs from worker to worker.

    Args:
        environ: what the harness was given for the worker; by default what the process has.
    """
    if environ.get(KNOWS) != "old":
        return newest()
    return Wire([cls for cls in _HANDLERS if cls not in (New, Changed)])


def worker_boundary(dispatch: Dispatcher, environ: Mapping[str, str] = os.environ) -> Boundary:
    """Return the boundary for a worker of the suite. Its handlers write to a file what they are given.

    Call it when the first message is there: some workers cannot make it.

    Args:
        dispatch: where follow-ups go: the same queue.
        environ: what the harness was given for the worker; by default what the process has.

    Raises:
        Exception: this worker's boundary is one that cannot be made.
    """
    if environ.get(KNOWS) == "nothing":
        raise _Failure("a boundary that cannot be made")
    handlers = _Handlers(Path(environ[LOG]), environ.get(WORKER, ""))
    known = dict(_HANDLERS)
    if environ.get(KNOWS) == "old":
        del known[Unhandled]
    return Boundary(
        {cls: getattr(handlers, name) for cls, name in known.items()},
        policy=OncePerChain(Once),
        dispatch=Route({Here: INLINE}, default=dispatch),
        max_depth=DEPTH,
    )


class _Failure(Exception):  # noqa: N818 - a failure on purpose
    """Raised by handlers of the suite."""


class _Handlers:
    def __init__(self, log: Path, worker: str) -> None:
        self._log = log
        self._worker = worker

    def _note(self, intent: Any, event: str = "called") -> None:
        """Write a line."""
        now = delivery()
        line = {
            "label": intent.label,
            "event": event,
            "intent": newest().dump(intent),
            "id": str(now.id),
            "headers": dict(now.headers),
            "attempt": now.attempt,
            "worker": self._worker,
            "at": time.time(),
        }
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _counted(self, intent: Any) -> int:
        """Write a line, and return how many there are of this intent now."""
        self._note(intent)
        return sum(run.intent == intent for run in runs(self._log, intent.label))

    def note(self, intent: Any) -> None:
        self._note(intent)

    def once(self, intent: Once) -> None:
        if self._counted(intent) < STOP:
            emit(Once(intent.label))

    def deep(self, intent: Deep) -> None:
        self._note(intent)
        if intent.number < STOP:
            emit(Deep(intent.label, intent.number + 1))

    def flaky(self, intent: Flaky) -> None:
        count = self._counted(intent)
        emit(Note(intent.label, "follow-up", count))
        if count <= intent.times:
            raise _Failure(f"failure {count} of {intent.label}")

    def late(self, intent: Late) -> None:
        self._note(intent)
        emit(Note(intent.label, "follow-up"))
        time.sleep(intent.seconds)
        self._note(intent, "ended")

    def slow(self, intent: Slow) -> None:
        count = self._counted(intent)
        emit(Note(intent.label, "follow-up", count))
        if count == 1:
            time.sleep(intent.seconds)
        self._note(intent, "ended")

    def parent(self, intent: Parent) -> None:
        self._note(intent)
        emit(Here(intent.label))

    def here(self, intent: Here) -> None:
        self._note(intent)
        raise _Failure(f"the follow-up of {intent.label}")


_HANDLERS: dict[type[Any], str] = {
    Note: "note",
    Once: "once",
    Deep: "deep",
    Flaky: "flaky",
    Late: "late",
    Slow: "slow",
    Parent: "parent",
    Here: "here",
    New: "note",
    Unhandled: "note",
    _ChangedBefore: "note",
    Changed: "note",
}
