"""Which region is current: the only context variable, and the ambient functions that read it.

The current region belongs to a thread, an asyncio task, a greenlet. Child tasks inherit it; plain
threads and greenlets do not. It is kept without context-variable tokens: leaving a region requires
that it is the current one, in whichever context that happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol

from airlock.effects.function import EffectFunction, intent_of
from airlock.effects.intent import Intent
from airlock.effects.options import Options
from airlock.effects.place import Place, opened
from airlock.emissions.buffer import extend, put
from airlock.emissions.delivery import Delivery
from airlock.emissions.region import Guard, Region
from airlock.emissions.wave import chain
from airlock.errors import (
    AirlockError,
    DeliveryError,
    EmittedInPolicyError,
    NoScopeError,
    PolicyError,
    RefusedError,
    ScopeOrderError,
)
from airlock.policies.judge import BadVerdictsError, ask
from airlock.policies.policy import PolicyLike, View, guard_of, shown_policy
from airlock.policies.recorder import Recorder
from airlock.policies.verdict import ALLOW, DROP, HOLD, Verdict
from airlock.scopes.tasks import at_work, running_task, task_name

__all__ = ["deliveries", "delivery", "emit", "emit_all", "enqueue"]

P = ParamSpec("P")


class ScopelessRegion(Region):
    """The region that is current where no scope is open. An ``enclose`` outside of scopes is one too.

    What enclosures drop is dropped; anything else is refused, for it has no scope.
    """

    __slots__ = ()

    def append(self, intent: Any, /) -> None:
        self._take(intent, None)

    def put(self, intent: Any, options: Options) -> None:
        self._take(intent, options)

    def _take(self, intent: Any, options: Options | None) -> None:
        for region in outwards(self):
            if region.is_closed and not region.encloses:  # of a scope that is over
                region.append(intent)
        if fallbacks:
            fallbacks[-1](intent, options)
        else:
            judge(lambda: drop_or_refuse(intent, in_force(self)))

    def extend(self, intents: Any, /) -> None:
        for intent in intents:
            self.append(intent)

    def as_parent(self) -> Region:
        raise NoScopeError("cannot open a region")

    def described(self) -> str:
        return "no scope" if self.place is None else super().described()


class JudgingRegion(ScopelessRegion):
    """The region that is current while a policy judges: policies do not emit."""

    __slots__ = ()

    def append(self, intent: Any, /) -> None:
        raise EmittedInPolicyError(f"emit {intent!r}")

    def put(self, intent: Any, options: Options) -> None:  # noqa: ARG002 - as the base
        self.append(intent)

    def as_parent(self) -> Region:
        raise EmittedInPolicyError("open a region or scope")


shared: list[Region] = []
"""The enclosures of the whole process that are in force, the outermost first."""

fallbacks: list[Callable[[Any, Options | None], None]] = []
"""What takes intents where no scope is open, in the whole process; the last one does."""

NOWHERE = ScopelessRegion("outside of any scope")
JUDGING = JudgingRegion("policy")

here: ContextVar[Region] = ContextVar("airlock_region", default=NOWHERE)
"""The current region."""
region_here = here.get


def emit(intent: Intent, /, options: Options | None = None) -> None:
    """Emit into the innermost current region: for code where nothing can be injected.

    Args:
        intent: a value of an ``@intent`` class.
        options: id, delay, keys and headers of this emission.

    Raises:
        NoScopeError: no scope is open in this thread or task, and no enclosure drops the intent.
        NotAnIntentError: it is a class, a callable, or another value.
        ClosedRegionError: the scope is over, or the handler that started this work has ended.
        EmittedInPolicyError: called from a policy.
        RefusedError: a ``Refuse`` policy around the call forbids it.
        OptionError: ``options`` is not an ``Options``.

    Example:
        >>> with boundary.scope() as effects:
        ...     emit(NotifyWarehouse(42))
        ...     assert effects == [NotifyWarehouse(42)]
    """
    region = region_here()
    if options is not None or type(intent) not in region.seen:
        put(region, intent, options)
    else:
        region.append(intent)


def emit_all(intents: Iterable[Intent], /) -> None:
    """Emit several into the innermost current region, after checking all of them.

    Raises:
        Exception: as ``emit`` does.
    """
    extend(here.get(), intents)


def enqueue(effect: EffectFunction[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Emit the intent to call an ``@effect`` function.

    Args:
        effect: a function decorated with ``@airlock.effect``.
        *args: its arguments, bound here, and checked by the type checker.
        **kwargs: its keyword arguments.

    Raises:
        NotAnIntentError: ``effect`` is a raw callable.
        TypeError: the arguments do not fit.
        EmissionError: as ``emit`` does.

    Example:
        >>> @effect
        ... def restock(product_id: int) -> None: ...
        >>> with Boundary({restock: restock}).scope() as effects:
        ...     enqueue(restock, 7)
        ...     assert effects == [restock.intent(7)]
    """
    emit(intent_of(effect, args, kwargs))


def outwards(region: Region) -> Iterator[Region]:
    """Yield a region and those that were current around it, innermost first."""
    at: Region | None = region
    while at is not None:
        yield at
        at = at.outer


def outside(region: Region) -> Region:
    """Return the region that was current when a region opened."""
    return NOWHERE if region.outer is None else region.outer


def guards_of(policies: Sequence[PolicyLike], region: str, place: Place | str) -> tuple[Guard, ...]:
    """Return what policies do at the emit site, kept from emitting themselves."""
    if not policies:
        return ()
    guards = (guard for guard in map(guard_of, policies) if guard is not None)
    return tuple(_judging(guard, region, place) for guard in guards)


def _judging(guard: Guard, region: str, place: Place | str) -> Guard:
    def judged(intent: Any) -> None:
        try:
            judge(lambda: guard(intent))
        except RefusedError as error:
            told = opened(region, place) if error.region == RefusedError.region else error.region
            raise RefusedError(error.what, error.policy, told, error.hint) from None

    return judged


def judge(ask: Callable[[], None]) -> None:
    """Call into policies; what they emit is refused."""
    region = here.get()
    here.set(JUDGING)
    try:
        ask()
    finally:
        here.set(region)


def leave(region: Region, *, owner: Any = None) -> None:
    """Make the region around ``region`` current again.

    Args:
        region: the current one.
        owner: the asyncio task that entered it.

    Raises:
        ScopeOrderError: it is not current here, or its task is still at work. Nothing has changed.
    """
    current = here.get()
    now = own(current)
    task = running_task()
    if owner is not None and task is not None and owner is not task and at_work(owner):
        raise ScopeOrderError(
            region.described(),
            f"{now.described()}, in task {task_name(task)}",
            f"It was entered in task {task_name(owner)}, which is still running: leave it there.",
        )
    if now is not region:
        inside = region in outwards(now)
        hint = (
            "Leave the inner one first. A plain generator that holds a scope over a yield leaks it "
            "into its caller: decorate it with @boundary.scoped()."
            if inside
            else "It was entered in another thread, task or context: leave it there. (A generator "
            "abandoned inside a scope is finished by the garbage collector, anywhere: close it. A "
            "generator that is a dependency of FastAPI has one context only if it is `async def`.)"
        )
        raise ScopeOrderError(region.described(), now.described(), hint)
    here.set(outside(region))
    if current is not now:  # the step goes on, in what is around the region
        here.set(again(current, outside(region)))
        end_step(current)


def own(region: Region) -> Region:
    """Return the region itself, or the one that it is current instead of."""
    while region.instead_of is not None:
        region = region.instead_of[0]
    return region


def again(region: Region, around: Region) -> Region:
    """Return a region like that of a generator's step, below another one of the same scope."""
    if region.instead_of is None or around.scope is None or around.is_closed:
        return around
    below, enclosure = region.instead_of
    return enclosed(again(below, around), enclosure)


def end_step(region: Region) -> None:
    """Close the region of a generator's step: the enclosures may not hold for the next one."""
    while region.instead_of is not None:
        region.close("its step has ended")
        region = region.instead_of[0]


def enclosed(region: Region, enclosure: Region) -> Region:
    """Open a region that is current instead of another one, under an enclosure opened after it.

    Args:
        region: of a generator; it may know the enclosure, if it was opened in another step.
        enclosure: of its consumer.
    """
    known = {id(policy) for around in chain(region) for policy in around.enclosures}
    policies = tuple(policy for policy in enclosure.enclosures if id(policy) not in known)
    made = Region(
        enclosure.kind,
        scope=region.scope,
        up=region,
        outer=region,
        enclosures=policies,
        guards=guards_of(policies, enclosure.kind, enclosure.place or ""),
        segment=region.segment,
        place=enclosure.place,
    )
    made.instead_of = region, enclosure
    region.adopt(made)
    return made


def in_force(now: Region, known: Iterable[PolicyLike] = ()) -> list[Region]:
    """Return the open enclosures around a region and those of the process, innermost first.

    An exclusive recorder leaves alone what another one records: tests that run side by side.

    Args:
        now: the current region.
        known: policies that are in force already; their enclosures are left out.
    """
    found = [region for region in outwards(now) if region.encloses and not region.is_closed]
    seen = set(map(id, known))
    recorded = any(map(_is_exclusive, known))
    for region in reversed(shared):
        if region not in found and not (recorded and any(map(_is_exclusive, region.enclosures))):
            found.append(region)
    return [region for region in found if not all(id(p) in seen for p in region.enclosures)]


def _is_exclusive(policy: PolicyLike) -> bool:
    return isinstance(policy, Recorder) and policy.exclusive


def drop_or_refuse(intent: Any, enclosures: Sequence[Region]) -> None:
    """Drop an intent that was emitted where no scope is open, if an enclosure drops it.

    Args:
        intent: to judge.
        enclosures: the innermost first. Recordings among them are not asked: they follow an
            intent to what becomes of it in its scope.

    Raises:
        NoScopeError: it is allowed or held.
        RefusedError: an enclosure refuses it.
        PolicyError: a policy of one raised, or answered nonsense.
    """
    holding: PolicyLike | None = None
    for region in enclosures:
        for guard in guards_of(region.enclosures, region.kind, region.place or ""):
            guard(intent)
        for policy in region.enclosures:
            if _is_exclusive(policy):
                continue
            verdict = _verdict(policy, intent, region, held=holding is not None)
            if verdict is DROP:
                return
            if verdict is HOLD and holding is None:
                holding = policy
    raise NoScopeError(
        f"cannot emit {intent!r}", "" if holding is None else f"{shown_policy(holding)} holds it"
    )


def _verdict(policy: PolicyLike, intent: Any, region: Region, *, held: bool) -> Verdict:
    try:
        answer = ask(policy, View([intent], holding=lambda _: held))
    except AirlockError:
        raise
    except BadVerdictsError as bad:
        raise PolicyError(shown_policy(policy), region.described(), str(bad)) from None
    except Exception as error:
        raise PolicyError(shown_policy(policy), region.described(), f"raised {error!r}") from error
    return ALLOW if answer is None else answer[0]


# -- what the handler that is running here is for -----------------------------------------------


def delivery() -> Delivery:
    """Return the delivery that the handler here runs for.

    Raises:
        DeliveryError: no handler is running here, or a batch handler is (see ``deliveries``).

    Example:
        >>> def send(intent):
        ...     mail(intent, message_id=str(delivery().id))
    """
    found = deliveries()
    if len(found) != 1:
        raise DeliveryError(
            f"this handler runs for a batch of {len(found)}: use airlock.deliveries(), one for each."
        )
    return found[0]


def deliveries() -> tuple[Delivery, ...]:
    """Return the deliveries of the members that the batch handler here runs for, in order.

    Raises:
        DeliveryError: no handler is running here.
    """
    for region in outwards(here.get()):
        if region.running is not None:
            execution: Runs = region.running
            return execution.deliveries(region.cause)
    raise DeliveryError(
        "no handler is running here, so there is no delivery to ask about. Call airlock.delivery() "
        "in a handler, or in what it calls."
    )


class Runs(Protocol):
    """The caller of a handler, as seen from inside of it."""

    def deliveries(self, cause: int = -1) -> tuple[Delivery, ...]: ...
    def again(self, error: BaseException, /) -> None: ...


def running() -> Runs:
    """Return what calls the handler that is running here.

    Raises:
        DeliveryError: none is.
    """
    region: Region | None = here.get()
    while region is not None:
        if region.running is not None:
            execution: Runs = region.running
            return execution
        region = region.outer
    raise DeliveryError("no handler is running here")
