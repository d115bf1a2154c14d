"""``Report``: what became of every intent, and why."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import airlock
from airlock import (
    Boundary,
    Dedupe,
    Dispatcher,
    Drop,
    FlushError,
    Hold,
    Options,
    Outcome,
    Report,
    Route,
    Scope,
    region,
)
from airlock.errors import ResumeError, ScopeStateError
from airlock.testing import FakeHandler
from tests.effects.vocabulary import Charge, Mail, Notify, Urgent

ID = uuid.UUID(int=7)


class Queue(Dispatcher):
    """Takes everything over."""

    def dispatch(self, delivery: airlock.Delivery, /) -> None: ...


def ship(order: Notify) -> None:
    """Mail the customer; order 3 cannot be shipped, and 4 tries twice to explain."""
    if order.order_id == 3:
        airlock.emit(Mail("lost"))
        raise ValueError("no stock")
    if order.order_id == 4:
        with contextlib.suppress(KeyError), shop.scope():
            airlock.emit(Mail("unsaid"))
            raise KeyError("spoiled")
    airlock.emit(Mail(f"{order.order_id}@example.org"))


shop = Boundary(
    {Notify: ship, Mail: lambda _: None, Charge: lambda _: None},
    dispatch=Route({Charge: Queue()}),
    policy=Dedupe(Mail),
)


@pytest.fixture
def report() -> Report:
    """One intent of every outcome but pending."""
    scope = shop.scope()
    with pytest.raises(FlushError), scope:
        place_orders(scope)
    return scope.report


def place_orders(effects: Scope) -> None:
    effects.emit(Notify(1))
    with region(Drop(Mail)):
        effects.emit(Notify(2))
    with region(Hold()):
        effects.emit(Urgent(9))
    effects.emit(Mail("a"))
    effects.emit(Mail("a"))
    effects.emit(Notify(3))
    effects.emit(Charge("4111", 12))
    with contextlib.suppress(LookupError), shop.scope():
        effects.emit(Mail("thrown away"))
        raise LookupError("oops")
    effects.emit(Notify(4))


# -- reading --------------------------------------------------------------------------------------


def test_the_intents_of_each_outcome_are_listed(report: Report) -> None:
    assert report.delivered == [
        *(Notify(1), Notify(2), Mail("a"), Notify(4)),
        *(Mail("1@example.org"), Mail("4@example.org")),
    ]
    assert report.handed_over == [Charge("4111", 12)]
    assert report.dropped == [Mail("2@example.org")]
    assert report.held == [Urgent(9)]
    assert report.merged == [Mail("a")]
    assert report.failed == [Notify(3)]
    assert report.pending == []
    assert sorted(mail.to for mail in report.discarded) == ["lost", "thrown away", "unsaid"]


def test_every_intent_is_in_it_exactly_once(report: Report) -> None:
    lists = [getattr(report, outcome.name.lower()) for outcome in Outcome]
    assert sum(map(len, lists)) == len(report) == len(report.entries) == sum(report.counts.values())
    for outcome, intents in zip(Outcome, lists, strict=True):
        entries = [entry for entry in report if entry.outcome is outcome]
        assert sorted(map(repr, intents)) == sorted(repr(entry.intent) for entry in entries)


def test_counts_leave_out_outcomes_of_none(report: Report) -> None:
    assert report.counts == {
        Outcome.DELIVERED: 6,
        Outcome.HANDED_OVER: 1,
        Outcome.DROPPED: 1,
        Outcome.HELD: 1,
        Outcome.MERGED: 1,
        Outcome.FAILED: 1,
        Outcome.DISCARDED: 3,
    }


def test_an_entry_says_what_decided(report: Report) -> None:
    by = {repr(entry.intent): entry.by for entry in report}
    assert by["Notify(order_id=1)"] is None
    assert by["Mail(to='2@example.org')"] == Drop(Mail)
    assert by["Urgent(order_id=9)"] == Hold()
    assert repr(by["Notify(order_id=3)"]) == "ValueError('no stock')"
    assert repr(by["Mail(to='thrown away')"]) == "LookupError('oops')"
    assert repr(by["Mail(to='lost')"]) == "ValueError('no stock')"
    assert repr(by["Mail(to='unsaid')"]) == "KeyError('spoiled')"
    merged = next(entry for entry in report if entry.outcome is Outcome.MERGED)
    assert merged.by == Mail("a")


def test_an_entry_knows_its_cause(report: Report) -> None:
    causes = {e.intent.to: e.cause and e.cause.intent for e in report.of(Mail)}
    assert causes == {
        "a": None,
        "1@example.org": Notify(1),
        "2@example.org": Notify(2),
        "4@example.org": Notify(4),
        "lost": Notify(3),
        "unsaid": Notify(4),
        "thrown away": None,
    }


def test_of_finds_the_entries_of_a_class_and_its_subclasses(report: Report) -> None:
    assert [entry.intent.order_id for entry in report.of(Notify)] == [1, 2, 9, 3, 4]
    assert [entry.intent.order_id for entry in report.of(Urgent)] == [9]


def test_it_is_ok_if_nothing_failed_and_nothing_is_pending(report: Report) -> None:
    assert not report.ok
    with Boundary({}).scope(policy=Drop()) as effects:
        effects.emit(Notify(1))
    assert effects.report.ok


def test_errors_are_there_once_each(report: Report) -> None:
    assert [repr(error) for error in report.errors] == ["ValueError('no stock')"]


def test_a_report_is_true_even_if_it_is_empty() -> None:
    with Boundary({}).scope() as effects:
        pass
    assert effects.report
    assert len(effects.report) == 0
    assert effects.report.counts == {}
    assert effects.report.entries == []


def test_the_id_of_an_entry_is_the_one_everywhere() -> None:
    seen: list[uuid.UUID] = []
    boundary = Boundary({Notify: lambda _: seen.append(airlock.delivery().id)})
    with boundary.scope() as effects:
        effects.emit(Notify(1), Options(id=ID))
        effects.emit(Notify(2))
    assert [entry.id for entry in effects.report] == seen
    assert seen[0] == ID


def test_what_was_thrown_away_with_its_block_has_no_id() -> None:
    scope = Boundary({}).scope()
    with contextlib.suppress(ValueError), scope:
        scope.emit(Notify(1))
        raise ValueError
    [entry] = scope.report.entries
    assert entry.id is None


def test_there_is_none_before_the_flush() -> None:
    with Boundary({}).scope() as effects, pytest.raises(ScopeStateError, match="has no report yet"):
        _ = effects.report


def test_what_it_lists_may_be_changed_without_changing_it(report: Report) -> None:
    before = report.table()
    report.delivered.clear()
    report.entries.clear()
    report.discarded.clear()
    assert report.table() == before


# -- showing --------------------------------------------------------------------------------------

TABLE = """\
outcome      wave  intent                          by
delivered       0  Notify(order_id=1)
delivered       0  Notify(order_id=2)
held            0  Urgent(order_id=9)              by Hold()
delivered       0  Mail(to='a')
merged          0  Mail(to='a')                    into Mail(to='a')
failed          0  Notify(order_id=3)              ValueError('no stock')
handed over     0  Charge(card=<hidden>, amount=12)
delivered       0  Notify(order_id=4)
delivered       1  Mail(to='1@example.org')
dropped         1  Mail(to='2@example.org')        by Drop(Mail)
delivered       1  Mail(to='4@example.org')
discarded       0  Mail(to='thrown away')          by LookupError('oops')
discarded       1  Mail(to='lost')                 by ValueError('no stock')
discarded       1  Mail(to='unsaid')               by KeyError('spoiled')
6 delivered, 1 handed over, 1 dropped, 1 held, 1 merged, 1 failed, 3 discarded
"""

TREE = """\
Notify(order_id=1)  delivered
└── Mail(to='1@example.org')  delivered
Notify(order_id=2)  delivered
└── Mail(to='2@example.org')  dropped by Drop(Mail)
Urgent(order_id=9)  held by Hold()
Mail(to='a')  delivered
Mail(to='a')  merged into Mail(to='a')
Notify(order_id=3)  failed ValueError('no stock')
└── Mail(to='lost')  discarded by ValueError('no stock')
Charge(card=<hidden>, amount=12)  handed over
Notify(order_id=4)  delivered
├── Mail(to='4@example.org')  delivered
└── Mail(to='unsaid')  discarded by KeyError('spoiled')
Mail(to='thrown away')  discarded by LookupError('oops')
"""


def aligned(table: str) -> list[list[str]]:
    """Rows without the width of the columns."""
    return [row.split() for row in table.splitlines()]


def test_it_prints_as_a_table(report: Report) -> None:
    assert aligned(str(report)) == aligned(TABLE)
    assert str(report) == report.table()


def test_the_columns_of_the_table_are_aligned(report: Report) -> None:
    head, *rows, _ = report.table().splitlines()
    at = head.index("intent")
    assert all(row[at - 1] == " " and row[at] in "NUMC" for row in rows)


def test_long_intents_and_errors_are_folded_in_their_columns(report: Report) -> None:
    """The other columns stay, and nothing is lost."""
    wide, narrow = report.table(width=500).splitlines(), report.table(width=60).splitlines()
    assert len(narrow) > len(wide)
    assert max(map(len, narrow[:-1])) <= 60
    intent, by = narrow[0].index("intent"), narrow[0].index("by")
    assert all(line[intent - 2 : intent] in ("", "  ") for line in narrow[:-1])
    assert all(line[by - 2 : by] in ("", "  ") for line in narrow[:-1])

    def column(lines: list[str], start: int, end: int | None) -> str:
        return "".join("".join(line[start:end] for line in lines).split())

    all_of_it = wide[0].index("intent"), wide[0].index("by")
    assert column(narrow[:-1], intent, by) == column(wide[:-1], *all_of_it)
    assert column(narrow[:-1], by, None) == column(wide[:-1], all_of_it[1], None)


PROGRAM = """
import airlock

@airlock.intent
class Mail:
    to: str

with airlock.Boundary({Mail: lambda intent: None}).scope() as effects:
    effects.emit(Mail("a" * 200))
print(effects.report)
"""


def test_away_from_a_terminal_the_table_is_120_wide() -> None:
    """Whatever the environment says about one: what is logged and tested is the same everywhere."""
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"COLUMNS": "60"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert max(map(len, shown.splitlines())) == 120


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_the_table_is_as_wide_as_the_terminal() -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 60))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert max(map(len, shown.splitlines())) == 60


def test_one_long_intent_leaves_the_short_columns_alone() -> None:
    boundary = Boundary({Mail: lambda intent: None})
    with boundary.scope() as effects:
        effects.emit(Mail("a" * 300))
        effects.emit(Mail("b"))
    assert effects.report is not None
    head, *rows, last, _ = effects.report.table(width=80).splitlines()
    assert head.split() == ["outcome", "wave", "intent", "by"]
    assert max(map(len, rows)) <= 80
    assert "".join(row[17:] for row in rows) == f"Mail(to='{'a' * 300}')"
    assert last == "delivered     0  Mail(to='b')"


def test_a_long_table_is_cut_and_says_so(report: Report) -> None:
    lines = report.table(limit=2).splitlines()
    assert len(lines) == 5
    assert lines[-2] == "... and 12 more: report.table(limit=None)"
    assert len(report.table(limit=None).splitlines()) == 16


def test_the_tree_draws_follow_ups_below_their_causes(report: Report) -> None:
    assert report.tree() == TREE.rstrip()


def test_a_tree_of_thousands_of_levels_is_drawn() -> None:
    """A cascade may be deeper than the interpreter's stack."""
    deep = 3_000

    def handle(one: Notify) -> None:
        if one.order_id < deep:
            airlock.emit(Notify(one.order_id + 1))

    with Boundary({Notify: handle}, max_depth=deep).scope() as effects:
        effects.emit(Notify(1))
    assert len(effects.report.tree().splitlines()) == deep


def test_branches_go_on_beside_their_siblings() -> None:
    def handle(one: Notify) -> None:
        for i in range(2):
            if one.order_id < 10:
                airlock.emit(Notify(one.order_id * 10 + i))

    with Boundary({Notify: handle}).scope() as effects:
        effects.emit(Notify(1))
        effects.emit(Notify(100))
    assert effects.report.tree().splitlines() == [
        "Notify(order_id=1)  delivered",
        "├── Notify(order_id=10)  delivered",
        "└── Notify(order_id=11)  delivered",
        "Notify(order_id=100)  delivered",
    ]


def test_a_deeper_branch_keeps_the_line_of_the_one_above() -> None:
    def handle(one: Notify) -> None:
        follow: dict[int, list[int]] = {1: [11, 12], 11: [111, 112], 12: [121]}
        airlock.emit_all([Notify(n) for n in follow.get(one.order_id, [])])

    with Boundary({Notify: handle}).scope() as effects:
        effects.emit(Notify(1))
    assert [line.replace("  delivered", "") for line in effects.report.tree().splitlines()] == [
        "Notify(order_id=1)",
        "├── Notify(order_id=11)",
        "│   ├── Notify(order_id=111)",
        "│   └── Notify(order_id=112)",
        "└── Notify(order_id=12)",
        "    └── Notify(order_id=121)",
    ]


def test_the_summary_is_one_line(report: Report) -> None:
    assert report.summary() == TABLE.splitlines()[-1]
    assert repr(report) == f"<Report: {report.summary()}>"
    with Boundary({}).scope() as effects:
        pass
    assert effects.report.summary() == "no effects"


def test_json_says_kind_intent_outcome_decider_wave_and_cause(report: Report) -> None:
    rows = json.loads(report.to_json())
    assert rows[0] == {
        "kind": "tests.effects.notify",
        "intent": "Notify(order_id=1)",
        "outcome": "delivered",
        "by": None,
        "wave": 0,
        "cause": None,
    }
    assert rows[9] == {
        "kind": "tests.effects.mail",
        "intent": "Mail(to='2@example.org')",
        "outcome": "dropped",
        "by": "Drop(Mail)",
        "wave": 1,
        "cause": 1,
    }
    assert len(rows) == len(report)


def test_json_is_stable_unless_ids_are_asked_for() -> None:
    def run() -> Report:
        with Boundary({Notify: lambda _: None}).scope() as effects:
            effects.emit(Notify(1))
            effects.emit(Notify(2), Options(id=ID))
        return effects.report

    assert run().to_json() == run().to_json()
    with_ids = json.loads(run().to_json(ids=True))
    assert with_ids[1]["id"] == str(ID)
    assert with_ids[0]["id"] != json.loads(run().to_json(ids=True))[0]["id"]


def test_a_policy_without_a_name_shows_no_address() -> None:
    """So that two runs print the same."""
    with Boundary({}, policy=lambda view: [airlock.DROP] * len(view)).scope() as effects:
        effects.emit(Notify(1))
    assert (
        " at 0x" not in f"{effects.report.table()}{effects.report.tree()}{effects.report.to_json()}"
    )


@pytest.mark.parametrize(
    "show", [str, repr, Report.table, Report.tree, Report.to_json, lambda r: repr(r.entries)]
)
def test_sensitive_values_are_hidden_however_it_is_shown(
    report: Report, show: Callable[[Any], str]
) -> None:
    assert "4111" not in show(report)


# -- going on -------------------------------------------------------------------------------------


def test_a_report_is_resumed_once(report: Report) -> None:
    with pytest.raises(FlushError) as caught:
        report.resume()
    assert caught.value.report is not None
    assert caught.value.report.failed == [Notify(3)]
    with pytest.raises(ResumeError):
        report.resume()


def test_a_resumed_report_has_what_was_run_now_and_its_causes_before() -> None:
    send = FakeHandler(ValueError, None)
    scope = Boundary({Notify: lambda _: airlock.emit(Mail("a")), Mail: send}).scope()
    with pytest.raises(FlushError), scope:
        scope.emit(Notify(1))
    after = scope.report.resume()
    [entry] = after.entries
    assert (entry.intent, entry.wave, entry.outcome) == (Mail("a"), 1, Outcome.DELIVERED)
    assert entry.cause is not None
    assert entry.cause.intent == Notify(1)
    assert after.tree() == "Mail(to='a')  delivered"
    assert json.loads(after.to_json())[0]["cause"] is None
