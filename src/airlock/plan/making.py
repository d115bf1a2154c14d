"""Making of a plan from what waves hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from airlock.effects.describe import stable_repr
from airlock.effects.place import Place, shown
from airlock.effects.registry import describe
from airlock.emissions.delivery import Delivery
from airlock.emissions.report import Report
from airlock.emissions.wave import Wave
from airlock.errors import AirlockError, DeclarationError, PlanError
from airlock.flushing.unplanned import unclaimed
from airlock.handlers.overrides import Overrides
from airlock.plan.document import Plan
from airlock.plan.entry import PlanEntry, write_entry
from airlock.plan.lines import written
from airlock.wire.codec import Wire
from airlock.wire.envelope import Envelope

__all__ = ["Position", "entry_of", "plan_of", "plan_of_report"]

Position = tuple[Wave, int]
"""Position of an intent: the wave in which it was decided, and its index there."""


def plan_of_report(report: Report, expires: datetime | timedelta | None, wire: Wire | None) -> Plan:
    """Make a plan of what a scope holds."""
    held = ((wave, i) for wave in report.waves for i in unclaimed(wave))
    return plan_of(held, expires, wire)


def plan_of(
    positions: Iterable[Position],
    expires: datetime | timedelta | None,
    wire: Wire | None,
    lacking: list[AirlockError] | None = None,
) -> Plan:
    """Return a plan of some intents.

    Args:
        positions: of the intents.
        expires: as for ``scope.plan``.
        wire: as for ``scope.plan``.
        lacking: takes the errors of those that it cannot hold; without it the first is raised.

    Raises:
        UnencodableError: an intent has no form on the wire.
        PlanError: an intent is under an override, which no document can hold.
        DeclarationError: ``expires`` or ``wire`` makes no sense.
    """
    if wire is not None and not isinstance(wire, Wire):
        raise DeclarationError(f"plan(wire=...) takes a Wire, not {describe(wire)}.")
    wire = Wire() if wire is None else wire
    lines = _lines(positions, wire, lacking)
    return Plan(written(lines, _moment(expires)), wire)


def _lines(
    positions: Iterable[Position], wire: Wire, lacking: list[AirlockError] | None
) -> Iterator[tuple[PlanEntry, bytes]]:
    """Yield the entries and their lines."""
    index = 0
    for wave, position in positions:
        try:
            entry = entry_of(wave, position, index)
            line = write_entry(wire, entry)
        except AirlockError as error:
            if lacking is None:
                raise
            error.add_note(f"not in the plan: {stable_repr(wave.intents[position])}")
            lacking.append(error)
            continue
        yield entry, line
        index += 1


def entry_of(wave: Wave, position: int, index: int) -> PlanEntry:
    """Return an intent as an entry.

    Raises:
        PlanError: it is under an override.
    """
    intent = wave.intents[position]
    if wave.overridden and Overrides(wave).of(position) is not None:
        raise PlanError(
            "the plan",
            f"cannot hold {stable_repr(intent)}, which was emitted under scope.override(...): a "
            "plan is applied with the handlers of its boundary, and an override would be lost",
            "Emit it outside of the override, or have nothing held there.",
        )
    emission = wave.emissions.get(position)
    options = wave.options.get(position)
    return PlanEntry(
        index,
        Envelope.of(Delivery(wave, position, 1)),
        frozenset() if options is None else frozenset(options.given()),
        None if emission is None else _format_place(emission.place, os.getcwd()),  # noqa: PTH109 - pathlib takes longer than all of it
    )


@lru_cache(256)
def _format_place(place: Place, _: str) -> str:
    """Format a place as seen from a working directory; cached, for it takes a while."""
    return shown(place)


def _moment(expires: datetime | timedelta | None) -> datetime | None:
    """Return when a plan expires, in UTC."""
    if isinstance(expires, timedelta):
        return (datetime.now(UTC) + expires).replace(microsecond=0)
    if expires is None:
        return None
    if not isinstance(expires, datetime) or expires.utcoffset() is None:
        raise DeclarationError(
            f"plan(expires={expires!r}): give a timedelta, or a datetime with a zone."
        )
    return expires.astimezone(UTC)
