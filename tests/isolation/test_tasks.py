"""Asyncio tasks: children inherit by design, siblings never meet, and who is late is told so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import airlock
from airlock import Boundary, Drop, FlushError, Outcome, Scope
from airlock.errors import (
    ClosedRegionError,
    EmissionError,
    NoScopeError,
    OpenRegionsError,
    ScopeOrderError,
)
from airlock.testing import FakeHandler
from tests.isolation.vocabulary import Note, Notes, Reply

TASKS = 50


async def breathe(times: int = 3) -> None:
    """Let others run."""
    for _ in range(times):
        await asyncio.sleep(0)


async def emitting(text: str) -> None:
    airlock.emit(Note(text))


def test_a_child_task_inherits_the_scope_of_its_parent() -> None:
    notes = Notes()

    async def main() -> None:
        async with notes.boundary().scope() as effects:
            airlock.emit(Note("parent"))
            await asyncio.create_task(emitting("child"))
            async with asyncio.TaskGroup() as group:
                group.create_task(emitting("one"))
                group.create_task(emitting("two"))
            assert effects == [Note("parent"), Note("child"), Note("one"), Note("two")]

    asyncio.run(main())
    assert notes.delivered == ["parent", "child", "one", "two"]


def test_a_child_task_inherits_the_region_it_was_made_in() -> None:
    notes = Notes()

    async def main() -> None:
        async with notes.boundary().scope():
            with airlock.region(Drop()):
                await asyncio.create_task(emitting("dropped"))
            await asyncio.create_task(emitting("delivered"))

    asyncio.run(main())
    assert notes.delivered == ["delivered"]


def test_what_a_child_opens_is_not_current_in_its_parent_or_its_siblings() -> None:
    notes = Notes()
    boundary = notes.boundary()

    async def child(name: str, opened: asyncio.Barrier) -> None:
        async with boundary.scope(policy=Drop() if name == "quiet" else None) as mine:
            async with opened:
                assert airlock.current() is mine
                airlock.emit(Note(name))
            await breathe()

    async def main() -> None:
        async with boundary.scope() as effects:
            opened = asyncio.Barrier(3)
            children = [asyncio.create_task(child(name, opened)) for name in ("quiet", "loud")]
            async with opened:
                assert airlock.current() is effects
                airlock.emit(Note("parent"))
            await asyncio.gather(*children)

    asyncio.run(main())
    assert sorted(notes.delivered) == ["loud", "parent"]


def test_sibling_tasks_with_scopes_of_their_own_never_mix() -> None:
    delivered: dict[str, list[str]] = {}

    async def deliver(note: Note) -> None:
        await breathe()
        name, _, what = note.text.partition(" ")
        assert airlock.delivery().headers["task"] == name
        delivered.setdefault(name, []).append(what)
        if what == "ask":
            airlock.emit(Note(f"{name} answer"))

    boundary = Boundary({Note: deliver})

    async def work(name: str) -> None:
        for _ in range(10):
            async with boundary.scope(headers={"task": name}) as effects:
                await breathe()
                airlock.emit(Note(f"{name} ask"))
                with airlock.region(Drop()):
                    await breathe()
                    airlock.emit(Note(f"{name} dropped"))
                assert effects == [Note(f"{name} ask"), Note(f"{name} dropped")]
            assert effects.report.counts == {Outcome.DELIVERED: 2, Outcome.DROPPED: 1}
        with pytest.raises(NoScopeError):
            airlock.current()

    async def main() -> None:
        await asyncio.gather(*(work(f"t{i}") for i in range(TASKS)))

    asyncio.run(main())
    assert delivered == {f"t{i}": ["ask", "answer"] * 10 for i in range(TASKS)}


# -- who is late ------------------------------------------------------------------------------------


def test_a_task_that_outlives_its_scope_is_refused() -> None:
    async def late(ended: asyncio.Event) -> None:
        await ended.wait()
        airlock.emit(Note("late"))

    async def main() -> None:
        ended = asyncio.Event()
        async with Notes().boundary().scope() as effects:
            task = asyncio.create_task(late(ended))
        ended.set()
        with pytest.raises(ClosedRegionError):
            await task
        assert len(effects.report) == 0

    asyncio.run(main())


def test_a_task_that_outlives_a_nested_scope_is_refused() -> None:
    """It does not fall back to the scope around, whose policies are not what it was written for."""

    async def late(ended: asyncio.Event) -> None:
        await ended.wait()
        airlock.emit(Note("late"))

    async def main() -> None:
        ended, boundary = asyncio.Event(), Notes().boundary()
        async with boundary.scope() as effects:
            async with boundary.scope():
                task = asyncio.create_task(late(ended))
            ended.set()
            with pytest.raises(ClosedRegionError):
                await task
            assert effects == []

    asyncio.run(main())


def test_a_task_that_outlives_its_scope_may_open_one_of_its_own() -> None:
    notes = Notes()
    boundary = notes.boundary()

    async def late(ended: asyncio.Event) -> None:
        await ended.wait()
        async with boundary.scope() as mine:
            airlock.emit(Note("late"))
        assert mine.report.delivered == [Note("late")]

    async def main() -> None:
        ended = asyncio.Event()
        async with boundary.scope():
            task = asyncio.create_task(late(ended))
        ended.set()
        await task

    asyncio.run(main())
    assert notes.delivered == ["late"]


def test_a_child_that_holds_a_scope_open_past_its_parents_end_is_told() -> None:
    notes = Notes()
    boundary = notes.boundary()

    async def child(opened: asyncio.Event, end: asyncio.Event) -> None:
        async with boundary.scope():
            airlock.emit(Note("child"))
            opened.set()
            await end.wait()
            airlock.emit(Note("too late"))

    async def main() -> Scope:
        opened, end = asyncio.Event(), asyncio.Event()
        effects = boundary.scope()
        effects.enter()
        airlock.emit(Note("parent"))
        task = asyncio.create_task(child(opened, end))
        await opened.wait()
        effects.exit()
        with pytest.raises(OpenRegionsError):
            await effects.asettle()
        assert notes.delivered == []
        end.set()
        with pytest.raises(ClosedRegionError) as told:
            await task
        assert "was closed with the scope around it" in told.value.__notes__[0]
        await effects.aflush()
        return effects

    effects = asyncio.run(main())
    assert notes.delivered == ["parent"]
    assert effects.report.discarded == [Note("child")]


def test_a_child_that_is_cancelled_after_its_parents_end_is_cancelled() -> None:
    """Cancellation goes on bare, whatever else is wrong."""
    boundary = Notes().boundary()

    async def child(opened: asyncio.Event) -> None:
        async with boundary.scope():
            opened.set()
            await asyncio.sleep(60)

    async def main() -> None:
        opened = asyncio.Event()
        effects = boundary.scope().enter()
        task = asyncio.create_task(child(opened))
        await opened.wait()
        effects.exit()
        with pytest.raises(OpenRegionsError):
            await effects.asettle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())


def handlers(steps: list[str], tasks: list[asyncio.Task[None]], *, fails: bool = False) -> Boundary:
    """The first handler starts a task that emits while the second one runs."""
    running = asyncio.Event()

    async def late() -> None:
        await running.wait()
        steps.append("late task emits")
        airlock.emit(Note("late"))

    async def first(note: Note) -> None:
        airlock.emit(Reply(f"to {note.text}"))
        tasks.append(asyncio.create_task(late()))
        await breathe()
        steps.append("first ends")
        if fails:
            raise ValueError("first")

    async def second(reply: Reply) -> None:
        steps.append(f"second begins: {reply.text}")
        running.set()
        await breathe()
        steps.append("second ends")

    return Boundary({Note: first, Reply: second})


@pytest.mark.parametrize("fails", [False, True])
def test_a_task_that_outlives_its_handler_is_refused_while_the_next_one_runs(fails: bool) -> None:
    """Its emission is not taken for one of the handler that happens to run."""
    steps: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def main() -> Scope:
        scope = handlers(steps, tasks, fails=fails).scope()
        with contextlib.suppress(FlushError):
            async with scope:
                airlock.emit(Note("one"))
                airlock.emit(Reply("two"))
        with pytest.raises(ClosedRegionError):
            await tasks[0]
        return scope

    report = asyncio.run(main()).report
    assert steps[:4] == ["first ends", "second begins: two", "late task emits", "second ends"]
    assert [entry.intent for entry in report.of(Note)] == [Note("one")]
    assert report.discarded == ([Reply("to one")] if fails else [])


def test_a_task_that_outlives_its_handler_is_refused_after_the_flush() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        end = asyncio.Event()

        async def late() -> None:
            await end.wait()
            airlock.emit(Note("late"))

        async def handle(note: Note) -> None:
            tasks.append(asyncio.create_task(late()))

        async with Boundary({Note: handle}).scope() as effects:
            airlock.emit(Note("one"))
        end.set()
        with pytest.raises(ClosedRegionError):
            await tasks[0]
        assert effects.report.counts == {Outcome.DELIVERED: 1}

    asyncio.run(main())


def test_a_task_started_by_a_sync_handler_is_refused_after_it() -> None:
    """The same where handlers are plain functions, called one after the other."""
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        def handle(note: Note) -> None:
            airlock.emit(Reply(note.text))
            tasks.append(asyncio.create_task(emitting("late")))

        with Boundary({Note: handle, Reply: lambda _: None}).scope() as effects:
            airlock.emit(Note("one"))
            airlock.emit(Note("two"))
        for task in tasks:
            with pytest.raises(ClosedRegionError):
                await task
        assert effects.report.counts == {Outcome.DELIVERED: 4}

    asyncio.run(main())


def test_concurrent_handlers_emit_follow_ups_of_their_own() -> None:
    """However they interleave, each follow-up has its own cause."""

    async def ask(note: Note) -> None:
        for i in range(3):
            await breathe(len(note.text) % 3)
            airlock.emit(Reply(f"{note.text} {i}"))

    async def main() -> Scope:
        boundary = Boundary({Note: ask, Reply: lambda _: None}, concurrency=8)
        async with boundary.scope() as effects:
            airlock.emit_all(Note("x" * i) for i in range(TASKS))
        return effects

    report = asyncio.run(main()).report
    for entry in report.of(Reply):
        assert entry.cause is not None
        assert entry.intent.text.startswith(f"{entry.cause.intent.text} ")
    assert [e.intent.text for e in report.of(Reply)] == [
        f"{'x' * i} {part}" for i in range(TASKS) for part in range(3)
    ]


# -- enclose, override, wrong task ------------------------------------------------------------------


def test_enclose_holds_in_its_task_and_its_children_only() -> None:
    notes = Notes()
    boundary = notes.boundary()

    async def work(text: str) -> None:
        async with boundary.scope():
            airlock.emit(Note(text))

    async def dry(enclosed: asyncio.Event, other_is_done: asyncio.Event) -> None:
        with airlock.enclose(Drop()):
            enclosed.set()
            await asyncio.create_task(work("child of the dry one"))
            await other_is_done.wait()
            await work("dry")

    async def main() -> None:
        enclosed, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(dry(enclosed, done))
        await enclosed.wait()
        await work("wet")
        done.set()
        await task

    asyncio.run(main())
    assert notes.delivered == ["wet"]


def test_concurrent_overrides_never_see_each_others_fakes() -> None:
    """Two tasks in one scope, each with a fake of its own for the same intent."""
    notes, fakes = Notes(), {"one": FakeHandler(), "two": FakeHandler()}

    async def work(effects: Scope, name: str, barrier: asyncio.Barrier) -> None:
        with effects.override({Note: fakes[name]}):
            async with barrier:
                effects.emit(Note(f"{name}, held"))
            await breathe()
            airlock.emit(Note(f"{name}, ambient"))
            await breathe()

    async def main() -> None:
        async with notes.boundary().scope() as effects:
            barrier = asyncio.Barrier(2)
            async with asyncio.TaskGroup() as group:
                group.create_task(work(effects, "one", barrier))
                group.create_task(work(effects, "two", barrier))
            effects.emit(Note("no fake"))

    asyncio.run(main())
    for name, fake in fakes.items():
        assert fake.intents == [Note(f"{name}, held"), Note(f"{name}, ambient")]
    assert notes.delivered == ["no fake"]


def test_a_scope_is_not_left_in_another_task() -> None:
    """It is told where it was entered, and goes on there."""
    notes = Notes()

    async def main() -> None:
        effects = notes.boundary().scope()

        async def leave() -> None:
            effects.exit()

        async with effects:
            with pytest.raises(ScopeOrderError, match="task"):
                await asyncio.create_task(leave())
            airlock.emit(Note("still open"))

    asyncio.run(main())
    assert notes.delivered == ["still open"]


def test_a_region_is_not_left_in_another_task() -> None:
    notes = Notes()

    async def main() -> None:
        block = airlock.region(Drop())

        async def leave() -> None:
            block.__exit__(None, None, None)

        async with notes.boundary().scope():
            with block:
                with pytest.raises(ScopeOrderError, match="task"):
                    await asyncio.create_task(leave())
                airlock.emit(Note("dropped"))
            airlock.emit(Note("delivered"))

    asyncio.run(main())
    assert notes.delivered == ["delivered"]


@pytest.mark.parametrize("teardown", ["same task", "own task"])
def test_a_fixture_may_leave_its_scope_after_the_task_that_entered_it_is_done(
    teardown: str,
) -> None:
    """Test runners set up and tear down in tasks of their own, in one context."""
    import contextvars

    notes = Notes()
    context = contextvars.copy_context()
    scope = notes.boundary().scope()

    async def set_up() -> None:
        await scope.__aenter__()
        if teardown == "same task":
            await tear_down()

    async def tear_down() -> None:
        airlock.emit(Note("fixture"))
        await scope.__aexit__(None, None, None)

    async def run(step: Callable[[], Awaitable[None]]) -> None:
        await asyncio.create_task(step(), context=context)  # type: ignore[arg-type]

    with asyncio.Runner() as runner:
        runner.run(run(set_up))
        if teardown == "own task":
            runner.run(run(tear_down))
    assert notes.delivered == ["fixture"]


@pytest.mark.parametrize("emit", [airlock.emit, airlock.emit_all], ids=["emit", "emit_all"])
def test_outside_of_every_scope_nothing_is_taken(emit: Any) -> None:
    async def main() -> None:
        with pytest.raises(EmissionError):
            emit(Note("nowhere") if emit is airlock.emit else [Note("nowhere")])

    asyncio.run(main())
