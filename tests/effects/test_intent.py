"""``@intent``: what may be declared, and what its values are like."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import pytest

import airlock
from airlock import EffectBuffer, Json, field, intent, replace
from airlock.effects.intent import admit
from airlock.effects.registry import KNOWN, spec_of
from airlock.errors import DeclarationError, FieldError, NotAnIntentError

T = TypeVar("T")

loose: Any = intent
"""``@intent`` as it is seen by callers without a type checker."""


@intent
class NotifyWarehouse:
    order_id: int


@intent(kind="tests.intent.send-email", version=2)
class SendEmail:
    """Send one e-mail."""

    to: str
    subject: str = "hello"
    copies: tuple[str, ...] = attrs.field(factory=tuple)

    MAX_COPIES: ClassVar[int] = 10

    @property
    def recipients(self) -> tuple[str, ...]:
        return (self.to, *self.copies)

    def shouted(self) -> SendEmail:
        return replace(self, subject=self.subject.upper())


@intent
class NotifyUrgently(NotifyWarehouse):
    reason: str = ""


@intent(kw_only=True)
class ChargeCard:
    card: str = field(sensitive=True)
    amount: int


@intent
class Box(Generic[T]):
    item: T


@intent
class Ping:
    pass


@intent
class StoreDocument:
    document: Json


# -- the decorator --------------------------------------------------------------------------------


def test_a_bare_decorator_makes_an_attrs_class() -> None:
    """The fields are the annotations, in order."""
    assert [attribute.name for attribute in attrs.fields(SendEmail)] == ["to", "subject", "copies"]  # type: ignore[arg-type]


def test_the_decorator_can_be_called_without_arguments() -> None:
    @intent()
    class Called:
        order_id: int

    assert Called(1) == Called(1)


def test_kw_only_makes_every_field_keyword_only() -> None:
    loose_charge: Any = ChargeCard
    assert ChargeCard(card="4111", amount=3).amount == 3
    with pytest.raises(TypeError, match="positional argument"):
        loose_charge("4111", 3)


def test_a_mandatory_keyword_only_field_may_follow_a_default() -> None:
    @intent
    class Ordered:
        first: int = 0
        second: int = field(kw_only=True)

    assert (
        repr(Ordered(second=2)) == f"{Ordered.__qualname__.rpartition('>.')[2]}(first=0, second=2)"
    )


def test_docstring_methods_properties_and_class_variables_stay() -> None:
    email = SendEmail("a", copies=("b",))
    assert SendEmail.__doc__ == "Send one e-mail."
    assert email.recipients == ("a", "b")
    assert email.shouted() == SendEmail("a", "HELLO", ("b",))
    assert SendEmail.MAX_COPIES == 10


def test_super_without_arguments_works_in_methods() -> None:
    """The class is made anew because of its slots; ``super()`` finds the new one."""

    @intent
    class Base:
        n: int

        def doubled(self) -> int:
            return 2 * self.n

    @intent
    class Derived(Base):
        def doubled(self) -> int:
            return super().doubled() + 1

    assert Derived(2).doubled() == 5


def test_an_intent_may_have_no_fields() -> None:
    assert Ping() == Ping()
    assert len({Ping(), Ping()}) == 1


# -- what cannot be an intent ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", 3, b"kind", ("a",), False])
def test_a_kind_is_a_non_empty_string(kind: object) -> None:
    with pytest.raises(DeclarationError, match=r"kind of .*Bad .* must be a non-empty str"):

        @loose(kind=kind)
        class Bad:
            pass


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1", None])
def test_a_version_is_an_int_from_1(version: object) -> None:
    with pytest.raises(DeclarationError, match=r"version of .*Bad .* must be an int from 1"):

        @loose(version=version)
        class Bad:
            pass


def test_a_class_is_decorated_once() -> None:
    with pytest.raises(DeclarationError, match="Remove the other decorator"):
        loose(NotifyWarehouse)


def test_a_dataclass_is_refused() -> None:
    with pytest.raises(DeclarationError, match="is an attrs class or a dataclass already"):

        @loose
        @dataclasses.dataclass(frozen=True)
        class Twice:
            n: int


def test_an_attrs_class_is_refused() -> None:
    with pytest.raises(DeclarationError, match="is an attrs class or a dataclass already"):

        @loose
        @attrs.frozen
        class Twice:
            n: int


def test_a_function_is_refused_and_pointed_to_effect() -> None:
    with pytest.raises(DeclarationError, match=r"For a function use @airlock\.effect"):

        @loose  # type: ignore[untyped-decorator]
        def notify() -> None: ...


@pytest.mark.parametrize("value", [3, "NotifyWarehouse", NotifyWarehouse(1)])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(DeclarationError, match="@intent takes a class, not"):
        loose(value)


def test_an_exception_is_refused() -> None:
    with pytest.raises(DeclarationError, match="is an exception or a metaclass, not a value"):

        @loose
        class Broken(Exception):  # noqa: N818
            pass


def test_a_metaclass_is_refused() -> None:
    with pytest.raises(DeclarationError, match="is an exception or a metaclass, not a value"):

        @loose
        class Meta(type):
            pass


def test_a_field_needs_an_annotation() -> None:
    with pytest.raises(DeclarationError, match=r"Bare .*declared at .*test_intent\.py:\d+.*number"):

        @loose
        class Bare:
            number = field(default=3)


def test_a_private_field_is_refused() -> None:
    """Type checkers disagree about the name of its argument."""
    with pytest.raises(FieldError, match="is private") as caught:

        @intent
        class Private:
            _token: str

    assert caught.value.field == "_token"
    assert "Rename it to 'token'" in caught.value.hint


def test_a_private_field_with_an_alias_of_its_own_is_accepted() -> None:
    @intent
    class Aliased:
        _token: str = field(alias="secret")

    assert Aliased(secret="s")._token == "s"

    @intent
    class AsAdvised:
        _token: str = field(alias="_token")

    assert AsAdvised(_token="s")._token == "s"


def test_an_undecorated_subclass_cannot_be_emitted() -> None:
    class Forgotten(NotifyWarehouse):
        pass

    with pytest.raises(NotAnIntentError, match="undecorated subclass of NotifyWarehouse"):
        admit(Forgotten(1))
    with pytest.raises(DeclarationError, match="is not an intent class"):
        spec_of(Forgotten)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NotifyWarehouse, r"Call it: NotifyWarehouse\(\.\.\.\)"),
        (int, "the class int"),
        (print, r"@airlock\.effect"),
        (lambda: None, r"@airlock\.effect"),
        (42, "cannot emit 42: it is not an intent"),
        (None, "cannot emit None: it is not an intent"),
        ("x" * 500, r"x\.\.\.: it is not an intent"),
    ],
)
def test_only_intents_are_admitted(value: object, text: str) -> None:
    """Each other value is refused with a hint of its own."""
    with pytest.raises(NotAnIntentError, match=text):
        admit(value)


def test_what_was_admitted_is_known() -> None:
    admit(NotifyWarehouse(1))
    assert NotifyWarehouse in KNOWN


# -- values ---------------------------------------------------------------------------------------


def test_values_are_equal_by_class_and_fields() -> None:
    assert NotifyWarehouse(1) == NotifyWarehouse(1)
    assert NotifyWarehouse(1) != NotifyWarehouse(2)
    assert NotifyWarehouse(1) != NotifyUrgently(1)
    assert hash(NotifyWarehouse(1)) == hash(NotifyWarehouse(1))
    assert {NotifyWarehouse(1): "one"}[NotifyWarehouse(1)] == "one"


def test_values_have_no_order() -> None:
    one: Any = NotifyWarehouse(1)
    with pytest.raises(TypeError, match="not supported"):
        sorted([one, one])


def test_fields_cannot_be_set_or_deleted() -> None:
    value: Any = NotifyWarehouse(1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.order_id = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.other = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del value.order_id
    assert value == NotifyWarehouse(1)


def test_values_are_slotted_without_dict_or_weak_references() -> None:
    value = NotifyUrgently(1)
    assert not hasattr(value, "__dict__")
    assert not hasattr(value, "__weakref__")
    with pytest.raises(TypeError, match="cannot create weak reference"):
        weakref.ref(value)


def test_defaults_and_factories_fill_in() -> None:
    assert SendEmail("a") == SendEmail("a", "hello", ())


def test_a_factory_may_look_at_the_fields_before_it() -> None:
    @intent
    class Greet:
        name: str
        text: str = attrs.field(
            default=attrs.Factory(lambda self: f"hello {self.name}", takes_self=True)
        )

    assert Greet("Ann").text == "hello Ann"
    assert Greet("Ann", "bye").text == "bye"


def test_validators_and_converters_work() -> None:
    @intent
    class Strict:
        n: int = attrs.field(validator=attrs.validators.gt(0))
        text: str = attrs.field(converter=str, default="")

    text: Any = 7
    assert Strict(1, text).text == "7"
    with pytest.raises(ValueError, match="must be > 0"):
        Strict(0)


def test_post_init_works() -> None:
    @intent
    class Range:
        low: int
        high: int

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    assert Range(1, 2).low == 1
    with pytest.raises(ValueError, match="low is above high"):
        Range(2, 1)


def test_a_decorated_subclass_has_the_fields_of_both() -> None:
    urgent = NotifyUrgently(1, "late")
    assert (urgent.order_id, urgent.reason) == (1, "late")
    assert isinstance(urgent, NotifyWarehouse)
    assert spec_of(NotifyUrgently).kind != spec_of(NotifyWarehouse).kind


def test_a_mixin_may_add_behaviour() -> None:
    class Described:
        __slots__ = ()

        def text(self) -> str:
            return f"I am {self!r}"

    @intent(kind="tests.intent.mixed")
    class Mixed(Described):
        n: int

    assert Mixed(1).text().endswith("Mixed(n=1)")


def test_generic_intents_hold_any_type() -> None:
    assert Box(3) == Box[int](3)
    assert Box("a").item == "a"
    assert EffectBuffer([Box(3), Box("a")]).of(Box) == [Box(3), Box("a")]


def test_values_match_patterns_by_position_and_name() -> None:
    value: object = SendEmail("a", "hi")
    match value:
        case SendEmail(to, subject=subject):
            found = (to, subject)
        case _:
            found = ("", "")
    assert found == ("a", "hi")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        NotifyWarehouse(1),
        SendEmail("a", copies=("b", "c")),
        NotifyUrgently(2, "late"),
        ChargeCard(card="4111", amount=3),
        Box((1, "a")),
        Ping(),
        StoreDocument(Json({"a": [1, None]})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_pickle_under_every_protocol(value: object, protocol: int) -> None:
    loaded = pickle.loads(pickle.dumps(value, protocol))
    assert loaded == value
    assert type(loaded) is type(value)
    assert hash(loaded) == hash(value)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_values_copy(copied: Callable[[Any], Any]) -> None:
    value = SendEmail("a", copies=("b",))
    assert copied(value) == value


# -- field ----------------------------------------------------------------------------------------


def test_a_sensitive_value_is_hidden_in_repr_and_given_to_code() -> None:
    value = ChargeCard(card="4111", amount=3)
    assert repr(value) == "ChargeCard(card=<hidden>, amount=3)"
    assert "4111" not in f"{value} {value!r} {[value]} {EffectBuffer([value])}"
    assert value.card == "4111"


def test_a_sensitive_value_still_counts_in_comparison() -> None:
    assert ChargeCard(card="1", amount=3) != ChargeCard(card="2", amount=3)


def test_a_sensitive_field_says_so_in_its_metadata_beside_what_is_given() -> None:
    @intent
    class Marked:
        token: str = field(sensitive=True, metadata={"own": 1})

    metadata = attrs.fields_dict(Marked)["token"].metadata  # type: ignore[arg-type]
    assert dict(metadata) == {"own": 1, "airlock.sensitive": True}


def test_a_sensitive_value_is_hidden_in_the_report() -> None:
    with airlock.Boundary({ChargeCard: lambda _: None}).scope() as effects:
        effects.emit(ChargeCard(card="4111", amount=3))
    report = effects.report
    shown = f"{report}{report!r}{report.table()}{report.tree()}{report.to_json()}{report.entries}"
    assert "4111" not in shown
    assert "<hidden>" in shown


def test_hash_false_leaves_a_field_out_of_the_hash_and_of_the_check() -> None:
    @intent
    class Insisting:
        key: int
        rows: list[int] = field(hash=False)

    assert hash(Insisting(1, [1])) == hash(Insisting(1, [2]))
    assert Insisting(1, [1]) != Insisting(1, [2])


def test_eq_false_leaves_a_field_out_of_comparison_and_of_the_check() -> None:
    @intent
    class Annotated:
        key: int
        note: dict[str, int] = field(eq=False, factory=dict)

    assert Annotated(1, {"a": 1}) == Annotated(1)
    assert hash(Annotated(1, {"a": 1})) == hash(Annotated(1))


def test_an_alias_names_the_argument() -> None:
    @intent
    class Renamed:
        class_: str = field(alias="cls")

    value = Renamed(cls="a")
    assert value.class_ == "a"
    assert replace(value, cls="b").class_ == "b"


def test_a_json_field_takes_json_only() -> None:
    """A dict passed there fails at once, with a hint."""
    assert StoreDocument(Json({"a": 1})).document.value == {"a": 1}
    plain: Any = {"a": 1}
    with pytest.raises(TypeError, match=r"takes an airlock\.Json, not dict: wrap it"):
        StoreDocument(plain)


def test_a_json_field_keeps_a_validator_of_its_own() -> None:
    def not_empty(_: object, __: object, value: Json) -> None:
        if not value.value:
            raise ValueError("empty")

    @intent
    class Checked:
        document: Json = attrs.field(validator=not_empty)

    with pytest.raises(ValueError, match="empty"):
        Checked(Json({}))


# -- replace --------------------------------------------------------------------------------------


def test_replace_makes_a_copy_with_some_fields_changed() -> None:
    before = SendEmail("a", "hi")
    after = replace(before, to="b")
    assert (before, after) == (SendEmail("a", "hi"), SendEmail("b", "hi"))
    assert type(replace(NotifyUrgently(1), reason="x")) is NotifyUrgently


def test_replace_without_changes_is_equal() -> None:
    assert replace(SendEmail("a")) == SendEmail("a")


def test_replace_refuses_fields_that_do_not_exist() -> None:
    with pytest.raises(TypeError, match="nope"):
        replace(NotifyWarehouse(1), nope=2)
