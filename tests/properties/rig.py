"""Airlock itself, as the tests of laws drive it: boundaries whose handlers do what intents say."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from typing import Any

import attrs
from dependency_injector import containers

import airlock
from airlock import Handles, HandlesBatch, Outcome, PartialFailure, ReportEntry
from airlock.errors import AirlockError
from tests.properties import model
from tests.properties.vocabulary import Audit, Broken, Call, Mail, Step, Work, policy

Checkpoint = Callable[[], Awaitable[object]]


@attrs.define(eq=False)
class Rig:
    """Makes boundaries, and notes what their handlers do.

    Attributes:
        checkpoint: awaited by handlers, which are async then.
        log: what was delivered, in order.
        emitted: every intent that was taken.
    """

    checkpoint: Checkpoint | None = None
    log: list[object] = attrs.Factory(list)
    emitted: list[Work] = attrs.Factory(list)

    def boundary(
        self, told: model.Boundary, default: str = "", *, plain: bool = True, concurrency: int = 1
    ) -> airlock.Boundary:
        """A boundary for what the model was told.

        Args:
            told: name, limits.
            default: policy, by name.
            plain: without an interceptor.
            concurrency: of async flushes.
        """
        wiring = containers.DynamicContainer()
        boundary: airlock.Boundary

        def handle(intent: Work) -> None:
            self.log.append((told.name, intent, airlock.delivery().attempt))
            self._work(boundary, (intent,))

        def handle_batch(intents: list[Audit]) -> None:
            attempts = tuple(delivery.attempt for delivery in airlock.deliveries())
            self.log.append((told.name, tuple(intents), attempts))
            self._work(boundary, tuple(intents), batch=True)

        wiring.mail = Handles(Mail, self._maybe_async(handle))
        wiring.call = Handles(Call, handle)
        wiring.audit = HandlesBatch(Audit, self._maybe_async(handle_batch), size=told.batch)
        boundary = airlock.Boundary(
            wiring,
            policy=policy(default),
            fail_fast=told.fail_fast,
            max_depth=told.max_depth,
            concurrency=concurrency,
            interceptors=() if plain else (lambda intent, call_next: call_next(intent),),
        )
        return boundary

    def emit(
        self,
        intent: Work,
        scope: airlock.Scope | None = None,
        options: airlock.Options | None = None,
    ) -> None:
        """Emit, and note that it was taken."""
        (airlock.emit if scope is None else scope.emit)(intent, options)
        self.emitted.append(intent)

    def fakes(self, fakes: dict[type[Work], model.Fake | None]) -> dict[Any, Any]:
        """Overrides as airlock takes them."""
        return {cls: None if fake is None else self._fake(fake) for cls, fake in fakes.items()}

    def _fake(self, fake: model.Fake) -> Callable[..., object]:
        def replaces(intent: Any) -> None:
            self.log.append((fake.name, intent))

        def calls_on(intent: Any, call_next: Callable[[Any], object]) -> object:
            self.log.append((fake.name, intent))
            return call_next(intent)

        return calls_on if fake.calls_on else replaces

    def _maybe_async(self, handler: Callable[[Any], object]) -> Any:
        checkpoint = self.checkpoint
        if checkpoint is None:
            return handler

        async def handles(subject: Any) -> None:
            handler(subject)
            await checkpoint()

        return handles

    def _work(
        self, boundary: airlock.Boundary, works: tuple[Work, ...], batch: bool = False
    ) -> None:
        scope = airlock.current()
        attempts = [delivery.attempt for delivery in airlock.deliveries()]
        for work in works:
            for step in work.steps:
                self._step(boundary, scope, step)
        failing = {i: w for i, w in enumerate(works) if attempts[i] <= w.fails}
        if failing and (not batch or any(work.whole for work in failing.values())):
            raise Broken("handler")
        if failing:
            raise PartialFailure({i: Broken("member") for i in failing})

    def _step(self, boundary: airlock.Boundary, scope: airlock.Scope, step: Step) -> None:
        with contextlib.suppress(Spoiled), _block(boundary, step):
            self.emit(step.intent, scope if step.held else None)
            if step.spoiled and step.block:
                raise Spoiled


class Interrupt(BaseException):
    """A block was interrupted."""


class Spoiled(Broken):
    """A handler's own block failed."""


def _block(boundary: airlock.Boundary, step: Step) -> AbstractContextManager[object]:
    chosen = policy(step.policy)
    match step.block:
        case "scope":
            return boundary.scope(policy=chosen)
        case "region":
            return airlock.region(chosen or airlock.Allow())
        case "enclose":
            return airlock.enclose(chosen or airlock.Allow())
        case _:
            return contextlib.nullcontext()


def error_of(call: Callable[[], object]) -> str:
    """What a call raised, by name; nothing if nothing."""
    try:
        call()
    except AirlockError as error:
        return type(error).__name__
    except ExceptionGroup as group:
        return "+".join(type(error).__name__ for error in group.exceptions)
    return ""


class Pause:
    """An await that suspends once, under any event loop that the test is itself."""

    def __await__(self) -> Generator[None]:
        yield None


async def pause() -> None:
    await Pause()


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that awaits nothing but pauses, here and without an event loop."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value


def compare(expected: model.Report, report: airlock.Report) -> None:
    """Everything a report says, against the model."""
    due = [item for wave in expected.waves for item in wave.items]
    entries = [entry for entry in report.entries if entry.outcome is not Outcome.DISCARDED]
    assert [(e.outcome, e.wave, e.intent) for e in entries] == [
        (item.outcome, item.wave, item.intent) for item in due
    ]
    for entry, item in zip(entries, due, strict=True):
        assert entry.intent is item.intent
        assert (entry.cause is None) == (not item.causes)
        assert entry.cause is None or entry.cause.intent is item.causes[-1].intent
        assert _decided_so(entry, item)
    thrown = [e for e in report.entries if e.outcome is Outcome.DISCARDED]
    assert sorted((id(e.intent), e.wave, _reason(e.by)) for e in thrown) == sorted(
        (id(item.intent), item.wave, _reason(why)) for item, why in expected.discarded
    )
    outcomes = [item.outcome for item in due] + [Outcome.DISCARDED] * len(expected.discarded)
    assert report.counts == {code: outcomes.count(code) for code in Outcome if code in outcomes}
    assert len(report) == len(outcomes)


def _decided_so(entry: ReportEntry, item: model.Item) -> bool:
    match item.outcome:
        case Outcome.DELIVERED | Outcome.PENDING:
            return entry.by is None
        case Outcome.MERGED:
            return entry.by is item.by[0]
        case Outcome.FAILED:
            return type(entry.by).__name__ == item.by[0]
        case _:
            return entry.by in item.by


def _reason(why: object) -> str:
    """Handlers' errors by name, those of the test's own blocks by their text."""
    if isinstance(why, Broken) and str(why).startswith("block"):
        return str(why)
    if isinstance(why, Broken) and str(why) and not str(why)[0].islower():
        return str(why)  # of the model: the name of an error
    if isinstance(why, Interrupt):
        return str(why)
    if isinstance(why, Exception):
        return type(why).__name__.replace("Spoiled", "Broken")
    return str(why)
