"""The module that Celery's workers import: tasks, a boundary with a resource, and a log of it all."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery
from dependency_injector import containers, providers

import airlock
from airlock import Boundary, Context, Handles, Route, intent
from airlock.integrations.celery import CeleryDispatch, deliver_task, effects_tasks
from tests.integrations.celery.vocabulary import Note

FOLDER = Path(os.environ["AIRLOCK_TEST_FOLDER"])
QUEUE = os.environ["AIRLOCK_TEST_QUEUE"]

app = Celery(QUEUE, broker=os.environ["AIRLOCK_TEST_BROKER"], backend=FOLDER.as_uri())
app.conf.task_default_queue = QUEUE
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1
app.conf.worker_soft_shutdown_timeout = 0
if os.environ["AIRLOCK_TEST_BROKER"].startswith("redis"):
    app.conf.broker_transport_options = {"global_keyprefix": f"{QUEUE}:"}

nowhere = Celery("nowhere", broker="amqp://127.0.0.1:1", set_as_current=False)


@intent(kind="tests.celery.slow")
class Slow:
    text: str
    seconds: float


@intent(kind="tests.celery.lost")
class Lost:
    text: str


def log(event: str, text: str = "", **more: object) -> None:
    line = {"event": event, "text": text, "pid": os.getpid(), **more}
    with (FOLDER / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


tenant: ContextVar[str] = ContextVar("tenant", default="public")


class Tenant(Context):
    """Who a task works for."""

    def capture(self) -> Mapping[str, str]:
        return {"tenant": tenant.get()}

    @contextmanager
    def restore(self, headers: Mapping[str, str], /) -> Iterator[None]:
        token = tenant.set(headers.get("tenant", "public"))
        try:
            yield
        finally:
            tenant.reset(token)


def mail() -> Iterator[str]:
    log("opened")
    yield "mail"
    log("closed")


def deliver(intent: Note, mail: str) -> None:
    now = airlock.delivery()
    log(
        "delivered",
        intent.text,
        id=str(now.id),
        attempt=now.attempt,
        mail=mail,
        tenant=tenant.get(),
    )


def take_long(intent: Slow) -> None:
    begun = FOLDER / f"begun-{intent.text}"
    first = not begun.exists()
    begun.touch()  # before it is told, as that may be the end of this process
    log("begun", intent.text, id=str(airlock.delivery().id))
    airlock.emit(Note(f"after {intent.text}"))
    if first:
        time.sleep(intent.seconds)
    log("ended", intent.text)


async def async_mail() -> AsyncIterator[str]:
    log("opened", loop=id(asyncio.get_running_loop()))
    yield "mail"
    log("closed", loop=id(asyncio.get_running_loop()))


async def async_deliver(intent: Note, mail: str) -> None:
    await asyncio.sleep(0)
    log("delivered", intent.text, mail=mail, loop=id(asyncio.get_running_loop()))


async def async_take_long(intent: Slow) -> None:
    log("begun", intent.text)
    airlock.emit(Note(f"after {intent.text}"))
    try:
        await asyncio.sleep(intent.seconds)
    except asyncio.CancelledError:
        log("cancelled", intent.text)
        raise


class AsyncEffects(containers.DeclarativeContainer):
    mail = providers.Resource(async_mail)
    note = Handles(Note, async_deliver, mail=mail)
    slow = Handles(Slow, async_take_long)


class Effects(containers.DeclarativeContainer):
    mail = providers.Resource(mail)
    note = Handles(Note, deliver, mail=mail)
    slow = Handles(Slow, take_long)


def boundary() -> Boundary:
    if (FOLDER / "broken").exists():
        raise ConnectionError("no mail server")
    here = CeleryDispatch(app, queue=QUEUE)
    gone = CeleryDispatch(nowhere, queue=QUEUE, timeout=timedelta(seconds=1))
    effects = AsyncEffects() if awaits else Effects()
    if inline:
        return Boundary(effects, context=[Tenant()])
    return Boundary(effects, dispatch=Route({Lost: gone}, default=here), context=[Tenant()])


options: dict[str, Any] = json.loads(os.environ.get("AIRLOCK_TEST_OPTIONS", "{}"))
awaits = options.pop("awaits", False)
inline = options.pop("inline", False)
deliver_task(app, boundary, recheck=timedelta(seconds=1), **options)
effects_tasks(app, boundary)


@app.task(bind=True, autoretry_for=(Exception,), retry_kwargs={"countdown": 0.05}, max_retries=3)
def work(self: Any, text: str, fails: int = 0, lost: bool = False) -> int:
    """Emit, and fail some times."""
    attempt = int(self.request.retries) + 1
    log("worked", text, attempt=attempt)
    airlock.emit(Note(f"{text} {attempt}"))
    if lost:
        airlock.emit(Lost(text))
    if attempt <= fails:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@app.task(bind=True)
def replaced(self: Any, text: str) -> Any:
    """Emit, and be replaced by another task."""
    airlock.emit(Note(text))
    raise self.replace(work.s(f"instead of {text}"))


@app.task(soft_time_limit=2)
def hurried(*texts: str) -> str:
    """Emit what takes long, and return in time."""
    for text in texts:
        airlock.emit(Slow(text, 60))
    return "done"


@app.task
def working_for(name: str, text: str) -> None:
    """Emit on behalf of a tenant."""
    token = tenant.set(name)
    airlock.emit(Note(text))
    tenant.reset(token)
