"""Bad payloads in any number: valid ones, changed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from airlock import Options
from airlock.wire import AesGcm, Ancestor, Causation, Envelope, Limits, Wire
from tests.wire import vocabulary as v

ID = UUID("12345678-1234-5678-1234-567812345678")


def wires() -> list[Wire]:
    """Two with an upcaster, a new name and a cipher; one has limits so low that it measures all."""
    low = Limits(depth=20, items=60)
    made = [Wire(cipher=AesGcm(bytes(32))), Wire(cipher=AesGcm(bytes(32)), limits=low)]
    for wire in made:
        wire.upcaster("wire.order", 1)(lambda data: {**data, "order_id": data["id"] + 1})
        wire.rename("wire.mail", forwards_to="wire.small")
    return made


EVERYTHING: dict[str, Any] = {
    "id": str(ID), "at": "2026-01-02T03:04:05+01:00", "day": "2026-01-02", "clock": "01:02:03",
    "wait": "P1DT2.5S", "text": "é", "count": 1, "ratio": 1.5, "flag": True, "price": "1.50",
    "raw": "AP8=", "document": {"a": [1, None]}, "nothing": None, "colour": "red", "priority": 2,
    "shape": "ROUND", "rights": 3, "mode": 1, "sku": "a",
    "line": {"sku": "a", "qty": 1, "price": "2"}, "lines": [{"sku": "a", "qty": 1}],
    "pair": [1, "a"], "tags": ["a", "b"], "corners": [[1, 2]], "point": {"x": 1},
    "size": {"width": 1}, "box": {"item": 1}, "boxes": {"item": [{"item": "a"}]},
    "tree": {"name": "a", "children": [{"name": "b"}]}, "plain": [1], "number": 1.5,
    "tagged": {"Decimal": "1"}, "payment": {"Cash": {"amount": "1"}}, "optional": None,
    "either": {"Box[str]": {"item": "a"}},
}  # fmt: skip


EVERYTHING_TEXT = json.dumps({"kind": "wire.everything", "version": 1, "data": EVERYTHING})


def valid(wire: Wire) -> list[bytes]:
    """Payloads that decode."""
    cause = Causation(2, (Ancestor("wire.small", {"": "x"}), Ancestor("wire.mail")))
    said = Options(id=ID, ordering_key="o", headers={"a": "b"})
    head = {"airlock": 1, "id": str(ID)}
    return [
        wire.encode(Envelope(v.Small(1), said, cause)),
        wire.encode(Envelope(v.Order(1, (v.Line("a", 1, Decimal("1.5")),)), said)),
        wire.encode(Envelope(v.Charge(1, "4111"), said)),
        wire.encode(Envelope(v.Pay(1, v.Card("4111")), said)),
        json.dumps({**head, "kind": "wire.everything", "version": 1, "data": EVERYTHING}).encode(),
        json.dumps({**head, "kind": "wire.order", "version": 1, "data": {"id": 1}}).encode(),
        json.dumps({**head, "kind": "wire.mail", "version": 1, "data": {"order_id": 1}}).encode(),
    ]


TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"true", b"NaN", b"-Infinity", b"-",
    b"1e999", b"0", b"\xff", b"\\ud800", b'"":', b"[[[[[[[[", b"\x00", b"9" * 40, b'"data"', b" ",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, 1e300, "", "a", "NaN", "1" * 50, [], {}, [[]], {"": 1},
    {"Line": {}}, {"Cash": None}, [1, 1], "2026-13-01", "P", "\u0000", {"$ref": "#"},
]  # fmt: skip


def mutants(seeds: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Without end: noise, texts with a few bytes changed, documents with a few values changed."""
    documents = [json.loads(seed) for seed in seeds]
    while True:
        kind = chance.random()
        if kind < 0.05:
            yield chance.randbytes(chance.randrange(64))
        elif kind < 0.5:
            yield _changed_text(chance.choice(seeds), chance)
        else:
            yield _changed_document(chance.choice(documents), chance)


def _changed_text(text: bytes, chance: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed) + 1)
        how = chance.randrange(5)
        if how == 0:
            changed[at : at + chance.randint(1, 20)] = b""
        elif how == 1:
            changed[at:at] = chance.choice(TOKENS)
        elif how == 2:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif how == 3:
            changed[at:] = b""
        else:
            start = chance.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + chance.randint(1, 30)]
    return bytes(changed)


def _changed_document(document: Any, chance: random.Random) -> bytes:
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, 2)):
        node, key = chance.choice(_places(changed))
        how = chance.randrange(4)
        if how == 0:
            del node[key]
        elif how == 1 and isinstance(node, dict):
            node[chance.choice(["a", "data", "kind", "id", ""])] = copy.deepcopy(
                chance.choice(VALUES)
            )
        elif how == 2:
            other, at = chance.choice(_places(changed))
            node[key] = copy.deepcopy(other[at])
        else:
            node[key] = copy.deepcopy(chance.choice(VALUES))
        if not _places(changed):
            break
    return json.dumps(changed).encode()


def _places(document: Any) -> list[tuple[Any, Any]]:
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        node = stack.pop()
        if isinstance(node, dict | list):
            keys = list(node) if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            stack += [node[key] for key in keys]
    return places
