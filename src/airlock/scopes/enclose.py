"""``enclose``: a policy around everything, and where it holds in scopes that were open before."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal

from airlock.effects.place import caller
from airlock.emissions.region import Region
from airlock.emissions.wave import chain
from airlock.policies.policy import PolicyLike, seats
from airlock.scopes.blocks import RegionBlock
from airlock.scopes.current import NOWHERE, guards_of, here, in_force, outside, outwards, shared

__all__ = ["enclose", "landed"]


def _land_in_scopes_around(enclosure: Region) -> None:
    """Give an enclosure a region in each scope that it is opened in, but for its own.

    So these scopes know that it is open, whoever asks.
    """
    own = None if enclosure.scope is None else enclosure.scope.outermost
    reached: dict[Any, Region] = {}
    for region in outwards(outside(enclosure)):
        if region.is_closed:
            continue
        around = {} if region.scope is None else {region.scope.outermost: region}
        if region.encloses and region.reached is not None:
            around = {**region.reached, **around}
        for scope, one in around.items():
            if scope is not own and scope not in reached:
                reached[scope] = landing(enclosure, one.as_parent())
        if region.encloses:
            break  # it reached what is further out when it was opened: their depth does not matter
    enclosure.reached = reached


def landed(enclosures: Sequence[Region], around: Region) -> Region:
    """Return the region that collects emissions made inside ``enclosures`` into a scope around them.

    Args:
        enclosures: the innermost first, opened after ``around``.
        around: the region of that scope.
    """
    for enclosure in reversed(enclosures):
        around = landing(enclosure, around.as_parent())
    return around


def unknown(region: Region, now: Region) -> list[Region]:
    """Return the enclosures in force that a region is not under, innermost first.

    Args:
        region: of what a handler runs for, or of a generator. It may have ended.
        now: the current region.
    """
    found = in_force(now)
    if not found:
        return found
    known = [policy for around in chain(region) for policy in around.enclosures]
    return in_force(now, known)


def landing(enclosure: Region, around: Region) -> Region:
    """Return the region of an enclosure below a region opened before it, for what is emitted there.

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
        _land_in_scopes_around(region)
        if self._shared:
            shared.append(region)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        region = self._block.region
        if region is not None and region in shared:
            shared.remove(region)
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
