"""Release with a Django transaction.

One callback for all effects, beside Django's ``on_commit`` as users write it: a callback for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import airlock
from airlock import Boundary
from benchmarks import django_project
from benchmarks.clock import Handler, Work
from benchmarks.contenders import NotifyWarehouse, flushing
from benchmarks.measure import Bar, Contender, Row

Loop = Callable[[Callable[[int], object], int], None]
"""Does something with each of so many ids, in a transaction."""

OURS, THEIRS = "airlock", "Django's on_commit"


def rows() -> Iterator[Row]:
    for n, bar in ((10_000, 1.0), (100_000, 2.0)):
        yield Row(
            "django",
            f"{n:,} effects in one atomic(), released by its commit",
            "ns per effect",
            [
                Contender(OURS, flushing(partial(emitting, in_one), n)),
                Contender(THEIRS, flushing(partial(calling_back, in_one), n), Bar.AT_LEAST, bar),
            ],
            rounds=7,
        )
    for n in (10_000, 50_000):
        yield Row(
            "django",
            f"{n:,} inner atomic() in one, an effect in each",
            "ns per effect",
            [
                Contender(OURS, flushing(partial(emitting, in_many), n)),
                Contender(THEIRS, flushing(partial(calling_back, in_many), n), Bar.AT_LEAST, 0.7),
            ],
            rounds=5,
        )
    yield Row(
        "django",
        "5,000 inner atomic() in one, and one more after each that is rolled back",
        "ns per effect",
        [
            Contender(OURS, flushing(partial(emitting, with_failures), 5_000)),
            Contender(
                THEIRS, flushing(partial(calling_back, with_failures), 5_000), Bar.AT_LEAST, 1
            ),
        ],
        rounds=5,
    )


def emitting(make: Callable[[], Loop], handler: Handler) -> Work:
    """Emit in a scope that is released by the transaction."""
    loop = make()
    transactions: Any = import_module("airlock.integrations.django.transactions")
    boundary = Boundary({NotifyWarehouse: handler})

    def work(n: int) -> object:
        with boundary.scope(release=transactions.on_commit()) as effects:
            loop(lambda i: airlock.emit(NotifyWarehouse(i)), n)
        return effects

    return work


def calling_back(make: Callable[[], Loop], handler: Handler) -> Work:
    """Register a callback for each."""
    loop = make()
    on_commit: Any = import_module("django.db.transaction").on_commit
    return lambda n: loop(lambda i: on_commit(partial(handler, i)), n)


def in_one() -> Loop:
    atomic = django_project.atomic()

    def loop(place: Callable[[int], object], n: int) -> None:
        with atomic():
            for i in range(n):
                place(i)

    return loop


def in_many() -> Loop:
    """As a ``save()`` that writes to two tables, called in a transaction."""
    atomic = django_project.atomic()

    def loop(place: Callable[[int], object], n: int) -> None:
        with atomic():
            for i in range(n):
                with atomic():
                    place(i)

    return loop


def with_failures() -> Loop:
    """As an import that skips what fails."""
    atomic = django_project.atomic()
    set_rollback: Any = import_module("django.db.transaction").set_rollback

    def loop(place: Callable[[int], object], n: int) -> None:
        with atomic():
            for i in range(n):
                with atomic():
                    place(i)
                with atomic():
                    place(i)
                    set_rollback(True)

    return loop
