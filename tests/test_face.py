"""The public face: what ``airlock`` exports, where it lives, and what importing it costs."""

from __future__ import annotations

import importlib
import importlib.resources
import inspect
import json
import pkgutil
import subprocess
import sys
import types
import typing
from typing import Any

import pytest

import airlock
from tests.integrations.django.ready import set_up

FRAMEWORKS = (
    *("cattrs", "django", "flask", "starlette", "fastapi", "celery", "sqlalchemy", "gevent"),
    *("anyio", "trio", "rich", "stamina", "typer", "click", "pydantic", "sqlite3", "pytest"),
)

SYMBOLS = [(name, getattr(airlock, name)) for name in airlock.__all__]
CALLABLES = [(name, symbol) for name, symbol in SYMBOLS if callable(symbol)]


def modules() -> list[types.ModuleType]:
    set_up()  # models of Django are made when their module is imported, and need settings
    names = [m.name for m in pkgutil.walk_packages(airlock.__path__, "airlock.")]
    return [airlock, *map(importlib.import_module, names)]


def test_the_face_is_sorted() -> None:
    """Constants, then classes, then functions."""

    def order(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    assert airlock.__all__ == sorted(airlock.__all__, key=order)
    assert len(set(airlock.__all__)) == len(airlock.__all__)


def test_the_face_is_what_can_be_imported() -> None:
    public = {
        name
        for name, value in vars(airlock).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(airlock.__all__)


def test_star_import_gives_the_face() -> None:
    namespace: dict[str, Any] = {}
    exec("from airlock import *", namespace)
    del namespace["__builtins__"]
    assert set(namespace) == set(airlock.__all__)


def test_airlock_has_a_docstring_and_types() -> None:
    assert airlock.__doc__
    assert (importlib.resources.files(airlock) / "py.typed").is_file()


@pytest.mark.parametrize(("name", "symbol"), CALLABLES, ids=[name for name, _ in CALLABLES])
def test_every_symbol_is_documented(name: str, symbol: Any) -> None:
    if not _is_alias(symbol):
        assert inspect.getdoc(symbol)


@pytest.mark.parametrize(("name", "symbol"), CALLABLES, ids=[name for name, _ in CALLABLES])
def test_every_method_of_a_class_is_documented(name: str, symbol: Any) -> None:
    """Overrides are described by what they override."""
    if inspect.isclass(symbol) and not _is_alias(symbol):
        bare = [
            f"{name}.{method}"
            for method, function in inspect.getmembers(symbol, inspect.isfunction)
            if not method.startswith("_")
            and function.__module__.startswith("airlock")
            and not any(method in vars(base) for base in symbol.__mro__[1:])
            and not inspect.getdoc(function)
        ]
        assert bare == []


@pytest.mark.parametrize(("name", "symbol"), CALLABLES, ids=[name for name, _ in CALLABLES])
def test_every_symbol_lives_in_airlock_under_its_name(name: str, symbol: Any) -> None:
    """One public home each; ``__module__`` and ``__name__`` say which."""
    if not _is_alias(symbol):
        assert symbol.__module__ == "airlock"
        assert symbol.__name__ == name
        home = importlib.import_module(symbol.__module__)
        assert getattr(home, name) is symbol
        assert name in home.__all__


def _is_alias(symbol: Any) -> bool:
    """Whether it names a type expression: ``PolicyLike``, ``Interceptor``."""
    return typing.get_origin(symbol) is not None


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_every_module_lists_what_it_offers(module: Any) -> None:
    """Packages that only group modules offer nothing."""
    offered = getattr(module, "__all__", [])
    assert [name for name in offered if not hasattr(module, name)] == []
    assert len(set(offered)) == len(offered)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_every_module_says_what_it_is(module: types.ModuleType) -> None:
    assert module.__doc__


def test_importing_airlock_loads_no_framework() -> None:
    """In a fresh interpreter: what a program imports is its own choice."""
    program = (
        "import json, sys, attrs, dependency_injector.providers\n"
        "before = set(sys.modules)  # dependency-injector looks for pydantic\n"
        "import airlock; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(out.stdout)}
    assert loaded & set(FRAMEWORKS) == set()


def test_importing_airlock_loads_no_integration() -> None:
    program = "import sys, airlock; print(*[m for m in sys.modules if 'integrations' in m])"
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == ""


def test_importing_airlock_changes_nothing_elsewhere() -> None:
    """No handler on a logger, no hook, no warning, no thread."""
    program = (
        "import logging, sys, threading, warnings\n"
        "before = (sys.excepthook, list(warnings.filters), threading.active_count())\n"
        "import airlock\n"
        "assert (sys.excepthook, list(warnings.filters), threading.active_count()) == before\n"
        "assert logging.getLogger().handlers == logging.getLogger('airlock').handlers == []\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
