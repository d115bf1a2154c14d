"""Django, set up once in this process; also for the pages of the documentation."""

from __future__ import annotations

import atexit
import os
from functools import cache

import django

__all__ = ["ready"]

SETTINGS = "tests.integrations.django.settings"


def set_up() -> None:
    """Nothing but Django itself is touched: logging stays as pytest has it.

    The variable is read once; programs that tests start have settings of their own.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    try:
        django.setup()
    finally:
        del os.environ["DJANGO_SETTINGS_MODULE"]


@cache
def ready() -> None:
    """Set Django up, with its tables in each database; they are gone at the end of the process."""
    set_up()
    from django.core.management import call_command
    from django.db import connections

    atexit.register(_clean)
    if "postgres" in connections:
        with connections["postgres"].cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {_schema()}")
    for alias in connections:
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
    connections.close_all()


def _clean() -> None:
    from django.db import connections

    if "postgres" in connections:
        with connections["postgres"].cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {_schema()} CASCADE")
    connections.close_all()


def _schema() -> str:
    from tests.integrations.django.settings import SCHEMA

    return SCHEMA
