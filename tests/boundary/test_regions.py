"""``region``, ``enclose`` and ``current``: stretches of a program under a policy."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import airlock
from airlock import Allow, Boundary, Drop, Hold, Limit, Outcome, Refuse, Scope, enclose, region
from airlock.errors import DeclarationError, NoScopeError, RefusedError
from tests.boundary.vocabulary import Broken, Emission, NotifyWarehouse, SendEmail

# -- region ---------------------------------------------------------------------------------------


def test_a_region_judges_what_is_emitted_in_its_block(
    boundary: Boundary, handled: list[Any], emission: Emission
) -> None:
    """Before and after it, the policy does not hold."""
    with boundary.scope() as effects:
        emission(effects, SendEmail("before"))
        with region(Drop(SendEmail)):
            emission(effects, SendEmail("inside"))
            emission(effects, NotifyWarehouse())
        emission(effects, SendEmail("after"))
    assert handled == [SendEmail("before"), NotifyWarehouse(), SendEmail("after")]
    assert [(e.intent, e.by) for e in effects.report if e.outcome is Outcome.DROPPED] == [
        (SendEmail("inside"), Drop(SendEmail))
    ]


def test_regions_nest(boundary: Boundary, handled: list[Any]) -> None:
    """Inner policies first, and none of them can undo what another one dropped."""
    with boundary.scope() as effects, region(Drop(SendEmail)):
        with region(Allow()), region(Hold(NotifyWarehouse)):
            effects.emit(SendEmail())
            effects.emit(NotifyWarehouse(1))
        effects.emit(NotifyWarehouse(2))
    assert handled == [NotifyWarehouse(2)]
    assert effects.report.dropped == [SendEmail()]
    assert effects.report.held == [NotifyWarehouse(1)]


@pytest.mark.parametrize(
    "block",
    [
        lambda _: region(Allow()),
        lambda _: enclose(Allow()),
        lambda _: enclose(Allow(), process=True),
        lambda effects: effects.override({SendEmail: None}),
    ],
    ids=["region", "enclose", "enclose the process", "override"],
)
def test_a_block_that_says_whether_or_who_keeps_what_was_emitted_though_it_fails(
    boundary: Boundary, handled: list[Any], block: Callable[[Scope], Any]
) -> None:
    """Only the blocks of scopes decide what is kept; those in it and around it as ever."""
    error = Broken()
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(1))
        with pytest.raises(Broken), block(effects):
            effects.emit(NotifyWarehouse(2))
            with boundary.scope():
                effects.emit(NotifyWarehouse(3))
            with pytest.raises(Broken), boundary.scope():
                effects.emit(NotifyWarehouse(4))
                raise error
            raise Broken
        with pytest.raises(Broken), boundary.scope(), block(effects):
            effects.emit(NotifyWarehouse(5))
            raise error
        effects.emit(NotifyWarehouse(6))
    assert handled == [
        NotifyWarehouse(1),
        NotifyWarehouse(2),
        NotifyWarehouse(3),
        NotifyWarehouse(6),
    ]
    assert [(e.intent, e.by) for e in effects.report if e.outcome is Outcome.DISCARDED] == [
        (NotifyWarehouse(4), error),
        (NotifyWarehouse(5), error),
    ]


def test_a_region_left_by_a_successful_exit_of_the_program_is_kept(
    boundary: Boundary, handled: list[Any]
) -> None:
    """As for scopes."""
    with pytest.raises(SystemExit), boundary.scope() as effects, region(Allow()):
        effects.emit(NotifyWarehouse())
        sys.exit(0)
    assert handled == [NotifyWarehouse()]


def test_a_region_stands_where_it_opened(boundary: Boundary) -> None:
    """The order of delivery is the order of the code."""
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(1))
        with region(Allow()):
            effects.emit(NotifyWarehouse(2))
            with region(Allow()):
                effects.emit(NotifyWarehouse(3))
            effects.emit(NotifyWarehouse(4))
        effects.emit(NotifyWarehouse(5))
        assert effects == [NotifyWarehouse(n) for n in range(1, 6)]


def test_a_region_in_async_code_belongs_to_its_task(boundary: Boundary, handled: list[Any]) -> None:
    """A region that one task opened is no region of its sibling."""

    async def worker(name: str) -> None:
        with region(Drop(SendEmail) if name == "a" else Allow()):
            await anyio.lowlevel.checkpoint()
            airlock.emit(SendEmail(name))
            await anyio.lowlevel.checkpoint()
        airlock.emit(NotifyWarehouse())

    async def main() -> None:
        async with boundary.scope(), anyio.create_task_group() as tasks:
            tasks.start_soon(worker, "a")
            tasks.start_soon(worker, "b")

    anyio.run(main)
    assert sorted(map(repr, handled)) == sorted(
        map(repr, [NotifyWarehouse(), NotifyWarehouse(), SendEmail("b")])
    )


@pytest.mark.parametrize("opens", [region, enclose])
def test_what_is_no_policy_is_refused_at_once(opens: Callable[[Any], object]) -> None:
    """Not at the flush, where nobody knows where it came from."""
    with pytest.raises(DeclarationError, match="42 is not a policy: give Allow"):
        opens(42)


# -- current --------------------------------------------------------------------------------------


def test_current_is_the_innermost_open_scope(boundary: Boundary) -> None:
    """Not a region of it: a region has no lifetime of its own."""
    with pytest.raises(NoScopeError, match="no current scope"):
        airlock.current()
    with boundary.scope() as outer:
        assert airlock.current() is outer
        with region(Allow()):
            assert airlock.current() is outer
            with boundary.scope() as inner:
                assert airlock.current() is inner
        with enclose(Allow()):
            assert airlock.current() is outer
        assert airlock.current() is outer


def test_current_in_a_handler_is_the_scope_that_is_flushed() -> None:
    """So that handlers and domain code may share functions."""
    seen: list[airlock.Scope] = []
    boundary = Boundary({NotifyWarehouse: lambda _: seen.append(airlock.current())})
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert seen[0] is effects


# -- enclose --------------------------------------------------------------------------------------


def test_an_enclosure_is_around_every_scope_of_every_boundary(
    boundary: Boundary, handled: list[Any]
) -> None:
    """A whole program under ``Drop()``: tests, dry runs, bans."""
    others: list[Any] = []
    other = Boundary({NotifyWarehouse: others.append})
    with enclose(Drop()):
        for opened in (boundary, other):
            with opened.scope() as effects:
                effects.emit(NotifyWarehouse())
            assert effects.report.dropped == [NotifyWarehouse()]
            assert [entry.by for entry in effects.report] == [Drop()]
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == [NotifyWarehouse()]
    assert others == []


def test_an_enclosure_is_the_outermost_policy(handled: list[Any]) -> None:
    """It sees what the scope's and the boundary's own policies have left."""
    limited = Boundary({NotifyWarehouse: handled.append}, policy=Drop(SendEmail))
    with enclose(Limit(2)), limited.scope() as scope:
        scope.emit(SendEmail("1"))
        scope.emit(SendEmail("2"))
        scope.emit(NotifyWarehouse(1))
        scope.emit(NotifyWarehouse(2))
        scope.emit(NotifyWarehouse(3))
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]
    assert scope.report.dropped == [SendEmail("1"), SendEmail("2"), NotifyWarehouse(3)]


def test_enclosures_stack(boundary: Boundary, handled: list[Any]) -> None:
    """Each holds for what is inside it."""
    with enclose(Drop(SendEmail)), enclose(Allow(SendEmail)), boundary.scope() as effects:
        effects.emit(SendEmail())
        effects.emit(NotifyWarehouse())
    assert handled == []
    assert effects.report.dropped == [SendEmail(), NotifyWarehouse()]


def test_an_enclosure_inside_a_scope_holds_for_its_block(
    boundary: Boundary, handled: list[Any], emission: Emission
) -> None:
    """Also for emission into the scope that was opened before."""
    with boundary.scope() as effects:
        emission(effects, NotifyWarehouse(1))
        with enclose(Drop()):
            emission(effects, NotifyWarehouse(2))
        emission(effects, NotifyWarehouse(3))
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(3)]
    assert effects.report.dropped == [NotifyWarehouse(2)]


def test_an_enclosure_inside_a_scope_reaches_nested_and_independent_scopes(
    boundary: Boundary, handled: list[Any]
) -> None:
    """And those of other boundaries."""
    others: list[Any] = []
    other = Boundary({NotifyWarehouse: others.append})
    with boundary.scope() as effects, enclose(Drop()):
        for opened, independent in ((boundary, False), (boundary, True), (other, False)):
            with opened.scope(independent=independent) as inner:
                inner.emit(NotifyWarehouse())
    assert handled == []
    assert others == []
    assert effects.report.dropped == [NotifyWarehouse()]


def test_an_enclosure_between_scopes_of_two_boundaries_holds_for_both(
    boundary: Boundary, handled: list[Any], emission: Emission
) -> None:
    """What is emitted inside into the outer scope crosses the enclosure too."""
    others: list[Any] = []
    other = Boundary({NotifyWarehouse: others.append})
    with boundary.scope() as outer, enclose(Drop(NotifyWarehouse)), other.scope() as inner:
        inner.emit(NotifyWarehouse(1))
        outer.emit(NotifyWarehouse(2))
        outer.emit(SendEmail())
        outer.emit_all([NotifyWarehouse(3)])
        assert outer == [NotifyWarehouse(2), SendEmail(), NotifyWarehouse(3)]
    assert handled == [SendEmail()]
    assert others == []
    assert outer.report.dropped == [NotifyWarehouse(2), NotifyWarehouse(3)]


def test_an_enclosure_between_is_found_from_b2_in_b1_in_b2(
    boundary: Boundary, handled: list[Any]
) -> None:
    """With another boundary's scope on either side of it."""
    other = Boundary({NotifyWarehouse: lambda _: None})
    for enclosure_first in (True, False):
        with boundary.scope() as outer:
            first, second = enclose(Drop()), other.scope()
            with first if enclosure_first else second, second if enclosure_first else first:
                with boundary.scope() as inner:
                    inner.emit(NotifyWarehouse(1))
                outer.emit(NotifyWarehouse(2))
        assert outer.report.dropped == [NotifyWarehouse(1), NotifyWarehouse(2)]
    assert handled == []


def test_a_refusing_enclosure_speaks_at_the_emit_site(
    boundary: Boundary, emission: Emission
) -> None:
    """Around a scope, and inside one that was opened before."""
    with enclose(Refuse(SendEmail)), boundary.scope() as effects:
        with pytest.raises(RefusedError):
            emission(effects, SendEmail())
        assert effects == []
    with boundary.scope() as effects:
        with enclose(Refuse(SendEmail)), pytest.raises(RefusedError):
            emission(effects, SendEmail())
        emission(effects, SendEmail())
        assert effects == [SendEmail()]


def test_a_refusing_enclosure_reaches_an_outer_scope_that_is_held(boundary: Boundary) -> None:
    """With a scope of another boundary in between."""
    other = Boundary({})
    with boundary.scope() as outer, enclose(Refuse(SendEmail)), other.scope():
        with pytest.raises(RefusedError):
            outer.emit(SendEmail())
        with pytest.raises(RefusedError):
            outer.emit_all([SendEmail()])
        outer.emit(NotifyWarehouse())
    assert outer.report.delivered == [NotifyWarehouse()]


def test_an_enclosure_outside_of_scopes_takes_nothing(boundary: Boundary) -> None:
    """It is no scope: emitting is as wrong as without it."""
    with enclose(Allow()), pytest.raises(NoScopeError, match="no scope is open"):
        airlock.emit(NotifyWarehouse())
    with enclose(Allow()), pytest.raises(NoScopeError), region(Allow()):
        pass


# -- enclose(process=True) ------------------------------------------------------------------------


def in_thread(work: Callable[[], None]) -> None:
    """Run it in a new thread, and raise here what it raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=600)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("process", [False, True])
def test_threads_are_reached_by_enclosures_of_the_process(
    boundary: Boundary, handled: list[Any], process: bool
) -> None:
    """A plain thread starts with nothing around it, unless ``process=True``."""

    def work() -> None:
        with boundary.scope() as effects:
            effects.emit(NotifyWarehouse())

    with enclose(Drop(), process=process):
        in_thread(work)
    assert handled == ([] if process else [NotifyWarehouse()])
    in_thread(work)
    assert len(handled) == (1 if process else 2)


def test_an_enclosure_of_the_process_reaches_scopes_that_flush_meanwhile(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Of another thread, opened before: nothing escapes while the ban holds."""
    opened, banned = threading.Event(), threading.Event()

    def work() -> None:
        with boundary.scope() as effects:
            effects.emit(NotifyWarehouse())
            opened.set()
            banned.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    opened.wait(30)
    with enclose(Drop(), process=True):
        banned.set()
        thread.join(30)
    assert handled == []


def test_an_enclosure_of_the_process_counts_once(boundary: Boundary, handled: list[Any]) -> None:
    """In the thread that opened it, it is one policy, not two."""
    with enclose(Limit(2), process=True), boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(n) for n in range(3)])
    assert handled == [NotifyWarehouse(0), NotifyWarehouse(1)]
    with enclose(Limit(2), process=True), enclose(Limit(2), process=True):
        with boundary.scope() as effects:
            effects.emit_all([NotifyWarehouse(n) for n in range(3)])
        assert effects.report.dropped == [NotifyWarehouse(2)]


def test_an_enclosure_of_the_process_ends_with_its_block(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Whatever ends the block."""
    with pytest.raises(Broken), enclose(Drop(), process=True):
        raise Broken

    def work() -> None:
        with boundary.scope() as effects:
            effects.emit(NotifyWarehouse())

    in_thread(work)
    assert handled == [NotifyWarehouse()]


def test_a_refusing_enclosure_of_the_process_refuses_in_threads(boundary: Boundary) -> None:
    """At the emit site, in scopes opened while it holds."""

    def work() -> None:
        with boundary.scope() as effects, pytest.raises(RefusedError):
            effects.emit(NotifyWarehouse())

    with enclose(Refuse(), process=True):
        in_thread(work)
