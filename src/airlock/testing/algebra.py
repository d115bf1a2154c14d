"""Expectations in tests: ``like``, ``in_order``, ``any_order``, ``one_of``, ``never``."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import attrs

from airlock.effects.describe import name_of
from airlock.effects.function import EffectFunction
from airlock.effects.intent import admit
from airlock.effects.place import caller, shown
from airlock.effects.registry import declared, describe
from airlock.emissions.buffer import EffectBuffer
from airlock.errors import ExpectationError, NotAnIntentError
from airlock.scopes.current import region_here
from airlock.testing.expectations import (
    AnyOrder,
    Exact,
    Expectation,
    InOrder,
    Leaf,
    Like,
    Never,
    OneOf,
)
from airlock.testing.matchers import Matcher, contains, gt, lt, matching
from airlock.testing.tape import Tape

__all__ = [
    "any_order",
    "expectation_of",
    "in_order",
    "like",
    "never",
    "never_used",
    "one_of",
    "several",
]


def like(intent: Any, /, **fields: Any) -> Expectation:
    """Expect an emission of a class, with some of its fields. The intent is never constructed.

    Args:
        intent: an intent class (its subclasses fit too), an effect function, or, for
            ``.times(...)`` of it, an intent. In a field of another ``like``: any attrs class.
        **fields: values or matchers, compared with ``==``; fields left out may be anything.

    Raises:
        ExpectationError: it is no intent, or has no such field.

    Example:
        >>> from airlock.testing import gt, like
        >>> NotifyWarehouse(42) == like(NotifyWarehouse, order_id=gt(40))
        True
    """
    cls = intent.intent_type if isinstance(intent, EffectFunction) else intent
    if not isinstance(cls, type):
        if fields:
            hint = f"Give the class: like({name_of(type(intent))}, ...)."
            raise ExpectationError(f"like({intent!r}, ...)", "is a whole value already", hint)
        return _noted(_exact(intent, "like"))
    if not attrs.has(cls):
        raise _no_intent(cls, "like")
    for name, value in fields.items():
        if any(value is matcher for matcher in (gt, lt, contains, matching)):
            hint = f"Call it: {name}={value.__name__}(...)."
            raise ExpectationError(f"like(..., {name}={value.__name__})", "is no matcher yet", hint)
    named = {_field(cls, name): value for name, value in fields.items()}
    made = Like(cls, named)
    for nested in _nested(tuple(fields.values())):
        nested.whole = made
    return _noted(made)


def in_order(*parts: Any) -> Expectation:
    """Expect these, one after the other. Other effects may stand in between.

    Args:
        *parts: intents, intent classes, or expectations.

    Example:
        >>> from airlock.testing import in_order, like
        >>> in_order(NotifyWarehouse(1), like(SendEmail).optional())
        in_order(NotifyWarehouse(order_id=1), like(SendEmail).optional())
    """
    return _noted(InOrder(*several("in_order", parts)))


def any_order(*parts: Any) -> Expectation:
    """All of these, in any order.

    Args:
        *parts: intents, intent classes, or expectations.
    """
    return _noted(AnyOrder(*several("any_order", parts)))


def one_of(*parts: Any) -> Expectation:
    """One of these.

    Args:
        *parts: intents, intent classes, or expectations.
    """
    return _noted(OneOf(*several("one_of", parts)))


def never(intent: Any, /) -> Expectation:
    """Expect no such effect: none at all or, in ``in_order``, none between its neighbours.

    Args:
        intent: an intent, an intent class, or ``like(...)``.
    """
    part = expectation_of(intent, "never")
    if not isinstance(part, Leaf):
        hint = "Give an intent, an intent class or like(...)."
        raise ExpectationError(f"never({part!r})", "is of several effects", hint)
    return _noted(Never(part))


def _noted(expectation: Expectation) -> Expectation:
    """Note that a test wrote it here, so that the test has to use it."""
    tapes = (recorder for recorder in region_here().recorders if isinstance(recorder, Tape))
    innermost = next(tapes, None)
    if innermost is not None:
        innermost.expectations.append((expectation, caller()))
    return expectation


def _nested(value: Any) -> Iterator[Expectation]:
    """Yield the expectations that stand in a value."""
    if isinstance(value, Expectation):
        yield value
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _nested(element)


def expectation_of(value: Any, by: str) -> Expectation:
    """Convert what a test gave to an expectation.

    Args:
        value: an intent, an intent class, an effect function, or an expectation.
        by: what it was given to, for messages.

    Raises:
        ExpectationError: it is none of these.
    """
    if isinstance(value, Expectation):
        value.used = True
        if isinstance(value, Like) and not _is_intent(value.cls):
            raise _no_intent(value.cls, by)
        return value
    cls = value.intent_type if isinstance(value, EffectFunction) else value
    if not isinstance(cls, type):
        made: Expectation = _exact(value, by)
    elif _is_intent(cls):
        made = Like(cls, {})
    else:
        raise _no_intent(cls, by)
    made.used = True
    return made


def several(by: str, parts: tuple[Any, ...]) -> list[Expectation]:
    """Return what a test gave as expectations, at least one.

    Raises:
        ExpectationError: there is none, or one is no expectation.
    """
    if not parts:
        hint = "Name what you expect, or use effects.nothing_else() for nothing."
        raise ExpectationError(f"{by}()", "expects nothing", hint)
    return [expectation_of(part, by.rpartition(".")[2]) for part in parts]


def _exact(intent: Any, by: str) -> Exact:
    if isinstance(intent, Matcher):
        hint = f"It stands for a value in a field: like(SomeIntent, field={intent!r})."
        raise ExpectationError(f"{by}({intent!r})", "is about no intent", hint)
    try:
        admit(intent)
    except NotAnIntentError:
        raise _no_intent(intent, by) from None
    return Exact(intent)


def _is_intent(cls: type[Any]) -> bool:
    return "__intent__" in vars(cls)


def _no_intent(value: Any, by: str) -> ExpectationError:
    name = name_of(value if isinstance(value, type) else type(value))
    near = get_close_matches(name, {name_of(cls): None for cls in declared()}, 3, cutoff=0.75)
    guess = f" Did you mean {' or '.join(near)}?" if near else " Declare its class with @intent."
    if isinstance(value, EffectBuffer | list | tuple):
        guess = f" Give them one by one, {by}(*intents), or compare with `effects == [...]`."
    return ExpectationError(
        f"{by}({describe(value)})", "is about no intent, and only intents are emitted", guess[1:]
    )


def _field(cls: type[Any], name: str) -> str:
    """Return the field with a name or alias."""
    by_name: dict[str, str] = {}
    for attribute in attrs.fields(cls):
        by_name.update({attribute.name: attribute.name, attribute.alias: attribute.name})
    if name in by_name:
        return by_name[name]
    near = get_close_matches(name, by_name, 1, cutoff=0.5)
    known = ", ".join(attribute.name for attribute in attrs.fields(cls)) or "none"
    hint = f"Did you mean {near[0]}? Its" if near else "Its"
    raise ExpectationError(
        f"like({name_of(cls)}, {name}=...)",
        f"names no field of {name_of(cls)}",
        f"{hint} fields are: {known}.",
    )


def never_used(tape: Tape) -> ExpectationError | None:
    """Return the error about expectations that nothing looked for; None if there are none."""
    unused = {
        id(one.outermost): f"{one.outermost!r} of {shown(place)}"
        for one, place in tape.expectations
        if not one.outermost.used
    }
    if not unused:
        return None
    return ExpectationError(
        "; ".join(unused.values()),
        "was never looked for" if len(unused) == 1 else "were never looked for",
        "Pass it to effects.saw(...) or expect_effects(...), or compare the effects with it.",
    )
