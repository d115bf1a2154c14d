"""Management commands: what may escape of one, and a scope for each that is a unit of work."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from airlock import Drop, Scope, enclose
from airlock.errors import PlanError, SettingError
from airlock.integrations.base import Work, effects_mode, parse_mode
from airlock.integrations.django.conf import Conf, conf, setting
from airlock.scopes.current import here, outwards

__all__ = ["HOSTS", "EffectsMixin", "install"]

HOSTS = frozenset(
    {
        *("dbshell", "shell", "shell_plus", "notebook", "test", "testserver"),
        *("runserver", "runserver_plus", "runworker", "run_gunicorn"),
        *("qcluster", "qmonitor", "run_huey", "djangohuey", "rundramatiq", "rqworker"),
        *("rqscheduler", "db_worker", "procrastinate", "process_tasks", "runapscheduler"),
    }
)
"""Commands that run for long and host units of work of their own: one scope for all would be wrong.

``"*"`` does not mean them. A mode given to one by its name holds for what happens in it.
"""


class EffectsMixin(BaseCommand):
    """A mixin for commands that emit: ``class Command(EffectsMixin, BaseCommand)``.

    ``handle`` runs in a scope, and the command has the option ``--effects``: ``run``; ``drop`` to let
    nothing happen; ``plan:FILE`` to write down what would happen, for ``airlock plan apply``.
    """

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--effects",
            type=checked,
            metavar="run|drop|plan:FILE",
            help="What becomes of the effects: run them, drop them, or write a plan of them.",
        )
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(joined(argv))

    def execute(self, *args: Any, **options: Any) -> Any:
        mode = options.get("effects") or mode_of(name_of(self)) or "run"
        return executed(self, partial(super().execute, *args, **options), mode)


def checked(text: str) -> str:
    """Validate an argument of ``--effects``."""
    try:
        parse_mode(text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(f"{error.name!r} {error.problem}. {error.hint}") from None
    return text


def joined(argv: Sequence[str]) -> list[str]:
    """Join ``--effects=plan FILE`` to one word in a command line; a plan needs a file anyway.

    Example:
        >>> joined(["manage.py", "refund", "--effects=plan", "refunds.plan", "--all"])
        ['manage.py', 'refund', '--effects=plan:refunds.plan', '--all']
    """
    words = list[str]()
    for word in argv:
        asked = words[-1:] == ["--effects=plan"] or words[-2:] == ["--effects", "plan"]
        if asked and not word.startswith("-"):
            words[-1] += f":{word}"
        else:
            words.append(word)
    return words


# -- commands one cannot edit ---------------------------------------------------------------------


def install() -> None:
    """Let ``COMMANDS`` hold for every command, in the one place that all of them pass."""
    execute = BaseCommand.execute
    if hasattr(execute, "__wrapped__"):
        return

    @wraps(execute)
    def execute_in_scope(self: BaseCommand, *args: Any, **options: Any) -> Any:
        run = partial(execute, self, *args, **options)
        mode = None if isinstance(self, EffectsMixin) else mode_of(name_of(self))
        return run() if mode is None else executed(self, run, mode)

    BaseCommand.execute = execute_in_scope  # type: ignore[method-assign]  # see above


def name_of(command: BaseCommand) -> str:
    """Return the name of a command, as Django finds it: by its module."""
    return type(command).__module__.rpartition(".")[2]


def mode_of(name: str) -> str | None:
    """Return the mode of a command in ``COMMANDS``."""
    raw = setting()
    modes = raw.get("COMMANDS") if isinstance(raw, dict) else None
    if not isinstance(modes, dict):
        return None  # the checks report what is wrong with it
    mode = modes.get(name) if name in modes or name in HOSTS else modes.get("*")
    return mode if isinstance(mode, str) else None


def executed(command: BaseCommand, execute: Callable[[], Any], mode: str) -> Any:
    """Execute a command with its ``handle`` in a scope: Django's checks come first."""
    handle = command.handle

    def handle_in_scope(*args: Any, **options: Any) -> Any:
        vars(command).pop("handle", None)
        with raising_command_errors(), unit_of_work(command, mode):
            return handle(*args, **options)

    vars(command)["handle"] = handle_in_scope
    try:
        return execute()
    finally:
        vars(command).pop("handle", None)


@contextmanager
def raising_command_errors() -> Iterator[None]:
    """Raise errors of the settings or of a plan as ``CommandError``, which Django prints."""
    try:
        yield
    except (SettingError, PlanError) as error:
        raise CommandError(str(error)) from error


@contextmanager
def unit_of_work(command: BaseCommand, mode: str) -> Iterator[None]:
    """Open the scope of a command, under its mode."""
    name = name_of(command)
    alone = getattr(command, "_called_from_command_line", False)
    kind, file = parse_mode(mode)
    with ExitStack() as stack:
        if kind == "drop" and not alone:
            stack.enter_context(enclose(Drop()))  # other threads may serve requests
        else:
            stack.enter_context(effects_mode(mode))
        if name not in HOSTS:
            stack.enter_context(work(conf(), f"manage.py {name}", planned=file is not None))
        yield
    if file is not None and alone:
        write_place(command, file)


def work(now: Conf, what: str, *, planned: bool) -> Work:
    """Return a scope with the release; a command called by another one belongs to its scope."""
    scope = now.boundary.scope(release=now.release, independent=planned)
    if not planned and is_nested(scope):
        scope = now.boundary.scope()
    return Work(now.others, what, scope, None)


def is_nested(scope: Scope) -> bool:
    """Return True if a scope of the same boundary is open here."""
    around = (region for region in outwards(here.get()) if not region.is_closed)
    return any(r.scope is not None and r.scope.engine is scope.engine for r in around)


def write_place(command: BaseCommand, file: Path) -> None:
    """Write the place of the plan to standard error, as the output may be data."""
    command.stderr.write(f"nothing has happened; a plan of the effects is in {file}", str)
