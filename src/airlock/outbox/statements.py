"""The outbox's statements, as SQL text for PostgreSQL and SQLite.

They run on any connection of any driver: parameters are named, and every one is a text, an integer
or NULL. A list travels as one text: joined by U+001E where speed matters, as JSON elsewhere.
Times and durations are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["ABSENT", "AMONG", "CLOCK", "COLUMNS", "DIALECTS", "NOW", "SEPARATOR", "Statements"]

SEPARATOR = "\x1e"
"""Between the values of a list. JSON text and kinds cannot contain it."""

ABSENT = "\x1f"
"""NULL in a list."""

NOW: Mapping[str, str] = {
    # Stable within the statement, so that an index can be used, and not the transaction's start.
    "postgresql": "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)",
    "sqlite": "CAST(round((julianday('now') - 2440587.5) * 86400000) AS integer) * 1000",
}
"""The time of the database; SQLite's has milliseconds."""

CLOCK: Mapping[str, str] = {
    "postgresql": f"COALESCE(CAST(:now AS bigint), {NOW['postgresql']})",
    "sqlite": f"COALESCE(:now, {NOW['sqlite']})",
}
"""The time: that of a test's clock, if there is one, else that of the database."""

COLUMNS = (
    "o.seq, CAST(o.intent_id AS text), o.kind, o.version, o.envelope, o.queue, o.ordering_key,"
    " o.dedupe_key, o.state, o.attempts, o.claims, o.available_at, o.created_at, o.leased_by,"
    " o.lease_token, o.error"
)

AMONG: Mapping[str, str] = {
    "postgresql": "= ANY(CAST(string_to_array(CAST(:{name} AS text), chr(30), chr(31)) AS {type}[]))",
    "sqlite": "IN (SELECT value FROM json_each(:{name}))",
}
"""True if a column is among the values of a list."""

NOT_PAUSED = """
        AND NOT EXISTS (SELECT 1 FROM airlock_outbox_pauses WHERE queue = :queue AND kind = '')
        AND o.kind NOT IN (SELECT kind FROM airlock_outbox_pauses WHERE queue = :queue)"""

FREE = "o.state = 0 AND o.lease_token IS NULL"

LEFT_BEHIND = "o.lease_token IS NOT NULL"
"""Only pending rows have a lease. Without the state, which the index of due rows asks for, no planner
without statistics can take that for the index of leases."""

HEAD_OF_ITS_KEY = """
        AND (o.ordering_key IS NULL OR NOT EXISTS (
          SELECT 1 FROM airlock_outbox e
          WHERE e.queue = o.queue AND e.ordering_key = o.ordering_key AND e.state = 0
            AND e.seq < o.seq))"""

REPLACE = """
    ON CONFLICT (kind, dedupe_key) WHERE dedupe_key IS NOT NULL AND state = 0 DO UPDATE SET
      intent_id = excluded.intent_id, version = excluded.version, envelope = excluded.envelope,
      queue = excluded.queue, ordering_key = excluded.ordering_key,
      available_at = excluded.available_at, created_at = excluded.created_at,
      attempts = 0, claims = 0, lease_token = NULL, leased_by = NULL, error = NULL"""

INSERTED = (
    "INSERT INTO airlock_outbox (intent_id, kind, version, envelope, queue, ordering_key,"
    " dedupe_key, state, available_at, created_at, error)"
)


@attrs.frozen(kw_only=True)
class Statements:
    """Every statement of the store, in one dialect."""

    insert: str
    skip: str
    replace: str
    claim: str
    claim_suspect: str
    renew: str
    acknowledge: str
    give_back: str
    retry: str
    bury: str


def postgresql() -> Statements:
    """Return the statements for PostgreSQL."""
    now = CLOCK["postgresql"]

    def split(name: str) -> str:
        return f"string_to_array(CAST(:{name} AS text), chr(30), chr(31))"

    kinds = f"(CAST(:kinds AS text) IS NULL OR o.kind = ANY({split('kinds')}))"

    # An array of one empty text is written as an empty list is. So the lists of keys end in one
    # more element, which no id belongs to.
    insert = f"""{INSERTED}
    SELECT CAST(i AS uuid), k, CAST(v AS int), e, :queue, o, d, CAST(:state AS smallint),
      now + CAST(a AS bigint), now, f
    FROM (SELECT {now} AS now) AS clock CROSS JOIN unnest({split("ids")}, {split("kinds")},
      {split("versions")}, {split("envelopes")}, {split("ordering_keys")}, {split("dedupe_keys")},
      {split("delays")}, {split("errors")}) WITH ORDINALITY AS n(i, k, v, e, o, d, a, f, place)
    WHERE i IS NOT NULL"""
    # PostgreSQL takes one conflict target: an id that is there already is left out by hand.
    absent = (
        "\n      AND NOT EXISTS (SELECT 1 FROM airlock_outbox WHERE intent_id = CAST(i AS uuid))"
    )
    in_order = "\n    ORDER BY place"

    def held(change: str) -> str:
        # Locked in one order, so that a renewal and an acknowledgement cannot wait for each other.
        return f"""
    WITH held AS MATERIALIZED (
      SELECT seq FROM airlock_outbox
      WHERE seq = ANY(CAST({split("seqs")} AS bigint[])) AND lease_token = :token
      ORDER BY seq FOR UPDATE)
    {change}"""

    def reported(change: str, columns: str) -> str:
        return f"""
    WITH held AS MATERIALIZED (
      SELECT o.seq, {columns} FROM airlock_outbox o
      JOIN json_to_recordset(CAST(:rows AS json))
        AS r(seq bigint, delay bigint, burn int, error text) ON r.seq = o.seq
      WHERE o.lease_token = :token ORDER BY o.seq FOR UPDATE OF o)
    UPDATE airlock_outbox o SET {change}, lease_token = NULL, leased_by = NULL
    FROM held WHERE o.seq = held.seq RETURNING o.seq"""

    def leased(condition: str) -> str:
        # MATERIALIZED: else the planner may join the other way, and update more than the limit.
        return f"""
    WITH picked AS MATERIALIZED (
      SELECT o.seq, o.available_at FROM airlock_outbox o
      WHERE o.queue = :queue AND o.available_at <= {now}
        AND {condition}{NOT_PAUSED}{HEAD_OF_ITS_KEY}
        AND (CAST(:without AS text) IS NULL OR o.kind <> ALL({split("without")}))
      ORDER BY o.available_at, o.seq LIMIT CAST(:limit AS int) FOR UPDATE OF o SKIP LOCKED)
    UPDATE airlock_outbox o SET lease_token = :token, leased_by = :worker, claims = o.claims + 1,
      available_at = {now} + CAST(:lease AS bigint)
    FROM picked WHERE o.seq = picked.seq
    RETURNING {COLUMNS}"""

    return Statements(
        insert=insert + in_order,
        skip=insert + in_order + "\n    ON CONFLICT DO NOTHING",
        replace=insert + absent + in_order + REPLACE,
        claim=leased(f"{FREE} AND {kinds}"),
        claim_suspect=leased(f"{LEFT_BEHIND} AND {kinds}"),
        renew=held(
            f"UPDATE airlock_outbox o SET available_at = {now} + CAST(:lease AS bigint)"
            " FROM held WHERE o.seq = held.seq RETURNING o.seq"
        ),
        acknowledge=held(
            "DELETE FROM airlock_outbox o USING held WHERE o.seq = held.seq RETURNING o.seq"
        ),
        give_back=held(
            f"UPDATE airlock_outbox o SET available_at = {now}, claims = o.claims - 1,"
            " lease_token = NULL, leased_by = NULL"
            " FROM held WHERE o.seq = held.seq RETURNING o.seq"
        ),
        retry=reported(
            f"available_at = {now} + held.delay, attempts = o.attempts + held.burn, claims = 0,"
            " error = COALESCE(held.error, o.error)",
            "r.delay, r.burn, r.error",
        ),
        bury=reported(
            "state = 1, attempts = o.attempts + 1, error = COALESCE(held.error, o.error)", "r.error"
        ),
    )


def sqlite() -> Statements:
    """Return the statements for SQLite, 3.35 or newer."""
    now = CLOCK["sqlite"]
    insert = f"""{INSERTED}
    VALUES (:id, :kind, :version, :envelope, :queue, :ordering_key, :dedupe_key, :state,
      {now} + :delay, {now}, :error)"""
    ours = "seq IN (SELECT value FROM json_each(:seqs)) AND lease_token = :token RETURNING seq"

    def reported(change: str) -> str:
        return f"""
    UPDATE airlock_outbox SET {change}, lease_token = NULL, leased_by = NULL
    FROM (SELECT json_extract(value, '$.seq') AS seq, json_extract(value, '$.delay') AS delay,
        json_extract(value, '$.burn') AS burn, json_extract(value, '$.error') AS error
      FROM json_each(:rows)) AS r
    WHERE airlock_outbox.seq = r.seq AND airlock_outbox.lease_token = :token
    RETURNING airlock_outbox.seq"""

    def leased(condition: str) -> str:
        return f"""
    UPDATE airlock_outbox AS o SET lease_token = :token, leased_by = :worker,
      claims = o.claims + 1, available_at = {now} + :lease
    FROM (
      SELECT o.seq, o.available_at FROM airlock_outbox o
      WHERE o.queue = :queue AND o.available_at <= {now}
        AND {condition}{NOT_PAUSED}{HEAD_OF_ITS_KEY}
        AND (:without IS NULL OR o.kind NOT IN (SELECT value FROM json_each(:without)))
      ORDER BY o.available_at, o.seq LIMIT :limit) AS picked
    WHERE o.seq = picked.seq
    RETURNING {COLUMNS.replace("o.", "")}"""

    kinds = "(:kinds IS NULL OR o.kind IN (SELECT value FROM json_each(:kinds)))"
    return Statements(
        insert=insert,
        skip=insert + "\n    ON CONFLICT DO NOTHING",
        replace=insert + "\n    ON CONFLICT (intent_id) DO NOTHING" + REPLACE,
        claim=leased(f"{FREE} AND {kinds}"),
        claim_suspect=leased(f"{LEFT_BEHIND} AND {kinds}"),
        renew=f"UPDATE airlock_outbox SET available_at = {now} + :lease WHERE {ours}",
        acknowledge=f"DELETE FROM airlock_outbox WHERE {ours}",
        give_back=(
            f"UPDATE airlock_outbox SET available_at = {now}, claims = claims - 1,"
            f" lease_token = NULL, leased_by = NULL WHERE {ours}"
        ),
        retry=reported(
            f"available_at = {now} + r.delay, attempts = attempts + r.burn, claims = 0,"
            " error = COALESCE(r.error, airlock_outbox.error)"
        ),
        bury=reported(
            "state = 1, attempts = attempts + 1, error = COALESCE(r.error, airlock_outbox.error)"
        ),
    )


DIALECTS: Mapping[str, Statements] = {"postgresql": postgresql(), "sqlite": sqlite()}
