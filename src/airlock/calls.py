"""A wave, call by call: batches, overrides, retries, interceptors, hand-over, concurrency."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from inspect import isawaitable
from operator import methodcaller
from typing import Any

from airlock.context import here
from airlock.dispatch import INLINE, Attempt, Delivery, Dispatcher
from airlock.effects.flat import Flat
from airlock.effects.region import Region
from airlock.effects.registry import located
from airlock.effects.wave import Outcome, Wave, chain
from airlock.errors import (
    AsyncHandlerError,
    OpenRegionsError,
    PartialFailure,
    UnavailableError,
    UnhandledIntentError,
)
from airlock.overrides import Next, overridden, override_of
from airlock.release import end_attempt, left_open, seals
from airlock.retry import RetryPolicy
from airlock.settings import Underway
from airlock.wiring import Handler

__all__ = ["Call", "WaveCalls", "calls_of", "close", "forget"]


class Call:
    """One call of a handler, for one intent or a batch, or one hand-over."""

    def __init__(
        self,
        flush: Underway,
        wave: Wave,
        positions: tuple[int, ...],
        handler: Handler,
        *,
        batch: bool = False,
        retry: RetryPolicy | None = None,
        to: Dispatcher | None = None,
    ) -> None:
        self.positions = positions
        self._flush = flush
        self._wave = wave
        self._handler = handler
        self._batch = batch
        self._retry = retry
        self._to = to  # where it is handed over; None if it runs here
        self._partial: Mapping[int, Exception] = {}
        self._stop: StopIteration | None = None

    def run(self) -> None:
        if self._to in self._flush.down:
            return  # and is pending
        with self._outcome():
            if self._retry is None:
                self._once()
            else:
                self._retry.call(self._once)

    async def arun(self) -> None:
        if self._to in self._flush.down:
            return
        with self._outcome():
            if self._retry is None:
                await self._aonce()
            else:
                await self._retry.acall(self._aonce)

    def _once(self) -> None:
        steps = self._attempt()
        for awaitable in steps:
            close(awaitable)
            steps.throw(AsyncHandlerError(located(self._handler), repr(self._subject())))
        if self._stop is not None:
            raise self._stop

    async def _aonce(self) -> None:
        steps = self._attempt()
        for awaitable in steps:
            try:
                await awaitable
            except BaseException as error:  # noqa: BLE001 - it is raised inside the generator
                with suppress(StopIteration):  # it made a partial failure of it
                    steps.throw(error)

    def _attempt(self) -> Generator[Any]:
        """One attempt, in a region of its own; yields what must be awaited."""
        wave = self._wave
        outer = here.get()
        attempt = Attempt(wave, self.positions, inline=self._to is None)
        region = attempt.region(outer)
        wave.tries.update(zip(self.positions, attempt.numbers, strict=True))
        here.set(region)
        error: BaseException | None = None
        self._stop = None
        observers = self._flush.settings.observers
        watched = attempt.deliveries() if observers.watch_attempts else ()
        try:
            for delivery in watched:
                observers.tell(methodcaller("started", delivery))
            result = self._intercepted()(self._subject())
            if result is not None and isawaitable(result):
                yield result
            _check_finished(region)
        except PartialFailure as partial:
            if not self._valid(partial):
                error = partial
                raise
            self._partial = partial.errors
        except StopIteration as stop:  # which cannot leave a generator: `_once` raises it
            error = self._stop = stop
        except BaseException as raised:
            error = raised
            raise
        finally:
            here.set(outer)
            if not region.is_closed:
                region.close("it has ended" if error is None else "it failed")
            if error is None:
                end_attempt(region)
                wave.attempts.append(region)
            else:
                forget(wave, region, error)
            for delivery in watched:
                observers.tell(methodcaller("ended", delivery, error))

    def _subject(self) -> Any:
        intents = [self._wave.intents[i] for i in self.positions]
        if self._to is not None:
            last = self.positions[-1]
            return Delivery(self._wave, last, self._wave.tries.get(last, 1))
        return intents if self._batch else intents[0]

    def _intercepted(self) -> Handler:
        handler = self._handler
        if self._to is None:
            for interceptor in reversed(self._flush.settings.interceptors):
                handler = Next(interceptor, handler)
        return handler

    def _valid(self, partial: PartialFailure) -> bool:
        size = len(self.positions)
        return self._batch and bool(partial.errors) and all(0 <= i < size for i in partial.errors)

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        """Note what became of the members."""
        journal = self._flush.journal
        if journal is not None:
            journal.begin(self._wave, self.positions)
        try:
            yield
        except BaseException as error:
            if isinstance(error, UnavailableError) and self._to is not None and journal is None:
                self._flush.down[self._to] = error
                return
            for position in self.positions:
                self._wave.fail(position, error)
            if not isinstance(error, Exception):
                self._wave.interrupted.update(self.positions)
                raise
        else:
            self._succeeded()
        if journal is not None:
            journal.end(self._wave, self.positions)

    def _succeeded(self) -> None:
        done = Outcome.DELIVERED if self._to is None else Outcome.HANDED_OVER
        for i, position in enumerate(self.positions):
            if i in self._partial:
                self._wave.fail(position, self._partial[i])
            else:
                self._wave.outcomes[position] = done


def _check_finished(attempt: Region) -> None:
    """Refuse a handler that returns with regions, or a transaction of its own, left open."""
    still_open = Flat(attempt).open if attempt.children else ()
    if still_open:
        raise OpenRegionsError(attempt.described(), tuple(r.described() for r in still_open))
    undecided = left_open(attempt) if attempt.children else None
    if undecided is not None:
        raise undecided


def forget(wave: Wave, attempt: Region, reason: object) -> None:
    """Throw away what a failed attempt emitted, but for what its own transaction has committed."""
    if seals(attempt):
        for region in Flat(attempt).open:
            region.close("its handler failed")
        end_attempt(attempt, reason)
        if attempt not in wave.attempts:
            wave.attempts.append(attempt)
        return
    wave.attempts = [other for other in wave.attempts if other is not attempt]
    for region in Flat(attempt).open:
        region.close("its handler failed", reason)
    wave.discard(attempt, reason)


def close(awaitable: Any) -> None:
    """Close a coroutine that will not be awaited, so that Python does not warn of it."""
    if hasattr(awaitable, "close"):
        awaitable.close()


# -- a wave of calls ------------------------------------------------------------------------------


class WaveCalls:
    """The calls of a wave, in order; in the async driver several at once, if the boundary says so."""

    def __init__(self, flush: Underway, wave: Wave, calls: list[Call]) -> None:
        self._flush = flush
        self._wave = wave
        self._calls = calls

    def run(self) -> None:
        for call in self._calls:
            call.run()
            if self._stopped():
                return

    async def arun(self) -> None:
        if self._flush.settings.concurrency > 1:
            await self._together()
            return
        for call in self._calls:
            await call.arun()
            if self._stopped():
                return

    async def _together(self) -> None:
        """Started in order, at most ``concurrency`` at once, one at a time per ordering key."""
        import asyncio  # noqa: PLC0415 - loaded only where asyncio runs

        lanes = iter(self._lanes())

        async def work() -> None:
            for lane in lanes:
                for call in lane:
                    if self._stopped():
                        return
                    await call.arun()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._flush.settings.concurrency, len(self._calls))):
                group.create_task(work())

    def _lanes(self) -> list[list[Call]]:
        lanes: dict[Hashable, list[Call]] = {}
        for call in self._calls:
            options = self._wave.options.get(call.positions[-1])
            key = options and options.ordering_key
            lanes.setdefault(id(call) if key is None else key, []).append(call)
        return list(lanes.values())

    def _stopped(self) -> bool:
        return self._flush.fail_fast and bool(self._wave.errors)


def calls_of(flush: Underway, wave: Wave) -> WaveCalls:
    """The calls that deliver what is allowed in a wave."""
    settings = flush.settings
    allowed = wave.allowed()
    positions = range(len(wave.intents)) if allowed is None else allowed
    chunks = _chunks(flush, wave, positions)
    calls: list[Call] = []
    for i in positions:
        cls = type(wave.intents[i])
        overrides = override_of(wave, i) if wave.overridden else []
        if overrides and overrides[0].call is None:
            wave.outcomes[i] = Outcome.DROPPED
            wave.deciders[i] = "override"
        elif overrides:
            calls.append(Call(flush, wave, (i,), overridden(overrides, _original(flush, cls))))
        elif i in chunks:
            if chunk := chunks[i]:
                binding = settings.binding(cls)
                wave.batches[i] = chunk
                retry = None if binding is None else binding.retry
                calls.append(Call(flush, wave, chunk, flush.resolved[cls], batch=True, retry=retry))
        elif (dispatch := settings.dispatch_in(wave, cls)) is not INLINE:
            calls.append(Call(flush, wave, (i,), dispatch.dispatch, to=dispatch))
        else:
            binding = settings.binding(cls)
            retry = None if binding is None else binding.retry
            calls.append(Call(flush, wave, (i,), flush.resolved[cls], retry=retry))
    return WaveCalls(flush, wave, calls)


def _original(flush: Underway, cls: type[Any]) -> Handler:
    """What an override may call on to."""
    handler, binding = flush.resolved.get(cls), flush.settings.binding(cls)
    if handler is None or binding is None:

        def missing(_: Any) -> object:
            raise UnhandledIntentError(
                (cls.__qualname__,), tuple(c.__qualname__ for c in flush.settings.handlers)
            )

        return missing
    return (lambda intent: handler([intent])) if binding.batch else handler


def _chunks(flush: Underway, wave: Wave, positions: Any) -> dict[int, tuple[int, ...]]:
    """Batches by the position of their last member; the other members have an empty one."""
    groups: dict[Hashable, list[int]] = {}
    for i in positions:
        cls = type(wave.intents[i])
        binding = flush.settings.binding(cls)
        inline = flush.settings.dispatch_in(wave, cls) is INLINE
        if binding is not None and binding.batch and inline and not override_of(wave, i):
            groups.setdefault((id(binding), _surroundings(wave, i)), []).append(i)
    chunks: dict[int, tuple[int, ...]] = {}
    for members in groups.values():
        binding = flush.settings.binding(type(wave.intents[members[0]]))
        size = (binding.size if binding else None) or len(members)
        for start in range(0, len(members), size):
            chunk = tuple(members[start : start + size])
            chunks.update(dict.fromkeys(chunk[:-1], ()))
            chunks[chunk[-1]] = chunk
    return chunks


def _surroundings(wave: Wave, position: int) -> Hashable:
    """What the members of a batch share: policies (equal ones count as one) and overrides."""
    if not wave.spans:
        return None
    around = [
        (tuple(map(_identity, (*r.policies, *r.enclosures))), id(r.overrides) if r.overrides else 0)
        for r in chain(wave.home(position))
    ]
    return tuple(shared for shared in around if any(shared))


def _identity(policy: object) -> Hashable:
    """The policy itself where it is a value, else its identity."""
    try:
        hash(policy)
    except TypeError:
        return id(policy)
    return policy
