"""A soak: transactions commit and roll back while relays are killed at random.

``python -m tests.outbox.soak SECONDS [postgresql|sqlite] [SEED]``. The invariant: distinct effects are
the committed intents, duplicates are at most the crashes times what a worker had claimed, and the
table returns to zero rows.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import attrs
from sqlalchemy import text
from sqlalchemy.orm import Session

from airlock.integrations.sqlalchemy import on_commit
from tests.outbox.relay_worker import Work, boundary_of
from tests.outbox.relaying import Place, place_in

__all__ = ["Soaked", "soak"]

BATCH = 20
SETTINGS = (f"batch={BATCH}", "concurrency=2", "lease=1", "renew=0.25", "poll=0.05")


@attrs.frozen
class Soaked:
    """Numbers of a soak that held."""

    committed: int
    rolled_back: int
    crashes: int
    duplicates: int


def soak(place: Place, seconds: float, seed: int, relays: int = 3) -> Soaked:
    """Record and kill for a while, then let all be delivered, and check the invariant."""
    chance = random.Random(seed)
    boundary = boundary_of(place.outbox, place.folder)
    number = rolled_back = crashes = 0
    running = [place.start(*SETTINGS) for _ in range(relays)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with (
            Session(place.engine) as session,
            boundary.scope(release=on_commit(session)) as effects,
        ):
            numbers = range(number, number + chance.randint(1, 30))
            number = numbers.stop
            session.execute(
                text("INSERT INTO done (number) VALUES (:n)"), [{"n": each} for each in numbers]
            )
            for each in numbers:
                does = chance.choice(["note"] * 8 + ["fail-first:1", "wait:0.05"])
                effects.emit(Work(each, does))
            if chance.random() < 0.2:
                rolled_back += len(numbers)
                session.rollback()
            else:
                session.commit()
        time.sleep(chance.uniform(0, 0.1))
        if chance.random() < 0.15:
            at = chance.randrange(relays)
            how = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            running[at].send_signal(how)
            code = running[at].wait(120)
            assert code in (0, -how), place.output()
            crashes += code != 0
            running[at] = place.start(*SETTINGS)
    place.wait_until_empty()
    for process in running:
        place.stop(process)
    committed = {number for (number,) in place.execute("SELECT number FROM done")}
    effects_seen = set(place.effects.numbers())
    assert effects_seen == committed, effects_seen ^ committed
    # A worker holds what one claim has given it, for each of its chunks.
    assert place.duplicates() <= crashes * BATCH * 2, place.duplicates()
    return Soaked(len(committed), rolled_back, crashes, place.duplicates())


def main(seconds: str, database: str = "postgresql", seed: str | None = None) -> None:
    number = random.randrange(1 << 32) if seed is None else int(seed)
    sys.stdout.write(f"soaking for {seconds} s on {database}, seed {number}\n")
    with tempfile.TemporaryDirectory() as folder, place_in(database, Path(folder)) as place:
        relays = 1 if database == "sqlite" else 3
        sys.stdout.write(f"{soak(place, float(seconds), number, relays)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
