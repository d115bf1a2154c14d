"""Bad payloads: one error, which names kind, version, path and what was expected."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import attrs
import pytest

from airlock import Options, intent
from airlock.errors import AirlockError, DeclarationError, UnencodableError, WireError
from airlock.wire import Envelope, Limits, TypeForm, Wire
from tests.wire import mutants
from tests.wire import vocabulary as v

WIRE = Wire()

GOOD = '{"kind":"wire.small","version":1,"data":{"order_id":1}}'


def small(data: str) -> str:
    return f'{{"kind":"wire.small","version":1,"data":{data}}}'


def error(call: Callable[[], object]) -> WireError:
    with pytest.raises(WireError) as caught:
        call()
    assert type(caught.value) is WireError
    return caught.value


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("", "$", "is not JSON (Input data was truncated)"),
        (GOOD[:-1], "$", "is not JSON (Input data was truncated)"),
        (GOOD + "}", "$", "is not JSON (trailing characters (byte 56))"),
        (b"\xff\xfe{}", "$", "is not JSON (invalid character (byte 0))"),
        (GOOD.encode("utf-16"), "$", "is not JSON (invalid character (byte 0))"),
        (b"\xef\xbb\xbf{}", "$", "is not JSON (invalid character (byte 0))"),
        (small('{"order_id":1,"to":"\xff"}').encode("latin-1"), "$", "is not JSON (Invalid UTF-8 encoded string)"),
        (small('{"order_id":1,"x":"\xff"}').encode("latin-1"), "$", "is not JSON (Invalid UTF-8 encoded string)"),
        ('"\ud800"', "$", "contains an unpaired surrogate, which is no character"),
        (small('{"order_id":1,"to":"\\udc00"}'), "$", "is not JSON (invalid utf-16 surrogate pair (byte 66))"),
        (small('{"order_id":' + "9" * 5000 + "}"), "$", "has a number that is too large"),
        (small('{"order_id":1e999}'), "$", "has a number that is too large"),
        ("[" * 100_000, "$", "is too deep"),
        (small('{"order_id":NaN}'), "$", "is not JSON (invalid character (byte 52))"),
        (small('{"order_id":[1,-Infinity]}'), "$", "is not JSON (invalid character (byte 56))"),
        ("[1," + "[" * 100_000, "$", "is too deep"),
        ("[]", "$", "expected an object (Message), found an array"),
        ("null", "$", "expected an object (Message), found null"),
        ("{}", "$.kind", "is required, and missing"),
        ('{"kind":1,"version":1,"data":{}}', "$.kind", "expected a string, found an integer"),
        ('{"kind":"wire.small","version":true,"data":{}}', "$.version", "expected an integer, found a boolean"),
        (GOOD.replace(":1,", ":true,", 1), "$.version", "expected an integer, found a boolean"),
        (GOOD.replace(":1,", ":1.0,", 1), "$.version", "expected an integer, found a number"),
        ('{"kind":"wire.small","version":1.0,"data":{}}', "$.version", "expected an integer, found a number"),
        ('{"kind":"wire.small","version":1}', "$.data", "is required, and missing"),
        (small("[]"), "$.data", "expected an object, found an array"),
        (small("null"), "$.data", "expected an object, found null"),
        (GOOD[:-1] + ',"extra":1}', "$.extra", "was not expected"),
        (GOOD[:-1] + ',"sealed":1}', "$.sealed", "expected a string, found an integer"),
        (GOOD[:-1] + ',"sealed":"abc"}', "$.sealed", "was not expected, for no field of this kind is sensitive"),
        ('{"kind":"wire.smal","version":1,"data":{}}', "$.kind", "is not declared here"),
        ('{"kind":"","version":1,"data":{}}', "$.kind", "is not declared here"),
        ('{"kind":"os.system","version":1,"data":{}}', "$.kind", "is not declared here"),
        ('{"kind":"wire.small","version":9,"data":{}}', "$.version", "is not declared here, only 1"),
        ('{"kind":"wire.small","version":-1,"data":{}}', "$.version", "is not declared here, only 1"),
        (small("{}"), "$.data.order_id", "is required, and missing"),
        (small('{"order_id":"1"}'), "$.data.order_id", "expected an integer, found a string"),
    ],
)  # fmt: skip
def test_a_bad_message(text: str | bytes, path: str, problem: str) -> None:
    WIRE.loads(GOOD)  # from now on it may be read at once
    if isinstance(text, str) and "\ud800" not in text:
        text = text.encode()
    caught = error(lambda: WIRE.loads(text))
    assert (caught.path, caught.problem) == (path, problem)


ENVELOPE = {
    "airlock": 1,
    "id": "12345678-1234-5678-1234-567812345678",
    "kind": "wire.small",
    "version": 1,
    "data": {"order_id": 1},
}


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        ({"airlock": 2}, "$.airlock", "expected one of 1, found another integer"),
        ({"airlock": True}, "$.airlock", "expected one of 1, found another boolean"),
        ({"id": None}, "$.id", "expected a UUID, found null"),
        ({"id": "1"}, "$.id", "expected a UUID, found another string"),
        ({"more": 1}, "$.more", "was not expected"),
        ({"kind": None}, "$.kind", "expected a string, found null"),
        ({"data": []}, "$.data", "expected an object, found an array"),
        ({"data": {"order_id": "1"}}, "$.data.order_id", "expected an integer, found a string"),
        ({"headers": {"a": 1}}, "$.headers['a']", "expected a string, found an integer"),
        ({"headers": []}, "$.headers", "expected an object, found an array"),
        ({"headers": None}, "$.headers", "expected an object, found null"),
        ({"options": None}, "$.options", "expected an object (EmissionOptions), found null"),
        ({"causation": None}, "$.causation", "expected an object (Causation), found null"),
        ({"id": "12345678123456781234567812345678"}, "$.id", "expected a UUID, found another string"),
        ({"options": {"delay": 5}}, "$.options.delay", "expected an ISO 8601 duration, found an integer"),
        ({"options": {"delay": "-PT5S"}}, "$.options.delay", "expected a duration that is not negative, found another"),
        ({"options": {"ordering_key": 5}}, "$.options.ordering_key", "expected a string, found an integer"),
        ({"options": {"id": "x"}}, "$.options.id", "was not expected"),
        ({"causation": {"depth": "1"}}, "$.causation.depth", "expected an integer, found a string"),
        ({"causation": {"depth": -1}}, "$.causation", "Causation refuses it (DeclarationError: Causation(depth=-1): an int from 0.)"),
        ({"causation": {"ancestors": [{"kind": 1}]}}, "$.causation.ancestors[0].kind", "expected a string, found an integer"),
        ({"causation": {"ancestors": [{"kind": "a", "x": 1}]}}, "$.causation.ancestors[0].x", "was not expected"),
    ],
)  # fmt: skip
def test_a_bad_envelope(change: dict[str, Any], path: str, problem: str) -> None:
    """Its own fields are all known: what a reader overlooked might have been the point."""
    WIRE.decode(json.dumps(ENVELOPE))  # from now on it may be read at once
    caught = error(lambda: WIRE.decode(json.dumps(ENVELOPE | change).encode()))
    assert (caught.path, caught.problem) == (path, problem)


def test_the_text_names_kind_version_path_and_what_was_expected() -> None:
    caught = error(lambda: WIRE.loads(small('{"order_id":"1"}')))
    assert (caught.kind, caught.version) == ("wire.small", 1)
    assert str(caught) == (
        "cannot decode 'wire.small' version 1: $.data.order_id expected an integer, found a "
        "string. Nothing of it was decoded. Give what its JSON Schema asks for (wire.schemas()); "
        "for the data of an older version register wire.upcaster(...)."
    )


def test_kind_and_version_are_named_where_anything_can_be_read() -> None:
    """Also of a text that is too large."""
    wire = Wire(limits=Limits(items=2))
    large = error(lambda: wire.loads(small('{"order_id":1}')))
    assert (large.kind, large.version) == ("wire.small", 1)
    unread = error(lambda: WIRE.loads("{"))
    assert (unread.kind, unread.version) == (None, None)
    assert str(unread).startswith("cannot decode a payload of no known kind: $ is not JSON (")


def test_an_unknown_kind_can_be_told_from_a_bad_payload() -> None:
    """A later release may know it, so it is worth keeping."""
    assert error(lambda: WIRE.loads('{"kind":"wire.new","version":1,"data":{}}')).unknown
    assert error(lambda: WIRE.loads('{"kind":"wire.small","version":2,"data":{}}')).unknown
    assert not error(lambda: WIRE.loads(small("{}"))).unknown
    assert not error(lambda: WIRE.loads('{"kind":1}')).unknown
    assert not error(lambda: WIRE.loads("{}")).unknown
    assert not error(lambda: WIRE.loads('{"kind":"wire.small","version":true,"data":{}}')).unknown


def test_long_names_are_shortened_in_messages() -> None:
    kind = "k" * 5000
    caught = error(lambda: WIRE.loads(f'{{"kind":"{kind}","version":1,"data":{{}}}}'))
    assert len(str(caught)) < 600
    caught = error(lambda: WIRE.loads(f'{{"{kind}":1,"kind":"a","version":1,"data":{{}}}}'))
    assert len(str(caught)) < 600


@pytest.mark.parametrize(
    "text",
    [
        small('{"order_id":1,"order_id":2}'),
        small('{"order_id":1}')[:-1] + ',"data":{"order_id":2}}',
        '{"kind":"wire.small","version":9,"data":{"order_id":2},"version":1}',
        '{"kind":"wire.order","version":1,"data":{"order_id":2},"kind":"wire.small"}',
        small('{"order_id":2}').replace('"version":1', '"version":true,"version":1'),
    ],
)
def test_of_equal_keys_the_last_counts(text: str) -> None:
    """For every member alike, so that what is checked is what is read; however often it is read."""
    for _ in range(2):
        assert WIRE.loads(text) == v.Small(2)
    last = '{"kind":"wire.small","version":1,"data":{"order_id":2},"kind":"wire.none"}'
    assert error(lambda: WIRE.loads(last)).path == "$.kind"


def test_the_error_is_a_value_error_and_pickles() -> None:
    caught = error(lambda: WIRE.loads("{}"))
    assert isinstance(caught, AirlockError)
    assert isinstance(caught, ValueError)
    assert str(pickle.loads(pickle.dumps(caught))) == str(caught)


@pytest.mark.parametrize("make", [str, str.encode, lambda t: bytearray(t.encode()),
                                  lambda t: memoryview(t.encode())])  # fmt: skip
def test_a_text_may_be_of_any_class_of_texts(make: Callable[[str], Any]) -> None:
    assert WIRE.loads(make(GOOD)) == v.Small(1)


@pytest.mark.parametrize("text", [None, 5, {}, []])
def test_what_is_no_text_is_refused_as_one(text: Any) -> None:
    assert error(lambda: WIRE.loads(text)).problem.startswith("is no text: it takes bytes or str")


def test_a_text_may_be_formatted_as_json_allows() -> None:
    """White space, escapes, any order of keys."""
    text = ' {"data": {"order_id" : 1,\n"to":"\\u00e9\\ud83d\\ude00"}, "version":1,"kind":"wire.small"}\n'
    assert WIRE.loads(text) == v.Small(1, "é😀")


def test_integers_of_any_size_are_exact() -> None:
    assert WIRE.loads(WIRE.dumps(v.Small(2**80))) == v.Small(2**80)


# -- limits ---------------------------------------------------------------------------------------


def test_a_text_is_measured_before_it_is_read() -> None:
    wire = Wire(limits=Limits(size=60))
    assert wire.loads(GOOD) == v.Small(1)
    text = "[" * 61
    assert error(lambda: wire.loads(text)).problem == "is 61 bytes long, and the limit is 60"


def test_depth_is_limited() -> None:
    """Brackets in strings do not count."""
    wire = Wire(limits=Limits(depth=4))
    fits = small('{"order_id":1,"x":[[1]],"to":"[[[[{{{{"}')
    assert wire.loads(fits) == v.Small(1, "[[[[{{{{")
    deep = small('{"order_id":1,"x":[[[1]]],"to":"a"}')
    caught = error(lambda: wire.loads(deep))
    assert (caught.path, caught.problem) == (
        "$",
        "is more than 4 levels deep, and that is the limit",
    )


@pytest.mark.parametrize("many", ["[1,1,1,1]", '{"a":1,"b":1,"c":1,"d":1}'])
def test_collections_are_limited(many: str) -> None:
    """Wherever they are, also where nobody looks at them."""
    wire = Wire(limits=Limits(items=3))
    assert wire.loads(small('{"order_id":1,"x":[1,1,1]}')) == v.Small(1)
    caught = error(lambda: wire.loads(small(f'{{"order_id":1,"x":{many}}}')))
    assert caught.problem == "has a collection of 4 items, and the limit is 3"


def test_what_could_not_be_read_is_not_written() -> None:
    """The same limits, so that no payload is lost at the other end."""
    large = v.Order(1, tuple(v.Line("a", i) for i in range(5)))
    with pytest.raises(UnencodableError, match="has a collection of 5 items, and the limit is 4"):
        Wire(limits=Limits(items=4)).dumps(large)
    with pytest.raises(UnencodableError, match="levels deep"):
        Wire(limits=Limits(depth=3)).encode(Envelope(large))
    with pytest.raises(UnencodableError, match="bytes long, and the limit is 100"):
        Wire(limits=Limits(size=100)).dumps(large)


@intent(kind="wire.priced")
class Priced:
    price: Decimal


@pytest.mark.parametrize("depth", range(1, 8))
@pytest.mark.parametrize("nested", range(5))
def test_an_envelope_is_written_and_read_up_to_the_depth(depth: int, nested: int) -> None:
    """Two levels are those of the envelope and of the data; forms may have more."""

    def lists(value: Decimal) -> Any:
        document: Any = str(value)
        for _ in range(int(value)):
            document = [document]
        return document

    def price(document: Any) -> Decimal:
        while isinstance(document, list):
            [document] = document
        return Decimal(document)

    forms = {Decimal: TypeForm(lists, price)}
    options = Options(ordering_key="a", headers={"tenant": "acme"})
    for known, one in ((Priced(Decimal(0)), Priced(Decimal(nested))), (v.Small(0), v.Small(1))):
        sent = Envelope(one, options)
        levels = 2 + (nested if isinstance(sent.intent, Priced) else 0)
        wire = Wire(forms=forms, limits=Limits(depth=depth))
        text = Wire(forms=forms).encode(sent)
        if depth > 1:  # so that its class is known
            wire.decode(Wire(forms=forms).encode(attrs.evolve(sent, intent=known)))
        for _ in range(2):  # once explained, and once on the short way of classes that were used
            if levels <= depth:
                assert wire.encode(sent) == text
                assert wire.decode(text) == sent
            else:
                with pytest.raises(UnencodableError, match="levels deep"):
                    wire.encode(sent)
                assert "levels deep" in error(partial(wire.decode, text)).problem


def test_headers_of_an_envelope_are_limited() -> None:
    sent = Envelope(v.Small(1), Options(headers={"a": "1", "b": "2", "c": "3"}))
    wire = Wire(limits=Limits(items=2))
    for _ in range(2):
        with pytest.raises(UnencodableError, match="has a collection of"):
            wire.encode(sent)


def test_what_no_json_can_hold_is_not_written() -> None:
    with pytest.raises(UnencodableError, match="an unpaired surrogate"):
        WIRE.dumps(v.Small(1, "\ud800"))
    with pytest.raises(UnencodableError, match="an integer that is too long"):
        WIRE.dumps(v.Small(10**5000))


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, None])
@pytest.mark.parametrize("name", ["size", "depth", "items"])
def test_limits_are_ints_from_one(name: str, wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=f"Limits\\({name}="):
        Limits(**{name: wrong})


# -- arguments ------------------------------------------------------------------------------------


def test_a_wire_may_be_for_some_intents_only() -> None:
    """Others are neither written nor read."""
    wire = Wire([v.Small, v.notify])
    assert wire.loads(wire.dumps(v.Small(1))) == v.Small(1)
    assert wire.loads(wire.dumps(v.notify.intent(1))) == v.notify.intent(1)
    with pytest.raises(UnencodableError, match="is not among the intents of this wire"):
        wire.dumps(v.Order(1))
    text = Wire().dumps(v.Order(1))
    assert error(lambda: wire.loads(text)).path == "$.kind"


def test_the_arguments_of_a_wire_are_checked() -> None:
    with pytest.raises(DeclarationError, match="not an intent class"):
        Wire([v.Line])


def test_threads_share_a_wire() -> None:
    """Forms are made by whoever is first, once, and nobody sees one that is half made."""
    for _ in range(20):
        wire = Wire()
        start = threading.Barrier(8)
        results: list[object] = []
        threads = [
            threading.Thread(target=_use_together, args=(wire, start, results)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 8


def _use_together(wire: Wire, start: threading.Barrier, results: list[object]) -> None:
    start.wait()
    intent = wire.loads(mutants.EVERYTHING_TEXT)
    results.append(wire.loads(wire.dumps(intent)) == intent)
