"""What a probe sees of a relay."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from airlock.errors import SettingError
from airlock.outbox.health import Health


def test_a_file_is_written_each_round_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    health = Health(path, patience=60)
    with health.served():
        health.beat({"delivered": 3}, ok=True)
        found = json.loads(path.read_text())
        assert (found["ok"], found["delivered"]) == (True, 3)
        path.unlink()
        health.beat({"delivered": 3}, ok=False)
        assert not path.exists(), "a round that has not reached the database makes it no younger"
        health.beat({"delivered": 4}, ok=True)
    assert not path.exists()


def test_a_port_answers_200_while_the_database_is_reached_and_503_afterwards() -> None:
    health = Health(0, patience=0.2)
    with health.served():
        while (found := ask(health, beat=True))[0] != 200:  # a busy machine is slower than a beat
            pass
        assert found[1]["queue"] == "default"
        while (found := ask(health, beat=False))[0] != 503:
            time.sleep(0.05)
        assert found[1]["ok"] is False


def ask(health: Health, *, beat: bool) -> tuple[int, dict[str, Any]]:
    health.beat({"queue": "default"}, ok=beat)
    try:
        with urlopen(f"http://127.0.0.1:{health.port}/") as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("target", ["70000", "/no/such/folder/health"])
def test_a_target_that_cannot_be_is_refused(target: str) -> None:
    with pytest.raises(SettingError, match=r"Relay.*health"):
        Health(target, patience=1)
