"""``boundary.check()``: what does not fit, before anything is emitted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

import attrs

from airlock.effects.place import shown
from airlock.effects.registry import declared, spec_of
from airlock.errors import WiringError
from airlock.wiring import Binding

__all__ = ["Check", "conflicts", "misfits"]


@attrs.frozen
class Check:
    """What ``boundary.check()`` found, one sentence each; it prints as a list.

    Attributes:
        unhandled: intents that no handler and no dispatch takes.
        unused: handlers that nothing reaches.
        misfits: handlers that must be awaited, where only sync flushes happen.
        conflicts: problems of the installation.
    """

    unhandled: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.unhandled, *self.unused, *self.misfits, *self.conflicts)

    @property
    def ok(self) -> bool:
        """Whether there are none."""
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


def named(cls: type[Any]) -> str:
    """An intent class with the place it is declared."""
    return f"{cls.__qualname__} (declared at {shown(spec_of(cls).place)})"


def misfits(bindings: Iterable[Binding], is_async: Any) -> tuple[str, ...]:
    """Handlers that must be awaited."""
    return tuple(
        f"{binding.name}, the handler of {named(binding.intent_type)}, is async: flush with "
        "`async with`, or register a plain function."
        for binding in bindings
        if is_async(binding.target)
    )


def current(cls: type[Any]) -> bool:
    """Whether a class is what its kind names now (and not one that was declared again since)."""
    return cls in declared()


def warn_of_leftovers() -> None:
    """Warn if airlock-py was installed into the very folder that airlock is imported from."""
    package = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import
    site = os.listdir(os.path.dirname(package))  # noqa: PTH120, PTH208
    if any(name.startswith("airlock_py-") for name in site):
        warnings.warn(
            "airlock-py is installed too, into the same folder `airlock`: each overwrites files of "
            "the other. Run: pip uninstall airlock-py, then reinstall airlock-effects.",
            ImportWarning,
            stacklevel=3,
        )


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
