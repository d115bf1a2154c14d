"""Decisions about effects that were in flight when a program died, and may have happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from airlock.dispatch import INLINE, dispatch_of
from airlock.effects.registry import describe
from airlock.errors import DeclarationError, InDoubtError
from airlock.flushing.engine import Engine
from airlock.plan.document import Plan
from airlock.plan.entry import PlanEntry
from airlock.plan.journal import JournalFile

__all__ = ["InDoubt", "check_in_doubt", "refuse_in_doubt", "settle"]

Answer = Literal["done", "retry"]
InDoubt = Answer | Callable[[PlanEntry], Answer] | None
"""Decision about effects that may have happened: count them as done, or run them again.

A function is asked about each. None: about those of handlers that are not idempotent nobody has
decided, so that nothing runs.
"""


def check_in_doubt(in_doubt: object) -> None:
    """Refuse what decides nothing, before it is needed.

    Raises:
        DeclarationError: it is no answer, and no function.
    """
    if in_doubt not in (None, "done", "retry") and not callable(in_doubt):
        raise DeclarationError(
            f'apply(in_doubt=...) takes "done", "retry", or a function of the entry that returns '
            f"one of these, not {describe(in_doubt)}."
        )


def settle(plan: Plan, journal: JournalFile, engine: Engine, in_doubt: InDoubt) -> None:
    """Decide about each effect that was in flight.

    Raises:
        InDoubtError: nobody decides.
        DeclarationError: the answer is no answer.
    """
    decided: list[tuple[int, str, str | None]] = []
    undecided = list[PlanEntry]()
    for number, entry in _in_flight(plan, journal):
        if _is_idempotent(entry, engine):
            answer: object = "retry"
        elif in_doubt is None:
            undecided.append(entry)
            continue
        else:
            answer = in_doubt(entry) if callable(in_doubt) else in_doubt
        if answer not in ("done", "retry"):
            raise DeclarationError(
                f'apply(in_doubt=...): the answer to {entry} is "done" or "retry", not {answer!r}.'
            )
        decided.append(
            (number, "delivered", "taken for done")
            if answer == "done"
            else (number, "allowed", None)
        )
    _refuse(plan, undecided)
    journal.end(decided)


def refuse_in_doubt(plan: Plan, journal: JournalFile, engine: Engine) -> None:
    """Refuse a plan with effects that were in flight, where nobody decides about them.

    Raises:
        InDoubtError: it has some.
    """
    in_flight = (entry for _, entry in _in_flight(plan, journal))
    _refuse(plan, [entry for entry in in_flight if not _is_idempotent(entry, engine)])


def _refuse(plan: Plan, undecided: list[PlanEntry]) -> None:
    if undecided:
        raise InDoubtError(
            plan.name,
            f"was being applied when its program ended, and {len(undecided)} effect(s) in flight may "
            "have happened",
            "Nothing ran now. Look whether they did, then call apply again with in_doubt='done', "
            "'retry', or a function that decides about each. Handles(..., idempotent=True) lets a "
            "handler be called again without asking.",
            tuple(f"{entry.index}  {entry}" for entry in undecided),
        )


def _is_idempotent(entry: PlanEntry, engine: Engine) -> bool:
    cls = type(entry.intent)
    binding = engine.binding(cls)
    inline = dispatch_of(engine.dispatch, cls) is INLINE
    return inline and binding is not None and binding.idempotent


def _in_flight(plan: Plan, journal: JournalFile) -> Iterator[tuple[int, PlanEntry]]:
    running = journal.running()
    planned = {number for number, line in running if line is None}
    if planned:
        for number, line in enumerate(plan.entry_lines()):
            if number in planned:
                yield number, plan.entry(line)
    for number, follow_up in running:
        if follow_up is not None:
            yield number, plan.entry(follow_up)
