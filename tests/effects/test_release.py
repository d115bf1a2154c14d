"""Segments: stretches of work that are kept or unsaid as a whole."""

from __future__ import annotations

import pytest

from airlock import Segment
from airlock.release import Fate


def fate_of(segment: Segment) -> Fate:
    """Asked anew each time: it changes."""
    return segment.fate


def test_a_segment_waits_for_its_transaction_to_begin() -> None:
    assert Segment().fate is Fate.WAITING
    assert Segment(begun=True).fate is Fate.OPEN


def test_it_begins_is_committed_or_rolled_back() -> None:
    kept, unsaid = Segment(), Segment()
    for segment in (kept, unsaid):
        segment.begin()
        assert fate_of(segment) is Fate.OPEN
    kept.commit()
    unsaid.roll_back()
    assert (kept.fate, unsaid.fate) == (Fate.COMMITTED, Fate.ROLLED_BACK)


def test_a_transaction_that_is_open_or_over_does_not_begin_again() -> None:
    segment = Segment(begun=True)
    segment.begin()
    assert fate_of(segment) is Fate.OPEN
    segment.commit()
    segment.begin()
    assert fate_of(segment) is Fate.COMMITTED


def test_a_savepoint_shares_the_fate_of_what_is_around_it() -> None:
    transaction = Segment(begun=True)
    savepoint = transaction.nested()
    inner = savepoint.nested()
    assert fate_of(inner) is Fate.OPEN
    transaction.commit()
    assert {savepoint.fate, inner.fate} == {Fate.COMMITTED}


def test_a_savepoint_rolled_back_stays_so_whatever_the_transaction_does() -> None:
    transaction = Segment(begun=True)
    savepoint = transaction.nested()
    inner = savepoint.nested()
    savepoint.roll_back()
    assert (savepoint.fate, inner.fate) == (Fate.ROLLED_BACK, Fate.ROLLED_BACK)
    transaction.commit()
    assert (transaction.fate, savepoint.fate, inner.fate) == (
        Fate.COMMITTED,
        Fate.ROLLED_BACK,
        Fate.ROLLED_BACK,
    )


def test_a_transaction_rolled_back_takes_its_savepoints_along() -> None:
    transaction = Segment(begun=True)
    savepoint = transaction.nested()
    transaction.roll_back()
    assert fate_of(savepoint) is Fate.ROLLED_BACK


def test_a_savepoint_of_a_transaction_that_has_not_begun_waits_with_it() -> None:
    transaction = Segment()
    savepoint = transaction.nested()
    assert fate_of(savepoint) is Fate.WAITING
    transaction.begin()
    assert fate_of(savepoint) is Fate.OPEN


def test_segments_know_what_is_around_them() -> None:
    transaction = Segment()
    savepoint = transaction.nested()
    inner = savepoint.nested()
    assert list(inner.around()) == [inner, savepoint, transaction]
    assert inner.transaction is savepoint.transaction is transaction.transaction is transaction


@pytest.mark.parametrize("end", [Segment.commit, Segment.roll_back])
def test_those_who_wait_for_the_end_are_called_once_in_order(end: object) -> None:
    called: list[object] = []
    segment = Segment(begun=True)
    segment.when_ended(lambda: called.append(("first", segment.fate)))
    segment.when_ended(lambda: called.append(("second", segment.fate)))
    assert callable(end)
    end(segment)
    fate = segment.fate
    assert called == [("first", fate), ("second", fate)]
    segment.commit()
    assert len(called) == 2


def test_the_end_of_a_savepoint_is_not_the_end_of_its_transaction() -> None:
    called: list[str] = []
    transaction = Segment(begun=True)
    transaction.when_ended(lambda: called.append("ended"))
    transaction.nested().roll_back()
    assert called == []
    transaction.commit()
    assert called == ["ended"]


def test_one_that_raises_does_not_keep_the_others_from_being_called() -> None:
    called: list[str] = []

    def broken() -> None:
        raise ValueError("first")

    segment = Segment(begun=True)
    segment.when_ended(broken)
    segment.when_ended(lambda: called.append("second"))
    with pytest.raises(ValueError, match="first"):
        segment.commit()
    assert called == ["second"]
    assert fate_of(segment) is Fate.COMMITTED


def test_several_errors_are_raised_together() -> None:
    def broken() -> None:
        raise ValueError("broken")

    segment = Segment(begun=True)
    segment.when_ended(broken)
    segment.when_ended(broken)
    with pytest.raises(ExceptionGroup, match="flushes after a commit failed") as caught:
        segment.commit()
    assert [str(error) for error in caught.value.exceptions] == ["broken", "broken"]


def test_an_interruption_is_raised_as_it_is() -> None:
    called: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    segment = Segment(begun=True)
    segment.when_ended(interrupted)
    segment.when_ended(lambda: called.append("second"))
    with pytest.raises(KeyboardInterrupt):
        segment.commit()
    assert called == ["second"]


def test_one_who_waits_for_what_is_over_is_called_at_once() -> None:
    """No end is missed, whichever thread comes first."""
    called: list[str] = []
    segment = Segment(begun=True)
    segment.commit()
    segment.when_ended(lambda: called.append("at once"))
    assert called == ["at once"]


def test_one_that_is_closed_is_rolled_back_unless_it_is_known_to_have_written_nothing() -> None:
    """In doubt it has written."""
    for wrote, fate in ((True, Fate.ROLLED_BACK), (False, Fate.CLOSED)):
        segment = Segment(begun=True)
        assert segment.wrote
        segment.wrote = wrote
        savepoint = segment.nested()
        segment.close()
        assert (segment.fate, savepoint.fate) == (fate, fate)
