"""A warning for intents that were held, and that nobody took care of before they were gone."""

from __future__ import annotations

import warnings
from weakref import finalize

from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome, Wave
from airlock.errors import UnplannedWarning
from airlock.policies.recorder import Recorder

__all__ = ["unclaimed", "watch"]


def watch(report: Report) -> None:
    """Warn when a report is gone, and nobody made a plan of the intents held in it, or looked at them."""
    holding = [(wave, held) for wave in report.waves if wave.deciders and (held := unclaimed(wave))]
    if holding:
        number, region = sum(len(held) for _, held in holding), holding[0][0].root
        file, line = region.place if isinstance(region.place, tuple) else ("<unknown>", 0)
        message = (
            f"{number} intent(s) were held in {region.described()}, and nobody made a plan of them: "
            "they are gone. Call scope.plan() after the block, or look at report.held; to let "
            "nothing escape, use Drop()."
        )
        report.unattended = finalize(report, _warn, message, file, line).detach


def unclaimed(wave: Wave) -> list[int]:
    """Return the positions held in a wave, but for what a recorder holds and takes care of itself."""
    if not wave.outcomes.count(Outcome.HELD):
        return []
    return [
        i for i, code in enumerate(wave.outcomes) if code == Outcome.HELD and not _cared(wave, i)
    ]


def _cared(wave: Wave, position: int) -> bool:
    decider = wave.deciders.get(position)
    return isinstance(decider, Recorder) and decider.exclusive and position in wave.emissions


def _warn(message: str, file: str, line: int) -> None:
    warnings.warn_explicit(message, UnplannedWarning, file, line)
