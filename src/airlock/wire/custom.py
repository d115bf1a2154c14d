"""Forms of types that airlock does not know: the user says how they look."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from airlock.effects.registry import KNOWN, describe
from airlock.errors import DeclarationError
from airlock.wire.form import Form, Misfit, Unwritable, found, unwritable
from airlock.wire.leaves import ANYTHING

__all__ = ["TypeForm", "custom"]


@attrs.frozen
class TypeForm:
    """How a type that airlock does not know looks in JSON: ``Wire(forms={Money: TypeForm(...)})``.

    Args:
        write: from a value to what ``json.dumps`` takes.
        read: back again; any exception means that the payload is bad.
        schema: JSON Schema of what is written.

    Example:
        >>> from ipaddress import IPv4Address
        >>> form = TypeForm(str, IPv4Address, {"type": "string", "format": "ipv4"})
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    schema: Mapping[str, Any] = attrs.field(factory=dict)


def custom(cls: type[Any], form: TypeForm) -> Form:
    """The form of a type of the user's, from functions that know nothing of ours.

    Raises:
        DeclarationError: it is no type, or one of intents, or this is no ``TypeForm``.
    """
    if not isinstance(cls, type) or cls in KNOWN or not isinstance(form, TypeForm):
        raise DeclarationError(
            f"Wire(forms={{{describe(cls)}: {describe(form)}}}): give a TypeForm for a class that is "
            "the type of a field, not for an intent, a generic type or a name."
        )

    def written(value: Any) -> Any:
        if not isinstance(value, cls):
            raise unwritable(cls.__name__, value)
        try:
            said = form.write(value)
        except Exception as error:  # noqa: BLE001 - its words may show the value
            raise Unwritable(f"was refused by its TypeForm ({type(error).__name__})") from None
        try:
            json.dumps(said, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise Unwritable(f"is written as what is not JSON ({type(error).__name__})") from None
        return said

    def was_read(value: Any, _: Any = None) -> Any:
        try:
            return form.read(value)
        except Exception as error:  # noqa: BLE001 - whatever it is, the payload caused it
            what = f"expected what {cls.__name__} is read from, found {found(value)}"
            raise Misfit(f"{what} ({type(error).__name__})") from None

    said = form.schema.get("type")
    types = frozenset({said}) if isinstance(said, str) else frozenset(said or ANYTHING)
    return Form(cls.__name__, types, (cls,), dict(form.schema), written, was_read)
