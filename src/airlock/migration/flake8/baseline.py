"""The baseline: a file of the findings that were there when the plugin was introduced.

One line for each, such that it can be read in a review, and stays true when lines move::

    shop/orders.py::Order.place ALK101 notify_warehouse.delay() x2
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from flake8.exceptions import ExecutionError  # type: ignore[import-untyped]  # no py.typed

from airlock.errors import AirlockError
from airlock.facts import facts

__all__ = ["CODES", "Baseline", "BaselineError", "Entry", "Findings"]

CODES = ("ALK101", "ALK102", "ALK103", "ALK104", "ALK105", "ALK106")
LINE = re.compile(r"(?P<path>.+)::(?P<name>\S+) (?P<code>\w+) (?P<call>\S+)(?: x(?P<count>\d+))?")
CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")
MOST_SHOWN = 10
HEADING = """\
# Effects that bypass the airlock, and are known. To rewrite: flake8 --airlock-write-baseline FOLDER
# To drop what is gone, and add nothing: flake8 --airlock-shrink-baseline FOLDER
"""

Entry: TypeAlias = tuple[str, str, str]  # the name it stands in, the code, the call
Findings: TypeAlias = Mapping[Entry, int]


@facts
class BaselineError(AirlockError, ExecutionError):  # type: ignore[misc]  # flake8 has no py.typed
    """A baseline that cannot be used; nothing was checked. flake8 prints it, and fails."""

    path: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"airlock: the baseline {self.path} {self.problem}\n{self.hint}"


class Baseline:
    """The findings that are known, by file.

    Args:
        path: of the baseline file. The paths in it are relative to its folder.

    Attributes:
        entries: of each file the known findings, and how often each is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Counter[Entry]] = {}

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline file.

        Args:
            path: of the file.

        Raises:
            BaselineError: it is missing, or no baseline.
        """
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            raise BaselineError(
                str(path), "is not there.", "Write it: flake8 --airlock-write-baseline FOLDER"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise BaselineError(str(path), f"cannot be read: {error}.", "Correct that.") from error
        baseline = cls(path)
        problems = list(filter(None, map(baseline._add, *numbered(text))))
        if problems:
            raise baseline.error(problems, "Correct these lines.")
        return baseline

    def missing(self) -> list[str]:
        """Return the files with known findings that are not there."""
        folder = self.path.parent
        return [path for path in self.entries if not (folder / path).exists()]

    def check_files(self) -> None:
        """See that all files are there.

        Raises:
            BaselineError: some are not, so that their entries would never be reported.
        """
        missing = self.missing()
        if missing:
            raise self.error(
                [f"{path} is not there any more" for path in missing],
                "Where a file was moved, correct its path; else delete its lines, or let "
                "flake8 --airlock-shrink-baseline FOLDER do so.",
            )

    def error(self, problems: list[str], hint: str) -> BaselineError:
        shown = problems[:MOST_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        return BaselineError(str(self.path), "\n  ".join(["cannot be used:", *shown]), hint)

    def relative(self, filename: str) -> str:
        """Return the path of a file as it stands in the baseline."""
        try:
            path = os.path.relpath(filename, self.path.parent)
        except ValueError:  # on another drive of Windows
            path = os.path.abspath(filename)  # noqa: PTH100 - a link is not followed
        return path.replace(os.sep, "/")

    def known(self, filename: str) -> Counter[Entry]:
        """Return the known findings of a file."""
        return self.entries.get(self.relative(filename), Counter())

    def lines(self) -> Iterator[str]:
        """Return the lines of the file, sorted, so that two people seldom change the same place."""
        yield from sorted(
            f"{path}::{name} {code} {call}" + (f" x{count}" if count > 1 else "")
            for path, entries in self.entries.items()
            for (name, code, call), count in entries.items()
            if count > 0
        )

    def write(self) -> None:
        """Write the file anew, all or nothing.

        Raises:
            BaselineError: it cannot be written.
        """
        text = HEADING + "".join(f"{line}\n" for line in self.lines())
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            draft.write_text(text, "utf-8", newline="\n")
            draft.replace(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise BaselineError(
                str(self.path), f"cannot be written: {error}.", "It is as it was."
            ) from error

    def _add(self, number: int, line: str) -> str | None:
        """Add the entry of a line; what is wrong with it, if it has none."""
        if not line.strip() or line.startswith("#"):
            return None
        if line.startswith(CONFLICT):
            return f"line {number}: a conflict of a merge is left: {line[:20]}"
        match = LINE.fullmatch(line.rstrip())
        if match is None or match["count"] == "0":
            return f"line {number}: {line!r} is not of the form path::name CODE call xCOUNT"
        if match["code"] not in CODES:
            return f"line {number}: {match['code']} is none of {', '.join(CODES)}"
        entry = match["name"], match["code"], match["call"]
        entries = self.entries.setdefault(match["path"], Counter())
        entries[entry] += int(match["count"] or 1)  # a merge may have left it twice
        return None


def numbered(text: str) -> tuple[range, list[str]]:
    lines = text.splitlines()
    return range(1, len(lines) + 1), lines
