"""Trying a check with many values, apart from whatever is around the test."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

from airlock.scopes.current import NOWHERE, here

__all__ = ["Broken", "apart", "look", "outside"]


class Broken(Exception):  # noqa: N818 - internal; becomes an AssertionError
    """A broken law, with the example that shows it.

    Attributes:
        law: which law it is, where there are several.
    """

    def __init__(self, text: str, law: str = "") -> None:
        super().__init__(text)
        self.law = law


def look(
    values: st.SearchStrategy[Any],
    check: Callable[[Any], None],
    settings: hypothesis.settings | None,
) -> None:
    """Try many values, and raise what the smallest shows to be wrong.

    Raises:
        AssertionError: a value does.
        BaseExceptionGroup: a value does at one time, and does not at another.
    """
    __tracebackhide__ = True
    quick = settings or hypothesis.settings(
        deadline=None,
        database=None,
        phases=[phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain],
    )

    @hypothesis.settings(quick, report_multiple_bugs=False)
    @hypothesis.given(values)
    def try_one(value: Any) -> None:
        check(value)

    try:
        try_one()
    except Broken as broken:
        raise AssertionError(str(broken)) from broken.__cause__


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call where no scope is open: what is tried is not visible to scopes around the test."""
    return outside().run(function, *args)


def outside() -> contextvars.Context:
    """Return a context like this one, but outside of every scope."""
    context = contextvars.copy_context()
    context.run(here.set, NOWHERE)
    return context
