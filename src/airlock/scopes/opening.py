"""How a scope opens: its options, and what is around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.options import NO_HEADERS
from airlock.emissions.region import Region
from airlock.emissions.wave import Wave, chain
from airlock.errors import DeclarationError, ReleaseError
from airlock.policies.policy import PolicyLike
from airlock.release import Release
from airlock.scopes.current import outwards
from airlock.scopes.ending import Keep

if TYPE_CHECKING:
    from airlock.flushing.engine import Engine
    from airlock.observers import Observer

__all__ = [
    "ScopeOptions",
    "check_release",
    "handled",
    "may_bring_a_release",
    "nested_release",
    "surroundings",
]

WANTED = {
    "release": "a Release, such as on_commit(connection)",
    "keep": "a function of the block's exception, or None, that returns a bool",
    "fail_fast": "True, False, or None for what the boundary says",
    "cause": "the causation of an envelope",
}


@attrs.frozen(kw_only=True, eq=False)
class ScopeOptions:
    """The options of a scope; see ``Boundary.scope``.

    Attributes:
        policy: its policies, innermost first.
        release: when it is delivered; None for the end of its block.
        independent: whether it is delivered by itself, even inside another scope.
        headers: for its intents and their follow-ups.
        keep: decides about what no transaction decides about; None for whether the block succeeded.
        fail_fast: None for that of the boundary.
        observers: called after those of the boundary.
        cause: what led here in other processes.
        arrival: notes in the wave with what intents arrived that were handed over to this process;
            None for any other scope.

    Raises:
        DeclarationError: a value makes no sense.
    """

    policy: tuple[PolicyLike, ...] = ()
    release: Release | None = None
    independent: bool = False
    headers: Mapping[str, str] = NO_HEADERS
    keep: Keep | None = None
    fail_fast: bool | None = None
    observers: tuple[Observer, ...] = ()
    cause: Causation = NO_CAUSE
    arrival: Callable[[Wave], None] | None = None

    def __attrs_post_init__(self) -> None:
        # Not a validator for each field, which would be called for each scope that has none of them.
        if self.release is not None:
            check_release(self.release)
        if self.keep is not None and not callable(self.keep):
            raise _unfit("keep", self.keep)
        if self.fail_fast not in (None, True, False):
            raise _unfit("fail_fast", self.fail_fast)
        if self.cause is not NO_CAUSE and not isinstance(self.cause, Causation):
            raise _unfit("cause", self.cause)


def check_release(given: Any) -> None:
    """Refuse what is not a ``Release``.

    Raises:
        DeclarationError: it is something else.
    """
    if not hasattr(given, "segment"):
        raise _unfit("release", given)


def _unfit(name: str, given: object) -> DeclarationError:
    return DeclarationError(f"scope({name}={given!r}): give {WANTED[name]}.")


def surroundings(engine: Engine, now: Region) -> tuple[Region | None, list[Region]]:
    """Return the nearest open region of the same boundary, and the enclosures on the way to it."""
    passed: list[Region] = []
    for region in outwards(now):
        if region.is_closed:
            continue
        if region.scope is not None and region.scope.engine is engine:
            return region.as_parent(), passed
        if region.encloses:
            passed.append(region)
    return None, passed


def handled(now: Region) -> tuple[Wave, tuple[int, ...]] | None:
    """Return what the handler runs for that runs here: a wave, and positions in it.

    None if no handler runs here, as in work that has outlived it, or only a dispatcher, which has
    the causes in its envelopes.
    """
    for region in outwards(now):
        if region.running is not None:
            if region.is_closed:
                return None
            found: tuple[Wave, tuple[int, ...]] | None = region.running.handled(region.cause)
            return found
    return None


def may_bring_a_release(around: Region | None) -> bool:
    """Return True for a nested scope that is the outermost one in a handler.

    An attempt of a handler is a unit of work, and its own transaction may decide about what it emits.
    """
    for region in chain(around):
        if region.running is not None:
            return True
        if region.kind == "scope" and region.scope.release is not None:
            return False
    return False


def nested_release() -> ReleaseError:
    """Return the error of a release that a nested scope was given."""
    return ReleaseError(
        "a nested scope",
        "was given a release, and releases belong to the outermost scope",
        "Give it to the outermost one, or open this one with independent=True.",
    )
