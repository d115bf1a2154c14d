"""``StoreContract``: the promises of the outbox's store, tried on a database.

A subclass with a fixture ``database``, of which the tables are empty, is a test class of pytest. Time is
that of a clock that the contract sets, but for the one check that is about the database's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from airlock.errors import OptionError
from airlock.outbox import schema
from airlock.outbox.database import Cursor, Database
from airlock.outbox.entry import Entry, Failure, New, Selection, State
from airlock.outbox.store import OnDuplicate, Store

__all__ = ["Bench", "StoreContract", "new"]

SECOND = timedelta(seconds=1)
LEASE = 30 * SECOND
FAILURE = Failure(type="shop.SoldOutError", message='no "blue" ones: 100 %\n\N{SNOWMAN} \x00')


def new(kind: str = "shop.note", **values: Any) -> New:
    """Return an intent to record.

    Args:
        kind: its kind.
        **values: other arguments of ``New``.
    """
    values = {"id": uuid4(), "version": 1, "envelope": b'{"text":"\xe2\x98\x83"}', **values}
    return New(kind=kind, **values)


class Bench:
    """A store and its database, with a clock that stands still.

    Args:
        database: has the tables.
        on_duplicate: as for ``Store``.
    """

    def __init__(self, database: Database, on_duplicate: OnDuplicate = "skip") -> None:
        self.database = database
        self.time = datetime(2030, 1, 1, tzinfo=UTC)
        self.store = Store(on_duplicate=on_duplicate, clock=lambda: self.time)

    def run(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Return what a method of the store returns, in a transaction of its own."""
        return self.database.run(lambda c: method(c, *args, **options))

    def insert(self, *entries: New, **options: Any) -> list[New]:
        """Record intents, and return them."""
        self.run(self.store.insert, entries, **options)
        return list(entries)

    def claim(self, limit: int = 100, **options: Any) -> list[Entry]:
        """Return what a claim leases."""
        found: list[Entry] = self.run(
            self.store.claim, limit=limit, lease=LEASE, worker="w", **options
        )
        return found

    def suspect(self, **options: Any) -> Entry | None:
        """Return what a claim of a suspect leases."""
        found: Entry | None = self.run(self.store.claim_suspect, lease=LEASE, worker="w", **options)
        return found

    def rows(self, selection: Selection | None = None) -> list[Entry]:
        """Return the rows."""
        found: list[Entry] = self.run(self.store.select, selection)
        return found


def seqs(entries: Sequence[Entry]) -> list[int]:
    """Return the numbers of rows."""
    return [entry.seq for entry in entries]


def ids(entries: Sequence[Entry] | Sequence[New]) -> list[str]:
    """Return the ids of intents."""
    return [str(entry.id) for entry in entries]


def same(found: object, expected: object) -> None:
    """Raise unless both are equal."""
    if found != expected:
        raise AssertionError(f"{found!r}, and not {expected!r}")


def holds(condition: object, fact: str) -> None:
    """Raise unless the condition is true."""
    if not condition:
        raise AssertionError(f"not so: {fact}")


class StoreContract:
    """Checks of a store on a database.

    Example:
        >>> import sqlite3
        >>> import pytest
        >>> from sqlalchemy import create_engine
        >>> from airlock.outbox import schema
        >>> from airlock.outbox.database import EngineDatabase
        >>> class TestStore(StoreContract):
        ...     @pytest.fixture
        ...     def database(self) -> Database:
        ...         found = EngineDatabase(create_engine("sqlite://"))
        ...         found.run(schema.create)
        ...         return found
    """

    def test_the_tables_are_as_they_should_be(self, database: Database) -> None:
        same(database.run(schema.check), [])
        database.run(schema.create)
        database.run(schema.migrate)
        same(database.run(schema.check), [])
        database.run(schema.require)

    def test_a_missing_index_is_found(self, database: Database) -> None:
        database.run(lambda c: c.execute("DROP INDEX airlock_outbox_due"))
        database.run(
            lambda c: c.execute("CREATE INDEX airlock_outbox_due ON airlock_outbox (queue)")
        )
        [problem] = database.run(schema.check)
        holds("airlock_outbox_due" in problem, problem)

    def test_a_row_holds_what_was_recorded(self, database: Database) -> None:
        bench = Bench(database)
        [intent] = bench.insert(new(version=3, ordering_key="o'1", dedupe_key="d;2"))
        [row] = bench.rows()
        same(row.state, State.PENDING)
        same(
            (row.id, row.kind, row.version, row.envelope),
            (intent.id, intent.kind, 3, intent.envelope),
        )
        same((row.ordering_key, row.dedupe_key, row.queue), ("o'1", "d;2", "default"))
        same((row.attempts, row.claims, row.token, row.error), (0, 0, None, None))
        same((row.created_at, row.available_at), (bench.time, bench.time))

    def test_one_bulk_is_recorded_in_order(self, database: Database) -> None:
        bench = Bench(database)
        recorded = bench.insert(*(new(f"shop.{n % 7}", version=n) for n in range(500)))
        found = bench.run(bench.store.select, limit=1_000)
        same(ids(found), ids(recorded))
        same([row.version for row in found], list(range(500)))

    def test_empty_keys_are_keys(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(ordering_key="", dedupe_key=""))
        [row] = bench.rows()
        same((row.ordering_key, row.dedupe_key), ("", ""))

    def test_a_key_that_cannot_be_stored_is_refused_and_nothing_recorded(
        self, database: Database
    ) -> None:
        bench = Bench(database)
        for character in "\x00\x1e\x1f":
            try:
                bench.insert(new(), new(ordering_key=f"a{character}"))
            except OptionError:
                continue
            raise AssertionError(f"a key with {character!r} was recorded")
        same(bench.rows(), [])

    def test_what_is_rolled_back_was_not_recorded(self, database: Database) -> None:
        bench = Bench(database)

        def fail(c: Cursor) -> None:
            bench.store.insert(c, [new()])
            raise LookupError

        with suppress(LookupError):
            database.run(fail)
        same(bench.rows(), [])

    def test_nothing_is_recorded_of_nothing(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert()
        same(bench.run(bench.store.acknowledge, "token", []), set())
        same(bench.run(bench.store.retry_at, "token", []), set())
        same(bench.run(bench.store.bury, "token", []), set())

    def test_a_claim_leases_what_is_due(self, database: Database) -> None:
        bench = Bench(database)
        first, _, third = bench.insert(new(), new(delay=60 * SECOND), new())
        found = bench.claim()
        same(ids(found), ids([first, third]))
        same({row.token for row in found}, {found[0].token})
        holds(found[0].token, "a token")
        same([(row.claims, row.leased_by) for row in found], [(1, "w"), (1, "w")])
        same([row.available_at for row in found], [bench.time + LEASE] * 2)
        same(bench.claim(), [])

    def test_a_claim_takes_as_many_as_asked_and_the_longest_due_first(
        self, database: Database
    ) -> None:
        bench = Bench(database)
        late, early, last = bench.insert(new(delay=2 * SECOND), new(delay=SECOND), new(delay=LEASE))
        bench.time += LEASE
        same(ids(bench.claim(1)), ids([early]))
        same(ids(bench.claim(1)), ids([late]))
        same(ids(bench.claim(1)), ids([last]))

    def test_each_claim_has_a_token_of_its_own(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(), new())
        [one], [other] = bench.claim(1), bench.claim(1)
        holds(one.token != other.token, "two tokens")

    def test_a_claim_can_be_for_some_kinds(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new("a"), new("b"), new("c"))
        same([row.kind for row in bench.claim(kinds=["a", "b"], without=["a"])], ["b"])
        same(bench.claim(kinds=[]), [])
        same([row.kind for row in bench.claim(without=["a"])], ["c"])

    def test_a_claim_is_for_its_queue(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new())
        other = Store("other", clock=lambda: bench.time)
        same(bench.run(other.claim, limit=9, lease=LEASE, worker="w"), [])
        same(len(bench.claim()), 1)

    def test_only_the_first_of_an_ordering_key_is_claimed(self, database: Database) -> None:
        bench = Bench(database)
        first, second, third, free = bench.insert(*(new(ordering_key="k") for _ in range(3)), new())
        [held, other] = bench.claim()
        same(ids([held, other]), ids([first, free]))
        same(bench.claim(), [])
        # A retry of the first keeps the others waiting.
        bench.run(bench.store.retry_at, held.token, [(held.seq, 9 * SECOND, FAILURE, True)])
        same(bench.claim(), [])
        bench.time += 9 * SECOND
        [held] = bench.claim()
        bench.run(bench.store.acknowledge, held.token, [held.seq])
        [held] = bench.claim()
        same(str(held.id), str(second.id))
        # A dead letter does not.
        bench.run(bench.store.bury, held.token, [(held.seq, FAILURE)])
        same(ids(bench.claim()), ids([third]))

    def test_keys_keep_their_order_beside_rows_with_dedupe_keys(self, database: Database) -> None:
        bench = Bench(database)
        recorded = bench.insert(
            new(ordering_key="k", dedupe_key="z"),
            new(dedupe_key="b"),
            new(ordering_key="k"),
            new(ordering_key="k", dedupe_key="a"),
        )
        keyed = [row for row in bench.rows() if row.ordering_key]
        same(ids(keyed), ids([recorded[0], recorded[2], recorded[3]]))

    def test_what_was_delivered_is_gone(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(), new(), new())
        one, two, _ = found = bench.claim()
        same(bench.run(bench.store.acknowledge, one.token, seqs([one, two])), {one.seq, two.seq})
        same(seqs(bench.rows()), [found[2].seq])

    def test_reports_without_the_token_change_nothing(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new())
        [row] = bench.claim()
        before = bench.rows()
        store, seq = bench.store, row.seq
        same(bench.run(store.acknowledge, "other", [seq]), set())
        same(bench.run(store.renew, "other", [seq], LEASE), set())
        same(bench.run(store.give_back, "other", [seq]), set())
        same(bench.run(store.retry_at, "other", [(seq, SECOND, FAILURE, True)]), set())
        same(bench.run(store.bury, "other", [(seq, FAILURE)]), set())
        same(bench.rows(), before)

    def test_a_lease_that_ends_makes_a_suspect_which_is_claimed_alone(
        self, database: Database
    ) -> None:
        bench = Bench(database)
        bench.insert(new(), new())
        left = bench.claim()
        same(bench.suspect(), None)
        bench.time += LEASE
        same(bench.claim(), [])
        suspect = bench.suspect()
        same(suspect and (suspect.seq, suspect.claims), (left[0].seq, 2))
        same(bench.run(bench.store.acknowledge, left[0].token, seqs(left)), {left[1].seq})
        same(bench.suspect(), None)

    def test_a_renewed_lease_ends_later(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new())
        [row] = bench.claim()
        bench.time += LEASE - SECOND
        same(bench.run(bench.store.renew, row.token, [row.seq], LEASE), {row.seq})
        bench.time += LEASE - SECOND
        same(bench.suspect(), None)
        bench.time += SECOND
        holds(bench.suspect(), "a suspect")
        same(bench.run(bench.store.renew, row.token, [row.seq], LEASE), set())

    def test_what_is_given_back_is_due_and_no_attempt_is_counted(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new())
        [row] = bench.claim()
        same(bench.run(bench.store.give_back, row.token, [row.seq]), {row.seq})
        [again] = bench.claim()
        same((again.seq, again.attempts, again.claims), (row.seq, 0, 1))

    def test_a_retry_is_due_later_with_its_failure(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(), new())
        one, two = bench.claim()
        later = [(one.seq, SECOND, FAILURE, True), (two.seq, 2 * SECOND, None, False)]
        same(bench.run(bench.store.retry_at, one.token, later), {one.seq, two.seq})
        same(bench.claim(), [])
        bench.time += SECOND
        [first] = bench.claim()
        same((first.seq, first.attempts, first.claims, first.error), (one.seq, 1, 1, FAILURE))
        bench.run(bench.store.retry_at, first.token, [(first.seq, SECOND, None, False)])
        bench.time += SECOND
        first, second = bench.claim()
        same((first.attempts, first.error), (1, FAILURE))
        same((second.seq, second.attempts, second.error), (two.seq, 0, None))

    def test_the_dead_stay_until_they_are_revived(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new())
        [row] = bench.claim()
        same(bench.run(bench.store.bury, row.token, [(row.seq, FAILURE)]), {row.seq})
        bench.time += 100 * LEASE
        same((bench.claim(), bench.suspect()), ([], None))
        [dead] = bench.rows(Selection(states=[State.DEAD]))
        same((dead.attempts, dead.error, dead.token), (1, FAILURE, None))
        same(bench.run(bench.store.revive, Selection(failed=True)), 1)
        [again] = bench.claim()
        same((again.attempts, again.claims, again.error), (0, 1, FAILURE))

    def test_the_dead_can_be_recorded_as_such_and_once(self, database: Database) -> None:
        bench = Bench(database)
        recorded = [new(dedupe_key="d"), new(dedupe_key="d")]
        for _ in range(2):
            bench.insert(*recorded, state=State.DEAD, failures=[FAILURE, None])
        rows = bench.rows()
        same([(row.state, row.error) for row in rows], [(State.DEAD, FAILURE), (State.DEAD, None)])
        # Both are revived: the one whose key another has goes without.
        same(bench.run(bench.store.revive, Selection(states=[State.DEAD])), 2)
        same(len(bench.claim()), 2)

    def test_of_duplicates_the_first_is_kept(self, database: Database) -> None:
        bench = Bench(database)
        first, _, other = bench.insert(
            new(dedupe_key="d"), new(dedupe_key="d"), new("b", dedupe_key="d")
        )
        bench.insert(new(dedupe_key="d"), new(dedupe_key="e"))
        same(ids(bench.rows())[:2], ids([other, first]))
        same(len(bench.rows()), 3)

    def test_of_duplicates_the_last_is_kept_where_they_replace(self, database: Database) -> None:
        bench = Bench(database, "replace")
        _, last = bench.insert(new(dedupe_key="d"), new(dedupe_key="d", delay=SECOND))
        same(ids(bench.rows()), ids([last]))
        [later] = bench.insert(new(version=2, envelope=b"[]", dedupe_key="d", ordering_key="o"))
        [row] = bench.claim()
        same((str(row.id), row.version, row.envelope), (str(later.id), 2, b"[]"))
        same((row.ordering_key, row.available_at), ("o", bench.time + LEASE))

    def test_what_is_replaced_while_leased_is_delivered_again(self, database: Database) -> None:
        bench = Bench(database, "replace")
        bench.insert(new(dedupe_key="d"))
        [held] = bench.claim()
        [later] = bench.insert(new(dedupe_key="d"))
        same(bench.run(bench.store.acknowledge, held.token, [held.seq]), set())
        [row] = bench.claim()
        same((str(row.id), row.claims), (str(later.id), 1))

    def test_what_is_leased_is_no_duplicate_once_it_was_delivered(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(dedupe_key="d"))
        [held] = bench.claim()
        bench.insert(new(dedupe_key="d"))
        bench.run(bench.store.acknowledge, held.token, [held.seq])
        same(bench.rows(), [])
        bench.insert(new(dedupe_key="d"))
        same(len(bench.rows()), 1)

    def test_an_id_of_the_programs_choice_is_recorded_once(self, database: Database) -> None:
        for on_duplicate in ("skip", "replace"):
            bench = Bench(database, on_duplicate)
            bench.run(bench.store.discard, Selection())
            one = new(chosen=True)
            keyed = new(chosen=True, dedupe_key=on_duplicate)
            bench.insert(one, one, keyed)
            bench.insert(keyed, one, new())
            same(len(bench.rows()), 3)

    def test_a_paused_kind_is_not_claimed(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new("a"), new("b"), new("c"))
        bench.run(bench.store.pause, "a")
        bench.run(bench.store.pause, "a")
        same([row.kind for row in bench.claim(1)], ["b"])
        bench.run(bench.store.pause)
        same(bench.claim(), [])
        same(bench.run(bench.store.paused), {"", "a"})
        bench.run(bench.store.resume, "a")
        same(bench.claim(), [])
        bench.run(bench.store.resume)
        same(bench.run(bench.store.paused), set())
        same([row.kind for row in bench.claim()], ["a", "c"])

    def test_rows_are_selected(self, database: Database) -> None:
        bench = Bench(database)
        one, two, _, four = bench.insert(new("a"), new("b"), new("b"), new("c"))
        bench.time += LEASE
        held = bench.claim(2)
        bench.run(bench.store.bury, held[0].token, [(held[0].seq, FAILURE)])
        bench.run(bench.store.retry_at, held[1].token, [(held[1].seq, SECOND, None, True)])
        for selection, expected in (
            (Selection(kinds=["a", "c"]), [one, four]),
            (Selection(kinds=[]), []),
            (Selection(states=[State.DEAD]), [one]),
            (Selection(failed=True), [one, two]),
            (Selection(error='"blue" ones: 100 %\n\N{SNOWMAN}'), [one]),
            (Selection(error="_"), []),
            (Selection(ids=[four.id, two.id]), [two, four]),
            (Selection(older_than=2 * LEASE), []),
            (Selection(older_than=LEASE, kinds=["c"]), [four]),
            (Selection(queue="other"), []),
        ):
            same(ids(bench.rows(selection)), ids(expected))
            same(bench.run(bench.store.count, selection), len(expected))
        same(ids(bench.run(bench.store.select, limit=1, offset=1)), ids([two]))

    def test_what_is_leased_is_neither_revived_nor_discarded(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(), new())
        bench.claim(1)
        same(bench.run(bench.store.revive, Selection()), 0)
        same(bench.run(bench.store.discard, Selection()), 1)
        same(len(bench.rows()), 1)

    def test_pruning_deletes_old_dead_rows_only(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(new(), new(), new())
        held = bench.claim(1)
        bench.run(bench.store.bury, held[0].token, [(held[0].seq, FAILURE)])
        bench.claim(1)
        bench.time += LEASE
        same(bench.run(bench.store.prune, 2 * LEASE), 0)
        same(bench.run(bench.store.prune, LEASE), 1)
        same(len(bench.rows()), 2)

    def test_the_status_counts(self, database: Database) -> None:
        bench = Bench(database)
        bench.insert(*(new("a") for _ in range(3)), new("b"), new("b", delay=100 * LEASE))
        one, two, _ = bench.claim(3)
        bench.run(bench.store.bury, one.token, [(one.seq, FAILURE)])
        bench.run(bench.store.retry_at, two.token, [(two.seq, LEASE, FAILURE, True)])
        bench.run(bench.store.pause, "a")
        bench.time += 9 * SECOND
        status = bench.run(bench.store.status)
        same((status.due, status.scheduled, status.leased, status.dead), (1, 2, 1, 1))
        same((status.retrying, status.pending), (1, 4))
        same((status.oldest_due, status.paused), (9 * SECOND, {"a"}))
        same((status.kinds["a"].dead, status.kinds["b"].due), (1, 1))

    def test_without_a_clock_the_time_is_that_of_the_database(self, database: Database) -> None:
        bench = Bench(database)
        bench.store = Store()
        started = datetime.now(UTC) - timedelta(hours=1)
        bench.insert(new(), new(delay=timedelta(hours=9)))
        [row] = bench.claim()
        holds(started < row.created_at < started + timedelta(hours=2), f"{row.created_at}, now")
        holds(row.available_at - row.created_at >= LEASE, f"{row.available_at}, a lease later")
        same(bench.run(bench.store.status).scheduled, 1)
