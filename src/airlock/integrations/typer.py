"""``--effects=run|drop|plan:FILE`` for Typer commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar, get_type_hints

from airlock.boundary.boundary import Boundary
from airlock.errors import MissingExtraError, SettingError
from airlock.integrations.base import CommandEffects, parse_mode
from airlock.release import OnFlushError, Release

try:
    import typer
except ImportError:
    raise MissingExtraError(__name__, "Typer", "typer") from None

__all__ = ["effects_option"]

P = ParamSpec("P")
T = TypeVar("T")
NAME = "airlock_effects"  # of the parameter, which the command does not see
TRACEBACK = "airlock_traceback"  # the same
CONTEXT = "airlock_context"  # the same


def effects_option(
    boundary: Boundary | None = None,
    *,
    release: Callable[[], Release] | None = None,
    on_flush_error: OnFlushError = "raise",
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a command, or a callback, so that ``--effects`` decides what becomes of its effects.

    ``run`` is the default; ``drop`` lets nothing escape; ``plan:FILE`` writes a plan to review and
    to apply later. It holds for the whole process while the command runs; that of a callback, while
    the commands run that it stands for.

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
        >>> import typer
        >>> from typer.testing import CliRunner
        >>> app = typer.Typer()
        >>> @app.command()
        ... @effects_option(boundary)
        ... def remind(order_id: int) -> None:
        ...     emit(NotifyWarehouse(order_id))
        >>> CliRunner().invoke(app, ["42", "--effects=drop"]).exit_code
        0
    """
    effects = CommandEffects(
        boundary,
        exits=typer.Exit,
        failure=_failure(),
        release=release,
        on_flush_error=on_flush_error,
    )

    def decorate(command: Callable[P, T]) -> Callable[P, T]:
        effects.check(command)

        @wraps(command)
        def governed(*args: P.args, **kwargs: P.kwargs) -> T:
            given: dict[str, Any] = kwargs
            name = command.__name__
            mode: Any = given.pop(NAME, None)
            traceback = bool(given.pop(TRACEBACK, False))
            context: Any = given.get(about) if seen else given.pop(about, None)
            if mode is not None and hasattr(context.command, "list_commands"):  # it is a group
                context.with_resource(effects.until_closed(name, mode, traceback=traceback))
                return command(*args, **kwargs)
            traceback = traceback or mode is None
            return effects.run(
                name, mode or "run", lambda: command(*args, **kwargs), traceback=traceback
            )

        about, seen = _add_option(governed, command)
        return governed

    return decorate


def _failure() -> type[Exception]:
    """Return the class of Click's that Typer prints in one line; Typer may have a copy of Click."""
    return next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def _add_option(governed: Any, command: Callable[..., Any]) -> tuple[str, bool]:
    """Add the options; Typer reads those of a command off its signature and its annotations.

    Returns:
        The parameter that is given the context, and whether the command has it too.
    """
    option = typer.Option(
        "--effects",
        metavar="run|drop|plan:FILE",
        callback=_checked,
        help="Let effects happen, drop them, or write a plan of them.",
    )
    shown = typer.Option("--traceback", help="Show where an error of an effect comes from.")
    added: dict[str, Any] = {NAME: Annotated[str, option], TRACEBACK: Annotated[bool, shown]}
    defaults = {NAME: "run", TRACEBACK: False}
    extra = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation
        )
        for name, annotation in added.items()
    ]
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    known = [
        p.replace(annotation=hints.get(p.name, p.annotation)) for p in _but_variable(signature)
    ]
    seen = [one.name for one in known if _is_context(one.annotation)]
    if not seen:
        extra.append(
            inspect.Parameter(CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        )
        added[CONTEXT] = typer.Context
    governed.__signature__ = signature.replace(parameters=[*known, *extra])
    governed.__annotations__ = {**hints, **added}
    return (seen[0], True) if seen else (CONTEXT, False)


def _is_context(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, typer.Context)


def _but_variable(signature: inspect.Signature) -> list[inspect.Parameter]:
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [one for one in signature.parameters.values() if one.kind not in variable]


def _checked(mode: str) -> str:
    try:
        parse_mode(mode)
    except SettingError as error:
        raise typer.BadParameter(f"{mode!r} {error.problem}. {error.hint}") from None
    return mode
