"""Flask: a scope around each request, in the application-factory style."""

# ruff: noqa: C901, PLR0915 - an application is as complex as it has routes
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from flask import Flask, abort, request, stream_with_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import airlock
from airlock import Boundary, Drop, Scope
from airlock.dispatch import Dispatcher, Route
from airlock.errors import DeclarationError, NoScopeError, SettingError
from airlock.integrations.flask import Effects
from airlock.integrations.sqlalchemy import on_commit
from airlock.release import Release
from tests.integrations.services import postgresql


@airlock.intent(kind="flask.note")
class Note:
    text: str


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "airlock_flask_rows"
    text: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def boundary(done: list[str]) -> Boundary:
    return Boundary({Note: lambda intent: done.append(intent.text)})


def application(effects: Effects) -> Flask:
    app = Flask("shop")
    effects.init_app(app)
    seen: list[str] = []
    app.config["SEEN"] = seen

    @app.route("/note/<name>")
    def note(name: str) -> str:
        airlock.emit(Note(name))
        return name

    @app.route("/status/<int:status>")
    def status(status: int) -> tuple[str, int]:
        airlock.emit(Note(str(status)))
        return "", status

    @app.route("/abort")
    def aborted() -> str:
        airlock.emit(Note("aborted"))
        return str(abort(409))

    @app.route("/crash")
    def crash() -> str:
        airlock.emit(Note("crash"))
        raise KeyError

    @app.route("/crash-handled")
    def crash_handled() -> str:
        airlock.emit(Note("handled"))
        raise ValueError

    @app.errorhandler(ValueError)
    def handled(_: ValueError) -> str:
        return "never mind"

    @app.route("/left-open")
    def left_open() -> str:
        airlock.current().engine  # noqa: B018 - there is one
        left.append(extra.scope(independent=True).enter())
        airlock.emit(Note("left open"))
        raise KeyError

    @app.route("/async")
    async def coroutine() -> str:
        airlock.emit(Note("async"))
        return ""

    @app.route("/stream")
    def stream() -> Any:
        def body() -> Iterator[str]:
            yield "first "
            try:
                airlock.emit(Note("streamed"))
            except NoScopeError as error:
                seen.append(type(error).__name__)
            yield "second"

        airlock.emit(Note("before"))
        return app.response_class(stream_with_context(body()))

    return app


left: list[Scope] = []
extra = Boundary({Note: print})


def test_what_a_request_emits_is_delivered_when_it_has_succeeded(
    boundary: Boundary, done: list[str]
) -> None:
    client = application(Effects(boundary=boundary)).test_client()
    assert client.get("/note/a").text == "a"
    assert done == ["a"]


def test_not_before_the_view_has_ended(boundary: Boundary, done: list[str]) -> None:
    app = application(Effects(boundary=boundary))

    @app.after_request
    def look(response: Any) -> Any:
        app.config["SEEN"].append(list(done))
        return response

    app.test_client().get("/note/a")
    assert app.config["SEEN"] == [[]]
    assert done == ["a"]


@pytest.mark.parametrize(("status", "kept"), [(200, True), (302, True), (404, False), (500, False)])
def test_the_status_decides(boundary: Boundary, done: list[str], status: int, kept: bool) -> None:
    application(Effects(boundary=boundary)).test_client().get(f"/status/{status}")
    assert done == ([str(status)] if kept else [])


def test_an_abort_throws_away(boundary: Boundary, done: list[str]) -> None:
    assert application(Effects(boundary=boundary)).test_client().get("/abort").status_code == 409
    assert done == []


def test_an_error_throws_away(boundary: Boundary, done: list[str]) -> None:
    app = application(Effects(boundary=boundary))
    assert app.test_client().get("/crash").status_code == 500
    app.testing = True
    with pytest.raises(KeyError):
        app.test_client().get("/crash")
    assert done == []


def test_an_error_that_the_application_answers_is_a_success(
    boundary: Boundary, done: list[str]
) -> None:
    assert application(Effects(boundary=boundary)).test_client().get("/crash-handled").text
    assert done == ["handled"]


def test_keep_may_decide_otherwise_and_knows_error_and_status(
    boundary: Boundary, done: list[str]
) -> None:
    asked: list[Any] = []

    def keep(error: BaseException | None, status: int) -> bool:
        asked.append((type(error), status))
        return status == 500

    client = application(Effects(boundary=boundary, keep=keep)).test_client()
    client.get("/crash")
    client.get("/note/a")
    assert done == ["crash"]
    assert dict.fromkeys(asked) == {(KeyError, 500): None, (type(None), 200): None}


def test_a_scope_that_a_crashed_view_left_open_is_gone_with_the_request(
    boundary: Boundary, done: list[str]
) -> None:
    client = application(Effects(boundary=boundary)).test_client()
    assert client.get("/left-open").status_code == 500
    with pytest.raises(NoScopeError):
        airlock.current()
    client.get("/note/a")
    assert done == ["a"]


def test_async_views_are_in_the_scope(boundary: Boundary, done: list[str]) -> None:
    pytest.importorskip("asgiref")
    application(Effects(boundary=boundary)).test_client().get("/async")
    assert done == ["async"]


def test_a_body_that_is_streamed_comes_after_the_scope(boundary: Boundary, done: list[str]) -> None:
    app = application(Effects(boundary=boundary))
    assert app.test_client().get("/stream").text == "first second"
    assert done == ["before"]
    assert app.config["SEEN"] == ["NoScopeError"]


def test_a_context_that_a_test_keeps_does_not_keep_the_scope(
    boundary: Boundary, done: list[str]
) -> None:
    with application(Effects(boundary=boundary)).test_client() as client:
        client.get("/note/a")
        assert request.path == "/note/a"
        assert done == ["a"]


def test_headers_are_asked_of_the_request(done: list[str]) -> None:
    boundary = Boundary({Note: lambda _: done.append(airlock.delivery().headers["tenant"])})
    effects = Effects(boundary=boundary, headers=lambda r: {"tenant": r.headers["X-Tenant"]})
    application(effects).test_client().get("/note/a", headers={"X-Tenant": "acme"})
    assert done == ["acme"]


def test_errors_of_handlers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Note) -> None:
        raise ConnectionError

    app = application(Effects(boundary=Boundary({Note: fail})))
    assert app.test_client().get("/note/a").status_code == 200
    assert "effects of GET /note/a failed" in caplog.text
    assert app.extensions["airlock"].flush_errors == 1


def test_or_raised(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Note) -> None:
        raise ConnectionError

    app = application(Effects(boundary=Boundary({Note: fail}), on_flush_error="raise"))
    with pytest.raises(airlock.FlushError):
        app.test_client().get("/note/a")


def test_a_response_that_is_not_sent_for_that_is_closed() -> None:
    def fail(_: Note) -> None:
        raise ConnectionError

    app = application(Effects(boundary=Boundary({Note: fail}), on_flush_error="raise"))
    closed: list[str] = []

    @app.after_request
    def watch(response: Any) -> Any:
        response.call_on_close(lambda: closed.append("closed"))
        return response

    with pytest.raises(airlock.FlushError):
        app.test_client().get("/note/a")
    assert closed == ["closed"]


def test_slow_handlers_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    boundary = Boundary({Note: lambda _: time.sleep(0.02)})
    app = application(Effects(boundary=boundary, slow=timedelta(milliseconds=5)))
    app.test_client().get("/note/a")
    assert "the handler of flask.note took" in caplog.text
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


# -- set up ---------------------------------------------------------------------------------------


def test_the_boundary_may_come_with_the_application(boundary: Boundary, done: list[str]) -> None:
    def view() -> str:
        airlock.emit(Note("a"))
        return ""

    effects = Effects()
    for _ in range(2):
        app = Flask("shop")
        effects.init_app(app, boundary)
        app.add_url_rule("/", view_func=view)
        app.test_client().get("/")
    assert done == ["a", "a"]


def test_an_application_has_one(boundary: Boundary) -> None:
    app = Flask("shop")
    Effects(app, boundary)
    with pytest.raises(SettingError, match="Call init_app once"):
        Effects(app, boundary)


def test_without_a_boundary_it_is_refused() -> None:
    with pytest.raises(SettingError, match="Give one: Effects"):
        Effects(Flask("shop"))


def test_a_boundary_that_is_none_is_refused() -> None:
    app = Flask("shop")
    with pytest.raises(DeclarationError, match="takes a Boundary"):
        Effects(app, "shop.boundary")  # type: ignore[arg-type]
    assert "airlock" not in app.extensions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 5}, r"Effects\(keep=...\) takes a function of \(error, status\), not 5"),
        ({"keep": None}, r"Effects\(keep=...\)"),
        ({"headers": {"tenant": "x"}}, r"Effects\(headers=...\) takes a function of the request"),
        ({"release": on_commit(Session())}, r"Effects\(release=...\) takes a function without arg"),
        ({"slow": 0.1}, "slow"),
        ({"on_flush_error": "ignore"}, "on_flush_error"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    boundary: Boundary, options: Any, message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        Effects(Flask("shop"), boundary, **options)


def test_async_handlers_are_warned_of_because_flushes_are_sync(
    boundary: Boundary, caplog: pytest.LogCaptureFixture
) -> None:
    async def send(_: Note) -> None: ...

    Effects(Flask("quiet"), boundary)
    assert caplog.text == ""
    Effects(Flask("shop"), Boundary({Note: send}))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'shop' awaits no handlers" in record.getMessage()
    assert "send (of Note)" in record.getMessage()


def test_those_that_a_worker_runs_are_not(caplog: pytest.LogCaptureFixture) -> None:
    async def send(_: Note) -> None: ...

    for dispatch in (Dispatcher(), Route({Note: Dispatcher()})):
        Effects(Flask("shop"), Boundary({Note: send}, dispatch=dispatch))
    assert caplog.text == ""


def is_early() -> bool:
    return request.path == "/before"


class Memory(Release):
    """Of what is never in a transaction."""

    def segment(self) -> None:
        return None


# -- outside of WSGI, and inside of each other ----------------------------------------------------


def test_without_wsgi_there_is_no_scope_and_errors_are_those_of_the_application(
    boundary: Boundary,
) -> None:
    app = application(Effects(boundary=boundary, release=Memory))
    app.testing = True
    with app.test_request_context("/crash-handled"):
        with pytest.raises(NoScopeError):
            app.full_dispatch_request()
        with pytest.raises(LookupError, match="the real error"):
            app.handle_exception(LookupError("the real error"))


@pytest.mark.parametrize("release", [None, Memory])
def test_a_request_that_a_view_makes_is_a_unit_of_work_of_its_own(
    boundary: Boundary, done: list[str], release: Any
) -> None:
    effects = Effects(boundary=boundary, release=release)
    inner, app = application(effects), application(effects)

    @app.get("/outer")
    def outer() -> tuple[str, int]:
        airlock.emit(Note("outer"))
        assert inner.test_client().get("/note/inner").text == "inner"
        assert done == ["inner"]
        airlock.emit(Note("outer still"))
        return "", 500

    assert app.test_client().get("/outer").status_code == 500
    assert done == ["inner"]


@pytest.mark.parametrize("release", [None, Memory])
def test_so_is_the_one_that_a_mounted_application_serves(
    boundary: Boundary, done: list[str], release: Any
) -> None:
    effects = Effects(boundary=boundary, release=release)
    app, admin = Flask("shop"), application(effects)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/admin": admin})  # type: ignore[method-assign]
    effects.init_app(app)
    app.add_url_rule("/", view_func=admin.view_functions["note"], defaults={"name": "shop"})
    client = app.test_client()
    assert client.get("/admin/note/a").status_code == 200
    assert client.get("/admin/status/409").status_code == 409
    assert client.get("/").status_code == 200
    assert done == ["a", "shop"]


def test_what_encloses_a_request_holds(boundary: Boundary, done: list[str]) -> None:
    client = application(Effects(boundary=boundary)).test_client()
    with boundary.scope(policy=Drop()):
        client.get("/note/dropped")
    client.get("/note/a")
    assert done == ["a"]


def test_an_application_that_comes_after_another_has_its_own_request(
    boundary: Boundary, done: list[str]
) -> None:
    """One that answers what was first tried by another, in the same WSGI environment."""
    effects = Effects(boundary=boundary, keep=lambda error, _: error is None)
    first, last = application(effects), Flask("last")
    own = last.wsgi_app

    def both(environ: Any, start: Any) -> Any:
        statuses: list[str] = []
        body = first(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]
        return own(environ, start) if statuses[0][:3] == "404" else body

    @last.get("/legacy")
    def crash() -> str:
        airlock.emit(Note("legacy"))
        raise KeyError

    last.wsgi_app = both  # type: ignore[assignment, method-assign]
    effects.init_app(last)
    assert last.test_client().get("/legacy").status_code == 500
    assert done == []


# -- transactions ---------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, boundary: Boundary) -> Iterator[Flask]:
    """An application whose session decides."""
    url = "sqlite://"
    engine: dict[str, Any] = {}
    if request.param == "postgresql":
        url = postgresql().replace("postgresql://", "postgresql+psycopg://")
        engine = {"poolclass": NullPool}
    db = SQLAlchemy(model_class=Base)
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine
    db.init_app(app)
    app.before_request(lambda: commit(500) if is_early() else None)
    Effects(app, boundary, release=lambda: on_commit(db.session))

    @app.route("/commit/<int:status>")
    def commit(status: int) -> tuple[str, int]:
        db.session.add(Row(text="a"))
        airlock.emit(Note("a"))
        db.session.commit()
        return "", status

    @app.route("/rollback")
    def rollback() -> str:
        db.session.add(Row(text="a"))
        airlock.emit(Note("a"))
        db.session.rollback()
        return ""

    @app.route("/caught")
    def caught() -> str:
        try:
            with db.session.begin_nested():
                db.session.add(Row(text="a"))
                airlock.emit(Note("a"))
                raise KeyError
        except KeyError:
            db.session.add(Row(text="b"))
            airlock.emit(Note("b"))
        db.session.commit()
        return ""

    @app.route("/forgotten")
    def forgotten() -> str:
        db.session.add(Row(text="a"))
        db.session.flush()
        airlock.emit(Note("a"))
        return ""

    @app.route("/refreshed")
    def refreshed() -> str:
        row = Row(text="a")
        db.session.add(row)
        db.session.commit()
        db.session.refresh(row)
        airlock.emit(Note(row.text))
        return ""

    @app.route("/none")
    def none() -> str:
        airlock.emit(Note("a"))
        return ""

    app.config["ROWS"] = lambda: [
        *db.session.scalars(text(f"SELECT text FROM {Row.__tablename__}"))
    ]
    with app.app_context():
        db.session.execute(text(f"DROP TABLE IF EXISTS {Row.__tablename__}"))
        db.session.commit()
        db.create_all()
    yield app
    with app.app_context():
        db.drop_all()
        db.engine.dispose()


@pytest.mark.parametrize("status", [200, 500])
def test_a_commit_delivers_whatever_is_answered(shop: Flask, done: list[str], status: int) -> None:
    assert shop.test_client().get(f"/commit/{status}").status_code == status
    assert done == ["a"]


def test_functions_before_the_view_are_in_the_transaction_too(shop: Flask, done: list[str]) -> None:
    shop.test_client().get("/before")
    assert done == ["a"]


@pytest.mark.parametrize("path", ["/rollback", "/forgotten"])
def test_a_rollback_throws_away_whatever_is_answered(
    shop: Flask, done: list[str], path: str
) -> None:
    assert shop.test_client().get(path).status_code == 200
    assert done == []


def test_a_savepoint_that_is_rolled_back_throws_away_what_is_in_it(
    shop: Flask, done: list[str]
) -> None:
    shop.test_client().get("/caught")
    assert done == ["b"]
    with shop.app_context():
        assert shop.config["ROWS"]() == ["b"]


@pytest.mark.parametrize("path", ["/none", "/refreshed"])
def test_without_any_transaction_that_decides_the_outcome_of_the_request_does(
    shop: Flask, done: list[str], path: str
) -> None:
    shop.test_client().get(path)
    assert done == ["a"]


# -- a server -------------------------------------------------------------------------------------


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base
        """Say nothing."""


def test_behind_a_real_server_in_threads(boundary: Boundary, done: list[str]) -> None:
    server = make_server(
        "127.0.0.1", 0, application(Effects(boundary=boundary)), handler_class=Quiet
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert httpx.get(f"{url}/note/a").text == "a"
        assert httpx.get(f"{url}/crash").status_code == 500
        assert httpx.get(f"{url}/stream").text == "first second"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done == ["a", "before"]
