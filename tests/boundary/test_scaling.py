"""Cost per intent does not grow: not with regions, their depth, headers, overrides or batches.

Counted in calls of functions, not in time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Dedupe,
    Drop,
    Handles,
    HandlesBatch,
    Hold,
    Limit,
    OncePerChain,
    Options,
    intent,
    region,
)


@intent
class Mail:
    n: int


@intent
class Note:
    n: int


@intent
class Save:
    n: int


def made(**batches: Any) -> Boundary:
    wiring = containers.DynamicContainer()
    wiring.mail = HandlesBatch(Mail, lambda _: None, **batches) if batches else ignoring(Mail)
    wiring.note = ignoring(Note)
    wiring.save = Handles(Save, lambda save: airlock.emit(Mail(save.n)))
    return Boundary(wiring)


def ignoring(cls: type[Any]) -> Handles[Any]:
    return Handles(cls, lambda _: None)


PLAIN = made()
BATCHES = made(size=100)


def emit_both(n: int) -> None:
    airlock.emit(Mail(n))
    airlock.emit(Note(n))


def sibling_regions(n: int) -> None:
    with PLAIN.scope():
        for i in range(n):
            with region(Drop(Note)):
                emit_both(i)


def sibling_regions_with_a_policy_that_counts(n: int) -> None:
    with PLAIN.scope():
        for i in range(n):
            with region(Limit(1)):
                emit_both(i)


def nested_scopes(n: int) -> None:
    with PLAIN.scope():
        for i in range(n):
            with PLAIN.scope(policy=Drop(Note)):
                emit_both(i)


def batches_over_many_scopes(n: int) -> None:
    with BATCHES.scope():
        for i in range(n):
            with BATCHES.scope(headers={"tenant": str(i % 7)}):
                emit_both(i)


def batches_over_many_regions(n: int) -> None:
    with BATCHES.scope():
        for i in range(n):
            with region(Drop(Note)):
                emit_both(i)


def headers_of_each(n: int) -> None:
    with PLAIN.scope(policy=Dedupe()):
        for i in range(n):
            airlock.emit(Mail(i), Options(headers={"tenant": str(i)}))


def overrides_side_by_side(n: int) -> None:
    with PLAIN.scope() as effects:
        for i in range(n):
            with effects.override({Mail: lambda _: None}):
                emit_both(i)


def followed_up(n: int) -> None:
    with PLAIN.scope(policy=OncePerChain()):
        for i in range(n):
            with PLAIN.scope(headers={"tenant": str(i % 7)}):
                airlock.emit(Save(i))


def held_and_planned(n: int) -> None:
    with PLAIN.scope(policy=Hold()) as effects:
        for i in range(n):
            with region(Limit(5)):
                airlock.emit(Mail(i))
    effects.plan()


def deep(open_one: Callable[[Any, int], Any]) -> Callable[[int], None]:
    def run(n: int) -> None:
        with PLAIN.scope() as effects, ExitStack() as stack:
            for i in range(n):
                stack.enter_context(open_one(effects, i))
                airlock.emit(Mail(i))

    return run


def enclosures_in_scopes_of_two_boundaries(n: int) -> None:
    with PLAIN.scope() as effects, BATCHES.scope(), ExitStack() as stack:
        for i in range(n):
            stack.enter_context(airlock.enclose(Drop(Note)))
            airlock.emit(Mail(i))
        effects.emit(Mail(n))


def enclosures_outside_of_scopes(n: int) -> None:
    with ExitStack() as stack:
        for _ in range(n):
            stack.enter_context(airlock.enclose(Drop(Note)))


def followed_up_in_enclosures(n: int) -> None:
    with ExitStack() as stack:
        for _ in range(n):
            stack.enter_context(airlock.enclose(Drop(Note)))
        with PLAIN.scope():
            for i in range(n):
                airlock.emit(Save(i))


DEEP = {
    "deep_regions": deep(lambda *_: region(Drop(Note))),
    "deep_equal_holds": deep(lambda *_: region(Hold(Note))),
    "deep_scopes": deep(lambda *_: PLAIN.scope()),
    "deep_headers": deep(lambda _, i: PLAIN.scope(headers={"depth": str(i)})),
    "deep_overrides": deep(lambda effects, _: effects.override({Mail: lambda _: None})),
    "deep_enclosures": deep(lambda *_: airlock.enclose(Drop(Note))),
    "deep_enclosures_of_two_boundaries": enclosures_in_scopes_of_two_boundaries,
    "deep_enclosures_outside_of_scopes": enclosures_outside_of_scopes,
    "deep_enclosures_around_handlers": followed_up_in_enclosures,
}
WIDE = [
    sibling_regions,
    sibling_regions_with_a_policy_that_counts,
    nested_scopes,
    batches_over_many_scopes,
    batches_over_many_regions,
    headers_of_each,
    overrides_side_by_side,
    followed_up,
    held_and_planned,
]


def calls_of(work: Callable[[int], None], n: int) -> int:
    """How many functions are called."""
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work(n)
    finally:
        sys.setprofile(before)
    return calls


def grows_linearly(work: Callable[[int], None]) -> None:
    work(10)  # what is done once
    few, many = calls_of(work, 50) / 50, calls_of(work, 400) / 400
    assert many < 1.1 * few, f"{few:.1f} calls an item for 50, {many:.1f} for 400"


@pytest.mark.parametrize("work", WIDE)
def test_the_number_of_regions_does_not_matter(work: Callable[[int], None]) -> None:
    grows_linearly(work)


@pytest.mark.parametrize("name", DEEP)
def test_their_depth_does_not_matter(name: str) -> None:
    grows_linearly(DEEP[name])
