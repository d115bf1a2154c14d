"""``airlock demo``: what it is about, in twenty seconds."""

from __future__ import annotations

import click

__all__ = ["demo"]


@click.command()
def demo() -> None:
    """Show what airlock is about, in twenty seconds."""
    from airlock.cli.story import tell  # noqa: PLC0415 - declares intents, and no other command has them

    tell()
