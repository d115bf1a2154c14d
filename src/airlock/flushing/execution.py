"""The calls of a wave, one after the other: what is called for each intent was composed before.

Nothing happens per delivered intent but the call. Which were delivered follows from how far the
iterator got; what a handler emits finds its cause the same way. A handler has a region once it
emits, and those of consecutive handlers share one where nobody can see the difference::

    Sink (current while handlers run) ──emit──► region of the attempt ──► follow-ups of the wave
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Iterator, Sequence
from inspect import isawaitable
from itertools import takewhile
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from airlock.dispatch import Recorder
from airlock.effects.options import NO_HEADERS
from airlock.effects.registry import located
from airlock.emissions.delivery import Delivery
from airlock.emissions.flat import Flat
from airlock.emissions.region import ClosedRegion, Region
from airlock.emissions.segments import begun, end_attempt, left_open, seals
from airlock.emissions.wave import Ledger, Outcome, Wave
from airlock.errors import (
    AsyncHandlerError,
    ClosedRegionError,
    DeferredError,
    HandlerCancelledError,
    OpenRegionsError,
    PartialFailure,
    ReleaseError,
    UnavailableError,
)
from airlock.handlers.providers import Handler
from airlock.handlers.results import RESULTS
from airlock.scopes.current import here, outwards, shared
from airlock.scopes.enclose import landing, unknown
from airlock.scopes.tasks import cancelling

if TYPE_CHECKING:
    from airlock.flushing.flush import Flush

__all__ = ["Calls", "Execution", "Steps", "close", "drive", "execute", "refuse"]

Steps = Generator[Awaitable[Any], Any, None]
"""Awaitables, in order; resumed with the result of each, or with its error."""


@attrs.frozen(eq=False, repr=False)
class Calls:
    """The calls of a wave, in order.

    Attributes:
        subjects: what each call is given: an intent, or the list of a batch.
        positions: of each call in the wave, that of its last member; None if the call at ``i`` is
            for the intent at ``i``.
        only: called for every subject; None if they differ.
        each: called for the subject at the same place; None if ``only`` is.
        handed: positions of what is handed over to an engine.
    """

    subjects: list[Any]
    positions: Sequence[int] | None
    only: Handler | None
    each: list[Handler] | None
    handed: Sequence[int] = ()


def execute(flush: Flush, wave: Wave, calls: Calls, *, awaits: bool) -> Steps:
    """Deliver a wave: one call after the other, or several at once if the boundary has ``concurrency``."""
    if awaits and flush.engine.concurrency > 1:
        yield _together(flush, wave, calls)
        return
    apart = flush.journal is not None
    steps = Execution(flush, wave, calls, awaits=awaits, apart=apart).steps()
    if awaits:
        yield drive(steps)  # here, so that no await goes through the generators of the flush
    else:
        yield from steps


async def drive(steps: Steps) -> None:
    """Await each step, and resume with what came of it."""
    error: BaseException | None = None
    result: Any = None
    while True:
        try:
            awaitable = steps.send(result) if error is None else steps.throw(error)
        except StopIteration:
            return
        error = result = None
        try:
            result = await awaitable
        except BaseException as raised:  # noqa: BLE001 - it is raised inside the generator
            error = raised


class Execution:
    """One run over some calls of a wave.

    Args:
        flush: of which this is a part.
        wave: of the intents.
        calls: what to call.
        awaits: whether handlers may be async.
        apart: note what became of each call before the next begins, and give each attempt a region
            of its own: for a journal, and where calls run at once.
    """

    def __init__(
        self, flush: Flush, wave: Wave, calls: Calls, *, awaits: bool, apart: bool
    ) -> None:
        self._flush = flush
        self._wave = wave
        self._calls = calls
        self._positions = calls.positions
        self._handed = frozenset(calls.handed)
        self._recorded = _recorded(flush, wave, calls.handed) if calls.handed else frozenset[int]()
        self._awaits = awaits
        self._apart = apart
        self._count = len(calls.subjects)
        self._iterator: Any = iter(calls.subjects)
        self._left: Callable[[], int] = self._iterator.__length_hint__  # type: ignore[attr-defined]  # as that of a list has it
        self._undone: set[int] = set()
        self._interrupted = False
        self._outer = here.get()
        self._enclosed: bool | None = None  # whether an enclosure is around the flush, if known
        self._sink = Sink(self)
        self._awaiting: Sink | None = None
        self._at = -1  # the position for whose attempt `_region` stands
        self._region: Region | None = None
        self._attempts: list[Region] = []
        # A home, the enclosures of the process, and the enclosures in force that it is not under.
        self._enclosing: tuple[Region, list[Region], list[Region]] | None = None
        self._cancelling = cancelling() if awaits else None

    def steps(self) -> Steps:
        """Call everything; yields what must be awaited."""
        here.set(self._sink)
        only, each = self._calls.only, self._calls.each
        try:
            if self._apart:
                yield from self._call_each(self._one_by_one())
            elif only is None:
                self._skip_down()
                yield from self._call_each(zip(self._iterator, each or (), strict=False))
            elif not (self._flush.down and self._flush.is_down(only)):
                yield from self._call_only(only)
        finally:
            here.set(self._outer)
            if self._count == 1:
                # A task that outlives the handler may ask here what it ran for: there is but one.
                self._sink.cause = self.position()
            self._sink.close("it has ended")
            if not self._apart:
                if self._region is not None:
                    self._end_attempt()
                self._note()

    # One class in a wave is the usual case, and saves a look-up for each intent. The bodies of the
    # two loops are the same.

    def _call_only(self, call: Handler) -> Steps:
        for subject in self._iterator:
            try:
                result = call(subject)
                if result is not None:
                    if type(result) is CoroutineType or isawaitable(result):
                        result = yield self._awaited(call, subject, result)
                        self._resumed()
                    if isinstance(result, RESULTS):
                        raise DeferredError(result)  # noqa: TRY301 - it ends the call as others do
            except BaseException as error:
                if self._failed(call, error):
                    if self._interrupted:
                        raise
                    return

    def _call_each(self, pairs: Iterable[tuple[Any, Handler]]) -> Steps:
        for subject, call in pairs:
            try:
                result = call(subject)
                if result is not None:
                    if type(result) is CoroutineType or isawaitable(result):
                        result = yield self._awaited(call, subject, result)
                        self._resumed()
                    if isinstance(result, RESULTS):
                        raise DeferredError(result)  # noqa: TRY301 - it ends the call as others do
            except BaseException as error:
                if self._failed(call, error):
                    if self._interrupted:
                        raise
                    return

    def _one_by_one(self) -> Iterator[tuple[Any, Handler]]:
        """Yield the calls; what became of each is noted before the next."""
        flush, wave = self._flush, self._wave
        only, each = self._calls.only, self._calls.each or ()
        for at, subject in enumerate(self._iterator):
            call = only or each[at]
            if flush.is_down(call):
                continue
            position = self.position()
            members = self._members(position)
            if flush.journal is not None:
                flush.journal.begin(wave, members)
            yield subject, call
            self._end_attempt()
            done = Outcome.HANDED_OVER if position in self._handed else Outcome.DELIVERED
            done = Outcome.RECORDED if position in self._recorded else done
            for member in members:
                if wave.outcomes[member] == Outcome.PENDING and member not in self._undone:
                    wave.outcomes[member] = done
            if flush.journal is not None:
                flush.journal.end(wave, members)
            if flush.fail_fast and wave.errors:
                return

    # -- awaiting ---------------------------------------------------------------------------------

    def _awaited(self, call: Handler, subject: Any, result: Any) -> Awaitable[Any]:
        """Make ready for the await of a handler, which has a sink of its own meanwhile.

        A task that it starts inherits that one, so that it cannot emit for the next handler.

        Raises:
            AsyncHandlerError: this flush is sync.
        """
        if not self._awaits:
            work = self._flush.works.get(type(self._wave.intents[self.position()]))
            refuse(call if work is None or work.handler is None else work.handler, subject, result)
        self._awaiting = Sink(self, self.position())
        here.set(self._awaiting)
        awaitable: Awaitable[Any] = result
        return awaitable

    def _resumed(self) -> None:
        """Go on after an await that ended well."""
        awaiting, self._awaiting = self._awaiting, None
        left_open = here.get() is not awaiting
        here.set(self._sink)
        if awaiting is not None:
            awaiting.close("it has ended")
            if left_open and self._at == self.position():
                self._check_finished()

    def again(self, error: BaseException) -> None:
        """Begin another attempt of the call that is under way, after an error."""
        position = self.position()
        self._discard_attempt(position, error)
        self._count_attempt(self._members(position))
        if self._awaiting is not None:
            self._awaiting.close("it failed")
            self._awaiting = Sink(self, position)
        here.set(self._sink if self._awaiting is None else self._awaiting)

    # -- what became of a call --------------------------------------------------------------------

    def _failed(self, call: Handler, error: BaseException) -> bool:
        """Note that a call failed; return True if nothing else may be called."""
        position = self.position()
        self._interrupted = interrupts(error, self._cancelling, awaits=self._awaits)
        if self._awaiting is not None:
            self._awaiting.close("it failed")
            self._awaiting = None
        here.set(self._sink)
        members = self._members(position)
        errors = self._errors(position, members, error)
        self._count_attempt(errors)
        if len(errors) == len(members):
            self._discard_attempt(position, error)
        if isinstance(error, UnavailableError) and self._unavailable(call, members, error):
            return call is self._calls.only  # then nothing else can be called
        for member, one in errors.items():
            self._wave.fail(member, one)
        if self._interrupted:
            self._wave.interrupted.update(members)
            return True
        return self._flush.fail_fast and not self._apart

    def _errors(
        self, position: int, members: Sequence[int], error: BaseException
    ) -> dict[int, BaseException]:
        """Return the error of each member that has one."""
        if isinstance(error, PartialFailure) and position in self._wave.batches:
            if error.errors and all(0 <= i < len(members) for i in error.errors):
                return {members[i]: one for i, one in error.errors.items()}
        elif not isinstance(error, Exception) and not self._interrupted:
            cancelled = HandlerCancelledError(f"the handler of {self._wave.intents[position]!r}")
            cancelled.__cause__ = error
            error = cancelled
        return dict.fromkeys(members, error)

    def _unavailable(self, call: Handler, members: Sequence[int], error: UnavailableError) -> bool:
        """Note that a call cannot reach where it sends; return True if its intents are pending.

        They failed where somebody else tries again: a journal, or the queue that they came from.
        """
        self._flush.down.append((call, error))
        self._skip_down()
        if self._flush.journal is not None or self._wave.arrived:
            return False
        self._undone.update(members)
        return True

    def _skip_down(self) -> None:
        """Have what is down skipped from here on."""
        each = self._calls.each
        if self._apart or each is None or not self._flush.down:
            return
        for at in range(self._count - self._left(), self._count):
            if self._flush.is_down(each[at]):
                each[at] = self._skip

    def _skip(self, _: Any) -> None:
        """Leave the call that is under way pending."""
        self._undone.update(self._members(self.position()))

    def _note(self) -> None:
        """Set the outcome of all that was called."""
        wave = self._wave
        reached = self._count - self._left()
        end = reached
        if self._positions is not None:
            end = self._positions[reached - 1] + 1 if reached else 0
        # Calls run in order, so all up to there were; what is otherwise is known by position.
        wave.delivered_up_to(end)
        for position in self._handed:
            if wave.outcomes[position] == Outcome.DELIVERED:
                recorded = position in self._recorded
                wave.outcomes[position] = Outcome.RECORDED if recorded else Outcome.HANDED_OVER
        for position in self._undone:
            wave.outcomes[position] = Outcome.PENDING
        if reached < self._count:
            # A batch is called at its last member: the others may stand before what was reached.
            for last, members in wave.batches.items():
                for member in members if last >= end else ():
                    wave.outcomes[member] = Outcome.PENDING

    # -- attempts ---------------------------------------------------------------------------------

    def position(self) -> int:
        """Return the position of the call that is under way; of a batch, that of its last member."""
        # The iterator of a list knows how much is left: nothing is counted for each intent.
        reached = self._count - self._left() - 1
        return reached if self._positions is None else self._positions[reached]

    def _members(self, position: int) -> Sequence[int]:
        return self._wave.batches.get(position, (position,))

    def deliveries(self, cause: int = -1) -> tuple[Delivery, ...]:
        """Return one delivery for each intent of a call.

        Args:
            cause: the position of the call; -1 for the one that is under way.
        """
        wave = self._wave
        position = self.position() if cause < 0 else cause
        if not wave.batches or position not in wave.batches:
            tries = wave.tries.get(position, 0) + 1
            return (Delivery(wave, position, tries, position not in self._handed),)
        inline = position not in self._handed
        return tuple(
            Delivery(wave, i, wave.tries.get(i, 0) + 1, inline) for i in wave.batches[position]
        )

    def handled(self, cause: int) -> tuple[Wave, tuple[int, ...]] | None:
        """Return the wave and the positions of the call at ``cause``, or of that under way.

        None if it is handed over: its envelope has the causes.
        """
        position = self.position() if cause < 0 else cause
        if position in self._handed:
            return None
        return self._wave, tuple(self._members(position))

    @property
    def under_way(self) -> tuple[Wave, Ledger]:
        """The wave that it runs, and what the policies of its flush have allowed."""
        return self._wave, self._flush.report.ledger

    def home(self, cause: int) -> Region:
        """Return the region of the intent at ``cause``, or of that whose handler is running."""
        return self._wave.home(max(self.position(), 0) if cause < 0 else cause)

    def described(self, cause: int) -> str:
        """Return the handler of the intent at ``cause`` in words, for messages."""
        if cause < 0:
            return "the handler that started this"
        return f"the handler of {self._wave.intents[cause]!r}"

    def target(self, sink: Sink, intent: Any = None) -> Region:
        """Return the region that collects what the handler that is running emits.

        Args:
            sink: into which it is emitted.
            intent: what is emitted, for the error; None for a region to be opened.

        Raises:
            ClosedRegionError: it runs no more: the next one does, or is awaited.
        """
        if self._awaiting is not None and sink is not self._awaiting:
            emitted = "anything" if intent is None else repr(intent)
            raise ClosedRegionError(emitted, sink.described(), "its handler has ended")
        position = self.position()
        if position != self._at or self._region is None:
            return self._begin_attempt(position)
        return self._region

    def parent(self, sink: Sink) -> Region:
        """Return ``target``, holding nothing but this attempt's: for the regions that it opens."""
        region = self.target(sink)
        starts = region.starts
        if len(starts) > 1:
            if starts[-1][0] == len(region):  # it has emitted nothing so far
                starts.pop()
                region.cause = starts[-1][1]
            region = self._begin_attempt(self._at, own=True)
        return region

    def _begin_attempt(self, position: int, *, own: bool = False) -> Region:
        wave, region = self._wave, self._region
        up = wave.home(position)
        if self._may_be_enclosed():
            up = self._below_enclosures(up)
        if region is None or own or not self._may_share(region, up):
            self._end_attempt(keep=own)
            region = Region(
                "handler",
                scope=wave.root.scope,
                up=up,
                outer=self._outer,
                segment=begun(wave.root.segment),
            )
            region.running = self
            region.seen = wave.seen
            region.starts = []
            wave.attempts.append(region)
            self._attempts.append(region)
        region.starts.append((len(region), position))
        region.cause = position
        self._at, self._region = position, region
        return region

    def _below_enclosures(self, home: Region) -> Region:
        """Return the region that emissions for a home go into: below the enclosures in force."""
        held = self._enclosing
        # They are looked up again where another enclosure may be in force. For each handler that
        # emits, it would cost as much as there are enclosures around the flush.
        same = held is not None and held[0] is home and held[1] == shared
        if held is None or not same or any(one.is_closed for one in held[2]):
            held = self._enclosing = home, [*shared], unknown(home, self._outer)
        region = home
        for enclosure in reversed(held[2]):
            region = landing(enclosure, region)
        return region

    def _may_be_enclosed(self) -> bool:
        """Return False if no enclosure can be in force: the usual case, and fast to tell."""
        if self._enclosed is None:
            self._enclosed = any(region.encloses for region in outwards(self._outer))
        return self._enclosed or bool(shared)

    def _may_share(self, region: Region, up: Region) -> bool:
        """Return True if consecutive attempts may emit into one region.

        Not where each must be closed by itself: a transaction may decide about it, its emissions
        are recorded with their positions, or it holds regions.
        """
        if self._apart or region.up is not up or region.children:
            return False
        return region.segment is None and not region.recorders

    def _end_attempt(self, *, keep: bool = False) -> None:
        """Close the region of the last attempts; fail the one that left something open."""
        region = self._region
        if region is None:
            return
        if not keep:
            unfinished = _unfinished(region)
            if unfinished is not None:
                members = self._members(region.cause)
                self._discard_attempt(region.cause, unfinished)
                self._count_attempt(members)
                for member in members:
                    self._wave.fail(member, unfinished)
            elif region.segment is not None or region.children:
                end_attempt(region)
            self._at, self._region = -1, None
        region.close("it has ended")

    def _check_finished(self) -> None:
        """Refuse the end of a handler that left a region open.

        Raises:
            OpenRegionsError: naming it.
        """
        unfinished = None if self._region is None else _unfinished(self._region)
        if unfinished is not None:
            raise unfinished

    def _count_attempt(self, members: Iterable[int]) -> None:
        for member in members:
            self._wave.tries[member] = self._wave.tries.get(member, 0) + 1

    def _discard_attempt(self, position: int, reason: object) -> None:
        """Discard what the attempt for an intent emitted, but for what it has committed itself."""
        if self._at != position:
            return
        wave, attempts = self._wave, self._attempts
        for region in list(takewhile(lambda one: one.cause == position, reversed(attempts))):
            if region.children and seals(region):
                for inner in Flat(region).open:
                    inner.close("its handler failed")
                end_attempt(region, reason)
                region.close("it failed")
            elif len(region.starts) == 1:
                _remove_last(attempts, region)
                _remove_last(wave.attempts, region)
                for inner in Flat(region).open if region.children else ():
                    inner.close("its handler failed", reason)
                wave.discard(region, reason)
                region.close("it failed")
            else:  # it is the end of a region that attempts share
                start, _ = region.starts.pop()
                region.cause = region.starts[-1][1]
                wave.cut_back(region, start, position, reason)
        more = bool(attempts) and not attempts[-1].is_closed
        self._at, self._region = -1, attempts[-1] if more else None


def _recorded(flush: Flush, wave: Wave, handed: Sequence[int]) -> frozenset[int]:
    """Return the positions, of those that are handed over, which a recorder takes."""
    recording = {cls for cls, work in flush.works.items() if isinstance(work.dispatch, Recorder)}
    return frozenset(at for at in handed if type(wave.intents[at]) in recording)


def _remove_last(attempts: list[Region], region: Region) -> None:
    """Remove a region that is at the end, or near it where calls run at once."""
    at = len(attempts) - 1
    while attempts[at] is not region:
        at -= 1
    del attempts[at]


def _unfinished(attempt: Region) -> OpenRegionsError | ReleaseError | None:
    """Return the error of a handler that leaves a region or a transaction of its own open."""
    if not attempt.children:
        return None
    still_open = tuple(region.described() for region in Flat(attempt).open)
    if still_open:
        return OpenRegionsError(attempt.described(), still_open)
    return left_open(attempt)


class _Bare(Region):
    """What is asked of the current region and is the same for every sink: none keeps it."""

    __slots__ = ()

    children: Any = None
    discarded: Any = None
    emissions: Any = None
    enclosures: Any = ()
    encloses: Any = False
    guards: Any = ()
    headers: Any = NO_HEADERS
    kind: Any = "handler"
    landings: Any = None
    options: Any = None
    outlet: Any = None
    overrides: Any = None
    place: Any = None
    policies: Any = ()
    recorded: Any = None
    recorders: Any = ()
    segment: Any = None
    stamps: Any = None


class Sink(_Bare):
    """Current while handlers run: passes what they emit on to the region of their attempt."""

    __slots__ = ()

    def __init__(self, running: Execution, cause: int = -1) -> None:
        # No more than differs: each async call has one.
        self.running = running
        self.cause = cause
        wave, self.outer = running._wave, running._outer  # noqa: SLF001 - a part of it
        self.scope = wave.root.scope
        self.seen = wave.seen

    @property
    def up(self) -> Region | None:  # type: ignore[override]  # seldom asked, and changes
        running: Execution = self.running
        return running.home(self.cause)

    def close(self, why: str, discarded: object = None) -> None:  # noqa: ARG002 - it holds nothing
        self.why = why
        self.__class__ = ClosedSink  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # a state
        self.up = None  # type: ignore[misc]  # a slot now, and no property

    def as_parent(self) -> Region:
        running: Execution = self.running
        return running.parent(self)

    def collecting(self) -> Region:
        running: Execution = self.running
        return running.target(self)

    def append(self, intent: Any, /) -> None:
        self.running.target(self, intent).append(intent)

    def extend(self, intents: Any, /) -> None:
        intents = list(intents)
        if intents:
            self.running.target(self, intents[0]).extend(intents)

    def put(self, intent: Any, options: Any) -> None:
        self.running.target(self, intent).put(intent, options)


class ClosedSink(_Bare, ClosedRegion):
    """A sink whose handlers have ended: it refuses."""

    __slots__ = ()


# -- several at once ------------------------------------------------------------------------------


async def _together(flush: Flush, wave: Wave, calls: Calls) -> None:
    """Start the calls in order, at most ``concurrency`` at once, one at a time per ordering key."""
    import asyncio  # noqa: PLC0415 - loaded only where asyncio runs

    lanes = iter(_lanes(wave, calls))

    async def work() -> None:
        for lane in lanes:
            if flush.fail_fast and wave.errors:
                return
            await drive(Execution(flush, wave, lane, awaits=True, apart=True).steps())

    try:
        async with asyncio.TaskGroup() as group:
            count = min(flush.engine.concurrency, len(calls.subjects))
            workers = [group.create_task(work()) for _ in range(count)]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # what ended it; the others were cancelled for that
    if any(worker.cancelled() for worker in workers):
        raise asyncio.CancelledError


def _lanes(wave: Wave, calls: Calls) -> list[Calls]:
    lanes: dict[Hashable, list[int]] = {}
    positions = range(len(calls.subjects)) if calls.positions is None else calls.positions
    for i, position in enumerate(positions):
        options = wave.options.get(position)
        key = options and options.ordering_key
        lanes.setdefault(i if key is None else (key,), []).append(i)
    return [
        Calls(
            [calls.subjects[i] for i in lane],
            [positions[i] for i in lane],
            calls.only,
            None if calls.each is None else [calls.each[i] for i in lane],
            calls.handed,
        )
        for lane in lanes.values()
    ]


# -- cancellation ---------------------------------------------------------------------------------


def interrupts(error: BaseException, before: int | None, *, awaits: bool) -> bool:
    """Return True if an error of a handler ends the flush.

    A cancellation does only if it is that of the task that flushes; of something that the handler
    awaits, it is the handler's error like any other. A group does if one of its errors does.

    Args:
        error: that was raised.
        before: what ``cancelling()`` was before.
        awaits: whether the flush is async; no cancellation reaches a sync one.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, BaseExceptionGroup):
        return any(interrupts(one, before, awaits=awaits) for one in error.exceptions)
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return True
    now = cancelling()
    return awaits and (now is None or before is None or now > before)


def refuse(handler: Handler, subject: Any, awaitable: Any) -> NoReturn:
    """Refuse what a handler returned to a sync flush.

    Raises:
        AsyncHandlerError: always.
    """
    close(awaitable)
    raise AsyncHandlerError(located(handler), repr(subject))


def close(awaitable: Any) -> None:
    """Close a coroutine that will not be awaited, so that Python does not warn of it."""
    if hasattr(awaitable, "close"):
        awaitable.close()
