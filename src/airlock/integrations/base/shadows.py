"""``Shadow``: what a scope would have held, and what would have become of it.

It has the regions and policies of the scope, with the values that an emission would have put there.
When the scope ends the shadow is judged by the same code as the scope. Nothing is put into the
scope itself.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from threading import RLock
from typing import Any, Protocol

import attrs

from airlock.effects.place import Place, shown
from airlock.emissions.flat import Flat
from airlock.emissions.region import Region
from airlock.emissions.segments import stranding
from airlock.emissions.wave import Outcome, Wave, chain
from airlock.errors import AirlockError, RefusedError
from airlock.integrations.base.reads import Reads
from airlock.observers import Observer
from airlock.release import Fate
from airlock.scopes.current import judge
from airlock.scopes.scope import Scope, State

__all__ = ["HARM", "WORDS", "Noted", "Shadow"]

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
"""What should not have happened, the worst first."""

_OUTCOMES = {
    Outcome.PENDING: "later",
    Outcome.DROPPED: "dropped",
    Outcome.HELD: "held",
    Outcome.MERGED: "merged",
}


class Counts(Protocol):
    """What is told of fates.

    Attributes:
        calls: how many calls of one scope are judged; the rest is only counted.
    """

    calls: int

    def count(self, place: Place, what: str, fate: str, /) -> object:
        """Count one more."""
        ...


@attrs.define(eq=False)
class Noted:
    """Something that was sent, or will be.

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
    """What a scope would have held.

    Args:
        told: what counts.
        scope: an outermost one.
    """

    def __init__(self, told: Counts, scope: Scope) -> None:
        self._told = told
        self._root = scope.region
        self._opened = scope.region.described()
        self._mirrors: dict[Region, Region] = {}
        self._stamps: dict[Region, list[tuple[int, int]]] = {}
        self._noted: dict[int, Noted] = {}
        self._said: set[Any] = set()
        self._lock = RLock()
        self._attached = scope.state is State.OPEN
        if self._attached:
            scope.observe(self)

    def note(self, region: Region, noted: Noted, value: Callable[[], Any]) -> None:
        """Something was sent while a region was current."""
        with self._lock:
            if not self._attached:  # its handlers run already: a follow-up
                self._count(noted, "later")
                return
            if len(self._noted) >= self._told.calls:
                self._count(noted, "unknown")
                return
            intent = value()
            if _refused(region, intent):
                self._count(noted, "refused")
                return
            if intent in self._said:
                self._count(noted, "repeated")
            self._said.add(intent)
            self._noted[id(intent)] = noted
            self._put(region, intent)

    def _count(self, noted: Noted, fate: str) -> None:
        self._told.count(noted.place, noted.what, fate)

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
        """The region of the shadow that stands for one of the scope."""
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
        self._tell(fates)
        self._tell_changed(one for one, fate in fates if fate == "later")

    def _judged(self, mirrors: dict[Region, Region]) -> Iterator[tuple[Any, str]]:
        """Every intent with its fate."""
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
        """The transactions in which a region's intents would have been emitted."""
        real = region.stamps or []
        marks = [(at, real[i][1]) for at, i in self._stamps.pop(region, ()) if i < len(real)]
        if marks and marks[0][0] > 0:
            marks.insert(0, (0, None))
        return list[tuple[int, object]](marks) or None

    def _tell_changed(self, later: Iterable[Noted]) -> None:
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

    def _tell(self, fates: list[tuple[Noted, str]]) -> None:
        """One line in the log: a warning if something happened that should not have."""
        totals = Counter(fate for _, fate in fates)
        harmful = {(one, fate) for one, fate in fates if fate in HARM}
        told = ", ".join(f"{totals[fate]} {WORDS[fate]}" for fate in WORDS if totals[fate])
        sites = dict.fromkeys(f"{one.what} at {shown(one.place)}" for one, _ in harmful)
        log.log(
            logging.WARNING if harmful else logging.DEBUG,
            "observed in %s: %s%s",
            self._opened,
            told,
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
