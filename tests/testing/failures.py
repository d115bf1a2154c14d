"""Tests that fail, each in one way. What they are told is kept in ``golden/``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import airlock
from airlock import Boundary, Dedupe, Drop, EffectBuffer, Hold, Json, intent, replace
from airlock.errors import FlushError
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.testing import (
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
    Done,
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

Story = Callable[[], object]
Comparison = Callable[[], tuple[str, Any, Any]]

FAILURES: dict[str, Story] = {}
"""By name: a test that fails."""

COMPARISONS: dict[str, Comparison] = {}
"""By name: operator, left and right of an ``assert`` that fails."""


def fails(story: Story) -> Story:
    FAILURES[story.__name__] = story
    return story


def compares(story: Comparison) -> Comparison:
    COMPARISONS[story.__name__] = story
    return story


def recorded(*intents: Any) -> Any:
    """A recording of them, whose block is over."""
    with expect_effects(exhaustive=False) as fx:
        fx.emit_all(intents)
    return fx


# -- something is missing -------------------------------------------------------------------------


@fails
def missing_with_a_nearest_miss() -> None:
    with expect_effects() as fx:
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(41))
        airlock.emit(NotifyWarehouse(40, urgent=True))
        fx.saw(NotifyWarehouse(42))


@fails
def missing_fields_of_like() -> None:
    with expect_effects() as fx:
        airlock.emit(SendEmail("ada@example.org", "Your order 41", "Dear Ada"))
        fx.saw(
            like(
                SendEmail, to=contains("@shop"), subject=matching(r"order \d\d\d"), body="Dear Ada"
            )
        )


@fails
def missing_and_the_nearest_is_expected_elsewhere() -> None:
    with expect_effects(NotifyWarehouse(41), NotifyWarehouse(43)):
        airlock.emit(NotifyWarehouse(41))
        airlock.emit(NotifyWarehouse(41, urgent=True))


@fails
def missing_when_nothing_was_emitted() -> None:
    with expect_effects(NotifyWarehouse(42)):
        pass


@fails
def missing_when_the_class_was_never_emitted() -> None:
    with expect_effects(SendEmail("ada@example.org")):
        airlock.emit(NotifyWarehouse(42))


@fails
def missing_when_a_class_of_a_similar_name_was_emitted() -> None:
    @intent(kind="tests.testing.send-mail")
    class SendMail:
        to: str

    with expect_effects(SendEmail("ada@example.org")):
        airlock.emit(SendMail("ada@example.org"))


@fails
def missing_when_the_base_class_was_emitted() -> None:
    with expect_effects(SendReceipt):
        airlock.emit(SendEmail("ada@example.org"))


@fails
def missing_several() -> None:
    with expect_effects(NotifyWarehouse(42), SendEmail, ChargeCard("4111", 7)):
        airlock.emit(ChargeCard("4111", 8))
        airlock.emit(NotifyWarehouse(41))


@fails
def missing_because_it_was_dropped() -> None:
    with expect_effects() as fx:
        with Done().boundary().scope(policy=Drop(NotifyWarehouse)):
            airlock.emit(NotifyWarehouse(42))
        fx.saw(NotifyWarehouse(42))


@fails
def missing_because_it_was_merged() -> None:
    with expect_effects() as fx:
        with Done().boundary().scope(policy=Dedupe(NotifyWarehouse)):
            airlock.emit(NotifyWarehouse(42))
            airlock.emit(NotifyWarehouse(42))
        fx.saw(like(NotifyWarehouse).times(2))


@fails
def missing_because_it_is_held() -> None:
    with expect_effects() as fx:
        with Done().boundary().scope(policy=Hold()):
            airlock.emit(NotifyWarehouse(42))
        fx.saw(NotifyWarehouse)


@fails
def missing_because_a_function_decided() -> None:
    def quiet_hours(view: airlock.View) -> Sequence[airlock.Verdict]:
        return [airlock.DROP] * len(view)

    with expect_effects() as fx:
        with Done().boundary().scope(policy=quiet_hours):
            airlock.emit(SendEmail("ada@example.org"))
        fx.saw(SendEmail)


@fails
def missing_because_its_block_failed() -> None:
    with expect_effects() as fx:
        with contextlib.suppress(KeyError), Done().boundary().scope():
            airlock.emit(NotifyWarehouse(42))
            raise KeyError("stock")
        fx.saw(NotifyWarehouse(42))


@fails
def missing_because_the_transaction_was_rolled_back() -> None:
    connection = connect(":memory:", isolation_level=None)
    with contextlib.closing(connection), expect_effects() as fx:
        with Done().boundary().scope(release=on_commit(connection)):
            connection.execute("BEGIN")
            airlock.emit(NotifyWarehouse(42))
            connection.execute("ROLLBACK")
        fx.saw(NotifyWarehouse(42))


@fails
def missing_because_the_attempt_failed() -> None:
    def charge(_: ChargeCard) -> None:
        airlock.emit(NotifyWarehouse(42))
        raise ConnectionError("bank down")

    with expect_effects(allow=True) as fx:
        boundary = Boundary({ChargeCard: charge, NotifyWarehouse: Done()})
        with contextlib.suppress(FlushError), boundary.scope():
            airlock.emit(ChargeCard("4111", 7))
        fx.saw(NotifyWarehouse(42))


@fails
def missing_beside_what_an_override_drops() -> None:
    with expect_effects(allow=True) as fx:
        scope = Done().boundary().scope()
        with scope, scope.override({SendEmail: None}):
            airlock.emit(SendEmail("ada@example.org"))
        fx.saw(SendEmail("ada@example.org"), NotifyWarehouse(42))


# -- the algebra ----------------------------------------------------------------------------------


@fails
def in_order_in_the_wrong_order() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(ChargeCard("4111", 7))
        fx.saw(in_order(ChargeCard("4111", 7), NotifyWarehouse(42)))


@fails
def in_order_with_a_never_between() -> None:
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111", 7))
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(42))
        fx.saw(in_order(ChargeCard, never(SendEmail), NotifyWarehouse))


@fails
def in_order_with_one_missing() -> None:
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111", 7))
        airlock.emit(NotifyWarehouse(41))
        fx.saw(in_order(ChargeCard, NotifyWarehouse(42), SendEmail))


@fails
def any_order_with_one_missing() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(2))
        airlock.emit(NotifyWarehouse(1))
        fx.saw(any_order(NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(3)))


@fails
def one_of_and_there_is_none() -> None:
    with expect_effects() as fx:
        airlock.emit(SendEmail("ada@example.org"))
        fx.saw(one_of(SendEmail("bob@example.org"), NotifyWarehouse(42)))


@fails
def times_and_there_are_too_few() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(2))
        fx.saw(like(NotifyWarehouse).times(3))


@fails
def times_and_there_are_too_many() -> None:
    with expect_effects(like(NotifyWarehouse).times(1, 2)):
        for order_id in range(4):
            airlock.emit(NotifyWarehouse(order_id))


@fails
def times_of_several_in_order() -> None:
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111", 1))
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(ChargeCard("4111", 2))
        fx.saw(in_order(ChargeCard, NotifyWarehouse).times(2))


@fails
def optional_beside_something_missing() -> None:
    with expect_effects(like(SendEmail).optional(), NotifyWarehouse(42)):
        pass


@fails
def optional_and_there_is_one_too_many() -> None:
    with expect_effects(like(SendEmail).optional()):
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(SendEmail("bob@example.org"))


@fails
def never_and_there_is_one() -> None:
    with expect_effects(NotifyWarehouse, never(like(SendEmail, to=contains("@")))):
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(SendEmail("ada@example.org"))


@fails
def never_and_the_wrong_order() -> None:
    with expect_effects(in_order(ChargeCard, NotifyWarehouse), never(SendEmail)):
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(ChargeCard("4111", 7))
        airlock.emit(SendEmail("ada@example.org"))


@fails
def only_a_never() -> None:
    with expect_effects(never(SendEmail)):
        airlock.emit(SendEmail("ada@example.org"))


@fails
def nested_parts() -> None:
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111", 7))
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(PlaceOrder(1, Money(7)))
        fx.saw(
            in_order(
                any_order(NotifyWarehouse(1), ChargeCard),
                one_of(SendEmail, PostWebhook).optional(),
                any_order(PlaceOrder, like(NotifyWarehouse, order_id=gt(1)).times(2, None)),
                never(OpenAccount),
            )
        )


@fails
def nested_parts_in_the_wrong_order() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(PlaceOrder(1, Money(7)))
        airlock.emit(ChargeCard("4111", 7))
        fx.saw(in_order(any_order(NotifyWarehouse(1), ChargeCard), PlaceOrder))


@fails
def another_part_took_the_only_one() -> None:
    with expect_effects(NotifyWarehouse, like(NotifyWarehouse, order_id=42)):
        airlock.emit(NotifyWarehouse(42))


@fails
def an_earlier_look_took_the_only_one() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(42))
        fx.saw(NotifyWarehouse(42))
        fx.saw(NotifyWarehouse(42))


@fails
def an_optional_part_and_an_order() -> None:
    """What is optional is not called missing."""
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(ChargeCard("4111", 7))
        fx.saw(in_order(ChargeCard, one_of(SendEmail, PostWebhook).optional(), NotifyWarehouse))


@fails
def one_of_and_there_is_half_of_one() -> None:
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111", 7))
        fx.saw(one_of(in_order(ChargeCard, NotifyWarehouse), PostWebhook))


@fails
def the_same_expectation_twice() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(1))
        any_one = like(NotifyWarehouse)
        fx.saw(any_one, any_one)


@fails
def two_parts_and_others_have_all_of_them() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(NotifyWarehouse(2))
        fx.saw(like(NotifyWarehouse).times(2), like(NotifyWarehouse, urgent=False))


@fails
def in_order_with_a_never_elsewhere() -> None:
    with expect_effects() as fx:
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(ChargeCard("4111", 7))
        fx.saw(in_order(ChargeCard, never(SendEmail), NotifyWarehouse))


@fails
def times_in_the_wrong_order() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(NotifyWarehouse(2))
        airlock.emit(ChargeCard("4111", 1))
        airlock.emit(ChargeCard("4111", 2))
        fx.saw(in_order(NotifyWarehouse, ChargeCard).times(2))


@fails
def overlapping_parts_in_the_wrong_order() -> None:
    pairs = [in_order(NotifyWarehouse, NotifyWarehouse) for _ in range(7)]
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111", 7))
        for order_id in range(14):
            airlock.emit(NotifyWarehouse(order_id))
            airlock.emit(SendEmail("ada@example.org"))
        fx.saw(any_order(*pairs, in_order(SendEmail, ChargeCard)))


# -- something is too many ------------------------------------------------------------------------


@fails
def leftovers() -> None:
    with expect_effects(NotifyWarehouse(42)):
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(NotifyWarehouse(42))


@fails
def leftovers_of_a_test_that_expects_nothing() -> None:
    with expect_effects():
        airlock.enqueue(restock, 7)


@fails
def nothing_else_and_there_is_one() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(SendEmail("ada@example.org"))
        fx.saw(NotifyWarehouse)
        fx.nothing_else()


@fails
def one_and_there_is_none() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(41))
        fx.one(NotifyWarehouse, order_id=42)


@fails
def one_and_there_are_several() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(41))
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(42, urgent=True))
        fx.one(NotifyWarehouse)


@fails
def none_and_there_is_one() -> None:
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(SendEmail("ada@example.org"))
        fx.none(SendEmail, to=matching("example"))


# -- what the log tells ---------------------------------------------------------------------------


@fails
def the_log_tells_what_became_of_each() -> None:
    def fetch(email: SendEmail) -> None:
        raise ConnectionError(f"no route to {email.to}")

    with expect_effects(allow=True) as fx:
        boundary = Boundary({SendEmail: fetch, NotifyWarehouse: Done(), ChargeCard: Done()})
        policy = Drop(ChargeCard) & Dedupe(NotifyWarehouse)
        with contextlib.suppress(FlushError), boundary.scope(policy=policy):
            airlock.emit(NotifyWarehouse(42))
            airlock.emit(NotifyWarehouse(42))
            airlock.emit(SendEmail("ada@example.org"))
            airlock.emit(ChargeCard("4111", 7))
        fx.saw(PlaceOrder)


@fails
def two_hundred_and_fifty_of_them() -> None:
    with expect_effects(NotifyWarehouse(250)):
        for order_id in range(250):
            airlock.emit(NotifyWarehouse(order_id))


# -- expectations that make no sense --------------------------------------------------------------


@fails
def an_expectation_that_is_never_used() -> None:
    with expect_effects():
        like(NotifyWarehouse, order_id=42)


@fails
def several_expectations_that_are_never_used() -> None:
    with expect_effects():
        in_order(NotifyWarehouse, SendEmail)
        never(ChargeCard)


@fails
def like_of_an_unknown_field() -> None:
    like(NotifyWarehouse, order=42)


@fails
def like_of_a_field_of_no_known_name() -> None:
    like(NotifyWarehouse, colour="red")


@fails
def like_of_a_class_without_fields() -> None:
    @intent(kind="tests.testing.ping")
    class Ping:
        pass

    like(Ping, host="example.org")


@fails
def like_of_a_value_with_fields() -> None:
    like(NotifyWarehouse(42), urgent=True)


@fails
def like_of_a_matcher_that_is_not_called() -> None:
    like(NotifyWarehouse, order_id=gt)


@fails
def like_of_no_intent() -> None:
    like(dict, a=1)


@fails
def saw_of_an_attrs_class() -> None:
    with expect_effects() as fx:
        fx.saw(like(Money, amount=1))


@fails
def saw_of_an_undeclared_class_of_a_similar_name() -> None:
    class PostWebhok:
        pass

    with expect_effects() as fx:
        fx.saw(PostWebhok)


@fails
def saw_of_a_number() -> None:
    with expect_effects() as fx:
        fx.saw(42)


@fails
def expect_effects_of_a_list() -> None:
    with expect_effects([NotifyWarehouse(42)]):
        pass


@fails
def saw_of_nothing() -> None:
    """A test that passes whatever is emitted, and whose expectations were forgotten."""
    with expect_effects() as fx:
        airlock.emit(NotifyWarehouse(41))
        fx.saw()


@fails
def saw_of_a_list() -> None:
    with expect_effects() as fx:
        fx.saw([NotifyWarehouse(42)])


@fails
def saw_of_a_matcher() -> None:
    with expect_effects() as fx:
        fx.saw(any_value)


@fails
def in_order_of_nothing() -> None:
    in_order()


@fails
def never_of_several() -> None:
    never(in_order(NotifyWarehouse, SendEmail))


@fails
def never_several_times() -> None:
    never(NotifyWarehouse).times(2)


@fails
def never_optionally() -> None:
    never(NotifyWarehouse).optional()


@fails
def times_zero() -> None:
    like(NotifyWarehouse).times(0)


@fails
def times_of_a_fraction() -> None:
    like(NotifyWarehouse).times(1.5)  # type: ignore[arg-type]


@fails
def times_from_many_to_few() -> None:
    like(NotifyWarehouse).times(3, 1)


@fails
def one_of_a_value() -> None:
    with expect_effects() as fx:
        fx.one(NotifyWarehouse(42))  # type: ignore[arg-type]


@fails
def none_of_an_unknown_field() -> None:
    with expect_effects() as fx:
        fx.none(NotifyWarehouse, oder_id=42)


@fails
def of_a_class_that_is_no_intent() -> None:
    with expect_effects() as fx:
        fx.of(Money)  # type: ignore[type-var]


# -- comparisons ----------------------------------------------------------------------------------


@compares
def equal_but_for_a_missing_one() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(ChargeCard("4111", 7))
    return "==", fx, [NotifyWarehouse(42), SendEmail("ada@example.org"), ChargeCard("4111", 7)]


@compares
def equal_but_for_one_too_many() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(43))
    return "==", fx, [NotifyWarehouse(42), NotifyWarehouse(43)]


@compares
def equal_but_for_fields() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(SendEmail("ada@example.org", "Order 42"))
        airlock.emit(NotifyWarehouse(43))
    expected = [NotifyWarehouse(42), SendEmail("bob@example.org", "Order 43"), NotifyWarehouse(43)]
    return "==", fx, expected


@compares
def equal_but_for_the_order() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(ChargeCard("4111", 7))
    return "==", fx, [NotifyWarehouse(42), SendEmail("ada@example.org"), ChargeCard("4111", 7)]


@compares
def equal_but_for_everything() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(NotifyWarehouse(2))
        airlock.emit(SendEmail("ada@example.org"))
        airlock.emit(NotifyWarehouse(3))
    return "==", fx, [PlaceOrder(1, Money(7)), NotifyWarehouse(3), SendEmail("bob@example.org")]


@compares
def equal_to_nothing() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(1))
    return "==", fx, []


@compares
def nothing_where_something_is_expected() -> tuple[str, Any, Any]:
    return "==", recorded(), [NotifyWarehouse(1), like(SendEmail)]


@compares
def equal_but_for_what_was_left_out() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        with Done().boundary().scope(policy=Drop(SendEmail)):
            airlock.emit(NotifyWarehouse(42))
            airlock.emit(SendEmail("ada@example.org"))
        with contextlib.suppress(KeyError), Done().boundary().scope():
            airlock.emit(ChargeCard("4111", 7))
            raise KeyError("stock")
    return "==", fx, [NotifyWarehouse(42), SendEmail("ada@example.org")]


@compares
def likes_in_the_list() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(42))
        airlock.emit(SendEmail("ada@example.org", "Order 42"))
    return (
        "==",
        fx,
        [like(NotifyWarehouse, order_id=lt(42)), like(SendEmail, subject=contains("42"))],
    )


@compares
def a_list_on_the_left() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(42))
    return "==", [NotifyWarehouse(41)], fx


@compares
def a_buffer_that_is_no_recording() -> tuple[str, Any, Any]:
    return "==", EffectBuffer([NotifyWarehouse(42), NotifyWarehouse(43)]), [NotifyWarehouse(43)]


@compares
def two_lists_of_intents() -> tuple[str, Any, Any]:
    return "==", [NotifyWarehouse(42)], (NotifyWarehouse(43),)


@compares
def other_things_in_the_list() -> tuple[str, Any, Any]:
    emitted = EffectBuffer([NotifyWarehouse(42), NotifyWarehouse(43), NotifyWarehouse(44)])
    return "==", emitted, [NotifyWarehouse, 43, in_order(NotifyWarehouse, SendEmail)]


@compares
def many_with_one_in_the_middle() -> tuple[str, Any, Any]:
    emitted = EffectBuffer(map(NotifyWarehouse, range(12)))
    expected = [NotifyWarehouse(i) for i in range(12) if i != 6]
    return "==", emitted, expected


@compares
def equal_since_a_mark() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(1))
        mark = fx.mark()
        airlock.emit(NotifyWarehouse(2))
        airlock.emit(SendEmail("ada@example.org"))
    return "==", fx.since(mark), [NotifyWarehouse(2)]


@compares
def equal_of_a_class() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(1))
        airlock.emit(SendEmail("ada@example.org"))
    return "==", fx.of(NotifyWarehouse), [NotifyWarehouse(2)]


@compares
def equal_to_one_of_them() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(SendEmail("ada@example.org", "Order 42"))
    return "==", fx.one(SendEmail), SendEmail("ada@example.org", "Order 43")


@compares
def in_a_recording() -> tuple[str, Any, Any]:
    with expect_effects(exhaustive=False) as fx:
        airlock.emit(NotifyWarehouse(41))
        airlock.emit(SendEmail("ada@example.org"))
    return "in", NotifyWarehouse(42), fx


@compares
def like_in_a_recording() -> tuple[str, Any, Any]:
    scope = Done().boundary().scope(policy=Drop(SendEmail))
    with expect_effects(exhaustive=False) as fx, scope:
        airlock.emit(SendEmail("ada@example.org"))
    return "in", like(SendEmail, to=contains("ada")), fx


@compares
def in_a_buffer() -> tuple[str, Any, Any]:
    return "in", NotifyWarehouse(42), EffectBuffer([NotifyWarehouse(41), SendEmail("a@b.c")])


@compares
def in_a_buffer_without_any_of_the_class() -> tuple[str, Any, Any]:
    return "in", NotifyWarehouse(42), EffectBuffer([SendEmail("ada@example.org")])


@compares
def in_an_empty_buffer() -> tuple[str, Any, Any]:
    return "in", NotifyWarehouse(42), EffectBuffer()


# -- values ---------------------------------------------------------------------------------------


@compares
def two_intents() -> tuple[str, Any, Any]:
    return "==", SendEmail("ada@example.org", "Hi"), SendEmail("bob@example.org", "Hi", "Dear Bob")


@compares
def two_intents_of_different_classes() -> tuple[str, Any, Any]:
    return "==", SendEmail("ada@example.org"), SendReceipt("ada@example.org")


@compares
def two_intents_with_sensitive_fields() -> tuple[str, Any, Any]:
    return "==", ChargeCard("4111 1111", 7), ChargeCard("4111 2222", 8)


@compares
def two_intents_that_differ_in_a_sensitive_field_only() -> tuple[str, Any, Any]:
    return "==", ChargeCard("4111 1111", 7), ChargeCard("4111 2222", 7)


@compares
def nested_values() -> tuple[str, Any, Any]:
    one = PlaceOrder(1, Money(7), (Line("apple", Money(1)), Line("pear", Money(6))))
    other = PlaceOrder(1, Money(8), (Line("apple", Money(1)), Line("pear", Money(6, "USD"))))
    return "==", one, other


@compares
def nested_values_with_sensitive_fields() -> tuple[str, Any, Any]:
    one = OpenAccount(Account("ada", "s3cret 1"), "basic")
    other = OpenAccount(Account("bob", "s3cret 2"), "basic")
    return "==", one, other


@compares
def tuples_of_different_lengths() -> tuple[str, Any, Any]:
    one = PlaceOrder(1, Money(7), (Line("apple"),))
    return "==", one, replace(one, lines=(Line("apple"), Line("pear")))


@compares
def tuples_with_one_more_at_the_front() -> tuple[str, Any, Any]:
    one = PlaceOrder(1, Money(7), (Line("apple"), Line("pear"), Line("plum")))
    return "==", replace(one, lines=(Line("fig"), *one.lines)), one


@compares
def sets() -> tuple[str, Any, Any]:
    return "==", Tag(frozenset({"b", "a"})), Tag(frozenset({"c", "a"}))


@compares
def documents() -> tuple[str, Any, Any]:
    one = {"order": {"id": 42, "lines": ["apple", "pear"]}, "note": "quick", "old": True}
    other = {"order": {"id": 43, "lines": ["apple", "plum"]}, "note": None, "new": True}
    return "==", PostWebhook("/hook", Json(one)), PostWebhook("/hook", Json(other))


@compares
def texts_of_several_lines() -> tuple[str, Any, Any]:
    one = SendEmail("ada@example.org", "Hi", "Dear Ada,\nyour order 41\nis on its way.\n")
    other = SendEmail("ada@example.org", "Hi", "Dear Ada,\nyour order 42\nis on its way.\n")
    return "==", one, other


@compares
def texts_of_different_lengths() -> tuple[str, Any, Any]:
    one = SendEmail("ada@example.org", "Hi", "Dear Ada,\nis on its way.")
    other = SendEmail("ada@example.org", "Hi", "Dear Ada,\nyour order 42\nis on its way.")
    return "==", one, other


@fails
def missing_nested_like() -> None:
    with expect_effects() as fx:
        airlock.emit(PlaceOrder(1, Money(7, "USD")))
        airlock.emit(PlaceOrder(2, Money(9, "GBP")))
        fx.saw(like(PlaceOrder, order_id=2, total=like(Money, amount=9, currency="EUR")))


@fails
def missing_with_a_document() -> None:
    with expect_effects() as fx:
        airlock.emit(PostWebhook("/hook", Json({"order": 41, "lines": [1, 2]})))
        fx.saw(like(PostWebhook, body={"order": 42, "lines": [1, 2]}))


@fails
def missing_with_sensitive_fields() -> None:
    with expect_effects() as fx:
        airlock.emit(ChargeCard("4111 1111", 7))
        airlock.emit(OpenAccount(Account("ada", "s3cret 1")))
        fx.saw(
            ChargeCard("4111 2222", 7),
            like(ChargeCard, card="4111 3333"),
            like(ChargeCard, card=contains("4111 4444")),
            OpenAccount(Account("ada", "s3cret 2")),
        )
