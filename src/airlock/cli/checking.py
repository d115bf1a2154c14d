"""``airlock check``: is the wiring complete?"""

from __future__ import annotations

import click

from airlock.cli.failing import FOUND
from airlock.cli.output import folded, json_option, print_json
from airlock.cli.targets import boundary_of

__all__ = ["check"]


@click.command()
@click.argument("boundary")
@click.option("--sync", is_flag=True, help="Flushes are sync: async handlers do not fit.")
@json_option
def check(boundary: str, sync: bool, as_json: bool) -> None:  # noqa: FBT001 - options
    """Check that every declared intent has a handler that fits. For CI: exits with 1 if not."""
    found = boundary_of(boundary).check(sync=sync)
    if as_json:
        kinds = ("unhandled", "unused", "misfits", "undefined", "fields", "conflicts")
        print_json({"ok": found.ok, **{kind: list(getattr(found, kind)) for kind in kinds}})
    else:
        click.echo(folded(str(found), hanging=2))
    if not found.ok:
        raise click.exceptions.Exit(FOUND)
