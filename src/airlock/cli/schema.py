"""``airlock schema``: what intents look like on the wire, and what would break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from airlock.cli.failing import FOUND, Failure
from airlock.cli.output import json_option, print_json
from airlock.cli.targets import import_module, imported

__all__ = ["schema"]


@click.command()
@click.argument("target", metavar="MODULE[:WIRE]")
@click.option("--kind", metavar="KIND", help="Only this kind.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write them to a file, for --against in a later release.",
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="List what cannot be read any more that could when this file was written.",
)
@json_option
def schema(
    target: str,
    kind: str | None,
    out: Path | None,
    against: Path | None,
    as_json: bool,  # noqa: FBT001 - an option
) -> None:
    """Print JSON Schemas of the envelope and of every intent, or compare them with older ones.

    With --against: exits with 1 if there is a breaking change without a new version.
    """
    if against is not None and out is not None:
        raise click.UsageError("give --out or --against, not both")
    now = _schemas(target, kind)
    if against is not None:
        _compare(_saved(against, kind), now, as_json=as_json)
    elif out is not None:
        out.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", "utf-8")
        click.echo(f"{len(now['intents'])} intents written to {out}", err=True)
    else:
        print_json(now)


def _schemas(target: str, kind: str | None) -> dict[str, Any]:
    from airlock.wire import Wire  # noqa: PLC0415

    found = imported(target) if ":" in target else import_module(target)
    schemas = (found if isinstance(found, Wire) else Wire()).schemas()
    if kind is not None:
        schemas["intents"] = _of_kind(schemas, kind)
        if not schemas["intents"]:
            raise Failure(f"{target} declares no intent of the kind {kind!r}.")
    return schemas


def _saved(path: Path, kind: str | None) -> Any:
    try:
        saved = json.loads(path.read_text("utf-8"))
        saved["intents"] = _of_kind(saved, kind)
    except (ValueError, TypeError, KeyError) as error:
        raise Failure(f"{path} is no file that `airlock schema --out` wrote: {error!r}") from None
    return saved


def _of_kind(schemas: Any, kind: str | None) -> list[Any]:
    named = ((one["properties"]["kind"]["const"], one) for one in schemas["intents"])
    return [one for name, one in named if kind in (None, name)]


def _compare(saved: Any, now: dict[str, Any], *, as_json: bool) -> None:
    from airlock.wire import incompatibilities  # noqa: PLC0415

    found = incompatibilities(saved, now)
    if as_json:
        keys = ("kind", "version", "path", "problem")
        print_json([{key: getattr(one, key) for key in keys} for one in found])
    elif found:
        click.echo("\n".join(map(str, found)))
        click.echo(
            "Raise the version of these, and register an upcaster from the old one.", err=True
        )
    else:
        click.echo("compatible: whatever was written before can be read")
    if found:
        raise click.exceptions.Exit(FOUND)
