"""What docs/how-to/celery.md shows, run with a real worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from celery import Celery

from airlock.testing.queues import Program
from docs.shown import files, written
from tests.integrations import services
from tests.integrations.celery.brokers import delete, until

PAGE = Path(__file__).parents[3] / "docs/how-to/celery.md"
CONSOLE = re.compile(r"^\$ (celery .*) &\n\$ python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    """Its files, its commands, and the output that it shows; only the names of queues differ."""
    url, name = services.rabbitmq(), uuid4().hex[:8]
    names = {'"amqp://localhost"': f'"{url}"', '"effects"': f'"effects-{name}"'}
    names['default_queue = "shop"'] = f'default_queue = "shop-{name}"'
    shown = files(str(PAGE))
    for old, new in names.items():
        assert any(old in text for text in shown.values())
        shown = {file: text.replace(old, new) for file, text in shown.items()}
    written(shown, str(tmp_path))
    found = CONSOLE.search(PAGE.read_text("utf-8"))
    assert found is not None
    command, script, output = found.groups()
    command = command.replace("shop,effects", f"shop-{name},effects-{name}")
    environ = {"PYTHONPATH": str(tmp_path)}
    program = Program([sys.executable, "-m", *command.split()], tmp_path, environ, cwd=tmp_path)
    program.start({})
    try:
        done = subprocess.run(
            [sys.executable, script],
            cwd=tmp_path, env={**os.environ, **environ},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout == output, done.stderr
        first = "receipt for order 42 as 00000000-0000-0000-0000-00000000002a"
        assert first in PAGE.read_text("utf-8")
        until(lambda: first in program.output, f"delivered\n{program.output}")
        until(lambda: "receipt for order 43 as" in program.output, "the task's effect too")
    finally:
        program.stop()
        delete(Celery(broker=url, set_as_current=False), f"shop-{name}", f"effects-{name}")
