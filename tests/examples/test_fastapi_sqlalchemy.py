"""The project in ``examples/fastapi_sqlalchemy``: its own tests, and every command of its README."""

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

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_sqlalchemy"
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


def run(script: str, folder: Path) -> str:
    """What a shell prints. Whatever it has started is stopped."""
    here = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": here, "PYTHONWARNINGS": "error"},
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
    folder = shutil.copytree(
        EXAMPLE, tmp_path / "shop", ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    told = commands(readme)
    script = "".join(f"{command}\necho '{END}'\n" for command, _ in told)
    for port in ("8000", "8025", "8026"):
        script = script.replace(port, free_port())
    script = script.replace("sleep 1", "sleep 4")  # a machine that runs tests has other work too
    printed = run(script, folder).split(f"{END}\n")
    assert [shown(output) for output in printed[:-1]] == [shown(output) for _, output in told]
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "README.md",
        "pyproject.toml",
    }


def test_its_modules_need_no_more_than_it_says() -> None:
    """What its own files import is the standard library, or in its ``pyproject.toml``."""
    declared = (EXAMPLE / "pyproject.toml").read_text("utf-8").lower()
    known = set(sys.stdlib_module_names) | {"shop", "dependency_injector", "pydantic"}
    for module in EXAMPLE.rglob("*.py"):
        for name in re.findall(r"^(?:from|import) (\w+)", module.read_text("utf-8"), re.MULTILINE):
            assert name in known or name in declared, f"{module.name} imports {name}"
