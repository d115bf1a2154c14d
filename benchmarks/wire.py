"""The wire: messages of 50 types to JSON text and back, beside the usual libraries.

Every contender carries kind, version and four fields, one of them a Decimal; cattrs' tagged unions
have the tag among the fields, and no version. Each is used as its documentation shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, Literal, Union

import attrs
from cattrs.strategies import configure_tagged_union

from airlock import Options, intent
from airlock.wire import Envelope, Wire
from benchmarks.clock import BrokenError, per_item
from benchmarks.measure import Sample

TYPES = 50
FIELDS: dict[str, Any] = {"order_id": int, "to": str, "amount": Decimal, "urgent": bool}
VALUES: tuple[Any, ...] = (42, "ada@example.org", Decimal("19.90"), True)
CARRIED: tuple[Any, ...] = (42, "ada@example.org", "19.90", True)
Codec = tuple[Callable[[Any], Any], Callable[[Any], Any], Any]
"""Encode, decode, and a message."""


def _classes(
    made: Callable[[int, dict[str, Any]], Any], fields: dict[str, Any] = FIELDS
) -> list[Any]:
    module = ModuleType("benchmarks.messages")
    sys.modules[module.__name__] = module
    name = {"__module__": module.__name__}
    return [made(i, {"__annotations__": dict(fields), **name}) for i in range(TYPES)]


def airlock() -> Codec:
    """Messages with a ``Decimal``, which msgspec would not read as strictly."""
    return _airlock(FIELDS, VALUES)


def airlock_carried() -> Codec:
    """Messages of a class that msgspec reads and writes as it is."""
    return _airlock({**FIELDS, "amount": str}, CARRIED)


def _airlock(fields: dict[str, Any], values: tuple[Any, ...]) -> Codec:
    classes = _classes(
        lambda i, body: intent(kind=f"benchmarks.message-{i}")(type(f"Message{i}", (), body)),
        fields,
    )
    wire = Wire()
    return wire.dumps, wire.loads, classes[TYPES // 2](*values)


def airlock_envelope() -> Codec:
    """The same messages with an id, options and headers."""
    _, _, message = airlock()
    wire = Wire()
    options = Options(ordering_key="order-42", headers={"tenant": "acme"})
    return wire.encode, wire.decode, Envelope(message, options)


def cattrs(json: Literal["json", "orjson"]) -> Codec:
    """The tagged-union strategy: the union is named at each call, since no class knows its members."""
    classes = _classes(lambda i, body: attrs.frozen(type(f"Message{i}", (), body)))
    union: Any = Union[tuple(classes)]  # noqa: UP007 - of a tuple
    converter: Any = import_module(f"cattrs.preconf.{json}").make_converter()
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    configure_tagged_union(union, converter)
    message = classes[TYPES // 2](*VALUES)
    return (
        lambda one: converter.dumps(one, unstructure_as=union),
        lambda text: converter.loads(text, union),
        message,
    )


def pydantic() -> Codec:
    """Models, discriminated by kind; the JSON is the same as airlock's."""
    library: Any = import_module("pydantic")
    frozen = library.ConfigDict(frozen=True)
    data = [
        library.create_model(
            f"Data{i}", __config__=frozen, **{name: (hint, ...) for name, hint in FIELDS.items()}
        )
        for i in range(TYPES)
    ]
    messages = [
        library.create_model(
            f"Message{i}",
            __config__=frozen,
            kind=(Literal[f"benchmarks.message-{i}"], f"benchmarks.message-{i}"),
            version=(Literal[1], 1),
            data=(data[i], ...),
        )
        for i in range(TYPES)
    ]
    union: Any = Union[tuple(messages)]  # noqa: UP007 - of a tuple
    adapter = library.TypeAdapter(Annotated[union, library.Field(discriminator="kind")])
    chosen = TYPES // 2
    message = messages[chosen](data=data[chosen](**dict(zip(FIELDS, VALUES, strict=True))))
    return type(message).model_dump_json, adapter.validate_json, message


def msgspec() -> Codec:
    """Structs with a tag, which is written first, among the fields."""
    return _tagged([("version", Literal[1]), *FIELDS.items()], (1, *VALUES))


def msgspec_carried() -> Codec:
    """Structs with a tag around an attrs class; the JSON is the same as airlock's."""
    [data, *_] = _classes(
        lambda i, body: attrs.frozen(type(f"Data{i}", (), body)), {**FIELDS, "amount": str}
    )
    return _tagged([("version", Literal[1]), ("data", data)], (1, data(*CARRIED)))


def _tagged(fields: list[tuple[str, Any]], values: tuple[Any, ...]) -> Codec:
    library: Any = import_module("msgspec")
    messages = [
        library.defstruct(
            f"Message{i}", fields, tag_field="kind", tag=f"benchmarks.message-{i}", frozen=True
        )
        for i in range(TYPES)
    ]
    union: Any = Union[tuple(messages)]  # noqa: UP007 - of a tuple
    decoder, encoder = library.json.Decoder(union), library.json.Encoder()
    return encoder.encode, decoder.decode, messages[TYPES // 2](*values)


def encoding(make: Callable[[], Codec], n: int) -> Callable[[], Callable[[], Sample]]:
    """What takes samples of encoding; nanoseconds each."""

    def prepare() -> Callable[[], Sample]:
        encode, _, message = _proven(make)
        return lambda: _timed(encode, message, n)

    return prepare


def decoding(make: Callable[[], Codec], n: int) -> Callable[[], Callable[[], Sample]]:
    """What takes samples of decoding."""

    def prepare() -> Callable[[], Sample]:
        encode, decode, message = _proven(make)
        text = encode(message)
        return lambda: _timed(decode, text, n)

    return prepare


def _proven(make: Callable[[], Codec]) -> Codec:
    encode, decode, message = make()
    if decode(encode(message)) != message:
        raise BrokenError("what was decoded is not what was encoded")
    return encode, decode, message


def _timed(call: Callable[[Any], Any], argument: Any, n: int) -> Sample:
    def work(count: int) -> None:
        for _ in range(count):
            call(argument)

    return Sample(per_item(work, n))
