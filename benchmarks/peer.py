"""airlock-py, which shares the import name: an environment of its own, and a process of its own.

The process lives for the whole run and measures one round when it is asked to, by its own clock, so
that its rounds are interleaved with everybody else's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.clock import BrokenError
from benchmarks.measure import NotInstalledError, Sample

NAME = "airlock-py"
HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".peer-venv"
STAMP = FOLDER / "installed"
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
MAIN = "import sys; sys.path.append(sys.argv[1]); from benchmarks.peer_child import main; main()"


class Peer:
    """The process, started when it is first asked."""

    def __init__(self) -> None:
        self.version = ""
        self._process: subprocess.Popen[str] | None = None
        self._why_not = ""

    def ask(self, task: str, **arguments: Any) -> Sample:
        """Let it measure one round.

        Raises:
            NotInstalledError: there is no airlock-py.
            BrokenError: it failed.
        """
        self.start()
        return _sample(self._exchange({"task": task, "arguments": arguments}))

    def start(self) -> None:
        """Install airlock-py unless it is there, and start its process.

        Raises:
            NotInstalledError: it cannot be installed; once asked for, not tried again.
        """
        if self._why_not:
            raise NotInstalledError(self._why_not)
        if self._process is not None:
            return
        try:
            python = install()
        except NotInstalledError as error:
            self._why_not = str(error)
            raise
        # Isolated: PYTHONPATH may name the sources that are measured, which have the same name.
        self._process = subprocess.Popen(
            [str(python), "-I", "-c", MAIN, str(HERE.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self._read()["version"]

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()  # closes its input, which ends it

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise BrokenError("its process is not running")
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        process = self._process
        line = process.stdout.readline() if process and process.stdout else ""
        if not line:
            raise BrokenError("its process has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BrokenError(answer["error"])
        return answer


def _sample(answer: dict[str, float]) -> Sample:
    if "loop" in answer:
        return Sample(answer["loop"] - answer["empty"], answer)
    return Sample(answer["value"])


def install() -> Path:
    """The interpreter that has airlock-py; the newest of the day it was first asked for.

    Remembered, so that a later run needs no network. Remove the folder to take a newer one.

    Raises:
        NotInstalledError: it cannot be installed.
    """
    if STAMP.is_file() and STAMP.read_text() == sys.version:
        return PYTHON
    print(f"installing {NAME} into {FOLDER.relative_to(HERE.parent)}", file=sys.stderr)
    try:
        _output(sys.executable, "-m", "venv", "--clear", str(FOLDER))
        pip = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        _output(*pip, "--pre", "--retries", "1", "--timeout", "15", NAME)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(FOLDER, ignore_errors=True)
        raise NotInstalledError(_reason(error)) from error
    (FOLDER / ".gitignore").write_text("*\n")
    STAMP.write_text(sys.version)
    return PYTHON


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _reason(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, OSError):
        return str(error)
    lines = f"{error.stdout}\n{error.stderr}".splitlines()
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith(("ERROR", "Error"))]
    return said[-1] if said else f"{error.cmd[2]} ended with {error.returncode}"
