"""Which single expectation gets which emission, order aside."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from airlock.testing.expectations import Expectation, Leaf, Never, OneOf, Times

__all__ = ["Assignment", "Demand", "demands"]


@attrs.frozen(eq=False)
class Demand:
    """How often a leaf is wanted.

    Attributes:
        leaf: what.
        at_least: how often, wherever it stands.
        at_most: None for no limit.
    """

    leaf: Leaf
    at_least: int
    at_most: int | None


def demands(expected: Expectation, least: int = 1, most: int | None = 1) -> list[Demand]:
    """What an expectation asks for, order aside: a part of ``one_of`` is not necessary by itself."""
    if isinstance(expected, Leaf):
        return [Demand(expected, least, most)]
    if isinstance(expected, Never):
        return []
    if isinstance(expected, Times):
        limit = None if most is None or expected.at_most is None else most * expected.at_most
        return demands(expected.part, least * expected.at_least, limit)
    if isinstance(expected, OneOf):
        least = 0
    return [demand for part in expected.parts for demand in demands(part, least, most)]


class Assignment:
    """Emissions given to leaves so that as many demands as possible are met.

    A bipartite matching, solved with augmenting paths (Kuhn, "The Hungarian method for the
    assignment problem", 1955).

    Args:
        wanted: the demands.
        options: for each demand, the indices of the emissions that fit and are free.

    Attributes:
        given: for each demand, the indices it got, ascending.
    """

    def __init__(self, wanted: Sequence[Demand], options: Sequence[Sequence[int]]) -> None:
        self.wanted = wanted
        self._options = options
        self._owner: dict[int, int] = {}
        self._counts = [0] * len(wanted)
        for at, demand in enumerate(wanted):
            self._fill(at, demand.at_least)
        for at, demand in enumerate(wanted):
            self._fill(at, demand.at_most)
        self.given: list[list[int]] = [[] for _ in wanted]
        for index, at in sorted(self._owner.items()):
            self.given[at].append(index)

    @property
    def enough(self) -> bool:
        """Whether every demand got what it needs."""
        return all(
            count >= demand.at_least
            for count, demand in zip(self._counts, self.wanted, strict=True)
        )

    def all_taken(self) -> list[int]:
        """Every index that was given."""
        return list(self._owner)

    def _fill(self, at: int, limit: int | None) -> None:
        for index in self._options[at]:  # what nobody has
            if limit is not None and self._counts[at] >= limit:
                return
            if index not in self._owner:
                self._owner[index] = at
                self._counts[at] += 1
        while (limit is None or self._counts[at] < limit) and self._augment(at):
            self._counts[at] += 1

    def _augment(self, start: int) -> bool:
        """Find one more for a demand, others moving on to other ones where they must."""
        came: dict[int, tuple[int, int | None]] = {}
        queue: list[tuple[int, int | None]] = [(start, None)]
        for at, through in queue:  # breadth first; it grows while it is read
            for index in self._options[at]:
                if index in came or self._owner.get(index) == at:
                    continue
                came[index] = (at, through)
                if index not in self._owner:
                    self._hand_over(index, came)
                    return True
                queue.append((self._owner[index], index))
        return False

    def _hand_over(self, index: int, came: dict[int, tuple[int, int | None]]) -> None:
        at: int | None = index
        while at is not None:
            owner, at_before = came[at]
            self._owner[at] = owner
            at = at_before
