"""Regions: stretches of a buffer under one policy, kept as a tree of lists.

A region *is* the list of its own intents; a child remembers where it opened. The tree is flattened
once, when the buffer is read or flushed. What may be done with a region depends on its state, and
each state is a class, so that appending tests no flag::

    Region ──────┐
                 ├──► ClosedRegion        (its block ended)
    GuardedRegion┘
        a policy refuses at the emit site, a transaction must be noted, emissions are recorded, or
        what is ambient is captured
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from airlock.effects.options import NO_HEADERS, Options
from airlock.effects.place import Place, caller, opened
from airlock.emissions.emission import Emission
from airlock.errors import ClosedRegionError
from airlock.policies.recorder import Recorder, recorders_of

if TYPE_CHECKING:
    from airlock.policies.policy import PolicyLike

__all__ = [
    "ClosedRegion",
    "Guard",
    "GuardedRegion",
    "Mark",
    "Outlet",
    "Region",
    "is_over",
    "marked",
]

Guard = Callable[[Any], None]


class Outlet(Protocol):
    """The way to the outboxes of a boundary, for its regions."""

    def check(self, region: Region, intent: Any, /) -> None:
        """Refuse an emission that cannot be recorded."""
        ...

    def enlist(self, region: Region, segment: Any, /) -> None:
        """Have what is emitted in a region recorded before the COMMIT of its transaction."""
        ...


class Region(list[Any]):
    """An open region.

    Attributes:
        scope: the scope it belongs to; None for one that belongs to no scope.
        up: the region around it, whose policies, overrides and headers hold here too.
        outer: the region that was current when it opened.
        policies: its own policies, innermost first.
        enclosures: policies of enclosures, which judge after all others.
        overrides: handlers put in place of others, by type.
        headers: for every intent emitted here, and its follow-ups.
        guards: what is called with each intent before it is taken, from here outwards.
        recorders: what is called with each emission after it is taken, from here outwards.
        emissions: by position, only where there are recorders.
        seen: the classes emitted here or in the regions that share a flat sequence with it.
        segment: names the innermost transaction or savepoint, at each emission.
        capture: makes options of what is ambient, at each emission.
        outlet: of a boundary that has outboxes.
        recorded: the transaction in which an intent was decided before its COMMIT, by position.
        encloses: its enclosures hold for every boundary.
        children: ``(position it opened at, region)``.
        options: by position, only where given.
        stamps: ``(from this position on, segment)``, only under a transactional release.
        sites: where the first intent of each stamp was emitted, by position.
        discarded: what decided that it is thrown away; None while it is kept.
        landings: of an enclosure: the regions it has in scopes around it, by the region around each.
        reached: of an enclosure: its region in each scope around it but its own, by outermost scope.
        instead_of: of a region that is current for one step of a generator: the generator's own, and
            the enclosure of its consumer.
        kind: what it is called in messages.
        place: where it was opened.
        cause: the position of the intent whose handler emits here; -1 outside of handlers.
        running: what calls the handler that emits here; None outside of handlers.
        starts: of handlers that emit here one after the other: ``(from this position on, cause)``.
    """

    __slots__ = (
        "capture",
        "cause",
        "children",
        "discarded",
        "emissions",
        "encloses",
        "enclosures",
        "guards",
        "headers",
        "instead_of",
        "kind",
        "landings",
        "options",
        "outer",
        "outlet",
        "overrides",
        "place",
        "policies",
        "reached",
        "recorded",
        "recorders",
        "running",
        "scope",
        "seen",
        "segment",
        "sites",
        "stamps",
        "starts",
        "up",
        "why",
    )
    # A region is one place, whatever it holds.
    __hash__ = object.__hash__  # type: ignore[assignment]  # a list has none
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    def __init__(
        self,
        kind: str,
        *,
        scope: Any = None,
        up: Region | None = None,
        outer: Region | None = None,
        policies: tuple[PolicyLike, ...] = (),
        enclosures: tuple[PolicyLike, ...] = (),
        overrides: Mapping[type[Any], Any] | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        guards: tuple[Guard, ...] = (),
        segment: Callable[[], object] | None = None,
        capture: Callable[[], Options | None] | None = None,
        outlet: Outlet | None = None,
        encloses: bool = False,
        place: Place | str | None = None,
    ) -> None:
        self.kind = kind
        self.scope = scope
        self.up = up
        self.outer = outer
        self.policies = policies
        self.enclosures = enclosures
        self.overrides = overrides
        self.headers = headers
        self.encloses = encloses
        self.place = place
        self.children: list[tuple[int, Region]] | None = None
        self.options: dict[int, Options] | None = None
        self.stamps: list[tuple[int, object]] | None = None
        self.sites: dict[int, Place] | None = None
        self.discarded: object = None
        self.why = "it has ended"
        self.cause = -1
        self.running: Any = None
        self.starts: list[tuple[int, int]]
        self.landings: dict[Region, Region] | None = None
        self.reached: dict[Any, Region] | None = None
        self.instead_of: tuple[Region, Region] | None = None
        self.seen: set[type[Any]] = set()
        self.emissions: dict[int, Emission] | None = None
        self.guards: tuple[Guard, ...] = guards if up is None else guards + up.guards
        self.recorders: tuple[Recorder, ...] = () if up is None else up.recorders
        if policies or enclosures:
            around = self.recorders  # an equal one is called once, however deep they are nested
            own = recorders_of((*policies, *enclosures))
            self.recorders = (*(one for one in own if one not in around), *around)
        self.segment = segment
        self.capture: Callable[[], Options | None] | None
        self.capture = capture if up is None else capture or up.capture
        self.outlet: Outlet | None = outlet if up is None else outlet or up.outlet
        self.recorded: dict[int, Any] | None = None
        guarded = bool(self.guards or self.recorders or self.outlet)
        guarded = guarded or segment is not None or self.capture is not None
        if guarded and type(self) is Region:
            self.__class__ = GuardedRegion  # pyright: ignore[reportAttributeAccessIssue]  # a state

    def adopt(self, child: Region) -> None:
        """Make ``child``, which opens here and now, stand at this position."""
        if self.children is None:
            self.children = []
        self.children.append((len(self), child))
        child.seen = self.seen

    def watch(self, segment: Callable[[], object]) -> None:
        """Note the transaction at each emission from now on."""
        self.segment = segment
        if type(self) is Region:
            self.__class__ = GuardedRegion  # pyright: ignore[reportAttributeAccessIssue]  # a state

    def stamp(self) -> None:
        """Note the transaction that is open now, if transactions decide."""

    def as_parent(self) -> Region:
        """Return the region that a child opened here goes into."""
        return self

    def collecting(self) -> Region:
        """Return the region that collects what is emitted here."""
        return self

    def put(self, intent: Any, options: Options) -> None:
        """Append an intent that has options."""
        self.append(intent)
        self._give(intent, options)

    def _give(self, intent: Any, options: Options) -> None:
        """Keep options of the intent that was appended last here."""
        position = len(self) - 1
        while self[position] is not intent:  # another thread appended in between
            position -= 1
        if self.options is None:
            self.options = {}
        captured = self.options.get(position)
        if captured is not None:
            options = options.over(captured)
        self.options[position] = options

    def close(self, why: str, discarded: object = None) -> None:
        """End it. With ``discarded``, what it holds is discarded, for that reason."""
        self.why = why
        self.__class__ = ClosedRegion  # pyright: ignore[reportAttributeAccessIssue]  # a state
        if discarded is not None:
            self.discarded = discarded

    @property
    def contextual(self) -> bool:
        """True if it has policies, overrides or headers for the intents in it."""
        return bool(self.policies or self.enclosures or self.overrides or self.headers)

    @property
    def is_closed(self) -> bool:
        """True if its block has ended."""
        return isinstance(self, ClosedRegion)

    def described(self) -> str:
        """Return its kind and where it was opened, for messages."""
        if self.running is not None:
            text: str = self.running.described(self.cause)
            return text
        return opened(self.kind, self.place)


class GuardedRegion(Region):
    """An open region where something must happen at each emission."""

    __slots__ = ()

    def append(self, intent: Any, /) -> None:
        for guard in self.guards:
            guard(intent)
        if self.outlet is not None:
            self.outlet.check(self, intent)
        captured = None if self.capture is None else self.capture()
        self.stamp()
        list.append(self, intent)
        if captured is not None:
            self._give(intent, captured)
        self._record(len(self) - 1)

    def extend(self, intents: Any, /) -> None:
        for intent in intents:  # all are judged before the first is taken
            for guard in self.guards:
                guard(intent)
            if self.outlet is not None:
                self.outlet.check(self, intent)
        if self.capture is not None:
            for intent in intents:
                self.append(intent)
            return
        if intents:  # else a scope would wait for the end of a transaction, for nothing
            self.stamp()
        start = len(self)
        list.extend(self, intents)
        for position in range(start, len(self)):
            self._record(position)

    def _record(self, position: int) -> None:
        recorders = [one for one in self.recorders if one.wants(self[position])]
        if not recorders:
            return
        if self.emissions is None:
            self.emissions = {}
        emission = self.emissions[position] = Emission(self, position)
        for recorder in recorders:
            recorder.record(emission)

    def stamp(self) -> None:
        if self.segment is not None:
            segment = self.segment()
            if self.stamps is None:
                self.stamps = []
            if not self.stamps or self.stamps[-1][1] is not segment:
                self.stamps.append((len(self), segment))
                if segment is not None:
                    self.sites = self.sites or {}
                    self.sites[len(self)] = caller()
                    if self.outlet is not None:
                        self.outlet.enlist(self, segment)


class ClosedRegion(Region):
    """A region whose block has ended: it refuses."""

    __slots__ = ()

    def append(self, intent: Any, /) -> None:
        raise ClosedRegionError(repr(intent), self.described(), self.why)

    def extend(self, intents: Any, /) -> None:
        for intent in intents:
            self.append(intent)

    def adopt(self, child: Region) -> None:
        raise ClosedRegionError(f"anything of {child.described()}", self.described(), self.why)


Mark = Mapping[Region, int]
"""How much each region of a tree held at some moment."""


def is_over(region: Region) -> bool:
    """Return True if the block of a region has ended, and those of all regions in it."""
    stack = [region]
    while stack:
        region = stack.pop()
        if not region.is_closed:
            return False
        stack += [child for _, child in region.children or ()]
    return True


def marked(root: Region) -> Mark:
    """Return how much each region of the tree holds now."""
    sizes: dict[Region, int] = {}
    stack = [root]
    while stack:
        region = stack.pop()
        sizes[region] = len(region)
        stack += [child for _, child in region.children or ()]
    return sizes
