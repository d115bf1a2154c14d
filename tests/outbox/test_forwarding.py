"""Forwarding to an engine: the row stays in the outbox until the broker has confirmed that it has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery

from airlock import Boundary, Route
from airlock.errors import SettingError
from airlock.integrations.celery import CeleryDispatch
from airlock.outbox import Relay
from tests.integrations import services
from tests.integrations.celery.brokers import texts
from tests.integrations.queues.proxy import Proxy
from tests.outbox.relay_worker import Work
from tests.outbox.relaying import Place, place_in


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in("sqlite", tmp_path) as found:
        yield found


@pytest.fixture
def door() -> Iterator[Proxy]:
    proxy = Proxy(services.rabbitmq())
    yield proxy
    proxy.shut()


def celery(url: str, queue: str) -> Any:
    app = Celery("forwarding", broker=url, set_as_current=False)
    app.conf.task_default_queue = queue
    app.conf.broker_connection_timeout = 5
    return app


def test_a_broker_that_is_killed_in_between_gets_every_intent(place: Place, door: Proxy) -> None:
    """What it did not confirm is in the outbox, and goes out when it is back; nothing is lost."""
    queue = f"forwarding-{uuid4().hex[:8]}"
    app = celery(door.url, queue)
    dispatch = Route({Work: place.outbox}, default=CeleryDispatch(app, queue=queue))
    boundary = Boundary({}, dispatch=dispatch)
    relay = Relay(place.outbox, boundary, forward=True)
    place.record(Work(1), Work(2))
    assert relay.drain().delivered == 2

    door.shut()
    place.record(Work(3), Work(4))
    assert relay.drain().delivered == 0
    assert len(place.rows()) == 2
    # It is nobody's fault: no attempt is burnt.
    assert {row.attempts for row in place.rows()} == {0}

    door.open()
    place.execute("UPDATE airlock_outbox SET available_at = 0")
    assert relay.drain().delivered == 2
    assert place.rows() == []
    direct = celery(services.rabbitmq(), queue)
    arrived = [json.loads(text)["data"]["number"] for text in texts(direct, queue)]
    assert sorted(set(arrived)) == [1, 2, 3, 4]
    assert len(arrived) <= 4 + 2  # those of which only the confirmation was lost, once more
    _delete(direct, queue)


def _delete(app: Any, queue: str) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)


def test_the_outbox_of_the_relay_is_no_target(place: Place) -> None:
    """An intent that no other dispatch takes cannot be forwarded."""
    boundary = Boundary({}, dispatch=Route({Work: place.outbox}))
    with pytest.raises(SettingError, match="forward"):
        Relay(place.outbox, boundary, forward=True)
