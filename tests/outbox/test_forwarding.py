"""Forwarding to an engine: the row stays in the outbox until the broker has confirmed that it has it."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airlock import Boundary, Route
from airlock.errors import SettingError
from airlock.integrations.celery import CeleryDispatch
from airlock.outbox import Relay
from tests.integrations import services
from tests.integrations.celery.brokers import private, texts
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
    port = urlsplit(proxy.url).port
    # Kombu forgets connections that were cut, and leaves their sockets to the garbage collector.
    for one in gc.get_objects():
        if type(one) is socket.socket and one.fileno() >= 0:
            with suppress(OSError):
                if one.getpeername()[1] == port:
                    one.close()


def test_a_broker_that_is_killed_in_between_gets_every_intent(place: Place, door: Proxy) -> None:
    """What it did not confirm is in the outbox, and goes out when it is back; nothing is lost."""
    with private(services.rabbitmq(), through=door.url) as (app, queue):
        app.conf.broker_connection_timeout = 5
        dispatch = Route({Work: place.outbox}, default=CeleryDispatch(app, queue=queue))
        relay = Relay(place.outbox, Boundary({}, dispatch=dispatch), forward=True)
        place.record(Work(1), Work(2))
        assert relay.drain().delivered == 2

        door.shut()
        place.record(Work(3), Work(4))
        assert relay.drain().delivered == 0
        # It is nobody's fault: no attempt is burnt.
        assert [row.attempts for row in place.rows()] == [0, 0]

        door.open()
        place.execute("UPDATE airlock_outbox SET available_at = 0")
        assert relay.drain().delivered == 2
        assert place.rows() == []
        arrived = [json.loads(text)["data"]["number"] for text in texts(app, queue)]
        assert set(arrived) == {1, 2, 3, 4}
        assert len(arrived) <= 4 + 2  # those of which only the confirmation was lost, once more


def test_the_outbox_of_the_relay_is_no_target(place: Place) -> None:
    """An intent that no other dispatch takes cannot be forwarded."""
    boundary = Boundary({}, dispatch=Route({Work: place.outbox}))
    with pytest.raises(SettingError, match="forward"):
        Relay(place.outbox, boundary, forward=True)
