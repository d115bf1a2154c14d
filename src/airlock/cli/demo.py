"""``airlock demo``: what it is about, in twenty seconds."""

from __future__ import annotations

import contextlib
import io

import click

from airlock.cli.output import json_option, print_json

__all__ = ["demo"]


@click.command()
@json_option
def demo(as_json: bool) -> None:  # noqa: FBT001 - an option
    """Show what airlock is about, in twenty seconds."""
    from airlock.cli.story import run  # noqa: PLC0415 - declares intents, and no other command has them

    if not as_json:
        run()
        return
    with contextlib.redirect_stdout(io.StringIO()) as output:
        run()
    print_json({"lines": output.getvalue().splitlines()})
