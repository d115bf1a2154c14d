"""``boundary.check()``: what does not fit, before anything is emitted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from airlock.effects.describe import format_class
from airlock.effects.intent import field_error
from airlock.effects.registry import declared, located
from airlock.errors import WiringError
from airlock.handlers.signatures import is_async
from airlock.handlers.table import Binding

__all__ = ["Check", "conflicts", "fields", "misfits", "undefined"]


@attrs.frozen
class Check:
    """The findings of ``boundary.check()``, one sentence each; it prints as a list.

    Attributes:
        unhandled: intents that no handler and no dispatch takes.
        unused: handlers that nothing reaches.
        misfits: handlers that must be awaited, where only sync flushes happen.
        undefined: handlers that cannot be made, for nothing supplies a dependency.
        fields: fields of intents whose types cannot be found, or may not be.
        conflicts: problems of the installation.
    """

    unhandled: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """All of them."""
        return (
            *self.unhandled,
            *self.unused,
            *self.misfits,
            *self.undefined,
            *self.fields,
            *self.conflicts,
        )

    @property
    def ok(self) -> bool:
        """True if there are none."""
        return not self.problems

    def raise_for_problems(self) -> None:
        """Raise if there are any.

        Raises:
            WiringError: listing them.
        """
        if self.problems:
            raise WiringError(str(self))

    def __str__(self) -> str:
        if self.ok:
            return "the wiring is complete"
        return "\n".join(
            [
                f"{len(self.problems)} problem(s) with the wiring:",
                *(f"  - {problem}" for problem in self.problems),
            ]
        )


def misfits(bindings: Iterable[Binding], interceptors: Iterable[Any]) -> tuple[str, ...]:
    """Handlers that must be awaited, and interceptors that must."""
    found = [
        f"{binding.name}, the handler of {format_class(binding.intent_type)}, {why}: flush with `async "
        f"with`, or {_INSTEAD.get(why, 'give it what need not be awaited')}."
        for binding in bindings
        if (why := binding.awaited())
    ]
    found += [
        f"{located(interceptor)}, an interceptor, is async: flush with `async with`, or give a plain "
        "function."
        for interceptor in interceptors
        if is_async(interceptor)
    ]
    return tuple(found)


def fields(intents: Iterable[type[Any]]) -> tuple[str, ...]:
    """Fields that could not be looked at when their intents were declared, and may not be."""
    return tuple(str(error) for cls in intents if (error := field_error(cls)) is not None)


_INSTEAD = {"is async": "register a plain function"}


def undefined(bindings: Iterable[Binding]) -> tuple[str, ...]:
    """Handlers that cannot be made."""
    return tuple(
        f"{binding.name}, the handler of {format_class(binding.intent_type)}, cannot be made: {why}."
        for binding in bindings
        for why in binding.undefined()
    )


def current(cls: type[Any]) -> bool:
    """Return True if a class is what its kind names now (and was not declared again since)."""
    return cls in declared()


def conflicts() -> tuple[str, ...]:
    """Other distributions that install the import name ``airlock``."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, and only checks need it

    owners = sorted(
        {
            dist.metadata["Name"]
            for dist in metadata.distributions()
            if dist.metadata["Name"] and dist.metadata["Name"].lower() == "airlock-py"
        }
    )
    return tuple(
        f"the distribution {owner} installs the import name `airlock` too, so that one of the two "
        f"hides the other: pip uninstall {owner}, then reinstall airlock-effects."
        for owner in owners
    )
