"""Writes the baseline: a formatter of flake8, which runs in the main process.

flake8 checks files in several processes, and knows only afterwards what ``# noqa``,
``per-file-ignores`` and ``--select`` leave. A formatter gets exactly that, file by file, with any
number of jobs; nothing has to be locked or merged.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from flake8.formatting.base import BaseFormatter  # type: ignore[import-untyped]  # no py.typed
from flake8.style_guide import Decision, DecisionEngine  # type: ignore[import-untyped]  # the same
from flake8.violation import Violation  # type: ignore[import-untyped]  # the same

from airlock.migration.flake8.baseline import CODES, Baseline, Entry
from airlock.migration.flake8.options import FORMAT, OptionsError

__all__ = ["BaselineFormatter"]


class BaselineFormatter(BaseFormatter):  # type: ignore[misc]  # flake8 has no py.typed
    """Writes what is found to the baseline, when ``--airlock-write-baseline`` asks for it.

    What this run does not look at stays: other files, and codes that are not selected.
    """

    def after_init(self) -> None:
        """Read what is there.

        Raises:
            ExecutionError: it was chosen by ``--format``, or the file is no baseline.
        """
        if not (self.options.airlock_write_baseline or self.options.airlock_shrink_baseline):
            raise OptionsError(
                f"--format={FORMAT}", "is not for you to give", "Say --airlock-write-baseline."
            )
        path = Path(self.options.airlock_baseline)
        self._old = Baseline.read(path) if path.exists() else Baseline(path)
        self._new = Baseline(path)
        decider = DecisionEngine(self.options)
        self._codes = {c for c in CODES if decider.decision_for(c) is Decision.Selected}
        self._checked: set[str] = set()

    def beginning(self, filename: str) -> None:
        path = self._old.relative(filename)
        if path not in self._old.entries or is_readable(filename):
            self._checked.add(path)

    def handle(self, error: Violation) -> None:
        if error.code in CODES:
            name, _, call = error.text.partition(" ")
            path = self._new.relative(error.filename)
            self._new.entries.setdefault(path, Counter())[name, error.code, call] += 1

    def format(self, error: Violation) -> None:
        """Return None: single findings are not printed."""

    def stop(self) -> None:
        before = entries_of(self._old)
        self._keep_unseen()
        if self.options.airlock_shrink_baseline:
            for path, entries in self._new.entries.items():
                self._new.entries[path] = entries & self._old.entries.get(path, Counter())
        after = entries_of(self._new)
        self._new.write()
        self._write(summary_of(self._new, (after - before).total(), (before - after).total()))
        super().stop()

    def _keep_unseen(self) -> None:
        gone = set(self._old.missing())
        for path, entries in self._old.entries.items():
            for entry, count in entries.items():
                _, code, _ = entry
                if path not in gone and (path not in self._checked or code not in self._codes):
                    self._new.entries.setdefault(path, Counter())[entry] = count


def is_readable(filename: str) -> bool:
    """Return True if a file can be checked: of one with a syntax error the known findings stay."""
    try:
        ast.parse(Path(filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def entries_of(baseline: Baseline) -> Counter[tuple[str, Entry]]:
    return Counter(
        {
            (path, entry): count
            for path, entries in baseline.entries.items()
            for entry, count in entries.items()
        }
    )


def summary_of(baseline: Baseline, new: int, gone: int) -> str:
    effects = sum(entries.total() for entries in baseline.entries.values())
    files = sum(1 for entries in baseline.entries.values() if entries)
    return (
        f"{baseline.path.name}: {effects} effect{'s' * (effects != 1)} in "
        f"{files} file{'s' * (files != 1)} ({new} new, {gone} gone)"
    )
