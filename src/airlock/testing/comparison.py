"""Why a comparison with ``==`` failed: two sequences of intents, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from airlock.effects.buffer import EffectBuffer
from airlock.effects.emission import Emission
from airlock.effects.place import Place, shown
from airlock.effects.registry import KNOWN, describe
from airlock.effects.stable import name_of, stable_repr
from airlock.testing.differences import differences, in_common
from airlock.testing.excerpt import Excerpt
from airlock.testing.expectations import AnyOrder, Exact, Expectation, Leaf
from airlock.testing.explain import WIDTH, class_of, log, nearest, unlike, values_of, why_missing
from airlock.testing.recording import Recording
from airlock.testing.search import Search
from airlock.testing.tape import Tape

__all__ = ["compared", "explained"]

NOTHING: Any = object()
"""Stands where nothing was expected."""
TABLE = 1_000_000
"""How large the table of a longest common subsequence may be; longer ones are compared in step."""


def explained(op: str, left: Any, right: Any) -> tuple[str, list[str]] | None:
    """Why ``left == right`` or ``left in right`` is false: in a line, and at length.

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
        return f"{_named(left)} == {_named(right)}", lines
    if type(left) in KNOWN and type(right) in KNOWN:
        found = [f"  {difference}" for difference in differences(right, left)]
        return f"{stable_repr(left)} == {stable_repr(right)}", found
    return None


def _emissions(sequence: Any) -> Sequence[Emission]:
    """Where intents were emitted, as far as that is known."""
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
    values = values_of(emission for emission, _ in gone)
    lines = zip(values, gone, strict=True)
    told = [f"  {value}  {shown(e.place)}  {fate.note}" for value, (e, fate) in lines]
    return ["", "emitted, and not counted:", *told]


def _not_in(wanted: Any, buffer: EffectBuffer) -> tuple[str, list[str]] | None:
    if type(wanted) not in KNOWN and not isinstance(wanted, Leaf):
        return None
    leaf = wanted if isinstance(wanted, Leaf) else Exact(wanted)
    if isinstance(buffer, Recording):
        tape = buffer.tape
        lines = [*why_missing(tape, leaf, tape.escaping), "", *log(tape)]
    else:
        lines = _buffered(leaf, _values(buffer))
    return f"{_shown(wanted)} in {_named(buffer)}", lines


def _buffered(leaf: Leaf, intents: Sequence[Any]) -> list[str]:
    """What comes nearest in a buffer that records no places."""
    if not intents:
        return ["the buffer is empty"]
    lines = ["in the buffer:", *(f"  {i:>3}  {_shown(one)}" for i, one in enumerate(intents, 1))]
    near = nearest(leaf, intents)
    if near is None:
        return lines
    index, found = near
    told = [f"nearest to {leaf!r}: #{index + 1}", *(f"  {difference}" for difference in found)]
    return [*told, "", *lines]


def _is_sequence(value: object) -> bool:
    return isinstance(value, EffectBuffer | list | tuple)


def _values(sequence: Any) -> list[Any]:
    """The intents, without looking at them as a test does."""
    return list(sequence.flat().intents if isinstance(sequence, EffectBuffer) else sequence)


def _named(sequence: Any) -> str:
    count = len(_values(sequence))
    name = "list" if isinstance(sequence, list) else type(sequence).__name__
    return f"{name} of {count} effect{'' if count == 1 else 's'}"


def compared(
    emitted: Sequence[Any], expected: Sequence[Any], places: Sequence[Place | None] = ()
) -> list[str]:
    """What tells emitted intents from expected ones.

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
        values = [_shown(one) for one in (*emitted, *expected)]
        self._width = min(max(map(len, values), default=0), WIDTH)
        self._digits = len(str(len(emitted))) + 1

    def in_columns(self) -> list[str]:
        """Side by side: the same values in another order."""
        width = self._width
        lines = ["only the order is wrong:", f"         {'expected':<{width}}  emitted"]
        for at, (one, other) in enumerate(zip(self._expected, self._emitted, strict=True)):
            mark = " " if one == other else "~"
            values = f"{_shown(one):<{width}}  {_shown(other):<{width}}"
            lines.append(f"  {mark} {at + 1:>3}  {values}  {self._place(at)}".rstrip())
        return lines

    def aligned(self) -> list[str]:
        """One below the other, with what is missing, too many, or not as expected."""
        lines = [f"{len(self._emitted)} emitted, {len(self._expected)} expected:"]
        for one, at in _aligned(self._emitted, self._expected):
            if at is None:
                lines.append(f"  - {_shown(one):<{self._width}}  {_missing(one)}")
            elif one is NOTHING:
                lines.append(self._row("+", at, "not expected"))
            elif one == self._emitted[at]:
                lines.append(self._row(" ", at))
            else:
                lines.append(self._row("~", at, "not as expected"))
                found = unlike(one, self._emitted[at])
                lines += [f"        {difference}" for difference in found]
        return lines

    def _row(self, mark: str, at: int, note: str = "") -> str:
        value = f"  {mark} {_shown(self._emitted[at]):<{self._width}}"
        parts = [value, f"{f'#{at + 1}':<{self._digits}}", self._place(at), note]
        return "  ".join(part for part in parts if part).rstrip()

    def _place(self, at: int) -> str:
        place = self._places[at]
        return shown(place) if place else ""


def _shown(one: Any) -> str:
    return describe(one) if isinstance(one, type) else stable_repr(one)


def _missing(one: Any) -> str:
    """Why what is expected is not there, where that is plain."""
    if isinstance(one, type):
        return f"no intent is equal to a class: write like({name_of(one)})"
    if isinstance(one, Expectation) and not isinstance(one, Leaf):
        return "no intent is equal to several: pass it to effects.saw(...)"
    return "missing"


def _same_but_for_order(emitted: Sequence[Any], expected: Sequence[Any]) -> bool:
    leaves = [one if isinstance(one, Leaf) else Exact(one) for one in expected]
    if len(emitted) * len(expected) > TABLE:
        return False
    return Search(emitted).assigned(AnyOrder(*leaves)).enough


def _aligned(emitted: Sequence[Any], expected: Sequence[Any]) -> Iterator[tuple[Any, int | None]]:
    """Pairs of what is expected (or NOTHING) and the index of what was emitted (or None)."""
    start, end = in_common(expected, emitted)
    for at in range(start):
        yield expected[at], at
    wanted = list(expected[start : len(expected) - end])
    there = list(range(start, len(emitted) - end))
    if len(wanted) * len(there) <= TABLE:
        yield from _by_common_part(wanted, there, emitted)
    else:
        yield from _paired(wanted, there, emitted)
    for back in range(end, 0, -1):
        yield expected[-back], len(emitted) - back


def _by_common_part(
    wanted: list[Any], there: list[int], emitted: Sequence[Any]
) -> Iterator[tuple[Any, int | None]]:
    """Along a longest common subsequence; what is between its elements is paired by class."""
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


def _paired(
    wanted: Sequence[Any], there: Sequence[int], emitted: Sequence[Any]
) -> Iterator[tuple[Any, int | None]]:
    """Those of one class, in turn; the others are missing, or too many."""
    left = list(wanted)
    for at in there:
        mate = next((i for i, one in enumerate(left) if _same_class(one, emitted[at])), None)
        if mate is None:
            yield NOTHING, at
            continue
        for skipped in left[:mate]:
            yield skipped, None
        yield left[mate], at
        del left[: mate + 1]
    for one in left:
        yield one, None


def _same_class(expected: Any, intent: Any) -> bool:
    cls = class_of(expected) if isinstance(expected, Leaf) else type(expected)
    return cls in KNOWN and isinstance(intent, cls)
