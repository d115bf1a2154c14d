"""Random programs over a SQLAlchemy session: the database itself is the reference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    StaticPool,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, registry

from airlock import Boundary, emit, intent
from airlock.integrations.sqlalchemy import on_commit
from tests.integrations.services import postgresql


@intent(kind="sqlalchemy-programs.marker")
class Marker:
    n: int


class SurpriseError(Exception):
    """What goes wrong in a block."""


OPTIONS = "-c synchronous_commit=off -c lock_timeout=2000"

tables = registry(metadata=MetaData())
markers = Table(
    f"markers_{uuid4().hex[:12]}", tables.metadata, Column("n", Integer, primary_key=True)
)


class Row:
    def __init__(self, n: int) -> None:
        self.n = n


tables.map_imperatively(Row, markers)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
        event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    else:
        url = postgresql().replace("postgresql:", "postgresql+psycopg:", 1)
        engine = create_engine(url, poolclass=NullPool, connect_args={"options": OPTIONS})
    tables.metadata.create_all(engine)
    yield engine
    tables.metadata.drop_all(engine)
    engine.dispose()


endings = st.sampled_from(
    ["commit", "rollback", "close", "release", "undo", "leave", "root commit"]
)
simple_steps = st.one_of(
    st.sampled_from(["insert, emit", "emit, insert", "add, emit", "emit, add, flush"]),
    st.sampled_from(["insert, emit", "add, emit", "savepoint", "savepoint", "begin", "read"]),
    st.sampled_from(["duplicate", "duplicate, flushed", "nonsense"]),
    endings,
)
steps = st.recursive(
    simple_steps,
    lambda inner: st.tuples(
        st.sampled_from(["scope", "begin", "savepoint"]),
        st.booleans(),
        st.lists(inner, max_size=5),
    ),
    max_leaves=8,
)
numbers = count(1)


@attrs.define
class Play:
    """Does the same to a table and to a scope."""

    session: Session
    boundary: Boundary
    emitted: list[int] = attrs.field(factory=list)

    def play(self, script: list[Any]) -> None:
        for step in script:
            with contextlib.suppress(SQLAlchemyError, SurpriseError):
                self.step(step)

    def step(self, step: Any) -> None:
        match step:
            case str() if "emit" in step:
                self.mark(step)
            case str():
                self.act(step)
            case _:
                kind, fails, inner = step
                with self.block(kind):
                    self.play(inner)
                    if fails:
                        raise SurpriseError

    def act(self, what: str) -> None:
        session = self.session
        savepoint = session.get_nested_transaction() or session
        transaction = session.get_transaction() or session
        acts: dict[str, Callable[[], object]] = {
            "begin": session.begin,
            "commit": session.commit,
            "rollback": session.rollback,
            "close": session.close,
            "root commit": transaction.commit,
            "savepoint": session.begin_nested,
            "release": savepoint.commit,
            "undo": savepoint.rollback,
            "leave": self.leave,
            "read": lambda: session.execute(select(markers)).all(),
            "nonsense": lambda: session.execute(text("SELECT * FROM nowhere_at_all")),
            "duplicate": lambda: session.execute(insert(markers).values(n=0)),
            "duplicate, flushed": self.flush_a_duplicate,
        }
        acts[what]()

    def leave(self) -> None:
        """Close a savepoint, which leaves alone what was not flushed."""
        self.session.flush()
        (self.session.get_nested_transaction() or self.session).close()

    def flush_a_duplicate(self) -> None:
        self.session.add(Row(0))
        self.session.flush()

    def block(self, kind: str) -> Any:
        if kind == "scope":
            return self.boundary.scope()
        return self.session.begin(nested=kind == "savepoint")

    def mark(self, how: str) -> None:
        """Write and emit, or neither: where the session takes nothing, nothing is emitted."""
        n = next(numbers)
        self.session.connection()
        if how.startswith("emit"):
            self.emit(n)
        if "insert" in how:
            self.session.execute(insert(markers).values(n=n))
        else:
            self.session.add(Row(n))
        if "flush" in how:
            self.session.flush()
        if not how.startswith("emit"):
            self.emit(n)

    def emit(self, n: int) -> None:
        self.emitted.append(n)
        emit(Marker(n))


@contextlib.contextmanager
def opened(engine: Engine) -> Iterator[Session]:
    """A session that is closed for good.

    Where a savepoint cannot be rolled back, as it is gone, ``close()`` raises, and the session keeps
    its connection, with the locks of its transaction. The next call gets one savepoint further.
    """
    session = Session(engine)
    try:
        yield session
    finally:
        for _ in range(100):
            with contextlib.suppress(SQLAlchemyError):
                session.close()
                break


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # programs do silly things
@given(
    before=st.lists(simple_steps.filter(lambda step: "emit" not in step), max_size=3),
    inside=st.lists(steps, max_size=12),
    outside=st.lists(endings, max_size=3),
    fails=st.booleans(),
)
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@example([], ["insert, emit", "savepoint", "insert, emit", "undo", "commit"], [], False)
@example([], ["insert, emit", "nonsense", "commit"], [], False)
@example([], [("begin", False, ["insert, emit", "duplicate", "savepoint"])], [], False)
@example([], ["insert, emit", "savepoint", "nonsense", "undo"], ["commit"], True)
@example([], ["add, emit", "duplicate, flushed", "insert, emit", "rollback"], ["commit"], True)
@example(["read", "nonsense"], ["insert, emit", "commit"], [], False)
@example([], ["commit", "read", "add, emit"], ["close"], False)
@example([], ["insert, emit", *["savepoint"] * 2, "duplicate", "commit"], ["close", "commit"], True)
def test_what_is_delivered_is_what_is_stored(
    engine: Engine,
    before: list[Any],
    inside: list[Any],
    outside: list[Any],
    fails: bool,
) -> None:
    """Markers are emitted and inserted side by side: the table is the reference."""
    seen: list[int] = []
    boundary = Boundary({Marker: lambda marker: seen.append(marker.n)})
    with engine.begin() as connection:
        connection.execute(markers.delete())
        connection.execute(insert(markers).values(n=0))
    with opened(engine) as session:
        play = Play(session, boundary)
        play.play(before)
        with (
            contextlib.suppress(SurpriseError),
            boundary.scope(release=on_commit(session)) as effects,
        ):
            play.play(inside)
            if fails:
                raise SurpriseError
        play.play(outside)
    with engine.connect() as connection:
        stored = set(connection.scalars(select(markers.c.n)))
    assert seen == [n for n in play.emitted if n in stored]
    assert effects.report.delivered == [Marker(n) for n in seen]
    assert {marker.n for marker in effects.report.discarded} == set(play.emitted) - stored
    assert len(effects.report) == len(play.emitted)
