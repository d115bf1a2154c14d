"""Threads see nothing of each other; what reaches them does so by name."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import airlock
from airlock import Boundary, Dedupe, Drop, Limit, Outcome, Refuse, Scope
from airlock.errors import (
    ClosedRegionError,
    NoScopeError,
    OpenElsewhereError,
    OpenRegionsError,
    RefusedError,
    ScopeOrderError,
)
from airlock.testing import FakeHandler
from tests.isolation.vocabulary import Note, Notes, Reply

THREADS = 50
SCOPES = 100


def in_thread(call: Callable[[], object]) -> BaseException | None:
    """Run in a new thread, and return what was raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_a_plain_thread_does_not_inherit_the_scope() -> None:
    notes = Notes()
    with notes.boundary().scope() as effects:
        assert isinstance(in_thread(lambda: airlock.emit(Note("lost"))), NoScopeError)
        assert isinstance(in_thread(airlock.current), NoScopeError)
        assert isinstance(in_thread(_enter_region), NoScopeError)
        airlock.emit(Note("mine"))
    assert effects.report.delivered == [Note("mine")]


def _enter_region() -> None:
    with airlock.region(Drop()):
        pass


def test_a_pool_thread_does_not_inherit_the_scope_of_who_submits() -> None:
    with ThreadPoolExecutor(1) as pool, Notes().boundary().scope():
        future = pool.submit(airlock.emit, Note("lost"))
        assert isinstance(future.exception(), NoScopeError)


def test_a_thread_may_emit_into_a_scope_it_was_given() -> None:
    notes = Notes()
    with notes.boundary().scope() as effects:
        assert in_thread(lambda: effects.emit(Note("from afar"))) is None
    assert notes.delivered == ["from afar"]


Block = Callable[[Boundary, Scope], contextlib.AbstractContextManager[object]]
BLOCKS: dict[str, Block] = {
    "region": lambda _, __: airlock.region(Drop()),
    "a region that refuses": lambda _, __: airlock.region(Refuse()),
    "nested scope": lambda boundary, _: boundary.scope(policy=Drop()),
    "enclosure": lambda _, __: airlock.enclose(Drop()),
    "override": lambda _, effects: effects.override({Note: None}),
}
"""Blocks that keep notes from being delivered as ever."""

Use = Callable[[Scope], object]
USES: dict[str, Use] = {
    "emit": lambda effects: effects.emit(Note("afar")),
    "emit with options": lambda effects: effects.emit(
        Note("afar"), airlock.Options(ordering_key="k")
    ),
    "emit_all": lambda effects: effects.emit_all([Note("afar"), Note("away")]),
    "override": lambda effects: effects.override({Reply: None}).__enter__(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_thread_is_refused_while_a_block_of_the_scope_is_open_elsewhere(
    block: Block, use: Use
) -> None:
    """Nobody can know whether the block is meant to hold there; once it has ended, all is clear."""
    notes = Notes()
    boundary = notes.boundary()
    with boundary.scope() as effects:
        for _ in range(3):  # those that are over do not count
            with block(boundary, effects):
                pass
        with block(boundary, effects):
            refused = in_thread(lambda: use(effects))
        assert isinstance(refused, OpenElsewhereError)
        assert "copy_context" in str(refused)
        assert in_thread(lambda: effects.emit(Note("after"))) is None
    assert notes.delivered == ["after"]


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_thread_that_follows_the_advice_is_under_the_block(block: Block) -> None:
    """A copy of the context takes the region along; a nested scope is passed itself."""
    notes = Notes()
    boundary = notes.boundary()
    with boundary.scope() as effects:
        with block(boundary, effects), ThreadPoolExecutor(1) as pool:
            copied = contextvars.copy_context()
            with contextlib.suppress(RefusedError):
                pool.submit(copied.run, effects.emit, Note("copied")).result()
        with boundary.scope(policy=Drop()) as inner:
            assert in_thread(lambda: inner.emit(Note("passed"))) is None
    assert notes.delivered == []


def test_a_thread_is_refused_under_a_block_two_scopes_deep() -> None:
    notes = Notes()
    boundary = notes.boundary()
    with boundary.scope() as effects, boundary.scope() as inner, airlock.region(Drop()):
        for scope in (effects, inner):
            assert isinstance(in_thread(lambda s=scope: s.emit(Note("x"))), OpenElsewhereError)  # type: ignore[misc]
    assert notes.delivered == []


def test_a_thread_in_a_scope_of_its_own_is_refused_as_well() -> None:
    """Nothing of the scope that it was given is current there."""
    notes = Notes()
    boundary = notes.boundary()

    def work() -> None:
        with boundary.scope() as own:
            own.emit(Note("own"))
            effects.emit(Note("given"))

    with boundary.scope() as effects, airlock.region(Drop()):
        assert isinstance(in_thread(work), OpenElsewhereError)
    assert notes.delivered == []


def test_a_thread_in_a_region_that_it_opened_itself_is_under_that_one() -> None:
    notes = Notes()

    def work() -> None:
        with effects.override({Note: lambda note: notes.delivered.append(f"faked {note.text}")}):
            effects.emit(Note("mine"))

    with notes.boundary().scope() as effects:
        assert in_thread(work) is None
    assert notes.delivered == ["faked mine"]


def test_an_enclosure_opened_in_another_boundarys_scope_is_open_in_the_scopes_around_it() -> None:
    notes = Notes()
    with notes.boundary().scope() as effects, notes.boundary().scope(), airlock.enclose(Drop()):
        assert isinstance(in_thread(lambda: effects.emit(Note("afar"))), OpenElsewhereError)
        effects.emit(Note("here"))
    assert notes.delivered == []
    assert effects.report.dropped == [Note("here")]


def test_enclose_of_the_process_holds_for_a_thread_that_was_given_the_scope() -> None:
    """That one is known to hold there; with a region in it, nobody knows again."""
    notes = Notes()
    effects = notes.boundary().scope().enter()
    with airlock.enclose(Drop(), process=True), airlock.enclose(Drop(Reply), process=True):
        assert in_thread(lambda: effects.emit(Note("afar"))) is None
        with airlock.region(Drop()):
            assert isinstance(in_thread(lambda: effects.emit(Note("x"))), OpenElsewhereError)
    effects.__exit__(None, None, None)
    assert effects.report.dropped == [Note("afar")]
    assert notes.delivered == []


def test_a_thread_that_outlives_the_scope_is_refused() -> None:
    with Notes().boundary().scope() as effects:
        pass
    assert isinstance(in_thread(lambda: effects.emit(Note("late"))), ClosedRegionError)
    assert effects.report.counts == {}


def test_to_thread_inherits_the_scope() -> None:
    notes = Notes()

    async def main() -> None:
        async with notes.boundary().scope():
            await asyncio.to_thread(airlock.emit, Note("from a thread"))
            with airlock.region(Drop()):
                await asyncio.to_thread(airlock.emit, Note("dropped"))

    asyncio.run(main())
    assert notes.delivered == ["from a thread"]


def test_a_copied_context_takes_the_scope_along() -> None:
    notes = Notes()
    with notes.boundary().scope():
        context = contextvars.copy_context()
        assert in_thread(lambda: context.run(airlock.emit, Note("copied"))) is None
    assert notes.delivered == ["copied"]


def test_what_a_thread_opens_is_not_current_elsewhere() -> None:
    notes, boundary = Notes(), Notes().boundary()
    opened, done = threading.Event(), threading.Event()

    def hold() -> None:
        with boundary.scope(policy=Drop()):
            opened.set()
            assert done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert opened.wait(10)
    with pytest.raises(NoScopeError):
        airlock.current()
    with notes.boundary().scope():
        airlock.emit(Note("mine"))
    done.set()
    thread.join()
    assert notes.delivered == ["mine"]


def test_a_scope_is_not_left_from_another_thread() -> None:
    notes = Notes()
    with notes.boundary().scope() as effects:
        error = in_thread(effects.exit)
        assert isinstance(error, ScopeOrderError)
        airlock.emit(Note("still open"))
    assert notes.delivered == ["still open"]


def test_a_region_that_another_context_left_open_stops_the_flush() -> None:
    """Its block has neither succeeded nor failed; the finished part is kept."""
    notes = Notes()
    scope = notes.boundary().scope()
    scope.enter()
    airlock.emit(Note("finished"))
    contextvars.copy_context().run(_open_and_emit, Note("unfinished"))
    scope.exit()
    with pytest.raises(OpenRegionsError):
        scope.settle()
    assert notes.delivered == []
    scope.flush()
    assert notes.delivered == ["finished"]
    assert scope.report.discarded == [Note("unfinished")]


def _open_and_emit(note: Note) -> None:
    airlock.region(Drop()).__enter__()
    airlock.emit(note)


# -- enclose, override ------------------------------------------------------------------------------


def test_enclose_holds_in_its_own_context_only() -> None:
    notes = Notes()
    boundary = notes.boundary()

    def work() -> None:
        with boundary.scope():
            airlock.emit(Note("elsewhere"))

    with airlock.enclose(Drop()):
        assert in_thread(work) is None
        work()
    assert notes.delivered == ["elsewhere"]


def test_enclose_of_the_process_reaches_threads() -> None:
    notes = Notes()
    boundary = notes.boundary()

    def work() -> None:
        with boundary.scope():
            airlock.emit(Note("during"))

    with airlock.enclose(Drop(), process=True):
        assert in_thread(work) is None
        work()
    assert notes.delivered == []
    assert in_thread(work) is None
    assert notes.delivered == ["during"]


def test_enclose_of_the_process_reaches_scopes_that_are_open_already() -> None:
    notes = Notes()
    opened, enclosed = threading.Event(), threading.Event()
    scopes: list[Scope] = []

    def work() -> None:
        with notes.boundary().scope() as scope:
            scopes.append(scope)
            opened.set()
            assert enclosed.wait(10)
            airlock.emit(Note("caught at its flush"))

    thread = threading.Thread(target=work)
    thread.start()
    assert opened.wait(10)
    with airlock.enclose(Drop(), process=True):
        enclosed.set()
        thread.join()
    assert scopes[0].report.dropped == [Note("caught at its flush")]


def test_enclose_of_the_process_counts_once_where_both_reach() -> None:
    """In the context that opened it, the policy is not asked a second time."""
    asked: list[int] = []

    def watching(view: airlock.View) -> list[airlock.Verdict]:
        asked.append(len(view))
        return [airlock.ALLOW] * len(view)

    with airlock.enclose(watching, process=True), Notes().boundary().scope():
        airlock.emit(Note("once"))
    assert asked == [1]


def test_enclose_of_the_process_refuses_in_threads() -> None:
    boundary = Notes().boundary()

    def work() -> None:
        with boundary.scope():
            airlock.emit(Note("forbidden"))

    with airlock.enclose(Refuse(), process=True):
        assert isinstance(in_thread(work), RefusedError)


def test_an_override_holds_in_its_own_context_only() -> None:
    notes, fake = Notes(), FakeHandler()
    with notes.boundary().scope() as effects, effects.override({Note: fake}):
        effects.emit(Note("here"))
        assert isinstance(in_thread(lambda: effects.emit(Note("there"))), OpenElsewhereError)
    assert notes.delivered == []
    assert fake.intents == [Note("here")]


# -- many at once -----------------------------------------------------------------------------------


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient")
def test_many_threads_with_many_scopes_never_mix() -> None:
    """Each thread's intents are delivered by its own thread, all of them, in its order."""
    delivered: dict[int, list[str]] = {}

    def deliver(note: Note) -> None:
        delivered.setdefault(threading.get_ident(), []).append(note.text)
        if note.text.endswith("!"):
            airlock.emit(Note(note.text.rstrip("!")))

    boundary = Boundary({Note: deliver})
    barrier = threading.Barrier(THREADS)
    told: dict[int, list[str]] = {}

    def work(name: int) -> None:
        mine = told[threading.get_ident()] = []
        barrier.wait(10)
        for i in range(SCOPES):
            with boundary.scope() as effects:
                with airlock.region(Drop(Note)):
                    airlock.emit(Note(f"{name}-{i} dropped"))
                with contextlib.suppress(ZeroDivisionError), boundary.scope():
                    airlock.emit(Note(f"{name}-{i} discarded"))
                    airlock.emit(Note(str(1 // 0)))
                with boundary.scope() as inner:
                    inner.emit(Note(f"{name}-{i}!"))
                assert airlock.current() is effects
            mine.extend((f"{name}-{i}!", f"{name}-{i}"))
            assert effects.report.counts == {
                Outcome.DELIVERED: 2,
                Outcome.DROPPED: 1,
                Outcome.DISCARDED: 1,
            }
        with pytest.raises(NoScopeError):
            airlock.current()

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work, name) for name in range(THREADS)]:
            future.result()
    assert delivered == told


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("policy", [None, Limit(THREADS * SCOPES), Dedupe()], ids=str)
def test_many_threads_may_fill_one_scope(policy: airlock.Policy | None) -> None:
    """Nothing is lost, and each thread's intents keep their order and their options."""
    headers: dict[str, str] = {}

    def deliver(note: Note) -> None:
        headers[note.text] = airlock.delivery().headers.get("thread", "")

    barrier = threading.Barrier(THREADS)
    with Boundary({Note: deliver}).scope(policy=policy) as effects:

        def work(name: int) -> None:
            barrier.wait(10)
            for i in range(SCOPES):
                told = airlock.Options(headers={"thread": str(name)}) if i % 2 else None
                effects.emit(Note(f"{name}-{i}"), told)

        with ThreadPoolExecutor(THREADS) as pool:
            for future in [pool.submit(work, name) for name in range(THREADS)]:
                future.result()
    assert len(effects.report.delivered) == THREADS * SCOPES
    for name in range(THREADS):
        mine = [n.text for n in effects.report.delivered if n.text.startswith(f"{name}-")]
        assert mine == [f"{name}-{i}" for i in range(SCOPES)]
        assert [headers[text] for text in mine] == ["", str(name)] * (SCOPES // 2)
