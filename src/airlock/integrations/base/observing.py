"""``Observations``: what scopes would have done with effects that escape at once, counted by site."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from airlock.effects.place import Place, shown
from airlock.emissions.region import Region
from airlock.integrations.base.shadows import HARM, WORDS, Noted, Shadow
from airlock.scopes.scope import Scope

__all__ = ["Observation", "Observations"]

log = logging.getLogger("airlock")

ELSEWHERE = "(more sites)"


@attrs.frozen
class Observation:
    """One site, and what it would have come to.

    Attributes:
        site: file and line.
        what: the name of what is sent there.
        count: how often it was.
        fates: how many of these would have ended how, by the words of ``WORDS``.
        repeated: how many said the same as one before in the same scope.
        waited: of how many the result was asked for before the scope would have sent them.
        changed: how many would have read something else when the scope would have run them: a
            loop variable, a list that has grown, an attribute.
    """

    site: str
    what: str
    count: int
    fates: dict[str, int]
    repeated: int
    waited: int = 0
    changed: int = 0

    @property
    def harm(self) -> int:
        """How many happened that should not have, or would not go on so."""
        return self.waited + self.changed + sum(self.fates.get(fate, 0) for fate in HARM)


class Observations:
    """Counts by site; as a table with ``print``, or one by one with ``list``.

    Args:
        sites: how many sites are told apart; the rest is counted together.
        calls: how many calls of one scope are judged; the rest is only counted.
    """

    def __init__(self, *, sites: int = 1000, calls: int = 10_000) -> None:
        self.calls = calls
        self._sites = sites
        self._counts: dict[tuple[Place | None, str], Counter[str]] = {}
        self._shadows: WeakKeyDictionary[Scope, Shadow] = WeakKeyDictionary()
        self._lock = RLock()

    def note(self, what: str, place: Place, value: Callable[[], Any], region: Region) -> Noted:
        """Something is sent that a scope would have taken.

        Args:
            what: names it.
            place: where.
            value: makes the intent that would have been emitted.
            region: that is current.

        Returns:
            What was noted: whether it happened may still be seen until the scope ends.
        """
        noted = Noted(place, what)
        if region.scope is None or region.is_closed:
            if self.count(place, what, "no scope") == 1:
                log.warning("%s at %s is sent where no scope is open", what, shown(place))
        else:
            self._shadow(region.scope.outermost).note(region, noted, value)
        return noted

    def count(self, place: Place, what: str, fate: str) -> int:
        """Count one more; how many there are now of that site."""
        with self._lock:
            key: tuple[Place | None, str] = (place, what)
            if key not in self._counts and len(self._counts) >= self._sites:
                key = (None, ELSEWHERE)
            counts = self._counts.setdefault(key, Counter())
            counts[fate] += 1
            return counts[fate]

    def _shadow(self, scope: Scope) -> Shadow:
        with self._lock:
            found = self._shadows.get(scope)
            if found is None:
                found = self._shadows[scope] = Shadow(self, scope)
            return found

    @property
    def rows(self) -> list[Observation]:
        """One for each site, the worst first."""
        with self._lock:
            counts = [(key, Counter(counter)) for key, counter in self._counts.items()]
        rows = [
            Observation(
                ELSEWHERE if place is None else shown(place),
                what,
                counter.pop("count", 0),
                {fate: counter[fate] for fate in WORDS if counter[fate]},
                counter["repeated"],
                counter["waited for"],
                counter["changed"],
            )
            for (place, what), counter in counts
        ]
        return sorted(rows, key=lambda row: (-row.harm, -row.count, row.site, row.what))

    def __iter__(self) -> Iterator[Observation]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self._counts)

    def __bool__(self) -> bool:
        return True

    def table(self, limit: int | None = 50) -> str:
        """A row for each site, the worst first.

        Args:
            limit: how many rows at the most; None for all.
        """
        rows = self.rows
        fates = [fate for fate in WORDS if any(row.fates.get(fate) for row in rows)]
        columns = ["calls", *fates]
        columns += ["repeated"] if any(row.repeated for row in rows) else []
        columns += ["waited for"] if any(row.waited for row in rows) else []
        columns += ["changed"] if any(row.changed for row in rows) else []
        lines = [("site", "what", *columns)]
        for row in rows[:limit]:
            cells = {"calls": row.count, "repeated": row.repeated, **row.fates}
            cells |= {"waited for": row.waited, "changed": row.changed}
            lines.append((row.site, row.what, *(str(cells.get(c) or "") for c in columns)))
        text = aligned(lines)
        if limit is not None and len(rows) > limit:
            text += f"\n... and {len(rows) - limit} more: table(limit=None)"
        return text

    def summary(self) -> str:
        """How many calls at how many sites, and what would have become of them, in one line."""
        rows = self.rows
        totals = sum((Counter(row.fates) for row in rows), Counter[str]())
        told = [f"{totals[fate]} {WORDS[fate]}" for fate in WORDS if totals[fate]]
        if waited := sum(row.waited for row in rows):
            told.append(f"{waited} whose result was waited for")
        if changed := sum(row.changed for row in rows):
            told.append(f"{changed} that would have read what has changed by then")
        calls = f"{sum(row.count for row in rows)} calls at {len(rows)} sites"
        return ": ".join(filter(None, (calls, ", ".join(told))))

    def __str__(self) -> str:
        return self.table()


def aligned(lines: list[tuple[str, ...]]) -> str:
    """Rows of a table: two columns of text, then numbers."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
