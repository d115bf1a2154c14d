"""Which changes of schemas break, and that the others do not."""

from __future__ import annotations

import enum
import json
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any, Literal
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock import Json, field, intent
from airlock.errors import DeclarationError, UnencodableError
from airlock.wire import AesGcm, TypeForm, Wire, incompatibilities
from tests.wire import vocabulary as v
from tests.wire.strategies import LEAVES, types


class More(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Less(enum.Enum):
    RED = "red"


@attrs.frozen
class Longer:
    sku: str
    qty: int
    price: str = "0"
    note: str = ""


@attrs.frozen
class Shorter:
    sku: str


@attrs.frozen
class Longest:
    sku: str = ""


class MoreRights(enum.Flag):
    READ = 1
    WRITE = 2
    ADMIN = 4


@attrs.frozen
class Link:
    note: str
    following: Link | None = None


@attrs.frozen
class LongerLink:
    note: str
    following: LongerLink | None = None
    extra: int = 0


@attrs.frozen
class ShorterLink:
    following: ShorterLink | None = None


def document(*, version: int = 1, **hints: Any) -> dict[str, Any]:
    """The schemas of one intent; a value in parentheses has a default."""
    namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for name, hint in hints.items():
        defaulted = isinstance(hint, list)
        secret = isinstance(hint, set)
        [namespace["__annotations__"][name]] = hint if defaulted or secret else [hint]
        options: dict[str, Any] = {"default": None} if defaulted else {}
        namespace[name] = field(kw_only=True, hash=False, sensitive=secret, **options)
    cls: Any = intent(kind="wire.evolving", version=version)(type("Evolving", (), namespace))
    return Wire([cls]).schemas()


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    saved = json.loads(json.dumps(document(**before)))
    return [f"{i.path} {i.problem}" for i in incompatibilities(saved, document(**after))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": int}, {"a": int}),
        ({"a": int}, {"a": int, "b": [str]}),
        ({"a": int}, {"a": [int]}),
        ({"a": int}, {"a": int | None}),
        ({"a": int}, {"a": int | str}),
        ({"a": int}, {"a": int | float}),
        ({"a": v.Colour}, {"a": More}),
        ({"a": v.Colour}, {"a": str}),
        ({"a": Literal["x"]}, {"a": Literal["x", "y"]}),
        ({"a": UUID}, {"a": str}),
        ({"a": v.Line}, {"a": Longer}),
        ({"a": v.Line | v.Cash}, {"a": v.Cash | v.Line | v.Point}),
        ({"a": tuple[int, int]}, {"a": tuple[int | None, ...]}),
        ({"a": tuple[int, ...]}, {"a": tuple[int | None, ...]}),
        ({"a": frozenset[int]}, {"a": tuple[int, ...]}),
        ({"a": v.Tree}, {"a": v.Tree}),
        ({"a": int | str}, {"a": Json}),
        ({"a": {str}}, {"a": {str}}),
        ({"a": dict[str, int]}, {"a": dict[str, int | None]}),
        ({"a": Link}, {"a": Link}),
        ({"a": Link}, {"a": LongerLink}),
        ({"a": v.Rights}, {"a": MoreRights}),
        ({"a": v.Rights}, {"a": int}),
        ({"a": v.Priority}, {"a": int}),
        ({"a": Literal[0, 3]}, {"a": v.Rights}),
        ({"a": tuple[()]}, {"a": tuple[int, ...]}),
    ],
)
def test_changes_that_add_are_compatible(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert changes(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": int, "b": int}, {"a": int}, [".b was removed"]),
        ({"a": int, "b": [int]}, {"a": int}, [".b was removed"]),
        ({"a": int}, {"a": int, "b": int}, [".b is new, and required"]),
        ({"a": [int]}, {"a": int}, [".a is required now"]),
        ({"a": int}, {"a": str}, [".a does not take integer any more, but string"]),
        ({"a": float}, {"a": int}, [".a does not take number any more, but integer"]),
        ({"a": int | None}, {"a": int}, [".a does not take null any more, but integer"]),
        ({"a": int | str}, {"a": int}, [".a does not take string any more, but integer"]),
        ({"a": str}, {"a": UUID}, [".a does not take string any more, but string (uuid)"]),
        ({"a": v.Colour}, {"a": Less}, [".a does not take 'blue' any more"]),
        ({"a": str}, {"a": v.Colour}, [".a does not take every string any more"]),
        ({"a": v.Colour}, {"a": int}, [".a does not take 'red', 'blue' any more"]),
        ({"a": Literal["x"]}, {"a": UUID}, [".a does not take 'x' any more"]),
        ({"a": Literal[4]}, {"a": v.Rights}, [".a does not take 4 any more"]),
        ({"a": MoreRights}, {"a": v.Rights},
         [".a does not take integer (flags 7) any more, but integer (flags 3)"]),
        ({"a": int}, {"a": v.Rights},
         [".a does not take integer any more, but integer (flags 3)"]),
        ({"a": int}, {"a": float}, [".a takes a number now, which cannot hold every integer"]),
        ({"a": dict[str, int]}, {"a": Longest}, [".a does not take any keys any more"]),
        ({"a": tuple[()]}, {"a": tuple[int]}, [".a takes just 1 items now"]),
        ({"a": tuple[int, ...]}, {"a": tuple[()]}, [".a takes just 0 items now"]),
        ({"a": int}, {"a": int, "b": {str}}, [".b is new, and required"]),
        ({"a": Link}, {"a": ShorterLink}, [".a.note was removed"]),
        ({"a": v.Line}, {"a": Shorter}, [".a.qty was removed", ".a.price was removed"]),
        ({"a": tuple[v.Line, ...]}, {"a": tuple[Shorter, ...]},
         [".a[].qty was removed", ".a[].price was removed"]),
        ({"a": tuple[int, ...]}, {"a": tuple[str, ...]},
         [".a[] does not take integer any more, but string"]),
        ({"a": tuple[int, ...]}, {"a": frozenset[int]}, [".a does not take an item twice any more"]),
        ({"a": tuple[int, ...]}, {"a": tuple[int, int]}, [".a takes just 2 items now"]),
        ({"a": tuple[int, int]}, {"a": tuple[int, str]},
         [".a[1] does not take integer any more, but string"]),
        ({"a": v.Line | v.Cash}, {"a": v.Line}, [
            ".a.Line was removed", ".a.sku is new, and required", ".a.qty is new, and required",
            ".a.Cash was removed", ".a.sku is new, and required", ".a.qty is new, and required",
        ]),
        ({"a": v.Line}, {"a": v.Line | v.Cash}, [".a.sku was removed", ".a.qty was removed",
         ".a.price was removed", ".a.Line is new, and required"]),
        ({"a": str}, {"a": {str}}, [".a is sealed now"]),
        ({"a": {str}}, {"a": str}, [".a is sealed no longer"]),
        ({"a": {int}}, {"a": {str}}, [".a does not take integer any more, but string"]),
        ({"a": int, "b": int}, {"a": str},
         [".a does not take integer any more, but string", ".b was removed"]),
        ({"a": Json}, {"a": int}, [".a does not take any value any more, but integer"]),
        ({"a": dict[str, int]}, {"a": dict[str, str]},
         [".a[] does not take integer any more, but string"]),
        ({"a": int | str}, {"a": bool | float},
         [".a does not take integer any more", ".a does not take string any more"]),
    ],
)  # fmt: skip
def test_changes_that_break_are_found(
    before: dict[str, Any], after: dict[str, Any], expected: list[str]
) -> None:
    assert changes(before, after) == expected


def test_a_kind_that_is_gone_breaks() -> None:
    saved, now = document(a=int), document(version=2, a=str)
    [found] = incompatibilities(saved, now)
    assert str(found) == (
        "wire.evolving version 1: is not declared any more, and no upcaster or new name leads on "
        "from it"
    )


def test_a_version_with_an_upcaster_may_go() -> None:
    """Whatever changed: that is what the upcaster is for."""
    saved, now = document(a=int), document(version=2, a=str)
    assert (
        incompatibilities(saved, now | {"upcasters": [{"kind": "wire.evolving", "version": 1}]})
        == []
    )
    gap = now | {"upcasters": [{"kind": "wire.evolving", "version": 2}]}
    assert len(incompatibilities(saved, gap)) == 1
    renamed = document(version=2, a=int) | {"renames": {"wire.evolving": "wire.gone"}}
    assert len(incompatibilities(saved, renamed)) == 1


def test_a_kind_with_a_new_name_may_go() -> None:
    """To one with the same fields; otherwise an upcaster must change them on the way."""
    renames = {"wire.evolving": "wire.small"}
    now = Wire([v.Small]).schemas() | {"renames": renames}
    assert incompatibilities(document(order_id=int), now) == []
    assert [str(problem) for problem in incompatibilities(document(a=int), now)] == [
        "wire.evolving version 1: .a was removed",
        "wire.evolving version 1: .order_id is new, and required",
    ]


def test_what_led_to_a_version_must_stay() -> None:
    """There may be data of it that was never read: an upcaster or a new name that is gone breaks."""
    now = Wire([v.Order]).schemas()
    upcasters = [{"kind": "wire.order", "version": 1}]
    saved = now | {"upcasters": upcasters, "renames": {"wire.older": "wire.order"}}
    assert incompatibilities(saved, saved) == []
    assert [(i.kind, i.version) for i in incompatibilities(saved, now)] == [
        ("wire.order", 1),
        ("wire.older", 2),
    ]


def test_the_schema_of_a_type_of_yours_must_stay_as_it_is() -> None:
    """Nobody here knows what it means."""

    def schemas(schema: dict[str, Any]) -> dict[str, Any]:
        cls: Any = intent(kind="wire.yours")(
            type("Yours", (), {"__annotations__": {"it": IPv4Address}, "__module__": __name__})
        )
        return Wire([cls], forms={IPv4Address: TypeForm(str, IPv4Address, schema)}).schemas()

    for one in ({"type": "array"}, {"pattern": "x"}, {"$ref": "#/$defs/None"}, {"type": "object"}):
        assert incompatibilities(schemas(one), schemas(one)) == []
    [found] = incompatibilities(schemas({"type": "string"}), schemas({"pattern": "x"}))
    assert found.path == ".it"


def test_a_new_kind_breaks_nothing() -> None:
    assert incompatibilities(Wire([]).schemas(), document(a=int)) == []


@pytest.mark.parametrize("wrong", [{}, None, []])
def test_only_documents_of_schemas_are_compared(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"Wire\.schemas\(\)"):
        incompatibilities(wrong, document(a=int))


# -- the promise ----------------------------------------------------------------------------------

MORE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, st.none()),
    (More, st.sampled_from(More)),
    (Less, st.sampled_from(Less)),
    (MoreRights, st.sampled_from([MoreRights(n) for n in range(8)])),
    (Literal["red"], st.just("red")),
    (Literal[0, 3], st.sampled_from([0, 3])),
    (Longer, st.builds(Longer, st.text(), st.integers())),
    (Shorter, st.builds(Shorter, st.text())),
    (Longest, st.builds(Longest, st.text())),
    (dict[str, int], st.dictionaries(st.text(), st.integers(), min_size=1, max_size=2)),
    (dict[str, str], st.dictionaries(st.sampled_from(["sku", "a"]), st.text(), max_size=2)),
    (LongerLink, st.builds(LongerLink, st.text(), st.builds(LongerLink, st.text()))),
    (Link, st.builds(Link, st.text(), st.none() | st.builds(Link, st.text()))),
    (tuple[()], st.just(())),
]
SIMPLE = [*LEAVES, *MORE]
KEY = AesGcm(bytes(32))


def evolving(fields: dict[str, Any]) -> Any:
    """A class of one kind; of a field its type, whether it has a default, and is sensitive."""
    namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for name, (hint, defaulted, secret) in fields.items():
        namespace["__annotations__"][name] = hint
        options: dict[str, Any] = {"default": None} if defaulted else {}
        namespace[name] = field(kw_only=True, hash=False, sensitive=secret, **options)
    return intent(kind="wire.evolved")(type("Evolved", (), namespace))


def check(before: dict[str, Any], after: dict[str, Any], values: dict[str, Any]) -> bool:
    """Whether a change is said to be compatible; if so, what was written before can be read."""
    old = evolving(before)
    wire = Wire([old], cipher=KEY)
    saved = json.loads(json.dumps(wire.schemas()))
    written = wire.dumps(old(**values))
    evolving(after)
    if incompatibilities(saved, wire.schemas()):
        return False
    wire.loads(written)
    return True


@pytest.mark.parametrize("before", SIMPLE, ids=lambda pair: str(pair[0]))
def test_a_type_that_takes_the_place_of_another_reads_its_values(before: Any) -> None:
    """Every simple type in the place of every other; itself among them."""
    hint, values = before
    wire = Wire()
    old = evolving({"a": (hint, False, False)})
    saved = json.loads(json.dumps(Wire([old]).schemas()))
    written: list[bytes] = []

    @settings(max_examples=10, deadline=None, database=None)
    @given(values)
    def write(value: Any) -> None:
        written.append(wire.dumps(old(a=value)))

    write()
    compatible = 0
    for other, _ in SIMPLE:
        for now in (other, other | None) if other is not None else (other,):
            new = evolving({"a": (now, False, False)})
            with suppress(UnencodableError):  # some unions have no form
                if incompatibilities(saved, Wire([new]).schemas()) == []:
                    compatible += 1
                    for text in written:
                        wire.loads(text)
    assert compatible > 0


@st.composite
def changed(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Fields of a class, the same after some changes, and values of the first."""
    any_type = types | st.sampled_from(SIMPLE)
    before, after, values = {}, {}, {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        hint, those = draw(any_type)
        before[name] = (hint, draw(st.booleans()), draw(st.booleans()))
        values[name] = draw(those)
        after[name] = before[name]
    name = draw(st.sampled_from("abcd"))
    hint, defaulted, secret = after.get(name, (int, False, False))
    other, _ = draw(any_type)
    how = draw(st.sampled_from(["type", "optional", "union", "tuple", "flags", "gone", "same"]))
    if how == "gone":
        after.pop(name, None)
    elif how != "same":
        tuples: Any = tuple
        hints: Any = {"type": other, "tuple": tuples[hint, ...]}
        if how in ("optional", "union") and hint is not None:
            hints[how] = hint | (None if how == "optional" else other)
        if how == "flags":
            defaulted, secret = draw(st.booleans()), draw(st.booleans())
        after[name] = (hints.get(how, hint), defaulted, secret)
    return before, after, values


@settings(max_examples=300, deadline=None)
@given(changed())
def test_what_is_said_to_be_compatible_reads_what_was_written(case: Any) -> None:
    with suppress(UnencodableError, TypeError):  # types without a form, or no types at all
        check(*case)
