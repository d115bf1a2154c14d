"""``Maker``: from types to strategies."""

from __future__ import annotations

import inspect
import itertools
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from airlock.errors import DeclarationError
from airlock.testing.strategies.hints import (
    UNIONS,
    At,
    Part,
    Unknown,
    bindings_of,
    choices_of,
    evaluated,
    is_alias,
    is_made,
    is_told,
    may_nest,
    parts_of,
    stripped,
    substituted,
    without_none,
)
from airlock.testing.strategies.leaves import is_leaf, leaf_of
from airlock.testing.strategies.limits import (
    DEEP,
    IN,
    INSTANCE,
    LIMITED,
    NUMBER,
    OPTIONAL,
    comparison_of,
    flattened,
    is_instance,
    sizes_of,
)
from airlock.testing.strategies.shapes import COLLECTIONS, DEEPEST, MAPPINGS

__all__ = ["Maker"]


class Maker:
    """Makes strategies from types.

    Args:
        names: the local names that annotations of local classes may speak of.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self._made: dict[Any, SearchStrategy[Any]] = {}

    def intent(self, cls: Any, given: Mapping[str, SearchStrategy[Any]]) -> SearchStrategy[Any]:
        """Values of an intent class; of some fields the strategies are given by argument."""
        return st.from_type(cls) if not given and is_told(cls) else self._instance(cls, 0, given)

    def of(self, hint: Any, at: At) -> SearchStrategy[Any]:
        """Values of a type."""
        hint = stripped(hint, at)
        kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        if kind in UNIONS:
            return self._one_of(args, at)
        if kind in COLLECTIONS or kind in MAPPINGS:
            return self._collection(hint, at)
        if is_told(kind) or is_leaf(kind) or not is_made(kind):
            return leaf_of(hint, kind)
        return self._once((hint, min(at.depth, DEEPEST)), partial(self._nested, hint, at))

    def _once(self, key: Any, make: Callable[[], SearchStrategy[Any]]) -> SearchStrategy[Any]:
        """Make a strategy unless that is done, or being done: a type may hold itself."""
        if key not in self._made:
            self._made[key] = st.deferred(lambda: made)
            made = self._made[key] = make()
        return self._made[key]

    def _nested(self, hint: Any, at: At) -> SearchStrategy[Any]:
        kind = typing.get_origin(hint) or hint
        if is_alias(kind):
            chosen = dict(zip(kind.__type_params__, typing.get_args(hint), strict=False))
            names = self._names_in(kind, "")
            return self.of(substituted(kind.__value__, chosen), At(names, at.depth + 1))
        if inspect.isabstract(kind):
            # Decorators that make a class anew leave the old one behind: the newest is meant.
            named = {(c.__module__, c.__qualname__): c for c in kind.__subclasses__()}
            return self._one_of(named.values(), at)
        return self._instance(hint, at.depth + 1, {})

    def _one_of(self, hints: Any, at: At) -> SearchStrategy[Any]:
        chosen = list(hints)
        if at.depth >= DEEPEST:
            heights = [self._height(hint, at, 2) for hint in chosen]
            chosen = [
                h for h, height in zip(chosen, heights, strict=True) if height == min(heights)
            ]
        chosen.sort(key=lambda hint: hint not in (None, type(None)))
        return st.one_of([self.of(hint, at) for hint in chosen])

    def _height(self, hint: Any, at: At, most: int) -> int:
        """How many classes deep the values of a type are, counted up to ``most``."""
        if most == 0 or not may_nest(hint, at):
            return 0
        kind = typing.get_origin(hint) or hint
        parts = parts_of(kind) if isinstance(kind, type) and not inspect.isabstract(kind) else ()
        below = [self._height(*self._typed(hint, kind, part, at.depth), most - 1) for part in parts]
        return 1 + max(below, default=0)

    def _collection(self, hint: Any, at: At, checks: tuple[Any, ...] = ()) -> SearchStrategy[Any]:
        kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        if kind in MAPPINGS:
            key, value = args or (Any, Any)
            sizes = sizes_of(checks, at, nests=may_nest(value, at))
            return st.dictionaries(self.of(key, at), self.of(value, at), **sizes)
        if kind is tuple and kind is not hint and args[-1:] != (Ellipsis,):
            return st.tuples(*(self.of(arg, at) for arg in args))
        element = args[0] if args else Any
        members = [c.member_validator for c in checks if isinstance(c, DEEP)]
        sizes = sizes_of(checks, at, nests=may_nest(element, at))
        return COLLECTIONS[kind](self._checked(element, members, at), **sizes)

    # -- classes ----------------------------------------------------------------------------------

    def _instance(
        self, hint: Any, depth: int, given: Mapping[str, SearchStrategy[Any]]
    ) -> SearchStrategy[Any]:
        """Values of a class that is made from its fields; of a bare generic one, for some types."""
        cls: Any = typing.get_origin(hint) or hint
        variables = getattr(cls, "__parameters__", ()) if cls is hint else ()
        if variables:
            choices = itertools.product(*map(choices_of, variables))
            return st.one_of([self._instance(cls[choice], depth, given) for choice in choices])
        required: dict[str, Any] = dict(given)
        optional: dict[str, Any] = {}
        for part in parts_of(cls):
            if part.argument not in given:
                made = self._field(hint, cls, part, depth)
                (required if part.required else optional)[part.argument] = made
        arguments = st.fixed_dictionaries(required, optional=optional)
        return _values(cls, arguments).filter(_was_accepted)

    def _field(self, hint: Any, cls: Any, part: Part, depth: int) -> SearchStrategy[Any]:
        try:
            found, at = self._typed(hint, cls, part, depth)
            return self._checked(found, part.validator, at)
        except Unknown as unknown:
            raise DeclarationError(
                f"cannot make values for {cls.__qualname__}.{part.name}: {unknown}. Give a "
                f"strategy, intents(..., {part.name}=...) if it is a field of the intent itself, or "
                f"tell Hypothesis how: st.register_type_strategy({cls.__name__}, ...)."
            ) from None

    def _typed(self, hint: Any, cls: Any, part: Part, depth: int) -> tuple[Any, At]:
        """The type of a part, and where it stands."""
        owner = next((c for c in cls.__mro__ if part.name in inspect.get_annotations(c)), cls)
        at = At(self._names_in(owner, owner.__name__), depth)
        return substituted(evaluated(part.hint, at), bindings_of(hint).get(owner, {})), at

    def _names_in(self, owner: Any, name: str) -> Mapping[str, Any]:
        """What names mean where a class is declared."""
        module = vars(sys.modules.get(owner.__module__, types))
        local = "<locals>" in getattr(owner, "__qualname__", "")
        variables = {p.__name__: p for p in getattr(owner, "__type_params__", ())}
        around = {**module, **self._names} if local else {**self._names, **module}
        return {**around, **variables, name: owner}

    # -- validators -------------------------------------------------------------------------------

    def _checked(self, hint: Any, validator: Any, at: At) -> SearchStrategy[Any]:
        """Values of a type that a validator accepts, as far as the validator can be read."""
        checks = tuple(flattened(validator))
        optional = [check for check in checks if isinstance(check, OPTIONAL)]
        if optional:
            others = [check for check in checks if not isinstance(check, OPTIONAL)]
            inner = [check.validator for check in optional]
            some = without_none(stripped(hint, at))
            return st.none() | self._checked(some, [*inner, *others], at)
        made, kind = self._drawn(hint, checks, at), stripped(hint, at)
        for check in checks:
            if isinstance(check, NUMBER):
                made = made.filter(comparison_of(check, kind))
            elif isinstance(check, INSTANCE):
                made = made.filter(partial(is_instance, check.type))
        return made

    def _drawn(self, hint: Any, checks: tuple[Any, ...], at: At) -> SearchStrategy[Any]:
        options = [list(check.options) for check in checks if isinstance(check, IN)]
        if options:
            common = [o for o in options[0] if all(o in others for others in options)]
            return st.sampled_from(sorted(common, key=repr))  # a set has no order of its own
        bare = stripped(hint, at)
        kind = typing.get_origin(bare) or bare
        if checks and (kind in COLLECTIONS or kind in MAPPINGS):
            return self._collection(bare, at, checks)
        if checks and kind in LIMITED:
            return LIMITED[kind](checks)
        instances = [check.type for check in checks if isinstance(check, INSTANCE)]
        return self.of(instances[0] if kind is Any and instances else hint, at)


_REFUSED = object()


@st.composite
def _values(draw: Any, cls: Any, arguments: SearchStrategy[Any]) -> Any:
    """Composed, not mapped: Hypothesis then shows a value as a call of its class."""
    given = draw(arguments)
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:  # by a validator, a converter, a hook
        event(f"{cls.__qualname__} refused its arguments: {error}")
        return _REFUSED


def _was_accepted(value: object) -> bool:
    return value is not _REFUSED
