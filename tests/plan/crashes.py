"""Applies a plan, and dies by SIGKILL at one point after the other; then goes on and tells.

Run by ``test_crashes.py``, as ``python -m tests.plan.crashes STORY FOLDER``. Every application is in
a forked child, so that nothing is imported again; what each came to is printed as a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
from dependency_injector import containers
from stamina.instrumentation import set_on_retry_hooks

import airlock
from airlock import Boundary, Drop, Expands, Handles, HandlesBatch, Hold, RetryPolicy, intent
from airlock.errors import InDoubtError
from airlock.plan import Plan, PlanEntry
from airlock.plan.journal import JournalFile

set_on_retry_hooks([])  # where structlog is installed they write to standard output


@intent(kind="crashes.mail")
class Mail:
    n: int


@intent(kind="crashes.save")
class Save:
    """Emits an ``Index`` and some ``Noise``."""

    n: int


@intent(kind="crashes.index")
class Index:
    """Emits a ``Mail``."""

    n: int


@intent(kind="crashes.noise")
class Noise:
    n: int


@intent(kind="crashes.audit")
class Audit:
    n: int


@intent(kind="crashes.flaky")
class Flaky:
    """Fails at first."""

    n: int


@intent(kind="crashes.placed")
class Placed:
    """Means a ``Mail`` and an ``Audit``."""

    n: int


class Flake(Exception):  # noqa: N818 - it stands for any error
    """What passes."""


PLANNED = (
    Mail(1), Save(2), Audit(3), Placed(4), Flaky(5), Save(6), Audit(7), Audit(8), Mail(9),
)  # fmt: skip
FOLLOWING = (Index(2), Index(6), Mail(104), Audit(104), Mail(202), Mail(206), Mail(305))


@attrs.define
class World:
    """What effects do: they write a line to a file. And it counts down to its end."""

    file: Path
    left: int = -1
    """At how many points it still passes; -1 for all there are."""

    def point(self) -> None:
        """Where it may die."""
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def do(self, one: Any) -> None:
        """The effect, with a point before and after."""
        self.point()
        file = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{one}\n".encode())
        os.fsync(file)
        os.close(file)
        self.point()

    def done(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []


def dying_at_transactions(world: World) -> None:
    """Add points before and after each transaction of the journal, and before its commit."""
    original = JournalFile._transaction

    @contextlib.contextmanager
    def transaction(self: JournalFile, kind: str = "IMMEDIATE") -> Iterator[None]:
        world.point()
        with original(self, kind):
            yield
            world.point()
        world.point()

    JournalFile._transaction = transaction  # type: ignore[method-assign]


class Handlers:
    """What the handlers do."""

    def __init__(self, world: World) -> None:
        self.world = world

    def do(self, one: Any) -> None:
        self.world.do(one)

    def save(self, one: Save) -> None:
        airlock.emit_all([Index(one.n), Noise(one.n)])
        self.world.do(one)

    def index(self, one: Index) -> None:
        self.world.do(one)
        airlock.emit(Mail(200 + one.n))

    def all_of(self, several: list[Audit]) -> None:
        for one in several:
            self.world.do(one)

    def flaky(self, one: Flaky) -> None:
        airlock.emit(Mail(300 + one.n))
        if airlock.delivery().attempt == 1:
            self.world.point()
            raise Flake
        self.world.do(one)


def awaited(handler: Callable[[Any], None]) -> Callable[[Any], Any]:
    async def handle(one: Any) -> None:
        await asyncio.sleep(0)
        handler(one)
        await asyncio.sleep(0)

    return handle


def boundary_of(world: World, *, idempotent: bool, asynchronous: bool) -> Boundary:
    """Handlers of every sort."""
    handlers = Handlers(world)
    form: Callable[[Any], Any] = awaited if asynchronous else lambda handler: handler
    once = RetryPolicy(on=Flake, max_attempts=2, wait_initial=timedelta(0), wait_max=timedelta(0))
    wiring: Any = containers.DynamicContainer()
    wiring.mail = Handles(Mail, form(handlers.do), idempotent=idempotent)
    wiring.save = Handles(Save, form(handlers.save), idempotent=idempotent)
    wiring.index = Handles(Index, form(handlers.index), idempotent=idempotent)
    wiring.audit = HandlesBatch(Audit, form(handlers.all_of), size=2, idempotent=idempotent)
    wiring.flaky = Handles(Flaky, form(handlers.flaky), idempotent=idempotent, retry=once)
    wiring.placed = Expands(Placed, expand, idempotent=idempotent)
    return Boundary(wiring, policy=Drop(Noise), concurrency=3 if asynchronous else 1)


def expand(one: Placed) -> Sequence[Any]:
    return [Mail(100 + one.n), Audit(100 + one.n)]


@attrs.define
class Case:
    """One plan in a folder, with its journal and the file of what was done."""

    folder: Path
    idempotent: bool
    asynchronous: bool
    plan: Plan
    name: str

    @property
    def world(self) -> World:
        return World(self.folder / f"{self.name}.done")

    @property
    def journal(self) -> Path:
        return self.folder / f"{self.name}.journal"

    def truth(self, entry: PlanEntry) -> str:
        """Who knows from the file what was done. What emits must be done again."""
        emits = isinstance(entry.intent, Save | Index | Placed | Flaky)
        return "done" if str(entry) in self.world.done() and not emits else "retry"

    def apply(self, world: World, **how: Any) -> None:
        boundary = boundary_of(world, idempotent=self.idempotent, asynchronous=self.asynchronous)
        if self.asynchronous:
            asyncio.run(boundary.aapply(self.plan, journal=self.journal, **how))
        else:
            boundary.apply(self.plan, journal=self.journal, **how)

    def fork(self, left: int, **how: Any) -> int:
        """Apply it in a child that dies after ``left`` points."""
        pid = os.fork()
        if not pid:
            world = self.world
            world.left = left
            try:
                dying_at_transactions(world)
                self.apply(world, **how)
            except BaseException as error:  # noqa: BLE001 - told, then ended without a clean-up
                os.write(2, f"{error!r}\n".encode())
                os._exit(3)
            os._exit(0)
        return pid

    def died(self, pid: int) -> bool:
        """Wait for a child."""
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return os.WTERMSIG(status) == signal.SIGKILL
        if status:
            raise SystemExit(f"a child ended with {status}")
        return False

    def states(self) -> dict[int, str]:
        with contextlib.closing(sqlite3.connect(self.journal)) as database:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return {}
            return dict(database.execute("SELECT number, state FROM effects ORDER BY number"))

    def refused(self) -> list[str]:
        """What is asked about."""
        try:
            self.apply(self.world)
        except InDoubtError as error:
            return list(error.effects)
        return []


def tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


def every_point(case: Callable[[str], Case], step: int = 1) -> None:
    """Die at the first point, at the second, ... until it comes through."""
    for left in range(0, 1_000, step):
        one = case(str(left))
        if not one.died(one.fork(left)):
            tell(n=left, killed=False, after=one.world.done(), states=one.states())
            return
        before, at = one.world.done(), one.states()
        refused = [] if one.idempotent or "running" not in at.values() else one.refused()
        asked = one.world.done()
        one.apply(one.world, in_doubt=None if one.idempotent else one.truth)
        tell(
            n=left, killed=True, before=before, at=at, refused=refused, asked=asked,
            after=one.world.done(), states=one.states(),
        )  # fmt: skip
    raise SystemExit("it never came through")


def every_third_point(case: Callable[[str], Case]) -> None:
    """The same, in a third of the time."""
    every_point(case, 3)


def twice(case: Callable[[str], Case]) -> None:
    """Die, go on, and die again, and again."""
    chance = random.Random(7)
    for number in range(15):
        one, died, in_flight = case(f"twice-{number}"), 0, 0
        how: dict[str, Any] = {} if one.idempotent else {"in_doubt": one.truth}
        while one.died(one.fork(chance.randrange(3, 60), **how)):
            died += 1
            in_flight += [*one.states().values()].count("running")
        tell(died=died, in_flight=in_flight, after=one.world.done(), states=one.states())


def from_outside(case: Callable[[str], Case]) -> None:
    """Be killed by another process, whenever."""
    chance = random.Random()
    whole = case("outside-whole")
    began = time.monotonic()
    whole.died(whole.fork(-1))
    usual = time.monotonic() - began
    number = deaths = 0
    while number < 8 or deaths < 4:
        one, died, in_flight = case(f"outside-{number}"), 0, 0
        number += 1
        how: dict[str, Any] = {} if one.idempotent else {"in_doubt": one.truth}
        while True:
            pid = one.fork(-1, **how)
            time.sleep(chance.uniform(0, usual * (1 + died / 4)))  # more and more, so that it ends
            os.kill(pid, signal.SIGKILL)
            if not one.died(pid):
                break
            died += 1
            in_flight += [*one.states().values()].count("running")
        if not died:
            usual /= 2  # it took longer when it was measured
        deaths += died
        tell(died=died, in_flight=in_flight, after=one.world.done(), states=one.states())


STORIES = {
    "every-point": every_point,
    "every-third-point": every_third_point,
    "twice": twice,
    "from-outside": from_outside,
}


def main(story: str, mode: str, folder: str) -> None:
    idempotent, asynchronous = "idempotent" in mode, "async" in mode
    os.chdir(folder)
    with Boundary({}).scope(policy=Hold()) as effects:
        effects.emit_all(PLANNED)
    effects.plan().save("effects.plan")
    plan = Plan.load("effects.plan")

    def case(name: str) -> Case:
        return Case(Path(folder), idempotent, asynchronous, plan, name)

    warm = case("warm")
    warm.apply(warm.world)  # so that no child has anything to import
    STORIES[story](case)


if __name__ == "__main__":
    main(*sys.argv[1:])
