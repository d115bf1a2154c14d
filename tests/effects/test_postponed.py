"""Annotations that are strings, and those that name what is not there yet."""

from __future__ import annotations

import sys
import types
from typing import Any

import attrs
import pytest

import airlock
from airlock import EffectBuffer, Json, intent
from airlock.errors import FieldError, NotAnIntentError


@intent(kind="tests.postponed.early")
class Early:
    """Names what is defined below."""

    later: Later
    document: Json | None = None


@intent(kind="tests.postponed.early-bad")
class EarlyBad:
    later: LaterBad


@intent(kind="tests.postponed.tree")
class Tree:
    """Names itself."""

    children: tuple[Tree, ...] = ()


@attrs.frozen
class Later:
    n: int


@attrs.frozen
class LaterBad:
    rows: list[int]


def test_strings_are_resolved_at_declaration() -> None:
    with pytest.raises(FieldError, match=r"mutable type list\[int\]"):

        @intent
        class Postponed:
            rows: list[int]


def test_names_of_the_enclosing_function_are_found() -> None:
    class Local:
        pass

    with pytest.raises(FieldError, match="Local, which compares by identity"):

        @intent
        class Postponed:
            value: Local


def test_a_class_may_name_itself() -> None:
    assert EffectBuffer([Tree((Tree(),))]) == [Tree((Tree(),))]


def test_a_name_defined_later_is_checked_at_the_first_emission() -> None:
    effects = EffectBuffer()
    effects.emit(Early(Later(1)))
    effects.emit(Early(Later(2)))
    assert effects == [Early(Later(1)), Early(Later(2))]


def test_a_wrong_type_defined_later_is_refused_at_the_first_emission() -> None:
    """And at every further one; nothing is recorded."""
    effects = EffectBuffer()
    for _ in range(2):
        with pytest.raises((FieldError, NotAnIntentError)) as caught:
            effects.emit(EarlyBad(LaterBad([])))
        assert "rows has the mutable type" in str(caught.value)
    assert effects == []


def test_the_ambient_emit_and_emit_all_check_it_too() -> None:
    @intent(kind="tests.postponed.ambient")
    class Ambient:
        value: DefinedInAMoment  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    globals()["DefinedInAMoment"] = dict[str, int]
    with airlock.Boundary({}).scope() as effects, pytest.raises(FieldError, match="mutable"):
        airlock.emit_all([Ambient({})])
    assert effects.report.counts == {}


def test_a_name_that_never_comes_is_left_to_the_type_checker() -> None:
    module = types.ModuleType("tests_postponed_made")
    sys.modules[module.__name__] = module
    source = (
        "from __future__ import annotations\n"
        "from airlock import intent\n"
        "@intent\n"
        "class Made:\n"
        "    value: NeverDefined\n"
    )
    try:
        exec(compile(source, "made.py", "exec"), vars(module))
        made: Any = module.__dict__["Made"]
        assert EffectBuffer([made(1)]) == [made(1)]
    finally:
        del sys.modules[module.__name__]


def test_a_postponed_json_field_takes_json_only() -> None:
    @intent(kind="tests.postponed.document")
    class Document:
        body: Json

    plain: Any = {"a": 1}
    with pytest.raises(TypeError, match=r"takes an airlock\.Json"):
        Document(plain)


def test_optional_json_is_checked_like_json() -> None:
    """A dict in a field of ``Json | None`` fails when it is made, or at least before it is taken."""
    plain: Any = {"a": 1}
    with pytest.raises((TypeError, FieldError)):
        hash(Early(Later(1), plain))
