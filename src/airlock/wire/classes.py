"""Forms of classes with fields: cattrs writes the functions, out of the forms of the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from cattrs import Converter
from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn_from_attrs, override

from airlock.effects.stable import name_of
from airlock.wire.form import Field, Form, Misfit, Parts, expected, pending, unwritable
from airlock.wire.hints import positional
from airlock.wire.leaves import LEAVES

__all__ = ["OPEN", "Manner", "class_form", "fill"]

_CONVERTER = Converter()
"""Only a workshop for cattrs' generators: each field brings its own hooks."""


def class_form(hint: Any, cls: type[Any], reference: str) -> Form:
    """The form of a class, still empty: its fields may be of the class itself."""
    return pending(_title(hint, cls), frozenset({"object"}), (cls,), reference)


def _title(hint: Any, cls: type[Any]) -> str:
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


def fill(form: Form, fields: tuple[Field, ...], manner: Manner) -> None:
    """Give a class its fields, and the functions that write and read them."""
    form.fields = fields
    cls = form.types[0]
    written, structured = _writer(fields), _reader(cls, fields, manner)
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


def _parts(cls: type[Any], fields: tuple[Field, ...]) -> Parts:
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


def _reader(cls: type[Any], fields: tuple[Field, ...], manner: Manner) -> Callable[[Any, Any], Any]:
    """A function of cattrs, told of the fields as they are here: it would look for types itself."""
    required = [field.key for field in fields if field.required]
    by_name = positional(cls)[: len(required)] != required  # by position is faster
    told = {
        field.name: attrs.field(
            default=attrs.NOTHING if field.required else None, alias=field.key, kw_only=by_name
        )
        for field in fields
    }
    hooks: Any = {field.name: override(struct_hook=field.form.read) for field in fields}
    return make_dict_structure_fn_from_attrs(
        list(attrs.fields(attrs.make_class(cls.__name__, told))),
        cls,
        _CONVERTER,
        {variable.__name__: Any for variable in getattr(cls, "__parameters__", ())},
        _cattrs_forbid_extra_keys=manner.closed,
        _cattrs_detailed_validation=manner.careful,
        _cattrs_use_alias=True,
        **hooks,
    )


def _first(errors: ClassValidationError, form: Form) -> Misfit:
    """What is wrong with the first field that is, or what the class itself says."""
    error = errors.exceptions[0]
    if isinstance(error, RecursionError | MemoryError):
        raise error
    if isinstance(error, ForbiddenExtraKeysError):
        return Misfit("was not expected").within(f".{min(map(str, error.extra_fields))[:80]}")
    notes = [n for n in getattr(error, "__notes__", ()) if isinstance(n, AttributeValidationNote)]
    if not notes:
        return _refusal(error, form)
    # The last note is ours: those before it were left by classes further in.
    key = next(field.key for field in form.fields if field.name == notes[-1].name)
    return _of_field(error).within(f".{key}")


def _of_field(error: Exception) -> Misfit:
    if isinstance(error, Misfit):
        return error
    if isinstance(error, KeyError):
        return Misfit("is required, and missing")
    return Misfit(f"cannot be read ({type(error).__name__})")  # a set of what has no hash, say


def _refusal(error: Exception, form: Form) -> Misfit:
    """What a validator says."""
    what, kind = f"{form.name} refuses it", type(error).__name__
    return Misfit(f"{what} ({kind})", f"{what} ({kind}: {f'{error}'[:200]})")
