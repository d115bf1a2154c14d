"""The fast way through a wave: handlers called one by one, with nothing around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import isawaitable
from typing import Any

from airlock.calls import close, forget
from airlock.context import here
from airlock.dispatch import Attempt
from airlock.effects.region import Region
from airlock.effects.registry import located
from airlock.effects.wave import Wave
from airlock.errors import AsyncHandlerError
from airlock.release import end_attempt, left_open
from airlock.settings import Underway
from airlock.wiring import Handler

__all__ = ["PlainRun"]


class PlainRun:
    """Calls handlers one by one, as fast as Python can. Sync only.

    Nothing happens per delivered intent but the call: which were delivered follows from how far
    the iterator got, and emissions find their cause the same way.
    """

    def __init__(self, flush: Underway, wave: Wave) -> None:
        self._wave = wave
        self._fail_fast = flush.fail_fast
        self._handlers = flush.resolved
        self._allowed = wave.allowed()
        run = wave.intents if self._allowed is None else [wave.intents[i] for i in self._allowed]
        # One class in the wave is the usual case, and needs no look-up per intent.
        classes = wave.classes
        self._only = flush.resolved[next(iter(classes))] if len(classes) == 1 and run else None
        self._count = len(run)
        self._iterator: Any = iter(run)
        self._attempt: Region | None = None

    def run(self) -> None:
        outer = here.get()
        sink = Sink("handler", scope=self._wave.root.scope, outer=outer)
        sink.running = self
        sink.seen = self._wave.seen
        here.set(sink)
        failed = dict[int, BaseException]()
        try:
            while not self._ended(sink, failed):
                pass
        finally:
            here.set(outer)
            sink.close("it has ended")
            self._end_attempt("it has ended")
            self._attempt = None
            self._note(failed)

    def _ended(self, sink: Sink, failed: dict[int, BaseException]) -> bool:
        """Call handlers until one fails; True if there is nothing more to call."""
        try:
            if self._only is not None:
                _call_only(self._only, self._iterator)
            else:
                _call_each(self._handlers, self._iterator)
        except BaseException as error:
            position = max(self._position(), 0)
            failed[position] = error
            self._forget_attempt(position, error)
            if not isinstance(error, Exception):
                self._wave.interrupted.add(position)
                raise
            here.set(sink)
            return self._fail_fast
        return True

    def __repr__(self) -> str:
        return "handler that started this"

    def region(self, sink: Region) -> Region:
        """Where the handler that is running emits."""
        position = self._position()
        attempt = self._attempt
        if attempt is None or attempt.cause != position:
            self._end_attempt("it has ended")
            attempt = self._attempt = Attempt(self._wave, (position,)).region(sink)
            self._wave.attempts.append(attempt)
        return attempt

    def _position(self) -> int:
        reached: int = self._count - self._iterator.__length_hint__() - 1
        return reached if self._allowed is None else self._allowed[reached]

    def _forget_attempt(self, position: int, error: BaseException) -> None:
        if self._attempt is not None and self._attempt.cause == position:
            self._attempt.close("it failed")
            forget(self._wave, self._attempt, error)

    def _end_attempt(self, why: str) -> None:
        attempt = self._attempt
        if attempt is None or attempt.is_closed:
            return
        attempt.close(why)
        open_still = left_open(attempt)
        if open_still is None:
            end_attempt(attempt)
        else:
            forget(self._wave, attempt, open_still)
            self._wave.fail(attempt.cause, open_still)

    def _note(self, failed: dict[int, BaseException]) -> None:
        reached = self._count - self._iterator.__length_hint__()
        end = reached
        if self._allowed is not None:
            end = self._allowed[reached - 1] + 1 if reached else 0
        self._wave.delivered_up_to(end)
        for position, error in failed.items():
            self._wave.fail(position, error)
            self._wave.tries[position] = 1

    async def arun(self) -> None:
        self.run()


def _call_only(handler: Handler, intents: Iterator[Any]) -> None:
    for intent in intents:
        if (result := handler(intent)) is not None and isawaitable(result):
            _refuse_awaitable(handler, intent, result)


def _call_each(handlers: Mapping[type[Any], Handler], intents: Iterator[Any]) -> None:
    for intent in intents:
        if (result := handlers[type(intent)](intent)) is not None and isawaitable(result):
            _refuse_awaitable(handlers[type(intent)], intent, result)


def _refuse_awaitable(handler: Handler, intent: Any, result: Any) -> None:
    close(result)
    raise AsyncHandlerError(located(handler), repr(intent))


class Sink(Region):
    """Current while plain handlers run: each that emits gets a region of its own."""

    __slots__ = ()

    def as_parent(self) -> Region:
        run: PlainRun = self.running
        return run.region(self)

    def append(self, intent: Any, /) -> None:
        self.as_parent().append(intent)

    def extend(self, intents: Any, /) -> None:
        self.as_parent().extend(intents)

    def put(self, intent: Any, options: Any) -> None:
        self.as_parent().put(intent, options)

    def __repr__(self) -> str:
        return f"<sink of {self.running!r}>"
