"""The other end of a dispatch: an intent has arrived from another process, and is handled here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from airlock.effects.options import headers_of
from airlock.effects.registry import describe
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome
from airlock.errors import DeclarationError
from airlock.flushing.engine import Engine
from airlock.release import OnFlushError, check_on_flush_error
from airlock.scopes.opening import ScopeOptions
from airlock.scopes.scope import Scope

if TYPE_CHECKING:
    from airlock.wire.envelope import Envelope

__all__ = ["adeliver", "deliver"]

log = logging.getLogger("airlock")


def deliver(
    engine: Engine, envelope: Envelope, attempt: int, on_flush_error: OnFlushError
) -> Report:
    """Run the handler of an envelope; see ``Boundary.deliver``."""
    scope = _scope(engine, envelope, attempt, on_flush_error)
    with _judged(scope, on_flush_error), scope:
        _emit(scope, envelope)
    return scope.report


async def adeliver(
    engine: Engine, envelope: Envelope, attempt: int, on_flush_error: OnFlushError
) -> Report:
    """Do what ``deliver`` does, where handlers are async."""
    scope = _scope(engine, envelope, attempt, on_flush_error)
    with _judged(scope, on_flush_error):
        async with scope:
            _emit(scope, envelope)
    return scope.report


def _scope(engine: Engine, envelope: Envelope, attempt: int, errors: OnFlushError) -> Scope:
    if not hasattr(envelope, "causation"):
        raise DeclarationError(
            f"deliver takes an Envelope, not {describe(envelope)}: wire.decode(...) returns one."
        )
    if not isinstance(attempt, int) or attempt < 1:
        raise DeclarationError(f"deliver(attempt={attempt!r}): give an int, 1 for the first try.")
    check_on_flush_error("deliver", errors)
    options = ScopeOptions(
        independent=True,
        headers=headers_of(envelope.headers),
        cause=envelope.causation,
        arrival=attempt,
    )
    return Scope(engine, options)


def _emit(scope: Scope, envelope: Envelope) -> None:
    # What concerns the way here is over, and the scope has the headers.
    options = attrs.evolve(envelope.options, delay=None, dedupe_key=None, headers=None)
    # It was emitted elsewhere: what is ambient here is none of its context.
    region = scope.region
    capture, region.capture = region.capture, None
    try:
        scope.emit(envelope.intent, options)
    finally:
        region.capture = capture


@contextmanager
def _judged(scope: Scope, on_flush_error: OnFlushError) -> Iterator[None]:
    """Raise what kept the intent from its handler; of its follow-ups, raise or log it."""
    try:
        yield
    except Exception:
        waves = scope.report.waves
        own = waves[0].errors.get(0) if waves else None
        if own is not None:
            raise own from None
        handled = waves and waves[0].outcomes[0] == Outcome.DELIVERED
        if not handled or on_flush_error == "raise":
            raise
        log.exception(
            "%r was delivered, and some of its follow-ups were not; the report has them all",
            waves[0].intents[0],
        )
