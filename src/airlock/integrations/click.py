"""``--effects=run|drop|plan:FILE`` for Click commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from airlock.boundary.boundary import Boundary
from airlock.errors import MissingExtraError, SettingError
from airlock.integrations.base import CommandEffects, parse_mode
from airlock.release import OnFlushError, Release

try:
    import click
except ImportError:
    raise MissingExtraError(__name__, "Click", "click") from None

__all__ = ["effects_option"]

P = ParamSpec("P")
T = TypeVar("T")
NAME = "airlock_effects"  # of the parameter, which the command does not see
TRACEBACK = "airlock_traceback"  # the same


def effects_option(
    boundary: Boundary | None = None,
    *,
    release: Callable[[], Release] | None = None,
    on_flush_error: OnFlushError = "raise",
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a command, or a group, so that ``--effects`` decides what becomes of its effects.

    ``run`` is the default; ``drop`` lets nothing escape; ``plan:FILE`` writes a plan to review and
    to apply later. It holds for the whole process while the command runs; that of a group, while
    the commands run that it calls.

    If effects fail, the command prints one line and exits with 1; with the option ``--traceback``
    the error passes as it is. It is logged in both cases.

    Args:
        boundary: open a scope of it around the command; None if the command opens its own.
        release: called to make that scope's release.
        on_flush_error: ``"raise"`` fails the command with an exit code; ``"report"``
            logs the error.

    Raises:
        DeclarationError: an argument makes no sense, or the command is async.

    Example:
        >>> import click
        >>> from click.testing import CliRunner
        >>> @click.command()
        ... @effects_option(boundary)
        ... def remind():
        ...     emit(NotifyWarehouse(42))
        >>> CliRunner().invoke(remind, ["--effects=drop"]).exit_code
        0
    """
    effects = CommandEffects(
        boundary,
        exits=click.exceptions.Exit,
        failure=click.ClickException,
        release=release,
        on_flush_error=on_flush_error,
    )

    def decorate(command: Callable[P, T]) -> Callable[P, T]:
        effects.check(command)

        @wraps(command)
        def governed(*args: P.args, **kwargs: P.kwargs) -> T:
            name, mode = command.__name__, cast("str | None", kwargs.pop(NAME, None))
            traceback = cast("bool", kwargs.pop(TRACEBACK, False))
            if mode is not None:  # else it is called as the function that it is
                context = click.get_current_context()
                if isinstance(context.command, click.Group):
                    context.with_resource(effects.until_closed(name, mode, traceback=traceback))
                    return command(*args, **kwargs)
            traceback = traceback or mode is None
            return effects.run(
                name, mode or "run", lambda: command(*args, **kwargs), traceback=traceback
            )

        shown = click.option(
            "--traceback",
            TRACEBACK,
            is_flag=True,
            help="Show where an error of an effect comes from.",
        )
        return click.option(
            "--effects",
            NAME,
            default="run",
            show_default=True,
            metavar="run|drop|plan:FILE",
            callback=_checked,
            help="Let effects happen, drop them, or write a plan of them.",
        )(shown(governed))

    return decorate


def _checked(_: click.Context, __: click.Parameter, mode: str) -> str:
    try:
        parse_mode(mode)
    except SettingError as error:
        raise click.BadParameter(f"{mode!r} {error.problem}. {error.hint}") from None
    return mode
