"""Targets on the command line: ``module:name``.

To load one is to run the user's code. No effect of that happens: see ``refusing``.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from airlock.cli.failing import Failure

if TYPE_CHECKING:
    from airlock import Boundary
    from airlock.wire import Wire

__all__ = ["boundary_of", "import_module", "imported", "wire_of"]

T = TypeVar("T")
SETTINGS = "DJANGO_SETTINGS_MODULE"


def boundary_of(target: str) -> Boundary:
    """Return the boundary that a target names, or that the function there returns.

    Raises:
        Failure: there is none.
    """
    from airlock import Boundary  # noqa: PLC0415

    return _of_class(target, Boundary)


def wire_of(target: str | None) -> Wire:
    """Return the wire that a target names; the default one, if there is no target.

    Raises:
        Failure: there is none.
    """
    from airlock.wire import Wire  # noqa: PLC0415

    return Wire() if target is None else _of_class(target, Wire)


def _of_class(target: str, cls: type[T]) -> T:
    found = imported(target)
    if not isinstance(found, cls) and callable(found) and not isinstance(found, type):
        found = _called(target, found)
    if isinstance(found, cls):
        return found
    raise Failure(
        f"{target} is of the type {type(found).__qualname__}, and a {cls.__name__} is needed: name "
        "one, or a function without arguments that returns one."
    )


def _called(target: str, factory: Any) -> Any:
    try:
        return factory()
    except Exception as error:
        raise _failed(f"{target} cannot be called", error) from error


def imported(target: str) -> Any:
    """Return the object that a target names.

    Raises:
        Failure: there is no such thing.
    """
    module, separator, path = target.partition(":")
    if not (module and separator and path):
        raise Failure(
            f"{target!r} names nothing: write module:name, such as shop.effects:boundary."
        )
    found: Any = import_module(module)
    for name in path.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, dir(found), 1)
            raise Failure(
                f"{target!r}: {getattr(found, '__name__', path)!r} has no {name!r}."
                + (f" Did you mean {near[0]!r}?" if near else "")
            )
        found = getattr(found, name)
    return found


def import_module(name: str) -> ModuleType:
    """Import a module, looking in the current folder first.

    Raises:
        Failure: it is not there, or cannot be imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    set_django_up()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise Failure(
                f"there is no module {error.name!r}, neither in {here} nor installed."
            ) from None
        raise _failed(f"{name} cannot be imported", error) from error
    except (Exception, SystemExit) as error:
        raise _failed(f"{name} cannot be imported", error) from error


def set_django_up() -> None:
    """Set Django up if the environment names its settings: models cannot be imported before.

    Raises:
        Failure: it cannot be set up.
    """
    settings = os.environ.get(SETTINGS)
    if settings is None or find_spec("django") is None:
        return
    import django  # noqa: PLC0415
    from django.apps import apps  # noqa: PLC0415

    if apps.ready:
        return
    try:
        django.setup()
    except (Exception, SystemExit) as error:
        what = f"Django cannot be set up with {SETTINGS}={settings}"
        raise _failed(what, error) from error


def _failed(what: str, error: BaseException) -> Failure:
    """Return the failure of a user's module, with the user's part of the traceback."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen importlib", importlib.__file__ or "-"))
        and not frame.filename.startswith(_AIRLOCK)
    ]
    shown = "".join(traceback.format_list(frames))
    text = "".join(traceback.format_exception_only(error))
    hint = ""
    if type(error).__module__ == "django.core.exceptions" and SETTINGS not in os.environ:
        hint = f"\n{SETTINGS} is not set. Set it to the module of your settings: then Django is set up first."
    return Failure(f"{what}:\n{shown}{text}".rstrip() + hint)


_AIRLOCK = str(Path(__file__).parents[1])
