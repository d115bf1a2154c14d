"""Timed sections. The standard library alone: the peer's interpreter has nothing else."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any

Handler = Callable[[Any], object]
Work = Callable[[int], object]


class BrokenError(Exception):
    """A contender did not do the work."""


class Section:
    """How long a ``with section():`` took, in seconds of this process."""

    seconds: float = 0.0


@contextmanager
def section() -> Iterator[Section]:
    """Time a block. The garbage collector has just run, and stays on."""
    timed = Section()
    gc.collect()
    start = process_time()
    yield timed
    timed.seconds = process_time() - start


def per_item(
    work: Work, n: int, repeat: int = 1, clock: Callable[[], float] = process_time
) -> float:
    """Nanoseconds per item of ``work(n)``, of this process, whatever else the machine does.

    What the work returns is let go after the clock has stopped, so that nobody is charged for
    freeing memory. The collector is called once, before the first of the repetitions.
    """
    gc.collect()
    spent = 0.0
    for _ in range(repeat):
        start = clock()
        done = work(n)
        spent += clock() - start
        del done
    return spent / (repeat * n) * 1e9


def loop_and_empty(loop: Work, n: int) -> dict[str, float]:
    """Nanoseconds per turn of a loop over ``range(n)``, and of the same loop with nothing in it."""
    return {"loop": per_item(loop, n), "empty": per_item(_empty, n)}


def _empty(n: int) -> None:
    for _ in range(n):
        pass


def bytes_per_item(build: Work, n: int) -> float:
    """What ``build(n)`` leaves allocated, per item."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        built = build(n)
        after = tracemalloc.get_traced_memory()[0]
        del built
    finally:
        tracemalloc.stop()
    return (after - before) / n


class Counter:
    """A handler that counts its calls, however it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: object, **__: object) -> None:
        self.calls += 1


def proven(make: Callable[[Handler], Work], handler: Handler, n: int = 100) -> Work:
    """The work with a no-op handler, after a run with one that counts has shown that it is done.

    Raises:
        BrokenError: it is not done.
    """
    counter = Counter()
    make(counter)(n)
    if counter.calls != n:
        raise BrokenError(f"the handler was called {counter.calls} times, not {n}")
    return make(handler)


def nothing(_: object) -> None:
    """The handler of everybody."""
