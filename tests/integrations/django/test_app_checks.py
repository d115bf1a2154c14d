"""``manage.py check`` tells of settings, wiring and middleware."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from dependency_injector import containers, providers
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client, override_settings

import airlock
from airlock import Boundary, Handles
from airlock.boundary.check import Check
from airlock.effects.registry import declared
from airlock.migration.django import RunCallback
from tests.integrations.django import pages
from tests.integrations.django.pages import MIDDLEWARE, Note, done
from tests.integrations.django.test_app_middleware import PAGES, serving

AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"


class Whole(Boundary):
    """The tests of the whole suite declare intents that no boundary here handles."""

    def check(self, intents: Iterable[type[Any]] | None = None, **how: Any) -> Check:
        every = declared() if intents is None else intents
        known = [cls for cls in every if cls is Note or cls.__module__.startswith("airlock.")]
        return super().check(known, **how)


@pytest.fixture
def whole() -> Boundary:
    return Whole({Note: print})


def told(*middleware: str, **said: Any) -> dict[str | None, CheckMessage]:
    with serving(*middleware, **said):
        return {message.id: message for message in run_checks(tags=["airlock"])}


def test_there_is_nothing_to_say_where_all_is_well(whole: Boundary) -> None:
    assert told(BOUNDARY=whole) == {}


def test_intents_without_a_handler() -> None:
    messages = told(BOUNDARY=Whole({}))
    assert "no handler for Note (declared at" in messages["airlock.W001"].msg


def test_intents_of_airlock_itself_need_no_handler(whole: Boundary) -> None:
    """What emits them is installed, and refuses a boundary that has none."""
    assert RunCallback in declared()
    assert told(BOUNDARY=whole) == {}


def test_handlers_that_must_be_awaited() -> None:
    messages = told(BOUNDARY=Whole({Note: pages.take_async}))
    assert "is async" in messages["airlock.W002"].msg
    assert messages["airlock.W002"].hint


def takes(note: Note, client: object) -> None: ...


def test_a_dependency_that_nothing_supplies() -> None:
    class Unset(containers.DeclarativeContainer):
        client: Any = providers.Dependency()
        note = Handles(Note, takes, client=client)

    assert "`client` is not defined" in told(BOUNDARY=Whole(Unset()))["airlock.W008"].msg


def test_another_distribution_of_that_name(whole: Boundary, monkeypatch: Any) -> None:
    monkeypatch.setattr("airlock.boundary.boundary.conflicts", lambda: ("airlock-py is there too",))
    assert told(BOUNDARY=whole)["airlock.W003"].msg == "airlock-py is there too"


def test_the_middleware_is_missing(whole: Boundary) -> None:
    with override_settings(MIDDLEWARE=[AUTH], AIRLOCK={"BOUNDARY": whole}):
        assert "airlock.W004" in {message.id for message in run_checks(tags=["airlock"])}


def test_the_middleware_is_there_twice(whole: Boundary) -> None:
    messages = told(MIDDLEWARE, AUTH, MIDDLEWARE, BOUNDARY=whole)
    assert "is there 2 times, at 0, 2" in messages["airlock.E002"].msg


def test_headers_are_asked_before_there_is_a_user(
    whole: Boundary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def headers(request: Any) -> dict[str, str]:
        return {"user": request.user.username}

    early = told(MIDDLEWARE, SESSION, AUTH, BOUNDARY=whole, HEADERS=headers)
    assert f"calls HEADERS before {SESSION}, {AUTH}" in early["airlock.W005"].msg
    assert told(SESSION, AUTH, MIDDLEWARE, BOUNDARY=whole, HEADERS=headers) == {}
    assert told(MIDDLEWARE, SESSION, AUTH, BOUNDARY=whole) == {}

    from django.contrib.auth.middleware import AuthenticationMiddleware

    derived = type("Derived", (AuthenticationMiddleware,), {})
    monkeypatch.setattr(pages, "Derived", derived, raising=False)
    late = told(MIDDLEWARE, f"{PAGES}.Derived", BOUNDARY=whole, HEADERS=headers)
    assert f"{PAGES}.Derived" in late["airlock.W005"].msg


BINDING = [
    "django.middleware.locale.LocaleMiddleware",
    f"{PAGES}.in_zone",
    f"{PAGES}.WithTenant",
    f"{PAGES}.WithUser",
    f"{PAGES}.with_request_id",
]


@pytest.mark.parametrize("path", BINDING)
def test_the_middleware_is_outside_of_what_another_one_binds(whole: Boundary, path: str) -> None:
    """A language, a time zone, a tenant, a user, an id: in what others write, too."""
    outside = told(MIDDLEWARE, SESSION, path, BOUNDARY=whole)
    assert f"stands before {path}: handlers" in outside["airlock.W009"].msg
    assert told(SESSION, path, MIDDLEWARE, BOUNDARY=whole) == {}


def test_middleware_that_binds_nothing_may_stand_anywhere(whole: Boundary) -> None:
    others = [path for path in ordinary() if path not in BINDING]
    assert len(others) > 10
    assert told(MIDDLEWARE, f"{PAGES}.Forgiving", f"{PAGES}.reads", *others, BOUNDARY=whole) == {}


def ordinary() -> list[str]:
    """The middleware of Django itself."""
    modules = ["cache", "clickjacking", "common", "csrf", "gzip", "http", "locale", "security"]
    paths = [f"django.middleware.{module}" for module in modules]
    paths += [f"django.contrib.{app}.middleware" for app in ("auth", "messages", "sessions")]
    return [
        f"{path}.{name}"
        for path in paths
        for name, found in vars(import_module(path)).items()
        if name.endswith("Middleware") and found.__module__ == path
    ]


def test_a_command_that_does_not_exist(whole: Boundary) -> None:
    messages = told(BOUNDARY=whole, COMMANDS={"*": "run", "loaddat": "drop", "migrate": "run"})
    assert "names 'loaddat', and there is no such command" in messages["airlock.W006"].msg
    assert messages["airlock.W006"].hint == "Did you mean 'loaddata'?"


def test_effects_that_failed_in_this_process() -> None:
    with serving(BOUNDARY=Whole({Note: pages.take})):
        Client().get("/note/fails")
        messages = {message.id: message for message in run_checks(tags=["airlock"])}
    assert "effects of 1 requests or commands" in messages["airlock.W007"].msg


def test_what_was_emitted_without_a_scope(whole: Boundary, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(BOUNDARY=whole, NO_SCOPE="drop"):
        assert run_checks(tags=["airlock"]) == []
        monkeypatch.setattr("sys.argv", ["manage.py", "check"])
        (none,) = run_checks(tags=["airlock"])
        monkeypatch.undo()
        airlock.emit(Note("a"))
        airlock.emit(Note("b"))
        (some,) = run_checks(tags=["airlock"])
    assert none.id == some.id == "airlock.I001"
    assert "so far: none." in none.msg
    assert "so far: django-app.note 2." in some.msg


def test_wrong_settings_are_errors_and_no_tracebacks() -> None:
    done.clear()
    with (
        serving(BOUNDARY="shop.effects.boundary", KEEPS=1),
        pytest.raises(SystemCheckError) as raised,
    ):
        call_command("check", stderr=StringIO())
    text = str(raised.value)
    assert "(airlock.E001) settings.AIRLOCK: 'KEEPS' is no setting of it." in text
    assert "HINT: Did you mean 'KEEP'?" in text
    assert "'shop.effects.boundary', which does not import" in text


def test_a_middleware_that_does_not_import_is_not_our_business(whole: Boundary) -> None:
    assert told("shop.nothing.Here", MIDDLEWARE, BOUNDARY=whole) == {}
