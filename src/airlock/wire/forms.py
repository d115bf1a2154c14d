"""``Forms``: the form of any type, made when it is first asked for."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

import attrs

from airlock.wire.choices import enum_form, literal_form
from airlock.wire.classes import OPEN, Manner, class_form, fill
from airlock.wire.compounds import (
    AmbiguousUnion,
    array_form,
    mapping_form,
    record_form,
    set_form,
    union_form,
)
from airlock.wire.form import Field, Form, Unwritable
from airlock.wire.hints import UNBOUND, Member, bare, has_members, members
from airlock.wire.leaves import LEAVES

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
_MAPPINGS = (dict, collections.abc.Mapping)
_COLLECTIONS = (*_ARRAYS, *_SETS, *_MAPPINGS)
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

    Attributes:
        definitions: JSON Schemas of the classes met so far, by name.
    """

    def __init__(
        self,
        custom: Mapping[Any, Form] = types.MappingProxyType({}),
        manner: Manner = OPEN,
    ) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self._custom = custom
        self._manner = manner
        self._ready: dict[Any, Form] = {}
        self._made: dict[Any, Form] = {}
        self._names: dict[str, Any] = {}
        self._lock = RLock()

    def of(self, hint: Any) -> Form:
        """The form of a type.

        Raises:
            NoForm: it has none.
        """
        hint = bare(hint)
        if hint not in self._ready:
            with self._lock:
                before = dict(self._made)
                try:
                    self._ready[hint] = self._form(hint)
                except NoForm:
                    self._made = before  # what was half made would be found the next time
                    raise
        return self._ready[hint]

    def _form(self, hint: Any) -> Form:
        hint = bare(hint)
        if hint not in self._made:
            self._made[hint] = self._make(hint)
        return self._made[hint]

    def _make(self, hint: Any) -> Form:
        kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        known = self._custom.get(kind) or LEAVES.get(kind)
        if known is not None:
            return known
        if kind in _UNIONS:
            return self._union(args)
        if kind is typing.Literal:
            return literal_form(args) or _refuse(hint, "Literals are strings, integers, booleans.")
        if kind in _COLLECTIONS and (args or hint == tuple[()]):
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
        accepted = (dict,) if kind is dict else (collections.abc.Mapping,)
        return mapping_form(_shown(hint), self._item("", args[1]), accepted)

    def _item(self, segment: object, hint: Any) -> Form:
        try:
            return self._form(hint)
        except NoForm as none:
            none.path = f"[{segment}]{none.path}"
            raise

    def _union(self, args: tuple[Any, ...]) -> Form:
        try:
            return union_form([self._form(arg) for arg in args])
        except AmbiguousUnion as union:
            raise NoForm(
                f"is a union whose members share a name ({union})", "Rename one of the classes."
            ) from None

    # -- classes ----------------------------------------------------------------------------------

    def _class(self, hint: Any, cls: type[Any]) -> Form:
        name = self._name(hint, cls)
        form = self._made[hint] = class_form(hint, cls, f"#/$defs/{name}")
        declared = members(hint)
        fields = tuple(self._field(member) for member in declared)
        fill(form, hint, fields, self._manner)
        self.definitions[name] = _definition(form, declared, closed=self._manner.closed)
        return form

    def _field(self, member: Member) -> Field:
        try:
            form = self._form(member.hint)
        except NoForm as none:
            none.path = f".{member.key}{none.path}"
            raise
        return Field(member.name, member.key, form, member.required, member.secret)

    def _name(self, hint: Any, cls: type[Any]) -> str:
        """A name for ``$defs``: that of the class, longer only where two have the same."""
        words = [cls.__name__, *(bare(a).__name__ for a in typing.get_args(hint) if _is_class(a))]
        name = "_".join(words)
        number = 2
        unique = name
        while self._names.setdefault(unique, hint) != hint:
            unique, number = f"{name}_{number}", number + 1
        return unique


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
