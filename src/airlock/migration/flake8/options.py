"""The options of the plugin."""

from __future__ import annotations

import argparse
import os
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import attrs
from flake8.exceptions import ExecutionError  # type: ignore[import-untyped]  # no py.typed

from airlock.errors import AirlockError
from airlock.facts import facts
from airlock.migration.flake8.baseline import Baseline
from airlock.migration.flake8.known import Names

__all__ = ["FORMAT", "OptionsError", "Settings", "add_options"]

FORMAT = "airlock-baseline"  # the name of the formatter that writes it
WORD = r"[^\W\d]\w*"
NAME = re.compile(rf"\.{WORD}|{WORD}(\.{WORD})*(\.\*)?")


@facts
class OptionsError(AirlockError, ExecutionError):  # type: ignore[misc]  # flake8 has no py.typed
    """Options that make no sense. flake8 prints it, and fails."""

    name: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"airlock: {self.name} {self.problem}. {self.hint}"


@attrs.frozen
class Settings:
    """The settings of a run.

    Attributes:
        names: more to look for.
        allow: patterns of paths where effects may happen.
        baseline: what is known already.
        is_writing: findings are collected for a new baseline, not reported.
        disable_noqa: as in flake8.
    """

    names: Names = attrs.field(factory=Names)
    allow: tuple[str, ...] = ()
    baseline: Baseline | None = None
    is_writing: bool = False
    disable_noqa: bool = False

    def allows(self, filename: str) -> bool:
        """May effects happen in this file? As flake8 has it: a name, or a path from its config."""
        path = os.path.abspath(filename)  # noqa: PTH100 - a link is not followed
        name = os.path.basename(path)  # noqa: PTH119 - as the patterns are: texts
        return any(fnmatch(name, pattern) or fnmatch(path, pattern) for pattern in self.allow)

    @classmethod
    def parsed(cls, manager: Any, options: argparse.Namespace) -> Settings:
        """Return the settings of options.

        Args:
            manager: of flake8's options.
            options: are changed such that the formatter writes, if they ask for a new baseline.

        Raises:
            ExecutionError: what is wrong with them or the baseline, which flake8 prints.
        """
        is_writing = options.airlock_write_baseline or options.airlock_shrink_baseline
        settings = cls(
            names=Names.parsed(checked(options.airlock_names)),
            allow=tuple(options.airlock_allow),
            baseline=baseline_of(options),
            is_writing=is_writing,
            disable_noqa=options.disable_noqa,
        )
        if is_writing:
            write_with(manager, options)
        return settings


def add_options(manager: Any) -> None:
    """Tell flake8 of the options."""
    manager.add_option(
        "--airlock-baseline",
        metavar="FILE",
        default=None,
        parse_from_config=True,
        help="do not report what stands in this file",
    )
    # flake8 leaves a name without a slash alone, which is right for patterns only.
    manager.config_options_dict["airlock_baseline"].normalize = beside
    manager.add_option(
        "--airlock-names",
        metavar="NAMES",
        default="",
        parse_from_config=True,
        comma_separated_list=True,
        help="more effects to look for: module.function, module.*, .method",
    )
    manager.add_option(
        "--airlock-allow",
        metavar="PATHS",
        default="",
        parse_from_config=True,
        comma_separated_list=True,
        normalize_paths=True,
        help="where effects may happen, as for --exclude: handlers.py,*/wiring/*",
    )
    manager.add_option(
        "--airlock-write-baseline",
        action="store_true",
        help="write what is found to the file of --airlock-baseline, and report nothing",
    )
    manager.add_option(
        "--airlock-shrink-baseline",
        action="store_true",
        help="drop what is gone from the file of --airlock-baseline, and add nothing",
    )


def beside(name: str, *folder: str) -> str:
    """Return the path of a file that a configuration in ``folder`` names."""
    return os.path.abspath(os.path.join(*folder, name))  # noqa: PTH100, PTH118 - as flake8 does


def checked(names: list[str]) -> list[str]:
    for name in names:
        if not NAME.fullmatch(name):
            raise OptionsError(
                "airlock-names", f"has {name!r}", "Write module.function, module.* or .method."
            )
    return names


def baseline_of(options: argparse.Namespace) -> Baseline | None:
    """Return the baseline to compare with; None to write one, or where there is none."""
    if options.airlock_write_baseline and options.airlock_shrink_baseline:
        raise OptionsError(
            "--airlock-write-baseline", "adds what --airlock-shrink-baseline does not", "Give one."
        )
    if options.airlock_baseline is None:
        return None
    path = Path(options.airlock_baseline)
    if options.airlock_write_baseline and not path.exists():
        return None
    baseline = Baseline.read(path)
    if not (options.airlock_write_baseline or options.airlock_shrink_baseline):
        baseline.check_files()
    return baseline


def write_with(manager: Any, options: argparse.Namespace) -> None:
    """Let the formatter write: it alone sees the findings of all processes, less the ignored."""
    if options.airlock_baseline is None:
        raise OptionsError(
            "--airlock-write-baseline",
            "does not know where to write",
            "Say --airlock-baseline=FILE, or airlock-baseline = FILE in the configuration.",
        )
    if FORMAT not in manager.formatter_names:
        raise OptionsError(
            "--airlock-write-baseline",
            f"needs the formatter {FORMAT}, which flake8 does not find",
            "Install airlock-effects, or name it under [flake8:local-plugins]: "
            f"report = {FORMAT} = airlock.migration.flake8:BaselineFormatter",
        )
    options.format, options.quiet, options.exit_zero = FORMAT, 0, True
