"""``HandlesBatch`` and ``Expands``: many intents in one call, and several effects of one event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.lowlevel
import pytest
from dependency_injector import containers, providers

import airlock
from airlock import (
    Boundary,
    Drop,
    Expands,
    FlushError,
    Handles,
    HandlesBatch,
    Hold,
    Limit,
    Options,
    Outcome,
    PartialFailure,
    region,
)
from airlock.errors import AsyncHandlerError, DeclarationError, NotAnIntentError
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    AuditEntry,
    Broken,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    SendInvoice,
)

Written = list[list[Any]]


@pytest.fixture
def written() -> Written:
    """The batches that the handler was called with."""
    return []


def batching(
    handler: Callable[[list[Any]], object], *, size: int | None = None, **others: Any
) -> Boundary:
    """A boundary with a batch handler of audit entries, and other handlers."""
    wiring = containers.DynamicContainer()
    wiring.audit = HandlesBatch(AuditEntry, handler, size=size)
    wiring.notify = Handles(NotifyWarehouse, others.get("notify", lambda _: None))
    return Boundary(wiring)


def entries(*texts: object) -> list[AuditEntry]:
    return [AuditEntry(str(text)) for text in texts]


# -- batches --------------------------------------------------------------------------------------


def test_a_batch_handler_is_called_once_with_all(written: Written) -> None:
    """Ten thousand intents, one call, a list in emission order."""
    with batching(written.append).scope() as effects:
        effects.emit_all(entries(*range(10_000)))
    assert written == [entries(*range(10_000))]
    assert len(effects.report.delivered) == 10_000


@pytest.mark.parametrize(
    ("size", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (6, [5]), (None, [5])]
)
def test_a_batch_has_a_size(written: Written, size: int | None, sizes: list[int]) -> None:
    """At the most; None for all of a wave."""
    with batching(written.append, size=size).scope() as effects:
        effects.emit_all(entries(*range(5)))
    assert [len(batch) for batch in written] == sizes
    assert [one for batch in written for one in batch] == entries(*range(5))


@pytest.mark.parametrize("size", [0, -1, 1.5, "3", True])
def test_a_size_is_a_positive_number(size: Any) -> None:
    """Checked at declaration."""
    with pytest.raises(DeclarationError, match=r"HandlesBatch\(size=.*an int from 1, or None"):
        HandlesBatch(AuditEntry, list.clear, size=size)


def test_a_batch_runs_at_the_place_of_its_last_member(written: Written) -> None:
    """So that nothing runs before what was emitted before it."""
    boundary = batching(written.append, size=2, notify=lambda i: written.append([i]))
    with boundary.scope() as effects:
        effects.emit_all(
            [*entries(1), NotifyWarehouse(1), *entries(2), NotifyWarehouse(2), *entries(3)]
        )
    assert written == [[NotifyWarehouse(1)], entries(1, 2), [NotifyWarehouse(2)], entries(3)]


def test_each_wave_has_batches_of_its_own(written: Written) -> None:
    """Follow-ups are written together, after what caused them."""
    boundary = batching(
        written.append, notify=lambda i: airlock.emit(AuditEntry(f"notified {i.order_id}"))
    )
    with boundary.scope() as effects:
        effects.emit_all([*entries("first"), NotifyWarehouse(1), NotifyWarehouse(2)])
    assert written == [entries("first"), entries("notified 1", "notified 2")]


def test_a_batch_never_mixes_different_policies(written: Written) -> None:
    """Regions are not the same for having equal policies."""
    with batching(written.append).scope() as effects:
        for text, policy in [("1", Limit(9)), ("2", Limit(8)), ("3", Limit(9))]:
            with region(policy):
                effects.emit(AuditEntry(text))
    assert written == [entries("1"), entries("2"), entries("3")]


def test_what_a_policy_took_out_is_not_in_the_batch(written: Written) -> None:
    """The batch is of what may escape."""
    with batching(written.append).scope(
        policy=Drop().where(lambda i: i.text == "2") & Hold().where(lambda i: i.text == "3")
    ) as effects:
        effects.emit_all(entries(1, 2, 3, 4))
    assert written == [entries(1, 4)]


def test_subclasses_are_written_with_their_base(written: Written) -> None:
    """They have the same handler, so they share a call, in emission order."""

    class Mails(containers.DeclarativeContainer):
        mail = HandlesBatch(SendEmail, lambda mails, note: note(mails), note=written.append)

    mails = [SendEmail("1"), SendInvoice("2"), SendEmail("3")]
    wiring = containers.DynamicContainer()
    wiring.mail = HandlesBatch(SendEmail, written.append)
    with Boundary(wiring).scope() as effects:
        effects.emit_all(mails)
    assert written == [mails]


def test_the_handlers_list_is_its_own(written: Written) -> None:
    """Changing it changes nothing else."""

    def consume(batch: list[Any]) -> None:
        written.append(list(batch))
        batch.clear()

    with batching(consume).scope() as effects:
        effects.emit_all(entries(1, 2))
    assert written == [entries(1, 2)]
    assert effects.report.delivered == entries(1, 2)


def test_an_exception_fails_all_members(written: Written) -> None:
    """The other batches are still attempted."""

    def write(batch: list[Any]) -> None:
        if AuditEntry("2") in batch:
            raise Broken
        written.append(batch)

    with pytest.raises(FlushError) as raised, batching(write, size=2).scope() as effects:
        effects.emit_all(entries(1, 2, 3, 4))
    assert effects.report.failed == entries(1, 2)
    assert effects.report.delivered == entries(3, 4)
    assert written == [entries(3, 4)]
    assert len(raised.value.exceptions) == 1


def test_a_partial_failure_fails_some_members() -> None:
    """Each with its own error; the others are delivered, and what was emitted stays."""
    error = Broken("no such account")

    def write(batch: list[Any]) -> None:
        airlock.emit(NotifyWarehouse(len(batch)))
        raise PartialFailure({1: error})

    with pytest.raises(FlushError) as raised, batching(write).scope() as effects:
        effects.emit_all(entries(1, 2, 3))
    assert raised.value.exceptions == (error,)
    assert effects.report.failed == entries(2)
    assert effects.report.delivered == [*entries(1, 3), NotifyWarehouse(3)]


@pytest.mark.parametrize("errors", [{}, {3: Broken()}, {-1: Broken()}, {0: Broken(), 9: Broken()}])
def test_a_partial_failure_that_makes_no_sense_fails_all(errors: dict[int, Exception]) -> None:
    """No members, or one that was not in the batch: nothing can be said of any."""
    write = FakeHandler(PartialFailure(errors))
    with pytest.raises(FlushError) as raised, batching(write).scope() as effects:
        effects.emit_all(entries(1, 2, 3))
    assert effects.report.failed == entries(1, 2, 3)
    assert [type(error) for error in raised.value.exceptions] == [PartialFailure]


def test_a_partial_failure_of_a_single_intent_is_an_error_like_any_other() -> None:
    """Only batches have parts."""
    notify = FakeHandler(PartialFailure({0: Broken()}))
    with pytest.raises(FlushError), Boundary({NotifyWarehouse: notify}).scope() as effects:
        effects.emit(NotifyWarehouse())
    assert [type(e.by) for e in effects.report] == [PartialFailure]


def test_resuming_batches_what_is_left(written: Written) -> None:
    """Members that failed are a batch again."""
    broken = [True]

    def write(batch: list[Any]) -> None:
        written.append(list(batch))
        if broken:
            broken.pop()
            raise PartialFailure({0: Broken(), 2: Broken()})

    with pytest.raises(FlushError), batching(write).scope() as effects:
        effects.emit_all(entries(1, 2, 3))
    assert effects.report.resume().delivered == entries(1, 3)
    assert written == [entries(1, 2, 3), entries(1, 3)]


@pytest.mark.anyio
async def test_batch_handlers_may_be_async(written: Written) -> None:
    """With partial failures."""

    async def write(batch: list[Any]) -> None:
        await anyio.lowlevel.checkpoint()
        written.append(list(batch))
        if len(batch) == 2:
            raise PartialFailure({1: Broken()})

    effects = batching(write, size=2).scope()
    with pytest.raises(FlushError):
        async with effects:
            effects.emit_all(entries(1, 2, 3))
    assert written == [entries(1, 2), entries(3)]
    assert effects.report.failed == entries(2)
    assert effects.report.delivered == entries(1, 3)


def test_an_async_batch_handler_refuses_a_sync_flush() -> None:
    """As any async handler."""

    async def write(batch: list[Any]) -> None:
        raise AssertionError("never called")

    with pytest.raises(AsyncHandlerError), batching(write).scope() as effects:
        effects.emit_all(entries(1))


def test_a_batch_handler_class_has_dependencies(written: Written) -> None:
    """Made once per flush, called per batch."""
    made: list[str] = []

    class Writer:
        def __init__(self, table: str) -> None:
            made.append(table)

        def __call__(self, batch: list[AuditEntry]) -> None:
            written.append(list(batch))

    class Audits(containers.DeclarativeContainer):
        audit = HandlesBatch(AuditEntry, Writer, size=1, table=providers.Object("audit"))

    with Boundary(Audits()).scope() as effects:
        effects.emit_all(entries(1, 2))
    assert made == ["audit"]
    assert written == [entries(1), entries(2)]


def test_members_of_a_batch_may_have_options_of_their_own(written: Written) -> None:
    """Ids are each member's; see ``airlock.deliveries``."""
    ids: list[UUID] = []

    def write(batch: list[Any]) -> None:
        ids.extend(one.id for one in airlock.deliveries())
        written.append(list(batch))

    given = uuid4()
    with batching(write).scope() as effects:
        effects.emit(AuditEntry("1"), Options(id=given))
        effects.emit(AuditEntry("2"))
    assert written == [entries(1, 2)]
    assert ids[0] == given
    assert ids[1] != given


def tenant(batch: list[Any]) -> list[tuple[str, str | None]]:
    return [(one.intent.text, one.headers.get("tenant")) for one in airlock.deliveries()]


@pytest.mark.parametrize("how", ["scope", "options"])
def test_a_batch_never_mixes_headers(how: str, written: Written) -> None:
    """What it emits belongs to the tenant of its members."""
    notified: list[Any] = []

    def write(batch: list[Any]) -> None:
        written.append(tenant(batch))
        airlock.emit(NotifyWarehouse(len(batch)))

    boundary = batching(
        write, notify=lambda _: notified.append(airlock.delivery().headers.get("tenant"))
    )
    with boundary.scope():
        for number, name in enumerate("abab"):
            headers = {"tenant": name}
            if how == "options":
                airlock.emit(AuditEntry(str(number)), Options(headers=headers))
            else:
                with boundary.scope(headers=headers) as effects:
                    effects.emit(AuditEntry(str(number)))
    assert written == [[("0", "a"), ("2", "a")], [("1", "b"), ("3", "b")]]
    assert notified == ["a", "b"]


def test_a_batch_that_mixes_headers_passes_on_what_its_members_share(written: Written) -> None:
    wiring = containers.DynamicContainer()
    seen: list[Any] = []

    def write(batch: list[Any]) -> None:
        written.append(tenant(batch))
        airlock.emit(NotifyWarehouse(1))

    wiring.audit = HandlesBatch(AuditEntry, write, mix_headers=True)
    wiring.notify = Handles(
        NotifyWarehouse, lambda _: seen.append(dict(airlock.delivery().headers))
    )
    boundary = Boundary(wiring)
    with boundary.scope(headers={"trace": "7"}):
        for name in "ab":
            with boundary.scope(headers={"tenant": name}) as effects:
                effects.emit(AuditEntry(name))
    assert written == [[("a", "a"), ("b", "b")]]
    assert seen == [{"trace": "7"}]


def test_a_partial_failure_of_all_members_discards_what_was_emitted(written: Written) -> None:
    """The attempt has failed, so that a resume does not deliver it twice."""
    notified: list[Any] = []
    bad = [0, 1]

    def write(batch: list[Any]) -> None:
        airlock.emit(NotifyWarehouse(len(batch)))
        if bad:
            raise PartialFailure({i: ValueError(str(i)) for i in bad})

    with (
        pytest.raises(FlushError),
        batching(write, notify=notified.append).scope() as effects,
    ):
        effects.emit_all(entries(1, 2))
    assert effects.report.discarded == [NotifyWarehouse(2)]
    assert notified == []
    bad.clear()
    assert effects.report.resume().ok
    assert notified == [NotifyWarehouse(2)]


def test_a_partial_failure_of_some_members_keeps_what_was_emitted(written: Written) -> None:
    notified: list[Any] = []

    def write(batch: list[Any]) -> None:
        airlock.emit(NotifyWarehouse(len(batch)))
        if len(batch) == 2:
            raise PartialFailure({1: ValueError("1")})

    with (
        pytest.raises(FlushError),
        batching(write, notify=notified.append).scope() as effects,
    ):
        effects.emit_all(entries(1, 2))
    assert notified == [NotifyWarehouse(2)]


# -- expansion ------------------------------------------------------------------------------------


def expanding(expand: Callable[..., Any], handled: list[Any], **dependencies: Any) -> Boundary:
    """A boundary that expands orders."""
    wiring = containers.DynamicContainer()
    wiring.placed = Expands(OrderPlaced, expand, **dependencies)
    wiring.notify = Handles(NotifyWarehouse, handled.append)
    wiring.email = Handles(SendEmail, handled.append)
    return Boundary(wiring)


def two(event: OrderPlaced) -> tuple[Any, ...]:
    return NotifyWarehouse(event.order_id), SendEmail(str(event.order_id))


def two_by_two(event: OrderPlaced) -> Iterator[Any]:
    yield from two(event)


@pytest.mark.parametrize("expand", [two, two_by_two, lambda event: list(two(event))])
def test_one_event_has_several_effects(
    handled: list[Any], expand: Callable[[OrderPlaced], Iterable[Any]]
) -> None:
    """They follow it as its follow-ups, in order; any iterable will do."""
    with expanding(expand, handled).scope() as effects:
        effects.emit_all([OrderPlaced(1), OrderPlaced(2)])
    assert handled == [*two(OrderPlaced(1)), *two(OrderPlaced(2))]
    assert [(e.wave, e.cause and e.cause.intent) for e in effects.report] == [
        (0, None),
        (0, None),
        (1, OrderPlaced(1)),
        (1, OrderPlaced(1)),
        (1, OrderPlaced(2)),
        (1, OrderPlaced(2)),
    ]


def test_an_event_may_have_no_effects(handled: list[Any]) -> None:
    """Then it is delivered, and that is all."""
    with expanding(lambda _: (), handled).scope() as effects:
        effects.emit(OrderPlaced())
    assert effects.report.delivered == [OrderPlaced()]


def test_an_expansion_has_dependencies(handled: list[Any]) -> None:
    """By name, as any handler."""

    def expand(event: OrderPlaced, sender: str) -> tuple[Any, ...]:
        return (SendEmail(f"{sender} {event.order_id}"),)

    with expanding(expand, handled, sender=providers.Object("shop")).scope() as effects:
        effects.emit(OrderPlaced(7))
    assert handled == [SendEmail("shop 7")]


@pytest.mark.anyio
async def test_an_expansion_may_be_async(handled: list[Any]) -> None:
    """In async scopes; in sync ones it is refused before anything runs."""

    async def expand(event: OrderPlaced) -> tuple[Any, ...]:
        await anyio.lowlevel.checkpoint()
        return two(event)

    boundary = expanding(expand, handled)
    async with boundary.scope() as effects:
        effects.emit(OrderPlaced(1))
    assert handled == [*two(OrderPlaced(1))]
    with pytest.raises(AsyncHandlerError, match="placed"), boundary.scope() as effects:
        effects.emit(OrderPlaced(2))


@pytest.mark.parametrize("made", [[NotifyWarehouse(), "mail"], [NotifyWarehouse], 42, None])
def test_an_expansion_makes_intents(handled: list[Any], made: Any) -> None:
    """Anything else fails the event, and none of its effects happens."""
    with pytest.raises(FlushError) as raised, expanding(lambda _: made, handled).scope() as effects:
        effects.emit(OrderPlaced())
    assert isinstance(raised.value.exceptions[0], TypeError)
    if isinstance(made, list):
        assert isinstance(raised.value.exceptions[0], NotAnIntentError)
    assert effects.report.failed == [OrderPlaced()]
    assert handled == []


def test_effects_of_an_event_are_judged_like_any_follow_up(handled: list[Any]) -> None:
    """A scope that drops e-mails drops those too."""
    with expanding(two, handled).scope(policy=Drop(SendEmail)) as effects:
        effects.emit(OrderPlaced(1))
    assert handled == [NotifyWarehouse(1)]
    assert effects.report.counts == {Outcome.DELIVERED: 2, Outcome.DROPPED: 1}
