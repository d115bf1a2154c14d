"""Checks that a plan still fits the program, and the choice of its effects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import attrs

from airlock.effects.registry import describe, spec_of
from airlock.errors import DeclarationError, PlanExpiredError
from airlock.plan.document import Plan, effects
from airlock.plan.entry import PlanEntry

__all__ = ["Choice", "chosen", "refuse_expired", "sample"]


@attrs.frozen
class Choice:
    """Some effects of a plan.

    Attributes:
        kinds: of which one must be theirs; None for all.
        indices: of which one must be theirs; None for all.
    """

    kinds: frozenset[str] | None = None
    indices: frozenset[int] | None = None

    @property
    def is_all(self) -> bool:
        """True if every effect is chosen."""
        return self.kinds is None and self.indices is None

    def has(self, entry: PlanEntry) -> bool:
        """Return True if an effect is chosen."""
        return (self.kinds is None or entry.kind in self.kinds) and (
            self.indices is None or entry.index in self.indices
        )


def chosen(plan: Plan, kinds: Iterable[Any] | None, indices: Iterable[int] | None) -> Choice:
    """Return the choice that the arguments describe.

    Raises:
        DeclarationError: they make no sense.
    """
    named, wanted = _several("kinds", kinds), _several("indices", indices)
    for index in wanted or ():
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(plan):
            raise DeclarationError(
                f"apply(indices=...): {index!r} is no index of {plan.name}, which has "
                f"{effects(len(plan))}. Give integers from 0 to {len(plan) - 1}."
            )
    return Choice(
        None if named is None else frozenset(map(_kind, named)),
        None if wanted is None else frozenset(wanted),
    )


def _several(name: str, given: Any) -> list[Any] | None:
    if given is None:
        return None
    if isinstance(given, str | bytes) or not isinstance(given, Iterable) or isinstance(given, type):
        raise DeclarationError(f"apply({name}={describe(given)}): give a list of them.")
    return list(given)


def _kind(selector: Any) -> str:
    if isinstance(selector, str):
        return selector
    return spec_of(getattr(selector, "intent_type", selector)).kind


def refuse_expired(plan: Plan, *, expired: bool) -> None:
    """Refuse a plan that is too old.

    Args:
        plan: the plan.
        expired: take it all the same.

    Raises:
        PlanExpiredError: it is.
    """
    if plan.expires is not None and datetime.now(UTC) >= plan.expires and not expired:
        raise PlanExpiredError(
            plan.name,
            f"expired at {plan.expires:%Y-%m-%d %H:%M:%S} UTC",
            "Nothing ran. Make a new one, for the world has changed since; or say that it has not: "
            "apply(plan, expired=True).",
        )


def sample(plan: Plan, choice: Choice) -> list[PlanEntry]:
    """One chosen effect of each class and set of options, once every one was read.

    Raises:
        PlanFormatError: the file was changed since the plan was loaded.
        PlanMismatchError: this program cannot read an effect.
        DeclarationError: a kind was chosen of which there is none.
    """
    found: dict[Any, PlanEntry] = {}
    kinds = set[str]()
    for entry in plan:
        kinds.add(entry.kind)
        if choice.has(entry):
            found.setdefault((type(entry.intent), entry.given), entry)
    unknown = sorted((choice.kinds or frozenset()) - kinds)
    if unknown:
        near = get_close_matches(unknown[0], kinds, 1)
        raise DeclarationError(
            f"apply(kinds=...): {plan.name} has no effect of the kind {unknown[0]!r}"
            + (f". Did you mean {near[0]!r}?" if near else f", only {', '.join(sorted(kinds))}.")
        )
    plan.refuse_changed()
    return list(found.values())
