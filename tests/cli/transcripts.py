"""Transcripts: what somebody types in a shell, and what they see. They are run, and compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent / "project"

VARIES = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:<digest>"),
    (re.compile(r"\b(?!00000000)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00)?"), "<moment>"),
    (re.compile(r'File "[^"<]*/(airlock/[\w/]+\.py)", line \d+'), r'File "<lib>/\1", line 0'),
    (re.compile(r"(?<=  )\d{1,2}[smh] {2,3}(?=\w)"), "0s   "),  # an age
    (re.compile(r"\bwaited for \d+[smh]\b"), "waited for 0s"),
    (re.compile(r'"oldest_due": [\d.e-]+'), '"oldest_due": 0.1'),
    (re.compile(r'"sealed": ?"[^"]+"'), '"sealed":"<sealed>"'),
    (re.compile(r"^\s+[~^]+\n", re.MULTILINE), ""),  # below lines of a traceback, from Python 3.13
)


def copied(folder: Path) -> Path:
    """A copy of the sample project."""
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    return folder


def commands(text: str) -> Iterator[str]:
    """What is typed: lines that begin with ``$``, and those that go on after a backslash."""
    for match in re.finditer(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE):
        yield match[1]


def played(text: str, folder: Path) -> str:
    """The transcript that comes of typing the commands of another one in a folder."""
    said = [f"$ {command}\n{_output(command, folder)}" for command in commands(text)]
    return "\n".join(said)


def measuring() -> dict[str, str]:
    """What makes other processes measure their coverage, if this one does."""
    coverage = sys.modules.get("coverage")
    if coverage is None or coverage.Coverage.current() is None:
        return {}
    here = Path(__file__).parent
    start, root = str(here / "coverage.ini"), str(here.parents[1])
    return {"COVERAGE_PROCESS_START": start, "AIRLOCK_COVERAGE": root}


def _output(command: str, folder: Path) -> str:
    """What a command prints, and its exit code if it is not 0."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    environment |= measuring()
    # What is printed is seen at once, as on a terminal, whatever ends the program.
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    ended = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    output = ended.stdout.replace(str(folder), "<folder>")
    for pattern, instead in VARIES:
        output = pattern.sub(instead, output)
    code = f"[exit code {ended.returncode}]\n" if ended.returncode else ""
    return output + code
