"""``airlock run``: a program, with a holding enclosure around it, and a plan of what it emitted."""

from __future__ import annotations

import atexit
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airlock.cli.durations import duration
from airlock.cli.failing import FOUND, INTERRUPTED, Failure, code_of, format_failure
from airlock.cli.output import json_option, print_json
from airlock.cli.targets import wire_of
from airlock.errors import AirlockError
from airlock.integrations.base.modes import lacks

if TYPE_CHECKING:
    from airlock.plan import Plan, holding

__all__ = ["run"]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--plan",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write the plan to, such as out.plan.",
)
@click.option(
    "--expires",
    callback=duration,
    metavar="DURATION",
    help="How long it can be applied: 90s, 15m, 2h, 7d.",
)
@click.option(
    "--wire", metavar="MODULE:WIRE", help="Writes the intents, for example with a cipher."
)
@click.option("-m", "as_module", is_flag=True, help="The program is a module, as for python -m.")
@click.option("--partial", is_flag=True, help="Write the plan even if the program fails.")
@json_option
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(  # noqa: PLR0917 - click gives them by name
    path: Path,
    expires: timedelta | None,
    wire: str | None,
    as_module: bool,  # noqa: FBT001 - an option
    partial: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    program: str,
    arguments: tuple[str, ...],
) -> None:
    """Run a program, let none of its effects happen, and make a plan of them.

    Threads and every boundary are included; other processes that it starts are not. The program is
    given after two hyphens, as to Python: airlock run --plan out.plan -- migrate.py --all, or
    -- -m shop.migrate --all
    """
    from airlock.plan import holding  # noqa: PLC0415

    if program == "-m" and not as_module:  # after the two hyphens, as Python takes it
        if not arguments:
            raise click.UsageError("-m needs the name of a module.")
        as_module, program, arguments = True, arguments[0], arguments[1:]
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise Failure(f"{path} cannot be written: name a file in a folder that exists.")
    held = holding()
    held.__enter__()  # and never left: nothing happens as long as this process lives
    held.write_with(wire_of(wire))  # loaded here: its module may be the program's, with effects
    codes: list[int] = []

    def finish() -> None:
        # A program that failed because of the plan may have committed something before.
        if codes and (partial or codes == [0] or held.refused):
            _write(held, expires, path, as_json=as_json, empty=partial or codes == [0])

    # Python waits for the program's threads, then calls its exit handlers, and this one last.
    atexit.register(finish)
    codes.append(_ended(program, arguments, as_module=as_module))
    if codes != [0] and not partial and not held.refused:
        click.echo(FAILED, err=True)
    raise click.exceptions.Exit(codes[0])


FAILED = "The program failed, so no plan was written; with --partial there is one."


def _write(
    held: holding, expires: timedelta | None, path: Path, *, as_json: bool, empty: bool
) -> None:
    """Write the plan, at the very end, where exceptions would not change the exit code any more.

    Args:
        held: what was held.
        expires: when the plan can no longer be applied.
        path: of the file.
        as_json: whether to print JSON.
        empty: whether to write a plan of nothing, too.
    """
    lacking: list[AirlockError] = []
    try:
        plan = held.plan(expires=expires, lacking=lacking)
        if not plan.counts and not lacking and not empty:
            click.echo(FAILED, err=True)
            return
        plan.save(path)
        _tell(plan, as_json=as_json)
        if lacking:
            raise lacks(plan, lacking)
    except (AirlockError, OSError) as error:
        click.echo(f"Error: {format_failure(error)}", err=True)
        sys.stdout.flush()
        os._exit(code_of(error))


def _ended(program: str, arguments: Sequence[str], *, as_module: bool) -> int:
    """Run a program as Python does, and return its exit code."""
    if not as_module and not Path(program).exists():
        raise Failure(f"there is no file {program!r}.")
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path.cwd() if as_module else Path(program).resolve().parent)
    try:
        if as_module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        return _code(ended.code)
    except BaseException as error:  # noqa: BLE001 - the program's own: reported as Python reports it
        _print_error(error)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FOUND
    return 0


def _code(given: object) -> int:
    """Return the exit code for the argument of ``sys.exit``."""
    if given is None or isinstance(given, int):
        return given or 0
    click.echo(str(given), err=True)
    return FOUND


def _print_error(error: BaseException) -> None:
    """Print a traceback without the frames that run the program."""
    trace = error.__traceback__
    while trace is not None and (
        trace.tb_frame.f_code.co_filename == __file__
        or trace.tb_frame.f_globals.get("__name__") == "runpy"
    ):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def _tell(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        print_json({"plan": str(plan.path), "counts": plan.counts, "digest": plan.digest})
    else:
        click.echo(f"{plan.summary()}\nwritten to {plan.path}")
    own = [kind for kind in plan.counts if kind.startswith("__main__.")]
    if own:
        click.echo(
            f"Warning: {own[0]} is declared in the program itself, and no other program can read it. "
            "Declare it in a module, or give it a name: @intent(kind=...).",
            err=True,
        )
