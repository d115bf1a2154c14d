"""Blocks that are regions: ``region`` in a scope, and what other blocks are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import takewhile
from types import TracebackType
from typing import Any, Literal

from airlock.effects.place import caller
from airlock.emissions.region import Region
from airlock.emissions.segments import end_block
from airlock.errors import EmittedInPolicyError, ScopeError, ScopeOrderError, ScopeStateError
from airlock.policies.policy import PolicyLike, seats
from airlock.scopes.current import (
    JUDGING,
    ScopelessRegion,
    guards_of,
    here,
    leave,
    outside,
    outwards,
)
from airlock.scopes.tasks import running_task

__all__ = ["ABANDONED", "RegionBlock", "abandon", "leave_block", "region"]


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
        ``GeneratorExit`` it means that the block is that of an abandoned generator.

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

    Its policies and overrides decide whether or by whom an intent is handled. What was emitted in it
    is kept, however it ends.

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
    """Put a stretch of the current scope under a policy of its own.

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
