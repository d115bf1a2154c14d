"""Effects are refused while a command loads a program; most commands do no more than that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from airlock import Policy, Verdict, View, enclose
from airlock.effects.place import caller, shown
from airlock.errors import RefusedError

__all__ = ["allow_effects", "refuse_effects"]


@attrs.frozen
class _Looking(Policy):
    """Refuses every intent, and names the line that emitted it."""

    command: str

    def decide(self, view: View, /) -> Sequence[Verdict]:
        for intent in view.intents:  # emitted before this policy was in force
            self.refuse(intent)
        return []

    def refuse(self, intent: Any, /) -> None:
        raise RefusedError(
            f"{intent!r} (emitted at {shown(caller())})",
            f"`{self.command}`",
            "every module that it loads",
            "Loading a program must not run its effects: emit in functions that are not called when "
            "a module is imported, or name a function that makes the boundary and emits nothing.",
        )


_enclosures: list[enclose] = []


def refuse_effects(command: str) -> None:
    """Refuse every effect from now on, in all threads; in those that outlive the command, too.

    Args:
        command: which one refuses, for the message.
    """
    enclosure = enclose(_Looking(command), process=True)
    enclosure.__enter__()
    _enclosures.append(enclosure)


def allow_effects() -> None:
    """End the refusal: the targets are loaded, and their effects are asked for."""
    while _enclosures:
        _enclosures.pop().__exit__(None, None, None)
