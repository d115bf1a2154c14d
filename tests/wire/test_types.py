"""How each type looks in JSON, and what is not taken for it."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from uuid import UUID

import attrs
import pytest

from airlock import Json, intent
from airlock.errors import DeclarationError, UnencodableError, WireError
from airlock.wire import Limits, TypeForm, Wire
from tests.wire import vocabulary as v
from tests.wire.holding import WIRE, holder, read, refused, written

UUID_ = UUID("12345678-1234-5678-1234-567812345678")
VIENNA = timezone(timedelta(hours=1))


class Lenient(enum.Enum):
    """An enum that makes something of everything."""

    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.RED


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 42, 42),
        (int, 2**70, 2**70),
        (float, 1.5, 1.5),
        (float, 2, 2.0),
        (str, "é", "é"),
        (str, v.Sku("a"), "a"),
        (int, v.Priority.HIGH, 2),
        (bool, True, True),
        (None, None, None),
        (Decimal, Decimal("1.50"), "1.50"),
        (Decimal, Decimal("1E+3"), "1E+3"),
        (UUID, UUID_, "12345678-1234-5678-1234-567812345678"),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (datetime, datetime(2026, 1, 2, 3, tzinfo=VIENNA), "2026-01-02T03:00:00+01:00"),
        (date, date(2026, 1, 2), "2026-01-02"),
        (time, time(1, 2, 3), "01:02:03"),
        (timedelta, timedelta(days=2, seconds=3.5), "P2DT3.5S"),
        (timedelta, timedelta(days=30), "P30D"),
        (timedelta, timedelta(0), "PT0S"),
        (timedelta, timedelta(seconds=-10), "-PT10S"),
        (bytes, b"\x00\xff", "AP8="),
        (Json, Json({"a": [1, None]}), {"a": [1, None]}),
        (v.Colour, v.Colour.RED, "red"),
        (v.Priority, v.Priority.HIGH, 2),
        (v.Shape, v.Shape.ROUND, "ROUND"),
        (v.Rights, v.Rights.READ | v.Rights.WRITE, 3),
        (Literal["a", 1], 1, 1),
        (tuple[int, ...], (1, 2), [1, 2]),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (tuple[()], (), []),
        (frozenset[str], frozenset("cba"), ["a", "b", "c"]),
        (list[int], [1], [1]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (v.Line, v.Line("a", 1, Decimal(2)), {"sku": "a", "qty": 1, "price": "2"}),
        (v.Point, v.Point(1, 2), {"x": 1, "y": 2}),
        (v.Size, v.Size(3), {"width": 3, "height": 1}),
        (v.Box[int], v.Box(1), {"item": 1, "spare": None}),
        (v.Tree, v.Tree("a", (v.Tree("b"),)), {
            "name": "a", "children": [{"name": "b", "children": []}],
        }),
        (int | None, None, None),
        (int | str, "a", "a"),
        (int | float, 1.0, 1.0),
        (v.Line | str | None, "a", "a"),
        (v.Line | v.Cash, v.Cash(Decimal(1)), {"Cash": {"amount": "1"}}),
        (v.Line | v.Cash | None, None, None),
        (Decimal | str, Decimal(1), {"Decimal": "1"}),
        (Json | None, Json(None), {"Json": None}),
        (v.Box[int] | v.Box[str], v.Box("a"), {"Box[str]": {"item": "a", "spare": None}}),
    ],
)  # fmt: skip
def test_a_type_in_json(hint: Any, value: Any, expected: Any) -> None:
    assert written(hint, value) == expected
    assert read(hint, json.loads(json.dumps(expected))) == value
    wire, text = Wire(), told(hint, expected)
    for _ in range(2):  # the second time it may be read at once
        assert wire.loads(text).it == value
    assert wire.loads(wire.dumps(holder(hint)(value))).it == value


def told(hint: Any, value: Any) -> bytes:
    """A message with a value, as a text."""
    holder(hint)
    return json.dumps({"kind": "wire.holder", "version": 1, "data": {"it": value}}).encode()


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (str, None, "expected a string, found null"),
        (int, 1.9, "expected an integer, found a number"),
        (int, 1.0, "expected an integer, found a number"),
        (int, True, "expected an integer, found a boolean"),
        (int, "1", "expected an integer, found a string"),
        (bool, 1, "expected a boolean, found an integer"),
        (float, "1.5", "expected a number, found a string"),
        (float, True, "expected a number, found a boolean"),
        (float, 2**53 + 1, "expected a number that a float can hold, found a larger integer"),
        (float, 10**400, "expected a number that a float can hold, found a larger integer"),
        (None, 0, "expected null, found an integer"),
        (Decimal, 1.5, "expected a decimal number in a string, found a number"),
        *[
            (Decimal, text, "expected a decimal number in a string, found another string")
            for text in ("NaN", "Infinity", "-sNaN1", "1_000", " 1", "٣", "", "1e", "1e9" * 9)
        ],
        *[
            (UUID, text, "expected a UUID, found another string")
            for text in (f"{{{UUID_}}}", UUID_.hex, f"urn:uuid:{UUID_}", "", f"{UUID_}0")
        ],
        *[
            (datetime, text, "expected a date and time with a zone, found another string")
            for text in (
                "2026-01-02T03:04:05", "2026-01-02", "20260102T030405Z", "2026-01-02 03:04:05Z",
                "2026-13-02T03:04:05Z", "2026-01-02T25:04:05Z", "2026-W01-1T03:04:05Z",
            )
        ],
        (date, "2026-02-30", "expected a date, found another string"),
        (date, "2026-W01-1", "expected a date, found another string"),
        (time, "25:00", "expected a time of day, found another string"),
        *[
            (timedelta, text, "expected an ISO 8601 duration, found another string")
            for text in ("P", "PT", "1", "P1Y", "P1W", "PT1.S", "P99999999999D", "PT\u0661S")
        ],
        (timedelta, 5, "expected an ISO 8601 duration, found an integer"),
        (bytes, "a", "expected base64, found another string"),
        (bytes, "AP8=\n", "expected base64, found another string"),
        (bytes, "é", "expected base64, found another string"),
        (v.Colour, "green", "expected one of 'red', 'blue', found another string"),
        (Lenient, "green", "expected one of 'red', found another string"),
        (v.Colour, {}, "expected one of 'red', 'blue', found another object"),
        (v.Priority, True, "expected one of 1, 2, found another boolean"),
        (v.Shape, [1, 0], "expected one of 'ROUND', 'SQUARE', found another array"),
        (v.Rights, 8, "expected flags of Rights, found others"),
        (Literal["a", 1], True, "expected one of 'a', 1, found another boolean"),
        (tuple[int, ...], {"0": 1}, "expected an array, found an object"),
        (tuple[int, str], [1], "expected 2 items, found 1"),
        (frozenset[int], [1, 1], "expected items that are all different, found one twice"),
        (v.Line, [], "expected an object (Line), found an array"),
        (v.Line, None, "expected an object (Line), found null"),
        (v.Size, [], "expected an object (Size), found an array"),
        (int | str, None, "expected int or str, found null"),
        (v.Line | v.Cash, {"Line": {}, "Cash": {}},
         "expected an object with one key, Line or Cash, found an object"),
        (v.Line | v.Cash, {"Card": {}}, "expected one key, Line or Cash, found another"),
        (dict[str, int], [], "expected an object, found an array"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_type_is_refused(hint: Any, value: Any, problem: str) -> None:
    """Nothing is coerced, and the message never shows the value."""
    assert refused(lambda: read(hint, value)) == f"$.data.it {problem}"
    wire, text = Wire(), told(hint, value)
    for _ in range(2):
        assert refused(lambda: wire.loads(text)) == f"$.data.it {problem}"


@pytest.mark.parametrize(
    ("hint", "value", "where"),
    [
        (tuple[v.Line, ...], [{"sku": "a", "qty": 1}, {"sku": "a", "qty": "1"}], "it[1].qty"),
        (tuple[int, tuple[int, ...]], [1, [1, "2"]], "it[1][1]"),
        (v.Line | v.Cash, {"Cash": {"amount": 1}}, "it.Cash.amount"),
        (v.Box[v.Box[int]], {"item": {"item": "a"}}, "it.item.item"),
        (v.Tree, {"name": "a", "children": [{"name": 1}]}, "it.children[0].name"),
        (dict[str, v.Line], {"x y": {"sku": 1}}, "it['x y'].sku"),
        (v.Point, {"x": "1"}, "it.x"),
        (v.Size, {"width": "1"}, "it.width"),
        (v.Line, {"sku": "a"}, "it.qty"),
    ],
)
def test_the_path_leads_to_the_place(hint: Any, value: Any, where: str) -> None:
    with pytest.raises(WireError) as caught:
        read(hint, value)
    assert caught.value.path == f"$.data.{where}"


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (int, "1", "holds a str, and its annotation says int"),
        (int, True, "holds a bool, and its annotation says int"),
        (bool, 1, "holds a int, and its annotation says bool"),
        (str, 1, "holds a int, and its annotation says str"),
        (str, None, "holds a NoneType, and its annotation says str"),
        (None, 1, "holds a int, and its annotation says None"),
        (float, "1", "holds a str, and its annotation says float"),
        (float, float("nan"), "is NaN or infinite, which JSON cannot represent"),
        (float, float("-inf"), "is NaN or infinite, which JSON cannot represent"),
        (float, 2**53 + 1, "holds an integer that a float cannot hold"),
        (Decimal, Decimal("NaN"), "is NaN or infinite, which JSON cannot represent"),
        (Decimal, 1.5, "holds a float, and its annotation says Decimal"),
        (datetime, datetime(2026, 1, 1), "is a datetime without a zone, which means something else elsewhere"),  # noqa: DTZ001
        (date, datetime(2026, 1, 1, tzinfo=UTC), "holds a datetime, and its annotation says date"),
        (v.Colour, "red", "holds a str, and its annotation says Colour"),
        (v.Rights, 1, "holds a int, and its annotation says Rights"),
        (Literal["a"], "b", "holds a str, and its annotation says one of 'a'"),
        (tuple[int, ...], [1], "holds a list, and its annotation says tuple[int, ...]"),
        (tuple[int, int], (1,), "has 1 items, and its annotation says tuple[int, int]"),
        (tuple[int, int], 5, "holds a int, and its annotation says tuple[int, int]"),
        (frozenset[int], {1}, "holds a set, and its annotation says frozenset[int]"),
        (v.Line, v.Cash(Decimal(1)), "holds a Cash, and its annotation says Line"),
        (v.Line | v.Cash, v.Point(1), "holds a Point, and its annotation says Line or Cash"),
        (Json | None, {}, "holds a dict, and its annotation says Json"),
        (dict[str, int], {1: 1}, "holds a dict, and its annotation says dict[str, int]"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_not_written(hint: Any, value: Any, problem: str) -> None:
    """It would be a payload that nobody can read."""
    with pytest.raises(UnencodableError) as caught:
        written(hint, value)
    assert (caught.value.intent, caught.value.field) == ("Holder", ".it")
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("hint", "value", "where"),
    [
        (tuple[v.Line, ...], (v.Line("a", 1), v.Line("b", "2")), ".it[1].qty"),  # type: ignore[arg-type]
        (v.Tree, v.Tree("a", (v.Tree("b", (v.Tree(1),)),)), ".it.children[0].children[0].name"),  # type: ignore[arg-type]
        (v.Line | v.Cash, v.Cash(Decimal("NaN")), ".it.amount"),
        (int | None, "a", ".it"),
        (dict[str, int], {"a": 1, "b": "2"}, ".it['b']"),
        (tuple[int, int], (1, "2"), ".it[1]"),
    ],
)
def test_a_value_that_does_not_fit_is_found_however_deep(hint: Any, value: Any, where: str) -> None:
    with pytest.raises(UnencodableError) as caught:
        written(hint, value)
    assert caught.value.field == where


@attrs.define
class Plain:
    anything: Any


class Empty(enum.Enum):
    """An enum without members."""


@pytest.mark.parametrize(
    ("hint", "path", "problem"),
    [
        (Any, "", "has the type typing.Any"),
        (object, "", "has the type object"),
        (complex, "", "has the type complex"),
        (IPv4Address, "", "has the type IPv4Address"),
        (tuple, "", "has the type tuple"),
        (tuple[object, ...], "[]", "has the type object"),
        (tuple[int, object], "[1]", "has the type object"),
        (Plain, ".anything", "has the type Any"),
        (v.Box[object], ".item", "has the type object"),
        (v.Box, ".item", "has the type TypeVar"),
        (Literal[b"a"], "", "has the type Literal[b'a']"),
        (Empty, "", "has the type Empty"),
        (dict[int, int], "", "has the type dict[int, int]"),
        ("NoSuchName", "", "has the type NoSuchName"),
    ],
)
def test_a_type_without_a_form_is_refused_at_first_use(hint: Any, path: str, problem: str) -> None:
    """By name of intent and field, and by none of its values."""
    cls = holder(hint)
    for use in (WIRE.dumps, lambda _: WIRE.schema_of(cls)):
        with pytest.raises(UnencodableError) as caught:
            use(cls(None))
        assert caught.value.field == f".it{path}"
        assert caught.value.problem.replace("typing.", "").startswith(
            problem.replace("typing.", "") + ", which has no form on the wire (declared at "
        )


def test_a_union_of_two_classes_of_one_name_is_refused() -> None:
    """No tag could tell them apart."""
    twin = attrs.frozen(type("Line", (), {"__annotations__": {"other": int}}))
    with pytest.raises(UnencodableError, match=r"whose members share a name \(Line \| Line\)"):
        written(v.Line | twin, None)


def test_a_type_of_yours_gets_a_form() -> None:
    form = TypeForm(str, IPv4Address, {"type": "string", "format": "ipv4"})
    wire = Wire(forms={IPv4Address: form})
    address = IPv4Address("127.0.0.1")
    assert written(tuple[IPv4Address, ...], (address,), wire) == ["127.0.0.1"]
    assert read(IPv4Address | None, "127.0.0.1", wire) == address
    assert wire.schema_of(holder(IPv4Address))["properties"]["data"]["properties"]["it"] == {
        "type": "string",
        "format": "ipv4",
    }


def test_a_form_of_yours_is_as_strict_as_you_make_it() -> None:
    """Its errors are bad payloads, and what it writes must be JSON."""
    wire = Wire(forms={IPv4Address: TypeForm(lambda value: {value}, IPv4Address)})
    assert refused(lambda: read(IPv4Address, "localhost", wire)) == (
        "$.data.it expected what IPv4Address is read from, found a string (AddressValueError)"
    )
    with pytest.raises(UnencodableError, match="is written as what is not JSON"):
        written(IPv4Address, IPv4Address("127.0.0.1"), wire)
    with pytest.raises(UnencodableError, match="holds a str, and its annotation says IPv4Address"):
        written(IPv4Address, "127.0.0.1", wire)


def test_fields_go_by_the_name_of_their_argument() -> None:
    """What is not an argument is not on the wire."""
    assert WIRE.dump(v.Renamed(shown=3))["data"] == {"shown": 3}


def test_what_a_class_itself_refuses_is_a_bad_payload() -> None:
    """Validators and converters run, as for any other value."""
    message = {"kind": "wire.picky", "version": 1, "data": {"qty": 0}}
    assert refused(lambda: WIRE.load(message)) == (
        "$.data Picky refuses it (ValueError: 'qty' must be > 0: 0)"
    )
    message["data"] = {"qty": 1, "word": "UPPER"}
    assert WIRE.load(message).word == "upper"


def test_optional_fields_may_be_missing_and_unknown_ones_are_left_alone() -> None:
    """So that a field with a default can be added, and senders and receivers updated in any order."""
    data = {"order_id": 1, "later": {"deep": [1]}}
    assert WIRE.load({"kind": "wire.small", "version": 1, "data": data}) == v.Small(1)


def test_a_generic_base_is_read_with_the_types_of_the_subclass() -> None:
    moved = v.MovedLine(v.Line("a", 1), "here")
    assert WIRE.loads(WIRE.dumps(moved)) == moved
    with pytest.raises(UnencodableError, match="TypeVar"):
        WIRE.dumps(v.Moved(1))


def test_what_insists_on_being_mutable_passes() -> None:
    intent = v.Insisted(["a"], {"b": 1}, {3, 2})
    assert WIRE.loads(WIRE.dumps(intent)) == intent


def test_an_effect_function_has_an_intent_on_the_wire() -> None:
    text = WIRE.dumps(v.notify.intent(3, urgent=True))
    assert json.loads(text)["data"] == {"order_id": 3, "urgent": True}
    assert WIRE.loads(text) == v.notify.intent(3, urgent=True)


def declare_locally() -> tuple[Any, Any]:
    """Classes of a function that has ended."""

    @intent(kind="wire.local-line")
    class LocalLine:
        sku: str

    @intent(kind="wire.local")
    class Local:
        line: LocalLine
        later: LaterOn | None = None  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    return LocalLine, Local


def test_local_classes_are_resolved_as_they_were_declared() -> None:
    """Their annotations speak of names that only the function knows, and of some to come."""
    line, local = declare_locally()

    @intent(kind="wire.later")
    class Later:
        number: int

    order = local(line("a"), None)
    wire = Wire()
    with pytest.raises(UnencodableError, match=r"later: it has the type LaterOn \| None"):
        wire.dumps(order)
    wire = Wire()
    globals()["LaterOn"] = Later
    try:
        assert wire.loads(wire.dumps(order)) == order
    finally:
        del globals()["LaterOn"]


@pytest.mark.parametrize("value", [v.Small, 5, "text", v.Line("a", 1), None])
def test_only_intents_are_encoded(value: Any) -> None:
    for encode in (WIRE.dump, WIRE.dumps, WIRE.encode):
        with pytest.raises(DeclarationError):
            encode(value)


def test_an_undecorated_subclass_is_no_intent() -> None:
    class Special(v.Small):
        pass

    with pytest.raises(DeclarationError, match="values of @intent classes"):
        WIRE.dumps(Special(1))


@attrs.frozen
class Settings:
    """With a default for everything."""

    size: int = 1


@attrs.frozen
class MoreSettings(Settings):
    more: int = 2


@pytest.mark.parametrize("wrong", [[], "size", ["size"], 5, None])
def test_a_class_with_defaults_only_is_an_object_too(wrong: Any) -> None:
    """It is not made of whatever has no field of it."""
    assert read(Settings, {}) == Settings()
    assert refused(lambda: read(Settings, wrong)).startswith(
        "$.data.it expected an object (Settings), found "
    )


def test_a_value_of_a_subclass_is_not_written_as_one_of_its_base() -> None:
    """What the subclass adds would be lost."""
    with pytest.raises(UnencodableError, match="holds a MoreSettings, and its annotation says"):
        written(Settings, MoreSettings())
    with pytest.raises(UnencodableError, match="holds a MoreSettings, and its annotation says"):
        written(tuple[Settings, ...], (MoreSettings(),))


@attrs.frozen
class Link:
    number: int
    following: Link | None = None


Number = TypeVar("Number", int, float)
Word = TypeVar("Word", bound=str)


@attrs.frozen
class Bounded(Generic[Number, Word]):
    number: Number
    word: Word


def test_a_type_that_holds_itself() -> None:
    links = Link(1, Link(2, Link(3)))
    said = written(Link, links)
    assert said == {
        "number": 1,
        "following": {"number": 2, "following": {"number": 3, "following": None}},
    }
    assert read(Link, said) == links
    said["following"]["following"]["number"] = "3"
    assert refused(lambda: read(Link, said)) == (
        "$.data.it.following.following.number expected an integer, found a string"
    )


def test_a_type_is_what_its_names_and_remarks_stand_for() -> None:
    """``Annotated``, ``Final``, and type variables that say what may stand for them."""
    assert read(Annotated[int, "metres"], 1) == 1
    assert read(Final[Annotated[v.Sku, []]], "a") == "a"
    assert read(Bounded, {"number": 1.5, "word": "a"}) == Bounded(1.5, "a")
    assert refused(lambda: read(Bounded, {"number": 1, "word": 1})) == (
        "$.data.it.word expected a string, found an integer"
    )


def test_a_document_has_a_depth() -> None:
    """That of ``Json``, where the wire's own is larger."""
    deep: Any = 1
    for _ in range(220):
        deep = [deep]
    wire = Wire(limits=Limits(depth=400))
    assert refused(lambda: read(Json, deep, wire)) == (
        "$.data.it expected a JSON document that is finite and less deep"
    )


@pytest.mark.parametrize(("hint", "value"), [(str, 5), (float, None), (UUID, "x"), (bytes, "x")])
def test_more_values_that_do_not_fit(hint: Any, value: Any) -> None:
    with pytest.raises(UnencodableError, match=f"and its annotation says {hint.__name__}"):
        written(hint, value)


def test_a_number_from_elsewhere_may_be_written_as_an_integer() -> None:
    assert read(float | str, 1) == 1.0
    assert type(read(float | None, 1)) is float
    assert type(read(int | float, 1)) is int
