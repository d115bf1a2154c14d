"""The intents of these tests, and what several of them need."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from dependency_injector import containers

import airlock
from airlock import Boundary, Hold, PolicyLike, field, intent
from airlock.plan import Plan
from airlock.wire import Wire


@intent(kind="plans.notify")
class Notify:
    order_id: int = 1


@intent(kind="plans.mail")
class Mail:
    to: str = "ada@example.org"


@intent(kind="plans.index")
class Index:
    order_id: int = 1


@intent(kind="plans.audit")
class Audit:
    text: str = "seen"


@intent(kind="plans.placed")
class Placed:
    order_id: int = 1


@intent(kind="plans.charge", version=2)
class Charge:
    order_id: int
    card: str = field(sensitive=True)


@intent(kind="plans.chain")
class Chain:
    """Its handler emits the next lower one, down to 0."""

    n: int = 3


class Broken(Exception):  # noqa: N818 - it stands for any error
    """What fails in these tests."""


def ignore(_: object) -> None:
    """A handler that does nothing."""


def explode(_: object) -> None:
    """A handler that fails."""
    raise Broken("the handler failed")


def chain(link: Chain) -> None:
    """The handler of ``Chain``."""
    if link.n:
        airlock.emit(Chain(link.n - 1))


EVERYTHING: dict[Any, Any] = dict.fromkeys(
    (Notify, Mail, Index, Audit, Placed, Charge, Chain), ignore
)


def plan_of(
    *intents: Any, wire: Wire | None = None, policy: PolicyLike | None = None, expires: Any = None
) -> Plan:
    """A plan of some intents."""
    with Boundary(EVERYTHING).scope(policy=policy or Hold()) as effects:
        effects.emit_all(intents)
    return effects.plan(wire=wire, expires=expires)


def saved(plan: Plan, path: Path) -> Plan:
    """The plan as it is read from a file."""
    plan.save(path)
    return Plan.load(path, wire=plan.wire)


def noting(handled: list[Any], *classes: type[Any]) -> dict[Any, Callable[[Any], None]]:
    """Handlers that note what they are called with."""
    return dict.fromkeys(classes or tuple(EVERYTHING), handled.append)


def container(**wiring: Any) -> Any:
    """A container of some providers."""
    made: Any = containers.DynamicContainer()
    for name, provider in wiring.items():
        setattr(made, name, provider)
    return made


def states(journal: Path | None) -> dict[int, str]:
    """What a journal says of each effect, by number."""
    with closing(sqlite3.connect(journal or ":memory:")) as database:
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {}
        return dict(database.execute("SELECT number, state FROM effects ORDER BY number"))


def lines_of(path: Path) -> list[Any]:
    """The lines of a plan, as documents."""
    return [json.loads(line) for line in path.read_text().splitlines()]
