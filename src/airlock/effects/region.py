"""Regions: stretches of a buffer under one policy, kept as a tree of lists.

A region *is* the list of its own intents; a child remembers where it opened. The tree is flattened
once, when the buffer is read or flushed. What may be done with a region depends on its state, and
each state is a class, so that appending tests no flag::

    Region ──────┐
                 ├──► ClosedRegion        (its block ended)
    GuardedRegion┘
        a policy refuses at the emit site, or a transaction must be noted
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from airlock.effects.options import NO_HEADERS, Options
from airlock.effects.place import Place, shown
from airlock.errors import ClosedRegionError

if TYPE_CHECKING:
    from airlock.effects.policy import PolicyLike

__all__ = ["ClosedRegion", "Discarded", "Flat", "GuardedRegion", "Mark", "Region", "Span"]

Guard = Callable[[Any], None]
Discarded = tuple[list[Any], object]
"""Intents that were thrown away, and what decided it."""


class Region(list[Any]):
    """An open region.

    Attributes:
        scope: the scope it belongs to; None for one that belongs to no scope.
        up: the region around it, whose policies, overrides and headers hold here too.
        outer: the region that was current when it opened.
        policies: its own policies, innermost first.
        enclosures: policies of enclosures, which speak after all others.
        overrides: handlers put in place of others, by type.
        headers: for every intent emitted here, and its follow-ups.
        guards: what is called with each intent before it is taken, from here outwards.
        seen: the classes emitted here or in the regions that share a flat sequence with it.
        segment: names the innermost transaction or savepoint, at each emission.
        encloses: its enclosures hold for every boundary.
        children: ``(position it opened at, region)``.
        options: by position, only where given.
        stamps: ``(from this position on, segment)``, only under a transactional release.
        discarded: what decided that it is thrown away; None while it is kept.
        landings: of an enclosure: the regions it has in scopes around it, by the region around each.
        kind: what it is called in messages.
        place: where it was opened.
        cause: the position of the intent whose handler emits here; -1 outside of handlers.
        running: the attempt of a handler that emits here; None outside of handlers.
    """

    __slots__ = (
        "cause",
        "children",
        "discarded",
        "encloses",
        "enclosures",
        "guards",
        "headers",
        "kind",
        "landings",
        "options",
        "outer",
        "overrides",
        "place",
        "policies",
        "running",
        "scope",
        "seen",
        "segment",
        "stamps",
        "up",
        "why",
    )
    # A region is one place, whatever it holds.
    __hash__ = object.__hash__  # type: ignore[assignment]
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
        encloses: bool = False,
        place: Place | None = None,
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
        self.discarded: object = None
        self.why = "it has ended"
        self.cause = -1
        self.running: Any = None
        self.landings: dict[Region, Region] | None = None
        self.seen: set[type[Any]] = set()
        self.guards: tuple[Guard, ...] = guards if up is None else guards + up.guards
        self.segment = segment
        if self.guards or segment is not None:
            self.__class__ = GuardedRegion  # pyright: ignore[reportAttributeAccessIssue]  # a state

    def adopt(self, child: Region) -> None:
        """Make ``child``, which opens here and now, stand at this position."""
        if self.children is None:
            self.children = []
        self.children.append((len(self), child))
        child.seen = self.seen

    def as_parent(self) -> Region:
        """The region that a child opened here goes into."""
        return self

    def put(self, intent: Any, options: Options) -> None:
        """Append an intent that has options."""
        self.append(intent)
        position = len(self) - 1
        while self[position] is not intent:  # another thread appended in between
            position -= 1
        if self.options is None:
            self.options = {}
        self.options[position] = options

    def close(self, why: str, discarded: object = None) -> None:
        """End it. With ``discarded``, what it holds is thrown away, for that reason."""
        self.why = why
        self.__class__ = ClosedRegion  # pyright: ignore[reportAttributeAccessIssue]  # a state
        if discarded is not None:
            self.discarded = discarded

    @property
    def contextual(self) -> bool:
        """Whether it says anything about the intents in it."""
        return bool(self.policies or self.enclosures or self.overrides or self.headers)

    @property
    def is_closed(self) -> bool:
        """Whether its block has ended."""
        return isinstance(self, ClosedRegion)

    def described(self) -> str:
        """For messages: what it is and where it was opened."""
        if self.running is not None:
            return f"the {self.running!r}"
        opened = f" opened at {shown(self.place)}" if self.place else ""
        return f"the {self.kind}{opened}"


class GuardedRegion(Region):
    """An open region where something must happen at each emission."""

    __slots__ = ()

    def append(self, intent: Any, /) -> None:
        for guard in self.guards:
            guard(intent)
        self._stamp()
        list.append(self, intent)

    def extend(self, intents: Any, /) -> None:
        for intent in intents:  # all are judged before the first is taken
            for guard in self.guards:
                guard(intent)
        self._stamp()
        list.extend(self, intents)

    def _stamp(self) -> None:
        """Note the transaction that is open now."""
        if self.segment is not None:
            segment = self.segment()
            if self.stamps is None:
                self.stamps = []
            if not self.stamps or self.stamps[-1][1] is not segment:
                self.stamps.append((len(self), segment))


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


Span = tuple[int, int, Region]
"""``(start, end, region)``: the region's intents, and its children's, in the flat sequence."""
Mark = Mapping[Region, int]
"""How much each region of a tree held at some moment."""
Step = tuple["Region", int, int, Iterator[tuple[int, "Region"]], object]
"""A region to walk: where it starts, how far it is, its children to come, what threw it away."""
Keeps = Callable[[object], object]
"""What decided against a segment, or None if its intents are kept."""


class Flat:
    """A tree of regions as one sequence.

    Args:
        root: its top.
        since: leave out what was there at this mark.
        keeps: given a segment, what decided against it (a rollback), or None.
        belongs: whether a region's own intents are wanted; None for all.

    Attributes:
        intents: in order, a nested region's where it opened. May be ``root`` itself: do not change.
        spans: of the regions that say anything, innermost first.
        options: by index, only where given.
        discarded: what was thrown away, with the reason.
        open: regions below the root whose blocks have not ended.
    """

    __slots__ = ("_belongs", "_keeps", "_since", "discarded", "intents", "open", "options", "spans")

    def __init__(
        self,
        root: Region,
        *,
        since: Mark | None = None,
        keeps: Keeps | None = None,
        belongs: Callable[[Region], bool] | None = None,
    ) -> None:
        self.options: dict[int, Options] = {}
        self.spans: list[Span] = []
        self.discarded: list[Discarded] = []
        self.open: list[Region] = []
        self._since = since or {}
        self._keeps = keeps
        self._belongs = belongs
        self.intents: list[Any] = []
        if root.children or root.options or root.stamps or since or belongs or root.discarded:
            self._walk(root)
        else:
            self.intents = root
            if root.contextual:
                self.spans.append((0, len(root), root))

    def _walk(self, root: Region) -> None:
        # A stack of its own: the depth of nesting is the user's, not the interpreter's.
        stack = [self._step(root, root.discarded)]
        while stack:
            region, start, done, children, against = stack.pop()
            for at, child in children:
                if at > done:
                    self._take(region, done, at, against)
                if not isinstance(child, ClosedRegion):
                    self.open.append(child)
                stack.append((region, start, max(done, at), children, against))
                innermost = against if child.discarded is None else child.discarded
                stack.append(self._step(child, innermost))
                break
            else:
                if len(region) > done:
                    self._take(region, done, len(region), against)
                if against is None and region.contextual:
                    self.spans.append((start, len(self.intents), region))

    def _step(self, region: Region, against: object) -> Step:
        done = self._since.get(region, 0)
        return region, len(self.intents), done, iter(sorted_children(region)), against

    def _take(self, region: Region, start: int, end: int, against: object) -> None:
        """The region's own intents from ``start`` to ``end``: kept, or thrown away."""
        if self._belongs is not None and not self._belongs(region):
            return
        if region.stamps is None and against is None:
            self._copy(region, start, end)
            return
        runs: Sequence[tuple[int, int, object]] = [(start, end, against)]
        if region.stamps is not None and self._keeps is not None:
            keeps = self._keeps
            runs = [
                (low, high, keeps(segment) if against is None else against)
                for low, high, segment in _runs(region.stamps, start, end)
            ]
        for low, high, reason in runs:
            if reason is None:
                self._copy(region, low, high)
            else:
                self.discarded.append((region[low:high], reason))

    def _copy(self, region: Region, start: int, end: int) -> None:
        if region.options:
            shift = len(self.intents) - start
            for position, options in region.options.items():
                if start <= position < end:
                    self.options[position + shift] = options
        self.intents += region[start:end] if start or end < len(region) else region


def sorted_children(region: Region) -> Sequence[tuple[int, Region]]:
    """By position; threads that share a region may have entered them in another order."""
    children = region.children
    if children is None or len(children) == 1:
        return children or ()
    return sorted(children, key=itemgetter(0))


def _runs(
    stamps: Sequence[tuple[int, object]], start: int, end: int
) -> list[tuple[int, int, object]]:
    ends = [at for at, _ in stamps[1:]] + [end]
    return [
        (max(low, start), min(high, end), segment)
        for (low, segment), high in zip(stamps, ends, strict=True)
        if max(low, start) < min(high, end)
    ]


def marked(root: Region) -> Mark:
    """How much each region of the tree holds now."""
    sizes: dict[Region, int] = {}
    stack = [root]
    while stack:
        region = stack.pop()
        sizes[region] = len(region)
        stack += [child for _, child in region.children or ()]
    return sizes
