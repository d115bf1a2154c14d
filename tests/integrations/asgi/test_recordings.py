"""A recording holds what production delivers: under TestClient, and with plain sessions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.middleware import Middleware

import airlock
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.fastapi import Effects
from airlock.integrations.sqlalchemy import on_commit
from airlock.testing import expect_effects
from tests.integrations.asgi.vocabulary import Note, Notes

with warnings.catch_warnings():  # of Starlette, that it prefers another client than httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


def commit(session: Session) -> None:
    session.add(Order(id=1))
    airlock.emit(Note("a"))
    session.commit()


def commit_refresh_emit(session: Session) -> None:
    order = Order(id=1)
    session.add(order)
    session.commit()
    session.refresh(order)
    airlock.emit(Note("a"))


def commit_emit(session: Session) -> None:
    session.add(Order(id=1))
    session.commit()
    airlock.emit(Note("a"))


def read_emit(session: Session) -> None:
    session.scalars(select(Order)).all()
    airlock.emit(Note("a"))


def forget_to_commit(session: Session) -> None:
    session.add(Order(id=1))
    session.flush()
    airlock.emit(Note("a"))


def forget_to_flush(session: Session) -> None:
    airlock.emit(Note("a"))
    session.add(Order(id=1))


def roll_back(session: Session) -> None:
    session.add(Order(id=1))
    airlock.emit(Note("a"))
    session.rollback()


def emit_and_roll_back(session: Session) -> None:
    airlock.emit(Note("a"))
    session.scalars(select(Order)).all()
    session.rollback()


def fail_after_the_commit(session: Session) -> None:
    commit(session)
    airlock.emit(Note("b"))
    raise HTTPException(409)


SERVICES: dict[Callable[[Session], None], list[Note]] = {
    commit: [Note("a")],
    commit_refresh_emit: [Note("a")],
    commit_emit: [Note("a")],
    read_emit: [Note("a")],
    forget_to_commit: [],
    forget_to_flush: [],
    roll_back: [],
    emit_and_roll_back: [],
    fail_after_the_commit: [Note("a")],
}
services = pytest.mark.parametrize("service", SERVICES)


@pytest.fixture
def engine() -> Iterator[Any]:
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@services
@pytest.mark.parametrize("recorded", [True, False])
def test_under_the_test_client(
    service: Callable[[Session], None], recorded: bool, engine: Any
) -> None:
    """The session is closed after the route; the recording and the delivery agree."""
    notes = Notes()
    app = FastAPI(middleware=[Middleware(EffectsMiddleware, boundary=notes.boundary)])

    def session(effects: Effects) -> Iterator[Session]:
        with Session(engine) as session:
            effects.release_with(on_commit(session))
            yield session

    made: Any = Depends(session, scope="function")

    @app.post("/")
    def view(session: Session = made) -> None:
        service(session)

    with expect_effects(*SERVICES[service]) if recorded else nullcontext():
        TestClient(app).post("/")
    assert notes.log == ([] if recorded else [note.text for note in SERVICES[service]])


@services
@pytest.mark.parametrize("closes", ["in the scope", "around it", "never"])
def test_with_plain_sessions(service: Callable[[Session], None], closes: str, engine: Any) -> None:
    """Also if the test forgets to close its session: what nothing has committed is not there."""
    boundary = Notes().boundary
    session = Session(engine)
    inner, outer = (
        session if closes == place else nullcontext() for place in ("in the scope", "around it")
    )
    scope = boundary.scope(release=on_commit(session))
    with expect_effects(*SERVICES[service]), outer, suppress(HTTPException), scope, inner:
        service(session)
    session.close()
