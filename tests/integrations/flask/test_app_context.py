"""Flask: the application context of handlers is there at a server, in tests, in commands, late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from flask import Flask, current_app, g, has_app_context, has_request_context, stream_with_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

import airlock
from airlock import Boundary
from airlock.integrations.click import effects_option
from airlock.integrations.flask import Effects
from airlock.integrations.sqlalchemy import on_commit


@airlock.intent(kind="flask.context-mail")
class Mail:
    to: str


@airlock.intent(kind="flask.context-logged")
class Logged:
    to: str


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "mails"
    to: Mapped[str] = mapped_column(primary_key=True)


class Shop:
    """An application whose handlers need its context, and what they did."""

    def __init__(self, name: str = "shop") -> None:
        self.seen: list[str] = []
        self.db = SQLAlchemy(model_class=Base)
        self.app = Flask(name)
        self.app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        self.db.init_app(self.app)
        self.boundary = Boundary({Mail: self.send, Logged: self.note})
        Effects(self.app, self.boundary, release=lambda: on_commit(self.db.session))
        with self.app.app_context():
            self.db.create_all()
        self.app.teardown_appcontext(lambda _: self.seen.append("torn down"))
        self.routes()

    def send(self, mail: Mail) -> None:
        self.seen.append(f"{current_app.name} sends to {mail.to}")
        assert not has_request_context()
        assert "user" not in g
        self.db.session.add(Row(to=mail.to))
        self.db.session.commit()
        airlock.emit(Logged(mail.to))

    def note(self, logged: Logged) -> None:
        self.seen.append(f"{current_app.name} logs {logged.to}")

    def routes(self) -> None:
        @self.app.get("/<to>")
        def place(to: str) -> str:
            g.user = "ada"
            airlock.emit(Mail(to))
            self.db.session.commit()
            return ""

        @self.app.get("/stream/<to>")
        def stream(to: str) -> Any:
            airlock.emit(Mail(to))
            self.db.session.commit()

            def body() -> Iterator[str]:
                yield "first"
                self.seen.append(f"{current_app.name} streams")
                yield "second"

            return stream_with_context(body())

        @self.app.cli.command("remind")
        @effects_option(self.boundary)
        def remind() -> None:
            airlock.emit(Mail("bob"))

    def stored(self) -> list[str]:
        with self.app.app_context():
            return [*self.db.session.scalars(select(Row.to))]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@contextmanager
def served(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()


SENT = ["torn down", "shop sends to ada", "shop logs ada", "torn down"]


def test_at_a_server(shop: Shop) -> None:
    """After that of the request is torn down, and before that of the handlers is."""
    with served(shop.app) as url:
        assert httpx.get(f"{url}/ada").status_code == 200
    assert shop.seen == SENT
    assert shop.stored() == ["ada"]


def test_in_tests_it_is_the_same(shop: Shop) -> None:
    """Whatever context the test has."""
    shop.app.test_client().get("/ada")
    assert shop.seen == SENT
    shop.seen.clear()
    with shop.app.app_context():
        shop.app.test_client().get("/bob")
        assert current_app.name == "shop"
        assert "shop logs bob" in shop.seen
    with shop.app.test_client() as client:  # which keeps the contexts of the request
        client.get("/cam")
        assert "shop logs cam" in shop.seen


def test_before_a_streamed_body(shop: Shop) -> None:
    """Which has the contexts of the request, as ever."""
    with served(shop.app) as url:
        assert httpx.get(f"{url}/stream/ada").text == "firstsecond"
    told = [line for line in shop.seen if line != "torn down"]
    assert told == ["shop sends to ada", "shop logs ada", "shop streams"]


def test_in_a_late_commit_outside_of_any_context() -> None:
    """Of a session that is not Flask's, in another thread."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    seen: list[str] = []
    sessions: list[Session] = []
    app = Flask("shop")

    def release() -> Any:
        sessions.append(Session(engine))
        return on_commit(sessions[0])

    Effects(app, Boundary({Mail: lambda _: seen.append(current_app.name)}), release=release)

    @app.get("/")
    def place() -> str:
        sessions[0].add(Row(to="ada"))
        airlock.emit(Mail("ada"))
        return ""

    app.test_client().get("/")
    assert seen == []
    assert not has_app_context()
    sessions[0].commit()
    assert seen == ["shop"]


def test_each_application_has_its_own(shop: Shop) -> None:
    """One that is mounted in another, and is called in the midst of its request."""
    mounted = Shop("mounted")
    app = DispatcherMiddleware(shop.app.wsgi_app, {"/mounted": mounted.app})
    shop.app.wsgi_app = app  # type: ignore[method-assign]
    shop.app.test_client().get("/mounted/ada")
    assert "mounted sends to ada" in mounted.seen
    shop.app.test_client().get("/bob")
    assert "shop sends to bob" in shop.seen


def test_in_a_command(shop: Shop) -> None:
    """The command has a context, and its effects happen inside."""
    result = shop.app.test_cli_runner().invoke(args=["remind"])
    assert result.exit_code == 0, result.output
    assert shop.seen[:2] == ["shop sends to bob", "shop logs bob"]


def test_an_error_of_its_teardown_is_logged(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The client has its answer, and the effects have happened."""

    def fail(_: BaseException | None) -> None:
        if "shop logs ada" in shop.seen:
            raise KeyError("teardown")

    shop.app.teardown_appcontext(fail)
    assert shop.app.test_client().get("/ada").status_code == 200
    assert "effects of GET /ada failed" in caplog.text
