"""Modes of a command's effects: ``--effects=run``, ``--effects=drop``, ``--effects=plan:FILE``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from airlock.errors import AirlockError, PlanError, SettingError
from airlock.policies.builtin import Drop
from airlock.scopes.enclose import enclose
from airlock.scopes.ending import succeeded

if TYPE_CHECKING:
    from airlock.plan import Plan, holding

__all__ = ["effects_mode", "lacks", "parse_mode"]

log = logging.getLogger("airlock")


def parse_mode(text: str) -> tuple[str, Path | None]:
    """Parse ``run``, ``drop`` or ``plan:FILE`` into its parts.

    Raises:
        SettingError: it is none of these, or the file cannot be written.

    Example:
        >>> parse_mode("drop")
        ('drop', None)
    """
    mode, colon, file = text.partition(":") if isinstance(text, str) else ("", "", "")
    if mode in ("run", "drop") and not colon:
        return mode, None
    if mode == "plan" and file:
        _check_place(text, Path(file))
        return mode, Path(file)
    raise SettingError(
        "--effects",
        str(text),
        "is no mode",
        "Give run, drop, or plan:FILE, such as plan:refunds.plan.",
    )


def _check_place(text: str, file: Path) -> None:
    """Raise if a file can be seen to be unwritable."""
    if file.is_dir() or not os.access(file.absolute().parent, os.W_OK | os.X_OK):
        problem = "cannot be written"
        raise SettingError(
            "--effects", text, problem, "Name a file in a folder that you may write to."
        )


@contextmanager
def effects_mode(text: str) -> Iterator[None]:
    """Apply ``--effects`` to the effects of a block, in the whole process.

    Args:
        text: ``run``; ``drop`` for nothing; ``plan:FILE`` to hold everything, and to write a plan
            of it when the block has ended. If it ends with an error, that is a plan of what was
            kept all the same: of transactions that were committed, say.

    Raises:
        SettingError: ``text`` is something else, or the file cannot be written.
        PlanError: the plan cannot be written there, and is elsewhere; or it lacks something, and has
            the rest.
        UnencodableError: where an intent is emitted that no plan can hold.

    Example:
        >>> with effects_mode("drop"), boundary.scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> effects.report
        <Report: 1 dropped>
    """
    mode, file = parse_mode(text)
    if mode == "drop":
        with enclose(Drop(), process=True):
            yield
    elif file is not None:
        from airlock.plan import holding  # noqa: PLC0415 - loads cattrs

        held = holding()
        try:
            with held:
                yield
        except BaseException as error:
            if succeeded(error):  # sys.exit()
                _save(held, file)
            else:
                _save_rest(held, file, error)
            raise
        _save(held, file)
    else:
        yield


def _save_rest(held: holding, file: Path, error: BaseException) -> None:
    """Write a plan of what a block has kept that failed; nothing if that is nothing."""
    lacking: list[AirlockError] = []
    try:
        plan = held.plan(lacking=lacking)
        if not plan.counts and not lacking:
            return
        _write(plan, file)
        _refuse_lacking(plan, lacking)
    except AirlockError as failure:
        error.add_note(f"of the effects that it had kept, {failure}")
        log.warning("failed; of the effects that it had kept, %s", failure)
    else:
        error.add_note(f"the effects that it had kept are in the plan {file}")
        log.warning("failed; the effects that it had kept are in the plan %s", file)


def _save(held: holding, file: Path) -> None:
    """Write a plan of what is held, and then refuse what is not in it."""
    lacking: list[AirlockError] = []
    plan = held.plan(lacking=lacking)
    _write(plan, file)
    _refuse_lacking(plan, lacking)


def _refuse_lacking(plan: Plan, lacking: list[AirlockError]) -> None:
    if lacking:
        raise lacks(plan, lacking)


def lacks(plan: Plan, lacking: Sequence[AirlockError]) -> PlanError:
    """Return the error of a plan that was written, and does not have everything.

    Args:
        plan: that was written.
        lacking: what is not in it, and why.
    """
    found = [" ".join((str(one), *getattr(one, "__notes__", ()))) for one in lacking[:_NAMED]]
    more = f"; and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return PlanError(
        plan.name,
        f"has {len(plan)} effect(s), and lacks {len(lacking)}: {'; '.join(found)}{more}",
        "The program has ended, and what is lacking did not happen: see to it by hand.",
    )


_NAMED = 10


def _write(plan: Plan, file: Path) -> None:
    """Write a plan, elsewhere if need be: what it is about has happened."""
    try:
        plan.save(file)
    except OSError as error:
        elsewhere = Path(mkdtemp(prefix="airlock-")) / file.name
        plan.save(elsewhere)
        raise PlanError(
            f"the plan {str(file)!r}",
            f"cannot be written: {error}",
            f"It is in {elsewhere} instead.",
        ) from error
