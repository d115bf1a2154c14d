"""The project in ``examples/django_celery``: its own tests, and every command of its README."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery

from tests.integrations import services

EXAMPLE = Path(__file__).parents[2] / "examples" / "django_celery"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "--- the end of a command ---"


def commands(readme: str) -> list[tuple[str, str]]:
    """Each command that is shown, with its output."""
    found: list[tuple[str, str]] = []
    for line in "".join(BLOCK.findall(readme)).splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        else:
            command, output = found[-1]
            found[-1] = (command, output + line)
    return found


def free_port() -> str:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return str(opened.getsockname()[1])


def run(script: str, folder: Path, environ: dict[str, str]) -> str:
    """What a shell prints. Whatever it has started is stopped."""
    here = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    # Other tests of this process have settings of their own.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=bare | environ | {"PATH": here},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=600)
    finally:
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(shell.pid, signal.SIGKILL)
    assert err == ""
    return out


def shown(output: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r" in [\d.]+s", " in some time", output).rstrip("\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README uses curl")
def test_each_command_of_the_readme_prints_what_it_shows(tmp_path: Path) -> None:
    broker, queue = services.rabbitmq(), f"airlock-{uuid4().hex[:12]}"
    folder = shutil.copytree(
        EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    told = commands((EXAMPLE / "README.md").read_text("utf-8"))
    script = "".join(f"{command}\necho '{END}'\n" for command, _ in told)
    for port in ("8000", "8001"):
        script = script.replace(port, free_port())
    try:
        environ = {"SHOP_BROKER": broker, "SHOP_QUEUE": queue}
        printed = run(script, folder, environ).split(f"{END}\n")
    finally:
        with Celery(broker=broker, set_as_current=False).connection_for_write() as connection:
            channel = connection.default_channel
            with suppress(Exception):  # the worker may not have come so far
                channel.queue_delete(queue)  # type: ignore[attr-defined]  # its stub is nearly empty
    assert [shown(output) for output in printed[:-1]] == [shown(output) for _, output in told]
    left = {path.name for path in folder.iterdir() if path.is_file()}
    assert left == {"README.md", "pyproject.toml", "manage.py"}


def test_its_modules_need_no_more_than_it_says() -> None:
    """What its own files import is the standard library, or in its ``pyproject.toml``."""
    declared = (EXAMPLE / "pyproject.toml").read_text("utf-8").lower()
    known = set(sys.stdlib_module_names) | {"shop"}
    for module in EXAMPLE.rglob("*.py"):
        for name in re.findall(r"^(?:from|import) (\w+)", module.read_text("utf-8"), re.MULTILINE):
            assert name in known or name in declared, f"{module.name} imports {name}"
