"""``Excerpt``: some intents of a recording, which remember where they were emitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airlock.emissions.emission import Emission

__all__ = ["Excerpt"]


class Excerpt(list[Any]):
    """A list of intents, for assertions: a failure can show their places.

    Attributes:
        emissions: one for each intent.
    """

    __slots__ = ("emissions",)

    def __init__(self, emissions: Sequence[Emission]) -> None:
        super().__init__(emission.intent for emission in emissions)
        self.emissions = emissions
