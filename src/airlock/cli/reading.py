"""Plans as arguments: the file, and what reads its intents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airlock.cli.targets import import_module, wire_of

if TYPE_CHECKING:
    from airlock.plan import Plan

__all__ = ["FILE", "loaded_from", "reading"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name what reads the intents of a plan."""
    function = click.option(
        "--wire", metavar="MODULE:WIRE", help="Reads the intents, for example with a cipher."
    )(function)
    return click.option(
        "--import",
        "modules",
        multiple=True,
        metavar="MODULE",
        help="Declares the intents of the plan; may be repeated.",
    )(function)


def loaded_from(path: Path, wire: str | None, modules: tuple[str, ...]) -> Plan:
    """Load the plan in a file, after importing the modules that declare its intents."""
    from airlock.plan import Plan  # noqa: PLC0415

    for module in modules:
        import_module(module)
    return Plan.load(path, wire=wire_of(wire))
