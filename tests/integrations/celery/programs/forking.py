"""Sends a message, forks twice, and sends from all three at once: URL QUEUE HOW."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any

import billiard
from celery import Celery

from airlock import Boundary
from airlock.integrations.celery import CeleryDispatch
from tests.integrations.celery.vocabulary import Note

URL, QUEUE, HOW = sys.argv[1:]

app = Celery("forking", broker=URL)
# Nothing is tried again: a connection that a child has spoiled is not made anew.
boundary = Boundary({}, dispatch=CeleryDispatch(app, queue=QUEUE, retries=0))


def send(who: str, count: int) -> None:
    for number in range(count):
        with boundary.scope() as effects:
            effects.emit(Note(f"{who} {number}"))


def child(number: int) -> None:
    send(f"child {number}", 100)
    gc.collect()  # what it does not use is not closed for the parent


def forked(number: int) -> Callable[[], int]:
    """Fork by hand; a function that waits for the exit code."""
    pid = os.fork()
    if pid == 0:
        child(number)
        os._exit(0)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def started(context: Any, number: int) -> Callable[[], int]:
    process = context.Process(target=child, args=(number,))
    process.start()

    def ended() -> int:
        process.join()
        return int(process.exitcode)

    return ended


def main() -> None:
    contexts = {
        "multiprocessing": multiprocessing.get_context("fork"),
        "billiard": billiard.get_context("fork"),
    }
    send("parent before", 1)
    begun = [
        forked(number) if HOW == "os.fork" else started(contexts[HOW], number) for number in (1, 2)
    ]
    send("parent beside", 100)
    codes = [ended() for ended in begun]
    send("parent after", 1)
    if any(codes):
        raise SystemExit(f"the children ended with {codes}")


if __name__ == "__main__":
    main()
