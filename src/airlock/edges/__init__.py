"""Where frameworks and engines meet a boundary: what all integrations are made of.

A framework runs units of work, and each gets a scope: ``Edge``. Commands are told what may escape:
``CommandEffects`` and ``effects_mode``. Where no scope is open, ``scopeless`` decides. A task queue carries intents to
another process: ``QueueDispatch`` at this end, ``Receiver`` at the other.
"""

from __future__ import annotations

from airlock.edges.commands import CommandEffects
from airlock.edges.edge import SLOW, Edge, Work, keep_web
from airlock.edges.modes import effects_mode, parse_mode
from airlock.edges.queues import QueueDispatch
from airlock.edges.receiver import Receiver
from airlock.edges.scopeless import scopeless

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
