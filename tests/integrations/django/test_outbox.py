"""The outbox of a Django project: recorded with ``atomic()``, in tests too; its admin and its relay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from typing import Any

import attrs
import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

import airlock
from airlock import Allow, Boundary, Limit, Route, field, intent
from airlock.errors import NotRecordedError, PolicyError
from airlock.integrations.django.outbox import DjangoOutbox
from airlock.integrations.django.outbox.models import OutboxEntry
from airlock.integrations.django.transactions import on_commit
from airlock.wire import AesGcm, Wire
from tests.integrations.django.shop.models import Row

ALIASES = [alias for alias in ("default", "postgres") if alias in connections]


@intent(kind="django-outbox.mail")
class Mail:
    number: int


@intent(kind="django-outbox.login")
class Login:
    user: str
    token: str = field(sensitive=True)


@attrs.define
class Shop:
    alias: str
    outbox: DjangoOutbox
    boundary: Boundary
    delivered: list[Any] = attrs.field(factory=list)

    def scope(self, **options: Any) -> Any:
        return self.boundary.scope(release=on_commit(self.alias), **options)

    @property
    def recorded(self) -> int:
        return OutboxEntry.objects.using(self.alias).count()

    @property
    def rows(self) -> int:
        return Row.objects.using(self.alias).count()


def make(alias: str) -> Shop:
    outbox = DjangoOutbox(alias, wire=Wire(cipher=AesGcm(b"k" * 32)))
    shop = Shop(alias, outbox, Boundary({}))
    shop.boundary = Boundary(
        {Mail: shop.delivered.append, Login: shop.delivered.append},
        dispatch=Route({Mail: outbox, Login: outbox}),
    )
    return shop


@pytest.fixture(params=ALIASES)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    alias = request.param
    yield make(alias)
    OutboxEntry.objects.using(alias).all().delete()
    Row.objects.using(alias).all().delete()


def failing(shop: Shop, effects: Any, intent_: Any) -> None:
    """Emit in an ``atomic()`` that is rolled back."""
    with suppress(ZeroDivisionError), transaction.atomic(shop.alias):
        effects.emit(intent_)
        _ = 1 / 0


def write_under(shop: Shop, effects: Any, policy: Any) -> None:
    with transaction.atomic(shop.alias):
        Row.objects.using(shop.alias).create(text="order")
        with airlock.region(policy):
            effects.emit(Mail(1))


def test_one_transaction_holds_the_row_and_the_effect(shop: Shop) -> None:
    with shop.scope() as effects, transaction.atomic(shop.alias):
        Row.objects.using(shop.alias).create(text="order")
        effects.emit(Mail(1))
        assert shop.recorded == 0
    assert (shop.rows, shop.recorded) == (1, 1)
    assert [entry.outcome.word for entry in effects.report] == ["recorded"]
    assert shop.delivered == []


def test_a_rollback_records_nothing(shop: Shop) -> None:
    with shop.scope() as effects:
        failing(shop, effects, Mail(1))
        with transaction.atomic(shop.alias):
            effects.emit(Mail(2))
            failing(shop, effects, Mail(3))
    assert [e.kind for e in OutboxEntry.objects.using(shop.alias)] == ["django-outbox.mail"]
    assert sorted(entry.outcome.word for entry in effects.report) == [
        "discarded",
        "discarded",
        "recorded",
    ]


def test_a_policy_that_raises_keeps_the_commit_from_happening(shop: Shop) -> None:
    def broken(_: object) -> Any:
        raise ValueError("no verdict")

    with shop.scope() as effects:
        with pytest.raises(PolicyError):
            write_under(shop, effects, broken)
        # The connection is good for the next transaction.
        with transaction.atomic(shop.alias):
            Row.objects.using(shop.alias).create(text="next")
    assert [str(row) for row in Row.objects.using(shop.alias)] == ["next"]
    assert shop.recorded == 0


def test_a_limit_counts_on_across_the_transactions_of_a_scope(shop: Shop) -> None:
    with shop.scope(policy=Limit(2)) as effects:
        for number in range(3):
            with transaction.atomic(shop.alias):
                effects.emit(Mail(number))
    assert shop.recorded == 2


def test_in_autocommit_mode_it_is_refused_at_the_emission(shop: Shop) -> None:
    with shop.scope() as effects, pytest.raises(NotRecordedError):
        effects.emit(Mail(1))


def test_one_statement_records_all_of_a_transaction(shop: Shop) -> None:
    if shop.alias != "postgres":
        pytest.skip("SQLite takes them one by one")
    shop.outbox.require()  # the tables are looked at once, before the first row
    with (
        CaptureQueriesContext(connections[shop.alias]) as queries,
        shop.scope() as effects,
        transaction.atomic(shop.alias),
    ):
        for number in range(100):
            effects.emit(Mail(number))
    assert sum("airlock_outbox" in query["sql"] for query in queries) == 1
    assert shop.recorded == 100


class TestInATestCase(TestCase):
    """The outermost ``atomic()`` of the code under test is the transaction."""

    databases = frozenset({"default"})  # type: ignore[assignment]  # never changed

    def test_the_end_of_its_block_records(self) -> None:
        shop = make("default")
        with shop.scope() as effects:
            with transaction.atomic():
                effects.emit(Mail(1))
            assert shop.recorded == 1
            failing(shop, effects, Mail(2))
        assert shop.recorded == 1
        shop.outbox.drain(shop.boundary)
        assert shop.delivered == [Mail(1)]

    def test_what_cannot_be_recorded_rolls_the_block_back(self) -> None:
        shop = make("default")

        def broken(_: object) -> Any:
            raise ValueError("no verdict")

        with shop.scope(policy=broken) as effects:
            with pytest.raises(PolicyError):
                write_under(shop, effects, Allow())
            assert (shop.rows, shop.recorded) == (0, 0)


def test_the_relay_delivers(shop: Shop) -> None:
    with shop.scope() as effects, transaction.atomic(shop.alias):
        effects.emit(Mail(1))
        effects.emit(Login("ann", "s3cret"))
    shop.outbox.drain(shop.boundary)
    assert sorted(shop.delivered, key=repr) == [Login("ann", "s3cret"), Mail(1)]
    assert shop.recorded == 0


boundary: Boundary
urlpatterns = [path("admin/", admin.site.urls)]


def test_the_command_delivers_what_is_due(shop: Shop) -> None:
    with shop.scope() as effects, transaction.atomic(shop.alias):
        effects.emit(Mail(7))
    with project(shop):
        call_command("relay", "--drain", stdout=StringIO())
    assert shop.delivered == [Mail(7)]


def project(shop: Shop) -> Any:
    """Return the settings of a project whose boundary is that of the shop."""
    globals()["boundary"] = shop.boundary
    return override_settings(
        AIRLOCK={"BOUNDARY": f"{__name__}.boundary"},
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
    )


class TestAdmin(TestCase):
    """The admin shows effects without their secrets, and its actions run or discard them."""

    def setUp(self) -> None:
        self.shop = make("default")
        self.enterContext(project(self.shop))
        self.client = Client()
        self.client.force_login(User.objects.create_superuser("admin"))

    def record(self, *intents: Any) -> None:
        with self.shop.scope() as effects, transaction.atomic():
            for one in intents:
                effects.emit(one)

    def test_it_lists_and_filters_by_state_kind_and_age(self) -> None:
        self.record(Mail(1), Login("ann", "s3cret"))
        OutboxEntry.objects.filter(kind="django-outbox.login").update(state=1)
        url = "/admin/airlock_outbox/outboxentry/"
        everything = self.client.get(url).content.decode()
        assert "django-outbox.mail" in everything
        dead = self.client.get(url, {"is": "dead"})
        assert [e.kind for e in dead.context["cl"].queryset] == ["django-outbox.login"]
        old = self.client.get(url, {"age": "3600"})
        assert list(old.context["cl"].queryset) == []
        kind = self.client.get(url, {"kind": "django-outbox.mail"})
        assert [e.kind for e in kind.context["cl"].queryset] == ["django-outbox.mail"]

    def test_a_page_hides_sensitive_fields(self) -> None:
        self.record(Login("ann", "s3cret"))
        entry = OutboxEntry.objects.get()
        page = self.client.get(f"/admin/airlock_outbox/outboxentry/{entry.pk}/change/")
        text = page.content.decode()
        assert "ann" in text
        assert "s3cret" not in text

    def test_retry_makes_failed_ones_due(self) -> None:
        self.record(Mail(1), Mail(2))
        OutboxEntry.objects.update(state=1, attempts=12)
        self.act("retry")
        self.shop.outbox.drain(self.shop.boundary)
        assert self.shop.delivered == [Mail(1), Mail(2)]

    def test_discard_leaves_those_that_are_being_delivered(self) -> None:
        self.record(Mail(1), Mail(2))
        first = OutboxEntry.objects.order_by("seq")[0]
        OutboxEntry.objects.filter(pk=first.pk).update(lease_token="t", leased_by="w")
        self.act("discard")
        assert [e.pk for e in OutboxEntry.objects.all()] == [first.pk]

    def act(self, action: str) -> None:
        keys = [str(entry.pk) for entry in OutboxEntry.objects.all()]
        answer = self.client.post(
            "/admin/airlock_outbox/outboxentry/",
            {"action": action, "_selected_action": keys},
            follow=True,
        )
        assert answer.status_code == 200


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "airlock_outbox", "--check", "--dry-run", stdout=StringIO())


def test_the_tables_are_what_the_outbox_needs(shop: Shop) -> None:
    from airlock.outbox import schema

    assert shop.outbox.database.run(schema.check) == []
