"""Generators: between their steps the consumer does not see their regions; abandoned ones are told."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

import airlock
from airlock import Allow, Boundary, Drop, Scope
from airlock.errors import NoScopeError, ScopeError, ScopeOrderError, ScopeStateError
from tests.isolation.vocabulary import Note, Notes, Reply


def nothing_is_current() -> None:
    with pytest.raises(NoScopeError):
        airlock.current()


def test_a_scoped_generator_is_current_during_its_steps_only() -> None:
    notes = Notes()
    scopes: list[Scope] = []

    @notes.boundary().scoped()
    def pages() -> Iterator[int]:
        scopes.append(airlock.current())
        for page in range(3):
            assert airlock.current() is scopes[0]
            airlock.emit(Note(f"page {page}"))
            yield page

    for _ in pages():
        nothing_is_current()
        assert notes.delivered == []
    nothing_is_current()
    assert notes.delivered == ["page 0", "page 1", "page 2"]


def test_regions_of_a_scoped_generator_are_not_current_in_its_consumer() -> None:
    notes = Notes()
    boundary = notes.boundary()

    @boundary.scoped()
    def pages() -> Iterator[None]:
        with airlock.region(Drop()):
            airlock.emit(Note("dropped"))
            yield
            airlock.emit(Note("dropped too"))
        airlock.emit(Note("generator"))
        yield

    with boundary.scope() as effects:
        for _ in pages():
            assert airlock.current() is effects
            airlock.emit(Note("consumer"))
    assert notes.delivered == ["generator", "consumer", "consumer"]


def test_two_scoped_generators_may_interleave() -> None:
    notes = Notes()

    @notes.boundary().scoped()
    def pages(name: str) -> Iterator[None]:
        mine = airlock.current()
        for page in range(3):
            assert airlock.current() is mine
            airlock.emit(Note(f"{name}{page}"))
            yield

    for _ in zip(pages("a"), pages("b"), strict=True):
        nothing_is_current()
    assert notes.delivered == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_a_scoped_generator_may_be_sent_values_and_errors() -> None:
    notes = Notes()

    @notes.boundary().scoped()
    def echo() -> Generator[str, str, str]:
        heard = yield "ready"
        airlock.emit(Note(heard))
        try:
            yield heard
        except KeyError:
            airlock.emit(Note("caught"))
        return "result"

    generator = echo()
    assert next(generator) == "ready"
    assert generator.send("hello") == "hello"
    with pytest.raises(StopIteration) as stop:
        generator.throw(KeyError())
    assert stop.value.value == "result"
    assert notes.delivered == ["hello", "caught"]


def test_a_scoped_generator_that_fails_is_discarded() -> None:
    notes = Notes()

    @notes.boundary().scoped()
    def pages() -> Iterator[None]:
        airlock.emit(Note("lost"))
        yield
        raise KeyError("page")

    with pytest.raises(KeyError):
        list(pages())
    nothing_is_current()
    assert notes.delivered == []


@pytest.mark.parametrize("end", ["close", "collect"])
def test_an_abandoned_scoped_generator_is_closed_and_discarded(end: str) -> None:
    notes = Notes()
    scopes: list[Scope] = []

    @notes.boundary().scoped()
    def pages() -> Iterator[None]:
        scopes.append(airlock.current())
        airlock.emit(Note("lost"))
        yield
        airlock.emit(Note("never"))

    generator: Any = pages()
    next(generator)
    if end == "close":
        generator.close()
    del generator
    gc.collect()
    nothing_is_current()
    assert notes.delivered == []
    assert scopes[0].report.discarded == [Note("lost")]


def test_a_scoped_generator_abandoned_within_another_scope_leaves_that_one_current() -> None:
    notes = Notes()
    boundary = notes.boundary()

    @boundary.scoped()
    def pages() -> Iterator[None]:
        airlock.emit(Note("lost"))
        yield

    with boundary.scope() as effects:
        generator = pages()
        next(generator)
        with airlock.region(Drop()):
            del generator
            gc.collect()
            airlock.emit(Note("dropped"))
        assert airlock.current() is effects
        airlock.emit(Note("kept"))
    assert notes.delivered == ["kept"]


def test_a_plain_generator_that_holds_a_scope_over_a_yield_is_told() -> None:
    """It leaks into its consumer, who cannot leave what it opened around it."""
    notes = Notes()
    boundary = notes.boundary()

    def leaking() -> Generator[None]:
        with boundary.scope():
            airlock.emit(Note("inside"))
            yield

    generator = leaking()
    with pytest.raises(ScopeOrderError, match="scoped"), boundary.scope():
        airlock.emit(Note(f"consumer, {next(generator)}"))
    nothing_is_current()
    with pytest.raises(ScopeStateError, match="was closed with the scope around it"):
        generator.close()
    assert notes.delivered == []


def test_a_plain_generator_abandoned_in_a_region_of_a_scope_does_not_pass_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where an error cannot be raised, Python reports it; and nothing is delivered by accident."""
    notes = Notes()
    boundary = notes.boundary()
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: reported.append(what.exc_value))

    def leaking() -> Iterator[None]:
        with airlock.region(Drop()):
            yield

    generator = leaking()
    with pytest.raises(ScopeOrderError, match="scoped"), boundary.scope():
        airlock.emit(Note(f"taken for one of the generator's, {next(generator)}"))
    del generator
    gc.collect()
    assert [type(error) for error in reported] == [ScopeOrderError]
    nothing_is_current()
    assert notes.delivered == []


Opens = Callable[[Boundary], AbstractContextManager[object]]
LEAKS: dict[str, Opens] = {
    "scope": lambda boundary: boundary.scope(),
    "region": lambda _: airlock.region(Allow()),
    "enclosure": lambda _: airlock.enclose(Allow()),
    "override": lambda _: airlock.current().override({Reply: None}),
}


@pytest.mark.parametrize("end", ["close", "collect"])
@pytest.mark.parametrize("opens", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("around", [True, False], ids=["a region of the consumer", "no region"])
def test_a_plain_generator_that_is_abandoned_takes_nothing_of_its_consumer_with_it(
    end: str, opens: Opens, around: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is closed while its block is current in the consumer: everybody is told, all is kept."""
    notes = Notes()
    boundary = notes.boundary()
    raised: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: raised.append(what.exc_value))

    def leaking() -> Iterator[None]:
        with opens(boundary):
            yield

    with boundary.scope() as effects:
        generator: Any = leaking()
        next(generator)
        airlock.emit(Note("consumer"))
        with airlock.region(Allow()) if around else nullcontext():
            airlock.emit(Note("region"))
            if end == "close":
                with pytest.raises(ScopeError, match="scoped") as closed:
                    generator.close()
                raised.append(closed.value)
            del generator
            gc.collect()
            airlock.emit(Note("after"))
        assert airlock.current() is effects
        airlock.emit(Note("end"))
    nothing_is_current()
    assert len(raised) == 1
    assert isinstance(raised[0], ScopeError)
    assert notes.delivered == ["consumer", "region", "after", "end"]


def test_an_independent_scope_of_a_plain_generator_that_is_abandoned_keeps_what_it_has() -> None:
    """Somebody who has it can flush it, or discard it."""
    notes = Notes()
    boundary = notes.boundary()
    scope = boundary.scope(independent=True)

    def leaking() -> Generator[None]:
        with scope:
            yield

    with boundary.scope():
        generator = leaking()
        next(generator)
        airlock.emit(Note("consumer"))
        with pytest.raises(ScopeStateError, match="abandoned"):
            generator.close()
    assert notes.delivered == []
    scope.flush()
    assert notes.delivered == ["consumer"]


def test_a_plain_generator_with_a_scope_where_no_other_is_open_is_discarded_when_abandoned() -> (
    None
):
    """Its consumer has no scope that could have had something of its own."""
    notes = Notes()
    scope = notes.boundary().scope()

    def leaking() -> Generator[None]:
        with scope:
            airlock.emit(Note("lost"))
            yield

    generator = leaking()
    next(generator)
    generator.close()
    nothing_is_current()
    assert scope.report.discarded == [Note("lost")]


def test_an_abandoned_plain_generator_in_whose_block_nothing_was_emitted_passes_unseen() -> None:
    notes = Notes()
    boundary = notes.boundary()

    def leaking() -> Generator[None]:
        with boundary.scope():
            yield

    with boundary.scope():
        generator = leaking()
        next(generator)
        generator.close()
        airlock.emit(Note("after"))
    assert notes.delivered == ["after"]


def test_blocks_in_a_scoped_generator_that_is_closed_are_its_own() -> None:
    """They end as ever: a nested scope is discarded, and nobody is to blame."""
    notes = Notes()
    boundary = notes.boundary()

    @boundary.scoped(keep=lambda _: True)
    def pages() -> Generator[None]:
        with airlock.region(Allow()):
            airlock.emit(Note("kept"))
            with boundary.scope():
                airlock.emit(Note("discarded"))
                yield

    with boundary.scope() as effects:
        steps = pages()
        next(steps)
        steps.close()
    assert notes.delivered == ["kept"]
    assert effects.report.discarded == [Note("discarded")]


# -- async generators -------------------------------------------------------------------------------


def test_a_scoped_async_generator_is_current_during_its_steps_only() -> None:
    notes = Notes()

    @notes.boundary().scoped()
    async def pages() -> AsyncIterator[int]:
        mine = airlock.current()
        with airlock.region(Drop()):
            airlock.emit(Note("dropped"))
            yield -1
        for page in range(2):
            await asyncio.sleep(0)
            assert airlock.current() is mine
            airlock.emit(Note(f"page {page}"))
            yield page

    async def main() -> None:
        async for _ in pages():
            nothing_is_current()
            assert notes.delivered == []
        nothing_is_current()

    asyncio.run(main())
    assert notes.delivered == ["page 0", "page 1"]


def test_scoped_async_generators_may_be_consumed_by_several_tasks() -> None:
    """Each step in a task of its own, and the scope is left in the last one."""
    notes = Notes()

    @notes.boundary().scoped()
    async def pages() -> AsyncIterator[int]:
        for page in range(3):
            airlock.emit(Note(f"page {page}"))
            yield page

    async def step(generator: AsyncIterator[int]) -> int | None:
        found = await anext(generator, None)
        nothing_is_current()
        return found

    async def main() -> None:
        generator = pages()
        found = [await asyncio.create_task(step(generator)) for _ in range(4)]
        assert found == [0, 1, 2, None]

    asyncio.run(main())
    assert notes.delivered == ["page 0", "page 1", "page 2"]


@pytest.mark.parametrize("end", ["aclose", "loop"])
def test_an_abandoned_scoped_async_generator_is_closed_and_discarded(end: str) -> None:
    """At the latest when its event loop ends."""
    notes = Notes()
    scopes: list[Scope] = []

    @notes.boundary().scoped()
    async def pages() -> AsyncIterator[None]:
        scopes.append(airlock.current())
        airlock.emit(Note("lost"))
        yield
        airlock.emit(Note("never"))

    async def main() -> None:
        generator: Any = pages()
        await anext(generator)
        nothing_is_current()
        if end == "aclose":
            await generator.aclose()

    asyncio.run(main())
    assert notes.delivered == []
    assert scopes[0].report.discarded == [Note("lost")]


def test_a_plain_async_generator_that_holds_a_scope_over_a_yield_is_told() -> None:
    notes = Notes()
    boundary = notes.boundary()

    async def leaking() -> AsyncIterator[None]:
        async with boundary.scope():
            airlock.emit(Note("inside"))
            yield

    async def main() -> None:
        generator: Any = leaking()
        with pytest.raises(ScopeOrderError, match="scoped"):
            async with boundary.scope():
                await anext(generator)
        nothing_is_current()
        with pytest.raises(ScopeStateError, match="was closed with the scope around it"):
            await generator.aclose()

    asyncio.run(main())
    assert notes.delivered == []


def test_a_plain_async_generator_finished_in_another_task_is_told() -> None:
    """As an event loop finishes an abandoned one: not where it was entered."""
    notes = Notes()
    boundary = notes.boundary()

    async def leaking() -> AsyncIterator[None]:
        async with boundary.scope():
            airlock.emit(Note("inside"))
            yield

    async def main() -> None:
        generator: Any = leaking()

        async def enter() -> None:
            await anext(generator)

        await asyncio.create_task(enter())
        with pytest.raises(ScopeOrderError):
            await generator.aclose()

    asyncio.run(main())
    assert notes.delivered == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_scoped_calls_are_scopes_of_their_own(asynchronous: bool) -> None:
    notes = Notes()
    boundary = notes.boundary()

    @boundary.scoped()
    def call(text: str) -> str:
        airlock.emit(Note(text))
        return text

    @boundary.scoped()
    async def acall(text: str) -> str:
        await asyncio.sleep(0)
        airlock.emit(Note(text))
        return text

    async def main() -> list[str]:
        return list(await asyncio.gather(acall("one"), acall("two")))

    results = asyncio.run(main()) if asynchronous else [call("one"), call("two")]
    assert results == ["one", "two"]
    assert sorted(notes.delivered) == ["one", "two"]
    nothing_is_current()
