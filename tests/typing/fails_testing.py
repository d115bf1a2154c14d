# A mark belongs to its line, however long:
# fmt: off
# ruff: noqa: F841 - mistakes are what it is about
# mypy: ignore-errors
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""Misuse of the testing kit that type checkers report, each line with the rule that says it."""

from __future__ import annotations

from airlock.testing import Recording, expect_effects, like
from tests.typing.vocabulary import Notify, SendMail


def test(effects: Recording) -> None:
    effects.one(Notify(1))  # E: mypy=arg-type pyright=reportArgumentType
    effects.one(int)  # E: mypy=type-var pyright=reportArgumentType
    effects.of(str)  # E: mypy=type-var pyright=reportArgumentType
    mail: SendMail = effects.one(Notify)  # E: mypy=assignment pyright=reportAssignmentType
    missing = effects.one(Notify).missing  # E: mypy=attr-defined pyright=reportAttributeAccessIssue
    effects.emit(Notify)  # E: mypy=arg-type pyright=reportArgumentType
    like(Notify).times("2")  # E: mypy=arg-type pyright=reportArgumentType
    expect_effects(exhaustiv=False)  # E: mypy=call-arg pyright=reportCallIssue
