"""Results with which a handler asks the relay of an outbox to go on later, or to give up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from airlock.errors import DeclarationError

__all__ = ["RESULTS", "Dead", "Result", "Retry", "Snooze"]


def _from_zero(instance: Any, _: Any, value: Any) -> None:
    if not isinstance(value, timedelta) or value < timedelta(0):
        raise DeclarationError(
            f"{type(instance).__name__}({value!r}): give a timedelta from 0, such as "
            "timedelta(minutes=5)."
        )


def _some_text(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise DeclarationError(f"Dead({value!r}): give the reason, as text.")


@attrs.frozen
class Retry:
    """The result of a handler that has failed for now: run it again after a pause.

    It counts as an attempt. What the handler emitted is discarded.

    Args:
        after: the pause, instead of the one that the relay would choose.

    Raises:
        DeclarationError: ``after`` is no timedelta, or negative.

    Example:
        >>> from datetime import timedelta
        >>> from airlock import Retry
        >>> def notify(intent: NotifyWarehouse) -> Retry | None:
        ...     return Retry(
        ...         timedelta(minutes=5)
        ...     )  # the warehouse has answered 429, Retry-After: 300
    """

    after: timedelta = attrs.field(validator=_from_zero)


@attrs.frozen
class Snooze:
    """The result of a handler whose time has not come: run it again after a pause.

    It counts as no attempt. What the handler emitted is discarded.

    Args:
        after: the pause.

    Raises:
        DeclarationError: ``after`` is no timedelta, or negative.

    Example:
        >>> from datetime import timedelta
        >>> from airlock import Snooze
        >>> def notify(intent: NotifyWarehouse) -> Snooze | None:
        ...     return Snooze(timedelta(hours=1))  # the warehouse is closed
    """

    after: timedelta = attrs.field(validator=_from_zero)


@attrs.frozen
class Dead:
    """The result of a handler for which trying again is of no use: store the intent as dead.

    What the handler emitted is discarded.

    Args:
        reason: the reason, for whoever looks at it.

    Raises:
        DeclarationError: ``reason`` is empty, or no text.

    Example:
        >>> from airlock import Dead
        >>> def notify(intent: NotifyWarehouse) -> Dead | None:
        ...     return Dead("the order was deleted")
    """

    reason: str = attrs.field(validator=_some_text)


Result = Retry | Snooze | Dead
RESULTS = (Retry, Snooze, Dead)
