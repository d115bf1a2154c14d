"""Settings of a relay that make no sense are refused before anything is claimed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airlock import Boundary, Route
from airlock.dispatch import Dispatcher
from airlock.errors import AirlockError, SettingError
from airlock.outbox import Outbox, Relay
from tests.outbox.relay_worker import Fast, Work, engine_of
from tests.outbox.relaying import Place, place_in


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in("sqlite", tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"lease": timedelta(seconds=15), "renew": timedelta(seconds=10)}, "is 15 s"),
        ({"lease": 30}, "is 30"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"batch": -1}, "batch"),
        ({"poll": timedelta(0)}, "poll"),
        ({"kinds": {Work: 0}}, "is 0"),
        ({"kinds": {Fast: 1}}, "'tests.fast', for which the boundary has no handler"),
        ({"kinds": {"tests.nothing": 1}}, "'tests.nothing', for which"),
        ({"forward": True}, "dispatches to none"),
        ({"health": "/no/such/folder/health"}, "folder does not exist"),
    ],
)
def test_what_makes_no_sense_is_refused(place: Place, settings: dict[str, Any], what: str) -> None:
    boundary = Boundary({Work: print}, dispatch=Route({Work: place.outbox}))
    with pytest.raises(SettingError, match=what):
        Relay(place.outbox, boundary, **settings)


def test_a_boundary_is_needed(place: Place) -> None:
    with pytest.raises(SettingError, match="boundary"):
        Relay(place.outbox, {Work: print})  # type: ignore[arg-type]  # that is the test


def test_two_engines_to_forward_to_are_one_too_many(place: Place) -> None:
    class Queue(Dispatcher):
        pass

    boundary = Boundary({}, dispatch=Route({Work: Queue()}, default=Queue()))
    with pytest.raises(SettingError, match="Give the dispatcher to forward to"):
        Relay(place.outbox, boundary, forward=True)


def test_a_database_without_tables_is_refused(tmp_path: Path) -> None:
    engine = engine_of(f"sqlite:///{tmp_path / 'empty.db'}")
    outbox = Outbox(engine)
    with pytest.raises(AirlockError, match="airlock outbox"):
        Relay(outbox, Boundary({Work: print})).run_sync()
    engine.dispose()
