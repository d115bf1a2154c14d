"""What tells two values apart: named by path, complete, and without sensitive values."""

from __future__ import annotations

import copy
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock import Json, field, intent
from airlock.testing import any_value, gt, like
from airlock.testing.differences import differences, in_common
from airlock.testing.explain import nearest, unlike
from tests.testing.vocabulary import (
    Account,
    ChargeCard,
    Line,
    Money,
    NotifyWarehouse,
    OpenAccount,
    PlaceOrder,
    PostWebhook,
    SendEmail,
    SendReceipt,
    Tag,
)


def told(expected: object, got: object) -> list[str]:
    return list(map(str, differences(expected, got)))


ORDER = PlaceOrder(1, Money(7), (Line("apple", Money(1)), Line("pear", Money(6))))


def order(**changes: Any) -> PlaceOrder:
    return attrs.evolve(ORDER, **changes)  # type: ignore[misc]


CASES: dict[str, tuple[object, object, list[str]]] = {
    "equal values": (ORDER, copy.copy(ORDER), []),
    "one field": (NotifyWarehouse(1), NotifyWarehouse(2), ["order_id: expected 1, got 2"]),
    "several fields": (
        NotifyWarehouse(1),
        NotifyWarehouse(2, urgent=True),
        ["order_id: expected 1, got 2", "urgent: expected False, got True"],
    ),
    "a nested field": (
        ORDER,
        order(total=Money(7, "USD")),
        ["total.currency: expected 'EUR', got 'USD'"],
    ),
    "an element of a tuple": (
        ORDER,
        order(lines=(Line("apple", Money(2)), ORDER.lines[1])),
        ["lines[0].price.amount: expected 1, got 2"],
    ),
    "an element too few": (
        ORDER,
        order(lines=ORDER.lines[1:]),
        [
            "lines[0]: expected Line(sku='apple', price=Money(amount=1, currency='EUR')), got nothing"
        ],
    ),
    "an element too many": (
        order(lines=ORDER.lines[:1]),
        ORDER,
        ["lines[1]: expected nothing, got Line(sku='pear', price=Money(amount=6, currency='EUR'))"],
    ),
    "all elements": (
        order(lines=()),
        order(lines=(Line("fig"),)),
        ["lines[0]: expected nothing, got Line(sku='fig', price=Money(amount=0, currency='EUR'))"],
    ),
    "tuples in tuples": (((1, 2), (3, 4)), ((1, 2), (3, 5)), ["[1][1]: expected 4, got 5"]),
    "documents": (
        PostWebhook("/", Json({"a": {"b": [1, 2]}, "c": 1})),
        PostWebhook("/", Json({"a": {"b": [1, 3]}, "d": 1})),
        [
            "body['a']['b'][1]: expected 2, got 3",
            "body['c']: expected 1, got nothing",
            "body['d']: expected nothing, got 1",
        ],
    ),
    "keys with braces": ({"{0}": [1]}, {"{0}": [2]}, ["['{0}'][0]: expected 1, got 2"]),
    "sets": (
        Tag(frozenset("ab")),
        Tag(frozenset("ca")),
        ["names: expected frozenset({'a', 'b'}), got frozenset({'a', 'c'})"],
    ),
    "lines of a text": (
        SendEmail("ada", body="Dear Ada,\nyour order 41\nis here"),
        SendEmail("ada", body="Dear Ada,\nyour order 42\nis here"),
        ["body, line 2: expected 'your order 41', got 'your order 42'"],
    ),
    "the last line of a text": (
        "one\ntwo",
        "one\ntwo\nthree",
        ["text, line 3: expected nothing, got 'three'"],
    ),
    "the end of the last line": ("one\n", "one", [r"value: expected 'one\n', got 'one'"]),
    "kinds of line ends": ("a\nb", "a\r\nb", [r"value: expected 'a\nb', got 'a\r\nb'"]),
    "texts of one line": ("one", "two", ["value: expected 'one', got 'two'"]),
    "bytes": (b"one", b"two", ["value: expected b'one', got b'two'"]),
    "classes": (
        SendReceipt("ada"),
        SendEmail("ada"),
        ["class: expected SendReceipt, got SendEmail"],
    ),
    "nested classes": (
        {"a": Tag()},
        {"a": Money(1)},
        [
            "['a']: expected Tag(names=frozenset()), got Money(amount=1, currency='EUR')",
        ],
    ),
    "a tuple and a list": ((1, 2), [1, 2], ["value: expected (1, 2), got [1, 2]"]),
    "other kinds of values": (1, "1", ["value: expected 1, got '1'"]),
    "sensitive fields": (
        ChargeCard("4111 1", 1),
        ChargeCard("4111 2", 2),
        ["card: differs, and is shown as <hidden>", "amount: expected 1, got 2"],
    ),
    "nested sensitive fields": (
        OpenAccount(Account("ada", "s3cret 1")),
        OpenAccount(Account("ada", "s3cret 2")),
        ["account.password: differs, and is shown as <hidden>"],
    ),
    "matchers": (
        (gt(1), any_value, gt(9)),
        (2, None, 3),
        ["[2]: expected gt(9), got 3"],
    ),
    "values of the same look": (
        [type("A", (), {"__repr__": lambda _: "A()"})()],
        [type("A", (), {"__repr__": lambda _: "A()"})()],
        ["[0]: differs, and is shown as A()"],
    ),
}


@pytest.mark.parametrize(("expected", "got", "lines"), CASES.values(), ids=list(CASES))
def test_values_are_told_apart(expected: object, got: object, lines: list[str]) -> None:
    assert told(expected, got) == lines


def test_a_field_that_does_not_count_in_comparisons_is_no_difference() -> None:
    @intent(kind="tests.testing.noted")
    class Noted:
        text: str
        note: str = field(eq=False, hash=False)

    assert told(Noted("a", "one"), Noted("b", "two")) == ["text: expected 'a', got 'b'"]


def test_a_field_is_shown_as_its_repr_shows_it() -> None:
    @intent(kind="tests.testing.shortened")
    class Shortened:
        card: str = field(repr=lambda card: f"...{card[-2:]}")
        pin: str = field(repr=False)

    assert told(Shortened("4111 22", "1"), Shortened("4111 33", "2")) == [
        "card: expected ...22, got ...33",
        "pin: differs, and is shown as <hidden>",
    ]


def test_an_eq_that_raises_is_a_difference() -> None:
    """While a failure is explained, nothing else is to fail."""

    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

        def __repr__(self) -> str:
            return "array"

    assert told((Array(), 1), (Array(), 2)) == [
        "[0]: differs, and is shown as array",
        "[1]: expected 1, got 2",
    ]


values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b", "a\nb", "a\nc"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
        | st.builds(Line, sku=inner, price=inner)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(values, values)
def test_there_is_a_difference_unless_values_are_equal(expected: Any, got: Any) -> None:
    assert (told(expected, got) == []) == (expected == got)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_what_sequences_have_in_common_is_theirs_once(one: list[int], other: list[int]) -> None:
    """Their beginning and their end do not overlap, in either of them."""
    begin, end = in_common(one, other)
    assert one[:begin] == other[:begin]
    assert one[len(one) - end :] == other[len(other) - end :]
    assert begin + end <= min(len(one), len(other))
    if begin + end < min(len(one), len(other)):
        assert one[begin] != other[begin]
        assert one[-1 - end] != other[-1 - end]


# -- expectations ---------------------------------------------------------------------------------


def missed(expected: object, got: object) -> list[str]:
    return list(map(str, unlike(expected, got)))


def test_an_expectation_is_told_by_the_fields_that_it_names() -> None:
    expected = like(PlaceOrder, order_id=gt(1), lines=any_value)
    assert missed(expected, ORDER) == ["order_id: expected gt(1), got 1"]


def test_a_nested_expectation_is_told_by_its_own_fields() -> None:
    expected = like(PlaceOrder, total=like(Money, amount=8, currency="USD"))
    assert missed(expected, ORDER) == [
        "total.amount: expected 8, got 7",
        "total.currency: expected 'USD', got 'EUR'",
    ]


def test_nested_expectations_in_a_tuple_are_told_as_a_whole() -> None:
    expected = like(PlaceOrder, lines=(like(Line, sku="apple"), like(Line, sku="plum")))
    assert missed(expected, ORDER) == [
        f"lines[1]: expected like(Line, sku='plum'), got {ORDER.lines[1]}",
    ]


def test_the_nearest_has_the_fewest_differences() -> None:
    """Of its class or a subclass; the first of several."""
    among = [
        NotifyWarehouse(1),
        SendEmail("bob@example.org"),
        SendReceipt("ada@example.org", "Hi"),
        SendEmail("ada@example.org", "Ho"),
    ]
    found = nearest(like(SendEmail, to="ada@example.org", subject="Hey"), among)  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == 2
    assert list(map(str, found[1])) == ["subject: expected 'Hey', got 'Hi'"]
    assert nearest(like(PostWebhook), among) is None  # type: ignore[arg-type]
