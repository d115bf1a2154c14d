"""One scope for each request, sync or async.

Django turns exceptions into responses before a middleware sees them, so the exception is noted where
Django reports it: ``process_exception`` for those of views, a signal for those of middleware.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string

from airlock import Scope
from airlock.errors import ScopeOrderError, SettingError
from airlock.integrations.django.conf import conf
from airlock.scopes.scope import CLOSED, WAITING

__all__ = ["EffectsMiddleware", "positions"]

PATH = "airlock.integrations.django.EffectsMiddleware"
HOME = f"{__name__}.EffectsMiddleware"
ERROR = "airlock_error"  # in the attributes of a request


class EffectsMiddleware:
    """Opens a scope for each request; its effects happen before the response is returned.

    The scope is ``request.effects`` as well as the ambient one. Under ASGI the middleware is async
    where what it wraps is, and switches no threads as long as nothing is emitted.

    Raises:
        SettingError: something is wrong with the settings, or it is there twice.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        check_placed(positions())
        conf()  # raises its errors before the first request
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._acall(request)
        served = Served(request)
        try:
            response = self.get_response(request)
        except BaseException as error:
            served.leave(error, 500)
            raise
        served.leave(vars(request).pop(ERROR, None), response.status_code)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        served = Served(request)
        try:
            response: HttpResponseBase = await self.get_response(request)
        except BaseException as error:
            await served.aleave(error, 500)
            raise
        raised = vars(request).pop(ERROR, None)
        if served.idle:
            served.leave(raised, response.status_code)  # nothing to await
        else:
            await served.aleave(raised, response.status_code)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Note what a view raised."""
        vars(request)[ERROR] = exception


class NotKept(Exception):  # noqa: N818 - no error: what decided, for the report
    """Stands for a response that ``KEEP`` refused."""


class Served:
    """A request that is being served: its scope is open until ``leave``.

    It does not hold the request, which holds the scope: requests are large, and best freed at once.
    Nor does the scope hold it, or have a ``keep`` hook, without which it is left sooner.
    """

    __slots__ = ("_conf", "_scope", "_troubles", "_what")

    def __init__(self, request: HttpRequest) -> None:
        around = vars(request)
        if "effects" in around and isinstance(around["effects"], Scope):
            raise twice("has served this request already")
        now = self._conf = conf()
        what = self._what = f"{request.method} {request.path}"
        self._troubles: tuple[Exception, ...] = ()  # to be reported, beside errors of the flush
        scope = self._scope = around["effects"] = now.boundary.scope(
            release=now.release,
            # Whatever is open in this thread, a request is a unit of work of its own.
            independent=True,
            headers=None if now.headers is None else now.headers(request),
            observers=now.requests.observers,
        )
        scope.work = what
        scope.enter()
        scope.free()  # the task is the same at both ends, and need not be compared

    @property
    def idle(self) -> bool:
        """True if nothing was emitted, as in most requests."""
        region = self._scope.region
        return not region and not region.children

    def leave(self, error: BaseException | None, status: int) -> None:
        """Deliver or discard, by the exception and the status of the response."""
        self._exit(error)
        try:
            if self._scope.state is CLOSED:
                self._scope.settle(self._judged(error, status))
        except Exception as failure:  # noqa: BLE001 - raised or reported there
            self._failed(failure)
        finally:
            self._ended()

    async def aleave(self, error: BaseException | None, status: int) -> None:
        """``leave`` where handlers are async; sync ones may use the database, in their thread."""
        scope = self._scope
        self._exit(error)
        try:
            judged = self._judged(error, status)
            if self._conf.awaits:
                await scope.asettle(judged)
            else:
                await sync_to_async(scope.settle)(judged)
        except Exception as failure:  # noqa: BLE001 - as above
            self._failed(failure)
        finally:
            self._ended()

    def _exit(self, error: BaseException | None) -> None:
        """Leave the scope, also if the view left others open in it."""
        try:
            self._scope.exit_block(error)
        except ScopeOrderError as order:
            self._troubles = (order,)

    def _ended(self) -> None:
        for trouble in self._troubles:
            self._failed(trouble)
        if self._scope.state is WAITING:  # for the commit around the request, as in a test
            self._scope.failed_late = self._failed

    def _judged(self, error: BaseException | None, status: int) -> BaseException | None:
        """Return None to keep what was emitted without a transaction, or why not."""
        try:
            kept = self._conf.keep(error, status)
        except Exception as failure:  # noqa: BLE001 - reported at the end
            self._troubles += (failure,)
            return failure
        return None if kept else error or NotKept(f"status {status}")

    def _failed(self, failure: Exception) -> None:
        self._conf.requests.failed(self._what, failure)


def note(*, request: HttpRequest | None = None, **_: object) -> None:
    """Django is about to answer 500: what a middleware raised is noted here."""
    if request is not None and hasattr(request, "effects"):
        vars(request).setdefault(ERROR, sys.exc_info()[1])


got_request_exception.connect(note, dispatch_uid=f"{__name__}.note")


# -- where it stands ------------------------------------------------------------------------------


def positions() -> list[int]:
    """Return the positions of the middleware in ``MIDDLEWARE``: one, if all is well."""
    return [i for i, path in enumerate(settings.MIDDLEWARE) if is_a(path, HOME)]


def is_a(path: str, *classes: str) -> bool:
    """Return True if a path in ``MIDDLEWARE`` names one of some classes, or a subclass."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - Django raises it, where it loads it
        return False
    return any(f"{c.__module__}.{c.__qualname__}" in classes for c in getattr(found, "__mro__", ()))


def check_placed(placed: list[int]) -> None:
    """Refuse the middleware where it cannot work.

    Raises:
        SettingError: it is there twice, or its app is not installed.
    """
    if len(placed) > 1:
        raise twice(f"is there {len(placed)} times, at {', '.join(map(str, placed))}")
    app = "airlock.integrations.django"
    if not apps.is_installed(app):
        hint = "The app does what the middleware cannot: checks, COMMANDS and NO_SCOPE."
        raise SettingError("settings.INSTALLED_APPS", app, "is missing", hint)


def twice(how: str) -> SettingError:
    """Return the error of a request that would have two scopes."""
    hint = "A request is one unit of work, with one scope: remove all but the first."
    return SettingError("settings.MIDDLEWARE", PATH, how, hint)
