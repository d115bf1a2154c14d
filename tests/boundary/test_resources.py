"""``with boundary``: the container's resources open and close with it, never with a flush."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dependency_injector import containers, providers

from airlock import Boundary, Handles
from airlock.errors import AsyncHandlerError, DeclarationError
from tests.boundary.vocabulary import Broken, NotifyWarehouse, SendEmail

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    LOG.clear()


def database() -> Iterator[list[Any]]:
    """A resource."""
    LOG.append("opened")
    yield LOG
    LOG.append("closed")


async def async_database() -> AsyncIterator[list[Any]]:
    """A resource that must be awaited."""
    LOG.append("opened")
    yield LOG
    LOG.append("closed")


def write(subject: Any, db: list[Any]) -> None:
    db.append(subject)


async def awrite(subject: Any, db: list[Any]) -> None:
    db.append(subject)


class Sync(containers.DeclarativeContainer):
    db = providers.Resource(database)
    notify = Handles(NotifyWarehouse, write, db=db)


class Async(containers.DeclarativeContainer):
    db = providers.Resource(async_database)
    notify = Handles(NotifyWarehouse, awrite, db=db)
    email = Handles(SendEmail, write, db=db)


@pytest.fixture
def anyio_backend() -> str:
    """Dependency-injector's async resources are those of asyncio."""
    return "asyncio"


def test_resources_open_and_close_with_the_boundary() -> None:
    """Flushes in between use them, and leave them open."""
    with Boundary(Sync()) as boundary:
        assert LOG == ["opened"]
        for n in (1, 2):
            with boundary.scope() as effects:
                effects.emit(NotifyWarehouse(n))
    assert ["opened", NotifyWarehouse(1), NotifyWarehouse(2), "closed"] == LOG


def test_resources_close_after_an_error() -> None:
    """Whatever ends the block."""
    with pytest.raises(Broken), Boundary(Sync()):
        raise Broken
    assert LOG == ["opened", "closed"]


def test_resources_of_nested_containers_too() -> None:
    """The whole tree."""

    class Application(containers.DeclarativeContainer):
        shop = providers.Container(Sync)

    with Boundary(Application()) as boundary, boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert ["opened", NotifyWarehouse(), "closed"] == LOG


def test_a_mapping_has_no_resources(handled: list[Any]) -> None:
    """The block does nothing then, so that code need not care."""
    with Boundary({NotifyWarehouse: handled.append}) as boundary, boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert handled == [NotifyWarehouse()]


@pytest.mark.anyio
async def test_async_resources_open_with_an_async_block() -> None:
    """And are awaited as dependencies, of async and of sync handlers."""
    async with Boundary(Async()) as boundary:
        assert LOG == ["opened"]
        async with boundary.scope() as effects:
            effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert ["opened", NotifyWarehouse(), SendEmail(), "closed"] == LOG


@pytest.mark.anyio
async def test_sync_resources_open_with_an_async_block_too() -> None:
    """An async block opens whatever there is."""
    async with Boundary(Sync()) as boundary, boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert ["opened", NotifyWarehouse(), "closed"] == LOG
    async with Boundary({}):
        pass


@pytest.mark.anyio
async def test_async_resources_need_an_async_block() -> None:
    """A plain ``with`` is refused, with what to write instead."""
    boundary = Boundary(Async())
    with (
        pytest.raises(DeclarationError, match=r"async resources.*`async with boundary:`"),
        boundary,
    ):
        pass
    async with boundary:
        pass


@pytest.mark.anyio
async def test_a_dependency_that_must_be_awaited_needs_an_async_flush() -> None:
    """In a sync one the flush is refused; nothing ran."""
    async with Boundary(Async()) as boundary:
        with pytest.raises(AsyncHandlerError, match="email"), boundary.scope() as effects:
            effects.emit(SendEmail())
        assert effects.report.pending == [SendEmail()]
        assert (await effects.report.aresume()).delivered == [SendEmail()]


@pytest.mark.anyio
async def test_an_async_resource_that_fails_refuses_the_flush() -> None:
    """Before the first handler runs."""

    async def broken() -> AsyncIterator[list[Any]]:
        await asyncio.sleep(0)
        LOG.append(1 / len(LOG))
        yield LOG

    class Fragile(containers.DeclarativeContainer):
        db = providers.Resource(broken)
        email = Handles(SendEmail, write, db=db)
        notify = Handles(NotifyWarehouse, LOG.append)

    effects = Boundary(Fragile()).scope()
    with pytest.raises(ZeroDivisionError):
        async with effects:
            effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert LOG == []
    assert effects.report.pending == [NotifyWarehouse(), SendEmail()]
