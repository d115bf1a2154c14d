"""The ways in which the checks look at a queue, and how long they wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar
from unittest import SkipTest
from uuid import UUID, uuid4

from airlock.boundary.boundary import Boundary
from airlock.effects.options import Options
from airlock.emissions.report import Report
from airlock.errors import DeclarationError
from airlock.testing.queues.harness import Job, QueueHarness
from airlock.testing.queues.worker import Note, Run, runs

__all__ = ["LACKS", "Looking", "emit_all", "raised", "require", "send", "unique"]

LACKS: Mapping[str, str] = MappingProxyType(
    {
        "delay": "delivers an intent that was emitted with a delay, later",
        "ids": "names a job by the id of its intent",
        "retries": "runs a job again when it failed",
        "attempts": "passes the number of the attempt to the handler",
        "redelivery": "gives the job of a killed worker to another one",
        "text": "keeps its jobs as JSON",
        "outage": "can be unreachable",
    }
)
"""Abilities that a queue may lack, by name."""


class Looking:
    """Base of the checks: how they look at a queue, and wait."""

    lacks: ClassVar[Mapping[str, str]] = {}
    """Abilities that the queue lacks, of ``LACKS``, and why."""

    patience: ClassVar[float] = 60
    """Seconds that a message may take to arrive."""

    quiet: ClassVar[float] = 0.5
    """Seconds to wait for a message that must not arrive."""

    bound: ClassVar[float] = 10
    """Seconds that a broker that is down may hold up a flush."""

    delay: ClassVar[timedelta] = timedelta(seconds=1.5)
    """The delay to try."""

    slow: ClassVar[float] = 60
    """Seconds that the handler takes whose worker is killed."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, why in cls.lacks.items():
            if name not in LACKS or not why.strip():
                raise DeclarationError(
                    f"{cls.__qualname__}.lacks[{name!r}] = {why!r}: give the reason for one of "
                    f"{', '.join(LACKS)}."
                )

    def needs(self, name: str) -> None:
        """Skip the check, with the reason, if the queue lacks something."""
        if name in self.lacks:
            raise SkipTest(
                f"{type(self).__qualname__} lacks {name!r} (it {LACKS[name]}): {self.lacks[name]}"
            )

    def job(self, harness: QueueHarness, sent: Note, id_: UUID) -> Job:
        """Send, and look into the queue."""
        harness.end()
        send(harness, sent, options=Options(id=id_))
        found = [job for job in harness.waiting() if str(id_) in str(job.text)]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} jobs in the queue carry the intent {id_}")
        return found[0]

    def arrive(self, harness: QueueHarness, what: Any, label: str | None = None) -> Run:
        """Wait for the first run of an intent, or of a class with a label, and return it."""
        label = what.label if label is None else label

        def found() -> list[Run]:
            return [r for r in runs(harness.log, label) if what in (r.intent, type(r.intent))]

        self.wait(harness, lambda: bool(found()), f"{what!r} arrives")
        return found()[0]

    def stay(self, harness: QueueHarness, label: str, count: int) -> None:
        """After a while, so many have arrived."""
        time.sleep(self.quiet)
        found = len(runs(harness.log, label))
        require(found == count, f"it arrived {found} times, and should {count} times")

    def kept(self, harness: QueueHarness, label: str) -> None:
        """After a while, what was kept has arrived, once.

        Or twice, where the broker delivers again: the worker that kept it was stopped meanwhile,
        and that may be after the message was put back, and before it was acknowledged.
        """
        time.sleep(self.quiet)
        found, most = len(runs(harness.log, label)), 1 if "redelivery" in self.lacks else 2
        require(0 < found <= most, f"what was kept arrived {found} times")

    def none(self, harness: QueueHarness, cls: type, label: str, problem: str) -> None:
        """After a while, none has arrived."""
        time.sleep(self.quiet)
        require(not any(type(r.intent) is cls for r in runs(harness.log, label)), problem)

    def wait(self, harness: QueueHarness, until: Callable[[], bool], what: str) -> None:
        """Wait, as long as the queue may take."""
        deadline = time.monotonic() + self.patience
        while not until():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what}: not in {self.patience} seconds. The worker's output ends so:\n"
                    f"{harness.output()[-3000:]}"
                )
            time.sleep(0.02)


def unique() -> str:
    """Return a name that no other check has."""
    return uuid4().hex


def send(
    harness: QueueHarness,
    *intents: Any,
    options: Options | None = None,
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Emit some intents, to be handed over to the queue."""
    boundary = Boundary({}, dispatch=harness.dispatch)
    return emit_all(boundary, *intents, options=options, headers=headers)


def emit_all(
    boundary: Boundary,
    *intents: Any,
    options: Options | None = None,
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Emit some intents in a scope of their own."""
    with boundary.scope(headers=headers) as effects:
        for intent in intents:
            effects.emit(intent, options)
    return effects.report


def raised(call: Callable[[], object]) -> Exception | None:
    """Return what a call raises; None if it does not."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, the check looks at it
        return error
    return None


def require(met: object, problem: str) -> None:
    """Fail with a sentence."""
    __tracebackhide__ = True
    if not met:
        raise AssertionError(problem)
