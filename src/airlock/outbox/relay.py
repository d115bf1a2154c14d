"""``Relay``: delivers the rows of an outbox.

One flow, in threads: the loop claims rows, cuts them into chunks of one kind, and has each chunk
delivered and settled by a thread of a pool; one more thread renews the leases. Handlers that are
async run as tasks of the event loop that ``run`` was called in, and a thread waits for them.

::

    claim ──► chunk ──► deliver_all ──► settle: acknowledge with follow-ups | again | dead
      │         │            └ the worker ends: the lease expires, and the row is claimed alone
      │         └ stop: given back, as if it had not been claimed
      └ claimed too often without a result: dead
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import attrs

from airlock.boundary.boundary import Boundary
from airlock.dispatch import Dispatcher
from airlock.effects.registry import describe, spec_of, types_named
from airlock.emissions.delivery import ACKNOWLEDGE, Delivery
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome
from airlock.errors import AirlockError, LeaseLostError, SettingError, UnavailableError
from airlock.outbox import schema
from airlock.outbox.entry import Entry, New, Selection, State
from airlock.outbox.forwarding import Result, aforward, forward, forwarding, results_of
from airlock.outbox.health import Health
from airlock.outbox.metrics import Metrics
from airlock.outbox.nudges import nudged
from airlock.outbox.recording import RELAYING, Relaying
from airlock.outbox.schedule import Again, Bury, after_crashes, after_error
from airlock.outbox.store import Store
from airlock.wire.envelope import Envelope

if TYPE_CHECKING:
    from airlock.outbox.database import Cursor
    from airlock.outbox.outbox import Outbox

__all__ = ["Drained", "Relay"]

log = logging.getLogger("airlock.relay")

T = TypeVar("T")

LEASE = timedelta(seconds=30)
RENEW = timedelta(seconds=10)
POLL = timedelta(seconds=1)
ALONE = 1.0
"""Seconds that a row whose worker has died has for itself: what ends workers mostly does so at once."""
LIVELY = 0.5
"""Seconds that a chunk may take: as long does a stop wait for it, and another kind for its turn."""
OUTAGE = timedelta(seconds=5)
"""The pause while the broker that forwarded intents go to is down, which is no intent's fault."""


@attrs.frozen
class Drained:
    """The results of ``drain``.

    Attributes:
        delivered: how many intents were delivered.
        failed: how many attempts failed, and were scheduled again.
        dead: how many intents were given up.
    """

    delivered: int = 0
    failed: int = 0
    dead: int = 0

    def __add__(self, other: Drained) -> Drained:
        return Drained(
            self.delivered + other.delivered, self.failed + other.failed, self.dead + other.dead
        )


@attrs.define(eq=False)
class _Chunk:
    """Rows of one kind from one claim, that are delivered in one flush."""

    kind: str
    token: str
    entries: list[Entry]
    until: float  # by the monotonic clock, not before which nobody else may claim them
    suspect: bool = False
    claimed: float = attrs.field(factory=monotonic)
    started: float = 0.0
    lost: set[int] = attrs.field(factory=set)
    own: dict[UUID, int] = attrs.field(factory=dict)  # acknowledged by their handlers
    settling: bool = False

    @property
    def seqs(self) -> list[int]:
        return [entry.seq for entry in self.entries]


@attrs.define
class _Settlement:
    """The fates of the rows of a chunk, written in one transaction."""

    done: list[Entry] = attrs.field(factory=list)
    again: dict[int, Again] = attrs.field(factory=dict)
    dead: dict[int, Bury] = attrs.field(factory=dict)
    unstarted: list[int] = attrs.field(factory=list)
    follow_ups: list[tuple[UUID, New, Again | Bury | None]] = attrs.field(factory=list)
    errors: dict[int, BaseException] = attrs.field(factory=dict)


class Relay:
    """Delivers the rows of an outbox through a boundary, until it is stopped.

    Any number of relays may work on one PostgreSQL; one on a SQLite file.

    Args:
        outbox: has the rows.
        boundary: has the handlers.
        lease: how long a claimed row belongs to this relay, unless that is renewed.
        renew: how often to renew.
        batch: how many rows to claim at once.
        concurrency: how many chunks to deliver at once; within one, handlers run as the boundary's
            ``concurrency`` says.
        kinds: for a kind or an intent class, how many of the chunks at the most; by default all
            but one, so that a slow destination leaves one to the others.
        poll: how often to look for rows that nobody has announced.
        max_attempts: after how many tries a row is dead, unless its handler has a ``RetryPolicy``
            that says so.
        max_crashes: how many workers may end while they deliver a row, until it is dead.
        forward: hand rows over instead of handling them: to this dispatcher, or with True to the
            only one that the boundary dispatches to beside its outboxes.
        listen: wait for PostgreSQL's NOTIFY too, which an outbox with ``notify=True`` sends.
        worker: the name of this relay in the rows that it has claimed, host and process by default.
        health: path of a file to write each round, or a port of 127.0.0.1 to answer on.

    Raises:
        SettingError: a setting makes no sense, or the boundary has no handler for one of ``kinds``.

    Example:
        >>> from airlock.outbox import Outbox, Relay
        >>> Relay(Outbox("sqlite://"), boundary, concurrency=2)
        <Relay of queue 'default': concurrency 2, batch 100>
    """

    def __init__(
        self,
        outbox: Outbox,
        boundary: Boundary,
        *,
        lease: timedelta = LEASE,
        renew: timedelta = RENEW,
        batch: int = 100,
        concurrency: int = 4,
        kinds: Mapping[Any, int] | None = None,
        poll: timedelta = POLL,
        max_attempts: int = 12,
        max_crashes: int = 5,
        forward: bool | Dispatcher = False,
        listen: bool = False,
        worker: str | None = None,
        health: str | int | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(boundary, Boundary):
            raise _wrong(
                "boundary", f"is {describe(boundary)}", "Give the Boundary with the handlers"
            )
        numbers = {
            "batch": batch,
            "concurrency": concurrency,
            "max_attempts": max_attempts,
            "max_crashes": max_crashes,
        }
        for name, number in numbers.items():
            _check_number(name, number)
        for name, span in (("lease", lease), ("renew", renew), ("poll", poll)):
            if not isinstance(span, timedelta) or span <= timedelta(0):
                raise _wrong(name, f"is {span!r}", "Give a timedelta longer than 0")
        if lease < 2 * renew:
            raise _wrong(
                "lease",
                f"is {lease.total_seconds():g} s, and renewed every {renew.total_seconds():g} s: one "
                "late renewal, and another relay would deliver the same rows",
                "Give a lease of at least twice renew; three times is usual",
            )
        self.outbox = outbox
        self.boundary = boundary
        self.target = None if forward is False else forwarding(boundary, forward)
        self._limits = {} if kinds is None else _limits(boundary, kinds, handled=not forward)
        self._usual_limit = max(concurrency - 1, 1)
        self._lease, self._renew, self._poll = lease, renew, poll
        self._batch, self._concurrency = batch, concurrency
        self._max_attempts, self._max_crashes = max_attempts, max_crashes
        self._listen = listen
        self.worker = worker or f"{socket.gethostname()}:{os.getpid()}"
        self._store: Store = outbox.store
        patience = max(3 * poll.total_seconds(), lease.total_seconds())
        self.health = (
            None
            if health is None
            else Health(os.fspath(health) if not isinstance(health, int) else health, patience)
        )
        self._metrics = Metrics(self._store.queue)
        # The loop's own; others reach it through _events, which is safe in signal handlers too.
        self._events: SimpleQueue[_Chunk | None] = SimpleQueue()
        self._nudged = False
        self._stopping = False
        self._queue: deque[_Chunk] = deque()
        self._running: set[_Chunk] = set()
        self._sizes: dict[str, int] = {}
        self._looked = 0.0
        # Shared with the thread that renews.
        self._lock = threading.Lock()
        self._leased: set[_Chunk] = set()
        self._total = Drained()

    # -- running ----------------------------------------------------------------------------------

    def run_sync(self) -> None:
        """Deliver until ``stop`` is called. In the main thread, SIGTERM and SIGINT stop it too.

        Async handlers run in an event loop that this makes. The boundary's resources are not
        opened: do that around it.

        Raises:
            OutboxSchemaError: the tables are missing, or of another version.
        """
        with self.stopped_by_signals():
            if _has_async(self.boundary):
                asyncio.run(self.run())
            else:
                self._work(_Direct(self))

    async def run(self) -> None:
        """Deliver until ``stop`` is called or the task is cancelled; then finish what runs.

        Sync handlers of a boundary without async ones run in threads.

        Raises:
            OutboxSchemaError: the tables are missing, or of another version.
        """
        in_loop = _InLoop(self, asyncio.get_running_loop())
        work = asyncio.ensure_future(_in_thread(partial(self._work, in_loop)))
        cancelled: BaseException | None = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:  # as often as it comes: rows are given back
                cancelled = error
                self.stop()
        work.result()
        if cancelled is not None:
            raise cancelled

    def stop(self) -> None:
        """Claim no more, give back what has not started, finish what runs. Returns at once.

        May be called from any thread, and from a signal handler.
        """
        self._stopping = True
        self._events.put(None)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Call ``stop`` on SIGTERM and SIGINT; a second one does what it would do without this."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {}

        def stop(*_: object) -> None:
            restore()
            self.stop()

        def restore() -> None:
            while before:
                signal.signal(*before.popitem())

        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            restore()

    # -- the loop ---------------------------------------------------------------------------------

    def _work(self, io: _Direct) -> None:
        self._check_tables(io)
        with ExitStack() as stack:
            if self.health is not None:
                stack.enter_context(self.health.served())
            stack.enter_context(nudged(self.outbox.identity, self._nudge))
            if self._listen:
                from airlock.outbox.listening import listening  # noqa: PLC0415 - needs psycopg

                stack.enter_context(listening(self.outbox, self._nudge))
            stack.enter_context(self._renewing())
            pool = stack.enter_context(
                ThreadPoolExecutor(self._concurrency, thread_name_prefix="airlock-relay")
            )
            _log(logging.INFO, "started", worker=self.worker, queue=self._store.queue)
            try:
                self._rounds(io, pool)
            finally:
                self._give_back(io)
                while self._running:
                    self._wait(None)
                _log(logging.INFO, "stopped", worker=self.worker, **attrs.asdict(self._total))

    def _check_tables(self, io: _Direct) -> None:
        """Check them, once the database is reached."""
        while not self._stopping:
            try:
                return io.transact(schema.require)
            except AirlockError:
                raise
            except Exception as error:  # noqa: BLE001 - the database is away: it comes back
                _log(logging.WARNING, "start failed", exc_info=error)
            self._wait(self._poll.total_seconds())
        return None

    def _rounds(self, io: _Direct, pool: ThreadPoolExecutor) -> None:
        failures = 0
        while not self._stopping:
            try:
                more = self._claim(io)
                failures = 0
            except Exception as error:  # noqa: BLE001 - the database is away: it comes back
                more, failures = False, failures + 1
                _log(logging.WARNING, "claim failed", exc_info=error, tries=failures)
            self._start(io, pool)
            self._beat(ok=not failures)
            waits = self._poll.total_seconds() * (
                1 if failures < 2 else min(2 ** (failures - 1), 30)
            )
            self._wait(0 if more and self._free() > 0 else waits)

    def _free(self) -> int:
        """Return how many chunks could start now, beside those that wait for others of their kind."""
        busy = self._busy()
        waiting = sum(chunk.kind not in busy for chunk in self._queue)
        return self._concurrency - len(self._running) - waiting

    def _claim(self, io: _Direct) -> bool:
        """Claim what can start soon; return True if there may be more."""
        if self._free() <= 0 or self._is_alone():
            return False
        now = monotonic()
        looks = not any(chunk.suspect for chunk in (*self._running, *self._queue)) and (
            not self._running or now - self._looked >= ALONE
        )
        busy = self._busy()
        sizes = [size for kind, size in self._sizes.items() if kind not in busy]
        limit = min(self._batch, self._free() * max(sizes, default=1))
        entries, is_suspect = io.transact(partial(self._claimed, limit, busy, looks))
        if looks and not is_suspect:
            self._looked = now
        until = now + self._lease.total_seconds()
        for chunk in self._chunks(entries, until, suspect=is_suspect):
            self._enqueue(chunk)
        if entries:
            _log(logging.DEBUG, "claimed", count=len(entries), suspect=is_suspect)
        return is_suspect or len(entries) == limit

    def _claimed(
        self,
        limit: int,
        busy: Sequence[str],
        looks: bool,  # noqa: FBT001 - of a partial
        c: Cursor,
    ) -> tuple[list[Entry], bool]:
        if looks:
            suspect = self._store.claim_suspect(
                c, lease=self._lease, worker=self.worker, without=busy
            )
            if suspect is not None:
                return [suspect], True
        return (
            self._store.claim(c, limit=limit, lease=self._lease, worker=self.worker, without=busy),
            False,
        )

    def _busy(self) -> list[str]:
        """Return the kinds that have all the chunks that they may have."""
        chunks = Counter(chunk.kind for chunk in (*self._running, *self._queue))
        return [kind for kind, number in chunks.items() if number >= self._limit(kind)]

    def _limit(self, kind: str) -> int:
        return self._limits.get(kind, self._usual_limit)

    def _is_alone(self) -> bool:
        """Return True if a row that perhaps ends this worker has just started."""
        now = monotonic()
        return any(chunk.suspect and now - chunk.started < ALONE for chunk in self._running)

    def _chunks(self, entries: Sequence[Entry], until: float, *, suspect: bool) -> Iterator[_Chunk]:
        """Cut what was claimed into chunks, by kind, each as long as its kind allows."""
        by_kind: dict[str, list[Entry]] = {}
        for entry in entries:
            by_kind.setdefault(entry.kind, []).append(entry)
        for kind, of_kind in by_kind.items():
            size = self._sizes.setdefault(kind, 1)
            for at in range(0, len(of_kind), size):
                part = of_kind[at : at + size]
                yield _Chunk(kind, str(part[0].token), part, until, suspect)

    def _enqueue(self, chunk: _Chunk) -> None:
        if chunk.suspect:
            self._queue.appendleft(chunk)
        else:
            self._queue.append(chunk)
        with self._lock:
            self._leased.add(chunk)

    def _start(self, io: _Direct, pool: ThreadPoolExecutor) -> None:
        """Start the chunks in the queue that may run now."""
        if self._is_alone():
            return
        running = Counter(chunk.kind for chunk in self._running)
        for chunk in list(self._queue):
            if len(self._running) >= self._concurrency:
                return
            if chunk.suspect and self._running and monotonic() - chunk.claimed < ALONE:
                return
            if running[chunk.kind] >= self._limit(chunk.kind):
                continue
            self._queue.remove(chunk)
            self._running.add(chunk)
            running[chunk.kind] += 1
            chunk.started = monotonic()
            pool.submit(self._deliver, io, chunk)
            if chunk.suspect:
                return

    def _wait(self, timeout: float | None) -> None:
        """Wait for a nudge, the end of a chunk or a stop."""
        try:
            event = self._events.get(timeout=timeout) if timeout != 0 else self._events.get_nowait()
            self._nudged = False
            while True:
                if event is not None:
                    self._ended(event)
                event = self._events.get_nowait()
        except Empty:
            return

    def _nudge(self) -> None:
        if not self._nudged:  # one is enough, however many commit meanwhile
            self._nudged = True
            self._events.put(None)

    def _ended(self, chunk: _Chunk) -> None:
        self._running.discard(chunk)
        took = monotonic() - chunk.started
        size = self._sizes.get(chunk.kind, 1)
        if took > LIVELY:
            self._sizes[chunk.kind] = max(size // 10, 1)
        elif took * 10 <= LIVELY and len(chunk.entries) >= size:
            self._sizes[chunk.kind] = min(size * 10, self._batch)

    def _give_back(self, io: _Direct) -> None:
        while self._queue:
            chunk = self._queue.popleft()
            try:
                io.transact(partial(self._given_back, chunk))
            except Exception as error:  # noqa: BLE001 - the leases expire
                _log(logging.WARNING, "give back failed", exc_info=error, count=len(chunk.entries))
            self._forget(chunk)

    def _given_back(self, chunk: _Chunk, c: Cursor) -> None:
        self._store.give_back(c, chunk.token, chunk.seqs)

    def _forget(self, chunk: _Chunk) -> None:
        with self._lock:
            self._leased.discard(chunk)

    # -- leases -----------------------------------------------------------------------------------

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(
            target=self._keep_renewing, args=(ended,), name="airlock-renew", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _keep_renewing(self, ended: threading.Event) -> None:
        while not ended.wait(self._renew.total_seconds()):
            try:
                self.renew_leases()
                if self._metrics.wanted:
                    self._metrics.observe(self.outbox.database.run(self._store.status))
            except Exception as error:  # noqa: BLE001 - the database is away: it comes back
                _log(logging.WARNING, "renewal failed", exc_info=error)

    def renew_leases(self) -> None:
        """Renew the leases of all rows that were claimed and have no result yet."""
        with self._lock:
            chunks = [chunk for chunk in self._leased if not chunk.settling]
        if not chunks:
            return
        # What a handler has acknowledged is locked by its transaction: nobody is to wait for that.
        wanted = {
            chunk: [seq for seq in chunk.seqs if seq not in {*chunk.own.values(), *chunk.lost}]
            for chunk in chunks
        }
        now = monotonic()
        held = self.outbox.database.run(
            lambda c: {
                chunk: self._store.renew(c, chunk.token, seqs, self._lease)
                for chunk, seqs in wanted.items()
                if seqs
            }
        )
        for chunk, seqs in held.items():
            chunk.until = now + self._lease.total_seconds()
            lost = set(wanted[chunk]) - set(seqs) - set(chunk.own.values())
            if lost and not chunk.settling:
                chunk.lost |= lost
                _log_lost(chunk, lost)

    # -- one chunk --------------------------------------------------------------------------------

    def _deliver(self, io: _Direct, chunk: _Chunk) -> None:
        """Deliver a chunk and settle it; in a thread of the pool."""
        try:
            settlement = self._delivered(io, chunk)
            chunk.settling = True
            acknowledged = self._settled(io, chunk, settlement)
            self._note(chunk, settlement, acknowledged)
        except BaseException as error:  # noqa: BLE001 - nobody else would ever see it
            _log(logging.ERROR, "chunk failed", exc_info=error, kind=chunk.kind)
        finally:
            self._forget(chunk)
            self._events.put(chunk)

    def _delivered(self, io: _Direct, chunk: _Chunk) -> _Settlement:
        settlement = _Settlement()
        if monotonic() > chunk.until:  # this process stood still: the rows are somebody else's
            chunk.lost.update(chunk.seqs)
            _log_lost(chunk, chunk.lost)
        envelopes = list[Envelope]()
        entries = list[Entry]()
        for entry in chunk.entries:
            if entry.seq in chunk.lost:
                continue
            crashed = after_crashes(entry.claims, self._max_crashes, _place(entry))
            if crashed is not None:
                settlement.dead[entry.seq] = crashed
                continue
            try:
                envelopes.append(self.outbox.wire.decode(entry.envelope))
                entries.append(entry)
            except Exception as error:  # noqa: BLE001 - a WireError, or a cipher's
                self._failed(settlement, entry, error, self._max_attempts)
        if envelopes:
            recorded = Relaying(self.outbox)
            report = self._flushed(io, chunk, entries, envelopes, recorded)
            results = report if isinstance(report, list) else results_of(report)
            self._judge(settlement, entries, envelopes, results)
            if isinstance(report, Report):
                settlement.follow_ups = self._follow_ups(report, envelopes, recorded.collected)
        return settlement

    def _flushed(
        self,
        io: _Direct,
        chunk: _Chunk,
        entries: Sequence[Entry],
        envelopes: Sequence[Envelope],
        recorded: Relaying,
    ) -> Report | list[Result]:
        by_id = {envelope.id: entry for envelope, entry in zip(envelopes, entries, strict=True)}

        def acknowledge(id_: UUID, connection: object) -> None:
            self._acknowledge(chunk, by_id[id_], connection)

        relaying, acknowledging = RELAYING.set(recorded), ACKNOWLEDGE.set(acknowledge)
        try:
            return io.deliver(envelopes, [entry.attempts + 1 for entry in entries])
        finally:
            RELAYING.reset(relaying)
            ACKNOWLEDGE.reset(acknowledging)

    def _judge(
        self,
        settlement: _Settlement,
        entries: Sequence[Entry],
        envelopes: Sequence[Envelope],
        results: Sequence[Result],
    ) -> None:
        """Note what becomes of each row, by the outcome of its intent."""
        for entry, envelope, (outcome, error) in zip(entries, envelopes, results, strict=True):
            if error is not None:
                limit = self._attempts_of(type(envelope.intent))
                self._failed(settlement, entry, error, limit)
            elif outcome is Outcome.PENDING and self._stopping:
                settlement.unstarted.append(entry.seq)
            elif outcome is Outcome.PENDING:
                settlement.again[entry.seq] = Again(OUTAGE, None, burn=False)
            else:
                settlement.done.append(entry)

    def _failed(
        self, settlement: _Settlement, entry: Entry, error: BaseException, max_attempts: int
    ) -> None:
        settlement.errors[entry.seq] = error
        step = after_error(
            error, attempt=entry.attempts + 1, max_attempts=max_attempts, place=_place(entry)
        )
        if isinstance(error, UnavailableError) and self.target is not None:
            step = Again(OUTAGE, getattr(step, "failure", None), burn=False)
        if isinstance(step, Again):
            settlement.again[entry.seq] = step
        else:
            settlement.dead[entry.seq] = step

    def _attempts_of(self, cls: type[Any]) -> int:
        handlers = self.boundary.handlers
        binding = next((handlers[base] for base in cls.__mro__ if base in handlers), None)
        retry = None if binding is None else binding.retry
        return self._max_attempts if retry is None else retry.max_attempts

    def _follow_ups(
        self, report: Report, envelopes: Sequence[Envelope], recorded: Sequence[Any]
    ) -> list[tuple[UUID, New, Again | Bury | None]]:
        """Return what the handlers have emitted to the outbox, and inline follow-ups that failed."""
        roots = {envelope.id for envelope in envelopes}
        found: list[tuple[UUID, New, Again | Bury | None]] = [
            (_root(delivery, roots), self.outbox.new_of(delivery), None) for delivery in recorded
        ]
        for wave in report.waves[1:]:
            for at, outcome in enumerate(wave.outcomes):
                if outcome not in (Outcome.FAILED, Outcome.PENDING):
                    continue
                delivery = Delivery(wave, at, 1)
                error = wave.errors.get(at)
                step = (
                    None
                    if error is None
                    else after_error(error, attempt=1, max_attempts=self._max_attempts)
                )
                try:
                    new = self.outbox.new_of(delivery)
                except Exception:
                    log.exception("a follow-up failed, and cannot be stored: %r", delivery.intent)
                    continue
                found.append((_root(delivery, roots), new, step))
        return found

    # -- settling ---------------------------------------------------------------------------------

    def _settled(self, io: _Direct, chunk: _Chunk, settlement: _Settlement) -> set[int] | None:
        """Write the fates of a chunk's rows, and return which are acknowledged; None if nobody could."""
        wait = 0.1
        last = chunk.until + 10 * self._lease.total_seconds()
        while True:
            try:
                return io.transact(partial(self._write, chunk, settlement))
            except Exception as error:  # noqa: BLE001 - the effects have happened: try again
                _log(logging.WARNING, "settling failed", exc_info=error, kind=chunk.kind)
                if monotonic() > (chunk.until if self._stopping else last):
                    return None
            sleep(wait)
            wait = min(2 * wait, 5)

    def _write(self, chunk: _Chunk, settlement: _Settlement, c: Cursor) -> set[int]:
        """Write them. Each statement carries the token: rows that were lost stay as they are."""
        store, token = self._store, chunk.token
        own = set(chunk.own.values())
        done = {entry.seq: entry for entry in settlement.done}
        acknowledged = store.acknowledge(c, token, [seq for seq in done if seq not in own])
        again = {seq: (to.after, to.failure, to.burn) for seq, to in settlement.again.items()}
        # A handler's transaction that was rolled back has left the row, and the work is not done.
        by_handlers = [seq for seq in done if seq in own]
        left = store.renew(c, token, by_handlers, self._lease) if by_handlers else set()
        for seq in left:
            step = after_error(
                AirlockError(_ROLLED_BACK),
                attempt=done[seq].attempts + 1,
                max_attempts=self._max_attempts,
                place=_place(done[seq]),
            )
            if isinstance(step, Again):
                again[seq] = (step.after, step.failure, step.burn)
            else:
                settlement.dead[seq] = step
        acknowledged |= {seq for seq in by_handlers if seq not in left}
        if again:
            store.retry_at(c, token, [(seq, *to) for seq, to in again.items()])
        if settlement.dead:
            store.bury(c, token, [(seq, to.failure) for seq, to in settlement.dead.items()])
        if settlement.unstarted:
            store.give_back(c, token, settlement.unstarted)
        ids = {done[seq].id for seq in acknowledged}
        self._insert(c, [each for each in settlement.follow_ups if each[0] in ids])
        return acknowledged

    def _insert(self, c: Cursor, found: Sequence[tuple[UUID, New, Again | Bury | None]]) -> None:
        fresh = [new for _, new, step in found if step is None]
        if fresh:
            self._store.insert(c, fresh)
        for _, new, step in found:
            if isinstance(step, Again):
                later = attrs.evolve(new, delay=step.after)
                self._store.insert(c, [later], failures=[step.failure])
            elif isinstance(step, Bury):
                self._store.insert(c, [new], state=State.DEAD, failures=[step.failure])

    def _acknowledge(self, chunk: _Chunk, entry: Entry, connection: object) -> None:
        """Delete a row in a handler's own transaction."""
        from airlock.outbox.database import cursor_of, identity_of  # noqa: PLC0415 - loads SQLAlchemy

        if identity_of(connection) != self.outbox.identity:
            raise SettingError(
                "delivery().acknowledge",
                "session",
                f"is of {identity_of(connection)!r}, and the outbox is in {self.outbox.identity!r}",
                "Give a session of the outbox's database, or let the relay acknowledge",
            )
        chunk.own[entry.id] = entry.seq
        if entry.seq not in self._store.acknowledge(
            cursor_of(connection), chunk.token, [entry.seq]
        ):
            del chunk.own[entry.id]
            chunk.lost.add(entry.seq)
            raise LeaseLostError(entry.kind, str(entry.id))

    def _note(self, chunk: _Chunk, settlement: _Settlement, acknowledged: set[int] | None) -> None:
        """Log and count what became of a chunk."""
        kind, by_seq = chunk.kind, {entry.seq: entry for entry in chunk.entries}
        if acknowledged is None:
            _log(logging.ERROR, "not settled", kind=kind, count=len(chunk.entries))
            return
        lost = {entry.seq for entry in settlement.done} - acknowledged - chunk.lost
        lost -= set(settlement.again) | set(settlement.dead) | set(chunk.own.values())
        if lost:
            _log_lost(chunk, lost)
        failed = sum(step.burn for step in settlement.again.values())
        for seq, step in settlement.again.items():
            level = logging.WARNING if step.burn else logging.INFO
            fields = {"kind": kind, "id": str(by_seq[seq].id), "attempt": by_seq[seq].attempts + 1}
            seconds = round(step.after.total_seconds(), 3)
            error = settlement.errors.get(seq) if step.burn else None
            _log(
                level,
                "failed" if step.burn else "later",
                exc_info=error,
                again_in=seconds,
                **fields,
            )
        for seq, bury in settlement.dead.items():
            fields = {"kind": kind, "id": str(by_seq[seq].id), "attempt": by_seq[seq].attempts + 1}
            error = settlement.errors.get(seq)
            reason = f"{bury.failure.type}: {bury.failure.message}"
            _log(logging.ERROR, "dead", exc_info=error, reason=reason, **fields)
        if acknowledged:
            took = round(monotonic() - chunk.started, 4)
            _log(logging.DEBUG, "delivered", kind=kind, count=len(acknowledged), seconds=took)
        counts = Drained(len(acknowledged), failed, len(settlement.dead))
        with self._lock:
            self._total += counts
        for name, number in attrs.asdict(counts).items():
            self._metrics.count(name, kind, number)

    # -- watching ---------------------------------------------------------------------------------

    def _beat(self, *, ok: bool) -> None:
        if self.health is not None:
            facts = {
                "worker": self.worker,
                "queue": self._store.queue,
                "running": sum(len(chunk.entries) for chunk in self._running),
                **attrs.asdict(self._total),
            }
            self.health.beat(facts, ok=ok)

    def __repr__(self) -> str:
        return (
            f"<Relay of queue {self._store.queue!r}: concurrency {self._concurrency}, "
            f"batch {self._batch}>"
        )

    # -- draining ---------------------------------------------------------------------------------

    def drain(self, until: datetime | None = None) -> Drained:
        """Deliver all that is due, follow-ups too, and return; for tests.

        Everything runs in this thread, one chunk after the other.

        Args:
            until: deliver also what is due until then, each row at its time: the clock of the
                outbox is set forward from row to row.

        Raises:
            OutboxSchemaError: the tables are missing, or of another version.

        Example:
            >>> from airlock.outbox import Outbox
            >>> outbox = Outbox("sqlite://")
            >>> outbox.create()
            >>> outbox.drain(boundary).delivered
            0
        """
        if _has_async(self.boundary):
            return asyncio.run(self.adrain(until))
        return self._drain(_Direct(self), until)

    async def adrain(self, until: datetime | None = None) -> Drained:
        """Do what ``drain`` does, where handlers are async."""
        io = _InLoop(self, asyncio.get_running_loop())
        return await _in_thread(partial(self._drain, io, until))

    def _drain(self, io: _Direct, until: datetime | None) -> Drained:
        io.transact(schema.require)
        if until is not None and (not isinstance(until, datetime) or until.tzinfo is None):
            raise _wrong("until", f"is {until!r}", "Give a datetime with a time zone")
        usual, self._total = self._store, Drained()
        now = (usual.clock or _utc_now)()
        if until is not None:
            self._store = Store(usual.queue, on_duplicate=usual.on_duplicate, clock=lambda: now)
        try:
            while True:
                self._drain_due(io)
                following = None if until is None else io.transact(self._next_due)
                if until is None or following is None or following > until:
                    return self._total
                now = max(now, following)
        finally:
            self._store = usual

    def _drain_due(self, io: _Direct) -> None:
        while True:
            entries, is_suspect = io.transact(
                partial(self._claimed, self._batch, (), True)  # noqa: FBT003 - of a partial
            )
            if not entries:
                return
            until = monotonic() + self._lease.total_seconds()
            for chunk in self._chunks(entries, until, suspect=is_suspect):
                chunk.started = monotonic()
                chunk.until = chunk.started + self._lease.total_seconds()
                settlement = self._delivered(io, chunk)
                acknowledged = io.transact(partial(self._write, chunk, settlement))
                self._note(chunk, settlement, acknowledged)

    def _next_due(self, c: Cursor) -> datetime | None:
        rows = self._store.select(c, Selection(states=[State.PENDING]), limit=100_000, offset=0)
        return min((row.available_at for row in rows), default=None)


# -- how transactions and handlers run ------------------------------------------------------------


class _Direct:
    """Runs transactions and sync handlers in the thread that asks."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def transact(self, function: Callable[[Cursor], T]) -> T:
        """Run a function of a cursor in a transaction."""
        return self._relay.outbox.database.run(function)

    def deliver(
        self, envelopes: Sequence[Envelope], attempts: Sequence[int]
    ) -> Report | list[Result]:
        """Run the handlers of envelopes, or forward them."""
        target = self._relay.target
        if target is not None:
            return [forward(target, envelope) for envelope in envelopes]
        try:
            return self._relay.boundary.deliver_all(envelopes, attempts=attempts)
        except BaseException as error:  # noqa: BLE001 - a handler's, in a thread of the pool
            return _report_of(error)


class _InLoop(_Direct):
    """Runs async handlers, and the transactions of an async engine, in an event loop."""

    def __init__(self, relay: Relay, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(relay)
        self._loop = loop
        self._is_async = _has_async(relay.boundary) or relay.target is not None

    def transact(self, function: Callable[[Cursor], T]) -> T:
        return self._awaited(self._relay.outbox.database.arun(function))

    def deliver(
        self, envelopes: Sequence[Envelope], attempts: Sequence[int]
    ) -> Report | list[Result]:
        if not self._is_async:
            return super().deliver(envelopes, attempts)
        return self._awaited(self._adeliver(envelopes, attempts))

    async def _adeliver(
        self, envelopes: Sequence[Envelope], attempts: Sequence[int]
    ) -> Report | list[Result]:
        target = self._relay.target
        if target is not None:
            return [await aforward(target, envelope) for envelope in envelopes]
        try:
            return await self._relay.boundary.adeliver_all(envelopes, attempts=attempts)
        except BaseException as error:  # noqa: BLE001 - as above; the loop goes on
            return _report_of(error)

    def _awaited(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


def _has_async(boundary: Boundary) -> bool:
    return any(binding.awaited() for binding in boundary.handlers.values())


# -- results --------------------------------------------------------------------------------------


def _report_of(error: BaseException) -> Report:
    """Return the report of a flush that was interrupted."""
    report = getattr(error, "report", None)
    if not isinstance(report, Report):
        raise error
    return report


def _root(delivery: Delivery, roots: set[UUID]) -> UUID:
    """Return the id of the intent that arrived, and whose handling has led to a follow-up."""
    here: Delivery | None = delivery
    while here is not None and here.id not in roots:
        here = here.cause
    return delivery.id if here is None else here.id


def _place(entry: Entry) -> str:
    return "" if entry.error is None else entry.error.place


_ROLLED_BACK = (
    "its handler has acknowledged it in a transaction that was not committed: commit that, or raise "
    "the error that kept the handler from it."
)


# -- settings -------------------------------------------------------------------------------------


def _wrong(setting: str, problem: str, hint: str) -> SettingError:
    return SettingError("Relay", setting, problem, hint)


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(name, f"is {value!r}", "Give an int from 1")


def _limits(boundary: Boundary, kinds: Mapping[Any, int], *, handled: bool) -> dict[str, int]:
    """Return the limits by kind.

    Raises:
        SettingError: one is no number from 1, or of a kind that the boundary does not handle.
    """
    known = {spec_of(cls).kind for cls in boundary.handlers}
    limits = dict[str, int]()
    for key, limit in kinds.items():
        kind = key if isinstance(key, str) else spec_of(getattr(key, "intent_type", key)).kind
        _check_number(f"kinds[{kind!r}]", limit)
        classes = types_named(kind)
        if handled and kind not in known and not any(_handles(boundary, cls) for cls in classes):
            raise _wrong(
                "kinds",
                f"names {kind!r}, for which the boundary has no handler",
                "Give the boundary with its handler, or leave it out",
            )
        limits[kind] = limit
    return limits


def _handles(boundary: Boundary, cls: type[Any]) -> bool:
    return any(base in boundary.handlers for base in cls.__mro__)


# -- the log --------------------------------------------------------------------------------------


def _log(
    level: int, event: str, *, exc_info: BaseException | None = None, **fields: object
) -> None:
    """Log a line ``event name=value``, with the fields in ``record.airlock`` for structured logs."""
    if log.isEnabledFor(level):
        shown = "".join(f" {name}={value}" for name, value in fields.items())
        log.log(
            level,
            "%s%s",
            event,
            shown,
            exc_info=exc_info,
            extra={"airlock": {"event": event, **fields}},
        )


def _log_lost(chunk: _Chunk, seqs: set[int]) -> None:
    ids = ",".join(str(entry.id) for entry in chunk.entries if entry.seq in seqs)
    _log(logging.WARNING, "lease lost", kind=chunk.kind, count=len(seqs), ids=ids)


def _utc_now() -> datetime:
    return datetime.now(UTC)
