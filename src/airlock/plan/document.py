"""``Plan``: a document of JSON lines, kept in memory or streamed from disk.

A header, one line for each effect, and a footer::

    {"airlock_plan": 1, "created": "2026-05-04T09:30:00+00:00", "expires": null}
    {"index": 0, "place": "shop.py:12", "given": [], "effect": {...}}
    {"effects": 1, "kinds": [["shop.notify", 1, 1]], "digest": "sha256:..."}

The digest is the SHA-256 of every byte before it, the counts of the footer included.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from airlock.effects.registry import describe
from airlock.errors import DeclarationError, PlanFormatError, PlanMismatchError, WireError
from airlock.plan.entry import PlanEntry, read_entry
from airlock.wire.codec import Wire
from airlock.wire.text import Flaw, Stdlib

if TYPE_CHECKING:
    from airlock.plan.diff import PlanDiff
    from airlock.plan.journal import JournalFile

__all__ = ["Lines", "Plan", "written"]

FORMAT = 1
_JSON = Stdlib()
_DIGEST = b',"digest":'
_ROOM = 65_536
"""What a line may hold beside the effect, whose size the wire limits."""

Lines = Iterable[bytes]
"""The lines of a document, header and footer included. Each iteration starts anew."""


@attrs.frozen
class _Head:
    created: datetime
    expires: datetime | None


@attrs.frozen
class _Foot:
    effects: int
    kinds: Mapping[tuple[str, int], int]
    digest: str


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
        head, foot = _checked(lines, self.name)
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
        return cls(_File(path, wire.limits.size + _ROOM), wire, path)

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
        self._lines = _File(path, self.wire.limits.size + _ROOM)
        if self.in_memory is not None and self.journal is not None:
            self.in_memory.copy_to(self.journal)
            self.in_memory = None

    # -- reading ----------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """How many intents of each kind, in order of first appearance."""
        counted = Counter[str]()
        for (kind, _), number in self.kinds.items():
            counted[kind] += number
        return dict(counted)

    @property
    def journal(self) -> Path | None:
        """Where it is written down what was applied: beside the plan; None for one in memory."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.journal")

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "the plan" if self.path is None else f"the plan {self.path}"

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[PlanEntry]:
        """The entries, in order.

        Raises:
            PlanMismatchError: an intent cannot be read by this program.
        """
        for line in self.entry_lines():
            yield self.entry(line)

    def entry_lines(self) -> Iterator[bytes]:
        """The lines of the entries, in order."""
        before = None
        for number, line in enumerate(self._lines):
            if before is not None and number > 1:
                yield before
            before = line

    def entry(self, line: bytes) -> PlanEntry:
        """The entry of a line.

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
            raise _broken(self.name, "has a line that is no effect") from None

    def refuse_changed(self) -> None:
        """Look once more, before it is applied, whether the file is still the plan that was loaded.

        Raises:
            PlanFormatError: it is another one, or none.
        """
        if self.path is not None and _checked(self._lines, self.name)[1].digest != self.digest:
            raise _broken(self.name, "was replaced since it was loaded")

    def diff(self, other: Plan) -> PlanDiff:
        """What another plan does that this one does not, and the reverse.

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
        """A row for each effect, then what they come to.

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
        """How many effects, of which kinds, until when, and the digest."""
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


# -- the document ---------------------------------------------------------------------------------


def written(entries: Iterable[tuple[PlanEntry, bytes]], expires: datetime | None) -> list[bytes]:
    """The lines of a plan of some entries, each with the line it is written as."""
    now = datetime.now(UTC).replace(microsecond=0)
    head = {
        "airlock_plan": FORMAT,
        "created": now.isoformat(),
        "expires": None if expires is None else expires.isoformat(),
    }
    lines = [_JSON.dumps(head) + b"\n"]
    kinds = Counter[tuple[str, int]]()
    for entry, line in entries:
        kinds[entry.kind, entry.version] += 1
        lines.append(line)
    hashed = sha256()
    for line in lines:
        hashed.update(line)
    foot = {
        "effects": len(lines) - 1,
        "kinds": [[kind, version, number] for (kind, version), number in kinds.items()],
    }
    counts = _JSON.dumps(foot)[:-1]
    hashed.update(counts)
    lines.append(_with_digest(counts, hashed.hexdigest()))
    return lines


def _with_digest(counts: bytes, digest: str) -> bytes:
    """The footer, of which the digest is the end."""
    return counts + _DIGEST + b'"sha256:' + digest.encode() + b'"}\n'


@attrs.frozen
class _File:
    """The lines of a file, read as they are asked for."""

    path: Path
    longest: int

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while line := file.readline(self.longest):
                yield line


def _checked(lines: Lines, name: str) -> tuple[_Head, _Foot]:
    """What header and footer say, once the digest was seen to be right.

    Raises:
        PlanFormatError: something is wrong with the document.
    """
    hashed, head, last = sha256(), None, b""
    number = -1
    for number, line in enumerate(lines):
        if number == 0:
            head = _head(line, name)
        else:
            hashed.update(last)
        last = line
    foot = _foot(last, name) if number > 0 else None
    if head is None or foot is None:
        raise _broken(
            name, "is no plan" if head is None else "was cut off: its last line is missing"
        )
    counts = last.partition(_DIGEST)[0]
    hashed.update(counts)
    if last != _with_digest(counts, hashed.hexdigest()) or foot.effects != number - 1:
        raise _broken(name, "was changed after it was made: its digest is another")
    return head, foot


def _head(line: bytes, name: str) -> _Head | None:
    said = _object(line)
    if said is None or "airlock_plan" not in said:
        return None
    if said["airlock_plan"] != FORMAT:
        raise PlanFormatError(
            name,
            f"has the format {said['airlock_plan']}, and this release reads format {FORMAT}",
            "Apply it with the release of airlock that made it.",
        )
    try:
        expires = said["expires"]
        return _Head(_moment(said["created"]), None if expires is None else _moment(expires))
    except (KeyError, TypeError, ValueError):
        return None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("no zone")
    return moment


def _foot(line: bytes, name: str) -> _Foot | None:
    said = _object(line)
    if said is None or "digest" not in said or "effect" in said:
        return None
    try:
        kinds = {(str(kind), int(version)): int(number) for kind, version, number in said["kinds"]}
        return _Foot(said["effects"], kinds, said["digest"])
    except (KeyError, TypeError, ValueError):
        raise _broken(name, "has a last line that says nothing") from None


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        said = _JSON.loads(line)
    except Flaw:
        return None
    return said if isinstance(said, dict) else None


def _broken(name: str, problem: str) -> PlanFormatError:
    hint = "Nothing was applied. Give a file as plan.save(...) wrote it, or make the plan again."
    return PlanFormatError(name, problem, hint)
