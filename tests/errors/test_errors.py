"""The exception tree, and what its classes have in common."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import airlock
from airlock import Boundary, FlushError, errors
from airlock.errors import AirlockError, PartialFailure

LINE = re.compile(r"^(?P<indent>[│ ]*)(?:[├└]── )?(?P<name>[A-Z]\w+)(?:\s{2,}.*)?$")

CLASSES = [getattr(errors, name) for name in errors.__all__]


def drawn() -> dict[str, str | None]:
    """The tree in the docstring: every class with its base."""
    found: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = LINE.match(line.removeprefix("    "))
        if not line.startswith("    ") or match is None:
            continue
        depth = len(match["indent"]) // 4 + ("── " in line)
        above[depth:] = [match["name"]]
        found[match["name"]] = above[depth - 1] if depth else None
    return found


def real() -> dict[str, str | None]:
    tree: dict[str, str | None] = {"AirlockError": None}
    for cls in CLASSES:
        if issubclass(cls, AirlockError) and cls is not AirlockError:
            [base] = [base for base in cls.__bases__ if issubclass(base, AirlockError)]
            tree[cls.__name__] = base.__name__
    return tree


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    assert drawn() == real()


def test_every_error_of_the_module_is_exported() -> None:
    defined = {
        name
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, BaseException) and cls.__module__ in {errors.__name__, "airlock"}
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_an_airlock_error_whose_name_says_so(cls: type[Exception]) -> None:
    """``PartialFailure`` is raised by handlers, and named after what it means to them."""
    if cls is not PartialFailure and not issubclass(cls, Warning):
        assert issubclass(cls, AirlockError)
        assert cls.__name__.endswith("Error")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_documented(cls: type[Exception]) -> None:
    assert inspect.getdoc(cls)
    assert cls.__doc__ not in {base.__doc__ for base in cls.__bases__}


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.DeclarationError, TypeError),
        (errors.NoScopeError, LookupError),
        (errors.NotAnIntentError, TypeError),
        (errors.OptionError, TypeError),
        (errors.DirectCallError, TypeError),
        (errors.HandlerSignatureError, TypeError),
        (errors.UnhandledIntentError, LookupError),
        (errors.AsyncHandlerError, TypeError),
        (errors.MissingExtraError, ImportError),
        (errors.DeliveryError, LookupError),
        (errors.FlushError, ExceptionGroup),
    ],
)
def test_an_error_is_also_what_python_calls_it(
    cls: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(cls, builtin)


def test_a_flush_error_keeps_its_type_through_split_and_subgroup() -> None:
    error = FlushError("two failed", [ValueError("a"), KeyError("b")])
    parts: list[Any] = [*error.split(ValueError), error.subgroup(KeyError)]
    assert [type(part) for part in parts] == [FlushError] * 3
    assert [part.message for part in parts] == ["two failed"] * 3


def test_an_error_takes_its_facts_and_no_others() -> None:
    made: Any = errors.ClosedRegionError
    with pytest.raises(TypeError, match="what"):
        made("one", "two", "three", "too many")


def test_the_text_of_errors_that_hold_each_other_is_bounded() -> None:
    """Handlers that flush scopes of their own: the chain is in the group, not in its text."""
    boundary = Boundary({Level: descend})

    def descend_from(depth: int) -> FlushError:
        with pytest.raises(FlushError) as raised, boundary.scope() as effects:
            effects.emit(Level(depth))
        return raised.value

    texts = [len(str(descend_from(depth))) for depth in (4, 8, 16)]
    assert max(texts) < 1_000
    reports = [len(str(descend_from(depth).report)) for depth in (8, 16)]
    assert reports[1] < 1.5 * reports[0]


@airlock.intent
class Level:
    n: int


def descend(level: Level) -> None:
    if not level.n:
        raise ValueError("the bottom")
    with Boundary({Level: descend}).scope(independent=True) as effects:
        effects.emit(Level(level.n - 1))
