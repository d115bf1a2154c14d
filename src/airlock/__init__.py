"""Typed side effects: effects are values, and a boundary decides which of them escape.

See the README for a first program, ``airlock.errors`` for what can go wrong.
"""

from types import FunctionType

from airlock.boundary.boundary import Boundary
from airlock.boundary.check import Check
from airlock.dispatch import INLINE, Dispatcher, Interceptor, Route
from airlock.effects.function import EffectFunction, effect, needs
from airlock.effects.intent import Intent, asdict, field, intent, replace
from airlock.effects.json import Json
from airlock.effects.options import Options
from airlock.emissions.buffer import EffectBuffer, Emits
from airlock.emissions.delivery import Delivery
from airlock.emissions.report import Report, ReportEntry
from airlock.emissions.wave import Outcome
from airlock.errors import (
    AirlockError,
    FlushError,
    PartialFailure,
)
from airlock.handlers.providers import Expands, Handles, HandlesBatch
from airlock.handlers.results import Dead, Retry, Snooze
from airlock.handlers.retry import RetryPolicy
from airlock.observers import Log, Observer
from airlock.policies.builtin import Allow, Dedupe, Drop, Hold, Limit, OncePerChain, Refuse
from airlock.policies.policy import Policy, PolicyLike, View, each
from airlock.policies.verdict import ALLOW, DROP, HOLD, MERGED, Verdict
from airlock.release import Release, Segment
from airlock.scopes.blocks import region
from airlock.scopes.carry import Context
from airlock.scopes.current import deliveries, delivery, emit, emit_all, enqueue
from airlock.scopes.enclose import enclose
from airlock.scopes.scope import Scope, current
from airlock_plugins.hypothesis import register as register_strategies

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
    "Dead",
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
    "Retry",
    "RetryPolicy",
    "Route",
    "Scope",
    "Segment",
    "Snooze",
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

for _name in __all__:
    if isinstance(globals()[_name], type | FunctionType):
        globals()[_name].__module__ = "airlock"  # where it is found, whatever room it is made in
del FunctionType
