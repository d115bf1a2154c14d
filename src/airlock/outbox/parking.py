"""Parking: what failed, or was left pending, where nobody can resume it, is stored as dead letters."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from airlock.effects.describe import stable_repr
from airlock.effects.place import shown
from airlock.emissions.delivery import Delivery
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome, Wave
from airlock.outbox.entry import Failure, New
from airlock.outbox.recording import new_of
from airlock.wire.codec import Wire

__all__ = ["log_parked", "parked"]

log = logging.getLogger("airlock")

PENDING = "its flush ended before it ran"


def parked(report: Report, wire: Wire) -> list[tuple[New, Failure]]:
    """Return the rows of what failed or is pending in a report; log what has no form on the wire."""
    found: list[tuple[New, Failure]] = []
    for wave in report.waves:
        for position, failure in _unfinished(wave):
            intent = wave.intents[position]
            try:
                new = new_of(Delivery(wave, position, 1), wire)
            except Exception:
                log.exception(
                    "%s is lost: it was not delivered (%s), and cannot be stored",
                    stable_repr(intent),
                    failure.message,
                )
                continue
            found.append((new, failure))
    return found


def _unfinished(wave: Wave) -> Iterator[tuple[int, Failure]]:
    for position, code in enumerate(wave.outcomes):
        if code not in (Outcome.FAILED, Outcome.PENDING):
            continue
        error = wave.errors.get(position)
        place = _place(wave, position)
        if error is None:
            yield position, Failure(type="pending", message=PENDING, traceback="", place=place)
        else:
            yield position, Failure.of(error, place)


def _place(wave: Wave, position: int) -> str:
    """Return where an intent was emitted, as closely as that is known."""
    emission = wave.emissions.get(position)
    place = wave.home(position).place if emission is None else emission.place
    return "" if place is None else place if isinstance(place, str) else shown(place)


def log_parked(those: list[tuple[New, Failure]]) -> None:
    """Log each row, with the command that shows it."""
    for new, failure in those:
        log.error(
            "%s was not delivered (%s: %s), and is stored as failed: airlock outbox show %s",
            new.kind,
            failure.type,
            failure.message,
            new.id,
        )
