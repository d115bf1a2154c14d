"""What it takes to send an intent to Celery, and a ``.delay()`` that is buffered, beside a plain one.

That is what an application pays: a scope that opens, intents emitted, the scope flushed, each
message encoded and published.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from importlib import import_module
from time import perf_counter, process_time
from typing import Any

from airlock import Boundary, intent
from benchmarks.clock import BrokenError, per_item
from benchmarks.measure import Bar, Contender, NotInstalledError, Row, Sample

REDIS = os.environ.get("AIRLOCK_REDIS_URL", "redis://127.0.0.1:6379/0")
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
        "µs each",
        [
            Contender("airlock, a scope for each", lambda: taking(one_each)),
            Contender("task.delay(...)", lambda: taking(plain), Bar.AT_MOST, 1.15),
            Contender("airlock, one scope", lambda: taking(one_scope)),
        ],
    )
    for clock, meaning in ((perf_counter, "time that passes"), (process_time, "processor time")):
        caught = partial(taking, broker="redis", clock=clock, around=installed)
        yield Row(
            "delay",
            f"{CALLS} calls of task.delay(...), real Redis, {meaning}",
            "µs each",
            [
                Contender("buffered, one scope", partial(caught, buffered)),
                Contender("plain", partial(taking, plain, "redis", clock), Bar.AT_MOST, 1.3),
                Contender("a scope for each", partial(caught, buffered_each)),
            ],
        )


def taking(
    make: Callable[[Any], Callable[[int], None]],
    broker: str = "memory",
    clock: Callable[[], float] = process_time,
    around: Callable[[Any], AbstractContextManager[object]] = nullcontext,
) -> Callable[[], Sample]:
    """Time one way of sending, on a queue of its own that is emptied after each round."""
    url = REDIS if broker == "redis" else "memory://"
    app = import_module("celery").Celery(make.__name__, broker=url, set_as_current=False)
    app.conf.task_default_queue = f"benchmarks-{make.__name__}-{os.getpid()}"
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0)
    except import_module("kombu").exceptions.OperationalError as error:
        raise NotInstalledError(f"{broker}, set AIRLOCK_REDIS_URL: {error}") from error
    send = make(app)
    with around(app):
        send(1)  # connects, and declares the queue
    empty(app)

    def sample() -> Sample:
        with around(app):
            took = per_item(send, CALLS, clock=clock)
        if (arrived := empty(app)) != CALLS:
            raise BrokenError(f"{arrived} of {CALLS} messages arrived")
        return Sample(took / 1e3)

    return sample


def empty(app: Any) -> int:
    with app.connection_for_read() as connection:
        purged: int = connection.default_channel.queue_purge(app.conf.task_default_queue)
    return purged


def plain(app: Any) -> Callable[[int], None]:
    @app.task(name="shop.confirm", shared=False)  # type: ignore[untyped-decorator]  # imported at run time
    def confirm(order_id: int, to: str, *, express: bool) -> None:
        raise NotImplementedError("no worker runs")

    def send(count: int) -> None:
        for number in range(count):
            confirm.delay(number, "a@example.com", express=True)

    return send


def buffered(app: Any) -> Callable[[int], None]:
    """The same calls in a scope, which sends them at its end."""
    send, boundary = plain(app), buffering(app)

    def send_buffered(count: int) -> None:
        with boundary.scope():
            send(count)

    return send_buffered


def buffered_each(app: Any) -> Callable[[int], None]:
    send, boundary = plain(app), buffering(app)

    def send_buffered(count: int) -> None:
        for _ in range(count):
            with boundary.scope():
                send(1)

    return send_buffered


@cache
def buffering(app: Any) -> Boundary:
    celery = import_module("airlock.integrations.celery")
    return Boundary({celery.CallTask: celery.SendTasks(app)})


def installed(app: Any) -> AbstractContextManager[object]:
    """In force while its contender runs, and not while the others do."""
    celery = import_module("airlock.integrations.celery")
    made: AbstractContextManager[object] = celery.install(
        app, mode="buffer", boundary=buffering(app)
    )
    return made


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
