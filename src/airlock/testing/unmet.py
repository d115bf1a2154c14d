"""Explanation of an unmet expectation: how far each part of it is met, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airlock.emissions.emission import Emission
from airlock.testing.bounded import drawn, short
from airlock.testing.expectations import (
    AnyOrder,
    Expectation,
    InOrder,
    Leaf,
    Never,
    OneOf,
    Times,
)
from airlock.testing.explain import log, numbers, text, why_missing
from airlock.testing.greedy import Demand, Matching
from airlock.testing.tape import Tape

__all__ = ["unmet"]

EXPLAINED = 5
"""Number of missing expectations that are explained."""

Shares = Iterator[tuple[Demand, list[int]]]
"""Demand of each leaf, in the order of the tree, with the emissions that it got."""


def unmet(
    tape: Tape, wanted: Expectation, matching: Matching, emissions: Sequence[Emission]
) -> str:
    """Describe the state of each part of an expectation that is not met, and the nearest misses."""
    if isinstance(wanted, AnyOrder) and len(wanted.parts) == 1:
        wanted = wanted.parts[0]
    state = State(tape, wanted, matching, emissions)
    missing = state.missing()
    ordered = missing or state.forbidden() or matching.meet(wanted, bans=False) is not None
    head = "the effects are not as expected:" if ordered else "only the order is wrong:"
    more = len(missing) - EXPLAINED
    return text(
        [head, *state.drawn()],
        *(why_missing(tape, leaf, state.free) for leaf in missing[:EXPLAINED]),
        [f"... and {more:,} more are missing"] if more > 0 else [],
        log(tape),
    )


class State:
    """The extent to which an expectation is met, order aside."""

    def __init__(
        self, tape: Tape, wanted: Expectation, matching: Matching, emissions: Sequence[Emission]
    ) -> None:
        self._wanted = wanted
        self._matching = matching
        self._emissions = emissions
        self._numbers_of = numbers(tape)
        self._shares = matching.share(wanted)
        taken = {index for _, given in self._shares for index in given}
        self.free = [e for i, e in enumerate(emissions) if i not in taken]

    def missing(self) -> list[Leaf]:
        """Return the leaves that got too few emissions."""
        return self._lacking(self._wanted, 1, iter(self._shares))

    def _lacking(self, part: Expectation, least: int, shares: Shares) -> list[Leaf]:
        if isinstance(part, Never):
            return []
        if isinstance(part, Leaf):
            return [part] if len(next(shares)[1]) < least else []
        if isinstance(part, Times):
            return self._lacking(part.part, least * part.at_least, shares)
        lacking = [self._lacking(inner, least, shares) for inner in part.parts]
        enough = isinstance(part, OneOf) and not all(lacking)
        return [] if enough else [leaf for leaves in lacking for leaf in leaves]

    def forbidden(self) -> bool:
        """Return True if there is what must not be anywhere, whatever the order."""
        return self._forbidden(self._wanted)

    def _forbidden(self, part: Expectation) -> bool:
        if isinstance(part, Never):
            return bool(self._matching.fitting(part.part))
        return not isinstance(part, InOrder) and any(map(self._forbidden, part.parts))

    def drawn(self) -> list[str]:
        """Return the expectation as a tree, with the state of each leaf."""
        rows = list(self._drawn(self._wanted, "  ", "", iter(self._shares)))
        return drawn(rows, lambda line: [line])

    def _drawn(
        self, part: Expectation, indent: str, counted: str, shares: Shares
    ) -> Iterator[tuple[bool, str]]:
        """Yield the lines, each with whether it is as expected."""
        if isinstance(part, Times):
            yield from self._drawn(part.part, indent, f", {part.counted}", shares)
        elif isinstance(part, Never):
            fitting = self._matching.fitting(part.part)
            state = self._seen(fitting) or "as it should be"
            yield not fitting, f"{indent}never {short(repr(part.part))}: {state}"
        elif isinstance(part, Leaf):
            demand, given = next(shares)
            line = f"{indent}{short(repr(part))}{counted}: {self._state_of(part, demand, given)}"
            yield len(given) >= demand.at_least, line
        else:
            word = {InOrder: "in order", AnyOrder: "in any order", OneOf: "one of"}[type(part)]
            yield False, f"{indent}{word}{counted}:"
            for inner in part.parts:
                yield from self._drawn(inner, indent + "  ", "", shares)

    def _state_of(self, leaf: Leaf, demand: Demand, given: list[int]) -> str:
        if len(given) >= max(demand.at_least, 1):
            return self._seen(given)
        if given:
            return f"{self._seen(given)}, and {demand.at_least - len(given)} missing"
        return ("missing" if demand.at_least else "not emitted") + self._lost(leaf)

    def _lost(self, leaf: Leaf) -> str:
        """Format the emissions that fit a leaf, and were given to others."""
        fitting = self._matching.fitting(leaf)
        if not fitting:
            return ""
        what = "fits, and another part has it" if len(fitting) == 1 else "fit, and others have them"
        return f" ({self._numbers(fitting)} {what})"

    def _seen(self, indices: Sequence[int]) -> str:
        return f"emitted, {self._numbers(indices)}" if indices else ""

    def _numbers(self, indices: Sequence[int]) -> str:
        return self._numbers_of([self._emissions[i] for i in indices])
