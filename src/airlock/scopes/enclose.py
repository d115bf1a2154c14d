"""Stretches of a program under one policy: ``region`` in a scope, ``enclose`` around everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from types import TracebackType
from typing import Any, Literal

from airlock.effects.place import caller
from airlock.emissions.region import Region
from airlock.emissions.segments import end_block
from airlock.emissions.wave import chain
from airlock.errors import EmittedInPolicyError, ScopeError, ScopeOrderError, ScopeStateError
from airlock.policies.policy import PolicyLike, seats
from airlock.scopes.current import (
    JUDGING,
    NOWHERE,
    ScopelessRegion,
    guards_of,
    here,
    in_force,
    leave,
    outside,
    outwards,
    running_task,
    shared,
)

__all__ = ["RegionBlock", "enclose", "landed", "region", "succeeded"]


def succeeded(error: BaseException | None) -> bool:
    """Whether a block ended well: without an exception, or by ``SystemExit`` with code 0."""
    return error is None or (isinstance(error, SystemExit) and error.code in (None, 0))


def is_interrupt(error: BaseException | None) -> bool:
    """Return True for Ctrl-C, a cancellation, the end of a generator, an exit that is no success."""
    return not (isinstance(error, Exception) or succeeded(error))


ABANDONED = "the end of the block around it"


def abandon(region: Region) -> None:
    """End a region that was left open in a block that has ended."""
    end_block(region, ABANDONED, f"{ABANDONED} closed it")


def leave_block(region: Region, owner: Any, error: BaseException | None) -> ScopeError | None:
    """Leave a region at the end of its block, even if regions inside were left open.

    Those are closed, and what they hold is thrown away unless a transaction decides about it, so
    that they do not stay current. But those in the block of an abandoned generator are its
    consumer's, and so may be what the block holds: it must be kept.

    Returns:
        The error to raise about them; None if there were none, or the block failed anyway. With a
        ``GeneratorExit`` it says that the block is that of an abandoned generator.

    Raises:
        ScopeOrderError: the region is not around the current one, or its task is still at work:
            this context is not ours to change.
    """
    try:
        leave(region, owner=owner)
    except ScopeOrderError as order:
        inside = list(takewhile(lambda inner: inner is not region, outwards(here.get())))
        if not inside or outside(inside[-1]) is not region:
            raise
        if _is_abandoned(region, error):
            inside[-1].outer = outside(region)
            return order
        for inner in inside:
            abandon(inner)
        here.set(outside(region))
        if error is None:
            return order
        error.add_note(str(order))
        return None
    if (region or region.children) and _is_abandoned(region, error):
        return ScopeStateError(
            region.described(),
            "was left by a plain generator that was abandoned, and what its consumer emitted in the "
            "meantime went into it",
            "All of it is kept. Leave the block before the yield, or decorate the generator with "
            "@boundary.scoped().",
        )
    return None


def _is_abandoned(region: Region, error: BaseException | None) -> bool:
    """Return True if a generator is closed whose block took what its consumer had a scope for.

    Generators of ``@boundary.scoped()`` have nothing current in their consumer.
    """
    if not isinstance(error, GeneratorExit) or outside(region).scope is None:
        return False
    scopes = (around.scope for around in outwards(region))
    return not any(scope is not None and scope.closing for scope in scopes)


class RegionBlock:
    """A ``with`` block that is a region: of the current scope, or around scopes to come.

    It says whether or by whom something is handled, and keeps what was emitted, however it ends.

    Args:
        kind: what it is called in messages.
        around: gives the region to open it in; None outside of scopes.
        policies: its policies.
        overrides: its overrides.
        encloses: whether its policies hold for every boundary.
        value: what ``as`` names.
    """

    def __init__(
        self,
        kind: str,
        around: Callable[[], Region | None],
        *,
        policies: tuple[PolicyLike, ...] = (),
        overrides: Mapping[type[Any], Any] | None = None,
        encloses: bool = False,
        value: Any = None,
    ) -> None:
        self._kind = kind
        self._around = around
        self._policies = policies
        self._overrides = overrides
        self._encloses = encloses
        self._value = value
        self.region: Region | None = None
        self._task: Any = None

    def __enter__(self) -> Any:
        self.open()
        return self._value

    def open(self) -> Region:
        """Open the region, and make it current."""
        if self.region is not None:
            raise ScopeStateError(
                self.region.described(), "was entered before", "Make a new one for each block."
            )
        now = here.get()
        if now is JUDGING:
            article = "an" if self._kind[0] in "aeiou" else "a"
            raise EmittedInPolicyError(f"open {article} {self._kind}")
        around = self._around()
        parent = None if around is None else around.as_parent()
        place = caller()
        made = (ScopelessRegion if parent is None else Region)(
            self._kind,
            scope=None if parent is None else parent.scope,
            up=parent,
            outer=now,
            policies=() if self._encloses else self._policies,
            enclosures=self._policies if self._encloses else (),
            overrides=self._overrides,
            guards=guards_of(self._policies, self._kind, place) if parent is not None else (),
            segment=None if parent is None else parent.segment,
            encloses=self._encloses,
            place=place,
        )
        if parent is not None:
            parent.adopt(made)
        self.region = made
        self._task = running_task()
        here.set(made)
        if self._encloses:
            _land_in_scopes_around(made)
        return made

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        made = self.region
        if made is not None:
            order = leave_block(made, self._task, error)
            for region in list((made.landings or {}).values()):
                region.close("its block has ended")
            made.close("its block has ended")
            if order is not None:
                raise order
        return False


def region(policy: PolicyLike) -> RegionBlock:
    """A stretch of the current scope under a policy of its own.

    Args:
        policy: judges what is emitted in the block, before the policies around it.

    Returns:
        A context manager (``with``, in async code too).

    Raises:
        NoScopeError: on entering, if no scope is open here.

    Example:
        >>> with boundary.scope() as effects:
        ...     with region(Drop(SendEmail)):
        ...         effects.emit(SendEmail("a@example.org"))
        >>> effects.report.counts[Outcome.DROPPED]
        1
    """
    return RegionBlock("region", here.get, policies=seats(policy))


def _land_in_scopes_around(enclosure: Region) -> None:
    """Give an enclosure a region in each scope that it is opened in, but for its own.

    So these scopes know that it is open, whoever asks.
    """
    own = enclosure.scope
    trees = set() if own is None else {own.outermost}
    passed: list[Region] = []
    for region in outwards(enclosure):
        if region.is_closed:
            continue
        if region.scope is not None and region.scope.outermost not in trees:
            trees.add(region.scope.outermost)
            landed(passed, region)
        if region.encloses:
            passed.append(region)


def landed(enclosures: Sequence[Region], around: Region) -> Region:
    """Where something goes that happens in ``enclosures``, and belongs to a scope around them.

    Args:
        enclosures: the innermost first, opened after ``around``.
        around: the region of that scope.
    """
    for enclosure in reversed(enclosures):
        around = landing(enclosure, around.as_parent())
    return around


def below_enclosures(region: Region, now: Region) -> Region:
    """Return the region that a handler's emissions go into: below the enclosures that are in force.

    Args:
        region: of what the handler runs for. It may have ended, and may know some of them.
        now: the current region.
    """
    for enclosure in reversed(unknown(region, now)):
        region = landing(enclosure, region)
    return region


def unknown(region: Region, now: Region) -> list[Region]:
    """Return the enclosures in force that a region is not under, innermost first."""
    found = in_force(now)
    if not found:
        return found
    known = [policy for around in chain(region) for policy in around.enclosures]
    return in_force(now, known)


def landing(enclosure: Region, around: Region) -> Region:
    """The region that an enclosure has below a region opened before it, for what is emitted there.

    It ends with the enclosure's block.
    """
    if enclosure.landings is None:
        enclosure.landings = {}
    region = enclosure.landings.get(around)
    if region is None:
        place = enclosure.place or caller()
        region = Region(
            enclosure.kind,
            scope=around.scope,
            up=around,
            enclosures=enclosure.enclosures,
            guards=guards_of(enclosure.enclosures, enclosure.kind, place),
            segment=around.segment,
            place=place,
        )
        if not around.is_closed:
            around.adopt(region)
        enclosure.landings[around] = region
    return region


class enclose:  # noqa: N801 - used like a function, `with airlock.enclose(...)`
    """Put a policy around everything in the block: every scope of every boundary.

    For tests, dry runs and bans. It is the outermost policy of each scope opened inside, and of
    whatever else is emitted inside: into a scope opened before, by handlers whatever set off their
    flush (a commit, ``report.resume()``), by generators. Where no scope is open, what it drops is
    dropped.

    Args:
        policy: what must hold.
        process: reach other threads too: every scope that opens or flushes while the block runs.

    Example:
        >>> with enclose(Drop()):
        ...     with boundary.scope() as effects:
        ...         effects.emit(NotifyWarehouse(42))
        >>> effects.report.delivered
        []
    """

    def __init__(self, policy: PolicyLike, *, process: bool = False) -> None:
        self.policies = seats(policy)
        self._shared = process
        self._block = RegionBlock(
            "enclosure", _current_scope_region, policies=self.policies, encloses=True
        )

    def __enter__(self) -> None:
        region = self._block.open()
        if self._shared:
            shared.append(region)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        if self._shared and self._block.region in shared:
            shared.remove(self._block.region)
        return self._block.__exit__(kind, error, trace)


def _current_scope_region() -> Region | None:
    now = here.get()
    return None if now.scope is None or now.is_closed else now


def process_policies(known: Sequence[PolicyLike]) -> tuple[PolicyLike, ...]:
    """Return the policies of the enclosures of the whole process, but for those that are known."""
    if not shared:
        return ()
    seen = set(map(id, known))
    around = in_force(NOWHERE, known)
    return tuple(p for one in around for p in one.enclosures if id(p) not in seen)


def is_shared(region: Region) -> bool:
    """Return True if a region has the policies of an enclosure of the whole process, no others."""
    return region.enclosures != () and any(region.enclosures is one.enclosures for one in shared)
