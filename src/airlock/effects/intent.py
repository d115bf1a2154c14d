"""``@intent``: declare an effect as a frozen, slotted, hashable attrs value."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import takewhile
from operator import attrgetter
from types import FrameType, MappingProxyType
from typing import (
    Any,
    ClassVar,
    Protocol,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_origin,
    overload,
)

import attrs

from airlock.effects.celery import celery_hint
from airlock.effects.describe import stable_repr
from airlock.effects.fast_init import speed_up
from airlock.effects.fields import Unresolved, fields_of, has_fields
from airlock.effects.json import Json
from airlock.effects.place import Place, declaration, shown
from airlock.effects.registry import KNOWN, IntentSpec, describe, register, spec_of
from airlock.effects.values import INSIST, problems
from airlock.errors import (
    DeclarationError,
    FieldError,
    NotAnIntentError,
)

__all__ = [
    "Around",
    "Intent",
    "admit",
    "asdict",
    "build_intent",
    "field",
    "field_error",
    "intent",
    "replace",
    "resolve_late",
]

T = TypeVar("T")
C = TypeVar("C", bound="type[Any]")


class Intent(Protocol):
    """Any value of an ``@intent`` class, for annotations.

    Type checkers see ``__dataclass_fields__`` on every class that ``@intent`` makes, so this tells
    intents from ints, callables and *classes*. It is never looked up at run time.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]


IntentT = TypeVar("IntentT", bound=Intent)

_Validator: TypeAlias = Callable[[Any, "attrs.Attribute[T]", T], object]
_Converter: TypeAlias = (
    "Callable[[Any], T] | attrs.Converter[Any, T] | Sequence[Callable[[Any], Any]]"
)


_unresolved: dict[type[Any], Around] = {}
"""Classes with annotations that name what was not there yet, and where they were declared."""


@overload
def field(
    *,
    default: T,
    validator: _Validator[T] | Sequence[_Validator[T]] | None = ...,
    converter: _Converter[T] | None = ...,
    repr: bool | Callable[[Any], str] = ...,
    hash: bool | None = ...,
    eq: bool | Callable[[Any], Any] | None = ...,
    kw_only: bool = ...,
    alias: str | None = ...,
    metadata: Mapping[Any, Any] | None = ...,
    sensitive: bool = ...,
) -> T: ...
@overload
def field(
    *,
    factory: Callable[[], T],
    validator: _Validator[T] | Sequence[_Validator[T]] | None = ...,
    converter: _Converter[T] | None = ...,
    repr: bool | Callable[[Any], str] = ...,
    hash: bool | None = ...,
    eq: bool | Callable[[Any], Any] | None = ...,
    kw_only: bool = ...,
    alias: str | None = ...,
    metadata: Mapping[Any, Any] | None = ...,
    sensitive: bool = ...,
) -> T: ...
@overload
def field(
    *,
    validator: _Validator[T] | Sequence[_Validator[T]] | None = ...,
    converter: _Converter[T],
    repr: bool | Callable[[Any], str] = ...,
    hash: bool | None = ...,
    eq: bool | Callable[[Any], Any] | None = ...,
    kw_only: bool = ...,
    alias: str | None = ...,
    metadata: Mapping[Any, Any] | None = ...,
    sensitive: bool = ...,
) -> T: ...
@overload
def field(
    *,
    validator: _Validator[Any] | Sequence[_Validator[Any]] | None = ...,
    converter: None = ...,
    repr: bool | Callable[[Any], str] = ...,
    hash: bool | None = ...,
    eq: bool | Callable[[Any], Any] | None = ...,
    kw_only: bool = ...,
    alias: str | None = ...,
    metadata: Mapping[Any, Any] | None = ...,
    sensitive: bool = ...,
) -> Any: ...
def field(*, sensitive: bool = False, **options: Any) -> Any:
    """``attrs.field`` for intents, with ``sensitive=True``.

    Args:
        sensitive: the value is shown as ``<hidden>`` in ``repr``, and so in reports, logs and
            diffs; handlers get it.
        **options: default, factory, validator, converter, repr, hash, eq, kw_only, alias and
            metadata, as ``attrs.field`` takes them. ``hash=False`` leaves the field out of the hash,
            and out of the check that its type is immutable. Type checkers want arguments of the
            field's type, so a converter has to take these.

    Raises:
        DeclarationError: another option: an intent is frozen, unordered, and made of its arguments.

    Example:
        >>> @intent
        ... class ChargeCard:
        ...     card: str = field(sensitive=True)
        >>> ChargeCard("4111 1111 1111 1111")
        ChargeCard(card=<hidden>)
    """
    for name in options:
        if name not in _OPTIONS:
            raise DeclarationError(
                f"airlock.field({name}=...): {_REFUSED.get(name, 'there is no such option')}. It takes "
                f"{', '.join(_OPTIONS)} and sensitive."
            )
    if sensitive:
        options["repr"] = _hidden
        options["metadata"] = {**(options.get("metadata") or {}), "airlock.sensitive": True}
    return attrs.field(**options)


_OPTIONS = (
    *("default", "factory", "validator", "converter", "repr"),
    *("hash", "eq", "kw_only", "alias", "metadata"),
)
_REFUSED = {
    "init": "an intent is made of its arguments, on the wire too: compute the value before, in a "
    "classmethod, or give a default",
    "order": "intents have no order",
    "on_setattr": "intents are frozen",
    "type": "annotate the field",
    "cmp": "write eq",
}


def _hidden(_: object) -> str:
    return "<hidden>"


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, field))
def intent(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, field))
def intent(
    *, kind: str | None = None, version: int = 1, kw_only: bool = False
) -> Callable[[type[T]], type[T]]: ...
def intent(
    cls: Any = None, /, *, kind: str | None = None, version: int = 1, kw_only: bool = False
) -> Any:
    """Declare an effect as a value: frozen, slotted, hashable, compared by its fields.

    Args:
        cls: a class with annotated fields.
        kind: stable name; the default is ``module.qualname``. Give one before intents are stored.
        version: of the fields, an int from 1.
        kw_only: make every field keyword-only.

    Returns:
        The attrs class (attrs replaces the class, because slots cannot be added later).

    Raises:
        FieldError: a field is mutable, an ORM model, code, ``_private`` without an alias, or not
            annotated.
        DuplicateKindError: another class has this kind and version.
        DeclarationError: the class cannot be an intent at all.

    Example:
        >>> @intent(kind="shop.confirmation-email", version=1)
        ... class SendConfirmationEmail:
        ...     order_id: int
        ...     to: str
        >>> SendConfirmationEmail(42, to="a@example.org")
        SendConfirmationEmail(order_id=42, to='a@example.org')
    """
    place = declaration()
    names = Around(sys._getframe(1))

    def declare(cls: type[T]) -> type[T]:
        return build_intent(
            cls, kind=kind, version=version, kw_only=kw_only, place=place, names=names
        )

    return declare if cls is None else declare(cls)


def build_intent(
    cls: type[T],
    *,
    kind: str | None,
    version: int,
    kw_only: bool,
    place: Place,
    names: Around,
) -> type[T]:
    """Check a plain class, make it an attrs class, and register it."""
    _check_class(cls, kind, version, place)
    _check_names(cls, place)
    try:
        built: Any = attrs.frozen(
            cls,
            kw_only=kw_only,
            weakref_slot=False,
            auto_attribs=True,
            field_transformer=_json_fields,
        )
    except attrs.exceptions.UnannotatedAttributeError as error:
        raise DeclarationError(
            f"{cls.__qualname__} (declared at {shown(place)}): {error} Annotate each "
            "field: name: type = airlock.field(...)."
        ) from None
    except (TypeError, ValueError) as error:  # of attrs, or of the layout of a base class
        raise DeclarationError(
            f"{cls.__qualname__} (declared at {shown(place)}) cannot be an intent: {error}."
        ) from error
    spec = IntentSpec(kind or f"{cls.__module__}.{cls.__qualname__}", version, place)
    _check_private(built, place)
    _check_decorated(built, place)
    _check_inherited(built, place)
    _check_hash(built, place)
    problem = _problem(built, names, place)
    if problem is not None and not problem.later:
        raise problem.error
    register(built, spec)
    type.__setattr__(built, "__intent__", spec)
    if problem is not None:
        _unresolved[built] = names
    else:
        KNOWN.add(built)
    fast: type[T] = speed_up(built)
    return fast


def _check_class(cls: Any, kind: object, version: object, place: Place) -> None:
    where = f"(declared at {shown(place)})"
    if not isinstance(cls, type):
        hint = " For a function use @airlock.effect." if callable(cls) else ""
        raise DeclarationError(f"@intent takes a class, not {describe(cls)} {where}.{hint}")
    name = cls.__qualname__
    if "__attrs_attrs__" in vars(cls) or "__dataclass_fields__" in vars(cls):
        raise DeclarationError(
            f"{name} is an attrs class or a dataclass already {where}: @intent makes the class "
            "itself. Remove the other decorator."
        )
    if issubclass(cls, BaseException | type):
        raise DeclarationError(
            f"{name} {where} is an exception or a metaclass, not a value. "
            "Declare a class of its own, with the facts to report as fields."
        )
    if issubclass(cls, _CONTENTS):
        raise DeclarationError(
            f"{name} {where} has a base class with a value of its own, which is no field. Declare a "
            "class without it, with that value as a field."
        )
    if hasattr(cls, "__post_init__"):
        raise DeclarationError(
            f"{name} {where} has __post_init__, which only dataclasses call. Name it "
            "__attrs_post_init__, or check values with airlock.field(validator=...)."
        )
    if not (kind is None or (isinstance(kind, str) and kind)):
        raise DeclarationError(f"kind of {name} {where} must be a non-empty str, not {kind!r}.")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DeclarationError(f"version of {name} {where} must be an int from 1, not {version!r}.")


_CONTENTS = (tuple, list, dict, set, frozenset, str, bytes, bytearray, int, float, complex, Enum)


def _json_fields(_: type[Any], fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Give fields of type Json a validator: a dict passed there should fail at once, with a hint."""
    json_types = (Json, "Json", "airlock.Json")
    return [
        f.evolve(validator=_is_json) if f.type in json_types and f.validator is None else f
        for f in fields
    ]


def _is_json(instance: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Json):
        raise TypeError(
            f"{type(instance).__qualname__}.{attribute.name} takes an airlock.Json, not "
            f"{type(value).__qualname__}: wrap it, Json(...)."
        )


def _check_names(cls: type[Any], place: Place) -> None:
    for name in inspect.get_annotations(cls):
        if not name.strip("_"):
            raise FieldError(
                cls.__qualname__,
                name,
                "has no name",
                "Rename it; for keyword-only fields write @intent(kw_only=True).",
                shown(place),
            )


def _check_private(built: Any, place: Place) -> None:
    for attribute in attrs.fields(built):
        name = attribute.name
        if name.startswith("_") and attribute.alias == name.lstrip("_"):
            raise FieldError(
                built.__qualname__,
                name,
                "is private, and type checkers disagree about the name of its argument",
                f"Rename it to {name.lstrip('_')!r}; or name its argument as the field is named: "
                f"{name}: ... = airlock.field(alias={name!r}).",
                shown(place),
            )


def _check_decorated(built: Any, place: Place) -> None:
    """Refuse ``@text.validator`` and ``@text.default``: type checkers take ``text`` for its value."""
    methods = [value for value in vars(built).values() if inspect.isfunction(value)]
    for attribute in attrs.fields(built):
        validators = getattr(attribute.validator, "_validators", (attribute.validator,))
        factory = getattr(attribute.default, "factory", None)
        for used, option in ((validators, "validator=..."), ((factory,), "factory=...")):
            if any(method is one for method in methods for one in used):
                raise FieldError(
                    built.__qualname__,
                    attribute.name,
                    "gets its validator or default from a method of the class, which no type checker "
                    "understands",
                    f"Write airlock.field({option}) with a function that is defined above the class.",
                    shown(place),
                )


def _check_inherited(built: Any, place: Place) -> None:
    """Refuse base classes with annotations that do not become fields: dataclasses, plain classes."""
    known = {attribute.name for attribute in attrs.fields(built)}
    for base in built.__mro__[1:]:
        if base.__module__ in _OF_PYTHON:
            continue
        lost = [
            name
            for name, hint in inspect.get_annotations(base).items()
            if name not in known and not _is_class_var(hint) and not _is_above(built, base, name)
        ]
        if lost:
            made = "dataclass" if "__dataclass_fields__" in vars(base) else "class"
            raise DeclarationError(
                f"{built.__qualname__} (declared at {shown(place)}) inherits {', '.join(lost)} of the "
                f"{made} {base.__qualname__}, and would not have what is annotated there: only "
                "intents and attrs classes pass their fields on. Make it an @intent, repeat the field "
                "here, or annotate what belongs to the class as ClassVar."
            )


_OF_PYTHON = frozenset({"builtins", "typing", "typing_extensions", "abc", "collections.abc"})


def _is_class_var(hint: Any) -> bool:
    if isinstance(hint, str):
        return re.match(r"(\w+\.)?ClassVar\b", hint) is not None
    return hint is ClassVar or get_origin(hint) is ClassVar


def _is_above(built: type[Any], base: type[Any], name: str) -> bool:
    """Return True if a class nearer than ``base`` defines an attribute: a property, say."""
    nearer = takewhile(lambda cls: cls is not base, built.__mro__)
    return any(name in vars(cls) for cls in nearer)


def _check_hash(built: Any, place: Place) -> None:
    if built.__hash__ is None:
        raise DeclarationError(
            f"{built.__qualname__} (declared at {shown(place)}) defines __eq__ and no __hash__, so "
            "that it cannot be hashed. Define both; or neither, and leave out of the comparison what "
            "does not matter: airlock.field(eq=False)."
        )


@attrs.frozen
class _Found:
    """A field that may not be; or, ``later``, one about which nothing can be known yet."""

    error: FieldError
    later: bool


def _problem(built: Any, names: Around, place: Place) -> _Found | None:
    """Resolve the types of all fields, as far as they can be, and look for one that may not be."""
    found: list[_Found] = []
    around = names()
    for attribute, field in zip(attrs.fields(built), fields_of(built, around), strict=True):
        if not isinstance(field.type, Unresolved) and attribute.type is not None:
            object.__setattr__(attribute, "type", field.type)  # as attrs.resolve_types does
        if not field.compared:
            continue
        for problem in problems(field.type, names=around):
            path = field.name + problem.path
            hint = problem.hint if problem.final else f"{problem.hint} {names.insist}"
            error = FieldError(built.__qualname__, path, problem.text, hint, shown(place))
            found.append(_Found(error, problem.later))
    return min(found, key=attrgetter("later"), default=None)


class Around:
    """The names around a declaration, now and whenever it is asked.

    In a function those of its frame, also of what it defines later, as long as it runs.

    Args:
        frame: where the declaration stands.
        others: names that count where the frame has none.
        insist: what the declaration can do about a type that is not a value.
    """

    def __init__(
        self,
        frame: FrameType,
        others: Mapping[str, Any] = MappingProxyType({}),
        insist: str = INSIST,
    ) -> None:
        self.insist = insist
        self._code = frame.f_code
        is_function = frame.f_locals is not frame.f_globals
        self._names = dict(frame.f_locals) if is_function else frame.f_globals
        self._others = others

    def __call__(self) -> Mapping[str, Any]:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self._code:
            frame = frame.f_back
        return {**self._others, **self._names, **({} if frame is None else frame.f_locals)}


def admit(value: Any) -> None:
    """Let ``value`` pass if its class is an intent after all; say what is wrong with it if not.

    The slow half of the check on emission: annotations with forward references are looked at here,
    once, when every name can be known.

    Raises:
        NotAnIntentError: it is no intent.
        FieldError: its class has a field that may not be.
    """
    cls: type[Any] = type(value)
    if (error := field_error(cls)) is not None:
        raise error
    if cls in KNOWN:
        return
    if isinstance(value, type) and value in KNOWN:
        raise NotAnIntentError(
            f"the class {value.__qualname__}",
            "an intent is a value of the class",
            f"Call it: {value.__qualname__}(...).",
        )
    base = next((b for b in cls.__mro__ if b in KNOWN), None)
    if base is not None:
        raise NotAnIntentError(
            f"a {cls.__qualname__}",
            f"it is an undecorated subclass of {base.__qualname__}, so its own fields are not "
            "part of the value",
            f"Decorate {cls.__qualname__} with @intent.",
        )
    if (hint := celery_hint(value)) is not None:
        raise NotAnIntentError(describe(value), "it belongs to Celery, and is not an intent", hint)
    if callable(value):
        raise NotAnIntentError(
            describe(value),
            "a callable cannot be compared, stored or reviewed",
            "Declare it with @airlock.effect and emit it with airlock.enqueue(fn, ...), or declare "
            "an @intent class and register the callable as its handler.",
        )
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        raise NotAnIntentError(
            describe(value),
            f"emit takes one intent, and this is a {cls.__qualname__}",
            "Emit all that is in it with emit_all(...), which takes any iterable of intents.",
        )
    raise NotAnIntentError(
        describe(value), "it is not an intent", "Declare its class with @intent."
    )


def field_error(cls: type[Any]) -> FieldError | None:
    """Return the first problem of a field of an intent class, once every name can be resolved.

    A type that cannot be found even now is wrong.
    """
    if cls not in _unresolved:
        return None
    problem = _problem(cls, _unresolved[cls], spec_of(cls).place)
    if problem is None:
        del _unresolved[cls]
        KNOWN.add(cls)
    return None if problem is None else problem.error


def resolve_late(cls: type[Any]) -> None:
    """Resolve annotations that name what was not declared yet, as far as it is by now.

    Raises:
        FieldError: a field may not be what its annotation turns out to say.
    """
    if cls in _unresolved:
        problem = _problem(cls, _unresolved[cls], spec_of(cls).place)
        if problem is not None and not problem.later:
            raise problem.error


def asdict(value: Intent, /, *, sensitive: bool = False) -> dict[str, Any]:
    """Convert an intent to a dict, for a template, a log or a JSON library.

    Values that are made of fields (intents, attrs classes, dataclasses, named tuples) become dicts
    too, ``Json`` its document, tuples and frozensets lists; everything else stays as it is.

    Args:
        value: an intent.
        sensitive: whether sensitive fields are in it; they are left out otherwise, however deep.

    Raises:
        DeclarationError: it is no intent.

    Example:
        >>> asdict(SendEmail("a@example.org"))
        {'to': 'a@example.org'}
    """
    spec_of(type(value))
    made: dict[str, Any] = _plain(value, sensitive=sensitive)
    return made


def _plain(value: Any, *, sensitive: bool) -> Any:
    if isinstance(value, Json):
        return value.value
    if has_fields(type(value)):
        return {
            field.name: _plain(getattr(value, field.name), sensitive=sensitive)
            for field in fields_of(type(value))
            if sensitive or not field.sensitive
        }
    if isinstance(value, frozenset):
        return [_plain(item, sensitive=sensitive) for item in sorted(value, key=stable_repr)]
    if isinstance(value, tuple):
        return [_plain(item, sensitive=sensitive) for item in value]
    return value


def replace(value: IntentT, /, **changes: Any) -> IntentT:
    """Return a copy of an intent with some fields changed.

    Args:
        value: an intent.
        **changes: new values by field name (by alias, where it has one).

    Raises:
        TypeError: a field does not exist.

    Example:
        >>> @intent
        ... class Reward:
        ...     order_id: int
        ...     points: int = 0
        >>> replace(Reward(7), points=5)
        Reward(order_id=7, points=5)
    """
    evolved: Any = attrs.evolve(value, **changes)  # type: ignore[misc]  # attrs, though checkers cannot see it
    return evolved  # type: ignore[no-any-return]  # as above: what went in
