"""An intent, a boundary that notes what it delivers, and a second one."""

from __future__ import annotations

import attrs

from airlock import Boundary, intent


@intent
class Note:
    text: str


@intent
class Reply:
    text: str


@attrs.define(eq=False)
class Notes:
    """A boundary, and what it delivered."""

    delivered: list[str] = attrs.Factory(list)

    def boundary(self) -> Boundary:
        """Made anew for each call; all of them note here."""
        return Boundary({Note: self.note, Reply: self.note})

    def note(self, intent: Note | Reply) -> None:
        self.delivered.append(intent.text)
