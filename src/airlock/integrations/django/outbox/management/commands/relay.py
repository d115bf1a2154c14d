"""``manage.py relay``: deliver what is in the project's outboxes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from airlock.integrations.django.conf import boundary
from airlock.integrations.django.outbox.database import DjangoOutbox
from airlock.outbox.outbox import Outbox
from airlock.outbox.relay import Relay


class Command(BaseCommand):
    """A relay of the outbox that the project's boundary sends to."""

    help = "Deliver the effects in the outbox of the project's boundary."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", help="The queue, if the boundary has several.")
        parser.add_argument("--concurrency", type=int, default=4, help="Deliveries at once.")
        parser.add_argument("--batch", type=int, default=100, help="Entries of one claim.")
        parser.add_argument("--lease", type=float, default=30.0, help="Seconds of a lease.")
        parser.add_argument("--drain", action="store_true", help="Stop when nothing is due.")

    def handle(self, *_: Any, **options: Any) -> None:
        lease = timedelta(seconds=options["lease"])
        relay = Relay(
            self._outbox(options["queue"]),
            boundary(),
            concurrency=options["concurrency"],
            batch=options["batch"],
            lease=lease,
            renew=lease / 3,
        )
        if options["drain"]:
            relay.drain()
        else:
            relay.run_sync()

    def _outbox(self, queue: str | None) -> Outbox:
        found = [one for one in boundary().outboxes if isinstance(one, Outbox)]
        found.sort(key=lambda one: not isinstance(one, DjangoOutbox))
        chosen = [one for one in found if queue in (None, one.queue)]
        if not chosen:
            names = ", ".join(repr(one.queue) for one in found) or "none"
            raise CommandError(
                f"The project's boundary has no such outbox: its queues are {names}. "
                'Give it one: Boundary(..., dispatch=Route({SendEmail: DjangoOutbox("default")})).'
            )
        if len(chosen) > 1:
            names = ", ".join(repr(one.queue) for one in chosen)
            raise CommandError(f"The project's boundary has several outboxes: --queue, of {names}.")
        return chosen[0]
