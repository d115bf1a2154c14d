"""Whatever comes in, it is decoded or refused by one error. ``fuzz.py`` tries a million more."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airlock.errors import WireError
from airlock.wire import Envelope, Wire
from airlock.wire.text import TextError, loads
from tests.wire import mutants
from tests.wire import vocabulary as v

WIRES = mutants.wires()
wires = pytest.mark.parametrize("wire", WIRES, ids=["limits", "low limits"])


def decode(wire: Wire, text: bytes) -> Envelope | None:
    with suppress(WireError):
        return wire.decode(text)
    return None


@wires
def test_the_seeds_are_valid(wire: Wire) -> None:
    """Or the mutants would try nothing."""
    assert all(decode(wire, text) for text in mutants.valid(wire))


@wires
@settings(max_examples=500, deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'{"airlock":1,"id":"","kind":"wire.small","version":1,"data":{}}')
def test_bytes(wire: Wire, text: bytes) -> None:
    assert decode(wire, text) is None


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(list(mutants.EVERYTHING)), inner, max_size=4)
    ),
    max_leaves=8,
)
kinds = st.sampled_from(["everything", "order", "small", "charge", "pay", "mail", "picky", "none"])


@wires
@settings(max_examples=500, deadline=None)
@given(kinds, st.integers(0, 3), documents, st.none() | documents)
def test_data(wire: Wire, kind: str, version: int, data: Any, sealed: Any) -> None:
    message = {"kind": f"wire.{kind}", "version": version, "data": data}
    if sealed is not None:
        message["sealed"] = sealed
    with suppress(WireError):
        wire.loads(json.dumps(message))


@wires
@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from(list(mutants.EVERYTHING)), documents, max_size=3))
def test_one_field_of_everything(wire: Wire, change: dict[str, Any]) -> None:
    data = mutants.EVERYTHING | change
    message = {"kind": "wire.everything", "version": 1, "data": data}
    with suppress(WireError):
        intent = wire.loads(json.dumps(message))
        assert wire.loads(wire.dumps(intent)) == intent


@wires
@pytest.mark.parametrize("seed", range(10))
def test_mutants(wire: Wire, seed: int) -> None:
    """What is decoded all the same can be encoded again."""
    chance = random.Random(seed)
    for text in islice(mutants.mutants(mutants.valid(wire), chance), 1000):
        envelope = decode(wire, text)
        if envelope is not None:
            assert decode(wire, wire.encode(envelope)) == envelope


@pytest.mark.parametrize("seed", range(10))
def test_the_fast_way_and_the_slow_one_agree(seed: int) -> None:
    """On a text, which msgspec may read at once, and on its document, which it never reads."""
    [wire, _] = WIRES
    for text in islice(mutants.mutants(messages(), random.Random(seed)), 500):
        with suppress(TextError):
            document = loads(text)
            assert said(wire.loads, text) == said(wire.load, document)


def messages() -> list[bytes]:
    """Texts of intents alone, of classes that msgspec carries and of others."""
    plain = Wire()
    intents = [v.Small(1), v.Order(1, (v.Line("a", 1),)), v.Picky(1), v.notify.intent(3)]
    return [*map(plain.dumps, intents), mutants.EVERYTHING_TEXT.encode()]


def said(read: Callable[[Any], Any], message: Any) -> object:
    try:
        return read(message)
    except WireError as error:
        return str(error)
