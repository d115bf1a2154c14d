"""The soak, for a few seconds; ``make soak`` takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.outbox.relaying import place_in
from tests.outbox.soak import soak


@pytest.mark.parametrize(("database", "relays"), [("sqlite", 1), ("postgresql", 3)])
def test_nothing_is_lost_while_relays_are_killed(
    database: str, relays: int, tmp_path: Path
) -> None:
    with place_in(database, tmp_path) as place:
        soaked = soak(place, 4, seed=1, relays=relays)
    assert soaked.committed > 0
