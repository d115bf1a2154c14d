"""Forms of classes with fields: cattrs writes the functions, out of the forms of the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from cattrs import Converter
from cattrs.cols import namedtuple_dict_structure_factory
from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from airlock.effects.stable import name_of
from airlock.wire.form import Field, Form, Misfit, expected, unwritable
from airlock.wire.hints import is_named_tuple
from airlock.wire.leaves import LEAVES

__all__ = ["OPEN", "Manner", "class_form", "fill"]

_CONVERTER = Converter()
"""Only a workshop for cattrs' generators: each field brings its own hooks."""


def class_form(hint: Any, cls: type[Any], reference: str) -> Form:
    """The form of a class, still empty: its fields may be of the class itself."""

    def write(value: Any) -> Any:
        return form.write(value)

    def read(value: Any, _: Any = None) -> Any:
        return form.read(value, None)

    form = Form(title(hint, cls), frozenset({"object"}), (cls,), {"$ref": reference}, write, read)
    return form


def title(hint: Any, cls: type[Any]) -> str:
    """``Line``, ``Box[int]``."""
    arguments = getattr(hint, "__args__", ()) if hint is not cls else ()
    names = ", ".join(getattr(argument, "__name__", str(argument)) for argument in arguments)
    return name_of(cls).lstrip("_") + (f"[{names}]" if names else "")


@attrs.frozen
class Manner:
    """How objects are read.

    Args:
        closed: refuse fields that the class does not have; otherwise those are left alone.
        careful: say what is wrong, and where. That takes time, so it is for what was refused.
    """

    closed: bool = False
    careful: bool = False


OPEN = Manner()
"""That of intents: a field which is not known here was added by a newer sender."""


def fill(form: Form, hint: Any, fields: tuple[Field, ...], manner: Manner) -> None:
    """Give a class its fields, and the functions that write and read them."""
    form.fields = fields
    cls = form.types[0]
    written, structured = _writer(fields), _reader(hint, cls, fields, manner)
    what, name = f"an object ({form.name})", form.name

    def write(value: Any) -> Any:
        if type(value) is cls:
            return written(value)
        raise unwritable(name, value)

    def read(value: Any, _: Any = None) -> Any:
        if type(value) is dict:
            return structured(value, cls)
        raise expected(what, value)

    def read_carefully(value: Any, _: Any = None) -> Any:
        try:
            return read(value)
        except ClassValidationError as errors:
            raise _first(errors, form) from None

    form.write, form.write_known, form.parts = write, written, _parts(cls, fields)
    if manner.careful:
        form.read = read_carefully
    else:  # what is not an object has no required field either
        form.read = structured if any(field.required for field in fields) else read


def _parts(
    cls: type[Any], fields: tuple[Field, ...]
) -> Callable[[Any], Iterator[tuple[str, Form, Any]]]:
    def parts(value: Any) -> Iterator[tuple[str, Form, Any]]:
        if type(value) is cls:
            for field in fields:
                yield f".{field.key}", field.form, getattr(value, field.name)

    return parts


def _writer(fields: tuple[Field, ...]) -> Callable[[Any], dict[str, Any]]:
    """A function that writes each field.

    cattrs would call a hook for each; here integers, strings and booleans, which most fields are,
    are looked at in place, and a third of the time is saved.
    """
    namespace: dict[str, Any] = {f"write{i}": field.form.write for i, field in enumerate(fields)}
    items = []
    for i, field in enumerate(fields):
        exact = field.form.types[0].__name__ if field.form.write in _PLAIN else ""
        value = f"write{i}(value.{field.name})"
        if exact:
            value = f"v if (v := value.{field.name}).__class__ is {exact} else write{i}(v)"
        items.append(f"{field.key!r}: {value}")
    source = f"def write(value):\n    return {{{', '.join(items)}}}\n"
    exec(compile(source, "<airlock wire>", "exec"), namespace)  # noqa: S102 - field names only
    write: Callable[[Any], dict[str, Any]] = namespace["write"]
    return write


_PLAIN = frozenset(LEAVES[cls].write for cls in (int, str, bool))


def _reader(
    hint: Any, cls: type[Any], fields: tuple[Field, ...], manner: Manner
) -> Callable[[Any, Any], Any]:
    hooks: Any = {
        field.name: override(
            rename=None if field.key == field.name else field.key, struct_hook=field.form.read
        )
        for field in fields
    }
    if is_named_tuple(cls):
        return namedtuple_dict_structure_factory(
            cls, _CONVERTER, manner.careful, manner.closed, **hooks
        )
    if unbound := getattr(hint, "__parameters__", ()):  # cattrs asks for them; each hook knows
        hint = hint[(Any,) * len(unbound)]
    return make_dict_structure_fn(
        hint,
        _CONVERTER,
        _cattrs_forbid_extra_keys=manner.closed,
        _cattrs_detailed_validation=manner.careful,
        **hooks,
    )


def _first(errors: ClassValidationError, form: Form) -> Misfit:
    """What is wrong with the first field that is, or what the class itself says."""
    error = errors.exceptions[0]
    if isinstance(error, RecursionError | MemoryError):
        raise error
    if isinstance(error, ForbiddenExtraKeysError):
        return Misfit("was not expected").within(f".{min(error.extra_fields)[:80]}")
    notes = [n for n in getattr(error, "__notes__", ()) if isinstance(n, AttributeValidationNote)]
    if not notes:
        return Misfit(_refusal(error, form))
    # The last note is ours: those before it were left by classes further in.
    key = next(field.key for field in form.fields if field.name == notes[-1].name)
    misfit = error if isinstance(error, Misfit) else Misfit("is required, and missing")
    return misfit.within(f".{key}")


def _refusal(error: Exception, form: Form) -> str:
    """The words of a validator, which may show the value: not where there is something secret."""
    said = "" if form.secret() else f": {error}"
    return f"{form.name} refuses it ({type(error).__name__}{said})"
