"""The laws of policies and the contract of handlers: what keeps them passes, what breaks one is shown."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import attrs
import hypothesis
import pytest
from dependency_injector import containers, providers
from hypothesis import strategies as st

import airlock
from airlock import (
    ALLOW,
    DROP,
    HOLD,
    MERGED,
    Allow,
    Boundary,
    Dedupe,
    Dispatcher,
    Drop,
    Expands,
    Handles,
    HandlesBatch,
    Hold,
    Limit,
    OncePerChain,
    Policy,
    PolicyLike,
    Refuse,
    Report,
    RetryPolicy,
    Route,
    Verdict,
    View,
    each,
    field,
    intent,
)
from airlock.effects import registry
from airlock.errors import DeclarationError, RefusedError
from airlock.testing.contracts import handler_contract
from airlock.testing.laws import policy_laws
from airlock.testing.strategies import intents

quickly = hypothesis.settings(max_examples=15, deadline=None, database=None, derandomize=True)
closely = hypothesis.settings(quickly, max_examples=200)
"""Finds the smallest example."""
widely = hypothesis.settings(closely, phases=[hypothesis.Phase.generate])
"""Stops at any example."""


@intent
class Notify:
    order_id: int = 0


@intent
class Urgent(Notify):
    note: str = ""


@intent
class Charge:
    card: str = field(sensitive=True)
    amount: int = 0


VALUES = intents(Notify, order_id=st.integers(0, 3)) | intents(Urgent, Charge)


def few(value: Any) -> bool:
    return bool(getattr(value, "order_id", 0) < 2)


def larger(one: Any, other: Any) -> Any:
    return max(one, other, key=repr)


# -- policies that keep the laws ------------------------------------------------------------------


def blocks_only(view: View) -> Sequence[Verdict]:
    """A plain function."""
    return [DROP if view.wave else ALLOW] * len(view)


class Held:
    """An object that only has ``decide``."""

    def decide(self, view: View) -> Sequence[Verdict]:
        return tuple(HOLD if view.held(i) else ALLOW for i in range(len(view)))


@attrs.frozen
class NoCards(Policy):
    """Speaks at the emit site."""

    def refuse(self, intent: Any, /) -> None:
        if isinstance(intent, Charge):
            raise RefusedError(repr(intent), "NoCards")


GOOD: list[PolicyLike] = [
    Allow(), Allow(Notify), Drop(), Drop(Urgent), Hold(), Hold(Charge), Refuse(Charge), Refuse(),
    Dedupe(), Dedupe(Notify, key=lambda i: i.order_id, keep="last"), Dedupe(key=type, keep=larger),
    Limit(0), Limit(2), Limit(1, per=type), OncePerChain(), OncePerChain(Notify, key=type),
    each(lambda value: HOLD if few(value) else ALLOW), Drop().where(few), Dedupe().where(few),
    Refuse(Charge).where(few), Limit(2) & Dedupe(), Hold(Notify) & Refuse(Charge) & OncePerChain(),
    (Limit(2) & Dedupe(key=type)).where(few), blocks_only, Held(), NoCards(),
    blocks_only & Limit(1), NoCards() & Drop(Notify),
]  # fmt: skip


@pytest.mark.parametrize("policy", GOOD, ids=lambda policy: repr(policy).partition(" at 0x")[0])
def test_these_policies_keep_the_laws(policy: PolicyLike) -> None:
    policy_laws(policy, VALUES, settings=quickly)


# -- policies that break one ----------------------------------------------------------------------

ANSWERS = "answers one verdict for each intent"
SILENT = "neither emits nor opens a scope"
SAME = "gives the same answer to the same view"
LEAVES = "leaves the view and the intents as they are"
VALUE = "judges values"
MERGES = "never merges intents that were emitted with different options"
BESIDE = r"decides as ever beside Allow\(\)"
REFUSES = "refuses with RefusedError and nothing else, equal intents alike"

calls = itertools.count()


def too_few(view: View) -> Sequence[Verdict]:
    return [ALLOW] * max(len(view) - 1, 0)


def too_many(view: View) -> Sequence[Verdict]:
    return [ALLOW] * max(len(view), 1)


def words(view: View) -> Any:
    return ["drop"] * len(view)


def nothing(_: View) -> Any:
    return None


def astray(view: View) -> Sequence[Verdict]:
    return [MERGED(into=len(view))] * len(view)


def fragile(view: View) -> Sequence[Verdict]:
    return [ALLOW if value.order_id >= 0 else DROP for value in view.intents]


def counting(view: View) -> Sequence[Verdict]:
    return [DROP if next(calls) % 3 else ALLOW for _ in range(len(view))]


def now_and_then(view: View) -> Sequence[Verdict]:
    return [DROP if next(calls) % 50 == 0 else ALLOW] * len(view)


def moody(view: View) -> Sequence[Verdict]:
    return [random.choice((ALLOW, DROP)) for _ in view.intents]


def remembering() -> PolicyLike:
    """Drops what it has ever been shown before."""
    before: set[Any] = set()

    def decide(view: View) -> Sequence[Verdict]:
        fresh = [value not in before for value in view.intents]
        before.update(view.intents)
        return [ALLOW if new else DROP for new in fresh]

    return decide


def sorting(view: View) -> Sequence[Verdict]:
    view.intents.sort(key=repr)  # type: ignore[attr-defined]
    return [ALLOW] * len(view)


def redacting(view: View) -> Sequence[Verdict]:
    for value in view.intents:
        if isinstance(value, Charge):
            object.__setattr__(value, "amount", 0)
    return [ALLOW] * len(view)


def by_address(view: View) -> Sequence[Verdict]:
    return [ALLOW if id(value) >> 4 & 1 else DROP for value in view.intents]


def merging(view: View, same: Callable[[int, int], bool]) -> Sequence[Verdict]:
    """Merges each into the first that is the same."""
    firsts = [next(i for i in range(n + 1) if i == n or same(i, n)) for n in range(len(view))]
    return [ALLOW if first == n else MERGED(into=first) for n, first in enumerate(firsts)]


def by_identity(view: View) -> Sequence[Verdict]:
    def same(i: int, n: int) -> bool:
        return view.intents[i] is view.intents[n] and view.merge_key(i) == view.merge_key(n)

    return merging(view, same)


def merging_all(view: View) -> Sequence[Verdict]:
    return merging(view, lambda i, n: view.intents[i] == view.intents[n])


def emitting(view: View) -> Sequence[Verdict]:
    if len(view):
        airlock.emit(Notify(1))
    return [ALLOW] * len(view)


def opening(view: View) -> Sequence[Verdict]:
    with Boundary({Notify: print}).scope():
        return [ALLOW] * len(view)


def plain_only(view: View) -> Sequence[Verdict]:
    """Wrong where nothing has options."""
    return [ALLOW] * (len(view) + (view.apartness is None))


def afraid_of_held(view: View) -> Sequence[Verdict]:
    """Wrong where a policy inside it holds something."""
    return [ALLOW] * (len(view) + any(map(view.held, range(len(view)))))


class Jealous(Policy):
    """Keeps no other policy but Allow() beside it."""

    def __and__(self, other: PolicyLike) -> Any:
        return Policy.__and__(self, other) if isinstance(other, Allow) else self


class Aloof(Policy):
    """Judges otherwise when it is not alone."""

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return [HOLD] * len(view)

    def __and__(self, other: PolicyLike) -> Any:
        return Drop()


class Shouting(Policy):
    def refuse(self, intent: Any, /) -> None:
        if isinstance(intent, Charge):
            raise PermissionError("no cards")


class Wavering(Policy):
    def refuse(self, intent: Any, /) -> None:
        if next(calls) % 2:
            raise RefusedError(repr(intent), "Wavering()")


class Knowing(Policy):
    """Refuses copies."""

    def __init__(self) -> None:
        self._known: list[Any] = []

    def refuse(self, intent: Any, /) -> None:
        if any(intent == known and intent is not known for known in self._known):
            raise RefusedError(repr(intent), "Knowing()")
        self._known.append(intent)


class Chatty(Policy):
    def refuse(self, intent: Any, /) -> None:
        airlock.emit(intent)


BAD: list[tuple[PolicyLike, str, str]] = [
    (too_few, ANSWERS, r"It answered \d verdicts for \d intents\."),
    (too_many, ANSWERS, r"Shown in wave \d:\n  nothing\nIt answered 1 verdicts for 0 intents\."),
    (words, ANSWERS, r"It answered 'drop' for intent 0 instead of a verdict\."),
    (nothing, ANSWERS, r"It answered NoneType instead of a sequence of verdicts\."),
    (astray, ANSWERS, r"It merged intent 0 into \d, which is not another intent it was shown\."),
    (fragile, ANSWERS, r"It raised AttributeError\("),
    (counting, SAME, r"It answered \["),
    (now_and_then, SAME, "It answered"),
    (moody, SAME, "It answered"),
    (remembering(), SAME, "It answered"),
    (sorting, LEAVES, r"Afterwards the view holds \["),
    (redacting, LEAVES, r"Afterwards the view holds .*Charge\(card=<hidden>, amount=0\)"),
    (by_address, f"({VALUE}|{SAME})", "It answered"),
    (by_identity, VALUE, r"It answered \[.*\], and \[.*\] for copies of the same values\."),
    (merging_all, MERGES, r"It merged intent \d into \d, which was emitted with other options"),
    (emitting, SILENT, r"cannot emit Notify\(order_id=1\) from inside a policy"),
    (opening, SILENT, "cannot open a scope from inside a policy"),
    (Aloof(), BESIDE, r"It answered \[.*HOLD.*\], and \[.*DROP.*\] as Drop\(\)\."),
    (plain_only, ANSWERS, r"It answered \d verdicts for \d intents\."),
    (afraid_of_held, ANSWERS, r"(?s), held.*It answered \d verdicts for \d intents\."),
    (Jealous(), "lets nothing escape a Drop\\(\\) around it", r"This came of it:\noutcome"),
    (Shouting(), REFUSES, r"Asked to refuse Charge\(card=<hidden>.*\), it raised PermissionError"),
    (Wavering(), REFUSES, r"Of .*\) it returned both yes and no\."),
    (Knowing(), f"({REFUSES}|{SAME})", r"Of .*\) it returned both yes and no\."),
    (Chatty(), SILENT, r"Asked to refuse .*: cannot emit .* from inside a policy"),
    (Allow() & too_few, ANSWERS, r"It raised ValueError\("),
    (Drop(Urgent) & emitting, SILENT, "from inside a policy"),
]


@pytest.mark.parametrize(
    ("policy", "law", "fact"), BAD, ids=[getattr(p, "__name__", type(p).__name__) for p, *_ in BAD]
)
def test_a_policy_that_breaks_a_law_is_shown_with_it(
    policy: PolicyLike, law: str, fact: str
) -> None:
    with pytest.raises(AssertionError) as broken:
        policy_laws(policy, VALUES, settings=widely)
    first, _, rest = str(broken.value).partition("\n")
    assert re.fullmatch(rf".* breaks a law\. A policy {law}.*", first)
    assert re.search(fact, rest)


def test_the_example_is_the_smallest_and_says_what_the_policy_was_shown() -> None:
    with pytest.raises(AssertionError) as broken:
        policy_laws(merging_all, intents(Notify), settings=closely)
    assert str(broken.value) == (
        "merging_all breaks a law. A policy never merges intents that were emitted with different "
        "options.\n"
        "Shown in wave 0:\n"
        "  0: Notify(order_id=0)\n"
        "  1: Notify(order_id=0), with options 'a'\n"
        "It merged intent 1 into 0, which was emitted with other options, headers or overrides, or "
        "is held where this one is not (see View.merge_key)."
    )


@pytest.mark.parametrize(
    ("outcome", "law"),
    [
        ("delivered", "lets through what was emitted, in order, and nothing else"),
        ("dropped", "has nothing to decide where a Drop() inside it leaves nothing"),
    ],
)
def test_what_comes_of_it_is_looked_at_in_a_real_flush(
    outcome: str, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a fault of airlock could break these, so one is made."""
    honest: Any = getattr(Report, outcome)
    monkeypatch.setattr(Report, outcome, property(lambda report: honest.fget(report)[:0:-1]))
    with pytest.raises(AssertionError, match=re.escape(law)):
        policy_laws(Allow(), VALUES, settings=widely)


def late(view: View) -> Sequence[Verdict]:
    """Wrong in follow-ups of follow-ups only."""
    return [ALLOW] * (len(view) + (view.wave == 2 and len(view.earlier) > 0))


def suspicious(view: View) -> Sequence[Verdict]:
    """Wrong where an Urgent caused something."""
    caused = [any(type(c) is Urgent for c in view.ancestors(i)) for i in range(len(view))]
    return [ALLOW] * (len(view) + any(caused))


@pytest.mark.parametrize("policy", [late, suspicious])
def test_waves_ancestors_and_earlier_intents_are_tried_too(policy: PolicyLike) -> None:
    with pytest.raises(AssertionError, match=ANSWERS) as broken:
        policy_laws(policy, VALUES, settings=widely)
    assert "Shown in wave" in str(broken.value)
    assert re.search(r"caused by Urgent|earlier: ", str(broken.value))


def test_the_error_of_a_policy_is_the_cause() -> None:
    with pytest.raises(AssertionError) as broken:
        policy_laws(fragile, VALUES, settings=widely)
    assert isinstance(broken.value.__cause__, AttributeError)


def test_every_declared_intent_is_tried_if_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KINDS", {("a", 1): Notify, ("b", 1): Charge})
    seen: set[type[Any]] = set()

    def watching(view: View) -> Sequence[Verdict]:
        seen.update(map(type, view.intents))
        return [ALLOW] * len(view)

    policy_laws(watching, settings=quickly)
    assert seen == {Notify, Charge}


def test_settings_say_how_long_to_look() -> None:
    shown = itertools.count()

    def watching(view: View) -> Sequence[Verdict]:
        next(shown)
        return [ALLOW] * len(view)

    policy_laws(watching, VALUES, settings=hypothesis.settings(quickly, max_examples=1))
    few_calls = next(shown)
    policy_laws(watching, VALUES, settings=quickly)
    assert next(shown) > few_calls * 10


@pytest.mark.parametrize("wrong", [Drop, NoCards, "Drop", None])
def test_what_is_no_policy_is_refused(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="policy"):
        policy_laws(wrong, VALUES)


@pytest.mark.parametrize("wrong", [Notify, [Notify(1)]])
def test_values_are_a_strategy(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="takes a strategy of intents"):
        policy_laws(Drop(), wrong)


def test_a_scope_around_the_test_hears_nothing_of_it() -> None:
    boundary = Boundary({Notify: ignore})
    with boundary.scope() as effects, airlock.region(Drop()):
        policy_laws(Limit(1), VALUES, settings=quickly)
        handler_contract(boundary, only=[Notify], run=True, settings=quickly)
        assert effects == []


# -- handlers that keep the contract --------------------------------------------------------------


def ignore(_: object) -> None:
    """A handler."""


async def aignore(_: object) -> None:
    await asyncio.sleep(0)


@airlock.effect
def ship(order_id: int, note: str = "", *, client: object = airlock.needs()) -> None:
    assert client == "a client"


@airlock.effect
async def aship(order_id: int) -> None:
    await asyncio.sleep(0)


@intent
class Placed:
    order_id: int


class Sender:
    def __init__(self, client: str) -> None:
        self._client = client

    def __call__(self, intent: Charge) -> None:
        assert self._client == "a client"


async def aclient() -> AsyncIterator[str]:
    yield "a client"


class Effects(containers.DeclarativeContainer):
    client = providers.Object("a client")
    charge = Handles(Charge, Sender, client=client)
    notify = HandlesBatch(Notify, lambda batch: None, size=2)
    placed = Expands(Placed, lambda event: (Notify(event.order_id), Charge("no handler runs")))
    ship = Handles(ship, client=client)
    aship = Handles(aship)


class AsyncEffects(containers.DeclarativeContainer):
    client = providers.Resource(aclient)
    ship = Handles(ship, client=client)


class Queue(Dispatcher):
    def dispatch(self, delivery: Any, /) -> None: ...


class AsyncQueue(Dispatcher):
    async def dispatch(self, delivery: Any, /) -> None:
        await asyncio.sleep(0)


BOUNDARIES: dict[str, Callable[[], Boundary]] = {
    "a mapping": lambda: Boundary({Notify: ignore, Charge: ignore}),
    "async handlers": lambda: Boundary({Notify: aignore, Charge: ignore}),
    "a container": lambda: Boundary(Effects()),
    "async resources": lambda: Boundary(AsyncEffects()),
    "a queue": lambda: Boundary({Notify: ignore}, dispatch=Route({Charge: Queue()})),
    "an async queue": lambda: Boundary({}, dispatch=Route({Charge: AsyncQueue()})),
    "policies that let it through": lambda: Boundary({Notify: ignore}, policy=Dedupe() & Limit(5)),
}


@pytest.mark.parametrize("run", [False, True], ids=["looking", "running"])
@pytest.mark.parametrize("make", BOUNDARIES.values(), ids=list(BOUNDARIES))
def test_these_boundaries_keep_the_contract(make: Callable[[], Boundary], run: bool) -> None:
    handler_contract(make(), run=run, settings=quickly)


def test_handlers_are_called_only_if_that_is_asked_for() -> None:
    handled: list[Any] = []
    boundary = Boundary({Notify: handled.append})
    handler_contract(boundary, only=[Notify], settings=quickly)
    assert handled == []
    handler_contract(boundary, only=[Notify], run=True, settings=quickly)
    assert len(handled) > 10
    assert {type(value) for value in handled} == {Notify}


def test_a_handler_of_a_base_class_is_tried_with_every_class_it_handles() -> None:
    handled: list[Any] = []
    handler_contract(Boundary({Notify: handled.append}), run=True, settings=quickly)
    assert {type(value) for value in handled} == {Notify, Urgent}


def test_follow_ups_are_dropped_so_that_one_handler_is_tried_at_a_time() -> None:
    charged: list[Any] = []

    def follow(_: object) -> None:
        airlock.emit(Charge("of a follow-up"))

    boundary = Boundary({Notify: follow, Charge: charged.append})
    handler_contract(boundary, only=[Notify], run=True, settings=quickly)
    assert charged == []


def test_async_handlers_share_one_event_loop() -> None:
    loops: set[int] = set()

    async def note(_: object) -> None:
        loops.add(id(asyncio.get_running_loop()))

    boundary = Boundary({Notify: note, Charge: note})
    handler_contract(boundary, run=True, settings=quickly)
    assert len(loops) == 1


def test_effect_functions_are_named_by_themselves() -> None:
    handler_contract(Boundary(Effects()), only=[ship, aship], run=True, settings=quickly)


def test_local_classes_are_made_too() -> None:
    @attrs.frozen
    class Line:
        amount: int

    @intent
    class Order:
        lines: tuple[Line, ...]

    handled: list[Any] = []
    handler_contract(Boundary({Order: handled.append}), only=[Order], run=True, settings=quickly)
    assert any(order.lines for order in handled)


# -- handlers that break it -----------------------------------------------------------------------


def fails(value: Notify) -> None:
    if value.order_id > 5:
        raise ConnectionError(f"cannot send {value.order_id}")


async def afails(value: Notify) -> None:
    await asyncio.sleep(0)
    fails(value)


def lazy(value: Notify) -> Any:
    """Async, though nothing tells so."""
    return afails(value)


class Down(Dispatcher):
    def dispatch(self, delivery: Any, /) -> None:
        raise OSError("down")

    def __repr__(self) -> str:
        return "Down()"


def interceptor(_: Any, __: Any) -> None:
    raise PermissionError("not today")


FAILING: list[tuple[Callable[[], Boundary], str, str]] = [
    (
        lambda: Boundary({Notify: fails}),
        r"fails, the handler of Notify \(.*\), raised ConnectionError\('cannot send 6'\) for",
        "Notify(order_id=6)",
    ),
    (
        lambda: Boundary({Notify: afails}),
        r"afails, .* raised ConnectionError",
        "Notify(order_id=6)",
    ),
    (lambda: Boundary({Notify: lazy}), r"lazy, .* raised AsyncHandlerError", "Notify(order_id=0)"),
    (
        lambda: Boundary({Notify: ignore}, policy=Drop(Notify)),
        r"was not called: the outcome is dropped, by Drop\(Notify\), for",
        "Notify(order_id=0)",
    ),
    (lambda: Boundary({Notify: ignore}, policy=Hold()), "the outcome is held", "Notify("),
    (lambda: Boundary({Notify: ignore}, policy=Refuse(Notify)), "raised RefusedError", "Notify("),
    (lambda: Boundary({Notify: ignore}, policy=too_few), "raised PolicyError", "Notify("),
    (
        lambda: Boundary({}, dispatch=Route({Notify: Down()})),
        r"Down\(\), the handler of Notify \(.*\), raised OSError\('down'\) for",
        "Notify(order_id=0)",
    ),
    (
        lambda: Boundary({Notify: ignore}, interceptors=[interceptor]),
        r"ignore, .* raised PermissionError\('not today'\) for",
        "Notify(order_id=0)",
    ),
]


@pytest.mark.parametrize(("make", "said", "value"), FAILING)
def test_a_handler_that_fails_is_shown_with_the_smallest_value(
    make: Callable[[], Boundary], said: str, value: str
) -> None:
    with pytest.raises(AssertionError, match=said) as broken:
        handler_contract(make(), only=[Notify], run=True, settings=closely)
    assert value in str(broken.value).splitlines()[1]
    assert broken.value.__cause__ is not None or "outcome" in said


def test_what_fails_without_being_called_is_found_without_calling() -> None:
    class Broken(containers.DeclarativeContainer):
        client = providers.Callable(lambda: dict[str, str]()["no client"])
        ship = Handles(ship, client=client)

    said = (
        r"ship \(ship, \S*test_laws.py:\d+\), the handler of ship \(.*\), cannot be resolved: KeyE"
    )
    with pytest.raises(AssertionError, match=said) as broken:
        handler_contract(Boundary(Broken()), only=[ship], settings=quickly)
    assert isinstance(broken.value.__cause__, KeyError)


def test_what_is_provided_must_be_callable() -> None:
    container = Effects()
    container.charge.override(providers.Object("a fake"))
    with pytest.raises(AssertionError, match=r"charge .* is 'a fake', which cannot be called"):
        handler_contract(Boundary(container), only=[Charge], settings=quickly)


def test_retries_are_part_of_the_handler() -> None:
    tries = itertools.count(1)

    def second_time_lucky(_: object) -> None:
        if next(tries) % 2:
            raise ConnectionError

    class Patient(containers.DeclarativeContainer):
        notify = Handles(Notify, second_time_lucky, retry=RetryPolicy(on=ConnectionError))

    once = hypothesis.settings(quickly, max_examples=1)
    handler_contract(Boundary(Patient()), only=[Notify], run=True, settings=once)
    assert next(tries) > 2


# -- intents that are no values -------------------------------------------------------------------


LOCK = threading.Lock()


@intent
class Leaky:
    """Shows what it should hide."""

    secret: str = field(sensitive=True)

    def __str__(self) -> str:
        return f"Leaky with {self.secret}"


@intent
class Growing:
    """No copy of it is equal."""

    text: str = field(converter=lambda text: text + "!")


@intent
class Unpicklable:
    """Holds what cannot leave the process."""

    lock: Any = field(hash=False, converter=lambda _: LOCK)


@intent
class Unhashable:
    """What it holds is mutable after all."""

    items: tuple[Any, ...] = field(converter=lambda _: ([],))


class Mute:
    def __init__(self, secret) -> None:  # type: ignore[no-untyped-def]
        self.secret = secret


@intent
class Speechless:
    mute: Mute = field(hash=False)


@intent
class Never:
    number: int

    def __attrs_post_init__(self) -> None:
        raise ValueError("not this one either")


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Leaky, r"Leaky \(.*\) shows its sensitive field secret"),
        (Growing, r"Growing \(.*\) is not a value: it does not equal its copy, as here\n  Growing"),
        (
            Unpicklable,
            r"Unpicklable \(.*\) is not a value: it does not survive pickle: .*'_thread.lock'",
        ),
        (Unhashable, r"Unhashable \(.*\) is not a value: .*unhashable type: 'list'"),
        (Speechless, r"no values of Speechless \(.*\) can be made: .* Speechless.mute"),
        (Never, r"no values of Never \(.*\) can be made: "),
    ],
)
def test_an_intent_that_is_no_value_is_found(cls: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said) as broken:
        handler_contract(Boundary({cls: ignore}), only=[cls], settings=quickly)
    assert "secret=" not in str(broken.value)


# -- what cannot be tried -------------------------------------------------------------------------


def test_a_boundary_that_handles_nothing_is_refused() -> None:
    with pytest.raises(DeclarationError, match="does not handle any declared intent"):
        handler_contract(Boundary({}))


def test_what_is_asked_for_must_be_handled() -> None:
    with pytest.raises(
        DeclarationError, match=r"does not handle Charge \(declared at \S*test_laws"
    ):
        handler_contract(Boundary({Notify: ignore}), only=[Notify, Charge])


@pytest.mark.parametrize("wrong", [int, Notify(1)])
def test_only_intents_can_be_asked_for(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="intent"):
        handler_contract(Boundary({Notify: ignore}), only=[wrong])


@pytest.mark.parametrize("wrong", [Boundary, {Notify: ignore}])
def test_only_a_boundary_has_a_contract(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="takes a Boundary"):
        handler_contract(wrong)


def test_inside_an_event_loop_it_is_refused() -> None:
    async def main() -> None:
        handler_contract(Boundary({Notify: aignore}), run=True)

    with pytest.raises(DeclarationError, match="call it from a sync test"):
        asyncio.run(main())


def test_policies_at_one_place_keep_the_laws_together() -> None:
    """What stands for merged ones may be dropped by the next."""
    policy_laws(Dedupe() & Limit(2), intents(Notify))
    policy_laws(Dedupe(keep="last") & Drop(), intents(Notify))
