"""Observers: they watch flushes and cannot break anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from airlock.effects.registry import describe, spec_of
from airlock.emissions.delivery import Delivery
from airlock.emissions.report import Report
from airlock.emissions.wave import Outcome
from airlock.errors import DeclarationError, PartialFailure

__all__ = ["Log", "Observer", "Observers"]

log = logging.getLogger("airlock")


class Observer:
    """Base of observers: override what you want to know.

    An observer that raises is disabled, and the error logged; the flush goes on. None is called for
    a scope that ends well and in which nothing was emitted.
    """

    def flushing(self, report: Report, /) -> None:
        """Note that a flush begins; ``flushed`` is called with the same report, now empty."""

    def started(self, delivery: Delivery, /) -> None:
        """Note that an attempt begins."""

    def ended(self, delivery: Delivery, error: BaseException | None, /) -> None:
        """Note that an attempt ended: well, or with an error (there may be another attempt).

        The delivery is the object that ``started`` was given.
        """

    def flushed(self, report: Report, /) -> None:
        """Note that a flush is over, whatever its outcome."""

    def discarded(self, report: Report, /) -> None:
        """Note that a scope was discarded."""


class Log(Observer):
    """Logs what became of every intent, when its scope is over.

    Records have ``airlock_kind`` and ``airlock_outcome``, for formatters that write fields.

    Args:
        logger: where to; by default the logger ``airlock``.
        level: of what went well; failures are errors.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.INFO) -> None:
        self._logger = logger or log
        self._level = level

    def flushed(self, report: Report, /) -> None:
        for entry in report:
            level = logging.ERROR if entry.outcome is Outcome.FAILED else self._level
            by = "" if entry.by is None else f" ({entry.by!r})"
            word, kind = entry.outcome.word, spec_of(type(entry.intent)).kind
            extra = {"airlock_kind": kind, "airlock_outcome": word}
            self._logger.log(level, "%s %r%s", word, entry.intent, by, extra=extra)

    def discarded(self, report: Report, /) -> None:
        self.flushed(report)


def check_observers(where: str, observers: Iterable[object]) -> None:
    """Refuse what is no observer.

    Raises:
        DeclarationError: naming ``where`` it was given.
    """
    for observer in observers:
        if not isinstance(observer, Observer):
            raise DeclarationError(
                f"{where}(observers=...) takes Observer objects, not {describe(observer)}."
            )


class Observers:
    """Some observers, called one after the other; one that raises is called no more.

    Args:
        observers: of a boundary, or of one scope.
        before: others, which are called first.

    Attributes:
        any: whether there is one. It may be disabled meanwhile.
        watch_attempts: whether one is called for each attempt.
        watch_ends: whether one is called at the end of each attempt.
    """

    def __init__(self, observers: Iterable[Observer], before: Observers | None = None) -> None:
        self._observers = tuple(observers)
        self._before = before
        check_observers("Boundary", self._observers)
        self._starting = tuple(o for o in self._observers if _overrides(o, "started"))
        self._ending = tuple(o for o in self._observers if _overrides(o, "ended"))
        self.any: bool = bool(self._observers) or (before is not None and before.any)
        self.watch_ends: bool = bool(self._ending) or (before is not None and before.watch_ends)
        self.watch_attempts: bool = bool(self._starting) or self.watch_ends
        if before is not None and before.watch_attempts:
            self.watch_attempts = True

    def started(self, deliveries: Sequence[Delivery]) -> None:
        """Call them for an attempt that begins."""
        if self._before is not None:
            self._before.started(deliveries)
        for observer in self._starting:
            try:
                for delivery in deliveries:
                    observer.started(delivery)
            except Exception:  # noqa: BLE001 - an observer must not break a flush
                self._disable(observer)

    def ended(self, deliveries: Sequence[Delivery], error: BaseException | None) -> None:
        """Call them for an attempt that has ended; for members of a batch with their own errors."""
        if self._before is not None:
            self._before.ended(deliveries, error)
        for observer in self._ending:
            try:
                for i, delivery in enumerate(deliveries):
                    one = error.errors.get(i) if isinstance(error, PartialFailure) else error
                    observer.ended(delivery, one)
            except Exception:  # noqa: BLE001 - as above
                self._disable(observer)

    def call(self, what: Callable[[Observer], object]) -> None:
        """Call every observer."""
        if self._before is not None:
            self._before.call(what)
        for observer in self._observers:
            try:
                what(observer)
            except Exception:  # noqa: BLE001 - as above
                self._disable(observer)

    def _disable(self, observer: Observer) -> None:
        """Log the error of an observer, and call it no more."""
        self._observers = tuple(one for one in self._observers if one is not observer)
        self._starting = tuple(one for one in self._starting if one is not observer)
        self._ending = tuple(one for one in self._ending if one is not observer)
        log.exception("observer %r raised and is disabled", observer)  # noqa: LOG004 - called in one


def _overrides(observer: Observer, name: str) -> bool:
    return getattr(type(observer), name) is not getattr(Observer, name)
