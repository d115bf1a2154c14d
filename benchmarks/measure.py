"""Contenders in rounds: each round runs every contender once, so that drift hits all alike."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from statistics import median, quantiles
from time import perf_counter
from typing import TypeVar

import attrs

T = TypeVar("T")

log = logging.getLogger("benchmarks")


class NotInstalledError(Exception):
    """A contender is not here; the row says so, and that is no failure."""


class Bar(Enum):
    """Which ratio or value a bar is about."""

    AT_LEAST = "it takes at least this many times as long as airlock"
    AT_MOST = "airlock takes at most this many times as long as it"
    TIMES_FIRST = "it takes at most this many times as long as the first line"
    OVER_FIRST = "it takes at most this much longer than the first line"
    VALUE = "its own value is at most this"


@attrs.frozen
class Sample:
    """One measurement, in the unit of its row; with what it was derived from, if it was."""

    value: float
    parts: Mapping[str, float] = attrs.field(factory=dict[str, float])
    note: str = ""


@attrs.frozen
class Contender:
    """One line of a row.

    Attributes:
        name: of what is measured.
        prepare: called once, before the first round; returns what takes a sample.
        bar: what kind of bar there is.
        limit: where it is.
    """

    name: str
    prepare: Callable[[], Callable[[], Sample]]
    bar: Bar | None = None
    limit: float = 0.0


@attrs.frozen
class Row:
    """What is measured together. The first contender is the one that the ratios are about."""

    key: str
    title: str
    unit: str
    contenders: Sequence[Contender]
    rounds: int | None = None
    digits: int = 1


@attrs.define
class Result:
    """What was measured of one contender."""

    contender: Contender
    samples: list[Sample] = attrs.field(factory=list[Sample])
    missing: str = ""
    broken: str = ""

    @property
    def values(self) -> list[float]:
        return [sample.value for sample in self.samples]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = spread(self.values)
        return low, high

    @property
    def note(self) -> str:
        """The last sample's own, and the medians of its parts."""
        last = self.samples[-1]
        parts = [f"{k} {_short(median(s.parts[k] for s in self.samples))}" for k in last.parts]
        return ", ".join([*parts, *([last.note] if last.note else [])])


@attrs.frozen
class Measured:
    """A row and its results, in the order of its contenders."""

    row: Row
    results: list[Result]

    def ratios(self, result: Result) -> list[float]:
        """Per round: the contender against airlock; the other way round if that is its bar."""
        subject = self.results[0]
        if result is subject:
            return []
        pairs = zip(result.values, subject.values, strict=False)
        if result.contender.bar is Bar.AT_MOST:
            return [ours / theirs for theirs, ours in pairs]
        return [theirs / ours for theirs, ours in pairs]

    def judged(self, result: Result) -> float | None:
        """The number that the bar is about; None if it could not be measured."""
        if result.contender.bar is Bar.VALUE:
            return result.median if result.samples else None
        if result.contender.bar is Bar.OVER_FIRST:
            return self.difference(result)
        return self.ratio(result)

    def difference(self, result: Result) -> float | None:
        """The median of the differences to the first contender; None for that one."""
        if result is self.results[0] or not self.ratios(result):
            return None
        pairs = zip(result.values, self.results[0].values, strict=False)
        return median(its - firsts for its, firsts in pairs)

    def ratio(self, result: Result) -> float | None:
        """The median of the ratios; None for the first contender."""
        ratios = self.ratios(result)
        return median(ratios) if ratios else None

    def verdict(self, result: Result) -> str:
        """``holds``, ``missed``, ``not measured``; nothing if there is no bar."""
        bar, limit = result.contender.bar, result.contender.limit
        if bar is None:
            return ""
        number = self.judged(result)
        if number is None:
            return "not measured"
        return (
            "holds" if (number >= limit if bar is Bar.AT_LEAST else number <= limit) else "missed"
        )


def run(row: Row, *, rounds: int, seconds: float) -> Measured:
    """Measure a row: one round to warm up, then at least three, as many as time allows.

    Args:
        row: what to measure.
        rounds: how many at the most.
        seconds: after which no further round is begun.
    """
    results = [Result(contender) for contender in row.contenders]
    prepared = {i: _attempt(result, result.contender.prepare) for i, result in enumerate(results)}
    takers = {i: take for i, take in prepared.items() if take is not None}
    rounds = min(rounds, row.rounds or rounds)
    begun = perf_counter()
    for number in range(rounds + 1):
        if number > 3 and perf_counter() - begun > seconds:
            break
        for i in _turn(list(takers), number):
            sample = _attempt(results[i], takers[i])
            if sample is None:
                del takers[i]
            elif number:
                results[i].samples.append(sample)
    return Measured(row, results)


def _turn(order: list[int], number: int) -> list[int]:
    """Each round begins with another contender."""
    at = number % len(order) if order else 0
    return order[at:] + order[:at]


def _attempt(result: Result, step: Callable[[], T]) -> T | None:
    """What the step returns; None if the contender is not here or is broken, which is noted."""
    try:
        return step()
    except (NotInstalledError, ModuleNotFoundError) as error:
        result.missing = f"not installed: {error}"
    except Exception as error:
        log.exception("%s is broken", result.contender.name)
        result.broken = f"broken: {error!r}"
    result.samples.clear()
    return None


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
