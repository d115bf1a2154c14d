"""Causes that travel: depth and ``OncePerChain`` hold across processes."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings

import airlock
from airlock import (
    ALLOW,
    Allow,
    Boundary,
    Delivery,
    Dispatcher,
    FlushError,
    Json,
    OncePerChain,
    Options,
    Outcome,
    PolicyLike,
    Route,
    Scope,
    View,
    enclose,
    field,
    intent,
)
from airlock.effects.causation import digest, name_of_key
from airlock.errors import CascadeError, DeclarationError, ScopeStateError
from airlock.wire import Ancestor, Causation, Envelope, Wire
from tests.wire import strategies as made
from tests.wire import vocabulary as v


@intent(kind="chain.save")
class Save:
    user_id: int
    note: str = ""


@intent(kind="chain.enrich")
class Enrich:
    user_id: int
    note: str = ""


@intent(kind="chain.secret")
class Secret:
    user_id: int
    token: str = field(sensitive=True)


def user(one: Any) -> int:
    """A key with a name."""
    return int(one.user_id)


class Queue(Dispatcher):
    """Sends envelopes to another process."""

    options = frozenset({"id", "headers", "delay", "ordering_key", "dedupe_key"})

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def dispatch(self, delivery: Delivery, /) -> object:
        self.sent.append(Wire().encode(Envelope.of(delivery)))
        return None


class Process:
    """A process: Save is handled here and asks for Enrich, which another process handles."""

    def __init__(self, policy: PolicyLike | None = None, **options: Any) -> None:
        self.queue = Queue()
        self.handled: list[Any] = []
        dispatch = Route({Enrich: self.queue})
        self.boundary = Boundary({Save: self.save}, dispatch=dispatch, policy=policy, **options)

    def save(self, one: Save) -> None:
        self.handled.append(one)
        airlock.emit(Enrich(one.user_id, one.note + "e"))

    def begin(self, *intents: Any, **scope: Any) -> Scope:
        with self.boundary.scope(**scope) as effects:
            effects.emit_all(intents)
        return effects


def receive(text: bytes, policy: PolicyLike | None = None, *follow_ups: Any, **options: Any) -> Any:
    """Another process: handle what came, with follow-ups."""
    envelope = Wire().decode(text)

    def handle(_: Any) -> None:
        for one in follow_ups:
            airlock.emit(one)

    boundary = Boundary(
        {Enrich: handle, Save: lambda one: None, Secret: lambda one: None}, policy=policy, **options
    )
    with boundary.scope(cause=envelope.causation, headers=envelope.headers) as effects:
        effects.emit(envelope.intent, Options(id=envelope.id))
    return effects.report


def outcomes(report: Any) -> list[tuple[Any, str]]:
    return [(entry.intent, entry.outcome.word) for entry in report.entries]


def test_an_envelope_tells_what_led_to_its_intent() -> None:
    process = Process()
    process.begin(Save(1), headers={"tenant": "acme"})
    [text] = process.queue.sent
    envelope = Wire().decode(text)
    assert envelope.intent == Enrich(1, "e")
    assert envelope.headers == {"tenant": "acme"}
    assert envelope.causation.depth == 1
    [cause] = envelope.causation.ancestors
    assert cause.kind == "chain.save"
    assert set(cause.digests) == {""}


def test_an_envelope_has_the_id_and_options_of_the_delivery() -> None:
    queue = Queue()
    given_ = UUID(int=7)
    with Boundary({}, dispatch=queue).scope(headers={"a": "1", "b": "1"}) as effects:
        delay = dt.timedelta(seconds=1)
        options = Options(
            id=given_, delay=delay, ordering_key="o", dedupe_key="d", headers={"b": "2"}
        )
        effects.emit(Enrich(1), options)
        effects.emit(Enrich(2))
    first, second = map(Wire().decode, queue.sent)
    assert first.id == given_
    assert first.options == attrs.evolve(options, headers={"a": "1", "b": "2"})
    assert first.headers == {"a": "1", "b": "2"}
    assert first.causation == Causation()
    assert (first.kind, first.version) == ("chain.enrich", 1)
    assert second.id != given_


def test_an_envelope_without_options_gets_an_id() -> None:
    envelope = Envelope(v.Small(1))
    assert isinstance(envelope.id, UUID)
    assert envelope.id == envelope.options.id
    assert Envelope(v.Small(1)).id != envelope.id
    assert Envelope(v.Small(1), Options(headers={"a": "b"})).headers == {"a": "b"}


# -- once per chain -------------------------------------------------------------------------------


def test_what_was_said_in_another_process_is_not_said_again() -> None:
    """save → (queue) → enrich → save → …, with the second save dropped."""
    process = Process()
    process.begin(Save(1))
    [text] = process.queue.sent
    report = receive(text, OncePerChain(), Save(1), Save(2))
    assert outcomes(report) == [
        (Enrich(1, "e"), "delivered"),
        (Save(1), "dropped"),
        (Save(2), "delivered"),
    ]


def test_what_came_is_judged_too() -> None:
    """An Enrich whose own causes have an equal Enrich is dropped where it arrives."""
    first = Process()
    first.begin(Save(1))
    causes = Wire().decode(first.queue.sent[0]).causation
    again = Causation(
        2, (Ancestor("chain.enrich", {"": digest(Enrich(1, "e")) or ""}), *causes.ancestors)
    )
    text = Wire().encode(Envelope(Enrich(1, "e"), causation=again))
    assert outcomes(receive(text, OncePerChain())) == [(Enrich(1, "e"), "dropped")]
    assert outcomes(receive(text, Allow())) == [(Enrich(1, "e"), "delivered")]


@pytest.mark.parametrize(
    "policy",
    [
        OncePerChain(Save, key=user),
        Allow() & OncePerChain(key=user),
        OncePerChain(key=user).where(lambda one: True),
        OncePerChain(key=operator.attrgetter("user_id")),
        OncePerChain(key=type),
    ],
)
@pytest.mark.parametrize("where", ["boundary", "scope", "enclosure"])
def test_a_key_with_a_name_crosses_processes(policy: PolicyLike, where: str) -> None:
    """Wherever the policy is in force: there, and where the cause was."""
    if where == "enclosure":
        process = Process()
        with enclose(policy):
            process.begin(Save(1, "a"))
    else:
        process = Process(policy if where == "boundary" else None)
        process.begin(Save(1, "a"), **({"policy": policy} if where == "scope" else {}))
    [text] = process.queue.sent
    report = receive(text, policy, Save(1, "b"))
    assert outcomes(report)[-1] == (Save(1, "b"), "dropped")


def test_a_key_for_other_types_is_not_asked() -> None:
    """It would not know them."""
    policy = OncePerChain(Enrich, key=operator.attrgetter("note"))
    process = Process(OncePerChain(Secret, key=operator.attrgetter("token")) & policy)
    process.begin(Save(1))
    [cause] = Wire().decode(process.queue.sent[0]).causation.ancestors
    assert set(cause.digests) == {""}


def test_a_key_without_a_name_holds_within_the_process_only() -> None:
    """Two lambdas have one name, and would drop what they should not."""
    process = Process(OncePerChain(key=lambda one: one.user_id))
    process.begin(Save(1))
    report = receive(process.queue.sent[0], OncePerChain(key=lambda one: one.user_id), Save(1))
    assert outcomes(report)[-1] == (Save(1), "delivered")


def test_causes_are_handed_on_from_process_to_process() -> None:
    """The nearest first, each once."""
    process = Process()
    process.begin(Save(1))
    envelope = Wire().decode(process.queue.sent[0])
    second = Process()
    second.begin(Save(2), Save(2), cause=envelope.causation)
    causes = Wire().decode(second.queue.sent[0]).causation
    assert causes.depth == 2
    assert [c.kind for c in causes.ancestors] == ["chain.save", "chain.save"]
    assert causes.ancestors[1:] == envelope.causation.ancestors
    third = Process()
    third.begin(Save(2), cause=causes)
    told = Wire().decode(third.queue.sent[0]).causation
    assert told.depth == 3
    assert told.ancestors == causes.ancestors  # the third Save(2) says what the second one said


def test_an_envelope_tells_of_the_nearest_causes_only() -> None:
    many = tuple(Ancestor("chain.save", {"": str(i)}) for i in range(300))
    process = Process()
    process.begin(Save(1), cause=Causation(300 - 280, many))
    told = Wire().decode(process.queue.sent[0]).causation
    assert len(told.ancestors) == 256
    assert told.ancestors[1:] == many[:255]


def test_an_intent_with_something_sensitive_leaves_no_digest() -> None:
    """A short secret can be found by trying."""
    seen: list[Causation] = []

    def handle(one: Any) -> None:
        airlock.emit(Enrich(1))

    class Spy(Queue):
        def dispatch(self, delivery: Delivery, /) -> object:
            seen.append(delivery.causation)
            return None

    with Boundary({Secret: handle}, dispatch=Route({Enrich: Spy()})).scope() as effects:
        effects.emit(Secret(1, "1234"))
    assert seen == [Causation(1, (Ancestor("chain.secret"),))]
    assert seen[0].ancestors[0].digests == {}


# -- depth ----------------------------------------------------------------------------------------


def test_depth_counts_on_from_the_other_process() -> None:
    """So that a cascade over several processes ends too."""
    process = Process(max_depth=3)
    process.begin(Save(1), cause=Causation(2, (Ancestor("chain.enrich"),)))
    assert len(process.queue.sent) == 1
    assert Wire().decode(process.queue.sent[0]).causation.depth == 3
    with pytest.raises(FlushError) as caught:
        process.begin(Save(1), cause=Causation(3, (Ancestor("chain.enrich"),)))
    [error] = caught.value.exceptions
    assert isinstance(error, CascadeError)
    assert error.chain == (
        "chain.enrich, in another process",
        "Save(user_id=1, note='')",
        "Enrich(user_id=1, note='e')",
    )
    with pytest.raises(FlushError):
        process.begin(Save(1), cause=Causation(4))
    assert process.handled == [Save(1), Save(1)]


def test_a_resumed_report_keeps_its_causes() -> None:
    policy = OncePerChain()
    attempts: list[int] = []

    def fail_once(one: Enrich) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError
        airlock.emit(Save(1))

    process = Process()
    process.begin(Save(1))
    envelope = Wire().decode(process.queue.sent[0])
    boundary = Boundary({Enrich: fail_once, Save: lambda one: None}, policy=policy)
    with pytest.raises(FlushError) as caught, boundary.scope(cause=envelope.causation) as effects:
        effects.emit(envelope.intent)
    report = caught.value.report.resume()
    assert outcomes(report)[-1] == (Save(1), "dropped")


def test_a_nested_scope_has_the_causes_of_the_outermost() -> None:
    boundary = Boundary({Save: lambda one: None})
    with boundary.scope():
        with pytest.raises(ScopeStateError, match="was given a cause"):
            boundary.scope(cause=Causation(1)).enter()
        with boundary.scope(cause=Causation(1), independent=True) as effects:
            effects.emit(Save(1))
    assert effects.report.entries[0].outcome is Outcome.DELIVERED


def test_a_cause_is_a_causation() -> None:
    wrong: Any = {"depth": 1}
    with pytest.raises(DeclarationError, match="give the causation of an envelope"):
        Boundary({}).scope(cause=wrong)
    with pytest.raises(DeclarationError, match="an int from 0"):
        Causation(-1)


def test_a_policy_sees_the_causes_in_other_processes() -> None:
    seen: list[tuple[Any, ...]] = []

    def look(view: View) -> list[Any]:
        seen.append(tuple(view.remote_ancestors(0)))
        return [ALLOW] * len(view)

    cause = Causation(1, (Ancestor("chain.enrich"),))
    with Boundary({Save: lambda one: None}, policy=look).scope(cause=cause) as effects:
        effects.emit(Save(1))
    assert seen == [cause.ancestors]


# -- digests --------------------------------------------------------------------------------------


class Pair(NamedTuple):
    a: int
    b: int


@attrs.frozen
class Uncompared:
    a: int
    b: int = attrs.field(default=0, eq=False)
    c: str = attrs.field(default="", eq=str.lower)


UTC, VIENNA = dt.UTC, dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (1, Decimal("1.0")),
        (Decimal("1.0"), Decimal("1.00")),
        (0.5, Fraction(1, 2)),
        (Decimal("1E+999999"), Decimal("10E+999998")),
        (v.Priority.HIGH, 2),
        (v.Sku("a"), "a"),
        ((1, 2), Pair(1, 2)),
        (frozenset("abc"), frozenset("cba")),
        (Json({"a": 1, "b": 2}), Json({"b": 2, "a": 1})),
        (dt.datetime(2026, 1, 1, 1, tzinfo=UTC), dt.datetime(2026, 1, 1, 2, tzinfo=VIENNA)),
        (Uncompared(1, 2, "A"), Uncompared(1, 3, "a")),
        (v.Size(1), v.Size(1)),
        (v.Everything, v.Everything),
    ],
)
def test_equal_values_have_equal_digests(one: Any, other: Any) -> None:
    assert one == other
    assert digest(one) == digest(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, "1"),
        ("a", b"a"),
        (None, "None"),
        ((1,), [1]),
        ((1, 2), (2, 1)),
        (Save(1), Enrich(1)),
        (v.Colour.RED, "red"),
        (dt.date(2026, 1, 1), "2026-01-01"),
        (dt.timedelta(1), dt.timedelta(2)),
        (Save, Enrich),
        (Json({"a": 1}), Json({"a": 1.0})),
    ],
)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


@settings(max_examples=50, deadline=None)
@given(made.made_up())
def test_a_digest_is_that_of_the_value_that_is_decoded(value: Any) -> None:
    """On the other side, where it is compared."""
    wire = Wire()
    assert digest(wire.loads(wire.dumps(value))) == digest(value)
    assert digest(value) is not None


def test_a_digest_is_the_same_in_every_process() -> None:
    assert digest(Save(1, "a")) == "47b01d1e5d1964831929fb6b8ec506ef"


@pytest.mark.parametrize(
    "value", [object(), float("nan"), float("inf"), 1j, Secret(1, "x"), (1, object())]
)
def test_what_has_no_stable_digest_has_none(value: Any) -> None:
    assert digest(value) is None


def keys() -> Iterator[tuple[Callable[[Any], Any] | None, str | None]]:
    def local(one: Any) -> Any:
        return one

    yield None, ""
    yield type, "builtins:type"
    yield user, "tests.wire.test_causation:user"
    yield operator.attrgetter("a", "b"), "operator.attrgetter('a', 'b')"
    yield operator.itemgetter(1), "operator.itemgetter(1)"
    yield str.lower, None
    yield lambda one: one, None
    yield local, None


@pytest.mark.parametrize(("key", "name"), [*keys()])
def test_a_key_has_a_name_if_every_process_knows_it(
    key: Callable[[Any], Any] | None, name: str | None
) -> None:
    found = name_of_key(key)
    assert found == name or (found is not None and found.endswith("test_causation:user"))
