"""A relay in a process of its own: ``python relay_worker.py URL FOLDER [SETTING=VALUE ...]``.

Each effect appends a line ``number id pid`` to ``FOLDER/effects``; a handler that begins appends its
number to ``FOLDER/begun``. The field ``does`` of an intent says how its handler goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

import airlock
from airlock import Boundary, Dead, Retry, Route, Snooze, intent
from airlock.outbox import Outbox, Relay

__all__ = ["Fast", "Lines", "Slow", "Work", "boundary_of", "engine_of"]


@intent(kind="tests.work", version=1)
class Work:
    number: int
    does: str = "note"


@intent(kind="tests.slow", version=1)
class Slow:
    number: int
    does: str = "wait"


@intent(kind="tests.fast", version=1)
class Fast:
    number: int
    does: str = "note"


class Lines:
    """A file of lines, each written at once, so that a killed process leaves no half of one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, *words: object) -> None:
        line = " ".join(map(str, words)) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def numbers(self) -> list[int]:
        if not self.path.exists():
            return []
        return [int(line.split()[0]) for line in self.path.read_text().splitlines()]


def engine_of(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _(connection: Any, __: object) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA busy_timeout = 60000")

    return engine


def boundary_of(  # noqa: C901, PLR0915 - a table of what handlers do, each a line or three
    outbox: Outbox, folder: Path, engine: Engine | None = None
) -> Boundary:
    """A boundary whose handlers do as the intents say."""
    effects, begun = Lines(folder / "effects"), Lines(folder / "begun")

    def effect(one: Any) -> None:
        effects.add(one.number, airlock.delivery().id, os.getpid())

    def handle(one: Any) -> object:
        begun.add(one.number, os.getpid())
        verb, _, argument = one.does.partition(":")
        return verbs[verb](one, argument)

    def die(one: Any, _: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def once(one: Any, argument: str, then: Callable[[], object]) -> None:
        """Do something in the first attempt of all processes."""
        marker = folder / f"once-{one.number}-{argument}"
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return
        then()

    def kill_before(one: Any, _: str) -> None:
        once(one, "before", lambda: die(one, ""))
        effect(one)

    def kill_after(one: Any, _: str) -> None:
        effect(one)
        once(one, "after", lambda: die(one, ""))

    def wait(one: Any, argument: str) -> None:
        time.sleep(float(argument or 1))
        effect(one)

    def until(one: Any, argument: str) -> None:
        while not (folder / argument).exists():
            time.sleep(0.02)
        effect(one)

    def fail(one: Any, _: str) -> None:
        raise ConnectionError(f"nobody answers {one.number}")

    def fail_first(one: Any, argument: str) -> None:
        if airlock.delivery().attempt <= int(argument):
            raise ConnectionError(f"nobody answers {one.number}")
        effect(one)

    def follow(one: Any, argument: str) -> None:
        effect(one)
        for at in range(int(argument)):
            airlock.emit(Fast(1000 * one.number + at))

    def own(one: Any, argument: str) -> None:
        """Work in the database of the outbox, and acknowledge in the same transaction."""
        if engine is None:
            raise TypeError
        with Session(engine) as session:
            session.execute(text("INSERT INTO done (number) VALUES (:n)"), {"n": one.number})
            if argument == "work":
                once(one, argument, lambda: die(one, ""))
            airlock.delivery().acknowledge(session)
            if argument == "acknowledged":
                once(one, argument, lambda: die(one, ""))
            if argument == "rollback" and airlock.delivery().attempt == 1:
                return
            session.commit()
        if argument == "committed":
            once(one, argument, lambda: die(one, ""))

    verbs: dict[str, Callable[[Any, str], object]] = {
        "note": lambda one, _: effect(one),
        "die": die,
        "kill-before": kill_before,
        "kill-after": kill_after,
        "wait": wait,
        "until": until,
        "fail": fail,
        "fail-first": fail_first,
        "follow": follow,
        "own": own,
        "retry": lambda one, after: (
            Retry(timedelta(seconds=float(after)))
            if airlock.delivery().attempt == 1
            else effect(one)
        ),
        "snooze": lambda one, after: Snooze(timedelta(seconds=float(after))),
        "dead": lambda one, reason: Dead(reason),
    }
    return Boundary(
        {Work: handle, Slow: handle, Fast: handle},
        dispatch=Route({Work: outbox, Slow: outbox, Fast: outbox}),
    )


def async_boundary_of(outbox: Outbox, folder: Path) -> Boundary:
    """The same with async handlers, as far as they are needed."""
    effects, begun = Lines(folder / "effects"), Lines(folder / "begun")

    async def handle(one: Any) -> None:
        begun.add(one.number, os.getpid())
        verb, _, argument = one.does.partition(":")
        if verb == "wait":
            await asyncio.sleep(float(argument or 1))
        if verb == "until":
            while not (folder / argument).exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
        effects.add(one.number, airlock.delivery().id, os.getpid())
        if verb == "follow":
            for at in range(int(argument)):
                airlock.emit(Fast(1000 * one.number + at))

    return Boundary(
        {Work: handle, Slow: handle, Fast: handle},
        dispatch=Route({Work: outbox, Slow: outbox, Fast: outbox}),
    )


def main(url: str, folder: Path, *settings: str) -> None:
    logging.basicConfig(
        level=logging.DEBUG,
        filename=folder / "log",
        format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s",
    )
    given: dict[str, Any] = {
        "lease": timedelta(seconds=2),
        "renew": timedelta(seconds=0.5),
        "poll": timedelta(seconds=0.1),
    }
    asynchronous = False
    for setting in settings:
        name, _, value = setting.partition("=")
        if name == "async":
            asynchronous = True
        elif name in ("lease", "renew", "poll"):
            given[name] = timedelta(seconds=float(value))
        else:
            given[name] = int(value) if value.isdecimal() else value
    Lines(folder / "started").add(os.getpid())
    if asynchronous:
        outbox = Outbox(create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:")))
        boundary = async_boundary_of(outbox, folder)
    else:
        engine = engine_of(url)
        outbox = Outbox(engine)
        boundary = boundary_of(outbox, folder, engine)
    Relay(outbox, boundary, **given).run_sync()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
