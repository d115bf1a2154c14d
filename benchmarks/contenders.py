"""airlock, and the limit: the same class as stock attrs, in a list, its handler called from a dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from airlock import Boundary, PolicyLike, Scope, emit, intent
from benchmarks.clock import (
    BrokenError,
    Handler,
    Work,
    bytes_per_item,
    loop_and_empty,
    nothing,
    per_item,
    proven,
    section,
)
from benchmarks.measure import Sample


@intent(kind="benchmarks.notify-warehouse")
class NotifyWarehouse:
    order_id: int


@intent(kind="benchmarks.other")
class Other:
    order_id: int


@attrs.frozen
class Stock:
    order_id: int


# -- the work: build n intents, emit them, flush, and look at what became of them -----------------


def ambient(policy: PolicyLike | None = None) -> Callable[[Handler], Work]:
    def make(handler: Handler) -> Work:
        boundary = Boundary({NotifyWarehouse: handler})

        def work(n: int) -> object:
            with boundary.scope(policy=policy) as scope:
                for i in range(n):
                    emit(NotifyWarehouse(i))
            return reported(scope)

        return work

    return make


def explicit(handler: Handler) -> Work:
    boundary = Boundary({NotifyWarehouse: handler})

    def work(n: int) -> object:
        with boundary.scope() as effects:
            for i in range(n):
                effects.emit(NotifyWarehouse(i))
        return reported(effects)

    return work


def limit(handler: Handler) -> Work:
    handlers: dict[type[Any], Handler] = {Stock: handler}

    def work(n: int) -> object:
        buffer = list[Any]()
        for i in range(n):
            buffer.append(Stock(i))
        for item in buffer:
            handlers[type(item)](item)
        return buffer

    return work


def reported(scope: Scope) -> Scope:
    """Outcomes included: the report is read before the clock stops."""
    if not scope.report.counts:
        raise BrokenError("the report is empty")
    return scope


# -- what takes samples ---------------------------------------------------------------------------


def flushing(
    make: Callable[[Handler], Work], n: int, repeat: int = 1
) -> Callable[[], Callable[[], Sample]]:
    def prepare() -> Callable[[], Sample]:
        work = proven(make, nothing)
        return lambda: Sample(per_item(work, n, repeat))

    return prepare


def emitting(n: int, policy: PolicyLike) -> Sample:
    """Emit an intent that is built already; the scope's opening and flush are not timed."""
    boundary = Boundary({NotifyWarehouse: nothing})
    built = NotifyWarehouse(1_000)

    def loop(count: int) -> None:
        for _ in range(count):
            emit(built)

    with boundary.scope(policy=policy) as scope:
        parts = loop_and_empty(loop, n)
    if len(scope.report.delivered) != n:
        raise BrokenError("not all were delivered")
    return Sample(parts["loop"] - parts["empty"], parts)


def weighing(n: int) -> Sample:
    def build(count: int) -> None:
        for i in range(1_000, 1_000 + count):
            emit(NotifyWarehouse(i))

    with Boundary({NotifyWarehouse: nothing}).scope():
        return Sample(bytes_per_item(build, n))


def weighing_limit(n: int) -> Sample:
    def build(count: int) -> object:
        buffer = list[Any]()
        for i in range(1_000, 1_000 + count):
            buffer.append(Stock(i))
        return buffer

    return Sample(bytes_per_item(build, n))


def closing(depth: int, n: int) -> Sample:
    """From the exit of the innermost scope to the end of the outermost one's, flush included."""
    boundary = Boundary({NotifyWarehouse: nothing})
    scopes = list[Scope]()
    for _ in range(depth):
        scopes.append(boundary.scope().enter())
        for i in range(n // depth):
            emit(NotifyWarehouse(i))
    with section() as timed:
        for scope in reversed(scopes):
            scope.__exit__(None, None, None)
    if len(scopes[0].report.delivered) != n:
        raise BrokenError("not all were delivered")
    return Sample(timed.seconds * 1e6)
