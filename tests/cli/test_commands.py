"""Every command, as it is typed, with all that it prints.

To accept new texts, run these tests with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

from airlock.cli import airlock
from airlock.cli.failing import EXIT_CODES
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
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    refused = typed(["plan", "apply", "out.plan", "--boundary", "bill:boundary"], folder, b"n\n")
    assert "Apply it? [y/N]" in refused
    assert "sent" not in refused
    applied = typed(["plan", "apply", "out.plan", "--boundary", "bill:boundary"], folder, b"y\n")
    assert "6 delivered" in applied
    assert "applying" in applied


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_who_resumes_on_a_terminal_is_asked_about_each_effect(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    (folder / "dies").touch()
    typed(["plan", "apply", "out.plan", "--boundary", "bill:boundary", "--yes"], folder)
    (folder / "dies").unlink()
    arguments = ["plan", "resume", "out.plan", "--boundary", "bill:boundary", "--yes"]
    told = typed(arguments, folder, b"retry\n")
    assert "1  SendBill(number=2)" in told
    assert "sent 2" in told
    assert "5 delivered" in told


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_only_what_is_chosen_and_not_done_is_asked_about(tmp_path: Path) -> None:
    """The bar ends at as many."""
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    applying = ["plan", "apply", "out.plan", "--boundary", "bill:boundary"]
    told = typed([*applying, "--index", "0"], folder, b"y\n")
    assert "Apply 1 of 3 (1 bill.send)? [y/N]" in told
    assert "2/2" in told  # with the follow-up
    told = typed([*applying, "--kind", "bill.send"], folder, b"n\n")
    assert "Apply 2 of 3 (2 bill.send)? [y/N]" in told


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(
    ("answer", "code"), [(b"n\n", 5), (b"\n", 5), (b"\x04", 5), (b"\x03", 130)]
)
def test_a_no_and_an_interruption_have_exit_codes_of_their_own(
    tmp_path: Path, answer: bytes, code: int
) -> None:
    """The end of the input is a no."""
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    applying = ["plan", "apply", "out.plan", "--boundary", "bill:boundary"]
    told = typed(applying, folder, answer, awaited="[y/N]", code=code)
    assert "sent" not in told
    assert "Traceback" not in told
    assert ("Interrupted." in told) is (code == 130)
    assert not (folder / "out.plan.journal").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_an_interruption_at_work_has_its_exit_code_too(tmp_path: Path) -> None:
    """It says where to look, for some of the plan is done."""
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    (folder / "stuck.py").write_text(
        "import threading, bill, airlock\n"
        "def stick(intent):\n"
        "    print('at work')\n"
        "    threading.Event().wait()\n"
        "boundary = airlock.Boundary({bill.SendBill: stick})\n"
    )
    applying = ["plan", "apply", "out.plan", "--boundary", "stuck:boundary", "--yes"]
    told = typed(applying, folder, b"\x03", awaited="at work", code=130)
    assert "`airlock plan show out.plan` lists how far it came." in told
    assert "Interrupted." in told
    assert "Traceback" not in told
    (folder / "slow.py").write_text("print('loading'); import threading; threading.Event().wait()")
    told = typed(["check", "slow:boundary"], folder, b"\x03", awaited="loading", code=130)
    assert "Traceback" not in told


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(
    ("option", "refusal", "code"),
    [
        (["--journal", "two.plan.journal"], "another", 3),
        (["--index", "7"], "--index: 7 is no index", 2),
        (["--kind", "bill.sent"], "Did you mean 'bill.send'?", 2),
        (["--digest", "sha256:0"], "is not the plan that was asked for", 3),
    ],
)
def test_nobody_is_asked_about_what_is_refused(
    tmp_path: Path, option: list[str], refusal: str, code: int
) -> None:
    """A journal of another plan, and whatever else can be known before."""
    folder = copied(tmp_path)
    typed(["run", "--plan", "one.plan", "--", "migrate.py"], folder)
    typed(["run", "--plan", "two.plan", "--", "migrate.py"], folder)
    boundary = ["--boundary", "bill:boundary"]
    typed(["plan", "apply", "two.plan", *boundary, "--index", "0", "--yes"], folder)
    told = typed(["plan", "apply", "one.plan", *boundary, *option], folder, code=code)
    assert refusal in " ".join(told.split())
    assert "[y/N]" not in told


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_nobody_is_asked_about_a_plan_with_effects_that_may_have_happened(tmp_path: Path) -> None:
    """That question comes first, of ``resume``."""
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    (folder / "dies").touch()
    applying = ["plan", "apply", "out.plan", "--boundary", "bill:boundary"]
    typed([*applying, "--yes"], folder)
    (folder / "dies").unlink()
    told = typed(applying, folder, code=4)
    assert "airlock plan resume out.plan" in " ".join(told.split())
    assert "[y/N]" not in told


def test_the_picture_in_readme_is_of_this_demo() -> None:
    """`make picture` draws it; the demo prints what its transcript has."""
    root = PAGE.parents[2]
    drawn: dict[float, list[tuple[float, str]]] = {}
    for element in ET.parse(root / "docs" / "demo.svg").iterfind(".//{*}text[@clip-path]"):
        text = (element.text or "").replace("\N{NO-BREAK SPACE}", " ")
        drawn.setdefault(float(element.get("y", 0)), []).append((float(element.get("x", 0)), text))
    lines = ["".join(text for _, text in sorted(drawn[y])).rstrip() for y in sorted(drawn)]
    shown = [line for line in lines if line]
    transcript = Path(__file__).parent / "transcripts" / "demo.txt"
    printed = transcript.read_text("utf-8").partition("\n\n$ ")[0]
    assert [line.split() for line in shown] == [
        line.split() for line in printed.splitlines() if line
    ]
    assert 'src="docs/demo.svg"' in (root / "README.md").read_text("utf-8")


def _commands(command: click.Command, path: str = "airlock") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _commands(below, f"{path} {name}")


@pytest.mark.parametrize(("path", "command"), list(_commands(airlock)))
def test_help_fits_into_80_columns_in_whole_sentences(path: str, command: click.Command) -> None:
    # Not by a run of the group, which would refuse all effects of this process.
    context = click.Context(command, info_name=path, terminal_width=80)
    shown = command.get_help(context)
    assert max(map(len, shown.splitlines())) <= 80
    assert "\\b" not in shown
    assert not re.search(r"^  .*\w\.\.\.$", shown, re.MULTILINE), "a summary is cut"


def test_the_page_has_every_exit_code_in_these_words() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(code) for code, _ in rows] == list(EXIT_CODES)
    assert all(text.startswith(EXIT_CODES[int(code)]) for code, text in rows)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_errors_are_folded_between_words(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    typed(["run", "--plan", "out.plan", "--", "migrate.py"], folder)
    applying = ["plan", "apply", "out.plan", "--boundary", "shop:boundary", "--yes"]
    told = typed(applying, folder, code=3)
    whole = subprocess.run(
        [sys.executable, "-m", "airlock", *applying],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    lines = told.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert " ".join(told.split()) == " ".join(whole.split())


def typed(
    arguments: list[str],
    folder: Path,
    answer: bytes = b"",
    *,
    awaited: str = "",
    code: int | None = None,
) -> str:
    """What a command shows on a terminal, where somebody answers once they see what they await."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "airlock", *arguments]
    environment = (
        os.environ | measuring() | {"TERM": "xterm-256color", "PYTHONDONTWRITEBYTECODE": "1"}
    )
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=partial(_for_itself, theirs),  # noqa: PLW1509 - ^C is for it
    ) as process:
        os.close(theirs)
        shown, left = bytearray(), answer
        with contextlib.suppress(OSError):  # which is how a terminal says that it is over
            while True:
                if left and awaited.encode() in shown:
                    os.write(ours, left)
                    left = b""
                if not select.select([ours], [], [], 5)[0]:
                    # A key that came while readline took over the terminal is lost: press it again.
                    left = answer
                    continue
                part = os.read(ours, 4096)
                if not part:
                    break
                shown += part
    os.close(ours)
    if code is not None:
        assert process.returncode == code, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def _for_itself(terminal: int) -> None:
    """Make a terminal that of the process, and have ^C interrupt it, though it may be ignored here."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_without_the_extra_one_is_told_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from airlock.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "pip install 'airlock-effects[cli]'" in ended.stderr
    assert "Traceback" not in ended.stderr
