"""Types that msgspec carries as they are: the same JSON as cattrs' hooks here, and as strictly.

msgspec takes a ``Decimal`` from a number, a ``UUID`` without hyphens, a ``datetime`` without a zone,
and an item of a set twice; it rounds integers to floats; and what it writes it does not check. So
it reads what none of these is in, and it writes what has been found to fit its annotations.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import msgspec

from airlock.effects.fields import Field, has_fields
from airlock.wire.choices import by_value
from airlock.wire.compounds import is_record
from airlock.wire.hints import bare
from airlock.wire.leaves import LEAVES
from airlock.wire.unions import is_tagged, is_union, members_of

if TYPE_CHECKING:
    from airlock.wire.converter import WireConverter

__all__ = ["Fits", "fits", "is_flat", "is_read", "writer"]

Fits = Callable[[Any], bool]


# -- reading --------------------------------------------------------------------------------------


def is_read(hint: Any, converter: WireConverter) -> bool:
    """Return True if msgspec reads a type as the hooks do."""
    if not _is_read(hint, converter, set()):
        return False
    try:
        msgspec.json.Decoder(hint)
    except Exception:  # noqa: BLE001 - it says that it does not know the type, in several ways
        return False
    return True


def _is_read(hint: Any, converter: WireConverter, seen: set[Any]) -> bool:
    hint = bare(hint)
    kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in seen or kind is typing.Literal:
        return True
    seen.add(hint)
    if kind in converter.leaves:
        return kind in _READ and converter.leaves[kind] is LEAVES[kind]
    if is_union(hint):
        inner = members_of(hint)
        if is_tagged(inner, converter):
            return False
    elif kind in (tuple, list):
        inner = [one for one in args if one is not Ellipsis]
    elif kind is dict:
        inner = [args[1]]
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _is_plain_enum(kind)
    elif _is_plain_class(hint, converter):
        inner = [member.type for member in converter.arguments_of(hint)]
    else:
        return False
    return all(_is_read(one, converter, seen) for one in inner)


_READ = (type(None), bool, int, str, bytes, date)


def _is_plain_enum(cls: type[enum.Enum]) -> bool:
    made: Any = cls._missing_
    return not issubclass(cls, enum.Flag) and by_value(cls) and made.__func__ is _MISSING


_MISSING: Any = vars(enum.Enum)["_missing_"].__func__


def _is_plain_class(cls: Any, converter: WireConverter) -> bool:
    """Return True if a class stores its arguments as they are, under their own names."""
    if not has_fields(cls) or cls.__new__ is not object.__new__:
        return False
    if attrs.has(cls):
        made: Any = getattr(cls.__init__, "__code__", None)
        plain = getattr(made, "co_filename", "").startswith(("<attrs generated", "<airlock init"))
        plain = plain and all(a.converter is None and a.init for a in attrs.fields(cls))
        plain = plain and _has_only(cls, {a.name for a in attrs.fields(cls)})
    else:
        made = vars(cls).get("__dataclass_params__")
        plain = made is not None and made.init and all(f.init for f in dataclasses.fields(cls))
    return plain and _is_typed_alike(cls, converter.arguments_of(cls))


def _has_only(cls: Any, names: set[str]) -> bool:
    """Return True if values can hold nothing else: of attrs classes msgspec writes what they hold.

    A cached hash, which msgspec does not set, and cached properties would be there, too.
    """
    slots = {name for base in cls.__mro__ for name in getattr(base, "__slots__", ())}
    return not cls.__dictoffset__ and slots <= names | {"__weakref__"}


def _is_typed_alike(cls: type[Any], declared: list[Field]) -> bool:
    """Return True if msgspec finds the same fields, by the same names and of the same types."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - whatever is wrong with a name
        return False
    return all(
        member.key == member.name
        and not member.name.startswith("_")
        and bare(hints.get(member.name, Any)) == bare(member.type)
        for member in declared
    )


# -- writing --------------------------------------------------------------------------------------


def fits(hint: Any, converter: WireConverter) -> Fits:
    """Return a test for values that msgspec writes as the hooks would."""
    return _fits(hint, converter, {}) or _never


def _never(_: object) -> bool:
    return False


def _fits(hint: Any, converter: WireConverter, made: dict[Any, Fits]) -> Fits | None:
    hint = bare(hint)
    kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in made:  # in itself
        return made[hint]
    if kind in converter.leaves:
        return _FITS.get(kind) if converter.leaves[kind] is LEAVES.get(kind) else None
    if kind is typing.Literal:
        known = {(type(value), value) for value in args}
        return lambda value: (type(value), value) in known
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _is_a(kind) if by_value(kind) and not issubclass(kind, enum.Flag) else None
    made[hint] = lambda value: bool(test and test(value))
    test: Fits | None = None
    if is_union(hint):
        test = _fits_one(members_of(hint), converter, made)
    elif kind in (tuple, list) and args and not is_record(hint):
        test = _fits_each(kind, _fits(args[0], converter, made))
    elif _is_plain_class(hint, converter):
        test = _fits_class(hint, converter, made)
    return test


def _is_a(cls: type[Any]) -> Fits:
    return lambda value: value.__class__ is cls


_FITS: dict[Any, Fits] = {
    cls: _is_a(cls) for cls in (type(None), bool, int, str, bytes, date, UUID)
}
_FITS[Decimal] = lambda value: value.__class__ is Decimal and value.is_finite()
_FITS[float] = lambda value: value.__class__ is float and isfinite(value)


def _fits_one(hints: list[Any], converter: WireConverter, made: dict[Any, Fits]) -> Fits | None:
    tests = [_fits(one, converter, made) for one in hints]
    if None in tests or is_tagged(hints, converter):
        return None
    return lambda value: any(test(value) for test in tests if test)


def _fits_each(cls: type[Any], test: Fits | None) -> Fits | None:
    return test and (lambda value: value.__class__ is cls and all(map(test, value)))


def _fits_class(cls: type[Any], converter: WireConverter, made: dict[Any, Fits]) -> Fits | None:
    names: dict[str, Any] = {}
    condition = _condition(cls, converter, made, names)
    if condition is None:
        return None
    fits: Fits = eval(f"lambda value: {condition}", names)  # noqa: S307 - names of fields only
    return fits


def _condition(
    cls: type[Any], converter: WireConverter, made: dict[Any, Fits], names: dict[str, Any]
) -> str | None:
    """Return the test of a class as an expression about ``value``, and set the names in it."""
    terms = ["value.__class__ is cls"]
    for i, member in enumerate(converter.arguments_of(cls)):
        test, kind = _fits(member.type, converter, made), bare(member.type)
        if test is None:
            return None
        if kind in (int, str, bool):  # in place, as a call takes longer than the test
            terms.append(f"value.{member.name}.__class__ is {kind.__name__}")
        elif kind is Decimal:
            terms.append(f"(x := value.{member.name}).__class__ is Decimal and x.is_finite()")
        else:
            names[f"test{i}"] = test
            terms.append(f"test{i}(value.{member.name})")
    names |= {"cls": cls, "Decimal": Decimal}
    return " and ".join(terms)


def is_flat(cls: type[Any], converter: WireConverter) -> bool:
    """Return True if no value of a class is a collection in JSON."""
    kinds = [bare(member.type) for member in converter.arguments_of(cls)]
    return all(kind in _FITS and converter.leaves[kind] is LEAVES[kind] for kind in kinds)


def writer(cls: type[Any], converter: WireConverter, head: bytes | None = None) -> Any:
    """Return the function from an intent to what msgspec writes: the intent itself if it fits.

    With a head, the function returns the text that begins with it and ends with a brace. It is
    compiled, with the test of the class in place: it is what is done most.
    """
    names = {"head": head, "encode": msgspec.json.Encoder().encode, "write": converter.write(cls)}
    fits = _condition(cls, converter, {}, names) if _is_plain_class(cls, converter) else None
    data = f"value if {fits} else write(value)" if fits else "write(value)"
    made = data if head is None else f"head + encode({data}) + b'}}'"
    return eval(f"lambda value: {made}", names)  # noqa: S307 - as above
