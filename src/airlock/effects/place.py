"""Places in the user's code, kept without holding on to the frame."""

from __future__ import annotations

import os
import sys

__all__ = ["Place", "caller", "declaration", "named", "opened", "shown"]

Place = tuple[str, int]
"""File name and line."""

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 - pathlib takes a while to import


def caller() -> Place:
    """Return the nearest call outside airlock (and outside ``contextlib``, which only forwards).

    Example:
        >>> caller()[1] > 0
        True
    """
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_HERE) and not name.endswith("contextlib.py"):
            break
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def declaration() -> Place:
    """Return the line that called the calling function, in airlock too.

    Of an intent of airlock's own the nearest line outside would be whatever imports it.
    """
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno


def opened(kind: str, place: Place | str | None) -> str:
    """Format a region: its kind, and where it was opened, or what work it is around.

    Example:
        >>> opened("scope", "GET /checkout")
        'the scope of GET /checkout'
    """
    if isinstance(place, str):
        return f"the {kind} of {named(place)}"
    return f"the {kind}" if place is None else f"the {kind} opened at {shown(place)}"


def named(work: str) -> str:
    """Format the name of a unit of work, a part of which others may have chosen: a path, say."""
    return work if work.isprintable() else ascii(work)


def shown(place: Place | None) -> str:
    """``file:line``, with the path relative to the working directory where that is shorter."""
    if place is None:
        return "an unknown place"
    file, line = place
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        relative = file
    return f"{relative if not relative.startswith('..') else file}:{line}"
