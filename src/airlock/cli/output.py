"""The output of commands: JSON, tables and folded text on a terminal, plain columns anywhere else."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import click

__all__ = ["Listing", "folded", "json_option", "print_json", "table"]


class Listing(click.Group):
    """A group whose help shows what its commands do in whole sentences, however narrow it is."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands; click would cut their summaries at the width."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(sys.maxsize)) for name, one in commands if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def folded(text: str, *, first: int = 0, hanging: int = 0, err: bool = False) -> str:
    """Return a text with its long lines folded between words, if it is printed on a terminal.

    Args:
        text: lines; the lines that one is folded into are indented as it is.
        first: how many columns of the first line are taken.
        hanging: how many columns more the lines are indented that a line is folded into.
        err: whether it goes to standard error.
    """
    if not (sys.stderr if err else sys.stdout).isatty():
        return text
    width = shutil.get_terminal_size().columns
    lines = [" " * first + line if i == 0 else line for i, line in enumerate(text.split("\n"))]
    return "\n".join(_fold(line, width, hanging) for line in lines)[first:]


def _fold(line: str, width: int, hanging: int) -> str:
    indent = hanging + len(line) - len(line.lstrip())
    wrapper = textwrap.TextWrapper(
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.fill(line) if len(line) > width else line


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        function
    )


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows: as a table on a terminal, else as columns that are never cut."""
    if not rows:
        return
    if sys.stdout.isatty():
        _rich(headers, rows)
        return
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    for row in (headers, *rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _rich(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow to import, and only terminals need it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(drawn)
