"""The intents that these tests emit, and what several of them need."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

import airlock
from airlock import Boundary, Options, Scope, intent
from airlock.errors import NoScopeError

Emission = Callable[[Scope, Any], None]
"""Emits into a scope: through the ambient functions, or through the scope that code holds."""


@intent
class NotifyWarehouse:
    order_id: int = 1


@intent
class SendEmail:
    to: str = "a@example.org"


@intent
class SendInvoice(SendEmail):
    """An e-mail of a special kind: what holds for e-mails holds for it."""


@intent
class AuditEntry:
    text: str = "seen"


@intent
class OrderPlaced:
    order_id: int = 1


@intent
class CountDown:
    """Its handler emits the next lower one, down to 0."""

    n: int = 3


class Broken(Exception):  # noqa: N818 - it stands for any error
    """What fails in these tests."""


def ambient(_: Scope, subject: Any) -> None:
    """Emit where nothing could be injected."""
    airlock.emit(subject)


def held(scope: Scope, subject: Any) -> None:
    """Emit into the scope that the code was given."""
    scope.emit(subject)


def held_with_options(scope: Scope, subject: Any) -> None:
    """The same, the slow way in."""
    scope.emit(subject, Options(headers={"tenant": "acme"}))


def count_down(subject: CountDown) -> None:
    """The handler of ``CountDown``."""
    if subject.n:
        airlock.emit(CountDown(subject.n - 1))


def ignore(_: object) -> None:
    """A handler that does nothing."""


def explode(_: object) -> None:
    """A handler that fails."""
    raise Broken("the handler failed")


def awaited(handler: Callable[[Any], object]) -> Callable[[Any], Awaitable[None]]:
    """A handler as an async one."""

    async def handle(subject: Any) -> None:
        await anyio.lowlevel.checkpoint()
        handler(subject)

    return handle


def next_line(*, skipping: int = 0) -> str:
    """``file:line`` of the line after the one this is called on, as messages show it.

    Args:
        skipping: how many blank lines are in between.
    """
    frame = sys._getframe(1)
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno + 1 + skipping}"


def assert_usable() -> None:
    """No region is current here, and a new scope works as ever."""
    with pytest.raises(NoScopeError):
        airlock.emit(NotifyWarehouse(0))
    handled: list[Any] = []
    with Boundary({NotifyWarehouse: handled.append}).scope() as effects:
        airlock.emit(NotifyWarehouse(1))
        effects.emit(NotifyWarehouse(2))
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(2)]
    with pytest.raises(NoScopeError):
        airlock.emit(NotifyWarehouse(0))
