"""Values of one type on the wire, each in an intent made for it; and a cipher to look through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airlock import field, intent
from airlock.errors import WireError
from airlock.wire import Wire

WIRE = Wire()


def holder(hint: Any) -> Any:
    """An intent class with one field of a type."""
    namespace = {"__annotations__": {"it": hint}, "__module__": __name__}
    namespace["it"] = field(hash=False)
    return intent(kind="wire.holder")(type("Holder", (), namespace))


def written(hint: Any, value: Any, wire: Wire = WIRE) -> Any:
    return wire.dump(holder(hint)(value))["data"]["it"]


def read(hint: Any, value: Any, wire: Wire = WIRE) -> Any:
    holder(hint)
    return wire.load({"kind": "wire.holder", "version": 1, "data": {"it": value}}).it


def refused(call: Callable[[], object]) -> str:
    """Where, and what for."""
    with pytest.raises(WireError) as caught:
        call()
    return f"{caught.value.path} {caught.value.problem}"


class Rot:
    """A cipher of two methods, which anybody can write; this one is for tests."""

    def __init__(self) -> None:
        self.contexts: list[bytes] = []

    def encrypt(self, clear: bytes, context: bytes, /) -> bytes:
        self.contexts.append(context)
        return bytes(byte ^ 0x55 for byte in clear)

    def decrypt(self, sealed: bytes, context: bytes, /) -> bytes:
        self.contexts.append(context)
        return bytes(byte ^ 0x55 for byte in sealed)
