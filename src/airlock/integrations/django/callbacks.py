"""Callbacks of a commit: ``on_commit`` functions, while Django calls them.

When a callback runs its transaction is over, and the connection in autocommit mode again. What it
emits belongs to that commit all the same: nothing that the block does later discards it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, Any

import attrs
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from airlock.release import Segment
from airlock.scopes.current import here, outwards

if TYPE_CHECKING:
    from airlock.emissions.region import Region

__all__ = ["COMMITTED", "RUNNING", "Callbacks", "captured", "install"]

COMMITTED = Segment(begun=True)
"""Stands for the commit that callbacks run after."""
COMMITTED.commit()


@attrs.frozen(eq=False)
class Callbacks:
    """The callbacks of a commit, while they run.

    Attributes:
        region: current when they began.
        blocks: how many ``atomic()`` were open then, by the identity of the connection.
    """

    region: Region
    blocks: Mapping[int, int]

    def decide(self, connection: BaseDatabaseWrapper) -> bool:
        """Return True if their commit decides about what is emitted now.

        An ``atomic()`` that a callback opens decides by itself, and so does a unit of work of its
        own: an independent scope, or a handler that a flush in the callback runs.
        """
        if len(connection.atomic_blocks) > self.blocks.get(id(connection), 0):
            return False
        for region in outwards(here.get()):
            if region is self.region:
                return True
            if region.running is not None or begins_work(region):
                return False
        return False


def begins_work(region: Region) -> bool:
    """Return True if a region is that of an outermost scope."""
    return region.scope is not None and region.scope.outermost.region is region


RUNNING: ContextVar[Callbacks | None] = ContextVar("airlock_django_callbacks", default=None)
"""The callbacks that run in this context: async code that a callback calls is in it too."""


def install() -> None:
    """Set ``RUNNING`` while Django calls callbacks, in the one place where it does, of any connection.

    Watching a connection would not do: a release may first ask for it in a callback.
    """
    run = BaseDatabaseWrapper.run_and_clear_commit_hooks
    if hasattr(run, "__wrapped__"):
        return

    @wraps(run)
    def run_in_context(self: BaseDatabaseWrapper) -> None:
        if not self.run_on_commit:
            run(self)
            return
        blocks = {id(one): len(one.atomic_blocks) for one in connections.all(initialized_only=True)}
        token = RUNNING.set(Callbacks(here.get(), blocks))
        try:
            run(self)
        finally:
            RUNNING.reset(token)

    BaseDatabaseWrapper.run_and_clear_commit_hooks = run_in_context  # type: ignore[method-assign]  # see above


def captured() -> bool:
    """Return True if ``captureOnCommitCallbacks`` of a ``TestCase`` calls what runs now."""
    cases: Any = sys.modules["django.test.testcases"]
    code = cases.TestCase.captureOnCommitCallbacks.__func__.__wrapped__.__code__
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
