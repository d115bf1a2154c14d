"""What the demo prints, by rich: readable in colour, without it, and in a file."""

import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from airlock import Outcome, Report

WIDTH = 100
INDENT = "  "
ROOT = Path(__file__).parents[2]
Cell = str | int


class Screen:
    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False)
        if not self._console.is_terminal or self._console.width > WIDTH:
            self._console.width = WIDTH

    def heading(self, title: str, sentence: str = "") -> None:
        line = Text("── ", "cyan").append(title, "bold default").append(" ")
        line.append("─" * (self._console.width - len(line)))
        self._console.print(line, no_wrap=True, overflow="crop")
        if sentence:
            self._console.print(sentence, markup=False)
        self._console.print()

    def code(self, *objects: Callable[..., object] | type) -> None:
        """Show source as it runs."""
        where = ""
        for each in objects:
            source = textwrap.dedent(inspect.getsource(each)).rstrip()
            shown = Syntax("", "python", theme="ansi_dark").highlight(source)
            shown.rstrip()
            if where != (where := path_of(each)):
                self._console.print(Text(f"    # {where}", "dim"))
            for line in shown.split():
                self._console.print(Text("    " if line else "").append_text(line), soft_wrap=True)
            self._console.print()

    def say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False)
        self._console.print()

    def quote(self, text: str) -> None:
        room = self._console.width - len(INDENT)
        for line in text.splitlines():
            lead = line[: len(line) - len(line.lstrip())]
            for part in textwrap.wrap(line, room, subsequent_indent=lead) or [""]:
                self._console.print(Text(INDENT + part, "yellow"), soft_wrap=True)
        self._console.print()

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Show a table. Numbers and everything but the first column are aligned to the right."""
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
        for i, name in enumerate(head):
            table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
        for row in rows:
            cells = [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]
            table.add_row(*cells, style="bold red" if "NO" in row else None)
        self._console.print(Padding(table, (0, 0, 0, len(INDENT)), expand=False))
        self._console.print()

    def outcomes(self, report: Report) -> None:
        """What became of the intents of a report, by class."""
        seen = list(report.counts)
        counted: dict[str, dict[Outcome, int]] = {}
        for entry in report:
            counts = counted.setdefault(type(entry.intent).__name__, dict.fromkeys(seen, 0))
            counts[entry.outcome] += 1
        head = ["effects.report", "emitted", *(outcome.word for outcome in seen)]
        rows: list[list[Cell]] = [
            [name, sum(counts.values()), *counts.values()] for name, counts in counted.items()
        ]
        self.table(head, rows)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
        self._console.print()


def path_of(thing: Callable[..., object] | type) -> str:
    return Path(inspect.getfile(thing)).relative_to(ROOT).as_posix()
