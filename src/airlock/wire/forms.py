"""``Forms``: the form of any type, made when it is first asked for."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import RLock
from typing import Any

import attrs

from airlock.wire.choices import enum_form, literal_form
from airlock.wire.classes import OPEN, Manner, class_form, fill
from airlock.wire.compounds import array_form, mapping_form, record_form, set_form
from airlock.wire.form import Field, Form, Unwritable, pending
from airlock.wire.hints import UNBOUND, Member, bare, has_members, has_secrets, members, unfilled
from airlock.wire.leaves import LEAVES
from airlock.wire.unions import AmbiguousUnion, union_form

__all__ = ["Forms", "NoForm"]

_ARRAYS: Mapping[Any, tuple[tuple[type[Any], ...], Callable[[list[Any]], Any]]] = {
    tuple: ((tuple,), tuple),
    list: ((list,), list),
    collections.abc.Sequence: ((tuple, list), tuple),
}
_SETS: Mapping[Any, tuple[tuple[type[Any], ...], Callable[[list[Any]], Any]]] = {
    frozenset: ((frozenset,), frozenset),
    set: ((set,), set),
    collections.abc.Set: ((frozenset, set), frozenset),
}
_MAPPINGS: Mapping[Any, tuple[type[Any], ...]] = {
    dict: (dict,),
    collections.abc.Mapping: (collections.abc.Mapping,),
}
_COLLECTIONS = (*_ARRAYS, *_SETS, *_MAPPINGS)
_EMPTY = (tuple[()], typing.Tuple[()])  # noqa: UP006 - its other spelling
_DEFINITIONS = "#/$defs/"
_UNIONS = (typing.Union, types.UnionType)


class NoForm(Exception):  # noqa: N818 - internal; becomes an UnencodableError
    """A type that JSON has no form for.

    Attributes:
        path: of the field that has it.
        problem: what is wrong with it.
        hint: what to write instead.
    """

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.path = ""
        self.problem = problem
        self.hint = hint


class Forms:
    """The forms of types, each made once. Threads may share it.

    Args:
        custom: forms of types that airlock knows nothing of, by type.
        manner: how objects are read.
    """

    def __init__(
        self,
        custom: Mapping[Any, Form] = types.MappingProxyType({}),
        manner: Manner = OPEN,
    ) -> None:
        self._definitions: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self._custom = custom
        self._manner = manner
        self._ready: dict[Any, Form] = {}
        self._made: dict[Any, Form] = {}
        self._open: dict[Any, Form | None] = {}
        self._names: dict[str, Any] = {}
        self._lock = RLock()

    @property
    def definitions(self) -> dict[str, Mapping[str, Any]]:
        """JSON Schemas of the classes met so far, by name."""
        return {name: describe() for name, describe in dict(self._definitions).items()}

    def of(self, hint: Any) -> Form:
        """The form of a type.

        Raises:
            NoForm: it has none.
        """
        hint = bare(hint)
        if hint not in self._ready:
            with self._lock:
                self._ready[hint] = self._whole(hint)
        return self._ready[hint]

    def _whole(self, hint: Any) -> Form:
        before = dict(self._made)
        try:
            return self._form(hint)
        except BaseException as error:
            self._made = before  # what was half made would be found the next time
            if isinstance(error, RecursionError):
                raise NoForm("has a type without end", "Give it one that ends.") from None
            raise

    def _form(self, hint: Any) -> Form:
        kind = bare(hint)
        if kind in self._made:
            return self._made[kind]
        if kind in self._open:  # again, inside a class that holds itself, or inside an alias
            return self._make(kind) if hint is kind else self._again(hint, kind)
        self._open[kind] = None
        try:
            made = self._made[kind] = self._make(kind)
        finally:
            ahead = self._open.pop(kind)
        if ahead is not None:
            ahead.write, ahead.read, ahead.parts = made.write, made.read, made.parts
            name = str(ahead.schema["$ref"]).removeprefix(_DEFINITIONS)
            self._definitions[name] = lambda: made.schema
        return made

    def _again(self, hint: Any, kind: Any) -> Form:
        """The form of an alias that holds itself, where it does."""
        ahead = self._open[kind]
        if ahead is None:
            reference = _DEFINITIONS + self._name(hint)
            ahead = self._open[kind] = pending(_shown(kind), *_outline(kind), reference)
        return ahead

    def _make(self, hint: Any) -> Form:
        kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        known = self._custom.get(kind) or LEAVES.get(kind)
        if known is not None:
            return known
        if kind in _UNIONS:
            return self._union(args)
        if kind is typing.Literal:
            return literal_form(args) or _refuse(hint, "Literals are strings, integers, booleans.")
        if kind in _COLLECTIONS and (args or hint in _EMPTY):
            return self._collection(hint, kind, args)
        return self._of_class(hint, kind)

    def _of_class(self, hint: Any, kind: Any) -> Form:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return enum_form(kind) if len(kind) else _refuse(hint, "Give it members.")
        return self._class(hint, kind) if has_members(kind) else _refuse(hint, _why(hint))

    def _collection(self, hint: Any, kind: Any, args: tuple[Any, ...]) -> Form:
        if kind is tuple and args[-1:] != (Ellipsis,):
            items = [self._item(i, arg) for i, arg in enumerate(args)]
            return record_form(_shown(hint), items)
        if kind not in _MAPPINGS:
            make = array_form if kind in _ARRAYS else set_form
            return make(_shown(hint), self._item("", args[0]), *{**_ARRAYS, **_SETS}[kind])
        if bare(args[0]) is not str:
            return _refuse(hint, "Keys of JSON objects are strings: use a tuple of pairs.")
        return mapping_form(_shown(hint), self._item("", args[1]), _MAPPINGS[kind])

    def _item(self, segment: object, hint: Any) -> Form:
        try:
            return self._form(hint)
        except NoForm as none:
            none.path = f"[{segment}]{none.path}"
            raise

    def _union(self, args: tuple[Any, ...]) -> Form:
        try:
            return union_form([self._form(arg) for arg in _flat(args, set())])
        except AmbiguousUnion as union:
            raise NoForm(
                f"is a union whose members share a name ({union})", "Rename one of the classes."
            ) from None

    # -- classes ----------------------------------------------------------------------------------

    def _class(self, hint: Any, cls: type[Any]) -> Form:
        name = self._name(hint)
        form = self._made[hint] = class_form(hint, cls, _DEFINITIONS + name)
        declared = members(hint)
        asked = unfilled(cls, declared)
        if asked is not None:
            _refuse(hint, f"Its constructor asks for {asked!r}, which is no field of it.")
        fields = tuple(self._field(member) for member in declared)
        fill(form, fields, self._manner)
        self._definitions[name] = partial(_definition, form, declared, closed=self._manner.closed)
        return form

    def _field(self, member: Member) -> Field:
        try:
            form = self._form(member.hint)
        except NoForm as none:
            none.path = f".{member.key}{none.path}"
            raise
        secret = member.secret or has_secrets(member.hint)
        return Field(member.name, member.key, form, member.required, secret)

    def _name(self, hint: Any) -> str:
        """A name for ``$defs``: that of the class or alias, longer only where two have the same."""
        own = getattr(typing.get_origin(hint) or hint, "__name__", "Alias")
        words = [own, *(bare(a).__name__ for a in typing.get_args(hint) if _is_class(a))]
        name = "_".join(words)
        number = 2
        unique = name
        while self._names.setdefault(unique, bare(hint)) != bare(hint):
            unique, number = f"{name}_{number}", number + 1
        return unique


def _flat(hints: tuple[Any, ...], seen: set[Any]) -> Iterator[Any]:
    """The members of a union, each once; those of an alias of a union are members, too."""
    for hint in hints:
        kind = bare(hint)
        if kind in seen:
            continue
        seen.add(kind)
        if typing.get_origin(kind) in _UNIONS:
            yield from _flat(typing.get_args(kind), seen)
        else:
            yield hint


def _outline(hint: Any) -> tuple[frozenset[str], tuple[type[Any], ...]]:
    """Types of JSON and classes of a type that is being made, for unions that it is in."""
    kind = typing.get_origin(hint)
    if kind in _MAPPINGS:
        return frozenset({"object"}), _MAPPINGS[kind]
    arrays = {**_ARRAYS, **_SETS}
    return (frozenset({"array"}), arrays[kind][0]) if kind in arrays else (frozenset(), ())


def _definition(form: Form, declared: list[Member], *, closed: bool) -> dict[str, Any]:
    """The JSON Schema of a class."""
    pairs = zip(form.fields, declared, strict=True)
    return {
        "title": form.name,
        "type": "object",
        "properties": {field.key: _property(field, member) for field, member in pairs},
        "required": [field.key for field in form.fields if field.required],
        **({"additionalProperties": False} if closed else {}),
    }


def _property(field: Field, member: Member) -> Mapping[str, Any]:
    if field.secret or member.required or member.default is attrs.NOTHING:
        return field.form.schema
    try:
        return {**field.form.schema, "default": field.form.write(member.default)}
    except Unwritable:  # a default that its own annotation does not allow
        return field.form.schema


def _is_class(hint: Any) -> bool:
    return isinstance(bare(hint), type)


def _refuse(hint: Any, why: str) -> typing.NoReturn:
    raise NoForm(f"has the type {_shown(hint)}, which has no form on the wire", why)


def _why(hint: Any) -> str:
    if isinstance(hint, str | typing.ForwardRef):
        return "Declare what it names at the top of a module, and import that."
    if hint is UNBOUND:
        return "Bind the type variable: a subclass of Generic[int], say, with @intent."
    if hint in (Any, object):
        return "Use a type that says what is in it, or airlock.Json."
    return "Use a type that JSON has a form for, or give Wire(forms={...}) one for it."


def _shown(hint: Any) -> str:
    if hint is UNBOUND:
        return "TypeVar"
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__qualname__
    return str(getattr(hint, "__forward_arg__", hint)).replace("typing.", "")
