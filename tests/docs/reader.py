"""A reader of a page: somebody who saves its files, and types its commands, in a project of their own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from docs.shown import blocks, files, written

__all__ = ["DOCS", "Reader", "free_port", "post", "until"]

DOCS = Path(__file__).parents[2] / "docs"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Names of the test run mean nothing in a project of the reader's own.
OURS = ("PYTEST_", "COV_", "DJANGO_SETTINGS_MODULE", "PYTHONPATH")


class Reader:
    """Somebody who follows a page in a folder outside of the repository.

    Args:
        page: its path below ``docs``.
        folder: an empty one.
    """

    def __init__(self, page: str, folder: Path) -> None:
        self.path = DOCS / page
        self.folder = folder
        self.text = self.path.read_text("utf-8")
        scripts = str(Path(sys.executable).parent)
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        self.environ["PATH"] = f"{scripts}{os.pathsep}{self.environ['PATH']}"

    def save(self, *names: str) -> dict[str, str]:
        """Save the files that the page shows: all of them, or these."""
        shown = {n: t for n, t in files(str(self.path)).items() if not names or n in names}
        missing = set(names) - set(shown)
        if missing:
            raise LookupError(f"{self.path.name} shows no {', '.join(sorted(missing))}")
        written(shown, str(self.folder))
        return shown

    def save_program(self, name: str) -> None:
        """Save the ``python`` blocks of the page as one file, without those that it does not show."""
        self.write(name, "\n\n".join(blocks(str(self.path))))

    def write(self, name: str, text: str) -> None:
        """Write a file that a page takes for granted."""
        written({name: text}, str(self.folder))

    def types(self, command: str, *, fails: bool = False) -> str:
        """Return what a command prints.

        Raises:
            AssertionError: it failed, or did not fail though it should.
        """
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if bool(ended.returncode) is not fails:
            raise AssertionError(f"$ {command}\n{ended.stdout}{ended.stderr}")
        return ended.stdout + (ended.stderr if fails else "")

    def consoles(self) -> Iterator[str]:
        """Yield the transcripts of the page, but for those that only install."""
        yield from (text for text in CONSOLE.findall(self.text) if "$ pip install" not in text)

    def plays(self, transcript: str) -> str:
        """Return a transcript as it is when its commands are typed here."""
        text = ""
        for line in transcript.splitlines():
            if line.startswith("$ export "):
                name, _, value = line.removeprefix("$ export ").partition("=")
                self.environ[name] = value
                text += f"{line}\n"
            elif line.startswith("$ "):
                printed = self.types(line.removeprefix("$ "))
                text += f"{line}\n" + "".join(f"{s.rstrip()}\n" for s in printed.splitlines())
        return text

    @contextmanager
    def running(self, command: str) -> Iterator[Callable[[], str]]:
        """Run a command, such as a server, while the block does; yields what it has printed so far."""
        log = self.folder / "output.txt"
        with log.open("w") as output:
            program = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield log.read_text
        finally:
            program.terminate()
            program.wait()


def until(holds: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait until something holds.

    Args:
        holds: asked again and again.
        what: describes the state, for the failure.

    Raises:
        AssertionError: it does not hold after a minute.
    """
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(what())
        time.sleep(0.05)


def free_port() -> int:
    """Return the number of a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def post(url: str) -> tuple[int, str]:
    """Return status and text of the answer to a POST; a status of 0 where nobody listens."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""
