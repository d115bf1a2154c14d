"""The next step of a row whose delivery has ended, from its error and its counts: no I/O, no clock."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from datetime import timedelta
from random import random

import attrs

from airlock.errors import DeferredError, UnhandledIntentError, WireError
from airlock.handlers.results import Dead, Retry, Snooze
from airlock.outbox.entry import Failure

__all__ = ["Again", "Bury", "Step", "after_crashes", "after_error", "pause"]

LONGEST = timedelta(hours=1)
"""The longest pause between two attempts."""

UNKNOWN = timedelta(minutes=1)
"""The first pause for what this program does not know yet: a release of it takes minutes."""


@attrs.frozen
class Again:
    """Deliver the row again after a pause.

    Attributes:
        after: the pause.
        failure: the reason, for whoever looks at the row; None if there was no error.
        burn: whether it counts as an attempt.
    """

    after: timedelta
    failure: Failure | None
    burn: bool


@attrs.frozen
class Bury:
    """Store the row as dead.

    Attributes:
        failure: the reason.
    """

    failure: Failure


Step = Again | Bury


def after_error(
    error: BaseException,
    *,
    attempt: int,
    max_attempts: int,
    place: str = "",
    chance: Callable[[], float] = random,
) -> Step:
    """Return the next step after an error.

    Args:
        error: of the handler, the wire or the wiring.
        attempt: which try has failed, from 1.
        max_attempts: after how many tries a row is dead.
        place: of the emission, for whoever looks at the row.
        chance: returns a number from 0 to 1, for the jitter.

    Example:
        >>> step = after_error(
        ...     OSError("no route"), attempt=3, max_attempts=12, chance=lambda: 0.5
        ... )
        >>> step.after, step.failure.type
        (datetime.timedelta(seconds=8), 'builtins.OSError')
    """
    failure = Failure.of(error, place)
    if isinstance(error, CancelledError):  # the relay is stopping: the handler is not to blame
        return Again(timedelta(0), None, burn=False)
    if isinstance(error, DeferredError):
        match error.result:
            case Dead(reason):
                return Bury(Failure(type="airlock.Dead", message=reason, place=place))
            case Snooze(after):
                return Again(after, None, burn=False)
            case Retry(after) if attempt < max_attempts:
                failure = Failure(type="airlock.Retry", message=repr(error.result), place=place)
                return Again(after, failure, burn=True)
    if attempt >= max_attempts:
        return Bury(failure)
    first = UNKNOWN if _is_unknown(error) else timedelta(seconds=2)
    return Again(pause(attempt, first, chance), failure, burn=True)


def after_crashes(claims: int, max_crashes: int, place: str = "") -> Bury | None:
    """Return that a row is dead if it ended its worker too often; None if it may run.

    Args:
        claims: how often it was claimed since it last had a result, this time included.
        max_crashes: how many workers may end with it.
        place: of the emission, for whoever looks at the row.

    Example:
        >>> after_crashes(6, 5).failure.message
        'the worker ended 5 times while it delivered this, and never got to a result'
    """
    if claims <= max_crashes:
        return None
    message = (
        f"the worker ended {claims - 1} times while it delivered this, and never got to a result"
    )
    return Bury(Failure(type="airlock.WorkerCrashed", message=message, place=place))


def pause(
    attempt: int, first: timedelta = timedelta(seconds=2), chance: Callable[[], float] = random
) -> timedelta:
    """Return the pause after a failed attempt: doubled each time, at most an hour, ± 20 %.

    Example:
        >>> [pause(n, chance=lambda: 0.5).total_seconds() for n in (1, 2, 3, 12)]
        [2.0, 4.0, 8.0, 3600.0]
    """
    doubled: timedelta = first * (1 << min(attempt - 1, 20))
    return min(doubled, LONGEST) * (0.8 + 0.4 * chance())


def _is_unknown(error: BaseException) -> bool:
    return isinstance(error, UnhandledIntentError) or (
        isinstance(error, WireError) and error.unknown
    )
