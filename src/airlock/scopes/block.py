"""``Block``: a buffer that is entered, made current, and left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn, Self

from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.options import headers_of
from airlock.effects.place import caller
from airlock.emissions.buffer import EffectBuffer
from airlock.emissions.region import Region
from airlock.emissions.report import Report
from airlock.emissions.segments import decide_from_here, end_block
from airlock.emissions.wave import Wave, chain
from airlock.errors import (
    EmittedInPolicyError,
    ReleaseError,
    ScopeStateError,
)
from airlock.policies.policy import PolicyLike, seats
from airlock.release import Release
from airlock.scopes.current import (
    JUDGING,
    NOWHERE,
    guards_of,
    here,
    leave,
    outside,
    outwards,
    running_task,
)
from airlock.scopes.enclose import is_interrupt, landed, leave_block, process_policies, succeeded
from airlock.scopes.stages import (
    CAPTURED,
    CLOSED,
    FLUSHED,
    FLUSHING,
    NEW,
    OPEN,
    Flushes,
    Keep,
    is_release,
    unfit,
)

if TYPE_CHECKING:
    from airlock.observers import Observer

__all__ = ["Block"]

log = logging.getLogger("airlock")

UNOPENED = Region("scope")
"""Of every scope that has not been entered. It stays empty."""


class Block(EffectBuffer):
    """The block of a scope: it is entered and left. What becomes of it then is for ``Lifetime``."""

    __slots__ = (
        "__weakref__",
        "_arrival",
        "_captor",
        "_cause",
        "_fail_fast",
        "_headers",
        "_independent",
        "_keep",
        "_observers",
        "_over",
        "_policy",
        "_problems",
        "_report",
        "_task",
        "_watched",
        "_within",
        "closing",
        "engine",
        "failed_late",
        "inside",
        "release",
        "state",
        "work",
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
        observers: Iterable[Observer] = (),
        cause: Causation = NO_CAUSE,
        arrival: int | None = None,
    ) -> None:
        if release is not None and not is_release(release):
            raise unfit("release", release)
        if keep is not None and not callable(keep):
            raise unfit("keep", keep)
        if fail_fast not in (None, True, False):
            raise unfit("fail_fast", fail_fast)
        if cause is not NO_CAUSE and not isinstance(cause, Causation):
            raise unfit("cause", cause)
        self.region = UNOPENED
        self.engine = engine
        self.release = release
        self.state = NEW
        self._captor: Any = None  # the outermost scope, of a nested one
        self._policy = () if policy is None else seats(policy)
        self._independent = independent
        self._headers = headers_of(headers)
        self._keep = keep
        self._fail_fast = fail_fast
        self._observers = tuple(observers)
        self._watched = False
        self._over = 0  # so many regions right below it are over, see Scope._open_below
        self._cause = cause
        self._within: tuple[Wave, tuple[int, ...]] | None = None  # of the handler that opens it
        self._arrival = arrival
        self._problems: tuple[Exception, ...] = ()
        self._report: Report | None = None
        self._task: Any = None
        self.closing = False  # a generator of ``scoped`` that it is around is being closed
        # Told of an error of a flush that a commit set off after the block, in place of the log.
        self.failed_late: Callable[[Exception], None] | None = None
        # Made around the flush: a framework's context, in which handlers may use what it offers.
        self.inside: Callable[[], AbstractContextManager[object]] | None = None
        # Names the unit of work that a framework runs in it. Then nobody can flush it again.
        self.work: str | None = None

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
        passed: list[Region] = []
        around: tuple[PolicyLike, ...] = ()
        if now is not NOWHERE:
            enclosing, passed = self._surroundings(now)
            around = tuple(policy for enclosure in passed for policy in enclosure.enclosures)
        captured = enclosing is not None and not self._independent
        policies = self._policy
        if enclosing is None:
            policies += self.engine.policy
            around += process_policies(around)
        if captured and enclosing is not None:
            self._check_nested(enclosing)
            self._captor = enclosing.scope.outermost
            if passed:  # each encloses a part of that scope, this one included
                enclosing, around = landed(passed, enclosing), ()
        self._within = None if captured else handled(now)
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
            headers=self._headers,
            guards=guards_of((*policies, *around), "scope", place) if policies or around else (),
            segment=segment,
            capture=self.engine.capture,
            place=place,
        )
        if captured and enclosing is not None:
            enclosing.adopt(region)
        self.region = region
        self.state = OPEN
        self._task = running_task()
        here.set(region)
        return self

    def _check_nested(self, enclosing: Region) -> None:
        if self.release is not None and not may_bring_a_release(enclosing):
            raise _nested_release()
        if self._cause is not NO_CAUSE:
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
        if not is_release(release):
            raise unfit("release", release)
        if self.state is not OPEN:
            self._wrong(
                self.state.value,
                "Give it a release while its block runs; a handler opens a scope of its own for "
                "that: with boundary.scope(release=...).",
            )
        if self._captor is not None and not may_bring_a_release(self.region.up):
            raise _nested_release()
        if self.release is not None:
            raise ReleaseError(
                self.region.described(),
                "has a release already, and one decides",
                "Open a scope of its own for the other: boundary.scope(release=..., independent=True).",
            )
        self.release = release
        decide_from_here(self.region, release.segment)

    def observe(self, observer: Observer) -> None:
        """Tell an observer of this scope when it ends, beside those that it was opened with.

        Args:
            observer: is told even if nothing was emitted.
        """
        self._observers += (observer,)
        self._watched = True

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
        """``exit``, but a block that ends with inner scopes left open does not leave them current."""
        region = self.region
        if region.is_closed and self.state is OPEN:
            self._outlived(error)
            return
        usual = error is None and (self._keep is None or self._captor is None)
        usual = usual and self.state is OPEN
        same = self._task is None or self._task is running_task()
        if usual and same and here.get() is region:
            # The same as below, in a tenth of the time: bulk work closes many scopes.
            here.set(outside(region))
            region.close("its block has ended")
            self.state = CLOSED if self._captor is None else CAPTURED
            return
        self._must_be_open()
        order = leave_block(self.region, self._task, error)
        abandoned = order is not None and isinstance(error, GeneratorExit)
        self._closed(None if abandoned else error)
        if order is not None:
            raise order

    def _outlived(self, error: BaseException | None) -> None:
        """The scope around it has ended before it, and has closed it."""
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
        captured = self._captor is not None
        self.state = CAPTURED if captured else CLOSED
        try:
            kept = not captured or (self._keep or succeeded)(error)
        except BaseException as raised:
            end_block(self.region, raised)
            if not (is_interrupt(error) and isinstance(raised, Exception)):
                raise
            log.exception("%r left a block, and goes on; its keep hook failed", error)
            return
        end_block(self.region, None if kept else (error or "its keep hook"))

    def _must_be_open(self) -> None:
        if self.state is FLUSHING:
            self._wrong(self.state.value, "A handler cannot close the scope it runs in: return.")
        if self.state is not OPEN:
            self._wrong(self.state.value, "exit() leaves a scope that was entered, once.")

    def _wrong(self, problem: str, hint: str) -> NoReturn:
        raise ScopeStateError(self.region.described(), problem, hint)


def may_bring_a_release(around: Region | None) -> bool:
    """Return True for a nested scope that is the outermost one in a handler.

    An attempt of a handler is a unit of work, and its own transaction may decide about what it emits.
    """
    for region in chain(around):
        if region.running is not None:
            return True
        if region.kind == "scope" and region.scope.release is not None:
            return False
    return False


def handled(now: Region) -> tuple[Wave, tuple[int, ...]] | None:
    """Return what the handler runs for that runs here: a wave, and positions in it.

    None if no handler runs here, as in work that has outlived it, or only a dispatcher, which has
    the causes in its envelopes.
    """
    for region in outwards(now):
        if region.running is not None:
            if region.is_closed:
                return None
            found: tuple[Wave, tuple[int, ...]] | None = region.running.handled(region.cause)
            return found
    return None


def _nested_release() -> ReleaseError:
    return ReleaseError(
        "a nested scope",
        "was given a release, and releases belong to the outermost scope",
        "Give it to the outermost one, or open this one with independent=True.",
    )
