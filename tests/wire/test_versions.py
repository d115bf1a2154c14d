"""Data of older versions, kinds that had another name, and changes that need neither."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airlock import intent
from airlock.errors import DeclarationError, WireError
from airlock.wire import Ancestor, Causation, Envelope, Wire
from tests.wire import vocabulary as v


def old(version: int, data: Any, kind: str = "wire.order") -> str:
    return json.dumps({"kind": kind, "version": version, "data": data})


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_an_upcaster_makes_the_next_version(wire: Wire) -> None:
    @wire.upcaster("wire.order", 1)
    def with_lines(data: dict[str, Any]) -> dict[str, Any]:
        return {"order_id": data["id"], "note": data["note"]}

    assert wire.loads(old(1, {"id": 3, "note": "x"})) == v.Order(3, note="x")
    assert wire.loads(wire.dumps(v.Order(4))) == v.Order(4)


def test_upcasters_are_chained(wire: Wire) -> None:
    """From whichever version to the one that is declared, over new names too."""
    calls: list[str] = []

    def step(name: str) -> Any:
        def upcast(data: dict[str, Any]) -> dict[str, Any]:
            calls.append(name)
            return data | {"order_id": len(calls)}

        return upcast

    wire.upcaster("wire.older", 1)(step("older 1"))
    wire.rename("wire.older", forwards_to="wire.old")
    wire.upcaster("wire.old", 2)(step("old 2"))
    wire.upcaster("wire.old", 3)(step("old 3"))

    @intent(kind="wire.new", version=4)
    class New:
        order_id: int

    wire.rename("wire.old", forwards_to="wire.new")
    assert wire.loads(old(1, {}, "wire.older")) == New(3)
    assert calls == ["older 1", "old 2", "old 3"]
    calls.clear()
    assert wire.loads(old(3, {}, "wire.old")) == New(1)
    assert calls == ["old 3"]


def test_a_kind_forwards_to_its_new_name(wire: Wire) -> None:
    """In every version, so that upcasters of the new name apply."""
    wire.rename("wire.mail", forwards_to="wire.small")
    assert wire.loads(old(1, {"order_id": 1}, "wire.mail")) == v.Small(1)
    with pytest.raises(WireError) as caught:
        wire.loads(old(2, {"order_id": 1}, "wire.mail"))
    assert (caught.value.kind, caught.value.path) == ("wire.mail", "$.version")


def test_causes_have_the_names_of_today(wire: Wire) -> None:
    """Or ``OncePerChain`` would not know them."""
    wire.rename("wire.mail", forwards_to="wire.small")
    cause = Causation(1, (Ancestor("wire.mail", {"": "x"}), Ancestor("other")))
    decoded = wire.decode(wire.encode(Envelope(v.Small(1), causation=cause)))
    assert [a.kind for a in decoded.causation.ancestors] == ["wire.small", "other"]
    assert decoded.causation.ancestors[0].digests == {"": "x"}


def test_an_upcaster_may_change_what_it_is_given(wire: Wire) -> None:
    """It is a copy, also of a mapping."""

    @wire.upcaster("wire.order", 1)
    def change(data: dict[str, Any]) -> dict[str, Any]:
        data["order_id"] = data.pop("id")
        data["lines"].clear()
        return data

    message = {"kind": "wire.order", "version": 1, "data": {"id": 1, "lines": [{"sku": "a"}]}}
    assert wire.load(message) == v.Order(1)
    assert message["data"] == {"id": 1, "lines": [{"sku": "a"}]}


def test_an_upcaster_that_raises_means_a_bad_payload(wire: Wire) -> None:
    """The message has the type of its error only: the words might show a secret."""

    @wire.upcaster("wire.order", 1)
    def strict(data: dict[str, Any]) -> dict[str, Any]:
        return {"order_id": int(data["id"])}

    with pytest.raises(WireError) as caught:
        wire.loads(old(1, {"id": "four"}))
    assert caught.value.path == "$.data"
    assert "from version 1 (ValueError)" in caught.value.problem
    assert "four" not in str(caught.value)


@pytest.mark.parametrize("nothing", [None, [], "data"])
def test_an_upcaster_must_return_the_data(wire: Wire, nothing: Any) -> None:
    wire.upcaster("wire.order", 1)(lambda data: nothing)
    with pytest.raises(WireError, match=r"it must return the data"):
        wire.loads(old(1, {}))


def test_what_an_upcaster_returns_is_read_like_any_data(wire: Wire) -> None:
    """The error names the version that was written."""
    wire.upcaster("wire.order", 1)(lambda data: data)
    with pytest.raises(WireError) as caught:
        wire.loads(old(1, {"order_id": "1"}))
    assert (caught.value.version, caught.value.path) == (1, "$.data.order_id")


def test_a_gap_in_the_versions_is_an_unknown_version(wire: Wire) -> None:
    wire.upcaster("wire.order", 5)(lambda data: data)
    with pytest.raises(WireError, match=r"\$\.version is not declared here, only 2"):
        wire.loads(old(1, {}))
    with pytest.raises(WireError, match=r"\$\.version is not declared here, only 2"):
        wire.loads(old(5, {}))


def test_one_version_has_one_upcaster(wire: Wire) -> None:
    """What was refused is not registered."""

    @wire.upcaster("wire.order", 1)
    def first(data: dict[str, Any]) -> dict[str, Any]:
        return {"order_id": 1}

    with pytest.raises(DeclarationError, match=r"has the upcaster .*first already"):
        wire.upcaster("wire.order", 1)(lambda data: data)
    assert wire.upcaster("wire.order", 1)(first) is first
    assert wire.loads(old(1, {})) == v.Order(1)


def test_names_do_not_go_round_in_a_circle(wire: Wire) -> None:
    wire.rename("a", forwards_to="b")
    wire.rename("b", forwards_to="c")
    wire.rename("a", forwards_to="b")
    for kind, other in (("c", "a"), ("b", "a"), ("x", "x")):
        with pytest.raises(DeclarationError):
            wire.rename(kind, forwards_to=other)
    with pytest.raises(DeclarationError, match="forwards to 'b' already"):
        wire.rename("a", forwards_to="c")
    with pytest.raises(WireError) as caught:
        wire.loads(old(1, {}, "a"))
    assert caught.value.path == "$.kind"


@pytest.mark.parametrize(("kind", "version"), [("", 1), (5, 1), ("a", 0), ("a", True), ("a", "1")])
def test_kind_and_version_are_checked_where_they_are_registered(
    wire: Wire, kind: Any, version: Any
) -> None:
    with pytest.raises(DeclarationError):
        wire.upcaster(kind, version)(lambda data: data)


def test_an_upcaster_is_a_function(wire: Wire) -> None:
    wrong: Any = {}
    with pytest.raises(DeclarationError, match="takes a function"):
        wire.upcaster("wire.order", 1)(wrong)
