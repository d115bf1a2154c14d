"""The journal of a plan being applied, and the states recorded in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from weakref import finalize

from airlock.effects.describe import stable_repr
from airlock.emissions.report import shown
from airlock.emissions.wave import Outcome, Wave
from airlock.errors import JournalError
from airlock.plan.document import Plan
from airlock.plan.journal import JournalFile

__all__ = ["format_error", "journal_of", "state_of"]


@contextmanager
def journal_of(plan: Plan, path: Path | None) -> Iterator[JournalFile]:
    """Open the journal of a plan, while it is applied.

    Args:
        plan: the plan.
        path: of the journal; None for the one in memory that is kept with the plan.

    Raises:
        JournalError: it is of another plan, in use, or damaged.
    """
    if path is not None:
        with closing(JournalFile(path, plan.digest, plan.name, len(plan))) as journal:
            yield journal
        return
    if not plan.applied_in_memory.acquire(blocking=False):
        problem = "is being applied by another thread, or by one of its own handlers"
        raise JournalError(plan.name, problem, "Nothing ran here. Wait for it to end.")
    try:
        if plan.in_memory is None:
            plan.in_memory = JournalFile(None, plan.digest, plan.name, len(plan))
            finalize(plan, plan.in_memory.close)
        yield plan.in_memory
    finally:
        plan.applied_in_memory.release()


def state_of(wave: Wave, position: int, *, pending: str = "pending") -> tuple[str, str | None]:
    """Return the state of an effect for the journal: its outcome, and the error or what decided."""
    outcome = Outcome(wave.outcomes[position])
    error = wave.errors.get(position)
    decider = wave.deciders.get(position)
    about = None if decider is None else shown(decider)
    if error is not None:
        about = format_error(error)
    return pending if outcome is Outcome.PENDING else outcome.word, about


def format_error(error: BaseException) -> str:
    """Format an error, whatever its ``repr`` does."""
    try:
        return stable_repr(error).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - it is a user's
        return f"{type(error).__qualname__}(...)"
