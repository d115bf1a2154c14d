"""A shop whose orders and effects are in one database: for the tests of recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from airlock import Boundary, PolicyLike, Route, Scope, field, intent
from airlock.integrations.sqlalchemy import on_commit
from airlock.outbox import Outbox
from tests.integrations.services import postgresql

__all__ = ["Base", "Log", "Mail", "Order", "Secret", "Shop", "shop_in"]


@intent(kind="recording.mail")
class Mail:
    n: int


@intent(kind="recording.log")
class Log:
    n: int


@intent(kind="recording.secret")
class Secret:
    card: str = field(sensitive=True)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


@attrs.define(eq=False)
class Shop:
    """An engine, an outbox in its database for ``Mail``, and a handler here for ``Log``."""

    engine: Engine
    outbox: Outbox
    boundary: Boundary
    handled: list[Any]

    def scope(self, session: Any, **options: Any) -> Scope:
        return self.boundary.scope(release=on_commit(session), **options)

    def work(self, session: Session, n: int) -> None:
        """Write an order, as a transaction does that is more than effects."""
        session.add(Order(id=n))
        session.flush()

    def rows(self) -> list[int]:
        """The numbers of the mails in the outbox, in order."""
        with self.engine.connect() as connection:
            found = connection.execute(text("SELECT envelope FROM airlock_outbox ORDER BY seq"))
            return [json.loads(row[0])["data"]["n"] for row in found]

    def orders(self) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.execute(text("SELECT id FROM orders ORDER BY id")).scalars())

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The statements that are executed in the block."""
        found = list[str]()

        def note(_: object, __: object, sql: str, *___: object) -> None:
            found.append(sql)

        event.listen(self.engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            event.remove(self.engine, "before_cursor_execute", note)


@contextmanager
def shop_in(
    database: str,
    folder: Path,
    *,
    policy: PolicyLike | None = None,
    park: bool = False,
    **options: Any,
) -> Iterator[Shop]:
    """A shop in a file, or in a schema of its own."""
    with url_in(database, folder) as url:
        engine = create_engine(url)
        outbox = Outbox(engine, **options)
        handled = list[Any]()
        boundary = Boundary(
            {Log: handled.append, Mail: handled.append},
            dispatch=Route({Mail: outbox, Secret: outbox}),
            policy=policy,
            park=outbox if park else None,
        )
        outbox.create()
        Base.metadata.create_all(engine)
        try:
            yield Shop(engine, outbox, boundary, handled)
        finally:
            engine.dispose()


@contextmanager
def url_in(database: str, folder: Path) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder / 'shop.db'}"
        return
    schema = f"recording_{uuid4().hex[:12]}"
    base = postgresql().replace("postgresql://", "postgresql+psycopg://")
    admin = create_engine(base)
    try:
        with admin.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        yield f"{base}?options=-csearch_path%3D{schema}"
    finally:
        with admin.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        admin.dispose()
