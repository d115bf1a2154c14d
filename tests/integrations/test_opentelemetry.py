"""Traces and metrics of flushes and effects, as an exporter gets them."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from dependency_injector import containers
from opentelemetry import propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind

import airlock
from airlock import Boundary, Drop, HandlesBatch, RetryPolicy, Route
from airlock.integrations.base import QueueDispatch, Receiver
from airlock.integrations.opentelemetry import Telemetry
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.wire import Envelope


@airlock.intent(kind="otel.charge")
class Charge:
    order_id: int
    card: str = airlock.field(sensitive=True, default="4111")


@airlock.intent(kind="otel.note")
class Note:
    text: str


class Queue(QueueDispatch):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent: list[str] = []

    def send(self, envelope: Envelope, message: str, /) -> None:
        self.sent.append(message)


class Exported:
    """What was exported of traces and metrics."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = self.tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])
        self.telemetry = Telemetry(tracer_provider=tracers, meter_provider=self.meters)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._spans.get_finished_spans()}

    @property
    def names(self) -> list[str]:
        return [span.name for span in self._spans.get_finished_spans()]

    def metric(self, name: str) -> dict[tuple[Any, ...], Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        [found] = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "value", None)
            for point in found.data.data_points
        }

    def everything(self) -> str:
        data = self._reader.get_metrics_data()
        spans = [span.to_json() for span in self._spans.get_finished_spans()]
        return "".join([*spans, "" if data is None else data.to_json()])


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    assert trace.get_current_span() is trace.INVALID_SPAN
    exported.tracers.shutdown()
    exported.meters.shutdown()


def id_of(span: ReadableSpan | Link) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def test_a_flush_is_a_span_and_each_effect_is_one_in_it(exported: Exported) -> None:
    boundary = Boundary({Note: lambda _: None}, observers=[exported.telemetry])
    with boundary.scope() as effects:
        effects.emit(Note("a"))
        effects.emit(Note("b"))
    assert exported.names == ["deliver otel.note", "deliver otel.note", "airlock.flush"]
    flush = exported.spans["airlock.flush"]
    effect = exported.spans["deliver otel.note"]
    assert parent_of(flush) is None
    assert parent_of(effect) == id_of(flush)
    assert flush.attributes == {"airlock.delivered": 2}
    assert effect.attributes is not None
    assert effect.attributes["airlock.attempt"] == 1
    assert effect.attributes["airlock.kind"] == "otel.note"


def test_the_span_of_an_effect_is_current_in_its_handler(exported: Exported) -> None:
    tracer = exported.tracers.get_tracer("shop")

    def handler(_: Note) -> None:
        with tracer.start_as_current_span("GET warehouse"):
            pass

    with Boundary({Note: handler}, observers=[exported.telemetry]).scope() as effects:
        effects.emit(Note("a"))
    spans = exported.spans
    assert parent_of(spans["GET warehouse"]) == id_of(spans["deliver otel.note"])


def test_a_flush_belongs_to_what_is_current_around_it(exported: Exported) -> None:
    boundary = Boundary({Note: lambda _: None}, observers=[exported.telemetry])
    request = exported.tracers.get_tracer("shop").start_as_current_span("POST /orders")
    with request, boundary.scope() as effects:
        effects.emit(Note("a"))
    spans = exported.spans
    assert parent_of(spans["airlock.flush"]) == id_of(spans["POST /orders"])


def test_an_error_is_told_by_its_type_alone(exported: Exported) -> None:
    def handler(intent: Charge) -> None:
        raise ConnectionError(f"card {intent.card} was refused")

    boundary = Boundary({Charge: handler}, observers=[exported.telemetry])
    with pytest.raises(airlock.FlushError), boundary.scope() as effects:
        effects.emit(Charge(42))
    span = exported.spans["deliver otel.charge"]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ConnectionError"
    assert not span.status.is_ok
    assert not exported.spans["airlock.flush"].status.is_ok
    assert "4111" not in exported.everything()


def test_each_attempt_is_a_span(exported: Exported) -> None:
    calls: list[Any] = []

    def handler(intent: Note) -> None:
        calls.append(intent)
        if len(calls) < 3:
            raise ConnectionError

    class Effects(containers.DeclarativeContainer):
        note = airlock.Handles(
            Note, handler, retry=RetryPolicy(on=ConnectionError, wait_initial=timedelta(0))
        )

    with Boundary(Effects(), observers=[exported.telemetry]).scope() as effects:
        effects.emit(Note("a"))
    attempts = [s for s in exported._spans.get_finished_spans() if s.name != "airlock.flush"]
    assert [s.attributes["airlock.attempt"] for s in attempts if s.attributes] == [1, 2, 3]
    assert len({str(s.attributes["airlock.id"]) for s in attempts if s.attributes}) == 1


def test_members_of_a_batch_are_spans_beside_each_other(exported: Exported) -> None:
    class Effects(containers.DeclarativeContainer):
        notes = HandlesBatch(Note, lambda notes: None)

    with Boundary(Effects(), observers=[exported.telemetry]).scope() as effects:
        effects.emit_all([Note("a"), Note("b"), Note("c")])
    *members, flush = exported._spans.get_finished_spans()
    assert len(members) == 3
    assert {parent_of(member) for member in members} == {id_of(flush)}


def test_follow_ups_and_nested_flushes_are_in_their_flush(exported: Exported) -> None:
    inner = Boundary({Note: lambda _: None}, observers=[exported.telemetry])

    def handler(_: Charge) -> None:
        with inner.scope() as effects:
            effects.emit(Note("a"))

    with Boundary({Charge: handler}, observers=[exported.telemetry]).scope() as effects:
        effects.emit(Charge(1))
    note, nested, charge, flush = exported._spans.get_finished_spans()
    assert parent_of(note) == id_of(nested)
    assert parent_of(nested) == id_of(charge)
    assert parent_of(charge) == id_of(flush)


def test_async_handlers_at_once_keep_their_spans_apart(exported: Exported) -> None:
    tracer = exported.tracers.get_tracer("shop")

    async def handler(intent: Note) -> None:
        with tracer.start_as_current_span(f"GET {intent.text}"):
            await asyncio.sleep(0.01)

    boundary = Boundary({Note: handler}, observers=[exported.telemetry], concurrency=3)

    async def work() -> None:
        async with boundary.scope() as effects:
            effects.emit_all([Note("a"), Note("b"), Note("c")])

    asyncio.run(work())
    spans = exported._spans.get_finished_spans()
    calls = [span for span in spans if span.name.startswith("GET")]
    effects = {id_of(span) for span in spans if span.name == "deliver otel.note"}
    assert {parent_of(call) for call in calls} == effects


def test_a_trace_goes_over_the_wire(exported: Exported) -> None:
    queue = Queue(inject=propagate.inject)
    web = Boundary({}, dispatch=Route({Note: queue}), observers=[exported.telemetry])
    worker = Receiver(Boundary({Note: lambda _: None}, observers=[exported.telemetry]))
    with web.scope() as effects:
        effects.emit(Note("a"))
    worker.receive(queue.sent[0])
    send, process = exported.spans["send otel.note"], exported.spans["process otel.note"]
    assert (send.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert parent_of(process) == id_of(send)
    assert trace_of(process) == trace_of(send)
    [link] = process.links
    assert id_of(link) == id_of(exported.spans["airlock.flush"])


def test_without_a_trace_on_the_wire_the_worker_begins_one(exported: Exported) -> None:
    worker = Receiver(Boundary({Note: lambda _: None}, observers=[exported.telemetry]))
    worker.receive(Queue().wire.encode(Envelope(Note("a"))))
    spans = exported.spans
    assert parent_of(spans["process otel.note"]) == id_of(spans["airlock.flush"])


def test_intents_are_counted_by_kind_and_outcome(exported: Exported) -> None:
    boundary = Boundary(
        {Note: lambda _: None, Charge: lambda _: None}, observers=[exported.telemetry]
    )
    with boundary.scope(policy=Drop(Charge)) as effects:
        effects.emit_all([Note("a"), Note("b"), Charge(1)])
    assert exported.metric("airlock.intents") == {
        (("airlock.kind", "otel.note"), ("airlock.outcome", "delivered")): 2,
        (("airlock.kind", "otel.charge"), ("airlock.outcome", "dropped")): 1,
    }
    assert exported.metric("airlock.flushes") == {(("airlock.ok", True),): 1}
    assert len(exported.metric("airlock.flush.duration")) == 1


def test_what_was_discarded_is_counted_by_reason(exported: Exported) -> None:
    boundary = Boundary({Note: print}, observers=[exported.telemetry])
    with pytest.raises(KeyError), boundary.scope() as effects:
        effects.emit(Note("a"))
        raise KeyError("secret")
    database = connect(":memory:", isolation_level=None)
    with boundary.scope(release=on_commit(database)) as effects:
        database.execute("BEGIN")
        effects.emit(Note("b"))
        database.execute("ROLLBACK")
    database.close()
    with boundary.scope(keep=lambda _: False) as effects:
        effects.emit(Note("c"))
    scope = boundary.scope().enter()
    scope.emit(Note("d"))
    scope.exit()
    scope.discard("order 42 of Ada")
    reasons = {dict(key)["airlock.reason"] for key in exported.metric("airlock.intents")}
    assert reasons == {"KeyError", "rollback", "its keep hook", "other"}
    assert "Ada" not in exported.everything()


def test_no_value_of_an_intent_is_exported(exported: Exported) -> None:
    boundary = Boundary(
        {Charge: lambda _: None, Note: lambda _: None}, observers=[exported.telemetry]
    )
    with boundary.scope() as effects:
        effects.emit_all([Charge(424242, "4111-2222"), Note("for your eyes only")])
    told = exported.everything()
    assert "424242" not in told
    assert "4111" not in told
    assert "your eyes" not in told


def test_no_span_is_kept(exported: Exported) -> None:
    def fail(_: Note) -> None:
        raise KeyboardInterrupt

    boundary = Boundary({Note: fail}, observers=[exported.telemetry])
    with pytest.raises(KeyboardInterrupt), boundary.scope() as effects:
        effects.emit(Note("a"))
    kept = vars(exported.telemetry)
    assert [kept[name] for name in ("_running", "_before", "_flushing")] == [{}, {}, {}]


def test_without_an_sdk_nothing_is_kept_and_nothing_fails(caplog: pytest.LogCaptureFixture) -> None:
    """There is but one span then, of all threads."""
    telemetry = Telemetry(tracer_provider=trace.NoOpTracerProvider())
    boundary = Boundary({Note: lambda _: inner()}, observers=[telemetry])

    def inner() -> None:
        if trace.get_current_span() is trace.INVALID_SPAN and not depth:
            depth.append(1)
            with boundary.scope(independent=True) as effects:
                effects.emit(Note("inside"))

    depth: list[int] = []
    with boundary.scope() as effects:
        effects.emit_all([Note("a"), Note("b")])
    assert depth
    assert not caplog.records
    assert not telemetry._before
    assert not telemetry._running


@pytest.mark.parametrize("batch", [False, True])
def test_each_of_two_deliveries_with_the_same_id_has_a_span(batch: bool) -> None:
    exported = Exported()
    options = airlock.Options(id=UUID(int=7))

    class Handlers(containers.DeclarativeContainer):
        note = HandlesBatch(Note, lambda _: None)

    boundary = Boundary(
        Handlers() if batch else {Note: lambda _: None}, observers=[exported.telemetry]
    )
    with boundary.scope() as effects:
        effects.emit(Note("a"), options)
        effects.emit(Note("b"), options)
    assert exported.names.count("deliver otel.note") == 2
    assert not exported.telemetry._running


def test_also_if_they_are_delivered_at_the_same_time(caplog: pytest.LogCaptureFixture) -> None:
    exported = Exported()
    options = airlock.Options(id=UUID(int=7))

    async def handler(_: Note) -> None:
        await asyncio.sleep(0.01)

    async def work() -> None:
        boundary = Boundary({Note: handler}, observers=[exported.telemetry])

        async def one() -> None:
            async with boundary.scope(independent=True) as effects:
                effects.emit(Note("a"), options)

        await asyncio.gather(one(), one())

    asyncio.run(work())
    assert exported.names.count("deliver otel.note") == 2
    assert not exported.telemetry._running
    assert not caplog.records
