"""``holding()``: whatever a program emits is held, in every thread and by every boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from airlock.effects.emission import Emission, Recorder
from airlock.effects.place import shown
from airlock.effects.policy import View
from airlock.effects.stable import stable_repr
from airlock.effects.verdict import ALLOW, HOLD, Verdict
from airlock.effects.wave import Outcome, Wave
from airlock.enclosure import enclose
from airlock.errors import PlanError
from airlock.plan.document import Plan
from airlock.plan.making import plan_of
from airlock.stages import State
from airlock.wire.codec import Wire

__all__ = ["Holder", "holding"]


class Holder(Recorder):
    """The policy of ``holding``: it holds what would escape, and remembers all of it in order."""

    __slots__ = ("emissions", "kept")

    exclusive = True

    def __init__(self) -> None:
        self.emissions: list[Emission] = []
        self.kept: list[Any] = []

    def record(self, emission: Emission, /) -> None:
        self.emissions.append(emission)  # atomic: threads need no lock for it

    def decide(self, view: View, /) -> Sequence[Verdict]:
        # What the program holds by itself would not have happened, and is no business of ours.
        verdicts = [ALLOW if view.held(i) else HOLD for i in range(len(view))]
        self.kept += [view.intents[i] for i, verdict in enumerate(verdicts) if verdict is HOLD]
        return verdicts

    def __repr__(self) -> str:
        return "holding()"


class holding:  # noqa: N801 - used like a function, `with holding() as held`
    """Hold whatever is emitted while the block runs, and make a plan of it.

    It is an ``enclose`` for the whole process: every scope of every boundary, independent ones too,
    and scopes in other threads. What policies drop or merge, and what blocks or transactions throw
    away, is not in the plan.

    Example:
        >>> with holding() as held:
        ...     with boundary.scope() as effects:
        ...         effects.emit(NotifyWarehouse(42))
        >>> held.plan().counts
        {'docstrings.notify-warehouse': 1}
    """

    def __init__(self) -> None:
        self._holder = Holder()
        self._enclosure = enclose(self._holder, process=True)

    def __enter__(self) -> Self:
        self._enclosure.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        return self._enclosure.__exit__(kind, error, trace)

    def plan(
        self, *, expires: datetime | timedelta | None = None, wire: Wire | None = None
    ) -> Plan:
        """What was held, in the order in which it was emitted.

        Args:
            expires: when the plan can no longer be applied, or how long from now; None for never.
            wire: writes the intents; one with a cipher, if any has a sensitive field.

        Raises:
            PlanError: a scope is still open, and would deliver what it has when it ends; or an
                intent was emitted under an override, or before the block began.
            UnencodableError: an intent has no form on the wire.
        """
        self._refuse_unsettled()
        self._refuse_unrecorded()
        return plan_of(self._held(), expires, wire)

    def _held(self) -> Iterator[tuple[Wave, int]]:
        for emission in self._holder.emissions:
            wave, i = emission.wave, emission.index
            by_us = wave is not None and wave.deciders.get(i) is self._holder
            if wave is not None and by_us and wave.outcomes[i] == Outcome.HELD:
                yield wave, i

    def _refuse_unsettled(self) -> None:
        for emission in self._holder.emissions:
            scope = None if emission.wave is not None else emission.region.scope
            if scope is not None and scope.outermost.state in _UNSETTLED:
                raise PlanError(
                    "the plan",
                    f"cannot be made yet: {scope.outermost.region.described()} "
                    f"{scope.outermost.state.value}, and has what was emitted at "
                    f"{shown(emission.place)}",
                    "Make it when the scope was left, and its transaction has ended.",
                )

    def _refuse_unrecorded(self) -> None:
        """What a scope that was open before the block had to deliver in it is held as well."""
        known = {id(emission.intent) for emission in self._holder.emissions}
        for intent in self._holder.kept:
            if id(intent) not in known:
                raise PlanError(
                    "the plan",
                    f"cannot be made: {stable_repr(intent)} was emitted before the block began, in "
                    "a scope that ended in it, and is held too",
                    "Begin to hold before any scope opens. It is in scope.report.held.",
                )


_UNSETTLED = (State.OPEN, State.CLOSED, State.WAITING, State.FLUSHING)
