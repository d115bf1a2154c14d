"""``Scope``: a buffer with policies and a lifetime, a unit of work."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

from airlock.effects.causation import NO_CAUSE
from airlock.effects.intent import Intent
from airlock.effects.options import Options
from airlock.effects.place import caller
from airlock.effects.registry import describe
from airlock.emissions.buffer import EffectBuffer, extend, put
from airlock.emissions.flat import Flat
from airlock.emissions.region import ClosedRegion, Mark, Region, is_over
from airlock.emissions.report import Report
from airlock.emissions.segments import (
    against as decided_against,
)
from airlock.emissions.segments import (
    decide_from_here,
    end_block,
    throw_undecided,
    unended,
    unrecorded,
)
from airlock.emissions.wave import Ledger, Recording, Wave, chain, holding
from airlock.errors import (
    DeclarationError,
    EmittedInPolicyError,
    NoScopeError,
    OpenElsewhereError,
    ReleaseError,
    ScopeStateError,
)
from airlock.policies.policy import PolicyLike
from airlock.release import Release
from airlock.scopes.blocks import RegionBlock, leave_block
from airlock.scopes.current import (
    JUDGING,
    NOWHERE,
    guards_of,
    here,
    leave,
    outside,
    outwards,
    region_here,
    shared,
)
from airlock.scopes.enclose import is_shared, landed, process_policies
from airlock.scopes.ending import FLUSH, Discard, Wait, decide, goes_on, is_interrupt, refusal
from airlock.scopes.opening import (
    ScopeOptions,
    check_release,
    handled,
    may_bring_a_release,
    nested_release,
    surroundings,
)
from airlock.scopes.tasks import running_task

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airlock.flushing.engine import Engine
    from airlock.observers import Observer
    from airlock.plan.document import Plan
    from airlock.wire.codec import Wire

__all__ = [
    "CAPTURED",
    "CLOSED",
    "DISCARDED",
    "FLUSHED",
    "FLUSHING",
    "NEW",
    "OPEN",
    "WAITING",
    "Scope",
    "State",
    "current",
]

log = logging.getLogger("airlock")

UNOPENED = Region("scope")
"""Region of every scope that has not been entered. It stays empty."""


class State(enum.Enum):
    """The states of a scope."""

    NEW = "has not been entered"
    OPEN = "is open"
    CLOSED = "was left, and not flushed yet"
    WAITING = "waits for the end of its transaction"
    FLUSHING = "is being flushed"
    FLUSHED = "was flushed"
    DISCARDED = "was discarded"
    CAPTURED = "was left; its intents belong to the scope around it"


# Before Python 3.12 the member of an enum takes a tenth of a microsecond to look up.
NEW, OPEN, CLOSED, WAITING, FLUSHING, FLUSHED, DISCARDED, CAPTURED = State


class Recordings:
    """What a scope has recorded before commits.

    Attributes:
        ledger: what policies have allowed so far.
        all: one for each transaction.
    """

    __slots__ = ("all", "ledger")

    def __init__(self) -> None:
        self.ledger: Ledger = {}
        self.all: list[Recording] = []

    def waves(self) -> list[Wave]:
        """Return those whose transactions were not rolled back after all."""
        return holding(self.all)


class Scope(EffectBuffer):
    """An ``EffectBuffer`` with policies and a lifetime. Made by ``boundary.scope(...)``.

    Use it as a context manager, sync or async. It is flushed when its block ends well and discarded
    when an exception leaves it; a nested scope of the same boundary hands its intents to the
    outermost instead. Frameworks may call ``enter``, ``exit`` and ``settle``, or ``flush`` and
    ``discard``, themselves::

        NEW ─enter()─► OPEN ─exit()─► CLOSED ─flush()──► FLUSHING ─► FLUSHED
                         │              │ └─discard()─► DISCARDED
                         │              └─(its block ends inside its transaction)─► WAITING ─► ...
                         └─exit(), nested in a scope of the same boundary─► CAPTURED

    What is done when it ends: without a release its ``keep`` hook decides, and by default whether
    there was an exception. With one the transaction decides, now or when it ends.
    """

    __slots__ = (
        "__weakref__",
        "_outermost",
        "_over",
        "_report",
        "_task",
        "_watched",
        "closing",
        "engine",
        "failed_late",
        "inside",
        "observers",
        "options",
        "problems",
        "recordings",
        "release",
        "state",
        "within",
        "work",
    )
    __hash__ = object.__hash__  # type: ignore[assignment]  # a unit of work, compared by content

    def __init__(self, engine: Engine, options: ScopeOptions) -> None:
        self.region = UNOPENED
        self.engine = engine
        self.options = options
        self.release = options.release
        self.observers = options.observers
        self.state = NEW
        # Errors that the flush raises at its end, whatever else happens.
        self.problems: tuple[Exception, ...] = ()
        # What was recorded before commits, with what policies have allowed in that.
        self.recordings: Recordings | None = None
        # The wave and the positions of what the handler runs for that opens it as one of its own.
        self.within: tuple[Wave, tuple[int, ...]] | None = None
        self._outermost: Scope | None = None  # of a nested one
        self._watched = False
        self._over = 0  # so many regions right below it are over, see _open_below
        self._report: Report | None = None
        self._task: Any = None
        self.closing = False  # a generator of ``scoped`` that it is around is being closed
        # Called with the error of a flush triggered by a late commit; logged if None.
        self.failed_late: Callable[[Exception], None] | None = None
        # Made around the flush: a framework's context, in which handlers may use what it offers.
        self.inside: Callable[[], AbstractContextManager[object]] | None = None
        # Names the unit of work that a framework runs in it. Then nobody can flush it again.
        self.work: str | None = None

    # -- entering ---------------------------------------------------------------------------------

    def enter(self) -> Self:
        """Open the scope and make it current.

        Raises:
            ScopeStateError: it was entered before.
            ReleaseError: a release on a nested scope.
            EmittedInPolicyError: called from a policy.
        """
        if self.state is not NEW:
            self._wrong("was entered before", "A scope is one unit of work: open a new one.")
        now = here.get()
        if now is JUDGING:
            raise EmittedInPolicyError("open a scope")
        enclosing: Region | None = None
        around: tuple[PolicyLike, ...] = ()
        if now is not NOWHERE:
            enclosing, around = self._nest(now)
        policies = self.options.policy
        if enclosing is None:  # else those of the boundary are around that scope already
            policies += self.engine.policy
            if shared:
                around += process_policies(around)
        captured = self._outermost is not None
        segment: Callable[[], object] | None = None
        if self.release is not None:
            segment = self.release.segment
        elif captured and enclosing is not None:
            segment = enclosing.segment
        place = self.work or caller()
        region = Region(
            "scope",
            scope=self,
            up=enclosing,
            outer=now,
            policies=policies,
            enclosures=around,
            headers=self.options.headers,
            guards=guards_of((*policies, *around), "scope", place) if policies or around else (),
            segment=segment,
            capture=self.engine.capture,
            outlet=self.engine.outlet,
            place=place,
        )
        if captured and enclosing is not None:
            enclosing.adopt(region)
        self.region = region
        self.state = OPEN
        self._task = running_task()
        here.set(region)
        return self

    def _nest(self, now: Region) -> tuple[Region | None, tuple[PolicyLike, ...]]:
        """Find the place of the scope: captured by another one, or on its own inside something.

        Returns:
            The region around it, and the policies of enclosures that are not around that one.
        """
        enclosing, passed = surroundings(self.engine, now)
        if enclosing is None or self.options.independent:
            self.within = handled(now)
            return enclosing, tuple(policy for one in passed for policy in one.enclosures)
        self._check_nested(enclosing)
        self._outermost = enclosing.scope.outermost
        # Each enclosure on the way encloses a part of that scope, this one included.
        return (landed(passed, enclosing) if passed else enclosing), ()

    def _check_nested(self, enclosing: Region) -> None:
        if self.release is not None and not may_bring_a_release(enclosing):
            raise nested_release()
        if self.options.cause is not NO_CAUSE:
            raise ScopeStateError(
                "a nested scope",
                "was given a cause, and its intents have that of the outermost scope",
                "Give it to the outermost one, or open this one with independent=True.",
            )

    def release_with(self, release: Release) -> None:
        """Let transactions decide from here on: for a session that is made inside the scope.

        What was emitted before stays with the block.

        Args:
            release: as for ``boundary.scope(release=...)``.

        Raises:
            ReleaseError: the scope has a release, or is nested.
            ScopeStateError: it is not open.
            DeclarationError: ``release`` is something else.

        Example:
            >>> from airlock.integrations.sqlite3 import connect, on_commit
            >>> with boundary.scope() as effects:
            ...     with connect(":memory:") as connection:
            ...         effects.release_with(on_commit(connection))
            ...         effects.emit(NotifyWarehouse(42))
            ...         _ = connection.execute("BEGIN")
            >>> effects.report
            <Report: 1 delivered>
            >>> connection.close()
        """
        check_release(release)
        if self.state is not OPEN:
            self._wrong(
                self.state.value,
                "Give it a release while its block runs; a handler opens a scope of its own for "
                "that: with boundary.scope(release=...).",
            )
        if self._outermost is not None and not may_bring_a_release(self.region.up):
            raise nested_release()
        if self.release is not None:
            raise ReleaseError(
                self.region.described(),
                "has a release already, and one decides",
                "Open a scope of its own for the other: boundary.scope(release=..., independent=True).",
            )
        self.release = release
        decide_from_here(self.region, release.segment)

    def observe(self, observer: Observer) -> None:
        """Call an observer when this scope ends, beside those that it was opened with.

        Args:
            observer: called even if nothing was emitted.
        """
        self.observers += (observer,)
        self._watched = True

    # -- leaving ----------------------------------------------------------------------------------

    def resuming(self, root: Region) -> None:
        """Own ``root`` while its report is resumed."""
        self.region = root
        self.state = FLUSHED

    def free(self) -> None:
        """Let it be left in another task than it was entered in."""
        self._task = None

    def exit(self, error: BaseException | None = None) -> None:
        """Leave the scope: nothing more can be emitted. A nested scope is captured thereby.

        Args:
            error: what the block raised; a nested scope is thrown away then.

        Raises:
            ScopeStateError: it is not open.
            ScopeOrderError: it is not the current one, or was entered in another task.
        """
        self._must_be_open()
        if self.region.is_closed:
            self._outlived(None)
        leave(self.region, owner=self._task)
        self._closed(error)

    def exit_block(self, error: BaseException | None) -> None:
        """Leave the scope as ``exit`` does, and do not let inner scopes left open stay current."""
        region = self.region
        if isinstance(region, ClosedRegion) and self.state is OPEN:
            self._outlived(error)
            return
        usual = error is None and (self.options.keep is None or self._outermost is None)
        usual = usual and self.state is OPEN
        same = self._task is None or self._task is running_task()
        if usual and same and here.get() is region:
            # The same as below, in a tenth of the time: bulk work closes many scopes.
            here.set(NOWHERE if region.outer is None else region.outer)
            region.close("its block has ended")
            self.state = CLOSED if self._outermost is None else CAPTURED
            return
        self._must_be_open()
        order = leave_block(self.region, self._task, error)
        # What the consumer of an abandoned generator emitted in the block is not the generator's.
        abandoned = order is not None and isinstance(error, GeneratorExit)
        self._closed(None if abandoned else error)
        if order is not None:
            raise order

    def _outlived(self, error: BaseException | None) -> None:
        """Refuse the end of a block whose scope was closed with the scope around it."""
        self.state = CAPTURED
        if here.get() is self.region:
            here.set(outside(self.region))
        late = ScopeStateError(
            self.region.described(),
            "was closed with the scope around it",
            "Leave inner scopes first: await the tasks that opened them.",
        )
        if error is None or isinstance(error, GeneratorExit):  # a generator that is closed too late
            raise late
        error.add_note(str(late))

    def _closed(self, error: BaseException | None) -> None:
        captured = self._outermost is not None
        self.state = CAPTURED if captured else CLOSED
        try:
            against = refusal(self.options.keep, error) if captured else None
        except BaseException as raised:
            end_block(self.region, raised)
            if not (is_interrupt(error) and isinstance(raised, Exception)):
                raise
            log.exception("%r left a block, and goes on; its keep hook failed", error)
            return
        end_block(self.region, against)

    def _must_be_open(self) -> None:
        if self.state is FLUSHING:
            self._wrong(self.state.value, "A handler cannot close the scope it runs in: return.")
        if self.state is not OPEN:
            self._wrong(self.state.value, "exit() leaves a scope that was entered, once.")

    def _wrong(self, problem: str, hint: str) -> NoReturn:
        raise ScopeStateError(self.region.described(), problem, hint)

    # -- ending -----------------------------------------------------------------------------------

    @property
    def outermost(self) -> Scope:
        """The scope that delivers its intents: itself, or the one it is nested in."""
        return self if self._outermost is None else self._outermost

    @property
    def report(self) -> Report:
        """The report of every intent; that of the outermost scope, for a nested one.

        Raises:
            ScopeStateError: it was neither flushed nor discarded yet.
        """
        report = self._report if self._outermost is None else self._outermost.report
        if report is None and self.state is FLUSHED:  # nothing was emitted
            report = self._report = self.engine.new_report()
        if report is None:
            self._wrong("has no report yet", "It has one once its outermost scope is flushed.")
        return report

    def plan(
        self, *, expires: datetime | timedelta | None = None, wire: Wire | None = None
    ) -> Plan:
        """Return what policies hold of this scope, as a plan: to review, to store, to apply.

        Args:
            expires: when the plan can no longer be applied, or how long from now; None for never.
            wire: writes the intents; one with a cipher, if any has a sensitive field.

        Raises:
            ScopeStateError: it was not flushed yet, or belongs to the scope around it.
            PlanError: an intent was emitted under an override, which no plan can hold.
            UnencodableError: an intent has no form on the wire.

        Example:
            >>> with boundary.scope(policy=Hold()) as effects:
            ...     effects.emit(NotifyWarehouse(42))
            >>> effects.plan().counts
            {'docstrings.notify-warehouse': 1}
        """
        if self._outermost is not None:
            self._wrong(
                "is nested, and what it holds belongs to the scope around it",
                "Make the plan of the outermost one: scope.outermost.plan().",
            )
        return self.engine.plan(self.report, expires, wire)

    def settle(self, error: BaseException | None = None) -> None:
        """Flush or discard, after ``exit``: what the end of a ``with`` block does.

        Without a release the ``keep`` hook decides, and by default whether there was an error.
        With one the transaction decides, now or when it ends. What goes wrong in that never takes
        the place of an interrupt that leaves the block (Ctrl-C, a cancellation): it is logged, and
        the report has it.

        Raises:
            FlushError: some effects failed.
            NoTransactionError: some intents were emitted after the last transaction.
            WiringError: nothing ran, because of the wiring.
            PolicyError: nothing ran, because of a policy.
            OpenRegionsError: a region below is still open, and nothing ran. (Where a commit or a
            framework sets it off, nobody can flush the scope again, and the rest was delivered.)
        """
        try:
            if self._due(error):
                self.flush()
        except Exception as failure:
            if not goes_on(error, failure):
                raise

    async def asettle(self, error: BaseException | None = None) -> None:
        """Do what ``settle`` does, where handlers are async."""
        try:
            if self._due(error):
                await self.aflush()
        except Exception as failure:
            if not goes_on(error, failure):
                raise

    def flush(self) -> None:
        """Deliver what the policies allow. A nested scope has nothing of its own to deliver.

        Raises:
            Exception: as ``settle`` does.
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        if self.state is not CAPTURED:
            self.engine.flush(self)

    async def aflush(self) -> None:
        """Do what ``flush`` does, where handlers are async."""
        if self.state is not CAPTURED:
            await self.engine.aflush(self)

    def check_flushable(self) -> None:
        """Refuse a flush that comes too early or too late.

        Raises:
            ScopeStateError: it does.
        """
        if self.state not in (CLOSED, WAITING):
            self._wrong(self.state.value, "A scope is flushed once, after exit().")
        if self.release is not None and unended(self.region):
            self._wrong(WAITING.value, "It is flushed by the commit.")

    def flushing(self, report: Report) -> None:
        """Begin a flush: from here on it cannot be flushed or discarded again."""
        self.state = FLUSHING
        self._report = report

    def flushed(self) -> None:
        """End a flush, however it went."""
        self.state = FLUSHED
        if not self.region.children:
            # Nothing asks any more, and no reference cycle is left for the collector.
            self.region.scope = None

    def discard(self, reason: object = "discard()") -> None:
        """Discard everything, after ``exit``.

        Args:
            reason: what decided it, for the report.

        Raises:
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        captured = self.state is CAPTURED
        if captured and self.outermost.state not in (OPEN, CLOSED, WAITING):
            self._wrong("was flushed or discarded with the scope around it", "It is too late.")
        if not captured and self.state not in (CLOSED, WAITING):
            self._wrong(self.state.value, "Discard it after exit(), once.")
        for region in Flat(self.region).open:
            region.close("the scope around it was discarded")
        self.region.close("it was discarded", reason)
        self.state = DISCARDED
        if not captured:
            self._report = self.engine.new_report()
            chooses = None
            if self.recordings is not None:
                chooses = unrecorded
                self._report.waves += self.recordings.waves()
            flat = Flat(self.region, keeps=decided_against, chooses=chooses)
            self._report.thrown_away = flat.discarded
            self.engine.note_discarded(self)

    __enter__ = enter

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        self.exit_block(error)
        if self.state is CLOSED:
            self.settle(error)
        return False

    async def __aenter__(self) -> Self:
        return self.enter()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        self.exit_block(error)
        await self.asettle(error)
        return False

    def _due(self, error: BaseException | None) -> bool:
        """Return True if it is to be flushed now; else discard it, or wait for a transaction."""
        if self.state is not CLOSED:
            return False
        region = self.region
        if error is None and not (region or region.children or self._watched):
            # Nothing was emitted, as in most requests: then no flush is reported.
            self.state = FLUSHED
            region.scope = None
            return False
        try:
            keep = self.options.keep
            against = refusal(keep, error) if keep is not None or error is not None else None
        except Exception as raised:
            if self.release is None:
                # Somebody who has the scope may still decide. Here nobody has it, or looks at it.
                if self.work is not None or is_interrupt(error):
                    self.discard(raised)
                raise
            # A transaction may have committed what was emitted in it, whatever the hook does.
            against, self.problems = raised, (raised,)
        if self.release is not None and against is not None:
            throw_undecided(self.region, against)
        ending = decide(self.region, against, transactional=self.release is not None)
        if isinstance(ending, Discard):
            self.discard(ending.why)
        elif isinstance(ending, Wait):
            if self.work is None:
                self.engine.check_sync(self)
            self.state = WAITING
            ending.segment.transaction.when_ended(self._released)
        return ending is FLUSH

    def _released(self) -> None:
        """Flush what waited for a transaction, which has ended after the block."""
        if self.state is not WAITING:  # it was discarded meanwhile
            return
        ending = decide(self.region, None, transactional=True)
        if isinstance(ending, Wait):
            ending.segment.transaction.when_ended(self._released)
            return
        try:
            self.flush()
        except Exception as error:
            raising = self.release is not None and self.release.on_flush_error == "raise"
            failed_late, self.failed_late = self.failed_late, None
            if failed_late is not None:
                failed_late(error)
            elif not raising:
                self.engine.park_rest(self._report)
                log.exception(
                    "effects released by a commit failed; scope.report has them all, and "
                    "report.resume() runs what is left"
                )
            if raising:
                raise

    # -- emitting and reading ---------------------------------------------------------------------

    def emit(self, intent: Intent, /, options: Options | None = None) -> None:
        """Emit into the innermost region of this scope that is current here, or the scope itself.

        Raises:
            ScopeStateError: the scope has not been entered.
            OpenElsewhereError: nothing of the scope is current here (in a plain thread), while a
                region, nested scope, override or enclosure is open in it elsewhere.
            EmissionError: as ``airlock.emit`` does.
        """
        region = region_here()
        if region.scope is not self:
            put(self._target("emit {!r}", intent), intent, options)
        elif options is not None or type(intent) not in region.seen:
            put(region, intent, options)
        else:
            region.append(intent)

    if not TYPE_CHECKING:  # type checkers refuse the call by themselves

        def __call__(self, *args: object, **_: object) -> NoReturn:
            """Refuse to be a decorator: one scope is one unit of work."""
            what = describe(args[0]) if args else "it"
            raise DeclarationError(
                f"boundary.scope() is a block, `with boundary.scope() as effects: ...`, and {what} is "
                "decorated with it or called on it: one scope is entered once. Decorate with "
                "@boundary.scoped(), which opens a scope around each call."
            )

    def emit_all(self, intents: Iterable[Intent], /) -> None:
        """Emit several, after checking all of them; those of a buffer keep their options."""
        extend(self._target("emit intents"), intents)

    def flat(self, *, since: Mark | None = None) -> Flat:
        """Return the scope as one sequence, without what was discarded or rolled back."""
        return Flat(self.region, since=since, keeps=decided_against)

    @property
    def own(self) -> list[Any]:
        """The intents emitted in this scope itself, in its regions too."""
        return list(Flat(self.region, keeps=decided_against, belongs=self._is_own).intents)

    @property
    def captured(self) -> list[Any]:
        """The intents that nested scopes handed to this one."""
        flat = Flat(self.region, keeps=decided_against, belongs=lambda r: not self._is_own(r))
        return list(flat.intents)

    def override(self, handlers: Mapping[Any, Any]) -> RegionBlock:
        """Open a region of this scope in which other handlers replace those of the boundary.

        They hold for what is emitted in the block, follow-ups included, however late it runs.

        Args:
            handlers: by intent class, effect function or base class: a handler, one that takes
                ``(intent, call_next)`` and may call on to what it replaces, or None to drop it.

        Example:
            >>> with boundary.scope() as effects, effects.override({NotifyWarehouse: None}):
            ...     effects.emit(NotifyWarehouse(42))
        """
        overrides = self.engine.checked_overrides(handlers)
        around = partial(self._target, "open an override")
        return RegionBlock("override", around, overrides=overrides, value=self)

    def _target(self, what: str, intent: object = None) -> Region:
        """Return the region that an emission through this scope goes to.

        It is the innermost region of this scope that is current here, below the enclosures that
        were opened after it. A nested scope that has ended takes nothing more, in handlers
        either: they emit for the outermost scope.
        """
        if self.state is State.NEW:
            self._wrong(State.NEW.value, "Emit inside its block: `with scope: ...`.")
        now = here.get()
        if now is JUDGING:
            return now
        if self.region.is_closed and self._outermost is not None:
            return self.region
        passed: list[Region] = []
        for region in outwards(now):
            if region.scope is not None and self._holds(region):
                return landed(passed, region) if passed and not region.is_closed else region
            if region.encloses and not region.is_closed:
                passed.append(region)
        return self._from_elsewhere(what, intent)

    def _from_elsewhere(self, what: str, intent: object) -> Region:
        """Return the region for an emission from where nothing of this scope is current.

        Enclosures of the whole process hold there as well. Whether others do, nobody can know.

        Raises:
            OpenElsewhereError: a region that is open in this scope may be meant to hold.
        """
        target = self.region
        if target.is_closed:
            return target
        while opened := self._open_below(target):
            target = opened[0]
            if len(opened) > 1 or not is_shared(target):
                raise OpenElsewhereError(
                    what.format(intent), self.region.described(), target.described()
                )
        return target

    def _open_below(self, region: Region) -> list[Region]:
        """Return the open regions right below one, in the order in which they opened."""
        children = region.children or ()
        first = 0
        if region is self.region:  # what is over stays so, and is looked at once
            while self._over < len(children) and is_over(children[self._over][1]):
                self._over += 1
            first = self._over
        return [child for _, child in children[first:] if not is_over(child)]

    def _is_own(self, region: Region) -> bool:
        return region is self.region or region.scope is self

    def _holds(self, region: Region) -> bool:
        """Return True if a region's intents are part of this scope."""
        return region.scope is self or (
            region.scope.outermost is self.outermost and self.region in chain(region)
        )


def current() -> Scope:
    """Return the innermost open scope of this thread or task.

    Raises:
        NoScopeError: there is none.
    """
    scope: Scope | None = here.get().scope
    if scope is None:
        raise NoScopeError("there is no current scope")
    return scope
