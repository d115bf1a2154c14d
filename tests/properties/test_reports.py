"""Laws of reports, of resuming, and of the error that carries a report."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import airlock
from airlock import Boundary, FlushError, Outcome, Report, Route, Scope
from airlock.errors import ResumeError
from tests.properties import model
from tests.properties.rig import Rig, error_of
from tests.properties.strategies import boundaries, policies, works
from tests.properties.vocabulary import Call, Mail, Work, policy

several = st.lists(works, max_size=5)
failing = st.lists(
    st.builds(
        lambda cls, key, fails: cls(key=key, fails=fails),
        st.sampled_from((Mail, Call)),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=6,
)


def flushed(
    intents: list[Work], told: tuple[str, model.Boundary], chosen: str
) -> tuple[Rig, Scope]:
    """A scope that emitted some intents, after its flush."""
    rig = Rig()
    scope = rig.boundary(told[1], told[0]).scope(policy=policy(chosen))

    def block() -> None:
        with scope:
            for intent in intents:
                error_of(lambda intent=intent: rig.emit(intent))  # type: ignore[misc]

    error_of(block)
    return rig, scope


@given(several, boundaries("one"), policies)
def test_every_intent_is_in_the_report_once(
    intents: list[Work], told: tuple[str, model.Boundary], chosen: str
) -> None:
    rig, scope = flushed(intents, told, chosen)
    report = scope.report
    lists: dict[Outcome, list[Any]] = {
        code: getattr(report, code.word.replace(" ", "_")) for code in Outcome
    }
    emitted = Counter(map(id, rig.emitted))
    assert Counter(id(entry.intent) for entry in report) == emitted
    assert Counter(id(intent) for part in lists.values() for intent in part) == emitted
    assert report.counts == {code: len(part) for code, part in lists.items() if part}
    assert len(report) == sum(report.counts.values()) == len(rig.emitted)
    assert report.ok == (not report.failed and not report.pending)
    assert Counter(id(e.intent) for e in report.of(Mail)) == Counter(
        id(intent) for intent in rig.emitted if isinstance(intent, Mail)
    )


@given(several, boundaries("one"), policies)
def test_every_way_to_show_a_report_shows_every_intent(
    intents: list[Work], told: tuple[str, model.Boundary], chosen: str
) -> None:
    _, scope = flushed(intents, told, chosen)
    report = scope.report
    rows = json.loads(report.to_json())
    assert [(row["intent"], row["outcome"], row["wave"]) for row in rows] == [
        (repr(entry.intent), entry.outcome.word, entry.wave) for entry in report
    ]
    causes = [rows[row["cause"]]["intent"] if row["cause"] is not None else None for row in rows]
    assert causes == [repr(e.cause.intent) if e.cause else None for e in report]
    assert len(report.table(limit=None, width=100_000).splitlines()) == len(report) + 2
    assert len(report.tree().splitlines()) == len(report)
    for entry in report:
        assert repr(entry.intent) in report.tree()


@given(failing)
def test_resuming_delivers_each_intent_once_in_the_end(intents: list[Work]) -> None:
    """As often as the most stubborn one failed, and nothing is run that was delivered."""
    rig = Rig()
    boundary = rig.boundary(model.Boundary("one", (), False, 3, None))
    reports = list[Report]()
    with _collecting(reports), boundary.scope() as effects:
        effects.emit_all(intents)
    rounds = 0
    last = effects.report
    while not last.ok:
        rounds += 1
        assert last.failed == [intent for intent in intents if intent.fails >= rounds]
        with _collecting(reports):
            reports.append(last.resume())
        with pytest.raises(ResumeError):
            last.resume()
        last = reports[-1]
    assert rounds == max((intent.fails for intent in intents), default=0)
    delivered = [
        id(i) for report in (effects.report, *reports[rounds and 1 :]) for i in report.delivered
    ]
    assert Counter(delivered) == Counter(map(id, intents))
    assert [entry for entry in rig.log if entry[2] == 1] == [("one", i, 1) for i in intents]  # type: ignore[index]


class _collecting:  # noqa: N801 - reads like contextlib.suppress
    """Swallow a FlushError, and keep its report."""

    def __init__(self, reports: list[Report]) -> None:
        self.reports = reports

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, FlushError):
            self.reports.append(error.report)
        return isinstance(error, FlushError)


def flush_error(intents: list[Work]) -> FlushError:
    """What comes of intents of which some fail."""
    effects = Rig().boundary(model.Boundary("one", (), False, 3, None)).scope()
    with pytest.raises(FlushError) as raised, effects:
        effects.emit_all(intents)
    assert raised.value.report is effects.report
    return raised.value


some_fail = failing.filter(lambda intents: any(intent.fails for intent in intents))


@given(some_fail)
def test_a_flush_error_holds_each_failure_and_the_report(intents: list[Work]) -> None:
    error = flush_error(intents)
    report = error.report
    assert list(error.exceptions) == report.errors
    assert [entry.by for entry in report if entry.outcome is Outcome.FAILED] == report.errors
    assert report.failed == [intent for intent in intents if intent.fails]
    assert str(len(report.failed)) in str(error)


@given(some_fail, st.randoms(use_true_random=False))
def test_parts_of_a_flush_error_keep_its_type_and_report(intents: list[Work], dice: Any) -> None:
    error = flush_error(intents)
    chosen = {id(e) for e in error.exceptions if dice.random() < 0.5}
    matching, rest = error.split(lambda e: id(e) in chosen)
    found = list[Any]()
    for part in (matching, rest, error.derive(error.exceptions[:1])):
        if part is not None:
            assert type(part) is FlushError
            assert part.report is error.report
            found += part.exceptions
    assert {id(e) for e in found} == {id(e) for e in error.exceptions}
    assert error.subgroup(lambda e: id(e) in chosen) == matching or matching is not None


@given(some_fail)
def test_a_flush_error_survives_pickling_without_its_report(intents: list[Work]) -> None:
    error = flush_error(intents)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is FlushError
    assert copy.message == error.message
    assert [(type(e), e.args) for e in copy.exceptions] == [
        (type(e), e.args) for e in error.exceptions
    ]
    with pytest.raises(AttributeError, match="left behind"):
        assert copy.report


@given(several, boundaries("one"), policies)
def test_what_a_report_says_is_the_same_after_pickling_its_intents(
    intents: list[Work], told: tuple[str, model.Boundary], chosen: str
) -> None:
    """Intents are values: a copy that went through a pickle is the same in every outcome."""
    assume(intents)
    copies = pickle.loads(pickle.dumps(intents))
    assert copies == intents
    assert list(map(hash, copies)) == list(map(hash, intents))
    one, other = (flushed(each, told, chosen)[1].report for each in (intents, copies))
    assert one.to_json() == other.to_json()


class Engine(airlock.Dispatcher):
    """Takes intents over, or fails as they say."""

    def __init__(self) -> None:
        self.taken: list[Work] = []

    def dispatch(self, delivery: airlock.Delivery, /) -> None:
        if delivery.attempt <= delivery.intent.fails:
            raise ConnectionError
        self.taken.append(delivery.intent)


@given(failing)
def test_handing_over_stands_for_delivering(intents: list[Work]) -> None:
    """Order, failures and resuming are the same, with another word for the outcome."""
    engine, delivered = Engine(), list[Work]()

    def run(boundary: Boundary) -> list[Report]:
        reports: list[Report] = []
        with _collecting(reports), boundary.scope() as effects:
            effects.emit_all(intents)
        reports = [effects.report]
        while not reports[-1].ok:
            with _collecting(reports):
                reports.append(reports[-1].resume())
        return reports

    def deliver(intent: Work) -> None:
        if airlock.delivery().attempt <= intent.fails:
            raise ConnectionError
        delivered.append(intent)

    inline = run(Boundary({Work: deliver}))
    handed = run(Boundary({}, dispatch=Route({Work: engine})))
    assert engine.taken == delivered
    assert [r.handed_over for r in handed] == [r.delivered for r in inline]
    assert [r.failed for r in handed] == [r.failed for r in inline]
