"""``Json``: a JSON document as a value."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import Json
from airlock.errors import DeclarationError

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(documents)
def test_a_document_comes_back_as_it_was(document: Any) -> None:
    assert Json(document).value == document


@given(documents, documents)
def test_documents_are_equal_if_they_are_the_same_json(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (Json(one) == Json(other)) is same
    assert not same or hash(Json(one)) == hash(Json(other))


@given(documents)
def test_documents_pickle_and_copy(document: Any) -> None:
    value = Json(document)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.copy(value) == copy.deepcopy(value) == value


@given(documents)
def test_the_repr_shows_the_document(document: Any) -> None:
    assert eval(repr(Json(document))) == Json(document)


def test_the_order_of_keys_does_not_matter_and_tuples_are_arrays() -> None:
    assert Json({"a": 1, "b": (1, 2)}) == Json({"b": [1, 2], "a": 1})


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0, False), ("1", 1), (None, "")])
def test_values_of_different_json_types_differ(one: object, other: object) -> None:
    assert Json(one) != Json(other)


def test_a_document_differs_from_what_it_holds() -> None:
    assert Json(3) != 3
    assert Json({}) != {}


def test_later_changes_to_the_source_are_not_seen() -> None:
    source: dict[str, Any] = {"lines": [1]}
    document = Json(source)
    source["lines"].append(2)
    assert document.value == {"lines": [1]}


def test_each_look_at_the_value_is_a_fresh_copy() -> None:
    document = Json({"lines": [1]})
    document.value["lines"].append(2)
    assert document.value == {"lines": [1]}


def test_json_of_json_is_the_same_document() -> None:
    assert Json(Json([1])) == Json([1])


def test_the_text_is_compact_with_sorted_keys() -> None:
    assert Json({"b": "é", "a": [1, None]}).text == '{"a":[1,null],"b":"é"}'


def test_it_cannot_be_changed() -> None:
    document: Any = Json(1)
    with pytest.raises(AttributeError, match="Json is immutable"):
        document.text = "2"
    with pytest.raises(AttributeError, match="Json is immutable"):
        document._text = "2"
    with pytest.raises(AttributeError, match="Json is immutable"):
        del document._text
    assert document == Json(1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: "a"}, r"key 1 at \$"),
        ({"a": {None: 1}}, r"key None at \$\.a"),
        ([{"b": {1, 2}}], r"set at \$\[0\]\.b"),
        (object(), r"object at \$"),
        (b"bytes", r"bytes at \$"),
        ([Decimal(1)], r"Decimal at \$\[0\]"),
        (float("nan"), "not JSON compliant"),
        ({"a": float("inf")}, "not JSON compliant"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_path(value: object, text: str) -> None:
    with pytest.raises(DeclarationError, match=f"not a JSON document: .*{text}"):
        Json(value)


def test_documents_deeper_than_200_levels_are_refused() -> None:
    def nested(levels: int) -> Any:
        value: Any = 0
        for _ in range(levels):
            value = [value]
        return value

    assert Json(nested(200)) == Json(nested(200))
    with pytest.raises(DeclarationError, match="deeper than 200 levels"):
        Json(nested(201))


def test_a_document_that_contains_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(DeclarationError, match="not a JSON document"):
        Json(circle)


@pytest.mark.parametrize("make", [lambda: Json("\ud800"), lambda: Json({"\ud800": 1})])
def test_lone_surrogates_are_a_document_like_any_other_to_python(make: Callable[[], Json]) -> None:
    assert make() == make()
    assert pickle.loads(pickle.dumps(make())) == make()
