"""A tree of regions as one sequence: for reading, and for the flush."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from airlock.effects.options import Options
from airlock.emissions.emission import Emission
from airlock.emissions.region import ClosedRegion, Mark, Region

__all__ = ["Discarded", "Flat", "Span", "sorted_children"]

T = TypeVar("T")
Discarded = tuple[list[Any], object]
"""Intents that were thrown away, and what decided it."""
Span = tuple[int, int, Region]
"""``(start, end, region)``: the region's intents, and its children's, in the flat sequence."""
Step = tuple[Region, int, int, Iterator[tuple[int, Region]], object]
"""A region to walk: where it starts, how far it is, its children to come, what threw it away."""
Stretches = Iterable[tuple[int, int]]
Keeps = Callable[[object], object]
"""What decided against a segment, or None if its intents are kept."""


class Flat:
    """A tree of regions as one sequence.

    Args:
        root: its top.
        since: leave out what was there at this mark.
        keeps: given a segment, what decided against it (a rollback), or None.
        belongs: whether a region's own intents are wanted; None for all.
        chooses: the stretches that are wanted of a region's own, from a start to an end; None for all.

    Attributes:
        intents: in order, a nested region's where it opened. May be ``root`` itself: do not change.
        spans: of the regions that say anything, innermost first.
        options: by index, only where given.
        emissions: by index, only where recorded.
        discarded: what was thrown away, with the reason.
        open: regions below the root whose blocks have not ended.
        places: with ``chooses``, where the intents stand: ``(region, start, end)``.
    """

    __slots__ = (
        "_belongs",
        "_chooses",
        "_keeps",
        "_since",
        "discarded",
        "emissions",
        "intents",
        "open",
        "options",
        "places",
        "spans",
    )

    def __init__(
        self,
        root: Region,
        *,
        since: Mark | None = None,
        keeps: Keeps | None = None,
        belongs: Callable[[Region], bool] | None = None,
        chooses: Callable[[Region, int, int], Stretches] | None = None,
    ) -> None:
        self.options: dict[int, Options] = {}
        self.emissions: dict[int, Emission] = {}
        self.spans: list[Span] = []
        self.discarded: list[Discarded] = []
        self.open: list[Region] = []
        self._since = since or {}
        self._keeps = keeps
        self._belongs = belongs
        self._chooses = chooses
        self.places: list[tuple[Region, int, int]] = []
        self.intents: list[Any] = []
        asides = root.options or root.stamps or root.emissions or root.discarded is not None
        if root.children or asides or since or belongs or chooses:
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
        """Take the region's own intents from ``start`` to ``end``: kept, or discarded."""
        if self._belongs is not None and not self._belongs(region):
            return
        if self._chooses is None:
            self._take_all(region, start, end, against)
            return
        for low, high in self._chooses(region, start, end):
            self._take_all(region, low, high, against)

    def _take_all(self, region: Region, start: int, end: int, against: object) -> None:
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
        shift = len(self.intents) - start
        if self._chooses is not None:
            self.places.append((region, start, end))
        if region.options:
            self.options.update(_shifted(region.options, start, end, shift))
        if region.emissions:
            self.emissions.update(_shifted(region.emissions, start, end, shift))
        self.intents += region[start:end] if start or end < len(region) else region


def _shifted(asides: Mapping[int, T], start: int, end: int, shift: int) -> dict[int, T]:
    if end - start < len(asides):  # a short stretch of a long region
        return {at + shift: asides[at] for at in range(start, end) if at in asides}
    return {at + shift: aside for at, aside in asides.items() if start <= at < end}


def sorted_children(region: Region) -> Sequence[tuple[int, Region]]:
    """Return children by position; threads that share a region may have entered them in another order."""
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
