"""What people are told when a test fails: every shape of it, kept in ``golden/``.

To accept new texts, run these tests with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference. Lines
are counted from the story that fails, in ``failures.py``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airlock import EffectBuffer
from airlock.errors import ExpectationError
from airlock.testing import expect_effects, like
from airlock.testing.bounded import LINES, LONGEST
from airlock.testing.comparison import explained
from airlock.testing.explain import log
from tests.testing.failures import COMPARISONS, FAILURES, recorded
from tests.testing.vocabulary import Line, Money, NotifyWarehouse, PlaceOrder, SendEmail

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
    if text.startswith("ExpectationError") or name == "two_hundred_and_fifty_of_them":
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


def many(start: int, stop: int) -> list[NotifyWarehouse]:
    return [NotifyWarehouse(i) for i in range(start, stop)]


def test_a_long_log_shows_both_ends_and_says_so() -> None:
    fx = recorded(*many(0, 10_000))
    lines = log(fx.tape)
    assert len(lines) == LINES == 50
    assert lines[0] == "emitted (10000):"
    assert lines[1].startswith("    1  NotifyWarehouse(order_id=0, ")
    assert "       ... 9,952 more ..." in lines
    assert lines[-1].startswith("  10000  NotifyWarehouse(order_id=9999, ")


def test_values_of_some_hundreds_of_characters_are_shown_as_a_whole() -> None:
    """They stand out of the column; the others are aligned."""
    words = "word " * 100
    fx = recorded(SendEmail("ada@example.org", words), NotifyWarehouse(1))
    assert words in log(fx.tape)[1]
    assert log(fx.tape)[2].index("failures.py") < 100


def test_the_middle_of_longer_values_is_left_out() -> None:
    fx = recorded(SendEmail("ada@example.org", "word " * 10_000))
    assert len(log(fx.tape)[1]) < LONGEST + 200
    assert re.search(r" \.\.\. 49,\d\d\d characters \.\.\. ", log(fx.tape)[1])


N = 8_000
LARGE: dict[str, tuple[Any, Any]] = {
    "one more": (many(0, N), many(0, N - 1)),
    "one missing in the middle": (many(0, N), many(0, N // 2) + many(N // 2 + 1, N)),
    "one that differs": (many(0, N), [*many(0, 99), NotifyWarehouse(-1), *many(100, N)]),
    "all moved by one": (many(0, N), many(1, N + 1)),
    "all different": (many(0, N), many(N, 2 * N)),
    "reordered": (many(0, N), many(0, N)[::-1]),
    "shuffled by pairs": (many(0, N), [NotifyWarehouse(i ^ 1) for i in range(N)]),
    "likes": (many(0, N), [like(NotifyWarehouse, order_id=i + 1) for i in range(N)]),
    "other classes": (many(0, N), [SendEmail(str(i)) for i in range(N)]),
    "classes in turn": (
        many(0, N),
        [each for i in range(N // 2) for each in (SendEmail("ada"), NotifyWarehouse(-i))],
    ),
    "equal values": ([NotifyWarehouse(1)] * N, [NotifyWarehouse(1), NotifyWarehouse(2)] * (N // 2)),
    "nothing expected": (many(0, N), []),
}


def calls(emitted: list[Any], expected: list[Any]) -> tuple[int, list[str]]:
    """How many functions an explanation calls, those in C too, and its lines."""
    buffer, count = EffectBuffer(emitted), 0

    def counting(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        explanation = explained("==", buffer, expected)
    finally:
        sys.setprofile(before)
    assert explanation is not None
    return count, explanation[1]


@pytest.mark.parametrize("name", LARGE)
def test_the_cost_of_a_comparison_grows_with_its_length(name: str) -> None:
    """And its text does not."""
    emitted, expected = LARGE[name]
    few, _ = calls(emitted[: N // 4], expected[: N // 4])
    many, lines = calls(emitted, expected)
    assert many < 5 * max(few, 4 * N)
    assert 2 <= len(lines) <= 2 * LINES + 2


@pytest.mark.parametrize(
    "name",
    ["all moved by one", "all different", "likes", "other classes", "classes in turn"],
)
def test_an_assertion_of_thousands_says_what_is_missing_in_some_lines(name: str) -> None:
    emitted, expected = LARGE[name]
    fx = recorded(*emitted)
    with pytest.raises(AssertionError) as caught:
        fx.saw(*expected)
    assert len(str(caught.value).splitlines()) < 150


def test_equal_runs_are_collapsed_where_there_are_many() -> None:
    """What differs is shown with what is around it."""
    emitted, expected = LARGE["one missing in the middle"]
    _, lines = calls(emitted, expected)
    assert [line.strip().split("  ")[0] for line in lines] == [
        "8000 emitted, 7999 expected:",
        *(f"NotifyWarehouse(order_id={i}, urgent=False)" for i in (0, 1, 2)),
        "... 3,994 as expected ...",
        *(f"NotifyWarehouse(order_id={i}, urgent=False)" for i in (3997, 3998, 3999)),
        "+ NotifyWarehouse(order_id=4000, urgent=False)",
        *(f"NotifyWarehouse(order_id={i}, urgent=False)" for i in (4001, 4002, 4003)),
        "... 3,993 as expected ...",
        *(f"NotifyWarehouse(order_id={i}, urgent=False)" for i in (7997, 7998, 7999)),
    ]


def test_long_texts_are_shown_where_they_begin_to_differ() -> None:
    one, other = ("x" * 5_000 + end + "y" * 5_000 for end in "ab")
    found = explained("==", SendEmail("ada", body=one), SendEmail("ada", body=other))
    assert found is not None
    [line] = found[1]
    assert line.startswith("  body, around character 5,001: expected 'xxxx")
    assert "xbyyy" in line
    assert "xayyy" in line
    assert len(line) < 300


def test_a_value_with_thousands_of_differences_shows_some() -> None:
    one, other = (PlaceOrder(1, Money(7), (Line(name),) * N) for name in ("fig", "pear"))
    found = explained("==", EffectBuffer([one]), [other])
    assert found is not None
    assert len(found[1]) < 20
    assert found[1][-1].strip() == "... and 7,990 more"


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
