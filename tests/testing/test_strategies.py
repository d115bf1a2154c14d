"""Strategies of intents: every value is one that airlock lives by, whatever its fields are."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import enum
import fractions
import io
import ipaddress
import math
import os
import pathlib
import pickle
import re
import subprocess
import sys
import textwrap
import typing
import uuid
from abc import ABC, abstractmethod
from collections import abc, deque
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import attrs
import hypothesis
import pytest
from attrs import validators
from hypothesis import HealthCheck, find, given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

import airlock
from airlock import Intent, Json, Options, field, intent
from airlock.effects import registry
from airlock.errors import DeclarationError
from airlock.testing.strategies import intents, strategy_of

T = TypeVar("T")
Number = TypeVar("Number", int, float)
Key = TypeVar("Key", bound="Colour")

quickly = hypothesis.settings(max_examples=15, deadline=None, database=None, derandomize=True)
searching = hypothesis.settings(quickly, max_examples=1000)
reaching = hypothesis.settings(searching, phases=[hypothesis.Phase.generate])


def anything(_: object) -> bool:
    return True


def simplest(values: st.SearchStrategy[Any], wanted: Callable[[Any], bool] = anything) -> Any:
    return find(values, wanted, settings=searching)


def some(values: st.SearchStrategy[Any], wanted: Callable[[Any], bool] = anything) -> Any:
    """One that is as wanted, not the simplest: found sooner."""
    return find(values, wanted, settings=reaching)


# -- what fields may be ---------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Pair(Generic[T]):
    one: T
    other: T


@attrs.frozen
class Measured(Pair[float]):
    """What it inherits is generic, it is not."""

    unit: str = ""


@attrs.frozen
class Node:
    """Holds itself."""

    value: float
    child: Node | None = None
    others: tuple[Node, ...] = ()


@dataclasses.dataclass(frozen=True)
class Point(Generic[T]):
    x: float
    tag: T
    y: Decimal = Decimal(0)
    path: tuple[float, ...] = dataclasses.field(default_factory=tuple)


class Span(NamedTuple):
    start: int
    end: str = ""


class Stamp(typing.TypedDict):
    at: float
    by: typing.NotRequired[str]


class Shape(ABC):
    """One of its subclasses is meant."""

    @abstractmethod
    def area(self) -> float: ...


@attrs.frozen
class Circle(Shape):
    radius: int

    def area(self) -> float:
        return self.radius


@attrs.frozen
class Square(Shape):
    side: int

    def area(self) -> float:
        return 1.0


@attrs.frozen
class Sum:
    """Every way down is a class."""

    left: Sum | Product | Leaf
    right: Sum | Product | Leaf


@attrs.frozen
class Product:
    left: Sum | Product | Leaf
    right: Sum | Product | Leaf


@attrs.frozen
class Leaf:
    value: float


class Gauge:
    """Made by neither attrs nor dataclasses."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gauge) and repr(self.value) == repr(other.value)  # nan too

    def __hash__(self) -> int:
        return hash(repr(self.value))


@attrs.frozen
class Money:
    cents: int


OrderId = NewType("OrderId", int)
UserId = NewType("UserId", int)


@intent
class Numbers:
    whole: int
    real: float
    imaginary: complex
    exact: Decimal
    part: fractions.Fraction
    yes: bool


@intent
class Scalars:
    text: str
    raw: bytes
    id: uuid.UUID
    colour: Colour
    level: Level
    word: Literal["a", 1] | None
    place: pathlib.Path
    windows: pathlib.PureWindowsPath
    like: os.PathLike[str]
    host: ipaddress.IPv4Address
    pattern: re.Pattern[str]
    raw_pattern: re.Pattern[bytes]
    any_pattern: re.Pattern  # type: ignore[type-arg]  # bare, as users write it


@intent
class Times:
    day: dt.date
    moment: dt.datetime
    time: dt.time
    span: dt.timedelta
    zone: dt.timezone


@intent
class Unions:
    maybe: float | None
    optional: Optional[Decimal]  # noqa: UP045 - users write it
    either: typing.Union[complex, str]  # noqa: UP007 - users write it
    document: Json
    whatever: Any
    thing: object
    key: abc.Hashable


@intent
class Tuples:
    fixed: tuple[float, Decimal]
    nested: tuple[tuple[float, ...], ...]
    empty: tuple[()]
    bare: tuple  # type: ignore[type-arg]  # bare, as users write it
    several: abc.Sequence[float]
    chosen: frozenset[float | Colour]
    pairs: frozenset[tuple[int, Decimal]]
    span: Span
    numbers: typing.Tuple[float, ...]  # noqa: UP006 - users write it


@intent
class Calculate:
    sum: Sum


def leaves(value: Any) -> int:
    return 1 if isinstance(value, Leaf) else leaves(value.left) + leaves(value.right)


@intent
class Classes:
    pair: Pair[float]
    pairs: tuple[Pair[Decimal | None], ...]
    measured: Measured
    node: Node
    twice: Pair[Pair[complex]]
    shape: Shape
    sum: Sum
    gauge: Gauge
    money: Money
    point: Point[float]


@intent
class Renamed:
    order: OrderId
    noted: Annotated[float, "in metres"]
    later: tuple["Later", ...]  # noqa: UP037 - a name inside an annotation
    _private: float = field(alias="inner")
    final: typing.Final[float] = 1.0


@attrs.frozen
class Later:
    """Declared after what speaks of it."""

    value: float


@intent
class Insisting:
    """Fields that are left out of the hash."""

    items: list[float] = field(hash=False)
    lines: list[Pair[float]] = field(hash=False)
    table: dict[str, Decimal] = field(hash=False)
    unique: set[float] = field(hash=False)
    queue: deque[float] = field(hash=False)
    mapped: abc.Mapping[str, float] = field(hash=False)
    stamp: Stamp = field(hash=False)


@intent
class Defaults:
    given: float
    plain: float = 7.5
    made: tuple[float, ...] = field(factory=lambda: (1.5,))
    from_others: float = attrs.field(
        default=attrs.Factory(lambda self: self.given, takes_self=True)
    )
    by_name: float = field(kw_only=True)
    secret: str = field(default="s3cret", sensitive=True)
    internal: str = attrs.field(default="fixed", init=False)


@intent
class Envelope(Generic[T]):
    content: T
    copies: tuple[T, ...]
    pair: Pair[T]


@intent
class Addressed(Envelope[float], Generic[Number]):
    """Its own variable, beside one that is chosen already."""

    weight: Number
    twin: Number


@intent
class Bound(Generic[Key]):
    key: Key


@intent
class Tree:
    """An intent that holds itself."""

    name: float
    branches: tuple[Tree, ...] = ()
    parent: Tree | None = None


@airlock.effect
def restock(
    product: int, *, price: float, note: str = "", http: object = airlock.needs()
) -> None: ...


EVERY: list[Any] = [
    Numbers, Scalars, Times, Unions, Tuples, Classes, Renamed, Insisting, Defaults, Envelope,
    Envelope[float], Envelope[Pair[Decimal]], Addressed, Addressed[int], Bound, Tree, restock,
]  # fmt: skip


# -- the law of values ----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", EVERY, ids=str)
def test_every_value_equals_its_copies_hashes_and_pickles(cls: Any) -> None:
    """A NaN anywhere, or a Decimal that cannot be compared, would show here."""

    @quickly
    @given(intents(cls))
    def check(value: Any) -> None:
        for twin in (copy.deepcopy(value), airlock.replace(value), pickle_of(value)):
            assert twin == value
            assert hash(twin) == hash(value)

    check()


def pickle_of(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("cls", [Numbers, Unions, Tuples, Classes], ids=str)
def test_every_value_may_be_emitted_and_delivered(cls: Any) -> None:
    @quickly
    @given(intents(cls))
    def check(value: Any) -> None:
        delivered: list[Any] = []
        with airlock.Boundary({cls: delivered.append}).scope() as effects:
            effects.emit(value)
        assert delivered == [value]

    check()


@quickly
@given(intents(Numbers))
def test_decimals_are_finite_and_floats_are_numbers(value: Numbers) -> None:
    assert value.exact.is_finite()
    assert not math.isnan(value.real)


@quickly
@given(intents(Times))
def test_every_moment_can_be_told_in_utc(value: Times) -> None:
    assert value.moment.tzinfo is None or value.moment.astimezone(dt.UTC) == value.moment


# -- values are of the types that annotations name ------------------------------------------------

TYPES: list[tuple[Any, Callable[[Any], bool]]] = [
    (Numbers, lambda v: type(v.whole) is int and type(v.exact) is Decimal),
    (Scalars, lambda v: v.colour in Colour and v.word in ("a", 1, None)),
    (Scalars, lambda v: isinstance(v.place, pathlib.Path) and isinstance(v.like, os.PathLike)),
    (Scalars, lambda v: type(v.pattern.pattern) is str and type(v.raw_pattern.pattern) is bytes),
    (Unions, lambda v: v.maybe is None or type(v.maybe) is float),
    (Unions, lambda v: type(v.document) is Json),
    (Tuples, lambda v: [type(item) for item in v.fixed] == [float, Decimal] and v.empty == ()),
    (Tuples, lambda v: type(v.chosen) is frozenset and type(v.span) is Span),
    (Tuples, lambda v: type(v.several) is tuple and all(type(n) is float for n in v.several)),
    (Classes, lambda v: type(v.pair.one) is float and type(v.measured.other) is float),
    (Classes, lambda v: all(type(p.one) in (Decimal, type(None)) for p in v.pairs)),
    (Classes, lambda v: type(v.twice.one.other) is complex),
    (Classes, lambda v: type(v.point.tag) is float and type(v.point.y) is Decimal),
    (Classes, lambda v: type(v.shape) in (Circle, Square)),
    (Renamed, lambda v: type(v._private) is float and all(type(x) is Later for x in v.later)),
    (Insisting, lambda v: type(v.items) is list and type(v.queue) is deque),
    (Insisting, lambda v: set(v.stamp) <= {"at", "by"} and type(v.stamp["at"]) is float),
    (Envelope, lambda v: type(v.content) is type(v.pair.one) is type(v.pair.other)),
    (Envelope[float], lambda v: type(v.content) is float is type(v.pair.one)),
    (Addressed, lambda v: type(v.content) is float and type(v.weight) is type(v.twin)),
    (Addressed[int], lambda v: type(v.twin) is int and type(v.pair.one) is float),
    (Bound, lambda v: type(v.key) is Colour),
    (restock, lambda v: type(v.product) is int and type(v.price) is float),
]


@pytest.mark.parametrize(("cls", "fits"), TYPES)
def test_values_fit_their_annotations(cls: Any, fits: Callable[[Any], bool]) -> None:
    @quickly
    @given(intents(cls))
    def check(value: Any) -> None:
        assert fits(value), value

    check()


REACHED: list[tuple[str, Any, Callable[[Any], bool]]] = [
    ("a naive moment", Times, lambda v: v.moment.tzinfo is None),
    ("a moment in a zone", Times, lambda v: v.moment.utcoffset() == dt.timedelta(hours=5.5)),
    ("an infinite float", Numbers, lambda v: math.isinf(v.real)),
    ("None", Unions, lambda v: v.maybe is None),
    ("not None", Unions, lambda v: v.maybe is not None),
    ("no default", Defaults, lambda v: v.plain != 7.5 and v.made != (1.5,)),
    ("a default made from others", Defaults, lambda v: v.from_others == v.given),
    ("itself in it", Tree, lambda v: bool(v.branches) and v.parent is not None),
    ("one choice of a variable", Envelope, lambda v: type(v.content) is int),
    ("another choice of a variable", Envelope, lambda v: type(v.content) is str),
    ("a constraint", Addressed, lambda v: type(v.weight) is int),
    ("another constraint", Addressed, lambda v: type(v.weight) is float),
    ("a path that leads somewhere", Scalars, lambda v: len(v.place.parts) > 1),
]


@pytest.mark.parametrize(
    ("cls", "wanted"), [case[1:] for case in REACHED], ids=[case[0] for case in REACHED]
)
def test_values_are_varied(cls: Any, wanted: Callable[[Any], bool]) -> None:
    assert wanted(some(intents(cls), wanted))


def test_values_shrink_to_the_simplest() -> None:
    assert simplest(intents(Tree)) == Tree(0.0)
    deeper = simplest(intents(Tree), lambda v: v.parent is not None)
    assert deeper == Tree(0.0, parent=Tree(0.0))
    assert simplest(intents(Noted), lambda v: v.document.value).real is None


def test_hypothesis_shows_a_value_as_a_call_of_its_class() -> None:
    @hypothesis.settings(quickly, print_blob=False)
    @given(intents(Tree))
    def check(value: Any) -> None:
        assert value.name < 1

    with pytest.raises(AssertionError) as failure:
        check()
    assert re.search(r"value=Tree\(\s*name=1.0,", "\n".join(failure.value.__notes__))


# -- validators and converters --------------------------------------------------------------------


def even(_: Any, __: Any, value: int) -> None:
    if value % 2:
        raise ValueError("odd")


@intent
class Checked:
    size: str = field(validator=validators.in_(["S", "M"]))
    amount: int = field(validator=[validators.ge(1000), validators.lt(1003)])
    ratio: float = field(validator=validators.and_(validators.gt(0.0), validators.le(0.25)))
    price: Decimal = field(validator=validators.gt(Decimal(10000)))
    wait: dt.timedelta = field(validator=validators.ge(dt.timedelta(days=9)))
    due: dt.datetime = field(validator=validators.gt(dt.datetime(2030, 1, 1, tzinfo=dt.UTC)))
    naive: dt.datetime = field(validator=validators.le(dt.datetime(1900, 1, 1)))  # noqa: DTZ001 - on purpose
    day: dt.date = field(validator=validators.ge(dt.date(2030, 1, 1)))
    code: str = field(validator=[validators.min_len(3), validators.max_len(4)])
    raw: bytes = field(validator=validators.min_len(20))
    email: str = field(validator=validators.matches_re(r"[a-z]+@example\.org"))
    found: str = field(validator=validators.matches_re("abc", func=re.search))
    phone: str | None = field(validator=validators.optional(validators.matches_re(r"\+\d{5}")))
    several: tuple[int, ...] = field(
        validator=validators.deep_iterable(
            validators.and_(validators.ge(100), validators.instance_of(int)),
            validators.and_(validators.min_len(2), validators.max_len(3)),
        )
    )
    chosen: int | None = field(validator=validators.optional(validators.in_({1, 2})))
    known: Any = field(validator=validators.instance_of(bytes))
    order: OrderId = field(validator=validators.gt(7))
    loose: int | None = field(validator=validators.ge(3))
    table: dict[str, int] = field(hash=False, validator=validators.min_len(2))
    host: ipaddress.IPv4Address = field(validator=validators.ge(ipaddress.IPv4Address("1.0.0.0")))


@intent
class Picky:
    """Refuses half of the values that fit."""

    number: int = field(validator=even)


@intent
class Converting:
    words: tuple[str, ...] = field(converter=tuple)
    cents: int = field(converter=int)
    parsed: int = field(converter=lambda text: text)


def parse(text: str) -> int:
    return len(text)


@intent
class Parsing:
    length: int = field(converter=parse)


@attrs.frozen
class Fussy:
    low: int
    high: int

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


@intent
class Ranged:
    range: Fussy


@pytest.mark.parametrize("cls", [Checked, Picky, Converting, Parsing, Ranged], ids=str)
def test_validators_are_satisfied_without_much_filtering(cls: Any) -> None:
    """No health check is suppressed; a validator that cannot be read is tried again."""

    @quickly
    @given(intents(cls))
    def check(value: Any) -> None:
        assert pickle_of(value) == value

    check()


def test_arguments_are_what_the_converter_takes() -> None:
    assert simplest(intents(Parsing), lambda v: v.length == 3) == Parsing("000")  # type: ignore[arg-type]  # mypy knows no converter here


def test_optional_fields_are_none_at_times() -> None:
    assert some(intents(Checked), lambda v: v.phone is None)
    assert some(intents(Checked), lambda v: v.phone is not None)


@intent
class Impossible:
    number: int = field(validator=[validators.instance_of(int), even])
    other: int = field(validator=lambda *_: (_ for _ in ()).throw(ValueError("never")))


def test_what_a_class_always_refuses_fails_the_health_check() -> None:
    @hypothesis.settings(quickly, suppress_health_check=[HealthCheck.filter_too_much])
    @given(intents(Impossible))
    def check(_: Any) -> None: ...

    with pytest.raises(Unsatisfiable):
        check()


@intent
class Faulty:
    number: int = field(validator=lambda *_: dict[str, int]()["missing"])


def test_another_error_of_a_class_is_an_error() -> None:
    @quickly
    @given(intents(Faulty))
    def check(_: Any) -> None: ...

    with pytest.raises(KeyError, match="missing"):
        check()


# -- which classes, which fields ------------------------------------------------------------------


@intent
class SendEmail:
    to: str
    subject: str = ""


@intent
class SendInvoice(SendEmail):
    number: int = 0


@intent
class Aliased:
    value: int = field(alias="amount")


def test_subclasses_are_not_implied() -> None:
    @quickly
    @given(intents(SendEmail))
    def check(value: Any) -> None:
        assert type(value) is SendEmail

    check()


def is_a(cls: Any, value: Any) -> bool:
    return type(value) is cls


def test_several_classes_are_each_reached() -> None:
    for cls in (SendEmail, Aliased, restock.intent_type):
        assert some(intents(SendEmail, Aliased, restock), partial(is_a, cls))


def test_fields_are_given_as_strategies_or_values() -> None:
    @quickly
    @given(intents(SendEmail, to=st.just("a@example.org") | st.just("b@example.org"), subject="hi"))
    def check(value: SendEmail) -> None:
        assert value.to in ("a@example.org", "b@example.org")
        assert value.subject == "hi"

    check()


@pytest.mark.parametrize("name", ["value", "amount"])
def test_fields_are_named_by_name_or_alias(name: str) -> None:
    made: Any = intents(Aliased, **{name: 7})
    assert simplest(made) == Aliased(7)


def test_fields_of_a_generic_class_are_given_too() -> None:
    envelope: Any = Envelope[int]
    made = simplest(intents(envelope, content=7), lambda v: bool(v.copies))
    assert made == Envelope(7, (0,), Pair(0, 0))


def test_a_given_field_needs_no_annotation_that_can_be_read() -> None:
    @intent
    class Unreadable:
        mystery: Missing = field(hash=False)  # type: ignore[name-defined]  # noqa: F821

    assert simplest(intents(Unreadable, mystery=3)) == Unreadable(3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"subjct": ""}, "has no field 'subjct'. Did you mean 'subject'? It takes: to, subject."),
        ({"zzz": ""}, "has no field 'zzz'. It takes: to, subject."),
    ],
)
def test_a_field_that_does_not_exist_is_refused_at_the_call(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        intents(SendEmail, **fields)
    assert said in str(refused.value)
    assert "test_strategies.py:" in str(refused.value)


def test_a_field_that_the_constructor_does_not_take_is_refused() -> None:
    with pytest.raises(DeclarationError, match="has no field 'internal'"):
        intents(Defaults, internal="x")


@pytest.mark.parametrize("classes", [(), (SendEmail, Aliased)], ids=len)
def test_fields_belong_to_exactly_one_class(classes: tuple[Any, ...]) -> None:
    with pytest.raises(DeclarationError, match="fields belong to one class"):
        intents(*classes, to="a@example.org")


class Undecorated(SendEmail):
    pass


@pytest.mark.parametrize(
    "wrong", [int, 42, Undecorated, SendEmail("a"), Pair, Pair[int], st.integers(), "shop.email"]
)
def test_what_is_no_intent_class_is_refused_at_the_call(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="intent"):
        intents(SendEmail, wrong)


@attrs.frozen
class Opaque:
    """Holds what nothing can make."""

    secret: Unheard  # type: ignore[name-defined]  # noqa: F821


@intent
class Holder:
    inner: Opaque


class Mute:
    """Says nothing of how it is made."""

    def __init__(self, secret) -> None:  # type: ignore[no-untyped-def]
        self.secret = secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mute)

    def __hash__(self) -> int:
        return 1


@intent
class Speechless:
    mute: Mute


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Holder, "cannot make values for Opaque.secret: the annotation 'Unheard' cannot be"),
        (Speechless, "cannot make values for Speechless.mute: there is no strategy for"),
    ],
)
def test_what_annotations_do_not_say_is_told_with_the_field(cls: Any, said: str) -> None:
    @quickly
    @given(intents(cls))
    def check(_: Any) -> None: ...

    with pytest.raises(DeclarationError) as unknown:
        check()
    assert said in str(unknown.value)
    assert "intents(..., " in str(unknown.value)
    assert "st.register_type_strategy(" in str(unknown.value)


def test_local_names_come_before_those_of_the_module() -> None:
    @attrs.frozen
    class Later:
        number: int

    @attrs.frozen
    class Holding:
        later: Later

    @intent
    class Local:
        holding: Holding

    assert simplest(intents(Local)).holding.later == Later(0)


def test_annotations_are_read_late_and_with_local_names() -> None:
    @intent
    class Local:
        items: tuple[LocalItem, ...]

    made = intents(Local)

    @attrs.frozen
    class LocalItem:
        number: float

    assert simplest(strategy_of((Local,), {}, locals()), lambda v: bool(v.items))
    with pytest.raises(DeclarationError, match="LocalItem"):
        simplest(made)  # it was not a local name then
    assert simplest(intents(Local), lambda v: bool(v.items)).items[0].number == 0


# -- every declared intent ------------------------------------------------------------------------


@pytest.fixture
def only_these(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make these the only declared intents."""

    def declare(*classes: type[Any]) -> None:
        kinds = {(registry.spec_of(cls).kind, 1): cls for cls in classes}
        monkeypatch.setattr(registry, "KINDS", kinds)

    return declare


def test_no_class_means_every_intent_declared_when_a_value_is_drawn(
    only_these: Callable[..., None],
) -> None:
    made = intents()
    only_these(SendEmail, SendInvoice, Holder)
    for cls in (SendEmail, SendInvoice):
        assert simplest(made, partial(is_a, cls))


def test_without_any_declared_intent_it_says_so(only_these: Callable[..., None]) -> None:
    only_these()
    with pytest.raises(DeclarationError, match="no intent is declared"):
        simplest(intents())


# -- what users have told Hypothesis --------------------------------------------------------------


@intent
class Payment:
    amount: Money
    moment: dt.datetime
    user: UserId
    rate: float


@intent
class Custom:
    number: int


@intent
class Noted:
    document: Json
    real: float | None = None


@pytest.fixture
def told() -> Any:
    """Registers strategies, and forgets them."""
    from hypothesis.strategies._internal import types

    before = dict(types._global_type_lookup)
    yield st.register_type_strategy
    types._global_type_lookup.clear()
    types._global_type_lookup.update(before)
    st.register_type_strategy(Json, before[Json])  # which forgets what it remembers of the others


def test_what_is_registered_is_used(told: Any) -> None:
    told(Money, st.builds(Money, st.just(99)))
    told(UserId, st.just(12))
    told(dt.datetime, st.just(dt.datetime(2020, 2, 2, tzinfo=dt.UTC)))
    told(float, st.just(0.5))
    told(Json, st.just(Json({"told": True})))
    told(Custom, st.just(Custom(3)))
    one = simplest(intents(Payment))
    moment = dt.datetime(2020, 2, 2, tzinfo=dt.UTC)
    assert one == Payment(Money(99), moment, UserId(12), 0.5)
    assert simplest(intents(Custom)) == Custom(3)
    assert simplest(intents(Noted)) == Noted(Json({"told": True}))
    assert simplest(intents(Custom, number=4)) == Custom(4)


def test_from_type_knows_json_options_and_intent(only_these: Callable[..., None]) -> None:
    only_these(SendEmail, Numbers)
    assert simplest(st.from_type(Json), lambda v: v == Json([{"": None}]))
    options = simplest(st.from_type(Options), lambda v: len(v.given()) == 5)
    assert options.delay is not None
    assert options.delay > dt.timedelta(0)
    protocol: Any = Intent
    assert type(simplest(st.from_type(protocol))) is SendEmail


def test_from_type_reads_an_intent_class_by_itself() -> None:
    """So a float may be NaN there, as in any other class; its Json is ours."""

    assert simplest(st.from_type(Noted), lambda v: v.document.value == [])
    assert simplest(st.from_type(Noted), lambda v: v.real is not None and math.isnan(v.real))


def test_what_from_type_makes_of_others_stays_as_it_is() -> None:
    for wide in (object, abc.Hashable):
        hint: Any = wide
        assert not re.search("Json|Options|Intent", repr(st.from_type(hint)))


IMPORTS = {
    "hypothesis first": """
        import hypothesis, airlock
        from hypothesis import strategies as st
        from airlock.testing.strategies import intents
    """,
    "the strategies first": """
        from airlock.testing.strategies import intents
        import airlock
        from hypothesis import strategies as st
    """,
    "not even the strategies": """
        import hypothesis, airlock
        from hypothesis import strategies as st
    """,
}


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("imports", IMPORTS.values(), ids=list(IMPORTS))
def test_hypothesis_registers_by_itself_in_whatever_order_things_are_imported(imports: str) -> None:
    done = run(
        textwrap.dedent(imports)
        + "assert 'Json' in repr(st.from_type(airlock.Json)), st.from_type(airlock.Json)\n"
        + "st.from_type(airlock.Options).validate()\n"
    )
    assert not done.stderr


def test_without_hypothesis_the_error_names_the_extra() -> None:
    done = run("""
        import sys
        sys.modules["hypothesis"] = None
        import airlock.testing
        import airlock.testing.strategies
    """)
    assert done.stderr.splitlines()[-1] == (
        "airlock.errors.MissingExtraError: airlock.testing.strategies needs hypothesis, which is "
        "not installed. Run: pip install 'airlock-effects[testing]'"
    )
    assert "During handling" not in done.stderr


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is from Python 3.12")
def test_type_statements_and_type_parameters_are_read() -> None:
    done = run("""
        import pickle, sys, types
        module = sys.modules["later"] = types.ModuleType("later")
        exec('''
        import airlock, attrs
        type Ident = int
        type Both[A] = tuple[A, A]
        type Nested = float | list[Nested]
        @attrs.frozen
        class Box[T]:
            content: T
        @airlock.intent
        class Ship[T: (int, str)]:
            ident: Ident
            both: Both[float]
            box: Box[T]
            twin: T
            nested: Nested = airlock.field(hash=False)
        '''.replace("\\n        ", "\\n"), vars(module))
        import hypothesis
        from airlock.testing.strategies import intents
        @hypothesis.settings(max_examples=30, database=None, deadline=None)
        @hypothesis.given(intents(module.Ship))
        def check(value):
            assert type(value.twin) is type(value.box.content)
            assert pickle.loads(pickle.dumps(value)) == value
        check()
    """)
    assert not done.stderr


def test_a_class_of_the_program_that_can_be_hashed_is_not_asked_for() -> None:
    """Of all classes that derive from ``Hashable`` none is meant: SQLAlchemy has one that cannot be made."""

    @attrs.frozen
    class Operator(abc.Hashable):
        left: io.FileIO

    @intent
    class Keyed:
        key: abc.Hashable

    @quickly
    @given(intents(Keyed))
    def check(value: Any) -> None:
        assert not isinstance(value.key, Operator)

    check()
    assert abc.Hashable.__subclasses__() != []
