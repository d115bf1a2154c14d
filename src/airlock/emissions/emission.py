"""Emissions one by one, for those who record them: tests, dry runs. Nobody else pays for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.effects.options import Options
from airlock.effects.place import caller

if TYPE_CHECKING:
    from airlock.emissions.region import Region
    from airlock.emissions.wave import Wave

__all__ = ["Emission"]


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
        """The options it was emitted with; None for none."""
        return (self.region.options or {}).get(self.position)

    def decided_in(self, wave: Wave, index: int) -> None:
        """Note where its outcome is to be found."""
        self.wave = wave
        self.index = index
