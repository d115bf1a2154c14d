"""Upcasters and renames: from data of older versions to data of those that are declared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from airlock.effects.causation import Causation
from airlock.effects.registry import describe
from airlock.errors import DeclarationError
from airlock.wire.problems import MisfitError

__all__ = ["Route", "Steps", "Upcaster", "Versions"]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""``(data) -> data``: from one version of a kind to the next one.

Contract: it is given the JSON data as dicts, lists, strings and numbers, its own to change, with
what was sealed opened; it returns the data of the next version. If it raises, the payload is bad.
"""


Steps = tuple[Callable[[Any], dict[str, Any]], ...]
"""Functions that each return the data of the next version."""


@attrs.frozen
class Route:
    """The way from what was written to what is declared.

    Attributes:
        steps: upcasters to be called, in order.
        end: kind and version of the last.
    """

    steps: Steps
    end: tuple[str, int]


class Versions:
    """Upcasters by kind and version, and new names by old ones."""

    def __init__(self) -> None:
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        self._renamed: dict[str, str] = {}

    def add(self, kind: str, version: int, upcaster: Upcaster) -> None:
        """Register an upcaster from a version to the next.

        Raises:
            DeclarationError: there is one already, or the arguments make no sense.
        """
        _check(kind, version)
        if not callable(upcaster):
            raise DeclarationError(f"upcaster takes a function, not {describe(upcaster)}.")
        other = self._upcasters.setdefault((kind, version), upcaster)
        if other is not upcaster:
            raise DeclarationError(
                f"{kind!r} version {version} has the upcaster {describe(other)} already; "
                f"{describe(upcaster)} cannot be another one. Call both from one function."
            )

    def rename(self, old: str, new: str) -> None:
        """Read an old kind as a new one.

        Raises:
            DeclarationError: it is renamed already, or names would go round in a circle.
        """
        for kind in (old, new):
            _check(kind, 1)
        if self._renamed.get(old, new) != new:
            raise DeclarationError(
                f"{old!r} forwards to {self._renamed[old]!r} already, and a kind has one new name. "
                f"Rename {self._renamed[old]!r} to {new!r} instead."
            )
        if self.newest(new) == old:
            raise DeclarationError(
                f"{old!r} cannot forward to {new!r}, which forwards to {old!r}: nothing could ever "
                "be read under either name. Remove one of the two."
            )
        self._renamed[old] = new

    def direct(self, kind: str, version: int) -> bool:
        """Return True if nothing leads on from a kind and version."""
        return (kind, version) not in self._upcasters and kind not in self._renamed

    def newest(self, kind: str) -> str:
        """Return the name that a kind has now."""
        while kind in self._renamed:
            kind = self._renamed[kind]
        return kind

    def renamed(self, causation: Causation) -> Causation:
        """Return causes under the names that their kinds have now."""
        if not self._renamed or not causation.ancestors:
            return causation
        named = (attrs.evolve(one, kind=self.newest(one.kind)) for one in causation.ancestors)
        return attrs.evolve(causation, ancestors=tuple(named))

    def route(self, kind: str, version: int) -> Route:
        """Return the way that upcasters and new names lead."""
        steps: list[Callable[[Any], dict[str, Any]]] = []
        while True:
            upcaster = self._upcasters.get((kind, version))
            if upcaster is not None:
                steps.append(partial(_upcast, upcaster, version))
                version += 1
            elif kind in self._renamed:
                kind = self._renamed[kind]
            else:
                return Route(tuple(steps), (kind, version))

    def registered(self) -> dict[str, Any]:
        """Return what is registered, for the document of schemas."""
        steps = [{"kind": kind, "version": version} for kind, version in self._upcasters]
        return {"upcasters": steps, "renames": dict(self._renamed)}


def _upcast(upcaster: Upcaster, version: int, data: Any) -> dict[str, Any]:
    name = f"upcaster {describe(upcaster)} from version {version}"
    try:
        upcast = upcaster(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, the payload caused it
        # Only the type: the words of an error may show the value, and that may be a secret.
        raise MisfitError(f"is refused by {name} ({type(error).__name__})").within(
            ".data"
        ) from None
    if not isinstance(upcast, dict):
        raise MisfitError(f"is lost by {name}: it must return the data").within(".data")
    return upcast


def _check(kind: object, version: object) -> None:
    if not isinstance(kind, str) or not kind:
        raise DeclarationError(f"a kind is a non-empty str, not {kind!r}: give the one of @intent.")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DeclarationError(f"a version is an int from 1, not {version!r}.")
