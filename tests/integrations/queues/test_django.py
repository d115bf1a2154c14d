"""The queues of Django pass the contract, each in a process that has the settings for it.

Its checks run there once, and what became of each is told here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4
from xml.etree import ElementTree as ET

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from airlock.testing.queues import QueueContract
from tests.integrations import services

ROOT = Path(__file__).parents[3]
CHECKS = "tests/integrations/queues/djangos/check.py"
Outcomes = dict[str, tuple[str, str]]
BESIDES = [
    "test_an_async_flush_awaits_the_queue",
    "test_the_immediate_backend_delivers_at_once",
    "test_without_deliver_task_nothing_is_delivered",
]
VARIANTS = [
    "django_tasks with SQLite",
    "django_tasks with PostgreSQL",
    "django_q with SQLite",
    "django_q with PostgreSQL",
    "django_q with Redis",
]


@contextmanager
def database(variant: str, folder: Path) -> Iterator[str]:
    """A database of its own: the path of a file, or a URL."""
    if not variant.endswith("PostgreSQL"):
        yield str(folder / "queue.sqlite3")
        return
    url, name = services.postgresql(), f"airlock_queues_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(scope="module", params=VARIANTS)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What became of each check, and what is said of it."""
    variant, folder = request.param, tmp_path_factory.mktemp("django")
    if variant.startswith("django_tasks"):
        pytest.importorskip("django_tasks_db", reason="pip install django-tasks-db")
        engine = "django_tasks"
    else:
        engine = "redis" if variant.endswith("Redis") else "orm"
    broker = services.redis() if engine == "redis" else ""
    with database(variant, folder) as url:
        return checked(engine, url, broker, folder)


def checked(engine: str, database: str, broker: str, folder: Path) -> Outcomes:
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.integrations.queues.djangos.settings",
        "AIRLOCK_TEST_ENGINE": engine,
        "AIRLOCK_TEST_DATABASE": database,
        "AIRLOCK_TEST_WORKERS_DATABASE": database,
        "AIRLOCK_TEST_WORKERS_BROKER": broker,
        "AIRLOCK_TEST_QUEUE": f"airlock{uuid4().hex[:12]}",
        "AIRLOCK_TEST_PATIENCE": "0.5",
    }
    report = folder / "report.xml"
    options = ["-o", "python_files=check.py", f"--junitxml={report}", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, CHECKS],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    if not report.exists():
        pytest.fail(ran.stdout + ran.stderr, pytrace=False)
    return {case.attrib["name"]: told(case) for case in ET.parse(report).iter("testcase")}


def told(case: ET.Element) -> tuple[str, str]:
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            return child.tag, f"{child.attrib.get('message')}\n{child.text}"
    return "passed", ""


@pytest.mark.timeout(500)
@pytest.mark.parametrize("check", [*QueueContract.checks(), *BESIDES])
def test_the_contract_is_kept(check: str, outcomes: Outcomes) -> None:
    """By every queue, check by check."""
    outcome, text = outcomes.get(check, ("error", "it did not run"))
    if outcome == "skipped":
        pytest.skip(text.splitlines()[0])
    if outcome != "passed":
        pytest.fail(text, pytrace=False)
