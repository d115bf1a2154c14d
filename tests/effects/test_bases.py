"""Base classes of an intent: what they annotate becomes a field, or the class is refused."""

from __future__ import annotations

import abc
import dataclasses
import enum
import typing
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import attrs
import pytest

import airlock
from airlock import EffectBuffer, intent
from airlock.errors import DeclarationError, FieldError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class DataBase:
    tenant: str = "public"


@dataclasses.dataclass(frozen=True)
class DataChild(DataBase):
    pass


class PlainBase:
    tenant: str


class PlainDefault:
    tenant: str = "public"


class Tuple(NamedTuple):
    tenant: str


class Speaks(Protocol):
    tenant: str


class GenericBase(Generic[T]):
    tenant: T


class Slotted:
    __slots__ = ("tenant",)
    tenant: str


@pytest.mark.parametrize(
    "base", [DataBase, DataChild, PlainBase, PlainDefault, Speaks, GenericBase[str], Slotted]
)
def test_annotations_that_would_vanish_are_refused(base: Any) -> None:
    """Only attrs classes and intents pass their fields on."""
    with pytest.raises(DeclarationError, match=r"OrderPlaced .* inherits tenant of the"):

        @intent
        class OrderPlaced(base):  # type: ignore[misc]
            order_id: int


@pytest.mark.parametrize("base", [DataBase, PlainBase, PlainDefault, Speaks, GenericBase[str]])
def test_a_field_that_is_repeated_does_not_vanish(base: Any) -> None:
    @intent
    class OrderPlaced(base):  # type: ignore[misc]
        tenant: str
        order_id: int

    assert EffectBuffer([OrderPlaced("acme", 1)])[0].tenant == "acme"


def test_what_is_provided_otherwise_does_not_vanish() -> None:
    """A property for what a protocol asks for; what belongs to the class."""

    class Named(Protocol):
        name: str
        kinds: ClassVar[int] = 1
        sorts: typing.ClassVar[int] = 1

    @intent
    class Greeting(Named):
        first: str

        @property
        def name(self) -> str:  # type: ignore[override]
            return self.first

    assert Greeting("Ada").name == "Ada"


def test_fields_of_attrs_bases_and_intents_are_inherited() -> None:
    """Frozen or not; generic ones and mixins without fields as well."""

    @attrs.define
    class Event(Generic[T]):
        tenant: T

    class Mixin:
        __slots__ = ()

        def shout(self) -> str:
            return str(self).upper()

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def shout(self) -> str: ...

    @intent  # pyright: ignore[reportGeneralTypeIssues]  # attrs can
    class OrderPlaced(Event[str], Mixin, Abstract):
        order_id: int

    loose: Any = OrderPlaced  # mypy does not see the fields of attrs classes here
    assert loose("acme", 1).shout().endswith("ORDERPLACED(TENANT='ACME', ORDER_ID=1)")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        loose("acme", 1).tenant = "other"


def test_types_of_inherited_fields_are_checked() -> None:
    @attrs.frozen
    class Event:
        tags: list[str]

    with pytest.raises(FieldError, match=r"OrderPlaced\.tags has the mutable type"):

        @intent
        class OrderPlaced(Event):
            order_id: int


class Kind(enum.Enum):
    pass


@pytest.mark.parametrize("base", [dict, list, set, str, int, tuple, Tuple, Kind])
def test_a_base_with_a_value_of_its_own_is_refused(base: Any) -> None:
    """It would be no part of the intent's, and may change."""
    with pytest.raises(DeclarationError, match="has a base class with a value of its own"):

        @intent
        class Strange(base):  # type: ignore[misc]
            number: int


def test_hooks_that_only_dataclasses_call_are_refused() -> None:
    with pytest.raises(DeclarationError, match=r"__post_init__, which only dataclasses call"):

        @intent
        class Checked:
            number: int

            def __post_init__(self) -> None:
                raise AssertionError

    class Mixin:
        def __post_init__(self) -> None: ...

    with pytest.raises(DeclarationError, match="__post_init__"):

        @intent
        class Mixed(Mixin):
            number: int


def test_arguments_that_only_dataclasses_know_are_refused() -> None:
    with pytest.raises(FieldError, match="is no field"):

        @intent
        class Computed:
            number: dataclasses.InitVar[int]

    with pytest.raises(FieldError, match=r"@intent\(kw_only=True\)"):

        @intent
        class Named:
            _: dataclasses.KW_ONLY
            number: int


def test_equality_of_its_own_needs_a_hash_of_its_own() -> None:
    """Python makes a class with ``__eq__`` alone unhashable."""
    with pytest.raises(DeclarationError, match="defines __eq__ and no __hash__"):

        @intent
        class Loose:  # noqa: PLW1641 - what is refused
            name: str

            def __eq__(self, other: object) -> bool:
                return isinstance(other, Loose) and self.name.lower() == other.name.lower()

    @intent
    class Lower:
        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Lower) and self.name.lower() == other.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

    assert EffectBuffer([Lower("A")]) == [Lower("a")]
    assert len({Lower("A"), Lower("a")}) == 1


def test_equality_of_a_base_is_replaced() -> None:
    """By that of the fields, as with attrs."""

    class Mixin:  # noqa: PLW1641 - attrs makes the hash
        def __eq__(self, other: object) -> bool:
            return True

    @intent
    class Plain(Mixin):
        number: int

    assert Plain(1) != Plain(2)
    assert hash(Plain(1)) == hash(Plain(1))


def test_what_attrs_refuses_is_told_with_the_place() -> None:
    with pytest.raises(
        DeclarationError, match=r"Odd \(declared at tests/effects/test_bases.py:\d+\)"
    ):

        @intent
        class Odd:
            number: int

            def __setattr__(self, name: str, value: Any) -> None: ...

    with pytest.raises(DeclarationError, match="No mandatory attributes allowed after"):

        @intent
        class Ordered:
            first: int = 1
            second: int  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


def test_a_private_field_may_have_an_alias_still() -> None:
    @intent
    class Hidden:
        _number: int = airlock.field(alias="n")

    assert Hidden(n=1) == Hidden(n=1)
