"""An ``enclose`` around scopes of several boundaries: one block, whatever it is reached through."""

from __future__ import annotations

import pytest

import airlock
from airlock import Boundary, Drop
from airlock.errors import EmittedInPolicyError
from tests.boundary.vocabulary import AuditEntry, Broken, NotifyWarehouse, SendEmail, ignore

shop = Boundary({NotifyWarehouse: ignore, SendEmail: ignore, AuditEntry: ignore})
other = Boundary({})


def test_a_failed_enclosure_unsays_what_nested_scopes_emitted_in_it() -> None:
    """Also where another boundary's scope stands between them and their outermost scope."""

    def fail() -> None:
        with airlock.enclose(Drop()):
            effects.emit(NotifyWarehouse(1))
            with shop.scope():
                airlock.emit(NotifyWarehouse(2))
            raise Broken

    with shop.scope() as effects, other.scope(), pytest.raises(Broken):
        fail()
    assert effects.report.discarded == [NotifyWarehouse(1), NotifyWarehouse(2)]


def test_an_enclosure_governs_a_nested_scope_across_another_boundary() -> None:
    with shop.scope() as effects, other.scope():
        with airlock.enclose(Drop(SendEmail)), airlock.enclose(Drop(AuditEntry)), shop.scope():
            airlock.emit(NotifyWarehouse(1))
            airlock.emit(SendEmail())
            airlock.emit(AuditEntry())
        effects.emit(SendEmail("later@example.org"))
    report = effects.report
    assert report.delivered == [NotifyWarehouse(1), SendEmail("later@example.org")]
    assert report.dropped == [SendEmail(), AuditEntry()]


def test_what_an_enclosure_holds_stands_where_it_was_first_reached() -> None:
    with shop.scope() as effects, other.scope():
        effects.emit(NotifyWarehouse(1))
        with airlock.enclose(airlock.Allow()):
            with shop.scope():
                airlock.emit(NotifyWarehouse(2))
            effects.emit(NotifyWarehouse(3))
        effects.emit(NotifyWarehouse(4))
    assert effects.report.delivered == [NotifyWarehouse(n) for n in (1, 2, 3, 4)]


def test_a_policy_may_not_open_an_enclosure() -> None:
    def opens(view: airlock.View) -> list[airlock.Verdict]:
        with airlock.enclose(Drop()):
            return [airlock.ALLOW] * len(view)

    scope = shop.scope(policy=opens)
    with pytest.raises(EmittedInPolicyError, match="open an enclosure"), scope:
        scope.emit(NotifyWarehouse(1))
