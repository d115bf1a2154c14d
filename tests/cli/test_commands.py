"""Every command, as it is typed, with all that it prints.

To accept new texts, run these tests with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.transcripts import copied, measuring, played

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"), key=lambda p: p.name)


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_transcript_is_true(transcript: Path, tmp_path: Path) -> None:
    """Each begins in a folder of its own, with a copy of the project."""
    text = transcript.read_text("utf-8")
    found = played(text, copied(tmp_path))
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        transcript.write_text(found, "utf-8")
    assert found == transcript.read_text("utf-8")


CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def test_what_the_page_shows_is_true(tmp_path: Path) -> None:
    """Its blocks are typed one after the other, in one folder."""
    folder = copied(tmp_path)
    text = PAGE.read_text("utf-8")
    found = CONSOLE.sub(lambda block: played(block[0], folder), text)
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        PAGE.write_text(found, "utf-8")
    assert found == PAGE.read_text("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_there_are_tables_colours_and_a_question(tmp_path: Path) -> None:
    """And a bar; what stands there is the same."""
    folder = copied(tmp_path)
    told = typed(["intents", "bill"], folder)
    assert "bill.archive" in told
    assert "─" in told
    typed(["run", "--plan", "out.json", "--", "migrate.py"], folder)
    refused = typed(["plan", "apply", "out.json", "--boundary", "bill:boundary"], folder, b"n\n")
    assert "Apply it? [y/N]" in refused
    assert "sent" not in refused
    applied = typed(["plan", "apply", "out.json", "--boundary", "bill:boundary"], folder, b"y\n")
    assert "6 delivered" in applied
    assert "applying" in applied


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_who_resumes_on_a_terminal_is_asked_about_each_effect(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.json", "--", "migrate.py"], folder)
    (folder / "dies").touch()
    typed(["plan", "apply", "out.json", "--boundary", "bill:boundary", "--yes"], folder)
    (folder / "dies").unlink()
    arguments = ["plan", "resume", "out.json", "--boundary", "bill:boundary", "--yes"]
    told = typed(arguments, folder, b"retry\n")
    assert "1  SendBill(number=2)" in told
    assert "sent 2" in told
    assert "5 delivered" in told


def typed(arguments: list[str], folder: Path, answer: bytes = b"") -> str:
    """What a command shows on a terminal, where somebody answers."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "airlock", *arguments]
    environment = (
        os.environ | measuring() | {"TERM": "xterm-256color", "PYTHONDONTWRITEBYTECODE": "1"}
    )
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        os.write(ours, answer)
        shown = bytearray()
        with contextlib.suppress(OSError):  # which is how a terminal says that it is over
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_without_the_extra_one_is_told_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from airlock.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "pip install 'airlock-effects[cli]'" in ended.stderr
    assert "Traceback" not in ended.stderr
