"""What is declared wrongly is refused where it is written, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dependency_injector import containers

import airlock
from airlock import (
    Allow,
    Boundary,
    Drop,
    Handles,
    Hold,
    Refuse,
    enclose,
    intent,
    region,
)
from airlock.errors import (
    DeclarationError,
    DuplicateKindError,
    FieldError,
    HandlerSignatureError,
)
from tests.boundary.vocabulary import (
    NotifyWarehouse,
    SendEmail,
    assert_usable,
    ignore,
    next_line,
)

# -- intents --------------------------------------------------------------------------------------


def wrong_intent(annotations: dict[str, Any]) -> Callable[[], Any]:
    """Declare an intent with some fields."""
    return lambda: intent(type("Wrong", (), {"__annotations__": annotations}))


class Customer:
    """What an SQLAlchemy model looks like from outside."""

    __tablename__ = "customers"


@pytest.mark.parametrize(
    ("hint", "problem", "instead"),
    [
        (list[int], "has the mutable type list[int]", "Use a tuple (tuple[X, ...])"),
        (dict[str, int], "has the mutable type dict[str, int]", "airlock.Json"),
        (set[int], "has the mutable type set[int]", "Use a frozenset"),
        (bytearray, "has the mutable type bytearray", "Use bytes"),
        (tuple[list[int], ...], "[] has the mutable type list[int]", "Use a tuple"),
        (Customer, "is an ORM model (Customer, SQLAlchemy)", "Pass its id, and load it in the"),
        (Callable[[], None], "is code", "Intents are data"),
    ],
)
def test_a_field_that_can_change(hint: Any, problem: str, instead: str) -> None:
    """Mutable types, ORM models, code: with the field, the place, and what to use."""
    with pytest.raises(FieldError) as raised:
        wrong_intent({"order_id": int, "what": hint})()
    text = str(raised.value)
    assert text.startswith("Wrong.what")
    assert problem in text
    assert "(declared at tests/boundary/test_misuse_declarations.py:" in text
    assert instead in text
    assert_usable()


def test_a_field_error_says_where() -> None:
    """File and line of the declaration."""
    places: list[str] = []

    def declare() -> None:
        places.append(next_line(skipping=1))

        @intent
        class Wrong:
            lines: list[int]

    with pytest.raises(FieldError) as raised:
        declare()
    assert places[0] in str(raised.value)
    assert "airlock.field(hash=False)" in str(raised.value)


def test_a_private_field() -> None:
    """Its argument would have another name; an alias of one's own says which."""
    with pytest.raises(FieldError) as raised:
        wrong_intent({"_order_id": int})()
    text = str(raised.value)
    assert "Wrong._order_id is private" in text
    assert "declared at tests/boundary/test_misuse_declarations.py:" in text
    assert "Rename it to 'order_id'" in text
    assert "airlock.field(alias=" in text


def test_a_duplicate_kind() -> None:
    """Both classes with their places, and two ways out."""
    places: list[str] = []

    def declare_first() -> Any:
        places.append(next_line(skipping=1))

        @intent(kind="tests.duplicate")
        class First:
            pass

        return First

    def declare_second() -> None:
        places.append(next_line(skipping=1))

        @intent(kind="tests.duplicate")
        class Second:
            pass

    first = declare_first()
    with pytest.raises(DuplicateKindError) as raised:
        declare_second()
    text = str(raised.value)
    assert "kind 'tests.duplicate' version 1 is already declared by" in text
    for words in ("First", "Second", *places):
        assert words in text
    assert "a kind names one intent" in text
    assert "another kind=, or another version=" in text
    with Boundary({first: ignore}).scope() as effects:
        effects.emit(first())
    assert_usable()


# -- policies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda policy: Boundary({}).scope(policy=policy),
        lambda policy: Boundary({}, policy=policy),
        region,
        enclose,
        lambda policy: Allow() & policy,
        lambda policy: policy & Allow(),
    ],
)
def test_a_policy_class_instead_of_an_instance(use: Callable[[Any], object]) -> None:
    """The brackets were forgotten."""
    with pytest.raises((DeclarationError, TypeError)) as raised:
        use(Drop)
    assert "Drop is a policy class: call it, Drop(...)" in str(raised.value)
    assert_usable()


@pytest.mark.parametrize("wrong", [42, "drop", [Drop()], None])
def test_what_is_no_policy(boundary: Boundary, wrong: Any) -> None:
    """Refused at once, with what may be given; only for ``scope`` None means none."""
    uses: list[Callable[[Any], object]] = [region, enclose]
    if wrong is not None:
        uses.append(lambda policy: boundary.scope(policy=policy))
    for use in uses:
        with pytest.raises(DeclarationError, match=r"is not a policy: give Allow.*decide"):
            use(wrong)
    assert_usable()


@pytest.mark.parametrize("policy", [Allow, Drop, Hold, Refuse, airlock.Dedupe])
def test_a_policy_for_what_is_no_intent_type(policy: type[Any]) -> None:
    """A number, a value instead of its class, some other class, an unknown kind."""
    name = policy.__name__
    for wrong, problem in [
        (42, f"{name} takes intent classes, kinds or effect functions, not 42"),
        (NotifyWarehouse(), "(a value): give its class"),
        (int, "not an intent class"),
        ("misspelt.kind", f"{name}('misspelt.kind'): no intent of this kind is declared"),
        (
            "tests.boundary.vocabulary.NotifyWarehous",
            "Did you mean 'tests.boundary.vocabulary.NotifyWarehouse'?",
        ),
    ]:
        with pytest.raises(DeclarationError) as raised:
            policy(wrong)
        assert problem in str(raised.value)
    assert_usable()


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True, None])
def test_a_limit_is_a_number(wrong: Any) -> None:
    """0 or more."""
    with pytest.raises(DeclarationError, match="the limit is an int, 0 or more"):
        airlock.Limit(wrong)


def test_a_dedupe_keeps_the_first_the_last_or_a_choice() -> None:
    """A misspelt word is refused at once."""
    with pytest.raises(DeclarationError, match="'first', 'last' or a function of two intents"):
        airlock.Dedupe(keep="newest")  # type: ignore[arg-type]


# -- boundaries -----------------------------------------------------------------------------------


class Effects(containers.DeclarativeContainer):
    notify = Handles(NotifyWarehouse, ignore)


class EmailSender:
    def __call__(self, subject: SendEmail) -> None: ...


def test_a_container_class_instead_of_an_instance() -> None:
    """The brackets were forgotten."""
    with pytest.raises(DeclarationError) as raised:
        Boundary(Effects)  # type: ignore[arg-type]
    assert "takes a mapping or a container instance, not the class Effects" in str(raised.value)
    assert "call it, Boundary(Effects())" in str(raised.value)
    assert_usable()


@pytest.mark.parametrize("wrong", [42, None, [NotifyWarehouse], "handlers"])
def test_handlers_that_are_no_wiring(wrong: Any) -> None:
    """A boundary takes a mapping or a container."""
    with pytest.raises(DeclarationError, match="takes a mapping or a container instance"):
        Boundary(wrong)
    assert_usable()


def test_a_class_as_a_handler_in_a_mapping() -> None:
    """It would be called to make an object, and nothing would happen."""
    with pytest.raises(HandlerSignatureError) as raised:
        Boundary({SendEmail: EmailSender})
    text = str(raised.value)
    assert "EmailSender cannot handle" in text
    assert "SendEmail: it is a class" in text
    assert "Give an instance, or declare Handles(...) in a container" in text
    Boundary({SendEmail: EmailSender()})
    assert_usable()


@pytest.mark.parametrize("option", ["max_depth", "concurrency"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", None])
def test_limits_of_a_boundary(option: str, value: Any) -> None:
    """0 would deliver nothing, ever."""
    with pytest.raises(DeclarationError) as raised:
        Boundary({}, **{option: value})
    assert f"Boundary({option}={value!r})" in str(raised.value)
    assert "an int from 1" in str(raised.value)
    assert_usable()
