"""Explanations of failed assertions: text, readable without colour, never cut short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from airlock.effects.describe import name_of, stable_repr
from airlock.effects.place import shown
from airlock.emissions.emission import Emission
from airlock.testing.bounded import LINES, bounded, ends, short
from airlock.testing.differences import Difference, differences, of_field
from airlock.testing.expectations import Exact, Leaf, Like
from airlock.testing.tape import Tape

__all__ = [
    "PER_VALUE",
    "class_of",
    "indented",
    "listed",
    "log",
    "nearest",
    "not_none",
    "not_one",
    "numbers",
    "text",
    "unasserted",
    "unlike",
    "values_of",
    "why_missing",
]

WIDTH = 60
"""Width of a column of values; longer ones stand out."""
NUMBERS = 20
"""Number of emissions that are named by their numbers."""
PER_VALUE = 10
"""Number of differences that are listed of one value."""


# -- the log --------------------------------------------------------------------------------------


def log(tape: Tape) -> list[str]:
    """Format every emission, in order: number, value, place, and outcome."""
    emissions = tape.emissions
    if not emissions:
        return ["nothing was emitted"]
    first, left_out, last = ends(list(enumerate(emissions, 1)), LINES - 1)
    listed_ones = [*first, *last]
    values = values_of(emission for _, emission in listed_ones)
    lines = [f"emitted ({len(emissions)}):"]
    for at, ((number, emission), value) in enumerate(zip(listed_ones, values, strict=True)):
        if left_out and at == len(first):
            lines.append(f"       ... {left_out:,} more ...")
        note = tape.fate(emission).note
        line = f"  {number:>3}  {value}  {shown(emission.place)}"
        lines.append(f"{line}  {note}" if note else line)
    return lines


def values_of(emissions: Iterable[Emission]) -> list[str]:
    """Their values, as a column of text."""
    values = [short(stable_repr(emission.intent)) for emission in emissions]
    width = min(max(map(len, values), default=0), WIDTH)
    return [f"{value:<{width}}" for value in values]


def numbers(tape: Tape) -> Callable[[Sequence[Emission]], str]:
    """Return what writes the numbers that emissions have in the log."""
    at = {emission: number for number, emission in enumerate(tape.emissions, 1)}

    def written(emissions: Sequence[Emission]) -> str:
        some = ", ".join(f"#{at[emission]}" for emission in emissions[:NUMBERS])
        more = len(emissions) - NUMBERS
        return some if more <= 0 else f"{some} and {more:,} more"

    return written


def text(*parts: Iterable[str]) -> str:
    """Paragraphs."""
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part)


# -- single assertions ----------------------------------------------------------------------------


def not_one(tape: Tape, wanted: Like, found: Sequence[Emission]) -> str:
    """There is not exactly one."""
    if found:
        head = f"expected one {wanted!r}, and {len(found)} were emitted: {numbers(tape)(found)}"
        return text([head], log(tape))
    head = f"expected one {wanted!r}, and none was emitted"
    return text([head], why_missing(tape, wanted, tape.escaping), log(tape))


def not_none(tape: Tape, wanted: Like, found: Sequence[Emission]) -> str:
    """There is one."""
    lines = [f"expected no {wanted!r}, and {_were(len(found))} emitted:"]
    return text([*lines, *listed(found)], log(tape))


def unasserted(tape: Tape, leftovers: Sequence[Emission]) -> str:
    """Something was emitted, and the test did not assert it."""
    head = f"{_were(len(leftovers))} emitted, and not asserted:"
    return text([head, *listed(leftovers)], [ADVICE], log(tape))


ADVICE = (
    "Assert each of them, or allow the rest: expect_effects(exhaustive=False), "
    "@pytest.mark.effects(strict=False)."
)


def _were(count: int) -> str:
    return "1 effect was" if count == 1 else f"{count} effects were"


def listed(emissions: Sequence[Emission]) -> list[str]:
    """Format a line for each emission: value and place."""
    first, left_out, last = ends(emissions, LINES - 1)
    listed_ones = [*first, *last]
    pairs = zip(values_of(listed_ones), listed_ones, strict=True)
    lines = [f"  {value}  at {shown(emission.place)}" for value, emission in pairs]
    return (
        [*lines[: len(first)], f"  ... {left_out:,} more ...", *lines[len(first) :]]
        if left_out
        else lines
    )


# -- what is missing ------------------------------------------------------------------------------


def why_missing(tape: Tape, leaf: Leaf, free: Sequence[Emission]) -> list[str]:
    """Explain what became of a missing effect, or what comes nearest to it.

    Args:
        tape: with all emissions.
        leaf: what is missing.
        free: emissions that nothing else claims.
    """
    for emission in filter(lambda e: leaf.accepts(e.intent), tape.emissions):
        fate = tape.fate(emission)
        if not fate.escapes or emission in tape.taken:
            where = f"{short(stable_repr(emission.intent))} was emitted at {shown(emission.place)}"
            return [f"{where}, and {'an earlier saw(...) took it' if fate.escapes else fate.note}"]
    near = nearest(leaf, [emission.intent for emission in free])
    if near is not None:
        index, found = near
        where = f"{numbers(tape)([free[index]])}, at {shown(free[index].place)}"
        return [
            f"nearest to {short(repr(leaf))}: {where}",
            *bounded(indented(found, "  "), PER_VALUE),
        ]
    name = name_of(class_of(leaf))
    names = {name_of(type(e.intent)) for e in tape.emissions}
    if name in names:
        return []
    alike = get_close_matches(name, names, 1)
    return [f"no {name} was emitted" + (f"; there is {alike[0]}" if alike else "")]


def class_of(leaf: Leaf) -> type[Any]:
    """Return the class of what a leaf expects."""
    if isinstance(leaf, Like):
        return leaf.cls
    return type(leaf.intent) if isinstance(leaf, Exact) else object


def nearest(leaf: Leaf, among: Sequence[Any]) -> tuple[int, list[Difference]] | None:
    """Return the index of the intent of the same class with the fewest differences, and these."""
    cls = class_of(leaf)
    found = [(i, list(unlike(leaf, one))) for i, one in enumerate(among) if isinstance(one, cls)]
    return min(found, key=lambda pair: len(pair[1]), default=None)


def indented(differences: Iterable[Difference], by: str) -> Iterator[str]:
    """Yield a line for each difference."""
    return (f"{by}{difference}" for difference in differences)


def unlike(expected: Any, intent: Any) -> Iterator[Difference]:
    """Format the differences of an intent from an expectation, or from another value."""
    if isinstance(expected, Exact):
        expected = expected.intent
    if isinstance(expected, Like):
        for name, value in expected.expected.items():
            attribute, got = expected.attributes[name], expected.got(intent, name)
            if isinstance(value, Like) and isinstance(got, value.cls):
                for inner in unlike(value, got):
                    yield Difference(f"{name}.{inner.path}", inner.expected, inner.got)
            else:
                yield from of_field(attribute, value, got, name)
    else:
        yield from differences(expected, intent)
