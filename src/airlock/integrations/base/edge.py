"""``Edge``: a scope around each unit of work that a framework runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Literal

from airlock.boundary.boundary import Boundary
from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.place import named
from airlock.effects.registry import describe
from airlock.emissions.delivery import Delivery
from airlock.errors import DeclarationError, ScopeOrderError
from airlock.observers import Observer
from airlock.policies.policy import PolicyLike
from airlock.release import OnFlushError, Release, check_on_flush_error
from airlock.scopes.ending import Keep
from airlock.scopes.scope import CLOSED, OPEN, WAITING, Scope

__all__ = ["SLOW", "Edge", "Work", "keep_web"]

log = logging.getLogger("airlock")

SLOW = timedelta(milliseconds=100)
"""Longest time that an inline handler may take before a response."""


def keep_web(error: BaseException | None, status: int) -> bool:
    """Return True if a web request succeeded: what it emitted without a transaction is kept.

    Args:
        error: what the view raised; None if it returned.
        status: of the response; 500 if there was none.

    Example:
        >>> keep_web(None, 302), keep_web(None, 404), keep_web(ValueError(), 500)
        (True, False, False)
    """
    return error is None and status < 400


class Edge:
    """Opens a scope around each unit of work that a framework runs: a request, a task, a command.

    What such a scope flushes has been committed or answered already, so an error of the flush is
    logged, kept in ``scope.report`` and counted, and not raised into the framework.

    Args:
        boundary: that the scopes belong to.
        on_flush_error: ``"raise"`` raises the errors of flushes after all.
        slow: log a warning of inline handlers that take longer; None for none.
        inside: makes the context of the framework that handlers run in; of a flush that a late
            commit sets off, too.

    Attributes:
        flush_errors: how many flushes failed.
        observers: of its scopes.

    Raises:
        DeclarationError: an argument makes no sense.

    Example:
        >>> edge = Edge(boundary)
        >>> with edge.scope("GET /checkout") as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> effects.report
        <Report: 1 delivered>
    """

    def __init__(
        self,
        boundary: Boundary,
        *,
        on_flush_error: OnFlushError = "report",
        slow: timedelta | None = None,
        inside: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> None:
        if not isinstance(boundary, Boundary):
            raise DeclarationError(f"an Edge takes a Boundary, not {describe(boundary)}.")
        if slow is not None and not isinstance(slow, timedelta):
            raise DeclarationError(f"Edge(slow={slow!r}): give a timedelta, or None.")
        check_on_flush_error("Edge", on_flush_error)
        self.boundary = boundary
        self.on_flush_error = on_flush_error
        self.inside = inside
        self.flush_errors = 0
        self.observers = () if slow is None else (Slowness(slow),)

    def scope(
        self,
        what: str,
        *,
        policy: PolicyLike | None = None,
        release: Release | None = None,
        headers: Mapping[str, str] | None = None,
        keep: Keep | None = None,
        independent: bool = False,
        cause: Causation = NO_CAUSE,
    ) -> Work:
        """Return a unit of work, for ``with`` or ``async with``; it gives its scope.

        Args:
            what: names it in the log, and its scope in messages.
            policy: as for ``boundary.scope``.
            release: as for ``boundary.scope``.
            headers: as for ``boundary.scope``.
            keep: as for ``boundary.scope``.
            independent: as for ``boundary.scope``.
            cause: as for ``boundary.scope``.
        """
        scope = self.boundary.scope(
            policy=policy,
            release=release,
            headers=headers,
            keep=keep,
            independent=independent,
            observers=self.observers,
            cause=cause,
        )
        return Work(self, what, scope, keep)

    def failed(self, what: str, error: Exception) -> None:
        """Report an error of a flush, or a scope that the work has left open.

        What is left is stored in the outbox that the boundary parks in, if it has one.

        Raises:
            Exception: that error, if ``on_flush_error`` is ``"raise"``.
        """
        self.flush_errors += 1
        report = getattr(error, "report", None)
        self.boundary.park(report)
        if self.on_flush_error == "raise":
            raise error
        if isinstance(error, ScopeOrderError):
            text = "%s has left a scope open, and what was emitted in there without a commit is discarded"
        elif report is not None and report.parked:
            text = "effects of %s failed; what was not delivered is stored in the outbox"
        elif report is not None:
            text = "effects of %s failed; what was not delivered has to be emitted again"
        else:
            text = "effects of %s failed"
        log.error(text, named(what), exc_info=error)


class Work:
    """One unit of work: its ``with`` block is the scope's, and reports what its flush raises.

    A scope that is left open in it is closed, and reported too. It spoils nothing else.
    """

    __slots__ = ("_edge", "_keep", "scope", "what")

    def __init__(self, edge: Edge, what: str, scope: Scope, keep: Keep | None) -> None:
        self._edge = edge
        self._keep = keep
        self.what = what
        self.scope = scope
        scope.work = what
        scope.inside = edge.inside

    def __enter__(self) -> Scope:
        return self.scope.enter()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        return self._settled(error, self._leave(error))

    async def __aenter__(self) -> Scope:
        return self.scope.enter()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        order = self._leave(error)
        if not self.scope.region and not self.scope.region.children:
            return self._settled(error, order)  # nothing to await
        try:
            await self.scope.asettle(error)
        except Exception as failure:  # noqa: BLE001 - as in _settled
            await self._edge.boundary.apark(getattr(failure, "report", None))
            self._edge.failed(self.what, failure)
        finally:
            self._ended(order, error)
        return False

    def _settled(
        self, error: BaseException | None, order: ScopeOrderError | None
    ) -> Literal[False]:
        try:
            if self.scope.state is CLOSED:
                self.settle(error)
        except Exception as failure:  # noqa: BLE001 - raised or reported there
            self._edge.failed(self.what, failure)
        finally:
            self._ended(order, error)
        return False

    def settle(self, error: BaseException | None) -> None:
        """Flush or discard its scope: what a kind of work may do in its own way.

        Raises:
            Exception: as ``scope.settle`` does.
        """
        self.scope.settle(error)

    def _leave(self, error: BaseException | None) -> ScopeOrderError | None:
        """Leave the scope, also if inner ones were left open; the error of that."""
        try:
            self.scope.exit_block(error)
        except ScopeOrderError as order:
            if self.scope.state is OPEN:
                raise
            return order
        return None

    def _ended(self, order: ScopeOrderError | None, error: BaseException | None) -> None:
        """Raise that inner scopes were left open; only log it for work that has failed."""
        if self.scope.state is WAITING:  # for the commit around it
            self.scope.failed_late = partial(self._edge.failed, self.what)
        if order is None:
            return
        # A framework may have made a response of the error that left them open.
        if self._has_failed(error):
            log.warning("%s failed, and %s", named(self.what), order)
        else:
            self._edge.failed(self.what, order)

    def _has_failed(self, error: BaseException | None) -> bool:
        try:
            return self._keep is not None and not self._keep(error)
        except Exception:  # noqa: BLE001 - it was reported when the scope was settled
            return False


class Slowness(Observer):
    """Logs a warning of each handler that ran here and took long."""

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._begun: dict[int, float] = {}  # by the identity of the delivery
        self._warned: dict[str, float] = {}  # when, by kind

    def started(self, delivery: Delivery, /) -> None:
        if delivery.inline:
            self._begun[id(delivery)] = perf_counter()

    def ended(self, delivery: Delivery, _: BaseException | None, /) -> None:
        now = perf_counter()
        begun = self._begun.pop(id(delivery), now)
        # Once for a batch: the others of it began before that was reported.
        if now - begun > self._limit and begun > self._warned.get(delivery.kind, 0.0):
            self._warned[delivery.kind] = now
            log.warning(
                "the handler of %s took %d ms in a web request. Let a worker do it: "
                "Boundary(..., dispatch=Route({%s: <a queue's dispatch>}))",
                delivery.kind,
                (now - begun) * 1000,
                type(delivery.intent).__qualname__,
            )
