"""Intents that are emitted where no scope is open: shells, threads, entry points of others."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, get_args

from airlock.boundary.boundary import Boundary
from airlock.effects.options import Options
from airlock.effects.registry import spec_of
from airlock.errors import DeclarationError
from airlock.integrations.base.edge import Edge
from airlock.release import OnFlushError, Release
from airlock.scopes.current import fallbacks

__all__ = ["scopeless"]

log = logging.getLogger("airlock")

What = Literal["run", "drop"]


class scopeless:  # noqa: N801 - used like a function, `with scopeless(...)`
    """Take intents that are emitted where no scope is open, in the whole process.

    Without it such an emission is refused, ``NoScopeError``, and that is the way to find entry
    points that need a scope. The first intent of each kind that is taken is logged.

    Args:
        boundary: whose policies and handlers they get.
        what: ``"run"`` delivers each at once, in a scope of its own; ``"drop"`` drops it.
        release: called for each, to make the scope's release.
        on_flush_error: ``"report"`` logs what handlers raise, ``"raise"`` raises it where the
            intent was emitted.

    Attributes:
        counts: how many intents were taken, by kind.
        flush_errors: how many flushes failed.

    Raises:
        DeclarationError: an argument makes no sense.

    Example:
        >>> with scopeless(boundary, "run") as taken:
        ...     emit(NotifyWarehouse(42))
        >>> taken.counts
        Counter({'docstrings.notify-warehouse': 1})
    """

    def __init__(
        self,
        boundary: Boundary,
        what: What,
        *,
        release: Callable[[], Release] | None = None,
        on_flush_error: OnFlushError = "report",
    ) -> None:
        if what not in get_args(What):
            raise DeclarationError(f"scopeless(..., {what!r}): 'run' or 'drop'.")
        self._edge = Edge(boundary, on_flush_error=on_flush_error)
        self._what = what
        self._release = release
        self.counts = Counter[str]()

    @property
    def flush_errors(self) -> int:
        return self._edge.flush_errors

    def __enter__(self) -> Self:
        fallbacks.append(self._take)
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> Literal[False]:
        fallbacks.remove(self._take)
        return False

    def _take(self, intent: Any, options: Options | None) -> None:
        kind = spec_of(type(intent)).kind
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            done = "delivered at once" if self._what == "run" else "dropped"
            log.warning("%s was emitted where no scope is open, and is %s", kind, done)
        if self._what == "run":
            release = None if self._release is None else self._release()
            with self._edge.scope(f"an emission of {kind} without a scope", release=release) as one:
                one.emit(intent, options)
