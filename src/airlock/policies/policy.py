"""Policies: pure functions from a region's intents to a verdict each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs

from airlock.effects.causation import Ancestor
from airlock.effects.intent import Intent
from airlock.effects.registry import declared, describe, spec_of, types_named
from airlock.errors import DeclarationError
from airlock.policies.verdict import ALLOW, DROP, HOLD, Verdict

__all__ = ["And", "Each", "Policy", "PolicyLike", "Selection", "View", "Where", "each", "seats"]


@attrs.frozen(eq=False)
class View:
    """The view of a policy: some intents of one wave, in emission order.

    These are the intents of its region (or scope, boundary, enclosure) that every policy inside
    it has allowed or held.

    Attributes:
        intents: what to judge.
        wave: 0 for what the block emitted, 1 for the follow-ups of that, and so on.
        earlier: what this policy, at this place, allowed in earlier waves of the flush.
    """

    intents: Sequence[Any]
    wave: int = 0
    earlier: Sequence[Any] = ()
    ancestry: Callable[[int], Iterator[Any]] = attrs.field(default=lambda _: iter(()), repr=False)
    apartness: Callable[[int], Hashable] | None = attrs.field(default=None, repr=False)
    holding: Callable[[int], bool] | None = attrs.field(default=None, repr=False)
    remoteness: Callable[[int], Sequence[Ancestor]] | None = attrs.field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.intents)

    def ancestors(self, index: int) -> Iterator[Any]:
        """Yield the causes of the intent at ``index`` in this process, its direct cause first."""
        return self.ancestry(index)

    def remote_ancestors(self, index: int) -> Sequence[Ancestor]:
        """Return the causes of the intent at ``index`` in other processes, the nearest first."""
        return () if self.remoteness is None else self.remoteness(index)

    def merge_key(self, index: int) -> Hashable:
        """Return a key of the intent at ``index``: those with equal ones may be merged.

        It covers emission options, headers and overrides, which a merged intent would lose, and
        whether a policy inside this one holds it: what is allowed must not wait for what is held.
        """
        context = None if self.apartness is None else self.apartness(index)
        return context, self.held(index)

    @property
    def mergeable(self) -> bool:
        """True if all intents have equal merge keys."""
        return self.apartness is None and self.holding is None

    def held(self, index: int) -> bool:
        """Return True if a policy inside this one holds the intent at ``index``."""
        return self.holding is not None and self.holding(index)

    def only(
        self,
        indices: Sequence[int],
        earlier: Sequence[Any],
        held: Callable[[int], bool] | None = None,
    ) -> View:
        """Return the view of some of the intents, at the same place.

        Args:
            indices: of the intents in this view.
            earlier: what was allowed in earlier waves.
            held: whether the intent at an index of this view is held; as in this view by default.
        """
        apartness, remoteness = self.apartness, self.remoteness
        holding = self.holding if held is None else held
        return View(
            [self.intents[i] for i in indices],
            self.wave,
            earlier,
            lambda i: self.ancestry(indices[i]),
            None if apartness is None else lambda i: apartness(indices[i]),
            None if holding is None else lambda i: holding(indices[i]),
            None if remoteness is None else lambda i: remoteness(indices[i]),
        )


class Decides(Protocol):
    """Any object with ``decide``."""

    def decide(self, view: View, /) -> Sequence[Verdict]:
        """One verdict for each intent of the view."""
        ...


PolicyLike = Decides | Callable[[View], Sequence[Verdict]]
"""A policy: a ``Policy``, any object with ``decide(view)``, or that function itself.

Contract: the answer has one verdict per intent shown, in the same order, and depends on the view
alone. It runs when the scope flushes, before any handler. It must not emit. If it raises, or
answers anything else, the wave is refused: nothing of it runs, nothing is lost.
"""


class Policy:
    """Base of the built-in policies, and of yours where a plain function is not enough.

    Subclasses are values: frozen, compared by their fields, without state that changes. Implement
    ``decide``; implement ``refuse`` too if the policy acts at the emit site.

    Example:
        >>> @attrs.frozen
        ... class FirstOnly(Policy):
        ...     def decide(self, view):
        ...         return [ALLOW if i == 0 else DROP for i in range(len(view))]
    """

    __slots__ = ()

    by_class: ClassVar[bool] = False
    """True if its verdict about an intent depends on the class alone."""

    def decide(self, view: View, /) -> Sequence[Verdict]:
        """One verdict for each intent of the view: all ALLOW, unless overridden."""
        return [ALLOW] * len(view)

    def spares(self, classes: Iterable[type[Any]], /) -> bool:  # noqa: ARG002 - for subclasses
        """Return True if it allows every intent of these classes: then it need not be asked."""
        return False

    def refuse(self, intent: Any, /) -> None:
        """Check each intent as it is emitted; raise ``RefusedError`` to forbid it."""

    def __and__(self, other: PolicyLike) -> And:
        """Return ``a & b``: a inside b. b sees what a allowed or held."""
        return And((*seats(self), *seats(other)))

    def __rand__(self, other: PolicyLike) -> And:
        return And((*seats(other), *seats(self)))

    def where(self, predicate: Callable[[Any], bool], /) -> Policy:
        """Return this policy, judging only the intents for which ``predicate`` is true.

        The others are allowed.
        """
        return Where(self, predicate)


@attrs.frozen(repr=False)
class And(Policy):
    """Several policies at one place, innermost first. Made by ``a & b``."""

    parts: tuple[PolicyLike, ...]

    def __repr__(self) -> str:
        return " & ".join(map(shown_policy, self.parts))

    def decide(self, view: View, /) -> Sequence[Verdict]:
        verdicts: list[Verdict] = [ALLOW] * len(view)
        for part in self.parts:
            live = [i for i, v in enumerate(verdicts) if v is ALLOW or v is HOLD]
            if not live:
                break
            answer = decision(part)(view.only(live, view.earlier, _held_in(verdicts, view)))
            for i, verdict in zip(live, answer, strict=True):
                if verdict is not ALLOW:
                    into = verdict.into
                    verdicts[i] = verdict if into is None else Verdict(verdict.name, live[into])
        return [DROP if _is_lost(verdict, verdicts) else verdict for verdict in verdicts]

    def where(self, predicate: Callable[[Any], bool], /) -> Policy:
        return And(tuple(Where(part, predicate) for part in self.parts))


def _held_in(verdicts: list[Verdict], view: View) -> Callable[[int], bool] | None:
    """Return a function: True if an intent is held so far, by earlier parts or policies inside."""
    if view.holding is None and HOLD not in verdicts:
        return None
    return lambda i: verdicts[i] is HOLD or view.held(i)


def _is_lost(verdict: Verdict, verdicts: Sequence[Verdict]) -> bool:
    """Return True if the representative of a merged intent was dropped by a later part."""
    while verdict.into is not None:
        verdict = verdicts[verdict.into]
    return verdict is DROP


@attrs.frozen(repr=False)
class Where(Policy):
    """A policy that judges only what a predicate selects. Made by ``policy.where(...)``."""

    policy: PolicyLike
    predicate: Callable[[Any], bool]

    def __repr__(self) -> str:
        return f"{shown_policy(self.policy)}.where({describe(self.predicate)})"

    def decide(self, view: View, /) -> Sequence[Verdict]:
        chosen = [i for i, intent in enumerate(view.intents) if self.predicate(intent)]
        if not chosen:
            return [ALLOW] * len(view)
        earlier = [intent for intent in view.earlier if self.predicate(intent)]
        answers = list(decision(self.policy)(view.only(chosen, earlier)))
        if len(answers) != len(chosen):
            return answers  # the wrong number of verdicts, for the boundary to report
        verdicts: list[Verdict] = [ALLOW] * len(view)
        for i, verdict in zip(chosen, answers, strict=True):
            into = getattr(verdict, "into", None)
            verdicts[i] = verdict if into is None else _moved(verdict, chosen, into)
        return verdicts

    def refuse(self, intent: Any, /) -> None:
        guard = guard_of(self.policy)
        if guard is not None and self.predicate(intent):
            guard(intent)


def _moved(verdict: Verdict, chosen: Sequence[int], into: Any) -> Verdict:
    """Return a merge within the selection as a merge within the whole view."""
    valid = isinstance(into, int) and 0 <= into < len(chosen)
    return Verdict(verdict.name, chosen[into]) if valid else Verdict(verdict.name, -1)


@attrs.frozen(repr=False)
class Each(Policy):
    """A function from one intent to its verdict, as a policy. Made by ``each(fn)``."""

    judge: Callable[[Any], Verdict]

    def __repr__(self) -> str:
        return f"each({describe(self.judge)})"

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return [self.judge(intent) for intent in view.intents]


def each(judge: Callable[[Any], Verdict], /) -> Each:
    """Lift a function that judges one intent to a policy.

    Args:
        judge: called with each intent; returns ``ALLOW``, ``DROP`` or ``HOLD``.

    Example:
        >>> quiet = each(lambda intent: DROP if "internal" in repr(intent) else ALLOW)
    """
    return Each(judge)


def seats(policy: PolicyLike) -> tuple[PolicyLike, ...]:
    """Return the parts of a policy that each have a memory of their own: those of an ``And``.

    Raises:
        DeclarationError: ``policy`` is not a policy.
    """
    if isinstance(policy, And):
        return policy.parts
    if isinstance(policy, type):
        raise DeclarationError(
            f"{policy.__qualname__} is a policy class: call it, {policy.__qualname__}(...)."
        )
    if not _has_decide(policy) and not callable(policy):
        raise DeclarationError(
            f"{policy!r} is not a policy: give Allow(...), Drop(...), an object with decide(view), "
            "or a function of a view that returns one verdict per intent."
        )
    return (policy,)


def shown_policy(policy: object) -> str:
    """Format a policy for messages: as it is written, without addresses."""
    return repr(policy) if _has_decide(policy) else describe(policy)


def decision(policy: PolicyLike) -> Callable[[View], Sequence[Verdict]]:
    """Return the function that decides."""
    # Not isinstance() with the protocol, which takes twenty microseconds.
    decide: Any = getattr(policy, "decide", policy)
    return decide  # type: ignore[no-any-return]  # by the contract of policies


def _has_decide(policy: object) -> bool:
    return hasattr(policy, "decide")


def guard_of(policy: PolicyLike) -> Callable[[Any], None] | None:
    """Return what a policy does at the emit site; None for most, which do nothing there."""
    if isinstance(policy, Where):
        return policy.refuse if guard_of(policy.policy) is not None else None
    if not isinstance(policy, Policy) or type(policy).refuse is Policy.refuse:
        return None
    return policy.refuse


IntentT = TypeVar("IntentT", bound=Intent)


class Named(Protocol):
    """A stand-in for one intent class: an effect function."""

    @property
    def intent_type(self) -> type[Any]: ...


class Selection(Generic[IntentT]):
    """Intent types chosen by class, kind or effect function; an empty one chooses all.

    A class chooses its subclasses too, as in the resolution of handlers. It is a value.
    """

    __slots__ = ("_chosen", "_given", "_kinds", "selectors")

    def __init__(self, selectors: Sequence[type[Any] | str | Named], policy: str) -> None:
        for selector in selectors:
            _check_selector(selector, policy)
        self._given = tuple(selectors)
        self.selectors: tuple[Any, ...] = tuple(getattr(s, "intent_type", s) for s in selectors)
        self._kinds = frozenset(s for s in self.selectors if isinstance(s, str))
        self._chosen: dict[type[Any], bool] = {}

    def __contains__(self, cls: type[Any]) -> bool:
        chosen = self._chosen.get(cls)
        if chosen is None:
            chosen = self._chosen[cls] = not self.selectors or any(
                base in self.selectors or _kind_of(base) in self._kinds for base in cls.__mro__
            )
        return chosen

    def among(self, intents: Sequence[Any]) -> frozenset[type[Any]]:
        """Return the classes of ``intents`` that are chosen."""
        return frozenset(cls for cls in set(map(type, intents)) if cls in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and self.selectors == other.selectors

    def __hash__(self) -> int:
        return hash(self.selectors)

    def __repr__(self) -> str:
        return ", ".join(repr(s) if isinstance(s, str) else s.__qualname__ for s in self.selectors)

    def __reduce__(self) -> tuple[Any, ...]:
        return Selection, (self._given, "policy")


def _kind_of(cls: type[Any]) -> str | None:
    spec = vars(cls).get("__intent__")
    return None if spec is None else spec.kind


def _check_selector(selector: Any, policy: str) -> None:
    selector = getattr(selector, "intent_type", selector)
    if isinstance(selector, str):
        if not types_named(selector):
            near = _nearest(selector)
            raise DeclarationError(
                f"{policy}({selector!r}): no intent of this kind is declared"
                + (f". Did you mean {near!r}?" if near else ". Import the module that declares it.")
            )
    elif isinstance(selector, type):
        spec_of(selector)
    else:
        raise DeclarationError(
            f"{policy} takes intent classes, kinds or effect functions, not {describe(selector)}"
            + (" (a value): give its class." if type(selector) in declared() else ".")
        )


def _nearest(kind: str) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelt kind needs it

    return next(iter(get_close_matches(kind, [spec_of(c).kind for c in declared()], 1)), None)
