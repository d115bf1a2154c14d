"""Decisions about effects that were in flight when a program died, and may have happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from airlock.dispatch import INLINE, dispatch_of
from airlock.effects.registry import describe
from airlock.errors import DeclarationError, MaybeDoneError
from airlock.flushing.engine import Engine
from airlock.plan.document import Plan
from airlock.plan.entry import PlanEntry
from airlock.plan.journal import JournalFile

__all__ = ["MaybeDone", "check_maybe_done", "refuse_doubtful", "settle"]

Answer = Literal["done", "retry"]
MaybeDone = Answer | Callable[[PlanEntry], Answer] | None
"""What becomes of effects that may have happened: taken for done, or done (again).

A function is asked about each. None: about those of handlers that are not idempotent nobody has
decided, so that nothing runs.
"""


def check_maybe_done(maybe_done: object) -> None:
    """Refuse what decides nothing, before it is needed.

    Raises:
        DeclarationError: it is no answer, and no function.
    """
    if maybe_done not in (None, "done", "retry") and not callable(maybe_done):
        raise DeclarationError(
            f'apply(maybe_done=...) takes "done", "retry", or a function of the entry that returns '
            f"one of these, not {describe(maybe_done)}."
        )


def settle(plan: Plan, journal: JournalFile, engine: Engine, maybe_done: MaybeDone) -> None:
    """Decide about each effect that was in flight.

    Raises:
        MaybeDoneError: nobody decides.
        DeclarationError: the answer is no answer.
    """
    decided: list[tuple[int, str, str | None]] = []
    doubtful = list[PlanEntry]()
    for number, entry in _in_flight(plan, journal):
        if _is_idempotent(entry, engine):
            answer: object = "retry"
        elif maybe_done is None:
            doubtful.append(entry)
            continue
        else:
            answer = maybe_done(entry) if callable(maybe_done) else maybe_done
        if answer not in ("done", "retry"):
            raise DeclarationError(
                f'apply(maybe_done=...): the answer to {entry} is "done" or "retry", not {answer!r}.'
            )
        decided.append(
            (number, "delivered", "taken for done")
            if answer == "done"
            else (number, "allowed", None)
        )
    _refuse(plan, doubtful)
    journal.end(decided)


def refuse_doubtful(plan: Plan, journal: JournalFile, engine: Engine) -> None:
    """Refuse a plan with effects that were in flight, where nobody decides about them.

    Raises:
        MaybeDoneError: it has some.
    """
    in_flight = (entry for _, entry in _in_flight(plan, journal))
    _refuse(plan, [entry for entry in in_flight if not _is_idempotent(entry, engine)])


def _refuse(plan: Plan, doubtful: list[PlanEntry]) -> None:
    if doubtful:
        raise MaybeDoneError(
            plan.name,
            f"was being applied when its program ended, and {len(doubtful)} effect(s) in flight may "
            "have happened",
            "Nothing ran now. Look whether they did, then call apply again with maybe_done='done', "
            "'retry', or a function that decides about each. Handles(..., idempotent=True) lets a "
            "handler be called again without asking.",
            tuple(f"{entry.index}  {entry}" for entry in doubtful),
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
