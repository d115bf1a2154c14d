"""``QueueHarness``: starts and kills the workers of a queue, and looks into it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs

from airlock.dispatch import Dispatcher
from airlock.testing.queues.worker import KNOWS, LOG, WORKER

__all__ = ["Job", "Program", "QueueHarness"]


@attrs.frozen
class Job:
    """A job in the queue, before a worker has it.

    Args:
        id: its id for the engine; None if the engine makes one of its own.
        text: what the engine will pass to the task.
        raw: the whole job, as the broker has it.
    """

    id: str | None
    text: object
    raw: bytes


class QueueHarness(ABC):
    """A queue to be tested: an empty one, of its own.

    Args:
        folder: for files.
    """

    dispatch: Dispatcher
    """The dispatch of the integration, in this process."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.jsonl"
        self.deployed = dict[type, Any]()
        """Outcomes of the intents that old workers had to keep, for the checks of the suite."""
        self._running: Mapping[str, str] | None = None

    # -- to be implemented ------------------------------------------------------------------------

    @abstractmethod
    def start(self, environ: Mapping[str, str]) -> None:
        """Start a worker, with these variables added to its environment."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the worker, as a deployment does; nothing if there is none."""

    @abstractmethod
    def kill(self) -> None:
        """End the worker at once, with SIGKILL, and all processes that it has started."""

    @abstractmethod
    def put(self, text: str) -> None:
        """Queue a job for the worker's task, with this text instead of an envelope."""

    @abstractmethod
    def waiting(self) -> Sequence[Job]:
        """Return the jobs that wait in the queue while no worker runs."""

    @abstractmethod
    def failed(self) -> int:
        """Return how many jobs have failed for good: they are where those of the engine end."""

    @abstractmethod
    def output(self) -> str:
        """Return what workers have logged so far."""

    @abstractmethod
    def disconnect(self) -> None:
        """Make the broker unreachable for ``dispatch``; a worker may still reach it."""

    @abstractmethod
    def reconnect(self) -> None:
        """Make it reachable again."""

    # -- what the suite calls ---------------------------------------------------------------------

    def run(self, knows: str = "all") -> None:
        """See that a worker runs which knows ``all`` kinds, is an ``old`` one, or has no boundary."""
        environ = {LOG: str(self.log), KNOWS: knows}
        if self._running != environ:
            self.end()
            self.start({**environ, WORKER: uuid4().hex})
            self._running = environ

    def end(self, *, kill: bool = False) -> None:
        """See that no worker runs."""
        if self._running is not None:
            self._running = None
            if kill:
                self.kill()
            else:
                self.stop()


class Program:
    """A worker in a process of its own, whose output is kept.

    Args:
        command: what to run.
        folder: for the output.
        environ: variables to add to the environment.
        cwd: where to run it; by default here.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._command = list(command)
        self._environ = dict(environ or {})
        self._cwd = cwd
        self._output = folder / "output.txt"
        self._mark = f"AIRLOCK_QUEUE_PROGRAM={uuid4().hex}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """Text that it has written so far, in all its runs."""
        return self._output.read_text("utf-8", "replace") if self._output.exists() else ""

    @property
    def alive(self) -> bool:
        """True if the worker runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, environ: Mapping[str, str]) -> None:
        """Run it, as the leader of a session."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the harness's own command
                self._command,
                cwd=self._cwd,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    **self._environ,
                    **environ,
                    **dict([self._mark.split("=")]),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self, patience: float = 60, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, with a signal to its first process; whatever is left then is killed."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(by)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self.kill()

    def kill(self) -> None:
        """Kill it, and every process that it has started.

        One that is left would finish the job, as if the engine had given it to another worker.
        """
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        while left := _marked(self._mark):  # those with a group or a session of their own
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def _marked(mark: str) -> list[int]:
    """Return the processes with a mark in their environment, as far as the system shows it."""
    found = list[int]()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is somebody else's
            if mark.encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found
