"""The other end of a dispatch: an intent has arrived from another process, and is handled here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import attrs

from airlock.effects.causation import NO_CAUSE
from airlock.effects.options import Options, headers_of
from airlock.effects.registry import describe
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome, Wave
from airlock.errors import DeclarationError, FlushError
from airlock.flushing.engine import Engine
from airlock.release import OnFlushError, check_on_flush_error
from airlock.scopes.opening import ScopeOptions
from airlock.scopes.scope import Scope

if TYPE_CHECKING:
    from airlock.wire.envelope import Envelope

__all__ = ["adeliver", "adeliver_all", "deliver", "deliver_all"]

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
    _check_envelope("deliver", envelope)
    _check_attempt("deliver", attempt)
    check_on_flush_error("deliver", errors)
    options = ScopeOptions(
        independent=True,
        headers=headers_of(envelope.headers),
        cause=envelope.causation,
        arrival=partial(_note, [attempt]),
    )
    return Scope(engine, options)


def _note(attempts: Sequence[int], wave: Wave) -> None:
    """Note in a wave that it was handed over to this process, and how often it was tried."""
    wave.arrived = True
    wave.tries = {at: attempt - 1 for at, attempt in enumerate(attempts) if attempt > 1}


def _check_envelope(where: str, envelope: object) -> None:
    if not hasattr(envelope, "causation"):
        raise DeclarationError(
            f"{where} takes an Envelope, not {describe(envelope)}: wire.decode(...) returns one."
        )


def _check_attempt(where: str, attempt: object) -> None:
    if not isinstance(attempt, int) or attempt < 1:
        raise DeclarationError(f"{where}(attempt={attempt!r}): give an int, 1 for the first try.")


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


# -- many at once ---------------------------------------------------------------------------------


def deliver_all(engine: Engine, envelopes: Sequence[Envelope], attempts: Sequence[int]) -> Report:
    """Run the handlers of many envelopes in one flush; see ``Boundary.deliver_all``."""
    arrivals = _Arrivals(engine, envelopes, attempts)
    with arrivals.reported(), arrivals.scope:
        arrivals.emit()
    return arrivals.scope.report


async def adeliver_all(
    engine: Engine, envelopes: Sequence[Envelope], attempts: Sequence[int]
) -> Report:
    """Do what ``deliver_all`` does, where handlers are async."""
    arrivals = _Arrivals(engine, envelopes, attempts)
    with arrivals.reported():
        async with arrivals.scope:
            arrivals.emit()
    return arrivals.scope.report


class _Arrivals:
    """Many arrived intents, and the scope in which they are handled.

    Raises:
        DeclarationError: an envelope is none, or an attempt is no int from 1.
    """

    def __init__(
        self, engine: Engine, envelopes: Sequence[Envelope], attempts: Sequence[int]
    ) -> None:
        if len(attempts) != len(envelopes):
            raise DeclarationError(
                f"deliver_all takes an attempt for each envelope: {len(envelopes)} envelopes, "
                f"{len(attempts)} attempts."
            )
        for envelope in envelopes:
            _check_envelope("deliver_all", envelope)
        for attempt in attempts:
            _check_attempt("deliver_all", attempt)
        self.scope = Scope(engine, ScopeOptions(independent=True, arrival=self.note))
        self._envelopes = envelopes
        self._attempts = attempts
        self._refused: dict[int, Exception] = {}

    def emit(self) -> None:
        """Emit all: one that is refused has failed, and stands at its place nevertheless."""
        region = self.scope.region
        intents = [envelope.intent for envelope in self._envelopes]
        for at, intent in enumerate(intents) if region.guards else ():
            try:
                for guard in region.guards:
                    guard(intent)
            except Exception as error:  # noqa: BLE001 - a policy's
                self._refused[at] = error
        list.extend(region, intents)  # what is ambient here is none of their context
        region.seen.update(map(type, intents))
        region.options = {
            at: Options(ordering_key=given.ordering_key, headers=given.headers)
            for at, given in enumerate(envelope.options for envelope in self._envelopes)
            if given.headers or given.ordering_key is not None
        } or None

    def note(self, wave: Wave) -> None:
        """Note in the wave with what each intent arrived."""
        _note(self._attempts, wave)
        wave.scheduled = True
        for at, envelope in enumerate(self._envelopes):
            wave.keep_id(at, envelope.id)
            if envelope.causation is not NO_CAUSE and envelope.causation != NO_CAUSE:
                wave.origins[at] = envelope.causation
        for at, error in self._refused.items():
            wave.fail(at, error)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Have the report of what failed instead of an error, and on the error of an interruption."""
        scope = self.scope
        try:
            yield
        except Exception as error:
            report = scope.report
            if not report.waves:
                raise
            first = report.waves[0]
            ran = len(first.outcomes) - first.outcomes.count(Outcome.PENDING) - len(self._refused)
            if not ran:
                for at in set(range(len(first.intents))).difference(self._refused):
                    first.fail(at, error)
            elif not isinstance(error, FlushError):
                log.exception("some follow-ups could not be delivered; the report has them all")
        except BaseException as error:
            with suppress(Exception):
                error.report = scope.report  # type: ignore[attr-defined]  # for whoever catches it
            raise
