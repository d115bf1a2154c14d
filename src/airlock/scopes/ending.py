"""How a block ends: its intents are flushed, discarded, or wait for a transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from airlock.emissions.region import Region
from airlock.emissions.segments import unended
from airlock.errors import NoTransactionError
from airlock.release import Segment

__all__ = [
    "FLUSH",
    "Discard",
    "Keep",
    "Wait",
    "decide",
    "goes_on",
    "is_interrupt",
    "refusal",
    "succeeded",
]

log = logging.getLogger("airlock")

Keep = Callable[[BaseException | None], bool]
"""Decides whether what a block emitted is kept. Called with its exception, or None.

It is asked where no transaction decides.
"""


class Flush:
    """Deliver it now."""


FLUSH = Flush()


@attrs.frozen(eq=False)
class Discard:
    """Discard it.

    Attributes:
        why: what decided that, for the report.
    """

    why: object


@attrs.frozen(eq=False)
class Wait:
    """Decide again when a transaction has ended.

    Attributes:
        segment: of that transaction.
    """

    segment: Segment


Ending = Flush | Discard | Wait


def decide(region: Region, against: object, *, transactional: bool) -> Ending:
    """Return what becomes of the intents of a scope whose block has ended.

    Args:
        region: of the scope.
        against: what decided against the block; None if it is kept.
        transactional: whether transactions decide. Then the block decides only about what was
            emitted outside of them, and the rest is flushed however the block ended.
    """
    if not transactional:
        return FLUSH if against is None else Discard(against)
    waiting = unended(region)
    return Wait(waiting[0]) if waiting else FLUSH


def refusal(keep: Keep | None, error: BaseException | None) -> object:
    """Return what decides against a block that ends with an error or None; None if it is kept.

    Raises:
        BaseException: whatever the ``keep`` hook raised.
    """
    if keep is None:
        return None if error is None or succeeded(error) else error
    if keep(error):
        return None
    return "its keep hook" if error is None else error


def succeeded(error: BaseException | None) -> bool:
    """Return True if a block ended without an exception, or by ``SystemExit`` with code 0."""
    return error is None or (isinstance(error, SystemExit) and error.code in (None, 0))


def is_interrupt(error: BaseException | None) -> bool:
    """Return True for Ctrl-C, a cancellation, the end of a generator, an exit that is no success."""
    return not (isinstance(error, Exception) or succeeded(error))


def goes_on(error: BaseException | None, failure: Exception) -> bool:
    """Return True if the error that leaves the block goes on, and log the failure of its end.

    An interrupt does, whatever failed: who has sent it waits for it. Any other error does if only
    the transaction is missing, which is likely to be its fault.
    """
    if not is_interrupt(error) and (error is None or not isinstance(failure, NoTransactionError)):
        return False
    if isinstance(failure, NoTransactionError):
        log.error("%s", failure)
    else:
        log.error("%r left a block, and goes on; besides, %s", error, failure, exc_info=failure)
    return True
