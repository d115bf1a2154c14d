"""Observers: they watch flushes and cannot break anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from airlock.dispatch import Delivery
from airlock.effects.registry import describe, spec_of
from airlock.effects.report import Report
from airlock.effects.wave import Outcome
from airlock.errors import DeclarationError

__all__ = ["Log", "Observer", "Observers"]

log = logging.getLogger("airlock")


class Observer:
    """Base of observers: override what you want to know.

    An observer that raises is disabled, and the error logged; the flush goes on. Nobody is told of
    a scope that ends well and in which nothing was emitted.
    """

    def flushing(self, report: Report, /) -> None:
        """A flush begins; ``flushed`` will be called with the same report, which is empty now."""

    def started(self, delivery: Delivery, /) -> None:
        """An attempt begins."""

    def ended(self, delivery: Delivery, error: BaseException | None, /) -> None:
        """An attempt ended: well, or with an error (there may be another attempt).

        The delivery is the object that ``started`` was given.
        """

    def flushed(self, report: Report, /) -> None:
        """A flush is over, whatever came of it."""

    def discarded(self, report: Report, /) -> None:
        """A scope was discarded."""


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
    """Some observers, told one after the other; one that raises is told no more.

    Args:
        observers: of a boundary, or of one scope.
        before: others, which are told first.
    """

    def __init__(self, observers: Iterable[Observer], before: Observers | None = None) -> None:
        self._observers = list(observers)
        self._before = before
        check_observers("Boundary", self._observers)
        self.watch_attempts: bool = (before is not None and before.watch_attempts) or any(
            type(o).started is not Observer.started or type(o).ended is not Observer.ended
            for o in self._observers
        )

    def tell(self, what: Callable[[Observer], object]) -> None:
        """Call every observer."""
        if self._before is not None:
            self._before.tell(what)
        if not self._observers:
            return
        for observer in tuple(self._observers):  # it may shrink meanwhile
            try:
                what(observer)
            except Exception:  # an observer must not break a flush
                self._observers.remove(observer)
                log.exception("observer %r raised and is disabled", observer)
