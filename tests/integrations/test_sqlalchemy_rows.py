"""Rows 8 to 15 of docs/reference/blocks-and-transactions.md, for Session and AsyncSession."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from airlock import Boundary, Scope, intent
from airlock.errors import AsyncHandlerError, FlushError, NoTransactionError, ReleaseError
from airlock.integrations.sqlalchemy import on_commit
from tests.integrations.services import postgresql


@intent(kind="sqlalchemy-rows.note")
class Note:
    n: int


class SurpriseError(Exception):
    """What goes wrong in a block."""


metadata = MetaData()
notes = Table(f"notes_{uuid4().hex[:12]}", metadata, Column("n", Integer, primary_key=True))


async def now(result: Any) -> Any:
    """What a method of either kind of session gives."""
    return await result if inspect.isawaitable(result) else result


@attrs.define
class Shop:
    """A session of either kind, and a boundary that notes what it delivers."""

    engine: Engine | AsyncEngine
    session: Session | AsyncSession
    seen: list[int] = attrs.field(factory=list)

    @property
    def is_async(self) -> bool:
        return isinstance(self.session, AsyncSession)

    def boundary(self, *, awaits: bool = False) -> Boundary:
        async def awaited(note: Note) -> None:
            await asyncio.sleep(0)
            self.seen.append(note.n)

        return Boundary({Note: awaited if awaits else lambda note: self.seen.append(note.n)})

    def scope(
        self,
        *,
        release: bool = True,
        awaits: bool | None = None,
        raises: type[Exception] | None = None,
        **options: Any,
    ) -> AbstractAsyncContextManager[Any, bool]:
        """One that is left in the way of the session; its handlers are async if that may be."""
        boundary = self.boundary(awaits=self.is_async if awaits is None else awaits)
        chosen = on_commit(self.session) if release else None
        block: Any = self.block(boundary.scope(release=chosen, **options), raises=raises)
        return block  # type: ignore[no-any-return]  # mypy has to see that it swallows errors

    @asynccontextmanager
    async def block(
        self, manager: Any, *, raises: type[Exception] | None = None
    ) -> AsyncIterator[Any]:
        """Enter a block in the way of the session: ``async with`` or ``with``."""
        async with AsyncExitStack() as stack:
            if raises is not None:
                stack.enter_context(pytest.raises(raises))
            if self.is_async:
                yield await stack.enter_async_context(manager)
            else:
                yield stack.enter_context(manager)

    def begin(self, **options: Any) -> Any:
        return self.block(self.session.begin(), **options)

    async def insert(self, n: int) -> None:
        await now(self.session.execute(insert(notes).values(n=n)))

    async def stored(self) -> list[int]:
        kind: Any = type(self.session)
        async with self.block(kind(self.engine)) as session:
            return list(await now(session.scalars(select(notes.c.n).order_by(notes.c.n))))


def begin_by_hand(engine: Engine) -> None:
    """On SQLite SQLAlchemy begins transactions, and not the driver, so that savepoints work."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))


@asynccontextmanager
async def opened(url: str, *, is_async: bool) -> AsyncIterator[Shop]:
    engine: Any = (create_async_engine if is_async else create_engine)(url, poolclass=NullPool)
    begin_by_hand(engine.sync_engine if is_async else engine)
    shop = Shop(engine, (AsyncSession if is_async else Session)(engine))
    try:
        async with shop.block(engine.begin()) as connection:
            run: Any = getattr(connection, "run_sync", lambda create: create(connection))
            await now(run(metadata.create_all))
        async with shop.block(shop.session):
            yield shop
    finally:
        async with shop.block(engine.begin()) as connection:
            run = getattr(connection, "run_sync", lambda drop: drop(connection))
            await now(run(metadata.drop_all))
        await now(engine.dispose())


Story = Callable[[Shop], Coroutine[Any, Any, None]]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}" if request.param == "sqlite" else postgresql()


@pytest.fixture(params=["Session", "AsyncSession"])
def run(request: pytest.FixtureRequest, database: str) -> Callable[[Story], None]:
    """Runs a story with a shop."""
    is_async = request.param == "AsyncSession"
    drivers = ("sqlite+aiosqlite", "postgresql+asyncpg") if is_async else ("", "postgresql+psycopg")
    driver = drivers[not database.startswith("sqlite")]
    url = database.replace(database.partition(":")[0], driver, 1) if driver else database

    async def main(story: Story) -> None:
        async with opened(url, is_async=is_async) as shop:
            await story(shop)

    return lambda story: asyncio.run(main(story))


def row(story: Story) -> Callable[[Callable[[Story], None]], None]:
    """A test of a story."""

    def test(run: Callable[[Story], None]) -> None:
        run(story)

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


@row
async def test_8_a_commit(shop: Shop) -> None:
    """Delivered at the block's end."""
    async with shop.scope() as effects:
        await shop.insert(1)
        effects.emit(Note(1))
        await now(shop.session.commit())
        assert shop.seen == []
    assert shop.seen == await shop.stored() == [1]
    assert effects.report.delivered == [Note(1)]


@row
async def test_8_the_end_of_a_begin_block(shop: Shop) -> None:
    """The same, and async handlers are fine: the scope is around it."""
    async with shop.scope() as effects:
        async with shop.begin():
            await shop.insert(1)
            effects.emit(Note(1))
        assert shop.seen == []
    assert shop.seen == await shop.stored() == [1]


@row
async def test_8_reading_after_the_commit(shop: Shop) -> None:
    """The transaction that this begins has no say about what was committed."""
    async with shop.scope() as effects:
        await shop.insert(1)
        effects.emit(Note(1))
        await now(shop.session.commit())
        await shop.stored()
        await now(shop.session.execute(select(notes)))
    assert shop.seen == [1]


@row
async def test_9_a_rollback(shop: Shop) -> None:
    """Discarded at the block's end."""
    async with shop.scope() as effects:
        await shop.insert(1)
        effects.emit(Note(1))
        await now(shop.session.rollback())
    assert shop.seen == await shop.stored() == []
    assert effects.report.discarded == [Note(1)]


@row
async def test_9_a_rollback_although_the_error_was_caught(shop: Shop) -> None:
    """The transaction decides, not the block."""
    async with shop.scope() as effects:
        with suppress(SurpriseError):
            async with shop.begin():
                await shop.insert(1)
                effects.emit(Note(1))
                raise SurpriseError
    assert shop.seen == await shop.stored() == []
    assert effects.report.discarded == [Note(1)]


@row
async def test_9_closing(shop: Shop) -> None:
    """It rolls back, as the end of ``with Session()`` does."""
    async with shop.scope() as effects, shop.block(shop.session):
        await shop.insert(1)
        effects.emit(Note(1))
    assert shop.seen == await shop.stored() == []
    assert effects.report.discarded == [Note(1)]


@row
async def test_10_a_commit_then_an_error(shop: Shop) -> None:
    """Delivered, then the error goes on."""
    async with shop.scope(raises=SurpriseError) as effects:
        async with shop.begin():
            await shop.insert(1)
            effects.emit(Note(1))
        raise SurpriseError
    assert shop.seen == await shop.stored() == [1]
    assert effects.report.delivered == [Note(1)]


@row
async def test_10_a_commit_then_a_500(shop: Shop) -> None:
    """``keep`` has no say about what was committed."""
    async with shop.scope(keep=lambda error: False) as effects, shop.begin():
        await shop.insert(1)
        effects.emit(Note(1))
    assert shop.seen == [1]


@row
async def test_11_a_savepoint_is_rolled_back(shop: Shop) -> None:
    """Discarded in the savepoint, delivered around it."""
    async with shop.scope() as effects, shop.begin():
        await shop.insert(1)
        effects.emit(Note(1))
        with suppress(SurpriseError):
            async with shop.block(shop.session.begin_nested()):
                await shop.insert(2)
                effects.emit(Note(2))
                raise SurpriseError
        async with shop.block(shop.session.begin_nested()):
            await shop.insert(3)
            effects.emit(Note(3))
    assert shop.seen == await shop.stored() == [1, 3]
    assert effects.report.discarded == [Note(2)]


@row
async def test_11_a_savepoint_is_released_and_the_transaction_rolled_back(shop: Shop) -> None:
    """The session fires its commit events at the release too, and nothing was committed."""
    async with shop.scope() as effects:
        async with shop.block(shop.session.begin_nested()):
            await shop.insert(1)
            effects.emit(Note(1))
        await now(shop.session.rollback())
    assert shop.seen == await shop.stored() == []
    assert effects.report.discarded == [Note(1)]


@row
async def test_12_after_the_last_commit(shop: Shop) -> None:
    """Refused at the block's end, pending in the report; what was committed is delivered."""
    async with shop.scope(raises=NoTransactionError) as effects:
        async with shop.begin():
            await shop.insert(1)
            effects.emit(Note(1))
        effects.emit(Note(2))
    assert shop.seen == [1]
    assert effects.report.pending == [Note(2)]
    report = effects.report
    await now(report.aresume() if shop.is_async else report.resume())
    assert shop.seen == [1, 2]


@row
async def test_12_no_transaction(shop: Shop) -> None:
    """The session was not used at all."""
    async with shop.scope(raises=NoTransactionError) as effects:
        effects.emit(Note(1))
    assert effects.report.pending == [Note(1)]


@row
async def test_12_no_more_than_a_read_follows_the_last_commit(shop: Shop) -> None:
    """That begins a transaction, of which only ``after_transaction_end`` is heard."""
    async with shop.scope(raises=NoTransactionError) as effects, shop.block(shop.session):
        await shop.insert(1)
        await now(shop.session.commit())
        await now(shop.session.execute(select(notes)))
        effects.emit(Note(2))
    assert shop.seen == []
    assert effects.report.pending == [Note(2)]


@row
async def test_13_no_transaction_and_an_error(shop: Shop) -> None:
    """Discarded: there was nothing to keep it."""
    async with shop.scope(raises=SurpriseError) as effects:
        await shop.insert(1)
        await now(shop.session.commit())
        effects.emit(Note(1))
        raise SurpriseError
    assert shop.seen == []
    assert effects.report.discarded == [Note(1)]


@row
async def test_13_no_transaction_and_a_500(shop: Shop) -> None:
    """The same."""
    async with shop.scope(keep=lambda error: False) as effects:
        effects.emit(Note(1))
    assert effects.report.discarded == [Note(1)]


@row
async def test_14_the_block_ends_before_the_commit(shop: Shop) -> None:
    """Delivered by the commit, which cannot await handlers."""
    async with shop.begin():
        await shop.insert(1)
        async with shop.scope(awaits=False) as effects:
            effects.emit(Note(1))
        assert shop.seen == []
    assert shop.seen == await shop.stored() == [1]
    assert effects.report.delivered == [Note(1)]


@row
async def test_14_async_handlers_are_refused_when_the_block_ends(shop: Shop) -> None:
    """The error rolls back, and nothing was delivered."""
    async with shop.begin(raises=AsyncHandlerError):
        await shop.insert(1)
        async with shop.scope(awaits=True) as effects:
            effects.emit(Note(1))
    assert shop.seen == await shop.stored() == []


@row
async def test_14_a_handler_fails_then(shop: Shop) -> None:
    """In the report and the log; raised from the commit on request. The commit stands."""

    def fail(note: Note) -> None:
        raise SurpriseError

    for n, way in ((1, "report"), (2, "raise")):
        release = on_commit(shop.session, on_flush_error=way)  # type: ignore[arg-type]
        await shop.insert(n)
        async with shop.block(Boundary({Note: fail}).scope(release=release)) as effects:
            effects.emit(Note(n))
        if way == "raise":
            with pytest.raises(FlushError):
                await now(shop.session.commit())
        else:
            await now(shop.session.commit())
        assert effects.report.failed == [Note(n)]
    assert await shop.stored() == [1, 2]


@row
async def test_15_the_block_ends_before_the_rollback(shop: Shop) -> None:
    """Discarded by the rollback."""
    await shop.insert(1)
    async with shop.scope(awaits=False) as effects:
        effects.emit(Note(1))
    assert shop.seen == []
    await now(shop.session.rollback())
    assert shop.seen == await shop.stored() == []
    assert effects.report.discarded == [Note(1)]


@row
async def test_15_the_block_ends_before_the_session_is_closed(shop: Shop) -> None:
    """Discarded by the close."""
    await shop.insert(1)
    async with shop.scope(awaits=False) as effects:
        effects.emit(Note(1))
    await now(shop.session.close())
    assert effects.report.discarded == [Note(1)]


@row
async def test_a_session_may_be_made_inside_the_scope(shop: Shop) -> None:
    """Its transactions decide from then on; what was emitted before stays with the block."""
    for ending, seen in (("commit", [1, 2]), ("rollback", [1])):
        shop.seen.clear()
        async with shop.scope(release=False) as effects:
            effects.emit(Note(1))
            effects.release_with(on_commit(shop.session))
            await now(shop.session.execute(select(notes)))
            effects.emit(Note(2))
            await now(getattr(shop.session, ending)())
            assert shop.seen == []
        assert shop.seen == seen


@row
async def test_an_error_after_the_commit_of_a_session_made_inside(shop: Shop) -> None:
    """The block throws away what was emitted before there was a session, and no more."""
    async with shop.scope(release=False, raises=SurpriseError) as effects:
        effects.emit(Note(1))
        effects.release_with(on_commit(shop.session))
        async with shop.begin():
            effects.emit(Note(2))
        raise SurpriseError
    assert shop.seen == [2]
    assert effects.report.discarded == [Note(1)]


@row
async def test_a_session_made_inside_whose_commit_comes_after_the_block(shop: Shop) -> None:
    """All of it waits for that, in emission order."""
    async with shop.scope(release=False, awaits=False) as effects:
        effects.emit(Note(1))
        effects.release_with(on_commit(shop.session))
        await shop.insert(2)
        effects.emit(Note(2))
    assert shop.seen == []
    await now(shop.session.commit())
    assert shop.seen == [1, 2]


@row
async def test_a_session_made_inside_that_is_not_used(shop: Shop) -> None:
    """What was emitted before is delivered, what was emitted after has no transaction."""
    async with shop.scope(release=False) as effects:
        effects.emit(Note(1))
        effects.release_with(on_commit(shop.session))
    assert shop.seen == [1]
    async with shop.scope(release=False, raises=NoTransactionError) as effects:
        effects.release_with(on_commit(shop.session))
        effects.emit(Note(2))
    assert shop.seen == [1]


@row
async def test_one_release_decides(shop: Shop) -> None:
    """A second one, and one for a nested scope, are refused."""
    boundary = shop.boundary(awaits=shop.is_async)
    async with shop.block(boundary.scope()) as effects:
        effects.release_with(on_commit(shop.session))
        with pytest.raises(ReleaseError):
            effects.release_with(on_commit(shop.session))
        nested: Scope
        async with shop.block(boundary.scope()) as nested:
            with pytest.raises(ReleaseError):
                nested.release_with(on_commit(shop.session))
