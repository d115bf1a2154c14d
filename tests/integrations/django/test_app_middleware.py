"""One scope for each request, as WSGI serves it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings

import airlock
from airlock import Boundary, Drop
from airlock.errors import OpenRegionsError, ScopeOrderError, SettingError
from airlock.scopes.current import NOWHERE, here
from tests.integrations.django import pages
from tests.integrations.django.pages import MIDDLEWARE, Note, boundary, done
from tests.integrations.django.shop.models import Row

PAGES = "tests.integrations.django.pages"


def serving(*middleware: str, **airlock_: Any) -> Any:
    """The settings of a project with these middleware, and these of ours."""
    return override_settings(
        AIRLOCK={"BOUNDARY": f"{PAGES}.boundary", **airlock_},
        MIDDLEWARE=list(middleware or [MIDDLEWARE]),
        ROOT_URLCONF=PAGES,
    )


@pytest.fixture(autouse=True)
def _served() -> Iterator[None]:
    done.clear()
    with serving():
        yield
    assert here.get() is NOWHERE
    Row.objects.all().delete()


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("path", ["/note/a", "/given/a"])
def test_effects_happen_before_the_response_is_returned(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.content == b""
    assert done == ["a"]


def test_the_report_is_that_of_the_request(client: Client) -> None:
    response: Any = client.get("/note/a")
    assert response.wsgi_request.effects.report.delivered == [Note("a")]


def test_a_scope_in_a_view_is_a_part_of_the_request(client: Client) -> None:
    response: Any = client.get("/inner")
    assert done == ["inner"]
    assert response.wsgi_request.effects.report.delivered == [Note("inner")]


def test_a_request_that_emits_nothing_has_a_report_too(client: Client) -> None:
    response: Any = client.get("/noop")
    assert list(response.wsgi_request.effects.report) == []


@pytest.mark.parametrize(
    ("code", "kept"),
    [(200, True), (302, True), (399, True), (400, False), (404, False), (500, False)],
)
def test_the_status_decides(client: Client, code: int, kept: bool) -> None:
    client.get(f"/status/{code}")
    assert done == ([str(code)] if kept else [])


@pytest.mark.parametrize("path", ["/crash", "/missing", "/forbidden"])
def test_an_exception_discards(client: Client, path: str) -> None:
    client.get(path)
    assert done == []


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/crash", ("KeyError", 500)),
        ("/missing", ("Http404", 404)),
        ("/forbidden", ("PermissionDenied", 403)),
        ("/status/418", ("NoneType", 418)),
        ("/note/a", ("NoneType", 200)),
        ("/note/a?in-middleware", ("KeyError", 500)),
    ],
)
def test_keep_is_asked_with_the_exception_and_the_status(
    client: Client, path: str, asked: tuple[str, int]
) -> None:
    seen: list[tuple[str, int]] = []

    def keep(error: BaseException | None, status: int) -> bool:
        seen.append((type(error).__name__, status))
        return True

    with serving(MIDDLEWARE, f"{PAGES}.crashing", KEEP=keep):
        client.get(path)
    assert set(seen) == {asked}
    assert done[0] == "of a middleware"


def test_an_exception_that_another_middleware_answers_for_is_one_still(client: Client) -> None:
    with serving(f"{PAGES}.Forgiving", MIDDLEWARE):
        assert client.get("/crash").content == b"never mind"
    assert done == []


def test_unless_it_answers_before_the_request_comes_back(client: Client) -> None:
    with serving(MIDDLEWARE, f"{PAGES}.Forgiving"):
        assert client.get("/crash").content == b"never mind"
    assert done == ["crash"]


def test_a_commit_is_kept_whatever_comes_after_it(client: Client) -> None:
    client.get("/save/a?crash")
    client.get("/save/b?status=500")
    assert done == ["a", "b"]
    assert Row.objects.count() == 2


def test_a_rollback_is_not_although_its_error_was_caught(client: Client) -> None:
    client.get("/unsave/a")
    assert done == ["caught"]
    assert not Row.objects.exists()


def test_without_a_database_the_response_decides_alone(client: Client) -> None:
    with serving(DATABASE=None):
        client.get("/unsave/a")
        client.get("/save/b?crash")
    assert done == ["a", "caught"]


def test_with_atomic_requests_the_effects_follow_the_commit(client: Client) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert client.get("/whole/a").content == b"True"
        assert client.get("/whole/b?crash").status_code == 500
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert done == ["a"]
    assert [row.text for row in Row.objects.all()] == ["a"]


def test_a_request_in_a_transaction_waits_for_its_commit(client: Client) -> None:
    """As where a middleware around ours, or a test, has one open."""
    from django.db import transaction

    with transaction.atomic():
        client.get("/save/a")
        assert done == []
    assert done == ["a"]


def test_an_error_of_what_that_commit_releases_is_counted_too(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    from django.db import transaction

    from airlock.integrations.django import counts

    with transaction.atomic():
        client.get("/save/fails")
        assert counts().flush_errors == 0
    assert counts().flush_errors == 1
    assert "effects of GET /save/fails failed" in caplog.text


def test_an_error_of_a_handler_is_logged_counted_and_in_the_report(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    from airlock.integrations.django import counts

    response: Any = client.get("/save/fails")
    assert response.status_code == 200
    assert response.wsgi_request.effects.report.failed == [Note("fails")]
    assert "effects of GET /save/fails failed" in caplog.text
    assert "the warehouse does not answer" in caplog.text
    assert counts().flush_errors == 1


def test_or_raised(client: Client) -> None:
    with serving(ON_FLUSH_ERROR="raise"):
        assert client.get("/note/fails").status_code == 500


def test_a_path_is_shown_in_logs_on_one_line(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/note/fails%0Aforged")
    assert r"effects of 'GET /note/fails\nforged' failed" in caplog.text
    assert "fails\nforged" not in caplog.text


def test_a_slow_handler_is_warned_of_with_the_way_out(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/note/slow")
    assert "django-app.note took " in caplog.text
    assert "dispatch=Route(" in caplog.text


def test_unless_nobody_wants_to_know(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with serving(SLOW=None):
        client.get("/note/slow")
    assert "took" not in caplog.text


def test_headers_ride_on_the_intents_of_the_request(client: Client) -> None:
    seen: list[str] = []

    def handler(intent: Note) -> None:
        seen.append(airlock.delivery().headers["tenant"])

    with serving(
        BOUNDARY=airlock.Boundary({Note: handler}),
        HEADERS=lambda request: {"tenant": request.headers["X-Tenant"]},
    ):
        client.get("/note/a", headers={"X-Tenant": "acme"})
    assert seen == ["acme"]


@pytest.mark.parametrize(
    "how", ["crash", "status=200", "status=400", "crash&independent", "independent"]
)
def test_a_scope_that_a_view_leaves_open_does_not_reach_the_next_request(
    client: Client, how: str
) -> None:
    client.get(f"/leak?{how}")
    assert here.get() is NOWHERE
    client.get("/note/a")
    client.get("/crash")
    client.get("/note/b")
    assert "leaked" not in done
    assert done[-2:] == ["a", "b"]


def test_a_scope_left_open_by_a_view_that_succeeds_is_told(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    response: Any = client.get("/leak")
    assert response.status_code == 200
    assert response.wsgi_request.effects.report.delivered == [Note("before the leak")]
    assert response.wsgi_request.effects.report.discarded == [Note("leaked")]
    assert any(isinstance((r.exc_info or (0, 0))[1], ScopeOrderError) for r in caplog.records)
    assert "cannot leave the scope of GET /leak here" in caplog.text


def test_a_keep_setting_that_raises_is_told_and_what_was_committed_is_delivered(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(KEEP=lambda error, status: status.missing):
        client.get("/save/a")
        client.get("/note/b")
    assert done == ["a"]
    assert caplog.text.count("AttributeError") == 2


def test_a_task_that_outlives_the_request_keeps_back_nothing_but_its_own(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/outlived")
    assert done == ["a", "b"]
    (record,) = [r for r in caplog.records if r.exc_info]
    assert isinstance((record.exc_info or (0, 0))[1], OpenRegionsError)


def test_a_scope_that_something_left_open_in_the_thread_takes_no_requests(client: Client) -> None:
    leaked = boundary.scope()
    leaked.enter()
    try:
        client.get("/save/a")
        assert done == ["a"]
    finally:
        leaked.exit()
        leaked.discard()


def test_a_test_may_enclose_requests(client: Client) -> None:
    with airlock.enclose(Drop()):
        client.get("/save/a")
    assert done == []


def test_the_body_of_a_stream_is_after_the_request(client: Client) -> None:
    response: Any = client.get("/stream")
    assert done == ["before the body"]
    assert response.getvalue() == b"no scope,before the body,in a scope of its own"


def test_a_thread_of_a_view_has_no_scope(client: Client) -> None:
    client.get("/thread")
    assert done == ["NoScopeError"]


def test_a_handler_may_ask_the_database(client: Client) -> None:
    client.get("/rows")
    assert done == ["0 rows"]


def test_an_async_handler_is_refused_and_nothing_is_lost(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(BOUNDARY=pages.async_boundary):
        response: Any = client.get("/note/a")
    assert response.wsgi_request.effects.report.pending == [Note("a")]
    assert "must be awaited" in caplog.text


@pytest.mark.parametrize("second", [MIDDLEWARE, f"{PAGES}.Ours"])
def test_twice_is_refused_at_the_start(second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airlock.integrations.django import EffectsMiddleware

    monkeypatch.setattr(pages, "Ours", type("Ours", (EffectsMiddleware,), {}), raising=False)
    with (
        serving(MIDDLEWARE, second),
        pytest.raises(SettingError, match="is there 2 times, at 0, 1"),
    ):
        Client().get("/noop")


def test_twice_is_refused_where_it_was_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from airlock.integrations.django import EffectsMiddleware

    monkeypatch.setattr(pages, "factory", partial(EffectsMiddleware), raising=False)
    with serving(MIDDLEWARE, f"{PAGES}.factory"), pytest.raises(SettingError, match="already"):
        Client().get("/note/a")
    assert done == []


def test_the_app_must_be_installed() -> None:
    with (
        override_settings(INSTALLED_APPS=["tests.integrations.django.shop"]),
        pytest.raises(SettingError, match=r"INSTALLED_APPS.*is missing"),
    ):
        Client().get("/noop")


def test_wrong_settings_are_refused_before_the_first_request() -> None:
    with serving(KEEPS=1), pytest.raises(SettingError, match="Did you mean 'KEEP'"):
        Client().get("/noop")


def test_what_other_middleware_binds_is_there_in_handlers() -> None:
    """Of those that stand before ours; those after it have ended."""
    binders = [f"{PAGES}.{name}" for name in ("WithTenant", "WithUser", "with_request_id")]
    boundary = Boundary({Note: pages.tell_tenant})
    for middleware in ([*binders, MIDDLEWARE], [MIDDLEWARE, *binders]):
        done.clear()
        with serving(*middleware, BOUNDARY=boundary):
            Client().get("/note/a", headers={"X-Tenant": "acme"})
        inside = middleware[-1] == MIDDLEWARE
        assert done == ["acme, ann, 42" if inside else "nobody, None, -"]
