"""``Receiver``: the worker's end of a task queue, whose other end is a ``QueueDispatch``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from threading import RLock
from typing import Any

from airlock.boundary.boundary import Boundary
from airlock.effects.registry import describe
from airlock.emissions.report import Report
from airlock.errors import SettingError, UndeclaredHereError, UnhandledIntentError, WireError
from airlock.integrations.base.connections import afresh_connections, fresh_connections
from airlock.integrations.base.looping import has_async, in_loop, run
from airlock.release import OnFlushError, check_on_flush_error
from airlock.wire import Envelope, Wire

__all__ = ["Receiver", "unregistered"]

log = logging.getLogger("airlock")


def unregistered(framework: str) -> Callable[[], Boundary]:
    """Return a stand-in for the boundary that ``deliver_task`` was not called with yet."""

    def refuse() -> Boundary:
        raise SettingError(
            framework,
            "deliver_task",
            "was not called in this process, so that there is no boundary to deliver with",
            "Call deliver_task(boundary) in ready() of an AppConfig.",
        )

    return refuse


class Receiver:
    """Delivers the messages of a task queue through the worker's own boundary.

    The boundary is made when it is first needed, in each process that works, so that clients and
    connections are not shared with the process it was forked from. Resources of its container are
    opened then. So are those of a boundary that was given as it is: it should not have been used
    before the fork. What an opener before it has opened is not opened again.

    A boundary with async handlers works in an event loop of the process, in a thread of its own,
    where the engine has none: its resources are opened there, and all its handlers run there.

    Args:
        boundary: with the handlers; or a function that makes it, or the import path of either,
            ``"shop.effects:boundary"``.
        wire: reads the messages, as the sender's writes them.
        on_flush_error: what to do with errors of follow-ups; as for ``boundary.deliver``.

    Raises:
        SettingError: what was given can be no boundary.
        DeclarationError: another argument makes no sense.

    Example:
        >>> from airlock.wire import Envelope, Wire
        >>> receiver = Receiver(lambda: boundary)
        >>> envelope = receiver.read(Wire().encode(Envelope(NotifyWarehouse(42))))
        >>> receiver.deliver(envelope, attempt=2)
        <Report: 1 delivered>
    """

    def __init__(
        self,
        boundary: Boundary | Callable[[], Boundary] | str,
        *,
        wire: Wire | None = None,
        on_flush_error: OnFlushError = "report",
    ) -> None:
        if not isinstance(boundary, Boundary | str) and not callable(boundary):
            raise _wrong(f"is {describe(boundary)}", _FORMS)
        if isinstance(boundary, str) and ":" not in boundary:
            raise _wrong(f"is {boundary!r}", "Write it as 'shop.effects:boundary'")
        check_on_flush_error("Receiver", on_flush_error)
        self._given = boundary
        self._wire = Wire() if wire is None else wire
        self._on_flush_error: OnFlushError = on_flush_error
        self._processes: dict[int, _Process] = {}

    # -- the boundary -----------------------------------------------------------------------------

    @property
    def boundary(self) -> Boundary:
        """The boundary of this process, made and opened now if it was not yet.

        Raises:
            SettingError: what was given makes none.
            Exception: as the function does, or a resource that cannot be opened.
        """
        return self._here.opened()

    def close(self) -> None:
        """Close its resources, if this process has opened them."""
        self._here.close()

    async def aclose(self) -> None:
        """``close`` where resources are async."""
        await self._here.aclose()

    @property
    def _here(self) -> _Process:
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process(self._given))

    # -- messages ---------------------------------------------------------------------------------

    def read(self, message: str | bytes) -> Envelope:
        """Decode a message. The boundary is made before: with it comes what declares the intents.

        Args:
            message: as ``QueueDispatch.send`` was given it.

        Raises:
            UndeclaredHereError: its kind or version is not declared here, or the boundary cannot be made,
                which is logged: keep the message, and try again later.
            WireError: nobody will ever read it.
        """
        with _being_made():
            self._here.opened()
        return self._decoded(message)

    def deliver(self, envelope: Envelope, *, attempt: int = 1) -> Report:
        """Run the handler of what was read.

        Args:
            envelope: as ``read`` returned it.
            attempt: which try this is, from 1.

        Raises:
            UndeclaredHereError: it has no handler here: keep the message, and try again later.
            Exception: as ``boundary.deliver`` does.
        """
        with _being_made():
            boundary = self._here.opened()
        with _handled(envelope):
            if has_async(boundary) and not in_loop():
                return run(self._delivered(boundary, envelope, attempt))
            with fresh_connections():
                report = boundary.deliver(
                    envelope, attempt=attempt, on_flush_error=self._on_flush_error
                )
                boundary.park(report)
                return report

    def receive(self, message: str | bytes, *, attempt: int = 1) -> Report:
        """``read`` a message and ``deliver`` it.

        Raises:
            UndeclaredHereError: as either does.
            WireError: as ``read`` does.
            Exception: as ``deliver`` does.
        """
        return self.deliver(self.read(message), attempt=attempt)

    async def areceive(self, message: str | bytes, *, attempt: int = 1) -> Report:
        """``receive`` in an engine with an event loop."""
        with _being_made():
            boundary = await self._here.aopened()
        envelope = self._decoded(message)
        with _handled(envelope):
            async with afresh_connections():
                return await self._delivered(boundary, envelope, attempt)

    async def _delivered(self, boundary: Boundary, envelope: Envelope, attempt: int) -> Report:
        report = await boundary.adeliver(
            envelope, attempt=attempt, on_flush_error=self._on_flush_error
        )
        await boundary.apark(report)
        return report

    def _decoded(self, message: str | bytes) -> Envelope:
        try:
            return self._wire.decode(message)
        except WireError as error:
            if not error.unknown:
                raise
            problem = f"its {error.path.removeprefix('$.')} {error.problem}"
            raise UndeclaredHereError(_format_kind(error.kind, error.version), problem) from error


class _Process:
    """The boundary as one process has it."""

    def __init__(self, given: Boundary | Callable[[], Boundary] | str) -> None:
        self._given = given
        self._lock = RLock()
        self._boundary: Boundary | None = None
        self._open = False

    def opened(self) -> Boundary:
        if not self._open:
            with self._lock:
                if not self._open:
                    made = self._made()
                    if has_async(made):
                        run(made.__aenter__())
                    else:
                        made.__enter__()
                    self._open = True
        return self._made()

    async def aopened(self) -> Boundary:
        made = self._made()
        if not self._open:
            await made.__aenter__()  # by some tasks at once, perhaps: it is opened once
            self._open = True
        return made

    def close(self) -> None:
        if self._open:
            taken = self._taken()
            if has_async(taken):
                run(taken.__aexit__(None, None, None))
            else:
                taken.__exit__(None, None, None)

    async def aclose(self) -> None:
        if self._open:
            await self._taken().__aexit__(None, None, None)

    def _made(self) -> Boundary:
        if self._boundary is None:
            with self._lock:
                if self._boundary is None:
                    self._boundary = _made(self._given)
        return self._boundary

    def _taken(self) -> Boundary:
        with self._lock:
            boundary, self._boundary, self._open = self._made(), None, False
        return boundary


def _made(given: Boundary | Callable[[], Boundary] | str) -> Boundary:
    made: Any = resolve_name(given) if isinstance(given, str) else given
    if callable(made) and not isinstance(made, Boundary):
        made = made()
    if not isinstance(made, Boundary):
        raise _wrong(f"{describe(given)} gives {describe(made)}", "Let it return a Boundary")
    return made


@contextmanager
def _being_made() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever it is, no intent is to blame
        log.exception("the boundary of this worker cannot be made")
        problem = f"its boundary cannot be made: {type(error).__name__}: {error}".rstrip(".")
        raise UndeclaredHereError("a message", problem) from error


@contextmanager
def _handled(envelope: Envelope) -> Iterator[None]:
    try:
        yield
    except UnhandledIntentError as error:
        report = error.report
        if report is None or all(entry.id != envelope.id for entry in report):
            raise  # a handler's own
        problem = f"there is no handler for {', '.join(error.intents)}"
        raise UndeclaredHereError(_format_kind(envelope.kind, envelope.version), problem) from error


def _format_kind(kind: str | None, version: int | None) -> str:
    return f"{kind!r} version {version}"


_FORMS = "Give a Boundary, a function that makes it, or its import path, 'shop.effects:boundary'"


def _wrong(problem: str, hint: str) -> SettingError:
    return SettingError("Receiver", "boundary", problem, hint)
