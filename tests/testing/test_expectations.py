"""What a test may write as an expectation, what it means, and that it has to be looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

import airlock
from airlock import EffectBuffer, Json, field, intent
from airlock.errors import DeclarationError, ExpectationError
from airlock.testing import (
    Expectation,
    any_order,
    any_value,
    contains,
    expect_effects,
    gt,
    in_order,
    like,
    lt,
    matching,
    never,
    one_of,
)
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
    restock,
)

# -- like -----------------------------------------------------------------------------------------


def test_like_equals_the_intents_of_a_class_and_its_subclasses() -> None:
    assert like(SendEmail) == SendEmail("ada@example.org")
    assert like(SendEmail) == SendReceipt("ada@example.org")
    assert like(SendReceipt) != SendEmail("ada@example.org")
    assert like(SendEmail) != NotifyWarehouse(1)


def test_like_equals_by_the_fields_that_are_named() -> None:
    assert like(NotifyWarehouse, order_id=1) == NotifyWarehouse(1, urgent=True)
    assert like(NotifyWarehouse, order_id=1, urgent=False) != NotifyWarehouse(1, urgent=True)


def test_like_stands_on_either_side_and_in_lists() -> None:
    assert NotifyWarehouse(1) == like(NotifyWarehouse)
    assert EffectBuffer([NotifyWarehouse(1)]) == [like(NotifyWarehouse)]
    assert [like(NotifyWarehouse, order_id=1)] == EffectBuffer([NotifyWarehouse(1)])
    assert [like(NotifyWarehouse, order_id=2)] != EffectBuffer([NotifyWarehouse(1)])


def test_like_never_constructs_the_intent() -> None:
    """So that its validators, converters and mandatory fields do not get in the way."""

    def refused(*_: object) -> Any:
        pytest.fail("constructed")

    @intent(kind="tests.testing.picky")
    class Picky:
        order_id: int = field(validator=refused)
        name: str = field(converter=refused)

    assert repr(like(Picky, order_id="?")) == "like(Picky, order_id='?')"


def test_like_names_a_field_by_its_alias_too() -> None:
    @intent(kind="tests.testing.aliased")
    class Aliased:
        number: int = field(alias="no")

    assert like(Aliased, no=7) == Aliased(no=7)
    assert like(Aliased, number=7) == Aliased(no=7)
    assert repr(like(Aliased, no=7)) == "like(Aliased, number=7)"


def test_like_of_an_effect_function_is_of_its_calls() -> None:
    assert like(restock, product_id=gt(6)) == restock.intent(7)
    assert like(restock, product_id=gt(7)) != restock.intent(7)


def test_like_of_a_value_is_that_value() -> None:
    """For ``.times``, which a value has not."""
    assert like(NotifyWarehouse(1)) == NotifyWarehouse(1)
    assert like(NotifyWarehouse(1)) != NotifyWarehouse(1, urgent=True)
    assert repr(like(NotifyWarehouse(1)).times(2)) == f"{NotifyWarehouse(1)!r}.times(2)"


def test_like_in_a_field_is_of_any_attrs_class() -> None:
    nested = like(PlaceOrder, total=like(Money, amount=gt(5)), lines=(like(Line, sku="fig"),))
    assert nested == PlaceOrder(1, Money(6), (Line("fig", Money(6)),))
    assert nested != PlaceOrder(1, Money(5), (Line("fig", Money(6)),))
    assert nested != PlaceOrder(1, Money(6), (Line("nut", Money(6)),))


def test_like_compares_documents_with_plain_values() -> None:
    """And with a document, where one is given."""
    posted = PostWebhook("/hook", Json({"order": 42, "lines": [1, 2]}))
    assert like(PostWebhook, body={"order": gt(41), "lines": [1, any_value]}) == posted
    assert like(PostWebhook, body=contains("order")) == posted
    assert like(PostWebhook, body=Json({"order": 42, "lines": [1, 2]})) == posted
    assert like(PostWebhook, body={"order": 42}) != posted


VALUES: dict[str, Any] = {
    "a value": "order 42",
    "any_value": any_value,
    "contains": contains("42"),
    "matching": matching(r"^order \d+$"),
    "gt": gt("order 41"),
    "lt": lt("order 43"),
    "mock.ANY": mock.ANY,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
def test_whatever_compares_with_a_value_stands_for_it(value: object) -> None:
    assert like(SendEmail, subject=value) == SendEmail("ada@example.org", "order 42")


@pytest.mark.parametrize("value", ["", contains("!"), matching(r"^\d"), gt("p"), lt("o"), None])
def test_what_compares_otherwise_does_not(value: object) -> None:
    assert like(SendEmail, subject=value) != SendEmail("ada@example.org", "order 42")


def test_approximations_of_other_libraries_stand_for_values() -> None:
    assert like(NotifyWarehouse, order_id=pytest.approx(41.9999999)) == NotifyWarehouse(42)


def test_an_expectation_is_not_hashable() -> None:
    """It equals values of different hashes."""
    for expectation in (like(NotifyWarehouse), like(NotifyWarehouse(1))):
        with pytest.raises(TypeError, match="unhashable"):
            hash(expectation)


# -- how it is shown ------------------------------------------------------------------------------

WRITTEN: dict[str, Callable[[], Expectation]] = {
    "like(NotifyWarehouse)": lambda: like(NotifyWarehouse),
    "like(NotifyWarehouse, order_id=gt(5))": lambda: like(NotifyWarehouse, order_id=gt(5)),
    "like(NotifyWarehouse).times(2)": lambda: like(NotifyWarehouse).times(2),
    "like(NotifyWarehouse).times(0, 2)": lambda: like(NotifyWarehouse).times(0, 2),
    "like(NotifyWarehouse).times(1, None)": lambda: like(NotifyWarehouse).times(1, None),
    "like(NotifyWarehouse).optional()": lambda: like(NotifyWarehouse).times(0, 1),
    "in_order(like(SendEmail), like(NotifyWarehouse)).optional()": lambda: in_order(
        SendEmail, NotifyWarehouse
    ).optional(),
    "any_order(like(restock), never(like(SendEmail)))": lambda: any_order(
        restock, never(SendEmail)
    ),
    "one_of(like(SendEmail), any_order(like(Tag)))": lambda: one_of(SendEmail, any_order(Tag)),
    "like(Tag, names=frozenset({'a', 'b', 'c'}))": lambda: like(Tag, names=frozenset("cab")),
    "like(PlaceOrder, total=like(Money, amount=lt(3)))": lambda: like(
        PlaceOrder, total=like(Money, amount=lt(3))
    ),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_an_expectation_is_shown_as_it_is_written(written: str) -> None:
    assert repr(WRITTEN[written]()) == written


@pytest.mark.parametrize(
    "secret",
    [
        "4111",
        contains("4111"),
        matching("4111"),
        gt("4111"),
        lt("4111"),
        mock.call("4111"),
    ],
)
def test_what_is_expected_of_a_sensitive_field_is_hidden(secret: Any) -> None:
    assert repr(like(ChargeCard, card=secret)) == "like(ChargeCard, card=<hidden>)"
    nested = like(OpenAccount, account=like(Account, password=secret))
    assert repr(nested) == "like(OpenAccount, account=like(Account, password=<hidden>))"


def test_a_matcher_of_a_field_with_a_repr_of_its_own_is_hidden_where_that_fails() -> None:
    """It was made for the values of the field, and it is there to hide some of them."""

    @intent(kind="tests.testing.masked")
    class Masked:
        card: str = field(repr=lambda card: card[:4] + "...")

    assert repr(like(Masked, card="4929 1234")) == "like(Masked, card=4929...)"
    assert repr(like(Masked, card=contains("1234"))) == "like(Masked, card=<hidden>)"


# -- several --------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [in_order, any_order, one_of])
def test_parts_are_values_classes_functions_and_expectations(
    several: Callable[..., Expectation],
) -> None:
    made = several(SendEmail("ada@example.org"), NotifyWarehouse, restock, like(Tag).optional())
    assert repr(made) == (
        f"{several.__name__}({SendEmail('ada@example.org')!r}, like(NotifyWarehouse), "
        "like(restock), like(Tag).optional())"
    )


def met(*expected: Any, by: list[Any]) -> bool:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit_all(by)
        try:
            fx.saw(*expected)
        except AssertionError:
            return False
    return True


A, B, C = map(NotifyWarehouse, (1, 2, 3))


def test_in_order_is_met_by_parts_one_after_the_other() -> None:
    assert met(in_order(A, C), by=[A, B, C])
    assert not met(in_order(C, A), by=[A, B, C])


def test_any_order_is_met_by_parts_in_any_order() -> None:
    assert met(any_order(C, A), by=[A, B, C])
    assert not met(any_order(A, A), by=[A, B, C])


def test_one_of_is_met_by_one_part() -> None:
    assert met(one_of(SendEmail, C), by=[A, C])
    assert not met(one_of(SendEmail, C), by=[A, B])


def test_times_is_met_by_so_many() -> None:
    """More are left over."""
    assert met(like(A).times(2), by=[A, B, A])
    assert not met(like(A).times(2), by=[A, B])
    assert met(like(A).times(1, 2), by=[A])
    assert met(like(A).times(1, None), by=[A, A, A])
    assert met(in_order(A, B).times(2), by=[A, B, A, B])
    assert not met(in_order(A, B).times(2), by=[A, A, B, B])


def test_optional_is_met_by_one_or_nothing() -> None:
    assert met(like(A).optional(), by=[A])
    assert met(like(A).optional(), by=[B])


def test_never_is_met_by_nothing() -> None:
    """In ``in_order``, by nothing between its neighbours."""
    assert met(never(A), by=[B])
    assert not met(never(A), by=[B, A])
    assert met(in_order(B, never(A), C), by=[A, B, C, A])
    assert not met(in_order(B, never(A), C), by=[B, A, C])
    assert not met(in_order(never(A), B), by=[A, B])
    assert not met(in_order(B, never(A)), by=[B, A])
    assert not met(in_order(B, never(A), like(SendEmail).optional(), C), by=[B, A, C])


def test_parts_nest() -> None:
    paid = in_order(any_order(A, B), one_of(C, SendEmail))
    assert met(paid, by=[B, A, C])
    assert met(paid.times(2), by=[B, A, C, A, B, SendEmail("ada@example.org")])
    assert not met(paid, by=[B, C, A])


def test_a_leaf_is_met_by_an_emission_of_its_own() -> None:
    assert met(NotifyWarehouse, A, by=[A, B])
    assert met(A, NotifyWarehouse, by=[A, B])
    assert not met(NotifyWarehouse, A, by=[A])


# -- what makes no sense --------------------------------------------------------------------------


def test_an_expectation_error_is_a_mistake_in_the_declaration() -> None:
    """Not a failed assertion: no program can meet it."""
    with pytest.raises(DeclarationError) as caught:
        like(NotifyWarehouse, oder_id=42)
    assert caught.type is ExpectationError
    assert not isinstance(caught.value, AssertionError)


MISSPELT: dict[str, Callable[[], object]] = {
    "order_id": lambda: like(NotifyWarehouse, oder_id=1),
    "amount": lambda: like(PlaceOrder, total=like(Money, amuont=1)),
    "product_id": lambda: like(restock, prodcut_id=1),
}


@pytest.mark.parametrize("meant", MISSPELT)
def test_a_misspelt_field_is_told_with_the_name_that_was_probably_meant(meant: str) -> None:
    with pytest.raises(ExpectationError, match=rf"Did you mean {meant}\?"):
        MISSPELT[meant]()


def test_a_dependency_of_an_effect_function_is_no_field() -> None:
    with pytest.raises(ExpectationError, match="Its fields are: product_id"):
        like(restock, http=None)


@pytest.mark.parametrize("matcher", [gt, lt, contains, matching])
def test_a_matcher_that_was_not_called_is_refused(matcher: Callable[..., Any]) -> None:
    with pytest.raises(ExpectationError, match=rf"Call it: order_id={matcher.__name__}\(...\)"):
        like(NotifyWarehouse, order_id=matcher)


@pytest.mark.parametrize("counts", [(0,), (0, 0), (-1,), (1.5,), ("2",), (1, -1), (3, 1), (2, 0)])
def test_numbers_of_times_make_sense(counts: tuple[Any, ...]) -> None:
    with pytest.raises(ExpectationError, match=r"like\(NotifyWarehouse\)\.times\("):
        like(NotifyWarehouse).times(*counts)


@pytest.mark.parametrize("again", [lambda n: n.times(2), lambda n: n.optional()])
def test_never_is_neither_repeated_nor_optional(again: Callable[[Expectation], object]) -> None:
    with pytest.raises(ExpectationError, match="makes no sense"):
        again(never(NotifyWarehouse))


@pytest.mark.parametrize(
    "several", [in_order(A, B), like(A).times(2), one_of(A, B), never(A), any_order(A)]
)
def test_never_is_of_a_single_effect(several: Expectation) -> None:
    with pytest.raises(ExpectationError, match="is of several effects"):
        never(several)


NO_INTENTS: list[Any] = [42, "shop.notify", None, object, Money(1), Money, [A], (A,), any_value]
TAKERS: dict[str, Callable[[Any], object]] = {
    "in_order": in_order,
    "any_order": any_order,
    "one_of": one_of,
    "never": never,
    "expect_effects": expect_effects,
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("value", NO_INTENTS, ids=repr)
def test_what_is_no_intent_is_never_emitted_and_cannot_be_expected(
    taker: str, value: object
) -> None:
    with pytest.raises(ExpectationError, match=rf"^{taker}\(.*is about no intent"):
        TAKERS[taker](value)


def test_an_undecorated_subclass_is_no_intent() -> None:
    class Loud(NotifyWarehouse):
        pass

    with pytest.raises(ExpectationError, match="is about no intent"):
        in_order(Loud)


def test_a_list_is_told_to_be_given_one_by_one() -> None:
    for several in ([A, B], (A, B), EffectBuffer([A, B])):
        with pytest.raises(ExpectationError, match=r"one by one, in_order\(\*intents\)"):
            in_order(several)


# -- expectations that were written, and never looked for -----------------------------------------

UNUSED: dict[str, Callable[[], object]] = {
    "like": lambda: like(NotifyWarehouse),
    "like of a value": lambda: like(A),
    "times": lambda: like(NotifyWarehouse).times(2),
    "in_order": lambda: in_order(A, like(SendEmail)),
    "nested": lambda: like(PlaceOrder, total=like(Money, amount=1), lines=(like(Line),)),
    "never": lambda: never(like(SendEmail)),
}


@pytest.mark.parametrize("write", UNUSED.values(), ids=list(UNUSED))
def test_an_expectation_that_nothing_looks_for_fails_the_test(write: Callable[[], object]) -> None:
    """Once, as a whole: it would pass whatever happened."""
    written: list[object] = []

    def block() -> None:
        with expect_effects():
            written.append(write())

    with pytest.raises(ExpectationError) as caught:
        block()
    assert str(caught.value).startswith(f"{written[0]!r} of ")
    assert str(caught.value).count(" was never looked for") == 1


USED: dict[str, Callable[[Any], object]] = {
    "saw": lambda fx: fx.saw(like(NotifyWarehouse)),
    "saw, as a part": lambda fx: fx.saw(in_order(like(NotifyWarehouse).times(1))),
    "==": lambda fx: fx == [like(NotifyWarehouse)],
    "== of a value": lambda fx: fx == [like(A)],
    "== of an intent": lambda fx: fx.one(NotifyWarehouse) == like(NotifyWarehouse),
    "in": lambda fx: like(NotifyWarehouse) in fx,
    "one": lambda fx: fx.one(NotifyWarehouse),
    "nested": lambda fx: fx.saw(NotifyWarehouse, like(PlaceOrder, total=like(Money)).optional()),
    "never": lambda fx: fx.saw(NotifyWarehouse, never(like(SendEmail))),
}


@pytest.mark.parametrize("use", USED.values(), ids=list(USED))
def test_an_expectation_that_something_looked_for_does_not(use: Callable[[Any], object]) -> None:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(A)
        use(fx)


def test_expectations_of_a_block_inside_are_looked_for_by_it() -> None:
    """Though they were written while the outer one recorded."""
    with expect_effects(), expect_effects(like(NotifyWarehouse), never(SendEmail)):
        airlock.emit(A)


def test_what_a_failed_block_left_unused_is_not_told() -> None:
    """The error is what matters."""

    def block() -> None:
        with expect_effects():
            like(NotifyWarehouse)
            raise KeyError

    with pytest.raises(KeyError):
        block()


def test_expectations_written_outside_of_recordings_are_nobodys() -> None:
    """As constants of a test module are."""
    shared = like(NotifyWarehouse)
    with expect_effects():
        pass
    with expect_effects(shared):
        airlock.emit(A)
    with expect_effects(shared):
        airlock.emit(B)
