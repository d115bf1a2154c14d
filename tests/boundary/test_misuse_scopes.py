"""Scopes and blocks used the wrong way: loud, explained, and the context still works after."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import contextvars
import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import airlock
from airlock import Allow, Boundary, Drop, Scope, enclose, region
from airlock.errors import (
    HandlerSignatureError,
    NoScopeError,
    OptionError,
    ReleaseError,
    ScopeOrderError,
    ScopeStateError,
)
from airlock.integrations.sqlite3 import connect, on_commit
from tests.boundary.vocabulary import (
    Broken,
    NotifyWarehouse,
    assert_usable,
    next_line,
)


def entered(boundary: Boundary) -> Scope:
    """A scope that is open."""
    return boundary.scope().enter()


# -- entering -------------------------------------------------------------------------------------


def test_entering_twice(boundary: Boundary, handled: list[Any]) -> None:
    """While it is open: the second is refused, and the scope goes on."""
    place = next_line()
    with boundary.scope() as scope:
        scope.emit(NotifyWarehouse())
        for enter in (scope.enter, scope.__enter__):
            with pytest.raises(ScopeStateError) as raised:
                enter()
            text = str(raised.value)
            assert "the scope opened at" in text
            assert place in text
            assert "was entered before" in text
            assert "A scope is one unit of work: open a new one" in text
    assert handled == [NotifyWarehouse()]
    assert_usable()


def test_entering_again_after_its_end(boundary: Boundary, handled: list[Any]) -> None:
    """It was one unit of work."""
    with boundary.scope() as scope:
        pass
    with pytest.raises(ScopeStateError, match="was entered before"), scope:
        pass
    assert_usable()


@pytest.mark.anyio
async def test_entering_twice_in_async_code(boundary: Boundary) -> None:
    """The same."""
    async with boundary.scope() as scope:
        with pytest.raises(ScopeStateError, match="was entered before"):
            async with scope:
                pass
    assert_usable()


@pytest.mark.parametrize("block", [region(Allow()), enclose(Allow())])
def test_entering_a_block_twice(boundary: Boundary, block: Any) -> None:
    """A region is one stretch of a scope."""
    with boundary.scope() as effects:
        with block, pytest.raises(ScopeStateError) as raised, block:
            pass
        effects.emit(NotifyWarehouse())
        assert "test_misuse_scopes.py:" in str(raised.value)
        assert "was entered before. Make a new one for each block" in str(raised.value)
    assert_usable()


def test_an_enclosure_of_the_process_entered_twice_still_ends(
    boundary: Boundary, handled: list[Any]
) -> None:
    """The refusal does not leave the ban in force."""
    ban = enclose(Drop(), process=True)
    with ban, pytest.raises(ScopeStateError), ban:
        pass
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == [NotifyWarehouse()]


def test_a_region_outside_of_scopes() -> None:
    """There is nothing to be a region of; ``enclose`` would be around scopes to come."""
    with pytest.raises(NoScopeError) as raised, region(Drop()):
        pass
    text = str(raised.value)
    assert "cannot open a region: no scope is open in this thread or task" in text
    assert "with boundary.scope()" in text
    assert_usable()


def test_a_release_on_a_nested_scope(boundary: Boundary, handled: list[Any]) -> None:
    """It belongs to the outermost; the message says which two ways there are."""
    connection = connect(":memory:")
    with boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        with pytest.raises(ReleaseError) as raised, boundary.scope(release=on_commit(connection)):
            pass
        outer.emit(NotifyWarehouse(2))
    connection.close()
    text = str(raised.value)
    assert "nested scope" in text
    assert "releases belong to the outermost scope" in text
    assert "open this one with independent=True" in text
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]
    assert_usable()


def test_headers_that_are_not_text(boundary: Boundary) -> None:
    """They cross processes, so a number is refused where it is given, with a way to write it."""
    with pytest.raises(OptionError) as raised:
        boundary.scope(headers={"a": 1})  # type: ignore[dict-item]
    text = str(raised.value)
    assert "'headers' must map str to str, not {'a': 1}" in text
    assert "headers (mapping of str to str)" in text
    assert_usable()


def test_an_override_with_a_class(boundary: Boundary, handled: list[Any]) -> None:
    """It would be instantiated and thrown away: an instance is meant."""

    class Fake:
        def __init__(self, subject: Any) -> None: ...

    with boundary.scope() as effects:
        with (
            pytest.raises(HandlerSignatureError) as raised,
            effects.override({NotifyWarehouse: Fake}),
        ):
            pass
        effects.emit(NotifyWarehouse())
    text = str(raised.value)
    assert "Fake cannot handle NotifyWarehouse" in text
    assert "takes (intent) or (intent, call_next)" in text
    assert "Give such a function, or None to drop the intent" in text
    assert handled == [NotifyWarehouse()]
    assert_usable()


# -- leaving --------------------------------------------------------------------------------------


def test_leaving_a_scope_that_was_never_entered(boundary: Boundary) -> None:
    """There is nothing to leave."""
    scope = boundary.scope()
    with pytest.raises(ScopeStateError) as raised:
        scope.exit()
    text = str(raised.value)
    assert "has not been entered" in text
    assert text.count("has not been entered") == 1
    assert "exit() leaves a scope that was entered, once" in text
    assert_usable()


def test_ending_a_scope_that_was_never_entered(boundary: Boundary) -> None:
    """Neither flush nor discard."""
    for end in ("flush", "discard"):
        scope = boundary.scope()
        with pytest.raises(ScopeStateError, match=r"has not been entered.*after exit"):
            getattr(scope, end)()
        with scope:
            pass
    assert_usable()


def test_leaving_twice(boundary: Boundary) -> None:
    """The second time it is not open."""
    place = next_line()
    scope = boundary.scope().enter()
    scope.exit()
    with pytest.raises(ScopeStateError) as raised:
        scope.exit()
    assert place in str(raised.value)
    assert "was left, and not flushed yet" in str(raised.value)
    scope.discard()
    assert_usable()


def test_leaving_out_of_order(boundary: Boundary, handled: list[Any]) -> None:
    """The inner one first: nothing has changed, and the right order still works."""
    place = next_line()
    outer = boundary.scope().enter()
    inner_place = next_line()
    inner = boundary.scope().enter()
    with pytest.raises(ScopeOrderError) as raised:
        outer.exit()
    text = str(raised.value)
    assert f"{place} here: current is the scope opened at" in text
    assert inner_place in text
    assert "Leave the inner one first" in text
    airlock.emit(NotifyWarehouse(1))
    inner.exit()
    outer.emit(NotifyWarehouse(2))
    outer.exit()
    outer.settle()
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]
    assert_usable()


def test_leaving_out_of_order_in_a_region(boundary: Boundary, handled: list[Any]) -> None:
    """A region is current: it is named, with its place."""
    scope = entered(boundary)
    place = next_line()
    with region(Allow()):
        with pytest.raises(ScopeOrderError) as raised:
            scope.exit()
        assert f"current is the region opened at tests/boundary/{place}" in str(raised.value)
    scope.exit()
    scope.flush()
    assert_usable()


def plain_generator(boundary: Boundary) -> Iterator[None]:
    """Holds a scope over a yield without ``@boundary.scoped()``."""
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(2))
        yield
        effects.emit(NotifyWarehouse(3))


def test_an_abandoned_generator_inside_a_block(boundary: Boundary, handled: list[Any]) -> None:
    """Its scope is still current when the outer block ends: refused, and both are cleaned up."""
    place = next_line()
    with pytest.raises(ScopeOrderError) as raised, boundary.scope() as outer:
        outer.emit(NotifyWarehouse(1))
        generator = plain_generator(boundary)
        next(generator)
    text = str(raised.value)
    assert place in text
    assert "A plain generator that holds a scope over a yield leaks it into its caller" in text
    assert "@boundary.scoped()" in text
    assert handled == []
    assert_usable()
    with pytest.raises(ScopeStateError, match="was closed with the scope around it"):
        generator.close()  # type: ignore[attr-defined]
    assert_usable()
    outer.discard()
    assert handled == []


def test_an_abandoned_generator_in_a_block_that_fails(boundary: Boundary) -> None:
    """The block's own error is the one that is raised; the other is noted on it."""
    with pytest.raises(Broken) as raised, boundary.scope():
        generator = plain_generator(boundary)
        next(generator)
        raise Broken
    assert any("@boundary.scoped()" in note for note in raised.value.__notes__)
    assert_usable()
    with pytest.raises(ScopeStateError):
        generator.close()  # type: ignore[attr-defined]


def test_an_abandoned_generator_outside_of_blocks(boundary: Boundary, handled: list[Any]) -> None:
    """It is current in its caller until it is closed."""
    generator = plain_generator(boundary)
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert handled == []
    assert_usable()


def test_leaving_in_another_context(boundary: Boundary, handled: list[Any]) -> None:
    """In one where it is not current: refused, and it is left where it was entered."""
    place = next_line()
    scope = boundary.scope().enter()
    scope.emit(NotifyWarehouse())
    with pytest.raises(ScopeOrderError) as raised:
        contextvars.Context().run(scope.exit)
    text = str(raised.value)
    assert place in text
    assert re.search("It was entered in another thread, task or context.*leave it there", text)
    scope.exit()
    scope.settle()
    assert handled == [NotifyWarehouse()]
    assert_usable()


@pytest.mark.anyio
async def test_leaving_in_another_task(boundary: Boundary, handled: list[Any]) -> None:
    """A child task inherits the scope, and may not end it; its own task still can."""
    errors: list[BaseException] = []
    place = next_line()
    scope = boundary.scope().enter()

    async def elsewhere() -> None:
        try:
            scope.exit()
        except ScopeOrderError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(elsewhere)
    scope.emit(NotifyWarehouse())
    scope.exit()
    await scope.asettle()
    (error,) = errors
    assert place in str(error)
    assert "task" in str(error)
    assert "It was entered in task" in str(error)
    assert handled == [NotifyWarehouse()]
    assert_usable()
