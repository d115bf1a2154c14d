"""The policies of a recording: one that remembers every emission, one that refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from airlock.effects.place import Place, shown
from airlock.emissions.emission import Emission
from airlock.errors import RefusedError
from airlock.policies.policy import Policy, PolicyLike, View
from airlock.policies.recorder import Recorder
from airlock.policies.verdict import ALLOW, DROP, Verdict
from airlock.testing.fates import Fate, fate_of

if TYPE_CHECKING:
    from airlock.testing.expectations import Expectation

__all__ = ["MODES", "Mode", "Tape", "policy_of"]

Mode = Literal["record", "allow", "drop", "refuse"]
MODES: tuple[Mode, ...] = ("record", "allow", "drop", "refuse")


class Tape(Recorder):
    """The policy that records: of what reaches it nothing escapes, unless it is to be allowed.

    Attributes:
        place: where the recording started.
        emissions: all of them, in order.
        expectations: those that were written while it records, and where.
        asserted: the emissions that a test has looked at.
        taken: those that have met an expectation, and meet no other.
    """

    __slots__ = ("_now", "allows", "asserted", "emissions", "expectations", "place", "taken")

    exclusive = True

    @property
    def swallows(self) -> bool:
        return not self.allows

    def __init__(self, *, allows: bool) -> None:
        self.allows = allows
        self.place: Place | None = None
        self.emissions: list[Emission] = []
        self.expectations: list[tuple[Expectation, Place]] = []
        self.asserted: set[Emission] = set()
        self.taken: set[Emission] = set()
        self._now: list[Emission] | None = None

    @property
    def escaping(self) -> list[Emission]:
        """The emissions that would have escaped, in order."""
        if self._now is not None:
            return self._now
        return [emission for emission in self.emissions if self.fate(emission).escapes]

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Decide only once what would have escaped, while nothing can change that.

        Fates change without notice, so they are looked at each time; whoever asks for one element
        after the other would ask for all fates each time.
        """
        self._now = self.escaping
        try:
            yield
        finally:
            self._now = None

    def fate(self, emission: Emission) -> Fate:
        """Return what became of an emission; what the recording itself drops would escape."""
        return fate_of(emission, Tape)

    def record(self, emission: Emission, /) -> None:
        self.emissions.append(emission)

    def decide(self, view: View, /) -> list[Verdict]:
        # What a policy holds stays held, so that code under test can make a plan of it.
        return [ALLOW if self.allows or view.held(i) else DROP for i in range(len(view))]

    def __repr__(self) -> str:
        return "the recording"


class Refusal(Policy):
    """Refuses everything, in words of its own.

    Args:
        tape: knows where the recording started.
    """

    __slots__ = ("_tape",)

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def decide(self, view: View, /) -> list[Verdict]:
        for intent in view.intents:  # emitted before the recording started
            self.refuse(intent)
        return []

    def refuse(self, intent: Any, /) -> None:
        where = f"the recording started at {shown(self._tape.place)}"
        raise RefusedError(repr(intent), repr(self), where, _INSTEAD)

    def __repr__(self) -> str:
        return 'mode "refuse"'


_INSTEAD = 'Remove the emission, or let the test have it: @pytest.mark.effects("record") or "drop".'


def policy_of(mode: Mode, tape: Tape) -> PolicyLike:
    """Return the policy that a recording puts around everything."""
    return Refusal(tape) & tape if mode == "refuse" else tape
