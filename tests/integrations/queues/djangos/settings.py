"""Its settings: what differs is in the environment."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import django

ENGINE = os.environ["AIRLOCK_TEST_ENGINE"]  # django_tasks, orm, or redis
DATABASE = os.environ["AIRLOCK_TEST_DATABASE"]  # the URL of PostgreSQL, or the path of a file
BROKER = os.environ.get("AIRLOCK_TEST_BROKER")  # the URL of Redis
NAME = os.environ["AIRLOCK_TEST_QUEUE"]
PATIENCE = float(os.environ.get("AIRLOCK_TEST_PATIENCE", "20"))

SECRET_KEY = "of the tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["tests.integrations.queues.djangos.apps.WorkerConfig"]
LOGGING: dict[str, Any] = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

IMMEDIATE = {"transaction_mode": "IMMEDIATE"} if django.VERSION >= (5, 1) else {}
parts = urlsplit(DATABASE)
if parts.scheme.startswith("postgres"):
    DATABASES: dict[str, Any] = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": parts.hostname,
            "PORT": parts.port,
            "USER": parts.username,
            "PASSWORD": parts.password or "",
            "NAME": parts.path.lstrip("/"),
            "OPTIONS": {"connect_timeout": 2},
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "OPTIONS": {"timeout": PATIENCE, **IMMEDIATE},
        }
    }

if ENGINE == "django_tasks":
    INSTALLED_APPS += ["django_tasks_db"]
    TASKS_OF = "django.tasks" if find_spec("django.tasks") else "django_tasks"
    TASKS = {
        "default": {"BACKEND": "django_tasks_db.DatabaseBackend"},
        "immediate": {"BACKEND": f"{TASKS_OF}.backends.immediate.ImmediateBackend"},
    }
else:
    INSTALLED_APPS += ["django_q"]
    Q_CLUSTER: dict[str, Any] = {
        "name": NAME,
        "workers": 2,
        "timeout": 2,
        "retry": 3,
        "max_attempts": 3,
        "poll": 0.05,
        "guard_cycle": 0.1,
        "save_limit": 0,
        **({"redis": BROKER} if ENGINE == "redis" else {"orm": "default"}),
    }
