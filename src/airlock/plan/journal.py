"""The journal beside a plan: an SQLite database of what was begun and what became of it.

An effect is begun in one transaction, and ended, with the follow-ups that its handler emitted, in
another. Both are on disk before anything goes on. What is still running in it was in flight when
the program died.

::

    (nothing) ──begin──► running ──end──► delivered | handed over | recorded | failed
    emitted ──judge──► allowed ──begin──► ...
                   └─► dropped | held | merged          (follow-ups only)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from airlock.errors import JournalError

__all__ = ["DONE", "FollowUp", "JournalFile"]

DONE = ("delivered", "handed over", "recorded")
"""The states of what never runs again."""

_FORMAT = 1
_TABLES = (
    "CREATE TABLE plan (format INTEGER NOT NULL, digest TEXT NOT NULL)",
    """
    CREATE TABLE effects (
        number INTEGER PRIMARY KEY,  -- the index in the plan, follow-ups after the last of these
        state TEXT NOT NULL,
        detail TEXT,                 -- the error, or what decided
        line BLOB                    -- of a follow-up, the entry
    )
    """,
    """
    CREATE INDEX unfinished ON effects (state, number)
        WHERE state NOT IN ('delivered', 'handed over', 'recorded')
    """,
)

_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DISK = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)

State = tuple[int, str, str | None]
"""Number, state, detail."""


@attrs.frozen
class FollowUp:
    """An intent that a handler emitted while a plan was applied."""

    line: bytes
    state: str
    detail: str | None = None


class JournalFile:
    """A journal, open.

    Args:
        path: of the database; None for one in memory, of a plan that is in memory only.
        digest: of the plan.
        name: of the plan, for messages.
        size: how many effects it has.

    Raises:
        JournalError: it is of another plan, in use, or damaged.
    """

    def __init__(self, path: Path | None, digest: str, name: str, size: int) -> None:
        self._name = name
        self._where = "in memory" if path is None else str(path)
        self._digest = digest
        with self._translating_errors():
            # With this level no transaction begins unless a statement begins it. Async handlers share a thread.
            self._database = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=0,
                isolation_level=None,
                check_same_thread=path is not None,
            )
        try:
            with self._translating_errors():
                self._open()
                self._next = 1 + max(size - 1, self._one("SELECT max(number) FROM effects") or 0)
        except BaseException:
            self._database.close()
            raise

    def _open(self) -> None:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self._database.execute(f"PRAGMA {pragma}").fetchall()
        with self._transaction("EXCLUSIVE"):
            if not self._one("SELECT count(*) FROM sqlite_master"):
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute("INSERT INTO plan VALUES (?, ?)", (_FORMAT, self._digest))
            known = self._database.execute("SELECT format, digest FROM plan").fetchone()
        if known is None or known[0] != _FORMAT:
            raise JournalError(
                self._name,
                f"has a journal that this release does not read ({self._where})",
                "It alone knows what was done, so nothing ran. Apply it with the release of airlock "
                "that began.",
            )
        if known[1] != self._digest:
            raise JournalError(
                self._name,
                f"has a journal beside it that is of another plan ({self._where})",
                "Nothing ran. If it is not needed any more, move it away; or give another one, "
                "apply(plan, journal=...).",
            )

    def close(self) -> None:
        """Let others use it."""
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """Write all of it to a file."""
        with self._translating_errors(), closing(sqlite3.connect(path)) as file:
            self._database.backup(file)

    # -- reading ----------------------------------------------------------------------------------

    def running(self) -> list[tuple[int, bytes | None]]:
        """Numbers, and lines of follow-ups, of what was in flight when the program died."""
        with self._translating_errors():
            return self._database.execute(
                "SELECT number, line FROM effects WHERE state = 'running' ORDER BY number"
            ).fetchall()

    def done(self, first: int, last: int) -> set[int]:
        """Return the numbers of a range that never run again."""
        with self._translating_errors():
            return {
                number
                for (number,) in self._database.execute(
                    "SELECT number FROM effects WHERE number BETWEEN ? AND ? AND state IN (?, ?, ?)",
                    (first, last, *DONE),
                )
            }

    def count_done(self, size: int) -> int:
        """Count the effects of the plan itself that never run again."""
        with self._translating_errors():
            query = "SELECT count(*) FROM effects WHERE number < ? AND state IN (?, ?, ?)"
            return int(self._one(query, size, *DONE))

    def follow_ups(self, states: Sequence[str], after: int, limit: int) -> list[tuple[int, bytes]]:
        """Numbers and lines of follow-ups in some states.

        Args:
            states: of which one must be theirs.
            after: only those with a larger number.
            limit: how many at the most; -1 for all.
        """
        marks = ", ".join("?" * len(states))
        with self._translating_errors():
            return self._database.execute(
                f"SELECT number, line FROM effects WHERE state IN ({marks}) AND number > ?"  # noqa: S608 - only marks
                " AND line IS NOT NULL ORDER BY number LIMIT ?",
                (*states, after, limit),
            ).fetchall()

    @property
    def following(self) -> int:
        """The number of the next follow-up."""
        return self._next

    def states(self, *, follow_ups: bool) -> dict[str, int]:
        """Count the effects of the plan, or the follow-ups, in each state."""
        query = "SELECT state, count(*) FROM effects WHERE (line IS NOT NULL) = ? GROUP BY state"
        with self._translating_errors():
            return dict(self._database.execute(query, (follow_ups,)))

    def _one(self, query: str, *values: object) -> Any:
        return self._database.execute(query, values).fetchone()[0]

    # -- writing ----------------------------------------------------------------------------------

    def begin(self, numbers: Iterable[int]) -> None:
        """Record that some effects are about to happen."""
        with self._translating_errors(), self._transaction():
            self._database.executemany(
                "INSERT INTO effects (number, state) VALUES (?, 'running') "
                "ON CONFLICT (number) DO UPDATE SET state = 'running', detail = NULL",
                ((number,) for number in numbers),
            )

    def end(self, states: Iterable[State], follow_ups: Sequence[FollowUp] = ()) -> None:
        """Record the outcome of some effects, and what their handlers emitted."""
        with self._translating_errors(), self._transaction():
            self._database.executemany(
                "UPDATE effects SET state = ?2, detail = ?3 WHERE number = ?1", states
            )
            for follow_up in follow_ups:
                self._database.execute(
                    "INSERT INTO effects VALUES (?, ?, ?, ?)",
                    (self._next, follow_up.state, follow_up.detail, follow_up.line),
                )
                self._next += 1

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._database.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """SQLite's errors, in our words."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = (
                getattr(error, "sqlite_errorcode", 0) & 0xFF
            )  # without the details of an extended code
            if code in _IN_USE:
                problem = (
                    f"is being applied by another process, which holds its journal ({self._where})"
                )
                hint = "Nothing ran here. Wait for it to end, then apply again: what it did counts."
            elif code in _DISK:
                problem = f"has a journal that cannot be written ({self._where}: {error})"
                hint = (
                    "Effects go on only if they can be written down: see to the disk, apply again."
                )
            else:
                problem = f"has a journal that is damaged or none at all ({self._where}: {error})"
                hint = (
                    "It alone knows what was done, so nothing ran. Restore it; or give another path, "
                    "apply(plan, journal=...), if nothing of the plan was ever done."
                )
            raise JournalError(self._name, problem, hint) from error
