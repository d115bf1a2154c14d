"""``CommandEffects``: what is around a command, whatever library runs it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Literal, TypeVar

from airlock.boundary.boundary import Boundary
from airlock.effects.registry import describe
from airlock.errors import AirlockError, ApplyError, DeclarationError, FlushError, PlanError
from airlock.integrations.base.edge import Edge
from airlock.integrations.base.modes import effects_mode
from airlock.release import OnFlushError, Release

__all__ = ["CommandEffects"]

T = TypeVar("T")
log = logging.getLogger("airlock")


class CommandEffects:
    """A mode and a scope around each command of a program.

    Args:
        boundary: opens a scope around a command; None for commands that open their own.
        exits: the type of the errors by which commands end early. One whose ``exit_code`` is 0 ends
            them well.
        failure: makes the error that the library prints in one line, instead of a traceback, of
            what went wrong.
        release: called to make the scope's release.
        on_flush_error: what to do with errors of flushes; as for ``Edge``.

    Raises:
        DeclarationError: an argument makes no sense.

    Example:
        >>> effects = CommandEffects(boundary, exits=SystemExit, failure=SystemExit)
        >>> effects.run("remind", "drop", lambda: emit(NotifyWarehouse(42)))
    """

    def __init__(
        self,
        boundary: Boundary | None,
        *,
        exits: type[BaseException],
        failure: Callable[[str], BaseException],
        release: Callable[[], Release] | None = None,
        on_flush_error: OnFlushError = "raise",
    ) -> None:
        self._edge = None if boundary is None else Edge(boundary, on_flush_error=on_flush_error)
        self._exits = exits
        self._failure = failure
        self._release = release

    def check(self, command: Callable[..., object]) -> None:
        """Refuse a coroutine function, which has not run when it returns.

        Raises:
            DeclarationError: it is one.
        """
        if iscoroutinefunction(command):
            raise DeclarationError(
                f"@effects_option on {describe(command)}, which is async: it would end before it has "
                "run. Put it outside of what runs the coroutine, such as "
                "`lambda: asyncio.run(main())`."
            )

    def run(self, name: str, mode: str, command: Callable[[], T], *, traceback: bool = False) -> T:
        """Run a command.

        Args:
            name: of the command, for the log.
            mode: as for ``effects_mode``.
            command: to call.
            traceback: let errors of effects pass as they are, for the traceback.

        Returns:
            What it returns.

        Raises:
            SettingError: ``mode`` is none.
            Exception: as the command does; ``failure`` of one line, if effects fail.
        """
        with self._around(name, mode, traceback=traceback):
            try:
                return command()
            except self._exits as error:
                if not self._ends_well(error):
                    raise
                ended = error
        raise ended  # its effects have happened

    def until_closed(
        self, name: str, mode: str, *, traceback: bool = False
    ) -> AbstractContextManager[None]:
        """Open the same scope around a group and the commands that it calls.

        Args:
            name: of the group, for the log.
            mode: as for ``effects_mode``.
            traceback: as for ``run``.

        Returns:
            A resource for the context of the group, which closes when they have ended.
        """
        return _UntilClosed(self._around(name, mode, traceback=traceback), self._ends_well)

    @contextmanager
    def _around(self, name: str, mode: str, *, traceback: bool) -> Iterator[None]:
        try:
            with effects_mode(mode), self._scope(name):
                yield
        except AirlockError as error:
            if traceback or not _is_of_effects(error):
                raise
            _log(name, error)
            text = error.message if isinstance(error, FlushError | ApplyError) else str(error)
            raise self._failure(f"{text} (--traceback shows where)") from error

    @contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        if self._edge is None:
            yield
            return
        release = None if self._release is None else self._release()
        with self._edge.scope(f"the command {name}", release=release):
            yield

    def _ends_well(self, error: BaseException | None) -> bool:
        return isinstance(error, self._exits) and not getattr(error, "exit_code", 1)


def _is_of_effects(error: AirlockError) -> bool:
    """Return True for the outcome of a flush or a plan; others are mistakes in the command."""
    return isinstance(error, FlushError | ApplyError | PlanError) or error.report is not None


def _log(name: str, error: AirlockError) -> None:
    """Log an error with its traceback, for whoever collects logs; the terminal has one line of it."""
    silent = logging.NullHandler()  # where no handler is, logging prints to the terminal
    log.addHandler(silent)
    try:
        log.error("effects of the command %s failed", name, exc_info=error)
    finally:
        log.removeHandler(silent)


class _UntilClosed(AbstractContextManager[None]):
    """Click 8.1 closes a context without a word of the error that leaves it, which is looked up."""

    def __init__(
        self,
        around: AbstractContextManager[Any],
        ends_well: Callable[[BaseException | None], bool],
    ) -> None:
        self._around = around
        self._ends_well = ends_well
        self._handled = sys.exc_info()[1]  # by who runs the program, if anybody does

    def __enter__(self) -> None:
        self._around.__enter__()

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> Literal[False]:
        error = sys.exc_info()[1]
        if error is None or error is self._handled or self._ends_well(error):
            self._around.__exit__(None, None, None)
        else:
            self._around.__exit__(type(error), error, error.__traceback__)
        return False
