"""An ``enclose`` around scopes of several boundaries: one block, whatever it is reached through."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext

import anyio
import anyio.lowlevel
import pytest

import airlock
from airlock import Allow, Boundary, Drop, Hold, Limit, Refuse
from airlock.errors import (
    ClosedRegionError,
    EmittedInPolicyError,
    FlushError,
    NoScopeError,
    PolicyError,
    RefusedError,
)
from airlock.plan import holding
from airlock.testing import Recording, expect_effects
from tests.boundary.vocabulary import AuditEntry, Broken, NotifyWarehouse, SendEmail, ignore

shop = Boundary({NotifyWarehouse: ignore, SendEmail: ignore, AuditEntry: ignore})
other = Boundary({})


def test_a_failed_enclosure_keeps_what_scopes_around_it_have() -> None:
    """Also where another boundary's scope stands between them and their outermost scope."""

    def fail() -> None:
        with airlock.enclose(airlock.Allow()):
            effects.emit(NotifyWarehouse(1))
            with shop.scope():
                airlock.emit(NotifyWarehouse(2))
            raise Broken

    with shop.scope() as effects, other.scope(), pytest.raises(Broken):
        fail()
    assert effects.report.delivered == [NotifyWarehouse(1), NotifyWarehouse(2)]


def test_an_enclosure_governs_a_nested_scope_across_another_boundary() -> None:
    with shop.scope() as effects, other.scope():
        with airlock.enclose(Drop(SendEmail)), airlock.enclose(Drop(AuditEntry)), shop.scope():
            airlock.emit(NotifyWarehouse(1))
            airlock.emit(SendEmail())
            airlock.emit(AuditEntry())
        effects.emit(SendEmail("later@example.org"))
    report = effects.report
    assert report.delivered == [NotifyWarehouse(1), SendEmail("later@example.org")]
    assert report.dropped == [SendEmail(), AuditEntry()]


def test_what_an_enclosure_holds_stands_where_it_was_first_reached() -> None:
    with shop.scope() as effects, other.scope():
        effects.emit(NotifyWarehouse(1))
        with airlock.enclose(airlock.Allow()):
            with shop.scope():
                airlock.emit(NotifyWarehouse(2))
            effects.emit(NotifyWarehouse(3))
        effects.emit(NotifyWarehouse(4))
    assert effects.report.delivered == [NotifyWarehouse(n) for n in (1, 2, 3, 4)]


ENCLOSURES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "enclose": lambda: airlock.enclose(Allow()),
    "enclose the process": lambda: airlock.enclose(Allow(), process=True),
    "holding": holding,
    "recording": lambda: expect_effects(exhaustive=False),
}


@pytest.mark.parametrize("around", ENCLOSURES.values(), ids=ENCLOSURES)
@pytest.mark.parametrize("within", ["before", "inside"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_scope_that_is_over_refuses_every_emission_in_an_enclosure(
    around: Callable[[], AbstractContextManager[object]], within: str, nested: bool
) -> None:
    """Whether it ended before the enclosure began or in it, and through whatever it is reached."""
    with ExitStack() as stack:
        if nested:
            stack.enter_context(shop.scope())
        with shop.scope() if within == "before" else nullcontext() as before:
            pass
        made = stack.enter_context(around())
        with shop.scope() as inside:
            pass
        over = before or inside
        for _ in range(3):
            for use in (over.emit, lambda one: over.emit_all([one, one])):
                with pytest.raises(ClosedRegionError):
                    use(NotifyWarehouse(1))
        with pytest.raises(ClosedRegionError):
            over.override({NotifyWarehouse: None}).__enter__()
        assert over == []
        if isinstance(made, Recording):
            assert made == []


# -- where no scope is open -----------------------------------------------------------------------


@pytest.mark.parametrize("process", [False, True])
def test_an_enclosure_drops_where_no_scope_is_open(process: bool) -> None:
    with airlock.enclose(Drop(), process=process):
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(SendEmail(), airlock.Options(ordering_key="k"))
        airlock.emit_all([NotifyWarehouse(2), SendEmail()])
        airlock.emit(NotifyWarehouse(3))
    with pytest.raises(NoScopeError, match="nothing would ever decide"):
        airlock.emit(NotifyWarehouse(4))


def test_what_an_enclosure_allows_has_no_scope_and_is_refused() -> None:
    with airlock.enclose(Drop(SendEmail)):
        airlock.emit(SendEmail())
        with pytest.raises(NoScopeError, match="nothing would ever decide"):
            airlock.emit(NotifyWarehouse(1))
        with pytest.raises(NoScopeError):
            airlock.emit_all([SendEmail(), NotifyWarehouse(1)])
        with pytest.raises(NoScopeError), airlock.region(Drop()):
            pass
        with pytest.raises(NoScopeError):
            airlock.current()


@pytest.mark.parametrize(
    "policies",
    [
        (Drop(SendEmail), Allow()),
        (Allow(), Drop(SendEmail)),
        (Hold(), Drop(SendEmail)),
        (Drop(SendEmail), Hold()),
        (Limit(0), Allow()),
        (Drop(SendEmail) & Hold(),),
        (airlock.each(lambda _: airlock.DROP),),
    ],
    ids=repr,
)
@pytest.mark.parametrize("process", [False, True])
def test_one_of_several_enclosures_that_drops_is_enough(
    policies: tuple[airlock.Policy, ...], process: bool
) -> None:
    with ExitStack() as stack:
        for policy in policies:
            stack.enter_context(airlock.enclose(policy, process=process))
        airlock.emit(SendEmail())


@pytest.mark.parametrize("around", [Hold(SendEmail), Allow() & Hold()], ids=repr)
def test_what_would_be_held_where_no_scope_is_open_is_refused(around: airlock.Policy) -> None:
    """Nobody could make a plan of it."""
    with (
        airlock.enclose(around),
        pytest.raises(NoScopeError, match=r"Hold.* holds it.*a plan of it"),
    ):
        airlock.emit(SendEmail())


def test_holding_and_recordings_say_nothing_of_what_has_no_scope() -> None:
    """It is refused: in production nothing would come of it either."""
    with holding() as held, pytest.raises(NoScopeError):
        airlock.emit(SendEmail())
    assert held.plan().counts == {}
    recording = Recording(mode="allow")
    recording.start()
    with pytest.raises(NoScopeError):
        airlock.emit(SendEmail())
    with airlock.enclose(Drop()):
        airlock.emit(SendEmail())
    recording.stop()
    assert recording == []
    with expect_effects() as fx, ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(airlock.emit, SendEmail()).exception(), NoScopeError)
    assert fx == []


def test_an_enclosure_refuses_where_no_scope_is_open() -> None:
    with airlock.enclose(Refuse(SendEmail)):
        with pytest.raises(RefusedError, match="enclosure opened at"):
            airlock.emit(SendEmail())
        with pytest.raises(NoScopeError):
            airlock.emit(NotifyWarehouse(1))


def test_a_policy_of_an_enclosure_that_fails_where_no_scope_is_open_lets_nothing_pass() -> None:
    def fails(_: airlock.View) -> list[airlock.Verdict]:
        raise Broken

    def talks(_: airlock.View) -> list[airlock.Verdict]:
        airlock.emit(SendEmail())
        return [airlock.DROP]

    for policy, error in (
        (fails, PolicyError),
        (lambda _: [], PolicyError),
        (talks, EmittedInPolicyError),
    ):
        with airlock.enclose(policy), pytest.raises(error):
            airlock.emit(SendEmail())


def test_an_enclosure_of_the_process_drops_in_threads_where_no_scope_is_open() -> None:
    with ThreadPoolExecutor(1) as pool:
        with airlock.enclose(Drop()), pytest.raises(NoScopeError):
            pool.submit(airlock.emit, SendEmail()).result()
        with airlock.enclose(Drop(), process=True):
            pool.submit(airlock.emit, SendEmail()).result()


def test_an_enclosure_of_the_process_holds_for_handlers_while_it_is_in_force() -> None:
    """Also if another thread opens and ends it between two handlers of one flush."""
    enclosure = ExitStack()
    elsewhere = ThreadPoolExecutor(1)

    def follow(cause: NotifyWarehouse) -> None:
        if cause.order_id == 2:
            block = airlock.enclose(Drop(SendEmail), process=True)
            elsewhere.submit(enclosure.enter_context, block).result()
        elif cause.order_id == 4:
            elsewhere.submit(enclosure.close).result()
        airlock.emit(SendEmail(f"{cause.order_id}@example.org"))

    boundary = Boundary({NotifyWarehouse: follow, SendEmail: ignore})
    with elsewhere, boundary.scope() as effects:
        for order_id in range(1, 5):
            effects.emit(NotifyWarehouse(order_id))
    assert effects.report.dropped == [SendEmail(f"{i}@example.org") for i in (2, 3)]
    assert effects.report.delivered[4:] == [SendEmail(f"{i}@example.org") for i in (1, 4)]


def test_an_enclosure_around_a_flush_holds_for_what_each_handler_emits() -> None:
    """Also if what the handlers run for was emitted before it opened."""
    reached = False

    def follow(cause: NotifyWarehouse) -> None:
        if not reached:
            raise Broken
        airlock.emit(SendEmail(f"{cause.order_id}@example.org"))

    shop = Boundary({NotifyWarehouse: follow, SendEmail: ignore})
    with pytest.raises(FlushError), shop.scope() as effects:
        airlock.emit_all(NotifyWarehouse(order_id) for order_id in range(3))
    reached = True
    with airlock.enclose(Drop(SendEmail)):
        report = effects.report.resume()
    assert report.dropped == [SendEmail(f"{i}@example.org") for i in range(3)]


def test_an_enclosure_drops_nothing_of_a_scope_that_is_over() -> None:
    """A task that outlives its scope is refused, with an enclosure of its own as without."""

    async def late(ended: anyio.Event) -> None:
        await ended.wait()
        for process in (False, True):
            with airlock.enclose(Drop(), process=process), pytest.raises(ClosedRegionError):
                airlock.emit(SendEmail())
            with airlock.enclose(Drop()), shop.scope() as own:
                airlock.emit(SendEmail())
            assert own.report.dropped == [SendEmail()]

    async def main() -> None:
        ended = anyio.Event()
        async with anyio.create_task_group() as group:
            async with shop.scope():
                group.start_soon(late, ended)
                await anyio.lowlevel.checkpoint()
            ended.set()

    anyio.run(main)


def test_a_policy_may_not_open_an_enclosure() -> None:
    def opens(view: airlock.View) -> list[airlock.Verdict]:
        with airlock.enclose(Drop()):
            return [airlock.ALLOW] * len(view)

    scope = shop.scope(policy=opens)
    with pytest.raises(EmittedInPolicyError, match="open an enclosure"), scope:
        scope.emit(NotifyWarehouse(1))
