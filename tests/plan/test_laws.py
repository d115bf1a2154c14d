"""Whatever the plan, its parts, its failures and interruptions: in the end it is what a flush does.

The same intents are delivered, of each generation as often; those of the plan in its order; and no
delivery happens twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from uuid import UUID

import attrs
from dependency_injector import containers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import airlock
from airlock import (
    Boundary,
    Drop,
    Handles,
    HandlesBatch,
    Hold,
    OncePerChain,
    PolicyLike,
    enclose,
    intent,
    region,
)
from airlock.errors import ApplyError
from airlock.plan import Applied, Plan
from tests.plan.vocabulary import Broken


@attrs.frozen
class _Link:
    """Its handler emits others with a lower number."""

    n: int
    planned: bool = False


@intent(kind="laws.one")
class One(_Link):
    pass


@intent(kind="laws.two")
class Two(_Link):
    pass


@intent(kind="laws.many")
class Many(_Link):
    """Handled in batches, which emit nothing."""


Link = One | Two | Many
CLASSES: tuple[type[Any], ...] = (One, Two, Many)
Fate = Literal["fails", "interrupts"]


@attrs.frozen
class Emitted:
    """What a handler emits, perhaps in a region that drops some of it."""

    links: tuple[Link, ...]
    dropping: type[Any] | None


@attrs.frozen
class Step:
    """One application."""

    kinds: tuple[type[Any], ...] | None
    indices: frozenset[int] | None
    fates: Mapping[Link, Fate]
    fail_fast: bool
    enclosing: type[Any] | None


@attrs.frozen
class World:
    """What handlers emit, and the policy of the boundary."""

    rules: Mapping[Link, Emitted]
    policy: PolicyLike | None
    asynchronous: bool


def _is_follow_up(link: Link) -> bool:
    return not link.planned


def _is_planned(link: Link) -> bool:
    return link.planned


POLICIES: tuple[PolicyLike | None, ...] = (
    None,
    Drop(Two),
    Drop().where(lambda link: link.n % 2 == 0),
    OncePerChain(One, key=type),
    Hold(Two, Many).where(_is_follow_up),
    Drop(Many) & Hold(One).where(_is_follow_up),
)

numbers = st.integers(0, 3)
planned: st.SearchStrategy[Link] = st.builds(
    lambda cls, n: cls(n, planned=True), st.sampled_from(CLASSES), numbers
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    rules: dict[Link, Emitted] = {}
    for cls in (One, Two):
        for n in range(4):
            below = st.builds(
                lambda made, lower: made(lower),
                st.sampled_from(CLASSES),
                st.integers(0, max(n - 1, 0)),
            )
            links = draw(st.lists(below, max_size=2)) if n else []
            # The policies of a handler's region are in no journal, so that they do not hold for
            # what follows on its follow-ups: those that are dropped from lead to nothing here.
            ends = all(link.n == 0 or isinstance(link, Many) for link in links)
            dropping = draw(st.none() | st.sampled_from(CLASSES)) if ends else None
            emitted = Emitted(tuple(links), dropping)
            rules[cls(n)] = rules[cls(n, planned=True)] = emitted
    return World(rules, draw(st.sampled_from(POLICIES)), draw(st.booleans()))


@st.composite
def steps(draw: st.DrawFn, size: int) -> Step:
    every = st.builds(
        lambda cls, n, planned: cls(n, planned=planned),
        st.sampled_from(CLASSES),
        numbers,
        st.booleans(),
    )
    fate: st.SearchStrategy[Fate] = st.sampled_from(("fails", "fails", "interrupts"))
    fates = st.dictionaries(every, fate, max_size=4)
    indices = st.frozensets(st.integers(0, size - 1)) if size else st.just(frozenset[int]())
    return Step(
        draw(st.none() | st.lists(st.sampled_from(CLASSES), max_size=2).map(tuple)),
        draw(st.none() | indices),
        draw(fates),
        draw(st.booleans()),
        draw(st.none() | st.sampled_from(CLASSES)),
    )


class Log:
    """What was done."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fates: Mapping[Link, Fate] = {}
        self.done: list[tuple[int, Link]] = []
        self.ids: list[UUID] = []

    def handle(self, link: Link) -> None:
        self.emit(self.world.rules[link])
        self.meet(link)
        self.note(airlock.delivery())

    def handle_all(self, links: list[Many]) -> None:
        for link in links:
            self.meet(link)
        for delivery in airlock.deliveries():
            self.note(delivery)

    def meet(self, link: Link) -> None:
        fate = self.fates.get(link)
        if fate == "fails":
            raise Broken(link)
        if fate == "interrupts":
            raise KeyboardInterrupt

    def note(self, delivery: airlock.Delivery) -> None:
        self.done.append((delivery.causation.depth, delivery.intent))
        self.ids.append(delivery.id)

    def emit(self, emitted: Emitted) -> None:
        if emitted.dropping is None:
            airlock.emit_all(emitted.links)
            return
        with region(Drop(emitted.dropping)):
            airlock.emit_all(emitted.links)

    @property
    def boundary(self) -> Boundary:
        wiring: Any = containers.DynamicContainer()
        handle, handle_all = self.handle, self.handle_all
        if self.world.asynchronous:
            handle, handle_all = _awaited(handle), _awaited(handle_all)
        wiring.one = Handles(One, handle)
        wiring.two = Handles(Two, handle)
        wiring.many = HandlesBatch(Many, handle_all, size=2)
        return Boundary(wiring, policy=self.world.policy)


def _awaited(handler: Any) -> Any:
    async def handle(subject: Any) -> None:
        await asyncio.sleep(0)
        handler(subject)

    return handle


def directly(world: World, links: list[Link]) -> tuple[Log, list[Any]]:
    """What a flush does."""
    log = Log(world)
    scope = log.boundary.scope()

    async def flush() -> None:
        async with scope:
            scope.emit_all(links)

    if world.asynchronous:
        asyncio.run(flush())
    else:
        with scope:
            scope.emit_all(links)
    return log, scope.report.held


def apply(log: Log, plan: Plan, **how: Any) -> Applied:
    if log.world.asynchronous:
        return asyncio.run(log.boundary.aapply(plan, in_doubt="retry", **how))
    return log.boundary.apply(plan, in_doubt="retry", **how)


def take(log: Log, plan: Plan, step: Step) -> None:
    """One application, which may fail or be interrupted."""
    before, log.fates = len(log.done), step.fates
    present = {type(entry.intent) for entry in plan}
    kinds = None if step.kinds is None else [cls for cls in step.kinds if cls in present]
    around = contextlib.nullcontext()
    if step.enclosing is not None:
        around = enclose(Drop(step.enclosing).where(_is_planned))  # type: ignore[assignment]
    with around, contextlib.suppress(ApplyError, KeyboardInterrupt):
        apply(log, plan, kinds=kinds, indices=step.indices, fail_fast=step.fail_fast)
    done = log.done[before:]
    order = [_place(plan, id_) for id_ in log.ids[before:]]
    places = [place for place in order if place is not None]
    singles = [p for p in places if not isinstance(_at(plan, p), Many)]
    assert singles == sorted(singles)
    for place in places:
        chosen = kinds is None or type(_at(plan, place)) in kinds
        assert chosen
        assert step.indices is None or place in step.indices
        assert not isinstance(_at(plan, place), step.enclosing or ())
    assert not [link for _, link in done if link in step.fates]


def _place(plan: Plan, id_: UUID) -> int | None:
    return next((entry.index for entry in plan if entry.id == id_), None)


def _at(plan: Plan, place: int) -> Any:
    return next(entry.intent for entry in plan if entry.index == place)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), worlds(), st.lists(planned, max_size=7), st.booleans())
def test_in_the_end_it_is_a_flush(
    data: Any, world: World, links: list[Link], in_memory: bool
) -> None:
    log = Log(world)
    with log.boundary.scope(policy=Hold()) as effects:
        effects.emit_all(links)
    plan = effects.plan()
    with TemporaryDirectory() as folder:
        if not in_memory:
            plan.save(Path(folder, "effects.plan"))
            plan = Plan.load(Path(folder, "effects.plan"))
        for step in data.draw(st.lists(steps(len(plan)), max_size=4)):
            take(log, plan, step)
        log.fates = {}
        applied = apply(log, plan)
        assert (applied.remaining, applied.ok) == (0, True)
        again = apply(log, plan)
        assert again.counts == {}
        assert again.before == len(plan)
    direct, held = directly(world, links)
    assert Counter(log.done) == Counter(direct.done)
    assert len(set(log.ids)) == len(log.ids)
    kept = [] if applied.held is None else [entry.intent for entry in applied.held]
    assert Counter(kept) == Counter(held)
