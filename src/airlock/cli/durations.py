"""Durations on the command line, in both directions."""

from __future__ import annotations

import re
from datetime import timedelta

import click

__all__ = ["duration", "format_duration"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def duration(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    """``90s``, ``15m``, ``2h``, ``7d``."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)([smhd])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no duration: write 90s, 15m, 2h or 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def format_duration(span: timedelta) -> str:
    """Format a duration in its largest unit: ``90s`` is ``1m``."""
    seconds = int(span.total_seconds())
    for unit, size in _SECONDS.items():
        if abs(seconds) >= size:
            return f"{int(seconds / size)}{unit}"
    return "0s"
