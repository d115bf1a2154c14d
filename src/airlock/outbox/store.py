"""``Store``: the statements of an outbox, as functions of a cursor.

Every write of a relay carries the token of its claim: once the lease has expired and another relay has
claimed the row, it changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from airlock.outbox.database import Cursor
from airlock.outbox.entry import (
    Counts,
    Entry,
    Failure,
    New,
    Selection,
    State,
    Status,
)

__all__ = ["OnDuplicate", "Store"]

OnDuplicate = Literal["skip", "replace"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime | timedelta) -> int:
    """Return a duration, or a time since the epoch, in whole microseconds."""
    return (time if isinstance(time, timedelta) else time - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """Return the time that is so many microseconds after the epoch, in UTC."""
    return EPOCH + timedelta(microseconds=value)


COLUMNS = (
    "seq, intent_id, kind, version, envelope, queue, ordering_key, dedupe_key, state, attempts, "
    "claims, available_at, lease_token, leased_by, created_at, error"
)
BETWEEN, NOTHING = "\x1e", "\x1f"
"""Stand between values, and for NULL, in the columns of a bulk insert: JSON text holds neither."""

CHUNK = 5_000
"""How many rows one INSERT takes."""


class Store:
    """The statements of one queue of an outbox.

    Args:
        queue: name of the queue.
        on_duplicate: what becomes of an intent whose kind and ``dedupe_key`` are pending: it is
            skipped, or replaces the other.
        clock: returns the time, for tests; None for the clock of the database.
    """

    def __init__(
        self,
        queue: str = "default",
        on_duplicate: OnDuplicate = "skip",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.queue = queue
        self.on_duplicate = on_duplicate
        self.clock = clock

    def _now(self, c: Cursor) -> str:
        return c.now if self.clock is None else str(micros(self.clock()))

    # -- recording --------------------------------------------------------------------------------

    def insert(
        self,
        c: Cursor,
        entries: Sequence[New],
        *,
        state: State = State.PENDING,
        failures: Sequence[Failure | None] = (),
    ) -> None:
        """Insert entries, in one statement for every 5,000.

        Args:
            c: of the transaction that decides.
            entries: to insert, in order.
            state: of all of them.
            failures: of parked ones, one for each entry.
        """
        pairs = list(zip(entries, failures or [None] * len(entries), strict=True))
        keyed = [pair for pair in pairs if pair[0].dedupe_key is not None]
        if keyed:
            pairs = [pair for pair in pairs if pair[0].dedupe_key is None]
            keyed = self._distinct(keyed)
        replaces = self.on_duplicate == "replace" and state is State.PENDING
        free = not any(entry.chosen for entry, _ in pairs)
        for group, conflict in (
            (pairs, "" if free else " ON CONFLICT DO NOTHING"),
            (keyed, REPLACE if replaces else " ON CONFLICT DO NOTHING"),
        ):
            for start in range(0, len(group), CHUNK):
                self._insert(c, group[start : start + CHUNK], state, conflict)

    def _distinct(
        self, pairs: Sequence[tuple[New, Failure | None]]
    ) -> list[tuple[New, Failure | None]]:
        found: dict[tuple[str, str | None], tuple[New, Failure | None]] = {}
        for entry, failure in pairs:
            key = (entry.kind, entry.dedupe_key)
            if self.on_duplicate == "replace":
                found.pop(key, None)
            found.setdefault(key, (entry, failure))
        return list(found.values())

    def _insert(
        self,
        c: Cursor,
        pairs: Sequence[tuple[New, Failure | None]],
        state: State,
        conflict: str,
    ) -> None:
        now = self._now(c)
        rows = [
            (
                str(entry.id),
                entry.kind,
                str(entry.version),
                entry.envelope.decode(),
                entry.ordering_key,
                entry.dedupe_key,
                None if entry.delay is None else str(micros(entry.delay)),
                None if failure is None else failure.to_json(),
            )
            for entry, failure in pairs
        ]
        if c.dialect == "postgresql":
            columns = zip(*rows, strict=True)
            joined = {f"c{i}": _joined(column) for i, column in enumerate(columns)}
            c.execute(_insert_arrays(now, int(state), conflict), {**joined, "queue": self.queue})
        else:
            named = [
                {f"c{i}": v for i, v in enumerate(row)} | {"queue": self.queue} for row in rows
            ]
            c.execute_many(_insert_values(now, int(state), conflict), named)

    # -- delivering -------------------------------------------------------------------------------

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
        """Lease entries that are due, in the order in which they are due.

        Rows whose lease has expired are left to ``claim_suspect``.

        Args:
            c: of a transaction.
            limit: how many at the most.
            lease: how long nobody else may claim them.
            worker: name of the relay, for people.
            kinds: only these; None for all.
            without: not these.
        """
        extra = "AND o.lease_token IS NULL" + _among("o.kind", kinds, without)
        return self._claim(c, extra, limit, lease, worker)

    def claim_suspect(
        self,
        c: Cursor,
        *,
        lease: timedelta,
        worker: str,
        kinds: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> Entry | None:
        """Lease one entry whose lease has expired: its worker died, perhaps because of it."""
        extra = "AND o.lease_token IS NOT NULL" + _among("o.kind", kinds, without)
        found = self._claim(c, extra, 1, lease, worker)
        return found[0] if found else None

    def _claim(
        self, c: Cursor, extra: str, limit: int, lease: timedelta, worker: str
    ) -> list[Entry]:
        postgresql = c.dialect == "postgresql"
        now = self._now(c)
        sql = f"""
            WITH picked AS {"MATERIALIZED" if postgresql else ""} (
              SELECT o.seq FROM airlock_outbox o
              WHERE o.queue = :queue AND o.state = 0 AND o.available_at <= {now} {extra}
                AND (o.ordering_key IS NULL OR NOT EXISTS (
                  SELECT 1 FROM airlock_outbox e WHERE e.queue = o.queue
                  AND e.ordering_key = o.ordering_key AND e.state = 0 AND e.seq < o.seq))
              ORDER BY o.available_at, o.seq LIMIT :limit
              {"FOR UPDATE OF o SKIP LOCKED" if postgresql else ""})
            UPDATE airlock_outbox SET lease_token = :token, leased_by = :worker,
              claims = claims + 1, available_at = {now} + :lease
            WHERE seq IN (SELECT seq FROM picked) RETURNING {COLUMNS}
        """
        rows = c.execute(
            sql,
            {
                "queue": self.queue,
                "limit": limit,
                "token": secrets.token_hex(16),
                "worker": worker,
                "lease": micros(lease),
            },
        )
        return sorted(map(_entry, rows), key=lambda entry: entry.seq)

    def renew(self, c: Cursor, token: str, seqs: Collection[int], lease: timedelta) -> set[int]:
        """Prolong a lease, and return the rows that are still held."""
        return self._held(
            c,
            f"UPDATE airlock_outbox SET available_at = {self._now(c)} + {micros(lease)}",
            token,
            seqs,
        )

    def acknowledge(self, c: Cursor, token: str, seqs: Collection[int]) -> set[int]:
        """Delete what was delivered, and return the rows that were still held."""
        return self._held(c, "DELETE FROM airlock_outbox", token, seqs)

    def give_back(self, c: Cursor, token: str, seqs: Collection[int]) -> set[int]:
        """Make rows due now that were claimed and not begun; it counts as no attempt."""
        return self._held(
            c,
            "UPDATE airlock_outbox SET lease_token = NULL, leased_by = NULL, claims = 0, "
            f"available_at = {self._now(c)}",
            token,
            seqs,
        )

    def retry_at(
        self,
        c: Cursor,
        token: str,
        rows: Sequence[tuple[int, timedelta, Failure | None, bool]],
    ) -> set[int]:
        """Make rows due later.

        Args:
            c: of a transaction.
            token: of the claim.
            rows: ``(seq, after, failure, burn)``: the pause, the error, whether it counts as an attempt.

        Returns:
            Those that were still held.
        """
        held = set[int]()
        for seq, after, failure, burn in rows:
            held |= self._held(
                c,
                "UPDATE airlock_outbox SET lease_token = NULL, leased_by = NULL, claims = 0, "
                f"attempts = attempts + {int(burn)}, error = COALESCE(:error, error), "
                f"available_at = {self._now(c)} + {micros(after)}",
                token,
                [seq],
                {"error": None if failure is None else failure.to_json()},
            )
        return held

    def bury(self, c: Cursor, token: str, rows: Sequence[tuple[int, Failure]]) -> set[int]:
        """Give rows up, and return those that were still held."""
        held = set[int]()
        for seq, failure in rows:
            held |= self._held(
                c,
                f"UPDATE airlock_outbox SET state = {int(State.DEAD)}, lease_token = NULL, "
                "leased_by = NULL, attempts = attempts + 1, error = :error",
                token,
                [seq],
                {"error": failure.to_json()},
            )
        return held

    def _held(
        self,
        c: Cursor,
        change: str,
        token: str,
        seqs: Collection[int],
        parameters: dict[str, Any] | None = None,
    ) -> set[int]:
        if not seqs:
            return set()
        where = f"lease_token = :token AND seq IN ({', '.join(map(str, sorted(seqs)))})"
        rows = c.execute(
            f"{change} WHERE {where} RETURNING seq", {"token": token, **(parameters or {})}
        )
        return {seq for (seq,) in rows}

    # -- operating --------------------------------------------------------------------------------

    def select(
        self, c: Cursor, selection: Selection | None = None, *, limit: int = 100, offset: int = 0
    ) -> list[Entry]:
        """Return entries, the oldest first."""
        where, parameters = self._where(c, selection)
        sql = f"SELECT {COLUMNS} FROM airlock_outbox WHERE {where} ORDER BY seq LIMIT {limit:d} OFFSET {offset:d}"
        return [_entry(row) for row in c.execute(sql, parameters)]

    def count(self, c: Cursor, selection: Selection | None = None) -> int:
        """Return how many entries there are."""
        where, parameters = self._where(c, selection)
        rows = c.execute(f"SELECT count(*) FROM airlock_outbox WHERE {where}", parameters)
        return int(rows[0][0])

    def revive(self, c: Cursor, selection: Selection) -> int:
        """Make failed entries due now, with all their attempts before them; return how many."""
        where, parameters = self._where(c, selection)
        rows = c.execute(
            f"UPDATE airlock_outbox SET state = 0, attempts = 0, claims = 0, available_at = {self._now(c)} "
            f"WHERE {where} AND lease_token IS NULL AND (state = 1 OR attempts > 0) RETURNING seq",
            parameters,
        )
        return len(rows)

    def discard(self, c: Cursor, selection: Selection) -> int:
        """Delete entries that no relay has claimed; return how many."""
        where, parameters = self._where(c, selection)
        sql = f"DELETE FROM airlock_outbox WHERE {where} AND lease_token IS NULL RETURNING seq"
        return len(c.execute(sql, parameters))

    def prune(self, c: Cursor, older_than: timedelta) -> int:
        """Delete dead entries that were recorded so long ago; return how many."""
        return self.discard(c, Selection(states=(State.DEAD,), older_than=older_than))

    def pause(self, c: Cursor, kind: str = "") -> None:
        """Stop the delivery of a kind; of all without one."""
        c.execute(
            "INSERT INTO airlock_outbox_pauses (queue, kind) VALUES (:queue, :kind) ON CONFLICT DO NOTHING",
            {"queue": self.queue, "kind": kind},
        )

    def resume(self, c: Cursor, kind: str = "") -> None:
        """Go on with the delivery of a kind; without one, of all that is paused."""
        c.execute(
            "DELETE FROM airlock_outbox_pauses WHERE queue = :queue AND (kind = :kind OR :kind = '')",
            {"queue": self.queue, "kind": kind},
        )

    def paused(self, c: Cursor) -> set[str]:
        """Return the kinds that are paused; ``""`` stands for all."""
        rows = c.execute(
            "SELECT kind FROM airlock_outbox_pauses WHERE queue = :queue", {"queue": self.queue}
        )
        return {kind for (kind,) in rows}

    def status(self, c: Cursor) -> Status:
        """Return how much there is."""
        now = self._now(c)
        leased = "state = 0 AND lease_token IS NOT NULL"
        free = "state = 0 AND lease_token IS NULL"
        rows = c.execute(
            f"""
            SELECT kind, count(*) FILTER (WHERE {free} AND available_at <= {now}),
              count(*) FILTER (WHERE {free} AND available_at > {now}),
              count(*) FILTER (WHERE {leased}),
              count(*) FILTER (WHERE state = 1),
              count(*) FILTER (WHERE state = 0 AND attempts > 0),
              max({now} - available_at) FILTER (WHERE {free} AND available_at <= {now})
            FROM airlock_outbox WHERE queue = :queue GROUP BY kind ORDER BY kind
            """,
            {"queue": self.queue},
        )
        names = ("due", "scheduled", "leased", "dead", "retrying")
        totals = {name: sum(row[i] for row in rows) for i, name in enumerate(names, 1)}
        oldest = max([row[6] or 0 for row in rows], default=0)
        return Status(
            **totals,
            oldest_due=timedelta(microseconds=oldest),
            kinds={row[0]: Counts(**dict(zip(names, row[1:6], strict=True))) for row in rows},
            paused=frozenset(self.paused(c)),
        )

    def _where(self, c: Cursor, selection: Selection | None) -> tuple[str, dict[str, Any]]:
        chosen = selection or Selection()
        queue = self.queue if chosen.queue is None else chosen.queue
        where, parameters = ["queue = :queue"], {"queue": queue}
        if chosen.kinds is not None:
            where.append(_among("kind", chosen.kinds, ()).removeprefix(" AND "))
        if chosen.states is not None:
            where.append(f"state IN ({_numbers(chosen.states)})")
        if chosen.failed:
            where.append("(state = 1 OR attempts > 0)")
        if chosen.ids is not None:
            ids = ", ".join(f"'{UUID(str(id_))}'" for id_ in chosen.ids) or "NULL"
            where.append(f"intent_id IN ({ids})")
        if chosen.older_than is not None:
            where.append(f"created_at <= {self._now(c)} - {micros(chosen.older_than)}")
        if chosen.error is not None:
            where.append("error LIKE :error ESCAPE '!'")
            quoted = chosen.error
            for special in "!%_":
                quoted = quoted.replace(special, f"!{special}")
            parameters["error"] = f"%{quoted}%"
        return " AND ".join(where), parameters


REPLACE = (
    " ON CONFLICT (kind, dedupe_key) WHERE dedupe_key IS NOT NULL AND state = 0 DO UPDATE SET "
    "intent_id = excluded.intent_id, version = excluded.version, envelope = excluded.envelope, "
    "queue = excluded.queue, ordering_key = excluded.ordering_key, attempts = 0, claims = 0, "
    "available_at = excluded.available_at, created_at = excluded.created_at, "
    "lease_token = NULL, leased_by = NULL, error = NULL"
)

_INTO = (
    "INSERT INTO airlock_outbox (intent_id, kind, version, envelope, ordering_key, dedupe_key, "
    "queue, state, attempts, claims, available_at, created_at, error) "
)


def _insert_arrays(now: str, state: int, conflict: str) -> str:
    """Return an INSERT of whole columns: faster than one row each, and one parameter for each column."""
    arrays = ", ".join(f"string_to_array(:c{i}, chr(30), chr(31))" for i in range(8))
    return (
        f"{_INTO} SELECT CAST(i AS uuid), k, CAST(v AS integer), e, o, d, :queue, {state}, 0, 0, "
        f"{now} + COALESCE(CAST(w AS bigint), 0), {now}, f "
        f"FROM unnest({arrays}) AS t(i, k, v, e, o, d, w, f){conflict}"
    )


def _insert_values(now: str, state: int, conflict: str) -> str:
    return (
        f"{_INTO} VALUES (:c0, :c1, CAST(:c2 AS integer), :c3, :c4, :c5, :queue, {state}, 0, 0, "
        f"{now} + COALESCE(CAST(:c6 AS integer), 0), {now}, :c7){conflict}"
    )


def _joined(column: Iterable[str | None]) -> str:
    return BETWEEN.join([NOTHING if value is None else value for value in column])


def _numbers(values: Collection[int]) -> str:
    return ", ".join(str(int(value)) for value in values) or "NULL"


def _among(column: str, kinds: Collection[str] | None, without: Collection[str]) -> str:
    """Return conditions on a kind. Kinds hold no quotes; those that do are doubled."""
    found = ""
    if kinds is not None:
        found += f" AND {column} IN ({_quoted(kinds)})"
    if without:
        found += f" AND {column} NOT IN ({_quoted(without)})"
    return found


def _quoted(values: Collection[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(values)) or "NULL"


def _entry(row: Any) -> Entry:
    values = dict(zip(_FIELDS, row, strict=True))
    id_, error = values["id"], values["error"]
    values["id"] = id_ if isinstance(id_, UUID) else UUID(str(id_))
    values["envelope"] = values["envelope"].encode()
    values["state"] = State(values["state"])
    values["available_at"] = from_micros(values["available_at"])
    values["created_at"] = from_micros(values["created_at"])
    values["error"] = None if error is None else Failure.from_json(error)
    return Entry(**values)


_FIELDS = (
    *("seq", "id", "kind", "version", "envelope", "queue", "ordering_key", "dedupe_key"),
    *("state", "attempts", "claims", "available_at", "token", "leased_by", "created_at", "error"),
)
