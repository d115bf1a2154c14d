"""On whose behalf a function is called that was given away, to be called later."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from airlock.effects.place import Place

__all__ = ["call_for", "place_for"]

T = TypeVar("T")


def call_for(place: Place, function: Callable[[], T]) -> T:  # noqa: ARG001 - read off the frame
    """Call a function for the code that gave it away.

    Args:
        place: where that was: what the function itself calls is called from there, as a ``partial``
            has no frame of its own.
        function: to call.

    Raises:
        Exception: as it does.

    Example:
        >>> call_for(("shop.py", 11), lambda: 42)
        42
    """
    return function()


def place_for(frame: FrameType) -> Place | None:
    """The place that ``call_for`` was given, if a frame is one of it."""
    if frame.f_code is not call_for.__code__:
        return None
    place: Place = frame.f_locals["place"]
    return place
