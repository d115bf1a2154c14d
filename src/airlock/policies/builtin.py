"""The policies that come with airlock, each named after the verdict it gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs

from airlock.effects.causation import Ancestor, digest, name_of_key
from airlock.effects.registry import describe, spec_of
from airlock.errors import DeclarationError, RefusedError
from airlock.policies.policy import Named, Policy, PolicyLike, Selection, View, Where, seats
from airlock.policies.recorder import Recorder
from airlock.policies.verdict import ALLOW, DROP, HOLD, MERGED, Verdict

__all__ = ["Allow", "Dedupe", "Drop", "Hold", "Limit", "OncePerChain", "Refuse", "chain_policies"]

Selector = type[Any] | str | Named
Key = Callable[[Any], Hashable]


@attrs.frozen(init=False, repr=False)
class _Selecting(Policy):
    """Base of the policies that choose intents by type; none given means all."""

    by_class = True
    types: Selection[Any]

    def __init__(self, *types: Selector) -> None:
        self.__attrs_init__(Selection(types, type(self).__name__))  # pyright: ignore[reportAttributeAccessIssue]  # attrs makes it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.types!r})"

    def spares(self, classes: Iterable[type[Any]], /) -> bool:
        return not any(cls in self.types for cls in classes)

    def _verdicts(self, view: View, chosen: Verdict, others: Verdict) -> Sequence[Verdict]:
        types = self.types.among(view.intents)
        if not types:
            return [others] * len(view)
        return [chosen if type(intent) in types else others for intent in view.intents]


def _format_call(name: str, arguments: list[str], **options: object) -> str:
    """Format a policy as the call that makes it."""
    given = [argument for argument in arguments if argument]
    given += [
        f"{option}={value!r}"
        if isinstance(value, str)
        else f"{option}={getattr(value, '__qualname__', None) or describe(value)}"
        for option, value in options.items()
        if value is not None
    ]
    return f"{name}({', '.join(given)})"


class Allow(_Selecting):
    """Allow these types only, and drop every other. ``Allow()`` allows all.

    Args:
        *only: intent classes (their subclasses too), kinds, or effect functions.
    """

    def spares(self, classes: Iterable[type[Any]], /) -> bool:
        return all(cls in self.types for cls in classes)

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return self._verdicts(view, ALLOW, DROP)


class Drop(_Selecting):
    """Drop these types. ``Drop()`` drops all: a dry run, a backfill, a fixture.

    Args:
        *types: intent classes (their subclasses too), kinds, or effect functions.
    """

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return self._verdicts(view, DROP, ALLOW)


class Hold(_Selecting, Recorder):
    """Keep these types for later instead of delivering them. ``Hold()`` holds all.

    ``scope.plan()`` makes a plan of what was held: to review, to store, to apply. It is a recorder,
    so that the plan can show where each intent was emitted.

    Args:
        *types: intent classes (their subclasses too), kinds, or effect functions.
    """

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return self._verdicts(view, HOLD, ALLOW)

    def wants(self, intent: Any, /) -> bool:
        return type(intent) in self.types


class Refuse(_Selecting):
    """Forbid these types: emitting one raises ``RefusedError`` there and then.

    Args:
        *types: intent classes (their subclasses too), kinds, or effect functions.
    """

    def decide(self, view: View, /) -> Sequence[Verdict]:
        # Reached by what was emitted before the policy was in force.
        for intent in view.intents:
            self.refuse(intent)
        return [ALLOW] * len(view)

    def refuse(self, intent: Any, /) -> None:
        if type(intent) in self.types:
            raise RefusedError(repr(intent), repr(self))


@attrs.frozen(init=False, repr=False)
class Dedupe(Policy):
    """Merge intents with equal keys, within a wave.

    Intents emitted with different options, headers or overrides are never merged.

    Args:
        *types: intent classes, kinds or effect functions; none means all.
        key: what makes two intents of one class the same; by default the whole value.
        keep: which one stands for all: ``"first"``, ``"last"``, or a chooser that is given two
            intents and returns one of them.

    Example:
        >>> latest = Dedupe(key=lambda intent: intent.order_id, keep="last")
    """

    types: Selection[Any]
    key: Key | None
    keep: Literal["first", "last"] | Callable[[Any, Any], Any]

    def __init__(
        self,
        *types: Selector,
        key: Key | None = None,
        keep: Literal["first", "last"] | Callable[[Any, Any], Any] = "first",
    ) -> None:
        if keep not in ("first", "last") and not callable(keep):
            raise DeclarationError(
                f"Dedupe(keep={keep!r}): keep is 'first', 'last' or a function of two intents."
            )
        self.__attrs_init__(Selection(types, "Dedupe"), key, keep)  # pyright: ignore[reportAttributeAccessIssue]  # attrs makes it

    def __repr__(self) -> str:
        keep = None if self.keep == "first" else self.keep
        return _format_call("Dedupe", [repr(self.types)], key=self.key, keep=keep)

    def decide(self, view: View, /) -> Sequence[Verdict]:
        groups = self._groups(view)
        verdicts: list[Verdict] = [ALLOW] * len(view)
        for members in groups:
            survivor = self._survivor(view, members)
            merged = MERGED(into=survivor)
            for i in members:
                if i != survivor:
                    verdicts[i] = merged
        return verdicts

    def _groups(self, view: View) -> list[list[int]]:
        """Return the indices of intents with equal keys, where there are several."""
        intents = view.intents
        simple = self.key is None and view.mergeable
        if simple and not self.types.selectors and len(set(intents)) == len(intents):
            return []
        groups: dict[Hashable, list[int]] = {}
        types = self.types.among(intents)
        for i, intent in enumerate(intents):
            if type(intent) in types:
                same = intent if self.key is None else (type(intent), self.key(intent))
                groups.setdefault((same, view.merge_key(i)), []).append(i)
        return [members for members in groups.values() if len(members) > 1]

    def _survivor(self, view: View, members: list[int]) -> int:
        if self.keep == "first":
            return members[0]
        if self.keep == "last":
            return members[-1]
        survivor = members[0]
        for i in members[1:]:
            one, other = view.intents[survivor], view.intents[i]
            chosen = self.keep(one, other)
            if chosen is other:
                survivor = i
            elif chosen is not one:
                raise DeclarationError(
                    f"the chooser of {self!r} returned {chosen!r}, which is neither of the two "
                    "intents it was given: a policy cannot make intents."
                )
        return survivor


@attrs.frozen(init=False, repr=False)
class Limit(Policy):
    """Allow at most ``n`` intents in a flush, follow-ups included, and drop the rest.

    Args:
        n: how many, 0 or more.
        per: a key; each value of it has its own limit. ``per=type`` counts by class.

    Example:
        >>> at_most_three_mails_each = Limit(3, per=lambda intent: intent.to)
    """

    n: int
    per: Key | None

    def __init__(self, n: int, *, per: Key | None = None) -> None:
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise DeclarationError(f"Limit({n!r}): the limit is an int, 0 or more.")
        self.__attrs_init__(n, per)  # pyright: ignore[reportAttributeAccessIssue]  # attrs makes it

    def __repr__(self) -> str:
        return _format_call("Limit", [str(self.n)], per=self.per)

    def decide(self, view: View, /) -> Sequence[Verdict]:
        per = self.per or _the_same
        counts = Counter(per(intent) for intent in view.earlier)
        verdicts = list[Verdict]()
        for intent in view.intents:
            key = per(intent)
            counts[key] += 1
            verdicts.append(ALLOW if counts[key] <= self.n else DROP)
        return verdicts


def _the_same(_: object) -> Hashable:
    return None


@attrs.frozen(init=False, repr=False)
class OncePerChain(Policy):
    """Drop an intent that equals one of its own causes: ends save → enrich → save → ….

    Only ancestors count: two siblings with the same value both pass. Those in other processes do
    too, as far as their envelopes carry it: the whole value, and each ``key`` that has a name (a
    function or class of a module) and was in force where they were sent.

    Args:
        *types: intent classes, kinds or effect functions; none means all.
        key: what makes two intents of one class the same; by default the whole value. Use
            ``key=type`` for once per class, whatever the value.
    """

    types: Selection[Any]
    key: Key | None

    def __init__(self, *types: Selector, key: Key | None = None) -> None:
        self.__attrs_init__(Selection(types, "OncePerChain"), key)  # pyright: ignore[reportAttributeAccessIssue]  # attrs makes it

    def __repr__(self) -> str:
        return _format_call("OncePerChain", [repr(self.types)], key=self.key)

    def decide(self, view: View, /) -> Sequence[Verdict]:
        if view.wave == 0 and view.remoteness is None:
            return [ALLOW] * len(view)
        return [DROP if self._repeats(view, i) else ALLOW for i in range(len(view))]

    def _repeats(self, view: View, index: int) -> bool:
        intent = view.intents[index]
        if type(intent) not in self.types:
            return False
        key = self.key or _itself
        return any(
            type(cause) is type(intent) and key(cause) == key(intent)
            for cause in view.ancestors(index)
        ) or self._was_emitted(view.remote_ancestors(index), intent)

    def _was_emitted(self, remote: Sequence[Ancestor], intent: Any) -> bool:
        if not remote:
            return False
        kind = spec_of(type(intent)).kind
        return any(cause.kind == kind and cause.matches(self.key, intent) for cause in remote)

    def ancestor(self, cause: Any) -> Mapping[str, str]:
        """Return the headers that identify an intent in other processes: its digest, by key name."""
        name = name_of_key(self.key)
        if self.key is None or name is None or type(cause) not in self.types:
            return {}
        value = digest(self.key(cause))
        return {} if value is None else {name: value}


def _itself(intent: Any) -> Hashable:
    return intent  # type: ignore[no-any-return]  # intents are hashable, which Any hides


def chain_policies(policies: Iterable[PolicyLike]) -> Iterator[OncePerChain]:
    """Every ``OncePerChain`` among some policies, also inside of others."""
    for policy in policies:
        parts = seats(policy)
        if len(parts) > 1:
            yield from chain_policies(parts)
        elif isinstance(policy, Where):
            yield from chain_policies((policy.policy,))
        elif isinstance(policy, OncePerChain):
            yield policy
