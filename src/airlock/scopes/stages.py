"""The states of a scope, and what it needs to know of its boundary."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack

from airlock.emissions.report import Report
from airlock.emissions.wave import Wave
from airlock.errors import DeclarationError
from airlock.policies.policy import PolicyLike

if TYPE_CHECKING:
    from airlock.effects.options import Options
    from airlock.observers import Observer
    from airlock.plan.document import Plan

__all__ = [
    "CAPTURED",
    "CLOSED",
    "DISCARDED",
    "FLUSHED",
    "FLUSHING",
    "NEW",
    "OPEN",
    "WAITING",
    "Flushes",
    "How",
    "Keep",
    "State",
    "is_release",
    "unfit",
]

Keep = Callable[[BaseException | None], bool]
"""Decides whether what a block emitted is kept. Called with its exception, or None.

It is asked where no transaction decides.
"""


class How(TypedDict):
    """How a flush goes.

    Keys:
        problems: errors to raise at the end, whatever else happens.
        fail_fast: stop at the first failure; None for the boundary's default.
        observers: of the scope, told beside those of the boundary.
    """

    problems: tuple[Exception, ...]
    fail_fast: bool | None
    observers: tuple[Observer, ...]


class Flushes(Protocol):
    """What a scope needs of its boundary: an engine."""

    @property
    def policy(self) -> tuple[PolicyLike, ...]: ...
    @property
    def capture(self) -> Callable[[], Options | None] | None: ...

    def new_report(self) -> Report: ...
    def note_discarded(self, report: Report, observers: tuple[Observer, ...]) -> None: ...
    def flush(self, report: Report, waves: list[Wave], **how: Unpack[How]) -> None: ...
    async def aflush(self, report: Report, waves: list[Wave], **how: Unpack[How]) -> None: ...
    def check_sync(self, intents: Iterable[Any]) -> None: ...
    def checked_overrides(self, overrides: Mapping[Any, Any]) -> Mapping[type[Any], Any]: ...
    @property
    def plan(self) -> Callable[..., Plan]: ...


class State(enum.Enum):
    """Where a scope is in its life."""

    NEW = "has not been entered"
    OPEN = "is open"
    CLOSED = "was left, and not flushed yet"
    WAITING = "waits for the end of its transaction"
    FLUSHING = "is being flushed"
    FLUSHED = "was flushed"
    DISCARDED = "was discarded"
    CAPTURED = "was left; its intents belong to the scope around it"


# Before Python 3.12 the member of an enum takes a tenth of a microsecond to look up.
NEW, OPEN, CLOSED, WAITING, FLUSHING, FLUSHED, DISCARDED, CAPTURED = State

_WANTED = {
    "release": "a Release, such as on_commit(connection)",
    "keep": "a function of the block's exception, or None, that returns a bool",
    "fail_fast": "True, False, or None for what the boundary says",
    "cause": "the causation of an envelope",
}


def unfit(name: str, given: object) -> DeclarationError:
    """The error of an argument of ``boundary.scope(...)`` that makes no sense."""
    return DeclarationError(f"scope({name}={given!r}): give {_WANTED[name]}.")


def is_release(given: object) -> bool:
    """Whether something is a ``Release``."""
    return hasattr(given, "segment")
