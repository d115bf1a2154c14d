"""What the queues of Django have in common: a database, and a command that works."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection

from airlock.testing.queues import Program, QueueHarness
from tests.integrations.queues.proxy import Proxy

__all__ = ["DjangoHarness"]

ROOT = Path(__file__).parents[4]


class DjangoHarness(QueueHarness):
    def __init__(self, folder: Path, proxy: Proxy | None, *command: str) -> None:
        super().__init__(folder)
        self.proxy = proxy
        database = os.environ["AIRLOCK_TEST_WORKERS_DATABASE"]
        environ = {"AIRLOCK_TEST_DATABASE": database, "AIRLOCK_TEST_PATIENCE": "20"}
        if broker := os.environ.get("AIRLOCK_TEST_WORKERS_BROKER"):
            environ["AIRLOCK_TEST_BROKER"] = broker
        self.program = Program(
            [sys.executable, "-m", "django", *command], folder, environ, cwd=ROOT
        )
        self.lock: Any = None

    def start(self, environ: Mapping[str, str]) -> None:
        self.program.start(environ)

    def stop(self) -> None:
        self.program.stop()

    def kill(self) -> None:
        self.program.kill()

    def output(self) -> str:
        return self.program.output

    def disconnect(self) -> None:
        if self.proxy is not None:
            self.proxy.shut()
            return
        name = connection.settings_dict["NAME"]
        self.lock = sqlite3.connect(name, isolation_level=None, timeout=20)
        self.lock.execute("BEGIN EXCLUSIVE")

    def reconnect(self) -> None:
        if self.proxy is not None:
            self.proxy.open()
            return
        self.lock.execute("ROLLBACK")
        self.lock.close()
