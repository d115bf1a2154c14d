"""Why emissions do not meet an expectation: how far each part of it is met, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airlock.effects.emission import Emission
from airlock.testing.assignment import Demand
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
from airlock.testing.search import BUDGET, Search
from airlock.testing.tape import Tape

__all__ = ["unmet"]

Shares = Iterator[tuple[Demand, list[int]]]
"""For each leaf, as they stand in the tree: what is wanted, and the emissions that it got."""


def unmet(tape: Tape, wanted: Expectation, search: Search, emissions: Sequence[Emission]) -> str:
    """The emissions do not meet an expectation: the state of each part, and the nearest misses."""
    if isinstance(wanted, AnyOrder) and len(wanted.parts) == 1:
        wanted = wanted.parts[0]
    state = State(tape, wanted, search, emissions)
    missing = state.missing()
    if search.exhausted:
        head = f"the effects were not found to be as expected, in {BUDGET:,} attempts: the parts "
        head += "overlap too much. Make them more specific:"
    elif missing or not _only_the_order(wanted, search):
        head = "the effects are not as expected:"
    else:
        head = "only the order is wrong:"
    return text(
        [head, *state.drawn()],
        *(why_missing(tape, leaf, state.free) for leaf in missing),
        log(tape),
    )


class State:
    """How far an expectation is met, order aside."""

    def __init__(
        self, tape: Tape, wanted: Expectation, search: Search, emissions: Sequence[Emission]
    ) -> None:
        self._tape = tape
        self._wanted = wanted
        self._search = search
        self._emissions = emissions
        self._assignment = search.assigned(wanted)
        taken = set(self._assignment.all_taken())
        self.free = [e for i, e in enumerate(emissions) if i not in taken]

    def _shares(self) -> Shares:
        return zip(self._assignment.wanted, self._assignment.given, strict=True)

    def missing(self) -> list[Leaf]:
        """The leaves that got too few emissions."""
        return self._lacking(self._wanted, 1, self._shares())

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

    def drawn(self) -> list[str]:
        """The expectation as a tree, with the state of each leaf."""
        return self._drawn(self._wanted, "  ", "", self._shares())

    def _drawn(self, part: Expectation, indent: str, counted: str, shares: Shares) -> list[str]:
        if isinstance(part, Times):
            return self._drawn(part.part, indent, f", {part.counted}", shares)
        if isinstance(part, Never):
            fitting = self._search.fitting(part.part)
            return [f"{indent}never {part.part!r}: {self._seen(fitting) or 'as it should be'}"]
        if isinstance(part, Leaf):
            return [f"{indent}{part!r}{counted}: {self._state_of(part, *next(shares))}"]
        word = {InOrder: "in order", AnyOrder: "in any order", OneOf: "one of"}[type(part)]
        lines = [f"{indent}{word}{counted}:"]
        for inner in part.parts:
            lines += self._drawn(inner, indent + "  ", "", shares)
        return lines

    def _state_of(self, leaf: Leaf, demand: Demand, given: list[int]) -> str:
        if len(given) >= max(demand.at_least, 1):
            return self._seen(given)
        if given:
            return f"{self._seen(given)}, and {demand.at_least - len(given)} missing"
        return ("missing" if demand.at_least else "not emitted") + self._lost(leaf)

    def _lost(self, leaf: Leaf) -> str:
        """What fits it, and was given to others."""
        fitting = self._search.fitting(leaf)
        if not fitting:
            return ""
        what = "fits, and another part has it" if len(fitting) == 1 else "fit, and others have them"
        return f" ({self._numbers(fitting)} {what})"

    def _seen(self, indices: Sequence[int]) -> str:
        return f"emitted, {self._numbers(indices)}" if indices else ""

    def _numbers(self, indices: Sequence[int]) -> str:
        return numbers(self._tape, [self._emissions[i] for i in indices])


# -- is it the order? -----------------------------------------------------------------------------


def _only_the_order(wanted: Expectation, search: Search) -> bool:
    """Whether everything is there, and nothing that must not be, but for their places."""
    ordered, loose = _without_never(wanted), _without_order(wanted, inside=False)
    return not _met(ordered, search) and _met(loose, search)


def _met(wanted: Expectation, search: Search) -> bool:
    wanted.used = True
    return Search(search.intents).best(wanted, all_of_it=False) is not None


def _without_never(part: Expectation) -> Expectation:
    if isinstance(part, Leaf):
        return part
    if isinstance(part, Never):
        return AnyOrder()
    if isinstance(part, Times):
        return Times(_without_never(part.part), part.at_least, part.at_most)
    return type(part)(*map(_without_never, part.parts))


def _without_order(part: Expectation, *, inside: bool) -> Expectation:
    """The same in any order; ``inside`` an ``in_order``, nothing is forbidden."""
    if isinstance(part, Never) and inside:
        return AnyOrder()
    if isinstance(part, Leaf | Never) or (isinstance(part, Times) and isinstance(part.part, Leaf)):
        return part
    inside = inside or isinstance(part, InOrder)
    inner = [_without_order(each, inside=inside) for each in part.parts]
    if isinstance(part, Times):
        return AnyOrder(*inner * part.at_least)
    return AnyOrder(*inner) if isinstance(part, InOrder) else type(part)(*inner)
