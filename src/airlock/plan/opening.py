"""The request to ``boundary.apply``, checked, and everything that it needs opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from airlock.effects.registry import describe
from airlock.errors import DeclarationError
from airlock.plan.applying import Application
from airlock.plan.document import Plan
from airlock.plan.fitting import chosen, refuse_expired, sample
from airlock.plan.in_doubt import InDoubt, check_in_doubt, refuse_in_doubt
from airlock.plan.progress import Progress, reporting
from airlock.plan.staging import Stage
from airlock.plan.states import journal_of

if TYPE_CHECKING:
    from airlock.flushing.engine import Engine

__all__ = ["Request", "application", "preview"]


class Request(TypedDict, total=False):
    """The arguments of ``boundary.apply``."""

    kinds: Iterable[Any] | None
    indices: Iterable[int] | None
    in_doubt: InDoubt
    journal: str | os.PathLike[str] | None
    progress: Progress | bool | None
    fail_fast: bool | None
    expired: bool


@contextmanager
def application(
    engine: Engine,
    plan: Plan,
    *,
    kinds: Iterable[Any] | None = None,
    indices: Iterable[int] | None = None,
    in_doubt: InDoubt = None,
    journal: str | os.PathLike[str] | None = None,
    progress: Progress | bool | None = None,
    fail_fast: bool | None = None,
    expired: bool = False,
) -> Iterator[Application]:
    """Check and open everything that applying a plan needs.

    Raises:
        DeclarationError: an argument makes no sense.
        PlanExpiredError: the plan is too old.
        JournalError: the journal is of another plan, in use, or damaged.
    """
    if not isinstance(plan, Plan):
        raise DeclarationError(
            f"apply takes a Plan, not {describe(plan)}: scope.plan() makes one, Plan.load(path) "
            "reads one."
        )
    choice = chosen(plan, kinds, indices)
    check_in_doubt(in_doubt)
    refuse_expired(plan, expired=expired)
    beside = plan.journal if journal is None else Path(journal)
    with reporting(progress) as report, journal_of(plan, beside) as opened:
        yield Application(
            Stage(engine),
            plan,
            opened,
            choice,
            in_doubt=in_doubt,
            progress=report,
            fail_fast=engine.fail_fast if fail_fast is None else fail_fast,
        )


def preview(
    engine: Engine,
    plan: Plan,
    *,
    kinds: Iterable[Any] | None = None,
    indices: Iterable[int] | None = None,
    in_doubt: InDoubt = None,
    journal: str | os.PathLike[str] | None = None,
    expired: bool = False,
) -> Counter[str]:
    """Count by kind which effects an application would do now, for somebody who is to agree.

    What is to be refused is refused here, so that nobody is asked about it.

    Raises:
        Exception: as ``application`` does; and as applying does, but for its handlers.
    """
    choice = chosen(plan, kinds, indices)
    refuse_expired(plan, expired=expired)
    sample(plan, choice)
    beside = plan.journal if journal is None else Path(journal)
    done = set[int]()
    if beside is not None and beside.exists():
        with journal_of(plan, beside) as opened:
            if in_doubt is None:
                refuse_in_doubt(plan, opened, engine)
            done = opened.done(0, len(plan) - 1)
    return Counter(entry.kind for entry in plan if choice.has(entry) and entry.index not in done)
