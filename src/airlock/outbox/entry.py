"""Rows of the outbox as values, and questions about them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from traceback import format_exception
from uuid import UUID

import attrs

__all__ = ["Counts", "Entry", "Failure", "New", "Selection", "State", "Status"]

TRACEBACK_LENGTH = 4_000
"""Characters of a traceback that are kept: its end, where the error is."""


class State(IntEnum):
    """State of a row. What was delivered has none: its row is deleted."""

    PENDING = 0
    """Due, scheduled, leased or retrying."""

    DEAD = 1
    """A dead letter: out of attempts, or given up. It stays until revived or discarded."""


def storable(text: str) -> str:
    """Return the text with lone surrogates written as escapes, which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def last_part(text: str) -> str:
    """Return the end of a traceback, which is where its error is."""
    return storable(text)[-TRACEBACK_LENGTH:]


@attrs.frozen(kw_only=True)
class Failure:
    """An attempt that failed, as the row keeps it.

    Args:
        type: the error's class, with its module.
        message: the error's text.
        traceback: the formatted traceback; its last 4,000 characters are kept.
        place: where the intent was emitted, or where it failed.
        at: when, by the clock of the host that noticed.

    Example:
        >>> failure = Failure(type="builtins.OSError", message="disk full")
        >>> Failure.from_json(failure.to_json()) == failure
        True
    """

    type: str = attrs.field(converter=storable)
    message: str = attrs.field(default="", converter=storable)
    traceback: str = attrs.field(default="", converter=last_part)
    place: str = attrs.field(default="", converter=storable)
    at: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, error: BaseException, place: str = "") -> Failure:
        """Return the failure of an error that was caught."""
        kind = type(error)
        text = "".join(format_exception(error))
        name = f"{kind.__module__}.{kind.__qualname__}"
        return cls(type=name, message=str(error), traceback=text, place=place)

    def to_json(self) -> str:
        """Return the failure as the text of the row's column ``error``."""
        values = {**attrs.asdict(self), "at": self.at.isoformat()}
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Failure:
        """Return the failure that a row's column ``error`` holds."""
        values: dict[str, str] = json.loads(text)
        return cls(
            type=values["type"],
            message=values["message"],
            traceback=values["traceback"],
            place=values["place"],
            at=datetime.fromisoformat(values["at"]),
        )


@attrs.frozen(kw_only=True)
class New:
    """An intent to record.

    Args:
        id: the intent's id.
        kind: its kind on the wire.
        version: the version of that kind.
        envelope: UTF-8 JSON, as ``Wire.encode`` gives it.
        ordering_key: intents of the same key are delivered one after the other.
        dedupe_key: one of the same kind and key is pending at most.
        delay: time from now until it is due; None is none.
        chosen: whether the program chose the id, so that it may be recorded already.
    """

    id: UUID
    kind: str
    version: int
    envelope: bytes
    ordering_key: str | None = None
    dedupe_key: str | None = None
    delay: timedelta | None = None
    chosen: bool = False


@attrs.frozen(kw_only=True)
class Entry:
    """A row of the outbox.

    Args:
        seq: its number, in the order of recording; not of commits.
        id: the intent's id.
        kind: its kind on the wire.
        version: the version of that kind.
        envelope: UTF-8 JSON, to be decoded by ``Wire``.
        queue: the queue that its relay reads.
        ordering_key: as it was emitted.
        dedupe_key: as it was emitted.
        state: pending or dead.
        attempts: attempts that failed.
        claims: claims since the last attempt that came to an end, this one included.
        available_at: when it is due; of a leased row, when the lease ends.
        created_at: when it was recorded, by the database's clock.
        leased_by: the worker that has it.
        token: of the lease; every report about the row must show it.
        error: the last failure.
    """

    seq: int
    id: UUID
    kind: str
    version: int
    envelope: bytes
    queue: str
    ordering_key: str | None
    dedupe_key: str | None
    state: State
    attempts: int
    claims: int
    available_at: datetime
    created_at: datetime
    leased_by: str | None
    token: str | None
    error: Failure | None


@attrs.frozen(kw_only=True)
class Selection:
    """A condition on rows of one queue; what is None or False is not asked for.

    Args:
        kinds: any of these kinds.
        queue: of this queue; None is the store's own.
        states: in any of these states.
        failed: dead, or pending with an attempt that failed.
        older_than: recorded longer ago than this.
        error: text that the last failure contains, in its type, message, traceback or place.
        ids: any of these intents.
    """

    kinds: Collection[str] | None = None
    queue: str | None = None
    states: Collection[State] | None = None
    failed: bool = False
    older_than: timedelta | None = None
    error: str | None = None
    ids: Collection[UUID] | None = None


@attrs.frozen(kw_only=True)
class Counts:
    """Numbers of rows, each row counted in one of the first four.

    Args:
        due: pending, due and not leased.
        scheduled: pending, and due later: delayed, or waiting for the next attempt.
        leased: a worker has it, or died with it.
        dead: dead letters.
        retrying: pending after a failed attempt, whichever of the first three counts it.
    """

    due: int = 0
    scheduled: int = 0
    leased: int = 0
    dead: int = 0
    retrying: int = 0

    @property
    def pending(self) -> int:
        """All but the dead."""
        return self.due + self.scheduled + self.leased


@attrs.frozen(kw_only=True)
class Status(Counts):
    """State of a queue.

    Args:
        oldest_due: how long the row that is due longest has waited.
        kinds: the counts of each kind.
        paused: the paused kinds; an empty text stands for all.
    """

    oldest_due: timedelta = timedelta()
    kinds: Mapping[str, Counts] = attrs.field(factory=dict)
    paused: frozenset[str] = frozenset()
