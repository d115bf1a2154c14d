"""The commands for an outbox: what the page shows, on a terminal, and on PostgreSQL.

The other texts are transcripts, in ``test_commands.py``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine

from airlock.cli import airlock as command
from airlock.cli.refusing import allow_effects
from airlock.outbox import schema
from airlock.outbox.database import cursor_of
from tests.cli.test_commands import CONSOLE, typed
from tests.cli.transcripts import copied, played
from tests.integrations.services import postgresql

USUAL: Mapping[str, str] = {}
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "find-and-run-a-failed-effect.md"


def test_what_the_page_shows_is_true(tmp_path: Path) -> None:
    """Its blocks are typed one after the other, in one folder."""
    folder = copied(tmp_path)
    text = PAGE.read_text("utf-8")
    found = CONSOLE.sub(lambda block: played(block[0], folder), text)
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        PAGE.write_text(found, "utf-8")
    assert found == PAGE.read_text("utf-8")


def airlock(
    folder: Path, *arguments: str, code: int = 0, environment: Mapping[str, str] = USUAL
) -> str:
    """What a command prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "airlock", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def sold(folder: Path, environment: Mapping[str, str] = USUAL) -> Path:
    """A folder whose outbox has three effects."""
    airlock(copied(folder), "outbox", "init", "kiosk:boundary", environment=environment)
    sell = [sys.executable, "sell.py"]
    subprocess.run(sell, cwd=folder, env=os.environ | environment, check=True)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_many_are_counted_and_asked_about(tmp_path: Path) -> None:
    folder = sold(tmp_path)
    discarding = ["outbox", "discard", "kiosk:boundary", "--kind", "kiosk.charge"]
    discarding += ["--kind", "kiosk.print"]
    refused = typed(discarding, folder, b"n\n", awaited="[y/N]", code=5)
    assert "Discard 2 effects? [y/N]" in refused
    told = typed(discarding, folder, b"y\n", awaited="[y/N]", code=0)
    assert "discarding" in told
    assert "2 discarded" in told
    listed = typed(["outbox", "list", "kiosk:boundary"], folder, code=0)
    assert "─" in listed
    assert max(map(len, listed.splitlines())) <= 80
    assert "kiosk.charge" not in airlock(folder, "outbox", "status", "kiosk:boundary")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["outbox", "list"], "no boundary is named"),
        (["outbox", "list", "a:b", "--older-than", "yesterday"], "'yesterday' is no duration"),
        (["outbox", "show", "shop:boundary", "12"], "'12' is no id"),
        (["outbox", "check", "shop:boundary", "more"], "'more' is one argument too many"),
        (["relay", "a:b", "--kind-concurrency", "a.b"], "'a.b': write KIND=N"),
        (["relay", "a:b", "--kind-concurrency", "a.b=0"], "'a.b=0': write KIND=N"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], problem: str) -> None:
    try:
        ended = CliRunner().invoke(command, arguments)
    finally:
        allow_effects()
    assert ended.exit_code == 2
    assert problem in ended.stderr


def test_one_by_its_id_is_not_asked_about(tmp_path: Path) -> None:
    folder, one = sold(tmp_path), "00000000-0000-0000-0000-000000000001"
    environment = {"AIRLOCK_BOUNDARY": "kiosk:boundary"}
    assert airlock(folder, "outbox", "discard", one, environment=environment) == "1 discarded\n"
    assert one not in airlock(folder, "outbox", "list", environment=environment)


def test_what_cannot_be_read_is_shown_by_its_kind_and_the_reason(tmp_path: Path) -> None:
    """Nothing of the payload: nobody knows what of it is sensitive. It can be discarded."""
    folder = sold(tmp_path)
    kiosk = folder / "kiosk.py"
    text = kiosk.read_text("utf-8").replace("kiosk.charge", "kiosk.debit")
    kiosk.write_text(text.replace('b"0123', 'b"9876'), "utf-8")
    listed = airlock(folder, "outbox", "list", "kiosk:boundary")
    assert "kiosk.charge version 1 (cannot be read)" in listed
    assert "kiosk.send-receipt version 1 (cannot be read)" in listed
    ids = [f"00000000-0000-0000-0000-00000000000{number}" for number in (2, 3)]
    shown = airlock(folder, "outbox", "show", "kiosk:boundary", *ids)
    assert "unreadable" in shown
    assert "'kiosk.charge'" in shown
    assert "example.org" not in listed + shown
    assert airlock(folder, "outbox", "discard", "kiosk:boundary", *ids) == "2 discarded\n"


def test_of_several_outboxes_one_is_named(tmp_path: Path) -> None:
    folder = sold(tmp_path)
    told = airlock(folder, "outbox", "list", "kiosk:two", code=2)
    assert "kiosk:two has 2 outboxes: pass --outbox with one of default, parked." in told
    listed = airlock(folder, "outbox", "list", "kiosk:two", "--outbox", "parked")
    assert listed == "no effects\n"


def test_a_relay_ends_at_sigterm(tmp_path: Path) -> None:
    folder = sold(tmp_path)
    health = folder / "health"
    relay = subprocess.Popen(
        [sys.executable, "-um", "airlock", "relay", "kiosk:boundary", "--health", str(health)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert relay.stdout is not None
    with relay:
        assert relay.stdout.readline() == "printed 7\n"
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(120) == 0
    assert not health.exists()
    assert "kiosk.print" not in airlock(folder, "outbox", "status", "kiosk:boundary")


def test_on_postgresql_it_is_the_same(tmp_path: Path) -> None:
    environment = {"KIOSK": re.sub("^postgresql:", "postgresql+psycopg:", postgresql())}
    engine = create_engine(environment["KIOSK"])
    with engine.begin() as connection:
        schema.drop(cursor_of(connection))
    try:
        folder = sold(tmp_path, environment=environment)
        assert "complete" in airlock(
            folder, "outbox", "check", "kiosk:boundary", environment=environment
        )
        relayed = airlock(folder, "relay", "kiosk:boundary", "--once", environment=environment)
        assert "1 delivered, 0 failed, 2 dead" in relayed
        options = ("kiosk:boundary", "--error", "blocked", "--json")
        (dead,) = json.loads(airlock(folder, "outbox", "list", *options, environment=environment))
        assert (dead["effect"], dead["state"]) == ("Charge(number=7)", "dead")
        pruned = airlock(
            folder,
            *("outbox", "prune", "kiosk:boundary", "--older-than", "0s", "--yes"),
            environment=environment,
        )
        assert pruned == "2 pruned\n"
    finally:
        with engine.begin() as connection:
            schema.drop(cursor_of(connection))
        engine.dispose()
