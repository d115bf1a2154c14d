"""The lines of a plan: a header, one for each effect, and a footer.

::

    {"airlock_plan": 1, "created": "2026-05-04T09:30:00+00:00", "expires": null}
    {"index": 0, "place": "shop.py:12", "given": [], "effect": {...}}
    {"effects": 1, "kinds": [["shop.notify", 1, 1]], "digest": "sha256:..."}

The digest is the SHA-256 of every byte before it, the counts of the footer included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from airlock.errors import PlanFormatError
from airlock.plan.entry import PlanEntry
from airlock.wire.text import TextError, dumps, loads

__all__ = ["FileLines", "Foot", "Head", "Lines", "broken", "checked", "written"]

FORMAT = 1
_DIGEST = b',"digest":'

Lines = Iterable[bytes]
"""The lines of a document, header and footer included. Each iteration starts anew."""


@attrs.frozen
class Head:
    """The content of the first line."""

    created: datetime
    expires: datetime | None


@attrs.frozen
class Foot:
    """The content of the last line."""

    effects: int
    kinds: Mapping[tuple[str, int], int]
    digest: str


def written(entries: Iterable[tuple[PlanEntry, bytes]], expires: datetime | None) -> list[bytes]:
    """Write the lines of a plan of some entries, each with the line it is written as."""
    now = datetime.now(UTC).replace(microsecond=0)
    head = {
        "airlock_plan": FORMAT,
        "created": now.isoformat(),
        "expires": None if expires is None else expires.isoformat(),
    }
    lines = [dumps(head) + b"\n"]
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
    counts = dumps(foot)[:-1]
    hashed.update(counts)
    lines.append(_with_digest(counts, hashed.hexdigest()))
    return lines


def _with_digest(counts: bytes, digest: str) -> bytes:
    """Return the footer, of which the digest is the end."""
    return counts + _DIGEST + b'"sha256:' + digest.encode() + b'"}\n'


@attrs.frozen
class FileLines:
    """The lines of a file, read as they are asked for."""

    path: Path
    longest: int

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while line := file.readline(self.longest):
                yield line


def checked(lines: Lines, name: str) -> tuple[Head, Foot]:
    """Return the header and the footer, after checking the digest.

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
        raise broken(
            name, "is no plan" if head is None else "was cut off: its last line is missing"
        )
    counts = last.partition(_DIGEST)[0]
    hashed.update(counts)
    if last != _with_digest(counts, hashed.hexdigest()) or foot.effects != number - 1:
        raise broken(name, "was changed after it was made: its digest is another")
    return head, foot


def _head(line: bytes, name: str) -> Head | None:
    head = _object(line)
    if head is None or "airlock_plan" not in head:
        return None
    if head["airlock_plan"] != FORMAT:
        raise PlanFormatError(
            name,
            f"has the format {head['airlock_plan']}, and this release reads format {FORMAT}",
            "Apply it with the release of airlock that made it.",
        )
    try:
        expires = head["expires"]
        return Head(_moment(head["created"]), None if expires is None else _moment(expires))
    except (KeyError, TypeError, ValueError):
        return None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("no zone")
    return moment


def _foot(line: bytes, name: str) -> Foot | None:
    foot = _object(line)
    if foot is None or "digest" not in foot or "effect" in foot:
        return None
    try:
        kinds = {(str(kind), int(version)): int(number) for kind, version, number in foot["kinds"]}
        return Foot(foot["effects"], kinds, foot["digest"])
    except (KeyError, TypeError, ValueError):
        raise broken(name, "has a last line that cannot be read") from None


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        content = loads(line)
    except TextError:
        return None
    return content if isinstance(content, dict) else None


def broken(name: str, problem: str) -> PlanFormatError:
    """Return the error of a document that was changed after it was written."""
    hint = "Nothing was applied. Give a file as plan.save(...) wrote it, or make the plan again."
    return PlanFormatError(name, problem, hint)
