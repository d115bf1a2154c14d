"""Results of calls that are observed: whether one is asked for before its scope would have sent it.

With buffering that question would raise an ``UnreleasedResultError``, so that observing has to tell
of it. The results do what they always do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from celery.result import AsyncResult, ResultSet

from airlock.effects.place import Place
from airlock.emissions.region import Region
from airlock.integrations.base.observing import Observations
from airlock.integrations.celery.results import nodes
from airlock.scopes.scope import State

__all__ = ["watch"]

UNSENT = (State.OPEN, State.CLOSED, State.WAITING)


class Question:
    """One call, whose results may be asked for; it is counted once."""

    def __init__(self, observations: Observations, place: Place, what: str, region: Region) -> None:
        self._observations = observations
        self._place = place
        self._what = what
        self._scope: Any = region.scope.outermost
        self._counted = False

    def asked(self) -> None:
        """Somebody asks for a result."""
        if not self._counted and self._scope.state in UNSENT:
            self._counted = True
            self._observations.count(self._place, self._what, "waited for")


def watch(result: Any, observations: Observations, place: Place, what: str, region: Region) -> None:
    """Count it if the result of a call is asked for while its scope has not ended.

    Args:
        result: that Celery returned.
        observations: count it.
        place: of the call.
        what: was called.
        region: that was current.
    """
    if region.scope is None or region.is_closed or not isinstance(result, AsyncResult | ResultSet):
        return
    question = Question(observations, place, what, region)
    for node in nodes(result):
        kind: Any = type(node)
        if not issubclass(kind, Watched):
            node.__class__ = watched(kind)
        node.question = question


class Watched:
    """What a watched result does beside what it always does."""

    question: Question | None = None  # a copy, or one that was pickled, has none

    def __reduce__(self: Any) -> Any:
        made, *rest = cast("tuple[Any, ...]", super().__reduce__())
        return (type(self).__mro__[2] if made is type(self) else made, *rest)


def asking(name: str) -> Callable[..., Any]:
    """A method that notes that it was called."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.question is not None:
            self.question.asked()
        return getattr(super(type(self), self), name)(*args, **kwargs)

    method.__name__ = name
    return method


@cache
def watched(cls: type[Any]) -> type[Any]:
    """The class of watched results of some class."""
    names = ("get", "wait", "join", "join_native", "_get_task_meta")
    methods = {name: asking(name) for name in names if hasattr(cls, name)}
    # It has the name of that, as the code, its logs and its tests must not notice.
    return type(cls.__name__, (Watched, cls), {"__doc__": cls.__doc__, **methods})
