"""``boundary.check()``: what does not fit, found in a test or at start-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import Boundary, Dispatcher, Handles, Route
from airlock.errors import WiringError
from tests.boundary.vocabulary import (
    AuditEntry,
    NotifyWarehouse,
    SendEmail,
    SendInvoice,
    ignore,
    next_line,
)


class Effects(containers.DeclarativeContainer):
    notify = Handles(NotifyWarehouse, ignore)
    email = Handles(SendEmail, ignore)


class Anywhere(Dispatcher):
    """Hands over to nobody: only its place in the routes matters here."""


def test_a_complete_wiring_has_no_problems() -> None:
    """It says so."""
    check = Boundary(Effects()).check([NotifyWarehouse, SendEmail, SendInvoice])
    assert check.ok
    assert check.problems == ()
    assert str(check) == "the wiring is complete"
    check.raise_for_problems()


def test_an_intent_without_a_handler_is_found() -> None:
    """With the place where it is declared."""
    place = next_line(skipping=1)

    @airlock.intent
    class Forgotten:
        pass

    check = Boundary(Effects()).check([NotifyWarehouse, SendEmail, Forgotten])
    assert not check.ok
    (problem,) = check.unhandled
    assert "no handler for" in problem
    assert "Forgotten" in problem
    assert place in problem


def test_by_default_every_declared_intent_is_wanted() -> None:
    """All that was imported so far."""
    unhandled = "\n".join(Boundary(Effects()).check().unhandled)
    assert "AuditEntry (declared at tests/boundary/vocabulary.py:" in unhandled
    assert "NotifyWarehouse (declared at tests/boundary/vocabulary.py:" not in unhandled


def test_a_handler_that_nothing_reaches_is_found() -> None:
    """It is dead, or its intent is not among those that matter here."""
    check = Boundary(Effects()).check([NotifyWarehouse])
    (problem,) = check.unused
    assert "email (" in problem
    assert "tests/boundary/test_check.py:" in problem
    assert "SendEmail (declared at tests/boundary/vocabulary.py:" in problem
    assert "not among the intents" in problem


def test_a_handler_of_a_base_class_is_used_by_its_subclasses() -> None:
    """Reached along the MRO."""
    assert Boundary(Effects()).check([NotifyWarehouse, SendInvoice]).ok


def test_an_async_handler_does_not_fit_where_flushes_are_sync() -> None:
    """``check(sync=True)`` says which, and what to do."""

    async def send(subject: SendEmail) -> None: ...

    boundary = Boundary({SendEmail: send})
    assert boundary.check([SendEmail]).ok
    (problem,) = boundary.check([SendEmail], sync=True).misfits
    assert "send" in problem
    assert "the handler of SendEmail" in problem
    assert "flush with `async with`, or register a plain function" in problem


def test_what_is_dispatched_elsewhere_needs_no_handler_here() -> None:
    """And may have one: the worker may use the same boundary."""
    boundary = Boundary(Effects(), dispatch=Route({AuditEntry: Anywhere(), SendEmail: Anywhere()}))
    check = boundary.check([NotifyWarehouse, SendEmail, AuditEntry])
    assert check.unhandled == ()
    assert check.unused == ()
    assert Boundary({}, dispatch=Anywhere()).check([NotifyWarehouse, SendEmail]).ok


def test_a_handler_of_a_class_that_was_declared_again_is_found() -> None:
    """A reload made a new class; what is emitted is that one, and the handler is for the old."""

    def declare() -> Any:
        @airlock.intent
        class Reloaded:
            pass

        return Reloaded

    old, new = declare(), declare()
    check = Boundary({old: lambda subject: None}).check([new])
    assert any("Reloaded" in problem for problem in check.unhandled)
    assert any("was declared again since" in problem for problem in check.unused)


def test_the_other_airlock_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two distributions that install the same import name: one of them hides the other."""
    info = tmp_path / "airlock_py-0.1.0a3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: airlock-py\nVersion: 0.1.0a3\n")
    boundary = Boundary(Effects())
    assert boundary.check([NotifyWarehouse, SendEmail]).conflicts == ()
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = boundary.check([NotifyWarehouse, SendEmail]).conflicts
    assert "airlock-py installs the import name `airlock` too" in problem
    assert "pip uninstall airlock-py, then reinstall airlock-effects" in problem


def test_problems_can_be_raised() -> None:
    """As one error that lists all of them."""
    check = Boundary(Effects()).check([AuditEntry])
    with pytest.raises(WiringError) as raised:
        check.raise_for_problems()
    text = str(raised.value)
    assert text.startswith("3 problem(s) with the wiring:")
    assert text.count("\n  - ") == 3
    assert all(problem in text for problem in check.problems)
    assert len(check.problems) == 3
