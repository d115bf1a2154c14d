"""Draw the picture of ``airlock demo`` that README.md shows: ``make picture``.

It is what the demo prints, with the colours that it has on a terminal of 80 columns.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from click.testing import CliRunner
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from airlock.cli import airlock

PICTURE = Path(__file__).with_name("demo.svg")
WIDTH = 80

BACKGROUND, FOREGROUND = (24, 28, 34), (214, 219, 226)
RED, GREEN, YELLOW, BLUE = (240, 113, 120), (152, 209, 122), (255, 203, 107), (120, 170, 255)
MAGENTA, CYAN = (199, 146, 234), (110, 205, 225)
DARK = TerminalTheme(
    BACKGROUND,
    FOREGROUND,
    [BACKGROUND, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, FOREGROUND],
)


def drawn() -> str:
    """Run the demo, and return its picture as SVG."""
    printed = CliRunner().invoke(airlock, ["demo"], color=True, catch_exceptions=False).output
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ airlock demo\n{printed.rstrip()}"))
    return console.export_svg(title="airlock demo", theme=DARK, unique_id="demo")


if __name__ == "__main__":
    PICTURE.write_text(drawn(), "utf-8")
