"""A database with an outbox, and relays on it in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
from sqlalchemy import text
from sqlalchemy.engine import Engine

from airlock.effects.options import Options
from airlock.outbox import Outbox
from airlock.outbox.entry import Entry, New, Selection
from airlock.wire import Envelope
from tests.integrations.services import postgresql
from tests.outbox.relay_worker import Lines, engine_of

__all__ = ["Place", "place_in", "wait_for"]

PATIENCE = 120.0
"""Seconds that a test waits for what must happen, however busy the machine is."""


def wait_for(what: Callable[[], object], patience: float = PATIENCE) -> None:
    """Poll until something is true."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@attrs.define(eq=False)
class Place:
    """A database, a folder for what handlers write, and the relays that were started."""

    url: str
    folder: Path
    engine: Engine
    outbox: Outbox
    processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    @property
    def effects(self) -> Lines:
        return Lines(self.folder / "effects")

    @property
    def begun(self) -> Lines:
        return Lines(self.folder / "begun")

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def record(self, *intents: Any, **options: Any) -> None:
        """Commit rows, as a transaction of the user would."""
        news = [self.new(intent, **options) for intent in intents]
        self.outbox.database.run(lambda c: self.outbox.store.insert(c, news))

    def new(self, intent: Any, **options: Any) -> New:
        envelope = Envelope(intent, Options(**options))
        given = envelope.options
        return New(
            id=envelope.id,
            kind=envelope.kind,
            version=envelope.version,
            envelope=self.outbox.wire.encode(envelope),
            ordering_key=given.ordering_key,
            dedupe_key=given.dedupe_key,
            delay=given.delay,
        )

    def rows(self) -> list[Entry]:
        return list(
            self.outbox.database.run(
                lambda c: self.outbox.store.select(c, Selection(), limit=100_000, offset=0)
            )
        )

    def start(self, *settings: str) -> subprocess.Popen[bytes]:
        """Start a relay; its settings as ``name=value``."""
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.outbox.relay_worker",
                    self.url,
                    self.folder,
                    *settings,
                ],
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
            )
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a relay to stop once it has started, and wait until it has stopped."""
        self.wait(lambda: f":{process.pid} queue=" in self.log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, self.output()

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def wait(self, what: Callable[[], object]) -> None:
        """Wait, while the relays that should work do so."""
        try:
            wait_for(what)
        except AssertionError:
            raise AssertionError(f"{self.output()}\n{self.log[-5000:]}\n{self.rows()}") from None

    def wait_until_empty(self) -> None:
        self.wait(lambda: not self.rows())

    def execute(self, sql: str) -> list[Any]:
        with self.engine.begin() as connection:
            result = connection.execute(text(sql))
            return list(result) if result.returns_rows else []

    def duplicates(self) -> int:
        return sum(number - 1 for number in Counter(self.effects.numbers()).values())

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


@contextmanager
def place_in(database: str, folder: Path) -> Iterator[Place]:
    """A fresh outbox: in a file, or in a schema of its own."""
    if database == "sqlite":
        url, schema = f"sqlite:///{folder / 'outbox.db'}", None
        admin = engine_of("sqlite://")
    else:
        schema = f"relay_{uuid4().hex[:12]}"
        base = postgresql().replace("postgresql://", "postgresql+psycopg://")
        admin = engine_of(base)
        with admin.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        url = f"{base}?options=-csearch_path%3D{schema}&application_name={schema}"
    engine = engine_of(url)
    place = Place(url, folder, engine, Outbox(engine))
    try:
        place.outbox.create()
        place.execute("CREATE TABLE done (number INTEGER)")
        yield place
    finally:
        place.end()
        engine.dispose()
        if schema is not None:
            with admin.begin() as connection:
                connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        admin.dispose()
