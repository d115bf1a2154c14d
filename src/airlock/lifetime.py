"""The life of a scope: entered, left, then flushed or discarded."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, Self, TypedDict, Unpack
from weakref import ref

from airlock.context import JUDGING, guards_of, here, leave, outside, outwards, running_task
from airlock.effects.buffer import EffectBuffer
from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.flat import Flat
from airlock.effects.options import headers_of
from airlock.effects.place import caller
from airlock.effects.policy import PolicyLike, seats
from airlock.effects.region import Region
from airlock.effects.report import Report
from airlock.effects.wave import Wave, chain
from airlock.enclosure import ABANDONED, landed, leave_block, process_policies, succeeded
from airlock.errors import (
    DeclarationError,
    EmittedInPolicyError,
    NoTransactionError,
    OpenRegionsError,
    ReleaseError,
    ScopeStateError,
)
from airlock.release import (
    Fate,
    Release,
    against,
    end_block,
    segments,
    stranded_only,
    stranding,
    throw_stranded,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airlock.plan.document import Plan
    from airlock.wire.codec import Wire

__all__ = ["Flushes", "How", "Keep", "Lifetime", "State"]

_WANTED = {
    "release": "give a Release, such as on_commit(connection)",
    "keep": "give a function of the block's exception, or None, that returns a bool",
    "fail_fast": "give True, False, or None for what the boundary says",
    "cause": "give the causation of an envelope",
}

log = logging.getLogger("airlock")

Keep = Callable[[BaseException | None], bool]
"""Decides whether what a block emitted is kept. Called with its exception, or None.

It is asked where no transaction decides.
"""


class How(TypedDict):
    """How a flush goes.

    Keys:
        refused: an error to raise at the end, whatever else happens.
        fail_fast: stop at the first failure; None for the boundary's default.
    """

    refused: Exception | None
    fail_fast: bool | None


class Flushes(Protocol):
    """What a scope needs of its boundary: an engine."""

    policy: tuple[PolicyLike, ...]

    def new_report(self) -> Report: ...
    def note_discarded(self, report: Report) -> None: ...
    def flush(self, report: Report, waves: list[Wave], **how: Unpack[How]) -> None: ...
    async def aflush(self, report: Report, waves: list[Wave], **how: Unpack[How]) -> None: ...
    def check_sync(self, intents: Iterable[Any]) -> None: ...
    def checked_overrides(self, overrides: Mapping[Any, Any]) -> Mapping[type[Any], Any]: ...
    def plan(
        self, report: Report, expires: datetime | timedelta | None, wire: Wire | None
    ) -> Plan: ...


class State(enum.Enum):
    """Where a scope is in its life."""

    NEW = "has not been entered"
    OPEN = "is open"
    CLOSED = "was left, and not flushed yet"
    WAITING = "waits for the end of its transaction"
    FLUSHING = "is being flushed"
    FLUSHED = "was flushed"
    DISCARDED = "was discarded"
    CAPTURED = "was left; its intents belong to the scope around it"


class Lifetime(EffectBuffer):
    """A buffer that is entered, left, and then flushed or discarded.

    ::

        NEW ─enter()─► OPEN ─exit()─► CLOSED ─flush()──► FLUSHING ─► FLUSHED
                         │              │ └─discard()─► DISCARDED
                         │              └─(its block ends inside its transaction)─► WAITING ─► ...
                         └─exit(), nested in a scope of the same boundary─► CAPTURED

    What is done when it ends: without a release its ``keep`` hook decides, and by default whether
    there was an exception. With one the transaction decides, now or when it ends.
    """

    __slots__ = (
        "__weakref__",
        "_captor",
        "_cause",
        "_fail_fast",
        "_headers",
        "_independent",
        "_keep",
        "_policy",
        "_report",
        "_task",
        "engine",
        "release",
        "state",
    )

    def __init__(
        self,
        engine: Flushes,
        *,
        policy: PolicyLike | None = None,
        release: Release | None = None,
        independent: bool = False,
        headers: Mapping[str, str] | None = None,
        keep: Keep | None = None,
        fail_fast: bool | None = None,
        cause: Causation = NO_CAUSE,
    ) -> None:
        for name, given, wrong in (
            ("release", release, release is not None and not hasattr(release, "segment")),
            ("keep", keep, keep is not None and not callable(keep)),
            ("fail_fast", fail_fast, fail_fast not in (None, True, False)),
            ("cause", cause, not isinstance(cause, Causation)),
        ):
            if wrong:
                raise DeclarationError(f"scope({name}={given!r}): {_WANTED[name]}.")
        self.region = Region("scope")
        self.engine = engine
        self.release = release
        self.state = State.NEW
        self._captor: Lifetime | None = None
        self._policy = () if policy is None else seats(policy)
        self._independent = independent
        self._headers = headers_of(headers)
        self._keep = keep
        self._fail_fast = fail_fast
        self._cause = cause
        self._report: Report | None = None
        self._task: Any = None

    @property
    def outermost(self) -> Lifetime:
        """The scope that delivers its intents: itself, or the one it is nested in."""
        return self if self._captor is None else self._captor

    @property
    def report(self) -> Report:
        """What became of every intent; that of the outermost scope, for a nested one.

        Raises:
            ScopeStateError: it was neither flushed nor discarded yet.
        """
        report = self._report if self._captor is None else self._captor.report
        if report is None:
            self._wrong("has no report yet", "It has one once its outermost scope is flushed.")
        return report

    def plan(
        self, *, expires: datetime | timedelta | None = None, wire: Wire | None = None
    ) -> Plan:
        """What policies hold of this scope, as a plan: to review, to store, to apply.

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
        if self._captor is not None:
            self._wrong(
                "is nested, and what it holds belongs to the scope around it",
                "Make the plan of the outermost one: scope.outermost.plan().",
            )
        return self.engine.plan(self.report, expires, wire)

    # -- the lifetime -----------------------------------------------------------------------------

    def enter(self) -> Self:
        """Open the scope and make it current.

        Raises:
            ScopeStateError: it was entered before.
            ReleaseError: a release on a nested scope.
            EmittedInPolicyError: called from a policy.
        """
        if self.state is not State.NEW:
            self._wrong("was entered before", "A scope is one unit of work: open a new one.")
        now = here.get()
        if now is JUDGING:
            raise EmittedInPolicyError("open a scope")
        enclosing, passed = self._surroundings(now)
        captured = enclosing is not None and not self._independent
        if captured:
            self._check_nested()
        policies = self._policy
        around = [policy for enclosure in passed for policy in enclosure.enclosures]
        if enclosing is None:
            policies += self.engine.policy
            around += process_policies(around)
        if captured and enclosing is not None:
            self._captor = enclosing.scope.outermost
            if passed:  # each encloses a part of that scope, this one included
                enclosing, around = landed(passed, enclosing), []
        segment: Callable[[], object] | None = None
        if self.release is not None:
            segment = self.release.segment
        if captured and enclosing is not None:
            segment = enclosing.segment
        place = caller()
        region = Region(
            "scope",
            scope=self,
            up=enclosing,
            outer=now,
            policies=policies,
            enclosures=tuple(around),
            headers=self._headers,
            guards=guards_of((*policies, *around), "scope", place),
            segment=segment,
            place=place,
        )
        if captured and enclosing is not None:
            enclosing.adopt(region)
        self.region = region
        self.state = State.OPEN
        self._task = running_task()
        here.set(region)
        return self

    def _check_nested(self) -> None:
        if self.release is not None:
            raise ReleaseError(
                "a nested scope",
                "was given a release, and releases belong to the outermost scope",
                "Give it to the outermost one, or open this one with independent=True.",
            )
        if self._cause is not NO_CAUSE:
            raise ScopeStateError(
                "a nested scope",
                "was given a cause, and its intents have that of the outermost scope",
                "Give it to the outermost one, or open this one with independent=True.",
            )

    def _surroundings(self, now: Region) -> tuple[Region | None, list[Region]]:
        """The nearest open region of the same boundary, and the enclosures on the way to it."""
        passed: list[Region] = []
        for region in outwards(now):
            if region.is_closed:
                continue
            if region.scope is not None and region.scope.engine is self.engine:
                return region.as_parent(), passed
            if region.encloses:
                passed.append(region)
        return None, passed

    def resuming(self, root: Region) -> None:
        """Stand for the scope of a region while its report is resumed, and no more after that."""
        self.region = root
        self.state = State.FLUSHED

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
        leave(self.region, owner=self._task)
        self._closed(error)

    def settle(self, error: BaseException | None = None) -> None:
        """Flush or discard, after ``exit``: what the end of a ``with`` block does.

        Without a release the ``keep`` hook decides, and by default whether there was an error.
        With one the transaction decides, now or when it ends.

        Raises:
            FlushError: some effects failed.
            NoTransactionError: some intents were emitted after the last transaction.
            WiringError: nothing ran, because of the wiring.
            PolicyError: nothing ran, because of a policy.
            OpenRegionsError: nothing ran, because a region below is still open.
        """
        if self._due(error):
            self.flush()

    async def asettle(self, error: BaseException | None = None) -> None:
        """``settle`` where handlers are async."""
        if self._due(error):
            await self.aflush()

    def flush(self) -> None:
        """Deliver what the policies allow. A nested scope has nothing of its own to deliver.

        Raises:
            Exception: as ``settle`` does.
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        waves, how = self._planned()
        try:
            if waves:
                self.engine.flush(self.report, waves, **how)
        finally:
            self._flushed()

    async def aflush(self) -> None:
        """``flush`` where handlers are async."""
        waves, how = self._planned()
        try:
            if waves:
                await self.engine.aflush(self.report, waves, **how)
        finally:
            self._flushed()

    def discard(self, reason: object = "discard()") -> None:
        """Throw away everything, after ``exit``.

        Args:
            reason: what decided it, for the report.

        Raises:
            ScopeStateError: it is open, or was flushed or discarded before.
        """
        captured = self.state is State.CAPTURED
        if captured and self.outermost.state not in (State.OPEN, State.CLOSED, State.WAITING):
            self._wrong("was flushed or discarded with the scope around it", "It is too late.")
        if not captured and self.state not in (State.CLOSED, State.WAITING):
            self._wrong(self.state.value, "Discard it after exit(), once.")
        for region in Flat(self.region).open:
            region.close("the scope around it was discarded")
        self.region.close("it was discarded", reason)
        self.state = State.DISCARDED
        if not captured:
            self._report = self.engine.new_report()
            self._report.thrown_away = Flat(self.region, keeps=against).discarded
            self.engine.note_discarded(self._report)

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        self._exit_block(error)
        if self.state is State.CLOSED:
            self.settle(error)
        return False

    async def __aenter__(self) -> Self:
        return self.enter()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        self._exit_block(error)
        await self.asettle(error)
        return False

    # -- ending -----------------------------------------------------------------------------------

    def _exit_block(self, error: BaseException | None) -> None:
        """``exit``, but a block that ends with inner scopes left open does not leave them current."""
        region = self.region
        usual = error is None and self._task is None and self._keep is None
        if usual and here.get() is region and self.state is State.OPEN:
            # The same as below, in a tenth of the time: bulk work closes many scopes.
            here.set(outside(region))
            region.close("its block has ended")
            self.state = State.CLOSED if self._captor is None else State.CAPTURED
            return
        self._must_be_open()
        order = leave_block(self.region, self._task, error)
        self._closed(error)
        if order is not None:
            raise order

    def _closed(self, error: BaseException | None) -> None:
        captured = self._captor is not None
        self.state = State.CAPTURED if captured else State.CLOSED
        try:
            kept = not captured or (self._keep or succeeded)(error)
        except BaseException as raised:
            end_block(self.region, raised)
            raise
        end_block(self.region, None if kept else (error or "its keep hook"))

    def _due(self, error: BaseException | None) -> bool:
        """Whether to flush now; otherwise it is discarded, waits, or is not ours to flush."""
        if self.state is not State.CLOSED:
            return False
        kept = (self._keep or succeeded)(error)
        if self.release is None:
            if not kept:
                self.discard(error or "its keep hook")
            return kept
        if not kept:
            throw_stranded(self.region, error or "its keep hook")
        unended = [s for s in segments(self.region) if s.fate is Fate.OPEN]
        if not unended:
            return True
        self.engine.check_sync(self)
        self.state = State.WAITING
        unended[0].transaction.when_ended(self._released)
        return False

    def _released(self) -> None:
        """Its transaction has ended, after its block."""
        try:
            self.flush()
        except Exception:
            if self.release is not None and self.release.on_flush_error == "raise":
                raise
            log.exception(
                "effects released by a commit failed; scope.report has them all, and "
                "report.resume() runs what is left"
            )

    def _planned(self) -> tuple[list[Wave], How]:
        """What to flush, and how; everything about the scope is checked."""
        how = How(refused=None, fail_fast=self._fail_fast)
        if self.state is State.CAPTURED:
            return [], how
        waits = self.state is State.WAITING
        if waits and any(s.fate is Fate.OPEN for s in segments(self.region)):
            self._wrong(self.state.value, "It is flushed by the commit.")
        if self.state is not State.CLOSED and not waits:
            self._wrong(self.state.value, "A scope is flushed once, after exit().")
        self.region.enclosures += tuple(process_policies(self.region.enclosures))
        flat = Flat(self.region, keeps=stranding)
        if flat.open:
            names = tuple(region.described() for region in flat.open)
            for region in flat.open:
                region.close(f"{ABANDONED} closed it", ABANDONED)
            raise OpenRegionsError(self.region.described(), names)
        above = [region for region in chain(self.region.up) if region.contextual]
        flat.spans += [(0, len(flat.intents), region) for region in above]
        self.state = State.FLUSHING
        report = self._report = self.engine.new_report()
        report.scope = ref(self)
        report.thrown_away = [(i, why) for i, why in flat.discarded if why is not Fate.WAITING]
        if len(report.thrown_away) < len(flat.discarded):
            rest = Flat(self.region, keeps=stranded_only)
            rest.spans += [(0, len(rest.intents), region) for region in above]
            stranded = self._wave(rest)
            report.waves.append(stranded)
            how["refused"] = self._stranded(len(stranded.intents))
        classes = None if flat.discarded else self.region.seen
        return [self._wave(flat, classes)], how

    def _wave(self, flat: Flat, classes: set[type[Any]] | None = None) -> Wave:
        wave = Wave(0, self.region, flat, classes=classes)
        wave.origin = self._cause
        return wave

    def _stranded(self, count: int) -> NoTransactionError:
        return NoTransactionError(
            self.region.described(),
            f"releases with a transaction, and {count} intent(s) were emitted with none: after the "
            "last commit, or without any",
            "Nothing will ever commit them or roll them back, so they were not delivered. Emit "
            "before the commit, or in a scope without release. They are pending in "
            "scope.report, and scope.report.resume() delivers them.",
            count,
        )

    def _flushed(self) -> None:
        if self.state is State.FLUSHING:
            self.state = State.FLUSHED
            if not self.region.children:
                # Nothing asks any more, and no reference cycle is left for the collector.
                self.region.scope = None

    def _must_be_open(self) -> None:
        if self.state is State.FLUSHING:
            self._wrong(self.state.value, "A handler cannot close the scope it runs in: return.")
        if self.state is not State.OPEN:
            self._wrong(self.state.value, "exit() leaves a scope that was entered, once.")
        if self.region.is_closed:
            self.state = State.CLOSED
            self._wrong("was closed with the scope around it", "Leave inner scopes first.")

    def _wrong(self, problem: str, hint: str) -> NoReturn:
        raise ScopeStateError(self.region.described(), problem, hint)
