"""A Flask extension: a scope around each request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import attrs

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, dispatch_of
from airlock.effects.registry import describe
from airlock.errors import DeclarationError, MissingExtraError, SettingError
from airlock.integrations.base import SLOW, Edge, keep_web
from airlock.release import OnFlushError, Release
from airlock.scopes.scope import Scope

try:
    from flask import Flask, Request, got_request_exception, request
except ImportError:
    raise MissingExtraError(__name__, "Flask", "flask") from None

__all__ = ["Effects"]

log = logging.getLogger("airlock")

KeepWeb = Callable[[BaseException | None, int], bool]
KEY = "airlock.work"  # in the WSGI environment


class Effects:
    """Opens a scope around each request of an application, and flushes it before the response goes.

    A request is a unit of work of its own, whatever is open where it begins: another request, if a
    view calls an application. Flushes are sync, and so handlers have to be. They run in an
    application context of their own, after that of the request has been torn down.

    Args:
        app: the application; or give it to ``init_app`` later.
        boundary: that the scopes belong to; or give it to ``init_app``.
        release: called in each request, to make the scope's release: ``lambda:
            on_commit(db.session)``.
        keep: decides, from the error that the view raised and the status of the response, about
            what was emitted without a transaction; by default what succeeded is kept.
        headers: called with each request, for the headers of its intents.
        on_flush_error: ``"report"`` logs what handlers raise, ``"raise"`` makes it a 500.
        slow: log a warning of handlers that take longer; None for none.

    Raises:
        DeclarationError: an argument makes no sense.
        SettingError: an application has one already, or none was given a boundary.

    Example:
        >>> from flask import Flask
        >>> app = Flask("shop")
        >>> effects = Effects(app, boundary)
        >>> @app.post("/orders")
        ... def order():
        ...     emit(NotifyWarehouse(42))
        ...     return "thanks"
        >>> app.test_client().post("/orders").text
        'thanks'
    """

    def __init__(
        self,
        app: Flask | None = None,
        boundary: Boundary | None = None,
        *,
        release: Callable[[], Release] | None = None,
        keep: KeepWeb = keep_web,
        headers: Callable[[Request], Mapping[str, str]] | None = None,
        on_flush_error: OnFlushError = "report",
        slow: timedelta | None = SLOW,
    ) -> None:
        _check("keep", keep, "a function of (error, status)")
        if headers is not None:
            _check("headers", headers, "a function of the request")
        if release is not None:
            _check("release", release, "a function without arguments, which makes a release")
        self._boundary = boundary
        self._release = release
        self._keep = keep
        self._headers = headers
        self._edge_options: dict[str, Any] = {"on_flush_error": on_flush_error, "slow": slow}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, boundary: Boundary | None = None) -> None:
        """Open a scope around each request of an application.

        Raises:
            DeclarationError: the boundary is none, or another argument makes no sense.
            SettingError: it has one already, or there is no boundary.
        """
        boundary = boundary or self._boundary
        if boundary is None:
            raise SettingError(
                "airlock.integrations.flask",
                "boundary",
                "is missing",
                "Give one: Effects(app, boundary), or effects.init_app(app, boundary).",
            )
        if "airlock" in app.extensions:
            raise SettingError(
                f"the application {app.name!r}",
                "airlock",
                "is initialized already, and a request has one scope",
                "Call init_app once.",
            )
        edge = app.extensions["airlock"] = Edge(
            boundary, inside=app.app_context, **self._edge_options
        )
        _warn_of_async(app, boundary)
        headers = _headers_of(app, self._headers)
        app.wsgi_app = Middleware(app.wsgi_app, edge, self._keep, headers)  # type: ignore[method-assign]
        got_request_exception.connect(_note, app)
        if self._release is not None:
            # First of all, so that other functions may emit.
            app.before_request_funcs.setdefault(None, []).insert(0, self._release_scope)

    def _release_scope(self) -> None:
        """Only inside the request can a session be asked for."""
        work = _work()
        if work is not None and self._release is not None:
            work.scope.release_with(self._release())


def _check(name: str, given: object, wanted: str) -> None:
    """Refuse an argument that cannot be called."""
    if not callable(given):
        raise DeclarationError(f"Effects({name}=...) takes {wanted}, not {describe(given)}.")


def _warn_of_async(app: Flask, boundary: Boundary) -> None:
    """Warn of handlers that no request can await; a boundary may serve others, who can."""
    found = [
        f"{binding.name} (of {cls.__qualname__})"
        for cls, binding in boundary.handlers.items()
        if binding.awaited() and dispatch_of(boundary.dispatch, cls) is INLINE
    ]
    if found:
        log.warning(
            "the application %r awaits no handlers, and these are async: %s. What they are for is "
            "refused in its requests. Write them as functions, or let a worker run them: "
            "Boundary(..., dispatch=<a queue's dispatch>)",
            app.name,
            ", ".join(found),
        )


def _headers_of(
    app: Flask, headers: Callable[[Request], Mapping[str, str]] | None
) -> Callable[[dict[str, Any]], Mapping[str, str] | None]:
    """Return a function that reads the headers of a WSGI environment."""
    if headers is None:
        return lambda _: None
    return lambda environ: headers(app.request_class(environ))


def _note(_: Flask, exception: BaseException, **__: object) -> None:
    """Flask makes a response of an error before anybody outside sees it."""
    work = _work()
    if work is not None:
        work.error = exception


def _work() -> RequestWork | None:
    """Return None in a request context without a server, as in ``app.test_request_context()``."""
    work: RequestWork | None = request.environ.get(KEY)
    return work


@attrs.define(eq=False)
class RequestWork:
    """State of a request when its scope ends."""

    scope: Scope
    error: BaseException | None = None
    status: int = 500


@attrs.frozen(eq=False)
class Middleware:
    """WSGI middleware: outside of the contexts of Flask, which a test client may keep for longer."""

    app: Callable[..., Iterable[bytes]]
    edge: Edge
    keep: KeepWeb
    headers: Callable[[dict[str, Any]], Mapping[str, str] | None]

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        def keep(error: BaseException | None) -> bool:
            return self.keep(known.error if error is None else error, known.status)

        def start(status: str, *arguments: Any) -> Any:
            known.status = int(status[:3])
            return start_response(status, *arguments)

        what = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        around, headers = environ.get(KEY), self.headers(environ)
        response: Iterable[bytes] = ()
        try:
            with self.edge.scope(what, keep=keep, headers=headers, independent=True) as scope:
                known = environ[KEY] = RequestWork(scope)
                response = self.app(environ, start)
        except BaseException:
            close(response)  # no server gets it
            raise
        finally:
            environ[KEY] = around  # that of an application that this one is mounted in
        return response


def close(response: Iterable[bytes]) -> None:
    """Close a response, as a server does at its end."""
    end: Callable[[], object] | None = getattr(response, "close", None)
    if end is not None:
        end()
