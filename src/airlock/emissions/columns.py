"""Rows as columns of text that fit a width: long cells go on below themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import zip_longest

__all__ = ["columns"]

GAP = "  "
ELSEWHERE = 120
"""The width where there is no terminal."""
LEAST = 16
"""The least width of a column that is folded."""


def columns(
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    right: int | None = None,
    folds: Sequence[int] = (),
) -> list[str]:
    r"""Return the lines of a table.

    Args:
        rows: their cells.
        width: of the lines in characters; by default that of the terminal, or 120.
        right: the column that is flush right.
        folds: the columns that may be folded, into equal parts of the width at the least.

    Example:
        >>> print(
        ...     "\n".join(
        ...         columns(
        ...             [("a", "some words, and more"), ("b", "few")], width=20, folds=[1]
        ...         )
        ...     )
        ... )
        a  some words, and
           more
        b  few
    """
    if width is None:
        width = _width()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = width - len(GAP) * (len(widths) - 1)
    left -= sum(taken for at, taken in enumerate(widths) if at not in folds)
    for number, at in enumerate(
        sorted(folds, key=widths.__getitem__)
    ):  # short ones leave their rest
        share = max(left // (len(folds) - number), LEAST)
        widths[at] = min(widths[at], share)
        left -= widths[at]
    return [line for row in rows for line in _lines(row, widths, right)]


def _width() -> int:
    if sys.stdout is None or not sys.stdout.isatty():  # COLUMNS says nothing about files
        return ELSEWHERE
    from shutil import get_terminal_size  # noqa: PLC0415 - slow to import

    return get_terminal_size().columns


def _lines(row: Sequence[str], widths: Sequence[int], right: int | None) -> list[str]:
    cells = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        GAP.join(
            f"{part:>{width}}" if at == right else f"{part:<{width}}"
            for at, (part, width) in enumerate(zip(parts, widths, strict=True))
        ).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _folded(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    from textwrap import wrap  # noqa: PLC0415 - imports re, and few tables are as wide

    return wrap(text, width, break_on_hyphens=False)
