"""``Form``: how the values of one type look in JSON. Every form can write, read and describe them.

What goes wrong while writing or reading is told by two exceptions that never leave this package:
the codec turns them into an ``UnencodableError`` or a ``WireError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

__all__ = [
    "Field",
    "Form",
    "Misfit",
    "Parts",
    "Unwritable",
    "Write",
    "discreet",
    "expected",
    "found",
    "key_segment",
    "locate",
    "pending",
    "unwritable",
]

Read = Callable[..., Any]
Write = Callable[[Any], Any]
Parts = Callable[[Any], Iterator[tuple[str, "Form", Any]]]

_FOUND = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


class Misfit(Exception):  # noqa: N818 - internal; becomes a WireError
    """A JSON value that does not fit. It says what was expected, never the value.

    Args:
        problem: what is wrong.
        openly: the same with the words of a validator, which may show the value.

    Attributes:
        path: where, from the value that was being read: ``.lines[2].qty``.
    """

    def __init__(self, problem: str, openly: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.openly = problem if openly is None else openly
        self.path = ""

    def within(self, segment: str) -> Misfit:
        """The same, told from one level further out."""
        self.path = segment + self.path
        return self

    def told(self, *, secret: bool) -> tuple[str, str]:
        """Path and problem; of a secret without what may show a part of it."""
        if secret:
            return discreet(self.path), self.problem
        return self.path, self.openly


class Unwritable(Exception):  # noqa: N818 - internal; becomes an UnencodableError
    """A value that its type does not allow, or that JSON has no way to say."""


def found(value: object) -> str:
    """What a JSON value is, without the value."""
    return _FOUND.get(type(value), f"a {type(value).__qualname__}")


def expected(what: str, value: object) -> Misfit:
    """For ``raise``: something else is there."""
    return Misfit(f"expected {what}, found {found(value)}")


def key_segment(key: object) -> str:
    """Of a path: the key of a mapping, which came with the data."""
    return f"[{key!r:.80}]"


def discreet(path: str) -> str:
    """A path as far as the first key of a mapping."""
    return re.split(r"\[['\"]", path)[0]


def unwritable(what: str, value: object) -> Unwritable:
    """For ``raise``: the value is of another type than the annotation says."""
    return Unwritable(f"holds a {type(value).__qualname__}, and its annotation says {what}")


@attrs.frozen
class Field:
    """A field of a class on the wire.

    Attributes:
        name: of the attribute.
        key: its name in JSON.
        form: of its values.
        required: whether it has no default.
        secret: whether something sensitive is in it, however deep.
    """

    name: str
    key: str
    form: Form
    required: bool
    secret: bool


def _no_parts(_: object) -> Iterator[tuple[str, Form, Any]]:
    return iter(())


@attrs.define(eq=False)
class Form:
    """How values of one type look in JSON.

    Attributes:
        name: of the type, in messages, and as the tag in unions.
        json: which types of JSON it is written as: ``"string"``, ``"object"`` and so on.
        types: the classes of the values.
        schema: JSON Schema.
        write: from a value to JSON's dicts, lists, strings, numbers; raises ``Unwritable``.
        write_known: ``write`` where the class of the value is known to be that of the form.
        read: back again, called as cattrs calls its hooks; raises ``Misfit``.
        fields: of a class.
        parts: a value's own parts: ``(segment of the path, form, value)``.
    """

    name: str
    json: frozenset[str]
    types: tuple[type[Any], ...]
    schema: Mapping[str, Any]
    write: Write
    read: Read
    write_known: Write = attrs.field(
        default=attrs.Factory(lambda form: form.write, takes_self=True), kw_only=True
    )
    fields: tuple[Field, ...] = ()
    parts: Parts = _no_parts


def pending(name: str, json: frozenset[str], types: tuple[type[Any], ...], reference: str) -> Form:
    """A form that others may use before it is made, since types may hold themselves.

    Whoever asks for it must give it ``write``, ``read`` and ``parts``.
    """

    def write(value: Any) -> Any:
        return form.write(value)

    def read(value: Any, _: Any = None) -> Any:
        return form.read(value, None)

    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        return form.parts(value)

    form = Form(name, json, types, {"$ref": reference}, write, read, parts=parts)
    return form


def locate(form: Form, value: Any) -> tuple[str, str]:
    """Where in a value that could not be written the trouble is, and what it is."""
    for segment, part, inside in form.parts(value):
        try:
            part.write(inside)
        except Unwritable:
            path, problem = locate(part, inside)
            return segment + path, problem
    try:
        form.write(value)
    except Unwritable as unfit:
        return "", str(unfit)
    return "", "cannot be written"
