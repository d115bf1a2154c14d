"""Progress of the application of a plan: a bar on a terminal, or a function of yours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from airlock.effects.registry import describe
from airlock.errors import DeclarationError, MissingExtraError

__all__ = ["Progress", "reporting"]

Progress = Callable[[int, int], object]
"""``(done, total)``: called after each chunk of effects; ``total`` grows with follow-ups."""


@contextmanager
def reporting(progress: object, label: str = "applying") -> Iterator[Progress]:
    """Give the function to call with how much is done.

    Args:
        progress: a function; True for a bar; None for one if standard error is a terminal and rich
            is installed; False for nothing.
        label: the word before the bar.

    Raises:
        MissingExtraError: a bar is asked for, and rich is not installed.
        DeclarationError: it is none of these.
    """
    if progress is None:
        progress = sys.stderr.isatty() and find_spec("rich") is not None
    if progress is False:
        yield _silent
    elif progress is True:
        with _bar(label) as report:
            yield report
    elif callable(progress):
        yield progress
    else:
        raise DeclarationError(
            f"apply(progress=...) takes a function of (done, total), a bool or None, not "
            f"{describe(progress)}."
        )


def _silent(done: int, total: int) -> None:
    """Show no progress."""


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    try:
        from rich import progress as rich  # noqa: PLC0415 - an extra: where it is first needed
        from rich.console import Console  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("apply(progress=True)", "rich", "cli") from None
    columns = (
        rich.TextColumn(label),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
    )
    bar = rich.Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("", total=None)

    def report(done: int, total: int) -> None:
        bar.start()  # with the first effect: before it, questions may be asked
        bar.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        bar.stop()
