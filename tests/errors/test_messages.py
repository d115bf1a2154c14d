"""What people are told: every error is caused by really misusing airlock, and its text is kept.

To accept new texts, run these tests with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airlock import errors
from airlock.errors import AirlockError, ApplyError, FlushError
from tests.errors.misuses import MISUSES

GOLDEN = Path(__file__).parent / "golden"

GROUPS = {"AirlockError", "EmissionError", "OutboxError", "ScopeError"}
"""Bases: they group others, and are not raised themselves."""

PLACE = re.compile(r"(?:/|[A-Z]:\\)?[^\s:('\"]*misuses\.py:\d+")
LOCAL = re.compile(r"(?:\b\w+|<lambda>)\.<locals>\.")
ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
FOLDER = re.compile(r"[^\s(]*misuse_\w+[/\\]")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")

REMEDY = re.compile(
    r"\b(?:Add|Annotate|Await|Break|Call|Declare|Decorate|Define|Did you mean|Discard|Emit|Give|"
    r"Import|Leave|Make|Name|Open|Pass|Register|Remove|Rename|Run|Use|Wrap|Write|call|declare|"
    r"decorate|give|let|open|register|return|takes|use|resume|an int|must be|once|by name|leave)\b"
    r"|\bare: |is 'first'|error\.report"
)
"""Words that tell what to do."""


def caused_by(name: str) -> Exception:
    """The error that a misuse ends in."""
    kind, misuse = MISUSES[name]
    with pytest.raises(kind) as caught:
        misuse()
    assert type(caught.value) is kind
    return caught.value


def normal(text: str) -> str:
    """Without what differs between machines and runs."""
    for pattern, instead in (
        (PLACE, "misuses.py:<line>"),
        (ADDRESS, ""),
        (LOCAL, ""),
        (FOLDER, ""),
        (MOMENT, "<moment>"),
    ):
        text = pattern.sub(instead, text)
    return text


@pytest.fixture(autouse=True)
def _hidden_stamina(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a misuse is about its absence."""
    if "retry_without_stamina" in request.node.name:
        monkeypatch.setitem(sys.modules, "stamina", None)


@pytest.mark.parametrize("name", MISUSES)
def test_a_misuse_is_told_in_these_words(name: str) -> None:
    error = caused_by(name)
    text = f"{type(error).__name__}: {normal(str(error))}\n"
    text += "".join(f"{normal(note)}\n" for note in getattr(error, "__notes__", ()))
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


def test_no_golden_text_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(MISUSES)


@pytest.mark.parametrize("name", MISUSES)
def test_a_message_says_what_to_do(name: str) -> None:
    kind, _ = MISUSES[name]
    told = (GOLDEN / f"{name}.txt").read_text("utf-8")
    assert REMEDY.search(told) or not issubclass(kind, AirlockError)


@pytest.mark.parametrize("name", MISUSES)
def test_no_message_shows_a_secret(name: str) -> None:
    assert "4111" not in (GOLDEN / f"{name}.txt").read_text("utf-8")


def test_every_error_is_caused_by_some_misuse() -> None:
    caused = {kind.__name__ for kind, _ in MISUSES.values()}
    assert caused == set(errors.__all__) - GROUPS - {"UnplannedWarning"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", MISUSES)
def test_an_error_pickles_and_keeps_its_facts(name: str, protocol: int) -> None:
    error = caused_by(name)
    loaded = pickle.loads(pickle.dumps(error, protocol))
    assert type(loaded) is type(error)
    assert str(loaded) == str(error)
    assert facts(loaded) == facts(error)


def facts(error: Exception) -> Mapping[str, Any]:
    """Its attributes, but for the report, which stays where the flush ran, and what it is there."""
    gone = ("report_of_flush", "applied")
    kept = {name: value for name, value in vars(error).items() if name not in gone}
    if isinstance(error, FlushError | ApplyError):
        kept |= {"message": error.message, "exceptions": list(map(repr, error.exceptions))}
    return {name: repr(value) for name, value in kept.items()}


@pytest.mark.parametrize("name", MISUSES)
def test_an_error_that_stopped_a_flush_has_the_report(name: str) -> None:
    """Where nothing was flushed there is none."""
    error = caused_by(name)
    stopped = (
        errors.FlushError,
        errors.PolicyError,
        errors.DependencyError,
        errors.UnhandledIntentError,
        errors.UnsupportedOptionError,
        errors.NoTransactionError,
    )
    if isinstance(error, stopped) or getattr(error, "rest_delivered", False):
        assert isinstance(error, AirlockError)
        assert error.report is not None
        assert len(error.report) > 0
    elif isinstance(error, AirlockError) and not isinstance(
        error, errors.AsyncHandlerError | errors.EmittedInPolicyError
    ):
        assert error.report is None
