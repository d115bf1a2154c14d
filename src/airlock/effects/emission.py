"""Emissions one by one, for those who record them: tests, dry runs. Nobody else pays for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from airlock.effects.options import Options
from airlock.effects.place import caller
from airlock.effects.policy import Policy, PolicyLike

if TYPE_CHECKING:
    from airlock.effects.region import Region
    from airlock.effects.wave import Wave

__all__ = ["Emission", "Recorder", "recorders_of"]


class Emission:
    """One intent at the place where it was emitted.

    Attributes:
        region: where it went.
        position: in the region.
        place: file and line of the emitting call.
        wave: the wave in which it was decided; None before that.
        index: in the wave.
    """

    __slots__ = ("index", "place", "position", "region", "wave")

    def __init__(self, region: Region, position: int) -> None:
        self.region = region
        self.position = position
        self.place = caller()
        self.wave: Wave | None = None
        self.index = -1

    @property
    def intent(self) -> Any:
        """The value."""
        return self.region[self.position]

    @property
    def options(self) -> Options | None:
        """What was said of it beside its value."""
        return (self.region.options or {}).get(self.position)

    def decided_in(self, wave: Wave, index: int) -> None:
        """Note where its outcome is to be found."""
        self.wave = wave
        self.index = index


class Recorder(Policy):
    """A policy under which emissions are recorded, in nested regions and scopes too."""

    __slots__ = ()

    exclusive: ClassVar[bool] = False
    """Whether it takes care of all it is told of; two of these leave each other's alone."""

    def wants(self, _: Any, /) -> bool:
        """Whether to record the emission of an intent: all, unless overridden."""
        return True

    def record(self, emission: Emission, /) -> None:
        """Called with each emission that it wants, after it was taken."""


def recorders_of(policies: Iterable[PolicyLike]) -> tuple[Recorder, ...]:
    """Those of some policies that record."""
    return tuple(policy for policy in policies if isinstance(policy, Recorder))
