"""FastAPI with SQLAlchemy: the session of a request decides about its effects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import anyio
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from sqlalchemy import (
    Engine,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

import airlock
from airlock.errors import ReleaseError
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.fastapi import Effects
from airlock.integrations.sqlalchemy import on_commit
from airlock.testing import expect_effects
from tests.integrations.asgi.vocabulary import Note, Notes, get
from tests.integrations.services import postgresql

pytestmark = pytest.mark.anyio

Place = Literal["function", "request"]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = f"asgi_orders_{uuid4().hex[:12]}"
    id: Mapped[int] = mapped_column(primary_key=True)


metadata = Base.metadata


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """SQLAlchemy's asyncio extension is for asyncio; the sync sessions are tested under trio too."""
    backend: str = request.param
    return backend


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database of either kind, to be opened by an async driver."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/shop.sqlite"
    return postgresql().replace("postgresql://", "postgresql+asyncpg://")


def begin_by_hand(engine: Engine) -> None:
    """Savepoints of SQLite work if SQLAlchemy begins its transactions."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda dbapi, _: setattr(dbapi, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url, poolclass=NullPool)
    begin_by_hand(engine.sync_engine)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        yield engine
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
        await engine.dispose()


async def stored(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return list(await connection.scalars(select(Order.id).order_by(Order.id)))


def app_of(notes: Notes, *middleware: Middleware, **options: Any) -> FastAPI:
    ours = Middleware(EffectsMiddleware, boundary=notes.boundary, **options)
    return FastAPI(middleware=[ours, *middleware])


def session_of(engine: AsyncEngine, place: Place, *, commits: bool = True) -> Any:
    """A dependency: a session that decides about the effects, and commits after its ``yield``."""

    async def session(effects: Effects) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            effects.release_with(on_commit(session))
            yield session
            if commits:
                await session.commit()

    return Depends(session, scope=place)


async def add(session: AsyncSession, number: int) -> None:
    await session.execute(insert(Order).values(id=number))
    airlock.emit(Note(f"order {number}"))


@pytest.fixture
def notes() -> Notes:
    return Notes()


class TestTheDependencyCommits:
    async def test_before_the_response_where_it_is_function_scoped(
        self, engine: AsyncEngine, notes: Notes
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, "function")

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            return "created"

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).json() == "created"
        assert await stored(engine) == [1]
        assert notes.log == ["order 1"]

    async def test_and_is_refused_where_it_is_request_scoped(
        self, engine: AsyncEngine, notes: Notes
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, "request")

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            return "created"

        app.post("/orders")(create)
        assert (await get(app, "/orders", method="POST")).status_code == 500
        assert await stored(engine) == []
        assert notes.log == []
        assert notes.report.discarded == [Note("order 1")]
        with pytest.raises(
            ReleaseError, match=r'POST /orders .*Depends\(session, scope="function"\)'
        ):
            await get(app, "/orders", method="POST", raises=True)

    async def test_a_commit_that_fails_is_a_500_and_nothing_escapes(
        self, engine: AsyncEngine, notes: Notes
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, "function")

        async def create(session: AsyncSession = made) -> str:
            session.add(Order(id=1))
            airlock.emit(Note("order 1"))
            return "created"

        app.post("/")(create)
        assert (await get(app, "/", method="POST")).status_code == 200
        assert (await get(app, "/", method="POST")).status_code == 500
        assert (await stored(engine), notes.log) == ([1], ["order 1"])
        assert notes.report.discarded == [Note("order 1")]

    async def test_an_error_of_the_view_rolls_back(self, engine: AsyncEngine, notes: Notes) -> None:
        app = app_of(notes)
        made = session_of(engine, "function")

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            raise ConnectionError("the payment service is down")

        app.post("/")(create)
        assert (await get(app, "/", method="POST")).status_code == 500
        assert (await stored(engine), notes.log) == ([], [])
        assert notes.report.discarded == [Note("order 1")]

    async def test_an_error_that_is_answered_rolls_back_too(
        self, engine: AsyncEngine, notes: Notes
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, "function")

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            raise HTTPException(402, "no money")

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 402
        assert (await stored(engine), notes.log) == ([], [])

    async def test_an_error_that_a_view_answers_by_itself_does_not_undo_the_commit(
        self, engine: AsyncEngine, notes: Notes
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, "function")

        async def create(session: AsyncSession = made) -> Response:
            await add(session, 1)
            return JSONResponse("created, but", 409)

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 409
        assert (await stored(engine), notes.log) == ([1], ["order 1"])

    async def test_what_was_emitted_before_the_session_was_made_stays_with_the_block(
        self, engine: AsyncEngine, notes: Notes
    ) -> None:
        async def authenticate(effects: Effects) -> str:
            effects.emit(Note("seen"))
            return "you"

        app = app_of(notes)
        made = session_of(engine, "function")

        user_made = Depends(authenticate)

        async def create(user: str = user_made, session: AsyncSession = made) -> str:
            await add(session, 1)
            await session.rollback()
            return user

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).json() == "you"
        assert notes.log == ["seen"]


@pytest.mark.parametrize("place", ["function", "request"])
class TestTheViewCommits:
    """Then it does not matter when the dependency ends."""

    async def test_a_commit_delivers(self, engine: AsyncEngine, notes: Notes, place: Place) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            await session.commit()
            assert notes.log == []
            return "created"

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 200
        assert (await stored(engine), notes.log) == ([1], ["order 1"])

    async def test_a_rollback_discards_although_its_error_was_caught(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            await session.commit()
            try:
                await add(session, 2)
                await add(session, 1)
            except IntegrityError:
                await session.rollback()
            return "some"

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 200
        assert (await stored(engine), notes.log) == ([1], ["order 1"])
        assert notes.report.discarded == [Note("order 2")]

    async def test_a_savepoint_discards_what_is_in_it(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            savepoint = await session.begin_nested()
            await add(session, 2)
            await savepoint.rollback()
            await session.commit()
            return "some"

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 200
        assert (await stored(engine), notes.log) == ([1], ["order 1"])

    async def test_a_500_after_the_commit_does_not_unsay_it(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            await session.commit()
            raise ValueError("after the commit")

        app.post("/")(create)
        assert (await get(app, "/", method="POST")).status_code == 500
        assert (await stored(engine), notes.log) == ([1], ["order 1"])

    async def test_reading_is_no_reason_to_refuse(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def read(session: AsyncSession = made) -> list[int]:
            return list(await session.scalars(select(Order.id)))

        app.get("/")(read)
        assert (await get(app, "/", raises=True)).json() == []

    async def test_nor_is_what_was_rolled_back_in_it(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def read(session: AsyncSession = made) -> list[int]:
            savepoint = await session.begin_nested()
            await add(session, 1)
            await savepoint.rollback()
            return list(await session.scalars(select(Order.id)))

        app.get("/")(read)
        assert (await get(app, "/", raises=True)).json() == []
        assert notes.report.discarded == [Note("order 1")]

    async def test_an_answer_of_failure_is_not_refused_for_an_open_transaction(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> Response:
            await add(session, 1)
            return PlainTextResponse("out of stock", 409)

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 409
        assert (await stored(engine), notes.log) == ([], [])

    @pytest.mark.parametrize("reads", ["nothing", "refresh", "select()"])
    @pytest.mark.parametrize("status", [200, 409])
    async def test_commit_then_emit(
        self, engine: AsyncEngine, notes: Notes, place: Place, reads: str, status: int
    ) -> None:
        """The order of the usual template: the outcome of the request decides about the second."""
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> Response:
            order = Order(id=1)
            session.add(order)
            airlock.emit(Note("before"))
            await session.commit()
            if reads == "refresh":
                await session.refresh(order)
            elif reads == "select()":
                await session.scalars(select(Order))
            airlock.emit(Note("after"))
            return PlainTextResponse("done", status)

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == status
        assert await stored(engine) == [1]
        assert notes.log == (["before", "after"] if status == 200 else ["before"])

    async def test_a_recording_holds_what_is_delivered(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        """And nothing that was discarded."""
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(session: AsyncSession = made) -> str:
            await add(session, 1)
            await session.commit()
            airlock.emit(Note("after"))
            await add(session, 2)
            await session.rollback()
            return "created"

        app.post("/")(create)
        with expect_effects(Note("order 1")):
            await get(app, "/", method="POST", raises=True)

    async def test_what_background_tasks_emit_is_up_to_the_request(
        self, engine: AsyncEngine, notes: Notes, place: Place
    ) -> None:
        """They come after the last commit."""
        app = app_of(notes)
        made = session_of(engine, place, commits=False)

        async def create(tasks: BackgroundTasks, session: AsyncSession = made) -> str:
            await add(session, 1)
            await session.commit()
            tasks.add_task(airlock.emit, Note("late"))
            return "created"

        app.post("/")(create)
        assert (await get(app, "/", method="POST", raises=True)).status_code == 200
        assert notes.log == ["order 1", "late"]


async def test_the_refusal_names_the_intent_and_its_line(
    engine: AsyncEngine, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the response starts: its reader goes there, and commits."""
    app = app_of(notes)
    made = session_of(engine, "request", commits=True)

    async def create(session: AsyncSession = made) -> str:
        session.add(Order(id=1))
        airlock.emit(Note("early"))
        return "created"

    app.post("/")(create)
    line = create.__code__.co_firstlineno + 2
    with pytest.raises(
        ReleaseError, match=rf"Note\(text='early'\) at \S+test_transactions.py:{line} in"
    ):
        await get(app, "/", method="POST", raises=True)
    assert (await stored(engine), notes.log) == ([], [])


async def test_a_streamed_body_may_emit_and_commit(engine: AsyncEngine, notes: Notes) -> None:
    app = app_of(notes)
    made = session_of(engine, "request", commits=False)

    async def create(session: AsyncSession = made) -> Response:
        async def body() -> AsyncIterator[str]:
            for number in (1, 2):
                await add(session, number)
                await session.commit()
                yield str(number)
            await add(session, 3)

        return StreamingResponse(body())

    app.post("/")(create)
    assert (await get(app, "/", method="POST", raises=True)).text == "12"
    assert (await stored(engine), notes.log) == ([1, 2], ["order 1", "order 2"])
    assert notes.report.discarded == [Note("order 3")]


async def test_a_scope_of_the_dependency_itself_is_checked_as_well(
    engine: AsyncEngine, notes: Notes
) -> None:
    async def session_in_scope() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            release = on_commit(session)
            async with notes.boundary.scope(release=release, independent=True):
                yield session
                await session.commit()

    app = app_of(notes)
    made = Depends(session_in_scope)

    async def create(session: AsyncSession = made) -> str:
        await add(session, 1)
        return "created"

    app.post("/")(create)
    with pytest.raises(ReleaseError, match="still open"):
        await get(app, "/", method="POST", raises=True)
    assert (await stored(engine), notes.log) == ([], [])


@pytest.mark.parametrize("place", ["inside", "outside"])
async def test_a_base_http_middleware_does_not_hide_an_open_transaction(
    engine: AsyncEngine, notes: Notes, place: str
) -> None:
    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    made = session_of(engine, "request")
    theirs = Middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app = app_of(notes, theirs) if place == "inside" else app_of(notes)
    if place == "outside":
        app.user_middleware.insert(0, theirs)

    async def create(session: AsyncSession = made) -> str:
        await add(session, 1)
        return "created"

    app.post("/")(create)
    assert (await get(app, "/", method="POST")).status_code == 500
    assert (await stored(engine), notes.log) == ([], [])


class TestCancelled:
    """The server gives up on a request: what was committed is delivered, the rest is not."""

    async def test_what_was_committed_is_delivered(self, engine: AsyncEngine, notes: Notes) -> None:
        async def deliver(note: Note) -> None:
            await anyio.sleep(0.01)
            notes.deliver(note)

        notes.boundary = airlock.Boundary({Note: deliver}, observers=[notes.seen])
        app = app_of(notes)
        made = session_of(engine, "function", commits=False)

        async def create(session: AsyncSession = made) -> None:
            await add(session, 1)
            await session.commit()
            await add(session, 2)
            await anyio.sleep(60)

        app.post("/")(create)
        with anyio.move_on_after(0.5):
            await get(app, "/", method="POST")
        assert notes.log == ["order 1"]
        assert notes.report.discarded == [Note("order 2")]

    async def test_a_flush_that_is_interrupted_names_what_it_leaves(
        self, engine: AsyncEngine, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What was in flight, and what is pending: nobody has the report of a finished request."""
        started = anyio.Event()

        async def deliver(note: Note) -> None:
            if note.text == "order 2":
                started.set()
                await anyio.sleep_forever()
            notes.deliver(note)

        notes.boundary = airlock.Boundary({Note: deliver}, observers=[notes.seen])
        app = app_of(notes)
        made = session_of(engine, "function")

        async def create(session: AsyncSession = made) -> None:
            for number in (1, 2, 3):
                await add(session, number)

        app.post("/")(create)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(get, app, "/", method="POST"))
            await started.wait()
            group.cancel_scope.cancel()
        assert notes.log == ["order 1"]
        assert notes.report.pending == [Note("order 3")]
        told = " ".join(r.getMessage() for r in caplog.records if r.name == "airlock")
        assert "order 2" in told
        assert "order 3" in told
        assert "FlushError" not in caplog.text


class TestSync:
    """``def`` routes and dependencies, with ``Session``; asyncio and trio."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        backend: str = request.param
        return backend

    @pytest.fixture
    def engine(self, url: str) -> Iterator[Engine]:
        sync = url.replace("+aiosqlite", "").replace("+asyncpg", "+psycopg")
        engine = create_engine(sync, poolclass=NullPool)
        begin_by_hand(engine)
        metadata.create_all(engine)
        yield engine
        metadata.drop_all(engine)
        engine.dispose()

    @staticmethod
    def stored(engine: Engine) -> list[int]:
        with engine.connect() as connection:
            return list(connection.scalars(select(Order.id)))

    @staticmethod
    def session_of(engine: Engine, place: Place) -> Any:
        def session(effects: Effects) -> Iterator[Session]:
            with Session(engine) as session, session.begin():
                effects.release_with(on_commit(session))
                yield session

        return Depends(session, scope=place)

    @pytest.fixture
    def app_with(self, engine: Engine, notes: Notes) -> Callable[[Place], FastAPI]:
        def app_with(place: Place) -> FastAPI:
            app = app_of(notes)
            made = self.session_of(engine, place)

            def create(effects: Effects, number: int, session: Session = made) -> str:
                session.execute(insert(Order).values(id=number))
                effects.emit(Note(f"order {number}"))
                if number == 2:
                    raise HTTPException(402)
                return "created"

            app.post("/{number}")(create)
            return app

        return app_with

    async def test_a_commit_delivers_and_an_error_discards(
        self, engine: Engine, notes: Notes, app_with: Callable[[Place], FastAPI]
    ) -> None:
        app = app_with("function")
        assert (await get(app, "/1", method="POST", raises=True)).status_code == 200
        assert (await get(app, "/2", method="POST", raises=True)).status_code == 402
        assert (await get(app, "/1", method="POST")).status_code == 500
        assert (self.stored(engine), notes.log) == ([1], ["order 1"])

    async def test_a_commit_after_the_response_is_refused(
        self, engine: Engine, notes: Notes, app_with: Callable[[Place], FastAPI]
    ) -> None:
        app = app_with("request")
        assert (await get(app, "/1", method="POST")).status_code == 500
        assert (self.stored(engine), notes.log) == ([], [])
