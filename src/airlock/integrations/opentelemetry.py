"""Traces and metrics: a span for each flush and each effect, and counters by kind and outcome.

Only kinds, outcomes, numbers and names of exception types are exported: never a field of an intent,
nor the text of an error, which may show one.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import attrs

from airlock.effects.registry import spec_of
from airlock.emissions.delivery import Delivery
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome
from airlock.errors import MissingExtraError
from airlock.observers import Observer
from airlock.scopes.blocks import ABANDONED

try:
    from opentelemetry import context, metrics, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
except ImportError:
    raise MissingExtraError(__name__, "OpenTelemetry", "opentelemetry") from None

__all__ = ["Telemetry"]


@attrs.frozen(eq=False)
class Open:
    """A span that has not ended, and what makes the one around it current again."""

    span: Span
    token: Any
    begun: float


class Telemetry(Observer):
    """Traces flushes and effects, and counts what became of intents.

    A flush is a span ``airlock.flush``. In it is a span for each attempt of a handler (``deliver
    <kind>``) and each hand-over (``send <kind>``), which are current while they run. In a worker the
    span ``process <kind>`` belongs to the trace of the sender, if its dispatch was given
    ``inject=opentelemetry.propagate.inject``.

    Metrics are ``airlock.intents``, by ``airlock.kind``, ``airlock.outcome`` and, for what was
    discarded, ``airlock.reason``; ``airlock.flushes``, by ``airlock.ok``; and the histogram
    ``airlock.flush.duration`` in seconds.

    Args:
        tracer_provider: makes the tracer; by default the global one.
        meter_provider: makes the meter; by default the global one.

    Example:
        >>> from airlock.integrations.opentelemetry import Telemetry
        >>> boundary = Boundary({NotifyWarehouse: print}, observers=[Telemetry()])
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("airlock", tracer_provider=tracer_provider)
        meter = metrics.get_meter("airlock", meter_provider=meter_provider)
        self._intents = meter.create_counter(
            "airlock.intents", "{intent}", "What became of intents, by kind and outcome."
        )
        self._flushes = meter.create_counter("airlock.flushes", "{flush}", "Flushes.")
        self._duration = meter.create_histogram(
            "airlock.flush.duration", "s", "How long flushes take."
        )
        self._flushing: dict[int, Open] = {}  # by report
        self._running: dict[int, Open] = {}  # by delivery: nothing else is sure to be unique
        self._before: dict[Span, Context] = {}  # of spans that are current: what was before

    # -- flushes ----------------------------------------------------------------------------------

    def flushing(self, report: Report, /) -> None:
        span = self._tracer.start_span("airlock.flush")
        token = context.attach(trace.set_span_in_context(span))
        self._flushing[id(report)] = Open(span, token, perf_counter())

    def flushed(self, report: Report, /) -> None:
        flush = self._flushing.pop(id(report), None)
        self._count(report)
        self._flushes.add(1, {"airlock.ok": report.ok})
        if flush is None:
            return
        context.detach(flush.token)
        self._duration.record(perf_counter() - flush.begun)
        for outcome, number in report.counts.items():
            flush.span.set_attribute(f"airlock.{outcome.word.replace(' ', '_')}", number)
        if not report.ok:
            flush.span.set_status(StatusCode.ERROR)
        flush.span.end()

    def discarded(self, report: Report, /) -> None:
        self._count(report)

    def _count(self, report: Report) -> None:
        counts: dict[tuple[str, str, str | None], int] = {}
        for entry in report:
            reason = reason_of(entry.by) if entry.outcome is Outcome.DISCARDED else None
            key = (spec_of(type(entry.intent)).kind, entry.outcome.word, reason)
            counts[key] = counts.get(key, 0) + 1
        for (kind, outcome, reason), number in counts.items():
            attributes = {"airlock.kind": kind, "airlock.outcome": outcome}
            if reason is not None:
                attributes["airlock.reason"] = reason
            self._intents.add(number, attributes)

    # -- effects ----------------------------------------------------------------------------------

    def started(self, delivery: Delivery, /) -> None:
        around = trace.get_current_span()
        # Inside a flush, only members of one batch begin while the span of another is current.
        mates = self._before.get(around)
        parent = context.get_current() if mates is None else mates
        what, kind, links = "deliver", SpanKind.INTERNAL, []
        if not delivery.inline:
            what, kind = "send", SpanKind.PRODUCER
        elif delivery.arrived:
            what, kind, links = "process", SpanKind.CONSUMER, [Link(around.get_span_context())]
            parent = propagate.extract(delivery.headers, parent)
        span = self._tracer.start_span(
            f"{what} {delivery.kind}",
            context=parent,
            kind=kind,
            links=links,
            attributes={
                "airlock.kind": delivery.kind,
                "airlock.id": str(delivery.id),
                "airlock.attempt": delivery.attempt,
            },
        )
        token = None
        # Without an SDK there is but one span, for everything, and nothing to make current.
        if mates is None and span.get_span_context().is_valid:
            token = context.attach(trace.set_span_in_context(span, parent))
            self._before[span] = parent
        self._running[id(delivery)] = Open(span, token, 0)

    def ended(self, delivery: Delivery, error: BaseException | None, /) -> None:
        effect = self._running.pop(id(delivery), None)
        if effect is None:
            return
        if effect.token is not None:
            del self._before[effect.span]
            context.detach(effect.token)
        if error is not None:
            effect.span.set_attribute("error.type", format_type(error))
            effect.span.set_status(StatusCode.ERROR)
        effect.span.end()


def reason_of(decider: object) -> str:
    """Return why an intent was discarded, as one of few words: it becomes the name of a series."""
    if isinstance(decider, BaseException):
        return format_type(decider)
    return decider if decider in REASONS and isinstance(decider, str) else "other"


REASONS = ("rollback", "its keep hook", "discard()", ABANDONED)


def format_type(error: BaseException) -> str:
    """Return the name of an error's type."""
    cls = type(error)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )
