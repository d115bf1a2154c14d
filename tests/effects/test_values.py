"""Which types may stand in a field: immutable and hashable ones.

Annotations are real here; those of a module with ``from __future__ import annotations`` are tested
in ``test_postponed``.
"""

import abc
import array
import collections
import collections.abc
import dataclasses
import datetime as dt
import enum
import fractions
import functools
import ipaddress
import pathlib
import re
import sys
import types
import typing
import uuid
import zoneinfo
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, NewType, Protocol, TypeVar

import attrs
import pytest

from airlock import Json, field, intent
from airlock.effects.values import problems
from airlock.errors import FieldError

T = TypeVar("T")
OrderId = NewType("OrderId", int)
Rows = NewType("Rows", list[int])


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Bits(enum.Flag):
    A = 1


class Named(NamedTuple):
    a: int
    b: str = ""


class BadNamed(NamedTuple):
    a: int
    rows: list[int]


class Pair(tuple[int, int]):
    __slots__ = ()


@attrs.frozen
class Point:
    x: int
    y: tuple[int, ...] = ()


@attrs.frozen
class Tree:
    value: int
    children: "tuple[Tree, ...]" = ()


@attrs.frozen
class Line:
    tags: list[str]


@attrs.frozen
class Order:
    lines: tuple[Line, ...]


@attrs.frozen
class Insisting:
    rows: list[int] = attrs.field(hash=False)


@attrs.frozen
class OutOfComparison:
    rows: list[int] = attrs.field(eq=False)


@attrs.define
class Unfrozen:
    n: int


@attrs.define(eq=False)
class Identical:
    n: int


@dataclasses.dataclass(frozen=True)
class FrozenData:
    n: int
    name: str = ""


@dataclasses.dataclass(frozen=True)
class FrozenHolder:
    n: int
    rows: list[int]


@dataclasses.dataclass(frozen=True)
class DataOutOfComparison:
    n: int
    rows: list[int] = dataclasses.field(compare=False)


@dataclasses.dataclass
class Data:
    n: int


@dataclasses.dataclass(eq=False)
class IdenticalData:
    n: int


@intent(kind="tests.values.inner")
class Inner:
    n: int


class Plain:
    """Compares by identity."""


class Money:
    """A value class that nobody helped with: equality and hash of its own."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self) -> int:
        return hash(self.cents)


class Unhashable:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Speaks(Protocol):
    def speak(self) -> str: ...


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self) -> float: ...


@attrs.frozen
class Box(Generic[T]):
    item: T


def declare(hint: Any, **options: Any) -> type[Any]:
    """An intent class with one field of a type."""
    namespace = {"__annotations__": {"value": hint}, "value": field(**options)}
    made: type[Any] = intent(type("Declared", (), namespace))
    return made


def kinds_of_refusal(hint: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.text) for problem in problems(hint)]


# -- accepted -------------------------------------------------------------------------------------

SCALARS = [
    *(int, float, complex, bool, str, bytes, None, type(None), range, types.EllipsisType),
    *(Decimal, fractions.Fraction, uuid.UUID, re.Pattern, re.Pattern[str]),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, dt.tzinfo, dt.timezone, zoneinfo.ZoneInfo),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network),
    *(ipaddress.IPv6Network, ipaddress.IPv4Interface, ipaddress.IPv6Interface),
    *(pathlib.PurePath, pathlib.Path, pathlib.PurePosixPath, pathlib.PureWindowsPath),
    *(Color, Level, Bits, enum.Enum, OrderId, Json),
]
COMPOSED = [
    *(int | None, typing.Optional[str], typing.Union[int, str], int | str | None),  # noqa: UP007, UP045
    *(Literal["a", 1, True], Annotated[int, "cents"], Annotated[tuple[int, ...], "m"], Final[int]),
    *(tuple, tuple[()], tuple[int, ...], tuple[int, str], tuple[tuple[int, ...], ...]),
    *(frozenset, frozenset[int], frozenset[tuple[str, int]], typing.Tuple[int]),  # noqa: UP006
    *(
        Named,
        Pair,
        Point,
        Tree,
        FrozenData,
        Insisting,
        Inner,
        Money,
        Box[int],
        Box[tuple[int, ...]],
    ),
]
UNKNOWABLE = [
    *(Any, object, T, Speaks, Shape, typing.Hashable, collections.abc.Hashable),
    *(collections.abc.Sequence, collections.abc.Sequence[int], typing.Sequence[str]),
    *(collections.abc.Iterable[int], typing.SupportsInt),
]


@pytest.mark.parametrize("hint", SCALARS + COMPOSED, ids=str)
def test_a_value_type_is_accepted(hint: Any) -> None:
    assert kinds_of_refusal(hint) == []
    declare(hint)


@pytest.mark.parametrize("hint", UNKNOWABLE, ids=str)
def test_what_the_type_alone_cannot_tell_is_accepted(hint: Any) -> None:
    """``Any``, protocols, abstract classes, type variables: their values may be immutable."""
    assert kinds_of_refusal(hint) == []


def test_a_type_that_refers_to_itself_is_followed_once() -> None:
    assert kinds_of_refusal(tuple[Tree, Tree]) == []


# -- refused, with what to write instead ----------------------------------------------------------

MUTABLE = {
    list: "tuple",
    list[int]: "tuple",
    typing.List[int]: "tuple",  # noqa: UP006
    collections.deque: "tuple",
    collections.deque[int]: "tuple",
    collections.abc.MutableSequence[int]: "tuple",
    set: "frozenset",
    set[int]: "frozenset",
    typing.Set[int]: "frozenset",  # noqa: UP006
    collections.abc.MutableSet[int]: "frozenset",
    dict: "Json",
    dict[str, int]: "Json",
    typing.Dict[str, int]: "Json",  # noqa: UP006
    collections.defaultdict[str, int]: "Json",
    collections.OrderedDict[str, int]: "Json",
    collections.Counter[str]: "Json",
    collections.abc.Mapping[str, int]: "Json",
    typing.Mapping[str, int]: "Json",
    collections.abc.MutableMapping[str, int]: "Json",
    bytearray: "bytes",
    memoryview: "bytes",
    Rows: "tuple",
    Annotated[list[int], "m"]: "tuple",
    Final[list[int]]: "tuple",
    list[int] | None: "tuple",
    typing.Optional[dict[str, int]]: "Json",  # noqa: UP045
}


@pytest.mark.parametrize(("hint", "instead"), MUTABLE.items(), ids=str)
def test_a_mutable_type_is_refused_and_another_named(hint: Any, instead: str) -> None:
    [problem] = problems(hint)
    assert problem.text.startswith("has the mutable type ")
    assert instead in problem.hint
    assert not problem.final


CODE = [
    *(type, type[int], typing.Type[int], collections.abc.Callable, typing.Callable),  # noqa: UP006
    *(collections.abc.Callable[[int], str], typing.Callable[..., int]),
    *(types.FunctionType, types.LambdaType),
    *(collections.abc.Callable[[], None] | None,),
]


@pytest.mark.parametrize("hint", CODE, ids=str)
def test_code_is_refused(hint: Any) -> None:
    """Intents are data."""
    [problem] = problems(hint)
    assert problem.text.startswith("is code (")
    assert "let the handler hold the code" in problem.hint


UNHASHABLE = [Unfrozen, Data, Unhashable, array.array]


@pytest.mark.parametrize("hint", UNHASHABLE, ids=str)
def test_an_unhashable_type_is_refused(hint: type[Any]) -> None:
    [problem] = problems(hint)
    assert problem.text == f"has the unhashable type {hint.__qualname__}"


@pytest.mark.parametrize("hint", [Unfrozen, Data])
def test_an_unfrozen_class_should_be_frozen(hint: type[Any]) -> None:
    [problem] = problems(hint)
    assert problem.hint.startswith("Make it frozen and hashable.")


def test_another_unhashable_class_should_become_a_frozen_one() -> None:
    [problem] = problems(Unhashable)
    assert problem.hint.startswith("Make it a frozen attrs class, so that it is hashable.")


@pytest.mark.parametrize("hint", [Plain, ValueError, functools.partial, re.Match], ids=str)
def test_a_class_that_compares_by_identity_is_refused(hint: type[Any]) -> None:
    [problem] = problems(hint)
    assert problem.text == f"has the type {hint.__qualname__}, which compares by identity"


@pytest.mark.parametrize("hint", [Identical, IdenticalData], ids=str)
def test_an_attrs_class_or_dataclass_that_compares_by_identity_is_refused(hint: type[Any]) -> None:
    """``eq=False`` makes it mutable and compared by identity, like any plain class."""
    [problem] = problems(hint)
    assert "compares by identity" in problem.text


@pytest.mark.parametrize(
    "hint", [collections.abc.Set, collections.abc.Set[int], typing.AbstractSet[int]], ids=str
)
def test_an_abstract_set_is_refused_in_favour_of_frozenset(hint: Any) -> None:
    [problem] = problems(hint)
    assert "frozenset" in problem.hint


# -- nested ---------------------------------------------------------------------------------------

NESTED: dict[Any, tuple[str, str]] = {
    tuple[list[int], ...]: ("[]", "has the mutable type list[int]"),
    tuple[int, tuple[set[int], ...]]: ("[][]", "has the mutable type set[int]"),
    frozenset[Plain]: ("[]", "has the type Plain, which compares by identity"),
    Line: (".tags", "has the mutable type list[str]"),
    Order: (".lines[].tags", "has the mutable type list[str]"),
    Order | None: (".lines[].tags", "has the mutable type list[str]"),
    FrozenHolder: (".rows", "has the mutable type list[int]"),
    BadNamed: (".rows", "has the mutable type list[int]"),
    Box[list[int]]: ("[]", "has the mutable type list[int]"),
    tuple[type[int], ...]: ("[]", "is code (type[int])"),
}


@pytest.mark.parametrize(("hint", "expected"), NESTED.items(), ids=str)
def test_a_problem_inside_is_named_with_its_path(hint: Any, expected: tuple[str, str]) -> None:
    assert kinds_of_refusal(hint) == [expected]


def test_the_error_has_the_whole_path() -> None:
    with pytest.raises(FieldError) as caught:
        declare(Order)
    assert caught.value.field == "value.lines[].tags"
    assert str(caught.value).startswith(
        "Declared.value.lines[].tags has the mutable type list[str]"
    )


@pytest.mark.parametrize("hint", [OutOfComparison, DataOutOfComparison], ids=str)
def test_a_nested_field_left_out_of_comparison_is_left_out_of_the_check(hint: type[Any]) -> None:
    """As with a field of the intent itself: it is not part of the value."""
    assert kinds_of_refusal(hint) == []


def test_every_problem_of_a_type_is_found() -> None:
    assert kinds_of_refusal(tuple[list[int], set[int]]) == [
        ("[]", "has the mutable type list[int]"),
        ("[]", "has the mutable type set[int]"),
    ]


def test_one_class_in_two_places_is_a_problem_of_both() -> None:
    """The path leads to the first; fixing it shows whether there are more."""
    assert kinds_of_refusal(tuple[Line, Line])[0] == ("[].tags", "has the mutable type list[str]")


# -- aliases of PEP 695 ---------------------------------------------------------------------------

ALIASES = """
type Tree = tuple[Tree, ...] | int
type Never = Never
type Many[T] = list[T]
type Pair[T] = tuple[T, T]
type Rotten = tuple[Rotten, ...] | set[int]
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is from Python 3.12")
@pytest.mark.parametrize(
    ("alias", "found"),
    [
        ("Tree", []),
        ("Never", []),
        ("Pair[int]", []),
        ("Many[int]", ["has the mutable type list[int]"]),
        ("Pair[list[int]]", ["has the mutable type list[int]"]),
        ("Rotten", ["has the mutable type set[int]"]),
    ],
)
def test_aliases_are_looked_through_once(alias: str, found: list[str]) -> None:
    """They may hold themselves, and may be generic."""
    space: dict[str, Any] = {}
    exec(compile(ALIASES, "<aliases>", "exec"), space)
    texts = [problem.text for problem in problems(eval(alias, space))]
    assert texts[: len(found) or 1] == found


# -- models ---------------------------------------------------------------------------------------


def test_a_django_model_is_refused_in_favour_of_its_id() -> None:
    models = pytest.importorskip("django.db.models", reason="Django is not installed")
    [problem] = problems(models.Model)
    assert problem.text == "is an ORM model (Model, Django)"
    assert problem.hint.startswith("Pass its id, and load it in the handler.")


def test_a_sqlalchemy_model_is_refused_in_favour_of_its_id() -> None:
    orm = pytest.importorskip("sqlalchemy.orm", reason="SQLAlchemy is not installed")
    base = orm.declarative_base()
    column = pytest.importorskip("sqlalchemy").Column
    integer = pytest.importorskip("sqlalchemy").Integer
    namespace = {"__tablename__": "orders", "id": column(integer, primary_key=True)}
    [problem] = problems(type("Order", (base,), namespace))
    assert problem.text == "is an ORM model (Order, SQLAlchemy)"


@pytest.mark.parametrize(
    ("module", "base"),
    [
        ("django.db.models.base", "Model"),
        ("peewee", "Model"),
        ("tortoise.models", "Model"),
        ("mongoengine.document", "Document"),
        ("pony.orm.core", "Entity"),
    ],
)
def test_a_model_is_known_by_its_base_class(module: str, base: str) -> None:
    """No ORM has to be installed, nor imported, to be recognised."""
    above = type(base, (), {"__module__": module})
    order = type("Order", (above,), {})
    [problem] = problems(order)
    assert problem.text.startswith("is an ORM model (Order, ")


@pytest.mark.parametrize("mark", ["__tablename__", "__mapper__", "_sa_registry"])
def test_a_sqlalchemy_model_is_known_by_its_marks(mark: str) -> None:
    [problem] = problems(type("Order", (), {mark: "orders"}))
    assert problem.text == "is an ORM model (Order, SQLAlchemy)"


def test_a_frozen_dataclass_mapped_by_sqlalchemy_is_a_model_too() -> None:
    @dataclasses.dataclass(frozen=True)
    class Mapped:
        id: int

    mapped: Any = Mapped
    mapped.__mapper__ = object()
    [problem] = problems(Mapped)
    assert "is an ORM model" in problem.text


# -- insisting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [list[int], dict[str, int], Plain, Data], ids=str)
def test_hash_false_insists(hint: Any) -> None:
    cls = declare(hint, hash=False)
    assert hash(cls(object())) == hash(cls([]))


def test_an_annotation_that_is_no_expression_is_refused() -> None:
    """It could never be resolved."""
    with pytest.raises(
        FieldError, match=r"'no such name', which cannot be resolved .* Write a type"
    ):
        declare("no such name")


def test_a_type_that_is_no_type_is_left_to_the_type_checker() -> None:
    declare(3)


@pytest.mark.parametrize(
    "hint", [dataclasses.InitVar[int], dataclasses.KW_ONLY], ids=["InitVar", "KW_ONLY"]
)
def test_what_only_dataclasses_know_is_refused(hint: Any) -> None:
    [problem] = problems(hint)
    assert problem.text.startswith("is no field (")


@attrs.frozen
class Half:
    """One of its annotations stands for nothing, and the other is mutable."""

    known: list[int]
    unknown: "NeverDefined"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


def test_one_unknown_name_does_not_hide_the_other_fields() -> None:
    found = {problem.path: problem.later for problem in problems(Half)}
    assert found == {".known": False, ".unknown": True}


@pytest.mark.parametrize(
    "hint",
    [tuple["Line", ...], typing.Optional["Line"], typing.Union[int, "Line"], "Line | None"],
    ids=str,
)
def test_names_inside_of_types_are_resolved(hint: Any) -> None:
    """Wherever in the annotation the string is."""
    namespace = {"__annotations__": {"value": hint}, "__module__": __name__}
    cls = type("Declared", (), namespace)
    with pytest.raises(FieldError, match=r"\.tags has the mutable type list\[str\]"):
        intent(cls)
