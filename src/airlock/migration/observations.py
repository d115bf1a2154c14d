"""``Observations``: what scopes would have done with effects that escape at once, counted by site.

A ``Shadow`` has the regions and policies of a scope, with the values that an emission would have put
there. When the scope ends the shadow is judged by the same code as the scope. Nothing is put into
the scope itself.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from airlock.effects.place import Place, shown
from airlock.emissions.flat import Flat
from airlock.emissions.region import Region
from airlock.emissions.segments import stranding
from airlock.emissions.wave import Outcome, Wave, chain
from airlock.errors import AirlockError, RefusedError
from airlock.migration.deferred import Reads
from airlock.observers import Observer
from airlock.release import Fate
from airlock.scopes.current import judge
from airlock.scopes.scope import Scope, State

__all__ = ["HARM", "WORDS", "Noted", "Observation", "Observations", "Shadow"]

log = logging.getLogger("airlock")

WORDS = {
    "later": "delivered later",
    "rolled back": "sent before a rollback",
    "discarded": "sent by a block that failed",
    "dropped": "dropped by a policy",
    "merged": "merged into an equal one by a policy",
    "held": "held by a policy",
    "refused": "refused by a policy",
    "no scope": "sent where no scope is open",
    "at once": "run at once, outside of any transaction",
    "not possible": "what cannot be kept for later",
    "unknown": "not judged",
}
"""Every fate, and what it means."""

HARM = ("rolled back", "discarded", "dropped", "refused")
"""Fates that should not have happened, the worst first."""

_OUTCOMES = {
    Outcome.PENDING: "later",
    Outcome.DROPPED: "dropped",
    Outcome.HELD: "held",
    Outcome.MERGED: "merged",
}


@attrs.define(eq=False)
class Noted:
    """An effect that was sent, or will be.

    Attributes:
        place: where.
        what: its name.
        happened: whether it was sent; what never was is not counted.
        reads: what it has read when it happened, and may find changed when it runs later.
    """

    place: Place
    what: str
    happened: bool = True
    reads: Reads | None = None


class Shadow(Observer):
    """A copy of the emissions that a scope would have had, judged when the scope ends.

    Args:
        observations: count the fates.
        scope: an outermost one.
    """

    def __init__(self, observations: Observations, scope: Scope) -> None:
        self._observations = observations
        self._root = scope.region
        self._opened = scope.region.described()
        self._mirrors: dict[Region, Region] = {}
        self._stamps: dict[Region, list[tuple[int, int]]] = {}
        self._noted: dict[int, Noted] = {}
        self._seen: set[Any] = set()
        self._lock = RLock()
        self._attached = scope.state is State.OPEN
        if self._attached:
            scope.observe(self)

    def note(self, region: Region, noted: Noted, value: Callable[[], Any]) -> None:
        """Record an effect that was sent while a region was current."""
        with self._lock:
            if not self._attached:  # its handlers run already: a follow-up
                self._count(noted, "later")
                return
            if len(self._noted) >= self._observations.calls:
                self._count(noted, "unknown")
                return
            region = region.as_parent()  # of a handler, that of its attempt
            intent = value()
            if _refused(region, intent):
                self._count(noted, "refused")
                return
            if intent in self._seen:
                self._count(noted, "repeated")
            self._seen.add(intent)
            self._noted[id(intent)] = noted
            self._put(region, intent)

    def _count(self, noted: Noted, fate: str) -> None:
        self._observations.count(noted.place, noted.what, fate)

    def _put(self, region: Region, intent: Any) -> None:
        mirror = self._mirror(region)
        if region.segment is not None:
            region.stamp()
            at = len(region.stamps or ()) - 1
            marks = self._stamps.setdefault(region, [])
            if not marks or marks[-1][1] != at:
                marks.append((len(mirror), at))
        list.append(mirror, intent)

    def _mirror(self, region: Region) -> Region:
        """Return the region of the shadow that stands for a region of the scope."""
        found = self._mirrors.get(region)
        if found is None:
            found = self._mirrors[region] = Region(region.kind, headers=region.headers)
            if region is not self._root:  # what handlers emit goes into regions beside the tree
                self._mirror(self._root if region.up is None else region.up).adopt(found)
        return found

    # -- the scope has ended ----------------------------------------------------------------------

    def flushed(self, _: object, /) -> None:
        self._settle()

    def discarded(self, _: object, /) -> None:
        self._settle()

    def _settle(self) -> None:
        with self._lock:
            mirrors, self._mirrors = self._mirrors, {}
            noted, self._noted = self._noted, {}
        if not any(one.happened for one in noted.values()):
            return
        judged = [(noted[id(intent)], fate) for intent, fate in self._judged(mirrors)]
        fates = [(one, fate) for one, fate in judged if one.happened]
        for one, fate in fates:
            self._count(one, fate)
        self._log(fates)
        self._log_changed(one for one, fate in fates if fate == "later")

    def _judged(self, mirrors: dict[Region, Region]) -> Iterator[tuple[Any, str]]:
        """Yield every intent with its fate."""
        for region, mirror in mirrors.items():
            mirror.policies, mirror.enclosures = region.policies, region.enclosures
            mirror.stamps = self._stamped(region)
            mirror.close("it is a shadow", region.discarded)
        root = mirrors.get(self._root, Region("scope"))
        flat = Flat(root, keeps=stranding)
        for intents, reason in flat.discarded:
            yield from ((intent, _why(reason)) for intent in intents)
        above = [region for region in chain(self._root.up) if region.contextual]
        flat.spans += [(0, len(flat.intents), region) for region in above]
        wave = Wave(0, root, flat)
        try:
            judge(lambda: wave.decide({}))
        except AirlockError as error:
            log.warning("what was observed in %s cannot be judged: %s", self._opened, error)
            yield from ((intent, "unknown") for intent in wave.intents)
            return
        for intent, outcome in zip(wave.intents, wave.outcomes, strict=True):
            yield intent, _OUTCOMES[Outcome(outcome)]

    def _stamped(self, region: Region) -> list[tuple[int, object]] | None:
        """Return the transactions in which a region's intents would have been emitted."""
        real = region.stamps or []
        marks = [(at, real[i][1]) for at, i in self._stamps.pop(region, ()) if i < len(real)]
        if marks and marks[0][0] > 0:
            marks.insert(0, (0, None))
        return list[tuple[int, object]](marks) or None

    def _log_changed(self, later: Iterable[Noted]) -> None:
        """Log, by site, what has changed of what was read, and would be read now."""
        found: dict[str, dict[str, None]] = {}
        for one in later:
            changed = [] if one.reads is None else one.reads.changed()
            if changed:
                self._count(one, "changed")
                site = f"{one.what} at {shown(one.place)}"
                found.setdefault(site, {}).update(dict.fromkeys(changed))
        for site, names in found.items():
            log.warning(
                "observed in %s: %s would run now, and what it reads is another than when it ran: %s."
                " Bind it where the call is: partial(function, value), or a default argument.",
                self._opened,
                site,
                ", ".join([*names][:5]),
            )

    def _log(self, fates: list[tuple[Noted, str]]) -> None:
        """One line in the log: a warning if something happened that should not have."""
        totals = Counter(fate for _, fate in fates)
        harmful = {(one, fate) for one, fate in fates if fate in HARM}
        counted = ", ".join(f"{totals[fate]} {WORDS[fate]}" for fate in WORDS if totals[fate])
        sites = dict.fromkeys(f"{one.what} at {shown(one.place)}" for one, _ in harmful)
        log.log(
            logging.WARNING if harmful else logging.DEBUG,
            "observed in %s: %s%s",
            self._opened,
            counted,
            f" ({', '.join([*sites][:5])}{', ...' if len(sites) > 5 else ''})" if sites else "",
        )


def _refused(region: Region, intent: Any) -> bool:
    try:
        for guard in region.guards:
            guard(intent)
    except RefusedError:
        return True
    return False


def _why(reason: object) -> str:
    if isinstance(reason, Fate):
        return "unknown"
    return "rolled back" if reason == "rollback" else "discarded"


ELSEWHERE = "(more sites)"


@attrs.frozen
class Observation:
    """One site, and what it would have come to.

    Attributes:
        site: file and line.
        what: the name of what is sent there.
        count: how often it was.
        fates: how many of these would have ended how, by the words of ``WORDS``.
        repeated: how many were equal to one before in the same scope.
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
        """Number of calls that happened and should not have, or that would change."""
        return self.waited + self.changed + sum(self.fates.get(fate, 0) for fate in HARM)


class Observations:
    """Counts by site; as a table with ``print``, or one by one with ``list``.

    Args:
        sites: how many sites are counted one by one; the rest is counted together.
        calls: how many calls of one scope are judged; the rest is only counted.
    """

    def __init__(self, *, sites: int = 1000, calls: int = 10_000) -> None:
        self.calls = calls
        self._sites = sites
        self._counts: dict[tuple[Place | None, str], Counter[str]] = {}
        self._shadows: WeakKeyDictionary[Scope, Shadow] = WeakKeyDictionary()
        self._lock = RLock()

    def note(self, what: str, place: Place, value: Callable[[], Any], region: Region) -> Noted:
        """Record an effect that is sent now, and that a scope would have buffered.

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
        """Add one to a count, and return it."""
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
        """The observations by site, the worst first."""
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
        """Return a table with a row for each site, the worst first.

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
        """Return one line: how many calls at how many sites, and their fates."""
        rows = self.rows
        totals = sum((Counter(row.fates) for row in rows), Counter[str]())
        parts = [f"{totals[fate]} {WORDS[fate]}" for fate in WORDS if totals[fate]]
        if waited := sum(row.waited for row in rows):
            parts.append(f"{waited} whose result was waited for")
        if changed := sum(row.changed for row in rows):
            parts.append(f"{changed} that would read something else by then")
        calls = f"{sum(row.count for row in rows)} calls at {len(rows)} sites"
        return ": ".join(filter(None, (calls, ", ".join(parts))))

    def __str__(self) -> str:
        return self.table()


def aligned(lines: list[tuple[str, ...]]) -> str:
    """Return the rows of a table as text: two columns of text, then numbers."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
