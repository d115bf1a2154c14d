"""Results of calls: those of buffered calls refuse to wait, those of observed calls are watched.

A buffered call has an ``AsyncResult`` with the id that the task will have. Waiting for a task that
is only sent when the scope ends would never end, so before that every question that needs an answer
raises. After that it is an ordinary result.

Where observing sees such a question, buffering would raise, so that it is counted. The results of
observed calls do what they always do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, cast

from celery import Celery
from celery.result import AsyncResult, ResultSet

from airlock.effects.place import Place
from airlock.emissions.region import Region
from airlock.emissions.report import ReportEntry
from airlock.emissions.wave import Outcome
from airlock.errors import ScopeStateError, UnreleasedResultError
from airlock.integrations.celery.calls import AWAITED, CallTask
from airlock.integrations.celery.signatures import thaw
from airlock.migration.observations import Observations
from airlock.scopes.scope import Scope, State

__all__ = ["BufferedCall", "released_first", "result_of", "watch"]


class BufferedCall:
    """The state of one buffered call, which its results share.

    Args:
        intent: that was emitted.
        scope: into which; None if no scope was open.
    """

    def __init__(self, intent: CallTask, scope: Scope | None) -> None:
        self.intent = intent
        self.actual: Any = None
        """The result that Celery returned when it was sent."""
        self._results: dict[str, Any] = {}
        self._scope = scope

    def sent(self, actual: Any) -> None:
        """Store the result that Celery returned.

        Args:
            actual: the result that it returned.
        """
        self._results = {str(node.id): node for node in nodes(actual)}
        self.actual = actual

    def check(self) -> None:
        """Check that the call was sent.

        Raises:
            UnreleasedResultError: it was not.
        """
        if self.actual is not None:
            return
        problem = self._problem()
        if problem is not None:
            text, hint = problem
            raise UnreleasedResultError(f"the task of {self.intent!r}", text, f"{hint}.")

    def _problem(self) -> tuple[str, str] | None:
        entry = self._entry()
        if entry is not None:
            return _describe_unsent(entry)
        opened = "no scope" if self._scope is None else self._scope.region.described()
        return (
            f"was not sent yet: it waits for the end of {opened}",
            "Ask after that; or, where the result decides how to go on, call the function itself",
        )

    def _entry(self) -> ReportEntry | None:
        try:
            report = None if self._scope is None else self._scope.report
        except ScopeStateError:
            return None
        return next((e for e in report or () if e.intent is self.intent), None)

    def other(self, task_id: str) -> Any:
        """Return the result that Celery returned for a task; None if another process sent it."""
        return self._results.get(task_id)


def _describe_unsent(entry: ReportEntry) -> tuple[str, str] | None:
    by = "" if entry.by is None else f" by {entry.by!r}"
    match entry.outcome:
        case Outcome.DELIVERED | Outcome.HANDED_OVER | Outcome.RECORDED:
            return None
        case Outcome.MERGED:
            return f"was not sent: {entry.by!r} stands for it", "Ask for the result of that"
        case Outcome.HELD:
            return f"is held{by}", "It is sent when the plan is applied"
        case Outcome.PENDING | Outcome.FAILED:
            why = f" ({entry.by!r})" if entry.by is not None else ""
            return f"was not sent: it {'failed' if why else 'is pending'}{why}", _RESUME
        case Outcome.DROPPED | Outcome.DISCARDED:
            what = f"was never sent: it was {entry.outcome.word}{by}"
            return what, "There is no result to wait for"


_RESUME = "scope.report.resume() tries again"


class Unreleased:
    """Mixin of a result that raises until its call was sent."""

    buffered: BufferedCall | None = None  # a copy, or one that was pickled, has none

    def _actual(self: Any) -> Any:
        """Return the result that Celery returned, to be used instead; None to use this one."""
        if self.buffered is None:
            return None
        self.buffered.check()
        return self.buffered.other(self.id)

    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the task's result, once the call was sent.

        Raises:
            UnreleasedResultError: it was not.
        """
        actual = self._actual()
        return super().get(*args, **kwargs) if actual is None else actual.get(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into

    wait = get

    @property
    def supports_native_join(self: Any) -> bool:
        """True if the backend can return it together with others; not that of an eager task."""
        actual = None if self.buffered is None else self.buffered.other(self.id)
        who: Any = super() if actual is None else actual
        return bool(who.supports_native_join)

    def _get_task_meta(self: Any) -> Any:
        actual = self._actual()
        return super()._get_task_meta() if actual is None else actual._get_task_meta()  # type: ignore[misc]  # noqa: SLF001 - as above


class UnreleasedGroup(Unreleased):
    """Mixin of the result of a group that raises until its call was sent."""

    def join(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Join the results, as ``get`` does."""
        actual = self._actual()
        return super().join(*args, **kwargs) if actual is None else actual.join(*args, **kwargs)  # type: ignore[misc]  # as above

    def join_native(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Join the results, as ``get`` does."""
        actual = self._actual()
        who: Any = super() if actual is None else actual
        return who.join_native(*args, **kwargs)


def released_first(iter_native: Any) -> Any:
    """Return ``ResultSet.iter_native`` with a check that all calls of the set were sent.

    The sets are Celery's, or the user's, so that it is put in place of that for all of them.
    """

    @wraps(iter_native)
    def released(self: Any, *args: Any, **kwargs: Any) -> Any:
        for node in nodes(self):
            buffered = getattr(node, "buffered", None)
            if buffered is not None:
                buffered.check()
        return iter_native(self, *args, **kwargs)

    return released


@cache
def unreleased(cls: type[Any]) -> type[Any]:
    """Return the class of unreleased results of a class of results."""
    mixin = UnreleasedGroup if issubclass(cls, ResultSet) else Unreleased
    name = "UnreleasedGroupResult" if issubclass(cls, ResultSet) else "UnreleasedResult"
    return type(name, (mixin, cls), {"__doc__": f"A {cls.__name__} of what was not sent yet."})


def result_of(app: Celery, intent: CallTask, task_id: str, scope: Scope | None) -> Any:
    """Return the result of a call that is not sent yet.

    Args:
        app: that will send it.
        intent: the call.
        task_id: that its task will have.
        scope: that it was emitted into.
    """
    signature, _ = thaw(app, intent.signature, task_id)
    result: Any = signature.freeze()
    buffered = AWAITED[task_id] = BufferedCall(intent, scope)
    ignored = signature.options.get(
        "ignore_result", getattr(_task(app, signature), "ignore_result", False)
    )
    for node in nodes(result):
        cls: Any = type(node)
        node.__class__ = unreleased(cls)
        node.buffered = buffered
    if isinstance(result, AsyncResult):
        result.ignored = bool(ignored)
    return result


def _task(app: Any, signature: Any) -> Any:
    return app.tasks.get(signature.task)


def nodes(result: Any) -> list[Any]:
    """Return a result, its parents, and the members of groups."""
    found: dict[int, Any] = {}
    stack = [result]
    while stack:
        node = stack.pop()
        if node is not None and id(node) not in found:
            found[id(node)] = node
            members = node.results if isinstance(node, ResultSet) else None
            stack += [node.parent, *(members or ())]
    return [*found.values()]


UNSENT = (State.OPEN, State.CLOSED, State.WAITING)


class Question:
    """One observed call, counted once if its result is asked for too early."""

    def __init__(self, observations: Observations, place: Place, what: str, region: Region) -> None:
        self._observations = observations
        self._place = place
        self._what = what
        self._scope: Any = region.scope.outermost
        self._counted = False

    def asked(self) -> None:
        """Count that a result is asked for while its scope has not ended."""
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
    """Mixin of a result that counts when it is asked for."""

    question: Question | None = None  # a copy, or one that was pickled, has none

    def __reduce__(self: Any) -> Any:
        made, *rest = cast("tuple[Any, ...]", super().__reduce__())
        return (type(self).__mro__[2] if made is type(self) else made, *rest)


def asking(name: str) -> Callable[..., Any]:
    """Return a method that notes that it was called."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.question is not None:
            self.question.asked()
        return getattr(super(type(self), self), name)(*args, **kwargs)

    method.__name__ = name
    return method


@cache
def watched(cls: type[Any]) -> type[Any]:
    """Return the class of watched results of a class of results."""
    names = ("get", "wait", "join", "join_native", "_get_task_meta")
    methods = {name: asking(name) for name in names if hasattr(cls, name)}
    # It has the name of that, as the code, its logs and its tests must not notice.
    return type(cls.__name__, (Watched, cls), {"__doc__": cls.__doc__, **methods})
