"""What it takes to send an intent to Celery's memory broker, beside plain ``.delay()``.

That is what an application pays: a scope that opens, intents emitted, the scope flushed, each
message encoded and published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from airlock import Boundary, intent
from benchmarks.clock import BrokenError, per_item
from benchmarks.measure import Bar, Contender, Row, Sample

CALLS = 100
"""In each round."""


@intent(kind="benchmarks.confirm")
class Confirm:
    order_id: int
    to: str
    express: bool = False


def rows() -> Iterator[Row]:
    yield Row(
        "celery",
        f"{CALLS} messages to Celery's memory broker",
        "ns each",
        [
            Contender("airlock, a scope for each", lambda: taking(one_each)),
            Contender("task.delay(...)", lambda: taking(plain), Bar.AT_MOST, 1.15),
            Contender("airlock, one scope", lambda: taking(one_scope)),
        ],
    )


def taking(make: Callable[[Any], Callable[[int], None]]) -> Callable[[], Sample]:
    """Time one way of sending, on a queue of its own that is emptied after each round."""
    app = import_module("celery").Celery(make.__name__, broker="memory://")
    app.conf.task_default_queue = make.__name__
    send = make(app)
    send(1)  # connects, and declares the queue
    empty(app)

    def sample() -> Sample:
        took = per_item(send, CALLS)
        if (arrived := empty(app)) != CALLS:
            raise BrokenError(f"{arrived} of {CALLS} messages arrived")
        return Sample(took)

    return sample


def empty(app: Any) -> int:
    with app.connection_for_read() as connection:
        purged: int = connection.default_channel.queue_purge(app.conf.task_default_queue)
    return purged


def plain(app: Any) -> Callable[[int], None]:
    @app.task(name="shop.confirm")  # type: ignore[untyped-decorator]  # imported at run time
    def confirm(order_id: int, to: str, *, express: bool) -> None:
        raise NotImplementedError("no worker runs")

    def send(count: int) -> None:
        for number in range(count):
            confirm.delay(number, "a@example.com", express=True)

    return send


def one_each(app: Any) -> Callable[[int], None]:
    """As requests have it."""
    boundary = dispatching(app)

    def send(count: int) -> None:
        for number in range(count):
            with boundary.scope() as effects:
                effects.emit(Confirm(number, "a@example.com", express=True))

    return send


def one_scope(app: Any) -> Callable[[int], None]:
    boundary = dispatching(app)

    def send(count: int) -> None:
        with boundary.scope() as effects:
            for number in range(count):
                effects.emit(Confirm(number, "a@example.com", express=True))

    return send


def dispatching(app: Any) -> Boundary:
    celery = import_module("airlock.integrations.celery")
    return Boundary({}, dispatch=celery.CeleryDispatch(app, queue=app.conf.task_default_queue))
