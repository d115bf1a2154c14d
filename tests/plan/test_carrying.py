"""What a handler is told when a plan is applied is what a flush would have told it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest

import airlock
from airlock import (
    ALLOW,
    HOLD,
    Boundary,
    Delivery,
    Dispatcher,
    Handles,
    Hold,
    OncePerChain,
    Options,
    Route,
    Scope,
    effect,
)
from airlock.errors import UnsupportedOptionError
from airlock.plan import Plan
from tests.plan.vocabulary import EVERYTHING, Audit, Chain, Mail, Notify, Placed, chain, saved

ID = UUID(int=7)
OPTIONS = {
    "none": None,
    "id": Options(id=ID),
    "ordering_key": Options(ordering_key="a"),
    "headers": Options(headers={"trace": "1", "tenant": "own"}),
    "all": Options(id=ID, ordering_key="a", headers={"trace": "1"}),
    "no_delay": Options(delay=timedelta(0)),
}


@attrs.frozen
class Told:
    """What a handler learns of its delivery."""

    intent: Any
    headers: dict[str, str]
    options: Options
    depth: int
    causes: tuple[str, ...]
    attempt: int


def told(seen: list[Any], ids: list[UUID]) -> Callable[[Any], None]:
    def handle(one: Any) -> None:
        now = airlock.delivery()
        causes = tuple(cause.kind for cause in now.causation.ancestors)
        # Headers are told once, whoever said them, and no delay is no option.
        options = attrs.evolve(now.options, headers=None, delay=None)
        seen.append(Told(one, dict(now.headers), options, now.causation.depth, causes, now.attempt))
        ids.append(now.id)
        if isinstance(one, Placed):
            airlock.emit(Mail("x"), Options(headers={"own": "2"}))
        if isinstance(one, Chain) and one.n:
            airlock.emit(Chain(one.n - 1))

    return handle


def listening() -> tuple[list[Told], list[UUID], Boundary]:
    seen: list[Told] = []
    ids: list[UUID] = []
    return seen, ids, Boundary(dict.fromkeys(EVERYTHING, told(seen, ids)))


def directly(emit: Callable[[Scope], None]) -> list[Told]:
    seen, _, boundary = listening()
    with boundary.scope(headers={"tenant": "acme"}) as effects:
        emit(effects)
    return seen


def planned(emit: Callable[[Scope], None], path: Path) -> list[Told]:
    seen, ids, boundary = listening()
    with boundary.scope(policy=Hold(), headers={"tenant": "acme"}) as effects:
        emit(effects)
    plan = effects.plan()
    boundary.apply(saved(plan, path))
    assert ids[: len(plan)] == [entry.id for entry in plan]
    assert len(set(ids)) == len(ids)
    return seen


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_options_and_headers(options: Options | None, tmp_path: Path) -> None:
    """Also those of follow-ups."""

    def emit(effects: Scope) -> None:
        effects.emit(Notify(1))
        effects.emit(Placed(2), options)
        effects.emit(Notify(3))

    direct = directly(emit)
    assert len(direct) == 4
    assert planned(emit, tmp_path / "effects.plan") == direct


def test_generations(tmp_path: Path) -> None:
    """Depth and causes of follow-ups grow as in a flush."""

    def emit(effects: Scope) -> None:
        effects.emit_all([Chain(3), Placed(1)])

    direct = directly(emit)
    assert [one.depth for one in direct] == [0, 0, 1, 1, 2, 3]
    assert planned(emit, tmp_path / "effects.plan") == direct


def test_causes_of_what_was_held_far_down(tmp_path: Path) -> None:
    """A held follow-up knows what led to it, and so do its own follow-ups."""

    def policy(view: airlock.View) -> list[airlock.Verdict]:
        return [HOLD if one in (Chain(1), Mail("x")) else ALLOW for one in view.intents]

    seen, _, boundary = listening()
    with boundary.scope(policy=policy, headers={"tenant": "acme"}) as effects:
        effects.emit_all([Chain(3), Placed(1)])
    before = list(seen)
    boundary.apply(saved(effects.plan(), tmp_path / "effects.plan"))

    def emit(effects: Scope) -> None:
        effects.emit_all([Chain(3), Placed(1)])

    def by_depth(one: Told) -> tuple[int, str]:
        return one.depth, str(one.intent)

    assert len(before) == 3
    assert sorted(seen, key=by_depth) == sorted(directly(emit), key=by_depth)


def test_the_memory_of_once_per_chain_is_kept(tmp_path: Path) -> None:
    """What was held after an ancestor of its kind is not emitted again by a cycle."""
    ran: list[Any] = []

    def placed(one: Placed) -> None:
        ran.append(one)
        airlock.emit(Notify(one.order_id))

    def notify(one: Notify) -> None:
        ran.append(one)
        airlock.emit(Placed(one.order_id))

    boundary = Boundary({Placed: placed, Notify: notify}, policy=OncePerChain(Placed, Notify))
    with boundary.scope(policy=Hold(Notify)) as effects:
        effects.emit(Placed(1))
    applied = boundary.apply(saved(effects.plan(), tmp_path / "effects.plan"))
    assert ran == [Placed(1), Notify(1)]
    assert applied.counts == {"delivered": 1, "dropped": 1}


# -- dispatch -------------------------------------------------------------------------------------


class Queue(Dispatcher):
    """Honours no option."""

    options = frozenset()

    def __init__(self) -> None:
        self.sent: list[Delivery] = []
        self.intents: list[Any] = []

    def dispatch(self, delivery: Delivery, /) -> object:
        self.sent.append(delivery)
        self.intents.append((delivery.intent, delivery.options, dict(delivery.headers)))
        return None


def honouring(*names: str) -> Queue:
    """A queue that honours some options."""

    class Honouring(Queue):
        options = frozenset(names)

    return Honouring()


def plan_with(options: Options | None, *, headers: dict[str, str] | None = None) -> Plan:
    with Boundary(EVERYTHING).scope(policy=Hold(), headers=headers) as effects:
        effects.emit(Notify(1))
        effects.emit(Notify(2), options)
    return effects.plan()


def test_a_dispatch_that_honours_nothing_takes_what_gave_nothing(tmp_path: Path) -> None:
    """An id and the headers of a scope are no options."""
    queue = Queue()
    plan = saved(plan_with(None, headers={"tenant": "acme"}), tmp_path / "effects.plan")
    applied = Boundary({}, dispatch=queue).apply(plan)
    assert applied.counts == {"handed over": 2}
    assert queue.intents == [
        (Notify(1), Options(), {"tenant": "acme"}),
        (Notify(2), Options(), {"tenant": "acme"}),
    ]
    assert [one.id for one in queue.sent] == [entry.id for entry in plan]


@pytest.mark.parametrize(
    "options",
    [
        Options(id=ID),
        Options(delay=timedelta(hours=1)),
        Options(ordering_key="a"),
        Options(dedupe_key="a"),
        Options(headers={"a": "b"}),
    ],
    ids=["id", "delay", "ordering_key", "dedupe_key", "headers"],
)
def test_an_option_that_is_not_honoured_is_refused_before_anything_runs(
    options: Options, tmp_path: Path
) -> None:
    (name,) = options.given()
    others = {"id", "delay", "ordering_key", "dedupe_key", "headers"} - {name}
    plan = saved(plan_with(options), tmp_path / "effects.plan")
    queue = honouring(*others)
    with pytest.raises(UnsupportedOptionError, match=name):
        Boundary({}, dispatch=queue).apply(plan)
    assert not queue.sent
    assert Boundary({}, dispatch=honouring(name)).apply(plan).counts == {"handed over": 2}


def test_an_option_of_what_is_not_chosen_is_no_reason(tmp_path: Path) -> None:
    plan = saved(plan_with(Options(delay=timedelta(hours=1))), tmp_path / "effects.plan")
    applied = Boundary({Notify: print}).apply(plan, indices=[0])
    assert (applied.counts, applied.remaining) == ({"delivered": 1}, 1)


def test_routes(tmp_path: Path, handled: list[Any]) -> None:
    queue = Queue()
    boundary = Boundary({Audit: handled.append}, dispatch=Route({Mail: queue}))
    with Boundary(EVERYTHING).scope(policy=Hold()) as effects:
        effects.emit_all([Mail("x"), Audit("a"), Mail("y")])
    applied = boundary.apply(saved(effects.plan(), tmp_path / "effects.plan"))
    assert applied.counts == {"handed over": 2, "delivered": 1}
    assert handled == [Audit("a")]
    assert [one.intent for one in queue.sent] == [Mail("x"), Mail("y")]


# -- handlers of every sort -----------------------------------------------------------------------


@effect
def restock(product_id: int, *, stock: list[int] = airlock.needs()) -> None:
    stock.append(product_id)


def test_effect_functions(tmp_path: Path) -> None:
    from dependency_injector import containers

    stock: list[int] = []
    wiring: Any = containers.DynamicContainer()
    wiring.restock = Handles(restock, stock=stock)
    boundary = Boundary(wiring)
    with boundary.scope(policy=Hold()) as effects:
        airlock.enqueue(restock, 7)
        airlock.enqueue(restock, 8)
    plan = saved(effects.plan(), tmp_path / "effects.plan")
    assert str(boundary.apply(plan, kinds=[restock], indices=[1])) == "1 delivered, 1 remaining"
    assert stock == [8]


def test_interceptors_and_observers(tmp_path: Path) -> None:
    """They see every call."""
    around: list[Any] = []

    class Watcher(airlock.Observer):
        def started(self, delivery: Delivery) -> None:
            around.append(("started", delivery.intent))

    def intercept(one: Any, call_next: Callable[[Any], Any]) -> Any:
        around.append(("intercepted", one))
        return call_next(one)

    boundary = Boundary({Chain: chain}, interceptors=[intercept], observers=[Watcher()])
    with boundary.scope(policy=Hold()) as effects:
        effects.emit(Chain(1))
    boundary.apply(saved(effects.plan(), tmp_path / "effects.plan"))
    assert around == [
        ("started", Chain(1)),
        ("intercepted", Chain(1)),
        ("started", Chain(0)),
        ("intercepted", Chain(0)),
    ]
