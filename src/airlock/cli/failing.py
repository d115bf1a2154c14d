"""The report of a failing command on the terminal, and its exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from airlock.cli.output import Listing, folded
from airlock.errors import (
    AirlockError,
    ApplyError,
    InDoubtError,
    PlanError,
    PlanExpiredError,
    PlanFormatError,
    PlanMismatchError,
    UnencodableError,
    WiringError,
)

__all__ = [
    "DECLINED",
    "EXIT_CODES",
    "FOUND",
    "INTERRUPTED",
    "IN_DOUBT",
    "REFUSED",
    "USAGE",
    "Failing",
    "Failure",
    "answered",
    "code_of",
    "format_failure",
]

FOUND, USAGE, REFUSED, IN_DOUBT, DECLINED = 1, 2, 3, 4, 5
INTERRUPTED = 130
"""The exit code of an interrupt in a shell: 128 and the number of SIGINT."""

EXIT_CODES = {
    0: "fine",
    FOUND: "something was found: problems, differences, effects or programs that failed",
    USAGE: "wrong usage, or a target that cannot be loaded",
    REFUSED: "refused: nothing was applied",
    IN_DOUBT: "effects may have happened, and nobody decided what to do about them",
    DECLINED: "you were asked, and answered no",
    INTERRUPTED: "interrupted with Ctrl-C",
}


class Failure(click.ClickException):
    """Something went wrong, in words; and how the command exits."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # a class variable there
        """The exit code of the command."""
        return self.code

    def format_message(self) -> str:
        """Return the message, folded between words on a terminal."""
        return folded(self.message, first=len("Error: "), err=True)


class Failing(Listing):
    """A group whose commands report airlock's errors without a traceback."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code:>3}", meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)  # below the ^C of the terminal
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # somebody reads no further, and click knows what to do
            raise
        except (AirlockError, OSError) as error:
            if ctx.params.get("traceback"):
                raise
            raise Failure(format_failure(error), code_of(error)) from error


def answered(ask: Callable[..., Any], question: str, **options: Any) -> Any:
    """Return the answer to a question.

    Raises:
        Exit: there will be no answer, for the input has ended.
        KeyboardInterrupt: it was interrupted; click makes one error of both.
    """
    try:
        return ask(question, **options)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            click.echo(err=True)
            raise click.exceptions.Exit(DECLINED) from None
        raise KeyboardInterrupt from None


def format_failure(error: Exception) -> str:
    """Format an error, with what to do about it in a shell."""
    if isinstance(error, PlanError) and type(error) in _HINTS:
        return f"{error.what} {error.problem}. {_HINTS[type(error)]}"
    for argument, option in _OPTIONS.items():
        if str(error).startswith(argument):
            return option + str(error).removeprefix(argument)
    return str(error)


_HINTS: dict[type[Exception], str] = {
    PlanExpiredError: "Nothing was applied. Make a new one, for the world has changed since; or say "
    "that it has not: --expired.",
    PlanMismatchError: "Nothing was applied. Name what declares it (--import MODULE, or --boundary), "
    "and what reads it (--wire); or make a new plan.",
    PlanFormatError: "Nothing was applied. Give a file as it was written, or make the plan again.",
}
_OPTIONS = {"apply(kinds=...)": "--kind", "apply(indices=...)": "--index"}


def code_of(error: Exception) -> int:
    """Return the exit code for an error."""
    if isinstance(error, InDoubtError):
        return IN_DOUBT
    if isinstance(error, ApplyError):
        return FOUND
    refused = PlanError | WiringError | UnencodableError
    return REFUSED if isinstance(error, refused) else USAGE
