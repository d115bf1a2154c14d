"""The async driver awaits whatever it is given: it runs under trio as it does under asyncio."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import airlock
from airlock import Boundary, Drop, FlushError, Outcome, Scope
from airlock.errors import ClosedRegionError, NoScopeError, WiringError
from airlock.testing import FakeHandler
from tests.isolation.vocabulary import Note, Notes, Reply


def test_async_handlers_run_under_trio() -> None:
    delivered: list[str] = []

    async def handle(note: Note) -> None:
        await trio.lowlevel.checkpoint()
        delivered.append(note.text)
        airlock.emit(Reply(f"re: {note.text}"))

    async def reply(reply: Reply) -> None:
        await trio.lowlevel.checkpoint()
        delivered.append(reply.text)

    async def main() -> None:
        async with Boundary({Note: handle, Reply: reply}).scope() as effects:
            airlock.emit(Note("one"))
            with airlock.region(Drop()):
                airlock.emit(Note("dropped"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(emitting, "child")
        assert effects.report.counts == {Outcome.DELIVERED: 4, Outcome.DROPPED: 1}

    async def emitting(text: str) -> None:
        airlock.emit(Note(text))

    trio.run(main)
    assert delivered == ["one", "child", "re: one", "re: child"]


def test_failures_are_resumed_under_trio() -> None:
    deliver = FakeHandler(ConnectionError, None)

    async def handle(note: Note) -> None:
        await trio.lowlevel.checkpoint()
        deliver(note)

    async def main() -> None:
        with pytest.raises(FlushError) as failed:
            async with Boundary({Note: handle}).scope():
                airlock.emit(Note("one"))
        assert failed.value.report is not None
        assert (await failed.value.report.aresume()).delivered == [Note("one")]

    trio.run(main)


def test_trio_tasks_with_scopes_of_their_own_never_mix() -> None:
    notes = Notes()
    boundary = notes.boundary()

    async def work(name: str) -> None:
        async with boundary.scope() as effects:
            await trio.lowlevel.checkpoint()
            airlock.emit(Note(name))
            await trio.lowlevel.checkpoint()
            assert airlock.current() is effects
            assert effects == [Note(name)]

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for i in range(50):
                nursery.start_soon(work, str(i))
        with pytest.raises(NoScopeError):
            airlock.current()

    trio.run(main)
    assert sorted(notes.delivered, key=int) == [str(i) for i in range(50)]


def test_a_trio_task_that_outlives_its_scope_is_refused() -> None:
    async def late(ended: trio.Event) -> None:
        await ended.wait()
        with pytest.raises(ClosedRegionError):
            airlock.emit(Note("late"))

    async def main() -> None:
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            async with Notes().boundary().scope():
                nursery.start_soon(late, ended)
                await trio.testing.wait_all_tasks_blocked()
            ended.set()

    trio.run(main)


def test_a_trio_cancellation_leaves_a_complete_report() -> None:
    scopes: list[Scope] = []

    async def handle(note: Note | Reply) -> None:
        airlock.emit(Reply(note.text))
        if note.text == "now":
            await trio.sleep_forever()

    async def main() -> None:
        with trio.move_on_after(0.01) as cancelling:
            async with Boundary({Note: handle, Reply: handle}).scope() as effects:
                scopes.append(effects)
                airlock.emit_all(map(Note, ("before", "now", "after")))
        assert cancelling.cancelled_caught

    trio.run(main)
    assert [(e.intent.text, e.outcome.word, e.interrupted) for e in scopes[0].report] == [
        ("before", "delivered", False),
        ("now", "failed", True),
        ("after", "pending", False),
        ("before", "pending", False),
        ("now", "discarded", False),
    ]


def test_several_handlers_at_once_are_refused_under_trio_before_anything_runs() -> None:
    ran: list[Note] = []

    async def handle(note: Note) -> None:
        ran.append(note)

    async def main() -> None:
        scope = Boundary({Note: handle}, concurrency=2).scope()
        with pytest.raises(WiringError, match="asyncio"):
            async with scope:
                airlock.emit(Note("one"))
        assert scope.report.pending == [Note("one")]

    trio.run(main)
    assert ran == []
