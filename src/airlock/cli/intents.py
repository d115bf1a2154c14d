"""``airlock intents``: what is declared."""

from __future__ import annotations

from typing import Any

import attrs
import click

from airlock.cli.output import json_option, print_json, table
from airlock.cli.targets import import_module, imported
from airlock.effects.place import shown
from airlock.effects.registry import declared, spec_of

__all__ = ["intents"]


@click.command()
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@json_option
def intents(modules: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - an option
    """List the intents that some modules, and what they import, declare."""
    for module in modules:
        imported(module) if ":" in module else import_module(module)
    found = sorted(map(_described, declared()), key=lambda one: (one["kind"], one["version"]))
    if as_json:
        print_json(found)
        return
    rows = [
        (one["kind"], str(one["version"]), ", ".join(map(_field, one["fields"])), one["place"])
        for one in found
    ]
    table(("kind", "version", "fields", "declared at"), rows)
    if not found:
        click.echo("no intents")


def _described(cls: type[Any]) -> dict[str, Any]:
    spec = spec_of(cls)
    return {
        "kind": spec.kind,
        "version": spec.version,
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "place": shown(spec.place),
        "fields": [
            {
                "name": a.name,
                "type": _type(a.type),
                "required": a.default is attrs.NOTHING,
                "sensitive": bool(a.metadata.get("airlock.sensitive")),
            }
            for a in attrs.fields(cls)
        ],
    }


def _type(hint: Any) -> str:
    if isinstance(hint, type) and not getattr(hint, "__args__", ()):
        return hint.__qualname__
    return str(hint).replace("typing.", "")


def _field(field: dict[str, Any]) -> str:
    optional = "" if field["required"] else "?"
    sensitive = " (sensitive)" if field["sensitive"] else ""
    return f"{field['name']}{optional}: {field['type']}{sensitive}"
