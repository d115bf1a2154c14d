"""Retries of a handler, through stamina."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs

from airlock.errors import DeclarationError, MissingExtraError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["RetryPolicy"]


def _seconds(seconds: float) -> timedelta:
    from datetime import timedelta  # noqa: PLC0415 - an import that most programs do without

    return timedelta(seconds=seconds)


def _some_errors(_: RetryPolicy, __: Any, value: Any) -> None:
    kinds = value if isinstance(value, tuple) else (value,)
    if not kinds or not all(isinstance(k, type) and issubclass(k, Exception) for k in kinds):
        raise DeclarationError(f"RetryPolicy(on={value!r}): give an exception class, or a tuple.")


def _from_one(_: RetryPolicy, __: Any, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DeclarationError(f"RetryPolicy(max_attempts={value!r}): an int from 1.")


def _not_negative(_: RetryPolicy, attribute: Any, value: Any) -> None:
    if value is not None and not (isinstance(value, type(_seconds(0))) and value >= _seconds(0)):
        raise DeclarationError(f"RetryPolicy({attribute.name}={value!r}): a timedelta from 0.")


@attrs.frozen
class RetryPolicy:
    """A policy of how often and when a handler is called again after an error.

    Waits grow exponentially with jitter, between ``wait_initial`` and ``wait_max``. What a failed
    attempt emitted is discarded, unless it was committed in a transaction of its own. Needs the extra ``airlock-effects[retry]``.

    Args:
        on: the exception class, or classes, after which to try again.
        max_attempts: how many calls at the most, the first included.
        timeout: how long all attempts may take together, before the last is given up.
        wait_initial: the first wait; 100 ms if not given.
        wait_max: the longest wait; 5 s if not given.

    Raises:
        MissingExtraError: stamina is not installed.
        DeclarationError: an argument makes no sense.

    Example:
        >>> patient = RetryPolicy(on=ConnectionError, max_attempts=3)
    """

    on: type[Exception] | tuple[type[Exception], ...] = attrs.field(validator=_some_errors)
    max_attempts: int = attrs.field(default=5, kw_only=True, validator=_from_one)
    timeout: timedelta | None = attrs.field(default=None, kw_only=True, validator=_not_negative)
    wait_initial: timedelta = attrs.field(
        factory=lambda: _seconds(0.1), kw_only=True, validator=_not_negative
    )
    wait_max: timedelta = attrs.field(
        factory=lambda: _seconds(5), kw_only=True, validator=_not_negative
    )

    def __attrs_post_init__(self) -> None:
        try:
            import stamina  # noqa: F401, PLC0415 - an extra: looked for where it is first needed
        except ImportError:
            raise MissingExtraError("RetryPolicy", "stamina", "retry") from None

    def call(self, attempt: Callable[[], object], began: float) -> object:
        """Call until it succeeds or the policy is spent, and return the result.

        Args:
            attempt: to call.
            began: when the first attempt began, by ``time.monotonic``; used with a timeout.
        """
        import stamina  # noqa: PLC0415

        return stamina.RetryingCaller(**self._arguments(began)).on(self.on)(attempt)

    async def acall(self, attempt: Callable[[], Awaitable[object]], began: float) -> object:
        """Do what ``call`` does, awaiting each attempt."""
        import stamina  # noqa: PLC0415

        return await stamina.AsyncRetryingCaller(**self._arguments(began)).on(self.on)(attempt)

    def _arguments(self, began: float) -> dict[str, Any]:
        timeout = self.timeout
        if timeout is not None:
            timeout = max(timeout - _seconds(monotonic() - began), _seconds(0))
        return {
            "attempts": self.max_attempts,
            "timeout": timeout,
            "wait_initial": self.wait_initial,
            "wait_max": self.wait_max,
            "wait_jitter": min(self.wait_initial, _seconds(1)),
        }
