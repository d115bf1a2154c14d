"""The store against a plain model: whatever is done to it, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import create_engine

from airlock.outbox import schema
from airlock.outbox.database import EngineDatabase
from airlock.outbox.entry import Failure, New, Selection, State
from airlock.outbox.store import OnDuplicate, Store
from airlock.testing.stores import new

SECOND = timedelta(seconds=1)
LEASE = 10 * SECOND
FAILURE = Failure(type="E")
KEYS = st.none() | st.sampled_from(["", "a", "b"])
SECONDS = st.integers(0, 15).map(lambda seconds: seconds * SECOND)


@attrs.define
class Row:
    """A row as the model has it."""

    id: UUID
    kind: str
    ordering_key: str | None
    dedupe_key: str | None
    available_at: datetime
    state: State = State.PENDING
    attempts: int = 0
    claims: int = 0
    token: str | None = None


class StoreMachine(RuleBasedStateMachine):
    """Rows in a list, in the order of recording, and the store beside it."""

    @initialize(on_duplicate=st.sampled_from(["skip", "replace"]))
    def begin(self, on_duplicate: OnDuplicate) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)
        self.store = Store(on_duplicate=on_duplicate, clock=lambda: self.time)
        self.engine = create_engine("sqlite://")
        self.database = EngineDatabase(self.engine)
        self.database.run(schema.create)
        self.rows: list[Row] = []
        self.tokens: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.dispose()

    def run(self, method: Any, *args: Any, **options: Any) -> Any:
        return self.database.run(lambda c: method(c, *args, **options))

    # -- the model --------------------------------------------------------------------------------

    def record(self, entry: New) -> None:
        row = Row(
            entry.id,
            entry.kind,
            entry.ordering_key,
            entry.dedupe_key,
            self.time + (entry.delay or 0 * SECOND),
        )
        for i, other in enumerate(self.rows):
            duplicate = (other.kind, other.dedupe_key) == (row.kind, row.dedupe_key)
            if other.state is State.PENDING and row.dedupe_key is not None and duplicate:
                if self.store.on_duplicate == "replace":
                    self.rows[i] = row
                return
        self.rows.append(row)

    def due(self, *, left_behind: bool) -> list[Row]:
        def head(row: Row) -> bool:
            return row.ordering_key is None or row is next(
                other
                for other in self.rows
                if other.ordering_key == row.ordering_key and other.state is State.PENDING
            )

        found = [
            row
            for row in self.rows
            if row.state is State.PENDING
            and row.available_at <= self.time
            and (row.token is not None) == left_behind
            and head(row)
        ]
        return sorted(found, key=lambda row: row.available_at)

    def held(self, token: str) -> list[Row]:
        return [row for row in self.rows if row.token == token]

    # -- what is done -----------------------------------------------------------------------------

    @rule(
        entries=st.lists(
            st.builds(
                new,
                kind=st.sampled_from("xy"),
                ordering_key=KEYS,
                dedupe_key=st.none(),
                delay=st.none() | SECONDS,
            ),
            max_size=4,
        )
    )
    def insert_many(self, entries: list[New]) -> None:
        self.run(self.store.insert, entries)
        for entry in entries:
            self.record(entry)

    @rule(kind=st.sampled_from("xy"), ordering_key=KEYS, dedupe_key=KEYS, delay=SECONDS)
    def insert(self, **values: Any) -> None:
        entry = new(**values)
        self.run(self.store.insert, [entry])
        self.record(entry)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        found = self.run(self.store.claim, limit=limit, lease=LEASE, worker="w")
        expected = self.due(left_behind=False)[:limit]
        assert {row.id for row in found} == {row.id for row in expected}
        self.lease(expected, found)

    @rule()
    def claim_suspect(self) -> None:
        found = self.run(self.store.claim_suspect, lease=LEASE, worker="w")
        expected = self.due(left_behind=True)[:1]
        assert (found and found.id) == (expected[0].id if expected else None)
        self.lease(expected, [found])

    def lease(self, rows: list[Row], found: list[Any]) -> None:
        for row in rows:
            row.token, row.claims = found[0].token, row.claims + 1
            row.available_at = self.time + LEASE
            self.tokens.append(found[0].token)

    @precondition(lambda self: self.tokens)
    @rule(
        data=st.data(),
        report=st.sampled_from(["acknowledge", "renew", "give_back", "retry", "count", "bury"]),
        delay=SECONDS,
    )
    def report(self, data: st.DataObject, report: str, delay: timedelta) -> None:
        """Report on all rows under one token, of which some may be lost."""
        token = data.draw(st.sampled_from(self.tokens))
        every = {row.id: row.seq for row in self.run(self.store.select, limit=1_000)}
        held = self.held(token)
        seqs = list(every.values())
        reports: dict[str, tuple[Any, ...]] = {
            "acknowledge": (self.store.acknowledge, token, seqs),
            "renew": (self.store.renew, token, seqs, LEASE),
            "give_back": (self.store.give_back, token, seqs),
            "retry": (self.store.retry_at, token, [(s, delay, FAILURE, True) for s in seqs]),
            "count": (self.store.retry_at, token, [(s, delay, None, False) for s in seqs]),
            "bury": (self.store.bury, token, [(s, FAILURE) for s in seqs]),
        }
        assert self.run(*reports[report]) == {every[row.id] for row in held}
        for row in held:
            self.conclude(row, report, delay)

    def conclude(self, row: Row, report: str, delay: timedelta) -> None:
        match report:
            case "acknowledge":
                self.rows.remove(row)
            case "renew":
                row.available_at = self.time + LEASE
            case "give_back":
                row.token, row.claims, row.available_at = None, row.claims - 1, self.time
            case "retry" | "count":
                row.token, row.claims, row.available_at = None, 0, self.time + delay
                row.attempts += report == "retry"
            case _:  # bury
                row.token, row.state, row.attempts = None, State.DEAD, row.attempts + 1

    @rule()
    def revive(self) -> None:
        self.run(self.store.revive, Selection(states=[State.DEAD]))
        keys = [(row.kind, row.dedupe_key) for row in self.rows]
        for row in self.rows:
            if row.state is State.DEAD:
                if keys.count((row.kind, row.dedupe_key)) > 1:
                    row.dedupe_key = None
                row.state, row.attempts, row.claims = State.PENDING, 0, 0
                row.available_at = self.time

    @rule()
    def discard(self) -> None:
        self.run(self.store.discard, Selection(failed=True))
        self.rows = [
            row
            for row in self.rows
            if row.token or not (row.state is State.DEAD or row.attempts > 0)
        ]

    @rule(time=SECONDS)
    def wait(self, time: timedelta) -> None:
        self.time += time

    # -- what is always so ------------------------------------------------------------------------

    @invariant()
    def the_rows_are_those_of_the_model(self) -> None:
        found = self.run(self.store.select, limit=1_000)
        assert [
            Row(
                row.id,
                row.kind,
                row.ordering_key,
                row.dedupe_key,
                row.available_at,
                row.state,
                row.attempts,
                row.claims,
                row.token,
            )
            for row in found
        ] == self.rows

    @invariant()
    def the_status_counts_every_row(self) -> None:
        status = self.run(self.store.status)
        assert status.pending + status.dead == len(self.rows)
        assert status.leased == sum(row.token is not None for row in self.rows)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
