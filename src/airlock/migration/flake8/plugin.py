"""The plugin: what flake8 asks, file by file, and its options."""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Callable, Iterator
from shlex import quote
from typing import Any, ClassVar

from flake8.violation import Violation  # type: ignore[import-untyped]  # flake8 has no py.typed

from airlock.migration.flake8.baseline import Entry, Findings
from airlock.migration.flake8.options import Settings, add_options
from airlock.migration.flake8.rules import Finding, found

__all__ = ["Plugin"]

INSTEAD = "emit an intent, and let its handler do it"
MESSAGES = {
    "ALK101": f"{{call}} sends a task past the airlock: {INSTEAD}",
    "ALK102": f"{{call}} sends a mail past the airlock: {INSTEAD}",
    "ALK103": "{call} hides an effect in a callback: emit an intent, in a scope that waits for "
    "the commit",
    "ALK104": "{call} emits a callable, which nobody can compare, hold or store: emit an intent, "
    "or enqueue() an @effect function",
    "ALK105": f"{{call}} sends a task past the airlock: {INSTEAD}",
    "ALK106": f"{{call}} bypasses the airlock, as airlock-names says: {INSTEAD}",
}

Report = tuple[int, int, str, type[Any]]


class Plugin:
    """Finds the effects of a module that bypass the airlock.

    flake8 makes one for each file. Its arguments are what flake8 gives by their names.

    Args:
        tree: of the module.
        filename: its path.
        noqa_line_for: the text in which flake8 looks for a ``# noqa`` about a line.
    """

    settings: ClassVar[Settings] = Settings()

    def __init__(
        self,
        tree: ast.AST,
        filename: str,
        noqa_line_for: Callable[[int], str | None] | None = None,
    ) -> None:
        self._tree = tree
        self._filename = filename
        self._noqa_line_for = noqa_line_for

    def run(self) -> Iterator[Report]:
        """Yield line, column, code and text of each finding."""
        findings, lines = self._found()
        if self.settings.is_writing:  # the formatter gets them, if nothing ignores them
            for it in findings:
                yield it.line, it.column, f"{it.code} {it.name} {it.call}", Plugin
            return
        known = self._known()
        if known:
            findings = [it for it in findings if not self._is_ignored(it)]
        counts = Counter(it.entry for it in findings)
        yield from self._new(findings, known, counts)
        yield from self._gone(known, counts, lines)

    def _found(self) -> tuple[list[Finding], dict[str, int]]:
        if self.settings.allows(self._filename):
            return [], {}
        return found(self._tree, self._filename, self.settings.names)

    def _known(self) -> Findings:
        baseline = self.settings.baseline
        return {} if baseline is None else baseline.known(self._filename)

    def _new(self, findings: list[Finding], known: Findings, counts: Findings) -> Iterator[Report]:
        """Yield what is not in the baseline: of several calls that look the same, the last ones."""
        seen: Counter[Entry] = Counter()
        for it in findings:
            seen[it.entry] += 1
            allowed = known.get(it.entry, 0)
            if seen[it.entry] > allowed:
                of = f" ({allowed} of {counts[it.entry]} are in the baseline)" if allowed else ""
                text = MESSAGES[it.code].format(call=it.call)
                yield it.line, it.column, f"{it.code} {text}{of}", Plugin

    def _gone(self, known: Findings, counts: Findings, lines: dict[str, int]) -> Iterator[Report]:
        """Yield what is in the baseline only, reported at its function if that is still there."""
        shrink = f"run flake8 --airlock-shrink-baseline {quote(self._filename)}"
        for entry, count in sorted(known.items()):
            name, code, call = entry
            left = counts.get(entry, 0)
            if left < count:
                gone = f" {count} times, and is found only {left}" if left else ", and is gone"
                text = f"ALK100 {call} ({code}) in {name} is in the baseline{gone}: {shrink}"
                yield lines.get(name, 1), 0, text, Plugin

    def _is_ignored(self, it: Finding) -> bool:
        """Return True if a comment allows it: it then has no entry in a new baseline either."""
        line = self._noqa_line_for(it.line) if self._noqa_line_for else None
        violation = Violation(it.code, self._filename, it.line, it.column, "", line or "")
        return bool(violation.is_inline_ignored(self.settings.disable_noqa))

    # -- options -----------------------------------------------------------------------------------

    @staticmethod
    def add_options(manager: Any) -> None:
        add_options(manager)

    @classmethod
    def parse_options(cls, manager: Any, options: argparse.Namespace, _: object = None) -> None:
        cls.settings = Settings.parsed(manager, options)
