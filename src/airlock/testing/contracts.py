"""The contract of a boundary's handlers, tried by Hypothesis.

``handler_contract(boundary)`` is called in a sync test of any kind, or in a script. What it finds is
an ``AssertionError``, with the smallest example that shows it.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from typing import Any

import attrs

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, dispatch_of
from airlock.effects.describe import format_class
from airlock.effects.function import EffectFunction
from airlock.effects.intent import replace
from airlock.effects.registry import declared, describe, spec_of
from airlock.emissions.wave import Outcome
from airlock.errors import (
    DeclarationError,
    FlushError,
)
from airlock.flushing.engine import Engine
from airlock.handlers.signatures import is_async
from airlock.policies.policy import View
from airlock.policies.verdict import ALLOW, DROP, Verdict
from airlock.scopes.tasks import in_asyncio
from airlock.testing.strategies import strategy_of

import hypothesis  # isort: skip
from hypothesis import strategies as st  # isort: skip
from hypothesis.errors import FailedHealthCheck, Unsatisfiable  # isort: skip

from airlock.testing.trials import Broken, apart, look, outside

__all__ = ["handler_contract"]


def handler_contract(
    boundary: Boundary,
    *,
    only: Iterable[type[Any] | EffectFunction[..., Any]] | None = None,
    run: bool = False,
    settings: hypothesis.settings | None = None,
) -> None:
    """Try the handlers of a boundary with values of the intents that they handle.

    Values can be made from the annotations; they hash, copy and compare, and pickle where their
    class can be imported; their ``repr`` does not depend on a sensitive field; each handler can be
    resolved, with its dependencies. With ``run``, each is really called.

    Args:
        boundary: with handlers that may be called, if they are to be.
        only: intent classes or effect functions; by default every declared intent that the
            boundary handles or hands over.
        run: deliver the values, each in a scope of its own. What the handler emits is dropped, so
            that one handler is tried at a time. Async handlers run in one event loop of asyncio.
        settings: how to look; by default as in the current profile of Hypothesis, without a
            deadline, a database or explanations.

    Raises:
        AssertionError: something is not as it should be; the text names the handler, and shows the
            smallest value.
        DeclarationError: nothing that is asked for is handled, or an event loop is running here.

    Example:
        >>> from airlock.testing.contracts import handler_contract
        >>> handler_contract(boundary, only=[NotifyWarehouse], run=True)
    """
    __tracebackhide__ = True
    if not isinstance(boundary, Boundary):
        raise DeclarationError(f"handler_contract takes a Boundary, not {describe(boundary)}.")
    if in_asyncio():
        raise DeclarationError(
            "handler_contract runs async handlers in an event loop of its own, and one is running "
            "here already: call it from a sync test."
        )
    names = dict(sys._getframe(1).f_locals)
    known: Engine = boundary._engine  # noqa: SLF001 - the kit belongs to airlock
    with asyncio.Runner() as runner:
        for cls in _handled(known, only):
            values = strategy_of((cls,), {}, names)
            contract = _Contract(boundary, known, cls, runner)
            contract.check_handler()
            check = partial(contract.check, run=run)
            try:
                look(st.tuples(values, values), check, settings)
            except (DeclarationError, FailedHealthCheck, Unsatisfiable) as error:
                raise AssertionError(
                    f"no values of {format_class(cls)} can be made: {error}"
                ) from error


def _handled(known: Engine, only: Any) -> list[type[Any]]:
    chosen = declared() if only is None else only
    classes = [c.intent_type if isinstance(c, EffectFunction) else c for c in chosen]
    handled = [cls for cls in classes if _takes(known, cls)]
    missing = [cls for cls in classes if cls not in handled] if only is not None else []
    if missing or not handled:
        lacks = ", ".join(map(format_class, missing)) or "any declared intent"
        raise DeclarationError(
            f"handler_contract: the boundary does not handle {lacks}, so there is nothing to try. "
            "Import the module that declares the intents, or add their handlers."
        )
    return handled


def _takes(known: Engine, cls: type[Any]) -> bool:
    spec_of(cls)
    return known.binding(cls) is not None or dispatch_of(known.dispatch, cls) is not INLINE


class _Contract:
    """The contract of one intent class and its handler."""

    def __init__(
        self, boundary: Boundary, known: Engine, cls: type[Any], runner: asyncio.Runner
    ) -> None:
        self._boundary = boundary
        self._class = cls
        self._runner = runner
        dispatch = dispatch_of(known.dispatch, cls)
        self._binding = known.binding(cls) if dispatch is INLINE else None
        self._awaits = is_async(dispatch.dispatch)
        self._name = repr(dispatch) if self._binding is None else self._binding.name

    # -- the handler ------------------------------------------------------------------------------

    def check_handler(self) -> None:
        """Resolve it, as a flush would.

        Raises:
            AssertionError: it cannot be.
        """
        if self._binding is None:
            return
        try:
            handler = self._binding.provide()
            if isawaitable(handler):
                self._awaits = True
                handler = self._run_async(handler)
        except Exception as error:
            raise AssertionError(f"{self._whose()} cannot be resolved: {error!r}") from error
        if not callable(handler):  # a fake that overrides the provider, say
            raise AssertionError(  # noqa: TRY004 - the contract is broken, whatever it is
                f"{self._whose()} is {handler!r}, which cannot be called"
            )
        self._awaits = self._awaits or is_async(handler)

    def _whose(self) -> str:
        return f"{self._name}, the handler of {format_class(self._class)},"

    def _run_async(self, awaitable: Any) -> Any:
        async def waiting() -> Any:
            return await awaitable

        return self._runner.run(waiting(), context=outside())

    # -- a value ----------------------------------------------------------------------------------

    def check(self, pair: tuple[Any, Any], *, run: bool) -> None:
        """Look at a value; another one is there to compare it with."""
        value, other = pair
        self._same("it does not equal its copy", value, replace)
        if self._is_importable():
            self._same("it does not survive pickle", value, _pickled)
        for hidden in self._sensitive():
            self._hides(hidden, value, other)
        if run:
            self._delivers(value)

    def _same(self, problem: str, value: Any, copied: Callable[[Any], Any]) -> None:
        try:
            twin = copied(value)
            same = bool(twin == value) and hash(twin) == hash(value)
        except Exception as error:
            raise self._wrong(value, f"{problem}: {error!r}") from error
        if not same:
            raise self._wrong(value, problem)

    def _wrong(self, value: Any, problem: str) -> Broken:
        return Broken(
            f"{format_class(self._class)} is not a value: {problem}, as here\n  {value!r}"
        )

    def _is_importable(self) -> bool:
        found: Any = sys.modules.get(self._class.__module__)
        for name in self._class.__qualname__.split("."):
            found = getattr(found, name, None)
        return self._class in (found, getattr(found, "intent_type", None))

    def _sensitive(self) -> Iterator[Any]:
        for attribute in attrs.fields(self._class):
            if attribute.init and attribute.metadata.get("airlock.sensitive"):
                yield attribute

    def _hides(self, attribute: Any, value: Any, other: Any) -> None:
        with suppress(TypeError, ValueError):  # fields that depend on each other
            changed = replace(value, **{attribute.alias: getattr(other, attribute.name)})
            if (repr(changed), str(changed)) != (repr(value), str(value)):
                raise Broken(
                    f"{format_class(self._class)} shows its sensitive field {attribute.name}"
                )

    # -- delivery ---------------------------------------------------------------------------------

    def _delivers(self, value: Any) -> None:
        scope = self._boundary.scope(policy=_first_wave)
        try:
            if self._awaits:
                self._run_async(self._adelivered(scope, value))
            else:
                apart(self._delivered, scope, value)
        except Exception as error:
            cause = error.exceptions[0] if isinstance(error, FlushError) else error
            raise Broken(f"{self._whose()} raised {cause!r} for\n  {value!r}") from error
        entry = scope.report.entries[0]
        if entry.outcome not in (Outcome.DELIVERED, Outcome.HANDED_OVER, Outcome.RECORDED):
            problem = f"was not called: the outcome is {entry.outcome.word}, by {entry.by!r}"
            raise Broken(f"{self._whose()} {problem}, for\n  {value!r}")

    def _delivered(self, scope: Any, value: Any) -> None:
        with scope:
            scope.emit(value)

    async def _adelivered(self, scope: Any, value: Any) -> None:
        async with scope:
            scope.emit(value)


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


def _first_wave(view: View) -> list[Verdict]:
    """One handler at a time."""
    return [DROP if view.wave else ALLOW] * len(view)
