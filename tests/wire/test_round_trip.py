"""What is encoded is decoded again, whatever the types."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock import Options
from airlock.wire import AesGcm, Ancestor, Causation, Envelope, Wire, envelope_schema
from tests.wire import strategies as made

CIPHER = AesGcm(bytes(32))
WIRE = Wire(cipher=CIPHER)

any_intent = made.everything | made.others | made.secret | made.made_up()

thorough = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

options = st.builds(
    Options,
    id=st.uuids(),
    delay=st.none() | st.timedeltas(min_value=timedelta(0)),
    ordering_key=st.none() | st.text(),
    dedupe_key=st.none() | st.text(),
    headers=st.dictionaries(st.text(), st.text(), max_size=2),
)
digests = st.dictionaries(st.text(), st.text(), max_size=2)
causations = st.builds(
    Causation,
    st.integers(0, 100),
    st.lists(st.builds(Ancestor, st.text(), digests), max_size=3).map(tuple),
)


@thorough
@given(intent=any_intent)
def test_an_intent_survives(intent: Any) -> None:
    """By value, by hash, and so that its text is the same the next time."""
    decoded = WIRE.loads(WIRE.dumps(intent))
    assert type(decoded) is type(intent)
    assert decoded == intent
    assert hash(decoded) == hash(intent)
    assert WIRE.dump(decoded)["data"] == WIRE.dump(intent)["data"]


@thorough
@given(intent=any_intent)
def test_a_mapping_is_as_good_as_a_text(intent: Any) -> None:
    message = WIRE.dump(intent)
    copy = json.loads(json.dumps(message))
    assert WIRE.load(message) == intent
    assert message == copy  # nothing was changed by reading it


@thorough
@given(intent=made.others | made.secret, said=options, causation=causations)
def test_an_envelope_survives(intent: Any, said: Options, causation: Causation) -> None:
    """With its id, options, headers and causes."""
    envelope = Envelope(intent, said, causation)
    decoded = WIRE.decode(WIRE.encode(envelope))
    assert decoded == envelope
    assert [a.digests for a in decoded.causation.ancestors] == [
        a.digests for a in causation.ancestors
    ]


@thorough
@given(intent=any_intent)
def test_what_is_written_fits_its_schema(intent: Any) -> None:
    """Sealed fields are not in the data; the schema marks them."""
    schema = WIRE.schema_of(type(intent))
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    validator(schema).validate(json.loads(WIRE.dumps(intent)))


@thorough
@given(intent=made.others | made.secret, said=options, causation=causations)
def test_an_envelope_fits_its_schema(intent: Any, said: Options, causation: Causation) -> None:
    text = WIRE.encode(Envelope(intent, said, causation))
    validator = jsonschema.Draft202012Validator
    validator.check_schema(envelope_schema())
    validator(envelope_schema()).validate(json.loads(text))
