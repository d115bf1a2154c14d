"""Hypothesis strategies for intents.

``intents(SendEmail)`` makes values of one class, ``intents()`` of every one that is declared: fields
as ``st.from_type`` makes them, within what the validators of attrs allow. No float or ``Decimal``
among them is a NaN, and no ``Decimal`` is infinite, so that each value equals its copies.

``st.from_type`` knows ``airlock.Json``, ``airlock.Options`` and ``airlock.Intent`` once airlock and
Hypothesis are imported. What you register for a class of yours, ``intents`` uses.
"""

from __future__ import annotations

import datetime as dt
import inspect
import operator
import pathlib
import sys
import typing
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, TypeVar, Union, overload

from attrs import validators

from airlock.effects.fields import UNIONS, Field, Unresolved, bare, fields_of, has_fields
from airlock.effects.function import EffectFunction
from airlock.effects.intent import Intent
from airlock.effects.json import Json
from airlock.effects.options import Options
from airlock.effects.place import shown
from airlock.effects.registry import declared, spec_of
from airlock.errors import DeclarationError, MissingExtraError

try:
    from hypothesis import event, reject
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    if (error.name or "").partition(".")[0] != "hypothesis":
        raise
    raise MissingExtraError("airlock.testing.strategies", "hypothesis", "testing") from None

__all__ = ["OURS", "intents", "strategy_of"]

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
    """Make values of intent classes, to be given to ``@given``.

    Annotations are read, and validators of attrs where they can be (``in_``, ``ge``, ``min_len``,
    ``matches_re``, ``optional`` and their like); what a class refuses with a ``ValueError`` or
    ``TypeError`` is drawn again. Hypothesis shows what it made up in full, sensitive fields too.

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
    """Make values as ``intents`` does, given the local names that annotations may use."""
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
    """Read annotations when the first value is drawn: they may name what comes later."""
    return st.deferred(lambda: _made(cls, given, names))


def _made(
    cls: Any, given: Mapping[str, SearchStrategy[Any]], names: Mapping[str, Any]
) -> SearchStrategy[Any]:
    return st.from_type(cls) if not given and _registered(cls) else _built(cls, given, names, ())


def _given(cls: Any, fields: Mapping[str, Any]) -> dict[str, SearchStrategy[Any]]:
    """Return strategies by argument."""
    origin = typing.get_origin(cls) or cls
    taken = [field for field in fields_of(origin) if field.init]
    arguments = {name: field.key for field in taken for name in (field.name, field.key)}
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
        arguments[name]: value if isinstance(value, SearchStrategy) else st.just(value)
        for name, value in fields.items()
    }


def _of_every_class() -> SearchStrategy[Any]:
    def every() -> SearchStrategy[Any]:  # a new function each time: `deferred` knows the old ones
        made = []
        for cls in declared():
            with suppress(DeclarationError):
                made.append(_made(cls, {}, {}))
        if not made:
            raise DeclarationError(
                "intents(): no intent is declared, or none whose annotations say how to make it. "
                "Import the module that declares them, or name classes: intents(SendEmail)."
            )
        return st.one_of(made)

    return st.deferred(every)


# -- what Hypothesis knows of airlock -------------------------------------------------------------


def _documents() -> SearchStrategy[Json]:
    floats = st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | st.integers() | floats | st.text()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ).map(Json)


def _options() -> SearchStrategy[Options]:
    texts = st.none() | st.text()
    return st.builds(
        Options,
        id=st.none() | st.uuids(),
        delay=st.none() | st.timedeltas(min_value=dt.timedelta(0)),
        ordering_key=texts,
        dedupe_key=texts,
        headers=st.none() | st.dictionaries(st.text(), st.text(), max_size=3),
    )


OURS: dict[Any, Callable[[], SearchStrategy[Any]]] = {
    Json: _documents,
    Options: _options,
    Intent: intents,
}
"""Strategies of airlock's own types, for ``st.from_type`` too."""


def _registered(kind: Any) -> bool:
    """Return True if somebody has registered a strategy for a class."""
    # There is no public way to ask. Without this one, what users register would be overlooked.
    lookup = sys.modules.get("hypothesis.strategies._internal.types")
    return kind in getattr(lookup, "_global_type_lookup", {})


# -- from annotations to values -------------------------------------------------------------------

_offsets = st.integers(-48, 56).map(lambda n: dt.timezone(n * dt.timedelta(minutes=15)))
_zones: Any = st.none() | _offsets  # every one in use
# A day from either end of time, so that each can be converted to any zone.
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=_zones)  # noqa: DTZ001 - of any zone
PATHS = st.lists(st.from_regex("[a-z0-9]{1,8}", fullmatch=True), max_size=3).map("/".join)
EXACT: dict[Any, tuple[SearchStrategy[Any], SearchStrategy[Any]]] = {
    float: (st.floats(), st.floats(allow_nan=False)),
    complex: (st.complex_numbers(), st.complex_numbers(allow_nan=False)),
    Decimal: (st.decimals(), st.decimals(allow_nan=False, allow_infinity=False)),
    dt.datetime: (st.datetimes(), MOMENTS),
}
"""The strategy of Hypothesis, and the strategy in its place."""
ANYTHING = st.none() | st.booleans() | st.integers() | st.text()
HASHABLE = {
    **dict.fromkeys((abc.Sequence, abc.Collection, abc.Iterable, abc.Reversible), tuple),
    abc.Set: frozenset,
}
"""Collections that stand for abstract ones."""
NESTED = 2
"""Number of nested classes from which a class is no longer nested in itself."""


class UnknownTypeError(Exception):
    """A type that does not say how to make a value; becomes an error that names the field."""


def _built(
    hint: Any,
    given: Mapping[str, SearchStrategy[Any]],
    names: Mapping[str, Any],
    around: tuple[Any, ...],
) -> SearchStrategy[Any]:
    """Make values of a class with fields, inside the classes *around*.

    Args:
        hint: the class, or a generic one with its arguments.
        given: strategies of some fields, by argument.
        names: the local names that annotations may use.
        around: the classes that hold this one.
    """
    cls = typing.get_origin(hint) or hint
    if cls in around and len(around) >= NESTED:
        return st.nothing()  # collections of it are empty, and what is optional is None
    drawn = dict(given)
    for field in fields_of(hint, names):
        if field.init and field.key not in given:
            try:
                read = _read(_accepted(field), names, (*around, cls))
                drawn[field.key] = _checked(read, tuple(_flattened(field.validator)), field)
            except UnknownTypeError as unknown:
                if field.required:
                    raise _refusal(cls, field, unknown) from None
    return st.builds(_calling(cls), **drawn)


def _accepted(field: Field) -> Any:
    """Return what an argument may be: what the converter takes, if it says so, or the field's type."""
    converter: Any = getattr(field.converter, "converter", field.converter)
    with suppress(TypeError, ValueError, NameError, StopIteration):  # it has no signature to read
        first = next(iter(inspect.signature(converter).parameters))
        if first in (hints := typing.get_type_hints(converter)):
            return hints[first]
    return field.type


def _read(hint: Any, names: Mapping[str, Any], around: tuple[Any, ...]) -> Any:
    """Return a type with strategies of ours in it where Hypothesis would take others."""
    if isinstance(hint, Unresolved):
        why = f"the annotation {hint.annotation!r} cannot be resolved ({hint.problem})"
        raise UnknownTypeError(why)
    kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if (ours := _leaf(kind)) is not None:
        return Annotated[kind, ours]
    if kind in (typing.Literal, Annotated):
        return hint
    inner = tuple(arg if arg is ... else _read(arg, names, around) for arg in args)
    if has_fields(kind) and not _registered(kind):
        return Annotated[kind, _built(kind[inner] if args else kind, {}, names, around)]
    if kind in UNIONS:
        return Union[inner]  # noqa: UP007 - of a tuple
    if kind is typing.Final:
        return inner[0]
    made = HASHABLE.get(kind, kind)
    if made is tuple is not kind:
        inner = (*inner, ...)
    return made[inner] if args else hint


def _leaf(kind: Any) -> SearchStrategy[Any] | None:
    """Return values of ours, for a type of which Hypothesis makes none, or others."""
    if kind in (Any, object, abc.Hashable):
        return ANYTHING
    if kind in EXACT:
        default, exact = EXACT[kind]
        registered = st.from_type(kind)  # another one than that of Hypothesis is the user's
        return exact if repr(registered) == repr(default) else registered
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath) and not _registered(kind):
        return PATHS.map(kind)
    return None


def _of_type(hint: Any) -> SearchStrategy[Any]:
    try:
        made = st.from_type(hint)
        made.validate()
    except (HypothesisException, TypeError) as error:
        raise UnknownTypeError(f"there is no strategy for {hint!r} ({error})") from None
    return made


def _calling(cls: Any) -> Callable[..., Any]:
    """Return a function that makes a value, or has other arguments drawn if the class refuses."""

    def make(**given: Any) -> Any:
        try:
            return cls(**given)
        except (TypeError, ValueError) as error:  # by a validator, a converter, a hook
            event(f"{cls.__qualname__} refused its arguments: {error}")
            reject()

    make.__name__ = cls.__name__  # Hypothesis shows a value as a call of it
    return make


def _refusal(cls: Any, field: Field, unknown: UnknownTypeError) -> DeclarationError:
    return DeclarationError(
        f"cannot make values for {cls.__qualname__}.{field.name}: {unknown}. Give a strategy, "
        f"intents(..., {field.name}=...) if it is a field of the intent itself, or register one "
        f"for the type: st.register_type_strategy({cls.__name__}, ...)."
    )


# -- what validators allow ------------------------------------------------------------------------

_AND: Any = type(validators.and_(validators.in_(())))
OPTIONAL: Any = type(validators.optional(validators.in_(())))
IN: Any = type(validators.in_(()))
INSTANCE: Any = type(validators.instance_of(int))
NUMBER: Any = type(validators.ge(0))
MIN: Any = type(validators.min_len(0))
MAX: Any = type(validators.max_len(0))
DEEP: Any = type(validators.deep_iterable(validators.in_(())))
REGEX: Any = type(validators.matches_re(""))

# ``bound <= value`` for ``ge(bound)``: the form that Hypothesis turns into a range.
MIRRORED = {">=": operator.le, ">": operator.lt, "<=": operator.ge, "<": operator.gt}
RANGES: dict[Any, Callable[..., SearchStrategy[Any]]] = {
    Decimal: partial(st.decimals, allow_nan=False, allow_infinity=False),
    dt.timedelta: st.timedeltas,
    dt.date: st.dates,
    dt.datetime: st.datetimes,
}
"""Strategies of types that Hypothesis cannot limit afterwards, as it does numbers."""


def _flattened(validator: Any) -> Iterator[Any]:
    """Yield the validators that one stands for."""
    if isinstance(validator, _AND):
        validator = validator._validators  # noqa: SLF001 - attrs has no other name for them
    if isinstance(validator, list | tuple):
        for inner in validator:
            yield from _flattened(inner)
    elif validator is not None:
        yield validator
        yield from _flattened(getattr(validator, "iterable_validator", None))


def _checked(hint: Any, checks: tuple[Any, ...], field: Field) -> SearchStrategy[Any]:
    """Make values of a type that validators accept, as far as these can be read."""
    optional = [check for check in checks if isinstance(check, OPTIONAL)]
    if optional:
        others = [check for check in checks if not isinstance(check, OPTIONAL)]
        inner = [part for check in optional for part in _flattened(check.validator)]
        if typing.get_origin(hint) in UNIONS:
            hint = Union[tuple(h for h in typing.get_args(hint) if h is not type(None))]  # noqa: UP007 - of a tuple
        return st.none() | _checked(hint, (*inner, *others), field)
    made = _drawn(hint, checks, field)
    for check in checks:
        if isinstance(check, NUMBER) and bare(hint) in (int, float):
            made = made.filter(partial(MIRRORED[check.compare_op], check.bound))
        elif isinstance(check, NUMBER | INSTANCE):
            made = made.filter(partial(_passes, check, field))
    return made


def _passes(check: Any, field: Field, value: Any) -> bool:
    try:
        check(None, field, value)
    except (TypeError, ValueError):
        return False
    return True


def _drawn(hint: Any, checks: tuple[Any, ...], field: Field) -> SearchStrategy[Any]:
    options = [list(check.options) for check in checks if isinstance(check, IN)]
    if options:
        common = [o for o in options[0] if all(o in others for others in options)]
        return st.sampled_from(sorted(common, key=repr))  # a set has no order of its own
    kind, args = typing.get_origin(bare(hint)) or bare(hint), typing.get_args(bare(hint))
    instances = [check.type for check in checks if isinstance(check, INSTANCE)]
    if kind is Any and instances:
        hint = instances[0]
    for check in checks:
        if isinstance(check, REGEX) and kind in (str, bytes):
            return st.from_regex(check.pattern, fullmatch=check.match_func.__name__ == "fullmatch")
    sizes: dict[str, Any] = {
        "min_size": max((c.min_length for c in checks if isinstance(c, MIN)), default=0),
        "max_size": min((c.max_length for c in checks if isinstance(c, MAX)), default=None),
    }
    if kind in (str, bytes) and any(sizes.values()):
        return st.text(**sizes) if kind is str else st.binary(**sizes)
    if checks and kind is dict and args:
        return st.dictionaries(*map(_of_type, args), **sizes)
    if checks and kind in (tuple, frozenset, list, set) and args and args[1:] in ((), (...,)):
        members = [check.member_validator for check in checks if isinstance(check, DEEP)]
        element = _checked(args[0], tuple(_flattened(members)), field)
        return st.lists(element, unique=kind in (frozenset, set), **sizes).map(kind)
    bounds = [check for check in checks if isinstance(check, NUMBER)]
    return _between(RANGES[kind], bounds) if kind in RANGES and bounds else _of_type(hint)


def _between(make: Callable[..., SearchStrategy[Any]], bounds: list[Any]) -> SearchStrategy[Any]:
    lowest = [check.bound for check in bounds if ">" in check.compare_op]
    highest = [check.bound for check in bounds if "<" in check.compare_op]
    ends: dict[str, Any] = {
        **({"min_value": max(lowest)} if lowest else {}),
        **({"max_value": min(highest)} if highest else {}),
    }
    zones = {getattr(end, "tzinfo", None) for end in ends.values()} - {None}
    if zones:
        naive = {name: end.replace(tzinfo=None) for name, end in ends.items()}
        return make(**naive, timezones=st.just(zones.pop()))
    return make(**ends)
