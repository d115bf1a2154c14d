"""Kills the connections of a worker's handlers, and prints what they find before and after it.

Run it with the command of the worker and the names of what handlers do: sync, async, to_thread.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from airlock import Boundary
from airlock.testing.queues import Program
from tests.integrations.queues.lost import worker
from tests.integrations.queues.lost.apps import LOG, Ask

PATIENCE = 120


def found(label: str, program: Program) -> dict[str, Any]:
    """Wait for what the handler of a label has found."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        lines = LOG.read_text("utf-8").splitlines(keepends=True) if LOG.exists() else []
        for line in map(json.loads, (each for each in lines if each.endswith("\n"))):
            if line["label"] == label:
                return dict(line["found"])
        time.sleep(0.02)
    raise AssertionError(f"{label} was not delivered:\n{program.output[-3000:]}")


def gone(pid: int) -> bool:
    """Wait until a process of the database has ended."""
    end = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
            if cursor.fetchone() == (0,):
                return True
            time.sleep(0.02)
    return False


def tried(how: str, program: Program) -> dict[str, Any]:
    """Deliver, kill, and deliver twice."""
    boundary = Boundary({}, dispatch=worker.dispatch("sync" if how == "sync" else "async"))
    rounds = list[dict[str, Any]]()

    def deliver() -> dict[str, Any]:
        label = f"{how} {len(rounds)}"
        with boundary.scope() as effects:
            effects.emit(Ask(label, how))
        rounds.append(found(label, program))
        return rounds[-1]

    first = deliver()
    closed = gone(first["brief"])
    with connection.cursor() as cursor:
        for name in ("lasting", "checked"):
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [first[name]])
    deliver()
    deliver()
    return {"closed after its delivery": closed, "rounds": rounds}


def main(command: list[str], ways: list[str]) -> None:
    if settings.ENGINE.startswith("django"):
        call_command("migrate", verbosity=0)
    program = Program([sys.executable, "-m", *command], LOG.parent, cwd=Path.cwd())
    program.start(dict(os.environ))
    try:
        sys.stdout.write(json.dumps({how: tried(how, program) for how in ways}))
    finally:
        program.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
