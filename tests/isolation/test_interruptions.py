"""Ctrl-C, cancellation, exit: they pass through bare, and the report is complete nevertheless."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import pytest
from dependency_injector import containers

import airlock
from airlock import Boundary, HandlesBatch, Outcome, Report, Scope, Segment
from airlock.errors import NoScopeError, ResumeError
from airlock.testing import FakeHandler
from tests.isolation.vocabulary import Note, Reply

Told = list[tuple[str, str, bool]]

BEFORE_AND_AFTER: Told = [
    ("before", "delivered", False),
    ("now", "failed", True),
    ("after", "pending", False),
    ("re: before", "pending", False),
]


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """Also where the tests run in the background, which starts programs that ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def told(report: Report) -> Told:
    return [(entry.intent.text, entry.outcome.word, entry.interrupted) for entry in report]


def press_ctrl_c(_: object = None) -> None:
    """A step of a fake handler, too."""
    signal.raise_signal(signal.SIGINT)


def pass_through(intent: Any, call_next: Callable[[Any], object]) -> object:
    return call_next(intent)


class Handlers:
    """Notes what ran; once, ``Note("now")`` does what it is told in the middle."""

    def __init__(self, interrupt: Callable[[], object]) -> None:
        self.interrupt: Callable[[], object] | None = interrupt
        self.ran: list[str] = []

    def note(self, note: Note) -> None:
        self.ran.append(note.text)
        airlock.emit(Reply(f"re: {note.text}"))
        if note.text == "now" and self.interrupt is not None:
            interrupt, self.interrupt = self.interrupt, None
            interrupt()

    def reply(self, reply: Reply) -> None:
        self.ran.append(reply.text)

    def boundary(self, *, plain: bool = True) -> Boundary:
        interceptors = () if plain else (pass_through,)
        return Boundary({Note: self.note, Reply: self.reply}, interceptors=interceptors)


def interrupted(handlers: Handlers, boundary: Boundary, error: type[BaseException]) -> Scope:
    with pytest.raises(error) as raised, boundary.scope() as effects:
        airlock.emit_all(map(Note, ("before", "now", "after")))
    assert type(raised.value) is error
    with pytest.raises(NoScopeError):
        airlock.current()
    return effects


@pytest.mark.parametrize("plain", [True, False])
def test_a_keyboard_interrupt_passes_through_bare_and_the_report_is_complete(plain: bool) -> None:
    handlers = Handlers(press_ctrl_c)
    effects = interrupted(handlers, handlers.boundary(plain=plain), KeyboardInterrupt)
    assert handlers.ran == ["before", "now"]
    assert told(effects.report) == [*BEFORE_AND_AFTER, ("re: now", "discarded", False)]
    assert len(effects.report) == 5
    (failed,) = effects.report.errors
    assert isinstance(failed, KeyboardInterrupt)


@pytest.mark.parametrize("plain", [True, False])
def test_resume_skips_what_was_interrupted(plain: bool) -> None:
    """Its effect may have happened."""
    handlers = Handlers(press_ctrl_c)
    effects = interrupted(handlers, handlers.boundary(plain=plain), KeyboardInterrupt)
    handlers.ran.clear()
    resumed = effects.report.resume()
    assert sorted(handlers.ran) == ["after", "re: after", "re: before"]
    assert resumed.ok
    assert len(resumed) == 3
    with pytest.raises(ResumeError):
        effects.report.resume(interrupted=True)


@pytest.mark.parametrize("plain", [True, False])
def test_resume_repeats_what_was_interrupted_when_told_to(plain: bool) -> None:
    handlers = Handlers(press_ctrl_c)
    effects = interrupted(handlers, handlers.boundary(plain=plain), KeyboardInterrupt)
    handlers.ran.clear()
    resumed = effects.report.resume(interrupted=True)
    assert sorted(handlers.ran) == ["after", "now", "re: after", "re: before", "re: now"]
    assert resumed.counts == {Outcome.DELIVERED: 5}


def test_an_interrupt_in_a_follow_up_leaves_the_waves_before_it_alone() -> None:
    reply = FakeHandler(None, press_ctrl_c, None, None)
    boundary = Boundary({Note: lambda note: airlock.emit(Reply(note.text)), Reply: reply})
    with pytest.raises(KeyboardInterrupt), boundary.scope() as effects:
        airlock.emit_all(map(Note, "abc"))
    assert [entry.outcome.word for entry in effects.report] == [
        "delivered",
        "delivered",
        "delivered",
        "delivered",
        "failed",
        "pending",
    ]
    assert effects.report.resume(interrupted=True).delivered == [Reply("b"), Reply("c")]


def test_an_interrupted_batch_fails_with_all_its_members() -> None:
    wiring = containers.DynamicContainer()
    wiring.note = HandlesBatch(Note, FakeHandler(press_ctrl_c, None), size=2)
    with pytest.raises(KeyboardInterrupt), Boundary(wiring).scope() as effects:
        airlock.emit_all(map(Note, "abc"))
    assert told(effects.report) == [
        ("a", "failed", True),
        ("b", "failed", True),
        ("c", "pending", False),
    ]
    assert effects.report.resume().delivered == [Note("c")]


def test_an_earlier_failure_is_in_the_report_of_an_interrupted_flush() -> None:
    note = FakeHandler(ValueError("bad"), press_ctrl_c)
    with pytest.raises(KeyboardInterrupt), Boundary({Note: note}).scope() as effects:
        airlock.emit_all(map(Note, ("bad", "now", "after")))
    assert told(effects.report) == [
        ("bad", "failed", False),
        ("now", "failed", True),
        ("after", "pending", False),
    ]
    assert effects.report.failed == [Note("bad"), Note("now")]


def test_a_keyboard_interrupt_in_the_block_discards_it() -> None:
    handlers = Handlers(press_ctrl_c)
    effects = handlers.boundary().scope()
    with pytest.raises(KeyboardInterrupt), effects:
        _emit_and(press_ctrl_c)
    assert handlers.ran == []
    assert effects.report.discarded == [Note("lost")]


def _emit_and(then: Callable[[], object]) -> None:
    airlock.emit(Note("lost"))
    then()


@pytest.mark.parametrize(
    ("code", "delivered"), [(0, True), (None, True), (1, False), ("no", False)]
)
def test_a_system_exit_that_says_success_is_one(code: Any, delivered: bool) -> None:
    ran: list[str] = []
    boundary = Boundary({Note: lambda note: ran.append(note.text)})
    with pytest.raises(SystemExit), boundary.scope(), boundary.scope():
        _emit_and(lambda: sys.exit(code))
    assert ran == (["lost"] if delivered else [])


# -- an interrupt that leaves a block whose effects fail --------------------------------------------


class Stop(BaseException):
    """What a framework of its own interrupts with."""


def exit_2() -> SystemExit:
    return SystemExit(2)


INTERRUPTS = (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, exit_2, Stop)


def refuse(_: Note) -> None:
    raise ConnectionError("no mail server")


def unwired(_: airlock.View) -> list[airlock.Verdict]:
    raise LookupError("no such policy")


def hook_that_fails(_: BaseException | None) -> bool:
    raise LookupError("no such hook")


@attrs.define(eq=False)
class Committed:
    """A release whose transaction was committed, so that the block is flushed however it ends."""

    on_flush_error: Literal["report", "raise"] = "raise"
    one: Segment = attrs.Factory(lambda: Segment(begun=True))

    def segment(self) -> Segment:
        return self.one


def keeping(boundary: Boundary) -> Scope:
    return boundary.scope(keep=lambda _: True)


def committed(boundary: Boundary) -> Scope:
    return boundary.scope(release=Committed())


def closing(scope: Scope) -> None:
    """Emit, and end the transaction, if there is one."""
    airlock.emit(Note("x"))
    if isinstance(scope.release, Committed):
        scope.release.one.commit()


FAILURES: dict[str, Callable[[], Boundary]] = {
    "a handler": lambda: Boundary({Note: refuse}),
    "no handler": lambda: Boundary({}),
    "a policy": lambda: Boundary({Note: refuse}, policy=unwired),
    "fail fast": lambda: Boundary({Note: refuse}, fail_fast=True),
}


@pytest.mark.parametrize("interrupts", INTERRUPTS)
@pytest.mark.parametrize("failing", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("opening", [keeping, committed])
@pytest.mark.parametrize("nested", [False, True])
def test_an_interrupt_leaves_a_block_bare_whose_effects_fail(
    interrupts: Callable[[], BaseException],
    failing: Callable[[], Boundary],
    opening: Callable[[Boundary], Scope],
    nested: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The failure is in the report and in the log."""
    boundary, interrupt = failing(), interrupts()

    def work() -> None:
        with effects:
            closing(effects)
            with boundary.scope(keep=lambda _: True) if nested else contextlib.nullcontext():
                raise interrupt

    effects = opening(boundary)
    with pytest.raises(type(interrupt)) as raised:
        work()
    assert raised.value is interrupt
    assert effects.report.failed or effects.report.pending
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "goes on" in caplog.text


@pytest.mark.parametrize("interrupts", INTERRUPTS)
@pytest.mark.parametrize("opening", [keeping, committed])
def test_an_interrupt_leaves_an_async_block_bare_whose_effects_fail(
    interrupts: Callable[[], BaseException],
    opening: Callable[[Boundary], Scope],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def afail(note: Note) -> None:
        await asyncio.sleep(0)
        refuse(note)

    effects = opening(Boundary({Note: afail}))
    left: list[BaseException] = []
    interrupt = interrupts()

    async def main() -> None:
        try:
            async with effects:
                closing(effects)
                raise interrupt
        except BaseException as error:  # noqa: BLE001 - compared below
            left.append(error)

    asyncio.run(main())
    assert left == [interrupt]
    assert effects.report.failed == [Note("x")]
    assert "no mail server" in caplog.text


@pytest.mark.parametrize("nested", [False, True])
def test_an_interrupt_leaves_a_block_bare_whose_keep_hook_fails(
    nested: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Then nothing is kept."""
    boundary = Boundary({Note: lambda _: None})
    outer = boundary.scope(keep=lambda _: True) if nested else contextlib.nullcontext()
    effects = boundary.scope(keep=hook_that_fails)
    with pytest.raises(KeyboardInterrupt), outer, effects:
        _emit_and(press_ctrl_c)
    assert effects.report.discarded == [Note("lost")]
    assert "no such hook" in caplog.text


def test_an_exit_that_says_success_does_not_hide_that_effects_failed() -> None:
    """The program would end as if all was well."""
    with pytest.raises(airlock.FlushError), Boundary({Note: refuse}).scope():
        _emit_and(sys.exit)


def test_any_other_error_is_the_context_of_the_failure() -> None:
    with pytest.raises(airlock.FlushError) as raised, keeping(Boundary({Note: refuse})):
        _emit_and(lambda: int("order"))
    assert isinstance(raised.value.__context__, ValueError)


def test_a_scoped_generator_that_is_closed_ends_silently_though_its_effects_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @Boundary({Note: refuse}).scoped(keep=lambda _: True)
    def pages() -> Iterator[None]:
        airlock.emit(Note("x"))
        yield

    steps: Any = pages()
    next(steps)
    steps.close()
    assert "no mail server" in caplog.text


def test_a_timeout_and_a_cancelled_task_are_seen_by_those_who_wait_for_them() -> None:
    boundary = Boundary({Note: refuse})
    started = asyncio.Event()

    async def work() -> None:
        async with keeping(boundary):
            airlock.emit(Note("x"))
            started.set()
            await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await work()
        started.clear()
        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())


# -- cancellation -----------------------------------------------------------------------------------


class AsyncHandlers(Handlers):
    """The same, with a cancellation in the middle of an await."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.reached = asyncio.Event()
        self.forever = asyncio.Event()

    async def anote(self, note: Note) -> None:
        self.ran.append(note.text)
        airlock.emit(Reply(f"re: {note.text}"))
        await asyncio.sleep(0)
        if note.text == "now" and not self.forever.is_set():
            self.reached.set()
            await self.forever.wait()

    def aboundary(self, concurrency: int = 1) -> Boundary:
        return Boundary({Note: self.anote, Reply: self.reply}, concurrency=concurrency)


async def cancelled(handlers: AsyncHandlers, concurrency: int = 1) -> Scope:
    """A scope whose flush was cancelled in its second handler."""
    scope = handlers.aboundary(concurrency).scope()

    async def work() -> None:
        async with scope:
            for text in ("before", "now", "after"):
                airlock.emit(Note(text))

    task = asyncio.create_task(work())
    await handlers.reached.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    return scope


def test_a_cancellation_passes_through_bare_and_the_report_is_complete() -> None:
    async def main() -> None:
        handlers = AsyncHandlers()
        scope = await cancelled(handlers)
        assert handlers.ran == ["before", "now"]
        assert told(scope.report) == [*BEFORE_AND_AFTER, ("re: now", "discarded", False)]
        handlers.ran.clear()
        resumed = await scope.report.aresume()
        assert sorted(handlers.ran) == ["after", "re: after", "re: before"]
        assert resumed.ok

    asyncio.run(main())


def test_a_cancelled_handler_is_repeated_when_told_to() -> None:
    async def main() -> None:
        handlers = AsyncHandlers()
        scope = await cancelled(handlers)
        handlers.forever.set()
        resumed = await scope.report.aresume(interrupted=True)
        assert resumed.counts == {Outcome.DELIVERED: 5}
        assert handlers.ran.count("now") == 2

    asyncio.run(main())


def test_a_cancellation_with_several_handlers_in_flight_interrupts_those_only() -> None:
    async def main() -> None:
        handlers = AsyncHandlers()
        scope = await cancelled(handlers, concurrency=3)
        assert told(scope.report)[:3] == [
            ("before", "delivered", False),
            ("now", "failed", True),
            ("after", "delivered", False),
        ]
        assert {i.text for i in scope.report.pending} == {"re: before", "re: after"}

    asyncio.run(main())


def test_a_timeout_around_a_scope_is_a_timeout() -> None:
    async def main() -> None:
        handlers = AsyncHandlers()
        scope = handlers.aboundary().scope()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), scope:
                airlock.emit(Note("now"))
        assert told(scope.report) == [("now", "failed", True), ("re: now", "discarded", False)]

    asyncio.run(main())


def test_a_cancelled_block_is_discarded() -> None:
    async def main() -> None:
        handlers = AsyncHandlers()
        scope, emitted = handlers.aboundary().scope(), asyncio.Event()

        async def work() -> None:
            async with scope:
                airlock.emit(Note("lost"))
                emitted.set()
                await handlers.forever.wait()

        task = asyncio.create_task(work())
        await emitted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert scope.report.discarded == [Note("lost")]
        assert handlers.ran == []

    asyncio.run(main())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_ctrl_c_ends_an_event_loop_with_a_complete_report(concurrency: int) -> None:
    """Asyncio turns the signal into a cancellation of the main task."""
    scopes: list[Scope] = []

    async def handle(note: Note) -> None:
        if note.text == "now":
            press_ctrl_c()
        await asyncio.sleep(0)

    async def main() -> None:
        scopes.append(Boundary({Note: handle}, concurrency=concurrency).scope())
        async with scopes[0]:
            airlock.emit_all(map(Note, ("before", "now", "after", "last")))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    report = scopes[0].report
    assert len(report) == 4
    assert Note("now") in report.failed
    assert concurrency > 1 or report.pending == [Note("after"), Note("last")]
    assert all(entry.interrupted for entry in report if entry.outcome is Outcome.FAILED)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_an_exit_raised_by_an_async_handler_passes_through_bare(concurrency: int) -> None:
    scopes: list[Scope] = []

    async def handle(note: Note) -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    async def main() -> None:
        scopes.append(Boundary({Note: handle}, concurrency=concurrency).scope())
        async with scopes[0]:
            airlock.emit(Note("now"))
            airlock.emit(Note("after"))

    with pytest.raises(SystemExit), contextlib.suppress(ExceptionGroup):
        asyncio.run(main())
    assert scopes[0].report.failed[0] == Note("now")
    assert len(scopes[0].report) == 2
