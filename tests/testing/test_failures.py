"""What people are told when a test fails: every shape of it, kept in ``golden/``.

To accept new texts, run these tests with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference. Lines
are counted from the story that fails, in ``failures.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airlock import EffectBuffer
from airlock.errors import ExpectationError
from airlock.testing import expect_effects
from airlock.testing.comparison import explained
from airlock.testing.explain import LIMIT, log
from tests.testing.failures import COMPARISONS, FAILURES
from tests.testing.vocabulary import NotifyWarehouse, SendEmail

GOLDEN = Path(__file__).parent / "golden"
PLACE = re.compile(r"[^\s(,;]*failures\.py:(\d+)")
NAMES = [*FAILURES, *COMPARISONS]


def told(name: str) -> str:
    """What the failure says."""
    if name in FAILURES:
        story: Callable[[], object] = FAILURES[name]
        with pytest.raises((AssertionError, ExpectationError)) as caught:
            story()
        text = f"{caught.type.__name__}: {caught.value}"
    else:
        story = COMPARISONS[name]
        op, left, right = COMPARISONS[name]()
        explanation = explained(op, left, right)
        assert explanation is not None
        head, lines = explanation
        text = "\n".join([f"assert {head}", *lines])
    return normal(text, story) + "\n"


def normal(text: str, story: Any) -> str:
    """With lines that are counted from the story's first one."""
    start = story.__code__.co_firstlineno + 1
    return PLACE.sub(lambda place: f"failures.py:{int(place[1]) - start}", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_is_told_in_these_words(name: str) -> None:
    text = told(name)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


def test_no_golden_text_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


# -- what all of them have in common --------------------------------------------------------------


def kept(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_no_failure_shows_a_sensitive_value(name: str) -> None:
    assert not re.search("4111|s3cret", kept(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_failure_is_plain_text_without_addresses(name: str) -> None:
    """Readable without colour, and the same in every run."""
    text = kept(name)
    assert text.isprintable() or set(filter(lambda c: not c.isprintable(), text)) == {"\n"}
    assert "0x" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_assertion_shows_every_emission_with_its_place(name: str) -> None:
    """Each on a line of its own, numbered; nothing is cut short."""
    text = kept(name)
    if text.startswith("ExpectationError"):
        return
    assert "..." not in text.replace("saw(...)", "")
    _, _, log = text.partition("emitted (")
    count, _, lines = log.partition("):\n")
    numbered = [
        re.match(rf"{n:>5}  \S.*  failures\.py:\d+( |$)", line)
        for n, line in enumerate(lines.splitlines(), 1)
    ]
    assert all(numbered)
    assert len(numbered) == int(count or 0)
    assert numbered or text.endswith("\nnothing was emitted\n")


@pytest.mark.parametrize("name", FAILURES)
def test_an_expectation_error_says_what_to_do(name: str) -> None:
    """In one line: what, what is wrong with it, and the way out."""
    text = kept(name)
    if text.startswith("ExpectationError"):
        assert text.count("\n") == 1
        assert re.search(
            r"\. (?:Call|Declare|Did you mean|Give|Its fields|It stands|Name|Pass|Say) ", text
        )


# -- long ones ------------------------------------------------------------------------------------


def test_a_log_is_cut_after_five_hundred_and_says_so() -> None:
    with expect_effects(exhaustive=False) as fx:
        fx.emit_all(map(NotifyWarehouse, range(LIMIT + 3)))
    lines = log(fx.tape)
    assert len(lines) == 1 + LIMIT + 1
    assert lines[0] == f"emitted ({LIMIT + 3}):"
    assert lines[-1] == "  ... and 3 more"
    assert LIMIT >= 200


def test_long_values_are_shown_as_a_whole() -> None:
    """They stand out of the column; the others are aligned."""
    words = "word " * 100
    with expect_effects(exhaustive=False) as fx:
        fx.emit_all([SendEmail("ada@example.org", words), NotifyWarehouse(1)])
    assert words in log(fx.tape)[1]
    assert log(fx.tape)[2].index("test_failures.py") < 100


def test_a_comparison_of_thousands_is_told_in_time() -> None:
    """Beyond a size, step by step instead of along what they have in common."""
    emitted = EffectBuffer(map(NotifyWarehouse, range(3_000)))
    expected = [NotifyWarehouse(i) for i in range(3_001) if i != 5]
    explanation = explained("==", emitted, expected)
    assert explanation is not None
    assert explanation[0] == "EffectBuffer of 3000 effects == list of 3000 effects"
    assert len(explanation[1]) >= 3_000


# -- what is not explained ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "left", "right"),
    [
        ("==", 3, 4),
        ("==", NotifyWarehouse(1), 4),
        ("in", 3, EffectBuffer()),
        ("in", NotifyWarehouse(1), [NotifyWarehouse(2)]),
    ],
)
def test_what_is_not_about_effects_is_left_to_pytest(op: str, left: object, right: object) -> None:
    assert explained(op, left, right) is None


def test_an_explanation_is_no_look_at_the_values() -> None:
    """A failed comparison asserts nothing."""
    with expect_effects(exhaustive=False) as fx:
        fx.emit(NotifyWarehouse(1))
        for op, left in (("==", [NotifyWarehouse(2)]), ("in", NotifyWarehouse(2))):
            assert explained(op, left, fx) is not None
    assert fx.unasserted == [NotifyWarehouse(1)]
