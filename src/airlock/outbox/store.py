"""The store: rows of the outbox recorded, claimed and reported on.

Each method works in the transaction of the cursor that it gets, and none begins or ends one::

    insert ──► pending ──claim──► leased ──acknowledge──► (deleted)
                  ▲                 │
                  ├──retry_at───────┤        a lease that ends makes it a suspect: pending again,
                  ├──give_back──────┘        and claimed alone
                  │                 └──bury──► dead
                  └──────────revive─────────────┘

A report about a row that is no longer held under its token changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid4

import attrs

from airlock.errors import OptionError
from airlock.outbox.database import Cursor
from airlock.outbox.entry import Counts, Entry, Failure, New, Selection, State, Status
from airlock.outbox.statements import (
    ABSENT,
    AMONG,
    CLOCK,
    COLUMNS,
    DIALECTS,
    SEPARATOR,
    Statements,
)

__all__ = ["OnDuplicate", "Store"]

K = TypeVar("K")

OnDuplicate = Literal["skip", "replace"]
Again = tuple[int, timedelta, Failure | None, bool]
"""A row, the time until its next attempt, the failure of this one, and whether to count it."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNWRITABLE = ("\x00", SEPARATOR, ABSENT)


class Store:
    """The rows of one queue.

    Args:
        queue: its name.
        on_duplicate: for an intent of the kind and ``dedupe_key`` of one that is pending: "skip" it,
            or "replace" the pending one by it, even while a worker has that.
        clock: the time, for tests; None is the database's clock.

    Example:
        >>> import sqlite3
        >>> from datetime import timedelta
        >>> from uuid import uuid4
        >>> from airlock.outbox.database import cursor_of
        >>> from airlock.outbox.entry import New
        >>> from airlock.outbox.schema import create
        >>> cursor = cursor_of(sqlite3.connect(":memory:"))
        >>> create(cursor)
        >>> store = Store()
        >>> new = New(id=uuid4(), kind="shop.note", version=1, envelope=b"{}")
        >>> store.insert(cursor, [new])
        >>> [entry] = store.claim(cursor, limit=10, lease=timedelta(seconds=30), worker="w")
        >>> store.acknowledge(cursor, entry.token, [entry.seq]) == {entry.seq}
        True
    """

    def __init__(
        self,
        queue: str = "default",
        on_duplicate: OnDuplicate = "skip",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.queue = queue
        self.on_duplicate: OnDuplicate = on_duplicate
        self.clock = clock

    def insert(
        self,
        c: Cursor,
        entries: Sequence[New],
        *,
        state: State = State.PENDING,
        failures: Sequence[Failure | None] = (),
    ) -> None:
        """Record intents, in one statement.

        Those of one kind and ``dedupe_key`` are recorded as ``on_duplicate`` has it; where another
        transaction records the same, this one waits for its end. An id that is recorded already is
        skipped, if it was chosen, or recorded dead.

        Args:
            c: of the transaction that they belong to.
            entries: the intents, in order.
            state: pending, or dead right away.
            failures: why they are dead, one for each.

        Raises:
            OptionError: a key contains a character that cannot be stored; nothing was recorded.
        """
        rows = [
            self._row(new, state, failure)
            for new, failure in zip(entries, failures or [None] * len(entries), strict=True)
        ]
        rows = self._distinct(entries, rows) if state is State.PENDING else rows
        if not rows:
            return
        statements = DIALECTS[c.dialect]
        sql = self._inserting(statements, entries, state)
        if c.dialect == "sqlite":
            c.execute_many(sql, [{**row, "now": self._now()} for row in rows])
            return
        c.execute(
            sql, {**columns(rows), "queue": self.queue, "state": int(state), "now": self._now()}
        )

    def _row(self, new: New, state: State, failure: Failure | None) -> dict[str, Any]:
        for option, key in (("ordering_key", new.ordering_key), ("dedupe_key", new.dedupe_key)):
            if key and any(character in key for character in UNWRITABLE):
                problem = f"is {key!r}, with a character that the outbox cannot store"
                raise OptionError(option, problem)
        return {
            "id": str(new.id),
            "kind": new.kind,
            "version": new.version,
            "envelope": new.envelope.decode("utf-8"),
            "ordering_key": new.ordering_key,
            "dedupe_key": new.dedupe_key,
            "delay": micros(new.delay) if new.delay else 0,
            "error": failure and failure.to_json(),
            "queue": self.queue,
            "state": int(state),
        }

    def _distinct(self, entries: Sequence[New], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows to record of those that are duplicates among themselves."""
        if not any(new.chosen or new.dedupe_key is not None for new in entries):
            return rows
        rows = first_of(rows, lambda row: row["id"])
        keep = first_of if self.on_duplicate == "skip" else last_of
        rows = keep(rows, duplicate)
        # Two transactions that record the same keys do it in the same order, so that neither waits
        # for the other. Rows with an ordering key stay in order.
        return sorted(rows, key=locked_in_order)

    def _inserting(self, statements: Statements, entries: Sequence[New], state: State) -> str:
        if state is State.DEAD:
            return statements.skip
        if any(new.dedupe_key is not None for new in entries):
            return statements.skip if self.on_duplicate == "skip" else statements.replace
        return statements.skip if any(new.chosen for new in entries) else statements.insert

    def claim(
        self,
        c: Cursor,
        *,
        limit: int,
        lease: timedelta,
        worker: str,
        kinds: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> list[Entry]:
        """Lease what is due and was not left behind by a worker, longest due first.

        Of an ``ordering_key`` that is the first pending row alone. What others are claiming is
        left out, without waiting.

        Args:
            c: of a transaction that is committed before the intents are delivered.
            limit: rows at most.
            lease: time until the rows are taken for left behind.
            worker: name of who claims, for people.
            kinds: only these; None is all.
            without: not these.

        Returns:
            The rows, all with one token that no other claim has.
        """
        sql = DIALECTS[c.dialect].claim
        return self._lease(c, sql, lease, worker, kinds=kinds, without=without, limit=limit)

    def claim_suspect(
        self,
        c: Cursor,
        *,
        lease: timedelta,
        worker: str,
        kinds: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> Entry | None:
        """Lease one row whose lease has ended: its worker died, perhaps because of it.

        It is to be delivered alone, so that what kills workers takes no other row with it.

        Args:
            c: as for ``claim``.
            lease: as for ``claim``.
            worker: as for ``claim``.
            kinds: as for ``claim``.
            without: as for ``claim``.
        """
        sql = DIALECTS[c.dialect].claim_suspect
        found = self._lease(c, sql, lease, worker, kinds=kinds, without=without)
        return found[0] if found else None

    def _lease(
        self,
        c: Cursor,
        sql: str,
        lease: timedelta,
        worker: str,
        *,
        kinds: Collection[str] | None,
        without: Collection[str],
        limit: int = 1,
    ) -> list[Entry]:
        rows = c.execute(
            sql,
            {
                "queue": self.queue,
                "now": self._now(),
                "token": uuid4().hex,
                "worker": worker,
                "lease": micros(lease),
                "kinds": None if kinds is None else listing(c, kinds),
                "without": listing(c, without) if without else None,
                "limit": limit,
            },
        )
        return sorted(map(entry_of, rows), key=lambda entry: entry.seq)

    def renew(self, c: Cursor, token: str, seqs: Collection[int], lease: timedelta) -> set[int]:
        """Let leases end later: after this time from now. Return the rows that are still held."""
        sql = DIALECTS[c.dialect].renew
        return self._report(c, sql, token, seqs, now=self._now(), lease=micros(lease))

    def acknowledge(self, c: Cursor, token: str, seqs: Collection[int]) -> set[int]:
        """Delete what was delivered. Return the rows that were still held."""
        return self._report(c, DIALECTS[c.dialect].acknowledge, token, seqs)

    def give_back(self, c: Cursor, token: str, seqs: Collection[int]) -> set[int]:
        """Make due again what was not started; no attempt is counted. Return what was held."""
        sql = DIALECTS[c.dialect].give_back
        return self._report(c, sql, token, seqs, now=self._now())

    def _report(
        self, c: Cursor, sql: str, token: str, seqs: Collection[int], **params: Any
    ) -> set[int]:
        if not seqs:
            return set()
        listed = listing(c, seqs)
        return {seq for (seq,) in c.execute(sql, {"seqs": listed, "token": token, **params})}

    def retry_at(self, c: Cursor, token: str, rows: Sequence[Again]) -> set[int]:
        """Schedule the next attempt, and end the lease. Return the rows that were still held.

        Args:
            c: of any transaction.
            token: of the claim.
            rows: ``(seq, delay, failure, burn)``: the time until it is due, the failure (None leaves
                the last one), and whether to count an attempt.
        """
        reports = [
            {
                "seq": seq,
                "delay": micros(delay),
                "error": failure and failure.to_json(),
                "burn": int(burn),
            }
            for seq, delay, failure, burn in rows
        ]
        return self._reports(c, DIALECTS[c.dialect].retry, token, reports)

    def bury(self, c: Cursor, token: str, rows: Iterable[tuple[int, Failure | None]]) -> set[int]:
        """Make rows dead letters. Return those that were still held.

        Args:
            c: of any transaction.
            token: of the claim.
            rows: each with its failure; None leaves the last one.
        """
        reports = [{"seq": seq, "error": failure and failure.to_json()} for seq, failure in rows]
        return self._reports(c, DIALECTS[c.dialect].bury, token, reports)

    def _reports(self, c: Cursor, sql: str, token: str, reports: list[dict[str, Any]]) -> set[int]:
        if not reports:
            return set()
        params = {"rows": json.dumps(reports), "token": token, "now": self._now()}
        return {seq for (seq,) in c.execute(sql, params)}

    # -- for people -------------------------------------------------------------------------------

    def select(
        self, c: Cursor, selection: Selection | None = None, *, limit: int = 100, offset: int = 0
    ) -> list[Entry]:
        """Return rows, in the order of recording.

        Args:
            c: of any transaction.
            selection: which; None is all of the queue.
            limit: rows at most.
            offset: rows to leave out, of those that were recorded first.
        """
        where, params = self._where(c, selection)
        sql = f"SELECT {COLUMNS} FROM airlock_outbox o WHERE {where} ORDER BY o.seq LIMIT {limit:d} OFFSET {offset:d}"
        return [entry_of(row) for row in c.execute(sql, params)]

    def count(self, c: Cursor, selection: Selection | None = None) -> int:
        """Return the number of rows selected; None is all of the queue."""
        where, params = self._where(c, selection)
        [(number,)] = c.execute(f"SELECT count(*) FROM airlock_outbox o WHERE {where}", params)
        return int(number)

    def revive(self, c: Cursor, selection: Selection) -> int:
        """Make failed rows due now, with all attempts before them. Leased ones are left alone.

        A dead letter loses its ``dedupe_key`` if another row has the same: it was recorded first
        and is delivered all the same.

        Returns:
            The number of rows revived.
        """
        where, params = self._where(c, selection)
        now = CLOCK[c.dialect]
        sql = f"""
            UPDATE airlock_outbox AS o SET state = 0, attempts = 0, claims = 0, available_at = {now},
              dedupe_key = CASE WHEN o.state = 1 AND EXISTS (SELECT 1 FROM airlock_outbox e
                WHERE e.kind = o.kind AND e.dedupe_key = o.dedupe_key AND e.seq <> o.seq)
                THEN NULL ELSE o.dedupe_key END
            WHERE {where} AND o.lease_token IS NULL AND (o.state = 1 OR o.attempts > 0)
            RETURNING seq"""
        return len(c.execute(sql, {**params, "now": self._now()}))

    def discard(self, c: Cursor, selection: Selection) -> int:
        """Delete rows; return their number. Leased ones are left alone."""
        where, params = self._where(c, selection)
        sql = (
            f"DELETE FROM airlock_outbox AS o WHERE {where} AND o.lease_token IS NULL RETURNING seq"
        )
        return len(c.execute(sql, params))

    def prune(self, c: Cursor, older_than: timedelta) -> int:
        """Delete dead letters that were recorded longer ago than this; return their number."""
        return self.discard(c, Selection(states=(State.DEAD,), older_than=older_than))

    def pause(self, c: Cursor, kind: str = "") -> None:
        """Have no relay claim a kind, or any row if the kind is empty, until it is resumed."""
        c.execute(
            "INSERT INTO airlock_outbox_pauses (queue, kind) VALUES (:queue, :kind)"
            " ON CONFLICT DO NOTHING",
            {"queue": self.queue, "kind": kind},
        )

    def resume(self, c: Cursor, kind: str = "") -> None:
        """Have relays claim a kind again, or all that is paused if the kind is empty."""
        c.execute(
            "DELETE FROM airlock_outbox_pauses WHERE queue = :queue AND kind = COALESCE("
            "NULLIF(CAST(:kind AS text), ''), kind)",
            {"queue": self.queue, "kind": kind},
        )

    def paused(self, c: Cursor) -> set[str]:
        """Return the paused kinds; an empty text stands for all."""
        sql = "SELECT kind FROM airlock_outbox_pauses WHERE queue = :queue"
        return {kind for (kind,) in c.execute(sql, {"queue": self.queue})}

    def status(self, c: Cursor) -> Status:
        """Return the numbers of the queue's rows. It reads all of them."""
        now = CLOCK[c.dialect]
        free = "state = 0 AND lease_token IS NULL"
        rows = c.execute(
            f"""
            SELECT kind, count(*) FILTER (WHERE {free} AND available_at <= {now}),
              count(*) FILTER (WHERE {free} AND available_at > {now}),
              count(*) FILTER (WHERE state = 0 AND lease_token IS NOT NULL),
              count(*) FILTER (WHERE state = 1),
              count(*) FILTER (WHERE state = 0 AND attempts > 0),
              max({now} - available_at) FILTER (WHERE {free} AND available_at <= {now})
            FROM airlock_outbox WHERE queue = :queue GROUP BY kind ORDER BY kind""",
            {"queue": self.queue, "now": self._now()},
        )
        kinds = {row[0]: counts_of(row) for row in rows}
        names = attrs.fields_dict(Counts)
        return Status(
            **{name: sum(getattr(of, name) for of in kinds.values()) for name in names},
            oldest_due=timedelta(microseconds=max((row[6] or 0 for row in rows), default=0)),
            kinds=kinds,
            paused=frozenset(self.paused(c)),
        )

    def _where(self, c: Cursor, selection: Selection | None) -> tuple[str, dict[str, Any]]:
        """Return the condition for a selection, and its parameters."""
        chosen = selection or Selection()
        where = ["o.queue = :queue"]
        params: dict[str, Any] = {"queue": self.queue if chosen.queue is None else chosen.queue}
        lists: tuple[tuple[str, str, Collection[Any] | None], ...] = (
            ("kind", "text", chosen.kinds),
            ("state", "bigint", chosen.states),
            ("intent_id", "uuid", chosen.ids),
        )
        for column, type_, values in lists:
            if values is not None:
                where.append(f"o.{column} {AMONG[c.dialect].format(type=type_, name=column)}")
                params[column] = listing(c, values)
        if chosen.failed:
            where.append("(o.state = 1 OR o.attempts > 0)")
        if chosen.older_than is not None:
            where.append(f"o.created_at <= {CLOCK[c.dialect]} - {micros(chosen.older_than)}")
            params["now"] = self._now()
        if chosen.error is not None:
            position = {"postgresql": "strpos", "sqlite": "instr"}[c.dialect]
            where.append(f"{position}(o.error, :error) > 0")
            # As it is written in the JSON of the failure.
            params["error"] = json.dumps(chosen.error, ensure_ascii=False)[1:-1]
        return " AND ".join(where), params

    def _now(self) -> int | None:
        return None if self.clock is None else micros(self.clock())


def micros(time: datetime | timedelta) -> int:
    """Return a duration, or a time since the epoch, in whole microseconds."""
    return (time if isinstance(time, timedelta) else time - EPOCH) // MICROSECOND


def listing(c: Cursor, values: Collection[str | int | UUID]) -> str:
    """Return a list as the statements read it."""
    if c.dialect == "sqlite":
        return json.dumps(list(values), default=str)
    return SEPARATOR.join(map(format, values))


def columns(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the values of new rows, a joined text for each column."""

    def joined(name: str, *last: str) -> str:
        values = (row[name] for row in rows)
        return SEPARATOR.join((*(ABSENT if v is None else str(v) for v in values), *last))

    return {
        "ids": joined("id"),
        "kinds": joined("kind"),
        "versions": joined("version"),
        "envelopes": joined("envelope"),
        "ordering_keys": joined("ordering_key", ABSENT),
        "dedupe_keys": joined("dedupe_key", ABSENT),
        "delays": joined("delay"),
        "errors": joined("error"),
    }


def first_of(
    rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], K]
) -> list[dict[str, Any]]:
    """Return the first row of each key."""
    found = dict[K, dict[str, Any]]()
    for row in rows:
        found.setdefault(key(row), row)
    return list(found.values())


def last_of(rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], K]) -> list[dict[str, Any]]:
    """Return the last row of each key."""
    return list({key(row): row for row in rows}.values())


def duplicate(row: dict[str, Any]) -> tuple[str, str | None, str]:
    """Return what rows have in common of which one is recorded."""
    key = row["dedupe_key"]
    return (row["kind"], key, row["id"] if key is None else "")


def locked_in_order(row: dict[str, Any]) -> tuple[bool, str, str]:
    """Return the place of a row among those recorded at once."""
    if row["dedupe_key"] is None or row["ordering_key"] is not None:
        return (True, "", "")
    return (False, row["kind"], row["dedupe_key"])


def counts_of(row: Any) -> Counts:
    """Return the numbers of a kind."""
    return Counts(due=row[1], scheduled=row[2], leased=row[3], dead=row[4], retrying=row[5])


def entry_of(row: Any) -> Entry:
    """Return a row as a value."""
    return Entry(
        seq=row[0],
        id=UUID(str(row[1])),
        kind=row[2],
        version=row[3],
        envelope=row[4].encode("utf-8"),
        queue=row[5],
        ordering_key=row[6],
        dedupe_key=row[7],
        state=State(row[8]),
        attempts=row[9],
        claims=row[10],
        available_at=EPOCH + timedelta(microseconds=row[11]),
        created_at=EPOCH + timedelta(microseconds=row[12]),
        leased_by=row[13],
        token=row[14],
        error=Failure.from_json(row[15]) if row[15] else None,
    )
