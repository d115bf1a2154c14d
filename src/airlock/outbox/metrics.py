"""Metrics of a relay, through OpenTelemetry where that is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

    from airlock.outbox.entry import Status

__all__ = ["Metrics"]


class Metrics:
    """Counts what becomes of rows, and shows how many wait.

    The counters ``airlock.outbox.delivered``, ``airlock.outbox.failed`` and ``airlock.outbox.dead``
    are by ``airlock.kind``; the gauges ``airlock.outbox.depth`` (rows that wait, leased ones too)
    and ``airlock.outbox.oldest`` (seconds since the oldest was due) by ``airlock.queue``.

    Args:
        queue: of the relay.
        meter_provider: makes the meter; by default the global one.
    """

    def __init__(self, queue: str, meter_provider: MeterProvider | None = None) -> None:
        self._queue = queue
        self._status: Status | None = None
        self._counters: dict[str, Any] = {}
        try:
            from opentelemetry import metrics  # noqa: PLC0415 - an extra, which a relay can do without
        except ImportError:
            return
        meter = metrics.get_meter("airlock", meter_provider=meter_provider)
        for name, meaning in _COUNTERS.items():
            self._counters[name] = meter.create_counter(
                f"airlock.outbox.{name}", "{intent}", meaning
            )
        meter.create_observable_gauge(
            "airlock.outbox.depth", [self._depth], "{intent}", "Intents that wait for delivery."
        )
        meter.create_observable_gauge(
            "airlock.outbox.oldest", [self._oldest], "s", "Time since the oldest intent was due."
        )

    @property
    def wanted(self) -> bool:
        """True if somebody may look at the gauges, so that they are worth a query."""
        return bool(self._counters)

    def count(self, name: str, kind: str, number: int = 1) -> None:
        """Add to a counter: ``delivered``, ``failed`` or ``dead``."""
        if number and name in self._counters:
            self._counters[name].add(number, {"airlock.kind": kind, "airlock.queue": self._queue})

    def observe(self, status: Status) -> None:
        """Note what the gauges show from now on."""
        self._status = status

    def _depth(self, _: CallbackOptions) -> Iterable[Observation]:
        status = self._status
        return () if status is None else self._observed(status.pending)

    def _oldest(self, _: CallbackOptions) -> Iterable[Observation]:
        status = self._status
        oldest = None if status is None else status.oldest_due
        return () if status is None else self._observed(oldest.total_seconds() if oldest else 0)

    def _observed(self, value: float) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation  # noqa: PLC0415 - as above

        return (Observation(value, {"airlock.queue": self._queue}),)


_COUNTERS = {
    "delivered": "Intents that were delivered, and their rows deleted.",
    "failed": "Attempts that failed, and are made again later.",
    "dead": "Intents that were given up.",
}
