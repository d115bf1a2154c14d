"""Nudges: who has just committed rows wakes the relays of this process that deliver them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

__all__ = ["nudge", "nudged"]

_LOCK = Lock()
_WAITING: dict[Hashable, tuple[Callable[[], object], ...]] = {}


def nudge(identity: Hashable) -> None:
    """Wake whoever waits for rows of a database, after a commit.

    Args:
        identity: of the database.
    """
    for wake in _WAITING.get(identity, ()):
        wake()


@contextmanager
def nudged(identity: Hashable, wake: Callable[[], object]) -> Iterator[None]:
    """Have a function called after each commit of rows in this process.

    Args:
        identity: of the database.
        wake: called in the thread that has committed; quick, and raises nothing.
    """
    with _LOCK:
        _WAITING[identity] = (*_WAITING.get(identity, ()), wake)
    try:
        yield
    finally:
        with _LOCK:
            left = tuple(each for each in _WAITING[identity] if each is not wake)
            if left:
                _WAITING[identity] = left
            else:
                del _WAITING[identity]
