"""``airlock handlers``: what runs for which intent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from airlock.cli.output import json_option, print_json, table
from airlock.cli.targets import boundary_of
from airlock.effects.registry import spec_of

if TYPE_CHECKING:
    from airlock import Boundary
    from airlock.handlers.table import Binding

__all__ = ["handlers"]


@click.command()
@click.argument("boundary")
@json_option
def handlers(boundary: str, as_json: bool) -> None:  # noqa: FBT001 - an option
    """List the handlers of a boundary, and how effects get to them."""
    loaded = boundary_of(boundary)
    found = [_described(loaded, binding) for binding in loaded.handlers.values()]
    found.sort(key=lambda one: one["kind"])
    if as_json:
        print_json(found)
        return
    table(("kind", "handler", "how"), [(o["kind"], o["handler"], _how(o)) for o in found])
    if not found:
        click.echo("no handlers")


def _described(boundary: Boundary, binding: Binding) -> dict[str, Any]:
    from airlock.dispatch import dispatch_of  # noqa: PLC0415

    return {
        "kind": spec_of(binding.intent_type).kind,
        "handler": binding.name,
        "async": binding.awaited() is not None,
        "batch": binding.batch,
        "size": binding.size,
        "retried": binding.retry is not None,
        "idempotent": binding.idempotent,
        "dispatch": repr(dispatch_of(boundary.dispatch, binding.intent_type)),
    }


def _how(one: dict[str, Any]) -> str:
    size = "" if one["size"] is None else f" of {one['size']}"
    facts = [
        "async" if one["async"] else "",
        f"in batches{size}" if one["batch"] else "",
        "retried" if one["retried"] else "",
        "idempotent" if one["idempotent"] else "",
        "" if one["dispatch"] == "inline dispatch" else f"by {one['dispatch']}",
    ]
    return ", ".join(filter(None, facts))
