"""Other libraries on the same work, for information. Imported late: they would weigh on the heap."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from benchmarks import django_project
from benchmarks.clock import Handler, Work
from benchmarks.contenders import Stock


def django(handler: Handler) -> Work:
    """``transaction.on_commit`` in an atomic block on SQLite in memory; the commit is the flush."""
    django_project.set_up()
    transaction: Any = import_module("django.db.transaction")

    def work(n: int) -> None:
        with transaction.atomic():
            for i in range(n):
                transaction.on_commit(partial(handler, Stock(i)))

    return work


def effect(handler: Handler) -> Work:
    """Effects in a list, each performed by a ``TypeDispatcher``."""
    library: Any = import_module("effect")
    make, perform = library.Effect, library.sync_perform

    @library.sync_performer  # type: ignore[untyped-decorator]  # the library has no types
    def performer(_: object, item: Stock) -> None:
        handler(item)

    dispatcher = library.TypeDispatcher({Stock: performer})

    def work(n: int) -> object:
        effects = list[Any]()
        for i in range(n):
            effects.append(make(Stock(i)))
        for item in effects:
            perform(dispatcher, item)
        return effects

    return work


def blinker(handler: Handler) -> Work:
    """``signal.send``: nothing is buffered, so the handler runs at once, inside the block."""
    placed: Any = import_module("blinker").Signal()

    def receive(_: object, *, item: Stock) -> None:
        handler(item)

    placed.connect(receive, weak=False)

    def work(n: int) -> None:
        for i in range(n):
            placed.send(None, item=Stock(i))

    return work
