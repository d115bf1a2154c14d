"""``airlock relay``: deliver what an outbox holds."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airlock.cli.durations import duration
from airlock.cli.refusing import allow_effects
from airlock.cli.selecting import chosen, outbox_options

if TYPE_CHECKING:
    from airlock.outbox import Relay
    from airlock.outbox.relay import Drained

__all__ = ["relay"]


def _limits(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """``KIND=N``, several times."""
    limits: dict[str, int] = {}
    for value in values:
        kind, separator, number = value.rpartition("=")
        if not (kind and separator and number.isdecimal() and int(number)):
            raise click.BadParameter(f"{value!r}: write KIND=N, such as shop.send-email=2.")
        limits[kind] = int(number)
    return limits


@click.command()
@outbox_options()
@click.option(
    "--concurrency", type=click.IntRange(1), help="How many flushes run at once. Default: 4."
)
@click.option(
    "--kind-concurrency",
    "kinds",
    multiple=True,
    callback=_limits,
    metavar="KIND=N",
    help="How many of them for one kind; may be repeated.",
)
@click.option(
    "--lease", callback=duration, metavar="DURATION", help="Until another takes over. Default: 30s."
)
@click.option("--batch", type=click.IntRange(1), help="How many to claim at once. Default: 100.")
@click.option("--once", "--drain", "once", is_flag=True, help="Deliver what is due, then exit.")
@click.option("--forward", is_flag=True, help="Hand everything over to the other dispatch.")
@click.option("--listen", is_flag=True, help="Wake up by PostgreSQL's LISTEN, too.")
@click.option(
    "--health", metavar="FILE|PORT", help="A file to write each round, or a port of 127.0.0.1."
)
def relay(
    arguments: tuple[str, ...],
    queue: str | None,
    once: bool,  # noqa: FBT001 - an option
    lease: timedelta | None,
    health: str | None,
    **options: Any,
) -> None:
    """Deliver the effects of an outbox, until SIGTERM or Ctrl-C; as many relays as you like.

    Whoever ends it lets what runs finish; what has not started is there for the next.
    """
    from airlock.outbox import Relay  # noqa: PLC0415 - an extra

    found = chosen(arguments, queue)
    settings = {name: value for name, value in options.items() if value}
    if lease is not None:
        settings |= {"lease": lease, "renew": lease / 3}
    if health is not None:
        settings["health"] = int(health) if health.isdecimal() else Path(health)
    if not logging.getLogger().handlers:  # the application has set up no log of its own
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
        logging.getLogger("airlock").setLevel(logging.INFO)
    relay = Relay(found.outbox, found.boundary, **settings)
    allow_effects()
    if any(binding.awaited() for binding in found.boundary.handlers.values()):
        drained = asyncio.run(_arun(relay, once=once))
    else:
        with found.boundary:
            drained = relay.drain() if once else None
            if not once:
                relay.run_sync()
    if drained is not None:
        click.echo(
            f"{drained.delivered:,} delivered, {drained.failed:,} failed, {drained.dead:,} dead"
        )


async def _arun(relay: Relay, *, once: bool) -> Drained | None:
    """Run a relay, while the resources of the container are open."""
    from airlock.outbox.database import AsyncEngineDatabase  # noqa: PLC0415 - an extra

    database = relay.outbox.database
    try:
        async with relay.boundary:
            if once:
                return await relay.adrain()
            with relay.stopped_by_signals():
                await relay.run()
    finally:
        if isinstance(database, AsyncEngineDatabase):
            await database.aclose()
    return None
