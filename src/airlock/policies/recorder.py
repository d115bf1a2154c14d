"""``Recorder``: a policy under which emissions are recorded one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from airlock.policies.policy import Policy, PolicyLike

if TYPE_CHECKING:
    from airlock.emissions.emission import Emission

__all__ = ["Recorder", "recorders_of"]


class Recorder(Policy):
    """A policy under which emissions are recorded, in nested regions and scopes too."""

    __slots__ = ()

    exclusive: ClassVar[bool] = False
    """True if it takes care of all that it records; two such recorders ignore each other's."""

    @property
    def swallows(self) -> bool:
        """True if nothing that it records is delivered."""
        return self.exclusive

    def wants(self, _: Any, /) -> bool:
        """Return True if the emission of an intent is to be recorded: all, unless overridden."""
        return True

    def record(self, emission: Emission, /) -> None:
        """Record an emission for which ``wants`` is true, after it was buffered."""


def recorders_of(policies: Iterable[PolicyLike]) -> tuple[Recorder, ...]:
    """Return those of some policies that record."""
    return tuple(policy for policy in policies if isinstance(policy, Recorder))
