"""A warning for intents that were held, and that nobody took care of before they were gone."""

from __future__ import annotations

import warnings
from weakref import finalize

from airlock.effects.emission import Recorder
from airlock.effects.report import Report
from airlock.effects.wave import Outcome, Wave
from airlock.errors import UnplannedWarning

__all__ = ["watch"]


def watch(report: Report) -> None:
    """Warn when a report is gone, and nobody made a plan of what it says is held, or looked at it."""
    holding = [wave for wave in report.waves if wave.deciders and _held(wave)]
    if holding:
        number, region = sum(map(_held, holding)), holding[0].root
        file, line = region.place or ("<unknown>", 0)
        message = (
            f"{number} intent(s) were held in {region.described()}, and nobody made a plan of them: "
            "they are gone. Call scope.plan() after the block, or look at report.held; to let "
            "nothing escape, use Drop()."
        )
        report.unattended = finalize(report, _warn, message, file, line).detach


def _held(wave: Wave) -> int:
    """How many intents of a wave are held, but by what takes care of them itself."""
    if not wave.outcomes.count(Outcome.HELD):
        return 0
    return sum(
        wave.outcomes[i] == Outcome.HELD
        and not (isinstance(decider, Recorder) and decider.exclusive and i in wave.emissions)
        for i, decider in wave.deciders.items()
    )


def _warn(message: str, file: str, line: int) -> None:
    warnings.warn_explicit(message, UnplannedWarning, file, line)
