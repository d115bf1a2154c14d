"""Delivers at once, in the midst of other work with the database, and prints what became of that."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.conf import settings
from django.db import connections, transaction

from airlock import Boundary
from airlock.integrations.base.looping import run
from tests.integrations.queues.lost import worker
from tests.integrations.queues.lost.apps import IDLE, LOG, Ask, asked


def deliver(name: str) -> dict[str, int | None]:
    """Emit to an engine that runs its tasks at once; the handler is sync or async."""
    if settings.ENGINE == "celery":
        worker.app.conf.task_always_eager = True
        worker.app.conf.task_eager_propagates = True
    else:
        worker.app.immediate = True
    before = len(LOG.read_text().splitlines()) if LOG.exists() else 0
    with Boundary({}, dispatch=worker.dispatch(name)).scope() as effects:
        effects.emit(Ask(name))
    lines = LOG.read_text().splitlines()
    assert len(lines) == before + 1
    found: dict[str, int | None] = json.loads(lines[-1])["found"]
    return found


def execute(name: str, query: str) -> Any:
    with connections[name].cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone() if cursor.description else None


@contextmanager
def in_atomic(name: str) -> Iterator[None]:
    with transaction.atomic(using=name):
        yield


@contextmanager
def in_a_transaction(name: str) -> Iterator[None]:
    transaction.set_autocommit(False, using=name)
    try:
        yield
        transaction.commit(using=name)
    finally:
        transaction.set_autocommit(True, using=name)


@contextmanager
def in_no_transaction(name: str) -> Iterator[None]:
    yield


def kept(block: Callable[[str], Any], name: str, handler: str) -> bool:
    """Return True if a connection, and what belongs to it, is there after a delivery in a block."""
    with block(name):
        execute(name, "CREATE TEMPORARY TABLE told AS SELECT 42 AS number")
        before = asked()[name]
        for _ in range(2):
            deliver(handler)
        there = asked()[name] == before and execute(name, "SELECT number FROM told") == (42,)
        execute(name, "DROP TABLE told")
    return bool(there)


def lost_by_others() -> bool:
    """Return True if a connection that was lost before the delivery is not used in it."""
    connections["lasting"].close()
    killed = asked()["lasting"]
    execute("default", f"SELECT pg_terminate_backend({killed}, 60000)")
    return deliver("sync")["lasting"] not in {None, killed}


def shared() -> list[bool]:
    """Return what coroutines that share a thread find while another one is being delivered."""

    async def first() -> list[bool]:
        before = await sync_to_async(asked)()
        begun.set()
        await asyncio.to_thread(over.wait, 60)
        after = await sync_to_async(asked)()
        return [
            after["brief"] == before["brief"],
            after["lasting"] not in {None, before["lasting"]},
        ]

    async def lose() -> int | None:
        killed = (await sync_to_async(asked)())["lasting"]
        execute_elsewhere = sync_to_async(execute, thread_sensitive=False)
        await execute_elsewhere("default", f"SELECT pg_terminate_backend({killed}, 60000)")
        return (await sync_to_async(asked)())["lasting"]

    begun, over = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: run(first()))
        begun.wait(60)
        lost = run(lose())
        over.set()
        return [*running.result(), lost is None]


async def view(handler: str) -> None:
    """What an async server does with a sync view."""
    async with ThreadSensitiveContext():
        await sync_to_async(deliver)(handler)


async def called(handler: str) -> None:
    await sync_to_async(deliver)(handler)


def main() -> None:
    blocks = (in_no_transaction, in_atomic, in_a_transaction)
    told = {
        f"{block.__name__} {name} {handler}": kept(block, name, handler)
        for block in blocks
        for name in ("brief", "lasting", "checked")
        for handler in ("sync", "async")
    }
    for each in connections.all():
        each.close()
    deliver("sync")
    told["closed what it has opened"] = connections["brief"].connection is None
    told["closed what others have lost"] = lost_by_others()
    told["coroutines keep each other's connections, but no lost one"] = all(shared())
    IDLE.append(True)  # a handler with the database could only wait for the thread that waits
    asyncio.run(view("async"))
    asyncio.run(called("async"))
    async_to_sync(called)("async")
    told["came to its end under an async server"] = True
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
