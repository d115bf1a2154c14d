"""Its only app: handlers that ask the database who they are connected with."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from asgiref.sync import sync_to_async
from django.apps import AppConfig
from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from airlock import Boundary, intent

LASTING = ("brief", "lasting", "checked")
LOG = Path(os.environ["AIRLOCK_TEST_LOG"])


@intent(kind="tests.lost.ask")
class Ask:
    """Its handler asks each database for the process that serves the connection."""

    label: str
    how: str = "sync"


def asked() -> dict[str, int | None]:
    """Return the processes by the name of the database; None where the connection is lost."""
    found = dict[str, int | None]()
    for name in LASTING:
        try:
            with connections[name].cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                [found[name]] = cursor.fetchone()
        except (InterfaceError, OperationalError):
            found[name] = None
    return found


def write(label: str, found: dict[str, int | None]) -> None:
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"label": label, "found": found}) + "\n")


def ask(intent: Ask) -> None:
    write(intent.label, asked())


IDLE = list[bool]()  # not empty if async handlers are to leave the database alone


async def ask_async(intent: Ask) -> None:
    if IDLE:
        found = dict[str, int | None]()
    elif intent.how == "to_thread":
        found = await asyncio.to_thread(asked)
    else:
        found = await sync_to_async(asked)()
    write(intent.label, found)


sync_boundary = Boundary({Ask: ask})
async_boundary = Boundary({Ask: ask_async})


class LostConfig(AppConfig):
    name = "tests.integrations.queues.lost"
    label = "lost"

    def ready(self) -> None:
        if settings.ENGINE == "django_tasks":
            from airlock.integrations.django_tasks import deliver_task

            deliver_task(async_boundary)
        if settings.ENGINE == "django_q":
            from airlock.integrations.django_q import deliver_task

            deliver_task(async_boundary)
