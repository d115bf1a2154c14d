"""Sensitive fields: sealed on the wire, or not there at all."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import Any

import pytest

from airlock import field, intent
from airlock.errors import DeclarationError, MissingExtraError, SensitiveFieldError, WireError
from airlock.wire import AesGcm, Envelope, Wire
from tests.wire import vocabulary as v
from tests.wire.holding import Rot

KEY, OTHER = bytes(32), bytes([1]) * 32
CARD = "4111 1111 1111 1111"


def vault() -> Wire:
    return Wire(cipher=AesGcm(KEY))


@pytest.mark.parametrize("value", [v.Charge(1, CARD), v.Pay(1, v.Card(CARD)), v.Pay(1, v.Cash(1))])  # type: ignore[arg-type]
def test_without_a_cipher_a_sensitive_field_is_refused(value: Any) -> None:
    """Nested ones too, and whether or not this value has one."""
    wire = Wire()
    for encode in (wire.dumps, wire.dump, lambda one: wire.encode(Envelope(one))):
        with pytest.raises(SensitiveFieldError) as caught:
            encode(value)
        assert "4111" not in str(caught.value)
    message = {"kind": "wire.charge", "version": 1, "data": {"order_id": 1, "card": CARD}}
    with pytest.raises(SensitiveFieldError):
        wire.load(message)


@pytest.mark.parametrize("value", [v.Charge(1, CARD), v.Pay(1, v.Card(CARD, "Ada"))])
def test_with_a_cipher_it_is_sealed(value: Any) -> None:
    """The whole field, if it has something sensitive in it."""
    wire = vault()
    text = wire.encode(Envelope(value))
    assert b"4111" not in text
    assert b"Ada" not in text
    assert set(json.loads(text)["data"]) == {"order_id"} | ({"name"} & set(dir(value)))
    assert wire.decode(text).intent == value
    assert text != wire.encode(Envelope(value))


def test_what_is_sealed_is_sealed_for_a_kind_and_a_version() -> None:
    """It cannot be carried over to another."""
    cipher = Rot()
    wire = Wire(cipher=cipher)
    assert wire.loads(wire.dumps(v.Charge(1, CARD))) == v.Charge(1, CARD)
    assert cipher.contexts == [b"airlock:wire.charge:1"] * 2
    wire = vault()
    message = wire.dump(v.Charge(1, CARD))
    other = wire.dump(v.Pay(1, v.Card(CARD)))
    with pytest.raises(WireError, match=r"\$\.sealed cannot be opened"):
        wire.load(message | {"sealed": other["sealed"]})


@pytest.mark.parametrize(
    "sealed", ["", "AAAA", "é", "A", "====", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
)
def test_what_cannot_be_opened_is_a_bad_payload(sealed: str) -> None:
    wire = vault()
    with pytest.raises(WireError) as caught:
        wire.load(wire.dump(v.Charge(1, CARD)) | {"sealed": sealed})
    assert caught.value.path == "$.sealed"


@pytest.mark.parametrize("clear", [b"", b"[]", b"{", b"\xff", b"1"])
def test_what_was_sealed_must_be_fields(clear: bytes) -> None:
    import binascii

    wire = Wire(cipher=Rot())
    sealed = binascii.b2a_base64(Rot().encrypt(clear, b""), newline=False).decode()
    with pytest.raises(WireError, match=r"\$\.sealed cannot be opened"):
        wire.load(wire.dump(v.Charge(1, CARD)) | {"sealed": sealed})


def test_a_sensitive_field_in_clear_is_refused_when_it_comes_in() -> None:
    """Somebody sent it so by accident, or made it up."""
    wire = vault()
    data = {"order_id": 1, "card": CARD}
    for message in (
        {"kind": "wire.charge", "version": 1, "data": data},
        wire.dump(v.Charge(1, "x")) | {"data": data},
    ):
        with pytest.raises(WireError) as caught:
            wire.load(message)
        assert caught.value.path == "$.data.card"
        assert "4111" not in str(caught.value)


def test_a_sensitive_field_that_is_missing_is_missing() -> None:
    wire = vault()
    with pytest.raises(WireError, match=r"\$\.data\.card is required, and missing"):
        wire.load({"kind": "wire.charge", "version": 1, "data": {"order_id": 1}})


def test_upcasters_are_given_what_was_sealed() -> None:
    """As handlers are; a field that became sensitive was in clear before."""
    wire = vault()
    sealed = wire.dump(v.Charge(1, CARD))

    @intent(kind="wire.charge-two", version=3)
    class Charge:
        order_id: int
        number: str = field(sensitive=True)

    @wire.upcaster("wire.charge-two", 1)
    def in_clear(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"number": data.pop("card")}

    wire.upcaster("wire.charge-two", 2)(lambda data: data)
    assert wire.load(
        {"kind": "wire.charge-two", "version": 1, "data": {"order_id": 1, "card": "1"}}
    ) == Charge(1, "1")

    wire.upcaster("wire.charge", 1)(lambda data: data | {"number": data.pop("card")[-4:]})
    wire.upcaster("wire.charge", 2)(lambda data: data)
    wire.rename("wire.charge", forwards_to="wire.charge-two")
    assert wire.load(sealed) == Charge(1, "1111")


def test_no_error_and_no_log_shows_what_is_sealed(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the text, nor a cause in the traceback."""

    def refuse(_: object, __: object, value: str) -> None:
        raise ValueError(f"bad card {value}")

    @intent(kind="wire.validated")
    class Validated:
        card: str = field(sensitive=True, validator=refuse)

    wire = vault()
    caplog.set_level(logging.DEBUG)
    Forged: Any = intent(kind="wire.validated")(  # noqa: N806 - a class
        type("Validated", (), {
            "__annotations__": {"card": str}, "card": field(sensitive=True),
            "__module__": __name__, "__qualname__": Validated.__qualname__,
        })
    )  # fmt: skip
    message = wire.dump(Forged(CARD))
    intent(kind="wire.validated")(
        type("Validated", (), {
            "__annotations__": {"card": str},
            "card": field(sensitive=True, validator=refuse),
            "__module__": __name__, "__qualname__": Validated.__qualname__,
        })
    )  # fmt: skip
    with pytest.raises(WireError) as caught:
        wire.load(message)
    shown = "".join(traceback.format_exception(caught.value))
    assert "4111" not in shown + caplog.text
    assert "Validated refuses it (ValueError)" in shown


def test_keys_can_be_changed() -> None:
    """The first encrypts, and all of them decrypt."""
    old, new = Wire(cipher=AesGcm(KEY)), Wire(cipher=AesGcm(OTHER, KEY))
    assert new.loads(old.dumps(v.Charge(1, CARD))) == v.Charge(1, CARD)
    with pytest.raises(WireError, match=r"\$\.sealed cannot be opened"):
        old.loads(new.dumps(v.Charge(1, CARD)))


def test_a_key_is_made_anew_each_time_and_never_shown() -> None:
    key = AesGcm.generate_key()
    assert len(key) == 32
    assert key != AesGcm.generate_key()
    assert repr(AesGcm(key, KEY)) == "AesGcm(<hidden>, <hidden>)"


@pytest.mark.parametrize("keys", [(), (b"short",), ("a" * 32,), (KEY, b"")])
def test_keys_have_a_length(keys: Any) -> None:
    with pytest.raises(DeclarationError, match="16, 24 or 32 bytes"):
        AesGcm(*keys)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(MissingExtraError, match=r"airlock-effects\[crypto\]"):
        AesGcm(KEY)


def test_the_schema_tells_which_fields_are_sealed() -> None:
    schema = Wire().schema_of(v.Charge)
    data = schema["properties"]["data"]
    assert data["required"] == ["order_id"]
    assert data["properties"]["card"] == {
        "type": "string",
        "x-airlock-sealed": True,
        "x-airlock-required": True,
    }
    assert schema["required"] == ["kind", "version", "data", "sealed"]
