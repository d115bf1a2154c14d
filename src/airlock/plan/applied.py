"""``Applied``: what came of applying a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from airlock.plan.document import Plan

__all__ = ["Applied"]


@attrs.frozen
class Applied:
    """The outcome of applying a plan, this time. It prints as one line.

    Attributes:
        counts: how many effects ended in each outcome, by its word (``"delivered"``); follow-ups
            count too.
        before: how many effects of the plan were recorded as done before.
        remaining: how many of the plan are not done yet: failed, not chosen, or held or dropped by
            an enclosure. Applying the plan again does them.
        held: a plan of the follow-ups that a policy holds; None if there are none.
    """

    counts: Mapping[str, int]
    before: int
    remaining: int
    held: Plan | None = None

    @property
    def ok(self) -> bool:
        """True if nothing failed."""
        return not self.counts.get("failed")

    def __str__(self) -> str:
        parts = [f"{number:,} {word}" for word, number in self.counts.items()]
        if self.before:
            parts.append(f"{self.before:,} done before")
        if self.remaining:
            parts.append(f"{self.remaining:,} remaining")
        return ", ".join(parts) or "no effects"
