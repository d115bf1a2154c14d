"""What the pages about queues show is what happens: their files and commands, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from airlock.testing.queues import Program
from docs.shown import files, written
from tests.integrations.celery.brokers import until

DOCS = Path(__file__).parents[3] / "docs" / "how-to"
TRANSCRIPT = re.compile(r"^```console\n(\$ export .*?)^```$", re.MULTILINE | re.DOTALL)


def said(transcript: str, folder: Path) -> str:
    """The commands of a transcript, and what they say."""
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    text = ""
    for line in transcript.splitlines():
        if line.startswith("$ export "):
            name, _, value = line.removeprefix("$ export ").partition("=")
            environ[name] = value
            text += f"{line}\n"
        elif line.startswith("$ "):
            ran = subprocess.run(
                ["bash", "-c", line.removeprefix("$ ")],
                cwd=folder,
                env=environ | {"PYTHONPATH": str(folder)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            errors = ran.stderr if ran.returncode else ""
            said = "".join(f"{part.rstrip()}\n" for part in ran.stdout.splitlines())
            text += f"{line}\n{said}{errors}"
    return text


@pytest.mark.parametrize("page", ["django-tasks", "django-q"])
def test_a_page_of_django_is_true(page: str, tmp_path: Path) -> None:
    """The project that it shows does what it says."""
    if page == "django-tasks":
        pytest.importorskip("django_tasks_db", reason="pip install django-tasks-db")
    path = DOCS / f"{page}.md"
    written(files(str(path)), str(tmp_path))
    (tmp_path / "shop" / "__init__.py").touch()
    (transcript,) = TRANSCRIPT.findall(path.read_text("utf-8"))
    assert said(transcript, tmp_path) == transcript


def test_the_page_of_huey_is_true_with_django(tmp_path: Path) -> None:
    """The project that it shows sends, and its consumer delivers."""
    page = (DOCS / "huey.md").read_text("utf-8")
    written(files(str(DOCS / "huey.md")), str(tmp_path))
    (tmp_path / "shop" / "__init__.py").touch()
    (transcript,) = TRANSCRIPT.findall(page)
    assert said(transcript, tmp_path) == transcript
    (delivered,) = re.findall(r"^```console\n(sending .*\n)```$", page, re.MULTILINE)
    assert "`python -m django run_huey`" in page
    environ = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)}
    consumer = Program(
        [sys.executable, "-m", "django", "run_huey"], tmp_path, environ, cwd=tmp_path
    )
    consumer.start({})
    try:
        until(lambda: delivered in consumer.output, f"delivered\n{consumer.output}")
    finally:
        consumer.stop()


def test_the_page_that_teaches_the_contract_passes_it(tmp_path: Path) -> None:
    """The queue that it builds keeps every rule of which it does not say otherwise."""
    ran = contract(files(str(DOCS / "write-a-queue-integration.md")), tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "22 passed" in ran.stdout


LOSES = 'taken.rename(taken.with_suffix(".job"))'
STOPS = """\
        stopped = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
        while not stopped:
"""


def test_an_engine_that_forks_and_gives_nothing_to_another_worker_is_found(tmp_path: Path) -> None:
    """By exactly that check: the process that runs the job has a session of its own, and may end it."""
    shown = files(str(DOCS / "write-a-queue-integration.md"))
    assert LOSES in shown["shelf.py"]
    assert "def run(" in shown["shelf.py"]
    shelf = shown["shelf.py"].replace(LOSES, "pass").replace("def run(", "def run_here(")
    assert "        while True:\n" in shelf
    shelf = shelf.replace(
        "        while True:\n", STOPS
    )  # with no job in hand, or it would lose it
    forks = """
    def run(self, job, file):
        if pid := os.fork():
            os.waitpid(pid, 0)
        else:
            os.setsid()
            self.run_here(job, file)
            os._exit(0)
"""
    test = "class TestShelf(QueueContract):\n    patience, quiet, slow = 20, 0.2, 3"
    assert "class TestShelf(QueueContract):" in shown["test_shelf.py"]
    changed = {
        "shelf.py": "import os\nimport signal\n" + shelf + forks,
        "test_shelf.py": shown["test_shelf.py"].replace("class TestShelf(QueueContract):", test),
    }
    ran = contract({**shown, **changed}, tmp_path)
    assert "test_a_killed_worker_loses_nothing" in ran.stdout, ran.stdout + ran.stderr
    assert "1 failed, 21 passed" in ran.stdout, ran.stdout + ran.stderr


def contract(shown: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a queue."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-W", "error"],
        cwd=written(shown, str(folder)),
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
