"""What a probe sees of a relay."""

from __future__ import annotations

import json
import time
from pathlib import Path
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
        url = f"http://127.0.0.1:{health.port}/"
        health = _alive(health, url)
        while True:
            health.beat({}, ok=False)
            try:
                with urlopen(url):
                    time.sleep(0.05)
            except HTTPError as error:
                with error:
                    assert error.code == 503
                    assert json.load(error)["ok"] is False
                break


def _alive(health: Health, url: str) -> Health:
    """Ask until a beat is young enough on a busy machine."""
    while True:
        health.beat({"queue": "default"}, ok=True)
        try:
            with urlopen(url) as answer:
                assert answer.headers["Content-Type"] == "application/json"
                assert json.load(answer)["queue"] == "default"
                return health
        except HTTPError as error:
            error.close()


@pytest.mark.parametrize("target", ["70000", "/no/such/folder/health"])
def test_a_target_that_cannot_be_is_refused(target: str) -> None:
    with pytest.raises(SettingError, match=r"Relay.*health"):
        Health(target, patience=1)
