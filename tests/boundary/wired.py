"""The container that the tests of wiring start from."""

from __future__ import annotations

from typing import Any

from dependency_injector import containers, providers

import airlock
from airlock import Boundary, Handles
from tests.boundary.vocabulary import NotifyWarehouse, SendEmail


class Client:
    """A connection to somewhere; notes what was sent through it."""

    def __init__(self, url: str = "https://warehouse.test") -> None:
        self.url = url
        self.sent: list[Any] = []


def notify(subject: NotifyWarehouse, http: Client) -> None:
    """A handler with a dependency."""
    http.sent.append(subject)


class EmailSender:
    """A handler class: dependencies in the constructor, intents in the call."""

    made = 0

    def __init__(self, smtp: str) -> None:
        type(self).made += 1
        self.smtp = smtp

    def __call__(self, subject: SendEmail) -> None:
        MAILBOX.append((self.smtp, subject))


MAILBOX: list[tuple[str, SendEmail]] = []


class Effects(containers.DeclarativeContainer):
    """The usual container."""

    config = providers.Configuration(default={"smtp": "localhost", "url": "https://x.test"})
    http = providers.Singleton(Client, config.url)
    notify = Handles(NotifyWarehouse, notify, http=http)
    email = Handles(SendEmail, EmailSender, smtp=config.smtp)


def deliver(wiring: Any, *subjects: Any) -> airlock.Report:
    """Deliver some intents through a boundary of its own."""
    with Boundary(wiring).scope() as effects:
        effects.emit_all(subjects)
    return effects.report
