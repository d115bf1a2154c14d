"""Text of a bounded length, however much there is to show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

__all__ = ["LINES", "bounded", "drawn", "ends", "short"]

LINES = 50
"""Largest number of lines in a part of an explanation."""
LONGEST = 1_000
"""Number of characters that are shown of a value."""
BEGIN, END = LONGEST * 4 // 5, LONGEST // 5
CONTEXT = 3
"""Number of lines that stay at either end of those that are left out."""

T = TypeVar("T")


def short(text: str) -> str:
    """Return a text without the middle of a very long one."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:BEGIN]} ... {len(text) - LONGEST:,} characters ... {text[-END:]}"


def bounded(lines: Iterable[str], limit: int) -> list[str]:
    """Return the first lines, and how many more there are."""
    there = list(lines)
    more = len(there) - limit
    return there if more <= 0 else [*there[:limit], f"... and {more:,} more"]


def ends(items: Sequence[T], limit: int) -> tuple[Sequence[T], int, Sequence[T]]:
    """Return the first items, how many are left out, and the last ones."""
    if len(items) <= limit:
        return items, 0, ()
    half = (limit - 1) // 2
    return items[:half], len(items) - 2 * half, items[-half:]


def drawn(
    rows: Sequence[tuple[bool, T]],
    draw: Callable[[T], Iterable[str]],
    *,
    limit: int = LINES,
) -> list[str]:
    """Return the lines of rows: all of few; of many, those that are as expected only at the edges.

    Args:
        rows: each with whether it is as expected.
        draw: makes the lines of a row, of those only that are shown.
        limit: how many lines there are at the most, and one that says how many rows are missing.
    """
    lines: list[str] = []
    seen = 0
    for fits, run in groupby(rows, key=lambda row: row[0]):
        group = list(run)
        first: Sequence[tuple[bool, T]] = group
        left_out, last = 0, first[:0]
        if fits and len(rows) > LINES:
            first, left_out, last = ends(group, 2 * CONTEXT + 1)
        for part in (first, last):
            for row in part:
                made = list(draw(row[1]))
                if len(lines) + len(made) > limit:
                    unshown = sum(not fitting for fitting, _ in rows[seen:])
                    return [*lines, f"  ... and {unshown:,} more not as expected"]
                lines += made
                seen += 1
            if part is first and left_out:
                lines.append(f"    ... {left_out:,} as expected ...")
                seen += left_out
    return lines
