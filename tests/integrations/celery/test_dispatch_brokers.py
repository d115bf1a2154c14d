"""``CeleryDispatch`` and brokers that break: nothing is lost silently, and nothing waits for long."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from amqp.exceptions import ChannelError
from celery import Celery

from airlock import Boundary
from airlock.errors import FlushError, UnavailableError
from airlock.integrations.celery import CeleryDispatch
from tests.integrations import services
from tests.integrations.celery.brokers import Line, delete, private, texts
from tests.integrations.celery.vocabulary import Note

ROOT = Path(__file__).parents[3]
SOON = timedelta(seconds=1)

Service = Callable[[], str]
both = pytest.mark.parametrize("service", [services.rabbitmq, services.redis])


class Broken:
    """A dispatch to a broker behind a line that a test breaks."""

    def __init__(self, app: Celery, queue: str, line: Line) -> None:
        self.app = app
        self.queue = queue
        self.line = line

    def refused(self, dispatch: CeleryDispatch, *names: str) -> FlushError:
        """Emit what the broker does not take, and see that it is pending."""
        with pytest.raises(FlushError) as caught:
            self.emit(dispatch, *names)
        assert [type(error) for error in caught.value.exceptions] == [UnavailableError]
        assert caught.value.report.pending == [Note(name) for name in names]
        return caught.value

    def emit(self, dispatch: CeleryDispatch, *names: str) -> None:
        with Boundary({}, dispatch=dispatch).scope() as effects:
            for name in names:
                effects.emit(Note(name))


@pytest.fixture
def broken(service: Service) -> Iterator[Broken]:
    url = service()
    line = Line(url)
    with private(url, through=line.url) as (app, queue):
        yield Broken(app, queue, line)
        line.cut()


@both
def test_where_nobody_listens_intents_are_pending(broken: Broken) -> None:
    """The error says where, and that nothing is lost."""
    broken.line.cut()
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, timeout=SOON)
    began = time.monotonic()
    told = str(broken.refused(dispatch, "a", "b"))
    assert time.monotonic() - began < 2
    assert "Connection refused" in told
    assert f"queue={broken.queue!r}" in told
    assert "guest:guest" not in told
    dispatch.close()


@both
def test_a_broker_that_goes_silent_is_given_up_soon(broken: Broken) -> None:
    """A connection that is open, and nothing comes back: a wait for ever, without a timeout."""
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, timeout=SOON)
    broken.emit(dispatch, "a")
    broken.line.hears.clear()
    began = time.monotonic()
    error = broken.refused(dispatch, "b", "c")
    took = time.monotonic() - began
    broken.line.hears.set()
    assert took < 7
    error.report.resume()
    sent = " ".join(texts(broken.app, broken.queue))
    assert all(f'"text":"{name}"' in sent for name in "abc")
    dispatch.close()


@both
def test_a_connection_that_was_lost_is_made_again(broken: Broken) -> None:
    """Between two messages: nobody notices."""
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, timeout=SOON)
    broken.emit(dispatch, "a")
    for end in list(broken.line._ends):
        end.close()
    broken.emit(dispatch, "b")
    assert len(texts(broken.app, broken.queue)) == 2
    dispatch.close()


@pytest.mark.parametrize("service", [services.rabbitmq])
@pytest.mark.parametrize("setting", [None, False])
def test_a_broker_that_dies_before_it_confirms(broken: Broken, setting: bool | None) -> None:
    """What was written to the socket is not handed over yet, whatever the settings say."""
    if setting is not None:
        broken.app.conf.broker_transport_options = {"confirm_publish": setting}
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, timeout=timedelta(seconds=3))
    broken.emit(dispatch, "a")
    broken.line.hears.clear()
    threading.Timer(0.3, broken.line.cut).start()
    broken.refused(dispatch, "b")
    dispatch.close()


@pytest.mark.parametrize("service", [services.rabbitmq])
def test_without_confirms_that_is_not_noticed(broken: Broken) -> None:
    """Why they are on unless they are turned off."""
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, confirm=False, timeout=SOON)
    broken.emit(dispatch, "a")
    broken.line.hears.clear()
    broken.emit(dispatch, "b")
    broken.line.cut()
    dispatch.close()


@pytest.mark.parametrize("service", [services.rabbitmq])
def test_a_confirm_that_is_late_confirms_nothing_else(broken: Broken) -> None:
    """After a timeout the connection is given up, and with it what may still come."""
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, timeout=SOON, retries=0)
    broken.emit(dispatch, "a")
    broken.line.hears.clear()
    broken.refused(dispatch, "b")
    broken.line.hears.set()
    broken.emit(dispatch, "c")
    broken.line.hears.clear()
    broken.refused(dispatch, "d")
    dispatch.close()


@pytest.mark.parametrize("service", [services.rabbitmq])
def test_a_queue_that_was_deleted_loses_nothing(broken: Broken) -> None:
    """RabbitMQ confirms what goes to no queue; here that fails, and the next try declares it."""
    dispatch = CeleryDispatch(broken.app, queue=broken.queue, timeout=SOON)
    broken.emit(dispatch, "a")
    delete(broken.app, broken.queue)
    with pytest.raises(FlushError) as caught:
        broken.emit(dispatch, "b")
    assert isinstance(caught.value.exceptions[0], ChannelError)
    assert "NO_ROUTE" in str(caught.value.exceptions[0])
    caught.value.report.resume()
    assert len(texts(broken.app, broken.queue)) == 1
    dispatch.close()


@both
@pytest.mark.parametrize("how", ["os.fork", "multiprocessing", "billiard"])
def test_connections_are_not_shared_with_a_child_process(service: Service, how: str) -> None:
    """A preloading server forks after the first message, and all processes send at once."""
    url = service()
    with private(url) as (app, queue):
        program = [
            sys.executable,
            "-m",
            "tests.integrations.celery.programs.forking",
            url,
            queue,
            how,
        ]
        done = subprocess.run(
            program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        sent = texts(app, queue)
    told = Counter(json.loads(text)["data"]["text"].rpartition(" ")[0] for text in sent)
    each = {"parent beside": 100, "child 1": 100, "child 2": 100}
    assert told == {"parent before": 1, **each, "parent after": 1}
