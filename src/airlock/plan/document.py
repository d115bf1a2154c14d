"""``Plan``: a document of JSON lines, kept in memory or streamed from disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from airlock.effects.registry import describe
from airlock.errors import DeclarationError, PlanMismatchError, WireError
from airlock.plan.entry import PlanEntry, read_entry
from airlock.plan.lines import FileLines, Lines, broken, checked
from airlock.wire.codec import Wire

if TYPE_CHECKING:
    from airlock.plan.diff import PlanDiff
    from airlock.plan.journal import JournalFile

__all__ = ["Plan", "effects"]

_ROOM = 65_536
"""Bytes that a line may hold beside the effect, whose size the wire limits."""


class Plan:
    """Held intents as a document: in order, counted, with causes and places, and a digest.

    Made by ``scope.plan()``, ``holding()`` or ``Plan.load``. It is read from disk as it is iterated,
    so that its size does not matter. It prints as a table, in which sensitive values are hidden.

    Attributes:
        created: when it was made.
        expires: when it can no longer be applied; None for never.
        kinds: how many intents of each kind and version, in order of first appearance.
        digest: ``"sha256:..."`` of its lines: who names it means this plan and no other.
        path: where it is stored; None if it is in memory only.

    Example:
        >>> with boundary.scope(policy=Hold()) as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> plan = effects.plan()
        >>> [str(entry) for entry in plan]
        ['NotifyWarehouse(order_id=42)']
    """

    def __init__(self, lines: Lines, wire: Wire, path: Path | None = None) -> None:
        self.wire = wire
        self.path = path
        self._lines = lines
        head, foot = checked(lines, self.name)
        self.created = head.created
        self.expires = head.expires
        self.kinds = MappingProxyType(foot.kinds)
        self.digest = foot.digest
        self._size = foot.effects
        self.in_memory: JournalFile | None = None
        self.applied_in_memory = Lock()

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, wire: Wire | None = None) -> Plan:
        """Read a plan from a file.

        Args:
            path: of the file that ``save`` wrote.
            wire: decodes its intents; by default every declared intent may pass.

        Raises:
            PlanFormatError: it is no plan, or was cut off or edited.
            OSError: the file cannot be read.
        """
        wire = Wire() if wire is None else wire
        path = Path(path)
        return cls(FileLines(path, wire.limits.size + _ROOM), wire, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which is there whole or not at all.

        What was applied of it so far is written into its journal there.

        Args:
            path: of the file; an old one is replaced.

        Raises:
            OSError: the file cannot be written.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with partial.open("wb") as file:
                file.writelines(self._lines)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        self.path = path
        self._lines = FileLines(path, self.wire.limits.size + _ROOM)
        if self.in_memory is not None and self.journal is not None:
            self.in_memory.copy_to(self.journal)
            self.in_memory = None

    # -- reading ----------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """The number of intents of each kind, in order of first appearance."""
        counted = Counter[str]()
        for (kind, _), number in self.kinds.items():
            counted[kind] += number
        return dict(counted)

    @property
    def journal(self) -> Path | None:
        """The file that records what was applied: beside the plan; None for a plan in memory."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.journal")

    @property
    def name(self) -> str:
        """The name of the plan in messages."""
        return "the plan" if self.path is None else f"the plan {self.path}"

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[PlanEntry]:
        """Yield the entries, in order.

        Raises:
            PlanMismatchError: an intent cannot be read by this program.
        """
        for line in self.entry_lines():
            yield self.entry(line)

    def entry_lines(self) -> Iterator[bytes]:
        """Yield the lines of the entries, in order."""
        before = None
        for number, line in enumerate(self._lines):
            if before is not None and number > 1:
                yield before
            before = line

    def entry(self, line: bytes) -> PlanEntry:
        """Read the entry of a line.

        Raises:
            PlanMismatchError: its intent cannot be read by this program.
            PlanFormatError: the line is no entry.
        """
        try:
            return read_entry(self.wire, line)
        except WireError as error:
            raise PlanMismatchError(
                self.name,
                f"no longer fits this program: {str(error).rstrip('.')}",
                "Nothing was applied. Make a new plan, or run the release that made this one.",
            ) from None
        except ValueError:
            raise broken(self.name, "has a line that is no effect") from None

    def refuse_changed(self) -> None:
        """Look once more, before it is applied, whether the file is still the plan that was loaded.

        Raises:
            PlanFormatError: it is another one, or none.
        """
        if self.path is not None and checked(self._lines, self.name)[1].digest != self.digest:
            raise broken(self.name, "was replaced since it was loaded")

    def diff(self, other: Plan) -> PlanDiff:
        """Return what another plan does that this one does not, and the reverse.

        Effects are compared by value, with their options and headers, not by id or place.

        Args:
            other: for example one made after a change.

        Example:
            >>> print(plan.diff(plan))
            no difference: 1 effect in both
        """
        from airlock.plan.diff import diff  # noqa: PLC0415 - which knows plans

        if not isinstance(other, Plan):
            raise DeclarationError(f"diff takes a Plan, not {describe(other)}.")
        return diff(self, other)

    # -- showing ----------------------------------------------------------------------------------

    def table(self, limit: int | None = 50) -> str:
        """Format a row for each effect, then the totals.

        Args:
            limit: how many rows at the most; None for all.
        """
        rows = []
        for entry in self:
            if limit is not None and entry.index >= limit:
                rows.append(f"... and {self._size - limit:,} more: plan.table(limit=None)")
                break
            rows.append(_row(entry, len(str(self._size))))
        return "\n".join([*rows, self.summary()])

    def summary(self) -> str:
        """Summarise the plan: how many effects, of which kinds, until when, and the digest."""
        counted = ", ".join(f"{number:,} {kind}" for kind, number in self.counts.items())
        lines = [f"{effects(self._size)}{': ' if counted else ''}{counted}"]
        if self.expires is not None:
            lines.append(f"expires {self.expires:%Y-%m-%d %H:%M:%S} UTC")
        return "\n".join([*lines, self.digest])

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Plan of {effects(self._size)}, {self.digest[:14]}>"


def effects(number: int) -> str:
    """``"1 effect"``, ``"2 effects"``."""
    return f"{number:,} effect{'' if number == 1 else 's'}"


def _row(entry: PlanEntry, width: int) -> str:
    causes = "".join(f"  after {cause.kind}" for cause in entry.causation.ancestors[:1])
    place = "" if entry.place is None else f"  {entry.place}"
    return f"{entry.index:>{width}}  {entry}{place}{causes}"
