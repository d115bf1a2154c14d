"""Where the workers of an app keep their boundary, and what else ``deliver_task`` takes."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from celery.signals import worker_shutdown

from airlock import Boundary, intent
from airlock.errors import SettingError
from airlock.integrations.celery import deliver_task
from airlock.integrations.celery.worker import home_of
from airlock.wire import Envelope, Wire


@intent(kind="tests.celery.homes.known")
class Known: ...


def make() -> Boundary:
    return Boundary({})


def test_the_task_and_the_scopes_share_one() -> None:
    """What is given twice for one app is made once."""
    app = Celery("homes", set_as_current=False)
    assert home_of(app, make) is home_of(app, make)
    assert home_of(app, make) is not home_of(Celery(set_as_current=False), make)


def test_a_boundary_that_was_closed_is_made_again() -> None:
    """A worker that starts in this process after another one has clients of its own."""
    app, made = Celery("again", broker="memory://", set_as_current=False), list[Boundary]()

    def boundary() -> Boundary:
        made.append(Boundary({Known: lambda _: None}))
        return made[-1]

    task = deliver_task(app, boundary)
    text = Wire().encode(Envelope(Known())).decode()
    for worker in (1, 2):
        for _ in range(2):
            assert task.apply((text,)).state == "SUCCESS"
        assert len(made) == worker
        worker_shutdown.send(sender=None)


def test_what_can_be_no_boundary_is_refused_at_once() -> None:
    """Where it is written."""
    wrong: Any = 42
    with pytest.raises(SettingError, match="'boundary' is 42"):
        deliver_task(Celery("bad", set_as_current=False), wrong)


def test_a_recheck_is_a_duration() -> None:
    """In seconds it would be taken for minutes by somebody."""
    wrong: Any = 60
    with pytest.raises(SettingError, match="'recheck' is 60"):
        deliver_task(Celery("bad", set_as_current=False), make, recheck=wrong)


def test_what_the_boundary_imports_is_known_to_the_first_message() -> None:
    """Kinds are declared by the modules of the handlers, and nobody may have imported those yet."""
    app, taken = Celery("lazy", broker="memory://", set_as_current=False), list[Any]()

    def boundary() -> Boundary:
        @intent(kind="tests.celery.homes.lazy")
        class Lazy: ...

        return Boundary({Lazy: taken.append})

    message = {"airlock": 1, "id": str(UUID(int=1)), "kind": "tests.celery.homes.lazy"}
    text = json.dumps(message | {"version": 1, "data": {}})
    assert deliver_task(app, boundary).apply((text,)).state == "SUCCESS"
    assert len(taken) == 1
