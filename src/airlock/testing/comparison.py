"""Explanation of a failed ``==``: two sequences of intents, side by side."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import attrs

from airlock.effects.describe import name_of, stable_repr
from airlock.effects.place import Place, shown
from airlock.effects.registry import KNOWN, describe
from airlock.emissions.buffer import EffectBuffer
from airlock.emissions.emission import Emission
from airlock.testing.bounded import LINES, bounded, drawn, ends, short
from airlock.testing.differences import differences, in_common
from airlock.testing.excerpt import Excerpt
from airlock.testing.expectations import AnyOrder, Exact, Expectation, Leaf
from airlock.testing.explain import (
    PER_VALUE,
    WIDTH,
    class_of,
    indented,
    log,
    nearest,
    unlike,
    values_of,
    why_missing,
)
from airlock.testing.greedy import Matching
from airlock.testing.recording import Recording
from airlock.testing.tape import Tape

__all__ = ["compared", "explained", "unchanging"]

Pair = tuple[Any, int | None]
"""An expected intent (or NOTHING), and the index of an emission (or None)."""
LEFT_OUT = 20
"""Number of emissions that are listed although they do not count."""
NOTHING: Any = object()
"""Stands where nothing was expected."""
TABLE = 10_000
"""Largest table of a longest common subsequence: of two hundreds, say."""


def explained(op: str, left: Any, right: Any) -> tuple[str, list[str]] | None:
    """Explain why ``left == right`` or ``left in right`` is false: in a line, and at length.

    Returns:
        None if that is not about intents.
    """
    if op == "in":
        return _not_in(left, right) if isinstance(right, EffectBuffer) else None
    if (
        _is_sequence(right)
        and isinstance(right, EffectBuffer)
        and not isinstance(left, EffectBuffer)
    ):
        left, right = right, left
    if _is_sequence(left) and _is_sequence(right):
        emissions = _emissions(left)
        emitted, expected = _values(left), _values(right)
        lines = compared(emitted, expected, [emission.place for emission in emissions])
        if isinstance(left, Recording):
            lines += _left_out(left.tape)
        return f"{_format_name(left)} == {_format_name(right)}", lines
    if type(left) in KNOWN and type(right) in KNOWN:
        found = bounded(indented(differences(right, left), "  "), LINES)
        return f"{short(stable_repr(left))} == {short(stable_repr(right))}", found
    return None


@contextmanager
def unchanging(*compared: Any) -> Iterator[None]:
    """Look at the recordings among these as they are now: while a failure is explained."""
    with ExitStack() as stack:
        for tape in {one.tape for one in compared if isinstance(one, Recording)}:
            stack.enter_context(tape.unchanging())
        yield


def _emissions(sequence: Any) -> Sequence[Emission]:
    """Return the emissions of the intents, as far as they are known."""
    if isinstance(sequence, Recording):
        return sequence.tape.escaping
    # An excerpt that the test has changed is a list as any other.
    same = isinstance(sequence, Excerpt) and len(sequence) == len(sequence.emissions)
    return sequence.emissions if same else ()


def _left_out(tape: Tape) -> list[str]:
    """Emissions that are not in the recording, because they would not have escaped."""
    gone = [(e, fate) for e in tape.emissions if not (fate := tape.fate(e)).escapes]
    if not gone:
        return []
    first, more = gone[:LEFT_OUT], len(gone) - LEFT_OUT
    values = values_of(emission for emission, _ in first)
    lines = zip(values, first, strict=True)
    listed = [f"  {value}  {shown(e.place)}  {fate.note}" for value, (e, fate) in lines]
    rest = [f"  ... and {more:,} more"] if more > 0 else []
    return ["", "emitted, and not counted:", *listed, *rest]


def _not_in(wanted: Any, buffer: EffectBuffer) -> tuple[str, list[str]] | None:
    if type(wanted) not in KNOWN and not isinstance(wanted, Leaf):
        return None
    leaf = wanted if isinstance(wanted, Leaf) else Exact(wanted)
    if isinstance(buffer, Recording):
        tape = buffer.tape
        lines = [*why_missing(tape, leaf, tape.escaping), "", *log(tape)]
    else:
        lines = _buffered(leaf, _values(buffer))
    return f"{_format_value(wanted)} in {_format_name(buffer)}", lines


def _buffered(leaf: Leaf, intents: Sequence[Any]) -> list[str]:
    """List the nearest intents in a buffer that records no places."""
    if not intents:
        return ["the buffer is empty"]
    first, more, last = ends(list(enumerate(intents, 1)), LINES - 1)
    rows = [f"  {i:>3}  {_format_value(one)}" for i, one in (*first, *last)]
    gap = [f"       ... {more:,} more ..."] if more else []
    lines = ["in the buffer:", *rows[: len(first)], *gap, *rows[len(first) :]]
    near = nearest(leaf, intents)
    if near is None:
        return lines
    index, found = near
    differing = bounded(indented(found, "  "), PER_VALUE)
    return [f"nearest to {short(repr(leaf))}: #{index + 1}", *differing, "", *lines]


def _is_sequence(value: object) -> bool:
    return isinstance(value, EffectBuffer | list | tuple)


def _values(sequence: Any) -> list[Any]:
    """Return the intents, without marking them as looked at."""
    return list(sequence.flat().intents if isinstance(sequence, EffectBuffer) else sequence)


def _format_name(sequence: Any) -> str:
    count = len(_values(sequence))
    name = "list" if isinstance(sequence, list) else type(sequence).__name__
    return f"{name} of {count} effect{'' if count == 1 else 's'}"


def compared(
    emitted: Sequence[Any], expected: Sequence[Any], places: Sequence[Place | None] = ()
) -> list[str]:
    """Compare emitted intents with expected ones.

    Args:
        emitted: intents.
        expected: intents, or single expectations of them.
        places: of the emissions, where they are known.
    """
    rows = Rows(emitted, expected, [*places, *[None] * (len(emitted) - len(places))])
    if len(emitted) == len(expected) and _same_but_for_order(emitted, expected):
        return rows.in_columns()
    return rows.aligned()


class Rows:
    """Two sequences of intents as lines of text."""

    def __init__(
        self, emitted: Sequence[Any], expected: Sequence[Any], places: Sequence[Place | None]
    ) -> None:
        self._emitted = emitted
        self._expected = expected
        self._places = places
        at_most = [*emitted[:LINES], *emitted[-LINES:], *expected[:LINES], *expected[-LINES:]]
        self._width = min(max((len(_format_value(one)) for one in at_most), default=0), WIDTH)
        self._digits = len(str(len(emitted))) + 1

    def in_columns(self) -> list[str]:
        """Draw them side by side: the same values in another order."""
        pairs = zip(self._expected, self._emitted, strict=True)
        rows = [(one == other, at) for at, (one, other) in enumerate(pairs)]
        head = ["only the order is wrong:", f"         {'expected':<{self._width}}  emitted"]
        return head + drawn(rows, self._side_by_side)

    def _side_by_side(self, at: int) -> Iterator[str]:
        one, other, width = self._expected[at], self._emitted[at], self._width
        mark = " " if one == other else "~"
        values = f"{_format_value(one):<{width}}  {_format_value(other):<{width}}"
        yield f"  {mark} {at + 1:>3}  {values}  {self._place(at)}".rstrip()

    def aligned(self) -> list[str]:
        """Draw one below the other, with what is missing, too many, or not as expected."""
        head = f"{len(self._emitted)} emitted, {len(self._expected)} expected:"
        pairs = _aligned(self._emitted, self._expected)
        rows = [(at is not None and one == self._emitted[at], (one, at)) for one, at in pairs]
        return [head, *drawn(rows, self._below, limit=2 * LINES)]

    def _below(self, pair: tuple[Any, int | None]) -> Iterator[str]:
        one, at = pair
        if at is None:
            yield f"  - {_format_value(one):<{self._width}}  {_missing(one)}"
        elif one is NOTHING:
            yield self._row("+", at, "not expected")
        elif one == self._emitted[at]:
            yield self._row(" ", at)
        else:
            yield self._row("~", at, "not as expected")
            yield from bounded(indented(unlike(one, self._emitted[at]), " " * 8), PER_VALUE)

    def _row(self, mark: str, at: int, note: str = "") -> str:
        value = f"  {mark} {_format_value(self._emitted[at]):<{self._width}}"
        parts = [value, f"{f'#{at + 1}':<{self._digits}}", self._place(at), note]
        return "  ".join(part for part in parts if part).rstrip()

    def _place(self, at: int) -> str:
        place = self._places[at]
        return shown(place) if place else ""


def _format_value(one: Any) -> str:
    return describe(one) if isinstance(one, type) else short(stable_repr(one))


def _missing(one: Any) -> str:
    """Explain why what is expected is missing, where that is plain."""
    if isinstance(one, type):
        return f"no intent is equal to a class: write like({name_of(one)})"
    if isinstance(one, Expectation) and not isinstance(one, Leaf):
        return "no intent is equal to several: pass it to effects.saw(...)"
    return "missing"


def _same_but_for_order(emitted: Sequence[Any], expected: Sequence[Any]) -> bool:
    leaves = [one if isinstance(one, Leaf) else Exact(one) for one in expected]
    return Matching(emitted).meet(AnyOrder(*leaves)) is not None


# -- what belongs to what -------------------------------------------------------------------------


def _aligned(emitted: Sequence[Any], expected: Sequence[Any]) -> Iterator[Pair]:
    """Pair what is expected (or NOTHING) with the index of what was emitted (or None)."""
    start, end = in_common(expected, emitted)
    for at in range(start):
        yield expected[at], at
    wanted = list(expected[start : len(expected) - end])
    there = list(range(start, len(emitted) - end))
    from_i = from_j = 0
    for i, j in [*_anchors(wanted, there, emitted), (len(wanted), len(there))]:
        yield from _between(wanted[from_i:i], there[from_j:j], emitted)
        if i < len(wanted):
            yield wanted[i], there[j]
        from_i, from_j = i + 1, j + 1
    for back in range(end, 0, -1):
        yield expected[-back], len(emitted) - back


def _anchors(
    wanted: Sequence[Any], there: Sequence[int], emitted: Sequence[Any]
) -> list[tuple[int, int]]:
    """Find equal values in the same order, of many: the n-th of a value belongs to the n-th.

    The longest increasing sequence of them, by patience sorting: n log n steps.
    """
    if len(wanted) * len(there) <= TABLE:
        return []
    places: dict[Any, list[int]] = {}
    for j in reversed(range(len(there))):
        with suppress(TypeError):  # it has no hash
            places.setdefault(emitted[there[j]], []).append(j)
    piles: list[int] = []
    tops: list[Link] = []
    for i, one in enumerate(wanted):
        at = None if isinstance(one, Leaf) else _next_place(places, one)
        if at is not None:
            pile = bisect_left(piles, at)
            link = Link(i, at, tops[pile - 1] if pile else None)
            piles[pile : pile + 1] = [at]
            tops[pile : pile + 1] = [link]
    found: list[tuple[int, int]] = []
    last = tops[-1] if tops else None
    while last is not None:
        found.append((last.wanted, last.there))
        last = last.before
    return found[::-1]


def _next_place(places: dict[Any, list[int]], one: Any) -> int | None:
    try:
        left = places.get(one)
    except TypeError:  # it has no hash
        return None
    return left.pop() if left else None


@attrs.frozen(eq=False)
class Link:
    """Two equal values, and those that come before them in the longest sequence so far."""

    wanted: int
    there: int
    before: Link | None


def _between(wanted: Sequence[Any], there: Sequence[int], emitted: Sequence[Any]) -> Iterator[Pair]:
    """Pair few along a longest common subsequence, and many in turn."""
    if len(wanted) * len(there) > TABLE:
        yield from _paired(wanted, there, emitted)
        return
    table = [[0] * (len(there) + 1) for _ in range(len(wanted) + 1)]
    for i in range(len(wanted) - 1, -1, -1):
        for j in range(len(there) - 1, -1, -1):
            equal = wanted[i] == emitted[there[j]]
            table[i][j] = (
                table[i + 1][j + 1] + 1 if equal else max(table[i + 1][j], table[i][j + 1])
            )
    i = j = from_i = from_j = 0
    while i < len(wanted) and j < len(there):
        if wanted[i] == emitted[there[j]]:
            yield from _paired(wanted[from_i:i], there[from_j:j], emitted)
            yield wanted[i], there[j]
            i, j = i + 1, j + 1
            from_i, from_j = i, j
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    yield from _paired(wanted[from_i:], there[from_j:], emitted)


def _paired(wanted: Sequence[Any], there: Sequence[int], emitted: Sequence[Any]) -> Iterator[Pair]:
    """Pair those of one class, in turn; the others are missing, or too many."""
    by_class: dict[Any, deque[int]] = {}
    for i, one in enumerate(wanted):
        by_class.setdefault(_class_of(one), deque()).append(i)
    begin = 0
    for at in there:
        mates = [by_class[cls] for cls in type(emitted[at]).__mro__ if cls in by_class]
        for mate in mates:
            while mate and mate[0] < begin:  # passed over
                mate.popleft()
        mate_at = min((mate[0] for mate in mates if mate), default=None)
        if mate_at is None:
            yield NOTHING, at
            continue
        for skipped in wanted[begin:mate_at]:
            yield skipped, None
        yield wanted[mate_at], at
        begin = mate_at + 1
    for one in wanted[begin:]:
        yield one, None


def _class_of(expected: Any) -> Any:
    """Return the class of the intents that an expectation is about; None if it is about none."""
    cls = class_of(expected) if isinstance(expected, Leaf) else type(expected)
    return cls if cls in KNOWN else None
