"""The command ``airlock``: check and show the wiring, run programs without their effects, apply plans.

Each command is a module of its own; what it needs beside click is imported when it runs.
"""

from __future__ import annotations

import click

from airlock.cli.checking import check
from airlock.cli.completion import completion
from airlock.cli.demo import demo
from airlock.cli.failing import Failing
from airlock.cli.graph import graph
from airlock.cli.handlers import handlers
from airlock.cli.intents import intents
from airlock.cli.outbox import outbox
from airlock.cli.plans import plan
from airlock.cli.refusing import refuse_effects
from airlock.cli.relay import relay
from airlock.cli.run import run
from airlock.cli.schema import schema

__all__ = ["airlock"]


@click.group(cls=Failing)
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="airlock-effects", prog_name="airlock")
@click.pass_context
def airlock(context: click.Context, traceback: bool) -> None:  # noqa: ARG001, FBT001 - an option, which Failing reads
    """Side effects as values: check and show the wiring, and review effects before they happen.

    A BOUNDARY is named as module:name, from the current folder: shop.effects:boundary. It may also
    be a function that returns one.
    """
    if context.invoked_subcommand not in _RUN_EFFECTS:
        refuse_effects(f"airlock {context.invoked_subcommand}")


_RUN_EFFECTS = ("run", "demo")
"""Commands that do not only look: one holds all effects of a program, one has effects of its own.

`plan apply`, `plan resume` and `relay` allow effects once everything is loaded.
"""


for command in (
    check,
    intents,
    handlers,
    graph,
    schema,
    plan,
    outbox,
    relay,
    run,
    demo,
    completion,
):
    airlock.add_command(command)
