"""Django, set up once for every row that needs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airlock import Boundary
from benchmarks.contenders import NotifyWarehouse

__all__ = ["atomic", "boundary", "urlpatterns"]

boundary = Boundary({NotifyWarehouse: print})
urlpatterns: list[Any] = []


def atomic() -> Any:
    """``transaction.atomic``, on SQLite in memory."""
    set_up()
    return import_module("django.db.transaction").atomic


def set_up() -> None:
    """Configure Django, with one sync view and one async one."""
    settings = import_module("django.conf").settings
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="of the benchmark",  # noqa: S106 - nothing is signed
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["airlock.integrations.django"],
        LOGGING_CONFIG=None,
        AIRLOCK={"BOUNDARY": boundary},
    )
    import_module("django").setup()
    path, response = import_module("django.urls").path, import_module("django.http").HttpResponse

    def view(_: object) -> Any:
        return response()

    async def aview(_: object) -> Any:
        return response()

    urlpatterns.extend([path("view", view), path("aview", aview)])
