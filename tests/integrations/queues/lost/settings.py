"""Its settings: one database under four names, whose connections last differently."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

ENGINE = os.environ["AIRLOCK_TEST_ENGINE"]
QUEUE = os.environ["AIRLOCK_TEST_QUEUE"]
REDIS = os.environ["AIRLOCK_TEST_REDIS"]
parts = urlsplit(os.environ["AIRLOCK_TEST_DATABASE"])


def database(**options: Any) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "NAME": parts.path.lstrip("/"),
        **options,
    }


DATABASES = {
    "default": database(),  # the engine's own
    "brief": database(),
    "lasting": database(CONN_MAX_AGE=None),
    "checked": database(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True),
}
SECRET_KEY = "of the tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["tests.integrations.queues.lost.apps.LostConfig"]
if ENGINE == "django_tasks":
    INSTALLED_APPS += ["django_tasks_db"]
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
if ENGINE == "django_q":
    INSTALLED_APPS += ["django_q"]
    Q_CLUSTER = {
        "name": QUEUE,
        "workers": 1,
        "timeout": 60,
        "retry": 90,
        "poll": 0.05,
        "guard_cycle": 0.1,
        "orm": "default",
    }
