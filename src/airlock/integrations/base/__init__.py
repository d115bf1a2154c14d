"""The parts that all integrations are made of.

A framework runs units of work, and each gets a scope: ``Edge``. Commands take what may escape as an option:
``CommandEffects`` and ``effects_mode``. Where no scope is open, ``scopeless`` decides. A task queue carries intents to
another process: ``QueueDispatch`` at this end, ``Receiver`` at the other.
"""

from __future__ import annotations

from airlock.integrations.base.commands import CommandEffects
from airlock.integrations.base.edge import SLOW, Edge, Work, keep_web
from airlock.integrations.base.modes import effects_mode, parse_mode
from airlock.integrations.base.queues import QueueDispatch
from airlock.integrations.base.receiver import Receiver
from airlock.integrations.base.scopeless import scopeless

__all__ = [
    "SLOW",
    "CommandEffects",
    "Edge",
    "QueueDispatch",
    "Receiver",
    "Work",
    "effects_mode",
    "keep_web",
    "parse_mode",
    "scopeless",
]
