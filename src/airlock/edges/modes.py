"""What the effects of a command do: ``--effects=run``, ``--effects=drop``, ``--effects=plan:FILE``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airlock.edges.edge import Edge
from airlock.enclosure import enclose
from airlock.errors import SettingError
from airlock.policies import Drop
from airlock.release import Release

__all__ = ["command_effects", "effects_mode", "parse_mode"]


def parse_mode(text: str) -> tuple[str, Path | None]:
    """The parts of ``run``, ``drop`` or ``plan:FILE``.

    Raises:
        SettingError: it is none of these.

    Example:
        >>> parse_mode("drop")
        ('drop', None)
    """
    mode, colon, file = text.partition(":") if isinstance(text, str) else ("", "", "")
    if mode in ("run", "drop") and not colon:
        return mode, None
    if mode == "plan" and file:
        return mode, Path(file)
    raise SettingError(
        "--effects",
        str(text),
        "is no mode",
        "Give run, drop, or plan:FILE, such as plan:refunds.plan.",
    )


@contextmanager
def effects_mode(text: str) -> Iterator[None]:
    """Do with the effects of a block what ``--effects`` says, in the whole process.

    Args:
        text: ``run``; ``drop`` for nothing; ``plan:FILE`` to hold everything, and to write a plan
            of it when the block has ended without an error.

    Raises:
        SettingError: ``text`` is something else.
        PlanError: a plan cannot be made of what was held.

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

        with holding() as held:
            yield
        held.plan().save(file)
    else:
        yield


@contextmanager
def command_effects(
    name: str,
    mode: str,
    *,
    edge: Edge | None = None,
    release: Callable[[], Release] | None = None,
) -> Iterator[None]:
    """What is around a command: its mode, and a scope.

    Args:
        name: of the command, for the log.
        mode: as for ``effects_mode``.
        edge: opens the scope; None for a command that opens its own.
        release: called to make the scope's release.

    Raises:
        SettingError: ``mode`` is none.
        Exception: as ``effects_mode`` and the scope do.
    """
    with effects_mode(mode):
        if edge is None:
            yield
            return
        made = None if release is None else release()
        with edge.scope(f"the command {name}", release=made):
            yield
