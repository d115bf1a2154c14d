"""The story of ``airlock demo``: real code, which runs as it is printed."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from airlock import Boundary, Drop, EffectBuffer, Hold, intent
from airlock.cli.output import folded

__all__ = ["crash", "run"]


@intent(kind="demo.notify-warehouse")
class NotifyWarehouse:
    """An order is to be packed."""

    order_id: int


@intent(kind="demo.send-email")
class SendEmail:
    """A notification to send."""

    to: str


def process(order_id: int, effects: EffectBuffer) -> None:
    """Domain code: it emits what should happen, and nothing happens yet."""
    effects.emit(NotifyWarehouse(order_id))
    effects.emit(SendEmail(f"customer-{order_id}@example.org"))


def notify_warehouse(intent: NotifyWarehouse) -> None:
    """Handle the notification."""
    click.secho(f"    warehouse: pack order {intent.order_id}", fg="green")


def send_email(intent: SendEmail) -> None:
    """Another one."""
    click.secho(f"    mail: to {intent.to}", fg="green")


boundary = Boundary({NotifyWarehouse: notify_warehouse, SendEmail: send_email})


def _dies_once(order_id: int) -> Callable[[NotifyWarehouse], None]:
    """Return a handler that ends the process once, in the middle of its work."""

    def dies(intent: NotifyWarehouse) -> None:
        notify_warehouse(intent)
        if intent.order_id == order_id:
            os._exit(137)

    return dies


def crash(file: str) -> None:
    """Apply a plan in a process that will not live to see its end."""
    from airlock.plan import Plan  # noqa: PLC0415

    dying = Boundary({NotifyWarehouse: _dies_once(2), SendEmail: send_email})
    dying.apply(Plan.load(file), progress=False)


def run() -> None:
    """Run the story, from the beginning."""
    _say("Domain code says what should happen:", inspect.getsource(process))
    _say("Effects happen when the block ends:", "with boundary.scope() as effects:")
    with boundary.scope() as effects:
        process(1, effects)
        for emitted in effects:
            click.echo(f"    emitted: {emitted}")
    _say("Or not at all:", "with boundary.scope(policy=Drop(SendEmail)) as effects:")
    with boundary.scope(policy=Drop(SendEmail)) as effects:
        process(1, effects)
    click.echo(f"    {effects.report.summary()}")
    with TemporaryDirectory() as folder:
        _plans(Path(folder, "plan.plan"))


def _plans(path: Path) -> None:
    from airlock.plan import Plan  # noqa: PLC0415

    _say(
        "Or they are held, and you see them before they happen:",
        "with boundary.scope(policy=Hold()) as effects:\n    ...\nplan = effects.plan()",
    )
    with boundary.scope(policy=Hold()) as effects:
        for order_id in (1, 2, 3):
            process(order_id, effects)
    plan = effects.plan()
    plan.save(path)
    for entry in plan:
        click.echo(f"    {entry.index}  {entry}")
    _say("Apply the plan, in a process that dies half-way:", "boundary.apply(plan)")
    code = f"from airlock.cli.story import crash; crash({str(path)!r})"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own code
    click.secho(ended.stdout, fg="green", nl=False)
    click.echo(f"    (the process died: exit code {ended.returncode})")
    _say(
        "Apply it again: what was done is not repeated, what was in flight you decide:",
        'boundary.apply(plan, in_doubt="done")',
    )
    applied = boundary.apply(Plan.load(path), in_doubt="done", progress=False)
    click.echo(f"    {applied}")


def _say(what: str, code: str) -> None:
    click.secho(f"\n{folded(what)}\n", bold=True)
    lines = (f"  > {line}".rstrip() for line in code.strip().splitlines())
    click.secho("\n".join(lines) + "\n", fg="cyan")
    sys.stdout.flush()
