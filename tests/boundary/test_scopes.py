"""The life of one scope: its block, or the calls a framework makes for it."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import sys
from typing import Any

import pytest

import airlock
from airlock import Boundary, EffectBuffer, Options, Outcome, deliveries
from airlock.errors import FlushError, ScopeStateError
from airlock.testing import FakeHandler
from tests.boundary.vocabulary import (
    Broken,
    Emission,
    NotifyWarehouse,
    OrderPlaced,
    SendEmail,
    explode,
)

# -- blocks ---------------------------------------------------------------------------------------


def test_nothing_runs_before_the_block_ends(
    boundary: Boundary, handled: list[Any], emission: Emission
) -> None:
    """Handlers run when the block has ended, in the order of the emissions."""
    with boundary.scope() as effects:
        emission(effects, NotifyWarehouse(1))
        emission(effects, SendEmail())
        emission(effects, NotifyWarehouse(2))
        assert handled == []
        assert effects == [NotifyWarehouse(1), SendEmail(), NotifyWarehouse(2)]
    assert handled == [NotifyWarehouse(1), SendEmail(), NotifyWarehouse(2)]
    assert effects.report.delivered == handled
    assert effects.report.ok


def test_an_exception_discards_what_its_block_emitted(
    boundary: Boundary, handled: list[Any]
) -> None:
    """It leaves the block as it is, and the report names it."""
    error = Broken("in the block")
    with pytest.raises(Broken) as raised, boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
        raise error
    assert raised.value is error
    assert handled == []
    (entry,) = effects.report
    assert (entry.intent, entry.outcome, entry.by) == (
        NotifyWarehouse(),
        Outcome.DISCARDED,
        error,
    )


@pytest.mark.anyio
async def test_an_async_block_awaits_async_handlers() -> None:
    """``async with`` runs sync and async handlers, in order."""
    handled: list[Any] = []

    async def send(subject: SendEmail) -> None:
        handled.append(subject)

    boundary = Boundary({SendEmail: send, NotifyWarehouse: handled.append})
    async with boundary.scope() as effects:
        effects.emit(SendEmail("1"))
        effects.emit(NotifyWarehouse(2))
        effects.emit(SendEmail("3"))
        assert handled == []
    assert handled == [SendEmail("1"), NotifyWarehouse(2), SendEmail("3")]


@pytest.mark.anyio
async def test_an_exception_discards_an_async_block(boundary: Boundary, handled: list[Any]) -> None:
    """The same rule as for a sync block."""
    effects = boundary.scope()
    with pytest.raises(Broken):
        async with effects:
            effects.emit(NotifyWarehouse())
            raise Broken
    assert handled == []
    assert effects.report.discarded == [NotifyWarehouse()]


@pytest.mark.parametrize("code", [0, None])
def test_leaving_the_program_with_success_delivers(
    boundary: Boundary, handled: list[Any], code: int | None
) -> None:
    """``sys.exit()`` and ``sys.exit(0)`` are how a command says that all went well."""
    with pytest.raises(SystemExit), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
        with boundary.scope():
            effects.emit(SendEmail())
            sys.exit(code)
    assert handled == [NotifyWarehouse(), SendEmail()]


@pytest.mark.parametrize("error", [SystemExit(1), SystemExit("no"), KeyboardInterrupt()])
def test_leaving_the_program_otherwise_discards(
    boundary: Boundary, handled: list[Any], error: BaseException
) -> None:
    """Any other exit of the program is a failure of the block."""
    with pytest.raises(type(error)), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
        raise error
    assert handled == []
    assert effects.report.discarded == [NotifyWarehouse()]


def test_an_empty_scope_has_an_empty_report(boundary: Boundary) -> None:
    """Nothing emitted, nothing to say."""
    with boundary.scope() as effects:
        pass
    assert effects.report.ok
    assert len(effects.report) == 0
    assert effects.report.summary() == "no effects"


def test_a_scope_is_a_buffer(boundary: Boundary) -> None:
    """Domain code that takes an ``EffectBuffer`` takes a scope."""
    with boundary.scope() as effects:
        assert isinstance(effects, EffectBuffer)
        mark = effects.mark()
        effects.emit_all([NotifyWarehouse(1), SendEmail("x")])
        assert effects.since(mark) == [NotifyWarehouse(1), SendEmail("x")]
        assert effects.of(SendEmail) == [SendEmail("x")]
        assert len(effects) == 2
        assert SendEmail("x") in effects


def test_the_intents_of_a_buffer_move_into_a_scope_with_their_options() -> None:
    """``emit_all(buffer)`` joins a pure computation to a scope."""
    send = FakeHandler()
    buffer = EffectBuffer()
    buffer.emit(SendEmail("1"), Options(headers={"tenant": "acme"}))
    buffer.emit(SendEmail("2"))
    with Boundary({SendEmail: send}).scope() as effects:
        effects.emit_all(buffer)
    assert [one.headers for one in send.deliveries] == [{"tenant": "acme"}, {}]


# -- explicit calls -------------------------------------------------------------------------------


def test_frameworks_enter_exit_and_settle(boundary: Boundary, handled: list[Any]) -> None:
    """``enter``, ``exit`` and ``settle`` are a block in three steps."""
    scope = boundary.scope()
    assert scope.enter() is scope
    scope.emit(NotifyWarehouse())
    scope.exit()
    assert handled == []
    scope.settle()
    assert handled == [NotifyWarehouse()]


def test_settle_discards_after_an_error(boundary: Boundary, handled: list[Any]) -> None:
    """The error that the block raised is given to both."""
    error = Broken()
    scope = boundary.scope()
    scope.enter()
    scope.emit(NotifyWarehouse())
    scope.exit(error)
    scope.settle(error)
    assert handled == []
    assert [entry.by for entry in scope.report] == [error]


def test_flush_delivers_whatever_happened(boundary: Boundary, handled: list[Any]) -> None:
    """``flush`` instead of ``settle``: the caller has decided."""
    scope = boundary.scope()
    scope.enter()
    scope.emit(NotifyWarehouse())
    scope.exit(Broken())
    scope.flush()
    assert handled == [NotifyWarehouse()]
    assert scope.report.delivered == [NotifyWarehouse()]


def test_discard_throws_away_with_a_reason(boundary: Boundary, handled: list[Any]) -> None:
    """``discard(reason)`` instead of ``settle``; the reason is in the report."""
    scope = boundary.scope()
    scope.enter()
    scope.emit(NotifyWarehouse())
    scope.exit()
    scope.discard("status 500")
    assert handled == []
    assert [(e.outcome, e.by) for e in scope.report] == [(Outcome.DISCARDED, "status 500")]
    assert "by status 500" in str(scope.report)


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["asettle", "aflush"])
async def test_async_frameworks_have_async_twins(end: str) -> None:
    """``asettle`` and ``aflush`` await async handlers."""
    handled: list[Any] = []

    async def notify(subject: NotifyWarehouse) -> None:
        handled.append(subject)

    scope = Boundary({NotifyWarehouse: notify}).scope()
    scope.enter()
    scope.emit(NotifyWarehouse())
    scope.exit()
    await (scope.asettle() if end == "asettle" else scope.aflush())
    assert handled == [NotifyWarehouse()]


# -- keep -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kept"), [(200, True), (302, True), (404, False), (500, False)])
def test_a_keep_hook_decides_by_the_status(
    boundary: Boundary, handled: list[Any], status: int, kept: bool
) -> None:
    """A response is no exception: the hook tells a good one from a bad one."""
    response: list[int] = []
    with boundary.scope(keep=lambda error: error is None and response[0] < 400) as effects:
        effects.emit(NotifyWarehouse())
        response.append(status)
    assert handled == ([NotifyWarehouse()] if kept else [])
    assert effects.report.discarded == ([] if kept else [NotifyWarehouse()])
    if not kept:
        assert [entry.by for entry in effects.report] == ["its keep hook"]


def test_a_keep_hook_may_keep_in_spite_of_an_error(boundary: Boundary, handled: list[Any]) -> None:
    """It is given the exception, which still leaves the block."""
    asked: list[BaseException | None] = []

    def keep(error: BaseException | None) -> bool:
        asked.append(error)
        return True

    error = Broken()
    with pytest.raises(Broken), boundary.scope(keep=keep) as effects:
        effects.emit(NotifyWarehouse())
        raise error
    assert asked == [error]
    assert handled == [NotifyWarehouse()]


def test_a_keep_hook_of_a_nested_scope_decides_about_that(
    boundary: Boundary, handled: list[Any]
) -> None:
    """It says whether the outermost scope gets what the nested one emitted."""
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(1))
        with boundary.scope(keep=lambda _: False) as inner:
            inner.emit(NotifyWarehouse(2))
    assert handled == [NotifyWarehouse(1)]
    assert effects.report.discarded == [NotifyWarehouse(2)]


def test_a_keep_hook_that_raises_delivers_nothing(boundary: Boundary, handled: list[Any]) -> None:
    """Its error is raised, and the scope can still be flushed or discarded."""

    def keep(_: BaseException | None) -> bool:
        raise Broken("no status")

    with pytest.raises(Broken, match="no status"), boundary.scope(keep=keep) as effects:
        effects.emit(NotifyWarehouse())
    assert handled == []
    effects.discard()
    assert effects.report.discarded == [NotifyWarehouse()]


def test_a_keep_hook_of_a_nested_scope_that_raises_spoils_that_scope(
    boundary: Boundary, handled: list[Any]
) -> None:
    """Its error may be caught; what the nested scope emitted is thrown away then."""

    def keep(_: BaseException | None) -> bool:
        raise Broken("no status")

    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse(1))
        with pytest.raises(Broken, match="no status"), boundary.scope(keep=keep) as inner:
            inner.emit(NotifyWarehouse(2))
    assert handled == [NotifyWarehouse(1)]
    assert effects.report.discarded == [NotifyWarehouse(2)]


# -- failures -------------------------------------------------------------------------------------


def test_one_failure_loses_nothing(handled: list[Any]) -> None:
    """The rest is still attempted; then one error tells of all failures."""
    boundary = Boundary({NotifyWarehouse: explode, SendEmail: handled.append})
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(1), SendEmail("a"), NotifyWarehouse(2), SendEmail("b")])
    assert handled == [SendEmail("a"), SendEmail("b")]
    report = raised.value.report
    assert report is effects.report
    assert report.failed == [NotifyWarehouse(1), NotifyWarehouse(2)]
    assert [type(error) for error in raised.value.exceptions] == [Broken, Broken]
    assert "2 of 4 effects failed" in str(raised.value)
    shown = "".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
    assert "NotifyWarehouse(order_id=1)" in shown
    assert "Broken('the handler failed')" in shown
    assert "error.report has the outcome of every intent" in shown


def test_the_error_of_a_flush_splits_and_keeps_its_report() -> None:
    """``except*`` and ``split`` see a ``FlushError`` with the report."""
    boundary = Boundary({NotifyWarehouse: explode, SendEmail: lambda _: 1 / 0})
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail()])
    broken, others = raised.value.split(Broken)
    for part in (broken, others):
        assert isinstance(part, FlushError)
        assert part.report is effects.report
    assert broken is not None
    assert [type(error) for error in broken.exceptions] == [Broken]


@pytest.mark.parametrize("intercepted", [False, True])
@pytest.mark.parametrize("error", [Broken(), StopIteration(), ExceptionGroup("two", [Broken()])])
def test_an_error_is_reported_as_it_was_raised(error: Exception, intercepted: bool) -> None:
    """The very object, whether or not anything is around the handler."""
    boundary = Boundary(
        {NotifyWarehouse: FakeHandler(error)},
        interceptors=[lambda subject, call_next: call_next(subject)] if intercepted else [],
    )
    with pytest.raises(FlushError) as raised, boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert raised.value.exceptions == (error,)
    assert effects.report.errors == [error]


def test_fail_fast_leaves_the_rest_pending(handled: list[Any]) -> None:
    """``scope(fail_fast=True)`` stops at the first failure."""
    boundary = Boundary({NotifyWarehouse: explode, SendEmail: handled.append})
    with pytest.raises(FlushError), boundary.scope(fail_fast=True) as effects:
        effects.emit_all([SendEmail("1"), NotifyWarehouse(), SendEmail("2")])
    assert handled == [SendEmail("1")]
    assert effects.report.failed == [NotifyWarehouse()]
    assert effects.report.pending == [SendEmail("2")]


def test_fail_fast_of_a_scope_overrides_that_of_its_boundary(handled: list[Any]) -> None:
    """Either way: the scope has the last word."""
    handlers: dict[Any, Any] = {NotifyWarehouse: explode, SendEmail: handled.append}
    boundary = Boundary(handlers, fail_fast=True)
    with pytest.raises(FlushError), boundary.scope() as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail("1")])
    assert effects.report.pending == [SendEmail("1")]
    with pytest.raises(FlushError), boundary.scope(fail_fast=False) as effects:
        effects.emit_all([NotifyWarehouse(), SendEmail("2")])
    assert handled == [SendEmail("2")]
    assert effects.report.pending == []


# -- headers --------------------------------------------------------------------------------------


@pytest.fixture
def headers() -> list[tuple[Any, dict[str, str]]]:
    """What handlers saw of their intents' headers."""
    return []


@pytest.fixture
def noting(headers: list[tuple[Any, dict[str, str]]]) -> Boundary:
    """A boundary whose handlers note headers; an order is followed by an e-mail."""

    def note(subject: Any) -> None:
        headers.extend((one.intent, dict(one.headers)) for one in deliveries())
        if isinstance(subject, OrderPlaced):
            airlock.emit(SendEmail("follow-up"))

    return Boundary({OrderPlaced: note, SendEmail: note})


def test_headers_of_a_scope_ride_on_every_intent_and_its_follow_ups(
    noting: Boundary, headers: list[tuple[Any, dict[str, str]]]
) -> None:
    """Tenant, user, locale, trace: said once, known everywhere."""
    with noting.scope(headers={"tenant": "acme"}) as effects:
        effects.emit(OrderPlaced())
        effects.emit(SendEmail())
    assert headers == [
        (OrderPlaced(), {"tenant": "acme"}),
        (SendEmail(), {"tenant": "acme"}),
        (SendEmail("follow-up"), {"tenant": "acme"}),
    ]


def test_the_nearest_header_wins(
    noting: Boundary, headers: list[tuple[Any, dict[str, str]]]
) -> None:
    """An emission's own over those of its scope, over those of the scope around it."""
    with noting.scope(headers={"tenant": "acme", "user": "ann"}) as effects:
        with noting.scope(headers={"user": "bob", "locale": "de"}) as inner:
            inner.emit(SendEmail("1"))
            inner.emit(SendEmail("2"), Options(headers={"locale": "fr", "trace": "7"}))
        effects.emit(SendEmail("3"))
    assert headers == [
        (SendEmail("1"), {"tenant": "acme", "user": "bob", "locale": "de"}),
        (SendEmail("2"), {"tenant": "acme", "user": "bob", "locale": "fr", "trace": "7"}),
        (SendEmail("3"), {"tenant": "acme", "user": "ann"}),
    ]


def test_headers_of_an_emission_ride_on_its_follow_ups(
    noting: Boundary, headers: list[tuple[Any, dict[str, str]]]
) -> None:
    """What a handler emits has the headers of its cause."""
    with noting.scope() as effects:
        effects.emit(OrderPlaced(), Options(headers={"trace": "7"}))
    assert headers == [
        (OrderPlaced(), {"trace": "7"}),
        (SendEmail("follow-up"), {"trace": "7"}),
    ]


def test_headers_of_an_emission_win_over_those_of_its_scope_in_follow_ups_too(
    noting: Boundary, headers: list[tuple[Any, dict[str, str]]]
) -> None:
    """What was said of one order holds for the e-mail about it."""
    with noting.scope(headers={"locale": "de"}) as effects:
        effects.emit(OrderPlaced(), Options(headers={"locale": "fr"}))
    assert headers == [
        (OrderPlaced(), {"locale": "fr"}),
        (SendEmail("follow-up"), {"locale": "fr"}),
    ]


def test_headers_are_copied(noting: Boundary, headers: list[tuple[Any, dict[str, str]]]) -> None:
    """What happens to the mapping later is not seen."""
    mine = {"tenant": "acme"}
    with noting.scope(headers=mine) as effects:
        mine["tenant"] = "other"
        effects.emit(SendEmail())
    assert headers == [(SendEmail(), {"tenant": "acme"})]


# -- reports --------------------------------------------------------------------------------------


def test_there_is_no_report_before_the_end(boundary: Boundary) -> None:
    """Asking early is an error that says when there will be one."""
    with boundary.scope() as effects:
        with pytest.raises(ScopeStateError, match=r"no report yet.*outermost scope is flushed"):
            _ = effects.report
        with boundary.scope() as inner:
            pass
        with pytest.raises(ScopeStateError, match="no report yet"):
            _ = inner.report
    assert inner.report is effects.report


def test_the_report_of_a_discarded_scope_has_every_intent(boundary: Boundary) -> None:
    """What nested blocks threw away earlier is in it, with its own reason."""
    inner_error, outer_error = Broken("inner"), Broken("outer")
    with pytest.raises(Broken, match="outer"), boundary.scope() as effects:
        effects.emit(NotifyWarehouse(1))
        with pytest.raises(Broken, match="inner"), boundary.scope() as inner:
            inner.emit(NotifyWarehouse(2))
            raise inner_error
        effects.emit(NotifyWarehouse(3))
        raise outer_error
    assert sorted((e.intent.order_id, str(e.by)) for e in effects.report) == [
        (1, "outer"),
        (2, "inner"),
        (3, "outer"),
    ]
    assert effects.report.counts == {Outcome.DISCARDED: 3}
    assert effects.report.resume().summary() == "no effects"
