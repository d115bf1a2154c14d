"""Types that are rare and legal, and those that only look so."""

# Annotations are real here, as many write them, so that names within them stay texts.
import enum
import functools
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from datetime import time
from decimal import Decimal
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Generic, NamedTuple, Optional, Tuple, TypeVar  # noqa: UP035
from zoneinfo import ZoneInfo

import attrs
import pytest
from jsonschema import Draft202012Validator

from airlock import Json, field, intent
from airlock.errors import DeclarationError, UnencodableError, WireError
from airlock.wire import Causation, Envelope, Limits, TypeForm, Wire
from tests.wire import vocabulary as v
from tests.wire.holding import holder, read, refused, written

T = TypeVar("T")


class Pair(NamedTuple, Generic[T]):
    first: T
    second: Optional[T] = None  # noqa: UP045 - as many write it


@attrs.frozen
class Branch(Generic[T]):
    item: T
    below: tuple["Branch[T]", ...] = ()
    beside: Optional["Branch[T]"] = None


class Chain(NamedTuple):
    name: str
    rest: Optional["Chain"] = None


@dataclass(frozen=True)
class Leaf:
    name: str
    twins: tuple["Leaf", ...] = ()


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Pair[int], Pair(1, 2)),
        (Pair[str] | None, Pair("a")),
        (Branch[int], Branch(1, (Branch(2),), Branch(3))),
        (Chain, Chain("a", Chain("b"))),
        (Leaf, Leaf("a", (Leaf("b"),))),
        (Tuple[()], ()),  # noqa: UP006
        (tuple[Branch[int] | Pair[int], ...], (Branch(1), Pair(2))),
    ],
)
def test_there_and_back(hint: Any, value: Any) -> None:
    said = written(hint, value)
    assert read(hint, said) == value
    schema = Wire().schema_of(holder(hint))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(
        {"kind": "wire.holder", "version": 1, "data": {"it": said}}
    )


@intent(kind="wire.family")
class Family:
    """Names within the annotations of an intent itself."""

    members: tuple["Relative", ...] = ()
    head: Optional["Relative"] = None


@attrs.frozen
class Relative:
    name: str


def test_names_within_the_types_of_an_intent() -> None:
    wire = Wire()
    family = Family((Relative("a"),), Relative("b"))
    assert wire.loads(wire.dumps(family)) == family


def test_another_name_of_a_union_is_the_union() -> None:
    """Its members stand beside the others: none of them goes by a tag of its own."""
    payment: Any = Annotated[v.Line | v.Cash, "how it is paid"]
    assert written(payment | str, "on account") == {"str": "on account"}
    assert written(payment | None, None) is None
    assert read(payment | str, {"Cash": {"amount": "1"}}) == v.Cash(Decimal(1))


class Shop:
    """A class with an enum of its own."""

    class Sort(enum.Enum):
        BIG = "big"


def test_a_tag_is_the_name_of_a_class_without_those_around_it() -> None:
    assert written(Shop.Sort | str, Shop.Sort.BIG) == {"Sort": "big"}
    assert read(Shop.Sort | str, {"Sort": "big"}) is Shop.Sort.BIG
    assert written(tuple[int, ...] | list[int], [1]) == {"list[int]": [1]}


@dataclass(frozen=True)
class Asking:
    a: int
    b: InitVar[int]


@attrs.frozen(init=False)
class Own:
    a: int

    def __init__(self, x: int) -> None:
        initialize: Any = vars(Own)["__attrs_init__"]
        initialize(self, x)


@attrs.frozen(init=False)
class Turned:
    a: int
    b: int

    def __init__(self, b: int, a: int) -> None:
        initialize: Any = vars(Turned)["__attrs_init__"]
        initialize(self, a, b)


@attrs.frozen
class Untyped:
    a = attrs.field()  # type: ignore[var-annotated]


@attrs.frozen
class Half:
    known: "int"
    unknown: "tuple[NoSuchName, ...]"  # type: ignore[name-defined]  # noqa: F821


@attrs.frozen
class Growing(Generic[T]):
    item: T
    more: Optional["Growing[tuple[T, ...]]"] = None


@pytest.mark.parametrize(
    ("hint", "path", "said"),
    [
        (Asking, "", "Its constructor asks for 'b', which is no field of it"),
        (Own, "", "Its constructor asks for 'x', which is no field of it"),
        (Untyped, ".a", "has the type Any"),
        (Half, ".unknown", "Declare what it names at the top of a module"),
        (Growing[int], "", "has a type without end"),
        (tuple[int, *tuple[str, ...]], "[1]", "which has no form on the wire"),
    ],
)
def test_what_could_be_written_and_never_read_is_refused(hint: Any, path: str, said: str) -> None:
    """At first use, and again at the second: nothing half made is left behind."""
    wire, cls = Wire(), holder(hint)
    for _ in range(2):
        with pytest.raises(UnencodableError) as caught:
            wire.dumps(cls(None))
        assert caught.value.field in (f".it{path}", "")
        assert said in str(caught.value)


def test_a_constructor_may_take_its_arguments_in_another_order() -> None:
    assert read(Turned, {"a": 1, "b": 2}) == Turned(a=1, b=2)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases of PEP 695")
def test_type_aliases_that_hold_themselves() -> None:
    module = ModuleType("tests.wire.aliases")
    sys.modules[module.__name__] = module
    source = """
        from __future__ import annotations
        import attrs
        type Words = str | None | tuple[Words, ...]
        type Tree[T] = T | tuple[Tree[T], ...]
        type Nest = tuple[Nest | int, ...]
        type Loop = Loop
        type Grow[T] = T | tuple[Grow[tuple[T, ...]], ...]
        type Payment[T] = T | int
        @attrs.frozen
        class Box[T]:
            item: T
            below: tuple[Box[T], ...] = ()
    """
    exec(textwrap.dedent(source), vars(module))
    named: Any = vars(module)
    for hint, value in [
        (named["Words"], ("a", (None, ("b",)))),
        (named["Tree"][int], (1, (2, (3,)))),
        (named["Nest"], (1, (2, ()))),
        (named["Box"][int], named["Box"](1, (named["Box"](2),))),
        (named["Payment"][str] | None, "a"),
    ]:
        said = written(hint, value)
        assert read(hint, said) == value
        schema = Wire().schema_of(holder(hint))
        message = {"kind": "wire.holder", "version": 1, "data": {"it": said}}
        Draft202012Validator(schema).validate(message)
        message["data"] = {"it": [[1.5]]}
        assert not Draft202012Validator(schema).is_valid(message)
    for endless in (named["Loop"], named["Grow"][int]):
        with pytest.raises(UnencodableError, match="without end"):
            written(endless, 1)


@attrs.frozen
class Summed:
    """Slots of attrs, and what it keeps besides."""

    number: int

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.number


@attrs.frozen(slots=False)
class Loose(Summed):
    """A class whose values may be given more."""


@dataclass(frozen=True)
class Doubled:
    number: int

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.number


@attrs.frozen(cache_hash=True)
class Hashed:
    number: int


@dataclass(frozen=True)
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError("too small")


@pytest.mark.parametrize("cls", [Summed, Loose, Doubled, Hashed, Positive])
def test_nothing_but_the_fields_is_written_and_a_value_that_is_read_is_whole(cls: Any) -> None:
    """As if it were made by its constructor: msgspec sets attributes, and writes what it finds."""
    value, wire = cls(1), Wire()
    for name in {"double"} & set(dir(cls)):
        assert getattr(value, name) == 2
    text = wire.dumps(holder(cls)(value))
    assert text.endswith(b'"data":{"it":{"number":1}}}')
    for _ in range(2):  # at first by its document, and then at once
        found = wire.loads(text).it
        assert (found, hash(found)) == (value, hash(value))


def test_what_a_constructor_refuses_is_refused_however_it_is_read() -> None:
    wire, cls = Wire(), holder(Positive)
    good = wire.dumps(cls(Positive(1)))
    for _ in range(2):
        assert wire.loads(good) == cls(Positive(1))
        said = refused(lambda: wire.loads(good.replace(b"1}}", b"0}}")))
        assert said == "$.data.it Positive refuses it (ValueError: too small)"


# -- values ---------------------------------------------------------------------------------------


class Loud(int):
    def __int__(self) -> int:
        return 77


class Dropping(enum.Flag, boundary=enum.CONFORM):
    READ = 1


class Ejecting(enum.Flag, boundary=enum.EJECT):
    READ = 1


class Keeping(enum.IntFlag):
    READ = 1


@pytest.mark.parametrize(("hint", "value"), [(str, "\ud800"), (Json, Json({"a": ["\udc00"]}))])
def test_an_unpaired_surrogate_is_not_written(hint: Any, value: Any) -> None:
    """Not as a default in a schema either."""
    for use in (Wire().dumps, Wire().dump, lambda one: Wire().encode(Envelope(one))):
        with pytest.raises(UnencodableError, match="contains an unpaired surrogate"):
            use(holder(hint)(value))
    namespace = {"__annotations__": {"it": hint}, "it": value}
    cls: Any = intent(kind="wire.half")(type("Half", (), namespace))
    assert "default" not in Wire().schema_of(cls)["properties"]["data"]["properties"]["it"]


def test_a_subclass_of_int_is_written_as_its_value() -> None:
    assert written(int, Loud(1)) == 1
    assert written(float, Loud(1)) == 1.0


def test_a_time_whose_zone_has_no_offset_of_its_own_is_refused() -> None:
    """It was written without the zone before."""
    with pytest.raises(UnencodableError, match="in a zone whose offset depends on the day"):
        written(time, time(1, tzinfo=ZoneInfo("Europe/Vienna")))


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
@pytest.mark.parametrize("hint", [float, Json, float | None])
def test_a_number_that_is_too_large_is_not_infinity(text: str, hint: Any) -> None:
    holder(hint)
    message = f'{{"kind":"wire.holder","version":1,"data":{{"it":{text}}}}}'
    assert refused(partial(Wire().loads, message)) == "$ has a number that is too large"


@pytest.mark.parametrize("cls", [v.Rights, Dropping, Ejecting])
@pytest.mark.parametrize("number", [-1, 4, 7])
def test_flags_that_a_class_does_not_have_are_neither_dropped_nor_made_up(
    cls: Any, number: int
) -> None:
    assert refused(lambda: read(cls, number)) == (
        f"$.data.it expected flags of {cls.__name__}, found others"
    )


def test_flags_that_a_class_keeps_are_kept() -> None:
    assert read(Keeping, 9) == Keeping(9)
    assert "maximum" not in Wire().schema_of(holder(Keeping))["properties"]["data"]["properties"]


@dataclass
class Weight:
    grams: int


class Parcel(Weight, enum.Enum):
    """Its members have no hash, as their type has none."""

    SMALL = 100
    LARGE = 2_000


def test_members_of_an_enum_need_no_hash() -> None:
    assert written(Parcel, Parcel.LARGE) == "LARGE"
    assert read(Parcel, "LARGE") is Parcel.LARGE


def test_a_set_of_what_has_no_hash_cannot_be_read() -> None:
    assert refused(lambda: read(frozenset[list[int]], [[1]])) == (
        "$.data.it cannot be read (TypeError)"
    )


# -- depth ----------------------------------------------------------------------------------------


def test_what_is_too_deep_for_python_is_an_error_of_the_wire() -> None:
    wire = Wire(limits=Limits(depth=1_000_000))
    tree, said = v.Tree("a"), {"name": "a", "children": list[Any]()}
    for _ in range(2_000):
        tree, said = v.Tree("a", (tree,)), {"name": "a", "children": [said]}
    with pytest.raises(UnencodableError, match="is too deep"):
        written(v.Tree, tree, wire)
    with pytest.raises(UnencodableError, match="is too deep"):
        wire.dumps(holder(v.Tree)(tree))
    assert refused(lambda: read(v.Tree, said, wire)) == "$.data is too deep"


# -- dicts ----------------------------------------------------------------------------------------


def test_load_is_as_strict_with_dicts_as_loads_with_text() -> None:
    """Dicts can hold what JSON cannot."""
    assert "holds" not in refused(lambda: read(float, float("nan")))
    assert refused(lambda: read(dict[str, int], {1: 1})) == (
        "$.data.it expected an object, found keys that are no strings"
    )
    message: Any = {1: 1, "kind": "wire.small", "version": 1, "data": {"order_id": 1}}
    assert refused(lambda: Wire().load(message)) == "$.1 was not expected"
    del message[1]
    assert Wire().load(MappingProxyType(message)) == v.Small(1)


# -- classes --------------------------------------------------------------------------------------


def test_a_class_that_is_declared_again_passes_where_the_first_did() -> None:
    """As when its module is loaded again; values of the first are still written."""

    def declare(default: int) -> Any:
        @intent(kind="wire.again")
        class Again:
            number: int = default

        return Again

    first = declare(1)
    wire = Wire([first])
    text = wire.dumps(first(5))
    second = declare(2)
    assert wire.loads(text) == second(5)
    assert wire.dumps(second(5)) == wire.dumps(first(5)) == text


def test_threads_may_use_a_wire_for_the_first_time_at_once() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            together()
    finally:
        sys.setswitchinterval(interval)


def together() -> None:
    cls, wire, errors = holder(v.Tree), Wire(), list[BaseException]()
    start = threading.Barrier(6)

    def use() -> None:
        start.wait()
        try:
            value = cls(v.Tree("a", (v.Tree("b"),)))
            assert wire.loads(wire.dumps(value)) == value
            with pytest.raises(WireError):
                wire.load({"kind": "wire.holder", "version": 1, "data": {"it": {"name": 1}}})
            wire.schema_of(cls)
        except BaseException as error:  # noqa: BLE001 - it must reach the test
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_default_may_look_like_a_reference() -> None:
    namespace = {"__annotations__": {"it": Json}, "it": Json({"$ref": "#/$defs/None"})}
    cls: Any = intent(kind="wire.referring")(type("Referring", (), namespace))
    schema = Wire().schema_of(cls)
    assert schema["properties"]["data"]["properties"]["it"]["default"] == {"$ref": "#/$defs/None"}


# -- misuse ---------------------------------------------------------------------------------------


ANY_WIRE: Any = Wire
ANY_ENVELOPE: Any = Envelope


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ANY_WIRE(v.Small), "takes several intent classes, not the class Small"),
        (lambda: ANY_WIRE(cipher=b"secret-key"), "takes what has encrypt and decrypt, not a bytes"),
        (lambda: ANY_WIRE(limits=5), "takes Limits(...), not 5"),
        (lambda: ANY_WIRE(forms={"int": TypeForm(str, int)}), "give a TypeForm for a class"),
        (lambda: ANY_WIRE(forms={int: str}), "give a TypeForm for a class"),
        (
            lambda: ANY_WIRE(forms={dict[str, int]: TypeForm(str, dict)}),
            "give a TypeForm for a class",
        ),
        (lambda: ANY_WIRE(forms={v.Small: TypeForm(str, str)}), "not for an intent"),
        (lambda: ANY_ENVELOPE(v.Small(1), {"tenant": "acme"}), "Envelope takes Options(...)"),
    ],
)
def test_misuse_is_loud_and_shows_no_key(make: Callable[[], object], said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert said in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_a_causation_that_is_none_is_refused() -> None:
    wrong: Any = "x"
    envelope = Envelope(v.Small(1), None, wrong)
    with pytest.raises(UnencodableError, match="Small's causation: it holds a str"):
        Wire().encode(envelope)
    assert Causation() == Envelope(v.Small(1)).causation


@intent(kind="wire.keyed")
class Keyed:
    counts: dict[str, int] = field(hash=False)


def test_a_key_in_a_path_is_cut() -> None:
    message = {"kind": "wire.keyed", "version": 1, "data": {"counts": {"x" * 9_000: "1"}}}
    with pytest.raises(WireError) as caught:
        Wire().load(message)
    assert len(caught.value.path) < 120
