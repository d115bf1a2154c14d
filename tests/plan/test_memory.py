"""A plan of any size is read, copied and applied in the same memory.

What is measured are the bytes that Python allocates, at their highest: no time, and no luck.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airlock import Boundary, Expands, HandlesBatch
from airlock.plan import Plan, PlanEntry
from airlock.plan.entry import write_entry
from airlock.plan.lines import written
from airlock.wire import Envelope, Wire
from tests.plan.vocabulary import Audit, Chain, container, ignore

MANY = 6_000
A_FEW = 2_000
ROOM = 200_000
"""For what Python and SQLite keep for themselves."""


def large(path: Path, size: int) -> None:
    """A plan of many effects."""
    wire = Wire()
    entries = (PlanEntry(i, Envelope(Audit(str(i))), place="shop.py:12") for i in range(size))
    Plan(written(((one, write_entry(wire, one)) for one in entries), None), wire).save(path)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    large(folder / "many.json", MANY)
    large(folder / "few.json", A_FEW)
    return folder


def highest(work: Callable[[], object]) -> int:
    """How much more than at the start is allocated at the highest."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def consume(entries: Iterator[object]) -> int:
    return sum(1 for _ in entries)


def test_reading_and_copying(plans: Path, tmp_path: Path) -> None:
    def work() -> None:
        plan = Plan.load(plans / "many.json")
        assert len(plan) == MANY
        assert consume(iter(plan)) == MANY
        assert len(str(plan).splitlines()) == 53
        plan.save(tmp_path / "copy.json")

    assert (plans / "many.json").stat().st_size > 4 * ROOM
    assert highest(work) < ROOM


def test_applying(plans: Path, tmp_path: Path) -> None:
    """A third of the effects takes as much."""
    sizes: list[int] = []
    batches = HandlesBatch(Audit, lambda several: sizes.append(len(several)))
    boundary = Boundary(container(audit=batches))

    def work() -> None:
        plan = Plan.load(plans / "many.json")
        applied = boundary.apply(plan, journal=tmp_path / "journal")
        assert applied.counts == {"delivered": MANY}
        again = boundary.apply(plan, journal=tmp_path / "journal")
        assert again.before == MANY

    boundary.apply(Plan.load(plans / "few.json"), journal=tmp_path / "warm")
    few = highest(lambda: boundary.apply(Plan.load(plans / "few.json"), journal=tmp_path / "few"))
    many = highest(work)
    assert few < 5_000_000  # which is a chunk
    assert many - few < ROOM
    assert max(sizes) == 1_000


def test_many_follow_ups(tmp_path: Path) -> None:
    """They are in the journal, and come from there in chunks; a generation is judged as a whole."""
    wire = Wire()
    entries = [PlanEntry(i, Envelope(Chain(200))) for i in range(2)]
    Plan(written(((one, write_entry(wire, one)) for one in entries), None), wire).save(
        tmp_path / "effects.plan"
    )
    expands = Expands(Chain, lambda one: [Audit(str(i)) for i in range(10 * one.n)])
    wiring = container(chain=expands, audit=HandlesBatch(Audit, ignore))
    applied = Boundary(wiring).apply(Plan.load(tmp_path / "effects.plan"))
    assert applied.counts == {"delivered": 4_002}
