"""Plans: what it takes to write down an effect, to read it, and to do it with a journal."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from airlock import Boundary, Hold, Scope
from airlock.plan import Plan
from benchmarks.clock import BrokenError, nothing, per_item
from benchmarks.contenders import NotifyWarehouse
from benchmarks.measure import Sample

_boundary = Boundary({NotifyWarehouse: nothing})


def holding(n: int) -> Sample:
    """Emissions into a scope that holds them, flushed; microseconds each."""
    return _each(_held, n)


def making(n: int) -> Sample:
    """The plan of what a scope holds."""
    scope = _held(n)
    return _each(lambda _: scope.plan(), n)


def reading(n: int) -> Sample:
    """A plan from disk, every entry of it."""
    with _stored(n) as path:
        return _each(lambda _: sum(1 for _ in Plan.load(path)), n)


def applying(n: int) -> Sample:
    """A plan from disk, with its journal beside it."""
    with _stored(n) as path:
        return _each(lambda _: _apply(path, n), n)


def applying_in_memory(n: int) -> Sample:
    """A plan that was never saved, with a journal in memory."""
    scope = _held(n)
    plan = scope.plan()
    return _each(lambda _: _boundary.apply(plan, progress=False), n)


def weighing(n: int) -> Sample:
    """The most memory that reading and applying a plan from disk takes; kilobytes."""
    with _stored(n) as path:
        tracemalloc.start()
        try:
            _apply(path, n)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return Sample(peak / 1e3)


def _apply(path: Path, n: int) -> Any:
    applied = _boundary.apply(Plan.load(path), progress=False)
    if applied.counts != {"delivered": n}:
        raise BrokenError(str(applied))
    return applied


def _held(n: int) -> Scope:
    with _boundary.scope(policy=Hold()) as effects:
        for i in range(n):
            effects.emit(NotifyWarehouse(i))
    effects.report.attend()
    return effects


@contextmanager
def _stored(n: int) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "plan.json")
        _held(n).plan().save(path)
        yield path


def _each(work: Callable[[int], object], n: int) -> Sample:
    return Sample(per_item(work, n, clock=perf_counter) / 1e3)  # with the waits for the disk
