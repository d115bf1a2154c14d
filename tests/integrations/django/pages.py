"""Views that emit, sync and async; the boundary that delivers; what was delivered."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path
from django.utils import timezone

import airlock
from airlock import Boundary
from airlock.errors import NoScopeError
from tests.integrations.django.shop.models import Row

MIDDLEWARE = "airlock.integrations.django.EffectsMiddleware"


@airlock.intent(kind="django-app.note")
class Note:
    text: str


@airlock.intent(kind="django-app.count")
class Count:
    """Its handler asks the database."""


done: list[str] = []
threads: list[str] = []


def take(intent: Note) -> None:
    threads.append(threading.current_thread().name)
    if intent.text == "slow":
        time.sleep(0.12)
    if intent.text.startswith("fails"):
        raise ConnectionError("the warehouse does not answer")
    done.append(intent.text)


async def take_async(intent: Note) -> None:
    await asyncio.sleep(0)
    take(intent)


def count(intent: Count) -> None:
    done.append(f"{Row.objects.count()} rows")


boundary = Boundary({Note: take, Count: count})
async_boundary = Boundary({Note: take_async})


def make() -> Boundary:
    return boundary


def note(request: HttpRequest, name: str) -> HttpResponse:
    airlock.emit(Note(name))
    return HttpResponse(",".join(done))


def given(request: Any, name: str) -> HttpResponse:
    request.effects.emit(Note(name))
    return HttpResponse()


def status(request: HttpRequest, code: int) -> HttpResponse:
    airlock.emit(Note(str(code)))
    return HttpResponse(status=code)


def crash(request: HttpRequest) -> HttpResponse:
    airlock.emit(Note("crash"))
    raise KeyError("crash")


def missing(request: HttpRequest) -> HttpResponse:
    airlock.emit(Note("missing"))
    raise Http404("nothing here")


def forbidden(request: HttpRequest) -> HttpResponse:
    airlock.emit(Note("forbidden"))
    raise PermissionDenied


def save(request: HttpRequest, name: str) -> HttpResponse:
    with transaction.atomic():
        Row.objects.create(text=name)
        airlock.emit(Note(name))
    if "crash" in request.GET:
        airlock.emit(Note("after the commit"))
        raise KeyError
    return HttpResponse(status=int(request.GET.get("status", 200)))


def unsave(request: HttpRequest, name: str) -> HttpResponse:
    try:
        with transaction.atomic():
            Row.objects.create(text=name)
            airlock.emit(Note(name))
            raise KeyError
    except KeyError:
        airlock.emit(Note("caught"))
    return HttpResponse()


def whole(request: HttpRequest, name: str) -> HttpResponse:
    """Under ATOMIC_REQUESTS."""
    Row.objects.create(text=name)
    airlock.emit(Note(name))
    if "crash" in request.GET:
        raise KeyError
    return HttpResponse(f"{transaction.get_connection().in_atomic_block}")


def leak(request: HttpRequest) -> HttpResponse:
    """Leaves a scope of its own open."""
    airlock.emit(Note("before the leak"))
    scope = boundary.scope(independent="independent" in request.GET)
    scope.enter()
    scope.emit(Note("leaked"))
    if "crash" in request.GET:
        raise KeyError
    return HttpResponse(status=int(request.GET.get("status", 200)))


def outlived(request: HttpRequest) -> HttpResponse:
    """What a task does that outlives the request: it has a scope open when that ends."""
    airlock.emit(Note("a"))
    contextvars.copy_context().run(boundary.scope().enter).emit(Note("in a task"))
    airlock.emit(Note("b"))
    return HttpResponse()


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        try:
            airlock.emit(Note("in the body"))
        except NoScopeError:
            yield "no scope,"
        with boundary.scope() as effects:
            effects.emit(Note("in a scope of its own"))
        yield ",".join(done)

    airlock.emit(Note("before the body"))
    return StreamingHttpResponse(body())


def inner(request: HttpRequest) -> HttpResponse:
    with boundary.scope() as effects:
        effects.emit(Note("inner"))
    return HttpResponse()


def thread(request: HttpRequest) -> HttpResponse:
    work = threading.Thread(target=emit_or_say)
    work.start()
    work.join()
    return HttpResponse()


def emit_or_say() -> None:
    try:
        airlock.emit(Note("from a thread"))
    except NoScopeError:
        done.append("NoScopeError")


def rows(request: HttpRequest) -> HttpResponse:
    airlock.emit(Count())
    return HttpResponse()


async def anote(request: HttpRequest, name: str) -> HttpResponse:
    await asyncio.sleep(0)
    airlock.emit(Note(name))
    return HttpResponse(",".join(done))


async def acrash(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    airlock.emit(Note("crash"))
    raise KeyError("crash")


async def asave(request: HttpRequest, name: str) -> HttpResponse:
    response = await sync_to_async(save)(request, name)
    airlock.emit(Note(f"beside {name}"))
    return response


async def aleak(request: HttpRequest) -> HttpResponse:
    return leak(request)


async def acount(request: HttpRequest) -> HttpResponse:
    airlock.emit(Count())
    return HttpResponse()


async def agather(request: HttpRequest, name: str) -> HttpResponse:
    async def one(i: int) -> None:
        await asyncio.sleep(0.001)
        airlock.emit(Note(f"{name}{i}"))

    await asyncio.gather(*(one(i) for i in range(3)))
    return HttpResponse()


async def astream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        try:
            airlock.emit(Note("in the body"))
        except NoScopeError:
            yield "no scope"

    airlock.emit(Note("before the body"))
    return StreamingHttpResponse(body())


def noop(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.current_thread().name)


async def anoop(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.current_thread().name)


urlpatterns = [
    path("note/<name>", note),
    path("given/<name>", given),
    path("status/<int:code>", status),
    path("crash", crash),
    path("missing", missing),
    path("forbidden", forbidden),
    path("save/<name>", save),
    path("unsave/<name>", unsave),
    path("whole/<name>", whole),
    path("leak", leak),
    path("outlived", outlived),
    path("stream", stream),
    path("inner", inner),
    path("thread", thread),
    path("rows", rows),
    path("noop", noop),
    path("async/note/<name>", anote),
    path("async/crash", acrash),
    path("async/save/<name>", asave),
    path("async/leak", aleak),
    path("async/rows", acount),
    path("async/gather/<name>", agather),
    path("async/stream", astream),
    path("async/noop", anoop),
]

# -- middleware around and inside ours -------------------------------------------------------------


def crashing(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Any:
    """A middleware that emits, and fails if it is told to."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        airlock.emit(Note("of a middleware"))
        if "in-middleware" in request.GET:
            raise KeyError("in a middleware")
        return get_response(request)

    return middleware


class Forgiving:
    """A middleware that answers for what views raise."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        return HttpResponse("never mind")


# -- middleware that binds something for what is inside of it --------------------------------------

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
here = threading.local()


def in_zone(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Any:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        with timezone.override("Asia/Tokyo"):
            return get_response(request)

    return middleware


class WithTenant(Forgiving):
    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = tenant.set(request.headers.get("X-Tenant", "nobody"))
        try:
            return super().__call__(request)
        finally:
            tenant.reset(token)


class WithUser(Forgiving):
    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        here.user = "ann"
        try:
            return super().__call__(request)
        finally:
            here.user = None


def bind_request_id(text: str) -> None:
    request_id.set(text)


def with_request_id(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Any:
    """Binds it in a function of its own, as libraries do."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        bind_request_id("42")
        try:
            return get_response(request)
        finally:
            bind_request_id("-")

    return middleware


def reads(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Any:
    """Binds nothing."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response["X-Tenant"] = tenant.get()
        return response

    return middleware


def tell_tenant(_: Note) -> None:
    done.append(f"{tenant.get()}, {getattr(here, 'user', None)}, {request_id.get()}")
