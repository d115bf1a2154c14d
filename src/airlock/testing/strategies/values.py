"""``intents``: strategies of intent classes."""

from __future__ import annotations

import sys
import typing
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, TypeVar, overload

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from airlock.effects.function import EffectFunction
from airlock.effects.intent import Intent
from airlock.effects.place import shown
from airlock.effects.registry import declared, spec_of
from airlock.errors import DeclarationError
from airlock.testing.strategies.hints import parts_of
from airlock.testing.strategies.making import Maker

__all__ = ["intents", "strategy_of"]


IntentT = TypeVar("IntentT", bound=Intent)


@overload
def intents() -> SearchStrategy[Any]: ...
@overload
def intents(cls: type[IntentT], /, **fields: Any) -> SearchStrategy[IntentT]: ...
@overload
def intents(
    *classes: type[Any] | EffectFunction[..., Any], **fields: Any
) -> SearchStrategy[Any]: ...
def intents(*classes: Any, **fields: Any) -> SearchStrategy[Any]:
    """Values of intent classes, to be given to ``@given``.

    Annotations are read, and validators of attrs where they can be (``in_``, ``ge``, ``min_len``,
    ``matches_re`` and their like); what another validator refuses with a ``ValueError`` or
    ``TypeError`` is drawn again. A class that you have registered with
    ``st.register_type_strategy`` is made in your way. Hypothesis shows what it made up in full,
    sensitive fields too.

    Args:
        *classes: intent classes or effect functions, without their subclasses. None means every
            intent that is declared when the first value is drawn, but for those that cannot be
            made from their annotations.
        **fields: with one class only: strategies or plain values by field name or alias.

    Raises:
        DeclarationError: a class is no intent, or has no such field; when the first value is
            drawn: an annotation does not say how to make a value.

    Example:
        >>> from hypothesis import given, strategies as st
        >>> from airlock.testing.strategies import intents
        >>> @given(intents(NotifyWarehouse, order_id=st.integers(1)))
        ... def test_orders_count_from_one(intent):
        ...     assert intent.order_id >= 1
        >>> test_orders_count_from_one()
    """
    local = any("<locals>" in getattr(cls, "__qualname__", "") for cls in classes)
    return strategy_of(classes, fields, sys._getframe(1).f_locals if local else {})


def strategy_of(
    classes: tuple[Any, ...], fields: Mapping[str, Any], names: Mapping[str, Any]
) -> SearchStrategy[Any]:
    """``intents``, with the local names that annotations of local classes may speak of."""
    chosen = [c.intent_type if isinstance(c, EffectFunction) else c for c in classes]
    for cls in chosen:
        spec_of(typing.get_origin(cls) or cls)
    if fields and len(chosen) != 1:
        raise DeclarationError(
            f"intents({', '.join(fields)}=...): fields belong to one class, and {len(chosen)} are "
            "given. Join strategies of one class each: intents(A, x=...) | intents(B)."
        )
    given = _given(chosen[0], fields) if fields else {}
    if not chosen:
        return _of_every_class()
    return st.one_of([_of_class(cls, given, dict(names)) for cls in chosen])


def _of_class(
    cls: Any, given: Mapping[str, SearchStrategy[Any]], names: Mapping[str, Any]
) -> SearchStrategy[Any]:
    """Annotations are read when the first value is drawn: they may speak of what comes later."""
    return st.deferred(lambda: Maker(names).intent(cls, given))


def _given(cls: Any, fields: Mapping[str, Any]) -> dict[str, SearchStrategy[Any]]:
    """Strategies by argument."""
    origin = typing.get_origin(cls) or cls
    arguments = {n: part.argument for part in parts_of(origin) for n in (part.name, part.argument)}
    for name in fields:
        if name not in arguments:
            near = get_close_matches(name, arguments, 1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise DeclarationError(
                f"intents({origin.__qualname__}, {name}=...): {origin.__qualname__} (declared at "
                f"{shown(spec_of(origin).place)}) has no field {name!r}. {meant}"
                f"It takes: {', '.join(dict.fromkeys(arguments.values())) or 'nothing'}."
            )
    return {
        arguments[name]: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in fields.items()
    }


def _of_every_class() -> SearchStrategy[Any]:
    def every() -> SearchStrategy[Any]:  # a new function each time: `deferred` knows the old ones
        made = []
        for cls in declared():
            with suppress(DeclarationError):
                made.append(Maker({}).intent(cls, {}))
        if not made:
            raise DeclarationError(
                "intents(): no intent is declared, or none whose annotations say how to make it. "
                "Import the module that declares them, or name classes: intents(SendEmail)."
            )
        return st.one_of(made)

    return st.deferred(every)
