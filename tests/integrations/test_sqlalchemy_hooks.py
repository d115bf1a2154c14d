"""What hooks of a commit emit, and buffer, belongs to that commit, whatever the block does later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

import airlock
from airlock import Boundary, intent
from airlock.integrations.celery import CallTask, SendTasks
from airlock.integrations.sqlalchemy import on_commit
from airlock.migration.celery import install


@intent(kind="sqlalchemy-hooks.mail")
class Mail:
    n: int


class SurpriseError(Exception):
    """What a later line raises."""


app = Celery("sqlalchemy-hooks", broker="memory://")


@app.task(name="sqlalchemy-hooks.receipt")
def receipt(n: int) -> None:
    """Never run."""


@pytest.fixture
def out() -> Iterator[list[int]]:
    """What was sent or delivered."""
    found: list[int] = []

    def sent(body: Any, **_: Any) -> None:
        found.append(body[0][0])

    before_task_publish.connect(sent, weak=False)
    yield found
    before_task_publish.disconnect(sent)


@pytest.fixture
def boundary(out: list[int]) -> Iterator[Boundary]:
    boundary = Boundary({CallTask: SendTasks(app), Mail: lambda mail: out.append(mail.n)})
    with install(app, mode="buffer", boundary=boundary):
        yield boundary


WAYS: dict[str, Callable[[], object]] = {
    "emit": lambda: airlock.emit(Mail(42)),
    "delay": lambda: receipt.delay(42),
    "apply_async": lambda: receipt.apply_async((42,)),
    "signature": lambda: receipt.s(42).delay(),
}
ways = pytest.mark.parametrize("way", WAYS)


@ways
@pytest.mark.parametrize("of", ["Session", "sessionmaker", "session, before", "session, after"])
def test_it_is_sealed(of: str, way: str, boundary: Boundary, out: list[int]) -> None:
    """Whoever listens, and since when."""
    maker = sessionmaker(create_engine("sqlite://"))

    def hook(_: Session) -> None:
        WAYS[way]()

    with maker() as session:
        target = {"Session": Session, "sessionmaker": maker}.get(of, session)
        if of != "session, after":
            event.listen(target, "after_commit", hook)
        try:
            with suppress(SurpriseError), boundary.scope(release=on_commit(session)):
                if of == "session, after":
                    event.listen(target, "after_commit", hook)
                session.execute(text("SELECT 1"))
                session.commit()
                assert out == []
                raise SurpriseError
        finally:
            event.remove(target, "after_commit", hook)
    assert out == [42]


@ways
def test_that_of_an_async_session_is_sealed(way: str, boundary: Boundary, out: list[int]) -> None:
    async def main() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with AsyncSession(engine) as session:
            event.listen(session.sync_session, "after_commit", lambda _: WAYS[way]())
            with suppress(SurpriseError):
                async with boundary.scope(release=on_commit(session)):
                    async with session.begin():
                        await session.execute(text("SELECT 1"))
                    raise SurpriseError
        await engine.dispose()

    asyncio.run(main())
    assert out == [42]


def test_that_of_a_savepoint_belongs_to_its_transaction(boundary: Boundary, out: list[int]) -> None:
    """SQLAlchemy calls the hook when a savepoint is released, too, and nothing is committed then."""
    with Session(create_engine("sqlite://")) as session:
        event.listen(session, "after_commit", lambda _: airlock.emit(Mail(42)))
        with boundary.scope(release=on_commit(session)) as effects:
            session.execute(text("SELECT 1"))
            session.begin_nested().commit()
            session.rollback()
    assert out == []
    assert effects.report.discarded == [Mail(42)]


def test_a_later_rollback_has_no_say(boundary: Boundary, out: list[int]) -> None:
    """Of the next transaction."""
    with Session(create_engine("sqlite://")) as session:
        event.listen(session, "after_commit", lambda _: airlock.emit(Mail(42)), once=True)
        with boundary.scope(release=on_commit(session)):
            session.execute(text("SELECT 1"))
            session.commit()
            session.execute(text("SELECT 1"))
            session.rollback()
    assert out == [42]
