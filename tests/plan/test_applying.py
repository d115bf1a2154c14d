"""``boundary.apply(plan)``: everything once, in order, as a flush would, and again until it is done."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

import airlock
from airlock import (
    Boundary,
    Expands,
    Handles,
    HandlesBatch,
    PartialFailure,
    RetryPolicy,
    intent,
)
from airlock.errors import (
    ApplyError,
    AsyncHandlerError,
    DeclarationError,
    EmittedInPolicyError,
    InDoubtError,
    NotAnIntentError,
    PlanExpiredError,
    PlanFormatError,
    PlanMismatchError,
    UnencodableError,
    UnhandledIntentError,
    WireError,
)
from airlock.plan import Applied, Plan
from airlock.wire import Wire
from tests.plan.vocabulary import (
    EVERYTHING,
    Audit,
    Broken,
    Index,
    Mail,
    Notify,
    Placed,
    container,
    explode,
    ignore,
    plan_of,
    saved,
    states,
)

AT_ONCE = {"wait_initial": timedelta(0), "wait_max": timedelta(0)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.plan"


def orders(*numbers: int) -> list[Notify]:
    return [Notify(number) for number in numbers]


def failing_at(*numbers: int, seen: list[Any]) -> Callable[[Notify], None]:
    """A handler that fails for some, the first time."""
    left = set(numbers)

    def notify(one: Notify) -> None:
        seen.append(one)
        if one.order_id in left:
            left.remove(one.order_id)
            raise Broken(one.order_id)

    return notify


# -- what happens ---------------------------------------------------------------------------------


def test_everything_in_order(boundary: Boundary, handled: list[Any], path: Path) -> None:
    wanted = [Notify(1), Mail("x"), Notify(2), Audit(), Notify(1)]
    applied = boundary.apply(saved(plan_of(*wanted), path))
    assert handled == wanted
    assert applied == Applied({"delivered": 5}, 0, 0)
    assert applied.ok
    assert str(applied) == "5 delivered"


def test_nothing_twice(boundary: Boundary, handled: list[Any], path: Path) -> None:
    """However often it is applied, by whatever object of the plan."""
    plan = plan_of(*orders(1, 2))
    loaded = saved(plan, path)
    boundary.apply(loaded)
    for again in (loaded, plan, Plan.load(path)):
        assert str(boundary.apply(again)) == "2 done before"
    assert handled == orders(1, 2)


def test_nothing_twice_without_a_file(boundary: Boundary, handled: list[Any]) -> None:
    """A plan that was never saved remembers what was done of it."""
    plan = plan_of(*orders(1, 2, 3))
    assert str(boundary.apply(plan, indices=[1])) == "1 delivered, 2 remaining"
    assert str(boundary.apply(plan)) == "2 delivered, 1 done before"
    assert str(boundary.apply(plan)) == "3 done before"
    assert handled == orders(2, 1, 3)


def test_a_plan_that_was_applied_is_saved_with_its_journal(
    boundary: Boundary, handled: list[Any], path: Path
) -> None:
    plan = plan_of(*orders(1, 2))
    boundary.apply(plan, indices=[0])
    plan.save(path)
    assert str(boundary.apply(Plan.load(path))) == "1 delivered, 1 done before"
    assert str(boundary.apply(plan)) == "2 done before"
    assert handled == orders(1, 2)


def test_a_plan_of_nothing(boundary: Boundary, path: Path) -> None:
    assert str(boundary.apply(saved(plan_of(), path))) == "no effects"


def test_a_million_is_a_chunk_after_the_other(boundary: Boundary, handled: list[Any]) -> None:
    """Over the edges of chunks nothing is lost."""
    wanted = orders(*range(2_345))
    assert boundary.apply(plan_of(*wanted)).counts == {"delivered": 2_345}
    assert handled == wanted


@pytest.mark.parametrize("plan", [None, "effects.plan", 5, [Notify(1)], Plan])
def test_only_plans_are_applied(boundary: Boundary, plan: Any) -> None:
    with pytest.raises(DeclarationError, match="apply takes a Plan"):
        boundary.apply(plan)


def test_a_misspelt_argument_is_refused(boundary: Boundary, handled: list[Any]) -> None:
    """By ``aapply`` too: it would apply everything."""
    plan: Any = plan_of(Notify(1))
    for apply in (boundary.apply, boundary.aapply):
        call: Any = apply
        with pytest.raises(TypeError, match="indexes"):
            _finished(call(plan, indexes=[]))
    assert not handled


def _finished(coroutine: Any) -> None:
    async def run() -> None:
        await coroutine

    anyio.run(run)


@pytest.mark.anyio
async def test_async_handlers(path: Path) -> None:
    seen: list[Any] = []

    async def notify(one: Notify) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(one)
        airlock.emit(Mail(str(one.order_id)))

    async def mail(one: Mail) -> None:
        seen.append(one)

    boundary = Boundary({Notify: notify, Mail: mail})
    plan = saved(plan_of(*orders(1, 2)), path)
    with pytest.raises(AsyncHandlerError):
        boundary.apply(plan)
    assert (await boundary.aapply(plan)).counts == {"delivered": 4}
    assert seen == [*orders(1, 2), Mail("1"), Mail("2")]
    assert str(await boundary.aapply(plan)) == "2 done before"


def test_concurrency(path: Path) -> None:
    """Several at once, and each is written down."""
    seen: list[Any] = []
    most = [0, 0]

    async def notify(one: Notify) -> None:
        most[0] += 1
        most[1] = max(most)
        await anyio.sleep(0.001 * (one.order_id % 3))
        most[0] -= 1
        seen.append(one)
        airlock.emit(Mail(str(one.order_id)))

    async def mail(one: Mail) -> None:
        seen.append(one)

    boundary = Boundary({Notify: notify, Mail: mail}, concurrency=3)
    plan = saved(plan_of(*orders(*range(20))), path)

    async def run() -> Applied:
        return await boundary.aapply(plan)

    assert anyio.run(run).counts == {"delivered": 40}
    assert most[1] == 3
    assert sorted(one.order_id for one in seen[:20]) == list(range(20))
    assert set(states(plan.journal).values()) == {"delivered"}


def test_a_journal_that_fails_stops_concurrent_handlers(path: Path) -> None:
    """With its own error, not with a group of one for each."""

    async def notify(_: Notify) -> None:
        await anyio.lowlevel.checkpoint()
        airlock.emit(Odd(object))

    boundary = Boundary({Notify: notify, Odd: ignore}, concurrency=3)
    plan = saved(plan_of(*orders(*range(9))), path)

    async def run() -> None:
        await boundary.aapply(plan)

    with pytest.raises(UnencodableError, match="thing"):
        anyio.run(run)
    assert len(states(plan.journal)) < 9


@intent(kind="plans.odder")
class Odd:
    thing: object


# -- failures -------------------------------------------------------------------------------------


def test_a_failure_stops_nothing_else(path: Path) -> None:
    seen: list[Any] = []
    boundary = Boundary({Notify: failing_at(1, 2, seen=seen)})
    plan = saved(plan_of(*orders(1, 2, 3)), path)
    with pytest.raises(ApplyError) as failed:
        boundary.apply(plan)
    error = failed.value
    assert [repr(one) for one in error.exceptions] == ["Broken(1)", "Broken(2)"]
    assert error.applied == Applied({"failed": 2, "delivered": 1}, 0, 2)
    assert error.applied is not None
    assert not error.applied.ok
    assert str(path) in str(error)
    assert "2 effects" in str(error)
    assert states(plan.journal) == {0: "failed", 1: "failed", 2: "delivered"}
    assert str(boundary.apply(plan)) == "2 delivered, 1 done before"
    assert seen == orders(1, 2, 3, 1, 2)


def test_an_apply_error_is_a_group(path: Path) -> None:
    """``split`` keeps what was applied, a pickled copy the message."""

    def notify(one: Notify) -> None:
        raise ValueError("x") if one.order_id else KeyError("y")

    with pytest.raises(ApplyError) as failed:
        Boundary({Notify: notify}).apply(saved(plan_of(*orders(0, 1)), path))
    values, others = failed.value.split(ValueError)
    assert isinstance(values, ApplyError)
    assert isinstance(others, ApplyError)
    assert values.applied == others.applied == failed.value.applied
    assert [type(one) for one in others.exceptions] == [KeyError]
    copied = pickle.loads(pickle.dumps(failed.value))
    assert isinstance(copied, ApplyError)
    assert str(copied) == str(failed.value)
    assert copied.applied is None
    caught: list[Any] = []
    try:
        raise failed.value
    except* ValueError as group:
        caught.append(group)
    except* KeyError as group:
        caught.append(group)
    assert [type(one) for one in caught] == [ApplyError, ApplyError]


def test_the_first_hundred_errors_are_kept() -> None:
    with pytest.raises(ApplyError) as failed:
        Boundary({Notify: explode}).apply(plan_of(*orders(*range(1_500))))
    assert len(failed.value.exceptions) == 100
    assert failed.value.applied is not None
    assert failed.value.applied.counts == {"failed": 1_500}


@pytest.mark.parametrize("where", ["boundary", "apply"])
def test_fail_fast(where: str, path: Path) -> None:
    """The rest stays, and is done the next time."""
    seen: list[Any] = []
    boundary = Boundary({Notify: failing_at(2, seen=seen)}, fail_fast=where == "boundary")
    plan = saved(plan_of(*orders(1, 2, 3)), path)
    with pytest.raises(ApplyError) as failed:
        boundary.apply(plan, fail_fast=None if where == "boundary" else True)
    assert seen == orders(1, 2)
    assert failed.value.applied == Applied({"delivered": 1, "failed": 1}, 0, 2)
    assert str(boundary.apply(plan)) == "2 delivered, 1 done before"
    assert seen == orders(1, 2, 2, 3)


def test_fail_fast_stops_at_chunks_and_follow_ups_too() -> None:
    seen: list[Any] = []

    def placed(one: Placed) -> None:
        seen.append(one)
        airlock.emit(Mail("x"))

    boundary = Boundary({Placed: placed, Notify: explode, Mail: seen.append}, fail_fast=True)
    plan = plan_of(Placed(1), Notify(1), *map(Placed, range(2_000)))
    with pytest.raises(ApplyError):
        boundary.apply(plan)
    assert seen == [Placed(1)]


def test_fail_fast_can_be_lifted() -> None:
    seen: list[Any] = []
    boundary = Boundary({Notify: failing_at(1, seen=seen)}, fail_fast=True)
    with pytest.raises(ApplyError):
        boundary.apply(plan_of(*orders(1, 2)), fail_fast=False)
    assert seen == orders(1, 2)


class Unspeakable(Exception):  # noqa: N818
    """An error that cannot be written down as it is."""

    def __repr__(self) -> str:
        return "half of a pair: \udce9"


def test_an_error_of_any_text_is_written_down(path: Path) -> None:
    def notify(one: Notify) -> None:
        if one.order_id == 1:
            raise Unspeakable

    plan = saved(plan_of(*orders(1, 2)), path)
    with pytest.raises(ApplyError) as failed:
        Boundary({Notify: notify}).apply(plan)
    assert "half of a pair" in str(failed.value)
    assert states(plan.journal) == {0: "failed", 1: "delivered"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_leaves_it_in_flight(
    interruption: type[BaseException], boundary: Boundary, handled: list[Any], path: Path
) -> None:
    """Nobody knows whether it was done. The rest has not begun."""
    seen: list[Any] = []

    def notify(one: Notify) -> None:
        seen.append(one)
        if one.order_id == 2:
            raise interruption

    plan = saved(plan_of(*orders(1, 2, 3)), path)
    with pytest.raises(interruption):
        Boundary({Notify: notify}).apply(plan)
    assert seen == orders(1, 2)
    assert states(plan.journal) == {0: "delivered", 1: "running"}
    with pytest.raises(InDoubtError) as refused:
        boundary.apply(plan)
    assert refused.value.effects == ("1  Notify(order_id=2)",)
    assert not handled
    assert str(boundary.apply(plan, in_doubt="done")) == "1 delivered, 2 done before"
    assert handled == orders(3)


def test_a_cancellation_leaves_it_in_flight(path: Path) -> None:
    async def notify(one: Notify) -> None:
        if one.order_id > 1:
            await anyio.sleep(60)

    boundary = Boundary({Notify: notify}, concurrency=2)
    plan = saved(plan_of(*orders(1, 2, 3, 4)), path)

    async def run() -> None:
        with anyio.move_on_after(0.05):
            await boundary.aapply(plan)

    anyio.run(run)
    assert states(plan.journal) == {0: "delivered", 1: "running", 2: "running"}


# -- retries, batches, expansion ------------------------------------------------------------------


def test_retries(path: Path) -> None:
    """Within one application; what a failed attempt emitted is discarded."""
    attempts: list[int] = []

    def notify(_: Notify) -> None:
        attempts.append(airlock.delivery().attempt)
        airlock.emit(Mail(str(len(attempts))))
        if len(attempts) < 3:
            raise ConnectionError

    mails: list[Any] = []
    retry = RetryPolicy(on=ConnectionError, max_attempts=3, **AT_ONCE)
    wiring = container(
        notify=Handles(Notify, notify, retry=retry), mail=Handles(Mail, mails.append)
    )
    applied = Boundary(wiring).apply(saved(plan_of(Notify(1)), path))
    assert attempts == [1, 2, 3]
    assert mails == [Mail("3")]
    assert applied.counts == {"delivered": 2}


def test_batches(path: Path) -> None:
    """At the place of the last member, of at most their size."""
    seen: list[Any] = []
    batches = HandlesBatch(Audit, lambda several: seen.append(list(several)), size=2)
    boundary = Boundary(container(audit=batches, notify=Handles(Notify, seen.append)))
    a, b, c = Audit("a"), Audit("b"), Audit("c")
    plan = saved(plan_of(a, Notify(1), b, Notify(2), c), path)
    assert boundary.apply(plan).counts == {"delivered": 5}
    assert seen == [Notify(1), [a, b], Notify(2), [c]]


def test_a_batch_without_a_size_is_one_of_each_chunk() -> None:
    sizes: list[int] = []
    batches = HandlesBatch(Audit, lambda several: sizes.append(len(several)))
    plan = plan_of(*(Audit(str(i)) for i in range(2_100)))
    Boundary(container(audit=batches)).apply(plan)
    assert sizes == [1_000, 1_000, 100]


def test_a_partial_failure(path: Path) -> None:
    """Only its members run again, and the batch is smaller then."""
    seen: list[list[Audit]] = []

    def write(several: list[Audit]) -> None:
        seen.append(list(several))
        for one in several:
            airlock.emit(Mail(one.text))
        if len(seen) == 1:
            raise PartialFailure({1: Broken("b"), 2: Broken("c")})

    mails: list[Any] = []
    wiring = container(audit=HandlesBatch(Audit, write), mail=Handles(Mail, mails.append))
    boundary = Boundary(wiring)
    plan = saved(plan_of(Audit("a"), Audit("b"), Audit("c")), path)
    with pytest.raises(ApplyError) as failed:
        boundary.apply(plan)
    assert len(failed.value.exceptions) == 2
    assert {n: state for n, state in states(plan.journal).items() if n < 3} == {
        0: "delivered",
        1: "failed",
        2: "failed",
    }
    boundary.apply(plan)
    assert [len(several) for several in seen] == [3, 2]
    assert mails == [Mail(text) for text in "abcbc"]


def test_a_batch_that_fails_is_one_error(path: Path) -> None:
    wiring = container(audit=HandlesBatch(Audit, explode))
    with pytest.raises(ApplyError, match="3 effects") as failed:
        Boundary(wiring).apply(saved(plan_of(Audit("a"), Audit("b"), Audit("c")), path))
    assert len(failed.value.exceptions) == 1


def test_expansion(path: Path, handled: list[Any]) -> None:
    """The effects that an event means run after the plan."""
    placed = Expands(Placed, lambda one: (Notify(one.order_id), Mail("x")))
    wiring = container(
        placed=placed, notify=Handles(Notify, handled.append), mail=Handles(Mail, handled.append)
    )
    applied = Boundary(wiring).apply(saved(plan_of(Placed(1), Notify(7), Placed(2)), path))
    assert handled == [Notify(7), Notify(1), Mail("x"), Notify(2), Mail("x")]
    assert applied.counts == {"delivered": 7}


# -- a part of it ---------------------------------------------------------------------------------


@airlock.effect
def reindex(product_id: int) -> None: ...


MIXED = [Notify(1), Mail("x"), Notify(2), Audit("a"), Mail("y")]


@pytest.mark.parametrize(
    ("choice", "done"),
    [
        ({"kinds": [Notify]}, [0, 2]),
        ({"kinds": ["plans.notify"]}, [0, 2]),
        ({"kinds": {Notify, "plans.audit"}}, [0, 2, 3]),
        ({"kinds": (kind for kind in [Mail])}, [1, 4]),
        ({"kinds": []}, []),
        ({"indices": [3, 1]}, [1, 3]),
        ({"indices": range(2)}, [0, 1]),
        ({"indices": []}, []),
        ({"indices": (i for i in [4])}, [4]),
        ({"kinds": [Notify], "indices": [1, 2]}, [2]),
        ({"kinds": [Audit], "indices": [0]}, []),
        ({"kinds": None, "indices": None}, [0, 1, 2, 3, 4]),
    ],
)
def test_a_part(
    choice: Any, done: list[int], boundary: Boundary, handled: list[Any], path: Path
) -> None:
    """In the order of the plan; then the rest of it."""
    plan = saved(plan_of(*MIXED), path)
    assert boundary.apply(plan, **choice).remaining == 5 - len(done)
    assert handled == [MIXED[i] for i in done]
    boundary.apply(plan)
    assert handled == [*(MIXED[i] for i in done), *(MIXED[i] for i in range(5) if i not in done)]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"kinds": "plans.notify"}, "a list"),
        ({"kinds": b"plans.notify"}, "a list"),
        ({"kinds": Notify}, "a list"),
        ({"kinds": reindex}, "a list"),
        ({"kinds": 5}, "a list"),
        ({"kinds": [5]}, "not an intent class"),
        ({"kinds": [None]}, "not an intent class"),
        ({"kinds": [int]}, "not an intent class"),
        ({"kinds": [print]}, "not an intent class"),
        ({"kinds": [Notify(1)]}, "intent"),
        ({"kinds": ["plans.notfiy"]}, "Did you mean 'plans.notify'"),
        ({"kinds": [""]}, "no effect of the kind"),
        ({"kinds": [Index]}, "no effect of the kind 'plans.index'"),
        ({"kinds": [reindex]}, "no effect of the kind"),
        ({"indices": 0}, "a list"),
        ({"indices": True}, "a list"),
        ({"indices": "0"}, "a list"),
        ({"indices": b"0"}, "a list"),
        ({"indices": 1.5}, "a list"),
        ({"indices": [True]}, "no index"),
        ({"indices": [1.0]}, "no index"),
        ({"indices": ["1"]}, "no index"),
        ({"indices": [None]}, "no index"),
        ({"indices": [[0]]}, "no index"),
        ({"indices": [-1]}, "no index"),
        ({"indices": [5]}, "from 0 to 4"),
    ],
    ids=str,
)
def test_a_bad_choice_is_refused(
    choice: Any, says: str, boundary: Boundary, handled: list[Any], path: Path
) -> None:
    """Before anything runs."""
    plan = saved(plan_of(*MIXED), path)
    with pytest.raises((DeclarationError, NotAnIntentError), match=says):
        boundary.apply(plan, **choice)
    assert not handled


def test_wiring_is_looked_at_for_what_is_chosen(path: Path, handled: list[Any]) -> None:
    """Before the first effect, whatever stands before it in the plan."""
    boundary = Boundary({Notify: handled.append})
    plan = saved(plan_of(*orders(*range(1_100)), Mail("x")), path)
    with pytest.raises(UnhandledIntentError, match="Mail"):
        boundary.apply(plan)
    assert not handled
    assert boundary.apply(plan, kinds=[Notify]).counts == {"delivered": 1_100}


# -- whether it still fits ------------------------------------------------------------------------


def test_an_expired_plan_is_refused(boundary: Boundary, handled: list[Any], path: Path) -> None:
    plan = saved(plan_of(Notify(1), expires=timedelta(hours=-1)), path)
    with pytest.raises(PlanExpiredError):
        boundary.apply(plan)
    assert not handled
    assert not (plan.journal or path).exists()
    assert str(boundary.apply(plan, expired=True)) == "1 delivered"


def test_a_plan_that_expires_later_is_not(boundary: Boundary, path: Path) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=1)
    assert boundary.apply(saved(plan_of(Notify(1), expires=moment), path)).ok


def test_a_file_that_was_replaced_is_refused(
    boundary: Boundary, handled: list[Any], path: Path
) -> None:
    """It is another plan than the one that was looked at."""
    plan = saved(plan_of(Notify(1)), path)
    plan_of(Notify(2)).save(path)
    with pytest.raises(PlanFormatError, match="replaced"):
        boundary.apply(plan)
    path.write_bytes(b"")
    with pytest.raises(PlanFormatError):
        boundary.apply(plan)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        boundary.apply(plan)
    assert not handled


def test_a_kind_that_is_gone_is_refused(path: Path, handled: list[Any]) -> None:
    """Before anything runs, though it stands last, and even if it was not chosen."""
    plan_of(*orders(1, 2), Mail("x")).save(path)
    plan = Plan.load(path, wire=Wire([Notify]))
    boundary = Boundary({Notify: handled.append})
    choices: list[Any] = [{}, {"kinds": [Notify]}]
    for choice in choices:
        with pytest.raises(PlanMismatchError, match=r"plans\.mail"):
            boundary.apply(plan, **choice)
    assert not handled


@intent(kind="plans.grown", version=2)
class Grown:
    order_id: int
    urgent: bool


def older(path: Path, kind: str) -> None:
    """A plan as an older release wrote it."""

    @intent(kind=kind)
    class Old:
        number: int

    with Boundary({Old: print}).scope(policy=airlock.Hold()) as effects:
        effects.emit_all([Old(1), Old(2)])
    effects.plan(wire=Wire([Old])).save(path)


def test_an_old_plan_is_applied_with_an_upcaster(path: Path, handled: list[Any]) -> None:
    older(path, "plans.young")
    wire = Wire([Grown])
    boundary = Boundary({Grown: handled.append})
    with pytest.raises(PlanMismatchError, match=r"plans\.young"):
        boundary.apply(Plan.load(path, wire=wire))

    @wire.upcaster("plans.grown", 1)
    def grow(data: dict[str, Any]) -> dict[str, Any]:
        return {"order_id": data["number"], "urgent": False}

    wire.rename("plans.young", forwards_to="plans.grown")
    plan = Plan.load(path, wire=wire)
    assert plan.counts == {"plans.young": 2}
    assert boundary.apply(plan, kinds=[Grown], indices=[0]).remaining == 1
    assert boundary.apply(plan, kinds=["plans.grown"]).remaining == 0
    assert handled == [Grown(1, False), Grown(2, False)]


def test_an_upcaster_that_fails_is_a_mismatch(path: Path) -> None:
    older(path, "plans.younger")
    wire = Wire([Grown])
    wire.rename("plans.younger", forwards_to="plans.grown")

    @wire.upcaster("plans.grown", 1)
    def grow(data: dict[str, Any]) -> dict[str, Any]:
        return {"order_id": data["gone"]}

    with pytest.raises((PlanMismatchError, WireError)):
        Boundary({Grown: print}).apply(Plan.load(path, wire=wire))


# -- where it is applied --------------------------------------------------------------------------


def test_in_a_policy(boundary: Boundary) -> None:
    plan = plan_of(Notify(1))

    def policy(view: airlock.View) -> list[airlock.Verdict]:
        boundary.apply(plan)
        return [airlock.ALLOW] * len(view)

    with pytest.raises(EmittedInPolicyError), boundary.scope(policy=policy) as effects:
        effects.emit(Mail("x"))


def test_in_a_handler(handled: list[Any]) -> None:
    """It is done there and then; what it leads to is not the handler's."""
    plan = plan_of(Notify(1), Placed(2))
    inner = Boundary(
        {Notify: handled.append, Placed: lambda _: airlock.emit(Mail("x")), Mail: handled.append}
    )
    outer = Boundary({Index: lambda _: inner.apply(plan)})
    with outer.scope() as effects:
        effects.emit(Index(1))
    assert handled == [Notify(1), Mail("x")]
    assert effects.report.delivered == [Index(1)]


def test_in_a_handler_of_its_own(boundary: Boundary) -> None:
    """The same plan again is refused, for it is at work."""
    plan = plan_of(Notify(1))
    nested = Boundary({Notify: lambda _: nested.apply(plan)})
    with pytest.raises(ApplyError, match="is being applied"):
        nested.apply(plan)


def test_in_an_open_scope(boundary: Boundary, handled: list[Any]) -> None:
    """It is no part of that: it happens now, and what it leads to is not in the scope."""
    plan = plan_of(Notify(1))
    with boundary.scope() as effects:
        effects.emit(Mail("x"))
        boundary.apply(plan)
        assert handled == [Notify(1)]
        assert effects == [Mail("x")]


def test_progress(path: Path) -> None:
    told: list[tuple[int, int]] = []
    boundary = Boundary({**EVERYTHING, Placed: lambda _: airlock.emit(Mail("x"))})
    plan = saved(plan_of(Notify(1), Placed(1), Notify(2)), path)
    boundary.apply(plan, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 4), (3, 4), (4, 4)]


def test_progress_counts_what_was_done_before(boundary: Boundary, path: Path) -> None:
    told: list[tuple[int, int]] = []
    plan = saved(plan_of(*orders(1, 2, 3)), path)
    boundary.apply(plan, indices=[0])
    boundary.apply(plan, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]


@pytest.mark.parametrize("progress", [5, "bar", object()])
def test_progress_is_a_function(progress: Any, boundary: Boundary, handled: list[Any]) -> None:
    with pytest.raises(DeclarationError, match="progress="):
        boundary.apply(plan_of(Notify(1)), progress=progress)
    assert not handled


def test_a_bar(boundary: Boundary, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, and nothing if none is asked for."""
    plan = saved(plan_of(*orders(1, 2, 3)), path)
    boundary.apply(plan, indices=[0], progress=False)
    assert capsys.readouterr() == ("", "")
    boundary.apply(plan, indices=[1])
    assert capsys.readouterr() == ("", "")
    boundary.apply(plan, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
