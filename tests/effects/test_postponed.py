"""Annotations that are strings, and those that name what is not there yet."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
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


def made(source: str) -> Any:
    """The class ``Made`` of a module of that source."""
    module = types.ModuleType("tests_postponed_made")
    sys.modules[module.__name__] = module
    head = "from __future__ import annotations\nimport attrs, airlock\nfrom airlock import intent\n"
    exec(compile(head + source, "made.py", "exec"), vars(module))
    return module.__dict__["Made"]


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    yield
    sys.modules.pop("tests_postponed_made", None)


UNKNOWN = {
    "misspelt": "@intent\nclass Made:\n    value: Tupel[int, ...]\n",
    "for type checkers only": (
        "import typing\nif typing.TYPE_CHECKING:\n    from collections import Counter\n"
        "@intent\nclass Made:\n    value: Counter[str]\n"
    ),
    "an attribute": "import collections\n@intent\nclass Made:\n    value: collections.Count\n",
    "inside": "@intent\nclass Made:\n    value: tuple[int | Nowhere, ...]\n",
    "nested": (
        "@attrs.frozen\nclass Line:\n    tags: Nowhere\n@intent\nclass Made:\n    value: Line\n"
    ),
    "inherited": (
        "@attrs.frozen\nclass Base:\n    value: Nowhere\n@intent\nclass Made(Base):\n    pass\n"
    ),
}


@pytest.mark.parametrize("source", UNKNOWN.values(), ids=UNKNOWN)
def test_a_name_that_never_comes_is_refused_at_the_first_emission(source: str) -> None:
    """And at every other; ``check`` names it before."""
    cls = made(source)
    (problem,) = airlock.Boundary({cls: print}).check([cls]).fields
    assert problem.startswith("Made.value")
    assert "which cannot be resolved" in problem
    assert "not only under `if TYPE_CHECKING:`" in problem
    effects = EffectBuffer()
    for emit in (effects.emit, lambda one: effects.emit_all([one]), effects.emit):
        with pytest.raises(FieldError, match="cannot be resolved"):
            emit(cls(()))
    assert effects == []


def test_a_field_that_is_no_part_of_the_value_may_have_any_annotation() -> None:
    cls = made("@intent\nclass Made:\n    value: Nowhere = airlock.field(hash=False)\n")
    assert airlock.Boundary({cls: print}).check([cls]).ok
    assert EffectBuffer([cls(1)]) == [cls(1)]


def test_an_imported_module_may_come_later() -> None:
    """As in a circle of imports."""
    cls = made("@intent\nclass Made:\n    value: elsewhere.Rows\n")
    sys.modules["tests_postponed_made"].elsewhere = types.SimpleNamespace(Rows=list[int])  # type: ignore[attr-defined]
    with pytest.raises(FieldError, match=r"mutable type list\[int\]"):
        EffectBuffer().emit(cls([]))


def test_a_class_var_is_known_by_any_name() -> None:
    """Attrs knows it by its usual ones only, and takes it for a field otherwise."""
    with pytest.raises(FieldError, match="is no field"):
        made("import typing as tp\n@intent\nclass Made:\n    limit: tp.ClassVar[int] = 3\n")


def test_names_that_a_function_defines_later_are_found_while_it_runs() -> None:
    """A local class below the intent."""

    @intent
    class Above:
        below: Below

    @attrs.frozen
    class Below:
        rows: tuple[int, ...]

    assert EffectBuffer([Above(Below((1,)))]) == [Above(Below((1,)))]

    @intent
    class AboveBad:
        below: BelowBad

    @attrs.frozen
    class BelowBad:
        rows: list[int]

    with pytest.raises(FieldError, match=r"below\.rows has the mutable type"):
        EffectBuffer().emit(AboveBad(BelowBad([])))


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
