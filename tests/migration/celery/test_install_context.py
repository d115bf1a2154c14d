"""Buffered calls keep what is read around them where they are made, and not where they are sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

pytest.importorskip("celery")

from celery import chain, chord, group
from celery.signals import before_task_publish

import airlock
from airlock import Boundary, Context, Dedupe, Drop, Hold
from airlock.integrations.celery import CallTask, SendTasks
from airlock.migration.celery import Installed, install
from tests.migration.celery.shops import Shop

tenant: ContextVar[str] = ContextVar("tenant", default="public")
LOCAL = threading.local()


@contextmanager
def of(name: str) -> Iterator[None]:
    """The tenant of a block, as libraries keep it: in the context, or in the thread."""
    token = tenant.set(name)
    LOCAL.tenant = name
    try:
        yield
    finally:
        tenant.reset(token)
        LOCAL.tenant = "public"


@pytest.fixture
def headers() -> Iterator[list[Any]]:
    """The tenants of what is published, as a receiver of the signal stamps them, and a base class."""
    found: list[Any] = []

    def stamp(headers: dict[str, Any], **_: Any) -> None:
        headers["stamped"] = tenant.get()
        found.append((headers["task"], headers["stamped"], headers.get("tenant")))

    before_task_publish.connect(stamp)
    yield found
    before_task_publish.disconnect(stamp)


@pytest.fixture
def invoice(shop: Shop) -> Any:
    class OfATenant(shop.app.Task):  # type: ignore[name-defined,misc]  # made by the app
        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # as people write it
            given = options.pop("headers", None) or {}
            stamped = {**given, "tenant": getattr(LOCAL, "tenant", "public")}
            return super().apply_async(args, kwargs, headers=stamped, **options)

    @shop.app.task(name="shop.invoice", base=OfATenant, shared=False)
    def invoice(number: int) -> None: ...

    return invoice


def test_a_call_is_stamped_as_where_it_was_made(
    shop: Shop, buffered: Installed, invoice: Any, headers: list[Any]
) -> None:
    with shop.boundary.scope():
        with of("acme"):
            invoice.delay(1)
            invoice.s(2).apply_async(countdown=1)
        with of("umbrella"):
            invoice.apply_async((3,))
        assert headers == []
    assert headers == [
        ("shop.invoice", "acme", "acme"),
        ("shop.invoice", "acme", "acme"),
        ("shop.invoice", "umbrella", "umbrella"),
    ]


def test_canvases_and_names_are_published_in_the_context_of_the_call(
    shop: Shop, buffered: Installed, headers: list[Any]
) -> None:
    with shop.boundary.scope(), of("acme"):
        chain(shop.receipt.s(1), shop.mail.s())()
        group(shop.receipt.s(2), shop.receipt.s(3))()
        shop.app.send_task("other.task")
        with of("umbrella"):
            chord([shop.receipt.s(4)], shop.mail.s())()
    assert [stamped for _, stamped, _ in headers] == [*["acme"] * 4, "umbrella"]


def test_calls_of_two_tenants_are_not_the_same(
    shop: Shop, buffered: Installed, invoice: Any
) -> None:
    with shop.boundary.scope(policy=Dedupe()) as effects:
        for name in ("acme", "umbrella", "acme"):
            with of(name):
                invoice.delay(1)
    assert len(effects.report.merged) == 1
    assert len(shop.sent) == 2


def test_what_a_sent_task_sets_stays_in_its_context(shop: Shop, buffered: Installed) -> None:
    """And what it calls is a follow-up of the call."""

    @shop.app.task(name="shop.switching", shared=False)
    def switching() -> None:
        assert tenant.get() == "acme"
        tenant.set("umbrella")
        shop.mail.delay()

    shop.app.conf.task_always_eager = True
    with shop.boundary.scope() as effects, of("acme"):
        switching.delay()
    assert tenant.get() == "public"
    assert [entry.wave for entry in effects.report] == [0, 1]


def test_a_scope_of_another_boundary_keeps_it_too(
    shop: Shop, buffered: Installed, invoice: Any, headers: list[Any]
) -> None:
    with Boundary({}).scope(), of("acme"):
        invoice.delay(1)
    assert headers == [("shop.invoice", "acme", "acme")]


def test_a_plan_keeps_what_a_base_class_made_of_the_call(
    shop: Shop, buffered: Installed, invoice: Any, headers: list[Any]
) -> None:
    with shop.boundary.scope(policy=Hold()) as effects, of("acme"):
        invoice.delay(1)
    with of("umbrella"):
        shop.boundary.apply(effects.plan())
    assert headers == [("shop.invoice", "umbrella", "acme")]


def test_a_call_that_was_emitted_as_a_value_is_stamped_when_it_is_sent(
    shop: Shop, buffered: Installed, invoice: Any, headers: list[Any]
) -> None:
    with of("umbrella"), shop.boundary.scope() as effects, of("acme"):
        effects.emit(CallTask(invoice.s(1)))
    assert headers == [("shop.invoice", "umbrella", "public")]


def test_a_resumed_call_has_its_context(shop: Shop, invoice: Any, headers: list[Any]) -> None:
    broken = [True]
    send = SendTasks(shop.app)

    def sometimes(intent: CallTask) -> None:
        if broken.pop():
            raise ConnectionError
        send(intent)

    boundary = Boundary({CallTask: sometimes})
    effects = boundary.scope()
    with install(shop.app, mode="buffer", boundary=boundary):
        with pytest.raises(airlock.FlushError), effects, of("acme"):
            invoice.delay(1)
        broken[:] = [False]
        effects.report.resume()
    assert headers == [("shop.invoice", "acme", "acme")]


def test_a_base_class_that_refuses_refuses_the_call(shop: Shop, buffered: Installed) -> None:
    """As celery-once does: its error is raised where it is caught today."""

    class Taken(Exception):  # noqa: N818 - as such libraries call it
        """Another call has the lock."""

    locked: set[str] = set()

    class Once(shop.app.Task):  # type: ignore[name-defined,misc]  # made by the app
        def apply_async(self, *args: Any, **options: Any) -> Any:
            if self.name in locked:
                raise Taken
            locked.add(self.name)
            return super().apply_async(*args, **options)

    @shop.app.task(name="shop.once", base=Once, shared=False)
    def once() -> None: ...

    with shop.boundary.scope() as effects:
        once.delay()
        with pytest.raises(Taken):
            once.delay()
    assert len(effects.report) == 1


def test_a_retry_of_a_task_with_a_base_class_is_celerys(shop: Shop, buffered: Installed) -> None:
    class Helping(shop.app.Task):  # type: ignore[name-defined,misc]  # made by the app
        def apply_async(self, *args: Any, **options: Any) -> Any:
            return self.helped(*args, **options)

        def helped(self, *args: Any, **options: Any) -> Any:
            return super().apply_async(*args, **options)

    @shop.app.task(name="shop.retried", base=Helping, bind=True, max_retries=1, shared=False)
    def retried(self: Any) -> None:
        if not self.request.retries:
            raise self.retry(countdown=0)
        shop.ran.append(self.request.retries)

    with shop.boundary.scope(policy=Drop()) as effects:
        retried.apply()
    assert (shop.ran, len(effects)) == ([1], 0)


@pytest.mark.parametrize("canvas", [chain, group])
def test_an_empty_canvas_is_what_it_is_in_celery(
    shop: Shop, buffered: Installed, canvas: Any
) -> None:
    buffered.uninstall()
    plain = canvas([], app=shop.app).apply_async()
    with (
        install(shop.app, mode="buffer", boundary=shop.boundary),
        shop.boundary.scope() as effects,
    ):
        result = canvas([], app=shop.app).apply_async()
    assert type(result) is type(plain)
    assert len(effects) == 0


class Tenant(Context):
    """The tenant of the context."""

    def capture(self) -> Mapping[str, str]:
        return {"tenant": tenant.get()}

    def restore(self, headers: Mapping[str, str], /) -> Any:
        return of(headers.get("tenant", "public"))


@pytest.mark.parametrize("ours", [True, False])
def test_a_context_of_the_boundary_restores_what_a_thread_keeps(
    shop: Shop, headers: list[Any], ours: bool
) -> None:
    """For canvases, whose base classes act when they are sent, and for receivers of the signal."""
    boundary = Boundary({CallTask: SendTasks(shop.app)}, context=[Tenant()])
    stamps: list[str] = []

    def stamp(**_: object) -> None:
        stamps.append(getattr(LOCAL, "tenant", "public"))

    before_task_publish.connect(stamp)
    with (
        install(shop.app, mode="buffer", boundary=boundary),
        (boundary if ours else Boundary({})).scope(),
        of("acme"),
    ):
        shop.receipt.delay(1)
        group(shop.receipt.s(2), shop.mail.s())()
    before_task_publish.disconnect(stamp)
    assert stamps == ["acme"] * 3
