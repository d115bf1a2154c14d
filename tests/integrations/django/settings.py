"""The settings of the Django that is tested, in this process: two SQLite files and PostgreSQL.

``conftest.py`` sets it up. PostgreSQL is there as ``postgres`` if it answers, with a schema of its
own; a test that needs it asks ``services.postgresql()``, which skips where it does not.
"""

from __future__ import annotations

import atexit
import secrets
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.integrations import services

FOLDER = TemporaryDirectory(prefix="airlock-django-")
atexit.register(FOLDER.cleanup)
SCHEMA = f"airlock_django_{secrets.token_hex(4)}"


def sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{FOLDER.name}/{name}.sqlite3",
        "OPTIONS": {"timeout": 10},
    }


def postgresql() -> dict[str, dict[str, Any]]:
    """The database by its alias; nothing where none answers."""
    try:
        parts = urlsplit(services.postgresql())
    except (pytest.skip.Exception, pytest.fail.Exception):
        return {}
    return {
        "postgres": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.removeprefix("/"),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "OPTIONS": {"options": f"-c search_path={SCHEMA}"},
        }
    }


SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["*"]
DEBUG = False
USE_TZ = True
LOGGING_CONFIG = None  # logging is pytest's
DATABASES = {"default": sqlite("default"), "other": sqlite("other"), **postgresql()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    "tests.integrations.django.shop",
    "airlock.integrations.django",
    "airlock.integrations.django.outbox",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "tests.integrations.django.shop.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a quick one
