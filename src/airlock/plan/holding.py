"""``holding()``: whatever a program emits is held, in every thread and by every boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from airlock.effects.describe import stable_repr
from airlock.effects.place import shown
from airlock.effects.registry import describe
from airlock.emissions.emission import Emission
from airlock.emissions.wave import Outcome, Wave
from airlock.errors import AirlockError, DeclarationError, PlanError, UnencodableError
from airlock.plan.document import Plan
from airlock.plan.making import plan_of
from airlock.policies.policy import View
from airlock.policies.recorder import Recorder
from airlock.policies.verdict import ALLOW, HOLD, Verdict
from airlock.scopes.enclose import enclose
from airlock.scopes.scope import State
from airlock.wire.codec import Wire

__all__ = ["Holder", "holding"]


class Holder(Recorder):
    """The policy of ``holding``: it holds what would escape, and remembers all of it in order.

    Args:
        wire: that will write the plan. What it cannot write is refused where it is emitted: at the
            end the program would have committed what belongs to it.
    """

    __slots__ = ("_fit", "emissions", "kept", "refused", "wire")

    exclusive = True

    def __init__(self, wire: Wire) -> None:
        self.emissions: list[Emission] = []
        self.kept: list[Any] = []
        self.wire = wire
        self._fit: set[type[Any]] = set()
        self.refused = False

    def refuse(self, intent: Any, /) -> None:
        cls = type(intent)
        if cls not in self._fit:
            try:
                self.wire.check(cls)
            except UnencodableError as error:
                self.refused = True
                error.add_note(f"refused at its emission: no plan could hold it, under {self!r}")
                raise
            self._fit.add(cls)

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
    away, is not in the plan. What the plan could not hold is refused where it is emitted.

    Args:
        wire: writes the intents; one with a cipher, if any has a sensitive field.

    Raises:
        DeclarationError: ``wire`` is none.

    Example:
        >>> with holding() as held:
        ...     with boundary.scope() as effects:
        ...         effects.emit(NotifyWarehouse(42))
        >>> held.plan().counts
        {'docstrings.notify-warehouse': 1}
    """

    def __init__(self, *, wire: Wire | None = None) -> None:
        self._holder = Holder(Wire())
        self.write_with(wire)
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

    def write_with(self, wire: Wire | None) -> None:
        """Write the plan with a wire that is made inside the block.

        Args:
            wire: for all that is emitted from here on, and for the plan; None for a plain one.

        Raises:
            DeclarationError: ``wire`` is none.
        """
        if wire is not None and not isinstance(wire, Wire):
            raise DeclarationError(f"holding(wire=...) takes a Wire, not {describe(wire)}.")
        self._holder.wire = Wire() if wire is None else wire

    @property
    def refused(self) -> bool:
        """True if an intent was refused because no plan could hold it."""
        return self._holder.refused

    def plan(
        self,
        *,
        expires: datetime | timedelta | None = None,
        lacking: list[AirlockError] | None = None,
    ) -> Plan:
        """Return a plan of what was held, in the order in which it was emitted.

        Args:
            expires: when the plan can no longer be applied, or how long from now; None for never.
            lacking: takes an error for everything that cannot be in the plan, which then has the
                rest. Without it the first one is raised.

        Raises:
            PlanError: a scope is still open, and would deliver what it has when it ends; or an
                intent was emitted under an override, or before the block began.
            UnencodableError: a value has no form on the wire.
        """
        for error in (*self._unsettled(), *self._unrecorded()):
            if lacking is None:
                raise error
            lacking.append(error)
        return plan_of(self._held(), expires, self._holder.wire, lacking)

    def _held(self) -> Iterator[tuple[Wave, int]]:
        for emission in self._holder.emissions:
            wave, i = emission.wave, emission.index
            by_us = wave is not None and wave.deciders.get(i) is self._holder
            if wave is not None and by_us and wave.outcomes[i] == Outcome.HELD:
                yield wave, i

    def _unsettled(self) -> Iterator[PlanError]:
        """Yield an error for each scope that has not ended."""
        scopes: dict[int, tuple[Any, Emission]] = {}
        for emission in self._holder.emissions:
            scope = None if emission.wave is not None else emission.region.scope
            if scope is not None and scope.outermost.state in _UNSETTLED:
                scopes.setdefault(id(scope.outermost), (scope.outermost, emission))
        for scope, emission in scopes.values():
            yield PlanError(
                "the plan",
                f"cannot be made yet: {scope.region.described()} {scope.state.value}, and has what "
                f"was emitted at {shown(emission.place)}",
                "Make it when the scope was left, and its transaction has ended.",
            )

    def _unrecorded(self) -> Iterator[PlanError]:
        """Yield an error for what a scope that was open before the block had to deliver in it."""
        known = {id(emission.intent) for emission in self._holder.emissions}
        for intent in self._holder.kept:
            if id(intent) not in known:
                yield PlanError(
                    "the plan",
                    f"cannot be made: {stable_repr(intent)} was emitted before the block began, in "
                    "a scope that ended in it, and is held too",
                    "Begin to hold before any scope opens. It is in scope.report.held.",
                )


_UNSETTLED = (State.OPEN, State.CLOSED, State.WAITING, State.FLUSHING)
