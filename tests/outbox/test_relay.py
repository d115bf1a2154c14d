"""Relays in processes of their own: what is committed is delivered, and nothing twice but for crashes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from airlock.outbox.entry import New, State
from tests.outbox.relay_worker import Fast, Slow, Work
from tests.outbox.relaying import Place, place_in


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place_in(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Place]:
    """Where more than one relay may work."""
    with place_in("postgresql", tmp_path) as found:
        yield found


# -- delivery -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["async"]], ids=["sync", "async"])
def test_each_row_is_delivered_once_and_deleted(place: Place, how: list[str]) -> None:
    place.record(*(Work(n) for n in range(250)))
    relay = place.start(*how)
    place.wait_until_empty()
    place.record(*(Work(n) for n in range(250, 300)))
    place.wait_until_empty()
    place.stop(relay)
    assert sorted(place.effects.numbers()) == list(range(300))


@pytest.mark.parametrize("how", [[], ["async"]], ids=["sync", "async"])
def test_follow_ups_are_recorded_with_the_acknowledgement_and_delivered(
    place: Place, how: list[str]
) -> None:
    place.record(Work(1, "follow:3"), Work(2, "follow:2"))
    place.start(*how)
    place.wait_until_empty()
    assert sorted(place.effects.numbers()) == [1, 2, 1000, 1001, 1002, 2000, 2001]


def test_follow_ups_of_a_worker_that_is_killed_are_recorded_once(place: Place) -> None:
    place.record(Work(1, "kill-after"), Work(2, "follow:2"))
    place.start().wait()
    place.start()
    place.wait_until_empty()
    assert set(place.effects.numbers()) == {1, 2, 2000, 2001}


# -- failures -------------------------------------------------------------------------------------


def test_one_bad_row_fails_alone(place: Place) -> None:
    place.record(*(Work(n, "fail" if n == 7 else "note") for n in range(20)))
    place.start()
    place.wait(lambda: len(place.rows()) == 1 and place.rows()[0].attempts)
    (row,) = place.rows()
    assert row.error is not None
    assert (row.error.type, row.error.message) == ("builtins.ConnectionError", "nobody answers 7")
    assert sorted(set(place.effects.numbers())) == [n for n in range(20) if n != 7]


def test_a_row_is_dead_after_its_attempts(place: Place) -> None:
    place.record(Work(1, "fail"))
    place.start("max_attempts=1")
    place.wait(lambda: place.rows()[0].state is State.DEAD)
    assert place.rows()[0].attempts == 1


def test_what_cannot_be_decoded_and_what_is_unknown_waits_and_the_rest_is_delivered(
    place: Place,
) -> None:
    known = place.new(Work(3)).envelope
    rows = [
        row(place, "tests.work", 1, b"{"),
        row(place, "tests.gone", 1, known.replace(b"tests.work", b"tests.gone")),
        row(place, "tests.work", 9, known.replace(b'"version":1', b'"version":9')),
        place.new(Work(2)),
    ]
    place.outbox.database.run(lambda c: place.outbox.store.insert(c, rows))
    place.start()
    place.wait(lambda: sorted(each.attempts for each in place.rows()) == [1, 1, 1])
    assert place.effects.numbers() == [2]
    assert {each.state for each in place.rows()} == {State.PENDING}
    assert {each.error.type for each in place.rows() if each.error} == {"airlock.errors.WireError"}


def row(place: Place, kind: str, version: int, envelope: bytes) -> New:
    return attrs.evolve(place.new(Work(1)), kind=kind, version=version, envelope=envelope)


def test_what_kills_its_worker_is_dead_in_the_end_and_its_mates_are_delivered(place: Place) -> None:
    place.record(*(Work(n, "die" if n == 4 else "note") for n in range(10)))
    for _ in range(2):
        assert place.start("max_crashes=2", "lease=1", "renew=0.25").wait(120) == -signal.SIGKILL
    place.start("max_crashes=2", "lease=1", "renew=0.25")
    place.wait(lambda: [row.state for row in place.rows()] == [State.DEAD])
    (row,) = place.rows()
    assert row.error is not None
    assert row.error.type == "airlock.WorkerCrashed"
    assert set(place.effects.numbers()) == {n for n in range(10) if n != 4}


# -- crashes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("does", ["kill-before", "kill-after"])
def test_a_worker_that_is_killed_in_a_handler_loses_nothing(place: Place, does: str) -> None:
    """Before the effect, and between the effect and its acknowledgement."""
    place.record(*(Work(n, does if n == 30 else "note") for n in range(60)))
    assert place.start().wait(120) == -signal.SIGKILL
    place.start()
    place.wait_until_empty()
    assert set(place.effects.numbers()) == set(range(60))
    assert place.duplicates() <= 100


def test_a_worker_that_is_killed_with_claimed_rows_loses_nothing(place: Place) -> None:
    place.record(*(Slow(n, "until:go") for n in range(20)))
    relay = place.start()
    place.wait(place.begun.numbers)
    relay.kill()
    relay.wait()
    (place.folder / "go").touch()
    place.start()
    place.wait_until_empty()
    assert sorted(place.effects.numbers()) == list(range(20))


def test_what_a_zombie_writes_changes_nothing(many: Place) -> None:
    """Its process stood still until its lease had expired, and another relay has delivered."""
    many.record(Work(1, "until:go"))
    zombie = many.start("lease=1", "renew=0.25")
    many.wait(many.begun.numbers)
    zombie.send_signal(signal.SIGSTOP)
    many.start("lease=1", "renew=0.25")
    many.wait(lambda: len(many.begun.numbers()) == 2)
    (row,) = many.rows()
    holder = row.token
    zombie.send_signal(signal.SIGCONT)
    many.wait(lambda: "lease lost" in many.log)
    (row,) = many.rows()
    assert row.token == holder
    (many.folder / "go").touch()
    many.wait_until_empty()
    many.stop(zombie)
    assert many.effects.numbers() == [1, 1]


def test_a_handler_that_takes_longer_than_the_lease_keeps_it(many: Place) -> None:
    many.record(Work(1, "wait:4"))
    many.start("lease=1", "renew=0.25")
    many.start("lease=1", "renew=0.25")
    many.wait_until_empty()
    assert many.effects.numbers() == [1]


# -- stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["async"]], ids=["sync", "async"])
def test_sigterm_under_load_finishes_what_runs_and_burns_no_attempt(
    place: Place, how: list[str]
) -> None:
    place.record(*(Work(n, "wait:0.2") for n in range(40)))
    relay = place.start(*how)
    place.wait(place.effects.numbers)
    place.stop(relay)
    rows = place.rows()
    assert rows
    assert {(row.attempts, row.claims, row.token) for row in rows} == {(0, 0, None)}
    assert len(place.effects.numbers()) == 40 - len(rows)
    assert sorted(place.begun.numbers()) == sorted(place.effects.numbers())


# -- many -----------------------------------------------------------------------------------------


def test_overlapping_relays_claim_nothing_twice(many: Place) -> None:
    for _ in range(4):
        many.start()
    for at in range(10):
        many.record(*(Work(n) for n in range(at * 100, at * 100 + 100)))
    many.wait_until_empty()
    assert sorted(many.effects.numbers()) == list(range(1000))
    assert len({line.split()[2] for line in many.effects.path.read_text().splitlines()}) > 1


def test_connections_that_are_cut_all_the_time_lose_nothing(many: Place) -> None:
    many.start()
    many.record(*(Work(n, "wait:0.01") for n in range(300)))
    cuts = 0
    while many.rows() and cuts < 30:
        cuts += len(
            many.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND application_name = current_setting('application_name')"
            )
        )
        time.sleep(0.2)
        many.engine.dispose()  # it has cut its own
    many.wait_until_empty()
    assert cuts
    assert set(many.effects.numbers()) == set(range(300))


def test_a_slow_destination_leaves_room_for_others(place: Place) -> None:
    place.record(*(Slow(n, "until:go") for n in range(50)))
    place.start()
    place.wait(place.begun.numbers)
    place.record(*(Fast(n) for n in range(100, 150)))
    place.wait(lambda: len(place.effects.numbers()) == 50)
    assert sorted(place.effects.numbers()) == list(range(100, 150))
    (place.folder / "go").touch()
    place.wait_until_empty()


def test_rows_of_a_key_are_delivered_in_order_through_failures(place: Place) -> None:
    for n in range(5):
        place.record(Work(n, "fail-first:1" if n == 2 else "note"), ordering_key="a")
    place.record(*(Work(n) for n in range(10, 20)))
    place.start()
    place.wait_until_empty()
    assert [n for n in place.effects.numbers() if n < 5] == list(range(5))


# -- effectively once -----------------------------------------------------------------------------


@pytest.mark.parametrize("killed", ["work", "acknowledged", "committed"])
def test_a_handler_that_acknowledges_in_its_transaction_works_once(
    place: Place, killed: str
) -> None:
    place.record(*(Work(n, f"own:{killed}" if n == 3 else "own") for n in range(6)))
    assert place.start().wait(120) == -signal.SIGKILL
    place.start()
    place.wait_until_empty()
    done = [number for (number,) in place.execute("SELECT number FROM done ORDER BY number")]
    assert done == list(range(6))


def test_a_handler_whose_transaction_was_rolled_back_is_called_again(place: Place) -> None:
    place.record(Work(1, "own:rollback"))
    place.start()
    place.wait_until_empty()
    assert place.execute("SELECT number FROM done") == [(1,)]
    assert place.begun.numbers() == [1, 1]


def test_a_delay_is_waited_for(place: Place) -> None:
    place.record(Work(1), delay=timedelta(hours=1))
    place.record(Work(2))
    place.start()
    place.wait(lambda: len(place.rows()) == 1)
    assert place.effects.numbers() == [2]
