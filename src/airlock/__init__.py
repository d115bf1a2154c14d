"""Typed side effects: effects are values, and a boundary decides which of them escape.

See the README for a first program, ``airlock.errors`` for what can go wrong.
"""

from airlock.ambient import Context
from airlock.boundary import Boundary
from airlock.check import Check, warn_of_leftovers
from airlock.context import emit, emit_all, enqueue
from airlock.dispatch import (
    INLINE,
    Delivery,
    Dispatcher,
    Interceptor,
    Route,
    deliveries,
    delivery,
)
from airlock.effects.buffer import EffectBuffer, Emits
from airlock.effects.function import EffectFunction, effect, needs
from airlock.effects.intent import Intent, asdict, field, intent, replace
from airlock.effects.json import Json
from airlock.effects.options import Options
from airlock.effects.policy import Policy, PolicyLike, View, each
from airlock.effects.report import Report, ReportEntry
from airlock.effects.verdict import ALLOW, DROP, HOLD, MERGED, Verdict
from airlock.effects.wave import Outcome
from airlock.enclosure import enclose, region
from airlock.errors import (
    AirlockError,
    FlushError,
    PartialFailure,
)
from airlock.observers import Log, Observer
from airlock.policies import Allow, Dedupe, Drop, Hold, Limit, OncePerChain, Refuse
from airlock.release import Release, Segment
from airlock.retry import RetryPolicy
from airlock.scope import Scope, current
from airlock.wiring import Expands, Handles, HandlesBatch
from airlock_plugins.hypothesis import register as register_strategies

warn_of_leftovers()
del warn_of_leftovers
register_strategies()
del register_strategies

__all__ = [
    "ALLOW",
    "DROP",
    "HOLD",
    "INLINE",
    "MERGED",
    "AirlockError",
    "Allow",
    "Boundary",
    "Check",
    "Context",
    "Dedupe",
    "Delivery",
    "Dispatcher",
    "Drop",
    "EffectBuffer",
    "EffectFunction",
    "Emits",
    "Expands",
    "FlushError",
    "Handles",
    "HandlesBatch",
    "Hold",
    "Intent",
    "Interceptor",
    "Json",
    "Limit",
    "Log",
    "Observer",
    "OncePerChain",
    "Options",
    "Outcome",
    "PartialFailure",
    "Policy",
    "PolicyLike",
    "Refuse",
    "Release",
    "Report",
    "ReportEntry",
    "RetryPolicy",
    "Route",
    "Scope",
    "Segment",
    "Verdict",
    "View",
    "asdict",
    "current",
    "deliveries",
    "delivery",
    "each",
    "effect",
    "emit",
    "emit_all",
    "enclose",
    "enqueue",
    "field",
    "intent",
    "needs",
    "region",
    "replace",
]
