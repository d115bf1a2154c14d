"""What failed, or was left pending, where nobody can resume it, is stored with its error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from airlock import Boundary, FlushError, emit
from airlock.errors import ResumeError
from airlock.integrations.base import Edge, Receiver
from airlock.integrations.sqlalchemy import on_commit
from airlock.outbox import Entry, Outbox, Selection, State
from airlock.wire import Envelope, Wire
from tests.outbox.vocabulary import Log, Mail, Secret, Shop, shop_in


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with shop_in(request.param, tmp_path, park=True) as made:
        yield made


class UnlistedError(Exception):
    pass


def failing(_: Any) -> None:
    raise UnlistedError("the printer is on fire")


def parking(shop: Shop, handlers: Any = None, **options: Any) -> Boundary:
    return Boundary(handlers or {Log: failing}, park=shop.outbox, **options)


def entries(shop: Shop) -> list[Entry]:
    return list(shop.outbox.database.run(shop.outbox.store.select))


def parked(shop: Shop) -> tuple[Any, Entry]:
    """The only row, and its intent."""
    [entry] = entries(shop)
    assert entry.state is State.DEAD
    return shop.outbox.wire.decode(entry.envelope).intent, entry


def test_what_fails_in_a_request_is_stored_with_its_error_cause_and_headers(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    boundary = parking(shop, {Mail: lambda mail: emit(Log(mail.n)), Log: failing})
    with Edge(boundary).scope("GET /", headers={"tenant": "t"}) as effects:
        effects.emit(Mail(1))
    intent, entry = parked(shop)
    assert intent == Log(1)
    assert entry.error is not None
    assert entry.error.message == "the printer is on fire"
    assert entry.error.type.endswith("UnlistedError")
    assert "raise UnlistedError" in entry.error.traceback
    envelope = shop.outbox.wire.decode(entry.envelope)
    assert dict(envelope.headers) == {"tenant": "t"}
    assert [cause.kind for cause in envelope.causation.ancestors] == ["recording.mail"]
    assert f"airlock outbox show {entry.id}" in caplog.text
    assert "is stored in the outbox" in caplog.text
    assert entry.id == effects.report.entries[1].id


def test_what_was_left_pending_is_stored_too(shop: Shop) -> None:
    with Edge(parking(shop, fail_fast=True)).scope("GET /") as effects:
        effects.emit_all([Log(1), Log(2)])
    assert [e.error and e.error.type.split(".")[-1] for e in entries(shop)] == [
        "UnlistedError",
        "pending",
    ]


def test_it_cannot_be_resumed_besides(shop: Shop) -> None:
    with Edge(parking(shop)).scope("GET /") as effects:
        effects.emit(Log(1))
    with pytest.raises(ResumeError, match="airlock outbox retry"):
        effects.report.resume()


def test_a_scope_whose_error_is_raised_is_for_its_caller_to_resume(shop: Shop) -> None:
    with pytest.raises(FlushError), parking(shop).scope() as effects:
        effects.emit(Log(1))
    assert entries(shop) == []


def test_a_late_commit_parks(shop: Shop) -> None:
    boundary = parking(shop)
    with (
        Session(shop.engine) as session,
        session.begin(),
        boundary.scope(release=on_commit(session)) as effects,
    ):
        shop.work(session, 1)
        effects.emit(Log(1))
    assert parked(shop)[0] == Log(1)


def test_an_interrupted_flush_parks(shop: Shop) -> None:
    def interrupted(log: Log) -> None:
        if log.n == 1:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), parking(shop, {Log: interrupted}).scope() as effects:
        effects.emit_all([Log(0), Log(1), Log(2)])
    found = [shop.outbox.wire.decode(entry.envelope).intent for entry in entries(shop)]
    assert found == [Log(1), Log(2)]


def test_a_receiver_parks_follow_ups(shop: Shop) -> None:
    boundary = parking(shop, {Mail: lambda mail: emit(Log(mail.n)), Log: failing})
    Receiver(boundary).deliver(Envelope(Mail(1)))
    assert parked(shop)[0] == Log(1)


def test_a_receiver_leaves_its_own_intent_to_its_queue(shop: Shop) -> None:
    with pytest.raises(UnlistedError):
        Receiver(parking(shop)).deliver(Envelope(Log(1)))
    assert entries(shop) == []


def test_an_async_edge_parks(shop: Shop) -> None:
    async def fail(log: Log) -> None:
        failing(log)

    async def request() -> None:
        async with Edge(parking(shop, {Log: fail})).scope("GET /") as effects:
            effects.emit(Log(1))

    asyncio.run(request())
    assert parked(shop)[0] == Log(1)


def test_it_is_stored_once_however_often_it_is_parked(shop: Shop) -> None:
    with suppress(FlushError), parking(shop).scope() as effects:
        effects.emit(Log(1))
    for _ in range(2):
        assert shop.outbox.park(effects.report) == 1
    parked(shop)


def test_what_cannot_be_written_is_logged_with_its_secrets_hidden(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    boundary = parking(shop, {Secret: failing, Log: failing})
    with Edge(boundary).scope("GET /") as effects:
        effects.emit_all([Secret("4111"), Log(1)])
    assert parked(shop)[0] == Log(1)
    assert "Secret(card=" in caplog.text
    assert "4111" not in caplog.text


def test_an_outbox_that_is_down_has_what_is_left_logged(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox("sqlite:////nowhere/at/all.db", wire=Wire())
    with Edge(Boundary({Log: failing}, park=outbox)).scope("GET /") as effects:
        effects.emit(Log(7))
    assert "could not be stored: Log(n=7)" in caplog.text
    [record] = [one for one in caplog.records if "emitted again" in one.getMessage()]
    assert record.levelno == logging.ERROR


def test_retry_delivers_it(shop: Shop) -> None:
    with Edge(parking(shop)).scope("GET /") as effects:
        effects.emit(Log(1))
    shop.outbox.database.run(lambda c: shop.outbox.store.revive(c, Selection()))
    shop.outbox.drain(shop.boundary)
    assert shop.handled == [Log(1)]
    assert entries(shop) == []
