"""A ban, ``enclose(Drop(...))``, reaches whatever is emitted while it is in force, by handlers too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Boundary,
    Drop,
    FlushError,
    Handles,
    HandlesBatch,
    Hold,
    Limit,
    Outcome,
    Refuse,
    Report,
    RetryPolicy,
    Scope,
)
from airlock.errors import ScopeOrderError
from airlock.integrations.sqlite3 import connect, on_commit
from tests.boundary.vocabulary import AuditEntry, Broken, NotifyWarehouse, OrderPlaced, SendEmail


@attrs.define(eq=False)
class Shop:
    """Handlers that emit, each after the other: an order, a notice to the warehouse, an e-mail."""

    mailed: list[SendEmail] = attrs.Factory(list)
    ways: dict[str, Any] = attrs.Factory(dict)
    failing: bool = False

    def place(self, order: OrderPlaced) -> None:
        if self.failing:
            raise Broken
        airlock.emit(SendEmail(f"order {order.order_id}"))
        airlock.emit(NotifyWarehouse(order.order_id))

    def notify(self, notice: NotifyWarehouse) -> None:
        airlock.emit(SendEmail(f"notice {notice.order_id}"))

    def audit(self, entries: list[AuditEntry]) -> None:
        for _ in entries:
            airlock.emit(SendEmail("audit"))

    @property
    def boundary(self) -> Boundary:
        class Handlers(containers.DeclarativeContainer):
            place = Handles(OrderPlaced, uncopied(self.place))
            notify = Handles(NotifyWarehouse, uncopied(self.notify))
            audit = HandlesBatch(AuditEntry, uncopied(self.audit))
            mail = Handles(SendEmail, uncopied(self.mailed.append))

        return Boundary(Handlers(), **self.ways)


def uncopied(method: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return a function for a method, whose object a container would copy."""

    def handle(intent: Any) -> None:
        method(intent)

    return handle


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "interceptor": {"interceptors": [lambda intent, call_next: call_next(intent)]},
}

Ban = Callable[[Any], Any]
BANS: dict[str, Ban] = {
    "enclose": airlock.enclose,
    "enclose the process": lambda policy: airlock.enclose(policy, process=True),
}


@pytest.fixture(params=WAYS)
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(ways=WAYS[request.param])


@pytest.fixture(params=BANS)
def ban(request: pytest.FixtureRequest) -> Ban:
    return BANS[request.param]


def late(shop: Shop, ban: Callable[[], Any], emit: Callable[[Scope], None]) -> Report:
    """Emit in a scope whose transaction is committed after it, in a ban."""
    connection = connect(":memory:", isolation_level=None)
    connection.execute("BEGIN")
    with shop.boundary.scope(release=on_commit(connection)) as effects:
        emit(effects)
    with ban():
        connection.execute("COMMIT")
    connection.close()
    return effects.report


def test_a_ban_reaches_handlers_that_a_late_commit_sets_off(shop: Shop, ban: Ban) -> None:
    """And the handlers of their follow-ups."""
    report = late(shop, lambda: ban(Drop(SendEmail)), lambda e: e.emit(OrderPlaced(1)))
    assert shop.mailed == []
    assert report.dropped == [SendEmail("order 1"), SendEmail("notice 1")]
    assert report.delivered == [OrderPlaced(1), NotifyWarehouse(1)]


def test_a_ban_around_a_late_commit_leaves_alone_what_was_emitted_before(shop: Shop) -> None:
    report = late(
        shop, lambda: airlock.enclose(Drop(SendEmail)), lambda e: e.emit(SendEmail("before"))
    )
    assert report.delivered == [SendEmail("before")]


def test_a_ban_reaches_batch_handlers_and_the_regions_they_ran_for(shop: Shop, ban: Ban) -> None:
    """Each region keeps its own policy besides."""

    def emit(effects: Scope) -> None:
        effects.emit(AuditEntry("1"))
        with airlock.region(Drop(NotifyWarehouse)):
            effects.emit(OrderPlaced(1))
        effects.emit(OrderPlaced(2))
        effects.emit(AuditEntry("2"))

    report = late(shop, lambda: ban(Drop(SendEmail)), emit)
    assert shop.mailed == []
    assert report.counts[Outcome.DROPPED] == 2 + 2 + 1 + 1
    assert report.delivered == [
        AuditEntry("1"),
        OrderPlaced(1),
        OrderPlaced(2),
        AuditEntry("2"),
        NotifyWarehouse(2),
    ]


def test_a_ban_that_refuses_speaks_in_the_handler(shop: Shop, ban: Ban) -> None:
    report = late(shop, lambda: ban(Refuse(SendEmail)), lambda e: e.emit(OrderPlaced(1)))
    assert shop.mailed == []
    assert report.failed == [OrderPlaced(1)]


def test_a_hold_around_a_late_commit_holds_what_handlers_emit(shop: Shop) -> None:
    report = late(shop, lambda: airlock.enclose(Hold()), lambda e: e.emit(OrderPlaced(1)))
    assert report.held == [SendEmail("order 1"), NotifyWarehouse(1)]
    report.attend()


def test_an_enclosure_counts_over_all_handlers_and_waves(shop: Shop) -> None:
    """It is one place, whatever the handlers run for."""
    report = late(
        shop,
        lambda: airlock.enclose(Limit(3).where(lambda one: isinstance(one, SendEmail))),
        lambda e: e.emit_all([OrderPlaced(n) for n in range(4)]),
    )
    assert len(shop.mailed) == 3
    assert len(report.dropped) == 5


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_ban_reaches_what_a_resumed_report_sets_off(
    shop: Shop, ban: Ban, asynchronous: bool
) -> None:
    shop.failing = True
    with pytest.raises(FlushError), shop.boundary.scope() as effects:
        effects.emit(OrderPlaced(1))
    shop.failing = False
    with ban(Drop(SendEmail)):
        before = effects.report
        report = await before.aresume() if asynchronous else before.resume()
    assert shop.mailed == []
    assert report.dropped == [SendEmail("order 1"), SendEmail("notice 1")]


def test_a_ban_reaches_the_attempt_that_a_retry_makes_in_it() -> None:
    tries: list[int] = []

    def place(order: OrderPlaced) -> None:
        tries.append(order.order_id)
        if len(tries) == 1:
            raise Broken
        airlock.emit(SendEmail())

    mailed: list[SendEmail] = []

    class Handlers(containers.DeclarativeContainer):
        orders = Handles(OrderPlaced, place, retry=RetryPolicy(max_attempts=2, on=Broken))
        mails = Handles(SendEmail, uncopied(mailed.append))

    boundary = Boundary(Handlers())
    scope = boundary.scope().enter()
    scope.emit(OrderPlaced(1))
    scope.exit()
    with airlock.enclose(Drop(SendEmail)):
        scope.settle()
    assert (len(tries), mailed) == (2, [])


def test_a_ban_of_the_process_reaches_handlers_that_run_in_another_thread(shop: Shop) -> None:
    scope = shop.boundary.scope().enter()
    scope.emit(OrderPlaced(1))
    scope.exit()
    with ThreadPoolExecutor(1) as pool, airlock.enclose(Drop(SendEmail), process=True):
        pool.submit(scope.settle).result()
    assert shop.mailed == []


def test_a_ban_of_the_process_that_begins_during_a_flush_reaches_the_handlers_after() -> None:
    """Whichever thread flushes: here a handler begins it, on behalf of another thread."""
    mailed: list[SendEmail] = []
    bans: list[Any] = []

    def place(order: OrderPlaced) -> None:
        if order.order_id == 2:
            with ThreadPoolExecutor(1) as pool:
                bans.append(airlock.enclose(Drop(SendEmail), process=True))
                pool.submit(bans[0].__enter__).result()
        airlock.emit(SendEmail(str(order.order_id)))

    with Boundary({OrderPlaced: place, SendEmail: mailed.append}).scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2), OrderPlaced(3)])
    with ThreadPoolExecutor(1) as pool, pytest.raises(ScopeOrderError):
        pool.submit(bans[0].__exit__, None, None, None).result()
    assert mailed == [SendEmail("1")]


def test_a_ban_reaches_scopes_that_handlers_open(shop: Shop, ban: Ban) -> None:
    """Of their own boundary and of others, independent or not."""
    other = Boundary({SendEmail: shop.mailed.append})
    mine = Boundary({SendEmail: shop.mailed.append, OrderPlaced: lambda _: opened()})

    def opened() -> None:
        for scope in (mine.scope(), mine.scope(independent=True), other.scope()):
            with scope:
                airlock.emit(SendEmail())

    scope = mine.scope().enter()
    scope.emit(OrderPlaced(1))
    scope.exit()
    with ban(Drop(SendEmail)):
        scope.settle()
    assert shop.mailed == []


def test_an_enclosure_that_is_known_is_asked_once(ban: Ban) -> None:
    """What the scope was opened in is not in force a second time at its flush."""
    asked: list[Any] = []

    def watching(view: airlock.View) -> list[airlock.Verdict]:
        asked.extend(view.intents)
        return [airlock.ALLOW] * len(view)

    shop = Shop()
    with ban(watching), shop.boundary.scope() as effects:
        effects.emit(OrderPlaced(1))
    assert len(asked) == len(effects.report) == 4


# -- generators -----------------------------------------------------------------------------------


def test_a_ban_reaches_the_steps_of_a_generator_that_are_made_in_it(shop: Shop, ban: Ban) -> None:
    """Those before and after are as ever, and regions of the generator go on over its yields."""
    boundary = shop.boundary

    @boundary.scoped()
    def pages() -> Iterator[None]:
        for page in range(6):
            if page == 2:
                with airlock.region(Drop(NotifyWarehouse)):
                    airlock.emit(SendEmail("2"))
                    yield
                    airlock.emit(SendEmail("3"))
                airlock.emit(SendEmail("3b"))
            elif page != 3:
                airlock.emit(SendEmail(str(page)))
            yield

    steps = pages()
    next(steps)
    with ban(Drop(SendEmail)):
        for _ in range(3):
            next(steps)
    with ban(Drop(SendEmail)):
        next(steps)
    assert list(steps) == [None, None]
    assert [mail.to for mail in shop.mailed] == ["0", "4", "5"]


def test_regions_that_a_generator_opens_in_a_ban_may_outlive_it(shop: Shop) -> None:
    """They are under it to their end, as scopes are that open in a ban."""
    boundary = shop.boundary

    @boundary.scoped()
    def pages() -> Iterator[None]:
        yield
        with boundary.scope():
            yield
            airlock.emit(SendEmail("in a scope of the ban"))
        airlock.emit(SendEmail("after"))
        yield

    with boundary.scope() as effects:
        steps = pages()
        next(steps)
        with airlock.enclose(Drop()):
            next(steps)
        assert list(steps) == [None]
        assert airlock.current() is effects
    assert effects.report.dropped == [SendEmail("in a scope of the ban")]
    assert effects.report.delivered == [SendEmail("after")]


def test_a_ban_around_the_last_step_of_a_generator_reaches_its_handlers(shop: Shop) -> None:
    """What the generator emitted before it is delivered."""

    @shop.boundary.scoped()
    def pages() -> Iterator[None]:
        airlock.emit(OrderPlaced(1))
        airlock.emit(SendEmail("before"))
        yield

    steps = pages()
    next(steps)
    with airlock.enclose(Drop(SendEmail)):
        assert list(steps) == []
    assert shop.mailed == [SendEmail("before")]


def test_generators_in_generators_are_each_in_their_consumers_ban(shop: Shop) -> None:
    boundary = shop.boundary

    @boundary.scoped()
    def inner() -> Iterator[None]:
        for n in range(3):
            airlock.emit(SendEmail(f"inner {n}"))
            yield

    @boundary.scoped()
    def outer() -> Iterator[None]:
        pages = inner()
        for n in range(3):
            next(pages)
            airlock.emit(SendEmail(f"outer {n}"))
            if n == 0:
                with airlock.enclose(Drop(NotifyWarehouse)):
                    yield
            else:
                yield
        assert list(pages) == []

    steps = outer()
    next(steps)
    with airlock.enclose(Drop(SendEmail)):
        next(steps)
    assert len(list(steps)) == 1
    assert sorted(mail.to for mail in shop.mailed) == ["inner 0", "inner 2", "outer 0", "outer 2"]


@pytest.mark.anyio
async def test_a_ban_reaches_the_steps_of_an_async_generator(shop: Shop, ban: Ban) -> None:
    @shop.boundary.scoped()
    async def pages() -> AsyncIterator[None]:
        for n in range(3):
            airlock.emit(SendEmail(str(n)))
            yield

    steps = pages()
    await anext(steps)
    with ban(Drop(SendEmail)):
        await anext(steps)
    async for _ in steps:
        pass
    assert [mail.to for mail in shop.mailed] == ["0", "2"]
