"""``with boundary``: the container's resources open and close with it, never with a flush."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dependency_injector import containers, providers

from airlock import Boundary, Handles
from airlock.errors import AsyncHandlerError, DeclarationError, DependencyError
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
async def test_an_async_dependency_that_fails_refuses_the_flush() -> None:
    """Before the first handler runs."""

    async def broken() -> list[Any]:
        await asyncio.sleep(0)
        LOG.append(1 / len(LOG))
        return LOG

    class Fragile(containers.DeclarativeContainer):
        db = providers.Coroutine(broken)
        email = Handles(SendEmail, write, db=db)
        notify = Handles(NotifyWarehouse, LOG.append)

    effects = Boundary(Fragile()).scope()
    with pytest.raises(ZeroDivisionError):
        async with effects:
            effects.emit_all([NotifyWarehouse(), SendEmail()])
    assert LOG == []
    assert effects.report.pending == [NotifyWarehouse(), SendEmail()]


# -- resources that nobody opened -----------------------------------------------------------------


class Below(containers.DeclarativeContainer):
    """The resource is far below the handler, which comes last."""

    db = providers.Resource(database)
    email = Handles(SendEmail, LOG.append)
    repository: Any = providers.Singleton(dict, db=db)
    notify = Handles(NotifyWarehouse, write, db=repository.provided["db"])


class Nested(containers.DeclarativeContainer):
    shop = providers.Container(Below)


@pytest.mark.parametrize(("container", "name"), [(Below, "`db`"), (Nested, "`shop.db`")])
def test_a_resource_that_nobody_opened_refuses_the_flush(container: Any, name: str) -> None:
    """Before the first handler runs; the flush opens nothing. Once it is open, the rest runs."""
    boundary = Boundary(container())
    with (
        pytest.raises(DependencyError, match=f"{name} is not open, and a flush never opens"),
        boundary.scope() as effects,
    ):
        effects.emit_all([SendEmail(), NotifyWarehouse(1)])
    assert LOG == []
    assert effects.report.pending == [SendEmail(), NotifyWarehouse(1)]
    with boundary:
        assert effects.report.resume().ok
    assert ["opened", SendEmail(), NotifyWarehouse(1), "closed"] == LOG


@pytest.mark.anyio
@pytest.mark.parametrize("container", [Sync, Async])
async def test_nor_does_an_async_flush_open_any(container: Any) -> None:
    """Sync or async ones."""
    effects = Boundary(container()).scope()
    with pytest.raises(DependencyError, match="`db` is not open"):
        async with effects:
            effects.emit(NotifyWarehouse())
    assert LOG == []
    assert effects.report.pending == [NotifyWarehouse()]


def test_a_resource_that_was_closed_is_not_open() -> None:
    """A flush after the block would use it as it was left."""
    boundary = Boundary(Sync())
    with boundary:
        pass
    with pytest.raises(DependencyError), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert LOG == ["opened", "closed"]


def test_a_resource_that_is_replaced_need_not_be_open() -> None:
    """By another provider, or because a fake stands for its handler."""
    container = Sync()
    boundary = Boundary(container)
    with container.db.override(LOG), boundary.scope() as effects:
        effects.emit(NotifyWarehouse(1))
    with boundary.scope() as effects, effects.override({NotifyWarehouse: LOG.append}):
        effects.emit(NotifyWarehouse(2))
    assert [NotifyWarehouse(1), NotifyWarehouse(2)] == LOG


def test_an_async_dependency_of_an_async_resource_is_not_begun_in_a_sync_flush() -> None:
    """Without an event loop either: it is known before anything is called."""
    with (
        pytest.raises(AsyncHandlerError, match=r"must be awaited for `db` \(an async resource\)"),
        Boundary(Async()).scope() as effects,
    ):
        effects.emit(SendEmail())
    assert LOG == []


def test_async_resources_are_named_where_there_is_no_event_loop() -> None:
    """Nothing of the container is opened."""
    with pytest.raises(DeclarationError, match="async resources, `db`"), Boundary(Async()):
        pass
    assert LOG == []
