"""The testing kit: what a test with ten effects costs, beside the same code and a plain buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import airlock
from airlock import EffectBuffer
from airlock.testing import expect_effects, in_order
from benchmarks.clock import per_item
from benchmarks.contenders import NotifyWarehouse
from benchmarks.measure import Sample

EFFECTS = 10
EXPECTED = [NotifyWarehouse(i) for i in range(EFFECTS)]


def comparing(n: int) -> Sample:
    """Tests that record, and compare the recording with a list; microseconds each."""
    return _tests(n, _compared)


def saying(n: int) -> Sample:
    """Tests that say in what order they expect what."""
    return _tests(n, _said)


def buffering(n: int) -> Sample:
    """The same tests with a buffer, without the kit."""
    return _tests(n, _buffered)


def _tests(n: int, test: Callable[[], None]) -> Sample:
    def work(n: int) -> Any:
        for _ in range(n):
            test()

    return Sample(per_item(work, n) / 1e3)


def _compared() -> None:
    with expect_effects() as effects:
        for i in range(EFFECTS):
            airlock.emit(NotifyWarehouse(i))
        assert effects == EXPECTED


def _said() -> None:
    with expect_effects(in_order(*EXPECTED)):
        for i in range(EFFECTS):
            airlock.emit(NotifyWarehouse(i))


def _buffered() -> None:
    effects = EffectBuffer()
    for i in range(EFFECTS):
        effects.emit(NotifyWarehouse(i))
    assert effects == EXPECTED
