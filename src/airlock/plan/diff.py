"""The difference between two plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

import attrs

from airlock.plan.document import Plan, effects
from airlock.plan.entry import PlanEntry

__all__ = ["PlanDiff", "diff"]


@attrs.frozen
class PlanDiff:
    """The difference between two plans. True if they differ; prints as lines with ``+`` and ``-``.

    Attributes:
        added: what only the other plan does.
        removed: what only this plan does.
        unchanged: how many effects are in both.
        reordered: whether those come in another order.
    """

    added: tuple[PlanEntry, ...]
    removed: tuple[PlanEntry, ...]
    unchanged: int
    reordered: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.reordered)

    def __str__(self) -> str:
        if not self:
            return f"no difference: {effects(self.unchanged)} in both"
        lines = [f"- {_format_entry(entry)}" for entry in self.removed]
        lines += [f"+ {_format_entry(entry)}" for entry in self.added]
        if self.reordered:
            lines.append("those in both come in another order")
        lines.append(
            f"{len(self.added):,} added, {len(self.removed):,} removed, {self.unchanged:,} unchanged"
        )
        return "\n".join(lines)


def _format_entry(entry: PlanEntry) -> str:
    return f"{entry}" if entry.place is None else f"{entry}  {entry.place}"


def diff(before: Plan, after: Plan) -> PlanDiff:
    """Compare two plans. Holds the distinct values of both in memory."""
    old, new = Counter(map(_key, before)), Counter(map(_key, after))
    common = old & new
    removed, added = tuple(_beyond(before, common)), tuple(_beyond(after, common))
    pairs = zip(_within(before, common), _within(after, common), strict=True)
    return PlanDiff(
        added=added,
        removed=removed,
        unchanged=common.total(),
        reordered=any(one != other for one, other in pairs),
    )


def _key(entry: PlanEntry) -> Hashable:
    """Return what two entries must share to be the same effect."""
    options = attrs.evolve(entry.options, id=None) if "id" in entry.given else entry.options
    return entry.intent, options, tuple(sorted(entry.headers.items()))


def _beyond(plan: Plan, common: Counter[Hashable]) -> Iterator[PlanEntry]:
    """Yield the entries that the other plan has not, the later of equal ones."""
    left = Counter(common)
    for entry in plan:
        left[_key(entry)] -= 1
        if left[_key(entry)] < 0:
            yield entry


def _within(plan: Plan, common: Counter[Hashable]) -> Iterator[Hashable]:
    """Yield the values that both plans have, in the order of this plan."""
    left = Counter(common)
    for entry in plan:
        left[_key(entry)] -= 1
        if left[_key(entry)] >= 0:
            yield _key(entry)
