"""Forwarding: a relay hands rows over to the engine that is there, and keeps each until that has it."""

from __future__ import annotations

import attrs

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, Dispatcher, Recorder, dispatch_of, targets_of
from airlock.effects.options import Options
from airlock.effects.registry import describe
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome
from airlock.errors import AirlockError, FlushError, SettingError
from airlock.wire.envelope import Envelope

__all__ = ["Result", "aforward", "forward", "forwarding", "results_of"]

Result = tuple[Outcome, BaseException | None]
"""An outcome, and the error if the row is to be tried again or dead."""


def forward(target: Boundary, envelope: Envelope) -> Result:
    """Hand an intent over, and return once the engine has confirmed that it has it."""
    scope = target.scope(independent=True, cause=envelope.causation)
    try:
        with scope:
            scope.emit(envelope.intent, _forwarded_options(target, envelope))
    except Exception as error:  # noqa: BLE001 - whatever it is, the row stays
        return _forwarded(scope.report, error)
    return _forwarded(scope.report, None)


async def aforward(target: Boundary, envelope: Envelope) -> Result:
    """Do what ``forward`` does, for a dispatcher whose hand-over is to be awaited."""
    scope = target.scope(independent=True, cause=envelope.causation)
    try:
        async with scope:
            scope.emit(envelope.intent, _forwarded_options(target, envelope))
    except Exception as error:  # noqa: BLE001 - as above
        return _forwarded(scope.report, error)
    return _forwarded(scope.report, None)


def _forwarded_options(target: Boundary, envelope: Envelope) -> Options:
    """Return the options that are left: the delay is over, and keys hold as long as the row is here."""
    dispatcher = dispatch_of(target.dispatch, type(envelope.intent))
    return attrs.evolve(
        envelope.options,
        delay=None,
        dedupe_key=None,
        ordering_key=envelope.options.ordering_key
        if "ordering_key" in dispatcher.options
        else None,
    )


def _forwarded(report: Report, error: Exception | None) -> Result:
    if error is None:
        return results_of(report)[0]
    own = report.waves[0].errors.get(0) if report.waves else None
    if own is None and isinstance(error, FlushError):  # the broker is down, and the intent pending
        own = error.exceptions[0]
    return Outcome.FAILED, own or error


def forwarding(boundary: Boundary, to: bool | Dispatcher) -> Boundary:  # noqa: FBT001 - a setting
    """Return a boundary that hands everything over."""
    if isinstance(to, Dispatcher):
        return Boundary({}, dispatch=to)
    if to is not True:
        raise SettingError("Relay", "forward", f"is {describe(to)}", "Give True, or a Dispatcher")
    found = [
        one
        for one in dict.fromkeys(targets_of(boundary.dispatch))
        if one is not INLINE and not isinstance(one, Recorder)
    ]
    if len(found) != 1:
        names = ", ".join(map(repr, found)) or "none"
        raise SettingError(
            "Relay",
            "forward",
            f"is True, and the boundary dispatches to {names} beside its outboxes",
            "Give the dispatcher to forward to",
        )
    return Boundary({}, dispatch=found[0])


def results_of(report: Report) -> list[Result]:
    """Return the outcome of each intent that arrived, and the error if it is to be tried again."""
    wave = report.waves[0]
    results = list[Result]()
    for at, code in enumerate(wave.outcomes):
        outcome, error = Outcome(code), wave.errors.get(at)
        if outcome is Outcome.HELD:
            error = AirlockError(
                f"the policy {wave.deciders.get(at)!r} holds it, and what a relay delivers is in no "
                "plan: hold it where it is emitted."
            )
        results.append((outcome, error))
    return results
