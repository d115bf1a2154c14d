"""What is sensitive shows nowhere: not in a text, and not further down a chain of exceptions."""

from __future__ import annotations

import binascii
import copy
import json
import pickle
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import attrs
import pytest

from airlock import field, intent
from airlock.errors import SensitiveFieldError, UnencodableError, WireError
from airlock.wire import Limits, TypeForm, Wire, incompatibilities
from tests.wire import vocabulary as v
from tests.wire.holding import Rot

SECRET = "4111-SECRET"


def refuse(_: object, __: object, value: object) -> None:
    raise ValueError(f"bad {value}")


def convert(value: str) -> str:
    return str(int(value))


@attrs.frozen
class Address:
    street: str = field(validator=refuse)


@dataclass(frozen=True)
class Wallet:
    card: v.Card


class Purse(NamedTuple):
    card: v.Card | None


@intent(kind="leak.nested")
class Nested:
    """What it is made of knows nothing of it being sensitive."""

    address: Address = field(sensitive=True)


@intent(kind="leak.keys")
class Keys:
    cards: Mapping[str, int] = field(sensitive=True, hash=False)


@intent(kind="leak.choice")
class Choice:
    card: Literal["a", "b"] = field(sensitive=True)


@intent(kind="leak.converted")
class Converted:
    card: str = field(sensitive=True, converter=convert)


@intent(kind="leak.words")
class Words:
    card: str = field(sensitive=True)


@intent(kind="leak.defaults")
class Defaults:
    card: v.Card = v.Card(SECRET)
    cards: tuple[v.Card, ...] = (v.Card(SECRET),)
    either: v.Card | str | None = v.Card(SECRET)
    number: str = field(default=SECRET, sensitive=True)


@intent(kind="leak.deep")
class Deep:
    wallets: tuple[Wallet | Purse, ...] = ()
    purses: dict[str, Purse] = field(factory=dict, hash=False)


@intent(kind="leak.clear", version=2)
class Clear:
    """What was sealed in version 1, and is in clear now."""

    card: str = field(validator=refuse)


@intent(kind="leak.upcast", version=2)
class Upcast:
    card: str = field(sensitive=True)


def sealed(kind: str, secrets: Any) -> dict[str, Any]:
    text = secrets if isinstance(secrets, bytes) else json.dumps(secrets).encode()
    said = binascii.b2a_base64(Rot().encrypt(text, b""), newline=False).decode()
    return {"kind": kind, "version": 1, "data": {}, "sealed": said}


def vault(**options: Any) -> Wire:
    wire = Wire(cipher=Rot(), **options)

    @wire.upcaster("leak.upcast", 1)
    def upcast(data: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"bad {data}")

    wire.upcaster("leak.clear", 1)(lambda data: data)
    return wire


def bad_form(card: v.Card) -> Any:
    raise RuntimeError(f"bad {card.number}")


FORMED = {v.Card: TypeForm(bad_form, v.Card, {"type": "string"})}
ODD = "leak.words"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: vault().load(sealed("leak.nested", {"address": {"street": SECRET}})),
         "$.data.address Address refuses it (ValueError)."),
        (lambda: vault().load(sealed("leak.keys", {"cards": {SECRET: "x"}})),
         "$.data.cards expected an integer, found a string"),
        (lambda: vault().load(sealed("leak.choice", {"card": SECRET})), "expected one of 'a', 'b'"),
        (lambda: vault().load(sealed("leak.converted", {"card": SECRET})), "refuses it (ValueError)."),
        (lambda: vault().load(sealed("leak.clear", {"card": SECRET})), "Clear refuses it (ValueError)."),
        (lambda: vault().load(sealed("leak.upcast", {"card": SECRET})), "from version 1 (ValueError)"),
        (lambda: vault().load(sealed(ODD, f'{{"{SECRET}":1,"{SECRET}":'.encode())), "cannot be opened"),
        (lambda: vault().loads(f'{{"kind":"{ODD}","version":1,"data":{{"card":"{SECRET}"'), "is not JSON"),
        (lambda: vault().loads(f'{{"kind":"{ODD}","version":1,"data":{{"card":"{SECRET}"}}}}'), "in plaintext"),
        (lambda: vault().dumps(Keys({SECRET: "x"})), "Keys.cards: it holds a str"),  # type: ignore[dict-item]
        (lambda: vault().dump(Choice(SECRET)), "Choice.card: it holds a str"),  # type: ignore[arg-type]
        (lambda: vault().dumps(Words(f"{SECRET}\ud800")), "contains an unpaired surrogate"),
        (lambda: vault(limits=Limits(items=1)).dump(Keys({SECRET: 1, "a": 2})), "a collection of 2"),
        (lambda: vault(forms=FORMED).dumps(Defaults()), "was refused by its TypeForm (RuntimeError)"),
    ],
)  # fmt: skip
def test_no_error_shows_it(call: Callable[[], object], said: str) -> None:
    """Neither its text, nor what hangs on it: loggers follow contexts, and print what they find."""
    with pytest.raises((WireError, UnencodableError)) as caught:
        call()
    assert said in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    chain: BaseException | None = caught.value
    while chain is not None:
        told = f"{chain!r} {chain} {vars(chain)} {getattr(chain, '__notes__', '')}"
        assert SECRET not in told
        chain = chain.__cause__ or chain.__context__


def test_no_schema_and_no_list_of_changes_shows_it() -> None:
    """Not as the default of a field that has it somewhere inside."""
    before = vault().schema_of(Defaults)
    assert SECRET not in json.dumps(before)
    saved = Wire([Defaults]).schemas()
    other: Any = intent(kind="leak.defaults")(
        type("Defaults", (), {
            "__annotations__": {"card": str}, "card": SECRET, "__module__": __name__,
        })
    )  # fmt: skip
    found = incompatibilities(saved, Wire([other]).schemas())
    assert found
    assert SECRET not in "".join(map(str, found)) + json.dumps(saved)


def test_it_is_found_however_deep() -> None:
    value = Deep((Wallet(v.Card(SECRET)), Purse(None)), {"a": Purse(v.Card(SECRET))})
    message = vault().dump(value)
    assert message["data"] == {}
    assert vault().load(message) == value
    with pytest.raises(SensitiveFieldError):
        Wire().dumps(Deep())


def test_a_form_of_yours_does_not_make_it_harmless() -> None:
    """The class says that it is sensitive, however it is written."""
    forms = {v.Card: TypeForm(lambda card: card.number, v.Card, {"type": "string"})}
    with pytest.raises(SensitiveFieldError):
        Wire(forms=forms).dumps(v.Pay(1, v.Card(SECRET)))
    wire = Wire(cipher=Rot(), forms=forms)
    message = wire.dump(v.Pay(1, v.Card(SECRET)))
    assert message["data"] == {"order_id": 1}
    assert wire.load(message) == v.Pay(1, v.Card(SECRET))


def test_what_is_sealed_has_limits_too() -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    with pytest.raises(WireError, match=r"\$\.sealed is more than 64 levels deep"):
        vault().load(sealed("leak.words", {"card": deep}))


class Unreachable(Rot):
    def decrypt(self, sealed: bytes, context: bytes, /) -> bytes:
        raise ConnectionError("the key service is down")


def test_a_cipher_that_is_out_of_reach_is_no_fault_of_the_payload() -> None:
    """Whoever reads a queue would throw away what is good."""
    with pytest.raises(ConnectionError):
        Wire(cipher=Unreachable()).load(sealed("leak.words", {"card": "x"}))


@pytest.mark.parametrize(
    "error",
    [
        WireError("kind", 1, "$.data", "is wrong"),
        WireError(None, None, "$", "is wrong"),
        UnencodableError("Small", ".a", "is wrong", "Mend it."),
        SensitiveFieldError("Small", ".a", "is sensitive", "Mend it."),
    ],
)
def test_errors_can_be_pickled_and_copied(error: Exception) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
